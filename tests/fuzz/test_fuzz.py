"""A short ``make fuzz``: nothing but the errors that a target may raise comes out, in bounded time and memory.

The seed is fixed and inputs are counted, so that a run is the same on a slow machine; ``make fuzz`` takes another seed
each time and goes on for its ten minutes.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

import hwdash.drivers
from fuzz import run
from fuzz.targets import BROKEN, TARGETS

RUNS = 300
"""Inputs for each target, its seeds included: half a minute in all."""
MANY_SECONDS = 600
"""For one target: reached only when something hangs."""

READS = ("parse", "open", "read", "verify", "load", "extract", "decode", "rebuild", "check_")
"""What the name of a function that takes strangers' bytes begins with."""

NOT_BYTES = {
    "hwdash.drivers.container.PackageContainer.check_limits": "a Protocol",
    "hwdash.drivers.container.PackageContainer.extract": "a Protocol",
    "hwdash.drivers.chid.read_linux": "takes a folder, of texts that the kernel has read; tests/unit has its edges",
    "hwdash.drivers.chid.read_this_machine": "takes nothing",
    "hwdash.drivers.package_contents.check_signatures": "takes OS codes, which the API has checked",
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_files_to_start_from_are_good(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        target.read(seed)


def _functions() -> Iterator[tuple[str, CodeType]]:
    """Every public function and method of the toolkit."""
    for module in pkgutil.walk_packages(hwdash.drivers.__path__, "hwdash.drivers."):
        loaded = importlib.import_module(module.name)
        for owner in [loaded, *(each for each in vars(loaded).values() if inspect.isclass(each))]:
            for name, each in vars(owner).items():
                function = getattr(each, "__func__", each)
                if inspect.isfunction(function) and function.__module__ == module.name and not name.startswith("_"):
                    yield f"{module.name}.{function.__qualname__}", function.__code__


def test_every_parser_has_a_target() -> None:
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for target in TARGETS.values():
            for seed in list(target.seeds())[:20]:
                target.read(seed)
    finally:
        sys.setprofile(before)
    parsers = {
        name: code for name, code in _functions() if name.rpartition(".")[2].startswith(READS) and "._" not in name
    }
    assert {name for name, code in parsers.items() if code not in seen} == set(NOT_BYTES)
    assert len(parsers) > 40


@pytest.mark.timeout(2 * MANY_SECONDS)
def test_hostile_bytes_raise_no_other_error(tmp_path: Path) -> None:
    """Those broken on purpose prove that a finding is found."""
    outcomes = run.fuzz([*TARGETS, *BROKEN], tmp_path, seconds=MANY_SECONDS, runs=RUNS, seed=1)
    broken = {outcome.name: outcome.broken for outcome in outcomes if outcome.broken}
    assert set(broken) == set(BROKEN), "\n\n".join(f"{name}: {said}" for name, said in broken.items())
    assert "IndexError" in broken["lose-index"]
    assert "out-of-memory" in broken["take-memory"]
    assert [outcome.name for outcome in outcomes if outcome.runs < RUNS and outcome.name not in BROKEN] == []
