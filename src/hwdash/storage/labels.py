"""Queries over shipping labels and what they target.

Three kinds of account see a label: its own; the author of the driver, when a receiver made it for a copy; and who may
read it, through a read-only copy. Each sees it below its own submission.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.identifiers import new_long_id
from hwdash.domain.targets import DriverRow, TargetChanges
from hwdash.storage.label_tables import (
    driver_rows,
    label_chids,
    label_hardware_ids,
    label_readers,
    shipping_labels,
)
from hwdash.storage.tables import submissions
from hwdash.vocabulary import DistributionState, LabelStep, WorkflowState

FIRST_STEP = LabelStep.PRE_PROCESS_SHIPPING_LABEL
_HARDWARE_IDS, _CHIDS = label_hardware_ids.c, label_chids.c
_ROW = (_HARDWARE_IDS.bundle_id, _HARDWARE_IDS.inf_id, _HARDWARE_IDS.os_code, _HARDWARE_IDS.hardware_id)


def insert_label(
    connection: sa.Connection,
    *,
    account_id: int,
    product_id: int,
    submission_id: int,
    name: str,
    destination: str,
    specifications: Mapping[str, Any],
    targeting: Mapping[str, Any],
    justifications: Sequence[Mapping[str, str]],
    receiver_id: int | None,
    hardware_ids: Iterable[DriverRow] | None,
    chids: Iterable[str],
    created_by: str,
    now: datetime,
) -> sa.Row[Any]:
    """Store a new label under a random id and return its row. ``hardware_ids`` None: all that the submission has.

    Raises sqlalchemy.exc.IntegrityError when the id is taken, once in 10^15: do it again.
    """
    row = connection.execute(
        shipping_labels.insert()
        .values(
            id=new_long_id(),
            account_id=account_id,
            product_id=product_id,
            submission_id=submission_id,
            name=name,
            destination=destination,
            specifications=dict(specifications),
            targeting=dict(targeting),
            justifications=list(justifications),
            receiver_id=receiver_id,
            current_step=FIRST_STEP,
            state=WorkflowState.NOT_STARTED,
            messages=[],
            run=1,
            wakes=0,
            step_since=now,
            is_cancelled=False,
            created_by=created_by,
            created_at=now,
            updated_at=now,
        )
        .returning(*shipping_labels.c)
    ).one()
    if hardware_ids is None:
        _add_all(connection, row)
    else:
        _add(connection, row.id, row.run, hardware_ids)
    _add_chids(connection, row.id, chids)
    return row


def find_label(connection: sa.Connection, submission: sa.Row[Any], label_id: int) -> sa.Row[Any] | None:
    """The label, None when the account of this submission sees none below it."""
    query = sa.select(shipping_labels).where(shipping_labels.c.id == label_id, _seen_below(submission))
    return connection.execute(query).one_or_none()


def list_labels(
    connection: sa.Connection,
    submission: sa.Row[Any],
    *,
    limit: int | None = None,
    after: tuple[datetime, int] | None = None,
) -> Sequence[sa.Row[Any]]:
    """The labels that the account of this submission sees below it, newest first, ``limit`` at most, from behind
    ``after`` = (created_at, id) on.
    """
    table = shipping_labels.c
    query = sa.select(shipping_labels).where(_seen_below(submission))
    if after is not None:
        query = query.where(sa.tuple_(table.created_at, table.id) < sa.tuple_(*after))
    return connection.execute(query.order_by(table.created_at.desc(), table.id.desc()).limit(limit)).all()


def _seen_below(submission: sa.Row[Any]) -> sa.ColumnElement[bool]:
    table = shipping_labels.c
    copies = sa.select(submissions.c.id).where(submissions.c.source_submission_id == submission.id)
    seen = [table.submission_id == submission.id, table.submission_id.in_(copies)]
    if submission.source_submission_id is not None:
        may_read = sa.select(sa.literal(1)).where(
            label_readers.c.label_id == table.id, label_readers.c.account_id == submission.account_id
        )
        seen.append(sa.and_(table.submission_id == submission.source_submission_id, may_read.exists()))
    return sa.or_(*seen)


def hardware_ids_of(connection: sa.Connection, label_ids: Sequence[int]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The hardware ids of labels, in order: ``label_id``, the four columns of a DriverRow, ``state``."""
    query = (
        sa.select(_HARDWARE_IDS.label_id, *_ROW, _HARDWARE_IDS.state)
        .where(_HARDWARE_IDS.label_id.in_(label_ids))
        .order_by(_HARDWARE_IDS.label_id, *_ROW)
    )
    return connection.execute(query).all()


