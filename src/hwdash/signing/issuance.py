"""How a certificate of this service is made (RFC 5280): its name, extensions and life. Who gets one: authority.py."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID, ObjectIdentifier

from hwdash.signing.keys import Credential, PrivateKey, PublicKey

SANDBOX_WORD = "SANDBOX"
_NOT_MICROSOFT = "self-hosted, not Microsoft"
# So that a machine whose clock is a little slow accepts a new certificate.
_BACKDATING = timedelta(hours=1)

Extensions = Sequence[tuple[x509.ExtensionType, bool]]
"""Each with whether it is critical."""


def own_name(role: str, *, sandbox: bool = False) -> x509.Name:
    """The name of a certificate of this service: it says that it is not Microsoft's, and SANDBOX in a sandbox."""
    common_name = f"hwdash {SANDBOX_WORD} {role}" if sandbox else f"hwdash {role}"
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"hwdash ({_NOT_MICROSOFT})"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*, signs: bool, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def ca_extensions(path_length: int | None) -> Extensions:
    """Of a CA with at most ``path_length`` CAs below it; None: any number."""
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_key_usage(signs=False, is_ca=True), True),
    ]


def leaf_extensions(purposes: Sequence[ObjectIdentifier], *, critical: bool = False) -> Extensions:
    """Of a certificate that issues nothing, for these extended key usages."""
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs=True, is_ca=False), True),
        (x509.ExtendedKeyUsage(purposes), critical),
    ]


def self_signed(name: x509.Name, key: PrivateKey, now: datetime, life: timedelta, extensions: Extensions) -> Credential:
    """A root: the certificate that a key issues to itself."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _builder(name, key.public_key(), now - _BACKDATING, now + life, [*extensions, (identifier, False)])
    return Credential(key, (builder.issuer_name(name).sign(key, hashes.SHA256()),))


def issued(
    issuer: Credential, subject: x509.Name, key: PublicKey, now: datetime, life: timedelta, *, extensions: Extensions
) -> x509.Certificate:
    """A certificate by this issuer, within the life of the issuer's own."""
    above = issuer.certificate
    above_identifier = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    identifiers: Extensions = [
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above_identifier), False),
    ]
    begin = max(now - _BACKDATING, above.not_valid_before_utc)
    end = min(now + life, above.not_valid_after_utc)
    builder = _builder(subject, key, begin, end, [*extensions, *identifiers])
    return builder.issuer_name(above.subject).sign(issuer.key, hashes.SHA256())


def _builder(
    subject: x509.Name, key: PublicKey, begin: datetime, end: datetime, extensions: Extensions
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=end,
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder
