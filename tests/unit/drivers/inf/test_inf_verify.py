"""The InfVerif rules: a clean INF is silent, and each rule speaks when its one thing is broken."""

import warnings
from pathlib import Path
from typing import get_args

import pytest

from hwdash.drivers.errors import ParseError
from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.encoding import decode
from hwdash.drivers.inf.verify import (
    CODES,
    MAX_PROBLEMS,
    RULES,
    Mode,
    is_declarative,
    is_extension,
    syntax_error,
    verify,
)
from hwdash.drivers.inf.verify.coverage import GIVEN_ELSEWHERE, INFERRED, UNCHECKED
from seeded import all_faults

MODES: tuple[Mode, ...] = get_args(Mode)

CLEAN = r"""[Version]
Signature = "$WINDOWS NT$"
Class = System
ClassGuid = {4d36e97d-e325-11ce-bfc1-08002be10318}
Provider = %Maker%
CatalogFile = echo.cat
DriverVer = 11/23/2024,1.0.0.0
PnpLockdown = 1

[SourceDisksNames]
1 = %Disk%

[SourceDisksFiles]
echo.sys = 1

[DestinationDirs]
DefaultDestDir = 13

[Manufacturer]
%Maker% = Echo, NTamd64.10.0...16299

[Echo.NTamd64.10.0...16299]
%Device% = Install, ROOT\ECHO

[Install.NT]
CopyFiles = Files
FeatureScore = FE

[Files]
echo.sys

[Install.NT.HW]
AddReg = Hardware

[Hardware]
HKR,,Level,0x00010001,1

[Install.NT.Services]
AddService = acme, %SPSVCINST_ASSOCSERVICE%, Service

[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\echo.sys
AddReg = Parameters

[Parameters]
HKR,Parameters,Value,,"x"

[Install.NT.Interfaces]
AddInterface = {cdc35b6e-0be4-4936-bf5f-5537380a7c1a}

[Strings]
Maker = "Acme"
Device = "Echo"
Disk = "Disk"
SPSVCINST_ASSOCSERVICE = 2
"""

EXTENSION = (
    CLEAN.replace("Class = System", "Class = Extension\nExtensionId = {b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11}")
    .replace("{4d36e97d-e325-11ce-bfc1-08002be10318}", "{e2f84ce7-8efa-411c-aa69-97454ca4cb57}")
    .replace("%SPSVCINST_ASSOCSERVICE%,", "0,")
)

PRIMITIVE = CLEAN[: CLEAN.index("[Manufacturer]")] + CLEAN[CLEAN.index("[Install.NT]") :].replace(
    "Install.NT", "DefaultInstall.NTamd64"
).replace("FeatureScore = FE\n", "")


def parse(text: str) -> Inf:
    return Inf.from_text(text, source="echo.inf")


