"""Queries over submissions, the results of their steps, and their downloads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.identifiers import new_blob_key, new_long_id
from hwdash.storage.compiled import Compiled
from hwdash.storage.label_progress import wake_labels_of
from hwdash.storage.tables import accounts, downloads, products, submission_steps, submissions
from hwdash.vocabulary import CommitStatus, WorkflowState

_INSERT = Compiled(submissions.insert().returning(*submissions.c))
_select_one = sa.select(submissions).where(
    submissions.c.id == sa.bindparam("submission_id"),
    submissions.c.product_id == sa.bindparam("product_id"),
    submissions.c.account_id == sa.bindparam("account_id"),
)
_ONE = Compiled(_select_one)
_ONE_SHOWN = Compiled(
    _select_one.add_columns(
        products.c.test_harness,
        downloads.c.type.label("file_type"),
        downloads.c.blob.label("file_blob"),
        downloads.c.name.label("file_name"),
    )
    .join(products, products.c.id == submissions.c.product_id)
    .outerjoin(downloads, downloads.c.submission_id == submissions.c.id)
    .order_by(downloads.c.type)
)


def insert_submission(
    connection: sa.Connection,
    *,
    product_id: int,
    account_id: int,
    name: str,
    kind: str,
    created_by: str,
    now: datetime,
) -> sa.Row[Any]:
    """Store a new submission under a random id and return its row.

    Raises sqlalchemy.exc.IntegrityError when the id is taken, once in 10^15, or when the product got an initial
    submission in the meantime: do it again.
    """
    values = {
        "id": new_long_id(),
        "product_id": product_id,
        "account_id": account_id,
        "name": name,
        "type": kind,
        "commit_status": CommitStatus.PENDING,
        "messages": [],
        "fence": 0,
        "package_blob": new_blob_key(),
        "is_extension_inf": False,
        "is_universal": False,
        "is_declarative_inf": False,
        "created_by": created_by,
        "created_at": now,
    }
    return _INSERT.execute(connection, values).one()


def find_submission(
    connection: sa.Connection, account_id: int, product_id: int, submission_id: int
) -> sa.Row[Any] | None:
    """The submission, None when there is none of this product in this account."""
    ids = {"account_id": account_id, "product_id": product_id, "submission_id": submission_id}
    return _ONE.execute(connection, ids).one_or_none()


def find_submission_shown(
    connection: sa.Connection, account_id: int, product_id: int, submission_id: int
) -> Sequence[sa.Row[Any]]:
    """The submission with ``test_harness`` of its product, a row for each download (``file_type``, ``file_blob``,
    ``file_name``), or one row without; no row when there is no such submission.

    In one statement, so that status and downloads are of one moment (contract/observed.md 16).
    """
    ids = {"account_id": account_id, "product_id": product_id, "submission_id": submission_id}
    return _ONE_SHOWN.execute(connection, ids).all()


def list_submissions(
    connection: sa.Connection,
    account_id: int,
    product_id: int,
    *,
    limit: int | None = None,
    after: tuple[datetime, int] | None = None,
) -> Sequence[sa.Row[Any]]:
    """The product's submissions, newest first, ``limit`` at most, from behind ``after`` = (created_at, id) on."""
    query = sa.select(submissions).where(submissions.c.product_id == product_id, submissions.c.account_id == account_id)
    if after is not None:
        query = query.where(sa.tuple_(submissions.c.created_at, submissions.c.id) < sa.tuple_(*after))
    newest_first = submissions.c.created_at.desc(), submissions.c.id.desc()
    return connection.execute(query.order_by(*newest_first).limit(limit)).all()


def initial_submission(connection: sa.Connection, product_id: int) -> sa.Row[Any] | None:
    """The product's one initial submission."""
    return connection.execute(
        sa.select(submissions).where(submissions.c.product_id == product_id, submissions.c.type == "initial")
    ).one_or_none()


def products_of_extensions(connection: sa.Connection, product_ids: Sequence[int]) -> set[int]:
    """Which of these products have an extension INF in their initial submission."""
    query = sa.select(submissions.c.product_id).where(
        submissions.c.product_id.in_(product_ids), submissions.c.type == "initial", submissions.c.is_extension_inf
    )
    return set(connection.execute(query).scalars())


def is_processing(connection: sa.Connection, product_id: int) -> bool:
    """Does a workflow of one of the product's submissions run?"""
    running = sa.select(sa.literal(1)).where(
        submissions.c.product_id == product_id, submissions.c.state == WorkflowState.STARTED
    )
    return connection.execute(running.limit(1)).first() is not None


def rename_submission(connection: sa.Connection, submission_id: int, name: str) -> None:
    """Give a submission another name."""
    connection.execute(submissions.update().where(submissions.c.id == submission_id).values(name=name))


def mark_committed(
    connection: sa.Connection,
    submission_id: int,
    *,
    package_version: str,
    first_step: str,
    committed_by: str,
    now: datetime,
) -> bool:
    """Take the commit, once: False when the submission is not pending any more."""
    taken = connection.execute(
        submissions.update()
        .where(submissions.c.id == submission_id, submissions.c.commit_status == CommitStatus.PENDING)
        .values(
            commit_status=CommitStatus.RECEIVED,
            current_step=first_step,
            state=WorkflowState.STARTED,
            package_version=package_version,
            committed_by=committed_by,
            committed_at=now,
        )
    )
    if taken.rowcount != 1:
        return False
    product = sa.select(submissions.c.product_id).where(submissions.c.id == submission_id).scalar_subquery()
    connection.execute(products.update().where(products.c.id == product).values(is_committed=True, updated_at=now))
    return True


