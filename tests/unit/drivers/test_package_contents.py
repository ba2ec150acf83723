"""Rules on what INFs and binaries of a package say, each broken by one change of a good folder, and not by less."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.package import Kind
from hwdash.drivers.package_contents import Binary, DriverFolder, check_contents, check_signatures

TODAY = date(2026, 6, 15)
TEXT = """[Version]
Signature = "$WINDOWS NT$"
Class = System
ClassGuid = {4d36e97d-e325-11ce-bfc1-08002be10318}
CatalogFile = good.cat
DriverVer = 06/01/2026,1.2.3.4
[SourceDisksFiles]
good.sys = 1
"""
AUDIO = "{4D36E96C-E325-11CE-BFC1-08002BE10318}"
SYS = Binary("d/good.sys", has_code=True, version=(1, 2, 3, 4), is_elam=False, linked=date(2026, 5, 31))


def folder(*texts: str, binaries: Sequence[Binary] = (SYS,), more: Sequence[str] = (), name: str = "d") -> DriverFolder:
    infs = [Inf.from_text(text, source=f"{name}/{number}.inf") for number, text in enumerate(texts)]
    files = [*(each.path for each in binaries), *(inf.source for inf in infs), *more]
    return DriverFolder(name, files, infs, binaries)


def found(*folders: DriverFolder, kind: Kind = "attestation", today: date | None = TODAY) -> list[Finding]:
    return check_contents(folders, kind, today)


def only(findings: list[Finding]) -> tuple[str, str, str | None, int | None]:
    (finding,) = findings
    assert finding.message.endswith(".")
    assert finding.remedy.endswith(".")
    return finding.rule, finding.level, finding.file, finding.line


def test_a_good_folder_is_without_a_finding() -> None:
    assert found(folder(TEXT)) == []


class TestDriverVer:
    @pytest.mark.parametrize(("written", "refused"), [("06/15/2026", False), ("06/16/2026", True)])
    def test_a_date_to_come_is_refused_as_inf2cat_does(self, written: str, refused: bool) -> None:
        findings = found(folder(TEXT.replace("06/01/2026", written)))
        assert [each.rule for each in findings] == ["package.driverver-in-future"] * refused
        if refused:
            assert only(findings) == ("package.driverver-in-future", "error", "d/0.inf", 6)
            assert "22.9.7" in findings[0].message

    def test_nothing_is_said_about_dates_to_come_without_knowing_the_day(self) -> None:
        assert found(folder(TEXT.replace("2026", "2126")), today=None) == []

    def test_a_malformed_date_is_left_to_the_inf_rules(self) -> None:
        assert found(folder(TEXT.replace("06/01/2026", "2126-01-01"))) == []

    @pytest.mark.parametrize(
        ("linked", "older"),
        [
            (date(2026, 6, 2), False),  # the evening before, on the other side of the date line
            (date(2026, 6, 3), True),
            (date(2026, 6, 16), True),
            (date(2026, 6, 17), False),  # not a time but a hash
            (None, False),
        ],
    )
    def test_an_older_date_than_a_binary_has_is_a_warning(self, linked: date | None, older: bool) -> None:
        findings = found(folder(TEXT, binaries=[replace(SYS, linked=linked)]))
        assert [each.rule for each in findings] == ["package.driverver-older"] * older
        if older:
            assert only(findings) == ("package.driverver-older", "warning", "d/0.inf", 6)
            assert findings[0].inferred
            assert f"d/good.sys says that it was linked on {linked}" in findings[0].message


class TestCatalogNames:
    DECORATED = "CatalogFile.ntx86 = {}\nCatalogFile.ntamd64 = {}\n"

    def test_catalogs_of_platforms_need_names_of_their_own(self) -> None:
        text = TEXT.replace("CatalogFile = good.cat\n", self.DECORATED.format("good.cat", "GOOD.CAT"))
        assert only(found(folder(text))) == ("package.catalog-name-twice", "warning", "d/0.inf", 6)

    def test_distinct_names_are_in_order(self) -> None:
        assert (
            found(folder(TEXT.replace("CatalogFile = good.cat\n", self.DECORATED.format("x86.cat", "x64.cat")))) == []
        )

    def test_infs_of_a_folder_may_share_one_catalog(self) -> None:
        assert found(folder(TEXT, TEXT)) == []


class TestSignatureAttributes:
    @pytest.mark.parametrize(
        ("section", "attribute"), [("SignatureAttributes.Elam", "Elam"), ("Extra", "WindowsHello")]
    )
    def test_what_attestation_does_not_give_needs_the_hlk(self, section: str, attribute: str) -> None:
        text = f"{TEXT}[SignatureAttributes]\ngood.sys = {section}\n[{section}]\n{attribute} = True\n"
        assert only(found(folder(text))) == ("package.needs-hlk", "error", "d/0.inf", 10)
        (finding,) = found(folder(text), kind="preproduction")
        assert (finding.level, finding.inferred) == ("warning", True)
        assert only(found(folder(text), kind="whql")) == ("package.signature-attributes", "warning", "d/0.inf", 10)

    @pytest.mark.parametrize("kind", ["attestation", "preproduction", "whql"])
    @pytest.mark.parametrize(
        ("section", "attribute"),
        [
            ("Sig", "PETrust = true"),
            ("Sig", "DRMLevel = 1300"),
            ("SignatureAttributes.DRM", "DRMLevel = 1200"),
            ("Sig", "HalExt = true"),
        ],
    )
    def test_what_no_catalog_of_ours_has_is_told(self, section: str, attribute: str, kind: Kind) -> None:
        text = f"{TEXT}[SignatureAttributes]\ngood.sys = {section}\n[{section}]\n{attribute}\n"
        findings = found(folder(text), kind=kind)
        assert only(findings) == ("package.signature-attributes", "warning", "d/0.inf", 10)
        assert "good.sys" in findings[0].message

    @pytest.mark.parametrize("attribute", ["PETrust = false", "Elam = false", "Color = true"])
    def test_what_is_not_asked_for_passes(self, attribute: str) -> None:
        text = f"{TEXT}[SignatureAttributes]\ngood.sys = Sig\n[Sig]\n{attribute}\n"
        assert found(folder(text)) == []

    def test_an_elam_driver_is_known_by_its_resource(self) -> None:
        findings = found(folder(TEXT, binaries=[replace(SYS, is_elam=True)]))
        assert only(findings) == ("package.needs-hlk", "error", "d/good.sys", None)


class TestBinaryKinds:
    AX = Binary("d/filter.ax", has_code=True, version=None, is_elam=False, linked=None)
    TEXT = TEXT.replace("good.sys = 1", "filter.ax = 1")

    def test_a_program_beyond_the_documented_kinds_is_a_warning(self) -> None:
        findings = found(folder(self.TEXT, binaries=[self.AX]))
        assert only(findings) == ("package.binary-kind", "warning", "d/filter.ax", None)
        assert findings[0].inferred

    def test_an_image_of_resources_alone_is_no_program(self) -> None:
        assert found(folder(self.TEXT, binaries=[replace(self.AX, has_code=False)])) == []

    def test_the_hlk_has_no_such_list(self) -> None:
        assert found(folder(self.TEXT, binaries=[self.AX]), kind="whql") == []


class TestAudio:
    TEXT = TEXT.replace("{4d36e97d-e325-11ce-bfc1-08002be10318}", AUDIO)

    @pytest.mark.parametrize(
        ("version", "why"), [(None, "no version resource"), ((0, 0, 0, 0), "the version 0.0.0.0"), ((0, 0, 0, 1), "")]
    )
    def test_executables_of_audio_drivers_need_a_version(
        self, version: tuple[int, int, int, int] | None, why: str
    ) -> None:
        findings = found(folder(self.TEXT, binaries=[replace(SYS, version=version)]))
        assert [each.rule for each in findings] == ["package.audio-version"] * bool(why)
        if why:
            assert only(findings) == ("package.audio-version", "warning", "d/good.sys", None)
            assert why in findings[0].message

    def test_other_classes_need_none(self) -> None:
        assert found(folder(TEXT, binaries=[replace(SYS, version=None)])) == []


class TestExtensions:
    EXTENSION = "[Version]\nClass = Extension\nExtensionId = {11111111-1111-1111-1111-111111111111}\n"

    def test_an_extension_beside_a_base_driver_is_a_warning(self) -> None:
        extension = folder(self.EXTENSION, binaries=(), name="e")
        findings = found(folder(TEXT), extension)
        assert only(findings) == ("package.mixed-extension", "warning", "e/0.inf", 1)
        assert "d/0.inf" in findings[0].message

    def test_extensions_among_themselves_are_in_order(self) -> None:
        assert found(folder(self.EXTENSION, self.EXTENSION, binaries=())) == []


class TestUnreferencedFiles:
    def test_files_that_no_inf_names_are_listed_once_for_a_folder(self) -> None:
        findings = found(folder(TEXT, more=["d/readme.txt", "d/extra.dll"]))
        assert only(findings) == ("package.unreferenced-file", "warning", "d", None)
        assert "d/extra.dll, d/readme.txt" in findings[0].message

    @pytest.mark.parametrize(
        "line",
        [
            "CopyFiles = @tool.exe",
            "ServiceBinary = %13%\\tool.exe",
            'HKR,,Command,,"""%13%\\tool.exe"" /start"',
            "SoftwareBinary = %13%\\Tool.EXE",
            "%tool% = 1",
        ],
    )
    def test_any_mention_counts(self, line: str) -> None:
        text = f'{TEXT}[Any]\n{line}\n[Strings]\ntool = "tool.exe"\n'
        assert found(folder(text, more=["d/tool.exe"])) == []

    def test_symbols_catalogs_and_infs_need_no_mention(self) -> None:
        assert found(folder(TEXT, more=["d/good.pdb", "d/good.cat", "d/other.inf", "d/good.sy_"])) == []

    def test_a_folder_without_a_readable_inf_is_not_judged(self) -> None:
        assert found(folder(more=["d/readme.txt"])) == []


X64, SERVER, OLD = "WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_SERVER_X64_FE_FULL", "WINDOWS_v63_X64"


@pytest.mark.parametrize(
    ("codes", "kind", "expected"),
    [
        ([X64], "attestation", []),
        ([X64, SERVER, OLD], "attestation", ["package.signature-not-attested"] * 2),
        ([X64, SERVER], "whql", []),
        ([OLD], "whql", []),
        ([X64, OLD], "whql", ["package.mixed-windows"]),
        ([X64, OLD], "preproduction", []),
        (["WINDOWS_v200_X64"], "attestation", []),
    ],
)
def test_signatures_that_cannot_be_had(codes: list[str], kind: Kind, expected: list[str]) -> None:
    findings = check_signatures(codes, kind)
    assert [each.rule for each in findings] == expected
    assert all(each.level == ("error" if kind == "attestation" else "warning") for each in findings)
