"""Scenarios from TOML: strict, and with every finding at once (docs/reference/scenarios.md)."""

import re
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from hwdash.sandbox.duration import parse_duration
from hwdash.sandbox.routes import METHODS, ROUTES
from hwdash.sandbox.scenario import (
    Answer,
    CancelTakes,
    CutOff,
    Delay,
    Effect,
    Fail,
    Hide,
    NumericStep,
    Rule,
    Scenario,
    Stuck,
    Times,
    Urls,
    When,
)
from hwdash.sandbox.urls import STYLES
from hwdash.vocabulary import SHARING_STEPS, SUBMISSION_STEPS, WINDOWS_UPDATE_STEPS, DownloadType, LabelStep

MAX_BYTES = 256 * 1024
MAX_RULES = 200
SHIPPED = Path(__file__).parent / "scenarios"
LONGEST_DELAY = timedelta(minutes=10)
STEPS = tuple(
    str(each) for each in (*SUBMISSION_STEPS, *dict.fromkeys((*WINDOWS_UPDATE_STEPS[1:], *SHARING_STEPS[1:])))
)
"""The steps of submissions and of shipping labels. ``created`` is over before a label exists."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TIMES = re.compile(r"first ([0-9]{1,6})|after ([0-9]{1,6})|([0-9]{1,6})(?:st|nd|rd|th)")
_RULE_HEAD = re.compile(r"\s*\[\[\s*rule\s*\]\]")
LEADING = ("name", "summary", "report", "outcome", "seed", "rule")


class ScenarioError(Exception):
    """A scenario that cannot be played. ``findings`` say what is wrong, where, and what to do."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class _Table:
    """A TOML table that is read key by key; what is wrong, and what was not read, becomes findings."""

    def __init__(self, values: object, where: str, findings: list[str]) -> None:
        self.where = where
        self._findings = findings
        self._left: dict[str, Any] = {}
        if isinstance(values, dict):
            self._left = dict(values)
        else:
            findings.append(f"{where} must be a table, such as {{ key = value }}.")

    def complain(self, key: str, sentence: str) -> None:
        """Add a finding about a key."""
        self._findings.append(f"{self.where}: {key} {sentence}")

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        value = self._left.pop(key, default)
        if isinstance(value, str):
            return value
        self.complain(key, f'must be text in quotes, such as "...", not {value!r}.')
        return default

    def choice(self, key: str, known: tuple[str, ...]) -> str | None:
        """One word of those known, None without the key."""
        if key not in self._left:
            return None
        value = self._left.pop(key)
        if value in known:
            return str(value)
        self.complain(key, f"must be one of {', '.join(known)}, not {value!r}.")
        return None

    def number(self, key: str, lowest: int, highest: int) -> int | None:
        """A whole number, None without the key."""
        if key not in self._left:
            return None
        value = self._left.pop(key)
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self.complain(key, f"must be a whole number from {lowest} to {highest}, not {value!r}.")
        return None

    def flag(self, key: str) -> bool:
        """true or false; false without the key."""
        value = self._left.pop(key, False)
        if isinstance(value, bool):
            return value
        self.complain(key, f"must be true or false, not {value!r}.")
        return False

    def span(self, key: str) -> timedelta | None:
        """A span of time, None without the key."""
        if key not in self._left:
            return None
        value = self._left.pop(key)
        try:
            return parse_duration(value if isinstance(value, str) else str(value))
        except ValueError as error:
            self.complain(key, f"cannot be used: {error}.")
            return None

    def raw(self, key: str) -> Any:
        """Whatever stands there, None without the key."""
        return self._left.pop(key, None)

    def keys(self) -> list[str]:
        """What was not read yet."""
        return list(self._left)

    def end(self, known: tuple[str, ...]) -> None:
        """Complain about what was not read."""
        for key in self._left:
            self.complain(key, f"is not known here; there are {', '.join(known)}.")


def parse_scenario(text: str, name: str) -> Scenario:
    """A scenario from TOML; ``name`` counts when it names none itself. Raises ScenarioError."""
    if len(text) > MAX_BYTES:
        raise ScenarioError([f"The scenario has more than {MAX_BYTES >> 10} KiB."])
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError([f"This is not TOML: {error}."]) from error
    findings: list[str] = []
    top = _Table(document, "The scenario", findings)
    own = top.text("name", name)
    if not NAME.fullmatch(own):
        top.complain("name", f"must be of a-z, 0-9 and -, at most 63 characters, not {own!r}.")
    scenario = Scenario(
        name=own,
        summary=top.text("summary"),
        report=top.text("report"),
        outcome=top.text("outcome"),
        seed=top.number("seed", 0, 2**31) or 0,
        rules=_rules(top, text, findings),
    )
    top.end(LEADING)
    if findings:
        raise ScenarioError(findings)
    return scenario


