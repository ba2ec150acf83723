"""Whose a hardware id, a CHID or an extension id is (contract/dashboard.md 75 and 100).

- A hardware id that an account owns may be the beginning of others: ``PCI\\VEN_1234`` owns every id that begins so and
  goes on with ``&`` or ``\\``. Where several beginnings are owned, the longest says whose the id is. An enumerator
  alone (``PCI``) is the beginning of nothing.
- CHIDs and extension ids are GUIDs, and owned one by one.
- Ids are compared in lower case, GUIDs without braces.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from hwdash.domain.errors import Code, DomainError

LONGEST_ID = 400


class IdKind(StrEnum):
    """What can be owned. The values are those of storage/label_tables.py."""

    HARDWARE_ID = "hardwareId"
    CHID = "chid"
    EXTENSION_ID = "extensionId"


def beginnings(hardware_id: str) -> Iterator[str]:
    """The id itself and what it can be owned by, the longest first, in lower case."""
    whole = hardware_id.lower()
    yield whole
    first = whole.find("\\")
    if first < 0:
        return
    for place in range(len(whole) - 1, first, -1):
        if whole[place] in "&\\":
            yield whole[:place]


def is_covered(hardware_id: str, owned: Collection[str]) -> bool:
    """Is the id, or a beginning of it, among ``owned``?"""
    return any(each in owned for each in beginnings(hardware_id))


def check_ids(given: Sequence[tuple[IdKind, str]]) -> list[tuple[IdKind, str]]:
    """The ids in the spelling that is stored, each once. Raises DomainError with every one that is none."""
    if not given:
        raise DomainError(Code.INVALID_INPUT, "No id is given: name at least one.", [("ids", "Name at least one.")])
    found: list[tuple[str, str]] = []
    ids: dict[tuple[IdKind, str], None] = {}
    for kind, text in given:
        try:
            ids[kind, _spelt(kind, text)] = None
        except ValueError as error:
            found.append((kind, f"{text!r} {error}"))
    if found:
        raise DomainError(Code.INVALID_INPUT, "Not every id is one; validationErrors lists why.", found)
    return list(ids)


def _spelt(kind: IdKind, text: str) -> str:
    if kind is IdKind.HARDWARE_ID:
        ending = text.strip().lower()
        if not ending or len(ending) > LONGEST_ID or not ending.isprintable() or " " in ending:
            raise ValueError(f"must be 1 to {LONGEST_ID} printable characters without a blank.")
        if ending[-1] in "&\\":
            raise ValueError("ends with a separator: leave that out, it is understood.")
        return ending
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        raise ValueError("is no GUID, such as 3e7d7a3c-6a7e-5d0c-9f1c-0d5f6a1b2c3d.") from None
