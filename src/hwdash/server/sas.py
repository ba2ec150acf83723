"""Shared access signatures of our own: a URL that lets its bearer read or write one blob until it expires.

The parameters have Azure's names and meanings (Microsoft Learn, "Create a service SAS"), so that clients that look into
the query find what they know. The string that is signed is ours, so a signature of ours is worth nothing elsewhere.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import quote

from hwdash.clock import Clock

SAS_VERSION = "2024-11-04"
"""The ``sv`` of every URL: the version of Azure's storage services whose query parameters these are."""

_SIGNED = ("sp", "st", "se", "sr", "sv", "rscd")
_PERMISSIONS = re.compile(r"[rwl]+\Z")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")


class SasError(Exception):
    """A URL does not allow what is asked. ``code`` is Azure's; the HTTP status is 403 for all of them."""

    def __init__(self, code: Literal["AuthenticationFailed", "AuthorizationPermissionMismatch"], message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified URL allows: ``permissions`` of r, w, l on one blob until ``expires`` (UTC)."""

    key: str
    name: str
    permissions: str
    expires: datetime
    content_disposition: str | None


class SasSigner:
    """Makes and verifies URLs.

    ``keys`` is one secret of at least 32 bytes or several: the first signs, all verify, so that a key can be replaced
    while URLs made with the old one live. ``public_url`` is the service's own address, without a slash at the end.
    """

    def __init__(self, keys: bytes | Sequence[bytes], public_url: str, clock: Clock) -> None:
        self._keys = (keys,) if isinstance(keys, bytes) else tuple(keys)
        if not self._keys or min(map(len, self._keys)) < 32:
            raise ValueError("a SAS key has at least 32 bytes")
        self._public_url = public_url.rstrip("/")
        self._clock = clock

    def url(
        self,
        key: str,
        name: str,
        *,
        permissions: str,
        hours: float = 24,
        download_name: str | None = None,
        version: str = SAS_VERSION,
    ) -> str:
        """The URL ``{public_url}/blobs/{key}/{name}?...`` for ``permissions`` ("rwl" to upload, "r" to download).

        ``name`` is one path segment that helps people and clients; ``download_name`` becomes the file name that a
        browser saves under; ``version`` is the ``sv`` that is shown. The expiry is in whole seconds.
        """
        if not _PERMISSIONS.match(permissions) or "/" in name:
            raise ValueError(f"permissions are of r, w, l and a name has no slash, not {permissions!r} and {name!r}")
        parameters = {
            "sv": version,
            "se": (self._clock() + timedelta(hours=hours)).astimezone(UTC).strftime(_TIME),
            "sr": "b",
            "sp": permissions,
        }
        if download_name is not None:
            parameters["rscd"] = _attachment(download_name)
        # Percent-encoded throughout: a client that reads "+" as a space, or does not, finds the same values.
        name, encoded = _encoded(name), {each: _encoded(value) for each, value in parameters.items()}
        encoded["sig"] = _encoded(_signature(self._keys[0], _encoded(key), name, encoded))
        query = "&".join(f"{each}={value}" for each, value in encoded.items())
        return f"{self._public_url}/blobs/{key}/{name}?{query}"

    def verify(self, key: str, name: str, parameters: Sequence[tuple[str, str]], needed: str) -> Grant:
        """Check ``key`` and ``name`` of a request's path, its decoded query, and the permission it needs (one letter).

        Parameters that are not signed are ignored. SasError: AuthenticationFailed (a signed one is missing, changed,
        repeated or expired), AuthorizationPermissionMismatch.
        """
        query: dict[str, str] = {}
        for parameter, value in parameters:
            if parameter in query and (parameter in _SIGNED or parameter == "sig"):
                raise SasError("AuthenticationFailed", f"The parameter {parameter} occurs twice in the URL.")
            query[parameter] = value
        missing = [parameter for parameter in ("sv", "se", "sr", "sp", "sig") if not query.get(parameter)]
        if missing:
            raise SasError("AuthenticationFailed", f"The URL lacks {', '.join(missing)}; use the URL as it was given.")
        given = query["sig"].replace(" ", "+")  # from clients that send the "+" of base64 unescaped
        path = _encoded(key), _encoded(name)
        encoded = {each: _encoded(query[each]) for each in _SIGNED if each in query}
        valid = False
        for secret in self._keys:
            valid |= hmac.compare_digest(given.encode(), _signature(secret, *path, encoded).encode())
        if not valid:
            message = "The signature does not match the URL; use the URL as it was given, its path included."
            raise SasError("AuthenticationFailed", message)
        # From here on every value is one that url() wrote.
        expires = datetime.strptime(query["se"], _TIME).replace(tzinfo=UTC)
        if self._clock() >= expires:
            message = f"The URL expired at {query['se']}; read the submission again to get a fresh one."
            raise SasError("AuthenticationFailed", message)
        if needed not in query["sp"]:
            message = f"The URL allows {query['sp']!r}, and this operation needs {needed!r}."
            raise SasError("AuthorizationPermissionMismatch", message)
        return Grant(key, name, query["sp"], expires, query.get("rscd"))


def _signature(secret: bytes, key: str, name: str, query: Mapping[str, str]) -> str:
    """HMAC-SHA256 in base64 over what is signed: one part a line, all percent-encoded."""
    parts = ["hwdash-blob-sas-1", key, name, *(query.get(parameter, "") for parameter in _SIGNED)]
    return base64.b64encode(hmac.digest(secret, "\n".join(parts).encode(), hashlib.sha256)).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="")


def _attachment(name: str) -> str:
    """A Content-Disposition that saves under ``name`` (RFC 6266)."""
    if _PLAIN_NAME.match(name):
        return f"attachment; filename={name}"
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
