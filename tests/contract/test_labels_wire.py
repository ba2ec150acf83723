"""Shipping labels over HTTP (contract/api.md 4.11 to 4.15, 7.4 and 7.5), and publisher metadata."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from callers import client_id_of, database_of, new_client
from finished_submission import INF, MANUAL, ROWS, RS3, Finished, finished_submission, stored_label
from hwdash.clock import system_clock
from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.domain.targets import DriverRow
from hwdash.storage.accounts import account, create_account, set_policy
from hwdash.storage.label_tables import driver_infs, driver_rows, label_hardware_ids, shipping_labels
from hwdash.storage.labels import add_readers
from hwdash.storage.tables import applications
from refusals import findings, functional, refusal
from service import API, ApiClient, Served, signed_cabinet, until

pytestmark = pytest.mark.usefixtures("no_accident")

CHID = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6"
OTHER_CHID = "11f13de6-11f1-4f0d-9e39-a1b2c3d4e5f6"
INFO = {"microsoftContact": "a@example.com", "validationsPerformed": "HLK", "affectedOems": ["Contoso"]}
AUTOMATIC = {"isAutoInstallOnApplicableSystems": True, "additionalInfoForMsApproval": INFO}
UNKNOWN = 1152921504606971100
TESTS = [TEST_REGISTRY_KEY.id]

Make = Callable[..., Finished]


@pytest.fixture
def account_id(service: Served) -> int:
    return int(service.made.credentials["accountId"])


@pytest.fixture
def make(service: Served, account_id: int) -> Make:
    """Store finished submissions in the running service's database."""

    def stored(**changes: Any) -> Finished:
        with database_of(service) as database, database.writing() as connection:
            return finished_submission(connection, changes.pop("account_id", account_id), **changes)

    return stored


@pytest.fixture
def label(service: Served) -> Callable[..., str]:
    """Store labels there, which no workflow runs; the path of each."""

    def stored(finished: Finished, **changes: Any) -> str:
        with database_of(service) as database, database.writing() as connection:
            return f"{finished.labels}/{stored_label(connection, finished, **changes)}"

    return stored


@pytest.fixture
def policy(service: Served, account_id: int) -> Any:
    """Change the account's policy, until the test ends."""
    with database_of(service) as database, database.reading() as connection:
        known = account(connection, account_id)
    assert known is not None

    def change(**changes: bool) -> None:
        with database_of(service) as database, database.writing() as connection:
            set_policy(connection, account_id, known.policy | changes)

    yield change
    change()


