"""Faults in network and display drivers."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_FILTER = device_inf(
    install='AddReg = Filter\nCharacteristics = 0x40000\nNetCfgInstanceId = "{5cbf81bd-5055-47cd-9055-a76b2b4e3697}"',
    services="AddService = acme, , Service",
    class_name="NetService",
    class_guid="{4d36e974-e325-11ce-bfc1-08002be10318}",
    sections=r"""[Filter]
HKR,Ndi,Service,,"acme"
HKR,Ndi,CoServices,0x00010000,"acme"
HKR,Ndi,FilterType,0x00010001,2
HKR,Ndi,FilterClass,,compression
HKR,Ndi\Interfaces,UpperRange,,"noupper"
HKR,Ndi\Interfaces,LowerRange,,"nolower"
HKR,Ndi\Interfaces,FilterMediaTypes,,"ethernet" """,
)

_NET_DRIVER = r"""[Version]
Signature = "$WINDOWS NT$"
Class = NetDriver
ClassGuid = {0c4a9a4e-7cc2-4f5f-a2b6-0f5a6d7c1a11}
Provider = %Maker%
CatalogFile = acme.cat
DriverVer = 11/23/2024,1.0.0.0
PnpLockdown = 1

[SourceDisksNames]
1 = %Disk%

[SourceDisksFiles]
acme.sys = 1

[DestinationDirs]
DefaultDestDir = 13

[DefaultInstall.NTamd64]
CopyFiles = Files

[Files]
acme.sys

[DefaultInstall.NTamd64.NetDrivers]
AddNetFilter = acme_filter, Component

[Component]
FilterClass = compression

[Strings]
Maker = "Acme"
Disk = "Acme disk"
"""

_DISPLAY = device_inf(class_name="Display", class_guid="{4d36e968-e325-11ce-bfc1-08002be10318}")

_ADDED = "AddNetFilter = acme_filter, Component"


def _fault(code: int, name: str, old: str, new: str, at: str) -> Fault:
    return Fault(code, name, _NET_DRIVER, ((old, new),), at)


FAULTS = [
    _fault(2400, "no-section", _ADDED, "AddNetFilter = acme_filter", "AddNetFilter"),
    _fault(2403, "two-classes", "= compression", "= compression, custom", "FilterClass"),
    Fault(
        2405,
        "class-for-devices",
        _DISPLAY,
        (("[Strings]", "[DefaultInstall.NetDrivers]\nAddNetFilter = acme, Filter\n\n[Strings]"),),
        "[DefaultInstall.NetDrivers]",
    ),
    Fault(
        2411,
        "no-braces",
        _FILTER,
        (('"{5cbf81bd-5055-47cd-9055-a76b2b4e3697}"', "5cbf81bd-5055-47cd-9055-a76b2b4e3697"),),
        "NetCfgInstanceId",
    ),
    _fault(2412, "capital-letter", "acme_filter", "AcmeFilter", "AcmeFilter"),
    _fault(2414, "capital-letter", "= compression", "= Compression", "FilterClass"),
    _fault(2415, "prefix-of-windows", "acme_filter", "ms_filter", "ms_filter"),
    _fault(2415, "prefix-of-hyper-v", "acme_filter", "vms_filter", "vms_filter"),
    Fault(2418, "place-in-the-stack", _FILTER, (("HKR,Ndi,FilterClass,,compression\n", ""),), "HKR,Ndi,FilterType"),
    _fault(2420, "nothing-added", _ADDED, "", "[Version]"),
    Fault(2602, "started-by-the-system", _DISPLAY, (("StartType = 3", "StartType = 1"),), "StartType = 1"),
]
