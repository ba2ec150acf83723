"""What Windows has given up, planted into good INFs."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_DEVICE = device_inf(sections="[Install.NT.HW]\nAddReg = Settings\n[Settings]\nHKR,,Name,,x")
_COPY = "CopyFiles = Files"


def _in_install(code: int, name: str, lines: str, at: str) -> Fault:
    return Fault(code, name, _DEVICE, ((_COPY, f"{_COPY}\n{lines}"),), at)


FAULTS = [
    Fault(1208, "LayoutFile", _DEVICE, (("Class = System", "LayoutFile = layout.inf\nClass = System"),), "LayoutFile"),
    _in_install(1300, "LogConfig", "LogConfig = Resources\n[Resources]\nConfigPriority = NORMAL", "LogConfig"),
    _in_install(1300, "FactDef", "[Install.NT.FactDef]\nConfigPriority = NORMAL", "[Install.NT.FactDef]"),
    _in_install(1301, "UpdateInis", "UpdateInis = Lines\n[Lines]\nsystem.ini,386enh,,x", "UpdateInis"),
    _in_install(1301, "ProfileItems", "ProfileItems = Link\n[Link]\nName = Acme", "ProfileItems"),
    _in_install(1302, "RegisterDlls", "RegisterDlls = Dlls\n[Dlls]\n11,,acme.dll,1", "11,,acme.dll"),
    Fault(
        1307,
        "BitReg",
        _DEVICE,
        (("AddReg = Settings", "AddReg = Settings\nBitReg = Bits\n[Bits]\nHKR,,Flags,0,0x80,1"),),
        "BitReg",
    ),
    Fault(
        1308,
        "DelReg",
        _DEVICE,
        (("AddReg = Settings", "AddReg = Settings\nDelReg = Old\n[Old]\nHKR,,Flags"),),
        "DelReg",
    ),
    _in_install(1308, "DelProperty", "DelProperty = Old\n[Old]\nDeviceModel", "DelProperty"),
    _in_install(1309, "DelFiles", "DelFiles = Old\n[Old]\nold.sys", "old.sys"),
    _in_install(1309, "RenFiles", "RenFiles = Old\n[Old]\nold.sys,new.sys", "old.sys"),
    Fault(
        1309,
        "DelService",
        _DEVICE,
        (("AddService = acme, 2, Service", "AddService = acme, 2, Service\nDelService = old"),),
        "DelService",
    ),
    _in_install(2004, "Reboot", "Reboot", "Reboot"),
    _in_install(2009, "LogConfig", "LogConfig = Resources\n[Resources]\nConfigPriority = NORMAL", "LogConfig"),
]
