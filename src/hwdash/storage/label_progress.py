"""Queries that move a shipping label: the claim of a step, its end, what becomes of the rows, and the wakes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hwdash.storage.label_tables import label_chids, label_hardware_ids, shipping_labels
from hwdash.storage.tables import accounts, products, submissions
from hwdash.vocabulary import LIVE_STATES, DistributionState, LabelStep, WorkflowState

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""A wake_at that has come by every clock."""
WAKES_A_ROUND = 100

_UNFINISHED = (WorkflowState.NOT_STARTED, WorkflowState.STARTED)
_ANY_LABEL = (
    sa.select(
        shipping_labels,
        shipping_labels.c.state.in_(_UNFINISHED).label("is_unfinished"),
        products.c.name.label("product_name"),
        accounts.c.name.label("account_name"),
        accounts.c.policy,
    )
    .join(products, products.c.id == shipping_labels.c.product_id)
    .join(accounts, accounts.c.id == shipping_labels.c.account_id)
)


def claim_label_step(connection: sa.Connection, label_id: int, step: str) -> sa.Row[Any] | None:
    """Take the running of a step for this transaction: who comes at the same time waits, and finds it done.

    Returns the row of the label with ``submission_state``, ``is_extension_inf``, ``is_deprecated``, ``recalled_at``,
    ``attributes``, ``test_harness`` and ``policy`` of its submission, product and account; None when the label does not
    stand at this step.
    Whatever would have woken it is known to the row that is returned, so its wake_at is taken away.
    """
    claimed = connection.execute(
        shipping_labels.update()
        .where(
            shipping_labels.c.id == label_id,
            shipping_labels.c.current_step == step,
            shipping_labels.c.state.in_(_UNFINISHED),
        )
        .values(state=WorkflowState.STARTED, wake_at=None)
    )
    if claimed.rowcount != 1:
        return None
    return connection.execute(
        sa.select(
            shipping_labels,
            submissions.c.state.label("submission_state"),
            submissions.c.is_extension_inf,
            submissions.c.is_deprecated,
            submissions.c.recalled_at,
            products.c.attributes,
            products.c.test_harness,
            accounts.c.policy,
        )
        .join(submissions, submissions.c.id == shipping_labels.c.submission_id)
        .join(products, products.c.id == shipping_labels.c.product_id)
        .join(accounts, accounts.c.id == shipping_labels.c.account_id)
        .where(shipping_labels.c.id == label_id)
    ).one()


def move_label(connection: sa.Connection, label_id: int, changes: Mapping[str, Any]) -> None:
    """Change columns of a label whose step is claimed."""
    connection.execute(shipping_labels.update().where(shipping_labels.c.id == label_id).values(**changes))


def lock_label(connection: sa.Connection, label_id: int) -> sa.Row[Any] | None:
    """Keep its workflow from moving the label until this transaction ends. Returns its row with ``is_unfinished`` and
    its account's ``policy``; None when there is none.
    """
    connection.execute(
        shipping_labels.update().where(shipping_labels.c.id == label_id).values(wakes=shipping_labels.c.wakes)
    )
    query = _ANY_LABEL.where(shipping_labels.c.id == label_id)
    return connection.execute(query).one_or_none()


def find_any_label(connection: sa.Connection, label_id: int) -> sa.Row[Any] | None:
    """The label of any account, as ``lock_label`` returns it."""
    return connection.execute(_ANY_LABEL.where(shipping_labels.c.id == label_id)).one_or_none()


