"""Faults in the fields of directives, and directives where they cannot be."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_FILTER = "AddFilter = acme, , Filter"
_COMPONENT = "AddComponent = acmepart, , Component"
_INTERFACE = "AddInterface = {cdc35b6e-0be4-4936-bf5f-5537380a7c1a}, , , 0"
_DEVICE = device_inf(
    install="AddReg = Settings\nInclude = usb.inf",
    services="AddService = acme, 2, Service\nAddService = helper, 0, Helper",
    sections=rf"""[Settings]
HKR,,Name,,"x"

[Helper]
ServiceType = 0x10
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\acme.exe
Security = "D:P(A;;GA;;;SY)"
AddTrigger = Trigger
FailureActions = Failures
DelayedAutoStart = 1

[Trigger]
TriggerType = 1
Action = 1
SubType = {{cdc35b6e-0be4-4936-bf5f-5537380a7c1a}}

[Failures]
Action = 1, 1000
NonCrashFailures = 1

[Install.NT.Filters]
{_FILTER}

[Filter]
FilterPosition = Upper

[Install.NT.Components]
{_COMPONENT}

[Component]
ComponentIDs = VID0001

[Install.NT.Interfaces]
{_INTERFACE}

[Install.NT.WDF]
KmdfService = acme, Framework

[Framework]
KmdfLibraryVersion = 1.15""",
)
_FUNCTION = "AddService = acme, 2, Service"
_REG = "AddReg = Settings"


def _edit(code: int, name: str, old: str, new: str, at: str | None = None) -> Fault:
    return Fault(code, name, _DEVICE, ((old, new),), new if at is None else at)


FAULTS = [
    _edit(1005, "AddReg", _REG, "AddReg =", "AddReg =\n"),
    _edit(1005, "AddFilter", _FILTER, "AddFilter = acme,0,"),
    _edit(1005, "FailureActions", "FailureActions = Failures", "FailureActions =", "FailureActions =\n"),
    _edit(1006, "Include", "Include = usb.inf", "Include =", "Include =\n"),
    _edit(1006, "StartType", "ServiceType = 0x10\nStartType = 3", "ServiceType = 0x10\nStartType =", "StartType =\n"),
    _edit(
        1013,
        "ErrorControl",
        "ServiceType = 0x10\nStartType = 3\nErrorControl = 1\n",
        "ServiceType = 0x10\nStartType = 3\n",
        "[Helper]",
    ),
    _edit(1013, "ServiceBinary", "ServiceBinary = %13%\\acme.exe\n", "", "[Helper]"),
    _edit(1014, "ServiceType", "ServiceType = 0x10", "ServiceType = 3"),
    _edit(1014, "StartType", "ServiceType = 0x10\nStartType = 3", "ServiceType = 0x10\nStartType = demand", "demand"),
    _edit(1080, "AddComponent", _COMPONENT, "AddComponent = , , Component"),
    _edit(1080, "AddInterface", _INTERFACE, "AddInterface = , acme"),
    _edit(1081, "position", "FilterPosition = Upper", "FilterPosition = Middle"),
    _edit(1081, "action", "TriggerType = 1\nAction = 1", "TriggerType = 1\nAction = 3", "Action = 3"),
    _edit(1081, "flags", _FUNCTION, "AddService = acme, associated, Service"),
    _edit(1081, "delay", "Action = 1, 1000", "Action = 1, soon"),
    _edit(1082, "security", '"D:P(A;;GA;;;SY)"', "everyone", "Security"),
    _edit(1082, "brackets", '"D:P(A;;GA;;;SY)"', '"D:P(A;;GA;;;SY"', "Security"),
    _edit(1083, "AddService", _FUNCTION, "AddService = acme, 0x80000002, Service"),
    _edit(1083, "AddFilter", _FILTER, "AddFilter = acme, 1, Filter"),
    _edit(1083, "AddInterface", _INTERFACE, _INTERFACE[:-1] + "2"),
    _edit(1084, "KMDF", "KmdfLibraryVersion = 1.15", "", "KmdfService"),
    _edit(1084, "UMDF", "KmdfService = acme", "UmdfService = acme"),
    _edit(1085, "AddFilter", _FILTER, "AddFilter = acme", "AddFilter"),
    _edit(1085, "KmdfService", "KmdfService = acme, Framework", "KmdfService = acme", "KmdfService"),
    _edit(1087, "filter", "FilterPosition = Upper", "FilterPosition = Upper\nFilterLevel = Low", "FilterLevel"),
    _edit(1088, "StartType", "DelayedAutoStart = 1", "StartType = 2"),
    _edit(1088, "Provider", "Provider = %Maker%", "Provider = %Maker%\nProvider = Acme2", "Acme2"),
    _edit(1201, "AddFilter", _FILTER, f"{_FILTER}, More"),
    _edit(1201, "comma in a text", "Provider = %Maker%", "Provider = %Maker%, Inc.", "Inc."),
    _edit(1260, "DelayedAutoStart", "DelayedAutoStart = 1", "DelayedAutoStart = yes"),
    _edit(1289, "component", "ComponentIDs = VID0001", "", "[Component]"),
    _edit(1289, "trigger", "TriggerType = 1\n", "", "[Trigger]"),
    _edit(1289, "filter", "FilterPosition = Upper", "", "[Filter]"),
    _edit(1290, "AddService", _REG, f"{_REG}\nAddService = other, 0, Service", "other"),
    _edit(
        1290, "AddInterface", _FILTER, f"{_FILTER}\nAddInterface = {{cdc35b6e-0be4-4936-bf5f-5537380a7c1a}}, x", "}, x"
    ),
]
