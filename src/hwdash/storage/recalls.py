"""Queries over recalls: which submissions and labels are meant, what is written down, and what is not handed out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.storage.label_tables import shipping_labels
from hwdash.storage.recall_tables import recalled_blobs, recalled_files, recalls
from hwdash.storage.tables import accounts, downloads, products, submissions
from hwdash.vocabulary import DownloadType


@dataclass(frozen=True, slots=True)
class RecalledFile:
    """A file of a recalled package and its digests, in lower-case hex (recall_tables.py)."""

    path: str
    kind: str
    sha1: str
    sha256: str
    authenticode_sha1: str
    authenticode_sha256: str


_ANY_RECALL = (
    sa.select(
        recalls,
        submissions.c.name,
        submissions.c.product_id,
        submissions.c.account_id,
        products.c.name.label("product_name"),
        accounts.c.name.label("account_name"),
    )
    .join(submissions, submissions.c.id == recalls.c.submission_id)
    .join(products, products.c.id == submissions.c.product_id)
    .join(accounts, accounts.c.id == submissions.c.account_id)
)


def all_recalls(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Every recall, oldest first, with the names of submission, product and account."""
    return connection.execute(_ANY_RECALL.order_by(recalls.c.recalled_at, recalls.c.submission_id)).all()


def find_recall(connection: sa.Connection, submission_id: int) -> sa.Row[Any] | None:
    """The recall of an author's submission, as ``all_recalls`` returns it."""
    return connection.execute(_ANY_RECALL.where(recalls.c.submission_id == submission_id)).one_or_none()


def find_any_submission(connection: sa.Connection, submission_id: int) -> sa.Row[Any] | None:
    """The submission of any account."""
    return connection.execute(sa.select(submissions).where(submissions.c.id == submission_id)).one_or_none()


def with_copies(connection: sa.Connection, submission_id: int) -> list[int]:
    """An author's submission and every copy that others have of it, or of a copy."""
    found, rest = [submission_id], [submission_id]
    while rest:
        copies = sa.select(submissions.c.id).where(submissions.c.source_submission_id.in_(rest))
        rest = [each for each in connection.execute(copies).scalars() if each not in found]
        found += rest
    return found


def mark_recalled(connection: sa.Connection, submission_ids: Sequence[int], message: str, now: datetime) -> None:
    """From now on these submissions are recalled, and say so."""
    query = sa.select(submissions.c.id, submissions.c.messages).where(submissions.c.id.in_(submission_ids))
    for row in connection.execute(query).all():
        told = {"recalled_at": now, "messages": [*row.messages, message]}
        connection.execute(submissions.update().where(submissions.c.id == row.id).values(**told))


def labels_of(connection: sa.Connection, submission_ids: Sequence[int]) -> list[int]:
    """The ids of the labels of these submissions, whosever they are."""
    labels = sa.select(shipping_labels.c.id).where(shipping_labels.c.submission_id.in_(submission_ids))
    return list(connection.execute(labels.order_by(shipping_labels.c.created_at, shipping_labels.c.id)).scalars())


def insert_recall(connection: sa.Connection, submission_id: int, values: Mapping[str, Any]) -> None:
    """Write a recall down, and bar its signed package from being handed out."""
    connection.execute(recalls.insert().values(submission_id=submission_id, **values))
    blob = package_blob(connection, submission_id)
    if blob is not None:
        connection.execute(recalled_blobs.insert().values(blob=blob, submission_id=submission_id))


def package_blob(connection: sa.Connection, submission_id: int) -> str | None:
    """The blob key of the signed package."""
    query = sa.select(downloads.c.blob).where(
        downloads.c.submission_id == submission_id, downloads.c.type == DownloadType.SIGNED_PACKAGE
    )
    return connection.execute(query).scalar_one_or_none()


def is_recalled_blob(connection: sa.Connection, key: str) -> bool:
    """Is the blob of a recalled package?"""
    return connection.execute(sa.select(recalled_blobs.c.blob).where(recalled_blobs.c.blob == key)).first() is not None


def write_files(
    connection: sa.Connection, submission_id: int, files: Sequence[RecalledFile], problem: str | None
) -> None:
    """Write down what was found in the recalled package, once or again."""
    connection.execute(recalled_files.delete().where(recalled_files.c.submission_id == submission_id))
    if files:
        connection.execute(
            recalled_files.insert(), [{"submission_id": submission_id, **asdict(each)} for each in files]
        )
    found = {"problem": problem, "is_measured": problem is None}
    connection.execute(recalls.update().where(recalls.c.submission_id == submission_id).values(**found))


def files_of(connection: sa.Connection, submission_id: int) -> list[RecalledFile]:
    """The files of a recalled package, by their paths."""
    table = recalled_files
    columns = [table.c[name] for name in RecalledFile.__dataclass_fields__]
    query = sa.select(*columns).where(table.c.submission_id == submission_id).order_by(table.c.path)
    return [RecalledFile(*row) for row in connection.execute(query)]