def broken(text: str, old: str, new: str) -> Inf:
    assert old in text
    return parse(text.replace(old, new, 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", [CLEAN, EXTENSION, PRIMITIVE], ids=["device", "extension", "primitive"])
def test_a_clean_inf_is_silent(text: str, mode: Mode) -> None:
    assert verify(parse(text), mode=mode) == []


COPY = "[Install.NT]\nCopyFiles = Files"

FAULTS = all_faults()


@pytest.mark.parametrize("mode", MODES)
def test_a_finding_has_its_documented_level_and_says_what_to_do(mode: Mode) -> None:
    for fault in FAULTS:
        text = fault.base
        for old, new in fault.edits:
            text = text.replace(old, new)
        findings = verify(Inf.from_text(text, source="bad.inf"), mode=mode, provider=fault.provider, files=fault.files)
        assert any(each.code == fault.code for each in findings) == (CODES[fault.code].level(mode) is not None)
        for each in findings:
            assert isinstance(each.code, int)
            assert each.level == CODES[each.code].level(mode)
            assert each.file == "bad.inf"
            assert each.message.endswith(".")
            assert each.remedy.endswith(".")
            assert each.inferred or each.code not in INFERRED


def found(inf: Inf, mode: Mode = "windows") -> dict[str, Finding]:
    return {finding.rule: finding for finding in verify(inf, mode=mode)}


def test_every_documented_code_is_judged_given_elsewhere_or_has_a_reason_why_not() -> None:
    assert len(CODES) == 202
    parts = [set(RULES), set(UNCHECKED), set(GIVEN_ELSEWHERE)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == set(CODES)
    assert set(RULES) >= INFERRED
    for reason in UNCHECKED.values():
        assert reason[0].isupper()
        assert reason.endswith(".")


@pytest.mark.parametrize("text", ["", "[Strings]\na = b", '[Version]\nSignature = "$Wrong$"', "[Version]\nClass = Net"])
def test_a_file_that_is_no_driver_inf_gets_that_finding_alone(text: str) -> None:
    assert [finding.rule for finding in verify(parse(text), mode="declarative")] == ["inf.1001"]


@pytest.mark.parametrize("signature", ["$Windows NT$", "$CHICAGO$", "$windows 95$"])
def test_every_signature_of_setup_is_accepted(signature: str) -> None:
    assert verify(broken(CLEAN, "$WINDOWS NT$", signature), mode="windows") == []


# What looks broken and is not: each of these must stay silent.
SILENT = [
    (CLEAN, "AddService = acme, %SPSVCINST_ASSOCSERVICE%, Service", "AddService = ,2\nAddService = acme, 0, Service"),
    (CLEAN, "[Install.NT.Services]", "[Install.NT.Nothing]\n[Install.NT.Services]"),
    (CLEAN, COPY, COPY + "\nInclude = usb.inf\nNeeds = Usb.Dev\nAddReg = FromUsbInf"),
    (CLEAN, '"x"\n', '"100%% of %%SystemRoot%% in %13%"\n'),
    (CLEAN, "%13%\\echo.sys", '"%13%\\echo.sys" -k x'),
    (CLEAN, "HKR,,Level,0x00010001,1", "HKCR,CLSID\\{x},,,y"),
    (CLEAN, "CatalogFile = echo.cat", "CatalogFile.NTamd64 = echo.cat"),
    (CLEAN, "Class = System", "Class = SYSTEM"),
    (CLEAN, "[Install.NT]", "[install.ntAMD64.Other]\n[INSTALL.nt]"),
    (CLEAN, "CopyFiles = Files", "CopyFiles = Files, @echo.sys"),
    (CLEAN, "[SourceDisksFiles]", "[SourceDisksFiles.amd64]"),
    (CLEAN, "[Parameters]", "[ControlFlags]\nExcludeFromSelect = *\n[Parameters]"),
    (CLEAN, "[Parameters]", "[DefaultUninstall]\n[DefaultUninstall.Services]\nLegacyUninstall = 1\n[Parameters]"),
]


@pytest.mark.parametrize(("text", "old", "new"), SILENT)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_legal_gives_no_alarm(text: str, old: str, new: str, mode: Mode) -> None:
    assert verify(broken(text, old, new), mode=mode) == []


OLDER = CLEAN.replace(
    "NTamd64.10.0...16299\n\n[Echo.NTamd64.10.0...16299]",
    "NTamd64.10.0...16299, NTamd64\n[Echo.NTamd64]\n%Device% = Old, ROOT\\ECHO\n\n[Echo.NTamd64.10.0...16299]",
).replace(
    "[Parameters]",
    "[Old]\nCopyFiles = OldFiles\n[Old.Services]\nAddService = acme, 2, Service\n[OldFiles]\necho.sys\n[Parameters]",
).replace("[DestinationDirs]", "[DestinationDirs]\nOldFiles = 12")  # fmt: skip


def test_an_extension_needs_no_services() -> None:
    codes = {finding.code for finding in verify(broken(EXTENSION, "[Install.NT.Services]", "[Left]"), mode="windows")}
    assert codes == {2083}


def test_isolation_is_not_asked_of_sections_for_older_systems() -> None:
    assert verify(parse(OLDER), mode="windows") == []
    assert "inf.1322" in found(parse(OLDER.replace("NTamd64.10.0...16299", "NTamd64.10.0...22000")))


def test_findings_stand_by_line_and_the_more_serious_first() -> None:
    inf = broken(CLEAN, "DriverVer = 11/23/2024,1.0.0.0", "DriverVer = x,y")
    inf = broken(inf.to_text(), "PnpLockdown = 1", "PnpLockdown = 2")
    assert [finding.rule for finding in verify(inf, mode="declarative")] == ["inf.1217", "inf.1218", "inf.1324"]


def test_findings_of_the_encoding_come_along() -> None:
    inf = Inf.parse(b"\xef\xbb\xbf" + CLEAN.encode(), source="echo.inf")
    assert [finding.rule for finding in verify(inf, mode="universal")] == ["inf.1003"]
    assert not is_declarative(inf)


def test_declarative_means_no_error_in_declarative_mode() -> None:
    assert is_declarative(parse(CLEAN))
    assert is_declarative(broken(CLEAN, "PnpLockdown = 1", ""))  # a warning there
    assert not is_declarative(broken(CLEAN, "CatalogFile = echo.cat", ""))


def test_an_extension_is_known_by_its_class() -> None:
    assert is_extension(parse(EXTENSION))
    assert not is_extension(parse(CLEAN))


def test_a_parse_error_becomes_the_finding_of_syntax_errors() -> None:
    with pytest.raises(ParseError) as caught:
        parse("[a]\n[b")
    finding = syntax_error(caught.value)
    assert (finding.rule, finding.level, finding.file, finding.line) == ("inf.1002", "error", "echo.inf", 2)


def test_one_rule_gives_a_bounded_number_of_findings() -> None:
    lines = "".join(f"k{number} = %undefined{number}%\n" for number in range(MAX_PROBLEMS + 5))
    found = verify(parse(f"{CLEAN}[More]\n{lines}"), mode="windows")
    assert sum(finding.code == 1235 for finding in found) == MAX_PROBLEMS


SAMPLES = Path(__file__).parents[4] / ".." / "shared" / "corpus" / "inf" / "windows-driver-samples"

# What is wrong with Microsoft's samples once $ARCH$ is stamped: each was looked at in its file.
JUDGED = {
    "inf.1001": {"autorun.inf"},  # not a driver's INF
    "inf.1017": {  # they are what the code is about
        "echo.inx",
        "dynambus.inx",
        "statbus.inx",
        "BthEchoSampleCli.inx",
        "BthEchoSampleSrv.inx",
    },
    "inf.1199": {"netvadapterum.inf"},  # DIRID 13 in a Models section without a build
    "inf.1203": {"netvadapter.inf"},  # AddProperty of a section that was left out
    "inf.1204": {"TrEEOSServiceSample.inf", "netvadapter.inf", "netvadapterum.inf"},
    "inf.1217": {
        "simgpio.inx",
        "simgpio_i2c.inx",
        "plclient.inf",
        "plpolicy.inf",
        "prmfuncsample.inf",
    },  # stampinf would set them
    "inf.1235": {"netvadapterum.inf"},  # %REG_SZ%
}


def samples() -> list[Path]:
    found = sorted(path for path in SAMPLES.rglob("*") if path.suffix.lower() in (".inf", ".inx"))
    if not found:
        warnings.warn("the samples are not beside the repository: only our own INFs are verified", stacklevel=2)
    return found


def test_a_template_of_a_primitive_driver_is_told_that_it_is_one_and_no_more() -> None:
    template = parse(PRIMITIVE.replace("NTamd64", "NT$ARCH$"))
    assert {each.code for mode in MODES for each in verify(template, mode=mode)} == {1274}


def test_microsofts_samples_give_no_error_that_was_not_judged(tmp_path: Path) -> None:
    own = tmp_path / "own.inf"
    own.write_text(CLEAN.replace("NTamd64", "NT$ARCH$"), encoding="utf-16")
    alarms = []
    for path in [own, *samples()]:
        text, _, _ = decode(path.read_bytes(), source=path.name)
        inf = Inf.from_text(text.replace("$ARCH$", "amd64"), source=path.name)
        for finding in verify(inf, mode="declarative"):
            expected = path.name in JUDGED.get(finding.rule, ())
            template = finding.rule == "inf.1233" and "DriverVer" in finding.message
            reserved = finding.rule == "inf.1284" and inf.version.class_name == "Sample"
            if finding.level == "error" and not (expected or template or reserved):
                alarms.append(str(finding))
    assert alarms == []


def test_every_sample_survives_writing_and_reading() -> None:
    for path in samples():
        inf = Inf.parse(path.read_bytes(), source=path.name)
        again = Inf.from_text(inf.to_text(), source=path.name)
        assert _contents(again) == _contents(inf)
    inf = parse(CLEAN)
    assert _contents(parse(inf.to_text())) == _contents(inf)


def _contents(inf: Inf) -> list[tuple[str, list[tuple[str | None, list[str]]]]]:
    return [
        (section.name, [(entry.key, [field.text for field in entry.values]) for entry in section.entries])
        for section in inf.sections
    ]
