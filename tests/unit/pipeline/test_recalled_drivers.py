"""What a recall does to labels of every kind, to partners' copies, and what it lists."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hwdash.domain.reason import ReasonRefused
from hwdash.pipeline.recall import DeniedName, NothingToRecall, Recalled, recall_driver
from hwdash.pipeline.review import Decision
from hwdash.storage.database import Database
from hwdash.storage.label_tables import shipping_labels
from hwdash.storage.offers import find_candidates
from hwdash.storage.recalls import all_recalls, find_recall, is_recalled_blob, package_blob
from hwdash.storage.tables import downloads, submissions
from stored_labels import AUTOMATIC, MANUAL, NOON, TRUSTED, Stage

PNP = r"pci\ven_1234&dev_5678&subsys_00011234"
CHID = "70ffd812-4c7f-5c7d-8000-000000000001"
DECISION = Decision("Ann", "it bites", NOON)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    yield Stage(database, tmp_path)
    database.close()


def take_back(stage: Stage, submission_id: int, decision: Decision = DECISION) -> Recalled:
    return recall_driver(stage.database, stage.blobs, submission_id, decision)


def live_label(stage: Stage, submission_id: int, *, specifications: dict[str, object] = MANUAL) -> int:
    label_id = stage.new_label(submission_id, specifications=specifications, chids=[CHID])
    stage.run(label_id)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    return label_id


def offered(stage: Stage, account_id: int = 0) -> int:
    """How many rows machines may be offered."""
    with stage.database.reading() as connection:
        found = find_candidates(connection, account_id or stage.account_id, [PNP], [CHID])
        return sum(1 for row in found if row.live_targeting is not None and row.state in ("added", "pendingRemove"))


def test_a_live_label_ends_with_the_reason(stage: Stage) -> None:
    submission = stage.new_submission()
    label_id = live_label(stage, submission)
    assert offered(stage) == 1
    done = take_back(stage, submission)
    label = stage.label(label_id)
    assert (label.state, label.is_cancelled, label.live_targeting) == ("failed", True, None)
    assert label.messages == ["ERROR label.recalled: the operator recalled this driver: it bites"]
    assert stage.states(label_id) == {PNP: "notSet"}
    assert offered(stage) == 0
    assert "it bites" in stage.error_report(label_id)
    assert done.label_ids == [label_id]


def test_a_rollout_under_way_ends_and_its_workflow_cannot_go_on(stage: Stage) -> None:
    account = stage.new_account("Trusted", TRUSTED)
    submission = stage.new_submission(account_id=account)
    label_id = live_label(stage, submission, specifications=AUTOMATIC)
    assert stage.label(label_id).rollout is not None
    assert offered(stage, account) == 1
    take_back(stage, submission)
    stage.pass_time(days=20)
    label = stage.run(label_id)
    assert label.state == "failed"
    assert offered(stage, account) == 0


@pytest.mark.parametrize("step", ["preProcessShippingLabel", "microsoftApproval", "publishing"])
def test_a_label_made_in_the_same_moment_fails_at_its_next_step(stage: Stage, step: str) -> None:
    """Its maker saw the submission before the recall, and the recall did not see the label."""
    submission = stage.new_submission()
    take_back(stage, submission)
    label_id = stage.new_label(submission)
    stage.change(label_id, current_step=step, state="started", step_since=NOON)
    label = stage.run(label_id)
    assert (label.state, label.current_step) == ("failed", step)
    assert "label.recalled" in label.messages[0]
    assert stage.states(label_id) == {PNP: "notSet"}


def test_what_partners_have_of_it_ends_too(stage: Stage) -> None:
    submission, receiver = stage.new_submission(), stage.new_account("Receiver", TRUSTED)
    share = stage.new_label(
        submission, destination="anotherPartner", specifications={"receiverPublisherId": str(receiver)}
    )
    stage.change(share, receiver_id=receiver)
    stage.run(share)
    copy = stage.label(share).received_submission_id
    theirs = live_label(stage, copy)
    assert offered(stage, receiver) == 1
    done = take_back(stage, copy)
    assert done.submission_id == submission
    assert set(done.label_ids) == {share, theirs}
    assert offered(stage, receiver) == 0
    with stage.database.reading() as connection:
        rows = connection.execute(sa.select(submissions).where(submissions.c.id.in_([submission, copy]))).all()
        assert [row.recalled_at for row in rows] == [NOON, NOON]
        assert all("it bites" in row.messages[-1] for row in rows)
        blobs = set(connection.execute(sa.select(downloads.c.blob)).scalars())
        assert {each for each in blobs if is_recalled_blob(connection, each)} == {package_blob(connection, copy)}


def test_others_go_on(stage: Stage) -> None:
    submission, other = stage.new_submission(), stage.new_submission()
    label_id = live_label(stage, other)
    take_back(stage, submission)
    assert stage.label(label_id).state == "completed"
    assert offered(stage) == 1


def test_a_recall_that_fails_leaves_nothing_half_done(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    submission = stage.new_submission()
    label_id = live_label(stage, submission)

    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage.blobs, "put_file", full)
    with pytest.raises(OSError, match="No space"):
        take_back(stage, submission)
    assert stage.label(label_id).state == "completed"
    with stage.database.reading() as connection:
        assert all_recalls(connection) == []


def test_a_lost_package_is_recalled_all_the_same_and_told(stage: Stage) -> None:
    submission = stage.new_submission()
    done = take_back(stage, submission)
    assert done.problem is not None
    assert "the signed package cannot be read" in done.problem
    again = take_back(stage, submission)
    assert not again.is_new
    with stage.database.reading() as connection:
        stored = find_recall(connection, submission)
        assert stored is not None
        assert stored.problem == done.problem


@pytest.mark.parametrize("state", ["started", "failed"])
def test_what_was_never_handed_out_cannot_be_recalled(stage: Stage, state: str) -> None:
    submission = stage.new_submission(state=state)
    with pytest.raises(NothingToRecall, match=f"it is at finalizeIngestion, {state}"):
        take_back(stage, submission)
    with stage.database.reading() as connection:
        assert connection.execute(sa.select(shipping_labels)).all() == []
        assert all_recalls(connection) == []


def test_a_submission_that_is_not_there(stage: Stage) -> None:
    with pytest.raises(NothingToRecall, match="there is no submission 7"):
        take_back(stage, 7)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 2001])
def test_a_reason_is_one_line(stage: Stage, reason: str) -> None:
    with pytest.raises(ReasonRefused):
        take_back(stage, stage.new_submission(), Decision("Ann", reason, NOON))


def test_names_to_deny_are_kept(stage: Stage) -> None:
    submission = stage.new_submission()
    recall_driver(stage.database, stage.blobs, submission, DECISION, [DeniedName("widget.sys", "1.2.3.4")])
    with stage.database.reading() as connection:
        stored = find_recall(connection, submission)
        assert stored is not None
        assert stored.denied_names == [{"fileName": "widget.sys", "upTo": "1.2.3.4"}]
