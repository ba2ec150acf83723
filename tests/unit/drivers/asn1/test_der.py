from datetime import UTC, datetime, timedelta, timezone

import pytest

from hwdash.drivers.asn1 import der
from hwdash.drivers.errors import ParseError


def reader(encoded: str) -> der.Reader:
    return der.Reader(bytes.fromhex(encoded), source="test")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (der.oid("1.2.840.113549.1.7.2"), "06092a864886f70d010702"),
        (der.oid("2.999.1"), "0603883701"),
        (der.integer(0), "020100"),
        (der.integer(127), "02017f"),
        (der.integer(128), "02020080"),
        (der.integer(-128), "020180"),
        (der.integer(-129), "0202ff7f"),
        (der.bmp_string("a€"), "1e04006120ac"),
        (der.null(), "0500"),
        (der.set_of(der.integer(2), der.integer(1)), "3106020101020102"),
        (der.explicit(1, der.null()), "a1020500"),
        (der.implicit(0, b"ab"), "80026162"),
        (der.utc_time(datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)), "170d3236313132333031303230335a"),
    ],
)
def test_encodings(written: bytes, expected: str) -> None:
    assert written.hex() == expected


@pytest.mark.parametrize(("size", "header"), [(127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100")])
def test_lengths_take_the_fewest_bytes(size: int, header: str) -> None:
    assert der.octet_string(bytes(size)) == bytes.fromhex(header) + bytes(size)


@pytest.mark.parametrize("text", ["1", "3.1", "1.40", "1.2.-3", "1.x", ""])
def test_what_is_no_object_identifier_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - int() words its own
        der.oid(text)


def test_times_are_written_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    when = datetime(2026, 1, 1, tzinfo=berlin)
    assert der.utc_time(when) == der.utc_time(when.astimezone(UTC))


@pytest.mark.parametrize("when", [datetime(2050, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)])  # noqa: DTZ001
def test_times_that_utctime_cannot_hold_are_refused(when: datetime) -> None:
    with pytest.raises(ValueError, match="UTCTime"):
        der.utc_time(when)


@pytest.mark.parametrize("year", [1950, 1969, 1999, 2000, 2026, 2049])
def test_years_turn_over_at_fifty(year: int) -> None:
    when = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert der.Reader(der.utc_time(when), source="t").read(der.UTC_TIME, "when").time("when") == when


def test_reading_goes_element_by_element() -> None:
    inside = reader("300702010504020a0b").read(der.SEQUENCE, "outer").open()
    assert inside.optional(der.NULL, "none") is None
    number = inside.read(der.INTEGER, "number")
    assert (number.integer("number"), number.encoded, number.start) == (5, b"\x02\x01\x05", 2)
    assert inside.read(der.OCTET_STRING, "bytes").content == b"\x0a\x0b"
    assert inside.next_tag is None
    inside.finish("outer")


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        ("", "found the end"),
        ("0400", "expected tag 0x30, found tag 0x04"),
        ("30", "truncated"),
        ("3001", "longer than what holds it"),
        ("3080", "indefinite or oversized"),
        ("30850000000001", "indefinite or oversized"),
        ("3081", "not minimal|longer"),
        ("30817f", "not minimal"),
        ("30820080", "not minimal"),
        ("3084ffffffff", "longer than what holds it"),
    ],
)
def test_malformed_elements_are_refused_with_their_offset(encoded: str, words: str) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        reader(encoded).read(der.SEQUENCE, "outer")
    assert (caught.value.field, caught.value.offset) == ("outer", 0)


def test_long_tags_are_refused() -> None:
    with pytest.raises(ParseError, match="tag number above 30"):
        reader("1f8100").any("x")


def test_an_element_does_not_reach_beyond_its_parent() -> None:
    inside = reader("3002040500000000").read(der.SEQUENCE, "outer").open()
    with pytest.raises(ParseError, match="longer than what holds it"):
        inside.any("x")


def test_what_follows_the_last_element_is_noticed() -> None:
    rest = reader("05000000")
    rest.read(der.NULL, "null")
    rest.finish_padded("padding")
    with pytest.raises(ParseError, match="bytes after its last element"):
        rest.finish("end")
    rest = reader("050001")
    rest.read(der.NULL, "null")
    with pytest.raises(ParseError, match="other than zero"):
        rest.finish_padded("padding")


@pytest.mark.parametrize("encoded", ["0600", "060180", "068200" + "01" + "ff" * 300])
def test_malformed_object_identifiers_are_refused(encoded: str) -> None:
    with pytest.raises(ParseError):
        reader(encoded).any("id").oid("id")


def test_an_overlong_object_identifier_is_refused() -> None:
    element = der.Reader(der.tlv(der.OBJECT_IDENTIFIER, b"\xff" * 300 + b"\x01"), source="t").any("id")
    with pytest.raises(ParseError, match="not an object identifier"):
        element.oid("id")


@pytest.mark.parametrize("body", [b"", bytes(65)])
def test_integers_are_bounded(body: bytes) -> None:
    with pytest.raises(ParseError, match="1 to 64 bytes"):
        der.Reader(der.tlv(der.INTEGER, body), source="t").any("n").integer("n")


@pytest.mark.parametrize("text", [b"", b"2611230102Z", b"261323010203Z", b"261123010203", b"\xff" * 13])
def test_malformed_times_are_refused(text: bytes) -> None:
    with pytest.raises(ParseError, match="UTCTime"):
        der.Reader(der.tlv(der.UTC_TIME, text), source="t").any("when").time("when")


def test_malformed_text_is_refused() -> None:
    with pytest.raises(ParseError, match="utf-16-be"):
        der.Reader(der.tlv(der.BMP_STRING, b"a"), source="t").any("name").text("utf-16-be", "name")
