"""asn1crypto, which shares no code with ours, reads what we write; our reader reads what asn1crypto writes."""

from datetime import UTC, datetime

from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from hwdash.drivers.asn1 import der
from hwdash.drivers.errors import ParseError

arcs = st.integers(0, 1 << 70)
oids = st.one_of(
    st.builds(
        lambda first, second, rest: [first, second, *rest], st.integers(0, 1), st.integers(0, 39), st.lists(arcs)
    ),
    st.builds(lambda second, rest: [2, second, *rest], arcs, st.lists(arcs)),
).map(lambda numbers: ".".join(map(str, numbers)))
bmp_text = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))


class Octets(core.SetOf):  # type: ignore[misc]
    _child_spec = core.OctetString


def first(encoded: bytes) -> der.Element:
    reader = der.Reader(encoded, source="test")
    element = reader.any("element")
    reader.finish("element")
    return element


@given(oids)
def test_object_identifiers(dotted: str) -> None:
    written = der.oid(dotted)
    assert core.ObjectIdentifier(dotted).dump() == written
    if len(written) < 250:
        assert first(written).oid("id") == dotted


@given(st.integers(-(1 << 300), 1 << 300))
def test_integers(value: int) -> None:
    assert core.Integer(value).dump() == der.integer(value)
    assert first(der.integer(value)).integer("n") == value


@given(st.binary(max_size=70_000))
def test_octet_strings(value: bytes) -> None:
    assert core.OctetString(value).dump() == der.octet_string(value)
    assert first(der.octet_string(value)).content == value
    assert der.content_octets(der.octet_string(value)) == value


@given(bmp_text)
def test_bmp_strings(text: str) -> None:
    assert core.BMPString(text).dump() == der.bmp_string(text)
    assert first(der.bmp_string(text)).text("utf-16-be", "name") == text


@given(st.lists(st.binary(max_size=200)))
def test_sets_are_sorted(values: list[bytes]) -> None:
    written = der.set_of(*(der.octet_string(value) for value in values))
    encoded = [element.encoded for element in first(written).open().all(der.OCTET_STRING, "value")]
    assert encoded == sorted(encoded)
    assert sorted(Octets.load(written, strict=True).native) == sorted(values)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2049, 12, 31)))  # noqa: DTZ001 - the bounds take no zone
def test_times(when: datetime) -> None:
    when = when.replace(tzinfo=UTC, microsecond=0)
    assert core.UTCTime(when).dump() == der.utc_time(when)
    assert first(der.utc_time(when)).time("when") == when


@given(
    st.recursive(
        st.binary(max_size=20).map(der.octet_string), lambda inner: st.lists(inner).map(lambda e: der.sequence(*e))
    )
)
def test_nesting(encoded: bytes) -> None:
    def rewritten(element: der.Element) -> bytes:
        if element.tag == der.SEQUENCE:
            reader = element.open()
            parts = []
            while reader.next_tag is not None:
                parts.append(rewritten(reader.any("part")))
            return der.sequence(*parts)
        return der.octet_string(element.content)

    assert rewritten(first(encoded)) == encoded


@given(st.binary(max_size=60))
def test_any_bytes_are_read_exactly_or_refused(encoded: bytes) -> None:
    """DER has one encoding for a value: what is accepted is what would be written again."""
    try:
        element = first(encoded)
    except ParseError:
        return
    assert der.tlv(element.tag, element.content) == encoded
