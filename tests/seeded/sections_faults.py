"""Faults in what refers to which section, here and in INFs of Windows."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_DEVICE = device_inf(install="AddReg = Settings", sections='[Settings]\nHKR,,Name,,"x"')
_LEANING = device_inf(
    install="Needs = Base",
    sections="""[Install.NT.HW]
Include = pci.inf
Needs = PciD3ColdSupported

[Base]
AddReg = Settings
CopyINF = part.inf

[Base.HW]
AddReg = Settings

[Settings]
HKR,,Name,,"x" """,
)
_CHAIN = device_inf(
    services="AddService = acme, 2, Service\nNeeds = Two.Services",
    sections="""[Install.NT.HW]
Needs = One.HW

[One.HW]
Needs = Two.HW

[Two.HW]
AddReg = Settings

[Two.Services]

[Settings]
HKR,,Name,,"x" """,
)
_REG = "AddReg = Settings"


def _edit(code: int, name: str, old: str, new: str, at: str, base: str = _DEVICE) -> Fault:
    return Fault(code, name, base, ((old, new),), at)


FAULTS = [
    _edit(1205, "to add and delete", _REG, f"{_REG}\nDelReg = Settings", "DelReg"),
    _edit(1205, "to copy and delete", "CopyFiles = Files", "CopyFiles = Files\nDelFiles = Files", "DelFiles"),
    _edit(1206, "registry and files", _REG, "AddReg = Settings, Files", _REG),
    _edit(
        1206,
        "service and registry",
        _REG,
        "AddReg = Settings, Service",
        "AddService",
    ),
    _edit(
        2083,
        "no directive",
        "[Settings]",
        "[Settings.Old]\nHKR,,Old,,x\n[Leftover]\nHKR,,Old,,x\n[Settings]",
        "[Leftover]",
    ),
    _edit(2083, "a string alone", "[Strings]", '[Left]\nHKR,,Old,,x\n[Strings]\nOther = "Left"', "[Left]"),
    _edit(1202, "itself", "Include = pci.inf", "Include = bad.inf", "bad.inf", _LEANING),
    _edit(1202, "copied with it", "Include = pci.inf", "Include = part.inf", "Include", _LEANING),
    Fault(1202, "in the package", _LEANING, (), "Include", files=("good.inf", "pci.inf")),
    _edit(1310, "services", "Needs = Two.HW", "Needs = Two.Services", "Needs = Two.Services\n\n[Two", _CHAIN),
    Fault(
        1311,
        "no suffix",
        _CHAIN,
        (("Needs = Two.HW", "Needs = Two"), ("[Two.HW]", "[Two]")),
        "Needs = Two\n",
    ),
    _edit(1312, "services", "Needs = PciD3ColdSupported", "Needs = Pci.Services", "Pci.Services", _LEANING),
    _edit(1312, "of hardware", "Needs = Base", "Needs = Base.HW", "Needs = Base.HW", _LEANING),
    _edit(1313, "no suffix", "Needs = One.HW", "Needs = One", "Needs = One\n", _CHAIN)._replace(
        edits=(("Needs = One.HW", "Needs = One"), ("[One.HW]", "[One]"))
    ),
    _edit(1315, "misspelt", "Needs = Two.HW", "Needs = Too.HW", "Too.HW", _CHAIN),
    _edit(1319, "no Include", "Needs = Base", "Needs = PciBase", "PciBase", _LEANING),
]
