"""What every answer tells a browser or a cache: run nothing, guess no type, say nowhere whence you came, keep nothing.

Clients of the API need none of it. It is for whoever opens a link of the service in a browser, and for proxies between.
Sources: OWASP Secure Headers Project; CSP level 3; RFC 6797 (HSTS); RFC 9111 5.2 (Cache-Control).
"""

import base64
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.settings import LOOPBACK

INERT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox"
"""The policy of what is no page of ours: even when a browser takes it for one, it runs and loads nothing."""

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", INERT.encode()),
)
_NOT_KEPT = (b"cache-control", b"no-store")
# What has an ETag may be kept by the client that asked, and is asked for again each time.
_ASKED_AGAIN = (b"cache-control", b"private, no-cache")
# A year.
_STRICT = (b"strict-transport-security", b"max-age=31536000")

REFUSAL_HEADERS = (*_ALWAYS, _NOT_KEPT)
"""Those of an answer that is given before any application is asked."""


def page_headers(style: str, *, has_form: bool = False) -> dict[str, str]:
    """The headers of an HTML page of ours: its one style sheet is allowed by its digest, all else is not."""
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    target = "'self'" if has_form else "'none'"
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action {target}; "
        "base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


class AnswerHeaders:
    """ASGI: the application, with those of the headers added that an answer does not have.

    What is stored (``/blobs/``) keeps Azure's form: it gets no Cache-Control. ``public_url`` of https is held to it by
    HSTS for a year, unless it is this machine itself, where the rule would count for every port; ``is_sandbox``
    leaves that out, for it may answer under the names of others.
    """

    def __init__(self, app: ASGIApp, public_url: str, *, is_sandbox: bool = False) -> None:
        self._app = app
        parts = urlsplit(public_url)
        is_strict = parts.scheme == "https" and parts.hostname not in LOOPBACK and not is_sandbox
        self._always = (*_ALWAYS, _STRICT) if is_strict else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_stored = scope["path"].startswith("/blobs/")

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                had = {name.lower() for name, _ in message["headers"]}
                wanted = self._always
                if not is_stored:
                    wanted = (*wanted, _ASKED_AGAIN if b"etag" in had else _NOT_KEPT)
                added = [each for each in wanted if each[0] not in had]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, complete)
