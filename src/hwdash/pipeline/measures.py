"""An operator's word on what machines with a driver report: it is kept, told, and may pause the rollout."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.measures import SYSTEMIC, Measure, MeasureResult, Verdict
from hwdash.domain.policy import Policy
from hwdash.domain.reason import LONGEST_REASON
from hwdash.domain.rollout import Wish
from hwdash.domain.targets import Finding
from hwdash.pipeline.review import Decision
from hwdash.pipeline.rollout_wishes import NotRollingOut, ask, is_rolling_out
from hwdash.storage.label_progress import AT_ONCE, find_any_label, lock_label, move_label
from hwdash.storage.measures import keep_results, results_of
from hwdash.vocabulary import LabelDestination
from hwdash.wire.measures import MeasuredResult


def record(connection: sa.Connection, label_id: int, given: Sequence[MeasuredResult], decision: Decision) -> bool:
    """Keep the results of the label's run; whether that paused its rollout, as the account's policy has a failure do.

    Raises DomainError with every result that cannot be judged, and NotRollingOut where no such label goes to machines.
    """
    results = _judged(given)
    row = lock_label(connection, label_id)
    if row is None or row.destination != LabelDestination.WINDOWS_UPDATE:
        raise NotRollingOut(f"there is no shipping label {label_id} that goes to machines")
    keep_results(connection, row, results, by=decision.by, now=decision.when)
    if not is_rolling_out(row):
        return False
    # Its owner reads the results.
    move_label(connection, label_id, {"wake_at": AT_ONCE})
    failed = [each for each in results if each.verdict is Verdict.FAIL]
    if not failed or not Policy.of(row.policy).pause_on_failure:
        return False
    reason = " ".join(each.message for each in failed)
    if len(reason) > LONGEST_REASON:
        reason = f"{len(failed)} measures fail, {failed[0].measure.id} among them."
    return ask(connection, label_id, Wish.PAUSE, Decision(decision.by, reason, decision.when))


def recorded(connection: sa.Connection, label_id: int) -> list[tuple[MeasureResult, sa.Row[Any]]]:
    """What was recorded of the label's run, each with its row. Raises NotRollingOut where there is no such label."""
    row = find_any_label(connection, label_id)
    if row is None:
        raise NotRollingOut(f"there is no shipping label {label_id}")
    return results_of(connection, row)


def _judged(given: Sequence[MeasuredResult]) -> list[MeasureResult]:
    found: list[Finding] = []
    results: dict[str, MeasureResult] = {}
    for place, each in enumerate(given):
        path, known = f"results[{place}]", SYSTEMIC.get(each.measure_id)
        own = [each.name, each.at_least, each.at_most, each.minimum]
        if each.measure_id in results:
            found.append((f"{path}.measureId", f"There is a result of {each.measure_id} already."))
        if known is not None and any(value is not None for value in own):
            found.append((path, f"{each.measure_id} is one of Microsoft's: leave name, criterion and minimum out."))
        if known is None and each.name is None:
            found.append((f"{path}.name", f"{each.measure_id} is not known: give its name."))
        if known is None and each.at_least is None and each.at_most is None:
            found.append((path, f"{each.measure_id} is not known: say with atLeast or atMost when it passes."))
        measure = known or Measure(each.measure_id, each.name or "", each.at_least, each.at_most, each.minimum or 0)
        results[each.measure_id] = MeasureResult(measure, each.value, each.population)
    if found:
        raise DomainError(Code.INVALID_INPUT, "Not every result can be judged.", found)
    return list(results.values())
