"""A recalled driver is not handed out, offered or released again, whoever tries, and machines can refuse it.

The service runs; the recall is made beside it, as an operator makes it. Nothing here waits for time to pass: what is
asserted holds with the first request after the command has ended.
"""

import hashlib
import json
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from lxml import etree

from finished_submission import MANUAL
from service import (
    API,
    HWDASH,
    X64,
    ApiClient,
    Served,
    download_url,
    hwdash,
    make_service,
    serve,
    signed_cabinet,
    until,
)

REASON = "it lets anybody write to kernel memory"
PNP = r"root\hwdash_sample"
AUTOMATIC = MANUAL | {
    "isAutoInstallDuringOSUpgrade": True,
    "isAutoInstallOnApplicableSystems": True,
    "manualAcquisition": False,
    "additionalInfoForMsApproval": {
        "microsoftContact": "a@example.com",
        "validationsPerformed": "HLK",
        "affectedOems": ["Contoso"],
        "businessJustification": "a better driver",
    },
}


@dataclass
class Recalled:
    """A driver that was released, copied by an attacker's notes, and recalled."""

    served: Served
    client: ApiClient
    before: dict[str, Any]
    package: bytes
    label: str
    told: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{API}/products/{self.before['productId']}/submissions/{self.before['id']}"

    @property
    def audience(self) -> str:
        found: str = self.client.http.get(f"{API}/audiences").json()["value"][0]["id"]
        return found

    def label_body(self) -> dict[str, Any]:
        bundle, inf = _bundle_and_inf(self.client, self.before)
        target = {"bundleId": bundle, "infId": inf, "operatingSystemCode": X64, "pnpString": PNP}
        return {
            "name": "again",
            "destination": "windowsUpdate",
            "publishingSpecifications": MANUAL,
            # The driver is attestation-signed: it goes to test machines.
            "targeting": {"hardwareIds": [target], "chids": [], "restrictedToAudiences": [self.audience]},
        }


def _bundle_and_inf(client: ApiClient, submission: dict[str, Any]) -> tuple[str, str]:
    answer = client.http.get(download_url(submission, "driverMetadata"), headers={"Authorization": ""})
    ((bundle, infs),) = answer.json()["BundleInfoMap"].items()
    return bundle, next(iter(infs["InfInfoMap"]))


@pytest.fixture(scope="module")
def recalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recalled]:
    folder = tmp_path_factory.mktemp("recall")
    with serve(make_service(folder)) as served:
        client = served.client()
        done = client.submit(signed_cabinet(folder, served.made.vendor))
        assert done["workflowStatus"]["state"] == "completed", done
        package = client.http.get(download_url(done, "signedPackage"), headers={"Authorization": ""}).content
        found = Recalled(served, client, done, package, "", {})
        created = client.http.post(
            f"{found.path}/shippingLabels", json=found.label_body() | {"publishingSpecifications": AUTOMATIC}
        )
        assert created.status_code == 201, created.text
        found.label = f"{found.path}/shippingLabels/{created.json()['id']}"
        until(lambda: _status(client, found.label)["currentStep"] == "microsoftApproval", "the label does not wait")
        words = ("admin", "recall", str(done["id"]), "--reason", REASON, "--by", "Ann", "--json")
        found.told = json.loads(hwdash(*words, environment=served.made.environment))
        yield found


def _status(client: ApiClient, label: str) -> dict[str, Any]:
    status: dict[str, Any] = client.http.get(label).json()["workflowStatus"]
    return status


def _shown(recalled: Recalled) -> dict[str, Any]:
    words = ("admin", "recall", "show", str(recalled.before["id"]), "--json")
    shown: dict[str, Any] = json.loads(hwdash(*words, environment=recalled.served.made.environment))
    return shown


def test_a_url_that_was_kept_opens_nothing(recalled: Recalled) -> None:
    kept = download_url(recalled.before, "signedPackage")
    for method in ("GET", "HEAD"):
        answer = recalled.client.http.request(method, kept, headers={"Authorization": ""})
        assert answer.status_code == 403
    ranged = recalled.client.http.get(kept, headers={"Authorization": "", "Range": "bytes=0-99"})
    assert ranged.status_code == 403
    assert "recalled this driver" in ranged.text


def test_the_submission_has_no_url_and_says_why(recalled: Recalled) -> None:
    now = recalled.client.get_submission(recalled.before)
    types = [each["type"] for each in now["downloads"]["items"]]
    assert "signedPackage" not in types
    assert "certificationReport" in types
    assert "no longer handed out" in " ".join(now["downloads"]["messages"])
    assert REASON in " ".join(now["workflowStatus"]["messages"])


