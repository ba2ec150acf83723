"""Certificates: those that an account's packages are signed with, and those that applications sign assertions with.

Every function takes a connection inside a transaction of the caller's. A certificate is trusted by registration: by an
administrator's word, or by a challenge that its holder signed with it (contract/dashboard.md 9).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hwdash.storage.accounts import AccountError, account, require_application
from hwdash.storage.tables import application_certificates, certificate_challenges, signing_certificates

Kind = TypeVar("Kind", bound=x509.ExtensionType)

CHALLENGE_LIFETIME = timedelta(days=7)
EXPIRY_WARNING = timedelta(days=60)

_EV_CODE_SIGNING_POLICY = x509.ObjectIdentifier("2.23.140.1.3")
_WEAK_HASHES = ("md5", "sha1")
_MIN_RSA_BITS = 2048
_EC_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class CertificateRefused(AccountError):
    """A certificate cannot be registered. ``findings`` holds every reason."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("; ".join(findings))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """A certificate whose signature the account's packages may carry. ``kind`` is "ev" or "standard"."""

    account_id: int
    thumbprint: str  # SHA-256 of the DER, lower-case hex
    certificate: bytes  # DER
    subject: str  # RFC 4514
    kind: str
    not_after: datetime
    added_at: datetime
    is_proven: bool
    """Its holder signed a challenge with it; else an administrator's word."""

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; below 0 once it has ended."""
        return (self.not_after - now).days


def add_signing_certificate(
    connection: sa.Connection, account_id: int, certificate: x509.Certificate, now: datetime, *, is_proven: bool = False
) -> SigningCertificate:
    """Register a certificate that the account's packages may be signed with. Registering it again changes nothing,
    unless it is proven now.

    It is an EV certificate when it carries the CA/Browser Forum's EV code-signing policy, 2.23.140.1.3. It is trusted
    by registration: its issuer is not asked for. ``is_proven``: its holder signed a challenge with it. Raises
    CertificateRefused with every reason, and AccountError for an unknown account.
    """
    if account(connection, account_id) is None:
        raise AccountError(f"there is no account {account_id}")
    findings = [
        *_period_findings(certificate, now),
        *_key_findings(certificate, curves=_EC_CURVES),
        *_purpose_findings(certificate),
    ]
    if findings:
        raise CertificateRefused(findings)
    policies = _extension(certificate, x509.CertificatePolicies) or ()
    is_ev = any(policy.policy_identifier == _EV_CODE_SIGNING_POLICY for policy in policies)
    made = SigningCertificate(
        account_id=account_id,
        thumbprint=certificate.fingerprint(hashes.SHA256()).hex(),
        certificate=certificate.public_bytes(Encoding.DER),
        subject=certificate.subject.rfc4514_string()[:1000],
        kind="ev" if is_ev else "standard",
        not_after=certificate.not_valid_after_utc,
        added_at=now,
        is_proven=is_proven,
    )
    if (present := signing_certificate(connection, account_id, made.thumbprint)) is not None:
        if not is_proven or present.is_proven:
            return present
        remove_signing_certificate(connection, account_id, made.thumbprint)
    connection.execute(
        signing_certificates.insert().values({each.name: getattr(made, each.name) for each in signing_certificates.c})
    )
    return made


def signing_certificates_of(connection: sa.Connection, account_id: int) -> list[SigningCertificate]:
    """The account's signing certificates, ended ones included, in the order they were added."""
    table = signing_certificates
    statement = sa.select(table).where(table.c.account_id == account_id).order_by(table.c.added_at, table.c.thumbprint)
    return [SigningCertificate(**row._mapping) for row in connection.execute(statement)]


def signing_certificate(connection: sa.Connection, account_id: int, thumbprint: str) -> SigningCertificate | None:
    """The account's signing certificate of a SHA-256 thumbprint in hex of any case."""
    table = signing_certificates
    which = (table.c.account_id == account_id) & (table.c.thumbprint == thumbprint.lower())
    row = connection.execute(sa.select(table).where(which)).one_or_none()
    return None if row is None else SigningCertificate(**row._mapping)


def remove_signing_certificate(connection: sa.Connection, account_id: int, thumbprint: str) -> bool:
    """Retire a signing certificate; whether there was one. Past submissions keep their results."""
    table = signing_certificates
    which = (table.c.account_id == account_id) & (table.c.thumbprint == thumbprint.lower())
    return connection.execute(table.delete().where(which)).rowcount > 0


def has_valid_ev_certificate(connection: sa.Connection, account_id: int, now: datetime) -> bool:
    """Whether attestation and HLK submissions are open to the account (contract/dashboard.md 10)."""
    return any(each.kind == "ev" and now <= each.not_after for each in signing_certificates_of(connection, account_id))


def add_application_certificate(
    connection: sa.Connection, client_id: str, certificate: x509.Certificate, now: datetime
) -> str:
    """Register the certificate by which an application may sign its assertions; returns its thumbprint.

    Self-signed ones are usual: it is trusted by registration. Raises CertificateRefused when it is not an RSA key of
    2048 bits or more (assertions are RS256 or PS256) or has ended, AccountError for an unknown application.
    """
    require_application(connection, client_id)
    findings = [*_period_findings(certificate, now), *_key_findings(certificate, curves=())]
    if findings:
        raise CertificateRefused(findings)
    thumbprint = certificate.fingerprint(hashes.SHA256()).hex()
    values = {
        "thumbprint": thumbprint,
        "client_id": client_id.lower(),
        "certificate": certificate.public_bytes(Encoding.DER),
        "created_at": now,
    }
    if thumbprint not in {each.fingerprint(hashes.SHA256()).hex() for each in certificates_of(connection, client_id)}:
        connection.execute(application_certificates.insert().values(values))
    return thumbprint


