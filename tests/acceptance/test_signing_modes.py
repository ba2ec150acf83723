"""Production, attestation, test and flight signatures (contract/api.md 6.6, contract/dashboard.md 66 and 69 to 72)."""

import io
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hlk_packages import hlk_package
from service import ApiClient, Served, download_url, signed_cabinet

CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
VERIFICATION = "1.3.6.1.4.1.311.10.3.5"
ATTESTED = "1.3.6.1.4.1.311.10.3.5.1"
LIFETIME = "1.3.6.1.4.1.311.10.3.13"
PREVIEW = "1.3.6.1.4.1.311.10.3.27"

CASES = [
    pytest.param("cab", {}, "attestation", {CODE_SIGNING, VERIFICATION, ATTESTED}, False, id="attestation"),
    pytest.param("hlkx", {}, "whql", {CODE_SIGNING, VERIFICATION}, True, id="HLK"),
    pytest.param("cab", {"isTestSign": True}, "test", {CODE_SIGNING, LIFETIME}, False, id="attestation, test"),
    pytest.param(
        "cab", {"isTestSign": True, "testHarness": "HLK"}, "test", {CODE_SIGNING, LIFETIME}, False, id="HLK, test"
    ),
    pytest.param(
        "cab", {"isFlightSign": True}, "flight", {CODE_SIGNING, PREVIEW, LIFETIME}, False, id="attestation, flight"
    ),
    pytest.param("hlkx", {"isFlightSign": True}, "flight", {CODE_SIGNING, PREVIEW, LIFETIME}, True, id="HLK, flight"),
]
SAID = {
    "attestation": "Production signature by attestation",
    "whql": "Production signature of a tested driver",
    "test": "Test signature: for test machines in test-signing mode",
    "flight": "Flight signature: for machines enrolled in preview builds",
}


@pytest.mark.parametrize(("form", "product", "identity", "purposes", "is_tested"), CASES)
def test_the_flags_choose_who_signs(
    service: Served,
    client: ApiClient,
    tmp_path: Path,
    form: str,
    product: dict[str, Any],
    identity: str,
    purposes: set[str],
    is_tested: bool,
) -> None:
    vendor = service.made.vendor
    package = signed_cabinet(tmp_path, vendor) if form == "cab" else hlk_package(vendor)
    finished = client.submit(package, **({"testHarness": "Attestation" if form == "cab" else "HLK"} | product))
    assert finished["workflowStatus"]["state"] == "completed", finished["workflowStatus"]["messages"]
    del client.http.headers["Authorization"]
    signed = zipfile.ZipFile(io.BytesIO(client.http.get(download_url(finished, "signedPackage")).content))
    catalog = signed.read("hwdash_sample/hwdash_sample.cat")
    pem = subprocess.run(
        ["openssl", "pkcs7", "-inform", "DER", "-print_certs"], input=catalog, capture_output=True, check=True
    ).stdout
    subject = f"hwdash {identity} signing"
    (leaf,) = [each for each in x509.load_pem_x509_certificates(pem) if subject in each.subject.rfc4514_string()]
    found = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {each.dotted_string for each in found} == purposes
    assert subject.encode() in signed.read("hwdash_sample/hwdash_sample.sys")
    # Only what was tested is called qualified.
    assert ("Qualification Level".encode("utf-16-be") in catalog) == is_tested
    has_shell = "derivedPackage" in [item["type"] for item in finished["downloads"]["items"]]
    assert has_shell == is_tested
    report = client.http.get(download_url(finished, "certificationReport")).text
    assert SAID[identity] in report
    assert [text for text in SAID.values() if text in report] == [SAID[identity]]
