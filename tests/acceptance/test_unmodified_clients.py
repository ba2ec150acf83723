"""The whole flow by clients that know nothing of hwdash: azure-identity, azure-storage-blob and plain HTTP."""

import hashlib
import random
import ssl
import subprocess
import time
import zipfile
from pathlib import Path

import httpx
from azure.identity import ClientSecretCredential
from azure.storage.blob import BlobClient

from service import Entry, Served, sample_entries, signed_cabinet

SCOPE = "https://manage.devcenter.microsoft.com/.default"
FOLDER = "hwdash_sample"


def test_azures_own_libraries_and_plain_http_take_a_driver_from_unsigned_to_signed(
    service: Served, tmp_path: Path
) -> None:
    firmware: list[Entry] = [(rf"{FOLDER}\firmware.bin", random.Random(7).randbytes(9 << 20))]
    package = signed_cabinet(tmp_path, service.made.vendor, [*sample_entries(), *firmware])
    assert package.stat().st_size > 8 << 20
    given = service.made.credentials
    ca: str = given["caCertificate"]

    # From here on nothing of ours stands on the client's side.
    credential = ClientSecretCredential(
        given["tenantId"],
        given["clientId"],
        given["clientSecret"],
        authority=service.url,
        disable_instance_discovery=True,
        connection_verify=ca,
    )
    with credential, httpx.Client(verify=ssl.create_default_context(cafile=ca), timeout=60) as http:
        http.headers["Authorization"] = f"Bearer {credential.get_token(SCOPE).token}"
        base = f"{service.url}/v2.0/my/hardware/products"
        answer = http.post(
            base,
            json={
                "productName": "Unmodified",
                "testHarness": "Attestation",
                "announcementDate": "2026-12-01T00:00:00",
                "deviceMetadataIds": None,
                "firmwareVersion": "980",
                "deviceType": "external",
                "isTestSign": False,
                "isFlightSign": False,
                "marketingNames": None,
                "productType": None,
                "requestedSignatures": ["WINDOWS_v100_X64_RS5_FULL", "WINDOWS_v100_X64_GE_FULL"],
                "selectedProductTypes": {"windows_v100_RS5": "Unclassified"},
                "additionalAttributes": None,
            },
        )
        assert answer.status_code == 201, answer.text
        product_url = answer.json()["links"][0]["href"]
        answer = http.post(f"{product_url}/submissions", json={"name": "first", "type": "initial"})
        assert answer.status_code == 201, answer.text
        submission_url = answer.json()["links"][0]["href"]
        upload_url = answer.json()["downloads"]["items"][0]["url"]

        with (
            BlobClient.from_blob_url(
                upload_url, connection_verify=ca, max_single_put_size=1 << 20, max_block_size=1 << 20
            ) as blob,
            package.open("rb") as stream,
        ):
            blob.upload_blob(stream, overwrite=True, max_concurrency=4)
            assert blob.get_blob_properties().size == package.stat().st_size

        answer = http.post(f"{submission_url}/commit", headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.content) == (202, b"")
        submission = _wait(http, submission_url)
        assert submission["commitStatus"] == "commitComplete"
        assert submission["workflowStatus"] == {
            "currentStep": "finalizeIngestion",
            "state": "completed",
            "messages": [],
        }
        urls = {item["type"]: item["url"] for item in submission["downloads"]["items"]}
        signed = tmp_path / "signed.zip"
        with (
            BlobClient.from_blob_url(
                urls["signedPackage"], connection_verify=ca, max_single_get_size=1 << 20, max_chunk_get_size=1 << 20
            ) as blob,
            signed.open("wb") as out,
        ):
            blob.download_blob(max_concurrency=4).readinto(out)

    with zipfile.ZipFile(signed) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "signed")
    folder = tmp_path / "signed" / FOLDER
    assert (folder / "firmware.bin").read_bytes() == firmware[0][1]
    root = str(given["rootCertificate"])
    driver, catalog = folder / "hwdash_sample.sys", folder / "hwdash_sample.cat"
    _osslsigncode("verify", "-in", str(driver), "-CAfile", root)
    _osslsigncode("verify", "-in", str(driver), "-catalog", str(catalog), "-CAfile", root)
    _osslsigncode("verify", "-in", str(catalog), "-CAfile", root)
    # osslsigncode looks up programs only; the other files are listed by the digest of their bytes.
    for name in ("hwdash_sample.inf", "firmware.bin"):
        assert hashlib.sha256((folder / name).read_bytes()).digest() in catalog.read_bytes()


def _wait(http: httpx.Client, submission_url: str) -> dict:  # type: ignore[type-arg]  # a client without our types
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = http.get(submission_url)
        assert answer.status_code == 200, answer.text
        submission: dict = answer.json()  # type: ignore[type-arg]  # as above
        if submission.get("workflowStatus", {}).get("state") in ("completed", "failed"):
            return submission
        time.sleep(0.2)
    raise AssertionError("the workflow did not end")


def _osslsigncode(*arguments: str) -> None:
    done = subprocess.run(["osslsigncode", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Signature verification: ok" in done.stdout
