"""DER (ITU-T X.690): small writers, and a strict reader for untrusted bytes.

The writers return complete encodings, tag and length included, so that they nest by plain calls:
``sequence(oid("1.2.3"), set_of(octet_string(b"x")))``.

The reader accepts definite, minimal lengths and single-byte tags only, which is all that PKCS#7, catalogs and
certificates use. It copies nothing until asked to, does not recurse, and every error is a ``ParseError`` with the
offset.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from hwdash.drivers.errors import ParseError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
BMP_STRING = 0x1E
SEQUENCE = 0x30
SET = 0x31

_GENERALIZED_TIME = re.compile(r"(\d{14})(?:\.(\d{1,9}))?Z", re.ASCII)


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element: ``tag`` (a single byte), the length of all ``parts`` together, the parts."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*elements: bytes) -> bytes:
    """SEQUENCE of the elements, in their order."""
    return tlv(SEQUENCE, *elements)


def set_of(*elements: bytes) -> bytes:
    """SET OF the elements, sorted by their encodings as DER asks (X.690, 11.6)."""
    return tlv(SET, *sorted(elements))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form. ValueError when it is none."""
    arcs = [int(arc) for arc in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or min(arcs) < 0:
        raise ValueError(f"not an object identifier: {dotted}")
    body = bytearray()
    for arc in (40 * arcs[0] + arcs[1], *arcs[2:]):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return tlv(OBJECT_IDENTIFIER, bytes(body))


def octet_string(value: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(OCTET_STRING, value)


def integer(value: int) -> bytes:
    """INTEGER in the fewest bytes of two's complement."""
    return tlv(INTEGER, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True))


def bmp_string(text: str) -> bytes:
    """BMPString. Characters above U+FFFF become surrogate pairs, as Windows writes them."""
    return tlv(BMP_STRING, text.encode("utf-16-be"))


def null() -> bytes:
    """NULL."""
    return b"\x05\x00"


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return tlv(BOOLEAN, b"\xff" if value else b"\x00")


def utc_time(when: datetime) -> bytes:
    """UTCTime with seconds, in Z. ``when`` must carry a time zone and lie in 1950..2049, else ValueError."""
    if when.tzinfo is None:
        raise ValueError("a UTCTime needs a time zone")
    when = when.astimezone(UTC)
    if not 1950 <= when.year <= 2049:
        raise ValueError(f"a UTCTime cannot hold the year {when.year}")
    return tlv(UTC_TIME, when.strftime("%y%m%d%H%M%SZ").encode("ascii"))


def generalized_time(when: datetime) -> bytes:
    """GeneralizedTime with whole seconds, in Z (RFC 5280, 4.1.2.5.2). ValueError when ``when`` has no time zone."""
    if when.tzinfo is None:
        raise ValueError("a GeneralizedTime needs a time zone")
    when = when.astimezone(UTC)
    # strftime does not pad years below 1000.
    return tlv(GENERALIZED_TIME, f"{when.year:04}{when.strftime('%m%d%H%M%SZ')}".encode("ascii"))


def explicit(number: int, *elements: bytes) -> bytes:
    """Context tag ``[number]`` around complete elements (constructed)."""
    return tlv(0xA0 | number, *elements)


def implicit(number: int, body: bytes) -> bytes:
    """Context tag ``[number]`` in place of a primitive element's own tag; ``body`` is its content."""
    return tlv(0x80 | number, body)


def content_octets(der: bytes) -> bytes:
    """The content of one element that we wrote ourselves, without its tag and length."""
    return Reader(der, source="DER").read(der[0], "element").content


@dataclass(frozen=True, slots=True)
class Element:
    """One element inside ``buffer``: from ``start`` (its tag) over ``body`` (its content) to ``end``."""

    buffer: bytes
    tag: int
    start: int
    body: int
    end: int
    source: str

    @property
    def content(self) -> bytes:
        """The content without tag and length."""
        return self.buffer[self.body : self.end]

    @property
    def encoded(self) -> bytes:
        """The whole element as it stands in the file."""
        return self.buffer[self.start : self.end]

    def open(self) -> "Reader":
        """A reader over the elements inside this one."""
        return Reader(self.buffer, source=self.source, start=self.body, end=self.end)

    def error(self, message: str, field: str) -> ParseError:
        """A ParseError that points at this element."""
        return ParseError(message, source=self.source, offset=self.start, field=field)

    def oid(self, field: str) -> str:
        """The dotted form of an OBJECT IDENTIFIER's content."""
        body = self.content
        # A real identifier is a few dozen bytes; the bound keeps a hostile arc from becoming a huge integer.
        if not body or len(body) > 256 or body[-1] & 0x80:
            raise self.error("is not an object identifier", field)
        arcs: list[int] = []
        value = 0
        for byte in body:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))

    def integer(self, field: str) -> int:
        """The value of an INTEGER's content; at most 64 bytes."""
        if not 1 <= self.end - self.body <= 64:
            raise self.error("is not an integer of 1 to 64 bytes", field)
        return int.from_bytes(self.content, "big", signed=True)

    def text(self, encoding: str, field: str) -> str:
        """The content decoded as ``encoding``."""
        try:
            return self.content.decode(encoding)
        except UnicodeDecodeError:
            raise self.error(f"is not {encoding} text", field) from None

    def time(self, field: str) -> datetime:
        """The value of a UTCTime or a GeneralizedTime with seconds, in Z; fractions are cut after microseconds."""
        if self.tag == GENERALIZED_TIME:
            return self._generalized_time(field)
        try:
            # strptime would take single digits as well.
            text = self.content.decode("ascii") if self.end - self.body == 13 else ""
            when = datetime.strptime(text, "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise self.error("is not a UTCTime of the form YYMMDDHHMMSSZ", field) from None
        # strptime turns over at 69, UTCTime at 50 (RFC 5280, 4.1.2.5.1).
        return when.replace(year=when.year - 100) if when.year >= 2050 else when

    def _generalized_time(self, field: str) -> datetime:
        found = _GENERALIZED_TIME.fullmatch(self.content.decode("latin-1")) if self.end - self.body <= 25 else None
        with suppress(ValueError):
            if found is not None:
                when = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
                return when.replace(microsecond=int((found[2] or "").ljust(6, "0")[:6]))
        raise self.error("is not a GeneralizedTime of the form YYYYMMDDHHMMSS[.f]Z", field)

    def boolean(self, field: str) -> bool:
        """The value of a BOOLEAN's content, one byte 00 or FF."""
        if self.content not in (b"\x00", b"\xff"):
            raise self.error("is not a BOOLEAN", field)
        return self.content == b"\xff"

    def only(self, tag: int, field: str) -> "Element":
        """The one element inside this one, which must carry ``tag``."""
        reader = self.open()
        inner = reader.read(tag, field)
        reader.finish(field)
        return inner


class Reader:
    """Reads the elements of one level, in order, out of ``buffer[start:end]``."""

    __slots__ = ("_at", "_buffer", "_end", "_source")

    def __init__(self, buffer: bytes, *, source: str, start: int = 0, end: int | None = None) -> None:
        self._buffer = buffer
        self._source = source
        self._at = start
        self._end = len(buffer) if end is None else end

    @property
    def next_tag(self) -> int | None:
        """The tag of the next element, None at the end."""
        return self._buffer[self._at] if self._at < self._end else None

    def read(self, tag: int, field: str) -> Element:
        """The next element, which must carry ``tag``."""
        if self.next_tag != tag:
            found = "the end" if self.next_tag is None else f"tag {self.next_tag:#04x}"
            raise self._error(f"expected tag {tag:#04x}, found {found}", field)
        return self.any(field)

    def optional(self, tag: int, field: str) -> Element | None:
        """The next element when it carries ``tag``, else None and nothing is read."""
        return self.any(field) if self.next_tag == tag else None

    def any(self, field: str) -> Element:
        """The next element, whatever its tag."""
        buffer, at, end = self._buffer, self._at, self._end
        if end - at < 2:
            raise self._error("is truncated", field)
        tag, length, body = buffer[at], buffer[at + 1], at + 2
        if tag & 0x1F == 0x1F:
            raise self._error("has a tag number above 30, which these formats do not use", field)
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 4:
                raise self._error("has an indefinite or oversized length: DER is required", field)
            length = int.from_bytes(buffer[body : min(body + width, end)], "big")
            body += width
            if length < 0x80 or length >> 8 * (width - 1) == 0:
                raise self._error("has a length that is not minimal: DER is required", field)
        if length > end - body:
            raise self._error("is longer than what holds it", field)
        self._at = body + length
        return Element(buffer, tag, at, body, self._at, self._source)

    def all(self, tag: int, field: str) -> Iterator[Element]:
        """Every remaining element; each must carry ``tag``."""
        while self.next_tag is not None:
            yield self.read(tag, field)

    def all_tags(self, field: str) -> Iterator[Element]:
        """Every remaining element, whatever its tag."""
        while self.next_tag is not None:
            yield self.any(field)

    def finish(self, field: str) -> None:
        """Check that nothing follows."""
        if self._at != self._end:
            raise self._error("has bytes after its last element", field)

    def finish_padded(self, field: str) -> None:
        """Check that only zero bytes follow: signatures are padded so to a multiple of eight."""
        if self._buffer[self._at : self._end].strip(b"\0"):
            raise self._error("has bytes other than zero after its end", field)

    def _error(self, message: str, field: str) -> ParseError:
        return ParseError(message, source=self._source, offset=self._at, field=field)
