"""The main path as its users walk it: a driver compiled here, the API, ``hwdash submit`` and ``hwdash demo``."""

import hashlib
import socket
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import (
    API,
    HWDASH,
    ROOT,
    SAMPLE,
    X64,
    ApiClient,
    Entry,
    Served,
    clean_environment,
    download_url,
    new_vendor,
    sample_entries,
    signed_cabinet,
    unsigned_cabinet,
)
from submitter import Submitter

FOLDER = "hwdash_sample"
BUILD = ROOT / "examples" / "sample-driver" / "build.sh"
OLDER = "WINDOWS_v100_X64_RS5_FULL"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample driver's program, built now from its source."""
    target = tmp_path_factory.mktemp("compiled") / "hwdash_sample.sys"
    subprocess.run(["sh", str(BUILD), str(target)], check=True)
    return target


def test_a_freshly_compiled_driver_comes_back_signed_with_everything_beside_it(
    service: Served, client: ApiClient, compiled: Path, tmp_path: Path
) -> None:
    program, inf = compiled.read_bytes(), (SAMPLE / "hwdash_sample.inf").read_bytes()
    entries: list[Entry] = [(rf"{FOLDER}\hwdash_sample.inf", inf), (rf"{FOLDER}\hwdash_sample.sys", program)]
    package = signed_cabinet(tmp_path, service.made.vendor, entries)
    finished = client.submit(package, productName="Main path", requestedSignatures=[X64, OLDER])
    assert finished["workflowStatus"] == {"currentStep": "finalizeIngestion", "state": "completed", "messages": []}
    assert finished["commitStatus"] == "commitComplete"
    assert (finished["isExtensionInf"], finished["isUniversal"], finished["isDeclarativeInf"]) == (False, False, True)
    types = [item["type"] for item in finished["downloads"]["items"]]
    assert types[0] == "initialPackage"
    assert sorted(types) == ["certificationReport", "driverMetadata", "initialPackage", "signedPackage"]

    # None of the downloads needs a login.
    del client.http.headers["Authorization"]

    def download(kind: str) -> httpx.Response:
        answer = client.http.get(download_url(finished, kind))
        assert answer.status_code == 200, answer.text
        return answer

    assert download("initialPackage").content == package.read_bytes()
    assert f"/Signed_{finished['id']}.zip?" in download_url(finished, "signedPackage")
    signed = tmp_path / "signed.zip"
    signed.write_bytes(download("signedPackage").content)
    folder = _unpacked(signed, tmp_path)
    assert (folder / "hwdash_sample.inf").read_bytes() == inf
    # Signed means: the same program, its checksum and its certificate table aside.
    assert (folder / "hwdash_sample.sys").read_bytes()[512 : len(program)] == program[512:]
    assert (folder / "hwdash_sample.sys").stat().st_size > len(program)
    _verify(folder, service.made.root_certificate)

    _check_metadata(download("driverMetadata"))
    _check_report(download("certificationReport"), finished, service)
    # Microsoft's pages write the path in either casing.
    lower = download_url(finished, "certificationReport").replace("/Driver/", "/driver/")
    assert client.http.get(lower).content == download("certificationReport").content


def _unpacked(signed: Path, folder: Path) -> Path:
    with zipfile.ZipFile(signed) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            f"{FOLDER}/hwdash_sample.cat",
            f"{FOLDER}/hwdash_sample.inf",
            f"{FOLDER}/hwdash_sample.sys",
        ]
        archive.extractall(folder / "signed")
    return folder / "signed" / FOLDER


def _verify(folder: Path, root: Path) -> None:
    """By an independent program: the driver, the driver through its catalog, the catalog; and not by any root."""
    driver, catalog = str(folder / "hwdash_sample.sys"), str(folder / "hwdash_sample.cat")
    for arguments in (("-in", driver), ("-in", driver, "-catalog", catalog), ("-in", catalog)):
        done = _osslsigncode(*arguments, "-CAfile", str(root))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Signature verification: ok" in done.stdout
    inf = (folder / "hwdash_sample.inf").read_bytes()
    assert hashlib.sha256(inf).digest() in (folder / "hwdash_sample.cat").read_bytes()
    stranger = new_vendor("Nobody's Root").write_certificate(folder)
    assert _osslsigncode("-in", driver, "-CAfile", str(stranger)).returncode != 0


