"""A finished submission with what its package holds, straight in the database: tests of labels need no package."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hwdash.clock import system_clock
from hwdash.domain.targets import DriverRow
from hwdash.storage.accounts import create_account
from hwdash.storage.database import Database
from hwdash.storage.driver_rows import write_driver_rows
from hwdash.storage.label_tables import label_chids, label_hardware_ids, shipping_labels
from hwdash.storage.labels import insert_label
from hwdash.storage.products import insert_product
from hwdash.storage.submissions import insert_submission
from hwdash.storage.tables import products, submission_steps, submissions
from service import API

BUNDLE = "4f1c9d2e-8a53-4f0e-9c1b-6d2f1a7b3c58"
INF = "Sample.inf"
RS3, RS5, GE = "WINDOWS_v100_X64_RS3_FULL", "WINDOWS_v100_X64_RS5_FULL", "WINDOWS_v100_X64_GE_FULL"
# What every product has, as the create route stores it.
ATTRIBUTES = {
    "deviceType": "internalExternal",
    "isTestSign": False,
    "isFlightSign": False,
    "marketingNames": [],
    "selectedProductTypes": {},
    "deviceMetadataIds": [],
    "additionalAttributes": {},
}
MANUAL = {
    "visibleToAccounts": [],
    "isAutoInstallDuringOSUpgrade": False,
    "isAutoInstallOnApplicableSystems": False,
    "manualAcquisition": True,
    "isDisclosureRestricted": False,
    "publishToWindows10s": False,
}
ROWS = tuple(
    DriverRow(BUNDLE, INF, code, rf"pci\ven_1af4&dev_{number:04x}") for code in (RS3, RS5) for number in range(3)
)
"""What a submission of these tests holds unless it says otherwise: three hardware ids on two releases."""


@dataclass(frozen=True)
class Finished:
    """A submission, its product, and what it holds."""

    account_id: int
    product_id: int
    id: int
    rows: Sequence[DriverRow] = field(repr=False)

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"{API}/products/{self.product_id}/submissions/{self.id}"

    @property
    def labels(self) -> str:
        """Where the API has its labels."""
        return f"{self.path}/shippingLabels"

    def targets(self, *, action: str | None = None, rows: Sequence[DriverRow] | None = None) -> list[dict[str, str]]:
        """``targeting.hardwareIds`` of a request: these rows, or all."""
        chosen = self.rows if rows is None else rows
        return [on_the_wire(row) | ({"action": action} if action else {}) for row in chosen]


def on_the_wire(row: DriverRow) -> dict[str, str]:
    """An entry of ``targeting.hardwareIds``."""
    return dict(zip(("bundleId", "infId", "operatingSystemCode", "pnpString"), row, strict=True))


def finished_submission(
    connection: sa.Connection,
    account_id: int,
    *,
    rows: Sequence[DriverRow] = ROWS,
    test_harness: str = "hlk",
    attributes: Mapping[str, Any] | None = None,
    inf: Mapping[str, Any] | None = None,
    positions: Mapping[DriverRow, int] | None = None,
    product: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Finished:
    """Store one. ``attributes`` are those of the product that differ, ``inf`` changes what the metadata says of each
    INF, ``product`` and ``changes`` are columns of the two rows that differ, such as ``current_step`` and ``state``.
    """
    now = system_clock()
    made = insert_product(
        connection,
        account_id=account_id,
        name="Finished product",
        test_harness=test_harness,
        attributes={**ATTRIBUTES, "requestedSignatures": sorted({row.os_code for row in rows}), **(attributes or {})},
        now=now,
    )
    connection.execute(products.update().where(products.c.id == made.id).values(is_committed=True, **(product or {})))
    submission = insert_submission(
        connection,
        product_id=made.id,
        account_id=account_id,
        name="Finished submission",
        kind="initial",
        created_by="tests",
        now=now,
    )
    finished = {
        "commit_status": "commitComplete",
        "current_step": "finalizeIngestion",
        "state": "completed",
        "committed_at": now,
        "finished_at": now,
    }
    connection.execute(submissions.update().where(submissions.c.id == submission.id).values(**finished | changes))
    result = {"metadata": metadata_of(rows, inf or {}), "positions": _positions(positions or {})}
    step = {"submission_id": submission.id, "step": "preparation", "result": result, "finished_at": now}
    connection.execute(submission_steps.insert().values(**step))
    write_driver_rows(connection, submission.id, result)
    return Finished(account_id, made.id, submission.id, rows)


def stored_label(
    connection: sa.Connection,
    finished: Finished,
    *,
    rows: Mapping[DriverRow, str] | None = None,
    chids: Mapping[str, str] | None = None,
    destination: str = "windowsUpdate",
    targeting: Mapping[str, Any] | None = None,
    **changes: Any,
) -> int:
    """Store a label that no workflow runs, unless ``changes`` say otherwise one that has ended well: with these states
    of its rows (all that there are, added) and CHIDs. Its id.
    """
    states = dict.fromkeys(finished.rows, "added") if rows is None else rows
    row = insert_label(
        connection,
        account_id=finished.account_id,
        product_id=finished.product_id,
        submission_id=finished.id,
        name="Stored label",
        destination=destination,
        specifications=MANUAL if destination == "windowsUpdate" else {"receiverPublisherId": "12345678"},
        targeting=targeting or {"restrictedToAudiences": []},
        justifications=[],
        receiver_id=None,
        hardware_ids=states,
        chids=chids or {},
        created_by="tests",
        now=system_clock(),
    )
    ended = {"current_step": "finalizePublishing", "state": "completed"} | changes
    connection.execute(shipping_labels.update().where(shipping_labels.c.id == row.id).values(**ended))
    ids = label_hardware_ids.c
    for each, state in states.items():
        which = [ids.label_id == row.id, *(ids[name] == value for name, value in each._asdict().items())]
        connection.execute(label_hardware_ids.update().where(*which).values(state=state))
    for chid, state in (chids or {}).items():
        which = [label_chids.c.label_id == row.id, label_chids.c.chid == chid]
        connection.execute(label_chids.update().where(*which).values(state=state))
    return int(row.id)


def metadata_of(rows: Sequence[DriverRow], inf: Mapping[str, Any]) -> dict[str, Any]:
    """The driver metadata (contract/api.md 3.13) that lists these rows."""
    bundles: dict[str, Any] = {}
    for row in rows:
        infs = bundles.setdefault(row.bundle_id, {"Locales": ["English"], "InfInfoMap": {}})["InfInfoMap"]
        info = infs.setdefault(
            row.inf_id,
            {
                "DriverPackageFamilyId": f"Contoso-{row.inf_id}",
                "InfClass": "System",
                "DriverVersion": "1.2.3.4",
                "DriverDate": "2026-01-02T00:00:00",
                "ExtensionId": None,
                "Provider": "Contoso",
                "ClassGuid": "{4d36e97d-e325-11ce-bfc1-08002be10318}",
                "InstallationComputerHardwareIds": [],
                "OSPnPInfoMap": {},
                **inf,
            },
        )
        facts = {"Manufacturer": "Contoso", "DeviceDescription": "Device", "FeatureScore": None}
        info["OSPnPInfoMap"].setdefault(row.os_code, {})[row.hardware_id] = facts
    return {"BundleInfoMap": bundles}


def _positions(positions: Mapping[DriverRow, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row, position in positions.items():
        infs = found.setdefault(row.bundle_id, {}).setdefault(row.inf_id, {})
        infs.setdefault(row.os_code, {})[row.hardware_id] = position
    return found


@contextmanager
def stage_of_labels(folder: Path) -> Iterator[tuple[Database, Finished]]:
    """A database of its own with an account and a finished submission, without a service."""
    with closing(Database(f"sqlite:///{folder / 'labels.db'}")) as database:
        database.create()
        with database.writing() as connection:
            account_id = create_account(connection, "Contoso", system_clock()).id
            finished = finished_submission(connection, account_id)
        yield database, finished
