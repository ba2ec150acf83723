"""Hostile input: whatever the bytes, the parsers answer or raise a DriversError, in bounded time and memory."""

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authenticode_oracle import compiled_driver, sign_image, signatory
from hwdash.drivers.authenticode import (
    content_digest,
    key_usages,
    sign_cabinet,
    signed_attributes,
    signed_data,
    verify_cabinet,
    verify_pe,
)
from hwdash.drivers.cab import Cabinet, CabinetLimits, write_cabinet
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE, Catalog, CatalogMember, certificate_trust_list
from hwdash.drivers.errors import DriversError
from hwdash.drivers.pe import PeImage, measure, signed_image_chunks

LIMITS = CabinetLimits(max_total_bytes=4 << 20)


@cache
def signed_cabinet() -> bytes:
    plain, out = io.BytesIO(), io.BytesIO()
    write_cabinet(plain, [("a.inf", b"[Version]\r\n" * 5000), ("b\\c.sys", compiled_driver()), ("empty", b"")])
    who = signatory("ec")
    sign_cabinet(plain, out, who.sign, who.certificates, source="x.cab")
    return out.getvalue()


@cache
def stored_cabinet() -> bytes:
    plain = io.BytesIO()
    write_cabinet(plain, [("a", b"1" * 40_000), ("b", b"2")], compression="store", reserve_for_signature=True)
    return plain.getvalue()


@cache
def signed_image() -> bytes:
    return sign_image(compiled_driver(), signatory("ec"), program_name="Contoso", url="https://contoso.example")


@cache
def catalog() -> bytes:
    who = signatory("ec")
    members = [CatalogMember(f"{n}.sys", n % 2 == 0, bytes([n]) * 20, bytes([n]) * 32, "2:10.0") for n in range(3)]
    when = datetime(2026, 1, 1, tzinfo=UTC)
    content = certificate_trust_list(members, list_id=bytes(16), when=when, attributes=[("OS", "_v100_X64")])
    attributes = signed_attributes(CATALOG_CONTENT_TYPE, content_digest(content), program_name="x", url=None)
    return signed_data(
        CATALOG_CONTENT_TYPE,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )


def read_cabinet(raw: bytes) -> None:
    cabinet = Cabinet.open(io.BytesIO(raw), source="fuzz.cab")
    cabinet.check_limits(LIMITS)
    for file, pieces in cabinet.extract():
        assert sum(map(len, pieces)) == file.size


def check_cabinet(raw: bytes) -> None:
    stream = io.BytesIO(raw)
    found = verify_cabinet(stream, Cabinet.open(stream, source="fuzz.cab"), source="fuzz.cab")
    key_usages(found.signer)
    found.signer.subject.rfc4514_string()


def sign_again(raw: bytes) -> None:
    out = io.BytesIO()
    who = signatory("ec")
    sign_cabinet(io.BytesIO(raw), out, who.sign, who.certificates, source="fuzz.cab")
    check_cabinet(out.getvalue())


def read_image(raw: bytes) -> None:
    stream = io.BytesIO(raw)
    image = PeImage.open(stream, source="fuzz.sys")
    layout = measure(stream, image).layout
    written = b"".join(signed_image_chunks(stream, layout, b"\x30\x00"))
    # What we would sign must be an image again.
    PeImage.open(io.BytesIO(written), source="fuzz.sys")


def check_image(raw: bytes) -> None:
    stream = io.BytesIO(raw)
    verify_pe(stream, PeImage.open(stream, source="fuzz.sys"), source="fuzz.sys")


def read_catalog(raw: bytes) -> None:
    Catalog.parse(raw, source="fuzz.cat", verify=False)


def check_catalog(raw: bytes) -> None:
    Catalog.parse(raw, source="fuzz.cat")


CASES: list[tuple[Callable[[bytes], None], Callable[[], bytes]]] = [
    (read_cabinet, signed_cabinet),
    (read_cabinet, stored_cabinet),
    (check_cabinet, signed_cabinet),
    (sign_again, stored_cabinet),
    (read_image, signed_image),
    (read_image, compiled_driver),
    (check_image, signed_image),
    (read_catalog, catalog),
    (check_catalog, catalog),
]

interesting = st.sampled_from([0, 1, 2, 4, 7, 8, 0x7F, 0x80, 0x81, 0x84, 0xA0, 0xFE, 0xFF]) | st.integers(0, 255)


@st.composite
def mutations(draw: st.DrawFn, size: int) -> Callable[[bytes], bytes]:
    """A few changes, most of them in the headers at the start, some that cut, repeat or insert."""
    places = st.one_of(st.integers(0, min(size, 400) - 1), st.integers(0, size - 1))
    changes = draw(st.lists(st.tuples(places, st.lists(interesting, min_size=1, max_size=4)), max_size=4))
    cut = draw(st.none() | st.integers(0, size))
    moved = draw(st.none() | st.tuples(st.integers(0, size), st.integers(0, size), st.integers(1, 64)))

    def mutate(raw: bytes) -> bytes:
        changed = bytearray(raw)
        for at, values in changes:
            changed[at : at + len(values)] = bytes(values)
        if moved is not None:
            source, target, length = moved
            changed[target:target] = changed[source : source + length]
        return bytes(changed[:cut])

    return mutate


@pytest.mark.parametrize(("parse", "sample"), CASES)
@settings(deadline=5000, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutations_of_valid_files_raise_only_drivers_errors(
    parse: Callable[[bytes], None], sample: Callable[[], bytes], data: st.DataObject
) -> None:
    raw = sample()
    changed = data.draw(mutations(len(raw)))(raw)
    with suppress(DriversError):
        parse(changed)


@pytest.mark.parametrize(("parse", "sample"), CASES)
def test_the_samples_themselves_pass(parse: Callable[[bytes], None], sample: Callable[[], bytes]) -> None:
    parse(sample())


@pytest.mark.parametrize("parse", [read_cabinet, check_cabinet, read_image, check_image, read_catalog, check_catalog])
@pytest.mark.parametrize("start", [b"", b"MSCF", b"MZ", b"\x30\x82"])
@settings(deadline=5000, max_examples=60)
@given(st.binary(max_size=600))
def test_random_bytes_raise_only_drivers_errors(parse: Callable[[bytes], None], start: bytes, rest: bytes) -> None:
    with pytest.raises(DriversError):
        parse(start + rest)
