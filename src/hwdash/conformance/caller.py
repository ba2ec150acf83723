"""Raw HTTP as one application: paths, headers and bodies go out as a row writes them, and nothing is tried again.

The one exception is 429: a busy service says when to come back, and the suite does.
"""

import re
import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx

from hwdash.conformance.outcome import Mismatch
from hwdash.conformance.target import Application, Target
from hwdash.sdk.auth import ClientSecret

API = "/v2.0/my/hardware"
TRIES_WHEN_BUSY = 5
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_SHOWN = 300

_SIGNATURE = re.compile(r"(sig=)[^&\"\s]+")


class Caller:
    """Sends requests with the application's token, and keeps every answer in ``seen``."""

    def __init__(self, target: Target, application: Application) -> None:
        verify = ssl.create_default_context(cafile=target.ca) if target.ca else True
        self.http = httpx.Client(base_url=target.url, verify=verify, timeout=60)
        self.application = application
        self.seen: list[httpx.Response] = []
        self._credentials = ClientSecret(
            target.authority, application.tenant_id, application.client_id, application.client_secret
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def token(self) -> str:
        """The application's token. Raises the SDK's AuthenticationError and TransportError."""
        return self._credentials.token(self.http)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = "",
        base: str = API,
    ) -> httpx.Response:
        """Send a request to a path below ``base``, or to a whole URL.

        ``authorization`` is the header's value; "" for the application's own token, None for no header.
        """
        url = path if "://" in path else base + path
        sent = dict(headers or {})
        if authorization == "":
            sent["Authorization"] = f"Bearer {self.token()}"
        elif authorization is not None:
            sent["Authorization"] = authorization
        for tries_left in reversed(range(TRIES_WHEN_BUSY)):
            answer = self.http.request(method, url, json=json, content=content, headers=sent)
            self.seen.append(answer)
            if answer.status_code != 429 or not tries_left:
                return answer
            time.sleep(min(_retry_after(answer), LONGEST_PAUSE_SECONDS))
        raise AssertionError("the last try has returned")

    def blob(
        self, method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request to a URL of ``downloads``: without a token, which such a URL does not need."""
        return self.http.request(method, url, content=content, headers=headers)


def _retry_after(answer: httpx.Response) -> float:
    try:
        return float(answer.headers.get("Retry-After", "5"))
    except ValueError:
        return 5.0


def shown(answer: httpx.Response) -> str:
    """An answer for a message: request, status and the beginning of the body, signatures left out."""
    text = " ".join(_SIGNATURE.sub(r"\1...", answer.text).split()) if answer.content else "empty"
    text = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
    return f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {text}"


def json_of(answer: httpx.Response) -> Any:
    """The JSON of an answer. Mismatch when it is none."""
    try:
        return answer.json()
    except ValueError as error:
        raise Mismatch(f"{shown(answer)}\nThe body is not JSON.") from error


def object_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer. Mismatch when it is none."""
    value = json_of(answer)
    if not isinstance(value, dict):
        raise Mismatch(f"{shown(answer)}\nThe body is not a JSON object.")
    return value
