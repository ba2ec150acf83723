"""Faults in registry data: where it is written, its flags, its types."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_REGISTRY = device_inf(
    install="AddReg = Device",
    service="AddReg = Parameters",
    sections=r"""[Device]
HKR,,Number,0x00010001,0x10
HKR,,Large,0x000B0001,4294967296
HKR,,Bytes,0x00000001,01,0x2,ff
HKR,,List,0x00010000,"one","two"
HKR,,Path,0x00020000,"%%SystemRoot%%\System32\drivers\acme.sys"
HKR,,Own,0x00380001,1,2,3
HKR,Sub,Text,,"x"
HKCR,CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InprocServer32,,,"%13%\acme.dll"

[Install.NT.HW]
AddReg = Hardware

[Hardware]
HKR,,DeviceCharacteristics,0x00010001,0x100
HKR,,DeviceType,0x00010001,0x22
HKR,,Exclusive,0x00010001,1

[Parameters]
HKR,Parameters,Depth,0x00010001,4""",
)

_AUDIO = device_inf(
    install="AddReg = Effects",
    class_name="AudioProcessingObject",
    class_guid="{5989fce8-9cd0-467d-8a6a-5419e31529d4}",
    sections=r"""[Effects]
HKR,AudioEngine\AudioProcessingObjects\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11},FriendlyName,,"Acme"
HKR,Classes\CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InprocServer32,,,"%13%\acme.dll" """,
)

_EXTENSION = device_inf(
    services="AddService = acme, , Service",
    class_name="Extension\nExtensionId = {b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11}",
    class_guid="{e2f84ce7-8efa-411c-aa69-97454ca4cb57}",
    sections="""[Install.NT.Filters]
AddFilter = acme, , Filter

