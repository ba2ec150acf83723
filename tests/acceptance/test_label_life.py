"""The whole life of shipping labels, over HTTP, with two accounts and a clock that is moved: a driver is shared, its
receiver publishes it, has it approved, rolls it out to more and more machines, and lets it expire.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hlk_packages import hlk_package
from sandbox_service import Sandbox, sandbox
from service import API, X64, ApiClient, download_url, hwdash, signed_cabinet, until
from submitter import Submitter

PNP = r"ROOT\HWDASH_SAMPLE"
APPROVAL = {"microsoftContact": "a@example.com", "validationsPerformed": "HLK", "affectedOems": ["Contoso"]}
BUCKETS = (0, 0.9, 1, 9.9, 10, 99.9)
"""Machines by where they stand in a rollout; one is reached when the percentage is above."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("life")) as running:
        yield running


@dataclass
class Company:
    """An account with an application. Whoever moves the clock signs in again: a token lasts an hour."""

    stage: Sandbox
    seller_id: int
    credentials: dict[str, str] = field(repr=False)

    @property
    def client(self) -> ApiClient:
        given = self.credentials
        ca = self.stage.made.credentials["caCertificate"]
        return ApiClient(self.stage.url, ca, given["tenantId"], given["clientId"], given["clientSecret"])

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self.client.http.get(f"{API}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def create_label(self, submission: dict[str, Any], **body: object) -> str:
        """The path of a new label."""
        path = f"products/{submission['productId']}/submissions/{submission['id']}/shippingLabels"
        answer = self.client.http.post(f"{API}/{path}", json=body)
        assert answer.status_code == 201, answer.text
        created = answer.json()
        assert created["workflowStatus"] == {
            "currentStep": "preProcessShippingLabel", "state": "notStarted", "messages": [],
        }  # fmt: skip
        assert "targeting" not in created
        return f"{path}/{created['id']}"

    def label(self, path: str) -> dict[str, Any]:
        return self.get(path, includeTargetingInfo="true")

    def label_at(self, path: str, step: str, state: str, message: str = "") -> dict[str, Any]:
        """The label once it is there, with such a message."""
        found: dict[str, Any] = {}

        def is_there() -> bool:
            nonlocal found
            found = self.label(path)
            status = found["workflowStatus"]
            assert status["state"] != "failed" or state == "failed", status
            told = " ".join(status["messages"])
            return (status["currentStep"], status["state"]) == (step, state) and message in told

        until(is_there, f"the label has not come to {step}, {state}, {message}")
        return found

    def offered(self, label_id: int, **machine: object) -> list[float]:
        """The buckets of the machines that are offered the label."""
        client = self.client
        return [bucket for bucket in BUCKETS if self._is_offered(client, label_id, bucket, machine)]

    def _is_offered(self, client: ApiClient, label_id: int, bucket: float, machine: dict[str, object]) -> bool:
        document = {
            "os": {"build": 26100, "revision": 1000, "architecture": "amd64"},
            "rolloutBucket": bucket,
            "devices": [{"hardwareIds": [PNP]}],
        } | machine
        answer = client.http.get("/distribution/v1/offers", params={"machine": json.dumps(document)})
        assert answer.status_code == 200, answer.text
        return label_id in [each["labelId"] for device in answer.json()["devices"] for each in device["offers"]]


@pytest.fixture(scope="module")
def maker(stage: Sandbox) -> Company:
    return Company(stage, stage.made.credentials["accountId"], stage.made.credentials)


@pytest.fixture(scope="module")
def oem(stage: Sandbox) -> Company:
    environment = stage.made.environment
    account = json.loads(hwdash("admin", "account", "create", "Contoso", environment=environment))
    words = ("admin", "app", "create", "contoso", "--account", str(account["id"]))
    return Company(stage, account["id"], json.loads(hwdash(*words, environment=environment)))


def admin(stage: Sandbox, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(hwdash("admin", *words, "--json", environment=stage.made.environment))
    return found


def test_a_shared_driver_is_approved_rolled_out_and_expires(stage: Sandbox, maker: Company, oem: Company) -> None:
    submission = maker.client.submit(
        hlk_package(stage.made.vendor), productName="Widget", testHarness="HLK", requestedSignatures=[X64]
    )
    assert submission["workflowStatus"]["state"] == "completed", submission

    # The maker shares it.
    share = maker.create_label(
        submission,
        name="For Contoso",
        destination="anotherPartner",
        recipientSpecifications={"receiverPublisherId": str(oem.seller_id), "enforceChidTargeting": False},
    )
    shared = maker.label_at(share, "finalizeSharing", "completed")
    assert {each["distributionState"] for each in shared["targeting"]["hardwareIds"]} == {"added"}

    # The receiver has ids of its own for it, and has its metadata made.
    ids = f"sourceproductid/{submission['productId']}/sourcesubmissionid/{submission['id']}"
    found = oem.get(f"products/relationships/sourcepubliherid/{maker.seller_id}/{ids}")
    assert found["id"] != submission["id"]
    received = f"products/{found['productId']}/submissions/{found['id']}"
    assert oem.client.http.post(f"{API}/{received}/createpublishermetadata").status_code == 202

    def has_metadata() -> bool:
        nonlocal found
        found = oem.get(received)
        return "driverMetadata" in [each["type"] for each in found["downloads"]["items"]]

    until(has_metadata, "there is no driver metadata")
    metadata = oem.client.http.get(download_url(found, "driverMetadata"), headers={"Authorization": ""}).json()
    ((bundle, content),) = metadata["BundleInfoMap"].items()
    ((inf, info),) = content["InfInfoMap"].items()
    assert list(info["OSPnPInfoMap"]) == [X64]
    target = {"bundleId": bundle, "infId": inf, "operatingSystemCode": X64, "pnpString": PNP}

    # Its automatic label waits for a person, and is offered to nobody meanwhile.
    label = oem.create_label(
        found,
        name="On our machines",
        destination="windowsUpdate",
        publishingSpecifications={
            "isAutoInstallOnApplicableSystems": True,
            "additionalInfoForMsApproval": APPROVAL,
        },
        targeting={"hardwareIds": [target]},
    )
    label_id = int(label.rpartition("/")[2])
    waiting = oem.label_at(label, "microsoftApproval", "started")
    assert waiting["targeting"]["hardwareIds"] == [
        target | {"pnpString": PNP.lower(), "distributionState": "pendingAdd"}
    ]
    until(
        lambda: label_id in [each["labelId"] for each in admin(stage, "approval", "list")["labels"]], "nobody is asked"
    )
    stage.advance("60s")
    assert oem.label(label)["workflowStatus"]["currentStep"] == "microsoftApproval"
    assert oem.offered(label_id) == []
    # The author sees what its receiver does, and cannot touch it.
    of_author = f"{share.rpartition('/')[0]}/{label_id}"
    assert maker.label(of_author)["name"] == "On our machines"
    assert maker.client.http.put(f"{API}/{of_author}/cancel").status_code == 403

    # Approved, it reaches one machine in a hundred, from the eighth day on ten, and from the fourteenth all.
    assert (
        admin(stage, "approval", "approve", str(label_id), "--reason", "Tested.", "--by", "reviewer")["already"]
        is False
    )
    rolling = oem.label_at(label, "microsoftApproval", "started", "Gradual rollout: 1 %, day 1 of 30")
    assert rolling["targeting"]["hardwareIds"][0]["distributionState"] == "added"
    assert oem.offered(label_id) == [0, 0.9]
    assert maker.offered(label_id) == [0, 0.9]
    assert oem.offered(label_id, os={"build": 26100, "architecture": "arm64"}) == []
    assert oem.offered(label_id, os={"build": 22631, "architecture": "amd64"}) == []
    assert oem.offered(label_id, devices=[{"hardwareIds": [r"PCI\VEN_1AF4"]}]) == []
    change = {"hardwareIds": [target | {"action": "remove"}]}
    locked = oem.client.http.patch(f"{API}/{label}", json={"targeting": change})
    assert (locked.status_code, locked.json()["error"]["code"]) == (422, "invalidInput")

    stage.advance("7d")
    oem.label_at(label, "microsoftApproval", "started", "Gradual rollout: 10 %, day 8 of 30")
    assert oem.offered(label_id) == [0, 0.9, 1, 9.9]
    stage.advance("6d")
    oem.label_at(label, "microsoftApproval", "started", "Gradual rollout: 100 %, day 14 of 30")
    assert oem.offered(label_id) == list(BUCKETS)
    assert oem.offered(label_id, os={"build": 22631, "architecture": "amd64"}) == []
    stage.advance("17d")
    published = oem.label_at(label, "finalizePublishing", "completed")
    assert published["workflowStatus"]["messages"] == []
    assert oem.offered(label_id) == list(BUCKETS)

    # All is removed: the driver expires, without anybody's approval.
    assert oem.client.http.patch(f"{API}/{label}", json={"targeting": change}).status_code == 204
    begun = oem.label_at(label, "microsoftApproval", "started")
    assert begun["targeting"]["hardwareIds"][0]["distributionState"] == "pendingRemove"
    assert oem.offered(label_id) == list(BUCKETS)
    stage.advance("60s")
    expired = oem.label_at(label, "finalizePublishing", "completed")
    assert expired["targeting"]["hardwareIds"][0]["distributionState"] == "notSet"
    assert oem.offered(label_id) == []
    assert maker.offered(label_id) == []


def test_a_label_that_a_person_rejects_fails_with_the_reason(stage: Sandbox, maker: Company) -> None:
    submission = maker.client.submit(
        hlk_package(stage.made.vendor), productName="Rejected", testHarness="HLK", requestedSignatures=[X64]
    )
    metadata = maker.client.http.get(download_url(submission, "driverMetadata"), headers={"Authorization": ""}).json()
    ((bundle, content),) = metadata["BundleInfoMap"].items()
    (inf,) = content["InfInfoMap"]
    target = {"bundleId": bundle, "infId": inf, "operatingSystemCode": X64, "pnpString": PNP}
    label = maker.create_label(
        submission,
        name="For all",
        destination="windowsUpdate",
        publishingSpecifications={"isAutoInstallDuringOSUpgrade": True, "additionalInfoForMsApproval": APPROVAL},
        targeting={"hardwareIds": [target]},
    )
    label_id = label.rpartition("/")[2]
    maker.label_at(label, "microsoftApproval", "started")
    admin(stage, "approval", "reject", label_id, "--reason", "Tested on no laptop.", "--by", "reviewer")
    failed = maker.label_at(label, "microsoftApproval", "failed")
    assert any("Tested on no laptop." in each for each in failed["workflowStatus"]["messages"])
    report = maker.client.http.get(failed["workflowStatus"]["errorReport"], headers={"Authorization": ""})
    assert "Tested on no laptop." in report.text
    assert maker.offered(int(label_id)) == []


def test_a_driver_is_published_by_command_and_offered_to_test_machines(
    stage: Sandbox, maker: Company, tmp_path: Path
) -> None:
    terminal = Submitter(stage.served, tmp_path)
    submitted = terminal(signed_cabinet(tmp_path, stage.made.vendor), "--json")
    assert submitted.code == 0, submitted.err
    ids = (str(submitted.document["productId"]), str(submitted.document["submissionId"]))
    made = terminal.run(
        *("label", "create", *ids, "--name", "To the laboratory", "--all-hardware-ids"),
        *("--audience", "Test_Registry_Key", "--json"),
    )
    assert made.code == 0, made.err
    label_id = made.document["id"]
    assert terminal.run("label", "wait", *ids, str(label_id), "--until-approval", "--poll", "0.1").code == 0
    stage.advance("20s")
    waited = terminal.run("label", "wait", *ids, str(label_id), "--poll", "0.1", "--timeout", "60", "--json")
    assert waited.code == 0, waited.err
    assert waited.document["workflowStatus"]["currentStep"] == "finalizePublishing"

    machine = {"os": {"build": 26100, "architecture": "amd64"}, "devices": [{"hardwareIds": [PNP]}]}

    def asked(*audiences: str) -> list[list[str]]:
        file = tmp_path / "machine.json"
        file.write_text(json.dumps(machine | {"audiences": audiences}))
        ran = terminal.run("offers", "--device", str(file))
        assert ran.code == 0, ran.err
        return [line.split("\t") for line in ran.out.splitlines() if str(label_id) in line]

    ((device, offer, *_),) = asked("Test_Registry_Key")
    assert (device.casefold(), offer) == (PNP.casefold(), "optional")
    ((_, refused, *_, why_not),) = asked()
    assert (refused, why_not.partition(":")[0]) == ("none", "audience")