def is_open_for_upload(connection: sa.Connection, blob_key: str) -> bool:
    """May the package under this blob key still be written? Only until its submission is committed."""
    status = connection.execute(
        sa.select(submissions.c.commit_status).where(submissions.c.package_blob == blob_key)
    ).scalar_one_or_none()
    return status == CommitStatus.PENDING


def claim_step(connection: sa.Connection, submission_id: int, step: str) -> sa.Row[Any] | None:
    """Claim the running of a step: raises the fence, so that whoever claimed it before can no longer end it.

    Returns the row (with the product's and the account's columns that the steps need), or None when the submission does
    not stand at this step any more.
    """
    claimed = connection.execute(
        submissions.update()
        .where(
            submissions.c.id == submission_id,
            submissions.c.current_step == step,
            submissions.c.state == WorkflowState.STARTED,
        )
        .values(fence=submissions.c.fence + 1, commit_status=CommitStatus.COMPLETE)
    )
    if claimed.rowcount != 1:
        return None
    return connection.execute(
        sa.select(
            submissions,
            products.c.name.label("product_name"),
            products.c.shared_product_id,
            products.c.test_harness,
            products.c.attributes,
            accounts.c.name.label("account_name"),
            accounts.c.policy,
        )
        .join(products, products.c.id == submissions.c.product_id)
        .join(accounts, accounts.c.id == submissions.c.account_id)
        .where(submissions.c.id == submission_id)
    ).one()


def submitters_of(row: sa.Row[Any]) -> tuple[str, ...]:
    """The client or user ids of who made a submission and who committed it."""
    return tuple(sorted({each for each in (row.created_by, row.committed_by) if each}))


def step_results(connection: sa.Connection, submission_id: int) -> dict[str, Any]:
    """The results of the finished steps by their names."""
    rows = connection.execute(
        sa.select(submission_steps.c.step, submission_steps.c.result).where(
            submission_steps.c.submission_id == submission_id
        )
    )
    return {row.step: row.result for row in rows}


def examinations(connection: sa.Connection, submission_id: int) -> dict[str, str]:
    """What the examiner sealed, by the steps after which it did."""
    c = submission_steps.c
    rows = connection.execute(
        sa.select(c.step, c.examination).where(c.submission_id == submission_id, c.examination.is_not(None))
    )
    return {row.step: row.examination for row in rows}


def end_step(
    connection: sa.Connection,
    submission_id: int,
    step: str,
    *,
    fence: int,
    result: Mapping[str, Any],
    examination: str = "",
    changes: Mapping[str, Any],
    files: Iterable[tuple[str, str, str]] = (),
    now: datetime,
) -> bool:
    """End a step: store its result, move the row by ``changes`` and publish ``files`` = (download type, blob key, file
    name), of each type the first.

    All in the caller's one transaction, and only when ``fence`` is still the one that claimed the step: False
    otherwise, and nothing is stored. The end of the workflow, whichever it is, wakes the labels that wait for it.
    """
    moved = connection.execute(
        submissions.update()
        .where(submissions.c.id == submission_id, submissions.c.current_step == step, submissions.c.fence == fence)
        .values(**changes)
    )
    if moved.rowcount != 1:
        return False
    connection.execute(
        submission_steps.insert().values(
            submission_id=submission_id,
            step=step,
            result=dict(result),
            finished_at=now,
            examination=examination or None,
        )
    )
    published = {each.type for each in list_downloads(connection, submission_id)}
    for kind, blob, name in files:
        if kind not in published:
            add_download(connection, submission_id, kind, blob, name)
    if changes.get("state") in {WorkflowState.COMPLETED, WorkflowState.FAILED}:
        wake_labels_of(connection, submission_id)
    return True


def list_downloads(connection: sa.Connection, submission_id: int) -> Sequence[sa.Row[Any]]:
    """The submission's downloads."""
    return connection.execute(
        sa.select(downloads).where(downloads.c.submission_id == submission_id).order_by(downloads.c.type)
    ).all()


def add_download(connection: sa.Connection, submission_id: int, kind: str, blob: str, name: str) -> None:
    """Publish one more download of a submission."""
    connection.execute(downloads.insert().values(submission_id=submission_id, type=kind, blob=blob, name=name))


def is_unfinished(connection: sa.Connection, submission_id: int) -> bool:
    """Is the submission's workflow still under way?"""
    state = connection.execute(
        sa.select(submissions.c.state).where(submissions.c.id == submission_id)
    ).scalar_one_or_none()
    return state == WorkflowState.STARTED


def submissions_at(connection: sa.Connection, step: str) -> Sequence[sa.Row[Any]]:
    """The unfinished submissions that stand at a step, oldest first, with the names of product and account."""
    return connection.execute(
        sa.select(
            submissions,
            products.c.name.label("product_name"),
            products.c.test_harness,
            products.c.attributes,
            accounts.c.name.label("account_name"),
        )
        .join(products, products.c.id == submissions.c.product_id)
        .join(accounts, accounts.c.id == submissions.c.account_id)
        .where(submissions.c.current_step == step, submissions.c.state == WorkflowState.STARTED)
        .order_by(submissions.c.committed_at, submissions.c.id)
    ).all()


def unfinished_submissions(connection: sa.Connection) -> Sequence[int]:
    """The ids of the submissions whose workflow has not ended."""
    return (
        connection.execute(sa.select(submissions.c.id).where(submissions.c.state == WorkflowState.STARTED))
        .scalars()
        .all()
    )