[Filter]
FilterPosition = Upper""",
)

_NUMBER = "HKR,,Number,0x00010001,0x10"
_BYTES = "HKR,,Bytes,0x00000001,01,0x2,ff"
_PATH = r'HKR,,Path,0x00020000,"%%SystemRoot%%\System32\drivers\acme.sys"'
_SERVER = r"HKCR,CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InprocServer32"
_EFFECT = r"HKR,AudioEngine\AudioProcessingObjects\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11},FriendlyName"
_DEPTH = "HKR,Parameters,Depth"
_TYPE = "HKR,,DeviceType,0x00010001,0x22"


def _fault(code: int, name: str, old: str, new: str, *, at: str | None = None, base: str = _REGISTRY) -> Fault:
    return Fault(code, name, base, ((old, new),), new if at is None else at)


def _everywhere(code: int, name: str, old: str, new: str) -> Fault:
    return Fault(code, name, _REGISTRY, ((old, new),), new, "declarative")


def _with(code: int, name: str, directive: str, line: str) -> Fault:
    """A line in a section that another directive of the install section names."""
    edits = (
        ("AddReg = Device\n", f"AddReg = Device\n{directive} = Extra\n"),
        ("[Device]", f"[Extra]\n{line}\n\n[Device]"),
    )
    return Fault(code, name, _REGISTRY, edits, line)


FAULTS = [
    _fault(1222, "other-control-set", _NUMBER, r"HKLM,SYSTEM\ControlSet001\Services\acme,Start,0x00010001,3"),
    _fault(1222, "own-key-in-the-system-hive", _NUMBER, r"HKLM,System\Acme,Number,0x00010001,3"),
    _fault(1224, "letters-swapped", _NUMBER, "HRK,,Number,0x00010001,0x10"),
    _fault(1224, "no-root", _NUMBER, r"Software\Acme,,Number,0x00010001,0x10"),
    _fault(1226, "value-below-hkr", "[Hardware]", '[Device.Security]\n"D:P(A;;GA;;;SY)"\n\n[Hardware]', at=_NUMBER),
    _fault(1257, "windows-directory", _PATH, r'HKR,,Path,,"C:\Windows\System32\drivers\acme.sys"'),
    _fault(1257, "in-a-list-of-strings", '"one","two"', r'"one","d:\WINDOWS"'),
    _fault(1258, "system32", _PATH, r'HKR,,Path,0x00020000,"%11%\drivers\acme.sys"'),
    _fault(1258, "drivers", _PATH, "HKR,,Path,,%12%"),
    _fault(1258, "windows", '"one","two"', r'"one","%10%\two"'),
    _with(1262, "two-bytes", "BitReg", "HKR,,Bytes,1,0x100,0"),
    _fault(1263, "multi-sz", "0x00380001", "0x00070001", at="HKR,,Own"),
    _fault(1264, "no-binary-bit", "HKR,,Own,0x00380001,1,2,3", 'HKR,,Own,0x00380000,"text"'),
    _fault(1264, "qword", "0x000B0001", "0x000B0000", at="HKR,,Large"),
    _fault(1265, "string", _NUMBER, 'HKR,,Number,0x00000008,"x"'),
    _fault(1265, "dword", _NUMBER, "HKR,,Number,0x00010009,1"),
    _with(1266, "no-string", "DelReg", "HKR,,List,0x00018002"),
    _with(1266, "empty-string", "DelReg", 'HKR,,List,0x00018002,""'),
    _fault(1267, "three-digits", _BYTES, "HKR,,Bytes,0x00000001,01,002"),
    _fault(1267, "no-hexadecimal-digit", _BYTES, "HKR,,Bytes,1,01,0g"),
    _fault(1267, "one-field", _BYTES, "HKR,,Bytes,1,01 02 03"),
    _fault(1267, "dword-of-bytes", _NUMBER, "HKR,,Number,0x00010001,10,00,00,100"),
    _fault(1267, "custom-type", "0x00380001,1,2,3", "0x00380001,1,256", at="HKR,,Own"),
    _fault(1268, "hexadecimal-without-0x", _NUMBER, "HKR,,Number,0x00010001,1F"),
    _fault(1268, "33-bits", _NUMBER, "HKR,,Number,0x00010001,0x100000000"),
    _fault(1268, "65-bits", "4294967296", "18446744073709551616", at="HKR,,Large"),
    _fault(1268, "flags-by-name", _NUMBER, "HKR,,Number,REG_DWORD,0x10"),
    _everywhere(1304, "below-hklm", _NUMBER, r"HKLM,Software\Acme,Number,0x00010001,0x10"),
    _fault(1305, "append", 'HKR,,List,0x00010000,"one"', 'HKR,,List,0x00010008,"one"'),
    _fault(1320, "key", _NUMBER, r"HKLM,Software\Acme"),
    _fault(1321, "value", _NUMBER, r"HKLM,Software\Acme,Number,0x00010001,0x10"),
    _fault(1321, "current-user", _NUMBER, r"HKCU,Software\Acme,Number,0x00010001,0x10"),
    _fault(1323, "service-key", _DEPTH, "HKR,,Depth"),
    _fault(1323, "key-beside-parameters", _DEPTH, "HKR,Acme,Depth"),
    _fault(1325, "process-of-its-own", _SERVER, _SERVER.replace("InprocServer32", "LocalServer32")),
    _fault(1325, "handler", _SERVER, _SERVER.replace("InprocServer32", "InprocHandler32")),
    _fault(1325, "below-hkr", _SERVER, r"HKR,Classes\CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\LocalServer32"),
    _fault(1329, "value", _TYPE, 'HKR,,UpperFilters,0x00010000,"acme"'),
    _with(1329, "property", "AddProperty", '{a45c254e-df1c-4efd-8020-67d146a850e0},20,0x2012,,"acme"'),
    Fault(
        1384,
        "registry-value",
        _EXTENSION,
        (("[Filter]", '[Install.NT.HW]\nAddReg = Upper\n\n[Upper]\nHKR,,UpperFilters,0x00010008,"acme"\n\n[Filter]'),),
        "HKR,,UpperFilters",
    ),
    _fault(1431, "dword-as-string", _TYPE, "HKR,,DeviceType,,0x22"),
    _fault(1431, "dword-as-bytes", _TYPE, "HKR,,DeviceType,1,22,00,00,00"),
    _fault(1431, "list-as-string", _TYPE, 'HKR,,LowerFilters,,"acme"'),
    _fault(2660, "effect-below-hkcr", _EFFECT, _EFFECT.replace("HKR,", "HKCR,"), base=_AUDIO),
    Fault(
        2661,
        "class-of-another-kind",
        _AUDIO,
        (
            ("Class = AudioProcessingObject", "Class = MEDIA"),
            ("{5989fce8-9cd0-467d-8a6a-5419e31529d4}", "{4d36e96c-e325-11ce-bfc1-08002be10318}"),
        ),
        _EFFECT,
    ),
]  # fmt: skip