def certificates_of(connection: sa.Connection, client_id: str) -> list[x509.Certificate]:
    """The certificates by which an application may sign its assertions."""
    statement = sa.select(application_certificates.c.certificate).where(
        application_certificates.c.client_id == client_id.lower()
    )
    return [x509.load_der_x509_certificate(each) for each in connection.execute(statement).scalars()]


def remove_application_certificate(connection: sa.Connection, client_id: str, thumbprint: str) -> bool:
    """Take an application's certificate away at once; whether there was one."""
    table = application_certificates
    which = (table.c.client_id == client_id.lower()) & (table.c.thumbprint == thumbprint.lower())
    return connection.execute(table.delete().where(which)).rowcount > 0


def new_challenge(connection: sa.Connection, account_id: int, now: datetime) -> str:
    """A nonce for the holder of a certificate to sign; good once, for a week. Raises AccountError."""
    if account(connection, account_id) is None:
        raise AccountError(f"there is no account {account_id}")
    table = certificate_challenges
    connection.execute(table.delete().where(table.c.expires_at <= now))
    nonce = secrets.token_hex(32)
    connection.execute(table.insert().values(nonce=nonce, account_id=account_id, expires_at=now + CHALLENGE_LIFETIME))
    return nonce


def use_challenge(connection: sa.Connection, account_id: int, nonce: str, now: datetime) -> bool:
    """Whether this is an open challenge of the account; it is used up by that."""
    table = certificate_challenges
    which = (table.c.account_id == account_id) & (table.c.nonce == nonce) & (table.c.expires_at > now)
    return connection.execute(table.delete().where(which)).rowcount > 0


def expiring_certificates(connection: sa.Connection, now: datetime) -> list[SigningCertificate]:
    """The signing certificates of all accounts that end within ``EXPIRY_WARNING`` or have ended, soonest first."""
    table = signing_certificates
    statement = sa.select(table).where(table.c.not_after < now + EXPIRY_WARNING).order_by(table.c.not_after)
    return [SigningCertificate(**row._mapping) for row in connection.execute(statement)]


def expiry_warning(certificate: SigningCertificate, now: datetime) -> str | None:
    """A sentence about a certificate that ends within ``EXPIRY_WARNING`` or has ended; None while there is time."""
    if certificate.not_after >= now + EXPIRY_WARNING:
        return None
    left = certificate.days_left(now)
    when = f"ends in {left} days" if left >= 0 else "has ended"
    return (
        f"the {certificate.kind} certificate {certificate.thumbprint} of account {certificate.account_id} "
        f"({certificate.subject}) {when}, on {certificate.not_after:%Y-%m-%d}: register the next one"
    )


def _period_findings(certificate: x509.Certificate, now: datetime) -> list[str]:
    if now > certificate.not_valid_after_utc:
        return [f"it ended on {certificate.not_valid_after_utc:%Y-%m-%d}: use a certificate that is valid today"]
    if now < certificate.not_valid_before_utc:
        return [f"it begins only on {certificate.not_valid_before_utc:%Y-%m-%d}: register it then"]
    return []


def _key_findings(certificate: x509.Certificate, *, curves: tuple[type[ec.EllipticCurve], ...]) -> list[str]:
    wanted = f"RSA of {_MIN_RSA_BITS} bits or more" + (", or ECDSA on P-256, P-384 or P-521" if curves else "")
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return [f"its public key cannot be read; it must be {wanted}"]
    if isinstance(key, rsa.RSAPublicKey):
        return [] if key.key_size >= _MIN_RSA_BITS else [f"its RSA key has {key.key_size} bits; it must be {wanted}"]
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, curves):
        return []
    return [f"its public key is of a kind that is not accepted; it must be {wanted}"]


def _purpose_findings(certificate: x509.Certificate) -> list[str]:
    findings = []
    try:
        algorithm = certificate.signature_hash_algorithm
        if algorithm is not None and algorithm.name in _WEAK_HASHES:
            findings.append(f"it is signed with {algorithm.name}; only SHA-2 is accepted")
    except UnsupportedAlgorithm:
        findings.append("the hash of its signature is unknown; only SHA-2 is accepted")
    try:
        usage = _extension(certificate, x509.KeyUsage)
        purposes = _extension(certificate, x509.ExtendedKeyUsage)
        _extension(certificate, x509.CertificatePolicies)
        certificate.subject.rfc4514_string()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return [*findings, f"its extensions or its name cannot be read: {error}"]
    # RFC 5280 4.2.1.3: a certificate without the extension is not restricted.
    if usage is not None and not usage.digital_signature:
        findings.append("its key usage leaves out digital signatures")
    if purposes is None or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        findings.append("its extended key usage does not name code signing (1.3.6.1.5.5.7.3.3)")
    return findings


def _extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