def _osslsigncode(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["osslsigncode", "verify", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def _check_metadata(answer: httpx.Response) -> None:
    """The form that the contract gives for the driver metadata file."""
    assert answer.headers["Content-Type"].startswith("application/json")
    metadata = answer.json()
    assert list(metadata) == ["BundleInfoMap"]
    ((bundle_id, bundle),) = metadata["BundleInfoMap"].items()
    assert len(bundle_id) == 36
    assert set(bundle) == {"Locales", "InfInfoMap"}
    assert isinstance(bundle["Locales"], list)
    ((name, info),) = bundle["InfInfoMap"].items()
    assert name == "hwdash_sample.inf"
    devices = info.pop("OSPnPInfoMap")
    assert info.pop("DriverDate").startswith("2025-06-02")
    assert info == {
        "DriverPackageFamilyId": "hwdash-hwdash_sample.inf",
        "InfClass": "System",
        "DriverVersion": "1.0.0.0",
        "ExtensionId": None,
        "Provider": "hwdash",
        "ClassGuid": "{4d36e97d-e325-11ce-bfc1-08002be10318}",
        "InstallationComputerHardwareIds": [],
    }
    assert set(devices) == {X64, OLDER}
    for code in devices:
        assert {identifier.upper(): device for identifier, device in devices[code].items()} == {
            r"ROOT\HWDASH_SAMPLE": {
                "Manufacturer": "hwdash",
                "DeviceDescription": "hwdash sample device",
                "FeatureScore": None,
            }
        }


def _check_report(answer: httpx.Response, finished: Mapping[str, Any], service: Served) -> None:
    account = service.made.credentials["accountId"]
    assert answer.url.path == (
        f"/dashboard/hardware/Driver/DownloadCertificationReport/{account}/{finished['productId']}/{finished['id']}"
    )
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "not by Microsoft" in answer.text
    for expected in (
        "Main path",
        str(finished["productId"]),
        str(finished["id"]),
        X64,
        "yara-x 1",
        "hwdash_sample.cat",
    ):
        assert expected in answer.text
    assert " signatures, 2 files: nothing found" in answer.text


def test_a_report_is_found_under_its_own_ids_only(service: Served, client: ApiClient) -> None:
    del client.http.headers["Authorization"]
    path = "/dashboard/hardware/driver/DownloadCertificationReport"
    for wrong in (f"{path}/1/2/3", f"{path}/a/b/c", f"{path}/{service.made.credentials['accountId']}/1/1"):
        answer = client.http.get(wrong)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "entityNotFound"


# --- hwdash submit


@pytest.fixture
def submitter(service: Served, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path)


def _products(client: ApiClient) -> set[int]:
    return {each["id"] for each in client.http.get(f"{API}/products").json()["value"]}


def test_a_repeated_submit_returns_the_stored_result_and_new_makes_another(
    service: Served, client: ApiClient, submitter: Submitter, tmp_path: Path
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    before = _products(client)
    target = tmp_path / "out" / "signed.zip"
    first = submitter(package, "--output", str(target), "--json")
    assert first.code == 0, first.err
    document = first.document
    assert set(document) == {"productId", "submissionId", "state", "signedPackage", "provenance", "messages"}
    assert (document["state"], document["messages"]) == ("completed", [])
    assert document["signedPackage"] == str(target)
    assert _products(client) - before == {document["productId"]}
    _verify(_unpacked(target, tmp_path / "first"), service.made.root_certificate)

    target.unlink()
    again = submitter(package, "--output", str(target), "--json")
    assert (again.code, again.document) == (0, document)
    assert target.exists()
    assert _products(client) - before == {document["productId"]}

    afresh = submitter(package, "--output", str(target), "--json", "--new")
    assert afresh.code == 0, afresh.err
    assert _products(client) - before == {document["productId"], afresh.document["productId"]}
    assert afresh.document["submissionId"] != document["submissionId"]


def test_a_refused_package_ends_in_1_with_the_messages(submitter: Submitter, tmp_path: Path) -> None:
    ran = submitter(unsigned_cabinet(tmp_path, sample_entries()), "--json")
    assert ran.code == 1
    assert ran.document["state"] == "failed"
    assert ran.document["signedPackage"] is None
    assert any("package.unsigned" in message for message in ran.document["messages"])
    assert "package.unsigned" in ran.err


def test_a_refused_request_ends_in_1_with_the_findings(service: Served, submitter: Submitter, tmp_path: Path) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    ran = submitter(package, "--signature", "WINDOWS_v1_NONSENSE", "--json")
    assert ran.code == 1
    assert ran.document["state"] == "refused"
    assert "WINDOWS_v1_NONSENSE" in " ".join(ran.document["messages"])
    assert "requestedSignatures" in ran.err


def test_wrong_usage_ends_in_2(service: Served, submitter: Submitter, tmp_path: Path) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    assert submitter(tmp_path / "absent.cab").code == 2
    assert submitter(package, "--no-such-option").code == 2
    assert submitter.run("submit", str(package)).code == 2
    ran = submitter(package, HWDASH_CLIENT_SECRET="")
    assert ran.code == 2
    assert "HWDASH_CLIENT_SECRET" in ran.err


def test_a_service_that_cannot_be_reached_ends_in_3(service: Served, submitter: Submitter, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    ran = submitter(signed_cabinet(tmp_path, service.made.vendor), HWDASH_URL=f"https://localhost:{port}")
    assert ran.code == 3
    assert str(port) in ran.err


def test_a_service_of_another_authority_ends_in_3(service: Served, submitter: Submitter, tmp_path: Path) -> None:
    stranger = new_vendor("Not the CA").write_certificate(tmp_path)
    ran = submitter(signed_cabinet(tmp_path, service.made.vendor), HWDASH_CA=str(stranger))
    assert ran.code == 3
    assert "certificate" in ran.err.lower()


def test_a_wrong_secret_ends_in_4_and_is_not_shown(service: Served, submitter: Submitter, tmp_path: Path) -> None:
    ran = submitter(signed_cabinet(tmp_path, service.made.vendor), HWDASH_CLIENT_SECRET="not-the-secret")
    assert ran.code == 4
    assert "not-the-secret" not in ran.err + ran.out


# --- hwdash demo


def test_the_demo_ends_with_the_two_fixed_lines(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = subprocess.run(
        [*HWDASH, "demo", "--keep", str(kept)],
        env=clean_environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[-2:]
    signed, root = Path(first.removeprefix("signed package: ")), Path(second.removeprefix("root certificate: "))
    for path in (signed, root):
        assert path.is_absolute()
        assert path.is_file()
        assert kept in path.parents
    assert "not Microsoft's" in done.stderr
    _verify(_unpacked(signed, tmp_path), root)
