"""Authenticode: signatures of cabinets, PE images and catalogs, made and checked.

Sources: Microsoft's "Windows Authenticode Portable Executable Signature Format"; facts/package-formats.md for cabinets
and catalogs. The private key is never here: a callable gets the bytes to sign and returns the signature. Neither is a
decision about trust: ``Signature.signer`` is whom to ask about (drivers/chain.py). Only SHA-2 is made and accepted;
``allow_sha1`` is for reports about old files.

What a signature leaves out, so that it may change unnoticed, is in docs/explanation/signing.md.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, Final, TypedDict, Unpack

from cryptography import x509

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import algorithm_identifier, digest_oid
from hwdash.drivers.asn1.signed_data import (
    MAX_SIGNATURE_SIZE,
    SignedData,
    parse_signed_data,
    unverified_content,
    verify_signed_data,
)
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.cab_format import FLAG_RESERVE, FOLDER, HEADER, SIGNATURE_RESERVE, signature_reserve
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.extensions import extended_key_usages
from hwdash.drivers.pe import PeImage, measure, pkcs7_entries, signed_image_chunks
from hwdash.drivers.signature import (
    Signature,
    SignatureReport,
    all_signed_data,
    expect_kind,
    indirect_data,
    nest,
    report,
    verified,
)
from hwdash.drivers.spc import (
    CATALOG_CONTENT_TYPE,
    SPC_CABINET,
    SPC_INDIRECT_DATA,
    SPC_PE_IMAGE_DATA,
    IndirectData,
    attribute,
    check_page_hashes,
    content_digest,
    signed_attributes,
    signed_data,
    spc_cabinet,
    spc_flat,
    spc_indirect_data,
    spc_pe,
    spc_pe_image_data,
)

__all__ = [
    "CATALOG_CONTENT_TYPE",
    "CODE_SIGNING",
    "SPC_INDIRECT_DATA",
    "Signature",
    "SignatureReport",
    "SigningOptions",
    "algorithm_identifier",
    "attribute",
    "cabinet_digest",
    "cabinet_signatures",
    "catalog_signatures",
    "content_digest",
    "key_usages",
    "may_sign_code",
    "pe_signatures",
    "sign_cabinet",
    "sign_catalog",
    "sign_pe",
    "signed_attributes",
    "signed_data",
    "spc_cabinet",
    "spc_flat",
    "spc_indirect_data",
    "spc_pe",
    "spc_pe_image_data",
    "verify_cabinet",
    "verify_catalog",
    "verify_pe",
]

CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
_CHUNK: Final = 1 << 18


class SigningOptions(TypedDict, total=False):
    """How a signature is made."""

    program_name: str | None
    url: str | None
    """Windows shows both to the user; the URL must be ASCII (ValueError)."""
    algorithm: str
    """sha256 (if not given), sha384 or sha512; others are a ValueError."""
    timestamp: Callable[[bytes], bytes] | None
    """Gets the signature value; gives an RFC 3161 token over it."""
    append: bool
    """Keep the signatures that are there, which must hold, and nest this one in the first. Else they are left out."""


def _made(
    content_type: str,
    content: bytes,
    sign: Callable[[bytes], bytes],
    certificates: Sequence[bytes],
    options: SigningOptions,
) -> bytes:
    """The PKCS#7 signature over encoded content."""
    algorithm, stamp = options.get("algorithm", "sha256"), options.get("timestamp")
    digest_oid(algorithm)  # before the key is used
    attributes = signed_attributes(
        content_type,
        content_digest(content, algorithm),
        program_name=options.get("program_name"),
        url=options.get("url"),
    )
    value = sign(attributes)
    return signed_data(
        content_type,
        content,
        certificates=certificates,
        attributes=attributes,
        signature=value,
        timestamp=stamp(value) if stamp is not None else None,
        algorithm=algorithm,
    )


# --- Cabinets


def cabinet_digest(stream: BinaryIO, cabinet: Cabinet, algorithm: str = "sha256") -> bytes:
    """The digest that a cabinet's signature holds; the cabinet must have the header reserve (ValueError)."""
    return _cabinet_digests(stream, cabinet, [algorithm])[algorithm]


def _cabinet_digests(stream: BinaryIO, cabinet: Cabinet, algorithms: Iterable[str]) -> dict[str, bytes]:
    if cabinet.reserves is None or cabinet.reserves[0] != SIGNATURE_RESERVE:
        raise ValueError("the cabinet has no room for a signature, so no digest of it is defined")
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    stream.seek(0)
    head = _digested_header(stream.read(60))
    for digest in digests.values():
        digest.update(head)
    for chunk in _range(stream, 60, cabinet.declared_size, cabinet.source):
        for digest in digests.values():
            digest.update(chunk)
    return {name: digest.digest() for name, digest in digests.items()}


