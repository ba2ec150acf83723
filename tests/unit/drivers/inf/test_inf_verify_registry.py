"""Registry entries that look like what a rule is about, and are not."""

import pytest

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import verify
from seeded.device_inf import device_inf


def codes(text: str, mode: str = "windows") -> set[int | str]:
    found = verify(Inf.from_text(text, source="acme.inf"), mode="declarative" if mode == "declarative" else "windows")
    return {finding.code for finding in found}


def with_lines(*lines: str, directive: str = "AddReg") -> str:
    return device_inf(install=f"{directive} = Lines", sections="\n".join(["[Lines]", *lines]))


ADDED = [
    (1222, r"HKLM,SYSTEM\CurrentControlSet\Services\acme,Start,0x00010001,3"),
    (1222, r"HKLM,System\CURRENTCONTROLSET,Start,0x00010001,3"),
    (1222, r"HKLM,Software\System\ControlSet001,Start,0x00010001,3"),
    (1222, r"HKR,SYSTEM\ControlSet001,Start,0x00010001,3"),
    (1222, r"HKLM,Systems\ControlSet001,Start,0x00010001,3"),
    (1224, r"hkr,,Start,0x00010001,3"),
    (1224, r"HKEY_LOCAL_MACHINE,Software\Acme,Start,0x00010001,3"),
    (1224, r"%Root%,Software\Acme,Start,0x00010001,3"),
    (1257, r"HKR,,Path,,D:\WindowsApps"),
    (1257, r"HKR,,Path,,C:\Acme\Windows"),
    (1257, r"HKR,,Path,0x00020000,%%SystemRoot%%\System32"),
    (1258, r"HKR,,Path,,%13%\acme.dll"),
    (1258, r"HKR,,Path,,%16425%\acme.dll"),
    (1258, r"HKR,,Path,0x00020000,%%SystemRoot%%\System32\acme.dll"),
    (1258, r"HKCR,CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InprocServer32,,,%11%\acme.dll"),
    (1263, "HKR,,Own,0x00080001,1,2"),
    (1264, "HKR,,Own,0x00080001,1,2"),
    (1264, "HKR,,Text,0x00020002,x"),
    (1264, "HKR,,Text,0x00004000,x"),
    (1265, "HKR,,List,0x00010008,x"),
    (1265, "HKR,,List,0x0001000a,x"),
    (1267, "HKR,,Bytes,1,1,2,ff,0xFF"),
    (1267, "HKR,,Bytes,1"),
    (1267, "HKR,,Bytes,1,1,2,"),
    (1267, "HKR,,Bytes,0x5,gone"),
    (1267, "HKR,,Number,0x00010001,255,"),
    (1267, "HKR,,Nothing,0x00020001,text"),
    (1267, "HKR,,Text,0x00010000,one,two"),
    (1268, "HKR,,Number,0x00010001,4294967295"),
    (1268, "HKR,,Number,65537,0XFFFFFFFF"),
    (1268, "HKR,,Number,0x00010001,-1"),
    (1268, "HKR,,Number,0x00010001"),
    (1268, "HKR,,Number,0x00010001,"),
    (1268, "HKR,,Number,0x00010001,1,0,0,ff"),
    (1268, "HKR,,Number,%REG_DWORD%,%One%"),
    (1268, "HKR,,Number,0x00010005,gone"),
    (1268, "HKR,,Large,0x000B0001,0xFFFFFFFFFFFFFFFF"),
    (1268, "HKR,,Large,0x000B0001,0x00,0x00,0x00,0x00,0x00,0x00,0x00,0x00"),
    (1325, r"HKCR,CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InProcServer32,,,%13%\acme.dll"),
    (1325, r"HKCR,CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\ProgID,,,Acme"),
    (1325, r"HKR,Acme\LocalServer32,,,x"),
    (1329, 'HKR,Sub,UpperFilters,0x00010000,"acme"'),
    (1329, 'HKR,,UpperFilterLevels,0x00010000,"one"'),
    (1431, 'HKR,,DeviceType,,"of our own, in the software key"'),
    (2660, r"HKCR,MediaFoundation\Transforms\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11},,,x"),
    (2661, r"HKR,AudioEngine,Level,0x00010001,1"),
]


