"""Who may call, with what secret or certificate, and which certificates a vendor signs with.

Every function takes a connection inside a transaction of the caller's. Secrets are never stored: 256 random bits need
no slow hash, so SHA-256 of them is kept (storage/tables.py).
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID, uuid4

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hwdash.storage.tables import (
    accounts,
    application_certificates,
    application_secrets,
    applications,
    signing_certificates,
)

Kind = TypeVar("Kind", bound=x509.ExtensionType)

SECRET_LIFETIME = timedelta(days=730)

_EV_CODE_SIGNING_POLICY = x509.ObjectIdentifier("2.23.140.1.3")
_WEAK_HASHES = ("md5", "sha1")
_MIN_RSA_BITS = 2048
_EC_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class AccountError(Exception):
    """An account, application or certificate cannot be stored. The message says why."""


class CertificateRefused(AccountError):
    """A certificate cannot be registered. ``findings`` holds every reason."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("; ".join(findings))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Account:
    """A hardware programme account. ``id`` is its seller id, ``tenant_id`` the GUID of its directory."""

    id: int
    tenant_id: str
    name: str
    policy: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Application:
    """A program that may call the API for its account. ``roles`` are names of contract/api.md 8.1."""

    client_id: str
    account_id: int
    tenant_id: str
    name: str
    roles: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret just made. ``secret`` is shown to the caller once and known nowhere afterwards."""

    id: str
    secret: str = field(repr=False)
    expires_at: datetime


class SecretCheck(Enum):
    """What became of a presented secret."""

    VALID = "valid"
    EXPIRED = "expired"
    WRONG = "wrong"


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


def create_account(
    connection: sa.Connection,
    name: str,
    now: datetime,
    *,
    tenant_id: str | None = None,
    policy: dict[str, Any] | None = None,
) -> Account:
    """A new account under a free 8-digit seller id. Raises AccountError when the tenant has one already."""
    tenant = _guid(tenant_id, "tenant id") if tenant_id else str(uuid4())
    if account_of_tenant(connection, tenant) is not None:
        raise AccountError(f"tenant {tenant} has an account already")
    while True:
        number = 10_000_000 + secrets.randbelow(90_000_000)
        if account(connection, number) is None:
            break
    made = Account(number, tenant, name, policy or {}, now)
    connection.execute(
        accounts.insert().values(id=number, tenant_id=tenant, name=name, policy=made.policy, created_at=now)
    )
    return made


def account(connection: sa.Connection, account_id: int) -> Account | None:
    """The account of a seller id."""
    return _account(connection, accounts.c.id == account_id)


def account_of_tenant(connection: sa.Connection, tenant_id: str) -> Account | None:
    """The account of a directory; the GUID in any case."""
    return _account(connection, accounts.c.tenant_id == tenant_id.lower())


def all_accounts(connection: sa.Connection) -> list[Account]:
    """Every account, oldest first."""
    rows = connection.execute(sa.select(accounts).order_by(accounts.c.created_at, accounts.c.id))
    return [Account(**row._mapping) for row in rows]


def set_policy(connection: sa.Connection, account_id: int, policy: dict[str, Any]) -> None:
    """Give an account this policy. Raises AccountError when there is none."""
    statement = accounts.update().where(accounts.c.id == account_id).values(policy=policy)
    if connection.execute(statement).rowcount != 1:
        raise AccountError(f"there is no account {account_id}")


def create_application(
    connection: sa.Connection,
    account_id: int,
    name: str,
    roles: Sequence[str],
    now: datetime,
    *,
    client_id: str | None = None,
) -> Application:
    """A new application of an account. Raises AccountError for an unknown account or a client id in use."""
    owner = account(connection, account_id)
    if owner is None:
        raise AccountError(f"there is no account {account_id}")
    client = _guid(client_id, "client id") if client_id else str(uuid4())
    if application(connection, client) is not None:
        raise AccountError(f"client id {client} is in use")
    connection.execute(
        applications.insert().values(
            client_id=client, account_id=account_id, name=name, roles=list(roles), created_at=now
        )
    )
    return Application(client, account_id, owner.tenant_id, name, tuple(roles), now)


def application(connection: sa.Connection, client_id: str) -> Application | None:
    """The application of a client id; the GUID in any case."""
    found = _applications(connection, applications.c.client_id == client_id.lower())
    return found[0] if found else None


def applications_of(connection: sa.Connection, account_id: int) -> list[Application]:
    """The applications of an account, oldest first."""
    return _applications(connection, applications.c.account_id == account_id)


def set_roles(connection: sa.Connection, client_id: str, roles: Sequence[str]) -> None:
    """Give an application these roles instead of the ones it has. Raises AccountError when there is none."""
    statement = applications.update().where(applications.c.client_id == client_id.lower()).values(roles=list(roles))
    if connection.execute(statement).rowcount != 1:
        raise AccountError(f"there is no application {client_id}")


def add_secret(
    connection: sa.Connection, client_id: str, now: datetime, lifetime: timedelta = SECRET_LIFETIME
) -> NewSecret:
    """A new secret of 256 random bits in URL-safe letters. Raises AccountError for an unknown application."""
    _require_application(connection, client_id)
    made = NewSecret(str(uuid4()), secrets.token_urlsafe(32), now + lifetime)
    connection.execute(
        application_secrets.insert().values(
            id=made.id,
            client_id=client_id.lower(),
            sha256=_digest(made.secret),
            created_at=now,
            expires_at=made.expires_at,
        )
    )
    return made


def remove_secret(connection: sa.Connection, client_id: str, secret_id: str) -> bool:
    """Take a secret away at once; whether there was one."""
    which = (application_secrets.c.client_id == client_id.lower()) & (application_secrets.c.id == secret_id)
    return connection.execute(application_secrets.delete().where(which)).rowcount > 0


def verify_secret(connection: sa.Connection, client_id: str, secret: str, now: datetime) -> SecretCheck:
    """Whether this is a secret of that application.

    The work does not tell a wrong secret from an unknown application: the same queries, and a comparison in constant
    time in any case. An application has a handful of secrets; how many, the time may tell.
    """
    rows = connection.execute(
        sa.select(application_secrets.c.sha256, application_secrets.c.expires_at).where(
            application_secrets.c.client_id == client_id.lower()
        )
    ).all()
    presented = _digest(secret)
    result = SecretCheck.WRONG
    for stored, expires_at in [tuple(row) for row in rows] or [(bytes(32), now)]:
        if hmac.compare_digest(stored, presented):
            result = SecretCheck.VALID if now < expires_at else SecretCheck.EXPIRED
    return result


def add_application_certificate(
    connection: sa.Connection, client_id: str, certificate: x509.Certificate, now: datetime
) -> str:
    """Register the certificate by which an application may sign its assertions; returns its thumbprint.

    Self-signed ones are usual: it is trusted by registration. Raises CertificateRefused when it is not an RSA key of
    2048 bits or more (assertions are RS256 or PS256) or has ended, AccountError for an unknown application.
    """
    _require_application(connection, client_id)
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


def add_signing_certificate(
    connection: sa.Connection, account_id: int, certificate: x509.Certificate, now: datetime
) -> SigningCertificate:
    """Register a certificate that the account's packages may be signed with. Registering it again changes nothing.

    It is an EV certificate when it carries the CA/Browser Forum's EV code-signing policy, 2.23.140.1.3. It is trusted
    by registration: its issuer is not asked for. Raises CertificateRefused with every reason, and AccountError for an
    unknown account.
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
    )
    if (present := signing_certificate(connection, account_id, made.thumbprint)) is not None:
        return present
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


def _account(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Account | None:
    row = connection.execute(sa.select(accounts).where(which)).one_or_none()
    return None if row is None else Account(**row._mapping)


def _applications(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Application]:
    statement = (
        sa.select(applications, accounts.c.tenant_id)
        .join(accounts, accounts.c.id == applications.c.account_id)
        .where(which)
        .order_by(applications.c.created_at, applications.c.client_id)
    )
    return [
        Application(row.client_id, row.account_id, row.tenant_id, row.name, tuple(row.roles), row.created_at)
        for row in connection.execute(statement)
    ]


def _require_application(connection: sa.Connection, client_id: str) -> None:
    if application(connection, client_id) is None:
        raise AccountError(f"there is no application {client_id}")


def _guid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise AccountError(f"the {what} must be a GUID, not {text!r}") from None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


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
