"""Between a client and any server of the API: passes everything on, and writes down what passed.

The addresses in the answers are turned so that the client stays with the recorder: those of the server begin with the
recorder's own, and those of other hosts, such as a store of blobs, with ``/_through/HOST/``. Only hosts that an answer
named are passed on to.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from hwdash.sandbox.recording import RecordingFile, body_of

THROUGH = "/_through/"
_LOGIN = re.compile(r"/[^/]+/(oauth2/|discovery/|v2\.0/\.well-known/|\.well-known/)", re.IGNORECASE)
_READ_WHOLE = ("json", "x-www-form-urlencoded")
_OF_ONE_CONNECTION = frozenset(
    [
        "connection",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "accept-encoding",
        "content-encoding",
        "content-length",
        "expect",
        "proxy-authorization",
    ]
)
_URL = re.compile(r"https?://[^/\s\"'<>?#]+")


class Recorder:
    """ASGI: the recorder itself. ``upstream`` and ``login`` are origins, ``origin`` is the recorder's own."""

    def __init__(self, file: RecordingFile, http: httpx.AsyncClient, *, origin: str, upstream: str, login: str) -> None:
        self._file = file
        self._http = http
        self._origin = origin
        self._upstream = upstream.rstrip("/")
        self._login = login.rstrip("/")
        self._hosts: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on and write it down with its answer."""
        if scope["type"] == "http":
            request = Request(scope, receive)
            await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> ASGIApp:
        raw = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        query = request.scope["query_string"].decode("ascii", "replace")
        target = f"{raw}?{query}" if query else raw
        address = self._address(raw, target)
        if address is None:
            return JSONResponse({"error": {"code": "notFound", "message": "No answer named this host."}}, 404)
        secrets = self._file.secrets
        secrets.learn_query(query)
        secrets.learn_authorization(request.headers.get("authorization", ""))
        sent, body = await self._body(request)
        headers = [pair for pair in request.headers.items() if pair[0] not in _OF_ONE_CONNECTION]
        if length := request.headers.get("content-length"):
            headers.append(("content-length", length))
        outgoing = self._http.build_request(request.method, address, headers=headers, content=sent)
        outgoing.headers["accept-encoding"] = "identity"
        try:
            answer = await self._http.send(outgoing, stream=True)
        except httpx.HTTPError as error:
            where = urlsplit(address).netloc
            message = f"{where} could not be reached: {type(error).__name__}."
            return JSONResponse({"error": {"code": "badGateway", "message": message}}, 502)
        kept = Headers(
            raw=[
                (name.lower(), value)
                for name, value in answer.headers.raw
                if name.decode().lower() not in _OF_ONE_CONNECTION
            ]
        )
        more = {"location": self._turned(kept["location"])} if "location" in kept else {}
        passed = {**dict(kept), **more}
        media_type = kept.get("content-type", "")
        if answer.is_success and request.method == "GET" and "json" not in media_type:
            return self._streamed(request, target, body, answer, passed)
        content = await answer.aread()
        await answer.aclose()
        if "json" in media_type:
            content = self._turned_json(content)
        written = body_of(content, media_type) if request.method != "HEAD" else None
        self._file.write(request.method, target, (request.headers, body()), (answer.status_code, passed, written))
        if request.method == "HEAD" and (size := answer.headers.get("content-length")):
            passed["content-length"] = size
        return Response(content, answer.status_code, passed)

    def _address(self, path: str, target: str) -> str | None:
        if path.startswith(THROUGH):
            host, _, rest = target.removeprefix(THROUGH).partition("/")
            return f"https://{host}/{rest}" if host in self._hosts else None
        return f"{self._login if _LOGIN.match(path) else self._upstream}{target}"

    async def _body(self, request: Request) -> tuple[Any, Any]:
        """What is sent on, and a function that then says what is written down of it."""
        media_type = request.headers.get("content-type", "")
        if any(each in media_type for each in _READ_WHOLE) or request.headers.get("content-length", "0") == "0":
            content = await request.body()
            kept = body_of(content, media_type)
            if "form" in (kept or {}):
                self._file.secrets.learn_query(content.decode())
            self._file.secrets.learn_json((kept or {}).get("json"))
            return content, lambda: kept
        digest, size = hashlib.sha256(), 0

        async def passing() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in request.stream():
                digest.update(piece)
                size += len(piece)
                yield piece

        return passing(), lambda: {"bytes": size, "sha256": digest.hexdigest()} if size else None

    def _streamed(
        self, request: Request, target: str, body: Any, answer: httpx.Response, headers: dict[str, str]
    ) -> StreamingResponse:
        digest, size = hashlib.sha256(), 0

        async def passing() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in answer.aiter_raw():
                digest.update(piece)
                size += len(piece)
                yield piece
            await answer.aclose()
            kept = {"bytes": size, "sha256": digest.hexdigest()}
            self._file.write(request.method, target, (request.headers, body()), (answer.status_code, headers, kept))

        if length := answer.headers.get("content-length"):
            headers = {**headers, "content-length": length}
        return StreamingResponse(passing(), answer.status_code, headers)

    def _turned_json(self, content: bytes) -> bytes:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return content
        self._file.secrets.learn_json(value)
        return json.dumps(self._turned_value(value), ensure_ascii=False).encode()

    def _turned_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._turned_value(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self._turned_value(each) for each in value]
        return self._turned(value) if isinstance(value, str) else value

    def _turned(self, text: str) -> str:
        """An address, turned to the recorder; any other text as it is."""
        found = _URL.match(text)
        if found is None:
            return text
        if found[0] in (self._upstream, self._login):
            return self._origin + text[found.end() :]
        if not found[0].startswith("https://"):
            return text
        host = found[0].removeprefix("https://")
        self._hosts.add(host)
        return f"{self._origin}{THROUGH}{host}{text[found.end() :]}"
