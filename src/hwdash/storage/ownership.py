"""Queries over who owns which ids, and over the relationships between owners and publishers."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.identifiers import new_long_id
from hwdash.domain.ownership import IdKind, beginnings, check_ids, is_covered
from hwdash.storage.label_tables import owned_ids, relationships
from hwdash.storage.one_at_a_time import one_at_a_time
from hwdash.storage.tables import accounts

REQUESTED, APPROVED, REJECTED = "requested", "approved", "rejected"
CHUNK = 500


def add_owned(
    connection: sa.Connection, account_id: int, given: Sequence[tuple[IdKind, str]], now: datetime
) -> list[tuple[IdKind, str]]:
    """Note that the account owns these ids; returns those that it did not own before.

    Who comes at the same time waits for the end of this transaction, and sees what it made.
    Raises DomainError with every id that is none or that another account owns.
    """
    ids = check_ids(given)
    one_at_a_time(connection, owned_ids)
    taken: list[tuple[str, str]] = []
    new: list[tuple[IdKind, str]] = []
    for kind, value in ids:
        row = connection.execute(
            sa.select(accounts.c.id, accounts.c.name)
            .join(owned_ids, owned_ids.c.account_id == accounts.c.id)
            .where(owned_ids.c.kind == kind, owned_ids.c.value == value)
        ).one_or_none()
        if row is None:
            new.append((kind, value))
        elif row.id != account_id:
            taken.append((kind, f"{value} is {row.name}'s (seller {row.id}); take it away there first."))
    if taken:
        raise DomainError(Code.INVALID_INPUT, "Not every id is free.", taken)
    if new:
        rows = [{"kind": kind, "value": value, "account_id": account_id, "created_at": now} for kind, value in new]
        connection.execute(owned_ids.insert(), rows)
    return new


def remove_owned(
    connection: sa.Connection, account_id: int, given: Sequence[tuple[IdKind, str]]
) -> list[tuple[IdKind, str]]:
    """Take ids away from the account; returns those that it owned. Raises DomainError with every id that is none."""
    return [
        (kind, value)
        for kind, value in check_ids(given)
        if connection.execute(
            owned_ids.delete().where(
                owned_ids.c.account_id == account_id, owned_ids.c.kind == kind, owned_ids.c.value == value
            )
        ).rowcount
    ]


def list_owned(connection: sa.Connection, account_id: int) -> Sequence[sa.Row[Any]]:
    """The account's ids."""
    return connection.execute(
        sa.select(owned_ids)
        .where(owned_ids.c.account_id == account_id)
        .order_by(owned_ids.c.kind.desc(), owned_ids.c.value)
    ).all()


def owners_of_hardware_ids(connection: sa.Connection, hardware_ids: Iterable[str]) -> dict[str, int]:
    """The account that owns each of the hardware ids, by the longest beginning that is owned; without those that nobody
    owns.

    One query, however many ids are asked for: the registry is small, what labels target is not.
    """
    rows = connection.execute(
        sa.select(owned_ids.c.value, owned_ids.c.account_id).where(owned_ids.c.kind == IdKind.HARDWARE_ID)
    )
    registered = {row.value: row.account_id for row in rows}
    if not registered:
        return {}
    found: dict[str, int] = {}
    for each in hardware_ids:
        owner = next((registered[part] for part in beginnings(each) if part in registered), None)
        if owner is not None:
            found[each] = owner
    return found


def owners_of(connection: sa.Connection, kind: IdKind, values: Iterable[str]) -> dict[str, int]:
    """The account that owns each of these CHIDs or extension ids; without those that nobody owns."""
    wanted = sorted(set(values))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), CHUNK):
        rows = connection.execute(
            sa.select(owned_ids.c.value, owned_ids.c.account_id).where(
                owned_ids.c.kind == kind, owned_ids.c.value.in_(wanted[start : start + CHUNK])
            )
        )
        found.update((row.value, row.account_id) for row in rows)
    return found


