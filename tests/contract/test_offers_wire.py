"""Offers over HTTP: bad documents, the account boundary, and that the database's rows mean what the rules think."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from callers import database_of, new_client
from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.drivers.chid import Computer, chids
from hwdash.storage.accounts import create_account
from hwdash.storage.audiences import create_audience
from hwdash.storage.label_tables import label_chids, label_hardware_ids, shipping_labels
from published import NOW, publish
from refusals import functional, refusal
from service import ApiClient, Served
from wire_routes import MACHINE, OFFERS

pytestmark = pytest.mark.usefixtures("no_accident")


@pytest.fixture
def hardware_id() -> str:
    """An id that no other test has published."""
    return f"usb\\vid_{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def own(service: Served) -> int:
    return int(service.made.credentials["accountId"])


@contextmanager
def writing(service: Served) -> Iterator[sa.Connection]:
    with database_of(service) as database, database.writing() as connection:
        yield connection


def machine(hardware_id: str, **changes: Any) -> dict[str, Any]:
    return {**MACHINE, "rolloutBucket": 50, "devices": [{"hardwareIds": [hardware_id.upper()]}]} | changes


def ask(client: ApiClient, document: dict[str, Any]) -> dict[str, Any]:
    """The answer about the only device; POST and GET say the same."""
    posted = client.http.post(OFFERS, json=document)
    assert posted.status_code == 200, posted.text
    asked = client.http.get(OFFERS, params={"machine": json.dumps(document)})
    assert asked.status_code == 200, asked.text
    assert asked.json() == posted.json()
    (device,) = posted.json()["devices"]
    found: dict[str, Any] = device
    return found


def outcome(client: ApiClient, document: dict[str, Any]) -> dict[int, str]:
    device = ask(client, document)
    return {each["labelId"]: each["kind"] for each in device["offers"]} | {
        each["labelId"]: each["rule"] for each in device["refused"]
    }


def test_an_offer_is_told_with_all_that_names_it(
    client: ApiClient, service: Served, own: int, hardware_id: str
) -> None:
    with writing(service) as connection:
        label = publish(connection, own, [hardware_id], feature_score=0xFD)
    assert ask(client, machine(hardware_id)) == {
        "hardwareId": hardware_id,
        "offers": [
            {
                "kind": "automatic",
                "labelId": label.id,
                "labelName": "A label",
                "productId": label.product_id,
                "submissionId": label.submission_id,
                "bundleId": "bundle",
                "infId": "Driver.inf",
                "driverDate": "2026-01-31",
                "driverVersion": "2.0.0.0",
                "hardwareId": hardware_id,
                "operatingSystemCode": "WINDOWS_v100_X64_NI_FULL",
                "rank": "0x00FD0000",
            }
        ],
        "refused": [],
    }


def test_a_refusal_is_told_with_rule_source_and_reason(
    client: ApiClient, service: Served, own: int, hardware_id: str
) -> None:
    floor = {"inServicePublishInfo": {"flooring": "GE", "ceiling": ""}}
    with writing(service) as connection:
        publish(connection, own, [hardware_id], live_targeting=floor)
    (refused,) = ask(client, machine(hardware_id))["refused"]
    assert (refused["rule"], refused["source"]) == ("floor", "dashboard/limit-driver-distribution.md")
    assert refused["reason"] == "The label's floor is GE; the machine has build 22631, of an earlier release."


def test_what_the_database_has_of_a_label_is_what_the_rules_see(
    client: ApiClient, service: Served, own: int, hardware_id: str
) -> None:
    computer = Computer(manufacturer="Contoso", product="Tablet")
    wanted = str(chids(computer)[0].value)
    smbios = {"manufacturer": "Contoso", "product": "Tablet"}
    extension, other = str(uuid.uuid4()), str(uuid.uuid4())
    with writing(service) as connection:
        audience = create_audience(
            connection, own, name=f"Pilot {hardware_id}", description="d", audience_name=f"key-{hardware_id}", now=NOW
        )
        made = {
            "plain": publish(connection, own, [hardware_id]),
            "chid": publish(connection, own, [hardware_id], chids=[wanted], version="2.1.0.0"),
            "insider": publish(connection, own, [hardware_id], is_flight_sign=True, version="2.2.0.0"),
            "audience": publish(
                connection,
                own,
                [hardware_id],
                live_targeting={"restrictedToAudiences": [audience.id]},
                version="2.3.0.0",
            ),
            "extension": publish(connection, own, [hardware_id], extension_id=extension),
            "other": publish(connection, own, [hardware_id], extension_id=other, row_state="pendingAdd"),
            "manual": publish(connection, own, [hardware_id], specifications={}, version="9.0.0.0"),
            "nothing": publish(connection, own, [hardware_id], live_targeting=None, version="9.1.0.0"),
        }
    ids = {name: row.id for name, row in made.items()}
    always = {ids["extension"]: "automatic", ids["other"]: "live", ids["manual"]: "optional", ids["nothing"]: "live"}
    base = machine(hardware_id)
    steps: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({}, {"plain": "automatic", "chid": "chid", "insider": "insider", "audience": "audience"}),
        ({"smbios": smbios}, {"plain": "better-offer", "chid": "automatic"}),
        ({"isInsider": True}, {"chid": "better-offer", "insider": "automatic"}),
        ({"audiences": [f"KEY-{hardware_id}"]}, {"insider": "better-offer", "audience": "automatic"}),
    ]
    expected: dict[str, str] = {}
    for changes, becomes in steps:
        base, expected = base | changes, expected | becomes
        assert outcome(client, base) == always | {ids[name]: what for name, what in expected.items()}
    for name in (audience.id, audience.id.upper(), "{%s}" % audience.id, audience.name):  # noqa: UP031 - braces
        assert outcome(client, base | {"audiences": [name]})[ids["audience"]] == "automatic"
    by_id = base | {"chids": [wanted.upper()]}
    by_id.pop("smbios")
    assert outcome(client, by_id)[ids["chid"]] == "better-offer"


def test_chids_that_wait_do_not_count_and_those_that_go_still_do(
    client: ApiClient, service: Served, own: int, hardware_id: str
) -> None:
    chid = str(uuid.uuid4())
    with writing(service) as connection:
        label = publish(connection, own, [hardware_id], chids=[chid]).id

    def state(text: str) -> dict[int, str]:
        with writing(service) as connection:
            connection.execute(label_chids.update().where(label_chids.c.label_id == label).values(state=text))
        return outcome(client, machine(hardware_id))

    assert state("added") == {label: "chid"}
    assert state("pendingRemove") == {label: "chid"}
    assert state("pendingAdd") == {label: "automatic"}


def test_a_rollout_is_of_what_its_run_added(client: ApiClient, service: Served, own: int, hardware_id: str) -> None:
    rollout = {"phases": [[1, 1]], "watchDays": 30, "startedAt": "2026-11-01T00:00:00+00:00", "pausedAt": None,
               "pausedSeconds": 0, "pauseReason": "", "isFinalized": False}  # fmt: skip
    with writing(service) as connection:
        label = publish(
            connection, own, [hardware_id], current_step="microsoftApproval", state="started", rollout=rollout
        ).id
    assert outcome(client, machine(hardware_id)) == {label: "rollout"}
    assert outcome(client, machine(hardware_id, rolloutBucket=0.5)) == {label: "automatic"}
    with writing(service) as connection:
        connection.execute(shipping_labels.update().where(shipping_labels.c.id == label).values(run=2))
    assert outcome(client, machine(hardware_id)) == {label: "automatic"}


def test_a_label_that_shares_offers_nothing(client: ApiClient, service: Served, own: int, hardware_id: str) -> None:
    with writing(service) as connection:
        publish(connection, own, [hardware_id], destination="anotherPartner")
    assert outcome(client, machine(hardware_id)) == {}


# The account boundary


def test_another_account_is_told_the_offers_and_no_refusal(
    client: ApiClient, service: Served, own: int, hardware_id: str
) -> None:
    with writing(service) as connection:
        offered = publish(connection, own, [hardware_id], version="2.0.0.0").id
        beaten = publish(connection, own, [hardware_id], version="1.0.0.0").id
        waiting = publish(connection, own, [hardware_id], row_state="pendingAdd").id
        hidden = publish(connection, own, [hardware_id], live_targeting=None).id
    assert outcome(client, machine(hardware_id)) == {
        offered: "automatic",
        beaten: "better-offer",
        waiting: "live",
        hidden: "live",
    }
    stranger = new_client(service, ["Manager", "Driver Submitter"])
    device = ask(stranger, machine(hardware_id))
    assert [each["labelId"] for each in device["offers"]] == [offered]
    assert device["refused"] == []
    assert "labelName" not in device["offers"][0]  # it is private to its account


def test_readers_and_the_author_of_a_shared_driver_are_told_why(
    service: Served, own: int, client: ApiClient, hardware_id: str
) -> None:
    with writing(service) as connection:
        receiver = create_account(connection, "A receiver", NOW).id
        reader = create_account(connection, "A reader", NOW).id
        others = create_account(connection, "Another", NOW).id
        shared = publish(connection, own, [hardware_id], destination="anotherPartner")
        label = publish(
            connection,
            receiver,
            [hardware_id],
            row_state="pendingAdd",
            source_submission_id=shared.submission_id,
            readers=[reader],
        ).id
    asked = {
        name: outcome(new_client(service, ["Manager", "Report Reviewer"], account_id=account), machine(hardware_id))
        for name, account in {"author": own, "receiver": receiver, "reader": reader, "another": others}.items()
    }
    assert asked == {"author": {label: "live"}, "receiver": {label: "live"}, "reader": {label: "live"}, "another": {}}


def test_nothing_is_written_by_asking(client: ApiClient, service: Served, own: int, hardware_id: str) -> None:
    with writing(service) as connection:
        publish(connection, own, [hardware_id])

    def rows() -> list[tuple[Any, ...]]:
        with database_of(service) as database, database.reading() as connection:
            tables = (shipping_labels, label_hardware_ids)
            return [tuple(row) for table in tables for row in connection.execute(sa.select(table).order_by(*table.c))]

    before = rows()
    ask(client, machine(hardware_id))
    assert rows() == before


# Bad documents


def findings(answer: httpx.Response) -> dict[str, str]:
    found = functional(answer, 422, "invalidInput")
    return {each["target"]: each["message"] for each in found["validationErrors"]}


WRONG: dict[str, Any] = {
    "os": {"build": 1, "revision": 70000, "architecture": "mips", "edition": "home", "isSMode": "perhaps", "sp": 1},
    "scan": "osUpgrade",
    "smbios": {"manufacturer": 1, "biosMajor": 256, "serial": "x"},
    "chids": ["not a guid"],
    "audiences": [""],
    "rolloutBucket": 100,
    "isInsidder": True,
    "devices": [
        {"hardwareIds": [], "compatibleIds": ["a\nb"]},
        {
            "hardwareIds": ["A"],
            "installed": {"driverDate": "01/31/2026", "driverVersion": "1.2.3.4.5", "rank": "0x100000000"},
            "installedExtensions": [{"extensionId": "x", "driverDate": "2026-02-30", "driverVersion": "1.70000"}],
        },
        {
            "hardwareIds": ["A"],
            "installed": {"driverDate": "2026-01-31", "driverVersion": "1.0", "matchingId": "B"},
        },
    ],
}


def test_every_finding_of_a_document_is_told_at_once_with_its_path(client: ApiClient) -> None:
    found = findings(client.http.post(OFFERS, json=WRONG))
    assert set(found) == {
        "os.build",
        "os.revision",
        "os.architecture",
        "os.edition",
        "os.isSMode",
        "os.sp",
        "scan",
        "smbios.manufacturer",
        "smbios.biosMajor",
        "smbios.serial",
        "chids",
        "audiences",
        "rolloutBucket",
        "isInsidder",
        "devices[0].hardwareIds",
        "devices[0].compatibleIds",
        "devices[1].installed.driverDate",
        "devices[1].installed.driverVersion",
        "devices[1].installed.rank",
        "devices[1].installedExtensions[0].extensionId",
        "devices[1].installedExtensions[0].driverDate",
        "devices[1].installedExtensions[0].driverVersion",
        "devices[2].installed",
    }
    assert found["isInsidder"] == "There is no such property."
    assert found["os.architecture"] == "`mips` is not one of x86, amd64, arm64, arm."
    assert found["devices[2].installed"] == "matchingId `b` is none of the device's ids."


def test_the_query_has_the_same_findings_below_machine(client: ApiClient) -> None:
    posted = findings(client.http.post(OFFERS, json=WRONG))
    asked = findings(client.http.get(OFFERS, params={"machine": json.dumps(WRONG)}))
    assert asked == {f"machine.{path}": message for path, message in posted.items()}


@pytest.mark.parametrize(
    ("query", "target"),
    [({}, "machine"), ({"machine": ""}, "machine"), ({"machine": "{"}, "machine"), ({"machine": "[]"}, "machine")],
)
def test_a_query_without_a_document(client: ApiClient, query: dict[str, str], target: str) -> None:
    assert list(findings(client.http.get(OFFERS, params=query))) == [target]


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"devices": []}, "devices"),
        ({"devices": [{"hardwareIds": ["A"]}] * 201}, "devices"),
        ({"devices": [{"hardwareIds": [f"A{number}" for number in range(101)]}]}, "devices[0].hardwareIds"),
        ({"devices": [{"hardwareIds": ["A" * 401]}]}, "devices[0].hardwareIds"),
        ({"chids": [str(uuid.uuid4())] * 101}, "chids"),
        ({"chids": [], "smbios": {}}, "chids"),
        ({"targetBuild": 26100}, "scan"),
        (
            {"devices": [{"hardwareIds": [f"A{n}-{m}" for m in range(100)]} for n in range(51)]},
            "devices",
        ),
    ],
)
def test_documents_are_bounded_and_consistent(client: ApiClient, changes: dict[str, Any], target: str) -> None:
    assert list(findings(client.http.post(OFFERS, json=MACHINE | changes))) == [target]


def test_the_largest_document_is_answered(client: ApiClient) -> None:
    devices = [{"hardwareIds": [f"PCI\\{n}-{m}" for m in range(100)]} for n in range(50)]
    answer = client.http.post(OFFERS, json=MACHINE | {"devices": devices})
    assert answer.status_code == 200
    assert [each["hardwareId"] for each in answer.json()["devices"]] == [f"pci\\{n}-0" for n in range(50)]


def test_the_scan_of_an_upgrade_is_told_by_the_build_to_come(client: ApiClient) -> None:
    answer = client.http.post(OFFERS, json=MACHINE | {"scan": "osUpgrade", "targetBuild": 26100})
    assert answer.json()["build"] == 26100


def test_a_machine_without_a_bucket_gets_the_same_one_each_time(client: ApiClient) -> None:
    def bucket(**changes: Any) -> float:
        return float(client.http.post(OFFERS, json=MACHINE | changes).json()["rolloutBucket"])

    named = [bucket(id=f"machine {number}") for number in range(40)]
    assert named == [bucket(id=f"machine {number}") for number in range(40)]
    assert all(0 <= each < 100 for each in named)
    assert len(set(named)) > 30
    devices = [{"hardwareIds": ["A"]}, {"hardwareIds": ["B"]}]
    assert bucket(devices=devices) == bucket(devices=devices[::-1]) != bucket()


def test_other_methods_are_not_served(client: ApiClient) -> None:
    answer = client.http.put(OFFERS, json=MACHINE)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"


def test_a_role_of_the_hardware_tab_is_needed(service: Served) -> None:
    nobody = new_client(service, ["Manager"])
    assert refusal(nobody.http.post(OFFERS, json=MACHINE))[1] == "forbidden"


def test_the_test_audience_is_known_by_its_name(client: ApiClient, service: Served, own: int, hardware_id: str) -> None:
    with writing(service) as connection:
        restricted = {"restrictedToAudiences": [TEST_REGISTRY_KEY.id]}
        label = publish(connection, own, [hardware_id], live_targeting=restricted).id
    assert outcome(client, machine(hardware_id)) == {label: "audience"}
    assert outcome(client, machine(hardware_id, audiences=["test_registry_key"])) == {label: "automatic"}
