"""Who a proven identity is, as the database knows it now: roles, account and standing are read at each request."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hwdash.domain.access import Principal
from hwdash.storage.compiled import Compiled
from hwdash.storage.tables import accounts, agreements, applications, signed_agreements, users


def _unsigned_count() -> sa.Label[int]:
    counted = sa.select(sa.func.count()).select_from(agreements).where(_not_signed(accounts.c.id))
    return counted.correlate(accounts).scalar_subquery().label("unsigned")


def _not_signed(account_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    signed = sa.select(sa.literal(1)).where(
        signed_agreements.c.account_id == account_id,
        signed_agreements.c.name == agreements.c.name,
        signed_agreements.c.version == agreements.c.version,
    )
    return ~signed.correlate(accounts, agreements).exists()


def _statement(table: sa.Table, key: sa.ColumnElement[str]) -> Compiled:
    return Compiled(
        sa.select(table.c.account_id, table.c.is_disabled, table.c.roles, accounts.c.status, _unsigned_count())
        .join(accounts, accounts.c.id == table.c.account_id)
        .where(key == sa.bindparam("identity"), accounts.c.tenant_id == sa.bindparam("tenant_id"))
    )


# They are part of every request.
_APPLICATION = _statement(applications, applications.c.client_id)
_USER = _statement(users, users.c.id)


def find_principal(connection: sa.Connection, identity: str, tenant_id: str) -> Principal | None:
    """The application of this client id, or else the user of this id, in that tenant."""
    for statement in (_APPLICATION, _USER):
        row = statement.execute(connection, {"identity": identity, "tenant_id": tenant_id}).one_or_none()
        if row is not None:
            return Principal(
                id=identity,
                account_id=row.account_id,
                is_person=statement is _USER,
                is_disabled=row.is_disabled,
                roles=tuple(row.roles),
                account_status=row.status,
                unsigned=unsigned_agreements(connection, row.account_id) if row.unsigned else (),
            )
    return None


def known_principals(connection: sa.Connection, ids: Collection[str]) -> set[str]:
    """Those of the ids that are of an application or a user, in any account."""
    return {
        found
        for column in (applications.c.client_id, users.c.id)
        for found in connection.execute(sa.select(column).where(column.in_(ids))).scalars()
    }


def unsigned_agreements(connection: sa.Connection, account_id: int) -> list[str]:
    """The published agreements that an account has not signed in their version, "NAME VERSION" each."""
    statement = sa.select(agreements).where(_not_signed(sa.literal(account_id))).order_by(agreements.c.name)
    return [f"{row.name} {row.version}" for row in connection.execute(statement)]
