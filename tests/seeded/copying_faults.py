"""Faults in what is copied, from where and to where."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_DEVICE = device_inf()
_TWO_DEVICES = (
    device_inf(
        sections=r"""[Second.NT]
CopyFiles = Tools.Second

[Second.NT.Services]
AddService = , 2

[Tools.Second]
second.exe"""
    )
    .replace(r"%Device% = Install, ROOT\ACME", "%Device% = Install, ROOT\\ACME\n%Device% = Second, ROOT\\ACME2")
    .replace("acme.exe = 1", "acme.exe = 1\nsecond.exe = 1")
)
_COPY = "CopyFiles = Files"
_LIST = "[Files]\nacme.sys"
_DESTINATION = "DefaultDestDir = 13"


def _edit(code: int, name: str, old: str, new: str, at: str, base: str = _DEVICE) -> Fault:
    return Fault(code, name, base, ((old, new),), at)


def _goes_to(code: int, name: str, dirid: str) -> Fault:
    return _edit(code, name, _DESTINATION, f"DefaultDestDir = {dirid}", "DefaultDestDir")


FAULTS = [
    _edit(1008, "no disk", "acme.dll = 1", "acme.dll =", "acme.dll ="),
    _edit(1008, "a name", "acme.dll = 1", "acme.dll = disk1", "disk1"),
    _edit(1008, "a line alone", "acme.dll = 1", "acme.ini\nacme.dll = 1", "acme.ini"),
    _edit(1015, "outside the package", "acme.dll = 1", "acme.dll = 1,..\\x64", "x64"),
    _edit(1015, "a drive", "1 = %Disk%", "1 = %Disk%,,,C:\\acme", "C:"),
    _edit(1015, "slashes", "%13%\\acme.sys", "%13%\\drivers/acme.sys", "drivers/acme.sys"),
    Fault(1016, "not in the package", _DEVICE, (), "acme.dll = 1", files=("acme.inf", "acme.sys", "acme.exe")),
    Fault(
        1016,
        "in another folder",
        _DEVICE,
        (("acme.dll = 1", "acme.dll = 1, x64"),),
        "x64",
        files=("acme.inf", "acme.sys", "acme.exe", "acme.dll"),
    ),
    _edit(1078, "a file for AddReg", _COPY, f"{_COPY}\nAddReg = @acme.sys", "@acme.sys"),
    _edit(1100, "renamed", _LIST, "[Files]\nother.sys,acme.sys", "other.sys"),
    _edit(1101, "security", "[Files]\n", '[Files.security]\n"D:P(A;;GA;;;SY)"\n[Files]\n', "[Files.security]"),
    _edit(1102, "DelFiles", _COPY, f"{_COPY}\nDelFiles = Old\n[Old]\nold.sys", "DelFiles"),
    _edit(1102, "RenFiles", _COPY, f"{_COPY}\nRenFiles = Old\n[Old]\nold.sys,new.sys", "RenFiles"),
    _edit(1103, "replace only", _LIST, "[Files]\nacme.sys,,,0x400", "0x400"),
    _edit(1103, "do not overwrite", _LIST, "[Files]\nacme.sys,,,16", ",16"),
    _edit(1110, "a DLL", _COPY, f"{_COPY}\nCopyINF = acme.dll", "CopyINF"),
    Fault(
        1199,
        "older systems",
        _DEVICE,
        (("NTamd64.10.0...26100\n\n[Acme.NTamd64.10.0...26100]", "NTamd64.10.0\n\n[Acme.NTamd64.10.0]"),),
        "acme.sys\nacme.dll\nacme.exe",
    ),
    _edit(1229, "no name", _LIST, "[Files]\n,other.sys\nacme.sys", ",other.sys"),
    _edit(1229, "one to rename", _COPY, f"{_COPY}\nRenFiles = Old\n[Old]\nold.sys", "old.sys"),
    _edit(1229, "an at sign", _COPY, f"{_COPY}, @", "@"),
    _edit(1230, "not listed", _LIST, "[Files]\nnew.dll\nacme.sys", "new.dll"),
    _edit(1230, "of another architecture", "[SourceDisksFiles]", "[SourceDisksFiles.x86]", "acme.sys\nacme.dll\nacme"),
    _edit(1231, "compressed", "acme.dll = 1", "more.dl_ = 1\nacme.dll = 1", "more.dl_"),
    _edit(1241, "of a program", _DESTINATION, "DefaultDestDir = 40000", "DefaultDestDir"),
    _goes_to(1241, "above all", "70000"),
    _goes_to(1242, "no folder of the shell", "16600"),
    _goes_to(1243, "not a number", "system32"),
    _goes_to(1243, "a path", "%11%"),
    _goes_to(1243, "of Windows 95", "2"),
    _edit(1273, "another disk", "acme.dll = 1", "acme.dll = 2", "acme.dll = 2"),
    _edit(1275, "no default", _DESTINATION, "Other = 13", "acme.sys\nacme.dll\nacme"),
    Fault(
        1306,
        "root of the disk",
        _DEVICE,
        ((_DESTINATION, "DefaultDestDir = 24"),),
        "acme.dll\nacme.exe\n\n",
        "universal",
    ),
    _edit(1322, "drivers", _DESTINATION, "DefaultDestDir = 12", "acme.sys\nacme.dll\nacme"),
    Fault(
        1330,
        "two sources",
        _TWO_DEVICES,
        (
            (_DESTINATION, "DefaultDestDir = 12"),
            ("[Tools.Second]\nsecond.exe", "[Tools.Second]\nacme.exe,second.exe"),
        ),
        "acme.exe,second.exe",
    ),
    _goes_to(1340, "help", "18"),
    _edit(1341, "root of the disk", "ServiceBinary = %13%", "ServiceBinary = %24%", "ServiceBinary"),
]