def labels_with_approval(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The unfinished labels whose approval was asked for, oldest first, as ``lock_label`` returns them."""
    return _unfinished_with(connection, shipping_labels.c.approval)


def labels_with_rollout(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The unfinished labels with a gradual rollout, oldest first, as ``lock_label`` returns them."""
    return _unfinished_with(connection, shipping_labels.c.rollout)


def _unfinished_with(connection: sa.Connection, column: sa.Column[Any]) -> Sequence[sa.Row[Any]]:
    query = _ANY_LABEL.where(shipping_labels.c.state.in_(_UNFINISHED), column.is_not(None))
    return connection.execute(query.order_by(shipping_labels.c.step_since, shipping_labels.c.id)).all()


def is_label_unfinished(connection: sa.Connection, label_id: int) -> bool:
    """Is a run of the label under way?"""
    state = connection.execute(sa.select(shipping_labels.c.state).where(shipping_labels.c.id == label_id))
    return state.scalar_one_or_none() in _UNFINISHED


def adds_hardware_ids(connection: sa.Connection, label_id: int) -> bool:
    """Does the label's run add hardware ids that are not live yet?"""
    return _has_hardware_ids(connection, label_id, DistributionState.PENDING_ADD)


def chids_in(connection: sa.Connection, label_id: int, *states: DistributionState) -> list[str]:
    """The label's CHIDs in these states, in order."""
    table = label_chids
    query = sa.select(table.c.chid).where(table.c.label_id == label_id, table.c.state.in_(states))
    return list(connection.execute(query.order_by(table.c.chid)).scalars())


def go_live(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> dict[str, Any]:
    """Let machines see what this run asked for; returns the columns of the label that change with it."""
    _move_hardware_ids(connection, label.id, DistributionState.PENDING_ADD, DistributionState.ADDED)
    _move_hardware_ids(connection, label.id, DistributionState.PENDING_REMOVE, DistributionState.NOT_SET)
    _move_chids(connection, label.id, DistributionState.PENDING_ADD, DistributionState.ADDED)
    _drop_chids(connection, label.id, DistributionState.PENDING_REMOVE)
    is_live = _has_hardware_ids(connection, label.id, *LIVE_STATES)
    return {
        "live_targeting": label.targeting if is_live else None,
        "published_at": label.published_at or now,
    }


def take_back(connection: sa.Connection, label: sa.Row[Any]) -> dict[str, Any]:
    """Undo what this run asked for and has not reached; what was live stays so. Returns the columns that change."""
    _move_hardware_ids(connection, label.id, DistributionState.PENDING_ADD, DistributionState.NOT_SET)
    _move_hardware_ids(connection, label.id, DistributionState.PENDING_REMOVE, DistributionState.ADDED)
    _drop_chids(connection, label.id, DistributionState.PENDING_ADD)
    _move_chids(connection, label.id, DistributionState.PENDING_REMOVE, DistributionState.ADDED)
    return {} if label.live_targeting is None else {"targeting": label.live_targeting}


def expire(connection: sa.Connection, label: sa.Row[Any]) -> dict[str, Any]:
    """End the entire label: nothing of it is offered any more. Returns the columns that change."""
    states = (DistributionState.PENDING_ADD, *LIVE_STATES)
    _move_hardware_ids(connection, label.id, states, DistributionState.NOT_SET)
    _drop_chids(connection, label.id, *states)
    return {"live_targeting": None}


def wake_labels_of(connection: sa.Connection, submission_id: int) -> None:
    """A submission's workflow has ended: the labels that wait for it look at it."""
    connection.execute(
        shipping_labels.update()
        .where(shipping_labels.c.submission_id == submission_id, shipping_labels.c.state.in_(_UNFINISHED))
        .values(wake_at=AT_ONCE)
    )


def wake_held_labels(connection: sa.Connection, account_id: int | None = None) -> None:
    """The release calendar has changed, or whether an account heeds it: the labels that wait for a day look anew."""
    table = shipping_labels.c
    waits = [table.current_step == LabelStep.MICROSOFT_APPROVAL, table.state == WorkflowState.STARTED]
    if account_id is not None:
        waits.append(table.account_id == account_id)
    connection.execute(shipping_labels.update().where(*waits, table.rollout.is_(None)).values(wake_at=AT_ONCE))


def is_label_due(connection: sa.Connection, now: datetime) -> bool:
    """Does the wait of a label end?"""
    due = sa.select(sa.literal(1)).where(shipping_labels.c.wake_at <= now)
    return connection.execute(due.limit(1)).first() is not None


def take_due_labels(connection: sa.Connection, now: datetime) -> Sequence[sa.Row[Any]]:
    """End the waits that are over, some at a time: (id, destination, run, wakes) of each label.

    However many ask at the same time, each wait is returned to one of them: with PostgreSQL the later one waits for the
    row, looks again and finds no wake_at.
    """
    due = sa.select(shipping_labels.c.id).where(shipping_labels.c.wake_at <= now)
    return connection.execute(
        shipping_labels.update()
        .where(
            shipping_labels.c.id.in_(due.order_by(shipping_labels.c.wake_at).limit(WAKES_A_ROUND)),
            shipping_labels.c.wake_at <= now,
        )
        .values(wake_at=None, wakes=shipping_labels.c.wakes + 1)
        .returning(shipping_labels.c.id, shipping_labels.c.destination, shipping_labels.c.run, shipping_labels.c.wakes)
    ).all()


def _move_hardware_ids(
    connection: sa.Connection, label_id: int, old: DistributionState | tuple[DistributionState, ...], new: str
) -> None:
    table = label_hardware_ids
    states = old if isinstance(old, tuple) else (old,)
    connection.execute(table.update().where(table.c.label_id == label_id, table.c.state.in_(states)).values(state=new))


def _move_chids(connection: sa.Connection, label_id: int, old: DistributionState, new: str) -> None:
    table = label_chids
    connection.execute(table.update().where(table.c.label_id == label_id, table.c.state == old).values(state=new))


def _drop_chids(connection: sa.Connection, label_id: int, *states: DistributionState) -> None:
    table = label_chids
    connection.execute(table.delete().where(table.c.label_id == label_id, table.c.state.in_(states)))


def _has_hardware_ids(connection: sa.Connection, label_id: int, *states: DistributionState) -> bool:
    table = label_hardware_ids
    query = sa.select(sa.literal(1)).where(table.c.label_id == label_id, table.c.state.in_(states))
    return connection.execute(query.limit(1)).first() is not None
