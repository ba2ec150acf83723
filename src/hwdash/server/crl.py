"""The list of revoked certificates, as the signer's process makes it."""

import asyncio
import time

from hwdash.signing.process import SignerProcess

CRL_HEADERS = {"Cache-Control": "max-age=60"}
_KEPT_SECONDS = 5.0
"""Whoever asks has no token: the signer, which works one by one, is asked this often at most."""


class PublishedCrl:
    """The current list, of this moment or of a few seconds ago."""

    def __init__(self, signer: SignerProcess) -> None:
        self._signer = signer
        self._lock = asyncio.Lock()
        self._crl = b""
        self._until = 0.0

    async def current(self) -> bytes:
        """DER. Raises SignerUnavailable."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._crl = await asyncio.to_thread(self._signer.crl)
                self._until = time.monotonic() + _KEPT_SECONDS
            return self._crl
