"""What is wrong with a package, as values: collected all at once, never raised."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and what to do about it.

    ``rule`` is a stable id (``package.files-at-root``, ``inf.1233``); ``message`` and ``remedy`` are whole sentences;
    ``file`` is a name inside the package, ``line`` counts from 1. ``inferred``: no document says that this is judged
    so; we read it out of what is documented, or out of public reports.
    """

    rule: str
    level: Level
    message: str
    remedy: str
    file: str | None = None
    line: int | None = None
    inferred: bool = False

    @property
    def code(self) -> int | str:
        """InfVerif's number for its own rules, else the rule's id."""
        number = self.rule.removeprefix("inf.")
        return int(number) if number.isdecimal() else self.rule

    def to_json(self) -> dict[str, str | int | bool]:
        """The finding as a JSON object; absent parts are left out."""
        parts = {
            "rule": self.rule,
            "level": self.level,
            "message": self.message,
            "remedy": self.remedy,
            "file": self.file,
            "line": self.line,
            "inferred": self.inferred or None,
        }
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_json(cls, parts: Mapping[str, object]) -> "Finding":
        """The finding of a ``to_json`` object. Raises ValueError when the object is not one."""
        file, line = parts.get("file"), parts.get("line")
        match parts:
            case {
                "rule": str(rule),
                "level": ("error" | "warning") as level,
                "message": str(message),
                "remedy": str(remedy),
            } if isinstance(file, str | None) and isinstance(line, int | None) and not isinstance(line, bool):
                return cls(rule, level, message, remedy, file, line, inferred=parts.get("inferred") is True)
        raise ValueError(
            f"not a finding: {dict(parts)!r} (rule, level, message and remedy are strings, level is error or warning; "
            "file is a string and line a number where they are there)"
        )

    def __str__(self) -> str:
        place = f" in {self.file}" if self.file is not None else ""
        if self.line is not None:
            place += f", line {self.line}"
        text = f"{self.level.upper()} {self.rule}{place}: {self.message} {self.remedy}".rstrip()
        # A stored name may hold anything, line feeds and terminal controls too: a finding stays one line of plain text.
        return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Those of level ``error``, in the order given."""
    return [finding for finding in findings if finding.level == "error"]
