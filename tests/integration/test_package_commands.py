"""``hwdash package``: what it builds and signs is what independent tools accept, and what it refuses it names."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from service import HWDASH, SAMPLE, clean_environment, hwdash, new_vendor, signed_cabinet, unsigned_cabinet

ENVIRONMENT = clean_environment()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HWDASH, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vendor")
    hwdash("package", "development-certificate", "A Vendor", "--output", str(folder), environment=ENVIRONMENT)
    return folder


def test_builds_and_signs_what_cabextract_and_osslsigncode_accept(certificate: Path, tmp_path: Path) -> None:
    unsigned, signed = tmp_path / "u.cab", tmp_path / "s.cab"
    hwdash("package", "build", str(SAMPLE), "--output", str(unsigned), environment=ENVIRONMENT)
    listed = subprocess.run(["cabextract", "-t", str(unsigned)], capture_output=True, text=True, check=True).stdout
    assert "hwdash_sample/hwdash_sample.inf" in listed
    hwdash(
        "package", "sign", str(unsigned), "--output", str(signed),
        "--certificate", str(certificate / "certificate.pem"), "--key", str(certificate / "key.pem"),
        environment=ENVIRONMENT,
    )  # fmt: skip
    verified = subprocess.run(
        ["osslsigncode", "verify", "-CAfile", str(certificate / "certificate.pem"), str(signed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout
    assert "A Vendor" in verified.stdout


def test_the_key_of_a_development_certificate_is_for_its_owner_alone(certificate: Path) -> None:
    assert (certificate / "key.pem").stat().st_mode & 0o077 == 0


def test_an_encrypted_key_signs_with_its_passphrase_only(tmp_path: Path) -> None:
    folder, unsigned = tmp_path / "vendor", unsigned_cabinet(tmp_path, [("d\\d.inf", b"x")])
    made = run("package", "development-certificate", "V", "--output", str(folder), "--passphrase", "right")
    assert made.returncode == 0, made.stderr
    assert "ENCRYPTED" in (folder / "key.pem").read_text()
    sign = ["package", "sign", str(unsigned), "--output", str(tmp_path / "s.cab"),
            "--certificate", str(folder / "certificate.pem"), "--key", str(folder / "key.pem")]  # fmt: skip
    assert run(*sign, "--passphrase", "right").returncode == 0
    wrong = run(*sign, "--passphrase", "wrong")
    assert wrong.returncode == 2
    assert "key.pem" in wrong.stderr


def test_does_not_build_what_attestation_would_refuse(tmp_path: Path) -> None:
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "driver.sys").write_bytes(b"MZ")
    refused = run("package", "build", str(folder), "--output", str(tmp_path / "x.cab"))
    assert refused.returncode == 1
    assert "package.no-inf" in refused.stderr
    assert not (tmp_path / "x.cab").exists()
    assert not (tmp_path / "x.cab.part").exists()


def test_checks_a_good_package_without_a_service(tmp_path: Path) -> None:
    package = signed_cabinet(tmp_path, new_vendor())
    answer = json.loads(hwdash("package", "check", str(package), "--json", environment=ENVIRONMENT).splitlines()[-1])
    assert answer["valid"] is True
    assert "Test Hardware Vendor" in answer["signer"]
    assert all(each["level"] == "warning" for each in answer["findings"])


def test_tells_people_what_is_wrong_by_file_with_counts(tmp_path: Path) -> None:
    inf = (SAMPLE / "hwdash_sample.inf").read_bytes().replace(b"%Device% =", b"%Nothing% =")
    package = unsigned_cabinet(tmp_path, [("d\\d.inf", inf), ("d\\hwdash_sample.sys", b"text"), ("\x1b[2J.txt", b"x")])
    checked = run("package", "check", str(package))
    assert checked.returncode == 1
    lines = checked.stderr.splitlines()
    assert lines[lines.index("d/hwdash_sample.sys: 1 error, 0 warnings") + 1].startswith(
        "  ERROR package.not-a-pe-file: The file is named like an executable"
    )
    line = inf.splitlines().index(b"%Nothing% = Sample_Install, ROOT\\HWDASH_SAMPLE") + 1
    assert any(each.startswith(f"  ERROR 1235: line {line}: ") for each in lines)
    assert "\x1b" not in checked.stderr
    (verdict,) = checked.stdout.splitlines()
    assert verdict.startswith(f"{package}: refused, ")
    assert verdict.endswith("not signed; declarative: no, universal: notApplicable, extension: no")


def test_checks_a_folder_before_it_is_built() -> None:
    checked = run("package", "check", str(SAMPLE), "--signature", "WINDOWS_v100_X64_GE_FULL", "--json")
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout.splitlines()[-1])
    assert set(found) == {"findings", "valid", "signer", "isDeclarative", "isUniversal", "isExtension"}
    assert (found["valid"], found["signer"]) == (True, None)
    assert {each["code"] for each in found["findings"]} == {"package.no-symbols", "package.no-catalog"}


def test_an_unknown_os_code_is_wrong_usage() -> None:
    checked = run("package", "check", str(SAMPLE), "--signature", "WINDOWS_95")
    assert checked.returncode == 2
    assert "WINDOWS_95 is no OS code" in checked.stderr


def test_inspects_a_signed_cabinet(tmp_path: Path) -> None:
    package = signed_cabinet(tmp_path, new_vendor())
    found = json.loads(run("package", "inspect", str(package), "--json").stdout.splitlines()[-1])
    assert found["container"] == {
        "form": "cabinet",
        "files": 2,
        "unpackedBytes": sum(file.stat().st_size for file in SAMPLE.iterdir()),
        "bytes": package.stat().st_size,
        "folders": [{"compression": "MSZIP", "blocks": 1}],
        "reserves": {"header": 20, "folder": 0, "block": 0},
    }
    assert found["signature"]["holds"] is True
    assert "Test Hardware Vendor" in found["signature"]["signer"]
    (folder,) = found["driverFolders"]
    inf, program = folder["files"]
    assert (inf["kind"], inf["sha256"]) == (
        "flat",
        hashlib.sha256((SAMPLE / "hwdash_sample.inf").read_bytes()).hexdigest(),
    )
    assert (program["kind"], program["machine"]) == ("pe", "amd64")
    (described,) = folder["infs"]
    assert described["class"] == "System"
    assert described["driverVer"] == "06/02/2025,1.0.0.0"
    assert (described["architectures"], described["hardwareIds"]) == (["amd64"], 1)
    assert "WINDOWS_v100_X64_GE_FULL" in described["operatingSystems"]
    assert folder["catalogs"] == ["hwdash_sample.cat"]
    assert found["universal"]["verdict"] == "unknown"
    people = run("package", "inspect", str(package)).stdout
    assert "PE for amd64" in people
    assert "universal: unknown. The list of permitted APIs" in people


def test_inspects_what_it_would_refuse_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    package = unsigned_cabinet(tmp_path, [("d\\d.inf", b"[Version"), ("root.txt", b"x")])
    found = json.loads(run("package", "inspect", str(package), "--json").stdout.splitlines()[-1])
    assert found["signature"] is None
    assert found["filesAtRoot"] == ["root.txt"]
    assert "line 1" in found["driverFolders"][0]["infs"][0]["problem"]
    (tmp_path / "text.cab").write_bytes(b"text")
    refused = run("package", "inspect", str(tmp_path / "text.cab"))
    assert refused.returncode == 1
    assert "not a cabinet" in refused.stderr


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"not a cabinet at all, but long enough for a header", "MSCF"), (b"", "MSCF")]
)
def test_names_what_is_wrong_with_a_file_that_is_no_cabinet(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "x.cab"
    file.write_bytes(content)
    checked = run("package", "check", str(file), "--json")
    assert checked.returncode == 1
    (finding,) = json.loads(checked.stdout.splitlines()[-1])["findings"]
    assert "x.cab" in finding["message"]
    assert complaint in finding["message"]


def test_an_unsigned_package_is_refused_by_name(tmp_path: Path) -> None:
    package = unsigned_cabinet(tmp_path, [("d\\d.inf", b"[Version]")])
    checked = run("package", "check", str(package))
    assert checked.returncode == 1
    assert "is not signed" in checked.stderr
