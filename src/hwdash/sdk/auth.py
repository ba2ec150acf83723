"""Client credentials, as Entra and hwdash take them."""

import time
from dataclasses import dataclass, field

import httpx

from hwdash.sdk.errors import AuthenticationError, TransportError

AUDIENCE = "https://manage.devcenter.microsoft.com"
# A token this close to its end is not used any more.
MARGIN_SECONDS = 120


@dataclass(slots=True)
class ClientSecret:
    """Gets tokens for an application by its secret, and keeps each until shortly before its end."""

    authority: str
    """Where the token endpoint is: the service's URL, or https://login.microsoftonline.com."""
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    _token: str = field(default="", init=False, repr=False)
    _until: float = field(default=0.0, init=False, repr=False)

    def forget(self) -> None:
        """Get a new token at the next call."""
        self._until = 0.0

    def token(self, http: httpx.Client) -> str:
        """A token. Raises AuthenticationError and TransportError."""
        if time.monotonic() < self._until:
            return self._token
        url = f"{self.authority.rstrip('/')}/{self.tenant_id}/oauth2/v2.0/token"
        try:
            answer = http.post(
                url,
                data={
                    "grant_type": "client_credentials",
                    "client_id": self.client_id,
                    "client_secret": self.client_secret,
                    "scope": f"{AUDIENCE}/.default",
                },
            )
        except httpx.HTTPError as error:
            raise TransportError(f"{url}: {error}") from error
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if answer.status_code >= 500:
            raise TransportError(f"{url} answered {answer.status_code}")
        if answer.status_code != 200 or "access_token" not in body:
            reason = body.get("error_description") or body.get("error") or f"HTTP {answer.status_code}"
            raise AuthenticationError(f"{url} gave no token: {reason}")
        self._token = body["access_token"]
        self._until = time.monotonic() + float(body.get("expires_in", 0)) - MARGIN_SECONDS
        return self._token
