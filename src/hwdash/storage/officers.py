"""Queries over what officers said (officer_tables.py)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.storage.officer_tables import pending_changes, release_approvals

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