def _digested_header(head: bytes) -> bytes:
    """The digested part of the first 60 bytes: reserved1, iCabinet and most of the reserve are left out."""
    return head[:4] + head[8:34] + head[56:60]


def sign_cabinet(
    stream: BinaryIO,
    out: BinaryIO,
    sign: Callable[[bytes], bytes],
    certificates: Sequence[bytes],
    *,
    source: str,
    **options: Unpack[SigningOptions],
) -> None:
    """Write the cabinet of ``stream`` to ``out`` (seekable, empty) with a signature.

    ``sign`` gets the DER of the signed attributes and returns the signature over their digest; ``certificates`` are
    DER, the signer's first. ParseError when the cabinet's reserve areas serve another purpose, VerificationError when
    the signature to append to does not hold.
    """
    cabinet = Cabinet.open(stream, source=source)
    if cabinet.reserves not in (None, (SIGNATURE_RESERVE, 0, 0)):
        message = "its reserve areas are in use: rebuild the cabinet without them"
        raise ParseError(message, source=source, offset=36, field="cbCFHeader")
    first = None
    if options.get("append") and cabinet.signature is not None and cabinet.signature.size:
        verify_cabinet(stream, cabinet, source=source, allow_sha1=True)
        first = _cabinet_signature(stream, cabinet, source)
    room = 0 if cabinet.reserves else 4 + SIGNATURE_RESERVE
    size = cabinet.declared_size + room
    if size > 0xFFFFFFFF - MAX_SIGNATURE_SIZE:
        raise LimitExceeded("the signature would lie beyond 4 GiB: split the cabinet", source=source)
    stream.seek(0)
    header = list(HEADER.unpack(stream.read(HEADER.size)))
    header[1] = 0  # reserved1, which no digest covers
    header[2] = size  # cbCabinet
    header[4] += room  # coffFiles
    header[10] |= FLAG_RESERVE
    header[12] = 0  # iCabinet, likewise
    head = HEADER.pack(*header) + signature_reserve(size, 0)
    folders = b"".join(
        FOLDER.pack(folder.start + room if folder.blocks else folder.start, folder.blocks, folder.method)
        for folder in cabinet.folders
    )
    algorithm = options.get("algorithm", "sha256")
    digest = hashlib.new(algorithm, _digested_header(head) + folders)
    out.write(head + folders)
    for chunk in _range(stream, len(head) - room + len(folders), cabinet.declared_size, source):
        digest.update(chunk)
        out.write(chunk)
    content = spc_cabinet(digest.digest(), algorithm=algorithm)
    signature = _made(SPC_INDIRECT_DATA, content, sign, certificates, options)
    if first is not None:
        signature = nest(first, signature, source=source)
    signature += bytes(-len(signature) % 8)
    out.write(signature)
    out.seek(HEADER.size)
    out.write(signature_reserve(size, len(signature)))
    out.seek(size + len(signature))


def verify_cabinet(stream: BinaryIO, cabinet: Cabinet, *, source: str, allow_sha1: bool = False) -> Signature:
    """Check a cabinet's signature. VerificationError says why it does not hold: not signed, changed, weak digest."""
    name = f"{source} (signature)"
    parsed = parse_signed_data(_cabinet_signature(stream, cabinet, source), source=name)
    signature = verified(parsed, kind=SPC_CABINET, source=name, allow_sha1=allow_sha1)
    algorithm = indirect_data(parsed).hash_name(source=source, allow_sha1=allow_sha1)
    if cabinet_digest(stream, cabinet, algorithm) != signature.digest:
        raise VerificationError("the cabinet was changed after it was signed", source=source)
    return signature


def cabinet_signatures(
    stream: BinaryIO, cabinet: Cabinet, *, source: str, allow_sha1: bool = False
) -> list[SignatureReport]:
    """All signatures of a cabinet, the nested ones too, and whether they hold; empty when it has none.

    VerificationError when their place is wrong, ParseError when the first cannot be read at all.
    """
    if cabinet.signature is None or not cabinet.signature.size:
        return []
    first = _cabinet_signature(stream, cabinet, source)
    digests = _cabinet_digests(stream, cabinet, _names(_contents(first, source)))

    def check(parsed: SignedData, name: str) -> None:
        indirect = expect_kind(parsed, SPC_CABINET)
        if digests[indirect.hash_name(source=name, allow_sha1=allow_sha1)] != indirect.digest:
            raise VerificationError("the cabinet was changed after it was signed", source=name)

    return report(first, check, source=source, allow_sha1=allow_sha1)


