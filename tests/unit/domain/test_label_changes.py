"""The rules of changes of labels (contract/api.md 4.14, 4.15, 7.5 and section 11, 28 to 30)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.label import Driver, Label, Owner, Reach
from hwdash.domain.label_change import LabelChange, LabelState, changed_label, check_cancel, check_changeable
from hwdash.domain.policy import Policy
from hwdash.domain.targets import DriverRow, TargetChanges

CHID, OTHER = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6", "11f13de6-11f1-4f0d-9e39-a1b2c3d4e5f6"
TEST, WIDE, GONE = "audience-of-tests", "audience", "audience-that-was"
RS5, CO, BLUE = "WINDOWS_v100_X64_RS5_FULL", "WINDOWS_v100_X64_CO_FULL", "WINDOWS_v63_X64"
NOTHING = "At least one property is required for update."
TRIO = ["targeting.chids", "targeting.hardwareIds", "targeting.restrictedToAudiences"]
DRIVER = Driver("author", "hlk", "completed", True, False, False, False, False, False)
OWNER = Owner(11111111, Policy(ceilings=True, co_engineering=True), (), {TEST: True, WIDE: False}, ())


def row(number: int, os_code: str = RS5) -> DriverRow:
    return DriverRow("bundle", "Sample.inf", os_code, f"pci\\{number}")


LIVE, OFF = row(1), row(2)


def state_of(
    rows: Mapping[DriverRow, str] | None = None,
    chids: Mapping[str, str] | None = None,
    reach: Reach | None = None,
    **changes: Any,
) -> LabelState:
    label = Label("Label", changes.pop("destination", "windowsUpdate"), None, None, (), (), reach or Reach())
    ended = {"is_own": True, "current_step": "finalizePublishing", "state": "completed", "is_cancelled": False}
    known = {LIVE: "added", OFF: "notSet"} if rows is None else rows
    return LabelState(label=label, rows=known, chids=chids or {}, **ended | changes)


def change_of(**actions: Any) -> LabelChange:
    """``add`` and ``remove`` are rows, ``add_chids`` and ``remove_chids`` CHIDs."""
    add, remove = actions.pop("add", []), actions.pop("remove", [])
    add_chids, remove_chids = actions.pop("add_chids", []), actions.pop("remove_chids", [])
    return LabelChange(
        rows=[*add, *remove],
        row_actions=["add"] * len(add) + ["remove"] * len(remove),
        chids=[*add_chids, *remove_chids],
        chid_actions=["add"] * len(add_chids) + ["remove"] * len(remove_chids),
        **actions,
    )


def changed(
    state: LabelState, change: LabelChange, *, driver: Driver = DRIVER, owner: Owner = OWNER
) -> tuple[TargetChanges, Reach]:
    return changed_label(driver, owner, state, change)


def refusal(state: LabelState, change: LabelChange, **given: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        changed(state, change, **given)
    return caught.value


def targets(state: LabelState, change: LabelChange, **given: Any) -> list[str]:
    error = refusal(state, change, **given)
    assert error.code == Code.INVALID_INPUT
    return [target for target, _ in error.targets]


class TestTargets:
    def test_what_is_added_and_removed_becomes_pending(self) -> None:
        new = row(3)
        changes, _ = changed(state_of(), change_of(add=[new, new, OFF], remove=[LIVE]))
        moved = {OFF: "pendingAdd", LIVE: "pendingRemove"}
        assert changes == TargetChanges(new=[new], changed=moved, new_chids=[], dropped_chids=[])

    def test_a_wish_that_has_not_come_true_is_taken_back(self) -> None:
        pending = {row(1): "pendingAdd", row(2): "pendingRemove", row(3): "added"}
        chids = {CHID: "pendingAdd", OTHER: "pendingRemove"}
        change = change_of(add=[row(2)], remove=[row(1)], add_chids=[OTHER], remove_chids=[CHID])
        changes, _ = changed(state_of(pending, chids), change)
        assert changes.changed == {row(2): "added", row(1): "notSet"}
        assert (changes.changed_chids, list(changes.dropped_chids)) == ({OTHER: "added"}, [CHID])

    def test_chids_become_pending_too(self) -> None:
        changes, _ = changed(state_of(chids={CHID: "added"}), change_of(add_chids=[OTHER], remove_chids=[CHID]))
        assert (list(changes.new_chids), changes.changed_chids) == ([OTHER], {CHID: "pendingRemove"})

    @pytest.mark.parametrize(
        ("change", "places"),
        [
            (change_of(remove=[row(3)]), ["hardwareIds[0]"]),
            (change_of(add=[row(3)], remove=[OFF]), ["hardwareIds[1]"]),
            (change_of(remove_chids=[CHID]), ["chids[0]"]),
            (change_of(add=[row(3)], remove=[row(3)]), ["hardwareIds[1].action"]),
            (
                LabelChange(rows=[row(3), None], row_actions=["", "drop"]),
                ["hardwareIds[0].action", "hardwareIds[1].action"],
            ),
            (LabelChange(chids=[CHID], chid_actions=["Removed"]), ["chids[0].action"]),
        ],
    )
    def test_what_is_not_there_and_what_is_not_said(self, change: LabelChange, places: list[str]) -> None:
        assert targets(state_of(), change) == [f"targeting.{place}" for place in places]

    def test_every_finding_comes_at_once(self) -> None:
        change = change_of(
            add=[row(3, BLUE)], remove=[row(4)], add_chids=[CHID], audiences=["another"], releases=("RS9", None)
        )
        with pytest.raises(DomainError) as caught:
            changed_label(DRIVER, OWNER, state_of(), change, [("targeting.chids[1].chid", "Wrong.")], ["name"])
        assert [target for target, _ in caught.value.targets] == [
            "targeting.chids[1].chid",
            "name",
            "targeting.hardwareIds[1]",
            "targeting.chids",
            "targeting.restrictedToAudiences",
            "targeting.inServicePublishInfo.flooring",
        ]


class TestReach:
    def test_audiences_are_replaced_and_an_empty_list_removes_them(self) -> None:
        restricted = state_of(reach=Reach(audiences=[WIDE]))
        assert changed(restricted, change_of(audiences=[TEST]))[1].audiences == [TEST]
        assert changed(restricted, change_of(audiences=[]))[1].audiences == []
        assert changed(restricted, change_of(add=[OFF]))[1].audiences == [WIDE]

    def test_nothing_at_all_is_refused_for_the_three_properties(self) -> None:
        """Section 11, 30, and contract/observed.md 8."""
        for change in (LabelChange(), change_of(audiences=[])):
            error = refusal(state_of(), change)
            assert error.targets == tuple((target, NOTHING) for target in TRIO)

    @pytest.mark.parametrize(
        "change",
        [
            change_of(add=[LIVE]),
            change_of(add_chids=[CHID]),
            change_of(audiences=[WIDE, TEST]),
            change_of(releases=("RS5", None)),
        ],
    )
    def test_what_is_so_already_is_refused_too(self, change: LabelChange) -> None:
        as_it_is = state_of(chids={CHID: "added"}, reach=Reach(audiences=[TEST, WIDE], floor="RS5"))
        error = refusal(as_it_is, change)
        assert [target for target, _ in error.targets] == TRIO
        assert "nothing would change" in error.targets[0][1]

    def test_a_floor_is_replaced_and_removed(self) -> None:
        known = state_of(reach=Reach(floor="RS5"))
        assert changed(known, change_of(releases=("CO", None)))[1].floor == "CO"
        assert changed(known, change_of(releases=(None, None)))[1] == Reach()
        assert targets(known, change_of(builds=(27000, None))) == ["targeting.coEngDriverPublishInfo"]
        assert changed(known, change_of(releases=(None, None), builds=(27000, None)))[1] == Reach(floor_build=27000)

    @pytest.mark.parametrize("change", [{"releases": (None, "CO")}, {"builds": (None, 27000)}])
    def test_a_ceiling_needs_a_justification(self, change: dict[str, Any]) -> None:
        """Section 11, 28."""
        assert targets(state_of(), change_of(**change)) == ["targeting.businessJustification"]
        reach = changed(state_of(), change_of(**change, justification="Breaks."))[1]
        # One that is there already was justified.
        changed(state_of(reach=reach), change_of(**change, add=[OFF]))

    def test_a_justification_is_a_change_of_its_own(self) -> None:
        assert changed(state_of(), change_of(justification="Because."))[1] == Reach()

    def test_a_ceiling_needs_the_accounts_right(self) -> None:
        poor = replace(OWNER, policy=Policy())
        for change in ({"releases": ("RS5", "CO")}, {"builds": (27000, None)}):
            error = refusal(state_of(), change_of(**change, justification="Because."), owner=poor)
            assert (error.code, error.targets) == (Code.FORBIDDEN, ())
        changed(state_of(reach=Reach(ceiling="CO")), change_of(add=[OFF]), owner=poor)
        changed(state_of(reach=Reach(ceiling="CO")), change_of(releases=(None, None)), owner=poor)


class TestRulesOfWhatIsLeft:
    def test_chids_need_windows_10(self) -> None:
        old = {row(1, BLUE): "added", row(2): "added"}
        assert targets(state_of(old), change_of(add_chids=[CHID])) == ["targeting.chids"]
        changed(state_of(old), change_of(add_chids=[CHID], remove=[row(1, BLUE)]))

    def test_enforced_chids_stay(self) -> None:
        enforced = replace(DRIVER, enforces_chids=True)
        label = state_of(chids={CHID: "added"})
        assert targets(label, change_of(remove_chids=[CHID]), driver=enforced) == ["targeting.chids"]
        changed(label, change_of(remove_chids=[CHID], add_chids=[OTHER]), driver=enforced)
        changed(label, change_of(remove_chids=[CHID], remove=[LIVE]), driver=enforced)

    @pytest.mark.parametrize("driver", [{"test_harness": "attestation"}, {"is_test_sign": True}])
    def test_drivers_for_tests_stay_restricted(self, driver: dict[str, Any]) -> None:
        tests_only = replace(DRIVER, **driver)
        label = state_of(reach=Reach(audiences=[TEST]))
        for audiences in ([], [WIDE]):
            assert targets(label, change_of(audiences=audiences), driver=tests_only) == [TRIO[2]]
        changed(label, change_of(add=[OFF]), driver=tests_only)

    def test_an_audience_that_was_taken_away_does_not_bar_other_changes(self) -> None:
        label = state_of(reach=Reach(audiences=[GONE]))
        changed(label, change_of(add=[OFF]), driver=replace(DRIVER, test_harness="attestation"))
        assert targets(state_of(), change_of(audiences=[GONE])) == [TRIO[2]]

    def test_a_floor_below_the_lowest_release(self) -> None:
        rows = {row(1): "added", row(1, CO): "added"}
        label = state_of(rows, reach=Reach(floor="RS5"))
        assert targets(label, change_of(remove=[row(1)])) == ["targeting.inServicePublishInfo.flooring"]
        changed(label, change_of(remove=[row(1)], releases=("CO", None)))
        changed(label, change_of(remove=[row(1), row(1, CO)]))


class TestState:
    @pytest.mark.parametrize("state", ["notStarted", "started"])
    def test_nothing_is_changed_while_the_workflow_runs(self, state: str) -> None:
        for step, words in (("publishing", "Try again"), ("microsoftApproval", "can only be cancelled")):
            with pytest.raises(DomainError) as caught:
                check_changeable(state_of(state=state, current_step=step))
            assert caught.value.code == Code.INVALID_INPUT
            assert words in caught.value.message

    def test_what_has_ended_is_changeable_unless_cancelled(self) -> None:
        check_changeable(state_of())
        check_changeable(state_of(state="failed", current_step="preProcessShippingLabel"))
        with pytest.raises(DomainError) as caught:
            check_changeable(state_of(is_cancelled=True, state="failed"))
        assert caught.value.code == Code.REQUEST_INVALID_FOR_CURRENT_STATE

    def test_anothers_label_is_neither_changed_nor_cancelled(self) -> None:
        foreign = state_of(is_own=False, is_cancelled=True)
        for check in (check_changeable, check_cancel):
            with pytest.raises(DomainError) as caught:
                check(foreign)
            assert caught.value.code == Code.UPDATE_UNAUTHORIZED

    def test_of_a_deprecated_submission_only_removal_is_left(self) -> None:
        deprecated = replace(DRIVER, is_deprecated=True)
        label = state_of(chids={CHID: "added"}, reach=Reach(audiences=[WIDE]))
        changed(label, change_of(remove=[LIVE], justification="Because."), driver=deprecated)
        for change in (
            change_of(add=[OFF], remove=[LIVE]),
            change_of(add_chids=[OTHER]),
            change_of(audiences=[]),
            change_of(releases=("RS5", None)),
        ):
            assert refusal(label, change, driver=deprecated).code == Code.REQUEST_INVALID_FOR_CURRENT_STATE

    def test_cancelling_works_in_approval_and_is_safe_to_repeat(self) -> None:
        waiting = {"current_step": "microsoftApproval", "state": "started"}
        assert check_cancel(state_of(**waiting))
        assert not check_cancel(state_of(**waiting, is_cancelled=True))
        assert not check_cancel(state_of(current_step="microsoftApproval", state="failed", is_cancelled=True))
        for wrong in (
            state_of(),
            state_of(current_step="microsoftApproval", state="failed"),
            state_of(current_step="publishing", state="started"),
            state_of(**waiting, destination="anotherPartner"),
        ):
            with pytest.raises(DomainError) as caught:
                check_cancel(wrong)
            assert caught.value.code == Code.REQUEST_INVALID_FOR_CURRENT_STATE
