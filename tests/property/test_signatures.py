"""Signatures, timestamps, chains and CRLs: what was signed verifies, and no mutation gets an accidental error out."""

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from authenticode_oracle import NOW, compiled_driver
from hwdash.drivers.authenticode import cabinet_signatures, catalog_signatures, pe_signatures, verify_pe
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.drivers.chain import check_trust
from hwdash.drivers.crl import RevocationList
from hwdash.drivers.errors import DriversError
from hwdash.drivers.pe import PeImage
from hwdash.drivers.signature import SignatureReport
from hwdash.drivers.timestamp import read_response, read_timestamp
from pki import authority, root, signed_cabinet, signed_catalog, signed_image, signer, token

OVER = b"a signature"

# Printable and not, inside the BMP and outside of it; lone surrogates are no text.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    tail=st.binary(max_size=20),
    kind=st.sampled_from(["p256", "p384", "rsa2048"]),
    algorithm=st.sampled_from(["sha256", "sha384", "sha512"]),
    program_name=st.none() | texts,
    url=st.none() | st.text(st.characters(codec="ascii"), max_size=40),
    page_hashes=st.booleans(),
    stamped=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_what_was_signed_verifies_and_says_what_was_put_in(
    tail: bytes, kind: str, algorithm: str, program_name: str | None, url: str | None, page_hashes: bool, stamped: bool
) -> None:
    how = {"algorithm": algorithm, "program_name": program_name, "url": url, "timestamp": token if stamped else None}
    who = signer(kind)
    image = io.BytesIO(signed_image(compiled_driver() + tail, who, page_hashes=page_hashes, **how))
    found = verify_pe(image, PeImage.open(image, source="x"), source="x")
    plain = io.BytesIO()
    write_cabinet(plain, [("a", tail)])
    cabinet = io.BytesIO(signed_cabinet(plain.getvalue(), who, **how))
    (of_cabinet,) = cabinet_signatures(cabinet, Cabinet.open(cabinet, source="x"), source="x")
    (of_catalog,) = catalog_signatures(signed_catalog(None, who, **how), source="x")
    for said in (found, of_cabinet.signature, of_catalog.signature):
        assert said is not None
        assert (said.signer, said.digest_algorithm, said.program_name, said.url) == (
            who.certificate,
            algorithm,
            program_name,
            url,
        )
        assert (said.timestamp is not None) is stamped
        assert check_trust(said, roots=[root().certificate], now=NOW, source="x").findings == ()
    assert found is not None
    assert (found.page_hashes is not None) is page_hashes


def judge(found: list[SignatureReport]) -> None:
    for each in found:
        if each.signature is not None:
            check_trust(each.signature, roots=[root().certificate], now=NOW, source="x", allow_sha1=True)


def check_image(raw: bytes) -> None:
    stream = io.BytesIO(raw)
    judge(pe_signatures(stream, PeImage.open(stream, source="x"), source="x", allow_sha1=True))


def check_cabinet(raw: bytes) -> None:
    stream = io.BytesIO(raw)
    judge(cabinet_signatures(stream, Cabinet.open(stream, source="x"), source="x", allow_sha1=True))


def check_catalog(raw: bytes) -> None:
    judge(catalog_signatures(raw, source="x", allow_sha1=True))


def check_token(raw: bytes) -> None:
    read_timestamp(raw, OVER, source="x", allow_sha1=True)


def check_response(raw: bytes) -> None:
    read_timestamp(read_response(raw, source="x"), OVER, source="x")


def check_list(raw: bytes) -> None:
    found = RevocationList.read(raw, source="x")
    if found.covers(signer().certificate, authority().certificate):
        found.revoked(signer().certificate)
        found.is_current(NOW)


@cache
def twice_signed_image() -> bytes:
    once = signed_image(None, signer(), page_hashes=True, timestamp=token, program_name="Contoso", url="https://x")
    return signed_image(once, signer("p384"), append=True, timestamp=token)


@cache
def twice_signed_cabinet() -> bytes:
    return signed_cabinet(signed_cabinet(timestamp=token), signer("p384"), append=True)


@cache
def twice_signed_catalog() -> bytes:
    return signed_catalog(signed_catalog(timestamp=token), signer("p384"), append=True)


@cache
def a_token() -> bytes:
    return token(OVER)


def a_response() -> bytes:
    return (
        bytes.fromhex("3082")
        + len(b"\x30\x03\x02\x01\x00" + a_token()).to_bytes(2, "big")
        + (b"\x30\x03\x02\x01\x00" + a_token())
    )


@cache
def a_list() -> bytes:
    entry = x509.RevokedCertificateBuilder(signer().certificate.serial_number, NOW)
    entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
    builder = x509.CertificateRevocationListBuilder(authority().certificate.subject, NOW, NOW + timedelta(days=1))
    builder = builder.add_extension(x509.CRLNumber(7), critical=False).add_revoked_certificate(entry.build())
    return builder.sign(authority().key, hashes.SHA256()).public_bytes(Encoding.DER)


CASES: list[tuple[Callable[[bytes], None], Callable[[], bytes], int]] = [
    (check_image, twice_signed_image, len(compiled_driver())),
    (check_cabinet, twice_signed_cabinet, 0),
    (check_catalog, twice_signed_catalog, 0),
    (check_token, a_token, 0),
    (check_response, a_response, 0),
    (check_list, a_list, 0),
]
IDS = [check.__name__ for check, _, _ in CASES]


@pytest.mark.parametrize(("check", "sample", "start"), CASES, ids=IDS)
def test_the_samples_themselves_are_in_order(check: Callable[[bytes], None], sample: Callable[[], bytes], start: int):
    check(sample())


@pytest.mark.parametrize(("check", "sample", "start"), CASES, ids=IDS)
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutations_get_only_drivers_errors_out(
    check: Callable[[bytes], None], sample: Callable[[], bytes], start: int, data: st.DataObject
) -> None:
    """Most of the changes hit the signature, which begins at ``start``."""
    raw = bytearray(sample())
    places = st.one_of(st.integers(start, len(raw) - 1), st.integers(0, len(raw) - 1))
    values = st.sampled_from([0, 1, 2, 5, 0x17, 0x18, 0x30, 0x31, 0x7F, 0x80, 0x81, 0xA0, 0xA1, 0xFF]) | st.integers(
        0, 255
    )
    for at, value in data.draw(st.lists(st.tuples(places, values), max_size=3)):
        raw[at] = value
    if data.draw(st.booleans()):
        source, target, length = data.draw(st.tuples(places, places, st.integers(1, 200)))
        raw[target:target] = raw[source : source + length]
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    with suppress(DriversError):
        check(bytes(raw[:cut]))