def _cabinet_signature(stream: BinaryIO, cabinet: Cabinet, source: str) -> bytes:
    """The PKCS#7 signature behind a cabinet, which must stand where signatures stand."""
    place = cabinet.signature
    if place is None or not (place.size or place.offset):
        raise VerificationError("the cabinet is not signed", source=source)
    if place.offset != cabinet.declared_size:
        raise VerificationError("the signature does not follow the cabinet's content", source=source)
    if not place.size or place.offset + place.size > cabinet.file_size:
        raise VerificationError("the signature lies outside the file", source=source)
    if trailing := cabinet.file_size - place.offset - place.size:
        raise VerificationError(f"{trailing} bytes follow the signature", source=source)
    if cabinet.reserves != (SIGNATURE_RESERVE, 0, 0):
        # The digest leaves these sizes out, so that changing them would change what the folders hold.
        raise VerificationError("a signed cabinet must not reserve space in folders or blocks", source=source)
    if place.size > MAX_SIGNATURE_SIZE:
        raise LimitExceeded(f"a signature of {place.size} bytes, at most 16 MiB are allowed", source=source)
    stream.seek(0)
    head = stream.read(60)
    # Whatever else the digest leaves out must be what signers write there.
    if any(head[4:8] + head[34:36]) or head[36:56] != signature_reserve(place.offset, place.size)[:20]:
        raise VerificationError("header fields that no signature covers are not as signers leave them", source=source)
    stream.seek(place.offset)
    return stream.read(place.size)


# --- PE images


def sign_pe(
    stream: BinaryIO,
    out: BinaryIO,
    sign: Callable[[bytes], bytes],
    certificates: Sequence[bytes],
    *,
    source: str,
    page_hashes: bool = False,
    **options: Unpack[SigningOptions],
) -> None:
    """Write the PE image of ``stream`` to ``out`` with a signature, with page hashes (SHA-256) if asked for.

    ``sign`` gets the DER of the signed attributes and returns the signature over their digest; ``certificates`` are
    DER, the signer's first. ParseError for what is no image, VerificationError when the signature to append to does not
    hold.
    """
    image = PeImage.open(stream, source=source)
    algorithm = options.get("algorithm", "sha256")
    first = None
    if options.get("append") and verify_pe(stream, image, source=source, allow_sha1=True) is not None:
        first = _pe_signature(stream, image, source)
    measured = measure(stream, image, (algorithm,), pages=("sha256",) if page_hashes else ())
    content = spc_pe_image_data(measured.digests[algorithm], measured.page_hashes.get("sha256"), algorithm=algorithm)
    signature = _made(SPC_INDIRECT_DATA, content, sign, certificates, options)
    if first is not None:
        signature = nest(first, signature, source=source)
    for chunk in signed_image_chunks(stream, measured.layout, signature):
        out.write(chunk)


def verify_pe(stream: BinaryIO, image: PeImage, *, source: str, allow_sha1: bool = False) -> Signature | None:
    """Check the first signature in a PE image; None when it has none. VerificationError when it does not hold."""
    first = _pe_signature(stream, image, source)
    if first is None:
        return None
    name = f"{source} (signature)"
    parsed = parse_signed_data(first, source=name)
    signature = verified(parsed, kind=SPC_PE_IMAGE_DATA, source=name, allow_sha1=allow_sha1)
    check = _pe_check(stream, image, [indirect_data(parsed)], source, allow_sha1=allow_sha1)
    check(parsed, source)
    return signature


def pe_signatures(stream: BinaryIO, image: PeImage, *, source: str, allow_sha1: bool = False) -> list[SignatureReport]:
    """All signatures of a PE image, the nested ones too, and whether they hold; empty when it has none.

    VerificationError for a certificate table without a signature, ParseError when the first cannot be read at all.
    """
    first = _pe_signature(stream, image, source)
    if first is None:
        return []
    check = _pe_check(stream, image, _contents(first, source), source, allow_sha1=allow_sha1)
    return report(first, check, source=source, allow_sha1=allow_sha1)


def _pe_check(
    stream: BinaryIO, image: PeImage, contents: Collection[IndirectData], source: str, *, allow_sha1: bool
) -> Callable[[SignedData, str], None]:
    """Compares what signatures say with the image; one pass over it serves them all."""
    algorithms = _names(contents)
    pages = sorted({each.page_hashes.algorithm for each in contents if each.page_hashes is not None})
    no_pages: DriversError | None = None
    try:
        measured = measure(stream, image, algorithms, pages=pages)
    except (ParseError, LimitExceeded) as error:
        no_pages = error
        measured = measure(stream, image, algorithms)

    def check(parsed: SignedData, name: str) -> None:
        indirect = expect_kind(parsed, SPC_PE_IMAGE_DATA)
        if measured.digests[indirect.hash_name(source=name, allow_sha1=allow_sha1)] != indirect.digest:
            raise VerificationError("the image was changed after it was signed", source=name)
        if indirect.page_hashes is not None:
            if no_pages is not None:
                raise no_pages
            if indirect.page_hashes.algorithm == "sha1" and not allow_sha1:
                raise VerificationError("the page hashes use SHA-1: SHA-2 is required", source=name)
            check_page_hashes(indirect.page_hashes, measured.page_hashes[indirect.page_hashes.algorithm], source=name)

    return check


