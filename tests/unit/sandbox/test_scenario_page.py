"""docs/reference/scenarios.md says what ships and what is taken, in both directions."""

import re
from pathlib import Path
from typing import Any, cast

from hwdash.sandbox.pages import SandboxPages
from hwdash.sandbox.routes import ROUTES
from hwdash.sandbox.scenario_file import CONDITIONS, EFFECTS, LEADING, shipped_names, shipped_scenario
from hwdash.sandbox.urls import STYLES

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "scenarios.md").read_text("utf-8")
CELL = re.compile(r"`([^`]*)`")


def rows(heading: str) -> list[list[str]]:
    section = re.split(r"^#+ ", PAGE.partition(f" {heading}\n")[2], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_shipped_scenario_has_its_row_and_no_other() -> None:
    listed = rows("Shipped")
    assert [CELL.findall(row[0])[0] for row in listed] == shipped_names()
    for name, row in zip(shipped_names(), listed, strict=True):
        scenario = shipped_scenario(name)
        assert row[1] == scenario.summary
        assert scenario.report in row[2]
        if "#" in scenario.report:
            repository, number = scenario.report.split("#")
            assert f"(https://github.com/{repository}/issues/{number})" in row[2]
        assert row[3] == f"`hwdash sandbox scenario set {name}`"
        assert row[4] == scenario.outcome


def test_every_key_condition_effect_route_and_style_is_listed_and_no_other() -> None:
    keys = [key for row in rows("The file") for key in CELL.findall(row[0])]
    assert sorted(key.strip("[]") for key in keys) == sorted(LEADING)
    assert sorted(CELL.findall(row[0])[0] for row in rows("Conditions")) == sorted(CONDITIONS)
    assert [CELL.findall(row[0])[0].partition(" ")[0] for row in rows("Effects")] == list(EFFECTS)
    named = CELL.findall(PAGE.partition("Routes: ")[2].partition("(")[0])
    assert named == list(ROUTES)
    assert [each for each in CELL.findall(PAGE) if each in STYLES] == list(STYLES)


def test_every_admin_call_is_listed_and_no_other() -> None:
    nothing = cast(Any, None)
    listed = [(row[0], CELL.findall(row[1])[0]) for row in rows("Admin calls")]
    assert listed == SandboxPages(nothing, nothing, nothing, nothing).routes
