"""Queries over preproduction packages, the results of their steps, and their assets."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hwdash.domain.identifiers import new_blob_key, new_long_id
from hwdash.storage.tables import accounts, preprod_assets, preprod_packages, preprod_steps
from hwdash.vocabulary import SigningStatus

UPLOAD_LIFETIME = timedelta(days=1)
"""An upload that has not ended by then was cut off by a crash."""

_UNFINISHED = (SigningStatus.NOT_STARTED, SigningStatus.PROCESSING)


def begin_upload(connection: sa.Connection, *, account_id: int, created_by: str, now: datetime) -> sa.Row[Any]:
    """Store a new package, which nobody sees until ``end_upload``, under a random id; its row.

    Raises sqlalchemy.exc.IntegrityError when the id is taken, once in 10^15.
    """
    return connection.execute(
        preprod_packages.insert()
        .values(
            id=new_long_id(),
            account_id=account_id,
            fence=0,
            package_blob=new_blob_key(),
            created_by=created_by,
            created_at=now,
            modified_at=now,
        )
        .returning(*preprod_packages.c)
    ).one()


def end_upload(
    connection: sa.Connection, package_id: int, *, package_version: str, first_step: str, now: datetime
) -> sa.Row[Any] | None:
    """Show the package, which stands at its first step; None when the upload was given up meanwhile."""
    return connection.execute(
        preprod_packages.update()
        .where(preprod_packages.c.id == package_id, preprod_packages.c.signing_status.is_(None))
        .values(
            signing_status=SigningStatus.NOT_STARTED,
            current_step=first_step,
            package_version=package_version,
            modified_at=now,
        )
        .returning(*preprod_packages.c)
    ).one_or_none()


def drop_upload(connection: sa.Connection, package_id: int) -> bool:
    """Forget an upload that came to nothing. False when it has become a package after all."""
    this = preprod_packages.c.id == package_id
    connection.execute(preprod_packages.delete().where(this, preprod_packages.c.signing_status.is_(None)))
    return connection.execute(sa.select(preprod_packages.c.id).where(this)).first() is None


def abandoned_uploads(connection: sa.Connection, now: datetime) -> Sequence[sa.Row[Any]]:
    """The uploads that a crash cut off."""
    return connection.execute(
        sa.select(preprod_packages).where(
            preprod_packages.c.signing_status.is_(None), preprod_packages.c.created_at < now - UPLOAD_LIFETIME
        )
    ).all()


def find_package(connection: sa.Connection, account_id: int, package_id: int) -> sa.Row[Any] | None:
    """The package, None when this account has none of the id."""
    return connection.execute(
        sa.select(preprod_packages).where(
            preprod_packages.c.id == package_id,
            preprod_packages.c.account_id == account_id,
            preprod_packages.c.signing_status.is_not(None),
        )
    ).one_or_none()


def list_assets(
    connection: sa.Connection, package_id: int, *, limit: int, after: tuple[datetime, int] | None = None
) -> Sequence[sa.Row[Any]]:
    """The package's assets, oldest first, ``limit`` at most, from behind ``after`` = (created_at, id) on."""
    query = sa.select(preprod_assets).where(preprod_assets.c.package_id == package_id)
    if after is not None:
        query = query.where(sa.tuple_(preprod_assets.c.created_at, preprod_assets.c.id) > sa.tuple_(*after))
    return connection.execute(query.order_by(preprod_assets.c.created_at, preprod_assets.c.id).limit(limit)).all()


def find_asset(connection: sa.Connection, package_id: int, asset_id: int) -> sa.Row[Any] | None:
    """The asset, None when it is not one of this package."""
    return connection.execute(
        sa.select(preprod_assets).where(preprod_assets.c.id == asset_id, preprod_assets.c.package_id == package_id)
    ).one_or_none()


def claim_step(connection: sa.Connection, package_id: int, step: str, now: datetime) -> sa.Row[Any] | None:
    """Claim the running of a step, as storage/submissions.py does, and call the package Processing.

    Returns the row, with the account's name; None when the package does not stand at this step any more.
    """
    status = preprod_packages.c.signing_status
    claimed = connection.execute(
        preprod_packages.update()
        .where(preprod_packages.c.id == package_id, preprod_packages.c.current_step == step, status.in_(_UNFINISHED))
        .values(
            fence=preprod_packages.c.fence + 1,
            signing_status=SigningStatus.PROCESSING,
            modified_at=sa.case((status == SigningStatus.PROCESSING, preprod_packages.c.modified_at), else_=now),
        )
    )
    if claimed.rowcount != 1:
        return None
    return connection.execute(
        sa.select(preprod_packages, accounts.c.name.label("account_name"))
        .join(accounts, accounts.c.id == preprod_packages.c.account_id)
        .where(preprod_packages.c.id == package_id)
    ).one()


def step_results(connection: sa.Connection, package_id: int) -> dict[str, Any]:
    """The results of the finished steps by their names."""
    rows = connection.execute(
        sa.select(preprod_steps.c.step, preprod_steps.c.result).where(preprod_steps.c.package_id == package_id)
    )
    return {row.step: row.result for row in rows}


def examinations(connection: sa.Connection, package_id: int) -> dict[str, str]:
    """What the examiner sealed, by the steps after which it did."""
    c = preprod_steps.c
    rows = connection.execute(
        sa.select(c.step, c.examination).where(c.package_id == package_id, c.examination.is_not(None))
    )
    return {row.step: row.examination for row in rows}


def end_step(
    connection: sa.Connection,
    package_id: int,
    step: str,
    *,
    fence: int,
    result: Mapping[str, Any],
    examination: str = "",
    changes: Mapping[str, Any],
    assets: Iterable[tuple[str, str, str, str]] = (),
    now: datetime,
) -> bool:
    """End a step: store its result, move the row by ``changes`` and publish ``assets`` = (type, blob key, file name,
    SHA-256 in hex).

    All in the caller's one transaction, and only when ``fence`` is still the one that claimed the step: False
    otherwise, and nothing is stored.
    """
    moved = connection.execute(
        preprod_packages.update()
        .where(
            preprod_packages.c.id == package_id,
            preprod_packages.c.current_step == step,
            preprod_packages.c.signing_status == SigningStatus.PROCESSING,
            preprod_packages.c.fence == fence,
        )
        .values(**changes)
    )
    if moved.rowcount != 1:
        return False
    connection.execute(
        preprod_steps.insert().values(
            package_id=package_id, step=step, result=dict(result), finished_at=now, examination=examination or None
        )
    )
    for kind, blob, name, sha256 in assets:
        connection.execute(
            preprod_assets.insert().values(
                id=new_long_id(),
                package_id=package_id,
                type=kind,
                blob=blob,
                name=name,
                sha256=sha256,
                created_at=now,
            )
        )
    return True


def is_unfinished(connection: sa.Connection, package_id: int) -> bool:
    """Is the package's workflow still under way?"""
    status = connection.execute(
        sa.select(preprod_packages.c.signing_status).where(preprod_packages.c.id == package_id)
    ).scalar_one_or_none()
    return status in _UNFINISHED


def unfinished_packages(connection: sa.Connection) -> Sequence[int]:
    """The ids of the packages whose workflow has not ended."""
    return (
        connection.execute(sa.select(preprod_packages.c.id).where(preprod_packages.c.signing_status.in_(_UNFINISHED)))
        .scalars()
        .all()
    )
