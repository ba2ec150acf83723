"""How ``hwdash inf check`` shows findings: for people, one a line, or as SARIF."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from hwdash import __version__
from hwdash.drivers.findings import Finding, errors
from hwdash.drivers.inf.verify import CODES, Mode

RULES_PAGE = "https://learn.microsoft.com/windows-hardware/drivers/devtest/inf-validation-errors-and-warnings"
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_COLOURS = {"error": "red", "warning": "yellow"}


def as_json(finding: Finding) -> dict[str, str | int | bool | None]:
    """A finding with all its keys, null where there is nothing to say."""
    return {
        "code": finding.code,
        "level": finding.level,
        "file": finding.file,
        "line": finding.line,
        "message": finding.message,
        "remedy": finding.remedy,
        "inferred": finding.inferred,
    }


def printable(text: str) -> str:
    """Text of a file on one line, without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


# One a line


def one_line(finding: Finding) -> str:
    """The form of Microsoft's own tool; a finding on the whole file has line 0 (facts/inf/inf_grammar.yaml)."""
    place = f"{finding.file}, line {finding.line or 0}"
    return printable(f"{finding.level.upper()}({finding.code}) in {place}: {finding.message}")


# For people


def for_people(findings: Sequence[Finding], checked: int) -> Iterator[str]:
    """Findings by file, then a table of codes with their counts, then one line that sums up."""
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.file or "", []).append(finding)
    for file, found in by_file.items():
        yield click.style(printable(file), bold=True)
        said = ""
        for finding in found:
            level = click.style(f"{finding.level:7}", fg=_COLOURS[finding.level])
            line = f"line {finding.line}" if finding.line else "file"
            inferred = " (inferred)" if finding.inferred else ""
            yield f"  {level} {finding.code} {line}: {printable(finding.message)}{inferred}"
            if finding.remedy != said:
                yield f"          {printable(finding.remedy)}"
            said = finding.remedy
        yield ""
    if findings:
        yield from _table(findings)
        yield ""
    failed = len(errors(findings))
    files = "1 file" if checked == 1 else f"{checked} files"
    yield f"{files} checked: {_number(failed, 'error')}, {_number(len(findings) - failed, 'warning')}"


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    counts = Counter((finding.code, finding.level) for finding in findings)
    # Numbers first, in order, then the rules that have none.
    rows = sorted(counts.items(), key=lambda row: (isinstance(row[0][0], str), str(row[0][0]), row[0][1]))
    width = max(len("code"), *(len(str(code)) for code, _ in counts))
    yield f"{'code':{width}}  level    count  name"
    for (code, level), count in rows:
        name = CODES[code].slug if isinstance(code, int) and code in CODES else ""
        yield f"{code:<{width}}  {click.style(f'{level:7}', fg=_COLOURS[level])}  {count:5}  {name}".rstrip()


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# SARIF


def as_sarif(findings: Sequence[Finding], mode: Mode) -> dict[str, Any]:
    """A SARIF 2.1.0 log of one run. Files are named relative to the working directory, or to the deepest folder that
    holds them all where one lies outside. A finding on a whole file points to its first line, as viewers want a region.
    """
    rules = list(dict.fromkeys(finding.rule for finding in findings))
    by_rule = {finding.rule: finding for finding in reversed(findings)}
    root = _root([Path(finding.file) for finding in findings if finding.file])
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "hwdash",
                        "version": __version__,
                        "rules": [_rule(by_rule[rule], mode) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"uri": f"{root.as_uri().rstrip('/')}/"}},
                "results": [_result(finding, rules.index(finding.rule), root) for finding in findings],
            }
        ],
    }


def _root(files: Sequence[Path]) -> Path:
    root = Path.cwd()
    folders = [file.absolute().parent for file in files]
    if all(folder.is_relative_to(root) for folder in folders):
        return root
    return Path(os.path.commonpath(folders))


def _rule(finding: Finding, mode: Mode) -> dict[str, Any]:
    code = CODES.get(finding.code) if isinstance(finding.code, int) else None
    meaning = code.meaning if code is not None else finding.message
    level = (code.level(mode) if code is not None else None) or finding.level
    levels = {"declarative": code.declarative, "universal": code.universal, "windows": code.windows} if code else {}
    by_mode = "".join(f" {each}: {judged or 'not reported'}." for each, judged in levels.items())
    name = code.slug if code is not None else finding.rule.partition(".")[2]
    return {
        "id": finding.rule,
        "name": "".join(word.capitalize() for word in name.split("-")),
        "shortDescription": {"text": meaning},
        "help": {"text": f"{meaning} For example: {finding.remedy}{by_mode and ' Levels by mode:' + by_mode}"},
        "helpUri": RULES_PAGE,
        "defaultConfiguration": {"level": level},
    }


def _result(finding: Finding, index: int, root: Path) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": f"{finding.message} {finding.remedy}"},
        "properties": {"inferred": finding.inferred},
    }
    if finding.file is not None:
        path = Path(os.path.relpath(finding.file, root)).as_posix()
        result["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path), "uriBaseId": "SRCROOT"},
                    "region": {"startLine": finding.line or 1},
                }
            }
        ]
    return result
