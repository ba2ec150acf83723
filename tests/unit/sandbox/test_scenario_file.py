import pytest

from hwdash.sandbox.scenario import Answer, Fail, Occasion, Play, Stuck
from hwdash.sandbox.scenario_file import EFFECTS, ScenarioError, parse_scenario

WRONG = """
name = "Not A Name"
colour = "red"

[[rule]]
when = { route = "PUSH commit", times = "thrice", chance = 2, clock = 3 }
answer = { status = 200, retry-after = -1, body = "x" }

[[rule]]
when = { route = "commit", step = "scanning" }
fail = ["no"]

[[rule]]
when = { step = "polishing" }
stuck = "3 days"

[[rule]]
when = { route = "submission" }

[[rule]]
delay = "1h"

[[rule]]
hide = { download = "everything" }
cut-off = { bytes = 3 }

[[rule]]
when = { step = "publishing" }
cancel-takes = "1d"

[[rule]]
cancel-takes = "1d"
"""


def findings(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as refused:
        parse_scenario(text, "mine")
    return refused.value.findings


def test_every_finding_is_told_with_its_rule_and_line() -> None:
    found = findings(WRONG)
    expected = [
        ("The scenario: name must be of a-z, 0-9 and -", ""),
        ("The scenario: colour is not known here", "seed"),
        ("Rule 1, line 5, when: route must be a route, or a method and a route", "commit"),
        ('Rule 1, line 5, when: times must be like "first 3"', "thrice"),
        ("Rule 1, line 5, when: chance must be a number above 0", ""),
        ("Rule 1, line 5, when: clock is not known here", "product"),
        ("Rule 1, line 5, answer: status must be a whole number from 400 to 599", "200"),
        ("Rule 1, line 5, answer: retry-after must be a whole number from 0", "-1"),
        ("Rule 1, line 5, answer: body is not known here", "html"),
        ("Rule 2, line 9: fail is about a step, and so are its conditions", ""),
        ("Rule 3, line 13, when: step must be one of packageInfoValidation", "polishing"),
        ("Rule 3, line 13: stuck cannot be used", "3 days"),
        ("Rule 4, line 17: a rule has exactly one effect, this one has none", "cut-off"),
        ("Rule 5, line 20: delay must be at most 10m", ""),
        ("Rule 6, line 23: a rule has exactly one effect, this one has hide, cut-off", ""),
        ("Rule 7, line 27: labels can be cancelled in microsoftApproval only", ""),
        ("Rule 8, line 31: when.step is missing: cancel-takes needs the step", ""),
    ]
    for start, part in expected:
        assert any(each.startswith(start) and part in each for each in found), (start, found)


@pytest.mark.parametrize("text", ["", "rule = 3", "rule = []", "[[rule]", 'name = "x"', "\x00"])
def test_what_is_no_scenario_is_refused(text: str) -> None:
    assert findings(text)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("value", ["3", "true", '"x"', "[1]", "{}", "{ x = 1 }", "[]", "1.5", "2026-01-01"])
def test_a_wrong_value_of_an_effect_is_a_finding(effect: str, value: str) -> None:
    assert findings(f'[[rule]]\nwhen = {{ step = "scanning" }}\n{effect} = {value}\n')


def test_a_scenario_is_read_whole() -> None:
    scenario = parse_scenario(
        """
        summary = "Busy, then broken."
        seed = 7
        [[rule]]
        when = { route = "POST commit", times = "first 2", product = "audio*", account = 12345678 }
        answer = { status = 429, retry-after = 30, after = true }
        [[rule]]
        when = { step = "scanning", times = "2nd" }
        fail = ["one", "two"]
        [[rule]]
        when = { step = "signing", times = "after 5" }
        stuck = "3d"
        """,
        "mine",
    )
    assert (scenario.name, scenario.summary, scenario.seed) == ("mine", "Busy, then broken.", 7)
    busy, broken, late = scenario.rules
    assert busy.effect == Answer(429, retry_after=30, after=True)
    assert (busy.when.method, busy.when.route, busy.when.account) == ("POST", "commit", 12345678)
    assert broken.effect == Fail(("one", "two"))
    assert isinstance(late.effect, Stuck)
    assert [number in late.when.times for number in (5, 6, 9999)] == [False, True, True] if late.when.times else False


def struck(conditions: str, occasions: list[Occasion]) -> list[bool]:
    scenario = parse_scenario(f"seed = 1\n[[rule]]\nwhen = {{ {conditions} }}\nanswer = {{ status = 503 }}", "mine")
    play, rule = Play(scenario), scenario.rules[0]
    return [rule.when.fits(each) and play.strikes(rule, each) for each in occasions]


COMMIT = Occasion(method="POST", path="/v1.0/my/hardware/products/1/submissions/2/commit/", product_id=1)


def test_a_route_is_known_in_every_form_of_its_path() -> None:
    assert COMMIT.route == "commit"
    assert struck('route = "commit"', [COMMIT]) == [True]
    assert struck('route = "GET commit"', [COMMIT]) == [False]
    assert Occasion(path="/api/v2.0/hardware/products/7").route == "product"
    assert Occasion(path="/blobs/k/name.cab").route == "blob"
    assert Occasion(path="/t/oauth2/v2.0/token").route == "token"


def test_occasions_are_counted_for_each_product() -> None:
    other = Occasion(method="POST", path=COMMIT.path, product_id=9)
    assert struck('times = "first 2"', [COMMIT, COMMIT, COMMIT, other]) == [True, True, False, True]
    assert struck('times = "2nd"', [COMMIT, COMMIT, COMMIT]) == [False, True, False]


def test_chance_is_repeatable_and_near_what_was_asked() -> None:
    first, second = (struck("chance = 0.3", [COMMIT] * 500) for _ in range(2))
    assert first == second
    assert 100 < sum(first) < 200
    assert struck("chance = 1", [COMMIT] * 5) == [True] * 5


def test_conditions_all_have_to_hold() -> None:
    occasion = Occasion(account=5, product="Audio [x]", query=frozenset({"pageSize"}), headers=frozenset({"accept"}))
    assert struck('account = 5, product = "Audio*"', [occasion]) == [True]
    assert struck('account = 6, product = "Audio*"', [occasion]) == [False]
    assert struck('product = "audio*"', [occasion]) == [False]
    assert struck('query = "pageSize"', [occasion]) == [True]
    assert struck('query = "continuationToken"', [occasion]) == [False]
    assert struck('without-header = "Content-Type"', [occasion]) == [True]
    assert struck('without-header = "Accept"', [occasion]) == [False]
