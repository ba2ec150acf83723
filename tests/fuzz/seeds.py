"""Good files to start fuzzing from, small ones: a fuzzer finds its way from there."""

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pydivert
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

import hlkx_writer
import pe_images
import pki
from authenticode_oracle import NOW, compiled_driver, sign_image, signatory
from cab_builder import Folder, build_cabinet
from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import content_digest, sign_cabinet, signed_attributes, signed_data
from hwdash.drivers.cab import write_cabinet
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE, CatalogMember, certificate_trust_list
from hwdash.drivers.catalog_files import CatalogFile
from hwdash.drivers.dsse import Envelope, pae
from hwdash.drivers.pe import PeImage, pkcs7_entries
from lzx_writer import lzx_folder
from quantum_writer import quantum_folder
from seeded import all_faults

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "inf"
ENVELOPED = "application/vnd.in-toto+json"
BETWEEN_PARTS = b"\n--part--\n"
STAMPED = b"what is stamped"
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
CATALOGUED = {"a.sys": pe_images.importing([("ntoskrnl.exe", ["KeBugCheck"])]), "a.inf": b"[Version]\r\n", "empty": b""}
"""The files, by name, that the catalogs list."""


def infs() -> Iterable[bytes]:
    """The good INFs of the planted faults, one of them in UTF-16, and those of the corpus, if it is there."""
    bases = sorted({fault.base for fault in all_faults()})
    yield from (text.encode() for text in bases)
    yield from (text.encode("utf-16") for text in bases[:1])
    yield from (file.read_bytes() for file in CORPUS.rglob("*") if file.suffix.lower() in (".inf", ".inx"))


def infs_to_judge() -> Iterable[bytes]:
    """As ``infs``; of the corpus only the short ones, for a rule costs more than a parse."""
    yield from (each for each in infs() if len(each) < 4096)


def templates() -> Iterable[bytes]:
    """INFs to be stamped."""
    yield b"[Version]\nDriverVer = 1\n[Manufacturer]\nx = X,NT$ARCH$.10.0\n[a]\nk = $KMDFCOINSTALLERVERSION$\n"
    yield b"[Version]\r\nSignature = $Windows NT$\r\nK = $UMDFVERSION$ ; $KMDFVERSION$\r\n"


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


def _without_checksums(folder: Folder) -> bytes:
    """A cabinet of this folder. A block may be without a checksum: then a changed one is unpacked all the same."""
    made = build_cabinet([folder])
    at = 36 + 8 + sum(16 + len(name) + 1 for name, _, _ in folder.files)
    for packed in folder.blocks:
        made[at : at + 4] = bytes(4)
        at += 8 + len(packed)
    return bytes(made)


@cache
def lzx_cabinets() -> list[bytes]:
    """Blocks of every kind, and calls of x86 code."""
    text = b"".join(b"%d: the quick brown fox\r\n" % number for number in range(300))
    code = b"".join(b"\xe8%bcall" % (number * 977 % 65521).to_bytes(4, "little") for number in range(300))
    files = [("a\\a.inf", text), ("a\\b.sys", code)]
    size = len(text) + len(code)
    folders = [
        lzx_folder(files, 15, plan=[("verbatim", size)]),
        lzx_folder(files, 16, plan=[("aligned", size)], call_size=12_000_000),
        lzx_folder(files, 17, plan=[("verbatim", 1000), ("uncompressed", 2001), ("aligned", size - 3001)]),
        lzx_folder([("x", text[:100] * 400)], 21),
    ]
    return [_without_checksums(folder) for folder in folders]


@cache
def quantum_cabinets() -> list[bytes]:
    """Of one frame and of two."""
    text = b"".join(b"%d: the quick brown fox\r\n" % number for number in range(300))
    return [_without_checksums(quantum_folder("a\\a.inf", each, 15)) for each in (text, text[:100] * 400)]


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
def signed_images() -> list[bytes]:
    """A driver signed with page hashes and a timestamp, then signed again; and a real one, signed twice, with a
    timestamp of each form.
    """
    once = pki.signed_image(page_hashes=True, timestamp=pki.token)
    (real,) = Path(pydivert.__file__).parent.rglob("WinDivert64.sys")
    return [*images(), once, pki.signed_image(once, append=True), real.read_bytes()]