def _pe_signature(stream: BinaryIO, image: PeImage, source: str) -> bytes | None:
    """The first PKCS#7 signature in a PE image, None when it has no certificate table."""
    offset, size = image.certificate_table
    if not size:
        return None
    if size > MAX_SIGNATURE_SIZE:
        raise LimitExceeded(f"a certificate table of {size} bytes, at most 16 MiB are allowed", source=source)
    stream.seek(offset)
    entries = pkcs7_entries(stream.read(size), source=f"{source} (certificate table)")
    if not entries:
        raise VerificationError("the certificate table holds no PKCS#7 signature", source=source)
    return entries[0]


def _contents(first: bytes, source: str) -> list[IndirectData]:
    """What the signature and those nested in it say they sign, as far as that can be read."""
    found: list[IndirectData] = []
    for _, parsed in all_signed_data(first, source=source):
        if isinstance(parsed, SignedData):
            with suppress(ParseError):
                found.append(indirect_data(parsed))
    return found


def _names(contents: Iterable[IndirectData]) -> list[str]:
    """The names of the digests that can be computed."""
    found: set[str] = set()
    for each in contents:
        with suppress(VerificationError):
            found.add(each.hash_name(source="", allow_sha1=True))
    return sorted(found)


# --- Catalogs


def sign_catalog(
    catalog: bytes,
    sign: Callable[[bytes], bytes],
    certificates: Sequence[bytes],
    *,
    source: str,
    **options: Unpack[SigningOptions],
) -> bytes:
    """A catalog, signed or not yet, with a signature over its content; see ``sign_cabinet`` for the rest."""
    content_type, content = unverified_content(catalog, source=source)
    if content_type != CATALOG_CONTENT_TYPE:
        raise content.error("the content is not a catalog", "contentType")
    made = _made(CATALOG_CONTENT_TYPE, content.encoded, sign, certificates, options)
    if not options.get("append"):
        return made
    verify_catalog(catalog, source=source, allow_sha1=True)
    return nest(catalog, made, source=source)


def verify_catalog(catalog: bytes, *, source: str, allow_sha1: bool = False) -> tuple[Signature, bytes]:
    """Check a catalog's signature; also its content, the DER of a certificate trust list (see ``catalog.Catalog``)."""
    parsed = parse_signed_data(catalog, source=source)
    # No digest covers the content's own tag.
    if parsed.content_type != CATALOG_CONTENT_TYPE or parsed.content.tag != der.SEQUENCE:
        verify_signed_data(parsed, source=source, allow_sha1=allow_sha1)
        raise ParseError("the signed content is not a catalog", source=source, field="contentType")
    return verified(parsed, kind=None, source=source, allow_sha1=allow_sha1), parsed.content.encoded


def catalog_signatures(catalog: bytes, *, source: str, allow_sha1: bool = False) -> list[SignatureReport]:
    """All signatures of a catalog, the nested ones too, and whether they hold. ParseError when the first is none."""
    content = parse_signed_data(catalog, source=source).content.encoded

    def check(parsed: SignedData, name: str) -> None:
        if parsed.content_type != CATALOG_CONTENT_TYPE or parsed.content.tag != der.SEQUENCE:
            raise parsed.content.error("the signed content is not a catalog", "contentType")
        if parsed.content.encoded != content:
            raise VerificationError("the nested signature is over another catalog", source=name)

    return report(catalog, check, source=source, allow_sha1=allow_sha1)


# --- Certificates


def key_usages(certificate: x509.Certificate) -> frozenset[str]:
    """The extended key usages of a certificate, dotted; empty when it names none."""
    return extended_key_usages(certificate)[0]


def may_sign_code(certificate: x509.Certificate) -> bool:
    """Whether the certificate's extended key usages include code signing."""
    return CODE_SIGNING in key_usages(certificate)


def _range(stream: BinaryIO, start: int, end: int, source: str) -> Iterator[bytes]:
    stream.seek(start)
    left = end - start
    while left > 0:
        chunk = stream.read(min(_CHUNK, left))
        if not chunk:
            raise ParseError("the cabinet is truncated", source=source, offset=end - left)
        left -= len(chunk)
        yield chunk
