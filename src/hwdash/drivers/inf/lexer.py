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
from typing import NamedTuple, NoReturn

from hwdash.drivers.errors import LimitExceeded, ParseError

MAX_LINES = 400_000
MAX_SECTIONS = 50_000
MAX_FIELDS = 1_000_000

# No group is possessive: Python before 3.11.4, Debian 12's too, takes blanks into a group that such a one ends.
_PIECE = re.compile(
    r'"(?P<quoted>[^"]*+(?:""[^"]*+)*)"?'
    r"|(?P<join>\\++\s*+(?:;.*+)?\Z)"
    r"|(?P<plain>\\++|[^\"\\;,=]++)"
    r"|(?P<mark>[;,=])",
    re.DOTALL,
)
_KEY = re.compile(r'\s*+([^",;=\s]*+(?:\s++[^",;=\s]++)*)\s*+=')
_WHOLE_FIELD = re.compile(r'\s*+(?:"([^"]*+)"|([^",;\s]*+(?:\s++[^",;\s]++)*))\s*+(,|;|\Z)')

# What the class of a NamedTuple does in twice the time.
_new = tuple.__new__


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
    """Reads a line in one of three ways, which agree where more than one applies: most lines have neither quotes nor a
    backslash at their end and are split at commas; most others quote whole fields; the rest is read piece by piece.
    """

    def __init__(self, lines: list[str], source: str) -> None:
        self.lines = lines
        self.source = source
        self.fields = 0

    def read(self) -> dict[str, Section]:
        sections: dict[str, Section] = {}
        entries: list[Entry] | None = None
        stray: int | None = None
        numbered = enumerate(self.lines, start=1)
        for number, line in numbered:
            body = line.strip()
            if not body or body[0] == ";":
                continue
            if body[0] == "[":
                entries = self._open(body, number, sections)
                continue
            entry = _split(line, body, number) if '"' not in body else _quoting(line, number)
            if entry is None:
                entry, last = self._joined(number)
                for _ in range(last - number):
                    next(numbered)
                if entry is None:
                    continue
            self.fields += len(entry.values)
            if self.fields > MAX_FIELDS:
                self._refuse()
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

    def _refuse(self) -> NoReturn:
        raise LimitExceeded(f"more than {MAX_FIELDS} values", source=self.source)

    def _joined(self, number: int) -> tuple[Entry | None, int]:
        """Any entry, over as many lines as it continues, and the number of the last; None for one without text."""
        key: str | None = None
        values: list[Field] = []
        field = _FieldText()
        begun: tuple[int, int] | None = None
        while True:
            line = self.lines[number - 1]
            going_on = False
            stop = len(line)
            for piece in _PIECE.finditer(line, len(line) - len(line.lstrip())):
                if piece.lastgroup == "join":
                    stop = piece.start()
                    going_on = number < len(self.lines)
                    break
                mark = piece[0] if piece.lastgroup == "mark" else ""
                if mark == ";":
                    stop = piece.start()
                    break
                if mark == "," or (mark == "=" and key is None and not values):
                    done = field.take(number, piece.start() + 1)
                    begun = begun or (done.line, done.column)
                    if mark == "=":
                        key = done.text
                        continue
                    values.append(done)
                    if self.fields + len(values) > MAX_FIELDS:
                        self._refuse()
                else:
                    field.add(piece, number)
            field.trim()
            if not going_on:
                break
            number += 1
        if begun is None and field.place is None:
            return None, number
        last = field.take(number, len(line[:stop].rstrip()) + 1)
        return Entry(key, (*values, last), *(begun or (last.line, last.column)), number), number


def _split(line: str, body: str, number: int) -> Entry | None:
    """The entry of a line without quotes; None when it continues on the next. ``body`` is the line without the white
    space around it.
    """
    if ";" in body:
        body = body.partition(";")[0].rstrip()
    if body[-1] == "\\":
        return None
    at = line.find(body[0])
    column = at + 1
    parts = body.split(",")
    key, equals, first = parts[0].partition("=")
    if equals:
        at += len(parts[0]) - len(first)
        parts[0] = first
    values = []
    for part in parts:
        text = part.strip()
        values.append(_new(Field, (text, number, at + (part.find(text) if text else len(part)) + 1, False)))
        at += len(part) + 1
    return _new(Entry, (key.rstrip() if equals else None, tuple(values), number, column, number))


def _quoting(line: str, number: int) -> Entry | None:
    """The entry of a line whose fields are each in one pair of quotes or in none; None for any other."""
    head = _KEY.match(line)
    at = head.end() if head else 0
    column = 0
    values = []
    mark, stop = ",", 0
    while mark == ",":
        match = _WHOLE_FIELD.match(line, at)
        if match is None:
            return None
        quoted, plain, mark = match.groups()
        at, stop = match.end(), match.start(3)
        start = match.start(1) if plain is None else match.start(2) + 1
        column = column or start
        values.append(_new(Field, (quoted if plain is None else plain, number, start, plain is None)))
    if plain is not None:
        if plain[-1:] == "\\":
            return None
        if not plain:
            values[-1] = Field("", number, len(line[:stop].rstrip()) + 1, False)
    if head is not None:
        return _new(Entry, (head[1], tuple(values), number, head.start(1) + 1, number))
    return _new(Entry, (None, tuple(values), number, column, number))


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
