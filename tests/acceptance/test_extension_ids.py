"""An extension id is the seller's who is the first to finish a submission with it (contract/dashboard.md 75)."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from callers import new_client
from hwdash.cli.main import cli
from service import ApiClient, Served, signed_cabinet

EXTENSION_INF = r"""
[Version]
Signature   = "$WINDOWS NT$"
Class       = Extension
ClassGuid   = {{e2f84ce7-8efa-411c-aa69-97454ca4cb57}}
ExtensionId = {{{extension_id}}}
Provider    = %Provider%
CatalogFile = extension.cat
DriverVer   = 06/02/2025,1.0.0.0
PnpLockdown = 1

[Manufacturer]
%Provider% = Models, NTamd64.10.0...16299

[Models.NTamd64.10.0...16299]
%Device% = Install, PCI\VEN_1234&DEV_0001&SUBSYS_00010002

[Install.NT]
AddReg = Registry

[Registry]
HKR,,Answer,0x00010001,42

[Strings]
Provider = "hwdash"
Device   = "hwdash extension"
"""


def run(service: Served, *arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["admin", *arguments, "--json"], env=service.made.environment)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture
def other(service: Served, tmp_path: Path) -> ApiClient:
    """A client of another account that may submit what the same vendor's certificate signed."""
    made = CliRunner().invoke(cli, ["admin", "account", "create", "Another Vendor"], env=service.made.environment)
    account = int(json.loads(made.stdout.splitlines()[-1])["id"])
    certificate = service.made.vendor.write_certificate(tmp_path)
    added = CliRunner().invoke(
        cli, ["admin", "certificate", "add", str(certificate), "--account", str(account)], env=service.made.environment
    )
    assert added.exit_code == 0, added.output
    return new_client(service, ["Manager", "Driver Submitter"], account_id=account)


def package(service: Served, folder: Path, extension_id: str) -> Path:
    inf = EXTENSION_INF.format(extension_id=extension_id).encode()
    return signed_cabinet(folder, service.made.vendor, [("drivers\\extension.inf", inf)])


def test_the_first_to_finish_owns_the_id_and_others_are_refused_in_validation(
    service: Served, client: ApiClient, other: ApiClient, tmp_path: Path
) -> None:
    extension_id, own = str(uuid.uuid4()), service.made.credentials["accountId"]
    cabinet = package(service, tmp_path, extension_id)
    first = client.submit(cabinet)
    assert first["workflowStatus"]["state"] == "completed", first["workflowStatus"]
    listed = run(service, "ownership", "list", "--account", str(own))["ids"]
    assert ("extensionId", extension_id) in [(each["kind"], each["id"]) for each in listed]

    refused = other.submit(cabinet)["workflowStatus"]
    assert (refused["currentStep"], refused["state"]) == ("validation", "failed")
    (message,) = [each for each in refused["messages"] if "extension-id-owned" in each]
    assert message.startswith("ERROR package.extension-id-owned in drivers/extension.inf: ")
    assert f"The ExtensionId {extension_id} belongs to " in message
    assert f"(seller {own})" in message
    assert "submit it under the owner's seller id" in message

    again = client.submit(cabinet)
    assert again["workflowStatus"]["state"] == "completed"


def test_an_id_that_is_taken_away_is_free_again(
    service: Served, client: ApiClient, other: ApiClient, tmp_path: Path
) -> None:
    extension_id, own = str(uuid.uuid4()), str(service.made.credentials["accountId"])
    run(service, "ownership", "add", "--extension-id", extension_id, "--account", own)
    cabinet = package(service, tmp_path, extension_id)
    assert other.submit(cabinet)["workflowStatus"]["state"] == "failed"
    run(service, "ownership", "remove", "--extension-id", extension_id, "--account", own)
    assert other.submit(cabinet)["workflowStatus"]["state"] == "completed"
    assert client.submit(cabinet)["workflowStatus"]["state"] == "failed"
