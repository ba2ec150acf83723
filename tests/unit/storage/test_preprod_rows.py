"""The row of a preproduction package is the truth: who sees it, who may move it, and when."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hwdash.storage.accounts import create_account, create_application
from hwdash.storage.database import Database
from hwdash.storage.preprod import (
    UPLOAD_LIFETIME,
    abandoned_uploads,
    begin_upload,
    claim_step,
    drop_upload,
    end_step,
    end_upload,
    find_asset,
    find_package,
    is_unfinished,
    list_assets,
    step_results,
    unfinished_packages,
)
from hwdash.vocabulary import Role, SigningStatus

NOW = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=7)
FIRST, SECOND = "packageInfoValidation", "preparation"
Row = sa.Row[Any]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    with database.writing() as connection:
        yield connection
    database.close()


@pytest.fixture
def uploading(connection: sa.Connection) -> Row:
    account = create_account(connection, "Vendor", NOW)
    application = create_application(connection, account.id, "CI", [Role.MANAGER], NOW)
    return begin_upload(connection, account_id=account.id, created_by=application.client_id, now=NOW)


@pytest.fixture
def package(connection: sa.Connection, uploading: Row) -> Row:
    row = show(connection, uploading)
    assert row is not None
    return row


def show(connection: sa.Connection, row: Row) -> Row | None:
    return end_upload(connection, row.id, package_version="1", first_step=FIRST, now=NOW)


def end(connection: sa.Connection, row: Row, fence: int, **changes: object) -> bool:
    return end_step(
        connection,
        row.id,
        FIRST,
        fence=fence,
        result={"by": fence},
        changes=changes,
        assets=[("SignedFilesZip", "key", "name.zip", "ab" * 32)],
        now=LATER,
    )


def test_nobody_sees_an_upload_before_it_has_ended(connection: sa.Connection, uploading: Row) -> None:
    assert find_package(connection, uploading.account_id, uploading.id) is None
    assert not is_unfinished(connection, uploading.id)
    assert list(unfinished_packages(connection)) == []
    assert claim_step(connection, uploading.id, FIRST, NOW) is None
    shown = show(connection, uploading)
    assert shown is not None
    assert (shown.signing_status, shown.current_step, shown.package_version) == ("NotStarted", FIRST, "1")
    assert find_package(connection, uploading.account_id, uploading.id) == shown
    assert list(unfinished_packages(connection)) == [uploading.id]


def test_an_upload_ends_once(connection: sa.Connection, package: Row) -> None:
    assert show(connection, package) is None


def test_an_upload_that_came_to_nothing_is_forgotten_and_a_package_is_not(
    connection: sa.Connection, uploading: Row
) -> None:
    other = begin_upload(connection, account_id=uploading.account_id, created_by="x", now=NOW)
    show(connection, other)
    assert drop_upload(connection, uploading.id)
    assert drop_upload(connection, uploading.id)  # and once more, when it is gone
    assert show(connection, uploading) is None
    assert not drop_upload(connection, other.id)
    assert find_package(connection, other.account_id, other.id) is not None


def test_only_uploads_of_another_day_were_abandoned(connection: sa.Connection, uploading: Row) -> None:
    assert list(abandoned_uploads(connection, NOW + UPLOAD_LIFETIME)) == []
    later = NOW + UPLOAD_LIFETIME + timedelta(seconds=1)
    assert [each.id for each in abandoned_uploads(connection, later)] == [uploading.id]
    show(connection, uploading)
    assert list(abandoned_uploads(connection, later)) == []


def test_another_account_has_no_such_package(connection: sa.Connection, package: Row) -> None:
    other = create_account(connection, "Other", NOW)
    assert find_package(connection, other.id, package.id) is None


def test_the_first_claim_says_processing_and_later_ones_change_no_time(connection: sa.Connection, package: Row) -> None:
    first = claim_step(connection, package.id, FIRST, LATER)
    assert first is not None
    assert (first.signing_status, first.modified_at, first.fence, first.account_name) == (
        SigningStatus.PROCESSING, LATER, 1, "Vendor",
    )  # fmt: skip
    second = claim_step(connection, package.id, FIRST, LATER + timedelta(hours=1))
    assert second is not None
    assert (second.modified_at, second.fence) == (LATER, 2)


def test_a_package_is_claimed_where_it_stands_only(connection: sa.Connection, package: Row) -> None:
    assert claim_step(connection, package.id, SECOND, NOW) is None
    claim_step(connection, package.id, FIRST, NOW)
    assert end(connection, package, 1, current_step=SECOND)
    assert claim_step(connection, package.id, FIRST, NOW) is None
    assert step_results(connection, package.id) == {FIRST: {"by": 1}}


def test_of_two_runs_the_later_claim_ends_the_step(connection: sa.Connection, package: Row) -> None:
    claim_step(connection, package.id, FIRST, NOW)
    claim_step(connection, package.id, FIRST, NOW)
    assert not end(connection, package, 1, current_step=SECOND)
    assert step_results(connection, package.id) == {}
    assert list(list_assets(connection, package.id, limit=9)) == []
    assert end(connection, package, 2, current_step=SECOND)
    assert step_results(connection, package.id) == {FIRST: {"by": 2}}


@pytest.mark.parametrize("status", [SigningStatus.SUCCEEDED, SigningStatus.FAILED])
def test_an_ended_package_stays_ended(connection: sa.Connection, package: Row, status: SigningStatus) -> None:
    claim_step(connection, package.id, FIRST, NOW)
    assert is_unfinished(connection, package.id)
    assert end(connection, package, 1, signing_status=status)
    assert not is_unfinished(connection, package.id)
    assert claim_step(connection, package.id, FIRST, NOW) is None
    assert not end(connection, package, 1, signing_status=SigningStatus.SUCCEEDED)


def test_an_asset_belongs_to_its_package(connection: sa.Connection, package: Row) -> None:
    claim_step(connection, package.id, FIRST, NOW)
    end(connection, package, 1, signing_status=SigningStatus.SUCCEEDED)
    (asset,) = list_assets(connection, package.id, limit=9)
    assert (asset.type, asset.blob, asset.name, asset.sha256) == ("SignedFilesZip", "key", "name.zip", "ab" * 32)
    assert asset.created_at == LATER
    assert find_asset(connection, package.id, asset.id) == asset
    assert find_asset(connection, package.id + 1000, asset.id) is None
    assert list(list_assets(connection, package.id, limit=9, after=(asset.created_at, asset.id))) == []
