"""Faults between the install sections of two devices."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_TWO_DEVICES = device_inf(
    install="AddReg = First",
    services="AddService = acme, 2, Service\nAddService = shared, , Shared.First",
    sections=r"""[Other.NT]
CopyFiles = Files
AddReg = Second

[Other.NT.Services]
AddService = acme, 2, Service
AddService = shared, , Shared.Second

[First]
HKR,,Mode,0x00010001,1
HKCR,CLSID\{33a6ee63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InprocServer32,ThreadingModel,,"Both"

[Second]
HKR,,Mode,0x00010001,2
HKCR,CLSID\{33A6EE63-5e2b-4a5c-9d4f-6f6f0f9f1a11}\InprocServer32,ThreadingModel,0,"Both" ; alike

[Shared.First]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\acme.dll
AddReg = Values.First

[Shared.Second]
ServiceType = 0x1
StartType = 0x3
ErrorControl = 0x1 ; the same numbers
ServiceBinary = %13%\ACME.dll
AddReg = Values.Second

[Values.First]
HKR,Parameters,Depth,0x00010001,4

[Values.Second]
HKR,Parameters,Depth,0x00010001,4 ; alike
HKR,Parameters,More,0x00010001,4""",
).replace("%Device% = Install, ROOT\\ACME", "%Device% = Install, ROOT\\ACME\n%Device% = Other, ROOT\\ACME2")


def _fault(code: int, name: str, old: str, new: str) -> Fault:
    return Fault(code, name, _TWO_DEVICES, ((old, new),), new)


FAULTS = [
    _fault(1331, "other-data", '0,"Both" ; alike', '0,"Free"'),
    _fault(1331, "other-type", '0,"Both" ; alike', '0x00020000,"Both"'),
    _fault(1332, "other-data", "0x00010001,4 ; alike", "0x00010001,5"),
    _fault(1332, "other-type", "0x00010001,4 ; alike", "0x00000000,4"),
    _fault(1333, "other-error-control", "ErrorControl = 0x1 ; the same numbers", "ErrorControl = 0"),
    _fault(1333, "other-start", "StartType = 0x3", "StartType = 2"),
    _fault(1333, "other-binary", r"%13%\ACME.dll", r"%13%\acme.sys -k other"),
]