@pytest.mark.parametrize(("code", "line"), ADDED)
def test_an_added_line_gives_no_alarm(code: int, line: str) -> None:
    assert code not in codes(with_lines(line))
    assert code not in codes(with_lines(line), "declarative")


HARDWARE = [
    "HKR,,DeviceType,0x00010001,0x22",
    "HKR,,DeviceType,0x00010003,0x22",
    "HKR,,Exclusive,0x4",
    'HKR,,LowerFilters,0x00010008,"acme"',
    "HKR,Sub,Exclusive,,yes",
    "HKR,,Exclusive,%REG_DWORD%,1",
    "HKR,,DeviceTypeName,,port",
]


@pytest.mark.parametrize("line", HARDWARE)
def test_a_well_known_value_of_the_right_type_gives_no_alarm(line: str) -> None:
    assert 1431 not in codes(device_inf(sections=f"[Install.NT.HW]\nAddReg = Lines\n\n[Lines]\n{line}"))


@pytest.mark.parametrize(
    ("code", "directive", "line"),
    [
        (1262, "BitReg", "HKR,,Bytes,1,0xFF,300"),
        (1262, "BitReg", "HKR,,Bytes,1,,0"),
        (1266, "DelReg", 'HKR,,List,0x00018002,"one"'),
        (1266, "DelReg", "HKR,,List"),
        (1266, "DelReg", "HKR,List,,0x4000"),
        (1329, "AddProperty", '{a45c254e-df1c-4efd-8020-67d146a850e0},2,18,,"Acme"'),
        (1329, "AddProperty", 'DeviceModel,,,,"Acme"'),
    ],
)
def test_a_line_of_another_directive_gives_no_alarm(code: int, directive: str, line: str) -> None:
    assert code not in codes(with_lines(line, directive=directive))


def test_security_is_for_values_in_subkeys() -> None:
    security = '\n[Lines.Security]\n"D:P(A;;GA;;;SY)"'
    assert 1226 not in codes(with_lines(r"HKR,Sub,Value,,x", security))
    assert 1226 in codes(with_lines(r"HKR,,Value,,x", security))
    assert 1226 not in codes(with_lines(r"HKR,,Value,,x", security.replace("Lines", "Other")))


def test_lines_that_no_install_section_leads_to_are_not_judged() -> None:
    lines = "[Lines]\nHRK,,Number,0x00010001,1F\nHKLM,SYSTEM\\ControlSet001,x,8,y"
    assert not {1222, 1224, 1265, 1268} & codes(device_inf(sections=lines))


def test_isolation_rules_pass_over_sections_for_older_systems() -> None:
    text = with_lines(
        'HKR,,UpperFilters,0x00010000,"acme"',
        r"HKCR,AudioEngine\AudioProcessingObjects\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11},FriendlyName,,x",
        r"HKR,AudioEngine\AudioProcessingObjects\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11},FriendlyName,,x",
    )
    assert codes(text) >= {1329, 2660, 2661}
    older = text.replace("NTamd64.10.0...26100\n", "NTamd64.10.0...16299, NTamd64.10.0...17763\n", 1)
    older = older.replace("[Acme.NTamd64.10.0...26100]", "[Acme.NTamd64.10.0...17763]\n\n[Acme.NTamd64.10.0...16299]")
    assert not {1329, 2660, 2661} & codes(older)


@pytest.mark.parametrize("name", ["AudioProcessingObject", "Extension"])
def test_effects_are_registered_by_their_class_and_by_extensions(name: str) -> None:
    line = r"HKR,AudioEngine\AudioProcessingObjects\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11},FriendlyName,,x"
    assert 2661 not in codes(with_lines(line).replace("Class = System", f"Class = {name}"))
