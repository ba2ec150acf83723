"""Faults in components, software and COM servers."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_COMPONENT = device_inf(
    services="AddService = , 2",
    class_name="SoftwareComponent",
    class_guid="{5c4c3332-344d-483c-8739-259e934c9cc8}",
    sections=r"""[Install.NT.Software]
AddSoftware = AcmePanel, , Panel

[Panel]
SoftwareType = 2
SoftwareID = pfn://Acme.Panel_8wekyb3d8bbwe

[Install.NT.COM]
AddComServer = AcmeServer, , Server

[Server]
ServerType = 1
ServerBinary = %13%\acme.dll
AddComClass = {bb2b85ab-9473-42e5-8d1a-0f01d3879879}
AddComClass = {f1baf99b-d28a-4ea3-b652-355da082d260}, 0, ComClass

[ComClass]
Description = %Device%
ThreadingModel = both""",
).replace("acme.sys = 1\n", "").replace("[Files]\nacme.sys\n", "[Files]\n").replace(
    "[Service]\nServiceType = 1\nStartType = 3\nErrorControl = 1\nServiceBinary = %13%\\acme.sys\n", ""
)  # fmt: skip

_PARENT = device_inf(
    services="AddService = acme, , Service",
    class_name="Extension\nExtensionId = {b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11}",
    class_guid="{e2f84ce7-8efa-411c-aa69-97454ca4cb57}",
    sections="""[Install.NT.Components]
AddComponent = AcmeFirst, , First
AddComponent = AcmeSecond, , Second

[First]
ComponentIDs = VID0001&PID0001

[Second]
ComponentIDs = VID0001&PID0002, VID0001&PID0003

[Install.NT.Filters]
AddFilter = acme, , Filter

[Filter]
FilterPosition = Upper""",
)

_APP = "SoftwareType = 2\nSoftwareID = pfn://Acme.Panel_8wekyb3d8bbwe"
_INSTALLER = "SoftwareType = 1\nSoftwareBinary = {}\nSoftwareVersion = 1.0.0.0"
_SERVER = "AddComServer = AcmeServer, , Server"


def _software(code: int, name: str, new: str, at: str) -> Fault:
    return Fault(code, name, _COMPONENT, ((_APP, new),), at)


FAULTS = [
    Fault(1086, "component", _PARENT, (("AcmeSecond", "acmefirst"),), "AddComponent = acmefirst"),
    Fault(
        1086, "com-server", _COMPONENT, ((_SERVER, f"{_SERVER}\nAddComServer = acmeserver, , Server"),), "acmeserver"
    ),
    _software(1141, "drive", _INSTALLER.format(r"C:\acme.exe"), "SoftwareBinary"),
    _software(1141, "directory-of-the-system", _INSTALLER.format(r"%11%\acme.exe"), "SoftwareBinary"),
    _software(1141, "environment-variable", _INSTALLER.format(r"%%SystemRoot%%\acme.exe"), "SoftwareBinary"),
    _software(1142, "no-version", "SoftwareType = 1\nSoftwareBinary = acme.exe", "SoftwareType"),
    _software(1142, "no-binary", "SoftwareType = 1\nSoftwareVersion = 1.0.0.0", "SoftwareType"),
    _software(1142, "no-id", "SoftwareType = 2", "SoftwareType"),
    _software(1144, "installer", _INSTALLER.format(r"%13%\acme.exe"), "SoftwareType = 1"),
    Fault(1150, "hardware-id", _PARENT, (("= VID0001&PID0001", r"= SWC\VID0001&PID0001"),), r"SWC\VID"),
    Fault(1150, "comma-in-quotes", _PARENT, (("= VID0001&PID0001", '= "VID0001,PID0001"'),), '"VID0001'),
    Fault(1160, "misspelt", _COMPONENT, (("= both", "= Single"),), "ThreadingModel"),
]
