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


def inf_1420_not_a_primitive(case: Inspection) -> Iterator[Problem]:
    """An INF with [DefaultInstall] must fulfil what is asked of primitive drivers."""
    if not case.default_installs or case.manufacturers:
        return  # 1212 speaks of both together
    version = case.inf.version
    named = {"Provider": version.provider, "Class": version.class_name, "ClassGuid": version.class_guid}
    lacking = [f"[Version] has no {name}" for name, value in named.items() if not value]
    lacking += [f"[{each.section}] names no architecture" for each in case.default_installs if not each.architecture]
    lacking += [f"[{name}] has no LegacyUninstall=1" for name in _uninstalls(case)]
    if lacking:
        yield Problem(
            None, f"The INF is no primitive driver: {lacking[0]}.", "Correct it: Windows needs that to add it."
        )


def inf_1421_defaultinstall_undecorated(case: Inspection) -> Iterator[Problem]:
    """[DefaultInstall] must name its architecture."""
    for install in case.default_installs:
        if install.architecture is None:
            section = case.inf.section(install.section)
            message = f"[{install.section}] names no architecture."
            remedy = "Write [DefaultInstall.NTamd64], with its .Services section likewise, once for each architecture."
            yield Problem(section.line if section else None, message, remedy)
    for name in _uninstalls(case):
        if "." not in name:
            section = case.inf.section(name)
            remedy = "Write [DefaultUninstall.NTamd64] with LegacyUninstall=1, or remove the section."
            yield Problem(section.line if section else None, f"[{name}] names no architecture.", remedy)


def inf_1422_legacyuninstall_missing(case: Inspection) -> Iterator[Problem]:
    """[DefaultUninstall] must say that it is for old systems only."""
    for name in _uninstalls(case):
        section = case.inf.section(name)
        message = f"[{name}] has no LegacyUninstall=1."
        remedy = "Add it, or remove the section: new systems do not use it."
        yield Problem(section.line if section else None, message, remedy)


def inf_1423_primitive_needs_decoration(case: Inspection) -> Iterator[Problem]:
    """A primitive driver has a [DefaultInstall] for some architecture."""
    if not case.manufacturers and not case.default_installs and not case.default_install_is_unstamped:
        section = next((each for each in case.inf.sections if _is_of_primitive(each.name)), None)
        if section is not None:
            message = f"There is [{section.name}], but no [DefaultInstall] with an architecture."
            yield Problem(section.line, message, "Add [DefaultInstall.NTamd64], or the like for another architecture.")


def _uninstalls(case: Inspection) -> Iterator[str]:
    """The names of [DefaultUninstall] sections that do not say that they are for old systems only."""
    for section in case.inf.sections:
        base, dot, decoration = section.name.partition(".")
        if base.lower() != "defaultuninstall" or (dot and TargetOS.parse(decoration) is None):
            continue
        # Microsoft's own samples write it in the .Services section too.
        places = (section.name, f"{section.name}.Services")
        entries = [entry for place in places for entry in case.inf.entries(place, "LegacyUninstall")]
        if not any(case.inf.substitute(entry.value(0)) == "1" for entry in entries):
            yield section.name


def _is_of_primitive(name: str) -> bool:
    return name.lower().partition(".")[0] in ("defaultinstall", "defaultuninstall")


RULES = {
    1212: inf_1212_exclusive_sections,
    1420: inf_1420_not_a_primitive,
    1421: inf_1421_defaultinstall_undecorated,
    1422: inf_1422_legacyuninstall_missing,
    1423: inf_1423_primitive_needs_decoration,
}
