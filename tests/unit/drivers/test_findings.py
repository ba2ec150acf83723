import json

import pytest

from hwdash.drivers.findings import Finding, errors

FULL = Finding("package.no-inf", "error", "There is no INF.", "Add one.", "amd64", 3)
SHORT = Finding("inf.1297", "warning", "No devices.", "List one.")


@pytest.mark.parametrize("finding", [FULL, SHORT])
def test_a_finding_survives_json(finding: Finding) -> None:
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


def test_absent_parts_are_left_out_of_json() -> None:
    assert set(SHORT.to_json()) == {"rule", "level", "message", "remedy"}


def test_a_finding_prints_as_one_line() -> None:
    assert str(FULL) == "ERROR package.no-inf in amd64, line 3: There is no INF. Add one."
    assert str(SHORT) == "WARNING inf.1297: No devices. List one."


@pytest.mark.parametrize(
    "change", [{"level": "fatal"}, {"rule": None}, {"line": "3"}, {"line": True}, {"file": 1}, {"message": 7}]
)
def test_other_objects_are_not_findings(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a finding"):
        Finding.from_json({**FULL.to_json(), **change})


def test_errors_keep_their_order() -> None:
    assert errors([SHORT, FULL, SHORT, FULL]) == [FULL, FULL]
