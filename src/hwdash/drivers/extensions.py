"""Reading strangers' certificates without an accidental exception."""

from typing import TypeVar

from cryptography import x509

from hwdash.drivers.errors import ParseError

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


def extensions(certificate: x509.Certificate) -> x509.Extensions:
    """All extensions of a certificate. ParseError when they cannot be read."""
    try:
        return certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
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