def account_names(connection: sa.Connection, account_ids: Iterable[int]) -> dict[int, str]:
    """The publisher names of accounts."""
    wanted = set(account_ids)
    if not wanted:
        return {}
    rows = connection.execute(sa.select(accounts.c.id, accounts.c.name).where(accounts.c.id.in_(wanted)))
    return {row.id: row.name for row in rows}


def request_relationship(
    connection: sa.Connection,
    *,
    owner_id: int,
    publisher_id: int,
    given: Sequence[tuple[IdKind, str]],
    now: datetime,
) -> sa.Row[Any]:
    """Store an owner's request that a publisher may target these hardware ids and CHIDs.

    Raises DomainError with every id that is none or is not the owner's.
    """
    if owner_id == publisher_id:
        raise DomainError(
            Code.INVALID_INPUT,
            "Owner and publisher are one account.",
            [("publisher", "An account targets its own ids without a relationship; name another account.")],
        )
    ids = check_ids(given)
    owners = owners_of_hardware_ids(connection, [value for kind, value in ids if kind is IdKind.HARDWARE_ID])
    owners |= owners_of(connection, IdKind.CHID, [value for kind, value in ids if kind is IdKind.CHID])
    foreign = [
        (str(kind), f"{value} is not owned by account {owner_id}; hwdash admin ownership list tells what is.")
        for kind, value in ids
        if owners.get(value) != owner_id
    ]
    if foreign:
        raise DomainError(Code.INVALID_INPUT, "A relationship is about ids of its owner.", foreign)
    return connection.execute(
        relationships.insert()
        .values(
            id=new_long_id(),
            owner_id=owner_id,
            publisher_id=publisher_id,
            chids=[value for kind, value in ids if kind is IdKind.CHID],
            hardware_ids=[value for kind, value in ids if kind is IdKind.HARDWARE_ID],
            status=REQUESTED,
            requested_at=now,
        )
        .returning(*relationships.c)
    ).one()


def decide_relationship(
    connection: sa.Connection, relationship_id: int, *, status: str, by: str, reason: str, now: datetime
) -> bool | None:
    """Approve or reject a relationship, an approved one too: then it ends for labels from now on.

    Returns whether that changed anything; None when there is no such relationship.
    """
    row = connection.execute(sa.select(relationships).where(relationships.c.id == relationship_id)).one_or_none()
    if row is None:
        return None
    if row.status == status:
        return False
    connection.execute(
        relationships.update()
        .where(relationships.c.id == relationship_id)
        .values(status=status, decided_at=now, decided_by=by, reason=reason)
    )
    return True


def list_relationships(connection: sa.Connection, account_id: int | None) -> Sequence[sa.Row[Any]]:
    """The relationships, oldest first; with an account those in which it is owner or publisher."""
    query = sa.select(relationships).order_by(relationships.c.requested_at, relationships.c.id)
    if account_id is not None:
        query = query.where(sa.or_(relationships.c.owner_id == account_id, relationships.c.publisher_id == account_id))
    return connection.execute(query).all()


class Approved:
    """What the owners let one publisher target."""

    def __init__(self, connection: sa.Connection, publisher_id: int) -> None:
        self._chids: dict[int, set[str]] = {}
        self._hardware_ids: dict[int, set[str]] = {}
        for row in connection.execute(
            sa.select(relationships).where(
                relationships.c.publisher_id == publisher_id, relationships.c.status == APPROVED
            )
        ):
            self._chids.setdefault(row.owner_id, set()).update(row.chids)
            self._hardware_ids.setdefault(row.owner_id, set()).update(row.hardware_ids)

    def allows_chid(self, owner_id: int, chid: str) -> bool:
        """May the publisher target this CHID of the owner's?"""
        return chid in self._chids.get(owner_id, ())

    def allows_hardware_id(self, owner_id: int, hardware_id: str) -> bool:
        """May the publisher target this hardware id of the owner's?"""
        return is_covered(hardware_id, self._hardware_ids.get(owner_id, ()))
