"""The rank of a driver for a device, 0xSSGGTHHH: the lower the better.

Sources: install/how-windows-ranks-driver-packages.md, identifier-score.md, feature-score.md, signature-score.md,
overview-of-the-driver-selection-process.md; facts/chid-and-ranking.md. SS, the signature score, is 0 of everything that
is signed by somebody the machine trusts, and since Windows 7 no signer is preferred to another; GG is the INF's feature
score; THHH, the identifier score, says which kinds of ids have met, and at which places of their lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

NO_FEATURE_SCORE = 0xFF
TRUSTED = 0x00
_LAST_PLACE = 0xFFF

Version = tuple[int, int, int, int]
Newness = tuple[date, Version]


class Order(NamedTuple):
    """What drivers of a device compare by, the better first: rank, newest date, highest version."""

    rank: int
    age: int
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DriverVer:
    """Date and version of a driver; of two the newer date counts, then the higher version."""

    date: date
    version: Version

    @property
    def key(self) -> Newness:
        """Greater is newer."""
        return self.date, self.version

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} of {self.date.isoformat()}"


def parse_version(text: str) -> Version:
    """The four numbers of a sound version; missing ones are 0."""
    first, second, third, fourth = ([int(each) for each in text.split(".")] + [0, 0, 0])[:4]
    return first, second, third, fourth


def identifier_score(
    hardware_id: str, position: int, hardware_ids: Sequence[str], compatible_ids: Sequence[str]
) -> int | None:
    """THHH of an id of an INF for a device with these ids; None when the device has no such id.

    ``position`` is the id's in its models line: 0 is its hardware id, n its n-th compatible id.
    """
    if hardware_id in hardware_ids:
        kind, place = (0x1000 if position else 0), hardware_ids.index(hardware_id)
    elif hardware_id in compatible_ids:
        place = compatible_ids.index(hardware_id)
        kind, place = (0x3000, place + (position - 1) * 0x100) if position else (0x2000, place)
    else:
        return None
    return kind + min(place, _LAST_PLACE)


def rank(identifier: int, feature_score: int | None = None, *, signature_score: int = TRUSTED) -> int:
    """The rank of a driver with these three scores."""
    feature = NO_FEATURE_SCORE if feature_score is None else feature_score
    return signature_score << 24 | feature << 16 | identifier


def order(rank: int, ver: DriverVer) -> Order:
    """Where a driver stands among those of its device."""
    return Order(rank, -ver.date.toordinal(), tuple(-each for each in ver.version))


def as_hex(rank: int) -> str:
    """A rank as SetupAPI's log writes it, in capitals."""
    return f"0x{rank:08X}"
