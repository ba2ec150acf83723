"""``make security`` ends with 1 when an attack succeeds, and says of a tool that could not work that it was not run."""

import subprocess
import sys
from pathlib import Path

from service import ROOT

PREPARED = """
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
import security
security.ROOT = security.TESTS = Path({tests!r})
security.bandit = security.pip_audit = security.zizmor = lambda: security.Row("a tool", "it", {tool!r}, "why")
sys.exit(security.main())
"""


def run(folder: Path, *, test: str, tool: str = "passed") -> tuple[int, list[str]]:
    """The exit code, and the rows of the table that the script prints over one file of tests."""
    folder.joinpath("test_claim.py").write_text(f'"""The house is shut."""\n\nimport pytest\n\n\n{test}\n')
    code = PREPARED.format(scripts=str(ROOT / "scripts"), tests=str(folder), tool=tool)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    shown = done.stdout.partition("claim ")[2].splitlines()
    return done.returncode, [" ".join(line.split()) for line in shown]


def test_an_attack_that_is_repelled_is_a_passed_claim(tmp_path: Path) -> None:
    code, rows = run(tmp_path, test="def test_door() -> None:\n    assert True")
    assert code == 0
    assert "The house is shut. test_claim.py passed 1 tests" in rows


def test_an_attack_that_succeeds_fails_it(tmp_path: Path) -> None:
    code, rows = run(tmp_path, test="def test_door() -> None:\n    assert False")
    assert code == 1
    assert "The house is shut. test_claim.py failed 1 of 1 tests failed" in rows


def test_an_attack_that_was_not_tried_fails_it(tmp_path: Path) -> None:
    for test in ("def test_door() -> None:\n    pytest.skip('no')", "import nothing_of_this_name", ""):
        code, rows = run(tmp_path, test=test)
        assert code == 1
        assert "The house is shut. test_claim.py failed" in rows[1]


def test_a_tool_that_could_not_work_is_told(tmp_path: Path) -> None:
    passing = "def test_door() -> None:\n    assert True"
    code, rows = run(tmp_path, test=passing, tool="not run")
    assert code == 0
    assert "a tool it not run why" in rows
    code, _ = run(tmp_path, test=passing, tool="failed")
    assert code == 1