def test_the_label_that_waited_has_failed_with_the_reason(recalled: Recalled) -> None:
    status = _status(recalled.client, recalled.label)
    assert status["state"] == "failed"
    assert status["messages"] == [f"ERROR label.recalled: the operator recalled this driver: {REASON}"]
    report = recalled.client.http.get(status["errorReport"], headers={"Authorization": ""})
    assert REASON in report.text
    assert recalled.told["labelIds"] == [int(recalled.label.rpartition("/")[2])]


def test_approval_after_the_recall_brings_nothing_back(recalled: Recalled) -> None:
    label_id = recalled.label.rpartition("/")[2]
    command = ["approval", "approve", label_id, "--by", "Mallory"]
    done = subprocess.run(
        [*HWDASH, "admin", *command],
        env=recalled.served.made.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done
    assert _status(recalled.client, recalled.label)["state"] == "failed"


def test_no_new_label_and_no_changed_one(recalled: Recalled) -> None:
    body = recalled.label_body()
    created = recalled.client.http.post(f"{recalled.path}/shippingLabels", json=body)
    assert (created.status_code, created.json()["error"]["code"]) == (422, "requestInvalidForCurrentState"), (
        created.text
    )
    assert "recalled the driver" in created.text
    share = body | {"destination": "anotherPartner", "recipientSpecifications": {"receiverPublisherId": "1"}}
    del share["publishingSpecifications"]
    assert "recalled the driver" in recalled.client.http.post(f"{recalled.path}/shippingLabels", json=share).text
    target = body["targeting"]["hardwareIds"][0] | {"action": "add"}
    changed = recalled.client.http.patch(recalled.label, json={"targeting": {"hardwareIds": [target]}})
    assert changed.json()["error"]["code"] == "requestInvalidForCurrentState"


def test_a_second_recall_changes_nothing(recalled: Recalled) -> None:
    words = ("admin", "recall", "submission", str(recalled.before["id"]), "--reason", "another", "--json")
    again = json.loads(hwdash(*words, environment=recalled.served.made.environment))
    assert again == recalled.told | {"already": True}
    shown = _shown(recalled)
    assert (shown["reason"], shown["recalledBy"]) == (REASON, "Ann")


def test_every_pe_file_and_catalog_is_on_the_list_by_digests_that_others_compute(
    recalled: Recalled, tmp_path: Path
) -> None:
    """osslsigncode computes Authenticode's digest of what was handed out, hashlib that of the whole file."""
    listed = {each["path"]: each for each in _shown(recalled)["files"]}
    with zipfile.ZipFile(BytesIO(recalled.package)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    wanted = {name for name, content in contents.items() if content[:2] == b"MZ" or name.lower().endswith(".cat")}
    assert set(listed) == wanted
    assert {each["kind"] for each in listed.values()} == {"pe", "catalog"}
    for name, each in listed.items():
        assert each["sha1"] == hashlib.sha1(contents[name], usedforsecurity=False).hexdigest()
        assert each["sha256"] == hashlib.sha256(contents[name]).hexdigest()
        if each["kind"] == "pe":
            file = tmp_path / Path(name).name
            file.write_bytes(contents[name])
            said = subprocess.run(["osslsigncode", "verify", str(file)], capture_output=True, text=True, check=False)
            computed = re.search(r"Calculated message digest\s*:\s*([0-9A-F]{64})", said.stdout)
            assert computed, said.stdout
            assert each["authenticodeSha256"] == computed[1].lower()
        else:
            # What the signature covers stands as messageDigest in the catalog's signed attributes.
            assert bytes.fromhex(each["authenticodeSha256"]) in contents[name]


def _bad_list(folder: Path, sample: dict[str, object]) -> Path:
    file = folder / "bad.json"
    entry = {"Id": "entry-1", "Tags": ["hwdash_sample.sys"], "KnownVulnerableSamples": [sample]}
    file.write_text(json.dumps([entry]))
    return file


def test_a_known_bad_driver_is_not_signed_again_under_a_new_signature(recalled: Recalled, tmp_path: Path) -> None:
    """The attacker signs the recalled file with a certificate of its own: its digest as a whole is new."""
    listed = [each for each in _shown(recalled)["files"] if each["kind"] == "pe"]
    sample = {"Filename": "hwdash_sample.sys", "Authentihash": {"SHA256": listed[0]["authenticodeSha256"].upper()}}
    file = _bad_list(tmp_path, sample)
    with (
        serve(make_service(tmp_path, HWDASH_BAD_HASHES=str(file))) as served,
        zipfile.ZipFile(BytesIO(recalled.package)) as archive,
    ):
        # As it was handed out, with our own signature in it.
        entries = [(name.replace("/", "\\"), archive.read(name)) for name in archive.namelist()]
        client = served.client()
        failed = client.submit(signed_cabinet(tmp_path, served.made.vendor, entries))
        status = failed["workflowStatus"]
        assert (status["currentStep"], status["state"]) == ("scanning", "failed"), status
        (message,) = status["messages"]
        assert "package.known-bad in hwdash_sample/hwdash_sample.sys:" in message
        assert "entry entry-1 (hwdash_sample.sys)" in message
        assert f"Authenticode SHA256 {listed[0]['authenticodeSha256']}" in message
        # The list is read anew when it changes, and one that breaks meanwhile lets nothing through.
        file.write_text("[]")
        passed = client.submit(signed_cabinet(tmp_path, served.made.vendor))
        assert passed["workflowStatus"]["state"] == "completed", passed


def test_a_list_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    file = _bad_list(tmp_path, {"SHA256": "0"})
    made = make_service(tmp_path, HWDASH_BAD_HASHES=str(file))
    for content, said in ((None, "SHA256 is not 64 hex digits"), ("{", "it is not JSON")):
        if content is not None:
            file.write_text(content)
        command = [*HWDASH, "serve", "--port", "0"]
        done = subprocess.run(command, env=made.environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert f"bad_hashes: {file}" in done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_the_export_names_the_recalled_files_and_stops_them(recalled: Recalled, tmp_path: Path) -> None:
    """The list that the service exports, given back to a service, refuses the driver; the policy denies its digests."""
    policy, hashes = tmp_path / "recalled.xml", tmp_path / "recalled.json"
    words = ("admin", "recall", "export", "--policy", str(policy), "--hashes", str(hashes), "--json")
    told = json.loads(hwdash(*words, environment=recalled.served.made.environment))
    files = _shown(recalled)["files"]
    assert told == {"recalls": 1, "files": len(files), "incomplete": []}
    images = [each for each in files if each["kind"] == "pe"]
    denied = {each.get("Hash") for each in etree.parse(policy).iter("{*}Deny")}
    assert denied == {each[name].upper() for each in images for name in ("authenticodeSha1", "authenticodeSha256")}
    (entry,) = json.loads(hashes.read_text())
    assert [each["Filename"] for each in entry["KnownVulnerableSamples"]] == [Path(each["path"]).name for each in files]
    with serve(make_service(tmp_path, HWDASH_BAD_HASHES=str(hashes))) as served:
        failed = served.client().submit(signed_cabinet(tmp_path, served.made.vendor))
        assert failed["workflowStatus"]["state"] == "failed"
        assert f"package.known-bad in {images[0]['path']}" in failed["workflowStatus"]["messages"][0]


def test_an_export_needs_to_know_what_to_write(recalled: Recalled, tmp_path: Path) -> None:
    for words, said in (
        ([], "say what to write"),
        (["--policy", str(tmp_path / "none" / "x.xml")], "No such file or directory"),
    ):
        command = [*HWDASH, "admin", "recall", "export", *words]
        done = subprocess.run(
            command, env=recalled.served.made.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in (1, 2)
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_from_the_order_to_the_published_list_and_to_no_more_offers_in_a_minute(
    recalled: Recalled, tmp_path: Path
) -> None:
    """A driver that machines are offered, signed by a key that has got out."""
    client, environment = recalled.client, recalled.served.made.environment
    done = client.submit(signed_cabinet(tmp_path, recalled.served.made.vendor))
    released = Recalled(recalled.served, client, done, b"", "", {})
    label = f"{released.path}/shippingLabels"
    created = client.http.post(label, json=released.label_body())
    assert created.status_code == 201, created.text
    label = f"{label}/{created.json()['id']}"
    machine = {
        "os": {"build": 26100, "revision": 1000, "architecture": "amd64"},
        "audiences": [released.audience],
        "devices": [{"hardwareIds": [PNP]}],
    }

    def offered() -> list[int]:
        answer = client.http.get("/distribution/v1/offers", params={"machine": json.dumps(machine)})
        return [each["labelId"] for each in answer.json()["devices"][0]["offers"]]

    def listed() -> bytes:
        return client.http.get("/crl/issuing.crl", headers={"Authorization": ""}).content

    until(lambda: created.json()["id"] in offered(), "the driver is not offered")
    before = x509.load_der_x509_crl(listed())

    minute_ends = time.monotonic() + 60
    words = ("admin", "recall", str(done["id"]), "--reason", REASON, "--revoke-certificate", "--json")
    told = json.loads(hwdash(*words, environment=environment))
    (serial,) = (int(each, 16) for each in told["revokedCertificates"])
    assert before.get_revoked_certificate_by_serial_number(serial) is None
    until(
        lambda: (
            x509.load_der_x509_crl(listed()).get_revoked_certificate_by_serial_number(serial) is not None
            and offered() == []
        ),
        "after a minute the key is not on the list, or the driver still offered",
        seconds=minute_ends - time.monotonic(),
    )
    assert client.http.get(label).json()["workflowStatus"]["state"] == "failed"
