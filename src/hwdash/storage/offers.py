"""What is published for given hardware ids: the candidates of distribution/offers.py, in one statement by index.

It begins at the ids that are asked for, and goes by keys from there: what it costs does not depend on how many ids are
published (bench/offers.py).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hwdash.storage.label_tables import (
    driver_infs,
    driver_rows,
    label_chids,
    label_hardware_ids,
    label_readers,
    shipping_labels,
)
from hwdash.storage.tables import audiences, products, submissions
from hwdash.vocabulary import LIVE_STATES, LabelDestination

_ACCOUNT = sa.bindparam("account_id", type_=sa.BigInteger)
_LABEL, _TARGET, _ROW, _INF = shipping_labels.c, label_hardware_ids.c, driver_rows.c, driver_infs.c
_SOURCE = submissions.alias("source")


def _is_live(state: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    # Not IN: SQLAlchemy would write its list anew each time.
    return sa.or_(*(state == each for each in LIVE_STATES))


def _chids(*conditions: sa.ColumnElement[bool], wanted: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Of the label's CHIDs that count."""
    rows = sa.select(wanted).where(label_chids.c.label_id == _LABEL.id, _is_live(label_chids.c.state))
    return rows.where(*conditions).correlate(shipping_labels)


_OWN_CHIDS = label_chids.c.chid.in_(sa.bindparam("chids", expanding=True))
_READS = sa.select(sa.literal(1)).where(label_readers.c.label_id == _LABEL.id, label_readers.c.account_id == _ACCOUNT)
_MAY_BE_TOLD = sa.or_(
    _LABEL.account_id == _ACCOUNT,
    # What a receiver made of the account's own driver.
    sa.and_(_SOURCE.c.account_id.is_not(None), _SOURCE.c.account_id == _ACCOUNT),
    _READS.correlate(shipping_labels).exists(),
)

# PostgreSQL plans each half by itself: what it saves in planning is more than all of the execution.
_TARGETS = (
    sa.select(
        _LABEL.id,
        _LABEL.name,
        _LABEL.product_id,
        _LABEL.submission_id,
        _LABEL.specifications,
        _LABEL.live_targeting,
        _LABEL.run,
        _LABEL.rollout,
        _LABEL.current_step,
        _LABEL.state.label("workflow_state"),
        (_LABEL.account_id == _ACCOUNT).label("is_own"),
        _MAY_BE_TOLD.label("may_be_told"),
        _TARGET.bundle_id,
        _TARGET.inf_id,
        _TARGET.os_code,
        _TARGET.hardware_id,
        _TARGET.state,
        _TARGET.run.label("added_by_run"),
        _chids(wanted=sa.literal(1)).exists().label("has_chids"),
        _chids(_OWN_CHIDS, wanted=sa.func.aggregate_strings(label_chids.c.chid, " "))
        .scalar_subquery()
        .label("own_chids"),
    )
    .select_from(label_hardware_ids)
    .join(shipping_labels, _LABEL.id == _TARGET.label_id)
    .join(submissions, submissions.c.id == _LABEL.submission_id)
    .outerjoin(_SOURCE, _SOURCE.c.id == submissions.c.source_submission_id)
    .where(
        _TARGET.hardware_id.in_(sa.bindparam("hardware_ids", expanding=True)),
        _LABEL.destination == LabelDestination.WINDOWS_UPDATE,
    )
    .cte("targets")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
_KEY = (_TARGETS.c.submission_id, _TARGETS.c.bundle_id, _TARGETS.c.inf_id)

# Built once: it is all that a request needs.
_CANDIDATES = (
    sa.select(
        *_TARGETS.c,
        _ROW.feature_score,
        _ROW.position,
        _INF.driver_date,
        _INF.driver_version,
        _INF.extension_id,
        products.c.attributes["isFlightSign"].as_boolean().label("is_flight_signed"),
    )
    .select_from(_TARGETS)
    .join(products, products.c.id == _TARGETS.c.product_id)
    .join(
        driver_rows,
        sa.and_(
            *(
                column == key
                for column, key in zip((_ROW.submission_id, _ROW.bundle_id, _ROW.inf_id), _KEY, strict=True)
            ),
            _ROW.os_code == _TARGETS.c.os_code,
            _ROW.hardware_id == _TARGETS.c.hardware_id,
        ),
    )
    .join(
        driver_infs,
        sa.and_(
            *(
                column == key
                for column, key in zip((_INF.submission_id, _INF.bundle_id, _INF.inf_id), _KEY, strict=True)
            )
        ),
    )
    # Of what it may not see an account learns what is offered, and that alone.
    .where(sa.or_(_is_live(_TARGETS.c.state), _TARGETS.c.may_be_told))
)


def find_candidates(
    connection: sa.Connection, account_id: int, hardware_ids: Sequence[str], chids: Sequence[str]
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """A row for each hardware id of ``hardware_ids`` (in lower case) that a label for Windows Update targets, for an OS
    code, with what the driver says of it.

    ``has_chids``: the label is for certain computers; ``own_chids``: which of ``chids`` it names, with blanks between,
    None for none. ``may_be_told``: the account may see the label; of another one there are live rows only.
    """
    values = {"account_id": account_id, "hardware_ids": list(hardware_ids), "chids": list(chids)}
    return connection.execute(_CANDIDATES, values).all()


def names_of_audiences(connection: sa.Connection, ids: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The names of those of some audiences that there are, by their ids: its own, and that of the key."""
    if not ids:
        return {}
    rows = connection.execute(sa.select(audiences).where(audiences.c.id.in_(sorted(ids))))
    return {row.id: frozenset({row.name, row.audience_name}) for row in rows}
