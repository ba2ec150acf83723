"""Faults in services and interfaces."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_DEVICE = device_inf(
    service="AddReg = Parameters",
    sections=r"""[Parameters]
HKR,Parameters,Depth,0x00010001,4

[Install.NT.Interfaces]
AddInterface = {cdc35b6e-0be4-4936-bf5f-5537380a7c1a}""",
)

_WIN32 = device_inf(
    services="AddService = acme, 2, Service\nAddService = acmesvc, , Helper",
    sections=r"""[Helper]
ServiceType = 0x10
StartType = 3
ErrorControl = 1
ServiceBinary = "%13%\acme.exe -k acme"
DelayedAutoStart = 0
AddTrigger = Trigger

[Trigger]
TriggerType = 1
Action = 1
SubType = {cdc35b6e-0be4-4936-bf5f-5537380a7c1a}""",
)

_UNIQUE = device_inf(
    services="AddService = acme, 0x10002, Service",
    sections=r"""[Other.NT]
CopyFiles = Files

[Other.NT.Services]
AddService = acme, 0x10002, Service""",
).replace("%Device% = Install, ROOT\\ACME", "%Device% = Install, ROOT\\ACME\n%Device% = Other, ROOT\\ACME2")

_EXTENSION = device_inf(
    services="AddService = acme, , Service",
    class_name="Extension\nExtensionId = {b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11}",
    class_guid="{e2f84ce7-8efa-411c-aa69-97454ca4cb57}",
    sections="""[Install.NT.Filters]
AddFilter = acme, , Filter

[Filter]
FilterPosition = Lower""",
)

_ADDED = "AddService = acme, 2, Service"
_BINARY = r"ServiceBinary = %13%\acme.sys"
_KERNEL = "ServiceType = 1\nStartType = 3\n"


def _fault(code: int, name: str, old: str, new: str, *, at: str | None = None, base: str = _DEVICE) -> Fault:
    return Fault(code, name, base, ((old, new),), new if at is None else at)


FAULTS = [
    _fault(1017, "of-the-toaster-bus", _ADDED, "AddService = DynamBus, 2, Service"),
    _fault(1019, "without-braces", "{cdc35b6e-0be4-4936-bf5f-5537380a7c1a}", "cdc35b6e-0be4-4936-bf5f-5537380a7c1a"),
    Fault(
        1021,
        "no-room",
        _UNIQUE,
        (("acme, 0x10002, Service\n\n[Service]", f"{'a' * 256}, 0x10002, Service\n\n[Service]"),),
        "AddService = aaa",
    ),
    Fault(
        1022,
        "unique-in-one-section",
        _UNIQUE,
        (("[Other.NT.Services]\nAddService = acme, 0x10002,", "[Other.NT.Services]\nAddService = acme, 2,"),),
        "AddService = acme, 2,",
    ),
    _fault(
        1211, "two-function-drivers", "AddService = acmesvc, , Helper", "AddService = acmesvc, 0x2, Helper", base=_WIN32
    ),
    _fault(1250, "log-of-its-own", _ADDED, "AddService = acme, 2, Service, , Acme"),
    _fault(1251, "disabled", _KERNEL, "ServiceType = 1\nStartType = 4\n", at=_ADDED),
    _fault(
        1252,
        "trigger-of-a-driver",
        "ServiceType = 0x10\nStartType = 3",
        "ServiceType = 1\nStartType = 3",
        at="AddTrigger",
        base=_WIN32,
    ),
    _fault(1252, "boot-flags-of-a-process", "DelayedAutoStart = 0", "BootFlags = 1", base=_WIN32),
    _fault(
        1252,
        "process-started-by-the-loader",
        "ServiceType = 0x10\nStartType = 3",
        "ServiceType = 0x10\nStartType = 1",
        at="StartType = 1",
        base=_WIN32,
    ),
    _fault(1253, "flag-forgotten", _ADDED, "AddService = , , Service"),
    _fault(
        1254,
        "open-quote",
        '"%13%\\acme.exe -k acme"',
        '"""%13%\\acme.exe -k acme"',
        at='ServiceBinary = """',
        base=_WIN32,
    ),
    _fault(1272, "null-service", _ADDED, "AddService = , 2, Service"),
    _fault(
        1303,
        "co-installer",
        "[Parameters]",
        "[Install.NT.CoInstallers]\nAddReg = Added\n\n[Added]\n"
        'HKR,,CoInstallers32,0x00010000,"WdfCoInstaller01011.dll,WdfCoInstaller","acme.dll,Install"\n\n[Parameters]',
        at="AddReg = Added",
    ),
    _fault(
        1303,
        "class-installer",
        "[Parameters]",
        "[ClassInstall32]\nAddReg = Installer\n\n[Installer]\nHKR,,Installer32,,x\n\n[Parameters]",
        at="HKR,,Installer32",
    ),
    _fault(
        1383,
        "function-driver",
        "AddService = acme, , Service",
        "AddService = acme, 0x00000002, Service",
        base=_EXTENSION,
    ),
    _fault(2006, "misspelt", _ADDED, "AddService = acme, 2, Servise"),
    _fault(2084, "misspelt", _BINARY, r"ServiceBinary = %13%\amce.sys"),
    _fault(2084, "of-the-system", _BINARY, r"ServiceBinary = %12%\WUDFRd.sys"),
    _fault(
        2084, "blank-in-the-path", '"%13%\\acme.exe -k acme"', r"%13%\Acme Tools\acme.exe", at=r"%13%\Acme", base=_WIN32
    ),
    _fault(2085, "path-below-windows", _BINARY, r"ServiceBinary = System32\drivers\acme.sys"),
    _fault(2085, "environment-variable", _BINARY, r"ServiceBinary = %%SystemRoot%%\acme.sys"),
]
