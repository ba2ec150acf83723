"""INF text to sections, entries and fields.

The rules are those of Windows' setup functions (install/general-syntax-rules-for-inf-files.md and
facts/inf/inf_grammar.yaml):

- lines end with LF; a CR is white space, as is all that Unicode calls so; control-Z ends the file;
- ``;`` outside quotes starts a comment, which runs to the end of the line;
- ``[name]``: everything up to the first ``]`` is the name, as it stands;
- ``key = a, b``, ``a, b``, ``a``: only an ``=`` before any comma splits off a key; keys may repeat and order counts;
- ``"`` may open anywhere, ``""`` inside quotes is one quote, an open quote ends with its line;
- backslashes at the end of a line, before white space and a comment at most, join the next line.

Time and memory grow linearly with the text; the limits keep hostile input bounded.
"""

import re
from typing import NamedTuple

from hwdash.drivers.errors import LimitExceeded, ParseError

MAX_LINES = 400_000
MAX_SECTIONS = 50_000
MAX_FIELDS = 1_000_000

_PIECE = re.compile(
    r'"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"?'
    r"|(?P<join>\\++\s*+(?:;.*+)?\Z)"
    r"|(?P<plain>\\++|[^\"\\;,=]++)"
    r"|(?P<mark>[;,=])",
    re.DOTALL,
)


class Field(NamedTuple):
    """One value: quotes and continuations taken out, ``%tokens%`` not yet replaced.

    ``line`` and ``column`` (both from 1) are where its text begins; ``quoted`` says whether any part of it was.
    """

    text: str
    line: int
    column: int
    quoted: bool


class Entry(NamedTuple):
    """One logical line. ``key`` is None without an ``=``; ``end_line`` differs from ``line`` after continuations."""

    key: str | None
    values: tuple[Field, ...]
    line: int
    column: int
    end_line: int

    @property
    def name(self) -> str:
        """What setup finds the entry by: its key, or its only value when there is no ``=``; else nothing."""
        if self.key is not None:
            return self.key
        return self.values[0].text if len(self.values) == 1 else ""

    def value(self, index: int) -> str:
        """The text of the field at ``index`` (from 0), ``""`` past the end."""
        return self.values[index].text if index < len(self.values) else ""


class Section(NamedTuple):
    """A section and all its entries. ``repeated`` holds the lines of further headers of the same name."""

    name: str
    line: int
    entries: list[Entry]
    repeated: list[int]


def read_sections(text: str, *, source: str) -> dict[str, Section]:
    """The sections of INF text by lower-case name, in order of first appearance.

    A repeated section's entries are appended to the first. Raises ParseError for a header without ``]`` and for text
    before the first section (unless there is a [Strings] section: then Windows passes over it), LimitExceeded beyond
    the limits of this module.
    """
    end = text.find("\x1a")
    text = (text if end < 0 else text[:end]).rstrip("\0")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ParseError("a NUL character: this is not an INF text file", source=source, line=line)
    if text.count("\n") >= MAX_LINES:
        raise LimitExceeded(f"more than {MAX_LINES} lines; an INF has a few thousand", source=source)
    return _Reader(text.split("\n"), source).read()


