"""An INF as an ordered document: sections, entries, strings, and what [Version] says."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.encoding import decode
from hwdash.drivers.inf.lexer import Entry, Field, Section, read_sections
from hwdash.drivers.inf.version import Version, parse_driver_ver

MAX_BYTES = 8 << 20
"""Larger than any INF in public: the largest one known has 1.7 MB."""

_TOKEN = re.compile(r"%([^%]*)%")
_STAMP = re.compile(r"\$(?:ARCH|(?:KMDF|UMDF)(?:COINSTALLER)?VERSION)\$")
_STRINGS = re.compile(r"strings\.(?:0x)?([0-9a-f]{1,4})\Z")
_NEEDS_QUOTES = re.compile(r'[",;=\\\[]|^\s|\s\Z')


class Inf:
    """A parsed INF. Names of sections, keys and strings are found whatever their case.

    ``source`` is the file's name, ``encoding`` what it was read in, ``findings`` what its encoding calls for.
    """

    def __init__(
        self, sections: dict[str, Section], *, source: str, encoding: str = "", findings: list[Finding] | None = None
    ) -> None:
        self._sections = sections
        self.source = source
        self.encoding = encoding
        self.findings = findings or []
        self._by_key: dict[str, dict[str, list[Entry]]] = {}

    @classmethod
    def parse(cls, data: bytes, *, source: str, max_bytes: int = MAX_BYTES) -> "Inf":
        """The INF in ``data``. Raises ParseError (with its line) and LimitExceeded."""
        if len(data) > max_bytes:
            raise LimitExceeded(f"{len(data)} bytes; an INF may have {max_bytes}", source=source)
        text, encoding, findings = decode(data, source=source)
        return cls(read_sections(text, source=source), source=source, encoding=encoding, findings=findings)

    @classmethod
    def from_text(cls, text: str, *, source: str) -> "Inf":
        """The INF in decoded text. Raises ParseError (with its line) and LimitExceeded."""
        return cls(read_sections(text, source=source), source=source)

    @property
    def sections(self) -> Iterator[Section]:
        """Every section once, in order of first appearance."""
        return iter(self._sections.values())

    def section(self, name: str) -> Section | None:
        """The section of that name, with the entries of all its repetitions, or None."""
        return self._sections.get(name.lower())

    def entries(self, section: str, key: str | None = None) -> list[Entry]:
        """The entries of a section in order; those found by ``key`` only, when given. Empty without such a section."""
        found = self._sections.get(section.lower())
        if found is None:
            return []
        if key is None:
            return found.entries
        name = found.name.lower()
        if name not in self._by_key:
            index = self._by_key[name] = {}
            for entry in found.entries:
                index.setdefault(self.substitute(entry.name).lower(), []).append(entry)
        return self._by_key[name].get(key.lower(), [])

    def first(self, section: str, key: str) -> Entry | None:
        """The first entry of that key in a section, or None."""
        return next(iter(self.entries(section, key)), None)

    def values(self, entry: Entry) -> list[str]:
        """The fields of an entry with their tokens replaced."""
        return [self.substitute(field.text) for field in entry.values]

    def strings(self, language: int | None = None) -> Mapping[str, str]:
        """Strings by lower-case name. ``language`` is a LANGID: its own [Strings.LLLL] is taken, else the neutral one
        of its primary language, else any of that, else [Strings] (install/creating-international-inf-files.md). What
        the section chosen leaves out comes from [Strings].
        """
        if language is None or not self.languages:
            return self._strings
        if language not in self._localised:
            self._localised[language] = {**self._strings, **self._read_strings(self._strings_section(language))}
        return self._localised[language]

    @cached_property
    def languages(self) -> dict[int, str]:
        """LANGIDs of the localised strings sections, with the lower-case names of these."""
        found: dict[int, str] = {}
        for name in self._sections:
            match = _STRINGS.match(name)
            if match:
                found.setdefault(int(match[1], 16), name)
        return found

    def substitute(self, text: str, language: int | None = None) -> str:
        """``text`` with every ``%name%`` replaced by its string and ``%%`` by a percent sign, once, not recursively.

        An undefined token stays as it is; so does a DIRID (``%13%``), unless a string has that number for a name.
        """
        if "%" not in text:
            return text
        strings = self.strings(language)

        def replaced(match: re.Match[str]) -> str:
            return strings.get(match[1].lower(), match[0]) if match[1] else "%"

        return _TOKEN.sub(replaced, text)

    @cached_property
    def version(self) -> Version:
        """What [Version] says; empty parts where it is absent."""
        section = self.section("Version")

        def value(key: str) -> str:
            entry = self.first("Version", key)
            return self.substitute(entry.value(0)) if entry is not None else ""

        keys = [self.substitute(entry.name).lower() for entry in self.entries("Version")]
        stamp = self.first("Version", "DriverVer")
        driver_ver = None
        if stamp is not None:
            date, version, *_ = [*self.values(stamp), "", ""]
            driver_ver = parse_driver_ver(date, version, stamp.line)
        return Version(
            line=section.line if section else 0,
            signature=value("signature"),
            class_name=value("class"),
            class_guid=value("classguid"),
            provider=value("provider"),
            driver_ver=driver_ver,
            catalog_files={
                key.removeprefix("catalogfile"): value(key)
                for key in keys
                if key == "catalogfile" or key.startswith("catalogfile.")
            },
            extension_id=value("extensionid"),
            pnp_lockdown=value("pnplockdown"),
        )

    def unstamped(self) -> Iterator[tuple[str, int]]:
        """The tokens that stampinf replaces (``$ARCH$`` and versions of the frameworks) which are still there, with
        their lines. An .inx file has them; an INF must not.
        """
        for section in self._sections.values():
            for match in _STAMP.finditer(section.name):
                yield match[0], section.line
            for entry in section.entries:
                for text in (entry.key or "", *(field.text for field in entry.values)):
                    if "$" in text:
                        for match in _STAMP.finditer(text):
                            yield match[0], entry.line

    def to_text(self) -> str:
        """INF text that reads back as the same sections, keys and values; comments and layout are not kept."""
        lines = []
        for section in self._sections.values():
            lines.append(f"[{section.name}]")
            lines.extend(_written(entry) for entry in section.entries)
        return "".join(line + "\r\n" for line in lines)

    @cached_property
    def _strings(self) -> dict[str, str]:
        return self._read_strings("strings")

    @cached_property
    def _localised(self) -> dict[int, dict[str, str]]:
        return {}

    def _read_strings(self, name: str) -> dict[str, str]:
        strings: dict[str, str] = {}
        for entry in self.entries(name):
            if entry.key is not None:
                strings.setdefault(entry.key.lower(), entry.value(0))
        return strings

    def _strings_section(self, language: int) -> str:
        primary = language & 0x3FF
        same = [known for known in self.languages if known & 0x3FF == primary]
        for choice in (language, primary, *same[:1]):
            if choice in self.languages:
                return self.languages[choice]
        return "strings"


def _written(entry: Entry) -> str:
    values = ", ".join(_quoted(field) for field in entry.values)
    return values if entry.key is None else f"{_quoted(Field(entry.key, 0, 0, not entry.key))} = {values}"


def _quoted(field: Field) -> str:
    if not field.quoted and not _NEEDS_QUOTES.search(field.text):
        return field.text
    return '"' + field.text.replace('"', '""') + '"'
