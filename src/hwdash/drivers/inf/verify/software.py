"""Rules on software and components that an INF adds.

Sources: install/inf-addsoftware-directive.md, inf-addcomponent-directive.md, inf-addcomserver-directive.md,
inf-addcomclass-directive.md.
"""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.verify.inspection import Inspection, Problem, number

_ABSOLUTE = re.compile(
    r"[a-z]:|[\\/]|%(?:(?!13%)-?[0-9]+|systemroot|windir|systemdrive|programdata|programfiles(?:\(x86\))?)%",
    re.IGNORECASE | re.ASCII,
)
_INSTALLER, _STORE_APP = 1, 2
_NEEDED = {_INSTALLER: ("SoftwareBinary", "SoftwareVersion"), _STORE_APP: ("SoftwareID",)}
_THREADING_MODELS = frozenset({"apartment", "free", "both", "neutral"})
_NAMED_ONCE = (
    ("Components", "AddComponent", "component"),
    ("Software", "AddSoftware", "software"),
    ("COM", "AddComServer", "COM server"),
    ("Events", "AddEventProvider", "event provider"),
    ("Events", "AddAutoLogger", "AutoLogger session"),
)


def inf_1086_duplicate_item(case: Inspection) -> Iterator[Problem]:
    """An install section adds each component, software, COM server, event provider and AutoLogger once."""
    for suffix, key, what in _NAMED_ONCE:
        seen: dict[tuple[str, str], int] = {}
        for install, entry in case.subdirectives(suffix, key):
            name = case.inf.substitute(entry.value(0))
            first = seen.setdefault((install.section.lower(), name.lower()), entry.line)
            if name and first != entry.line:
                message = f"The {what} {name} was added before, in line {first}."
                yield Problem(entry.line, message, f"Leave one {key} for it, or give the second another name.")


def inf_1141_software_path_absolute(case: Inspection) -> Iterator[Problem]:
    """Software lies in the driver package."""
    for section in _software(case):
        entry = case.inf.first(section, "SoftwareBinary")
        path = case.inf.substitute(entry.value(0)) if entry is not None else ""
        if entry is not None and _ABSOLUTE.match(path.strip('" ')):
            message = f"The SoftwareBinary {path} is not relative to the driver package."
            yield Problem(entry.line, message, r"Copy the file to DIRID 13 and write %13%\NAME.exe.")


def inf_1142_software_type_needs_directive(case: Inspection) -> Iterator[Problem]:
    """An installer needs its binary and version, an app of the Store its ID."""
    for section in _software(case):
        kind = case.inf.first(section, "SoftwareType")
        for needed in _NEEDED.get(_kind(case, kind) or 0, ()):
            entry = case.inf.first(section, needed)
            if kind is not None and (entry is None or not entry.value(0)):
                message = f"[{section}] has SoftwareType {kind.value(0)} and no {needed}."
                yield Problem(kind.line, message, f"Add {needed}.")


def inf_1144_software_type_desktop_only(case: Inspection) -> Iterator[Problem]:
    """Only desktop editions run installers."""
    for section in _software(case):
        kind = case.inf.first(section, "SoftwareType")
        if kind is not None and _kind(case, kind) == _INSTALLER:
            message = f"[{section}] adds an installer (SoftwareType 1), which only desktop editions run."
            yield Problem(kind.line, message, "Use SoftwareType 2, an app of the Microsoft Store, where that will do.")


def inf_1150_component_id_bad_char(case: Inspection) -> Iterator[Problem]:
    r"""A component ID is the part of a hardware ID after SWC\."""
    directives = case.subdirectives("Components", "AddComponent")
    for section in dict.fromkeys(case.inf.substitute(directive.value(2)).lower() for _, directive in directives):
        for entry in case.inf.entries(section, "ComponentIDs"):
            for name in case.inf.values(entry):
                if "\\" in name or "," in name:
                    message = f"The component ID {name!r} has a backslash or a comma."
                    remedy = r"Leave SWC\ out, which Windows puts before it, and separate IDs by commas outside quotes."
                    yield Problem(entry.line, message, remedy)


def inf_1160_com_threading_model_unknown(case: Inspection) -> Iterator[Problem]:
    """A COM class has one of four threading models."""
    seen: set[str] = set()
    for _, server in case.subdirectives("COM", "AddComServer"):
        section = case.inf.substitute(server.value(2)).lower()
        if section in seen:
            continue
        seen.add(section)
        for added in case.inf.entries(section, "AddComClass"):
            name, _, details, *_ = [*case.inf.values(added), "", ""]
            entry = case.inf.first(details, "ThreadingModel") if details else None
            model = case.inf.substitute(entry.value(0)) if entry is not None else ""
            if entry is not None and model.lower() not in _THREADING_MODELS:
                message = f"The COM class {name} has the threading model {model!r}."
                yield Problem(entry.line, message, "Write Apartment, Free, Both or Neutral.")


def _software(case: Inspection) -> Iterator[str]:
    """The names of the sections that describe software, each once."""
    seen: set[str] = set()
    for _, entry in case.subdirectives("Software", "AddSoftware"):
        section = case.inf.section(case.inf.substitute(entry.value(2)))
        if section is not None and section.name.lower() not in seen:
            seen.add(section.name.lower())
            yield section.name


def _kind(case: Inspection, entry: Entry | None) -> int | None:
    return number(case.inf.substitute(entry.value(0))) if entry is not None else None


RULES = {
    1086: inf_1086_duplicate_item,
    1141: inf_1141_software_path_absolute,
    1142: inf_1142_software_type_needs_directive,
    1144: inf_1144_software_type_desktop_only,
    1150: inf_1150_component_id_bad_char,
    1160: inf_1160_com_threading_model_unknown,
}
