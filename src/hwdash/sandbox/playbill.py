"""What is being played: the scenario that was set, kept in the data folder, and those that product names ask for."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hwdash.sandbox.magic import magic_scenario
from hwdash.sandbox.scenario import Answer, Effect, Occasion, Play, Scenario
from hwdash.sandbox.scenario_file import ScenarioError, parse_scenario
from hwdash.settings import SettingsError
from hwdash.signing.keys import write_atomically

SCENARIO_FILE = "sandbox-scenario.toml"
_MAX_MAGIC = 10_000


@dataclass(frozen=True, slots=True)
class Struck:
    """An effect that comes now, and the rule that brings it: "SCENARIO, rule N"."""

    effect: Effect
    rule: str


def store_scenario(data: Path, text: str) -> None:
    """Have a sandbox play this scenario from its next start. Raises ScenarioError."""
    parse_scenario(text, "stored")
    write_atomically(data / SCENARIO_FILE, text.encode(), mode=0o600)


class Playbill:
    """The scenarios in force. Any thread may use it."""

    def __init__(self, data: Path) -> None:
        """Raises SettingsError when the stored scenario cannot be played any more."""
        self._file = data / SCENARIO_FILE
        self._lock = threading.Lock()
        self._set: Play | None = None
        self._magic: dict[tuple[str, str], Play] = {}
        try:
            self._set = Play(parse_scenario(self._file.read_text("utf-8"), "stored"))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, ScenarioError) as error:
            raise SettingsError(f"{self._file}: {error}\nRemove it, and set a scenario anew.") from error

    @property
    def scenario(self) -> Scenario | None:
        """The scenario that was set."""
        return self._set.scenario if self._set is not None else None

    def set(self, text: str, name: str) -> Scenario:
        """Play this scenario instead of the one before; counting begins anew. Raises ScenarioError."""
        scenario = parse_scenario(text, name)
        with self._lock:
            write_atomically(self._file, text.encode(), mode=0o600)
            self._set = Play(scenario)
        return scenario

    def clear(self) -> None:
        """Play none. What product names ask for stays."""
        with self._lock:
            self._file.unlink(missing_ok=True)
            self._set = None

    def effects(self, occasion: Occasion, comes: Callable[[Effect], bool] = lambda _effect: True) -> list[Struck]:
        """What strikes now, in the order of the rules.

        Occasions are counted for the rules whose effect ``comes`` says can come now. Behind an answer in place of the
        service's no further rule is asked.
        """
        struck: list[Struck] = []
        with self._lock:
            for play in self._plays(occasion):
                for rule in play.scenario.rules:
                    if rule.when.fits(occasion) and comes(rule.effect) and play.strikes(rule, occasion):
                        struck.append(Struck(rule.effect, f"{play.scenario.name}, rule {rule.number}"))
                        if isinstance(rule.effect, Answer) and not rule.effect.after:
                            return struck
        return struck

    def _plays(self, occasion: Occasion) -> Iterator[Play]:
        if self._set is not None:
            yield self._set
        try:
            scenario = magic_scenario(occasion.product)
        except ScenarioError:
            return  # such a name was refused when it was given, or is older than this version of hwdash
        if scenario is not None:
            key = occasion.product, occasion.subject
            if len(self._magic) >= _MAX_MAGIC:
                self._magic.clear()
            yield self._magic.setdefault(key, Play(scenario))