@cache
def signatures() -> list[bytes]:
    """The SignedData of the signed images and catalogs."""
    found = [*catalogs()]
    for content in signed_images():
        at, size = PeImage.open(io.BytesIO(content), source="seed.sys").certificate_table
        found += pkcs7_entries(content[at : at + size], source="seed.sys")
    return found


@cache
def mapped_images() -> list[bytes]:
    """What imports, is delay-loaded, has resources, and says when it was linked."""
    imports: pe_images.Imports = [
        ("ntoskrnl.exe", ["KeBugCheck", 7]),
        ("api-ms-win-core-file-l1-1-0.dll", ["ReadFile"]),
    ]
    return [
        compiled_driver(),
        pe_images.importing(imports, delayed=imports[:1]),
        pe_images.importing(imports, delayed=imports, machine=pe_images.I386, base=0x10000),
        pe_images.linked_on(1_700_000_000, 2),
        pe_images.linked_on(1_700_000_000, 2, 16),
        _with_resources(),
    ]


def _with_resources() -> bytes:
    """A version resource, and the one of an ELAM driver."""
    name = "MICROSOFTELAMCERTIFICATEINFO"
    named, typed, language, entry, text, version = 0, 32, 56, 80, 96, 160
    content = bytearray(256)
    struct.pack_into("<12xHHIIII", content, named, 1, 1, 1 << 31 | text, entry, 16, 1 << 31 | typed)
    struct.pack_into("<12xHHII", content, typed, 0, 1, 1, 1 << 31 | language)
    struct.pack_into("<12xHHII", content, language, 0, 1, 1033, entry)
    struct.pack_into("<II", content, entry, pe_images.RVA + version, 92)
    struct.pack_into(f"<H{2 * len(name)}s", content, text, len(name), name.encode("utf-16-le"))
    struct.pack_into("<HHH", content, version, 92, 52, 0)
    content[version + 6 : version + 38] = "VS_VERSION_INFO\0".encode("utf-16-le")
    struct.pack_into("<IIIIII", content, version + 40, 0xFEEF04BD, 0x10000, 1 << 16 | 2, 3 << 16 | 4, 0, 0)
    return pe_images.image(bytes(content), {2: (pe_images.RVA, len(content))})


@cache
def catalogs() -> list[bytes]:
    """A signed catalog of version 2."""
    members = [CatalogMember(f"{n}.sys", n % 2 == 0, bytes([n]) * 20, bytes([n]) * 32, "2:10.0") for n in range(3)]
    return [_signed(certificate_trust_list(members, list_id=bytes(16), when=WHEN, attributes=[("OS", "_v100_X64")]))]


def _signed(content: bytes) -> bytes:
    who = signatory("ec")
    attributes = signed_attributes(CATALOG_CONTENT_TYPE, content_digest(content), program_name="x", url=None)
    return signed_data(
        CATALOG_CONTENT_TYPE,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )


def catalogued(folder: Path) -> list[Path]:
    """The files of ``CATALOGUED``, written there."""
    for name, content in CATALOGUED.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in CATALOGUED]


def catalogs_of_files(files: Sequence[Path]) -> list[bytes]:
    """Catalogs of these files, of both versions, signed and not, one with page hashes."""
    found = []
    for version in (1, 2):
        members = []
        for path in files:
            file = CatalogFile.measure(path)
            pages = file.page_hashes("sha1" if version == 1 else "sha256")
            attributes = (("PETrusted", "1"),) if pages else ()
            members.append(CatalogMember(path.name, file.is_pe, file.sha1, file.sha256, "2:10.0", attributes, pages))
        content = certificate_trust_list(
            members, list_id=bytes(16), when=WHEN, attributes=[("OS", "_v100"), ("HWID1", "pci\\x")], version=version
        )
        found += [_signed(content), pki.unsigned_catalog_of(content)]
    return found


def _zipped(entries: Iterable[tuple[str, bytes]], method: int, *, to_pipe: bool = False) -> bytes:
    """A zip file; one written to a pipe has its sizes behind the content."""
    out = io.BytesIO()
    with zipfile.ZipFile(_Pipe(out) if to_pipe else out, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, method)
    return out.getvalue()


