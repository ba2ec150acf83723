"""Rules on [DefaultInstall] and primitive drivers (develop/creating-a-primitive-driver.md)."""

from collections.abc import Iterator

from hwdash.drivers.inf.models import TargetOS
from hwdash.drivers.inf.verify.inspection import Inspection, Problem


def inf_1212_exclusive_sections(case: Inspection) -> Iterator[Problem]:
    """[Manufacturer] and [DefaultInstall] exclude each other."""
    if case.manufacturers:
        for install in case.default_installs:
            section = case.inf.section(install.section)
            message = f"[{install.section}] stands beside [Manufacturer]: an INF is for devices or for none."
            yield Problem(section.line if section else None, message, "Remove one, or make two INFs.")


def inf_1421_defaultinstall_undecorated(case: Inspection) -> Iterator[Problem]:
    """[DefaultInstall] must name its architecture."""
    for install in case.default_installs:
        if install.architecture is None:
            section = case.inf.section(install.section)
            message = f"[{install.section}] names no architecture."
            remedy = "Write [DefaultInstall.NTamd64], with its .Services section likewise, once for each architecture."
            yield Problem(section.line if section else None, message, remedy)


def inf_1422_legacyuninstall_missing(case: Inspection) -> Iterator[Problem]:
    """[DefaultUninstall] must say that it is for old systems only."""
    for section in case.inf.sections:
        base, dot, decoration = section.name.partition(".")
        if base.lower() != "defaultuninstall" or (dot and TargetOS.parse(decoration) is None):
            continue
        # Microsoft's own samples write it in the .Services section too.
        places = (section.name, f"{section.name}.Services")
        entries = [entry for place in places for entry in case.inf.entries(place, "LegacyUninstall")]
        if not any(case.inf.substitute(entry.value(0)) == "1" for entry in entries):
            message = f"[{section.name}] has no LegacyUninstall=1."
            yield Problem(section.line, message, "Add it, or remove the section: new systems do not use it.")


RULES = {
    1212: inf_1212_exclusive_sections,
    1421: inf_1421_defaultinstall_undecorated,
    1422: inf_1422_legacyuninstall_missing,
}
