"""What machines would see of a label after its run, as the steps judge it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hwdash.storage.label_progress import chids_in
from hwdash.storage.label_tables import driver_infs, driver_rows, label_hardware_ids, shipping_labels
from hwdash.storage.tables import submissions
from hwdash.vocabulary import DistributionState, WorkflowState

EXTENSION = "extension"
APO = "audioprocessingobject"
CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Target:
    """A hardware id of one operating system in one INF; ``inf_class`` in lower case."""

    hardware_id: str
    os_code: str
    inf_class: str
    is_new: bool
    """It is this run that adds it."""


@dataclass(frozen=True, slots=True)
class Targets:
    """All that a label targets, when its run goes well."""

    rows: Sequence[Target]
    chids: Sequence[str]
    is_expiry: bool
    """The run only takes away: nobody is offered anything who was not before."""

    @property
    def new_rows(self) -> Sequence[Target]:
        """What this run adds; or all, where it offers to others what it targeted before."""
        return [row for row in self.rows if row.is_new] or self.rows


def targets_of(connection: sa.Connection, label: sa.Row[Any]) -> Targets:
    """What the label of a claimed step targets."""
    ids = label_hardware_ids
    found = connection.execute(
        sa.select(ids.c.hardware_id, ids.c.os_code, driver_infs.c.inf_class, ids.c.state)
        .outerjoin(
            driver_infs,
            sa.and_(
                driver_infs.c.submission_id == label.submission_id,
                driver_infs.c.bundle_id == ids.c.bundle_id,
                driver_infs.c.inf_id == ids.c.inf_id,
            ),
        )
        .where(ids.c.label_id == label.id, ids.c.state.in_((DistributionState.ADDED, DistributionState.PENDING_ADD)))
        .order_by(ids.c.bundle_id, ids.c.inf_id, ids.c.os_code, ids.c.hardware_id)
    )
    rows = [
        Target(hardware_id, os_code, (inf_class or "").lower(), state == DistributionState.PENDING_ADD)
        for hardware_id, os_code, inf_class, state in found
    ]
    kept = chids_in(connection, label.id, DistributionState.ADDED)
    new = chids_in(connection, label.id, DistributionState.PENDING_ADD)
    # To take the last CHID away is to offer the label to every machine.
    loses_all = not kept and not new and bool(chids_in(connection, label.id, DistributionState.PENDING_REMOVE))
    is_expiry = not rows or (
        label.targeting == label.live_targeting and not new and not loses_all and not any(row.is_new for row in rows)
    )
    return Targets(rows, sorted({*kept, *new}), is_expiry)


def with_base_driver(connection: sa.Connection, account_id: int, hardware_ids: Iterable[str]) -> set[str]:
    """Which of these hardware ids have a declarative base driver: in a finished submission of this account, or offered
    to machines by a label of any other.

    A base driver also serves the devices whose ids go on where its own end.
    """
    wanted = {each: list(beginnings(each)) for each in hardware_ids}
    candidates = sorted({each for parts in wanted.values() for each in parts})
    known: set[str] = set()
    for start in range(0, len(candidates), CHUNK):
        known.update(connection.scalars(_base_drivers(account_id, candidates[start : start + CHUNK])))
    return {each for each, parts in wanted.items() if not known.isdisjoint(parts)}


def beginnings(hardware_id: str) -> Iterator[str]:
    """A hardware id and what it begins with, part by part: ``pci\\ven_1&dev_2``, ``pci\\ven_1``."""
    yield hardware_id
    while "&" in hardware_id:
        hardware_id = hardware_id.rpartition("&")[0]
        yield hardware_id


def apo_hardware_ids(connection: sa.Connection, submission_id: int) -> set[str]:
    """What the INFs of the class AudioProcessingObject in a submission are for."""
    of_class = sa.func.lower(driver_infs.c.inf_class) == APO
    query = _inf_rows().where(driver_rows.c.submission_id == submission_id, of_class)
    return set(connection.scalars(query.distinct()))


def _inf_rows() -> sa.Select[Any]:
    return sa.select(driver_rows.c.hardware_id).join(
        driver_infs,
        sa.and_(
            driver_infs.c.submission_id == driver_rows.c.submission_id,
            driver_infs.c.bundle_id == driver_rows.c.bundle_id,
            driver_infs.c.inf_id == driver_rows.c.inf_id,
        ),
    )


def _base_drivers(account_id: int, hardware_ids: Sequence[str]) -> sa.Select[Any]:
    ids = label_hardware_ids
    is_offered = (
        sa.select(sa.literal(1))
        .join_from(ids, shipping_labels, shipping_labels.c.id == ids.c.label_id)
        .where(
            shipping_labels.c.submission_id == driver_rows.c.submission_id,
            shipping_labels.c.live_targeting.is_not(None),
            ids.c.hardware_id == driver_rows.c.hardware_id,
            ids.c.inf_id == driver_rows.c.inf_id,
            ids.c.state.in_((DistributionState.ADDED, DistributionState.PENDING_REMOVE)),
        )
        .exists()
    )
    return (
        _inf_rows()
        .join(submissions, submissions.c.id == driver_rows.c.submission_id)
        .where(
            driver_rows.c.hardware_id.in_(hardware_ids),
            sa.func.lower(driver_infs.c.inf_class) != EXTENSION,
            submissions.c.is_declarative_inf,
            submissions.c.state == WorkflowState.COMPLETED,
            sa.or_(submissions.c.account_id == account_id, is_offered),
        )
        .distinct()
    )