def shipped_names() -> list[str]:
    """The names of the scenarios that come with hwdash."""
    return sorted(file.stem for file in SHIPPED.glob("*.toml"))


def shipped_scenario(name: str) -> Scenario:
    """A scenario that comes with hwdash. Raises ScenarioError for a name that there is not."""
    if name not in shipped_names():
        raise ScenarioError([f"There is no scenario {name!r}; there are {', '.join(shipped_names())}."])
    return parse_scenario((SHIPPED / f"{name}.toml").read_text("utf-8"), name)


def read_scenario(file_or_name: str) -> str:
    """The text of a scenario: one that comes with hwdash, or a file's, which is checked. Raises ScenarioError."""
    if file_or_name in shipped_names():
        return (SHIPPED / f"{file_or_name}.toml").read_text("utf-8")
    try:
        text = Path(file_or_name).read_text("utf-8")
        parse_scenario(text, "unnamed")
    except FileNotFoundError as error:
        known = ", ".join(shipped_names())
        raise ScenarioError([f"{file_or_name} is no file, and no scenario that comes with hwdash: {known}."]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{file_or_name}: {error}."]) from error
    except ScenarioError as error:
        raise ScenarioError([f"{file_or_name}: {finding}" for finding in error.findings]) from error
    return text


def _rules(top: _Table, text: str, findings: list[str]) -> tuple[Rule, ...]:
    tables = top.raw("rule")
    if not isinstance(tables, list) or not tables:
        top.complain("rule", "is missing: a scenario has at least one [[rule]].")
        return ()
    if len(tables) > MAX_RULES:
        top.complain("rule", f"stands there {len(tables)} times; a scenario has at most {MAX_RULES} rules.")
        return ()
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if _RULE_HEAD.match(line)]
    rules = []
    for number, table in enumerate(tables, start=1):
        line = f", line {lines[number - 1]}" if len(lines) == len(tables) else ""
        if (rule := _rule(_Table(table, f"Rule {number}{line}", findings), number, findings)) is not None:
            rules.append(rule)
    return tuple(rules)


def _rule(table: _Table, number: int, findings: list[str]) -> Rule | None:
    conditions = table.raw("when")
    when = _when(_Table({} if conditions is None else conditions, f"{table.where}, when", findings))
    named = [key for key in table.keys() if key in EFFECTS]  # noqa: SIM118 - a method of ours
    effect: Effect | None = None
    if len(named) == 1:
        effect = EFFECTS[named[0]](table, named[0], findings)
    else:
        for key in named:
            table.raw(key)
        found = f"has {', '.join(named)}" if named else "has none"
        findings.append(f"{table.where}: a rule has exactly one effect, this one {found}; there are {_names(EFFECTS)}.")
    table.end(("when", *EFFECTS))
    if effect is None:
        return None
    is_step = isinstance(effect, Fail | Stuck | CancelTakes)
    if is_step and when.step is None:
        findings.append(f"{table.where}: when.step is missing: {named[0]} needs the step that it is about.")
    if is_step and (when.route or when.method or when.query or when.without_header or when.answered):
        findings.append(f"{table.where}: {named[0]} is about a step, and so are its conditions: no route, no status.")
    if not is_step and when.step is not None:
        findings.append(f"{table.where}: {named[0]} is about requests: leave when.step out, or take fail or stuck.")
    if isinstance(effect, CancelTakes) and when.step not in {None, LabelStep.MICROSOFT_APPROVAL}:
        findings.append(
            f"{table.where}: labels can be cancelled in {LabelStep.MICROSOFT_APPROVAL} only: name that step."
        )
    if when.answered is not None and not isinstance(effect, Answer):
        findings.append(f"{table.where}: when.answered is for the effect answer only.")
    return Rule(number, when, effect)


CONDITIONS = ("route", "query", "without-header", "answered", "step", "account", "product", "times", "chance")


def _when(table: _Table) -> When:
    method, route = _route(table)
    query, header = table.text("query") or None, table.text("without-header").lower() or None
    answered = table.number("answered", 100, 599)
    step = table.choice("step", STEPS)
    account = table.number("account", 1, 2**63 - 1)
    product = table.text("product") or None
    times, chance = _times(table), _chance(table)
    table.end(CONDITIONS)
    return When(method, route, query, header, answered, step, account, product, times, chance)


