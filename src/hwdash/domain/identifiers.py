"""Random ids in the families of contract/api.md 1.5.

Product ids are multiples of 10 below 7.2e16 and submission ids multiples of 1000 below 4e18: both survive a client that
keeps numbers as doubles. Uniqueness is the database's business: a collision is drawn again by the caller.
"""

import secrets


def _draw(low: int, high: int, step: int) -> int:
    return low + secrets.randbelow((high - low) // step) * step


def new_product_id() -> int:
    """A private product id: 17 digits."""
    return _draw(10**16, 7_2 * 10**15, 10)


def new_long_id() -> int:
    """A submission, shared product or shipping label id: 19 digits."""
    return _draw(1_152_921_504_000_000_000, 4 * 10**18, 1000)


def new_blob_key() -> str:
    """The key of a blob: 128 random bits in hex."""
    return secrets.token_hex(16)
