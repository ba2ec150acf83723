"""Clients of Microsoft's API that a registry offers, unchanged, with its hosts built in, from unsigned to signed.

They stand in an environment of their own (scripts/public-clients.sh), which holds nothing of hwdash.
"""

import subprocess
import zipfile
from pathlib import Path

import pytest

from service import HWDASH, ROOT, Vendor, clean_environment, new_vendor, signed_cabinet

CLIENTS = ROOT / ".peers" / "clients" / "bin"
HOSTS = ("manage.devcenter.microsoft.com", "login.microsoftonline.com")

SIMPLE_SDCM = """
import json, os, sys
import requests
from simple_sdcm import client

sdcm = client.Client(*(os.environ[f"HWDASH_{name}"] for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")))
sdcm.setup_access_token()
product = sdcm.create_product(json.dumps({
    "productName": "simple-sdcm", "testHarness": "Attestation", "deviceType": "internalExternal",
    "requestedSignatures": ["WINDOWS_v100_X64_RS3_FULL"], "deviceMetadataIds": [], "firmwareVersion": "0",
    "isTestSign": False, "isFlightSign": False, "marketingNames": [], "selectedProductTypes": {},
    "additionalAttributes": {}, "announcementDate": "2026-01-01T00:00:00",
}))
submission = sdcm.create_submission(product["id"], json.dumps({"name": "first", "type": "initial"}))
upload = next(each["url"] for each in submission["downloads"]["items"] if each["type"] == "initialPackage")
assert sdcm.upload_file(sys.argv[1], upload) == 201
sdcm.commit_submission(product["id"], submission["id"])
signed = sdcm.wait(product["id"], submission["id"], True)
assert signed, sdcm.get_submission(product["id"], submission["id"])
open(sys.argv[2], "wb").write(requests.get(signed).content)
assert [each["id"] for each in sdcm.get_products()["value"]] == [product["id"]]
"""


@pytest.fixture
def vendor() -> Vendor:
    return new_vendor()


def in_sandbox(vendor: Vendor, folder: Path, *command: str, prefix: tuple[str, ...] = ()) -> str:
    certificate = vendor.write_certificate(folder)
    done = subprocess.run(
        [*prefix, *HWDASH, "sandbox", "run", "--certificate", str(certificate), "--", *command],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_signed(package: Path, folder: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    (catalog,) = folder.rglob("*.cat")
    certificates = subprocess.run(
        ["openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout", "-in", str(catalog)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "hwdash SANDBOX attestation signing" in certificates


@pytest.mark.parametrize("source", ["simple_sdcm/client.py", "deptools/windrvsign.py"])
def test_the_clients_have_microsofts_hosts_built_in_and_are_as_the_registry_offers_them(source: str) -> None:
    (file,) = (ROOT / ".peers" / "clients").glob(f"lib/python*/site-packages/{source}")
    text = file.read_text()
    assert [host for host in HOSTS if host not in text] == []
    assert "hwdash" not in text
    pins = (ROOT / "tests" / "clients" / "requirements.txt").read_bytes()
    assert (ROOT / ".peers" / "clients" / "installed.txt").read_bytes() == pins


def test_windrvsign_of_deptools_takes_a_driver_from_unsigned_to_signed(vendor: Vendor, tmp_path: Path) -> None:
    """It asks for a token by requests, and moves the package by azure-storage-blob."""
    package, signed = signed_cabinet(tmp_path, vendor), tmp_path / "signed.zip"
    names = " ".join(
        f'AZURE_AD_APPLICATION_{name}="$HWDASH_{name}"' for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
    )
    said = in_sandbox(
        vendor, tmp_path, "sh", "-c", f'{names} exec {CLIENTS / "windrvsign"} "$@"', "sh", str(package), str(signed)
    )
    assert "Submission complete" in said
    check_signed(signed, tmp_path / "signed")


def test_simple_sdcm_takes_a_driver_from_unsigned_to_signed_for_a_user_without_rights(
    vendor: Vendor, tmp_path: Path
) -> None:
    """It speaks http.client to the v1.0 base. Without CAP_SYS_ADMIN there is a user namespace around it."""
    package, signed = signed_cabinet(tmp_path, vendor), tmp_path / "signed.zip"
    without_rights = ("setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin")
    said = in_sandbox(
        vendor, tmp_path, str(CLIENTS / "python"), "-c", SIMPLE_SDCM, str(package), str(signed), prefix=without_rights
    )
    assert "finalizeIngestion" in said
    check_signed(signed, tmp_path / "signed")
