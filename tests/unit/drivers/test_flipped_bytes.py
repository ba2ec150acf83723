"""Whatever byte of a signed file changes, its signature or the chain of its signer no longer holds.

What Authenticode leaves out is all that may change: the CheckSum of a PE image, and what stands in unsigned attributes
(a timestamp, nested signatures), which then holds by itself or does not count.
"""

import io
from collections.abc import Callable

import pytest

from authenticode_oracle import NOW, compiled_driver
from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.signed_data import parse_signed_data
from hwdash.drivers.authenticode import Signature, verify_cabinet, verify_catalog, verify_pe
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.chain import check_trust
from hwdash.drivers.errors import DriversError
from hwdash.drivers.pe import PeImage
from pki import root, signed_cabinet, signed_catalog, signed_image, signer, token, unsigned_catalog


def check_image(raw: bytes) -> Signature | None:
    stream = io.BytesIO(raw)
    return verify_pe(stream, PeImage.open(stream, source="x"), source="x")


def check_cabinet(raw: bytes) -> Signature:
    stream = io.BytesIO(raw)
    return verify_cabinet(stream, Cabinet.open(stream, source="x"), source="x")


def check_catalog(raw: bytes) -> Signature:
    return verify_catalog(raw, source="x")[0]


KINDS: dict[str, tuple[Callable[..., bytes], Callable[[bytes], Signature | None]]] = {
    "image": (lambda **how: signed_image(page_hashes=True, **how), check_image),
    "cabinet": (signed_cabinet, check_cabinet),
    "catalog": (signed_catalog, check_catalog),
}


def accepted(raw: bytes, check: Callable[[bytes], Signature | None], places: range) -> dict[int, Signature]:
    """The places whose change goes unnoticed, each with what the signature says then. The bit turns with the place."""
    found: dict[int, Signature] = {}
    for at in places:
        changed = bytearray(raw)
        changed[at] ^= 1 << at % 8
        try:
            signature = check(bytes(changed))
            assert signature is not None
            trust = check_trust(signature, roots=[root().certificate], now=NOW, source="x")
        except DriversError:
            continue
        if trust.trusted:
            found[at] = signature
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_signed_file_counts(kind: str) -> None:
    make, check = KINDS[kind]
    raw = make()
    outside: list[int] = []
    if kind == "image":
        at = PeImage.open(io.BytesIO(raw), source="x").checksum_offset
        outside = list(range(at, at + 4))
    assert list(accepted(raw, check, range(len(raw)))) == outside


def unsigned_attributes(raw: bytes, start: int) -> range:
    """Where the unsigned attributes of the signature at ``start`` stand in the file."""
    info = der.Reader(raw, source="x", start=start).read(der.SEQUENCE, "it").open()
    info.read(der.OBJECT_IDENTIFIER, "it")
    signers = list(info.read(0xA0, "it").only(der.SEQUENCE, "it").open().all_tags("it"))[-1]
    *_, last = signers.only(der.SEQUENCE, "it").open().all_tags("it")
    assert last.tag == 0xA1
    return range(last.start, last.end)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_in_unsigned_attributes_leaves_the_timestamp_as_it_was_or_out(kind: str) -> None:
    make, check = KINDS[kind]
    raw = make(timestamp=token)
    whole = check(raw)
    assert whole is not None
    assert whole.timestamp is not None
    start = {
        "image": lambda: PeImage.open(io.BytesIO(raw), source="x").certificate_table[0] + 8,
        "cabinet": lambda: Cabinet.open(io.BytesIO(raw), source="x").declared_size,
        "catalog": lambda: 0,
    }[kind]()
    region = unsigned_attributes(raw, start)
    genuine = (whole.timestamp.when, whole.timestamp.signer.public_key())
    for signature in accepted(raw, check, region).values():
        stamp = signature.timestamp
        assert stamp is None or (stamp.when, stamp.signer.public_key()) == genuine


def test_padding_after_a_signature_may_not_hold_anything() -> None:
    padded = 0
    for length in range(8):
        # A longer name takes two bytes more, so that some lengths leave bytes to fill up.
        raw = signed_image(program_name="x" * length)
        offset, size = PeImage.open(io.BytesIO(raw), source="x").certificate_table
        padding = size - 8 - len(der.Reader(raw, source="x", start=offset + 8).read(der.SEQUENCE, "it").encoded)
        padded += padding
        assert accepted(raw, check_image, range(len(raw) - padding, len(raw))) == {}
    assert padded


def test_the_sample_of_this_test_is_a_catalog_without_a_signer() -> None:
    with pytest.raises(DriversError, match="not signed"):
        parse_signed_data(unsigned_catalog(), source="x")
    assert signer().certificate in check_catalog(KINDS["catalog"][0]()).certificates
    assert check_image(compiled_driver()) is None
