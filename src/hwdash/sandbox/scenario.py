"""A scenario: what happens, to which requests and steps, how often. Values only; scenario_file.py reads them.

A rule has conditions and one effect. The conditions all have to hold; one that is None holds always.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from random import Random

from hwdash.sandbox.routes import named_route

# Conditions


@dataclass(frozen=True, slots=True)
class Times:
    """Which of the matching occasions count, the first being 1; ``last`` None: without end."""

    first: int
    last: int | None

    def __contains__(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class Occasion:
    """A request, or a step about to run, as far as conditions ask about it.

    ``answered`` is the status of the service's own answer, 0 before there is one.
    """

    account: int | None = None
    product_id: int | None = None
    product: str = ""
    submission_id: int | None = None
    method: str = ""
    path: str = ""
    query: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    step: str = ""
    answered: int = 0

    @property
    def route(self) -> str:
        """The name of the request's route."""
        return named_route(self.path)[0] if self.path else ""

    @property
    def subject(self) -> str:
        """Whom occasions are counted for: the product, or else the account."""
        if self.product_id is not None:
            return f"product {self.product_id}"
        return f"account {self.account}"


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a rule."""

    method: str | None = None
    route: str | None = None
    query: str | None = None
    without_header: str | None = None
    answered: int | None = None
    step: str | None = None
    account: int | None = None
    product: str | None = None
    times: Times | None = None
    chance: float | None = None

    def fits(self, occasion: Occasion) -> bool:
        """Whether all hold but ``times`` and ``chance``, which only a run can tell."""
        return (
            self.method in {None, occasion.method}
            and self.route in {None, occasion.route}
            and (self.query is None or self.query in occasion.query)
            and (self.without_header is None or self.without_header not in occasion.headers)
            and (self.answered or 0) == occasion.answered
            and (self.step or "") == occasion.step
            and self.account in {None, occasion.account}
            and (self.product is None or fnmatchcase(occasion.product, self.product))
        )


# Effects on requests


@dataclass(frozen=True, slots=True)
class Answer:
    """Another answer than the service's: before the request takes effect, or ``after``. ``retry_after`` in seconds."""

    status: int
    message: str = ""
    retry_after: int | None = None
    after: bool = False
    html: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer comes later, by so much of real time."""

    span: timedelta


@dataclass(frozen=True, slots=True)
class CutOff:
    """The connection ends after so many bytes of the answer's body."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Hide:
    """A download is not listed yet, or none is: ``download`` is "*"; ``span``: for so long after the workflow's end."""

    download: str
    span: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NumericStep:
    """``currentStep`` is a number."""


@dataclass(frozen=True, slots=True)
class Urls:
    """SAS URLs of another ``style`` (urls.py), or ``expired``."""

    style: str | None = None
    expired: bool = False


# Effects on steps


@dataclass(frozen=True, slots=True)
class Fail:
    """The step fails, and the submission or label with it, with these messages."""

    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """The step takes at least so long, by the sandbox's clock."""

    span: timedelta


@dataclass(frozen=True, slots=True)
class CancelTakes:
    """A shipping label that is cancelled in the step ends only so long after, by the sandbox's clock."""

    span: timedelta


RequestEffect = Answer | Delay | CutOff | Hide | NumericStep | Urls
StepEffect = Fail | Stuck | CancelTakes
Effect = RequestEffect | StepEffect


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a scenario, numbered from 1."""

    number: int
    when: When
    effect: Effect


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario. ``report``: the public report that it reproduces; ``outcome``: what our own client makes of it."""

    name: str
    summary: str = ""
    report: str = ""
    outcome: str = ""
    seed: int = 0
    rules: tuple[Rule, ...] = ()


@dataclass(slots=True)
class Play:
    """A scenario being played: it counts occasions, for each product by itself, and throws the dice."""

    scenario: Scenario
    _counted: dict[tuple[int, str], int] = field(default_factory=dict)
    _dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = Random(self.scenario.seed)  # noqa: S311 - repeatable on purpose

    def strikes(self, rule: Rule, occasion: Occasion) -> bool:
        """Count an occasion that fits the rule, and say whether its effect comes now."""
        key = rule.number, occasion.subject
        number = self._counted[key] = self._counted.get(key, 0) + 1
        if rule.when.times is not None and number not in rule.when.times:
            return False
        return rule.when.chance is None or self._dice.random() < rule.when.chance