def _route(table: _Table) -> tuple[str | None, str | None]:
    text = table.text("route")
    if not text:
        return None, None
    *method, name = text.split(" ")
    if name not in ROUTES or len(method) > 1 or (method and method[0] not in METHODS):
        table.complain("route", f"must be a route, or a method and a route: {', '.join(ROUTES)}; not {text!r}.")
        return None, None
    return (method[0] if method else None), name


def _times(table: _Table) -> Times | None:
    text = table.text("times")
    if not text:
        return None
    match = _TIMES.fullmatch(text)
    if match is None:
        table.complain("times", f'must be like "first 3", "2nd" or "after 5", not {text!r}.')
        return None
    first, after, nth = (None if group is None else int(group) for group in match.groups())
    if first is not None:
        return Times(1, first)
    return Times(after + 1, None) if after is not None else Times(nth or 0, nth)


def _chance(table: _Table) -> float | None:
    value = table.raw("chance")
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1):
        return value
    table.complain("chance", f"must be a number above 0 and up to 1, not {value!r}.")
    return None


# Effects, by their keys


def _answer(table: _Table, key: str, findings: list[str]) -> Effect | None:
    inner = _Table(table.raw(key), f"{table.where}, {key}", findings)
    status = inner.number("status", 400, 599)
    if status is None:
        inner.complain("status", "is missing or wrong: an answer is an HTTP error, such as 503.")
    answer = Answer(
        status=status or 500,
        message=inner.text("message"),
        retry_after=inner.number("retry-after", 0, 86_400),
        after=inner.flag("after"),
        html=inner.flag("html"),
    )
    inner.end(("status", "message", "retry-after", "after", "html"))
    return answer


def _delay(table: _Table, key: str, _findings: list[str]) -> Effect | None:
    span = table.span(key)
    if span is not None and span > LONGEST_DELAY:
        table.complain(key, "must be at most 10m: it is real time, in which the connection stays open.")
    return None if span is None else Delay(span)


def _cut_off(table: _Table, key: str, findings: list[str]) -> Effect | None:
    inner = _Table(table.raw(key), f"{table.where}, {key}", findings)
    count = inner.number("bytes", 0, 1 << 40)
    if count is None:
        inner.complain("bytes", "is missing or wrong: the number of bytes of the body that still arrive.")
    inner.end(("bytes",))
    return CutOff(count or 0)


def _hide(table: _Table, key: str, findings: list[str]) -> Effect | None:
    inner = _Table(table.raw(key), f"{table.where}, {key}", findings)
    known = ("*", *(str(each) for each in DownloadType))
    download = inner.choice("download", known)
    if download is None:
        inner.complain("download", f"is missing or wrong: one of {', '.join(known)}.")
    span = inner.span("for")
    inner.end(("download", "for"))
    return Hide(download or "*", span)


def _numeric_step(table: _Table, key: str, _findings: list[str]) -> Effect | None:
    return NumericStep() if table.choice(key, ("number",)) is not None else None


def _urls(table: _Table, key: str, findings: list[str]) -> Effect | None:
    inner = _Table(table.raw(key), f"{table.where}, {key}", findings)
    style, expired = inner.choice("style", tuple(STYLES)), inner.flag("expired")
    if style is None and not expired and not inner.keys():
        inner.complain("style", "or expired must be given.")
    inner.end(("style", "expired"))
    return Urls(style, expired)


def _fail(table: _Table, key: str, _findings: list[str]) -> Effect | None:
    messages = table.raw(key)
    if not isinstance(messages, list) or not messages or not all(isinstance(each, str) and each for each in messages):
        table.complain(key, 'must be a list of messages, such as ["ERROR: ..."].')
        return None
    return Fail(tuple(messages))


def _stuck(table: _Table, key: str, _findings: list[str]) -> Effect | None:
    span = table.span(key)
    return None if span is None else Stuck(span)


def _cancel_takes(table: _Table, key: str, _findings: list[str]) -> Effect | None:
    span = table.span(key)
    return None if span is None else CancelTakes(span)


EFFECTS: dict[str, Callable[[_Table, str, list[str]], Effect | None]] = {
    "answer": _answer,
    "delay": _delay,
    "cut-off": _cut_off,
    "hide": _hide,
    "current-step": _numeric_step,
    "urls": _urls,
    "fail": _fail,
    "stuck": _stuck,
    "cancel-takes": _cancel_takes,
}


def _names(table: dict[str, Any]) -> str:
    return ", ".join(table)
