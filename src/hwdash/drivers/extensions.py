"""Reading strangers' certificates without an accidental exception."""

from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.drivers.errors import ParseError

UNREADABLE: Final = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""What the library raises for malformed certificates and CRLs, some of it only when a part is asked for."""

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


def read_certificate(raw: bytes, *, source: str) -> x509.Certificate:
    """The certificate in DER. ParseError when it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(raw)
        # Names and times are parsed when they are asked for: ask here, where an error is still a ParseError.
        _ = certificate.subject.rfc4514_string(), certificate.issuer, certificate.not_valid_after_utc
        _ = certificate.not_valid_before_utc
    except UNREADABLE as error:
        raise ParseError(f"is not a certificate ({error})", source=source, field="certificate") from None
    return certificate


def read_certificates(content: bytes, *, source: str) -> list[x509.Certificate]:
    """The certificates of a file: any number in PEM, or one in DER. ParseError when one cannot be read, or none is."""
    if b"-----BEGIN" not in content:
        return [read_certificate(content, source=source)]
    try:
        found = x509.load_pem_x509_certificates(content)
    except UNREADABLE as error:
        raise ParseError(f"holds no certificate ({error})", source=source, field="certificate") from None
    return [read_certificate(each.public_bytes(Encoding.DER), source=source) for each in found]


def extensions(certificate: x509.Certificate) -> x509.Extensions:
    """All extensions of a certificate. ParseError when they cannot be read."""
    try:
        return certificate.extensions
    except UNREADABLE as error:
        message = f"its extensions cannot be read ({error})"
        raise ParseError(message, source="certificate", field="extensions") from None


def extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    """The value of one extension, None when it is not there. ParseError when the extensions cannot be read."""
    for each in extensions(certificate):
        if isinstance(each.value, kind):
            return each.value
    return None


def extended_key_usages(certificate: x509.Certificate) -> tuple[frozenset[str], bool]:
    """The extended key usages, dotted, and whether they are critical; empty when it names none. ParseError."""
    for each in extensions(certificate):
        if isinstance(each.value, x509.ExtendedKeyUsage):
            return frozenset(usage.dotted_string for usage in each.value), each.critical
    return frozenset(), False


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, to show; the whole subject where it has none."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()
