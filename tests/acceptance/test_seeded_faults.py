"""Faults planted into good INFs, one for each rule and more: each is reported under its code, in its line."""

import pytest

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import RULES, verify
from seeded import all_faults
from seeded.fault import Fault

FAULTS = all_faults()


BASES = sorted({fault.base for fault in FAULTS})


@pytest.mark.parametrize("base", BASES, ids=range(len(BASES)))
def test_the_good_infs_are_good(base: str) -> None:
    for mode in ("declarative", "universal", "windows"):
        assert verify(Inf.from_text(base, source="good.inf"), mode=mode) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}-{fault.name}")
def test_a_planted_fault_is_reported_in_its_line(fault: Fault) -> None:
    text = fault.base
    for old, new in fault.edits:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        text = text.replace(old, new)
    line = None
    if fault.at:
        assert text.count(fault.at) == 1, f"{fault.at!r} occurs {text.count(fault.at)} times"
        line = text.count("\n", 0, text.index(fault.at)) + 1
    inf = Inf.from_text(text, source="bad.inf")
    found = verify(inf, mode=fault.mode, provider=fault.provider, files=fault.files)
    assert (fault.code, line) in [(each.code, each.line) for each in found], found


def test_every_rule_has_a_planted_fault() -> None:
    assert RULES.keys() <= {fault.code for fault in FAULTS}
    assert len(FAULTS) >= 100
