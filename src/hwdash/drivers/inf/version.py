"""What an INF says of itself in its [Version] section (install/inf-version-section.md, inf-driverver-directive.md)."""

import re
import uuid
from dataclasses import dataclass
from datetime import date

from hwdash.vocabulary import Architecture

SIGNATURES = ("$windows nt$", "$chicago$", "$windows 95$")
"""The signatures that setup accepts, folded: all three mean the same today."""

_DATE = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})\Z", re.ASCII)
_VERSION = re.compile(r"\d{1,5}(?:\.\d{1,5}){0,3}\Z", re.ASCII)
_GUID = re.compile(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}\Z", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class DriverVer:
    """A DriverVer directive: ``date`` and ``version`` are None where the text is not one (setup then uses zeros).

    ``version`` has four parts; missing ones are 0, as setup fills them. ``date_text`` and ``version_text`` are as
    written; ``line`` is where.
    """

    date: date | None
    version: tuple[int, int, int, int] | None
    date_text: str
    version_text: str
    line: int


@dataclass(frozen=True, slots=True)
class Version:
    """The [Version] section with its tokens replaced; ``""`` or None stand for what is absent.

    ``catalog_files`` maps the decoration of a CatalogFile directive (``""``, ``.nt``, ``.ntamd64``; lower case) to its
    value. ``class_guid`` and ``extension_id`` are as written, braces included.
    """

    line: int
    signature: str
    class_name: str
    class_guid: str
    provider: str
    driver_ver: DriverVer | None
    catalog_files: dict[str, str]
    extension_id: str
    pnp_lockdown: str

    def catalog(self, architecture: Architecture) -> str | None:
        """The catalog for an architecture: ``.nt<arch>`` before ``.nt`` before no decoration; None without one."""
        named = (self.catalog_files.get(each) for each in (f".nt{architecture}", ".nt", ""))
        return next(filter(None, named), None)

    @property
    def is_extension(self) -> bool:
        """The INF extends devices that another INF installs: its class is Extension."""
        return self.class_name.lower() == "extension"


def parse_driver_ver(date_text: str, version_text: str, line: int) -> DriverVer:
    """The parts of ``DriverVer = mm/dd/yyyy,w.x.y.z``. Never raises: a bad part is None."""
    return DriverVer(parse_date(date_text), parse_version(version_text), date_text, version_text, line)


def parse_date(text: str) -> date | None:
    """A DriverVer date, month first; ``-`` is accepted for ``/``. None when there is no such day."""
    match = _DATE.match(text)
    if match is None:
        return None
    month, day, year = (int(part) for part in match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def parse_version(text: str) -> tuple[int, int, int, int] | None:
    """A DriverVer version of one to four numbers that fit 16 bits, filled up with zeros; else None."""
    if _VERSION.match(text) is None:
        return None
    parts = [int(part) for part in text.split(".")]
    if max(parts) > 0xFFFF:
        return None
    first, second, third, fourth = parts + [0] * (4 - len(parts))
    return first, second, third, fourth


def parse_guid(text: str) -> uuid.UUID | None:
    """A GUID in registry form, braces included, as every GUID of an INF must be; else None."""
    return uuid.UUID(text) if _GUID.match(text) else None
