"""What the workflow of preproduction packages makes of its row: what is signed for, and how it ends."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from hwdash.pipeline.fenced import sweep
from hwdash.pipeline.preprod import PREPROD, SYSTEMS, PreprodWorkflow, drop_abandoned_uploads
from hwdash.pipeline.work import Done, Resources, StepFailed, Work
from hwdash.settings import Settings
from hwdash.signing.process import SignerProcess
from hwdash.storage.accounts import create_account
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database
from hwdash.storage.preprod import (
    UPLOAD_LIFETIME,
    begin_upload,
    claim_step,
    end_step,
    end_upload,
    find_package,
    list_assets,
)
from hwdash.vocabulary import SigningStatus

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
X64 = ["WINDOWS_v100_X64_NI_FULL", "WINDOWS_v100_X64_GE_FULL"]
Steps = dict[str, Any]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    yield database
    database.close()


@pytest.fixture
def workflow(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> PreprodWorkflow:
    (tmp_path / "blobs").mkdir()
    blobs = BlobStore(tmp_path / "blobs", clock=lambda: NOW)
    unused = cast("SignerProcess", None)
    workflow = PreprodWorkflow(database, Resources(Settings(data=tmp_path), blobs, unused, clock=lambda: NOW))
    monkeypatch.setattr(workflow, "steps", dict.fromkeys(PREPROD.steps, lambda _: Done({"sha256": "ab" * 32})))
    return workflow


@pytest.fixture
def package_id(database: Database) -> int:
    with database.writing() as connection:
        account = create_account(connection, "Vendor", NOW)
        row = begin_upload(connection, account_id=account.id, created_by="x", now=NOW)
        end_upload(connection, row.id, package_version="1", first_step=PREPROD.steps[0], now=NOW)
        return int(row.id)


def row_of(database: Database, package_id: int) -> Any:
    with database.reading() as connection:
        return connection.exec_driver_sql(f"SELECT * FROM preprod_packages WHERE id = {package_id}").one()


def served(*codes: str) -> dict[str, Any]:
    """The result of preparation for a package of one INF that has devices for these OS codes."""
    infs = {"x.inf": {"OSPnPInfoMap": {code: {} for code in codes}}}
    return {"metadata": {"BundleInfoMap": {"b": {"InfInfoMap": infs}}}}


def work_after(workflow: PreprodWorkflow, database: Database, package_id: int, prepared: dict[str, Any]) -> Work:
    first, second = PREPROD.steps[:2]
    with database.writing() as connection:
        claimed = claim_step(connection, package_id, first, NOW)
        assert claimed is not None
        end_step(connection, package_id, first, fence=1, result={}, changes={"current_step": second}, now=NOW)
        claim_step(connection, package_id, second, NOW)
        third = PREPROD.steps[2]
        end_step(connection, package_id, second, fence=2, result=prepared, changes={"current_step": third}, now=NOW)
        work = workflow.claim(connection, package_id, third)
    assert work is not None
    return work


def test_packages_are_signed_for_clients_from_windows_11_22h2_on() -> None:
    assert sorted(SYSTEMS) == sorted([*X64, *(code.replace("X64", "ARM64") for code in X64)])


@pytest.mark.parametrize(
    ("codes", "signed_for"),
    [
        (["WINDOWS_v100_X64_RS5_FULL", *X64], X64),
        ([X64[1]], [X64[1]]),
        (["WINDOWS_v100_X64_RS5_FULL"], list(SYSTEMS)),  # refused by validation, which names each
    ],
)
def test_what_is_signed_for_is_what_the_infs_serve_of_it(
    workflow: PreprodWorkflow, database: Database, package_id: int, codes: list[str], signed_for: list[str]
) -> None:
    work = work_after(workflow, database, package_id, served(*codes))
    assert work.attributes == {"requestedSignatures": signed_for}
    assert (work.kind, work.product_id, work.package_name) == (
        "preproduction", 0, f"Preproduction_{package_id}.cab",
    )  # fmt: skip


def test_the_steps_lead_to_the_one_asset(workflow: PreprodWorkflow, database: Database, package_id: int) -> None:
    cast("Steps", workflow.steps)[PREPROD.steps[-1]] = lambda _: Done(
        {"sha256": "ab" * 32}, files=[("SignedFilesZip", "key", "name.zip")]
    )
    cast("Steps", workflow.steps)["preparation"] = lambda _: Done(served(*X64))
    outcomes = [str(workflow.run_step(package_id, step)) for step in PREPROD.steps]
    assert outcomes == ["next"] * (len(PREPROD.steps) - 1) + ["stop"]
    assert row_of(database, package_id).signing_status == SigningStatus.SUCCEEDED
    with database.reading() as connection:
        (asset,) = list_assets(connection, package_id, limit=9)
    assert asset.sha256 == "ab" * 32
    assert list(workflow.resources.workspaces.iterdir()) == []
    # And once more, as after a lost answer of the engine.
    assert str(workflow.run_step(package_id, PREPROD.steps[-1])) == "stop"


def test_a_refused_step_fails_the_package_with_every_finding(
    workflow: PreprodWorkflow, database: Database, package_id: int
) -> None:
    def refuse(_work: Work) -> Done:
        raise StepFailed(["ERROR one", "ERROR two"])

    cast("Steps", workflow.steps)[PREPROD.steps[0]] = refuse
    assert str(workflow.run_step(package_id, PREPROD.steps[0])) == "stop"
    row = row_of(database, package_id)
    assert (row.signing_status, row.error) == (SigningStatus.FAILED, "ERROR one\nERROR two")
    assert list(workflow.resources.workspaces.iterdir()) == []


def test_a_step_that_is_given_up_fails_the_package_and_not_its_maker(
    workflow: PreprodWorkflow, database: Database, package_id: int
) -> None:
    workflow.give_up(package_id, PREPROD.steps[0])
    row = row_of(database, package_id)
    assert row.signing_status == SigningStatus.FAILED
    assert "Nothing is known to be wrong with the package" in row.error


def test_the_sweep_keeps_the_workspaces_of_unfinished_packages(
    workflow: PreprodWorkflow, database: Database, package_id: int
) -> None:
    kept, gone = (workflow.resources.workspaces / name for name in (f"preprod-{package_id}", f"{package_id}"))
    for folder in (kept, gone):
        folder.mkdir(parents=True)
    sweep(database, workflow.resources, [workflow])
    assert list(workflow.resources.workspaces.iterdir()) == [kept]


def test_an_abandoned_upload_goes_with_its_bytes(
    workflow: PreprodWorkflow, database: Database, package_id: int
) -> None:
    blobs = workflow.resources.blobs
    account = row_of(database, package_id).account_id
    with database.writing() as connection:
        row = begin_upload(connection, account_id=account, created_by="x", now=NOW)
    for key in (row.package_blob, row_of(database, package_id).package_blob):
        blobs.put_file(key, [b"bytes"], name="x")
    drop_abandoned_uploads(database, blobs, NOW)
    assert blobs.stat(row.package_blob) is not None
    drop_abandoned_uploads(database, blobs, NOW + UPLOAD_LIFETIME * 2)
    assert blobs.stat(row.package_blob) is None
    assert blobs.stat(row_of(database, package_id).package_blob) is not None
    with database.reading() as connection:
        assert find_package(connection, account, package_id) is not None
