"""``/_sandbox``: the admin calls of a sandbox, and a page that shows what was asked and answered.

Everything here needs the sandbox's admin token, as ``Authorization: Bearer``; reading is allowed by HTTP Basic too, so
that a browser can ask for it (any user, the token for the password). Changing is not: no page of a stranger's can make
a browser do it. Loopback alone would be no guard, for the client that is tried runs there as well.
"""

import base64
import binascii
import html
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hwdash.sandbox.clock import SandboxClock
from hwdash.sandbox.duration import parse_duration
from hwdash.sandbox.inspection import Exchange, Ring
from hwdash.sandbox.mark import Mark
from hwdash.sandbox.playbill import Playbill
from hwdash.sandbox.scenario import Scenario
from hwdash.sandbox.scenario_file import SHIPPED, ScenarioError, shipped_names, shipped_scenario
from hwdash.server.answer_headers import page_headers

PREFIX = "/_sandbox"
MAX_BODY = 512 * 1024
SHOWN = 200
"""Exchanges on the page."""

_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25em .6em;border-bottom:1px solid #ddd;"
    "vertical-align:top}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f5f5;padding:.6em;margin:.3em 0}"
    "td.path{overflow-wrap:anywhere}.bad{color:#a00}.why{color:#555}input{padding:.3em;width:24em}"
)
_PAGE_HEADERS = page_headers(_STYLE, has_form=True)


class _Refused(Exception):
    """An admin call that is refused, with every finding."""

    def __init__(self, status: int, *findings: str) -> None:
        super().__init__("; ".join(findings))
        self.status = status
        self.findings = findings