def states_of(connection: sa.Connection, label_id: int) -> dict[DriverRow, str]:
    """The states of a label's hardware ids, in no order."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(_marked(connection, _STATES), (label_id,))
        return {DriverRow(*row[:4]): row[4] for row in cursor.fetchall()}
    finally:
        cursor.close()


def chids_of(connection: sa.Connection, label_ids: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """The CHIDs of labels, in order: ``label_id``, ``chid``, ``state``."""
    query = sa.select(label_chids).where(_CHIDS.label_id.in_(label_ids)).order_by(_CHIDS.label_id, _CHIDS.chid)
    return connection.execute(query).all()


def change_label(
    connection: sa.Connection,
    label: sa.Row[Any],
    *,
    targeting: Mapping[str, Any],
    justifications: Sequence[Mapping[str, str]],
    changes: TargetChanges,
    now: datetime,
) -> int | None:
    """Change the targeting of a label and begin its next run: the number of that run, None when another request or the
    workflow was quicker and nothing was changed.
    """
    run: int = label.run + 1
    table = shipping_labels.c
    moved = connection.execute(
        shipping_labels.update()
        .where(
            table.id == label.id,
            table.run == label.run,
            table.current_step == label.current_step,
            table.state == label.state,
            table.is_cancelled == label.is_cancelled,
        )
        .values(
            targeting=dict(targeting),
            justifications=list(justifications),
            run=run,
            current_step=FIRST_STEP,
            state=WorkflowState.NOT_STARTED,
            messages=[],
            step_since=now,
            wake_at=None,
            approval=None,
            rollout=None,
            error_report=None,
            updated_at=now,
        )
    )
    if moved.rowcount != 1:
        return None
    _add(connection, label.id, run, changes.new)
    _change_states(connection, label.id, run, changes.changed)
    _add_chids(connection, label.id, changes.new_chids)
    if changes.changed_chids:
        chid = _CHIDS.chid == sa.bindparam("b_chid")
        update = label_chids.update().where(_CHIDS.label_id == label.id, chid).values(state=sa.bindparam("b_state"))
        values = [{"b_chid": chid, "b_state": state} for chid, state in changes.changed_chids.items()]
        connection.execute(update, values)
    if changes.dropped_chids:
        dropped = label_chids.delete().where(_CHIDS.label_id == label.id, _CHIDS.chid == sa.bindparam("b_chid"))
        connection.execute(dropped, [{"b_chid": chid} for chid in changes.dropped_chids])
    return run


def cancel_label(connection: sa.Connection, label_id: int, now: datetime) -> bool:
    """Write down that a label is to end; its workflow does it. False when the workflow has just gone on to where it
    cannot be cancelled, and nothing was written.
    """
    table = shipping_labels.c
    written = connection.execute(
        shipping_labels.update()
        .where(
            table.id == label_id,
            table.current_step == LabelStep.MICROSOFT_APPROVAL,
            table.state == WorkflowState.STARTED,
        )
        .values(is_cancelled=True, wake_at=now, updated_at=now)
    )
    return written.rowcount == 1


def add_readers(connection: sa.Connection, label_id: int, account_ids: Iterable[int]) -> None:
    """Let these accounts read the label; those that may already are left as they are."""
    known = sa.select(label_readers.c.account_id).where(label_readers.c.label_id == label_id)
    new = set(account_ids) - set(connection.execute(known).scalars())
    if new:
        values = [{"label_id": label_id, "account_id": each} for each in sorted(new)]
        connection.execute(label_readers.insert(), values)


# Texts for the driver itself: of tens of thousands of rows SQLAlchemy's own work takes longer than the database's.
_INSERT = (
    "INSERT INTO label_hardware_ids (label_id, bundle_id, inf_id, os_code, hardware_id, state, run) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SET_STATE = (
    "UPDATE label_hardware_ids SET state = ? "
    "WHERE label_id = ? AND bundle_id = ? AND inf_id = ? AND os_code = ? AND hardware_id = ?"
)
_SET_PENDING_ADD = (
    "UPDATE label_hardware_ids SET state = ?, run = ? "
    "WHERE label_id = ? AND bundle_id = ? AND inf_id = ? AND os_code = ? AND hardware_id = ?"
)


_STATES = "SELECT bundle_id, inf_id, os_code, hardware_id, state FROM label_hardware_ids WHERE label_id = ?"


def _marked(connection: sa.Connection, statement: str) -> str:
    return statement if connection.dialect.paramstyle == "qmark" else statement.replace("?", "%s")


def _many(connection: sa.Connection, statement: str, parameters: list[tuple[Any, ...]]) -> None:
    if parameters:
        connection.exec_driver_sql(_marked(connection, statement), parameters)


def _add(connection: sa.Connection, label_id: int, run: int, rows: Iterable[DriverRow]) -> None:
    state = str(DistributionState.PENDING_ADD)
    _many(connection, _INSERT, [(label_id, *row, state, run) for row in rows])


def _change_states(connection: sa.Connection, label_id: int, run: int, changed: Mapping[DriverRow, str]) -> None:
    """Give rows their states; what is to be added belongs to this run."""
    added = str(DistributionState.PENDING_ADD)
    others = [(str(state), label_id, *row) for row, state in changed.items() if state != added]
    _many(connection, _SET_STATE, others)
    _many(
        connection, _SET_PENDING_ADD, [(added, run, label_id, *row) for row, state in changed.items() if state == added]
    )


def _add_all(connection: sa.Connection, label: sa.Row[Any]) -> None:
    found = driver_rows.c
    columns = ["label_id", *DriverRow._fields, "state", "run"]
    every = sa.select(
        sa.literal(label.id, sa.BigInteger),
        *(found[name] for name in DriverRow._fields),
        sa.literal(str(DistributionState.PENDING_ADD)),
        sa.literal(label.run, sa.Integer),
    ).where(found.submission_id == label.submission_id)
    connection.execute(label_hardware_ids.insert().from_select(columns, every))


def _add_chids(connection: sa.Connection, label_id: int, chids: Iterable[str]) -> None:
    values = [{"label_id": label_id, "chid": chid, "state": DistributionState.PENDING_ADD} for chid in chids]
    if values:
        connection.execute(label_chids.insert(), values)
