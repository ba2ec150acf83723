"""Half a minute of ``make fuzz``: nothing but the errors that a target may raise comes out, in bounded time and memory.

The seed is fixed, so that a run repeats; ``make fuzz`` takes another one each time.
"""

from pathlib import Path

import pytest

from fuzz import run
from fuzz.targets import TARGETS

SECONDS = 30


@pytest.mark.parametrize("name", TARGETS)
def test_the_files_to_start_from_are_good(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        target.read(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes_raise_no_other_error(name: str, tmp_path: Path) -> None:
    outcome = run.fuzz(name, 2 * SECONDS // len(TARGETS), tmp_path, seed=1)
    assert not outcome.broken, outcome.broken
    assert outcome.runs > 100


@pytest.mark.parametrize(("name", "said"), [("lose-index", "IndexError"), ("take-memory", "out-of-memory")])
def test_another_error_is_a_finding(name: str, said: str, tmp_path: Path) -> None:
    assert said in run.fuzz(name, 20, tmp_path, seed=1).broken
