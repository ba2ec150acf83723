"""``hwdash serve`` with one planted defect of the wire at a time, or none: ``PUT /defect/NAME`` chooses it.

The service itself is the real one. Its answers are rewritten on their way out, as if it had the defect. Run by
test_defects.py in the place of ``hwdash serve``.
"""

import dataclasses
import sys
from typing import Any

import label_defects  # noqa: F401 - planted by being imported
from defects import DEFECTS, Answer, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.cli import serving
from hwdash.cli.main import cli
from hwdash.server.app import create_service


class Defective:
    """ASGI: the service's answers, rewritten by the defect that was chosen last."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._chosen = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith("/defect/"):
            self._chosen = scope["path"].removeprefix("/defect/").removeprefix("none")
            await _send(send, Answer(204, {}, b""))
            return
        if not self._chosen:
            await self._app(scope, receive, send)
            return
        request = Request(
            scope["method"], scope["path"], {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        )
        answer = await self._answer(scope, receive)
        DEFECTS[self._chosen].plant(request, answer)
        if request.method != "HEAD":
            answer.headers["content-length"] = str(len(answer.body))
        await _send(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        answer = Answer(0, {}, b"")

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self._app(scope, receive, keep)
        return answer


async def _send(send: Send, answer: Answer) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def create_defective_service(*args: Any, **kwargs: Any) -> Any:
    running = create_service(*args, **kwargs)
    return dataclasses.replace(running, app=Defective(running.app))


if __name__ == "__main__":
    serving.create_service = create_defective_service  # type: ignore[attr-defined]
    cli(["serve", *sys.argv[1:]])
