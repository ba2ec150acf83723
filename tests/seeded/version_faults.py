"""Faults in [Version], in strings and in the file as a whole."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_DEVICE = device_inf()
_GUID = "{4d36e97d-e325-11ce-bfc1-08002be10318}"
_EXTENSION_ID = "ExtensionId = {b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11}"
_EXTENSION = device_inf(
    class_name=f"Extension\n{_EXTENSION_ID}",
    class_guid="{e2f84ce7-8efa-411c-aa69-97454ca4cb57}",
    services="AddService = acme, 0, Service",
)
_GERMAN = device_inf(sections='[Strings.0407]\nMaker = "Acme"\nDevice = "Gerät"\nDisk = "Diskette"')
_CLASS = device_inf(
    class_name="AcmeDevices",
    class_guid="{0c4a9a4e-7cc2-4f5f-a2b6-0f5a6d7c1a11}",
)
_STAMP = "DriverVer = 11/23/2024,1.0.0.0"
_PROVIDER = "Provider = %Maker%"


def _edit(code: int, name: str, old: str, new: str, at: str, base: str = _DEVICE) -> Fault:
    return Fault(code, name, base, ((old, new),), at)


FAULTS = [
    _edit(1010, "no braces", f"ClassGuid = {_GUID}", f"ClassGuid = {_GUID[1:-1]}", "ClassGuid"),
    _edit(1010, "cut off", f"ClassGuid = {_GUID}", "ClassGuid = {4d36e97d}", "ClassGuid"),
    _edit(1204, "Microsoft", 'Maker = "Acme"', 'Maker = "Microsoft Corp."', _PROVIDER),
    _edit(1209, "repeated", "[Files]\n", "[Install.NT]\n[Files]\n", "[Install.NT]\n[Files]"),
    Fault(1210, "another provider", _DEVICE, (), _PROVIDER, provider="Contoso"),
    _edit(1213, "catalog", "acme.dll = 1", "acme.cat = 1\nacme.dll = 1", "acme.cat = 1"),
    _edit(1214, "with a path", "CatalogFile = acme.cat", "CatalogFile = cat\\acme.cat", "CatalogFile"),
    _edit(1214, "another suffix", "CatalogFile = acme.cat", "CatalogFile = acme.cab", "CatalogFile"),
    _edit(1217, "three numbers", "1.0.0.0", "1.0.0", "DriverVer"),
    _edit(1217, "all zero", "1.0.0.0", "0.0.0.0", "DriverVer"),
    _edit(1217, "too large", "1.0.0.0", "1.0.0.65536", "DriverVer"),
    _edit(1217, "none", ",1.0.0.0", "", "DriverVer"),
    _edit(1218, "day first", "11/23/2024", "23/11/2024", "DriverVer"),
    _edit(1218, "year first", "11/23/2024", "2024-11-23", "DriverVer"),
    _edit(1233, "no catalog", "CatalogFile = acme.cat\n", "", "[Version]"),
    _edit(1233, "empty stamp", _STAMP, "DriverVer =", "DriverVer"),
    _edit(1233, "no stamp", f"{_STAMP}\n", "", "[Version]"),
    _edit(1234, "no provider", f"{_PROVIDER}\n", "", "[Version]"),
    _edit(1234, "no class", "Class = System\n", "", "[Version]"),
    _edit(1234, "empty GUID", f"ClassGuid = {_GUID}", "ClassGuid =", "[Version]"),
    _edit(1235, "in a key", "%Device% =", "%Devise% =", "%Devise%"),
    _edit(1235, "in a value", "1 = %Disk%", "1 = %SystemRoot%", "%SystemRoot%"),
    _edit(1274, "in a section", "[Acme.NTamd64.10.0...26100]", "[Acme.NT$ARCH$.10.0...26100]", "[Acme.NT$ARCH$"),
    _edit(1280, "GUID of another class", "Class = System", "Class = Net", "Class = Net"),
    _edit(1281, "GUID of no class", _GUID, "{0c4a9a4e-7cc2-4f5f-a2b6-0f5a6d7c1a11}", "ClassGuid"),
    _edit(1284, "class of samples", "Class = System", "Class = Sample", "Class = Sample"),
    _edit(1285, "class of Windows", "[Files]\n", "[ClassInstall32]\n[Files]\n", "[ClassInstall32]"),
    _edit(1286, "too long", "Class = AcmeDevices", f"Class = {'Long' * 8}", "Class = Long", _CLASS),
    _edit(1294, "string", 'Disk = "Acme disk"', 'Disk = "Acme disk"\nDISK = "Other"', "DISK"),
    _edit(1294, "disk", "1 = %Disk%", "1 = %Disk%\n1 = %Disk%,,,x64", "x64"),
    _edit(1294, "file", "acme.dll = 1", "acme.dll = 1\nAcme.sys = 1,x64", "Acme.sys"),
    _edit(1295, "one less", 'Device = "Gerät"\n', "", "[Strings.0407]", _GERMAN),
    _edit(1295, "one more", 'Device = "Gerät"\n', 'Device = "Gerät"\nMore = "Mehr"\n', "[Strings.0407]", _GERMAN),
    _edit(1324, "switched off", "PnpLockdown = 1", "PnpLockdown = 0", "PnpLockdown"),
    _edit(1324, "absent", "PnpLockdown = 1\n", "", "[Version]"),
    _edit(1380, "no GUID", "{b6c9a8f5-", "{", "ExtensionId", _EXTENSION),
    _edit(1381, "absent", "ExtensionId", "ExtensionID2", "[Version]", _EXTENSION),
]
