"""What a measured value says (contract/dashboard.md 124 to 127, appendix 1)."""

import pytest

from hwdash.domain.measures import SYSTEMIC, Measure, MeasureResult

INSTALLS, PNP_ERRORS, CRASHES, DUMPS = "26387215", "26387262", "26118008", "26118015"


@pytest.mark.parametrize(
    ("measure_id", "value", "population", "verdict"),
    [
        (INSTALLS, 95, 100, "pass"),
        (INSTALLS, 94.9, 100, "fail"),
        (INSTALLS, 94.9, 99, "data insufficient"),
        (INSTALLS, 50, 10, "data insufficient"),
        (INSTALLS, 49.9, 10, "fail"),  # the high-failure rule
        (INSTALLS, 0, 9, "data insufficient"),
        (PNP_ERRORS, 5, 100, "pass"),
        (PNP_ERRORS, 5.1, 100, "fail"),
        (PNP_ERRORS, 50, 10, "data insufficient"),
        (PNP_ERRORS, 50.1, 10, "fail"),
        (CRASHES, 1, 100, "pass"),  # titled "without", and low is good
        (CRASHES, 1.1, 100, "fail"),
        (CRASHES, 100, 99, "data insufficient"),
        (DUMPS, 3, 100, "pass"),
        (DUMPS, 3.1, 100, "fail"),
        ("25739929", 3.1, 100, "fail"),
    ],
)
def test_the_systemic_measures_pass_and_fail_as_documented(
    measure_id: str, value: float, population: int, verdict: str
) -> None:
    assert MeasureResult(SYSTEMIC[measure_id], value, population).verdict == verdict


def test_a_measure_of_ones_own_has_its_own_criterion_and_minimum() -> None:
    hangs = Measure("resume-hangs", "hangs on resume, a week", at_most=0.5, minimum=20)
    assert MeasureResult(hangs, 0.5, 20).verdict == "pass"
    assert MeasureResult(hangs, 0.6, 20).verdict == "fail"
    assert MeasureResult(hangs, 9, 19).verdict == "data insufficient"
    assert MeasureResult(hangs, 0.6, 20).message == (
        "Measure resume-hangs (hangs on resume, a week): fail, 0.6 over 20 machines; it passes with 0.5 or less."
    )
