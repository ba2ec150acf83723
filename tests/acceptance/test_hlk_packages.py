"""Packages of the HLK through a running service: signed by their own signature, and always called unproven."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from hlk_packages import hlk_package
from hlkx_writer import Form, packed
from service import HWDASH, X64, ApiClient, Served, clean_environment, download_url, new_vendor

SERVER = "WINDOWS_v100_SERVER_X64_FE_FULL"


@pytest.fixture(scope="module")
def package(service: Served) -> bytes:
    return hlk_package(service.made.vendor)


def test_a_package_of_the_hlk_comes_back_signed_for_servers_too_and_is_called_unproven(
    service: Served, client: ApiClient, package: bytes, tmp_path: Path
) -> None:
    finished = client.submit(package, testHarness="HLK", requestedSignatures=[X64, SERVER])
    assert finished["workflowStatus"] == {"currentStep": "finalizeIngestion", "state": "completed", "messages": []}
    del client.http.headers["Authorization"]
    signed = zipfile.ZipFile(io.BytesIO(client.http.get(download_url(finished, "signedPackage")).content))
    assert sorted(signed.namelist()) == [f"hwdash_sample/hwdash_sample.{kind}" for kind in ("cat", "inf", "sys")]
    program = tmp_path / "hwdash_sample.sys"
    program.write_bytes(signed.read("hwdash_sample/hwdash_sample.sys"))
    verified = subprocess.run(
        ["osslsigncode", "verify", "-CAfile", str(service.made.root_certificate), str(program)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "CN=hwdash whql signing" in verified.replace(" = ", "=")
    report = client.http.get(download_url(finished, "certificationReport")).text
    assert "this was never tested on a real one" in report
    assert "<th scope=row>Test results</th><td>not judged" in report
    assert "<th scope=row>Universal</th><td>unknown." in report
    assert "hwdash_sample/hwdash_sample.sys (amd64)</th><td>nothing</td>" in report


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda vendor: hlk_package(None), "package.unsigned"),
        (lambda vendor: hlk_package(new_vendor("Stranger Ltd")), "package.signer-not-registered"),
        (lambda vendor: hlk_package(vendor, with_drivers=False), "package.hlkx-no-drivers"),
        (lambda vendor: hlk_package(vendor, form=Form(digest="sha1")), "package.signature-invalid"),
        (lambda vendor: packed({"readme.txt": b"x"}), "package.unreadable"),
    ],
    ids=["unsigned", "stranger", "no drivers", "SHA-1", "no HLK package"],
)
def test_what_is_wrong_with_one_is_named(service: Served, client: ApiClient, content, said: str) -> None:
    failed = client.submit(content(service.made.vendor), testHarness="HLK")
    status = failed["workflowStatus"]
    assert (status["currentStep"], status["state"]) == ("packageInfoValidation", "failed")
    errors = [message for message in status["messages"] if message.startswith("ERROR")]
    assert len(errors) == 1, errors
    assert said in errors[0]


def test_the_check_before_submission_knows_such_packages(service: Served, package: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tested.hlkx"
    file.write_bytes(package)
    done = subprocess.run(
        [*HWDASH, "package", "check", str(file), "--kind", "whql", "--signature", SERVER, "--json"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, found["valid"]) == (0, True), found
    assert "Test Hardware Vendor" in found["signer"]
    (unproven,) = [each for each in found["findings"] if each["code"] == "package.hlkx-unproven"]
    assert (unproven["level"], unproven["inferred"]) == ("warning", True)