def body_of(finished: Finished, **changes: Any) -> dict[str, Any]:
    sound = {
        "name": "Label",
        "destination": "windowsUpdate",
        "publishingSpecifications": {"manualAcquisition": True},
        "targeting": {"hardwareIds": finished.targets()},
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


def created(client: ApiClient, finished: Finished, **changes: Any) -> dict[str, Any]:
    answer = client.http.post(finished.labels, json=body_of(finished, **changes))
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def refused(client: ApiClient, finished: Finished, **changes: Any) -> dict[str, str]:
    return findings(client.http.post(finished.labels, json=body_of(finished, **changes)))


def targeting(client: ApiClient, path: str) -> dict[str, Any]:
    answer = client.http.get(path, params={"includeTargetingInfo": "true"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["targeting"]
    return found


def states(client: ApiClient, path: str) -> dict[tuple[str, str], str]:
    return {
        (each["operatingSystemCode"], each["pnpString"]): each["distributionState"]
        for each in targeting(client, path)["hardwareIds"]
    }


def code_of(answer: httpx.Response) -> tuple[int, str]:
    status, code, _ = refusal(answer)
    return status, code


def partner_of(service: Served) -> int:
    """A new account."""
    with database_of(service) as database, database.writing() as connection:
        return create_account(connection, "Partner", system_clock()).id


class TestCreate:
    def test_the_answer_echoes_the_label_without_its_targeting(
        self, client: ApiClient, service: Served, make: Make
    ) -> None:
        finished = make()
        answer = client.http.post(f"{finished.labels}/", json=body_of(finished))
        document = answer.json()
        url = f"{service.url}{finished.labels}/{document['id']}"
        assert (answer.status_code, answer.headers["Location"]) == (201, url)
        assert document == {
            "id": document["id"],
            "productId": finished.product_id,
            "submissionId": finished.id,
            "name": "Label",
            "destination": "windowsUpdate",
            "publishingSpecifications": MANUAL,
            "workflowStatus": {"currentStep": "preProcessShippingLabel", "state": "notStarted", "messages": []},
            "links": [
                {"href": url, "rel": "self", "method": "GET"},
                {"href": url, "rel": "update_shippinglabel", "method": "PATCH"},
            ],
        }
        assert document["id"] % 1000 == 0

    def test_the_workflow_takes_it_up(self, client: ApiClient, make: Make) -> None:
        finished = make()
        path = f"{finished.labels}/{created(client, finished)['id']}"

        def moved() -> bool:
            status = client.http.get(path).json()["workflowStatus"]
            return bool(status["currentStep"] != "preProcessShippingLabel")

        until(moved, "the label has not moved")

    def test_every_lenient_form_is_read_and_one_is_answered(
        self, client: ApiClient, make: Make, policy: Callable[..., None]
    ) -> None:
        policy(coEngineering=True)
        finished = make(rows=ROWS[:1])
        body = {
            "Name": "Label",
            "DESTINATION": "WindowsUpdate",
            "unknown": {"x": 1},
            "publishingSpecifications": {
                "goLiveDate": "0001-01-01T00:00:00",
                "visibleToAccounts": [str(finished.account_id)],
                "isAutoInstallDuringOSUpgrade": True,
                "isDisclosureRestricted": None,
                "manualAcquistion": False,
                "additionalInfoForMsApproval": INFO | {"affectedOems": "Contoso", "isRebootRequired": None},
            },
            "recipientSpecifications": None,
            "TargetingInfo": {
                "HardwareIds": [
                    {
                        "BundleID": ROWS[0].bundle_id,
                        "infid": INF.upper(),
                        "operatingSystemCode": RS3.lower(),
                        "pnpString": ROWS[0].hardware_id.upper(),
                        "distributionState": "Added",
                    }
                ],
                "chids": [{"Chid": f"{{{CHID.upper()}}}", "distributionState": "pendingAdd"}, {"chid": CHID}],
                "audience": f"{{{TESTS[0].upper()}}}",
                "inServicePublishInfo": {"flooring": "", "ceiling": None},
                "coEngDriverPublishInfo": {"flooringBuildNumber": "27000", "ceilingBuildNumber": 27001},
            },
        }
        answer = client.http.post(finished.labels, json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["publishingSpecifications"] == MANUAL | {
            "visibleToAccounts": [finished.account_id],
            "isAutoInstallDuringOSUpgrade": True,
            "manualAcquisition": False,
            "additionalInfoForMsApproval": INFO
            | dict.fromkeys(("isRebootRequired", "isCoEngineered", "isForUnreleasedHardware", "hasUiSoftware"), False),
        }
        found = targeting(client, f"{finished.labels}/{answer.json()['id']}")
        row = finished.targets()[0]
        assert [{name: each[name] for name in row} for each in found["hardwareIds"]] == [row]
        assert [each["chid"] for each in found["chids"]] == [CHID]
        assert found["restrictedToAudiences"] == TESTS
        assert found["coEngDriverPublishInfo"] == {"flooringBuildNumber": 27000, "ceilingBuildNumber": 27001}
        assert "inServicePublishInfo" not in found

    def test_a_share_without_targeting_is_of_everything(self, client: ApiClient, service: Served, make: Make) -> None:
        finished, partner = make(), partner_of(service)
        for recipient in (
            {"receiverPublisherId": partner, "enforceChidTargeting": True},
            [{"receiverPublisherId": str(partner), "enforceChidTargeting": "true"}],
        ):
            document = created(
                client,
                finished,
                destination="anotherPartner",
                recipientSpecifications=recipient,
                publishingSpecifications=None,
                targeting=None,
            )
            shown = {"receiverPublisherId": str(partner), "enforceChidTargeting": True}
            assert document["recipientSpecifications"] == shown
            assert "publishingSpecifications" not in document
            assert len(states(client, f"{finished.labels}/{document['id']}")) == len(ROWS)

    def test_a_share_may_be_of_some_rows(self, client: ApiClient, service: Served, make: Make) -> None:
        finished = make()
        document = created(
            client,
            finished,
            destination="anotherPartner",
            recipientSpecifications={"receiverPublisherId": partner_of(service)},
            targeting={"hardwareIds": finished.targets(rows=ROWS[:2])},
        )
        found = states(client, f"{finished.labels}/{document['id']}")
        assert set(found) == {(row.os_code, row.hardware_id) for row in ROWS[:2]}

    def test_a_repeated_create_makes_one_label(self, client: ApiClient, make: Make) -> None:
        finished, headers = make(), {"MS-RequestId": str(uuid.uuid4())}
        answers = [client.http.post(finished.labels, json=body_of(finished), headers=headers) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(client.http.get(finished.labels).json()["value"]) == 1
        other = client.http.post(finished.labels, json=body_of(finished, name="Other"), headers=headers)
        assert other.json()["id"] != answers[0].json()["id"]

    def test_fifty_thousand_hardware_ids_go_into_one_label(self, client: ApiClient, make: Make) -> None:
        rows = [DriverRow(ROWS[0].bundle_id, INF, RS3, rf"pci\ven_1af4&dev_{number:06x}") for number in range(50_000)]
        finished = make(rows=rows)
        document = created(client, finished)
        path = f"{finished.labels}/{document['id']}"
        assert len(states(client, path)) == 50_000
        broken = [{**each, "pnpString": "pci\\none"} for each in finished.targets()]
        error = functional(
            client.http.post(finished.labels, json=body_of(finished, targeting={"hardwareIds": broken})),
            422,
            "invalidInput",
        )
        assert len(error["validationErrors"]) == 201
        assert error["validationErrors"][-1]["message"] == "There are 49800 findings more."


SYSTEM = {"selectedProductTypes": {"Windows_v100_GE": "Laptop"}}
FAILED = {"state": "failed", "current_step": "scanning"}
UNPREPARED = {"rows": (), "state": "started", "current_step": "preparation"}
SHARED_ON = {
    "destination": "anotherPartner",
    "publishingSpecifications": None,
    "recipientSpecifications": {"receiverPublisherId": "12345678"},
}
NOT_NOW = (422, "requestInvalidForCurrentState")


class TestRefusedCreates:
    @pytest.mark.parametrize(
        ("stored", "changes", "refused_with"),
        [
            ({"product": {"origin_type": "readOnly"}}, {}, (403, "readOnlyProduct")),
            (UNPREPARED, {"targeting": None}, NOT_NOW),
            (FAILED, {}, NOT_NOW),
            ({"is_deprecated": True}, {}, NOT_NOW),
            ({"attributes": SYSTEM}, {}, NOT_NOW),
            ({"product": {"origin_type": "publisher"}}, SHARED_ON, NOT_NOW),
            ({}, {"targeting": {"inServicePublishInfo": {"ceiling": "GE"}}}, (403, "forbidden")),
            ({}, {"targeting": {"coEngDriverPublishInfo": {"flooringBuildNumber": 27000}}}, (403, "forbidden")),
        ],
    )
    def test_state_and_rights_come_alone_and_first(
        self, client: ApiClient, make: Make, stored: dict[str, Any], changes: dict[str, Any], refused_with: Any
    ) -> None:
        finished = make(**stored)
        for wrong in ({}, {"name": 5}):
            answer = client.http.post(finished.labels, json=body_of(finished, **changes | wrong))
            assert refusal(answer) == (*refused_with, [])
        if stored.get("product") == {"origin_type": "readOnly"}:
            message = "Not allowed to create the shipping labels on a read only product."
            assert answer.json()["error"]["message"] == message
        assert client.http.get(finished.labels).json()["value"] == []

    def test_anothers_submission_is_not_there(self, service: Served, make: Make) -> None:
        finished = make()
        stranger = new_client(service, ["Manager", "Shipping Label Owner"])
        for body in (body_of(finished), {"name": 5}):
            assert code_of(stranger.http.post(finished.labels, json=body)) == (404, "entityNotFound")
        assert code_of(stranger.http.get(finished.labels)) == (404, "entityNotFound")

    @pytest.mark.parametrize(
        ("stored", "changes", "targets"),
        [
            ({}, {"name": None}, ["name"]),
            ({}, {"destination": "NotSet"}, ["destination"]),
            ({}, {"publishingSpecifications": None}, ["publishingSpecifications"]),
            ({}, SHARED_ON, ["recipientSpecifications.receiverPublisherId"]),
            ({}, {"targeting": None}, ["targeting.hardwareIds"]),
            (
                {},
                {"publishingSpecifications": AUTOMATIC | {"manualAcquisition": True}},
                ["publishingSpecifications.manualAcquisition"],
            ),
            (
                {},
                {"publishingSpecifications": {"isAutoInstallDuringOSUpgrade": True}},
                [
                    f"publishingSpecifications.additionalInfoForMsApproval.{name}"
                    for name in ("microsoftContact", "validationsPerformed", "affectedOems")
                ],
            ),
            (
                {"is_extension_inf": True},
                {},
                ["publishingSpecifications.isAutoInstallOnApplicableSystems"],
            ),
            ({"enforces_chids": True}, {}, ["targeting.chids"]),
            ({"test_harness": "attestation"}, {}, ["targeting.restrictedToAudiences"]),
            ({"attributes": {"isTestSign": True}}, {}, ["targeting.restrictedToAudiences"]),
            (
                {},
                {"publishingSpecifications": {"visibleToAccounts": [1]}},
                ["publishingSpecifications.visibleToAccounts"],
            ),
        ],
    )
    def test_each_rule_has_its_target(
        self, client: ApiClient, make: Make, stored: dict[str, Any], changes: dict[str, Any], targets: list[str]
    ) -> None:
        finished = make(**stored)
        assert list(refused(client, finished, **changes)) == targets

    @pytest.mark.parametrize(
        ("more", "targets"),
        [
            ({"restrictedToAudiences": [CHID]}, ["targeting.restrictedToAudiences"]),
            ({"chids": [{"chid": "x"}]}, ["targeting.chids[0].chid"]),
            ({"inServicePublishInfo": {"flooring": "RS1"}}, ["targeting.inServicePublishInfo.flooring"]),
            ({"inServicePublishInfo": {"flooring": "XX"}}, ["targeting.inServicePublishInfo.flooring"]),
        ],
    )
    def test_each_rule_of_targeting_has_its_target(
        self, client: ApiClient, make: Make, more: dict[str, Any], targets: list[str]
    ) -> None:
        finished = make()
        body = {"hardwareIds": finished.targets(), **more}
        assert list(refused(client, finished, targeting=body)) == targets

    def test_chids_need_windows_10(self, client: ApiClient, make: Make) -> None:
        finished = make(rows=[ROWS[0]._replace(os_code="WINDOWS_v63_X64")])
        body = {"hardwareIds": finished.targets(), "chids": [{"chid": CHID}]}
        assert list(refused(client, finished, targeting=body)) == ["targeting.chids"]

    def test_all_that_is_wrong_is_told_at_once(self, client: ApiClient, make: Make) -> None:
        finished = make(test_harness="attestation")
        body = {
            "name": 5,
            "destination": "windowsUpdate",
            "publishingSpecifications": {"goLiveDate": "tomorrow", "manualAcquisition": False},
            "targeting": {
                "hardwareIds": [*finished.targets(), {**finished.targets()[0], "pnpString": "x"}, {}],
                "inServicePublishInfo": {"flooring": "RS9"},
                "coEngDriverPublishInfo": 7,
            },
        }
        answer = findings(client.http.post(finished.labels, json=body))
        at = "targeting.hardwareIds"
        assert set(answer) == {
            "name",
            "publishingSpecifications.goLiveDate",
            "publishingSpecifications.manualAcquisition",
            f"{at}[6].pnpString",
            *(f"{at}[7].{name}" for name in ("bundleId", "infId", "operatingSystemCode", "pnpString")),
            "targeting.inServicePublishInfo.flooring",
            "targeting.coEngDriverPublishInfo",
            "targeting.restrictedToAudiences",
        }

    def test_what_an_account_may_not_do_is_forbidden(
        self, client: ApiClient, make: Make, policy: Callable[..., None]
    ) -> None:
        finished = make()
        for change in ({"automaticDelivery": False}, {"promoterRole": True}):
            policy(**change)
            body = body_of(finished, publishingSpecifications=AUTOMATIC)
            assert code_of(client.http.post(finished.labels, json=body)) == (403, "forbidden")
            created(client, finished)
        policy(ceilings=True)
        created(
            client, finished, targeting={"hardwareIds": finished.targets(), "inServicePublishInfo": {"ceiling": "GE"}}
        )

    def test_rows_of_an_older_release_are_made_good(self, client: ApiClient, service: Served, make: Make) -> None:
        finished = make()
        with database_of(service) as database, database.writing() as connection:
            for table in (driver_rows, driver_infs):
                connection.execute(table.delete().where(table.c.submission_id == finished.id))
        created(client, finished)


class TestRead:
    def test_a_list_is_complete_and_newest_first(self, client: ApiClient, service: Served, make: Make) -> None:
        finished = make()
        ids = [created(client, finished)["id"] for _ in range(3)][::-1]
        listed = client.http.get(finished.labels).json()
        assert [each["id"] for each in listed["value"]] == ids
        assert all("targeting" not in each for each in listed["value"])
        own = {"href": f"{service.url}{finished.labels}", "rel": "self", "method": "GET"}
        assert listed["links"] == [own]
        first = client.http.get(finished.labels, params={"pageSize": 2, "includeTargetingInfo": "1"}).json()
        assert [each["id"] for each in first["value"]] == ids[:2]
        assert {len(each["targeting"]["hardwareIds"]) for each in first["value"]} == {len(ROWS)}
        assert first["links"][0] == own
        rest = client.http.get(first["links"][1]["href"]).json()
        assert [each["id"] for each in rest["value"]] == ids[2:]
        assert "targeting" in rest["value"][0]

    def test_targeting_is_shown_when_it_is_asked_for(self, client: ApiClient, make: Make, label: Any) -> None:
        path = label(make(), chids={CHID: "added"})
        for asked in ("true", "True", "TRUE", "1"):
            assert "targeting" in client.http.get(f"{path}?INCLUDETARGETINGINFO={asked}").json()
        for asked in ("", "?includeTargetingInfo=false", "?includeTargetingInfo=0", "?includeTargetingInfo="):
            assert "targeting" not in client.http.get(f"{path}{asked}").json()
        assert targeting(client, path)["chids"] == [{"chid": CHID, "distributionState": "added"}]

    def test_an_author_sees_what_a_receiver_made_and_does_not_change_it(
        self, client: ApiClient, service: Served, make: Make, label: Any
    ) -> None:
        finished, partner = make(), partner_of(service)
        copy = make(account_id=partner, source_submission_id=finished.id, product={"origin_type": "publisher"})
        label_id = label(copy).rsplit("/", 1)[1]
        path = f"{finished.labels}/{label_id}"
        shown = client.http.get(finished.labels).json()["value"]
        assert [(each["id"], each["submissionId"]) for each in shown] == [(int(label_id), finished.id)]
        assert client.http.get(path).json()["links"][0]["href"] == f"{service.url}{path}"
        change = {"targeting": {"hardwareIds": finished.targets(action="remove")}}
        assert code_of(client.http.patch(path, json=change)) == (403, "updateUnauthorized")
        assert code_of(client.http.put(f"{path}/cancel")) == (403, "updateUnauthorized")

    def test_a_receiver_sees_no_label_of_the_author_and_a_reader_the_one_it_may(
        self, client: ApiClient, service: Served, make: Make, label: Any
    ) -> None:
        finished = make()
        paths = [label(finished) for _ in range(2)]
        reader = new_client(service, ["Manager", "Shipping Label Owner"])
        with database_of(service) as database, database.reading() as connection:
            found = sa.select(applications.c.account_id).where(applications.c.client_id == client_id_of(reader))
            account_id = connection.execute(found).scalar_one()
        copy = make(account_id=account_id, source_submission_id=finished.id, product={"origin_type": "readOnly"})
        assert reader.http.get(copy.labels).json()["value"] == []
        label_id = int(paths[0].rsplit("/", 1)[1])
        with database_of(service) as database, database.writing() as connection:
            for _ in range(2):
                add_readers(connection, label_id, [account_id])
        assert [each["id"] for each in reader.http.get(copy.labels).json()["value"]] == [label_id]
        path = f"{copy.labels}/{label_id}"
        assert len(targeting(reader, path)["hardwareIds"]) == len(ROWS)
        assert code_of(reader.http.patch(path, json={"targeting": {}})) == (403, "updateUnauthorized")
        assert code_of(reader.http.get(f"{copy.labels}/{paths[1].rsplit('/', 1)[1]}")) == (404, "entityNotFound")
        assert code_of(reader.http.get(paths[0])) == (404, "entityNotFound")

    def test_a_label_is_below_its_submission_only(self, client: ApiClient, make: Make, label: Any) -> None:
        finished, other = make(), make()
        label_id = label(finished).rsplit("/", 1)[1]
        for path in (f"{other.labels}/{label_id}", f"{finished.labels}/{UNKNOWN}", f"{finished.labels}/x"):
            for answer in (
                client.http.get(path),
                client.http.patch(path, json={"targeting": {}}),
                client.http.put(f"{path}/cancel"),
            ):
                assert code_of(answer) == (404, "entityNotFound")


class TestChange:
    def test_targets_become_pending_and_the_workflow_begins_again(
        self, client: ApiClient, service: Served, make: Make, label: Any
    ) -> None:
        finished = make()
        first, second, third = ROWS[:3]
        path = label(finished, rows={first: "added", second: "notSet"}, chids={CHID: "added"})
        body = {
            "TargetingInfo": {
                "hardwareIds": [
                    *finished.targets(action="Remove", rows=[first]),
                    *finished.targets(action="add", rows=[second, third]),
                ],
                "chids": [{"chid": OTHER_CHID, "action": "ADD"}, {"chid": f"{{{CHID}}}", "action": "remove"}],
                "businessJustification": "Because.",
            }
        }
        answer = client.http.patch(path, json=body)
        assert (answer.status_code, answer.content) == (204, b"")
        label_id = int(path.rsplit("/", 1)[1])
        with database_of(service) as database, database.reading() as connection:
            row = connection.execute(sa.select(shipping_labels).where(shipping_labels.c.id == label_id)).one()
            ids = sa.select(label_hardware_ids).where(label_hardware_ids.c.label_id == label_id)
            runs = {each.hardware_id: each.run for each in connection.execute(ids)}
        assert (row.run, [each["text"] for each in row.justifications]) == (2, ["Because."])
        assert runs == {first.hardware_id: 1, second.hardware_id: 2, third.hardware_id: 2}

        # Nothing goes live before the fifteen seconds of approval are over.
        assert states(client, path) == {
            (first.os_code, first.hardware_id): "pendingRemove",
            (second.os_code, second.hardware_id): "pendingAdd",
            (third.os_code, third.hardware_id): "pendingAdd",
        }
        chids = {each["chid"]: each["distributionState"] for each in targeting(client, path)["chids"]}
        assert chids == {CHID: "pendingRemove", OTHER_CHID: "pendingAdd"}

    def test_nothing_at_all_is_told_for_three_targets(self, client: ApiClient, make: Make, label: Any) -> None:
        path = label(make())
        trio = ["targeting.chids", "targeting.hardwareIds", "targeting.restrictedToAudiences"]
        for body in ({}, {"targeting": None}, {"targeting": {"chids": [], "hardwareIds": None, "audience": ""}}):
            found = findings(client.http.patch(path, json=body))
            assert found == dict.fromkeys(trio, "At least one property is required for update.")

    def test_an_empty_audience_removes_one_that_is_there(self, client: ApiClient, make: Make, label: Any) -> None:
        """Section 11, 30."""
        path = label(make(), targeting={"restrictedToAudiences": TESTS})
        assert client.http.patch(path, json={"targeting": {"restrictedToAudiences": []}}).status_code == 204
        assert targeting(client, path)["restrictedToAudiences"] == []

    def test_a_floor_is_changed_and_removed(self, client: ApiClient, make: Make, label: Any) -> None:
        finished = make()
        floor = {"restrictedToAudiences": [], "inServicePublishInfo": {"flooring": "RS3"}}
        path = label(finished, targeting=floor)
        assert (
            client.http.patch(path, json={"targeting": {"inServicePublishInfo": {"flooring": "vb"}}}).status_code == 204
        )
        assert targeting(client, path)["inServicePublishInfo"] == {"flooring": "VB"}
        for blank in (None, {"flooring": "", "ceiling": ""}):
            path = label(finished, targeting=floor)
            assert client.http.patch(path, json={"targeting": {"inServicePublishInfo": blank}}).status_code == 204
            assert "inServicePublishInfo" not in targeting(client, path)

    def test_other_properties_may_be_repeated_and_not_changed(self, client: ApiClient, make: Make, label: Any) -> None:
        finished = make()
        path = label(finished)
        document = client.http.get(path).json()
        change = {"targeting": {"hardwareIds": finished.targets(action="remove", rows=ROWS[:1])}}
        other = document | {"name": "Other", "publishingSpecifications": {"isAutoInstallOnApplicableSystems": True}}
        assert set(findings(client.http.patch(path, json=other | change))) == {"name", "publishingSpecifications"}
        assert client.http.patch(path, json=document | change).status_code == 204

    def test_what_is_not_there_cannot_be_removed_and_each_entry_says_what_it_wants(
        self, client: ApiClient, make: Make, label: Any
    ) -> None:
        finished = make()
        path = label(finished, rows={ROWS[0]: "added", ROWS[1]: "notSet"})
        entries = [
            *finished.targets(action="remove", rows=ROWS[1:3]),
            *finished.targets(rows=ROWS[3:4]),
            {**finished.targets(action="add")[0], "pnpString": "x"},
            {**finished.targets(action="remove")[0], "infId": "x.inf"},
        ]
        body = {"targeting": {"hardwareIds": entries, "chids": [{"chid": CHID, "action": "remove"}, {"chid": CHID}]}}
        at = "targeting.hardwareIds"
        assert set(findings(client.http.patch(path, json=body))) == {
            f"{at}[0]",
            f"{at}[1]",
            f"{at}[2].action",
            f"{at}[3].pnpString",
            f"{at}[4].infId",
            "targeting.chids[0]",
            "targeting.chids[1].action",
        }
        assert set(states(client, path).values()) == {"added", "notSet"}

    @pytest.mark.parametrize("step", ["preProcessShippingLabel", "microsoftApproval", "publishing"])
    def test_a_label_whose_workflow_runs_is_locked(self, client: ApiClient, make: Make, label: Any, step: str) -> None:
        finished = make()
        path = label(finished, current_step=step, state="started")
        body = {"targeting": {"hardwareIds": finished.targets(action="remove")}}
        assert refusal(client.http.patch(path, json=body)) == (422, "invalidInput", ["targeting"])

    def test_a_cancelled_label_is_not_changed_again(self, client: ApiClient, make: Make, label: Any) -> None:
        finished = make()
        path = label(finished, is_cancelled=True, current_step="microsoftApproval", state="failed")
        body = {"targeting": {"hardwareIds": finished.targets(action="add")}}
        assert code_of(client.http.patch(path, json=body)) == NOT_NOW


class TestCancel:
    def test_it_is_written_down_in_approval_and_may_be_repeated(
        self, client: ApiClient, service: Served, make: Make, label: Any
    ) -> None:
        path = label(make(), current_step="microsoftApproval", state="started")
        for _ in range(3):
            answer = client.http.put(f"{path}/cancel")
            assert (answer.status_code, answer.content) == (204, b"")

        def ended() -> bool:
            return bool(client.http.get(path).json()["workflowStatus"]["state"] == "failed")

        until(ended, "the label has not ended")
        assert client.http.put(f"{path}/cancel/").status_code == 204

    def test_elsewhere_it_is_refused(self, client: ApiClient, make: Make, label: Any) -> None:
        finished = make()
        waiting = {"current_step": "microsoftApproval", "state": "started"}
        for path in (
            label(finished),
            label(finished, current_step="publishing", state="started"),
            label(finished, destination="anotherPartner", **waiting),
        ):
            assert code_of(client.http.put(f"{path}/cancel")) == NOT_NOW


def _refused(answer: httpx.Response, status: int, code: str) -> str:
    return str(functional(answer, status, code)["message"])


@pytest.fixture
def submission(client: ApiClient) -> dict[str, Any]:
    return client.create_submission(client.create_product()["id"])


def _path(submission: Mapping[str, Any]) -> str:
    return f"{API}/products/{submission['productId']}/submissions/{submission['id']}"


def test_publisher_metadata_is_refused_before_there_is_any_and_done_afterwards(
    client: ApiClient, service: Served, submission: dict[str, Any], tmp_path: Path
) -> None:
    answer = client.http.post(f"{_path(submission)}/createPublisherMetadata", json={})
    assert "has not yet" in _refused(answer, 422, "requestInvalidForCurrentState")
    client.upload(submission, signed_cabinet(tmp_path, service.made.vendor))
    client.commit(submission)
    assert client.finished(submission)["workflowStatus"]["state"] == "completed"
    for body in (b"", b"{}"):
        done = client.http.post(f"{_path(submission)}/createPublisherMetadata", content=body)
        assert (done.status_code, done.content) == (202, b"")


@pytest.mark.parametrize("spelling", ["sourcepubliherid", "sourcepublisherid", "sourcePubliherId"])
def test_the_look_up_translates_the_callers_own_ids_only(
    client: ApiClient, service: Served, submission: dict[str, Any], spelling: str
) -> None:
    ids = f"sourceproductid/{submission['productId']}/sourcesubmissionid/{submission['id']}"
    own = service.made.credentials["accountId"]
    found = client.http.get(f"{API}/products/relationships/{spelling}/{own}/{ids}")
    assert (found.status_code, found.json()["id"]) == (200, submission["id"])
    answer = client.http.get(f"{API}/products/relationships/{spelling}/12345678/{ids}")
    assert "The account 12345678 shares no submission" in _refused(answer, 404, "entityNotFound")
