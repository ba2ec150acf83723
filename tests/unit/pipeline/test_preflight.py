"""The judgement before a submission is the service's own, and goes on where the service would stop."""

import struct
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import verify
from hwdash.pipeline import inspection, validation
from hwdash.pipeline import preflight as judged
from hwdash.pipeline.inf_policy import COSTS_THE_VERDICT_ONLY
from hwdash.pipeline.preflight import Preflight, preflight
from pe_images import image, importing
from service import SAMPLE, X64, Entry, new_vendor, signed_cabinet, unsigned_cabinet

TODAY = date(2026, 11, 23)
INF = (SAMPLE / "hwdash_sample.inf").read_bytes()
INFERRED, INFERRED_CODE = INF.replace(b"ErrorControl  = 1\n", b"").replace(b"ErrorControl  = 1\r\n", b""), 1013
ARM = "WINDOWS_v100_ARM64_CO_FULL"
LEGACY = b"[Sample_Install.NT.CoInstallers]\r\nAddReg = Co\r\n[Co]\r\nHKR,,CoInstallers32,0x10000,mine.dll\r\n[Strings]"


def checked(package: Path, **options: Any) -> Preflight:
    return preflight(package, **{"signatures": [X64], "today": TODAY} | options)


def errors(found: Preflight) -> list[str]:
    return [each.rule for each in found.findings if each.level == "error"]


def packed(tmp_path: Path, inf: bytes, *more: Entry) -> Path:
    return unsigned_cabinet(
        tmp_path, [("d\\d.inf", inf), ("d\\hwdash_sample.sys", SAMPLE / "hwdash_sample.sys"), *more]
    )


def test_a_good_package_is_valid_with_its_signer_and_verdicts(tmp_path: Path) -> None:
    found = checked(signed_cabinet(tmp_path, new_vendor()))
    assert found.is_valid
    assert "Test Hardware Vendor" in (found.signer or "")
    assert (found.is_declarative, found.is_universal, found.is_extension) == (True, "unknown", False)
    assert {each.rule for each in found.findings} <= {"package.no-symbols", "package.no-catalog"}


def test_errors_come_first_then_by_file_and_line(tmp_path: Path) -> None:
    found = checked(packed(tmp_path, INF.replace(b"%Device% =", b"%Nothing% ="), ("root.txt", b"x")))
    order = [(each.level != "error", each.file or "", each.line or 0) for each in found.findings]
    assert order == sorted(order)
    assert len(found.findings) == len(set(found.findings))


def test_steps_after_an_error_are_gone_through(tmp_path: Path) -> None:
    broken = packed(tmp_path, b"[Version\n", ("root.txt", b"x"), ("d\\tool.exe", b"no program"))
    found = checked(broken, signatures=["WINDOWS_v63_X64"])
    assert set(errors(found)) >= {
        "package.signature-not-attested",
        "package.files-at-root",
        "package.unsigned",
        "package.not-a-pe-file",
        "inf.1002",
    }
    assert found.is_declarative is False


def test_a_signature_that_no_inf_serves_is_told(tmp_path: Path) -> None:
    found = checked(packed(tmp_path, INF), signatures=[ARM])
    assert "package.signature-not-served" in errors(found)


def test_without_signatures_none_is_missed(tmp_path: Path) -> None:
    assert errors(checked(packed(tmp_path, INF), signatures=[])) == ["package.unsigned"]


def test_what_cannot_be_opened_is_one_finding(tmp_path: Path) -> None:
    file = tmp_path / "x.cab"
    file.write_bytes(b"MSCF but no more")
    found = checked(file)
    assert errors(found) == ["package.unreadable"]
    assert (found.is_declarative, found.is_universal, found.signer) == (None, "unknown", None)


def test_damaged_content_is_told_beside_what_the_headers_tell(tmp_path: Path) -> None:
    content = bytearray(packed(tmp_path, INF, ("root.txt", b"x")).read_bytes())
    content[-20] ^= 0xFF
    file = tmp_path / "damaged.cab"
    file.write_bytes(content)
    assert set(errors(checked(file))) == {"package.unsigned", "package.files-at-root", "package.unreadable"}


def test_a_zip_file_is_not_what_attestation_takes_but_is_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("d/d.inf", INF)
    assert set(errors(checked(file))) >= {"package.container", "package.file-missing"}


def test_zip64_has_a_finding_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "x.hlkx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    whole = file.read_bytes()
    end = whole[-22:]
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(whole) - 22, 1)
    file.write_bytes(whole[:-22] + record + locator + end)
    found = checked(file, kind="whql")
    assert errors(found) == ["package.zip-large"]
    assert "4 GB" in found.findings[0].message


def test_a_cabinet_is_not_what_the_hlk_makes(tmp_path: Path) -> None:
    assert "package.container" in errors(checked(signed_cabinet(tmp_path, new_vendor()), kind="whql"))


def test_a_folder_needs_no_signature_before_it_is_built() -> None:
    found = checked(SAMPLE)
    assert found.is_valid
    assert found.signer is None


def test_universal_is_not_applicable_without_binaries_and_no_by_document(tmp_path: Path) -> None:
    no_binaries = unsigned_cabinet(tmp_path, [("d\\d.inf", INF)])
    assert checked(no_binaries).is_universal == "notApplicable"
    tool = importing([("wtsapi32.dll", ("WTSEnumerateSessionsW",))])
    assert checked(packed(tmp_path, INF, ("d\\tool.exe", tool))).is_universal == "no"


def test_imports_that_cannot_be_read_are_a_warning(tmp_path: Path) -> None:
    broken = image(b"x", {1: (0x900000, 40)})
    found = checked(packed(tmp_path, INF, ("d\\tool.exe", broken)))
    assert [(each.level, each.file) for each in found.findings if each.rule == "package.pe-tables"] == [
        ("warning", "d/tool.exe")
    ]
    assert found.is_universal == "unknown"


class TestPolicy:
    """docs/reference/inf-rules.md: legacy ways to install cost the verdict, not the signature."""

    def test_in_the_services_mode_they_are_warnings(self, tmp_path: Path) -> None:
        found = checked(packed(tmp_path, INF.replace(b"[Strings]", LEGACY)))
        assert errors(found) == ["package.unsigned"]
        assert [each.level for each in found.findings if each.code in COSTS_THE_VERDICT_ONLY] == ["warning"]
        assert found.is_declarative is False

    def test_inferred_errors_are_warnings_and_cost_nothing(self, tmp_path: Path) -> None:
        inf = Inf.parse(INFERRED, source="d/d.inf")
        (alone,) = (each for each in verify(inf, mode="declarative") if each.level == "error")
        assert (alone.code, alone.inferred) == (INFERRED_CODE, True)
        found = checked(packed(tmp_path, INFERRED))
        assert errors(found) == ["package.unsigned"]
        assert [(each.level, each.inferred) for each in found.findings if each.code == INFERRED_CODE] == [
            ("warning", True)
        ]
        assert found.is_declarative is True

    @pytest.mark.parametrize("mode", ["universal", "windows"])
    def test_in_another_mode_they_are_what_that_mode_says(self, tmp_path: Path, mode: str) -> None:
        found = checked(packed(tmp_path, INF.replace(b"[Strings]", LEGACY)), mode=mode)
        assert "inf.1303" in errors(found)
        assert found.is_declarative is False


def test_the_steps_are_the_services_own() -> None:
    assert judged.inspect_package is inspection.inspect_package
    assert judged.prepare is inspection.prepare
    assert judged.check_infs is inspection.check_infs
    assert judged.signatures_not_served is validation.signatures_not_served
