"""How the JSON of the API is read and written (contract/api.md 1.4).

Lenient on input: property names in any case, unknown properties ignored, ``null`` taken as absent where a default
exists, ``""`` and the year-1 date taken as absent for dates. One form on output: exact camelCase, no ``null``, times in
RFC 3339 UTC.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticUndefined

LONGEST_SHOWN = 100
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class WireModel(BaseModel):
    """The base of every JSON object of the API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        spelt, defaulted = _names(cls)
        known = {spelt.get(name.casefold(), name) if isinstance(name, str) else name: v for name, v in value.items()}
        return {name: v for name, v in known.items() if not (v is None and name in defaulted)}

    def to_wire(self) -> dict[str, Any]:
        """The object as it goes over the wire."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read an object from the wire. Raises pydantic.ValidationError with every finding."""
        return cls.model_validate(value)


@cache
def _names(model: type[WireModel]) -> tuple[dict[str, str], set[str]]:
    """The names on the wire by their case-folded form, and those of the fields that have a default."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    defaulted = {
        name
        for name, field in fields.items()
        if field.default is not PydanticUndefined or field.default_factory is not None
    }
    return {name.casefold(): name for name in fields}, defaulted


def shown(value: object) -> str:
    """What a client sent, for a message: a long text is cut."""
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def one_of(words: type[StrEnum]) -> Callable[[object], object]:
    """Take a word in any case; say which there are when there is no such word."""
    spelt = {str(each).casefold(): each for each in words}

    def read(value: object) -> object:
        found = spelt.get(value.strip().casefold()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"`{shown(value)}` is not one of {', '.join(words)}")
        return found

    return read


def _in_utc(value: datetime | None) -> datetime | None:
    # The first day of the year 1 is how .NET writes a date that was not set.
    if value is None or (value.year, value.month, value.day) == (1, 1, 1):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from error


def _truncate_ticks(value: object) -> object:
    # .NET writes seven fractional digits, Python reads six.
    if isinstance(value, str) and "." in value:
        head, _, tail = value.partition(".")
        digits = len(tail) - len(tail.lstrip("0123456789"))
        return f"{head}.{tail[: min(digits, 6)]}{tail[digits:]}"
    return value


def rfc3339(value: datetime) -> str:
    """A time as the API writes it."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _rfc3339(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value)


def _read_date(value: object) -> object:
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, str) and not value.strip():
        return None
    # A text of digits only would be read as seconds since 1970.
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("a date is text such as 2026-11-23T00:00:00Z")
    return _truncate_ticks(value)


WireDate = Annotated[
    datetime | None,
    BeforeValidator(_read_date),
    AfterValidator(_in_utc),
    PlainSerializer(_rfc3339, return_type=str | None, when_used="json"),
]
"""A date in any form that clients send; one without a zone is UTC."""


FreeText = Annotated[str, Field(max_length=4000)]


class Link(WireModel):
    """A link to the same or a related resource (contract/api.md 3.6)."""

    href: str
    rel: str
    method: Literal["GET", "POST", "PATCH"]


def link(href: str, rel: str, method: Literal["GET", "POST", "PATCH"] = "GET") -> Link:
    """A link."""
    return Link(href=href, rel=rel, method=method)


def link_document(href: str, rel: str, method: Literal["GET", "POST", "PATCH"] = "GET") -> dict[str, str]:
    """A link as it goes over the wire."""
    return {"href": href, "rel": rel, "method": method}


def collection(items: list[dict[str, Any]], links: list[Link]) -> dict[str, Any]:
    """The collection envelope of contract/api.md 3.16."""
    return {"value": items, "links": [each.to_wire() for each in links]}
