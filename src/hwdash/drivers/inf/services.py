"""The services that an INF installs (install/inf-addservice-directive.md)."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry

_UNDER_DIRID = re.compile(r"%(-?\d{1,10})%\\*(.*)\Z", re.ASCII | re.DOTALL)
_NUMBER = re.compile(r"(?:0x(?P<hexadecimal>[0-9a-f]{1,8})|(?P<decimal>[0-9]{1,10}))\Z", re.IGNORECASE | re.ASCII)


class Location(NamedTuple):
    """A path on the machine: ``path`` below the directory ``dirid``, or as written where that is None."""

    dirid: int | None
    path: str

    @classmethod
    def parse(cls, text: str) -> "Location":
        """The location in ``%dirid%\\path``. Never raises."""
        match = _UNDER_DIRID.match(text)
        return cls(int(match[1]), match[2]) if match else cls(None, text)

    def __str__(self) -> str:
        return self.path if self.dirid is None else f"%{self.dirid}%\\{self.path}"


@dataclass(frozen=True, slots=True)
class Service:
    """An AddService directive and the service-install section that it names.

    Numbers are None, and texts ``""``, where they are absent or cannot be read; ``flags`` are 0 when left out.
    ``start_type`` is 0 boot, 1 system, 2 automatic, 3 on demand, 4 disabled. A ``name`` of ``""`` is the null driver.
    """

    name: str
    flags: int | None
    section: str
    binary: Location | None
    service_type: int | None
    start_type: int | None
    error_control: int | None
    display_name: str
    load_order_group: str
    dependencies: tuple[str, ...]
    line: int

    @property
    def is_associated(self) -> bool:
        """The service is the device's function driver (SPSVCINST_ASSOCSERVICE)."""
        return bool((self.flags or 0) & 0x2)


def service(inf: Inf, directive: Entry) -> Service:
    """The service of an AddService entry."""
    name, flags, section, *_ = [*inf.values(directive), "", ""]

    def text(key: str) -> str:
        entry = inf.first(section, key) if section else None
        return inf.substitute(entry.value(0)) if entry is not None and entry.key is not None else ""

    dependencies = inf.first(section, "Dependencies") if section else None
    binary = text("ServiceBinary")
    return Service(
        name=name,
        flags=parse_number(flags) if flags else 0,
        section=section,
        binary=Location.parse(binary) if binary else None,
        service_type=parse_number(text("ServiceType")),
        start_type=parse_number(text("StartType")),
        error_control=parse_number(text("ErrorControl")),
        display_name=text("DisplayName"),
        load_order_group=text("LoadOrderGroup"),
        dependencies=tuple(filter(None, inf.values(dependencies))) if dependencies is not None else (),
        line=directive.line,
    )


def parse_number(text: str) -> int | None:
    """A decimal or ``0x`` hexadecimal number as INFs write them; None for anything else."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    return int(match["hexadecimal"], 16) if match["hexadecimal"] else int(match["decimal"])
