"""OS codes of releases to come, when the service's operator accepts them (contract/api.md 4.2, row 4)."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import API, ApiClient, Served, download_url, make_service, serve, signed_cabinet

NEW = "WINDOWS_v100_X64_27H2_FULL"
PRODUCT = {"productName": "n", "testHarness": "Attestation", "requestedSignatures": [NEW.lower()]}


@pytest.fixture(scope="module")
def accepting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = make_service(tmp_path_factory.mktemp("accepting"), HWDASH_ACCEPT_NEW_OS_CODES="true")
    with serve(made) as served:
        yield served


def test_a_new_code_is_signed_for(accepting: Served, tmp_path: Path) -> None:
    client = accepting.client()
    package = signed_cabinet(tmp_path, accepting.made.vendor)
    families = {"selectedProductTypes": {"windows_v100_27h2": "Keyboard"}}
    finished = client.submit(package, **PRODUCT | families)
    assert finished["workflowStatus"]["state"] == "completed", finished["workflowStatus"]["messages"]
    product = client.http.get(f"{API}/products/{finished['productId']}").json()
    assert (product["requestedSignatures"], product["message"]) == ([NEW], "")
    assert product["selectedProductTypes"] == {"Windows_v100_27H2": "Keyboard"}
    del client.http.headers["Authorization"]
    metadata = client.http.get(download_url(finished, "driverMetadata")).json()
    (bundle,) = metadata["BundleInfoMap"].values()
    assert list(bundle["InfInfoMap"]["hwdash_sample.inf"]["OSPnPInfoMap"]) == [NEW]
    signed = zipfile.ZipFile(io.BytesIO(client.http.get(download_url(finished, "signedPackage")).content))
    assert "_v100_X64_27H2".encode("utf-16-le") in signed.read("hwdash_sample/hwdash_sample.cat")


def test_a_code_of_no_known_form_is_refused_still(accepting: Served) -> None:
    answer = accepting.client().http.post(
        f"{API}/products", json=PRODUCT | {"requestedSignatures": [NEW, "WINDOWS_v100_X86_TH2_FULL"]}
    )
    (finding,) = answer.json()["error"]["validationErrors"]
    assert finding == {
        "target": "requestedSignatures",
        "message": "The OS code `WINDOWS_v100_X86_TH2_FULL` is invalid.",
    }


def test_by_default_a_new_code_is_refused(client: ApiClient) -> None:
    answer = client.http.post(f"{API}/products", json=PRODUCT | {"selectedProductTypes": {"Windows_v100_27H2": "LAN"}})
    targets = [each["target"] for each in answer.json()["error"]["validationErrors"]]
    assert (answer.status_code, targets) == (422, ["requestedSignatures", "selectedProductTypes"])
