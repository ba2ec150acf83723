"""What can go wrong with keys and signatures.

SigningError
  KeysError          a key folder or a file in it cannot be used
  SigningRefused     the request may not be signed, now or later
    LimitReached     as many signatures were made today as may be
  SignerUnavailable  the signer cannot answer now; the same request may succeed later
  OfficerRefused     an officer's word does not count, or officers and policy may not be changed so
  TimestampUnavailable  a timestamp authority gave no timestamp that counts
"""


class SigningError(Exception):
    """Base of every error that signing raises on purpose."""


class KeysError(SigningError):
    """A key folder or a file in it cannot be used. The message names it and says what to do."""


class SigningRefused(SigningError):
    """The request may not be signed; asking again changes nothing. ``reasons`` holds every one."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class LimitReached(SigningRefused):
    """As many signatures were made today as may be. Each reason says when it is possible again."""


class SignerUnavailable(SigningError):
    """The signer's process cannot be started or died while it worked."""


class OfficerRefused(SigningError):
    """An officer's word does not count, or officers and policy may not be changed so. The message says why."""


class TimestampUnavailable(SigningError):
    """A timestamp authority could not be asked, or what it answered does not count."""