class _Pipe(io.RawIOBase):
    def __init__(self, out: io.BytesIO) -> None:
        super().__init__()
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, content: bytes, /) -> int:
        return self._out.write(content)


@cache
def zip_packages() -> list[bytes]:
    """Stored and deflated, with folders, other alphabets and sizes behind the content."""
    entries = [("a/", b""), ("a/a.inf", b"[Version]\r\n" * 40), ("a/b.sys", compiled_driver()[:3000]), ("a/ä", b"")]
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    return [_zipped(entries, stored), _zipped(entries, deflated), _zipped(entries[:2], deflated, to_pipe=True)]


def _hlkx_parts() -> list[dict[str, bytes]]:
    inside = hlkx_writer.hlkx_parts(
        b"stream",
        {
            "hck/data/cabinet": _cabinet(),
            "hck/data/archive": _zipped([("drv/x.inf", b"[Version]\r\n"), ("drv/x.sys", b"MZ")], zipfile.ZIP_STORED),
            "drivers/w/widget.inf": b"[Version]\r\n",
        },
    )
    who = signatory("ec")
    signed = hlkx_writer.sign(inside, who)
    forms = [
        hlkx_writer.Form("sha512", "sha384", "KeyInfo", relationships=("ids",)),
        hlkx_writer.Form("sha1", "sha1", relationships=("whole",)),
    ]
    small = hlkx_writer.hlkx_parts(b"stream")
    return [inside, signed, *(hlkx_writer.sign(small, who, form) for form in forms)]


def _cabinet() -> bytes:
    out = io.BytesIO()
    write_cabinet(out, [("drv\\a.inf", b"[Version]\r\n"), ("drv\\a.sys", b"MZ")])
    return out.getvalue()


@cache
def hlkx_packages() -> list[bytes]:
    """Unsigned, and signed in several ways."""
    return [hlkx_writer.packed(parts) for parts in _hlkx_parts()]


@cache
def hlkx_parts() -> list[bytes]:
    """The same before they are packed: a name and a line feed, then the content of each part. So that what is changed
    in one is read, for a zip file has checksums.
    """
    return [
        BETWEEN_PARTS.join(
            name.encode() + b"\n" + content
            for name, content in {**parts, "[Content_Types].xml": hlkx_writer.content_types(parts)}.items()
        )
        for parts in _hlkx_parts()
    ]


@cache
def xml_documents() -> list[bytes]:
    """Every XML part of a package, and one in UTF-16."""
    found = {content for parts in _hlkx_parts() for content in parts.values() if content.startswith(b"<")}
    return [*sorted(found), b"\xff\xfe" + "<a b='c'>&#228;</a>".encode("utf-16-le")]


@cache
def tokens() -> list[bytes]:
    """Timestamps over ``STAMPED``."""
    return [pki.token(STAMPED), pki.token(STAMPED, WHEN, serial=1 << 70)]


@cache
def envelopes() -> list[bytes]:
    """DSSE envelopes by the test signer, with a timestamp and without one."""
    who, payload = pki.signer(), b'{"_type": "https://in-toto.io/Statement/v1"}'
    signature = who.sign(pae(ENVELOPED, payload))
    return [
        Envelope(ENVELOPED, payload, signature, tuple(who.path[:-1]), stamp).encode()
        for stamp in (pki.token(signature), b"")
    ]


@cache
def timestamp_responses() -> list[bytes]:
    """One with a timestamp, and a refusal with its reason."""
    said = der.sequence(der.tlv(der.UTF8_STRING, b"no"))
    return [
        der.sequence(der.sequence(der.integer(0)), tokens()[0]),
        der.sequence(der.sequence(der.integer(2), said)),
    ]


