"""What a row ends with, and where its truth comes from."""

from enum import StrEnum


class Source(StrEnum):
    """Where the truth of a row comes from. All but the last were said or seen; the last is a choice of ours."""

    DOCUMENTED = "documented"
    EARLIER = "documented earlier"
    CLIENTS = "seen in clients"
    FIELD = "field report"
    OURS = "our recommendation"


class Result(StrEnum):
    """How a row ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


class Mismatch(Exception):
    """The service answered something else than the row wants. The message says what came and what should have."""


class NotApplicable(Exception):
    """The row cannot be tried: something was not given. The message says what."""
