"""Spans of time as people write them: ``3d``, ``2h30m``, ``90s``."""

import re
from datetime import timedelta

LONGEST = timedelta(days=36_500)
_PART = re.compile(r"([0-9]{1,9})(ms|[smhdw])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def parse_duration(text: str) -> timedelta:
    """The span. Raises ValueError with a sentence that says what is wanted."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no span of time: write one like 3d, 2h30m, 90s or 500ms")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is more than a hundred years")
    return timedelta(seconds=seconds)
