"""Queries over what officers said (officer_tables.py)."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from hwdash.storage.officer_tables import release_approvals


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
