"""Lists of known bad drivers, in the JSON form in which loldrivers.io publishes vulnerable drivers.

A list is an array. Each entry is an object with an ``Id``, ``Tags`` (names of the driver) and
``KnownVulnerableSamples``; each sample has ``Filename``, and ``MD5``, ``SHA1`` and ``SHA256`` of the whole file, and
``Authentihash`` with the same three of what Authenticode covers. An unknown digest is left out, empty or "-". Other
properties are not looked at.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hwdash.drivers.errors import ParseError

DIGESTS: Final = {"MD5": 32, "SHA1": 40, "SHA256": 64}
MAX_LIST: Final = 256 << 20
_SHOWN: Final = 20
_LONGEST_NAME: Final = 200
_UNKNOWN: Final = frozenset({"", "-", "n/a", "none", "null"})
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class KnownDriver:
    """An entry of a list, as a finding names it."""

    entry: str
    """Its Id; of one without, its place in the list."""
    names: str


@dataclass(frozen=True, slots=True)
class KnownDrivers:
    """Digests in lower-case hex, and which entry each is of. ``files``: of whole files, ``images``: Authenticode's."""

    files: Mapping[str, KnownDriver]
    images: Mapping[str, KnownDriver]
    entries: int

    @classmethod
    def parse(cls, content: bytes, *, source: str) -> "KnownDrivers":
        """Read a list. ParseError tells the first things that are wrong, each with its place."""
        if len(content) > MAX_LIST:
            raise ParseError(f"it has more than {MAX_LIST >> 20} MB", source=source)
        try:
            document = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise ParseError(f"it is not JSON: {error}", source=source) from None
        if not isinstance(document, list):
            raise ParseError("it is not an array of drivers, as lists of vulnerable drivers are", source=source)
        files: dict[str, KnownDriver] = {}
        images: dict[str, KnownDriver] = {}
        problems: list[str] = []
        for number, entry in enumerate(document):
            _read_entry(entry, f"[{number}]", files, images, problems)
        if problems:
            more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise ParseError("; ".join(problems[:_SHOWN]) + more, source=source)
        return cls(files, images, len(document))

    def find(self, files: Sequence[str], images: Sequence[str]) -> tuple[KnownDriver, str] | None:
        """The entry that one of these digests is of, and the kind of the digest."""
        for known, digests, kind in ((self.files, files, ""), (self.images, images, "Authenticode ")):
            for digest in digests:
                if digest in known:
                    return known[digest], f"{kind}{_NAMES[len(digest)]} {digest}"
        return None


_NAMES: Final = {length: name for name, length in DIGESTS.items()}


def _read_entry(
    entry: object, place: str, files: dict[str, KnownDriver], images: dict[str, KnownDriver], problems: list[str]
) -> None:
    if not isinstance(entry, dict):
        problems.append(f"{place} is not an object")
        return
    samples = entry.get("KnownVulnerableSamples")
    if not isinstance(samples, list):
        problems.append(f"{place}.KnownVulnerableSamples is not an array")
        return
    tags = entry.get("Tags") or []
    named = tags if isinstance(tags, list) else [tags]
    driver = KnownDriver(_shown(entry.get("Id") or place), _shown(", ".join(map(str, named))))
    for number, sample in enumerate(samples):
        at = f"{place}.KnownVulnerableSamples[{number}]"
        if not isinstance(sample, dict):
            problems.append(f"{at} is not an object")
            continue
        covered = sample.get("Authentihash") or {}
        if not isinstance(covered, dict):
            problems.append(f"{at}.Authentihash is not an object")
            covered = {}
        before = len(problems)
        own = list(_digests(sample, at, problems))
        of_image = list(_digests(covered, f"{at}.Authentihash", problems))
        if not own and not of_image and len(problems) == before:
            continue  # public lists have samples of which nothing is known but the name
        files.update((each, driver) for each in own if each not in files)
        images.update((each, driver) for each in of_image if each not in images)


def _digests(sample: Mapping[str, Any], place: str, problems: list[str]) -> Iterator[str]:
    for name, length in DIGESTS.items():
        given = sample.get(name)
        if given is None:
            continue
        if not isinstance(given, str):
            problems.append(f"{place}.{name} is not text")
            continue
        digest = given.strip().lower()
        if digest in _UNKNOWN:
            continue
        if len(digest) != length or not _HEX.issuperset(digest):
            problems.append(f"{place}.{name} is not {length} hex digits: {given[:80]!r}")
            continue
        yield digest


def _shown(value: object) -> str:
    """A stranger's text for a message: one line, and not a long one."""
    return "".join(each if each.isprintable() else "?" for each in str(value))[:_LONGEST_NAME]
