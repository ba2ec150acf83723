"""What the rules of products and submissions refuse, with Microsoft's codes (contract/api.md 7.2).

One table in server/errors.py maps the codes to HTTP.
"""

from collections.abc import Sequence
from enum import StrEnum


class Code(StrEnum):
    """The functional error codes, spelt as on the wire."""

    INVALID_INPUT = "invalidInput"
    REQUEST_INVALID_FOR_CURRENT_STATE = "requestInvalidForCurrentState"
    UPDATE_UNAUTHORIZED = "updateUnauthorized"
    ENTITY_NOT_FOUND = "entityNotFound"
    READ_ONLY_PRODUCT = "readOnlyProduct"
    FORBIDDEN = "forbidden"


class DomainError(Exception):
    """A request that the rules refuse. ``targets`` are (field path, message) pairs: every finding at once."""

    def __init__(self, code: Code, message: str, targets: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.targets = tuple(targets)


def not_found(what: str, identifier: object) -> DomainError:
    """An id that does not exist or belongs to another account: the caller learns no difference."""
    return DomainError(Code.ENTITY_NOT_FOUND, f"There is no {what} {identifier} in this account.")
