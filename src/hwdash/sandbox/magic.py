"""Magic product names: for clients that can set nothing else (docs/reference/scenarios.md).

``[sandbox:NAME]`` anywhere in the name plays the shipped scenario NAME for this product alone. A name that begins with
``sandbox:`` says itself what is to happen: ``sandbox: fail STEP``, ``sandbox: fail STEP: MESSAGE`` or
``sandbox: stuck STEP SPAN``.
"""

import re
from functools import lru_cache

from hwdash.sandbox.duration import parse_duration
from hwdash.sandbox.scenario import Effect, Fail, Rule, Scenario, Stuck, When
from hwdash.sandbox.scenario_file import STEPS, ScenarioError, shipped_scenario

_NAMED = re.compile(r"\[sandbox:([^\]]*)\]")
_SAID = re.compile(r"sandbox:\s*(.*)", re.DOTALL)
_FAIL = re.compile(r"fail (\w+)(?::\s*(\S.*))?", re.DOTALL)
_STUCK = re.compile(r"stuck (\w+) (\S+)")
_FORMS = "sandbox: fail STEP, sandbox: fail STEP: MESSAGE, sandbox: stuck STEP SPAN, or [sandbox:SCENARIO]"


@lru_cache(10_000)
def magic_scenario(product_name: str) -> Scenario | None:
    """The scenario that a product's name asks for, None when it asks for none. Raises ScenarioError."""
    if (named := _NAMED.search(product_name)) is not None:
        return shipped_scenario(named[1].strip())
    said = _SAID.fullmatch(product_name)
    if said is None:
        return None
    text = said[1].strip()
    if (fail := _FAIL.fullmatch(text)) is not None:
        message = fail[2] or f"ERROR: the product's name asked for a failure in {fail[1]}."
        return _scenario(fail[1], Fail((message,)))
    if (stuck := _STUCK.fullmatch(text)) is not None:
        try:
            return _scenario(stuck[1], Stuck(parse_duration(stuck[2])))
        except ValueError as error:
            raise ScenarioError([f"The product's name cannot be played: {error}."]) from error
    raise ScenarioError([f"The product's name {product_name[:100]!r} cannot be played: there are {_FORMS}."])


def _scenario(step: str, effect: Effect) -> Scenario:
    if step not in STEPS:
        raise ScenarioError([f"There is no step {step}; there are {', '.join(STEPS)}."])
    return Scenario("magic", rules=(Rule(1, When(step=step), effect),))
