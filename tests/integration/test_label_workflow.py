"""The workflow of a shipping label over a real database, with a clock that the tests move."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.domain.calendar import Window
from hwdash.domain.rollout import Wish, percent_at
from hwdash.pipeline import microsoft_approval, publishing, review
from hwdash.pipeline.approval import approve, reject
from hwdash.pipeline.engine import Outcome
from hwdash.pipeline.label import FLIGHT_OVER, STEPS
from hwdash.pipeline.label_work import Failed
from hwdash.pipeline.review import Decision
from hwdash.pipeline.rollout_wishes import NotRollingOut, ask, take_label_back
from hwdash.pipeline.submission import SubmissionWorkflow
from hwdash.storage.accounts import set_policy
from hwdash.storage.calendar import add_window, remove_window
from hwdash.storage.database import Database
from hwdash.storage.label_progress import wake_held_labels
from hwdash.storage.label_tables import label_chids, label_hardware_ids
from hwdash.storage.labels import cancel_label
from hwdash.storage.submissions import claim_step, end_step
from hwdash.storage.tables import submissions
from stored_labels import AUTOMATIC, MANUAL, NOON, TRUSTED, X64, Inf, Stage

CHID = "70ffd812-4c7f-5c7d-8000-000000000001"
WIDGET, GADGET = "pci\\ven_1234&dev_5678&subsys_00011234", "pci\\ven_1234&dev_5678&subsys_00021234"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path / 'labels.db'}")
    database.create()
    yield Stage(database, tmp_path)
    database.close()


def word(stage: Stage, reason: str = "") -> Decision:
    return Decision("Ann", reason, stage.now)


def trust(stage: Stage, **policy: Any) -> None:
    with stage.database.writing() as connection:
        set_policy(connection, stage.account_id, TRUSTED | policy)


def published(stage: Stage, submission_id: int, **label: Any) -> int:
    """A label that has gone live to everybody."""
    label_id = stage.new_label(submission_id, **label)
    stage.run(label_id)
    if stage.label(label_id).approval:
        with stage.database.writing() as connection:
            approve(connection, label_id, word(stage))
    stage.pass_time(days=1)
    stage.wake(label_id)
    if stage.label(label_id).rollout:
        stage.pass_time(days=40)
        stage.wake(label_id)
    assert stage.label(label_id).current_step == "finalizePublishing"
    return label_id


def stands(label: sa.Row[Any]) -> tuple[str, str]:
    return label.current_step, label.state


class TestManualDelivery:
    def test_is_seen_in_approval_for_fifteen_seconds_and_then_goes_to_all(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission(), chids=[CHID])
        label = stage.run(label_id)
        assert stands(label) == ("microsoftApproval", "started")
        assert label.wake_at == NOON + timedelta(seconds=15)
        assert stage.states(label_id) == {WIDGET: "pendingAdd", CHID: "pendingAdd"}
        assert label.live_targeting is None
        stage.pass_time(seconds=15)
        label = stage.wake(label_id)
        assert stands(label) == ("finalizePublishing", "completed")
        assert stage.states(label_id) == {WIDGET: "added", CHID: "added"}
        assert label.live_targeting == {"restrictedToAudiences": []}
        assert (label.published_at, label.rollout, label.messages) == (stage.now, None, [])

    def test_a_workflow_that_comes_too_early_waits_on(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission())
        stage.run(label_id)
        stage.pass_time(seconds=14.9)
        label = stage.run(label_id)
        assert stands(label) == ("microsoftApproval", "started")
        assert label.wake_at == NOON + timedelta(seconds=15)

    def test_a_restricted_hardware_id_needs_a_person(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission([Inf(["pci\\cc_0c03", WIDGET])]))
        label = stage.run(label_id)
        assert label.approval["reasons"] == [
            "it declares a class code: pci\\cc_0c03",
            "it names no device: pci\\cc_0c03",
        ]
        assert label.messages[0] == f"Waits for approval, promotion request {label.approval['requestId']}."
        stage.pass_time(seconds=15)
        label = stage.wake(label_id)
        assert stands(label) == ("microsoftApproval", "started")
        assert label.wake_at is None
        assert "Reason: it declares a class code: pci\\cc_0c03." in label.messages

    def test_a_go_live_date_is_waited_for(self, stage: Stage) -> None:
        specifications = MANUAL | {"goLiveDate": "2026-12-01T00:00:00Z"}
        label_id = stage.new_label(stage.new_submission(), specifications=specifications)
        stage.run(label_id)
        stage.pass_time(seconds=15)
        label = stage.wake(label_id)
        assert label.messages == ["Goes live at 2026-12-01T00:00:00Z."]
        stage.now = label.wake_at
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")

    def test_a_go_live_date_that_has_passed_holds_nothing_up(self, stage: Stage) -> None:
        specifications = MANUAL | {"goLiveDate": "2026-11-01T00:00:00"}
        published(stage, stage.new_submission(), specifications=specifications)


class TestAutomaticDelivery:
    def approved(self, stage: Stage) -> int:
        label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC)
        stage.run(label_id)
        with stage.database.writing() as connection:
            assert approve(connection, label_id, word(stage))
        stage.pass_time(seconds=15)
        stage.wake(label_id)
        return label_id

    def test_waits_for_a_person_then_reaches_ever_more_machines(self, stage: Stage) -> None:
        label_id = self.approved(stage)
        begun = stage.now
        label = stage.label(label_id)
        assert stands(label) == ("microsoftApproval", "started")
        assert label.messages == ["Gradual rollout: 1 %, day 1 of 30"]
        assert stage.states(label_id) == {WIDGET: "added"}
        assert label.live_targeting is not None
        assert label.wake_at == begun + timedelta(days=1)
        for day, percent in ((4, 1), (8, 10), (14, 100), (30, 100)):
            stage.now = begun + timedelta(days=day - 1)
            assert stage.wake(label_id).messages == [f"Gradual rollout: {percent} %, day {day} of 30"]
        stage.now = begun + timedelta(days=30)
        label = stage.wake(label_id)
        assert stands(label) == ("finalizePublishing", "completed")
        assert label.published_at == begun
        assert label.rollout["isFinalized"]

    def test_nobody_is_asked_where_the_policy_trusts_the_account(self, stage: Stage) -> None:
        trust(stage, rollout=[[50, 1], [100, 3]], watchDays=5)
        label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC)
        assert stage.run(label_id).approval is None
        stage.pass_time(seconds=15)
        assert stage.wake(label_id).messages == ["Gradual rollout: 50 %, day 1 of 5"]

    def test_for_test_machines_it_goes_to_all_at_once(self, stage: Stage) -> None:
        trust(stage)
        label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC, audiences=[TEST_REGISTRY_KEY.id])
        stage.run(label_id)
        stage.pass_time(seconds=15)
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")

    def test_a_rollout_of_one_moment_needs_no_wait(self, stage: Stage) -> None:
        trust(stage, rollout=[[100, 1]], watchDays=0)
        label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC)
        stage.run(label_id)
        stage.pass_time(seconds=15)
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")

    def test_a_pause_offers_it_to_none_until_it_is_resumed(self, stage: Stage) -> None:
        label_id = self.approved(stage)
        begun = stage.now
        stage.now = begun + timedelta(days=8)
        with stage.database.writing() as connection:
            assert ask(connection, label_id, Wish.PAUSE, word(stage, "crashes"))
            assert not ask(connection, label_id, Wish.PAUSE, word(stage, "crashes"))
        assert percent_at(stage.label(label_id).rollout, stage.now) == 0
        label = stage.wake(label_id)
        assert label.messages == ["Gradual rollout: paused, 0 %, day 9 of 30: crashes"]
        assert label.wake_at is None
        stage.pass_time(days=100)
        with stage.database.writing() as connection:
            assert ask(connection, label_id, Wish.RESUME, word(stage))
        assert stage.wake(label_id).messages == ["Gradual rollout: 10 %, day 9 of 30"]
        stage.now = begun + timedelta(days=130)
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")

    @pytest.mark.parametrize("specifications", [AUTOMATIC, MANUAL])
    def test_a_co_engineered_driver_flies_for_sixty_days_and_is_then_offered_to_none(
        self, stage: Stage, specifications: dict[str, Any]
    ) -> None:
        trust(stage)
        flown = specifications | {"additionalInfoForMsApproval": {"isCoEngineered": True}}
        label_id = stage.new_label(stage.new_submission(), specifications=flown, chids=[CHID])
        stage.run(label_id)
        stage.pass_time(seconds=15)
        begun, label = stage.now, stage.wake(label_id)
        assert stands(label) == ("microsoftApproval", "started")
        assert label.messages == ["Flight to Insider machines: day 1 of 60"]
        assert stage.states(label_id) == {WIDGET: "added", CHID: "added"}
        stage.now = begun + timedelta(days=59)
        assert stage.wake(label_id).messages == ["Flight to Insider machines: day 60 of 60"]
        with stage.database.writing() as connection, pytest.raises(NotRollingOut, match="never goes to all machines"):
            ask(connection, label_id, Wish.FINALIZE, word(stage))
        stage.now = begun + timedelta(days=60)
        label = stage.wake(label_id)
        assert stands(label) == ("finalizePublishing", "completed")
        assert label.messages == [FLIGHT_OVER]
        assert (label.live_targeting, label.published_at) == (None, begun)
        assert stage.states(label_id) == {WIDGET: "notSet"}

    def test_build_numbers_are_of_a_flight_too_and_a_pause_does_not_lengthen_it(self, stage: Stage) -> None:
        trust(stage)
        builds = {"coEngDriverPublishInfo": {"flooringBuildNumber": 40000}}
        label_id = stage.new_label(stage.new_submission(), specifications=MANUAL, targeting=builds)
        stage.run(label_id)
        stage.pass_time(seconds=15)
        begun = stage.now
        stage.wake(label_id)
        with stage.database.writing() as connection:
            assert ask(connection, label_id, Wish.PAUSE, word(stage, "crashes"))
        assert stage.wake(label_id).messages == ["Flight to Insider machines: paused, 0 %, day 1 of 60: crashes"]
        stage.now = begun + timedelta(days=60)
        assert stage.wake(label_id).messages == [FLIGHT_OVER]

    def test_what_has_flown_can_fly_again(self, stage: Stage) -> None:
        trust(stage)
        flown = MANUAL | {"additionalInfoForMsApproval": {"isCoEngineered": True}}
        submission_id = stage.new_submission()
        label_id = stage.new_label(submission_id, specifications=flown)
        stage.run(label_id)
        for days in (1, 61):
            stage.pass_time(days=days)
            stage.wake(label_id)
        stage.restart(label_id)
        with stage.database.writing() as connection:
            ids = label_hardware_ids
            connection.execute(ids.update().where(ids.c.label_id == label_id).values(state="pendingAdd", run=2))
        stage.run(label_id)
        stage.pass_time(seconds=15)
        assert stage.wake(label_id).messages == ["Flight to Insider machines: day 1 of 60"]

    def test_for_test_machines_a_co_engineered_driver_stays(self, stage: Stage) -> None:
        trust(stage)
        flown = MANUAL | {"additionalInfoForMsApproval": {"isCoEngineered": True}}
        label_id = stage.new_label(stage.new_submission(), specifications=flown, audiences=[TEST_REGISTRY_KEY.id])
        stage.run(label_id)
        stage.pass_time(seconds=15)
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")
        assert stage.states(label_id) == {WIDGET: "added"}

    def test_an_operator_ends_the_watch(self, stage: Stage) -> None:
        label_id = self.approved(stage)
        with stage.database.writing() as connection:
            assert ask(connection, label_id, Wish.FINALIZE, word(stage))
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")

    def test_an_operator_takes_back_what_is_rolled_out(self, stage: Stage) -> None:
        label_id = self.approved(stage)
        with stage.database.writing() as connection:
            assert take_label_back(connection, label_id, word(stage, "it breaks the fan"))
            assert not take_label_back(connection, label_id, word(stage, "it breaks the fan"))
        assert stage.label(label_id).live_targeting is None  # machines need not wait for the workflow
        label = stage.wake(label_id)
        assert stands(label) == ("microsoftApproval", "failed")
        assert "it breaks the fan" in label.messages[0]
        assert stage.states(label_id) == {WIDGET: "notSet"}
        assert label.live_targeting is None
        assert label.is_cancelled

    def test_an_operator_takes_back_what_everybody_has(self, stage: Stage) -> None:
        label_id = self.approved(stage)
        stage.pass_time(days=30)
        stage.wake(label_id)
        with stage.database.writing() as connection:
            assert take_label_back(connection, label_id, word(stage, "it breaks the fan"))
        label = stage.wake(label_id)
        assert stands(label) == ("microsoftApproval", "failed")
        assert label.live_targeting is None
        assert "it breaks the fan" in stage.error_report(label_id)

    def test_the_owner_cancels_the_whole_label_in_its_rollout(self, stage: Stage) -> None:
        label_id = self.approved(stage)
        stage.change(label_id, is_cancelled=True, wake_at=stage.now)
        label = stage.wake(label_id)
        assert stands(label) == ("microsoftApproval", "failed")
        assert label.messages == ["ERROR label.cancelled: the label was cancelled."]
        assert stage.states(label_id) == {WIDGET: "notSet"}
        assert label.live_targeting is None

    def test_a_cancel_that_comes_too_late_is_not_kept(self, stage: Stage) -> None:
        published_id = published(stage, stage.new_submission())
        rolling_id = self.approved(stage)
        with stage.database.writing() as connection:
            assert not cancel_label(connection, published_id, stage.now)
            assert cancel_label(connection, rolling_id, stage.now)
        assert not stage.label(published_id).is_cancelled
        assert stage.wake(rolling_id).state == "failed"


class TestReleaseCalendar:
    """NOON is a Monday, the 23rd of November 2026; the second Tuesday of December is the 8th."""

    def approved(self, stage: Stage, when: datetime, **label: Any) -> sa.Row[Any]:
        """A label whose fifteen seconds end at this time."""
        stage.now = when - timedelta(seconds=15)
        label_id = stage.new_label(stage.new_submission(), **label)
        stage.run(label_id)
        stage.now = when
        return stage.wake(label_id)

    def enter(self, stage: Stage, *windows: Window) -> None:
        with stage.database.writing() as connection:
            for each in windows:
                add_window(connection, each, NOON)
            wake_held_labels(connection)

    def test_what_needs_approval_waits_for_the_day_after_the_updates(self, stage: Stage) -> None:
        trust(stage, releaseCalendar=True)
        label = self.approved(stage, datetime(2026, 12, 7, 9, tzinfo=UTC), specifications=AUTOMATIC)
        assert stands(label) == ("microsoftApproval", "started")
        assert label.messages == [
            "Goes live at 2026-12-10T00:00:00Z.",
            "The release calendar holds it back until 2026-12-10T00:00:00Z: updates of 2026-12.",
        ]
        assert (label.live_targeting, label.wake_at) == (None, datetime(2026, 12, 10, tzinfo=UTC))
        stage.now = label.wake_at
        assert stage.wake(label.id).messages == ["Gradual rollout: 1 %, day 1 of 30"]

    def test_a_rollout_that_has_begun_goes_on(self, stage: Stage) -> None:
        trust(stage, releaseCalendar=True)
        label = self.approved(stage, datetime(2026, 12, 6, 9, tzinfo=UTC), specifications=AUTOMATIC)
        stage.now = datetime(2026, 12, 8, 9, tzinfo=UTC)
        assert stage.wake(label.id).messages == ["Gradual rollout: 1 %, day 3 of 30"]

    def test_what_needs_nobodys_approval_is_held_by_what_holds_every_driver_alone(self, stage: Stage) -> None:
        trust(stage, releaseCalendar=True)
        assert stands(self.approved(stage, datetime(2026, 12, 8, tzinfo=UTC)))[1] == "completed"
        self.enter(stage, Window("Winter", date(2026, 12, 18), date(2027, 1, 1), holds_all=True))
        label = self.approved(stage, datetime(2026, 12, 24, tzinfo=UTC))
        assert label.wake_at == datetime(2027, 1, 2, tzinfo=UTC)
        stage.now = label.wake_at
        assert stands(stage.wake(label.id))[1] == "completed"

    def test_a_go_live_date_is_moved_to_the_next_free_day_and_that_is_told_beforehand(self, stage: Stage) -> None:
        trust(stage, releaseCalendar=True)
        asked = AUTOMATIC | {"goLiveDate": "2026-12-09T23:00:00-05:00"}  # the 10th in UTC
        label = self.approved(stage, NOON, specifications=asked)
        assert label.messages == ["Goes live at 2026-12-10T04:00:00Z."]
        self.enter(stage, Window("Feature update", date(2026, 12, 10), date(2026, 12, 12)))
        label = stage.wake(label.id)
        assert label.messages[0] == "Goes live at 2026-12-13T00:00:00Z."
        assert label.messages[1].endswith(": Feature update.")
        with stage.database.writing() as connection:
            assert remove_window(connection, "Feature update")
            wake_held_labels(connection)
        assert stage.wake(label.id).messages == ["Goes live at 2026-12-10T04:00:00Z."]

    def test_who_waits_for_approval_reads_of_it_while_it_is_so(self, stage: Stage) -> None:
        trust(stage, releaseCalendar=True, approval="required")
        label = self.approved(stage, datetime(2026, 12, 9, tzinfo=UTC), specifications=AUTOMATIC)
        assert label.messages[-1].startswith("The release calendar holds it back until 2026-12-10T00:00:00Z")
        stage.now = datetime(2026, 12, 10, tzinfo=UTC)
        label = stage.wake(label.id)
        assert not any("calendar" in each for each in label.messages)
        assert label.wake_at is None
        with stage.database.writing() as connection:
            approve(connection, label.id, word(stage))
        assert stage.wake(label.id).messages == ["Gradual rollout: 1 %, day 1 of 30"]

    def test_test_machines_expiry_and_accounts_without_it_are_not_held(self, stage: Stage) -> None:
        trust(stage, releaseCalendar=True)
        submission_id = stage.new_submission()
        live = published(stage, submission_id)
        self.enter(stage, Window("For ever", date(2027, 1, 1), date(2027, 12, 31), holds_all=True))
        in_it = datetime(2027, 6, 1, tzinfo=UTC)
        tests = self.approved(stage, in_it, specifications=AUTOMATIC, audiences=[TEST_REGISTRY_KEY.id])
        assert stands(tests)[1] == "completed"
        stage.restart(live)
        with stage.database.writing() as connection:
            connection.execute(label_hardware_ids.update().values(state="pendingRemove"))
        stage.run(live)
        stage.pass_time(seconds=15)
        assert stands(stage.wake(live))[1] == "completed"
        trust(stage)
        assert stands(self.approved(stage, in_it))[1] == "completed"


class TestApproval:
    def test_a_rejection_fails_the_run_and_says_why(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC, chids=[CHID])
        stage.run(label_id)
        with stage.database.writing() as connection:
            assert reject(connection, label_id, word(stage, "too broad"))
        label = stage.wake(label_id)
        assert stands(label) == ("microsoftApproval", "failed")
        assert label.messages == ["ERROR approval.rejected: too broad"]
        assert "ERROR approval.rejected: too broad" in stage.error_report(label_id)
        assert stage.states(label_id) == {WIDGET: "notSet"}

    def test_what_was_live_before_a_rejected_change_stays_so(self, stage: Stage) -> None:
        submission_id = stage.new_submission([Inf([WIDGET, GADGET])])
        rows = [{"bundle_id": "bundle", "inf_id": "widget.inf", "os_code": X64, "hardware_id": WIDGET}]
        label_id = published(stage, submission_id, rows=rows, specifications=AUTOMATIC, chids=[CHID])
        before = stage.label(label_id)
        stage.restart(label_id, targeting={"restrictedToAudiences": ["x"]})
        with stage.database.writing() as connection:
            for table in (label_hardware_ids, label_chids):
                connection.execute(table.update().where(table.c.label_id == label_id).values(state="pendingRemove"))
            added = [row | {"hardware_id": GADGET} for row in rows]
            stage.add_rows(connection, label_id, submission_id, added, run=2)
        label = stage.run(label_id)
        assert label.live_targeting == before.live_targeting
        with stage.database.writing() as connection:
            assert reject(connection, label_id, word(stage, "no"))
        label = stage.wake(label_id)
        assert label.state == "failed"
        assert stage.states(label_id) == {WIDGET: "added", CHID: "added", GADGET: "notSet"}
        assert label.live_targeting == before.live_targeting == label.targeting

    def test_an_approval_that_comes_before_the_label_is_there_is_kept(self, stage: Stage) -> None:
        submission_id = stage.new_submission(state="started", current_step="signing")
        label_id = stage.new_label(submission_id, specifications=AUTOMATIC)
        assert stage.run(label_id).current_step == "publishJobValidation"
        with stage.database.writing() as connection:
            assert approve(connection, label_id, word(stage))
            connection.execute(submissions.update().values(state="completed"))
        stage.wake(label_id)
        stage.pass_time(seconds=15)
        assert stage.wake(label_id).messages == ["Gradual rollout: 1 %, day 1 of 30"]


class TestRemoval:
    def test_takes_effect_without_approval_and_the_last_one_ends_the_label(self, stage: Stage) -> None:
        submission_id = stage.new_submission([Inf([WIDGET, GADGET])])
        label_id = published(stage, submission_id, specifications=AUTOMATIC, chids=[CHID])
        for gone, is_live in ((WIDGET, True), (GADGET, False)):
            stage.restart(label_id)
            ids = label_hardware_ids
            with stage.database.writing() as connection:
                connection.execute(ids.update().where(ids.c.hardware_id == gone).values(state="pendingRemove"))
            label = stage.run(label_id)
            assert label.approval is None
            stage.pass_time(seconds=15)
            label = stage.wake(label_id)
            assert stands(label) == ("finalizePublishing", "completed")
            assert stage.states(label_id)[gone] == "notSet"
            assert (label.live_targeting is not None) is is_live

    def test_of_the_last_chid_reaches_every_machine_and_needs_approval(self, stage: Stage) -> None:
        label_id = published(stage, stage.new_submission(), specifications=AUTOMATIC, chids=[CHID])
        stage.restart(label_id)
        with stage.database.writing() as connection:
            connection.execute(label_chids.update().values(state="pendingRemove"))
        label = stage.run(label_id)
        assert label.approval["reasons"] == ["it is delivered automatically"]
        with stage.database.writing() as connection:
            assert approve(connection, label_id, word(stage))
        stage.pass_time(seconds=15)
        assert stands(stage.wake(label_id)) == ("finalizePublishing", "completed")
        assert stage.states(label_id) == {WIDGET: "added"}

    def test_of_an_audience_needs_approval(self, stage: Stage) -> None:
        label_id = published(stage, stage.new_submission(), specifications=AUTOMATIC, audiences=["x"])
        stage.restart(label_id, targeting={"restrictedToAudiences": []})
        label = stage.run(label_id)
        assert label.approval["reasons"] == ["it is delivered automatically"]
        assert label.live_targeting == {"restrictedToAudiences": ["x"]}


class TestSubmission:
    def test_a_label_made_early_waits_for_it(self, stage: Stage) -> None:
        submission_id = stage.new_submission(state="started", current_step="signing")
        label_id = stage.new_label(submission_id)
        label = stage.run(label_id)
        assert stands(label) == ("publishJobValidation", "started")
        assert label.wake_at is None
        assert label.messages == [f"Waits for submission {submission_id} to complete."]

    def test_that_completes_lets_its_waiting_labels_go_on(self, stage: Stage) -> None:
        submission_id = stage.new_submission(state="started", current_step="signing")
        label_id = stage.new_label(submission_id)
        stage.run(label_id)
        for step, following in (("signing", "finalizeIngestion"), ("finalizeIngestion", None)):
            assert stage.label(label_id).wake_at is None
            moved = {"current_step": following, "state": "started"} if following else {"state": "completed"}
            with stage.database.writing() as connection:
                fence = claim_step(connection, submission_id, step).fence
                assert end_step(connection, submission_id, step, fence=fence, result={}, changes=moved, now=stage.now)
        assert stands(stage.wake(label_id)) == ("microsoftApproval", "started")

    def test_that_fails_fails_its_waiting_labels(self, stage: Stage) -> None:
        submission_id = stage.new_submission(state="started", current_step="signing")
        label_id = stage.new_label(submission_id)
        other = stage.new_label(stage.new_submission(state="started", current_step="signing"))
        stage.run(label_id)
        stage.run(other)
        SubmissionWorkflow(stage.database, stage.resources).give_up(submission_id, "signing")
        label = stage.wake(label_id)
        assert stands(label) == ("publishJobValidation", "failed")
        assert f"submission {submission_id} failed" in label.messages[0]
        assert stage.label(other).wake_at is None

    def test_that_a_review_rejects_fails_them_too(self, stage: Stage) -> None:
        submission_id = stage.new_submission(state="started", current_step="manualReview")
        label_id = stage.new_label(submission_id)
        stage.run(label_id)
        with stage.database.writing() as connection:
            assert review.reject(connection, stage.blobs, submission_id, word(stage, "not signed off"))
        assert stands(stage.wake(label_id)) == ("publishJobValidation", "failed")

    def test_without_a_signed_package_is_not_published(self, stage: Stage) -> None:
        submission_id = stage.new_submission()
        with stage.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM downloads")
        label = stage.run(stage.new_label(submission_id))
        assert stands(label) == ("updateGeneration", "failed")
        assert "label.no-package" in label.messages[0]


class TestSteps:
    def test_a_step_that_was_tried_often_enough_fails_the_label_with_a_report(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission())
        stage.workflow.give_up(label_id, "preProcessShippingLabel")
        label = stage.label(label_id)
        assert stands(label) == ("preProcessShippingLabel", "failed")
        assert "the operator finds the reason" in label.messages[0]
        assert label.messages[0] in stage.error_report(label_id)
        assert stage.states(label_id) == {WIDGET: "notSet"}
        assert stage.workflow.run_step(label_id, "preProcessShippingLabel") == Outcome.STOP

    def test_a_step_that_is_given_up_after_it_passed_harms_nothing(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission())
        stage.run(label_id)
        stage.workflow.give_up(label_id, "preProcessShippingLabel")
        assert stands(stage.label(label_id)) == ("microsoftApproval", "started")

    @pytest.mark.parametrize("step", [microsoft_approval, publishing])
    def test_a_step_that_dies_in_the_middle_leaves_nothing_and_is_run_again(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, step: Any
    ) -> None:
        trust(stage)
        label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC, chids=[CHID])
        if step is publishing:
            label_id = stage.new_label(stage.new_submission(), chids=[CHID])
        stage.run(label_id)
        stage.pass_time(seconds=15)
        real = step.go_live

        def dies(*arguments: Any) -> None:
            real(*arguments)
            raise ConnectionError("the database went away")

        with monkeypatch.context() as patched:
            patched.setattr(step, "go_live", dies)
            with pytest.raises(ConnectionError):
                stage.wake(label_id)
        label = stage.label(label_id)
        assert label.live_targeting is None
        assert stage.states(label_id) == {WIDGET: "pendingAdd", CHID: "pendingAdd"}
        label = stage.run(label_id)
        assert label.live_targeting is not None
        assert stage.states(label_id) == {WIDGET: "added", CHID: "added"}

    def test_a_workflow_that_was_killed_between_steps_goes_on_where_it_was(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission())
        for step in STEPS:
            if stage.label(label_id).current_step != "updateGeneration":
                stage.workflow.run_step(label_id, step)
        assert stands(stage.label(label_id)) == ("updateGeneration", "started")
        assert stands(stage.run(label_id)) == ("microsoftApproval", "started")

    def test_a_label_that_is_gone_ends_its_workflow(self, stage: Stage) -> None:
        assert stage.workflow.run_step(7, "preProcessShippingLabel") == Outcome.STOP

    def test_more_messages_than_are_shown_stand_in_the_report(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        label_id = stage.new_label(stage.new_submission())
        many = [f"ERROR label.x: {number}" for number in range(150)]
        monkeypatch.setitem(STEPS, "preProcessShippingLabel", lambda *_: Failed(many))  # type: ignore[arg-type]
        label = stage.run(label_id)
        assert len(label.messages) == 101
        assert label.messages[-1] == "... and 50 more, which the error report lists"
        assert many[-1] in stage.error_report(label_id)

    def test_each_run_has_a_report_of_its_own(self, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission())
        stage.workflow.give_up(label_id, "preProcessShippingLabel")
        first = stage.label(label_id).error_report
        stage.restart(label_id)
        stage.workflow.give_up(label_id, "preProcessShippingLabel")
        assert stage.label(label_id).error_report != first


def test_a_label_that_shares_goes_its_own_course(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission(), destination="anotherPartner", specifications={})
    stage.change(label_id, receiver_id=stage.new_account("Partner"))
    label = stage.run(label_id)
    assert stands(label) == ("finalizeSharing", "completed")
    assert (label.live_targeting, label.approval, label.rollout) == (None, None, None)
