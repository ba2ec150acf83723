"""Faults in [Manufacturer], Models and install sections, and in those of primitive drivers."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_DEVICE = device_inf(install="FeatureScore = FE\nAddReg = Settings", sections='[Settings]\nHKR,,Name,,"x"')
_BUILD = "NTamd64.10.0...26100\n"
_LINE = r"%Device% = Install, ROOT\ACME"
_CUT = device_inf().partition("[Manufacturer]"), device_inf().partition("[Install.NT]\n")
_PRIMITIVE = _CUT[0][0] + "".join(_CUT[1][1:]).replace("Install.NT", "DefaultInstall.NTamd64")
_UNINSTALL = f"{_PRIMITIVE}\n[DefaultUninstall.NTamd64]\nLegacyUninstall = 1\n"


def _edit(code: int, name: str, old: str, new: str, at: str, base: str = _DEVICE) -> Fault:
    return Fault(code, name, base, ((old, new),), at)


FAULTS = [
    _edit(1011, "no Models section", f"Acme, {_BUILD}", "\n", "%Maker% = \n"),
    _edit(1203, "AddReg", "AddReg = Settings", "AddReg = Setings", "Setings"),
    _edit(1203, "Models section", _BUILD, "NTamd64.10.0...26100, NTarm64\n", "NTarm64"),
    _edit(1245, "three digits", "FeatureScore = FE", "FeatureScore = 100", "FeatureScore"),
    _edit(1261, "misspelt", "= Install,", "= Instal,", "= Instal,"),
    _edit(1261, "another architecture", "[Install.NT]", "[Install.NTarm64]", _LINE),
    _edit(1271, "no section", "= Install,", "= ,", "%Device% = ,"),
    _edit(1287, "no NT", _BUILD, "NTamd64.10.0...26100, amd64\n", ", amd64"),
    _edit(1288, "too low", _BUILD, "NTamd64.10.0...26100, NTamd64.10.0...10240\n", "10240"),
    _edit(1296, "misspelt", "[Install.NT.Services]", "[Instal.NT.Services]", "[Install.NT]"),
    _edit(1297, "no device", f"{_LINE}\n", "", ""),
    _edit(2010, "no decoration", "[Acme.NTamd64", "[Acme]\nd = Install,x\n[Acme.NTamd64", "%Maker% = Acme"),
    _edit(2010, "no architecture", _BUILD, "NTamd64.10.0...26100, NT\n[Acme.NT]\nd = Install,x\n", ", NT\n"),
    # primitive drivers
    _edit(1212, "beside devices", "[Settings]", "[DefaultInstall.NTamd64]\n[Settings]", "[DefaultInstall.NTamd64]"),
    _edit(1420, "no provider", "Provider = %Maker%\n", "", "", _PRIMITIVE),
    _edit(1420, "no class", "Class = System\n", "", "", _PRIMITIVE),
    _edit(1420, "no architecture", "[DefaultInstall.NTamd64]", "[DefaultInstall.NT]", "", _PRIMITIVE),
    _edit(1420, "uninstalls", "LegacyUninstall = 1", "", "", _UNINSTALL),
    _edit(1421, "no decoration", "[DefaultInstall.NTamd64]", "[DefaultInstall]", "[DefaultInstall]", _PRIMITIVE),
    Fault(
        1421,
        "uninstalls",
        _UNINSTALL,
        (("[DefaultUninstall.NTamd64]", "[DefaultUninstall]"), ("LegacyUninstall = 1", "")),
        "[DefaultUninstall]",
    ),
    _edit(1422, "no mark", "LegacyUninstall = 1", "", "[DefaultUninstall.NTamd64]", _UNINSTALL),
    _edit(1422, "switched off", "LegacyUninstall = 1", "LegacyUninstall = 0", "[DefaultUninstall.NT", _UNINSTALL),
    _edit(1423, "renamed", "[DefaultInstall.NTamd64]", "[Other]", "[DefaultInstall.NTamd64.Services]", _PRIMITIVE),
]
