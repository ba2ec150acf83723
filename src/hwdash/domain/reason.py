"""The reason that a person gives for a decision: one line, kept with it."""

LONGEST_REASON = 2000


class ReasonRefused(Exception):
    """The reason cannot be kept, or is missing."""


def check_reason(reason: str) -> None:
    """Raises ReasonRefused."""
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise ReasonRefused(f"the reason must be one line of at most {LONGEST_REASON} printable characters")
