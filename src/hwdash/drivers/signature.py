"""One Authenticode signature: what it says, and whether it holds over what it signs.

A file has one signature, and more of them nested in its unsigned attributes. Nothing here is a decision about trust:
``Signature.signer`` is whom to ask about (drivers/chain.py). Only SHA-2 is accepted, and SHA-1 where the caller asks
for it to report on an old file.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import hash_of
from hwdash.drivers.asn1.signed_data import (
    MESSAGE_DIGEST,
    SignedData,
    load_certificate,
    parse_signed_data,
    verify_signed_data,
    with_unsigned_value,
)
from hwdash.drivers.errors import DriversError, LimitExceeded, VerificationError
from hwdash.drivers.spc import (
    CATALOG_CONTENT_TYPE,
    NESTED_SIGNATURE,
    SPC_INDIRECT_DATA,
    IndirectData,
    PageHashes,
    read_indirect_data,
    read_opus_info,
)
from hwdash.drivers.timestamp import Timestamp, timestamp_of

MAX_SIGNATURES: Final = 100
"""A driver that is resubmitted gets one more each time; 25 have been seen."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says. ``signer`` is among ``certificates``; who trusts it is another question.

    No certificate was checked against its issuer: know a signer by the whole certificate (its thumbprint), never by its
    names. It has been verified, unless it stands in a ``SignatureReport`` with a problem.
    """

    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    digest_algorithm: str
    """hashlib's name: of the signature."""
    digest: bytes
    """What was signed: the digest of the cabinet, of the PE image, or of a catalog's content."""
    program_name: str | None
    url: str | None = None
    content_algorithm: str = "sha256"
    """hashlib's name: of ``digest``."""
    page_hashes: PageHashes | None = None
    timestamp: Timestamp | None = None
    """Checked: it is over this signature. Its signer was no more asked about than this one."""
    timestamp_problem: str | None = None
    """Why the timestamp that is there does not count."""
    value: bytes = field(default=b"", repr=False)
    """The signature value: what a timestamp is over."""
    crls: tuple[bytes, ...] = field(default=(), repr=False)
    """DER, as sent along."""


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """One of a file's signatures, whether it holds or not."""

    nested: bool
    signature: Signature | None
    """What it says; None when it cannot be read. Nothing of it counts when there is a problem."""
    problem: str | None
    """Why it does not hold; None when it does."""

    @property
    def holds(self) -> bool:
        """Whether it was verified."""
        return self.problem is None


def read_signature(signed: SignedData, *, source: str, allow_sha1: bool = False) -> Signature:
    """What a signature says, not verified. ParseError when it is malformed, VerificationError for unknown algorithms.

    SHA-1 is always read here; ``allow_sha1`` only decides whether a timestamp by it counts.
    """
    attributes = signed.signer.signed_attributes()
    key = signed.signer.issuer_and_serial
    if key not in signed.certificates:
        raise VerificationError("the signer's certificate is not in the signature", source=source)
    algorithm = hash_of(signed.signer.digest_algorithm, source=source, what="the signature", allow_sha1=True).name
    if signed.content_type == CATALOG_CONTENT_TYPE:
        held = attributes.get(MESSAGE_DIGEST)
        digest, content_algorithm, page_hashes = held.content if held is not None else b"", algorithm, None
    else:
        indirect = indirect_data(signed)
        digest, page_hashes = indirect.digest, indirect.page_hashes
        content_algorithm = indirect.hash_name(source=source, allow_sha1=True)
    program_name, url = read_opus_info(attributes)
    timestamp, timestamp_problem = timestamp_of(signed, source=source, allow_sha1=allow_sha1)
    return Signature(
        load_certificate(signed.certificates[key]),
        signed.loaded_certificates(),
        algorithm,
        digest,
        program_name,
        url,
        content_algorithm,
        page_hashes,
        timestamp,
        timestamp_problem,
        signed.signer.signature,
        signed.crls,
    )


def indirect_data(signed: SignedData) -> IndirectData:
    """The SpcIndirectDataContent of a signature of a PE image or a cabinet. ParseError when it has none."""
    if signed.content_type != SPC_INDIRECT_DATA or signed.content.tag != der.SEQUENCE:
        raise signed.content.error("is not SPC_INDIRECT_DATA", "contentType")
    return read_indirect_data(signed.content)


def expect_kind(signed: SignedData, kind: str) -> IndirectData:
    """The SpcIndirectDataContent, which must be for this kind of file (an OID). ParseError when it is not."""
    indirect = indirect_data(signed)
    if indirect.kind != kind:
        raise signed.content.error("the signature is for another kind of file", "data.type")
    return indirect


def all_signed_data(first: bytes, *, source: str) -> list[tuple[str, SignedData | DriversError]]:
    """The signature and those nested in it, each with its name for messages; one that cannot be parsed as its error.

    ParseError when the first cannot be parsed; LimitExceeded for more than 100.
    """
    parsed = parse_signed_data(first, source=f"{source} (signature)")
    found: list[tuple[str, SignedData | DriversError]] = [(f"{source} (signature)", parsed)]
    for number, element in enumerate(parsed.signer.unsigned.get(NESTED_SIGNATURE, ()), start=1):
        if number == MAX_SIGNATURES:
            raise LimitExceeded(f"more than {MAX_SIGNATURES} signatures", source=source)
        name = f"{source} (nested signature {number})"
        try:
            found.append((name, parse_signed_data(element.encoded, source=name)))
        except DriversError as error:
            found.append((name, error))
    return found


def report(
    first: bytes, check: Callable[[SignedData, str], None], *, source: str, allow_sha1: bool = False
) -> list[SignatureReport]:
    """Report on a signature and those nested in it; ``check`` raises DriversError when the file is not what one signed.

    Windows reads the signatures nested in the first one and no deeper, and so does this.
    """
    reports: list[SignatureReport] = []
    for name, parsed in all_signed_data(first, source=source):
        said, problem = None, None
        if isinstance(parsed, DriversError):
            problem = str(parsed)
        else:
            try:
                said = read_signature(parsed, source=name, allow_sha1=allow_sha1)
                verify_signed_data(parsed, source=name, allow_sha1=allow_sha1)
                check(parsed, name)
            except DriversError as error:
                problem = str(error)
        reports.append(SignatureReport(bool(reports), said, problem))
    return reports


def verified(parsed: SignedData, *, kind: str | None, source: str, allow_sha1: bool = False) -> Signature:
    """Verify a signature over its own content, and say what it says. VerificationError when it does not hold.

    ``kind`` is the kind of file that it must be for (an OID), None for a catalog.
    """
    verify_signed_data(parsed, source=source, allow_sha1=allow_sha1)
    if kind is not None:
        expect_kind(parsed, kind)
    return read_signature(parsed, source=source, allow_sha1=allow_sha1)


def nest(first: bytes, added: bytes, *, source: str) -> bytes:
    """The first signature with another one nested in it."""
    parsed = parse_signed_data(first, source=source)
    if len(parsed.signer.unsigned.get(NESTED_SIGNATURE, ())) + 2 > MAX_SIGNATURES:
        raise LimitExceeded(f"more than {MAX_SIGNATURES} signatures", source=source)
    return with_unsigned_value(first, NESTED_SIGNATURE, added, source=source)
