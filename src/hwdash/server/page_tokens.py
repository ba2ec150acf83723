"""Continuation tokens: opaque, and signed for one account, one collection and one filter.

A token is 16 bytes of the place where the page ended (time in microseconds since 1970, id) and 16 of HMAC-SHA256 over
that and its scope, in URL-safe base64 without padding.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from datetime import UTC, datetime, timedelta

from hwdash.domain.errors import Code, DomainError

_PLACE = struct.Struct(">qq")
_SIGNATURE_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[datetime, int]
"""Where a page ended: the time and the id of its last object."""


class PageTokens:
    """Makes and reads tokens. ``secret`` is any secret of the service's: the key is derived from it."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"hwdash continuation tokens 1", hashlib.sha256)

    def token(self, place: Place, scope: str) -> str:
        """The token of a place in what ``scope`` names."""
        packed = _PLACE.pack((place[0] - _EPOCH) // timedelta(microseconds=1), place[1])
        return base64.urlsafe_b64encode(packed + self._signature(packed, scope)).decode().rstrip("=")

    def place(self, token: str, scope: str) -> Place:
        """Where to go on. Raises DomainError for a token that was not made for ``scope``."""
        try:
            raw = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        packed, signature = raw[: _PLACE.size], raw[_PLACE.size :]
        if not hmac.compare_digest(signature, self._signature(packed, scope)):
            raise DomainError(
                Code.INVALID_INPUT,
                "The continuation token is not one that this service gave for this collection and filter.",
                [("continuationToken", "Follow next_link as it was given.")],
            )
        microseconds, last = _PLACE.unpack(packed)
        return _EPOCH + timedelta(microseconds=microseconds), last

    def _signature(self, packed: bytes, scope: str) -> bytes:
        return hmac.digest(self._key, packed + scope.encode(), hashlib.sha256)[:_SIGNATURE_BYTES]
