"""What an account has of another's driver: a product and a submission of its own (contract/dashboard.md 22, 135, 137,
141).

A copy has ids of its own and the author's shared product id. It has the downloads that a partner may have, by the same
blobs, and what of the driver is shared: of a receiver's copy the rows that the label shares, of a read-only one all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.identifiers import new_blob_key, new_long_id, new_product_id
from hwdash.domain.product import PUBLISHER, READ_ONLY
from hwdash.domain.targets import DriverRow
from hwdash.storage.driver_rows import write_missing_driver_rows
from hwdash.storage.label_tables import driver_infs, driver_rows, label_hardware_ids
from hwdash.storage.labels import add_readers
from hwdash.storage.product_search import remember_signatures
from hwdash.storage.submissions import initial_submission
from hwdash.storage.tables import downloads, product_hardware_ids, products, submissions
from hwdash.vocabulary import DistributionState, DownloadType

# What a partner gets; of the metadata a receiver asks for its own part.
_OF_RECEIVERS = (DownloadType.SIGNED_PACKAGE, DownloadType.DERIVED_PACKAGE, DownloadType.CERTIFICATION_REPORT)
_OF_READERS = (DownloadType.SIGNED_PACKAGE, DownloadType.CERTIFICATION_REPORT, DownloadType.DRIVER_METADATA)
_SHARED = (DistributionState.PENDING_ADD, DistributionState.ADDED)
_LABEL_ROW = [label_hardware_ids.c[name] == driver_rows.c[name] for name in DriverRow._fields]


def share(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> int:
    """Give the label's receiver what the label shares by now; returns the id of the submission that it has so.

    What it had before and is not the same becomes deprecated, and a new product with a new submission stands beside it.
    """
    former: int | None = label.received_submission_id
    enforces_chids = bool(label.specifications.get("enforceChidTargeting"))
    if former is not None and _has_the_rows(connection, former, label.id):
        return former
    made = _copy(
        connection,
        label.submission_id,
        account_id=label.receiver_id,
        origin_type=PUBLISHER,
        files=_OF_RECEIVERS,
        changes={"source_label_id": label.id, "enforces_chids": enforces_chids},
        now=now,
    )
    shared = sa.select(*_columns_of(made.id)).join(label_hardware_ids, sa.and_(*_LABEL_ROW))
    shared = shared.where(label_hardware_ids.c.label_id == label.id, label_hardware_ids.c.state.in_(_SHARED))
    _copy_rows(connection, made, label.submission_id, shared)
    if former is not None:
        _deprecate(connection, former, made, now)
    return int(made.id)


def ensure_reader(connection: sa.Connection, label: sa.Row[Any], account_id: int, now: datetime) -> None:
    """Let an account read the label, and the driver: a read-only copy, unless the account has the driver anyway.

    The label's submission has finished.
    """
    source = connection.execute(
        sa.select(submissions.c.account_id, products.c.source_publisher_id)
        .join(products, products.c.id == submissions.c.product_id)
        .where(submissions.c.id == label.submission_id)
        # Two labels at once make one copy.
        .with_for_update(of=submissions)
    ).one()
    if account_id == source.account_id:
        return
    add_readers(connection, label.id, [account_id])
    if account_id == source.source_publisher_id or _has_a_copy(connection, label.submission_id, account_id):
        return
    made = _copy(
        connection,
        label.submission_id,
        account_id=account_id,
        origin_type=READ_ONLY,
        files=_OF_READERS,
        changes={"source_label_id": label.id, "enforces_chids": False},
        now=now,
    )
    _copy_rows(connection, made, label.submission_id, sa.select(*_columns_of(made.id)))


def find_copy(
    connection: sa.Connection, account_id: int, *, seller_id: int, product_id: int, submission_id: int
) -> sa.Row[int, int] | None:
    """The (product_id, id) that the account has of a submission of another account; the one that counts today."""
    return connection.execute(
        sa.select(submissions.c.product_id, submissions.c.id)
        .join(products, products.c.id == submissions.c.product_id)
        .where(
            submissions.c.account_id == account_id,
            submissions.c.source_submission_id == submission_id,
            products.c.source_product_id == product_id,
            products.c.source_publisher_id == seller_id,
        )
        # A receiver's copy can do more than one that is read only.
        .order_by(submissions.c.is_deprecated, products.c.origin_type, submissions.c.created_at.desc())
        .limit(1)
    ).one_or_none()


def original_submission(connection: sa.Connection, submission_id: int) -> int:
    """The author's submission behind a copy, or behind a copy of one; of the author's own itself."""
    found = submission_id
    while True:
        source = connection.execute(
            sa.select(submissions.c.source_submission_id).where(submissions.c.id == found)
        ).scalar_one_or_none()
        if source is None:
            return found
        found = source


def limit_to_the_shared(connection: sa.Connection, submission_id: int) -> None:
    """Of a driver update that a receiver made of a shared driver: what its labels can target is what was shared,
    whatever its package holds besides; and they need CHIDs where those of the shared one do.
    """
    row = connection.execute(sa.select(submissions).where(submissions.c.id == submission_id)).one()
    initial = initial_submission(connection, row.product_id)
    if initial is None or initial.source_submission_id is None or initial.id == submission_id:
        return
    shared = driver_rows.alias()
    is_shared = sa.select(sa.literal(1)).where(
        shared.c.submission_id == initial.id,
        shared.c.os_code == driver_rows.c.os_code,
        shared.c.hardware_id == driver_rows.c.hardware_id,
    )
    connection.execute(driver_rows.delete().where(driver_rows.c.submission_id == submission_id, ~is_shared.exists()))
    changes = {"enforces_chids": initial.enforces_chids, "is_deprecated": initial.is_deprecated}
    connection.execute(submissions.update().where(submissions.c.id == submission_id).values(**changes))


def _copy(
    connection: sa.Connection,
    source_id: int,
    *,
    account_id: int,
    origin_type: str,
    files: Sequence[str],
    changes: Mapping[str, Any],
    now: datetime,
) -> sa.Row[Any]:
    """A new product and submission of the account, without rows of the driver.

    Raises sqlalchemy.exc.IntegrityError when an id is taken, once in 10^15: do it again.
    """
    source = connection.execute(sa.select(submissions).where(submissions.c.id == source_id)).one()
    product = connection.execute(sa.select(products).where(products.c.id == source.product_id)).one()
    product_id, submission_id = new_product_id(), new_long_id()
    connection.execute(
        products.insert().values(
            **dict(product._mapping)
            | {
                "id": product_id,
                "account_id": account_id,
                "origin_type": origin_type,
                "source_product_id": product.id,
                "source_publisher_id": product.account_id,
                "is_committed": True,
                "created_at": now,
                "updated_at": now,
            }
        )
    )
    remember_signatures(connection, product_id, product.attributes.get("requestedSignatures", ()))
    made = connection.execute(
        submissions.insert()
        .values(
            **dict(source._mapping)
            | {
                "id": submission_id,
                "product_id": product_id,
                "account_id": account_id,
                "messages": [],
                "fence": 0,
                # No bytes: the upload stays the author's.
                "package_blob": new_blob_key(),
                "package_version": None,
                # Nobody of this account made it.
                "created_by": "",
                "created_at": now,
                "committed_at": now,
                "finished_at": now,
                "source_submission_id": source_id,
                "is_deprecated": False,
            }
            | dict(changes)
        )
        .returning(*submissions.c)
    ).one()
    for file in connection.execute(
        sa.select(downloads).where(downloads.c.submission_id == source_id, downloads.c.type.in_(files))
    ).all():
        name = file.name.replace(str(source_id), str(submission_id))
        connection.execute(
            downloads.insert().values(submission_id=submission_id, type=file.type, blob=file.blob, name=name)
        )
    return made


def _columns_of(submission_id: int) -> list[sa.ColumnElement[Any]]:
    """The columns of driver_rows, for another submission."""
    other = sa.literal(submission_id, sa.BigInteger)
    return [other if column.name == "submission_id" else column for column in driver_rows.c]


def _copy_rows(connection: sa.Connection, made: sa.Row[Any], source_id: int, rows: sa.Select[Any]) -> None:
    write_missing_driver_rows(connection, source_id)
    other = sa.literal(made.id, sa.BigInteger)
    # Every INF: the signed package has them all, whatever of them is shared.
    infs = sa.select(*(other if column.name == "submission_id" else column for column in driver_infs.c))
    infs = infs.where(driver_infs.c.submission_id == source_id)
    connection.execute(driver_infs.insert().from_select([column.name for column in driver_infs.c], infs))
    rows = rows.where(driver_rows.c.submission_id == source_id)
    connection.execute(driver_rows.insert().from_select([column.name for column in driver_rows.c], rows))
    searched = sa.select(driver_rows.c.hardware_id, sa.literal(made.product_id, sa.BigInteger)).distinct()
    searched = searched.where(driver_rows.c.submission_id == made.id)
    connection.execute(product_hardware_ids.insert().from_select(["hardware_id", "product_id"], searched))


def _has_the_rows(connection: sa.Connection, submission_id: int, label_id: int) -> bool:
    """Has the submission exactly the rows that the label shares?"""
    wanted = sa.select(sa.func.count()).where(
        label_hardware_ids.c.label_id == label_id, label_hardware_ids.c.state.in_(_SHARED)
    )
    known = sa.select(sa.func.count()).where(driver_rows.c.submission_id == submission_id)
    both = (
        sa.select(sa.func.count())
        .select_from(sa.join(driver_rows, label_hardware_ids, sa.and_(*_LABEL_ROW)))
        .where(
            driver_rows.c.submission_id == submission_id,
            label_hardware_ids.c.label_id == label_id,
            label_hardware_ids.c.state.in_(_SHARED),
        )
    )
    counts = {connection.execute(query).scalar_one() for query in (wanted, known, both)}
    return len(counts) == 1


def _has_a_copy(connection: sa.Connection, source_id: int, account_id: int) -> bool:
    found = sa.select(sa.literal(1)).where(
        submissions.c.source_submission_id == source_id, submissions.c.account_id == account_id
    )
    return connection.execute(found.limit(1)).first() is not None


def _deprecate(connection: sa.Connection, former_id: int, made: sa.Row[Any], now: datetime) -> None:
    """A copy, and the updates that its account made of it: labels of them can only expire what they published."""
    product = sa.select(submissions.c.product_id).where(submissions.c.id == former_id).scalar_subquery()
    message = (
        f"Deprecated on {now:%Y-%m-%d}: the author changed what is shared. Labels of this submission can only expire; "
        f"use submission {made.id} of product {made.product_id}."
    )
    connection.execute(submissions.update().where(submissions.c.product_id == product).values(is_deprecated=True))
    connection.execute(submissions.update().where(submissions.c.id == former_id).values(messages=[message]))
