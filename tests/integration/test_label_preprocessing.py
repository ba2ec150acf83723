"""preProcessShippingLabel and finalizePreProcessing over a real database: what they look up, and whom they ask."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hwdash.domain.ownership import IdKind
from hwdash.storage.database import Database
from hwdash.storage.label_tables import label_hardware_ids
from hwdash.storage.ownership import add_owned
from stored_labels import AUTOMATIC, MANUAL, NOON, X64, Inf, Stage

CHID, OTHER_CHID = "70ffd812-4c7f-5c7d-8000-000000000001", "70ffd812-4c7f-5c7d-8000-000000000002"
TWO, FOUR = "pci\\ven_1234&dev_5678", "pci\\ven_1234&dev_5678&subsys_00011234"
OTHER = "pci\\ven_1234&dev_5678&subsys_00029999"
BASE = Inf([TWO])
EXTENSION = Inf(
    [FOUR], name="extension.inf", inf_class="Extension", extension_id="70ffd812-4c7f-4c7d-8000-00000000000e"
)
EXTENDS = "ExtendsInboxDriver = netrtl.inf"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path / 'labels.db'}")
    database.create()
    yield Stage(database, tmp_path)
    database.close()


def refused(label: sa.Row[Any]) -> list[str]:
    """The rules that refused the label."""
    assert (label.current_step, label.state) == ("preProcessShippingLabel", "failed")
    return [each.split(":")[0] for each in label.messages]


def own(stage: Stage, company: str, *ids: tuple[IdKind, str]) -> int:
    account_id = stage.new_account(company)
    with stage.database.writing() as connection:
        add_owned(connection, account_id, list(ids), NOON)
    return account_id


def passes(label: sa.Row[Any]) -> bool:
    return bool(label.current_step == "microsoftApproval" and label.state == "started")


class TestBaseDriver:
    def test_of_another_account_counts_once_it_is_offered(self, stage: Stage) -> None:
        vendor = stage.new_account("Chip Vendor", {"approval": "automatic"})
        base_id = stage.new_submission([BASE], account_id=vendor, is_declarative_inf=True)
        assert refused(stage.run(stage.new_label(stage.new_submission([EXTENSION])))) == [
            "ERROR label.extension-base-driver"
        ]
        base_label = stage.new_label(base_id)
        stage.run(base_label)
        stage.pass_time(seconds=15)
        stage.wake(base_label)
        assert passes(stage.run(stage.new_label(stage.new_submission([EXTENSION]))))

    def test_of_the_account_itself_counts_when_its_submission_is_finished(self, stage: Stage) -> None:
        stage.new_submission([BASE], is_declarative_inf=True, state="started", current_step="signing")
        label_id = stage.new_label(stage.new_submission([EXTENSION]))
        assert refused(stage.run(label_id)) == ["ERROR label.extension-base-driver"]
        stage.new_submission([BASE], is_declarative_inf=True)
        assert passes(stage.run(stage.new_label(stage.new_submission([EXTENSION]))))

    @pytest.mark.parametrize(
        ("infs", "is_declarative"),
        [([BASE], False), ([Inf([TWO], inf_class="Extension")], True), ([Inf([OTHER])], True)],
    )
    def test_that_is_none_does_not_count(self, stage: Stage, infs: list[Inf], *, is_declarative: bool) -> None:
        stage.new_submission(infs, is_declarative_inf=is_declarative)
        label_id = stage.new_label(stage.new_submission([EXTENSION]))
        assert refused(stage.run(label_id)) == ["ERROR label.extension-base-driver"]

    def test_of_windows_is_declared_in_the_justification(self, stage: Stage) -> None:
        specifications = AUTOMATIC | {"additionalInfoForMsApproval": {"businessJustification": EXTENDS}}
        submission_id = stage.new_submission([EXTENSION])
        assert passes(stage.run(stage.new_label(submission_id, specifications=specifications)))
        assert passes(stage.run(stage.new_label(submission_id, justifications=["first", EXTENDS])))


class TestOwnership:
    def test_a_foreign_id_refuses_the_label_and_names_its_owner(self, stage: Stage) -> None:
        own(stage, "Contoso", (IdKind.CHID, CHID))
        label = stage.run(stage.new_label(stage.new_submission(), chids=[CHID]))
        assert refused(label) == ["ERROR label.ownership"]
        assert CHID in label.messages[0]
        assert "Contoso" in label.messages[0]

    def test_an_extension_reaches_machines_of_one_maker(self, stage: Stage) -> None:
        own(stage, "Contoso", (IdKind.CHID, CHID))
        own(stage, "Fabrikam", (IdKind.CHID, OTHER_CHID))
        stage.new_submission([BASE], is_declarative_inf=True)
        label = stage.run(stage.new_label(stage.new_submission([EXTENSION]), chids=[CHID, OTHER_CHID]))
        assert refused(label)[-1] == "ERROR label.extension-many-oems"
        assert "Contoso" in label.messages[-1]
        assert "Fabrikam" in label.messages[-1]

    def test_the_publishers_own_chip_in_anothers_machine_is_one_maker(self, stage: Stage) -> None:
        stage.new_submission([BASE], is_declarative_inf=True)
        own(stage, "Contoso", (IdKind.CHID, CHID))
        with stage.database.writing() as connection:
            add_owned(connection, stage.account_id, [(IdKind.HARDWARE_ID, TWO)], NOON)
        label = stage.run(stage.new_label(stage.new_submission([EXTENSION]), chids=[CHID]))
        assert refused(label) == ["ERROR label.ownership"]


def test_everything_is_told_at_once_and_in_full_in_the_report(stage: Stage) -> None:
    broad = [f"pci\\ven_1234&dev_{number:04x}" for number in range(60)]
    extension = Inf(broad, name="extension.inf", inf_class="Extension")
    old = Inf([TWO], name="old.inf", systems=["WINDOWS_7_X64"])
    label_id = stage.new_label(stage.new_submission([extension, old]))
    label = stage.run(label_id)
    assert refused(label) == [
        "ERROR label.mixed-windows",
        "ERROR label.extension-two-part",
        "ERROR label.extension-base-driver",
    ]
    report = stage.error_report(label_id)
    assert all(each in report for each in broad)


def test_an_expiry_is_never_refused(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission([Inf([TWO, FOUR])]))
    stage.run(label_id)
    stage.change(label_id, approval=None, wake_at=NOON)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    own(stage, "Contoso", (IdKind.HARDWARE_ID, "pci\\ven_1234"))
    stage.restart(label_id)
    ids = label_hardware_ids
    with stage.database.writing() as connection:
        connection.execute(ids.update().where(ids.c.hardware_id == TWO).values(state="pendingRemove"))
    assert passes(stage.run(label_id))
    stage.restart(label_id)
    with stage.database.writing() as connection:
        connection.execute(ids.update().where(ids.c.hardware_id == FOUR).values(state="pendingAdd"))
    assert refused(stage.run(label_id)) == ["ERROR label.ownership"]


@pytest.mark.parametrize(
    ("inf", "label", "attributes", "reasons"),
    [
        (Inf([FOUR]), {}, {}, []),
        (Inf([FOUR]), {"specifications": AUTOMATIC}, {}, ["it is delivered automatically"]),
        (Inf([FOUR], inf_class="Firmware"), {"chids": [CHID]}, {}, ["the class firmware"]),
        (Inf([FOUR]), {}, {"selectedProductTypes": {"windows_v100": "Unclassified"}}, ["the product's type"]),
        (Inf([FOUR], systems=["WINDOWS_XP_IA64"]), {}, {}, ["the architecture ia64"]),
        (Inf([TWO]), {}, {}, ["it has two parts"]),
        (Inf([FOUR]), {"targeting": {"coEngDriverPublishInfo": {"flooringBuildNumber": 30000}}}, {}, ["the driver is"]),
        (
            Inf([FOUR]),
            {"specifications": MANUAL | {"additionalInfoForMsApproval": {"isCoEngineered": True}}},
            {},
            ["the driver is co-engineered"],
        ),
    ],
)
def test_what_a_person_has_to_approve(
    stage: Stage, inf: Inf, label: dict[str, Any], attributes: dict[str, Any], reasons: list[str]
) -> None:
    label_id = stage.new_label(stage.new_submission([inf], attributes=attributes), **label)
    approval = stage.run(label_id).approval
    found = approval["reasons"] if approval else []
    assert len(found) == len(reasons)
    for each, beginning in zip(found, reasons, strict=True):
        assert each.startswith(beginning)


def test_what_was_approved_before_is_not_asked_about_again(stage: Stage) -> None:
    submission_id = stage.new_submission([Inf([TWO, FOUR])])
    row = {"bundle_id": "bundle", "inf_id": "widget.inf", "os_code": X64}
    label_id = stage.new_label(submission_id, [row | {"hardware_id": TWO}])
    assert stage.run(label_id).approval["reasons"]
    stage.change(label_id, approval=None)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    stage.restart(label_id)
    with stage.database.writing() as connection:
        stage.add_rows(connection, label_id, submission_id, [row | {"hardware_id": FOUR}], run=2)
    assert stage.run(label_id).approval is None
