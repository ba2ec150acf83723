"""Serves a recording: each request gets the answer that was recorded for it, in the recorded order.

A request is known by method and path; ids are those of the recording, since its answers gave them. When the recorded
answers of a request are used up, the last is given again. Any tenant gets a token. A package is answered by as many
zero bytes: its content is not in a recording.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import parse_qs
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hwdash.sandbox.recording import SERVICE, Recorded
from hwdash.server.frame import CORRELATION_HEADERS

_TENANT = re.compile(r"^/[^/]+(?=/(?:oauth2/|v2\.0/\.well-known/|\.well-known/))", re.IGNORECASE)
_Key = tuple[str, str, str]


class Replay:
    """ASGI: the recording as a service. ``origin`` is the address under which clients reach it."""

    def __init__(self, recorded: Sequence[Recorded], origin: str) -> None:
        self._origin = origin
        self._answers: dict[_Key, list[Recorded]] = defaultdict(list)
        for each in recorded:
            self._answers[_key(each.method, each.path, each.query)].append(each)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the next answer that was recorded for this request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        async for _ in request.stream():
            pass
        path = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        answers = self._answers.get(_key(request.method, path, scope["query_string"].decode("ascii", "replace")))
        # Each request's own, which no recording can have.
        correlation = {name: request.headers.get(name) or str(uuid4()) for name in CORRELATION_HEADERS}
        if not answers:
            error = {
                "code": "notRecorded",
                "message": f"The recording has no {request.method} {path}.",
                "validationErrors": [],
                "requestId": correlation["MS-RequestId"],
            }
            await JSONResponse({"error": error}, 404, correlation)(scope, receive, send)
            return
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        headers = {name: value.replace(SERVICE, self._origin) for name, value in answer.headers.items()}
        await Response(self._content(answer), answer.status, headers | correlation)(scope, receive, send)

    def _content(self, answer: Recorded) -> bytes:
        body = answer.body or {}
        if "json" in body:
            return json.dumps(body["json"], ensure_ascii=False).replace(SERVICE, self._origin).encode()
        if "text" in body:
            return str(body["text"]).replace(SERVICE, self._origin).encode()
        return bytes(int(body.get("bytes", 0)))


def _key(method: str, path: str, query: str) -> _Key:
    comp = parse_qs(query).get("comp", [""])[0]
    return method, _TENANT.sub("/TENANT", path.rstrip("/")), comp
