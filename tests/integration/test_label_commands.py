"""``hwdash label`` and ``hwdash share`` against a real service, in a sandbox whose clock need not be waited for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callers import new_client
from sandbox_service import Sandbox, sandbox
from service import API, X64, ApiClient, hwdash, signed_cabinet, until
from submitter import Ran, Submitter

NI = "WINDOWS_v100_X64_NI_FULL"
PNP = r"root\hwdash_sample"
INF = "hwdash_sample.inf"
CHID = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6"
TEST_KEY = ("--audience", "test_registry_key")


@dataclass
class Publisher:
    """Runs commands on one signed submission of the sample driver, which is for two releases of Windows."""

    sandbox: Sandbox
    client: ApiClient
    terminal: Submitter
    submission: dict[str, Any]

    @property
    def ids(self) -> tuple[str, str]:
        return str(self.submission["productId"]), str(self.submission["id"])

    def run(self, command: str, *arguments: str) -> Ran:
        """``hwdash label COMMAND`` with the ids of the submission."""
        return self.terminal.run("label", command, *self.ids, *arguments)

    def json(self, command: str, *arguments: str) -> dict[str, Any]:
        ran = self.run(command, *arguments, "--json")
        assert ran.code == 0, ran.err
        return ran.document

    def create(self, *arguments: str) -> dict[str, Any]:
        return self.json("create", "--name", "By command", *TEST_KEY, *arguments)

    def label_ids(self) -> list[int]:
        listed = self.client.http.get(f"{API}/products/{self.ids[0]}/submissions/{self.ids[1]}/shippingLabels")
        return [each["id"] for each in listed.json()["value"]]

    def ended(self, label_id: int) -> dict[str, Any]:
        """The label once its run has ended, the clock moved past what it waits for."""
        path = f"{API}/products/{self.ids[0]}/submissions/{self.ids[1]}/shippingLabels/{label_id}"
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            nonlocal found
            found = self.client.http.get(path, params={"includeTargetingInfo": "true"}).json()
            status = found["workflowStatus"]
            if status["currentStep"] == "microsoftApproval" and status["state"] == "started":
                self.sandbox.advance("20s")
            return status["state"] in ("failed", "completed")

        until(has_ended, "the label has not ended")
        return found


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    folder = tmp_path_factory.mktemp("labels")
    with sandbox(folder) as running:
        client = running.client()
        package = signed_cabinet(folder, running.made.vendor)
        submission = client.submit(package, productName="Labels", requestedSignatures=[X64, NI])
        assert submission["workflowStatus"]["state"] == "completed", submission
        yield Publisher(running, client, Submitter(running.served, folder), submission)


def test_a_driver_is_published_changed_and_expired(publisher: Publisher) -> None:
    made = publisher.create("--os", NI.lower(), "--inf", INF.upper())
    assert made["destination"] == "windowsUpdate"
    assert made["publishingSpecifications"]["manualAcquisition"] is True
    (targeted,) = made["targeting"]["hardwareIds"]
    assert (targeted["operatingSystemCode"], targeted["pnpString"], targeted["infId"]) == (NI, PNP, INF)
    assert len(made["targeting"]["restrictedToAudiences"]) == 1
    label_id = str(made["id"])

    running = publisher.run("wait", label_id, "--until-approval", "--poll", "0.1", "--timeout", "60")
    assert running.code == 0, running.err
    assert "[6/8] microsoftApproval started" in running.err
    publisher.ended(made["id"])
    waited = publisher.run("wait", label_id, "--json")
    assert waited.document["workflowStatus"] == {
        "currentStep": "finalizePublishing",
        "state": "completed",
        "messages": [],
    }
    assert waited.err.splitlines()[-1] == "[8/8] finalizePublishing completed"

    again = publisher.run("update", label_id, "--add", "--os", NI)
    assert (again.code, "all 1 of these hardware ids already" in again.err) == (1, True)
    changed = publisher.json("update", label_id, "--add", "--all-hardware-ids", "--floor", "NI")
    states = {each["operatingSystemCode"]: each["distributionState"] for each in changed["targeting"]["hardwareIds"]}
    assert states == {NI: "added", X64: "pendingAdd"}
    assert changed["targeting"]["inServicePublishInfo"] == {"flooring": "NI"}
    publisher.ended(made["id"])

    gone = publisher.json("update", label_id, "--remove", "--all-hardware-ids", "--any-release", "--any-audience")
    assert {each["distributionState"] for each in gone["targeting"]["hardwareIds"]} == {"pendingRemove"}
    expired = publisher.ended(made["id"])["targeting"]
    assert {each["distributionState"] for each in expired["hardwareIds"]} == {"notSet"}
    assert expired["restrictedToAudiences"] == []
    assert "inServicePublishInfo" not in expired
    nothing = publisher.run("update", label_id, "--remove", "--all-hardware-ids")
    assert (nothing.code, "no hardware id to choose from" in nothing.err) == (1, True)


def test_every_option_of_a_label_reaches_the_wire(publisher: Publisher, tmp_path: Path) -> None:
    ids, chids = tmp_path / "ids.txt", tmp_path / "chids.txt"
    ids.write_text(f"# the sample\n\n{PNP.upper()}\n")
    chids.write_text(f"{{{CHID.upper()}}}\n{CHID}\n")
    made = publisher.create(
        *("--hardware-id", f"@{ids}", "--chid", f"@{chids}", "--floor", "NI"),
        *("--automatic", "--on-upgrade", "--go-live", "2031-02-03", "--s-mode", "--no-disclosure"),
        *("--visible-to", str(publisher.sandbox.made.credentials["accountId"])),
        *("--contact", "a@example.com", "--validation", "HLK", "--oem", "Contoso", "--oem", "Fabrikam"),
        *("--justification", "It mends a fault.", "--reboot-required", "--ui-software"),
    )
    assert made["publishingSpecifications"] == {
        "goLiveDate": "2031-02-03T00:00:00Z",
        "visibleToAccounts": [publisher.sandbox.made.credentials["accountId"]],
        "isAutoInstallDuringOSUpgrade": True,
        "isAutoInstallOnApplicableSystems": True,
        "manualAcquisition": False,
        "isDisclosureRestricted": True,
        "publishToWindows10s": True,
        "additionalInfoForMsApproval": {
            "microsoftContact": "a@example.com",
            "validationsPerformed": "HLK",
            "affectedOems": ["Contoso", "Fabrikam"],
            "isRebootRequired": True,
            "isCoEngineered": False,
            "isForUnreleasedHardware": False,
            "hasUiSoftware": True,
            "businessJustification": "It mends a fault.",
        },
    }
    assert len(made["targeting"]["hardwareIds"]) == 2
    assert [each["chid"] for each in made["targeting"]["chids"]] == [CHID]


def test_a_label_that_waits_is_cancelled_and_listed_as_failed(publisher: Publisher) -> None:
    label_id = str(publisher.create("--all-hardware-ids", "--go-live", "2031-02-03")["id"])
    assert publisher.run("wait", label_id, "--until-approval", "--poll", "0.1").code == 0
    cancelled = publisher.run("cancel", label_id)
    assert (cancelled.code, cancelled.err, cancelled.out) == (0, "cancellation requested\n", "")
    waited = publisher.run("wait", label_id, "--poll", "0.1", "--json")
    assert (waited.code, waited.document["workflowStatus"]["state"]) == (1, "failed")
    assert "The shipping label failed in microsoftApproval." in waited.err
    listed = publisher.run("list").out.splitlines()
    assert listed[0].split("\t") == ["id", "name", "destination", "currentStep", "state"]
    assert f"{label_id}\tBy command\twindowsUpdate\tmicrosoftApproval\tfailed" in listed
    assert int(label_id) in [each["id"] for each in publisher.json("list")["value"]]
    shown = publisher.run("show", label_id).out
    assert "targeting.hardwareIds[0].pnpString" in shown
    refused = publisher.run("cancel", str(int(label_id) + 10))
    assert (refused.code, "entityNotFound" in refused.err) == (1, True)


def test_a_driver_is_shared_received_and_published_by_another_account(publisher: Publisher) -> None:
    made = publisher.sandbox.made
    other = json.loads(hwdash("admin", "account", "create", "Partner", environment=made.environment))
    seller, own = str(other["id"]), str(made.credentials["accountId"])
    ran = publisher.terminal.run(
        *("share", *publisher.ids, seller, "--os", NI, "--enforce-chids", "--wait", "--poll", "0.1", "--json")
    )
    assert ran.code == 0, ran.err
    assert ran.document["recipientSpecifications"] == {"receiverPublisherId": seller, "enforceChidTargeting": True}
    assert ran.document["name"] == f"Shared with {seller}"
    assert len(ran.document["targeting"]["hardwareIds"]) == 1
    assert "[6/6] finalizeSharing completed" in ran.err

    application = json.loads(
        hwdash("admin", "app", "create", "partner", "--account", seller, environment=made.environment)
    )
    partner = {
        "HWDASH_TENANT_ID": application["tenantId"],
        "HWDASH_CLIENT_ID": application["clientId"],
        "HWDASH_CLIENT_SECRET": application["clientSecret"],
    }

    def run(*arguments: str) -> Ran:
        return publisher.terminal.run(*arguments, **partner)

    received = run("submission", "received", own, *publisher.ids, "--json").document
    ids = (str(received["productId"]), str(received["id"]))
    assert set(ids).isdisjoint(publisher.ids)
    early = run("label", "create", *ids, "--name", "Ours", *TEST_KEY, "--all-hardware-ids")
    assert (early.code, "createpublishermetadata" in early.err) == (1, True)
    asked = run("submission", "metadata", *ids)
    assert (asked.code, asked.err) == (0, "driver metadata requested\n")
    until(lambda: run("submission", "download", *ids, "--type", "driverMetadata").code == 0, "no driver metadata")
    refused = run("label", "create", *ids, "--name", "Ours", *TEST_KEY, "--all-hardware-ids")
    assert (refused.code, "targeting.chids" in refused.err) == (1, True)
    outside = run("label", "create", *ids, "--name", "Ours", *TEST_KEY, "--os", X64)
    assert (outside.code, f"There is no {X64} among the OS codes" in outside.err) == (1, True)
    assert NI in outside.err
    label = run("label", "create", *ids, "--name", "Ours", *TEST_KEY, "--all-hardware-ids", "--chid", CHID, "--json")
    assert label.code == 0, label.err
    assert len(label.document["targeting"]["hardwareIds"]) == 1
    assert int(label.document["id"]) in [each["id"] for each in publisher.json("list")["value"]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "--name", "n"), 2, "--all-hardware-ids"),
        (("create", "--all-hardware-ids"), 2, "--name"),
        (("create", "--name", "n", "--all-hardware-ids", "--inf", INF), 2, "leaves nothing"),
        (("create", "--name", "n", "--all-hardware-ids", "--manual", "--automatic"), 2, "--manual excludes"),
        (("create", "--name", "n", "--all-hardware-ids", "--chid", "x"), 2, "x is no GUID"),
        (("create", "--name", "n", "--inf", "@absent.txt"), 2, "absent.txt cannot be read"),
        (("create", "--name", "n", "--all-hardware-ids", "--floor", "NI", "--build-floor", "30000"), 2, "exclude"),
        (("create", "--name", "n", "--inf", "other.inf"), 1, "There is no other.inf among the INFs of submission"),
        (("create", "--name", "n", "--all-hardware-ids", "--audience", "x"), 1, "there are: Test_Registry_Key"),
        (("create", "--name", "n", "--all-hardware-ids", "--automatic"), 1, "microsoftContact"),
        (("create", "--name", "n", "--all-hardware-ids", "--go-live", "soon"), 1, "goLiveDate"),
        (("update", "5", "--inf", INF), 2, "--add or --remove"),
        (("update", "5", "--add"), 2, "--add what?"),
        (("update", "5", "--any-audience", "--audience", "x"), 2, "--any-audience excludes"),
        (("update", "5", "--any-release", "--floor", "NI"), 2, "--any-release excludes"),
        (("show", "5"), 1, "entityNotFound"),
        (("show", "x"), 2, "x"),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(
    publisher: Publisher, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = publisher.label_ids()
    ran = publisher.run(arguments[0], *arguments[1:])
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert publisher.label_ids() == before


def test_a_label_of_another_account_is_not_found(publisher: Publisher) -> None:
    label = publisher.create("--all-hardware-ids", "--go-live", "2031-02-03")
    stranger = new_client(publisher.sandbox.served, ["Manager", "Shipping Label Owner"])
    product, submission = publisher.ids
    answer = stranger.http.get(f"{API}/products/{product}/submissions/{submission}/shippingLabels/{label['id']}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "entityNotFound")
    listed = stranger.http.get(f"{API}/products/{product}/submissions/{submission}/shippingLabels")
    assert listed.status_code == 404
