from pathlib import Path

import pytest

from hwdash.sandbox.magic import magic_scenario
from hwdash.sandbox.playbill import SCENARIO_FILE, Playbill
from hwdash.sandbox.scenario import Answer, Delay, Fail, Occasion, Stuck
from hwdash.sandbox.scenario_file import SHIPPED, ScenarioError, shipped_names, shipped_scenario
from hwdash.settings import SettingsError

BUSY = '[[rule]]\nwhen = { times = "first 1" }\nanswer = { status = 503 }\n'


def occasion(product: str = "", step: str = "", product_id: int = 1) -> Occasion:
    return Occasion(product=product, step=step, product_id=product_id)


def test_a_scenario_stays_set_over_a_restart_and_counts_anew(tmp_path: Path) -> None:
    playbill = Playbill(tmp_path)
    assert playbill.set(BUSY, "busy").name == "busy"
    assert [each.effect for each in playbill.effects(occasion())] == [Answer(503)]
    assert playbill.effects(occasion()) == []
    assert [each.rule for each in Playbill(tmp_path).effects(occasion())] == ["stored, rule 1"]


def test_a_refused_scenario_changes_nothing(tmp_path: Path) -> None:
    playbill = Playbill(tmp_path)
    playbill.set(BUSY, "busy")
    with pytest.raises(ScenarioError):
        playbill.set("rule = 3", "wrong")
    assert playbill.scenario is not None
    assert (tmp_path / SCENARIO_FILE).read_text() == BUSY
    playbill.clear()
    assert playbill.scenario is None
    assert Playbill(tmp_path).scenario is None


def test_a_stored_scenario_that_cannot_be_played_is_told(tmp_path: Path) -> None:
    (tmp_path / SCENARIO_FILE).write_text("rule = 3")
    with pytest.raises(SettingsError, match=r"sandbox-scenario\.toml"):
        Playbill(tmp_path)


def test_behind_an_answer_no_further_rule_is_asked(tmp_path: Path) -> None:
    playbill = Playbill(tmp_path)
    playbill.set(
        '[[rule]]\ndelay = "1s"\n[[rule]]\nwhen = { times = "1st" }\nanswer = { status = 500 }\n'
        '[[rule]]\nwhen = { times = "1st" }\nanswer = { status = 503 }\n',
        "mine",
    )
    first, second = ([each.effect for each in playbill.effects(occasion())] for _ in range(2))
    assert [type(each) for each in first] == [Delay, Answer]
    assert first[1] == Answer(500)
    assert second[1] == Answer(503)


@pytest.mark.parametrize(
    ("name", "step", "effect"),
    [
        ("sandbox: fail scanning: too dull", "scanning", Fail(("too dull",))),
        ("sandbox:fail signing", "signing", Fail(("ERROR: the product's name asked for a failure in signing.",))),
        ("Driver [sandbox:unregistered-certificate]", "packageInfoValidation", Fail(("SignatureValidationFailed",))),
    ],
)
def test_a_magic_name_is_played_for_its_product_alone(tmp_path: Path, name: str, step: str, effect: Fail) -> None:
    playbill = Playbill(tmp_path)
    assert [each.effect for each in playbill.effects(occasion(name, step))] == [effect]
    assert playbill.effects(occasion(name, "manualReview")) == []
    assert playbill.effects(occasion("Driver", step)) == []


def test_a_magic_name_says_how_long_a_step_is_stuck(tmp_path: Path) -> None:
    (struck,) = Playbill(tmp_path).effects(occasion("sandbox: stuck validation 3d", "validation"))
    assert isinstance(struck.effect, Stuck)
    assert struck.effect.span.days == 3


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("[sandbox:no-such]", "no scenario 'no-such'; there are approval-refused, bad-gateway-on-commit"),
        ("[sandbox:../scenarios/slow]", "no scenario"),
        ("sandbox: explode", "there are sandbox: fail STEP"),
        ("sandbox: fail polishing", "no step polishing; there are packageInfoValidation"),
        ("sandbox: stuck signing soon", "no span of time"),
    ],
)
def test_a_magic_name_that_cannot_be_played_is_refused(name: str, finding: str) -> None:
    with pytest.raises(ScenarioError, match=finding):
        magic_scenario(name)


@pytest.mark.parametrize("name", ["", "Driver", "My sandbox: driver", "sandboxed: fail scanning", "[sandbox]"])
def test_other_names_mean_nothing(name: str) -> None:
    assert magic_scenario(name) is None


@pytest.mark.parametrize("name", shipped_names())
def test_each_shipped_scenario_says_what_it_is(name: str) -> None:
    scenario = shipped_scenario(name)
    assert scenario.name == name
    assert scenario.summary.endswith(".")
    assert scenario.report
    assert scenario.outcome
    assert (SHIPPED / f"{name}.toml").read_text().startswith("# ")
