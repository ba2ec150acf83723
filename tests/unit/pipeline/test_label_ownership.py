"""What a label may not target, because another company owns it."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hwdash.domain.errors import DomainError
from hwdash.domain.ownership import IdKind
from hwdash.pipeline.extension_ids import ExtensionIdTaken, bind_extension_ids, foreign_extension_ids
from hwdash.pipeline.ownership import ownership_findings
from hwdash.storage.accounts import create_account
from hwdash.storage.database import Database
from hwdash.storage.label_tables import label_chids, label_hardware_ids, shipping_labels
from hwdash.storage.ownership import (
    APPROVED,
    REJECTED,
    add_owned,
    decide_relationship,
    list_owned,
    remove_owned,
    request_relationship,
)
from hwdash.storage.products import insert_product
from hwdash.storage.submissions import insert_submission

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CHID = "3e7d7a3c-6a7e-5d0c-9f1c-0d5f6a1b2c3d"
EXTENSION = "b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11"
HARDWARE_ID = IdKind.HARDWARE_ID


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    with database.writing() as connection:
        yield connection
    database.close()


@pytest.fixture
def publisher(connection: sa.Connection) -> int:
    return create_account(connection, "Publisher", NOW).id


@pytest.fixture
def owner(connection: sa.Connection) -> int:
    return create_account(connection, "Contoso", NOW).id


def label(
    connection: sa.Connection,
    account_id: int,
    hardware_ids: Sequence[str],
    chids: Sequence[str] = (),
    *,
    destination: str = "windowsUpdate",
    state: str = "pendingAdd",
) -> sa.Row[Any]:
    product = insert_product(connection, account_id=account_id, name="P", test_harness="hlk", attributes={}, now=NOW)
    submission = insert_submission(
        connection, product_id=product.id, account_id=account_id, name="S", kind="initial", created_by="x", now=NOW
    )
    row = connection.execute(
        shipping_labels.insert()
        .values(
            id=submission.id + 1,
            account_id=account_id,
            product_id=product.id,
            submission_id=submission.id,
            name="L",
            destination=destination,
            specifications={},
            targeting={},
            justifications=[],
            current_step="preProcessShippingLabel",
            state="started",
            messages=[],
            run=1,
            step_since=NOW,
            created_by="x",
            created_at=NOW,
            updated_at=NOW,
        )
        .returning(*shipping_labels.c)
    ).one()
    for start in range(0, len(hardware_ids), 5000):
        connection.execute(
            label_hardware_ids.insert(),
            [
                {
                    "label_id": row.id,
                    "bundle_id": "b",
                    "inf_id": "a.inf",
                    "os_code": "WINDOWS_v100_X64_RS1_FULL",
                    "hardware_id": each,
                    "state": state,
                    "run": 1,
                }
                for each in hardware_ids[start : start + 5000]
            ],
        )
    for each in chids:
        connection.execute(label_chids.insert().values(label_id=row.id, chid=each, state=state))
    return row


def test_what_nobody_else_owns_is_free(connection: sa.Connection, publisher: int, owner: int) -> None:
    add_owned(connection, publisher, [(HARDWARE_ID, r"PCI\VEN_1234")], NOW)
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_9999")], NOW)
    assert ownership_findings(connection, label(connection, publisher, [r"pci\ven_1234&dev_1", r"usb\x"])) == []


def test_what_others_own_is_told_by_company(connection: sa.Connection, publisher: int, owner: int) -> None:
    another = create_account(connection, "Aardvark", NOW).id
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234"), (IdKind.CHID, CHID)], NOW)
    add_owned(connection, another, [(HARDWARE_ID, r"USB\VID_1")], NOW)
    targets = [r"pci\ven_1234&dev_2", r"pci\ven_1234&dev_1", r"usb\vid_1&pid_2", r"usb\vid_2"]
    first, second = ownership_findings(connection, label(connection, publisher, targets, [CHID]))
    assert first.message.startswith(
        rf"ERROR label.ownership: Aardvark (seller {another}) owns usb\vid_1&pid_2, and has no approved relationship"
    )
    assert second.message.startswith(f"ERROR label.ownership: Contoso (seller {owner}) owns ")
    assert rf"owns pci\ven_1234&dev_1, pci\ven_1234&dev_2, {CHID}, and has no approved" in second.message


def test_the_longest_beginning_says_whose_it_is(connection: sa.Connection, publisher: int, owner: int) -> None:
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234")], NOW)
    add_owned(connection, publisher, [(HARDWARE_ID, r"PCI\VEN_1234&DEV_1&SUBSYS_2")], NOW)
    targets = [r"pci\ven_1234&dev_1&subsys_2&rev_1", r"pci\ven_1234&dev_1&subsys_3"]
    (found,) = ownership_findings(connection, label(connection, publisher, targets))
    assert "subsys_3" in found.message
    assert "subsys_2" not in found.message


def test_a_relationship_counts_once_approved_and_until_it_is_rejected(
    connection: sa.Connection, publisher: int, owner: int
) -> None:
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234"), (IdKind.CHID, CHID)], NOW)
    ids = [(HARDWARE_ID, r"PCI\VEN_1234&DEV_1"), (IdKind.CHID, CHID)]
    asked = request_relationship(connection, owner_id=owner, publisher_id=publisher, given=ids, now=NOW)
    made = label(connection, publisher, [r"pci\ven_1234&dev_1&rev_1"], [CHID])
    assert len(ownership_findings(connection, made)) == 1

    def decide(status: str) -> bool | None:
        return decide_relationship(connection, asked.id, status=status, by="Ann", reason="", now=NOW)

    assert (decide(APPROVED), decide(APPROVED)) == (True, False)
    assert ownership_findings(connection, made) == []
    wider = label(connection, publisher, [r"pci\ven_1234&dev_1", r"pci\ven_1234&dev_2"])
    (found,) = ownership_findings(connection, wider)
    assert "owns pci\\ven_1234&dev_2, and" in found.message
    assert decide(REJECTED) is True
    assert len(ownership_findings(connection, made)) == 1


def test_a_relationship_is_of_this_publisher_and_this_owner(
    connection: sa.Connection, publisher: int, owner: int
) -> None:
    stranger = create_account(connection, "Stranger", NOW).id
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234")], NOW)
    asked = request_relationship(
        connection, owner_id=owner, publisher_id=publisher, given=[(HARDWARE_ID, r"PCI\VEN_1234")], now=NOW
    )
    decide_relationship(connection, asked.id, status=APPROVED, by="Ann", reason="", now=NOW)
    assert len(ownership_findings(connection, label(connection, stranger, [r"pci\ven_1234"]))) == 1
    remove_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234")])
    add_owned(connection, stranger, [(HARDWARE_ID, r"PCI\VEN_1234")], NOW)
    assert len(ownership_findings(connection, label(connection, publisher, [r"pci\ven_1234"]))) == 1


@pytest.mark.parametrize("state", ["added", "pendingRemove", "notSet"])
def test_only_what_is_added_is_asked_about(connection: sa.Connection, publisher: int, owner: int, state: str) -> None:
    """What was published before may always be expired."""
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234"), (IdKind.CHID, CHID)], NOW)
    made = label(connection, publisher, [r"pci\ven_1234"], [CHID], state=state)
    assert ownership_findings(connection, made) == []


def test_sharing_is_not_targeting(connection: sa.Connection, publisher: int, owner: int) -> None:
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234")], NOW)
    made = label(connection, publisher, [r"pci\ven_1234"], destination="anotherPartner")
    assert ownership_findings(connection, made) == []


def test_fifty_thousand_hardware_ids_take_two_queries_and_a_moment(
    connection: sa.Connection, publisher: int, owner: int
) -> None:
    add_owned(connection, owner, [(HARDWARE_ID, rf"PCI\VEN_{number:04X}") for number in range(200)], NOW)
    targets = [rf"pci\ven_{number % 400:04x}&dev_{number:04x}&subsys_1&rev_2" for number in range(50_000)]
    made = label(connection, publisher, targets)
    asked: list[str] = []
    sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
    began = time.perf_counter()
    (found,) = ownership_findings(connection, made)
    assert time.perf_counter() - began < 5
    assert len(asked) < 10
    assert "more, and has no approved relationship" in found.message
    assert found.full_message.count("pci\\ven_") == len(found.ids) == 25_000


def test_a_request_names_ids_of_its_owner_only(connection: sa.Connection, publisher: int, owner: int) -> None:
    add_owned(connection, owner, [(HARDWARE_ID, r"PCI\VEN_1234")], NOW)
    with pytest.raises(DomainError) as caught:
        request_relationship(
            connection,
            owner_id=owner,
            publisher_id=publisher,
            given=[(HARDWARE_ID, r"PCI\VEN_1234&DEV_1"), (HARDWARE_ID, r"PCI\VEN_1"), (IdKind.CHID, CHID)],
            now=NOW,
        )
    assert [target for target, _ in caught.value.targets] == ["hardwareId", "chid"]
    with pytest.raises(DomainError, match="one account"):
        request_relationship(
            connection, owner_id=owner, publisher_id=owner, given=[(HARDWARE_ID, r"PCI\VEN_1234")], now=NOW
        )


def test_a_request_names_no_ids_of_a_third(connection: sa.Connection, publisher: int, owner: int) -> None:
    add_owned(connection, create_account(connection, "Third", NOW).id, [(IdKind.CHID, CHID)], NOW)
    with pytest.raises(DomainError, match="ids of its owner"):
        request_relationship(connection, owner_id=owner, publisher_id=publisher, given=[(IdKind.CHID, CHID)], now=NOW)


def test_a_guid_is_owned_as_what_it_is(connection: sa.Connection, publisher: int, owner: int) -> None:
    add_owned(connection, owner, [(IdKind.EXTENSION_ID, CHID)], NOW)
    assert ownership_findings(connection, label(connection, publisher, [], [CHID])) == []


def test_an_id_has_one_owner(connection: sa.Connection, publisher: int, owner: int) -> None:
    assert add_owned(connection, owner, [(IdKind.CHID, CHID)], NOW) == [(IdKind.CHID, CHID)]
    assert add_owned(connection, owner, [(IdKind.CHID, CHID)], NOW) == []
    with pytest.raises(DomainError) as caught:
        add_owned(connection, publisher, [(IdKind.CHID, CHID), (HARDWARE_ID, "x")], NOW)
    assert f"Contoso's (seller {owner})" in caught.value.targets[0][1]
    assert list_owned(connection, publisher) == []
    assert remove_owned(connection, publisher, [(IdKind.CHID, CHID)]) == []
    assert remove_owned(connection, owner, [(IdKind.CHID, CHID)]) == [(IdKind.CHID, CHID)]


def test_an_extension_id_is_the_first_ones_to_finish(connection: sa.Connection, publisher: int, owner: int) -> None:
    results = {
        "preparation": {
            "bundles": [{"id": "b", "folder": "drivers"}],
            "metadata": {"BundleInfoMap": {"b": {"InfInfoMap": {"a.inf": {"ExtensionId": EXTENSION.upper()}}}}},
        }
    }
    assert foreign_extension_ids(connection, owner, results) == {}
    for _ in range(2):
        bind_extension_ids(connection, owner, results, NOW)
    assert [(each.kind, each.value) for each in list_owned(connection, owner)] == [("extensionId", EXTENSION)]
    assert foreign_extension_ids(connection, owner, results) == {}
    assert foreign_extension_ids(connection, publisher, results) == {EXTENSION: f"Contoso (seller {owner})"}
    with pytest.raises(ExtensionIdTaken):
        bind_extension_ids(connection, publisher, results, NOW)
    assert list_owned(connection, publisher) == []
