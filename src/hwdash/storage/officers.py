"""Queries over what officers said (officer_tables.py)."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.storage.officer_tables import broken_glass, pending_changes, release_approvals

WAITING = "waiting"


def approvals_of(connection: sa.Connection, submission_id: int) -> Mapping[str, str]:
    """The words for a release by the officers' names, oldest first."""
    query = (
        sa.select(release_approvals.c.officer, release_approvals.c.word)
        .where(release_approvals.c.submission_id == submission_id)
        .order_by(release_approvals.c.approved_at, release_approvals.c.officer)
    )
    return {row.officer: row.word for row in connection.execute(query)}


def keep_approval(connection: sa.Connection, submission_id: int, officer: str, word: str, now: datetime) -> None:
    """Keep an officer's word for a release, in place of one that they gave before."""
    which = release_approvals.c.submission_id == submission_id, release_approvals.c.officer == officer
    connection.execute(release_approvals.delete().where(*which))
    connection.execute(
        release_approvals.insert().values(submission_id=submission_id, officer=officer, word=word, approved_at=now)
    )


def keep_change(
    connection: sa.Connection,
    identifier: str,
    *,
    command: str,
    word: str,
    asked_by: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keep a change that waits for a second person."""
    connection.execute(
        pending_changes.insert().values(
            id=identifier,
            command=command,
            word=word,
            asked_by=asked_by,
            asked_at=now,
            expires_at=expires_at,
            state=WAITING,
        )
    )


def waiting_changes(connection: sa.Connection, now: datetime) -> Sequence[sa.Row[Any]]:
    """The changes that wait and have not expired, oldest first."""
    c = pending_changes.c
    query = sa.select(pending_changes).where(c.state == WAITING, c.expires_at > now).order_by(c.asked_at, c.id)
    return connection.execute(query).all()


def find_change(connection: sa.Connection, identifier: str) -> sa.Row[Any] | None:
    """A change, whatever became of it."""
    return connection.execute(sa.select(pending_changes).where(pending_changes.c.id == identifier)).one_or_none()


def end_change(
    connection: sa.Connection, identifier: str, state: str, *, decided_by: str, decision: str, now: datetime
) -> bool:
    """End the waiting of a change, once: False when it does not wait any more."""
    c = pending_changes.c
    ended = connection.execute(
        pending_changes.update()
        .where(c.id == identifier, c.state == WAITING)
        .values(state=state, decided_by=decided_by, decision=decision, decided_at=now)
    )
    return ended.rowcount == 1


def keep_broken_glass(
    connection: sa.Connection, *, act: str, broken_by: str, reason: str, word: str, now: datetime
) -> str:
    """Keep what an officer did alone, until another acknowledges it; its id."""
    identifier = secrets.token_hex(4)
    connection.execute(
        broken_glass.insert().values(
            id=identifier, act=act, broken_by=broken_by, broken_at=now, reason=reason, word=word
        )
    )
    return identifier


def all_broken_glass(connection: sa.Connection, *, unacknowledged: bool = False) -> Sequence[sa.Row[Any]]:
    """What was done alone, oldest first."""
    query = sa.select(broken_glass).order_by(broken_glass.c.broken_at, broken_glass.c.id)
    if unacknowledged:
        query = query.where(broken_glass.c.acknowledged_by.is_(None))
    return connection.execute(query).all()


def acknowledge_broken_glass(
    connection: sa.Connection, identifier: str, *, by: str, acknowledgement: str, now: datetime
) -> bool:
    """Note that an officer has seen it; False when it was acknowledged before."""
    noted = connection.execute(
        broken_glass.update()
        .where(broken_glass.c.id == identifier, broken_glass.c.acknowledged_by.is_(None))
        .values(acknowledged_by=by, acknowledged_at=now, acknowledgement=acknowledgement)
    )
    return noted.rowcount == 1
