"""Good files to start fuzzing from, small ones: a fuzzer finds its way from there."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from authenticode_oracle import compiled_driver, sign_image, signatory
from hwdash.drivers.authenticode import content_digest, sign_cabinet, signed_attributes, signed_data
from hwdash.drivers.cab import write_cabinet
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE, CatalogMember, certificate_trust_list
from seeded import all_faults

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "inf"


def infs() -> Iterable[bytes]:
    """The good INFs of the planted faults, one of them in UTF-16, and those of the corpus, if it is there."""
    bases = sorted({fault.base for fault in all_faults()})
    yield from (text.encode() for text in bases)
    yield from (text.encode("utf-16") for text in bases[:1])
    yield from (file.read_bytes() for file in CORPUS.rglob("*") if file.suffix.lower() in (".inf", ".inx"))


@cache
def cabinets() -> list[bytes]:
    """Stored and compressed ones, with and without room for a signature."""
    found = []
    for room in (False, True):
        for compression in ("store", "mszip"):
            out = io.BytesIO()
            entries = [("a\\a.inf", b"[Version]\r\n" * 4000), ("a\\b.sys", compiled_driver()), ("a\\empty", b"")]
            write_cabinet(out, entries, compression=compression, reserve_for_signature=room)
            found.append(out.getvalue())
    return found


@cache
def signed_cabinets() -> list[bytes]:
    """Each kind of cabinet, signed."""
    who = signatory("ec")
    found = []
    for plain in cabinets():
        out = io.BytesIO()
        sign_cabinet(io.BytesIO(plain), out, who.sign, who.certificates, source="seed.cab")
        found.append(out.getvalue())
    return found


@cache
def images() -> list[bytes]:
    """A driver as the compiler left it, and signed."""
    who = signatory("ec")
    return [compiled_driver(), sign_image(compiled_driver(), who, program_name="Acme", url="https://acme.example")]


@cache
def catalogs() -> list[bytes]:
    """A signed catalog of version 2."""
    who = signatory("ec")
    members = [CatalogMember(f"{n}.sys", n % 2 == 0, bytes([n]) * 20, bytes([n]) * 32, "2:10.0") for n in range(3)]
    when = datetime(2026, 1, 1, tzinfo=UTC)
    content = certificate_trust_list(members, list_id=bytes(16), when=when, attributes=[("OS", "_v100_X64")])
    attributes = signed_attributes(CATALOG_CONTENT_TYPE, content_digest(content), program_name="x", url=None)
    signature = who.sign(attributes)
    return [
        signed_data(
            CATALOG_CONTENT_TYPE,
            content,
            certificates=who.certificates,
            attributes=attributes,
            signature=signature,
        )
    ]
