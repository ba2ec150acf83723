"""Rules on display drivers (display/setting-the-start-type-value.md)."""

from collections.abc import Iterator

from hwdash.drivers.inf.verify.inspection import Inspection, Problem, number

_ON_DEMAND = 3
_AT_BOOT = frozenset({0, 1, 2})


def inf_2602_display_service_value(case: Inspection) -> Iterator[Problem]:
    """A display driver is started on demand."""
    if case.inf.version.class_name.lower() != "display":
        return
    for service in case.services:
        entry = case.inf.first(service.section, "StartType") if service.section else None
        text = case.inf.substitute(entry.value(0)) if entry is not None else ""
        if entry is not None and text and service.name and service.is_associated and number(text) in _AT_BOOT:
            message = f"The display service {service.name} has StartType {text}."
            yield Problem(entry.line, message, f"Write StartType = {_ON_DEMAND}: display drivers start on demand.")


RULES = {
    2602: inf_2602_display_service_value,
}
