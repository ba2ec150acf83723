"""Driver updates: the shell of an initial HLK submission, and derived submissions made from it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlk_packages import INFO, derived, fetched, hlk_package, update_package
from hlkx_writer import CORE, PACKAGE_INFO, hlkx_parts
from hwdash.drivers.hlkx import Hlkx
from service import API, X64, ApiClient, Served, download_url, signed_cabinet
from submitter import Submitter

SERVER = "WINDOWS_v100_SERVER_X64_FE_FULL"


@pytest.fixture(scope="module")
def initial(service: Served) -> dict[str, Any]:
    """An initial submission that has finished."""
    package = hlk_package(service.made.vendor)
    return service.client().submit(package, testHarness="HLK", requestedSignatures=[X64, SERVER])


@pytest.fixture
def shell(initial: dict[str, Any]) -> bytes:
    return fetched(download_url(initial, "derivedPackage")).content


def test_the_shell_has_neither_drivers_nor_results_nor_signature(initial: dict[str, Any], shell: bytes) -> None:
    url = download_url(initial, "derivedPackage")
    assert httpx.URL(url).path.endswith(f"/Shell_{initial['id']}.hlkx")
    answer = fetched(url)
    assert answer.headers["Content-Disposition"] == f"attachment; filename=Shell_{initial['id']}.hlkx"
    with zipfile.ZipFile(io.BytesIO(shell)) as archive:
        assert sorted(archive.namelist()) == sorted(["[Content_Types].xml", "_rels/.rels", CORE, INFO])
        assert archive.read(INFO) == PACKAGE_INFO
        assert archive.read(CORE) == hlkx_parts()[CORE]
    package = Hlkx.open(io.BytesIO(shell), source="shell.hlkx")
    assert package.package_info.project == "Contoso widget"
    assert {link.target for link in package.package.relationships()} == {f"/{CORE}", f"/{INFO}"}


def test_the_service_says_that_the_shell_is_unproven(initial: dict[str, Any]) -> None:
    (message,) = initial["downloads"]["messages"]
    assert "without a real sample" in message
    assert message in fetched(download_url(initial, "certificationReport")).text


def test_an_update_is_signed_like_the_initial_package(
    client: ApiClient, service: Served, initial: dict[str, Any], shell: bytes
) -> None:
    first, second = derived(client, initial, "First"), derived(client, initial, "Second")
    for submission in (first, second):
        assert client.upload(submission, update_package(service.made.vendor, shell)).status_code == 201
        assert client.commit(submission).status_code == 202
    for submission in (first, second):
        finished = client.finished(submission)
        assert finished["workflowStatus"] == {"currentStep": "finalizeIngestion", "state": "completed", "messages": []}
        kinds = [item["type"] for item in finished["downloads"]["items"]]
        assert sorted(kinds) == ["certificationReport", "driverMetadata", "initialPackage", "signedPackage"]
        assert finished["downloads"]["messages"] == []
        signed = zipfile.ZipFile(io.BytesIO(fetched(download_url(finished, "signedPackage")).content))
        assert "hwdash_sample/hwdash_sample.cat" in signed.namelist()
        assert b"hwdash whql signing" in signed.read("hwdash_sample/hwdash_sample.cat")
        report = fetched(download_url(finished, "certificationReport")).text
        assert f"<th scope=row>Driver update of</th><td>submission {initial['id']}</td>" in report
        assert "<th scope=row>Hardware IDs that the update adds</th><td>none</td>" in report
    listed = client.http.get(f"{API}/products/{initial['productId']}/submissions").json()["value"]
    assert [each["id"] for each in listed][-1] == initial["id"]


def test_a_package_of_another_project_is_refused_with_every_reason(
    client: ApiClient, service: Served, initial: dict[str, Any], shell: bytes
) -> None:
    info = PACKAGE_INFO.replace(b"Contoso widget", b"Fabrikam gadget").replace(b"X64_22H2_FULL", b"ARM64_GE_FULL")
    submission = derived(client, initial)
    client.upload(submission, update_package(service.made.vendor, shell, info))
    client.commit(submission)
    status = client.finished(submission)["workflowStatus"]
    assert (status["currentStep"], status["state"]) == ("packageInfoValidation", "failed")
    errors = [message.split(" in ")[0] for message in status["messages"] if message.startswith("ERROR")]
    assert errors == ["ERROR package.derived-project", "ERROR package.derived-systems"]
    assert "'Fabrikam gadget'" in status["messages"][0]


def test_a_cabinet_is_no_update(client: ApiClient, service: Served, initial: dict[str, Any], tmp_path: Path) -> None:
    submission = derived(client, initial)
    client.upload(submission, signed_cabinet(tmp_path, service.made.vendor))
    client.commit(submission)
    messages = client.finished(submission)["workflowStatus"]["messages"]
    assert [message for message in messages if message.startswith("ERROR package.container")]


def test_the_commands_go_the_whole_way(service: Served, initial: dict[str, Any], tmp_path: Path) -> None:
    """docs/how-to/submit-a-driver-update.md"""
    run = Submitter(service, tmp_path).run
    product, sid = str(initial["productId"]), str(initial["id"])
    fetched_shell = run("submission", "download", product, sid, "--type", "derivedPackage", "--json").document
    assert fetched_shell["file"] == str(tmp_path / f"Shell_{sid}.hlkx")
    package = tmp_path / "update.hlkx"
    package.write_bytes(update_package(service.made.vendor, Path(fetched_shell["file"]).read_bytes()))

    made = run("submission", "create", product, "--name", "By hand", "--type", "derived", "--json").document
    assert (made["type"], made["name"], made["commitStatus"]) == ("derived", "By hand", "commitPending")
    ids = product, str(made["id"])
    committed = run("submission", "commit", *ids, "--package", str(package))
    assert (committed.code, committed.err.splitlines()[-1]) == (0, "committed")
    again = run("submission", "commit", *ids)
    assert (again.code, "Only pending submissions can be committed." in again.err) == (1, True)
    waited = run("submission", "wait", *ids, "--poll", "0.1", "--json")
    assert waited.document["workflowStatus"]["state"] == "completed"
    assert "[8/8] finalizeIngestion completed" in waited.err
    assert run("submission", "update", *ids, "--name", "Renamed", "--json").document["name"] == "Renamed"
    shown = run("submission", "show", *ids).out
    assert "workflowStatus.currentStep  finalizeIngestion" in shown
    assert "?sv=" not in shown
    report = run("submission", "download", *ids, "--type", "certificationReport").out.strip()
    assert "<h1>Certification report</h1>" in Path(report).read_text()
    missing = run("submission", "download", *ids, "--type", "derivedPackage")
    assert (missing.code, "There is no derivedPackage" in missing.err) == (1, True)
    listed = run("submission", "list", product, "--json").document
    assert {"id", "name", "commitStatus", "workflowStatus"} <= set(listed["value"][0])
    assert str(made["id"]) in run("submission", "list", product).out


def test_submit_makes_an_update_of_a_product(
    service: Served, initial: dict[str, Any], shell: bytes, tmp_path: Path
) -> None:
    run = Submitter(service, tmp_path).run
    package = tmp_path / "update.hlkx"
    package.write_bytes(update_package(service.made.vendor, shell, more={"drivers/hwdash_sample/notes.txt": b"2"}))
    arguments = ["submit", str(package), "--name", "Update", "--product", str(initial["productId"]), "--poll", "0.1"]
    ran = run(*arguments, "--json")
    assert ran.code == 0, ran.err
    assert (ran.document["productId"], ran.document["state"]) == (initial["productId"], "completed")
    assert run(*arguments, "--json").document["submissionId"] == ran.document["submissionId"]
    wrong = run(*arguments, "--signature", X64)
    assert (wrong.code, "leave out --signature" in wrong.err) == (2, True)


def test_submit_takes_the_harness_from_the_package(service: Served, client: ApiClient, tmp_path: Path) -> None:
    package = tmp_path / "tested.hlkx"
    package.write_bytes(hlk_package(service.made.vendor))
    run = Submitter(service, tmp_path).run
    ran = run("submit", str(package), "--name", "Tested", "--signature", SERVER, "--poll", "0.1", "--json")
    assert ran.code == 0, ran.err
    product = client.http.get(f"{API}/products/{ran.document['productId']}").json()
    assert (product["testHarness"], json.dumps(product["requestedSignatures"])) == ("hlk", f'["{SERVER}"]')
