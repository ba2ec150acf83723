"""Shipping labels as the routes leave them in the database, for tests of what comes after."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from hwdash.domain.identifiers import new_long_id
from hwdash.pipeline.engine import Outcome
from hwdash.pipeline.label import LabelWorkflow, course_of
from hwdash.pipeline.work import Resources
from hwdash.settings import Settings
from hwdash.signing.process import SignerProcess
from hwdash.storage.accounts import create_account
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database
from hwdash.storage.label_tables import driver_infs, driver_rows, label_chids, label_hardware_ids, shipping_labels
from hwdash.storage.products import insert_product
from hwdash.storage.submissions import insert_submission
from hwdash.storage.tables import downloads, submissions

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BUNDLE = "bundle"
X64 = "WINDOWS_v100_X64_RS5_FULL"
TRUSTED = {"approval": "automatic"}
AUTOMATIC = {
    "manualAcquisition": False,
    "isAutoInstallDuringOSUpgrade": True,
    "isAutoInstallOnApplicableSystems": True,
    "visibleToAccounts": [],
    "goLiveDate": None,
    "additionalInfoForMsApproval": {"businessJustification": "a better driver"},
}
MANUAL = AUTOMATIC | {
    "manualAcquisition": True,
    "isAutoInstallDuringOSUpgrade": False,
    "isAutoInstallOnApplicableSystems": False,
}


@dataclass
class Inf:
    """An INF of a submission, for one operating system code after the other."""

    hardware_ids: Sequence[str]
    name: str = "widget.inf"
    inf_class: str = "Net"
    systems: Sequence[str] = (X64,)
    extension_id: str | None = None


@dataclass
class Stage:
    """A database with an account, and a clock that a test moves."""

    database: Database
    folder: Path
    now: datetime = NOON
    account_id: int = 0
    blobs: BlobStore = field(init=False)
    resources: Resources = field(init=False)
    workflow: LabelWorkflow = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "blobs").mkdir()
        self.blobs = BlobStore(self.folder / "blobs", clock=self.clock)
        self.resources = Resources(
            Settings(data=self.folder), self.blobs, cast("SignerProcess", None), clock=self.clock
        )
        self.workflow = LabelWorkflow(self.database, self.resources)
        self.account_id = self.new_account("Vendor")

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, **span: float) -> None:
        self.now += timedelta(**span)

    def new_account(self, name: str, policy: dict[str, Any] | None = None) -> int:
        with self.database.writing() as connection:
            return create_account(connection, name, NOON, policy=policy or {}).id

    def new_submission(
        self,
        infs: Sequence[Inf] = (Inf(["pci\\ven_1234&dev_5678&subsys_00011234"]),),
        *,
        account_id: int = 0,
        state: str = "completed",
        attributes: dict[str, Any] | None = None,
        **columns: Any,
    ) -> int:
        account_id = account_id or self.account_id
        with self.database.writing() as connection:
            product = insert_product(
                connection,
                account_id=account_id,
                name="Widget",
                test_harness="hlk",
                attributes={"requestedSignatures": [X64], "selectedProductTypes": {}} | (attributes or {}),
                now=NOON,
            )
            submission = insert_submission(
                connection,
                product_id=product.id,
                account_id=account_id,
                name="first",
                kind="initial",
                created_by="x",
                now=NOON,
            )
            columns = {"current_step": "finalizeIngestion", "state": state, "commit_status": "commitComplete"} | columns
            connection.execute(submissions.update().where(submissions.c.id == submission.id).values(**columns))
            connection.execute(
                downloads.insert().values(
                    submission_id=submission.id, type="signedPackage", blob=uuid.uuid4().hex, name="signed.zip"
                )
            )
            for inf in infs:
                _insert_inf(connection, submission.id, inf)
            return int(submission.id)

    def new_label(
        self,
        submission_id: int,
        rows: Sequence[dict[str, Any]] | None = None,
        *,
        chids: Sequence[str] = (),
        specifications: dict[str, Any] = MANUAL,
        audiences: Sequence[str] = (),
        destination: str = "windowsUpdate",
        created_by: str = "11111111-2222-3333-4444-555555555555",
        targeting: dict[str, Any] | None = None,
        justifications: Sequence[str] = (),
    ) -> int:
        """A label of the submission's rows, all of them when none are named."""
        with self.database.writing() as connection:
            submission = connection.execute(sa.select(submissions).where(submissions.c.id == submission_id)).one()
            label_id = new_long_id()
            connection.execute(
                shipping_labels.insert().values(
                    id=label_id,
                    account_id=submission.account_id,
                    product_id=submission.product_id,
                    submission_id=submission.id,
                    name="label",
                    destination=destination,
                    specifications=specifications,
                    targeting={"restrictedToAudiences": list(audiences)} | (targeting or {}),
                    justifications=[{"when": NOON.isoformat(), "text": each} for each in justifications],
                    current_step="preProcessShippingLabel",
                    state="notStarted",
                    messages=[],
                    run=1,
                    step_since=self.now,
                    created_by=created_by,
                    created_at=self.now,
                    updated_at=self.now,
                )
            )
            self.add_rows(connection, label_id, submission_id, rows, run=1)
            for chid in chids:
                connection.execute(label_chids.insert().values(label_id=label_id, chid=chid, state="pendingAdd"))
            return label_id

    def add_rows(
        self,
        connection: sa.Connection,
        label_id: int,
        submission_id: int,
        rows: Sequence[dict[str, Any]] | None,
        *,
        run: int,
    ) -> None:
        known = connection.execute(sa.select(driver_rows).where(driver_rows.c.submission_id == submission_id))
        columns = ("bundle_id", "inf_id", "os_code", "hardware_id")
        rows = rows if rows is not None else [{name: getattr(row, name) for name in columns} for row in known]
        for row in rows:
            connection.execute(
                label_hardware_ids.insert().values(label_id=label_id, state="pendingAdd", run=run, **row)
            )

    def restart(self, label_id: int, **changes: Any) -> None:
        """What a PATCH does to the label itself."""
        with self.database.writing() as connection:
            connection.execute(
                shipping_labels.update()
                .where(shipping_labels.c.id == label_id)
                .values(
                    current_step="preProcessShippingLabel",
                    state="notStarted",
                    run=shipping_labels.c.run + 1,
                    step_since=self.now,
                    wake_at=None,
                    approval=None,
                    rollout=None,
                    error_report=None,
                    messages=[],
                    **changes,
                )
            )

    def change(self, label_id: int, **changes: Any) -> None:
        with self.database.writing() as connection:
            connection.execute(shipping_labels.update().where(shipping_labels.c.id == label_id).values(**changes))

    def run(self, label_id: int) -> sa.Row[Any]:
        """Run the label's workflow as the engine does, until it stops."""
        for step in course_of(self.label(label_id).destination).steps:
            if self.workflow.run_step(label_id, step) == Outcome.STOP:
                break
        return self.label(label_id)

    def wake(self, label_id: int) -> sa.Row[Any]:
        """Run the label's workflow again if its wait is over; as the waker does."""
        waits_until = self.label(label_id).wake_at
        assert waits_until is not None, "it waits for nobody"
        assert waits_until <= self.now, f"it waits until {waits_until}"
        return self.run(label_id)

    def label(self, label_id: int) -> sa.Row[Any]:
        with self.database.reading() as connection:
            return connection.execute(sa.select(shipping_labels).where(shipping_labels.c.id == label_id)).one()

    def states(self, label_id: int) -> dict[str, str]:
        """The state of each hardware id and CHID."""
        with self.database.reading() as connection:
            ids, chids = label_hardware_ids, label_chids
            rows = connection.execute(sa.select(ids.c.hardware_id, ids.c.state).where(ids.c.label_id == label_id))
            own = {row.hardware_id: row.state for row in rows}
            rows = connection.execute(sa.select(chids.c.chid, chids.c.state).where(chids.c.label_id == label_id))
            return own | {row.chid: row.state for row in rows}

    def error_report(self, label_id: int) -> str:
        key = self.label(label_id).error_report
        with self.blobs.open(key) as stream:
            return stream.read().decode()


def _insert_inf(connection: sa.Connection, submission_id: int, inf: Inf) -> None:
    place = {"submission_id": submission_id, "bundle_id": BUNDLE, "inf_id": inf.name}
    connection.execute(
        driver_infs.insert().values(
            **place,
            inf_class=inf.inf_class,
            class_guid="4d36e972-e325-11ce-bfc1-08002be10318",
            provider="Vendor",
            driver_date="2026-11-01",
            driver_version="1.0.0.0",
            extension_id=inf.extension_id,
        )
    )
    for system in inf.systems:
        for hardware_id in inf.hardware_ids:
            connection.execute(
                driver_rows.insert().values(**place, os_code=system, hardware_id=hardware_id, position=0)
            )
