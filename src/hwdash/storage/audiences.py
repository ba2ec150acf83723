"""Queries over audiences."""

import uuid
from datetime import datetime

import sqlalchemy as sa

from hwdash.domain.audience import TEST_REGISTRY_KEY, Audience, check_audience
from hwdash.storage.tables import audiences


def audiences_of(connection: sa.Connection, account_id: int) -> list[Audience]:
    """The audiences that an account can use: the test audience first, then its own, oldest first."""
    rows = connection.execute(
        sa.select(audiences)
        .where(audiences.c.account_id == account_id)
        .order_by(audiences.c.created_at, audiences.c.id)
    )
    own = [Audience(row.id, row.name, row.description, row.audience_name) for row in rows]
    return [TEST_REGISTRY_KEY, *own]


def create_audience(
    connection: sa.Connection, account_id: int, *, name: str, description: str, audience_name: str, now: datetime
) -> Audience:
    """Store an audience of an account. Raises DomainError with every finding."""
    check_audience(name, description, audience_name, {each.name for each in audiences_of(connection, account_id)})
    made = Audience(str(uuid.uuid4()), name, description, audience_name)
    connection.execute(
        audiences.insert().values(
            id=made.id,
            account_id=account_id,
            name=name,
            description=description,
            audience_name=audience_name,
            created_at=now,
        )
    )
    return made


def remove_audience(connection: sa.Connection, account_id: int, audience_id: str) -> bool:
    """Take an audience away; whether there was one. Labels that name it keep their restriction."""
    which = (audiences.c.account_id == account_id) & (audiences.c.id == audience_id.lower())
    return connection.execute(audiences.delete().where(which)).rowcount > 0