class SandboxPages:
    """ASGI: the routes below ``/_sandbox``."""

    def __init__(self, mark: Mark, clock: SandboxClock, playbill: Playbill, ring: Ring) -> None:
        self._mark = mark
        self._clock = clock
        self._playbill = playbill
        self._ring = ring
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            ("GET", ""): self._page,
            ("GET", "/requests"): self._requests,
            ("DELETE", "/requests"): self._forget,
            ("GET", "/clock"): self._clock_now,
            ("POST", "/clock"): self._move_clock,
            ("GET", "/scenario"): self._scenario,
            ("POST", "/scenario"): self._set_scenario,
            ("DELETE", "/scenario"): self._clear_scenario,
        }

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Method and path of each route."""
        return [(method, PREFIX + path) for method, path in self._routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except _Refused as refused:
            response = _refusal(refused)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if not self._admitted(request):
            message = "This needs the sandbox's admin token, which hwdash init --sandbox printed."
            response = _refusal(_Refused(401, message))
            response.headers["WWW-Authenticate"] = 'Basic realm="hwdash sandbox", charset="UTF-8"'
            return response
        path = request.url.path.removeprefix(PREFIX).rstrip("/")
        call = self._routes.get((request.method, path))
        if call is None:
            allowed = sorted(method for method, known in self._routes if known == path)
            if not allowed:
                raise _Refused(404, f"There is nothing at {request.url.path[:200]}.")
            raise _Refused(405, f"{request.method} is not served here, only {', '.join(allowed)}.")
        return await call(request)

    def _admitted(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            return self._mark.admits(given.strip())
        if scheme.casefold() == "basic" and request.method == "GET":
            try:
                decoded = base64.b64decode(given.strip(), validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                return False
            return self._mark.admits(decoded.partition(":")[2])
        return False

    # Requests

    async def _requests(self, request: Request) -> Response:
        found = self._ring.exchanges(after=_number(request, "after"), text=request.query_params.get("q", ""))
        return JSONResponse({"requests": [each.document() for each in found]})

    async def _forget(self, _request: Request) -> Response:
        self._ring.clear()
        return Response(status_code=204)

    async def _page(self, request: Request) -> Response:
        text = request.query_params.get("q", "")
        found = self._ring.exchanges(text=text)
        return HTMLResponse(self._html(text, found), headers=_PAGE_HEADERS)

    # Time

    async def _clock_now(self, _request: Request) -> Response:
        return JSONResponse(self._clock.document())

    async def _move_clock(self, request: Request) -> Response:
        wanted = await _json(request)
        match wanted:
            case {"advance": str(span)} if len(wanted) == 1:
                try:
                    self._clock.advance(parse_duration(span))
                except ValueError as error:
                    raise _Refused(422, f"advance: {error}.") from error
            case {"frozen": bool(frozen)} if len(wanted) == 1:
                if frozen:
                    self._clock.freeze()
                else:
                    self._clock.resume()
            case _:
                raise _Refused(422, 'Send {"advance": "3d"}, {"frozen": true} or {"frozen": false}.')
        return JSONResponse(self._clock.document())

    # Scenarios

    async def _scenario(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "scenario": _described(self._playbill.scenario),
                "shipped": [_described(shipped_scenario(name)) for name in shipped_names()],
            }
        )

    async def _set_scenario(self, request: Request) -> Response:
        try:
            if "json" in request.headers.get("content-type", ""):
                match await _json(request):
                    case {"name": str(name)}:
                        shipped_scenario(name)
                        text = (SHIPPED / f"{name}.toml").read_text("utf-8")
                    case _:
                        raise _Refused(422, 'Send {"name": "..."}, the name of a shipped scenario, or TOML as text.')
            else:
                name, text = "unnamed", await _text(request)
            scenario = self._playbill.set(text, name)
        except ScenarioError as error:
            raise _Refused(422, *error.findings) from error
        return JSONResponse({"scenario": _described(scenario)})

    async def _clear_scenario(self, _request: Request) -> Response:
        self._playbill.clear()
        return Response(status_code=204)

    # The page

    def _html(self, text: str, found: list[Exchange]) -> str:
        scenario = self._playbill.scenario
        rows = "".join(_row(each) for each in reversed(found[-SHOWN:]))
        more = f"<p>The last {SHOWN} of {len(found)}.</p>" if len(found) > SHOWN else ""
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>hwdash sandbox</title><style>{_STYLE}</style>"
            f"<h1>Sandbox</h1><p>Clock: {html.escape(str(self._clock().isoformat()))}"
            f"{' (frozen)' if self._clock.is_frozen else ''}. "
            f"Scenario: {html.escape(scenario.name if scenario else 'none')}.</p>"
            f'<form action="{PREFIX}" method=get><label>Search <input name=q value="{html.escape(text)}"></label> '
            f"<button>Search</button></form>{more}"
            "<table><tr><th>#<th>time<th>request<th>status<th>ms<th>what was said</tr>"
            f"{rows}</table>"
        )


def _row(each: Exchange) -> str:
    bad = " class=bad" if each.status >= 400 or not each.status else ""
    bodies = "".join(
        f"<p>{title}</p><pre>{html.escape(body)}</pre>"
        for title, body in (("request", each.request_body), ("answer", each.answer_body))
        if body
    )
    shown = f"<details><summary>bodies</summary>{bodies}</details>" if bodies else ""
    why = f"<p class=why>{html.escape(each.explanation)}</p>" if each.explanation else ""
    return (
        f"<tr><td>{each.number}<td>{html.escape(each.at[:19])}<td class=path>{html.escape(each.method)} "
        f"{html.escape(each.path)}<td{bad}>{each.status or 'none'}<td>{each.milliseconds}<td>{why}{shown}</tr>"
    )


def _described(scenario: Scenario | None) -> dict[str, Any] | None:
    if scenario is None:
        return None
    return {
        "name": scenario.name,
        "summary": scenario.summary,
        "report": scenario.report,
        "rules": len(scenario.rules),
    }


def _refusal(refused: _Refused) -> JSONResponse:
    findings = [{"target": "", "message": each} for each in refused.findings]
    error = {"code": "sandbox", "message": refused.findings[0], "validationErrors": findings}
    return JSONResponse({"error": error}, refused.status)


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise _Refused(422, f"{name} must be a whole number, not {quote(text[:40])}.")
    return int(text)


async def _text(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _Refused(413, f"The body is larger than {MAX_BODY >> 10} KiB.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Refused(422, f"The body is not UTF-8: {error}.") from error


async def _json(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await _text(request))
    except (ValueError, RecursionError) as error:
        raise _Refused(400, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise _Refused(400, f"The body must be a JSON object, not {type(value).__name__}.")
    return value
