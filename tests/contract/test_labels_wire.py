"""Shipping labels over HTTP (contract/api.md 4.11 to 4.15, 7.4 and 7.5), and publisher metadata."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from callers import database_of
from finished_submission import INF, MANUAL, ROWS, RS3, Finished, finished_submission, stored_label
from hwdash.clock import system_clock
from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.domain.targets import DriverRow
from hwdash.storage.accounts import account, create_account, set_policy
from refusals import findings, functional, refusal
from service import API, ApiClient, Served, signed_cabinet, until

pytestmark = pytest.mark.usefixtures("no_accident")

CHID = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6"
OTHER_CHID = "11f13de6-11f1-4f0d-9e39-a1b2c3d4e5f6"
INFO = {"microsoftContact": "a@example.com", "validationsPerformed": "HLK", "affectedOems": ["Contoso"]}
AUTOMATIC = {"isAutoInstallOnApplicableSystems": True, "additionalInfoForMsApproval": INFO}
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
