"""Accounts, and the applications that may call for them, with their secrets.

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
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from hwdash.domain.access import AccountStatus
from hwdash.storage.tables import accounts, application_certificates, application_secrets, applications

SECRET_LIFETIME = timedelta(days=730)
ROTATION_GRACE = timedelta(days=7)


class AccountError(Exception):
    """An account, application or certificate cannot be stored. The message says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """A hardware programme account. ``id`` is its seller id, ``tenant_id`` the GUID of its directory."""

    id: int
    tenant_id: str
    name: str
    policy: dict[str, Any]
    created_at: datetime
    status: AccountStatus = AccountStatus.ENROLLED


@dataclass(frozen=True, slots=True)
class Application:
    """A program that may call the API for its account. ``roles`` are names of contract/api.md 8.1."""

    client_id: str
    account_id: int
    tenant_id: str
    name: str
    roles: tuple[str, ...]
    created_at: datetime
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """What is known of a secret: not the secret."""

    id: str
    created_at: datetime
    expires_at: datetime


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


def create_account(
    connection: sa.Connection,
    name: str,
    now: datetime,
    *,
    tenant_id: str | None = None,
    policy: dict[str, Any] | None = None,
    status: AccountStatus = AccountStatus.ENROLLED,
) -> Account:
    """A new account under a free 8-digit seller id. ``tenant_id`` may be one of Entra's.

    Raises AccountError when the tenant has an account already.
    """
    tenant = _guid(tenant_id, "tenant id") if tenant_id else str(uuid4())
    if account_of_tenant(connection, tenant) is not None:
        raise AccountError(f"tenant {tenant} has an account already")
    while True:
        number = 10_000_000 + secrets.randbelow(90_000_000)
        if account(connection, number) is None:
            break
    made = Account(number, tenant, name, policy or {}, now, status)
    connection.execute(
        accounts.insert().values(
            id=number, tenant_id=tenant, name=name, policy=made.policy, created_at=now, status=status
        )
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
    return [_as_account(row) for row in rows]


def known_accounts(connection: sa.Connection, account_ids: Sequence[int]) -> set[int]:
    """Which of these seller ids there are."""
    query = sa.select(accounts.c.id).where(accounts.c.id.in_(account_ids))
    return set(connection.execute(query).scalars()) if account_ids else set()


def set_policy(connection: sa.Connection, account_id: int, policy: dict[str, Any]) -> None:
    """Give an account this policy. Raises AccountError when there is none."""
    statement = accounts.update().where(accounts.c.id == account_id).values(policy=policy)
    if connection.execute(statement).rowcount != 1:
        raise AccountError(f"there is no account {account_id}")


def set_status(connection: sa.Connection, account_id: int, status: AccountStatus) -> None:
    """Enrol an account in the programme, or suspend it. Raises AccountError when there is none."""
    statement = accounts.update().where(accounts.c.id == account_id).values(status=status)
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


def set_application_disabled(connection: sa.Connection, client_id: str, *, disabled: bool) -> None:
    """Bar an application, or let it in again; it counts from the next request on. Raises AccountError."""
    require_application(connection, client_id)
    which = applications.c.client_id == client_id.lower()
    connection.execute(applications.update().where(which).values(is_disabled=disabled))


def remove_application(connection: sa.Connection, client_id: str) -> None:
    """End the association of an application, its secrets and certificates with it. Raises AccountError.

    What it submitted stays under its id.
    """
    require_application(connection, client_id)
    for table in (application_secrets, application_certificates, applications):
        connection.execute(table.delete().where(table.c.client_id == client_id.lower()))


def secrets_of(connection: sa.Connection, client_id: str) -> list[Secret]:
    """The secrets of an application, ended ones included, oldest first."""
    table = application_secrets
    statement = (
        sa.select(table.c.id, table.c.created_at, table.c.expires_at)
        .where(table.c.client_id == client_id.lower())
        .order_by(table.c.created_at, table.c.id)
    )
    return [Secret(**row._mapping) for row in connection.execute(statement)]


def rotate_secret(
    connection: sa.Connection,
    client_id: str,
    now: datetime,
    *,
    grace: timedelta = ROTATION_GRACE,
    lifetime: timedelta = SECRET_LIFETIME,
) -> NewSecret:
    """A new secret; those before it end after ``grace``, or when they would have. Raises AccountError."""
    table = application_secrets
    which = (table.c.client_id == client_id.lower()) & (table.c.expires_at > now + grace)
    connection.execute(table.update().where(which).values(expires_at=now + grace))
    return add_secret(connection, client_id, now, lifetime)


def add_secret(
    connection: sa.Connection, client_id: str, now: datetime, lifetime: timedelta = SECRET_LIFETIME
) -> NewSecret:
    """A new secret of 256 random bits in URL-safe letters. Raises AccountError for an unknown application."""
    require_application(connection, client_id)
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


def _account(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Account | None:
    row = connection.execute(sa.select(accounts).where(which)).one_or_none()
    return None if row is None else _as_account(row)


def _as_account(row: sa.Row[Any]) -> Account:
    return Account(**(dict(row._mapping) | {"status": AccountStatus(row.status)}))


def _applications(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Application]:
    statement = (
        sa.select(applications, accounts.c.tenant_id)
        .join(accounts, accounts.c.id == applications.c.account_id)
        .where(which)
        .order_by(applications.c.created_at, applications.c.client_id)
    )
    return [
        Application(
            row.client_id,
            row.account_id,
            row.tenant_id,
            row.name,
            tuple(row.roles),
            row.created_at,
            row.is_disabled,
        )
        for row in connection.execute(statement)
    ]


def require_application(connection: sa.Connection, client_id: str) -> None:
    """Raises AccountError for an unknown application."""
    if application(connection, client_id) is None:
        raise AccountError(f"there is no application {client_id}")


def _guid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise AccountError(f"the {what} must be a GUID, not {text!r}") from None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
