"""Try to break the service's security claims, and print what came of it: the target of ``make security``.

Each file tests/security/test_CLAIM.py attacks one claim; the first line of its docstring is the claim. Beside them run
the tools: bandit over the source, pip-audit over what is pinned, zizmor over the workflows of CI. Prints a table of
claims and results, and ends with 1 when one fails. A tool that cannot do its work here is shown as "not run", with why.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "security"
BIN = Path(sys.executable).parent
WORKFLOWS = ROOT / ".github" / "workflows"
TOOL_SECONDS = 300


@dataclass(frozen=True)
class Row:
    """A line of the table. ``result`` is passed, failed or not run; ``more`` says what was done, or why not."""

    claim: str
    checked_by: str
    result: str
    more: str


class Outcomes:
    """A pytest plugin that counts what came of each file's tests."""

    def __init__(self) -> None:
        self.passed: dict[str, int] = {}
        self.failed: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of a test. What is skipped was not tried, and so counts as failed."""
        file = Path(report.nodeid.partition("::")[0]).name
        if not report.passed:
            self.failed.setdefault(file, []).append(report.nodeid)
        elif report.when == "call":
            self.passed[file] = self.passed.get(file, 0) + 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be read."""
        if report.failed:
            self.failed.setdefault(Path(report.nodeid).name, []).append(report.nodeid)


def claim_of(file: Path) -> str:
    """The first sentence or line of the file's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or file.stem).splitlines()[0]


def attacks() -> Iterator[Row]:
    """One row for each file of tests."""
    outcomes = Outcomes()
    pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", str(TESTS)], plugins=[outcomes])
    for file in sorted(TESTS.glob("test_*.py")):
        passed, failed = outcomes.passed.get(file.name, 0), outcomes.failed.get(file.name, [])
        result = "passed" if passed and not failed else "failed"
        more = f"{passed} tests" if not failed else f"{len(set(failed))} of {passed + len(set(failed))} tests failed"
        yield Row(claim_of(file), file.relative_to(ROOT).as_posix(), result, more)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A tool to its end, in the checkout."""
    return subprocess.run(  # noqa: S603 - our own tools with our own arguments
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TOOL_SECONDS,
    )


def bandit() -> Row:
    """bandit from medium severity up. What is low are ruff's S rules, which ``make check`` holds for the same code."""
    done = run("bandit", "--quiet", "--recursive", "--severity-level", "medium", "--format", "json", "src", "scripts")
    try:
        report = json.loads(done.stdout)
        found, wrong = report["results"], report["errors"]
    except (ValueError, KeyError):
        return Row("the source has no known weakness", "bandit", "failed", (done.stderr or done.stdout)[-300:])
    for each in [*found, *wrong]:
        print(
            f"bandit: {each.get('filename')}:{each.get('line_number', 0)}: {each.get('issue_text', each.get('reason'))}"
        )
    result = "failed" if found or wrong else "passed"
    lines = report["metrics"]["_totals"]["loc"]
    return Row("the source has no known weakness", "bandit", result, f"{len(found)} findings in {lines} lines")


def pip_audit() -> Row:
    """pip-audit over the pinned requirements. It asks a service; where none answers it has audited nothing."""
    claim = "nothing that is pinned has a known vulnerability"
    done = run("pip-audit", "--disable-pip", "--require-hashes", "-r", "requirements.txt", "--format", "json")
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        why = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
        return Row(claim, "pip-audit", "not run", f"no advisory service can be reached here: {why[0][:120]}")
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    vulnerable = [each for each in packages if each.get("vulns")]
    for each in vulnerable:
        print(f"pip-audit: {each['name']} {each['version']}: {', '.join(vuln['id'] for vuln in each['vulns'])}")
    if vulnerable:
        return Row(claim, "pip-audit", "failed", f"{len(vulnerable)} of {len(packages)} packages are vulnerable")
    if unknown:
        why = f"the advisory service answered for {len(packages) - len(unknown)} of {len(packages)} packages"
        return Row(claim, "pip-audit", "not run", why)
    return Row(claim, "pip-audit", "passed", f"{len(packages)} packages")


def zizmor() -> Row:
    """zizmor over the workflows of CI, offline."""
    done = run("zizmor", "--offline", "--no-progress", "--persona", "pedantic", str(WORKFLOWS))
    if done.returncode:
        print(done.stdout + done.stderr)
    result = "passed" if done.returncode == 0 else "failed"
    return Row(
        "a workflow of CI gives nothing away", "zizmor", result, f"{len(list(WORKFLOWS.glob('*.yml')))} workflows"
    )


def table(rows: list[Row]) -> str:
    """The rows in columns."""
    cells = [("claim", "checked by", "result", ""), *((r.claim, r.checked_by, r.result, r.more) for r in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in cells
    )


def main() -> int:
    """Run all of it."""
    rows = [*attacks(), bandit(), pip_audit(), zizmor()]
    print(f"\n{table(rows)}")
    return int(any(row.result == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
