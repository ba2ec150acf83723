"""The rules of changes of shipping labels (contract/api.md 4.14, 4.15, 7.5 and section 11, items 28 to 30)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.label import (
    RECALLED,
    RULES_OF_CHANGES,
    RULES_OF_EXPIRY,
    Driver,
    Label,
    Owner,
    Reach,
    check_capabilities,
    not_now,
)
from hwdash.domain.submission import CANNOT_CHANGE, NOTHING_GIVEN
from hwdash.domain.targets import REQUIRED, DriverRow, Finding, Findings, TargetChanges, quoted
from hwdash.vocabulary import DistributionState, LabelDestination, LabelStep, TargetingAction, WorkflowState

CHANGEABLE = ("targeting.chids", "targeting.hardwareIds", "targeting.restrictedToAudiences")
T = TypeVar("T", DriverRow, str)


@dataclass(frozen=True, slots=True)
class LabelState:
    """A label as it is. ``rows`` and ``chids`` have their distribution states."""

    label: Label
    is_own: bool
    current_step: str
    state: str
    is_cancelled: bool
    rows: Mapping[DriverRow, str] = field(default_factory=dict)
    chids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelChange:
    """What a request changes. ``rows`` stand beside the ``actions`` of their entries, None where an entry names none;
    ``audiences``, ``releases`` and ``builds`` are None when they are left alone.
    """

    rows: Sequence[DriverRow | None] = ()
    row_actions: Sequence[str] = ()
    chids: Sequence[str] = ()
    chid_actions: Sequence[str] = ()
    audiences: Sequence[str] | None = None
    releases: tuple[str | None, str | None] | None = None
    builds: tuple[int | None, int | None] | None = None
    justification: str | None = None

    def reach(self, current: Reach) -> Reach:
        """What becomes of the reach."""
        if self.audiences is not None and set(self.audiences) != set(current.audiences):
            current = replace(current, audiences=self.audiences)
        if self.releases is not None:
            current = replace(current, floor=self.releases[0], ceiling=self.releases[1])
        if self.builds is not None:
            current = replace(current, floor_build=self.builds[0], ceiling_build=self.builds[1])
        return current


def check_changeable(label: LabelState) -> None:
    """May the label be changed now, in whatever way?"""
    _check_own(label)
    if label.is_cancelled:
        raise not_now("The label was cancelled: it cannot be changed any more. Create another one.")
    if label.state in (WorkflowState.NOT_STARTED, WorkflowState.STARTED):
        message = f"The label's workflow runs, at {label.current_step}. Try again when it has ended."
        if label.current_step == LabelStep.MICROSOFT_APPROVAL:
            message = "The label is in Microsoft approval or gradual rollout: until that ends it can only be cancelled."
        raise DomainError(Code.INVALID_INPUT, message, [("targeting", message)])


def check_cancel(label: LabelState) -> bool:
    """May the label be cancelled now? False when it is already (contract/api.md 4.15)."""
    _check_own(label)
    if label.label.destination == LabelDestination.ANOTHER_PARTNER:
        raise not_now("A label that shares a driver cannot be cancelled; remove what it shares when it has ended.")
    if label.is_cancelled:
        return False
    if (label.current_step, label.state) != (LabelStep.MICROSOFT_APPROVAL, WorkflowState.STARTED):
        raise not_now(
            f"The label can be cancelled in Microsoft approval and gradual rollout only; it is {label.state} at "
            f"{label.current_step}."
        )
    return True


def _check_own(label: LabelState) -> None:
    if not label.is_own:
        raise DomainError(Code.UPDATE_UNAUTHORIZED, "The label is another account's: only that account can change it.")


def changed_label(
    driver: Driver,
    owner: Owner,
    state: LabelState,
    change: LabelChange,
    findings: Sequence[Finding] = (),
    others: Sequence[str] = (),
) -> tuple[TargetChanges, Reach]:
    """What a change makes of a label that can be changed. ``findings`` are what else is wrong with the request,
    ``others`` the properties that it would change besides: all are told at once. Raises DomainError.
    """
    before = state.label.reach
    reach = change.reach(before)
    # An audience that the operator took away since is as it was when it was chosen.
    owner = replace(owner, audiences=dict.fromkeys(before.audiences, True) | dict(owner.audiences))
    given = LabelChange(releases=change.releases, builds=change.builds).reach(Reach())
    check_capabilities(owner, given)
    adds = TargetingAction.ADD in change.row_actions or TargetingAction.ADD in change.chid_actions
    if driver.is_recalled:
        raise not_now(RECALLED)
    if driver.is_deprecated and (adds or reach != before):
        raise not_now("The driver was shared anew, or not any more: labels of this submission can only remove.")
    found = [*findings, *((each, CANNOT_CHANGE) for each in others)]
    changes = _target_changes(state, change, found)
    rows = {**state.rows, **dict.fromkeys(changes.new, DistributionState.PENDING_ADD), **changes.changed}
    left = [row for row, each in rows.items() if each in _TARGETED]
    new_chids = dict.fromkeys(changes.new_chids, DistributionState.PENDING_ADD)
    chids = {**state.chids, **new_chids, **changes.changed_chids}
    after = replace(
        state.label,
        rows=left,
        chids=[chid for chid, each in chids.items() if each in _TARGETED and chid not in changes.dropped_chids],
        reach=reach,
    )
    # What is only taken away may be as it is.
    for rule in RULES_OF_CHANGES if left else RULES_OF_EXPIRY:
        found += rule(driver, owner, after)
    found += _justified_ceiling(before, reach, change)
    if not found and not changes and reach == before and not change.justification:
        found = list(_nothing_changes(change))
    if found:
        raise DomainError(Code.INVALID_INPUT, "The label cannot be changed so; validationErrors lists why.", found)
    return changes, reach


# Plain texts: words of an enumeration take their time to be compared, and there are tens of thousands of entries.
_TARGETED = frozenset({str(DistributionState.ADDED), str(DistributionState.PENDING_ADD)})
_REMOVE = str(TargetingAction.REMOVE)
_ACTIONS = frozenset(map(str, TargetingAction))


def _justified_ceiling(before: Reach, after: Reach, change: LabelChange) -> Findings:
    """Section 11, 28."""
    is_new = (after.ceiling, after.ceiling_build) != (before.ceiling, before.ceiling_build)
    has_one = after.ceiling is not None or after.ceiling_build is not None
    if is_new and has_one and not change.justification:
        yield "targeting.businessJustification", f"{REQUIRED} with a ceiling."


def _nothing_changes(change: LabelChange) -> Findings:
    """Section 11, 30."""
    is_given = change.rows or change.chids or change.audiences or change.releases or change.builds
    message = "The label is so already: nothing would change." if is_given else NOTHING_GIVEN
    return ((target, message) for target in CHANGEABLE)


def _target_changes(state: LabelState, change: LabelChange, found: list[Finding]) -> TargetChanges:
    new, changed = _moves(
        change.rows, change.row_actions, state.rows, "hardwareIds", "The hardware id", found, DistributionState.NOT_SET
    )
    chids: Sequence[str | None] = change.chids
    new_chids, changed_chids = _moves(chids, change.chid_actions, state.chids, "chids", "The CHID", found, None)
    return TargetChanges(
        new=new,
        changed={row: each for row, each in changed.items() if each is not None},
        new_chids=new_chids,
        changed_chids={chid: each for chid, each in changed_chids.items() if each is not None},
        dropped_chids=[chid for chid, each in changed_chids.items() if each is None],
    )


def _moves(
    targets: Sequence[T | None],
    actions: Sequence[str],
    states: Mapping[T, str],
    name: str,
    what: str,
    found: list[Finding],
    gone: str | None,
) -> tuple[list[T], dict[T, str | None]]:
    """Which targets are new, and the states that others get; ``gone`` is that of one that was not live yet."""
    wanted: dict[T, str] = {}
    new: list[T] = []
    changed: dict[T, str | None] = {}
    for place, (target, action) in enumerate(zip(targets, actions, strict=True)):
        at = f"targeting.{name}[{place}]"
        if action not in _ACTIONS:
            given = f", not `{quoted(action)}`" if action else ""
            found.append((f"{at}.action", f"{REQUIRED}, and must be add or remove{given}."))
            continue
        if target is None:
            continue
        if (earlier := wanted.setdefault(target, action)) != action:
            found.append((f"{at}.action", f"{what} is named twice, with {earlier} and with {action}."))
            continue
        now = states.get(target)
        if action == _REMOVE:
            if now in (None, DistributionState.NOT_SET):
                found.append((at, f"{what} is not on the label, so it cannot be removed."))
            elif now == DistributionState.ADDED:
                changed[target] = DistributionState.PENDING_REMOVE
            elif now == DistributionState.PENDING_ADD:
                changed[target] = gone
        elif now is None:
            new.append(target)
        elif now == DistributionState.NOT_SET:
            changed[target] = DistributionState.PENDING_ADD
        elif now == DistributionState.PENDING_REMOVE:
            changed[target] = DistributionState.ADDED
    return list(dict.fromkeys(new)), changed