@cache
def chains() -> list[bytes]:
    """DER after DER: a signer's path from it to its root, and CRLs anywhere."""
    plain = [each.public_bytes(Encoding.DER) for each in pki.signer().path]
    lists = [
        revocation_list(pki.authority()),
        revocation_list(pki.root()),
        revocation_list(pki.authority(), pki.signer()),
    ]
    cross = pki.issue("Test CA", pki.root("Other"), ca=True, number=hash("Test CA"))
    crossed = [plain[0], cross.certificate.public_bytes(Encoding.DER), *plain[1:]]
    timestamping = [each.public_bytes(Encoding.DER) for each in pki.timestamper().path]
    return [b"".join(each) for each in (plain, timestamping, [*lists[:2], *plain], [lists[2], *plain], crossed)]


@cache
def root_certificates() -> list[bytes]:
    """In DER, and two in PEM."""
    two = pki.root().certificate, pki.authority().certificate
    return [two[0].public_bytes(Encoding.DER), b"".join(each.public_bytes(Encoding.PEM) for each in two)]


@cache
def revocation_lists() -> list[bytes]:
    """With and without entries and a scope, and one in PEM."""
    point = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    plain = revocation_list(pki.authority(), pki.signer())
    return [
        plain,
        revocation_list(pki.authority(), pki.signer(), scope=point),
        x509.load_der_x509_crl(plain).public_bytes(Encoding.PEM),
    ]


def revocation_list(
    issuer: pki.Holder, *revoked: pki.Holder, scope: x509.IssuingDistributionPoint | None = None
) -> bytes:
    """A CRL of today."""
    day = timedelta(days=1)
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW - day, NOW + day)
    for holder in revoked:
        entry = x509.RevokedCertificateBuilder(holder.certificate.serial_number, NOW)
        entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        entry = entry.add_extension(x509.InvalidityDate((NOW - day).replace(tzinfo=None)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    if scope is not None:
        builder = builder.add_extension(scope, critical=True)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@cache
def smbios_tables() -> list[bytes]:
    """A table alone, and behind an entry point of either kind."""

    def structure(kind: int, length: int, numbers: dict[int, int], *strings: bytes) -> bytes:
        made = bytearray(length)
        struct.pack_into("<BBH", made, 0, kind, length, kind)
        for offset, value in numbers.items():
            made[offset] = value
        return bytes(made) + (b"".join(text + b"\0" for text in strings) or b"\0") + b"\0"

    table = structure(0, 0x18, {4: 1, 5: 2, 0x14: 2, 0x15: 0x19}, b"ACME", b"1.0")
    table += structure(
        1, 0x1B, {4: 1, 5: 2, 0x19: 4, 0x1A: 3}, b"ACME", b"Widget", b"Things", "Größe".encode("latin-1")
    )
    table += structure(2, 0x0F, {4: 1, 5: 2, 0x0D: 0x0A}, b"ACME", b"Board")
    table += structure(3, 0x16, {4: 1, 5: 0x0A}, b"ACME") + structure(127, 4, {})
    new = struct.pack("<5s7xIQ8x", b"_SM3_", len(table), 32)
    old = struct.pack("<4s18xHI4x", b"_SM_", len(table), 32)
    return [table, new + table, old + table]


@cache
def known_drivers() -> list[bytes]:
    sample = {"Filename": "a.sys", "MD5": "0" * 32, "SHA1": "-", "Authentihash": {"SHA256": "a" * 64}}
    return [json.dumps([{"Id": "x", "Tags": ["a.sys"], "KnownVulnerableSamples": [sample]}]).encode()]


def der_values() -> list[bytes]:
    """Certificates, a CRL, a catalog, and one value of each type that is read."""
    every = der.sequence(
        der.integer(-129),
        der.boolean(True),
        der.oid("1.2.840.113549.1.7.2"),
        der.utc_time(WHEN),
        der.generalized_time(WHEN),
        der.bmp_string("name"),
        der.octet_string(b"x" * 200),
        der.explicit(0, der.null()),
        der.set_of(der.integer(1), der.integer(2)),
    )
    return [every, pki.signer().sent[0], revocation_lists()[0], catalogs()[0], tokens()[0]]


def file_names() -> list[bytes]:
    """The names in a package, a line each."""
    return [
        b"a\\a.inf\na\\a.sys\na\\a.cat\nb/b.inf",
        b"a.inf\n../x\nc:\\x\nA\\CON.inf\na\\" + b"x" * 200,
        b"a\\a.inf\nA\\A.INF",
    ]
