"""The row of a submission is the truth: who may move it, and when."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hwdash.storage.accounts import account, create_account, create_application
from hwdash.storage.database import SCHEMA_VERSION, Database, SchemaMismatch
from hwdash.storage.products import insert_product, list_products
from hwdash.storage.submissions import (
    claim_step,
    end_step,
    find_submission,
    insert_submission,
    is_open_for_upload,
    list_downloads,
    mark_committed,
    step_results,
)
from hwdash.storage.tables import metadata, schema_version
from hwdash.vocabulary import Role

NOW = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)
Row = sa.Row[Any]
FIRST, SECOND = "packageInfoValidation", "preparation"

TABLES_OF_VERSION_1 = {
    "accounts": "id tenant_id name policy created_at",
    "applications": "client_id account_id name roles created_at",
    "application_certificates": "thumbprint client_id certificate created_at",
    "application_secrets": "id client_id sha256 created_at expires_at",
    "downloads": "submission_id type blob name",
    "products": "id account_id shared_product_id name test_harness attributes is_committed created_at updated_at",
    "signing_certificates": "account_id thumbprint certificate subject kind not_after added_at",
    "submission_steps": "submission_id step result finished_at",
    "submissions": "id product_id account_id name type commit_status current_step state messages fence package_blob "
    "package_version is_extension_inf is_universal is_declarative_inf created_by created_at committed_at finished_at",
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    yield database
    database.close()


@pytest.fixture
def connection(database: Database) -> Iterator[sa.Connection]:
    with database.writing() as connection:
        yield connection


@pytest.fixture
def submission(connection: sa.Connection) -> Row:
    account = create_account(connection, "Vendor", NOW)
    application = create_application(connection, account.id, "CI", [Role.MANAGER], NOW)
    product = insert_product(
        connection, account_id=account.id, name="P", test_harness="attestation", attributes={}, now=NOW
    )
    return insert_submission(
        connection,
        product_id=product.id,
        account_id=account.id,
        name="S",
        kind="initial",
        created_by=application.client_id,
        now=NOW,
    )


def commit(connection: sa.Connection, submission_id: int) -> bool:
    return mark_committed(connection, submission_id, package_version="1", first_step=FIRST, committed_by="x", now=NOW)


def end(connection: sa.Connection, submission_id: int, fence: int, result: str) -> bool:
    return end_step(
        connection,
        submission_id,
        FIRST,
        fence=fence,
        result={"by": result},
        changes={"current_step": SECOND},
        files=[("driverMetadata", "key", "name")],
        now=NOW,
    )


def test_a_package_can_be_uploaded_until_the_commit(connection: sa.Connection, submission: Row) -> None:
    assert is_open_for_upload(connection, submission.package_blob)
    assert commit(connection, submission.id)
    assert not is_open_for_upload(connection, submission.package_blob)
    assert not is_open_for_upload(connection, "0" * 32)


def test_a_submission_is_committed_once(connection: sa.Connection, submission: Row) -> None:
    assert commit(connection, submission.id)
    assert not commit(connection, submission.id)


def test_no_step_can_be_claimed_before_the_commit(connection: sa.Connection, submission: Row) -> None:
    assert claim_step(connection, submission.id, FIRST) is None


def test_only_the_step_where_it_stands_can_be_claimed(connection: sa.Connection, submission: Row) -> None:
    commit(connection, submission.id)
    assert claim_step(connection, submission.id, SECOND) is None
    claimed = claim_step(connection, submission.id, FIRST)
    assert claimed is not None
    assert (claimed.fence, claimed.commit_status) == (1, "commitComplete")


def test_who_was_taken_over_cannot_end_the_step(connection: sa.Connection, submission: Row) -> None:
    commit(connection, submission.id)
    slow, quick = (claim_step(connection, submission.id, FIRST) for _ in range(2))
    assert slow is not None
    assert quick is not None
    assert not end(connection, submission.id, slow.fence, "slow")
    assert step_results(connection, submission.id) == {}
    assert end(connection, submission.id, quick.fence, "quick")
    assert not end(connection, submission.id, slow.fence, "slow")
    assert step_results(connection, submission.id) == {FIRST: {"by": "quick"}}
    assert [each.name for each in list_downloads(connection, submission.id)] == ["name"]


def test_a_download_that_an_earlier_step_published_stays_as_it_is(connection: sa.Connection, submission: Row) -> None:
    commit(connection, submission.id)
    claim_step(connection, submission.id, FIRST)
    assert end(connection, submission.id, 1, "first")
    claim_step(connection, submission.id, SECOND)
    files = [("driverMetadata", "other", "other"), ("signedPackage", "package", "signed")]
    done = {"state": "completed"}
    end_step(connection, submission.id, SECOND, fence=2, result={}, changes=done, files=files, now=NOW)
    assert [(each.type, each.blob) for each in list_downloads(connection, submission.id)] == [
        ("driverMetadata", "key"),
        ("signedPackage", "package"),
    ]


def test_a_product_has_one_initial_submission(connection: sa.Connection, submission: Row) -> None:
    with pytest.raises(IntegrityError):
        insert_submission(
            connection,
            product_id=submission.product_id,
            account_id=submission.account_id,
            name="again",
            kind="initial",
            created_by=submission.created_by,
            now=NOW,
        )


def test_another_account_does_not_find_it(connection: sa.Connection, submission: Row) -> None:
    other = create_account(connection, "Other", NOW)
    assert find_submission(connection, submission.account_id, submission.product_id, submission.id) is not None
    assert find_submission(connection, other.id, submission.product_id, submission.id) is None
    assert list_products(connection, other.id, limit=10) == []


def test_times_come_back_in_utc_to_the_microsecond(connection: sa.Connection, submission: Row) -> None:
    found = find_submission(connection, submission.account_id, submission.product_id, submission.id)
    assert found is not None
    assert found.created_at == NOW
    assert found.created_at.tzinfo is UTC


def test_pages_follow_one_another_without_gap_or_overlap(connection: sa.Connection, submission: Row) -> None:
    account_id = submission.account_id
    for number in range(6):
        insert_product(connection, account_id=account_id, name=str(number), test_harness="hlk", attributes={}, now=NOW)
    everything = [each.id for each in list_products(connection, account_id, limit=100)]
    walked, after = [], None
    while page := list_products(connection, account_id, limit=3, after=after):
        walked += [each.id for each in page]
        after = page[-1].created_at, page[-1].id
    assert walked == everything
    assert len(set(everything)) == 7


def test_a_database_of_a_later_version_is_refused(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(schema_version.update().values(version=99))
    with pytest.raises(SchemaMismatch, match="99"):
        database.create()


def test_an_older_database_gets_what_it_lacks_and_keeps_what_it_has(database: Database) -> None:
    with database.writing() as connection:
        made = create_account(connection, "Vendor", NOW)
        for statement in (
            "ALTER TABLE submissions DROP COLUMN finished_at",
            "DROP INDEX uq_submissions_one_initial",
            "DROP TABLE downloads",
            "CREATE TABLE creates (client_id VARCHAR(36) REFERENCES applications (client_id))",
            "UPDATE schema_version SET version = 1",
        ):
            connection.exec_driver_sql(statement)
    database.create()
    with database.reading() as connection:
        found = sa.inspect(connection)
        assert "finished_at" in {column["name"] for column in found.get_columns("submissions")}
        assert "uq_submissions_one_initial" in {index["name"] for index in found.get_indexes("submissions")}
        assert found.has_table("downloads")
        assert not found.has_table("creates")  # create_requests took its place
        assert account(connection, made.id) == made
        assert connection.execute(sa.select(schema_version.c.version)).scalar_one() == SCHEMA_VERSION


@pytest.mark.parametrize(("table", "columns"), TABLES_OF_VERSION_1.items())
def test_what_a_table_has_gained_can_be_added_to_one_with_rows(table: str, columns: str) -> None:
    gained = [column for column in metadata.tables[table].c if column.name not in columns.split()]
    assert [column.name for column in gained if not column.nullable and column.server_default is None] == []
