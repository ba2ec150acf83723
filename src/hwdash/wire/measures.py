"""The file of measured results that an operator records: an addition of hwdash's, not part of Microsoft's API.

It is read strictly: a misspelt criterion would let a bad driver pass.
"""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from hwdash.wire.base import WireModel

MOST_RESULTS = 1000
LONGEST_TEXT = 200


def _line(value: object) -> object:
    # An id is a number, and people write it as one.
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"Must be 1 to {LONGEST_TEXT} printable characters")
    return text.strip()


_Line = Annotated[str, BeforeValidator(_line)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, lt=1 << 31)]


class MeasuredResult(WireModel):
    """The value of a measure. One that is not known has a name and one of the criteria, too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    measure_id: _Line
    value: _Number
    population: _Count
    name: _Line | None = None
    at_least: _Number | None = None
    at_most: _Number | None = None
    minimum: _Count | None = None

    @field_validator("at_most")
    @classmethod
    def _one_criterion(cls, value: float | None, others: ValidationInfo) -> float | None:
        if value is not None and others.data.get("at_least") is not None:
            raise ValueError("atLeast and atMost exclude each other")
        return value


class MeasuredResults(WireModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    results: Annotated[list[MeasuredResult], Field(min_length=1, max_length=MOST_RESULTS)]
