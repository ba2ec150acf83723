"""The workflow of a shipping label over a real database, with a clock that the tests move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hwdash.storage.database import Database
from stored_labels import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path / 'labels.db'}")
    database.create()
    yield Stage(database, tmp_path)
    database.close()


def test_a_label_ends_in_finalize_publishing_and_is_live(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission())
    label = stage.run(label_id)
    assert (label.current_step, label.state) == ("finalizePublishing", "completed")
    assert set(stage.states(label_id).values()) == {"added"}
    assert label.live_targeting == {"restrictedToAudiences": []}
    assert label.published_at == stage.now


def test_a_step_that_was_tried_often_enough_fails_the_label_with_a_report(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission())
    stage.workflow.give_up(label_id, "preProcessShippingLabel")
    label = stage.label(label_id)
    assert (label.current_step, label.state) == ("preProcessShippingLabel", "failed")
    assert "the operator finds the reason" in label.messages[0]
    assert label.messages[0] in stage.error_report(label_id)
    assert set(stage.states(label_id).values()) == {"notSet"}
    assert label.live_targeting is None
