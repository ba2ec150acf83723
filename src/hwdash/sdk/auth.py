"""Tokens, as Entra and hwdash give them: to applications by client credentials, to people by device code."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from hwdash.sdk.errors import AuthenticationError, TransportError
from hwdash.vocabulary import COMMAND_LINE_CLIENT_ID

AUDIENCE = "https://manage.devcenter.microsoft.com"
# A token this close to its end is not used any more.
MARGIN_SECONDS = 120
TRIES = 4
FIRST_PAUSE_SECONDS = 0.5

_SCOPE = f"{AUDIENCE}/.default"
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
# RFC 8628 3.5.
_SLOW_DOWN_SECONDS = 5


class Credentials(Protocol):
    """Where a client's tokens come from."""

    def token(self, http: httpx.Client) -> str:
        """A token. Raises AuthenticationError and TransportError."""
        ...

    def forget(self) -> None:
        """Get a new token at the next call."""
        ...


@dataclass(slots=True)
class ClientSecret:
    """Gets tokens for an application by its secret, and keeps each until shortly before its end."""

    authority: str
    """Where the token endpoint is: the service's URL, or https://login.microsoftonline.com."""
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    """What it waits by between its tries."""
    _token: str = field(default="", init=False, repr=False)
    _until: float = field(default=0.0, init=False, repr=False)

    def forget(self) -> None:
        """Get a new token at the next call."""
        self._until = 0.0

    def token(self, http: httpx.Client) -> str:
        """A token. Raises AuthenticationError, and TransportError when the endpoint goes on failing."""
        if time.monotonic() >= self._until:
            body = self._fetched(http)
            self._token, self._until = body["access_token"], _end(body)
        return self._token

    def _fetched(self, http: httpx.Client) -> dict[str, Any]:
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": _SCOPE,
        }
        pause = FIRST_PAUSE_SECONDS
        for tries_left in reversed(range(TRIES)):
            try:
                return _token_answer(http, self.authority, self.tenant_id, fields)
            except TransportError:
                if not tries_left:
                    raise
                self.sleep(pause)
                pause *= 2
        raise AssertionError("unreachable")


@dataclass(slots=True)
class SignedIn:
    """Gets tokens for a person who signed in before.

    A refresh token is good once. ``exchange`` calls the function that it is given with the one that is kept, and keeps
    what comes back instead; it lets one process at a time do so, because the use of a spent one ends the sign-in.
    """

    authority: str
    tenant_id: str
    exchange: Callable[[Callable[[str], str]], None] = field(repr=False)
    _token: str = field(default="", init=False, repr=False)
    _until: float = field(default=0.0, init=False, repr=False)

    def forget(self) -> None:
        """Get a new token at the next call."""
        self._until = 0.0

    def token(self, http: httpx.Client) -> str:
        """A token. Raises AuthenticationError and TransportError."""

        def renew(refresh_token: str) -> str:
            body = _token_answer(
                http,
                self.authority,
                self.tenant_id,
                {
                    "grant_type": "refresh_token",
                    "client_id": COMMAND_LINE_CLIENT_ID,
                    "refresh_token": refresh_token,
                    "scope": _SCOPE,
                },
            )
            self._token, self._until = body["access_token"], _end(body)
            return str(body["refresh_token"])

        if time.monotonic() >= self._until:
            self.exchange(renew)
        return self._token


def sign_in(
    http: httpx.Client,
    authority: str,
    tenant_id: str,
    show: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Let a person sign in elsewhere; their refresh token.

    ``show`` gets the sentence that tells them where and with which code. Raises AuthenticationError and TransportError.
    """
    begun = _post(
        http,
        f"{authority.rstrip('/')}/{tenant_id}/oauth2/v2.0/devicecode",
        {"client_id": COMMAND_LINE_CLIENT_ID, "scope": f"{_SCOPE} offline_access"},
    )
    if "device_code" not in begun:
        raise AuthenticationError(f"{authority} began no sign-in: {_reason(begun)}")
    show(str(begun["message"]))
    interval = float(begun.get("interval", 5))
    fields = {"grant_type": _DEVICE_CODE, "client_id": COMMAND_LINE_CLIENT_ID, "device_code": begun["device_code"]}
    while True:
        pause(interval)
        body = _post(http, _token_url(authority, tenant_id), fields)
        match body.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                interval += _SLOW_DOWN_SECONDS
            case None if "refresh_token" in body:
                return str(body["refresh_token"])
            case _:
                raise AuthenticationError(f"nobody was signed in: {_reason(body)}")


def sign_out(http: httpx.Client, authority: str, tenant_id: str, refresh_token: str) -> None:
    """End a sign-in (RFC 7009). Raises TransportError."""
    _post(http, f"{authority.rstrip('/')}/{tenant_id}/oauth2/v2.0/revoke", {"token": refresh_token})


def _token_answer(http: httpx.Client, authority: str, tenant_id: str, fields: dict[str, str]) -> dict[str, Any]:
    url = _token_url(authority, tenant_id)
    body = _post(http, url, fields)
    if "access_token" not in body:
        raise AuthenticationError(f"{url} gave no token: {_reason(body)}")
    return body


def _token_url(authority: str, tenant_id: str) -> str:
    return f"{authority.rstrip('/')}/{tenant_id}/oauth2/v2.0/token"


def _post(http: httpx.Client, url: str, fields: dict[str, str]) -> dict[str, Any]:
    try:
        answer = http.post(url, data=fields)
    except httpx.HTTPError as error:
        raise TransportError(f"{url}: {error}") from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise TransportError(f"{url} answered {answer.status_code}")
    try:
        body = answer.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) and body else {"error": f"HTTP {answer.status_code}"}


def _reason(body: dict[str, Any]) -> str:
    return str(body.get("error_description") or body.get("error") or "no reason was given")


def _end(body: dict[str, Any]) -> float:
    return time.monotonic() + float(body.get("expires_in", 0)) - MARGIN_SECONDS