class _Reader:
    def __init__(self, lines: list[str], source: str) -> None:
        self.lines = lines
        self.source = source
        self.fields = 0

    def read(self) -> dict[str, Section]:
        sections: dict[str, Section] = {}
        entries: list[Entry] | None = None
        stray: int | None = None
        number = 0
        while number < len(self.lines):
            line = self.lines[number]
            number += 1
            body = line.lstrip()
            if not body or body[0] == ";":
                continue
            if body[0] == "[":
                entries = self._open(body, number, sections)
                continue
            if '"' in line or "\\" in line:
                entry, number = self._joined(number)
            else:
                entry = self._plain(line, number)
            if entry is None:
                continue
            if entries is None:
                stray = stray or entry.line
            else:
                entries.append(entry)
        if stray is not None and "strings" not in sections:
            raise ParseError("text before the first [section]", source=self.source, line=stray)
        return sections

    def _open(self, body: str, number: int, sections: dict[str, Section]) -> list[Entry]:
        name, bracket, _ = body[1:].partition("]")
        if not bracket:
            raise ParseError("a section header without ']'", source=self.source, line=number)
        known = sections.get(name.lower())
        if known is not None:
            known.repeated.append(number)
            return known.entries
        if len(sections) >= MAX_SECTIONS:
            raise LimitExceeded(f"more than {MAX_SECTIONS} sections", source=self.source)
        section = sections[name.lower()] = Section(name, number, [], [])
        return section.entries

    def _count(self, fields: int) -> None:
        self.fields += fields
        if self.fields > MAX_FIELDS:
            raise LimitExceeded(f"more than {MAX_FIELDS} values", source=self.source)

    def _plain(self, line: str, number: int) -> Entry:
        """An entry without quotes and backslashes: most of them, read by splitting."""
        body = line.partition(";")[0].rstrip()
        column = len(body) - len(body.lstrip()) + 1
        self._count(body.count(",") + 1)
        head, comma, _ = body.partition(",")
        equals = head.find("=")
        key = None
        at = 0
        if equals >= 0:
            key = body[:equals].strip()
            at = equals + 1
        values = []
        for part in body[at:].split(",") if comma else (body[at:],):
            text = part.strip()
            start = at + len(part) - len(part.lstrip()) + 1
            values.append(Field(text, number, start, False))
            at += len(part) + 1
        return Entry(key, tuple(values), number, column, number)

    def _joined(self, number: int) -> tuple[Entry | None, int]:
        """An entry with quotes or backslashes, over as many lines as it continues, and the number of the last."""
        key: str | None = None
        values: list[Field] = []
        field = _FieldText()
        begun: tuple[int, int] | None = None
        while True:
            line = self.lines[number - 1]
            going_on = False
            for piece in _PIECE.finditer(line, len(line) - len(line.lstrip())):
                if piece.lastgroup == "join":
                    going_on = number < len(self.lines)
                    break
                mark = piece[0] if piece.lastgroup == "mark" else ""
                if mark == ";":
                    break
                if mark == "," or (mark == "=" and key is None and not values):
                    self._count(1)
                    done = field.take(number, piece.start() + 1)
                    begun = begun or (done.line, done.column)
                    if mark == ",":
                        values.append(done)
                    else:
                        key = done.text
                else:
                    field.add(piece, number)
            field.trim()
            if not going_on:
                break
            number += 1
        if begun is None and field.place is None:
            return None, number
        self._count(1)
        last = field.take(number, len(line.rstrip()) + 1)
        return Entry(key, (*values, last), *(begun or (last.line, last.column)), number), number


class _FieldText:
    """The text of one field while it is read. ``kept`` of its pieces are quoted or before such: never trimmed."""

    def __init__(self) -> None:
        self.place: tuple[int, int] | None = None
        self.pieces: list[str] = []
        self.kept = 0
        self.quoted = False

    def add(self, piece: re.Match[str], number: int) -> None:
        column = piece.start() + 1
        if piece.lastgroup == "quoted":
            self.pieces.append(piece["quoted"].replace('""', '"'))
            self.kept = len(self.pieces)
            self.quoted = True
        else:
            text = piece[0]
            if self.place is None:
                text = text.lstrip()
                if not text:
                    return
                column += len(piece[0]) - len(text)
            self.pieces.append(text)
        self.place = self.place or (number, column)

    def trim(self) -> None:
        """Drops white space at the end, up to the last quoted piece."""
        while len(self.pieces) > self.kept:
            self.pieces[-1] = self.pieces[-1].rstrip()
            if self.pieces[-1]:
                return
            self.pieces.pop()

    def take(self, number: int, column: int) -> Field:
        """The field, and an empty start for the next. The place given is where an empty field stands."""
        self.trim()
        done = Field("".join(self.pieces), *(self.place or (number, column)), self.quoted)
        self.place, self.kept, self.quoted = None, 0, False
        self.pieces.clear()
        return done
