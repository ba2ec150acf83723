"""Faults in the directives of user-mode drivers."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_USER_MODE = device_inf(
    install="Include = wudfrd.inf\nNeeds = WUDFRD.NT",
    services="Include = wudfrd.inf\nNeeds = WUDFRD.NT.Services\nAddService = acme, , Service",
    sections=r"""[Install.NT.HW]
Include = wudfrd.inf
Needs = WUDFRD.NT.HW

[Install.NT.Wdf]
UmdfService = AcmeUm, Driver
UmdfServiceOrder = AcmeUm

[Driver]
UmdfLibraryVersion = 2.15.0
ServiceBinary = %13%\acme.dll""",
)

FAULTS = [
    Fault(
        1400,
        "order-of-another",
        _USER_MODE,
        (("UmdfServiceOrder = AcmeUm", "UmdfServiceOrder = AcmeKm"),),
        "UmdfService = AcmeUm",
    ),
    Fault(1400, "no-order", _USER_MODE, (("UmdfServiceOrder = AcmeUm\n", ""),), "UmdfService = AcmeUm"),
    Fault(
        1401,
        "com-class",
        _USER_MODE,
        (("2.15.0\n", "2.15.0\nDriverCLSID = {cdc35b6e-0be4-4936-bf5f-5537380a7c1a}\n"),),
        "DriverCLSID",
    ),
    Fault(1402, "version-1", _USER_MODE, (("2.15.0", "1.11.0"),), "UmdfLibraryVersion = 1.11.0"),
    Fault(1402, "two-numbers", _USER_MODE, (("2.15.0", "1.9"),), "UmdfLibraryVersion = 1.9"),
]
