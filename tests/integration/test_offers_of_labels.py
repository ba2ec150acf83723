"""What machines are offered while a label goes its way: the workflow's rows, read by the rules of offers."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hwdash.domain.rollout import Wish
from hwdash.pipeline.review import Decision
from hwdash.pipeline.rollout_wishes import ask
from hwdash.server.api.offers import ask_offers
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.accounts import set_policy
from hwdash.storage.database import Database
from hwdash.storage.label_tables import label_hardware_ids
from hwdash.wire.offers import MachineDocument
from stored_labels import AUTOMATIC, MANUAL, TRUSTED, Inf, Stage

WIDGET, GADGET = "pci\\ven_1234&dev_5678&subsys_00011234", "pci\\ven_1234&dev_5678&subsys_00021234"
FIRST, EARLY, LATE = 0.5, 5, 50
"""Buckets below 1 %, below 10 %, and above."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with closing(Database(f"sqlite:///{tmp_path / 'labels.db'}")) as database:
        database.create()
        stage = Stage(database, tmp_path)
        with database.writing() as connection:
            set_policy(connection, stage.account_id, TRUSTED)
        yield stage


def becomes(
    stage: Stage, hardware_id: str = WIDGET, *, bucket: float = LATE, build: int = 22631, is_insider: bool = False
) -> str:
    """What becomes of the only label that targets the id: ``automatic``, ``optional``, the rule, or nothing."""
    document = MachineDocument.from_wire(
        {
            "os": {"build": build, "architecture": "amd64"},
            "rolloutBucket": bucket,
            "isInsider": is_insider,
            "devices": [{"hardwareIds": [hardware_id]}],
        }
    )
    service, caller = cast(Service, SimpleNamespace(clock=stage.clock)), Caller("x", stage.account_id, ())
    with stage.database.reading() as connection:
        (device,) = ask_offers(connection, service, caller, document)["devices"]
    found = [each["kind"] for each in device["offers"]] + [each["rule"] for each in device["refused"]]
    assert len(found) <= 1
    return str(found[0]) if found else ""


def reached(stage: Stage) -> list[float]:
    return [bucket for bucket in (FIRST, EARLY, LATE) if becomes(stage, bucket=bucket) == "automatic"]


def rolling_out(stage: Stage, **label: Any) -> int:
    """An automatic label on the first day of its rollout."""
    label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC, **label)
    assert becomes(stage) == "live"
    stage.run(label_id)
    assert becomes(stage) == "live"
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    return label_id


def test_an_automatic_label_reaches_the_machines_day_by_day(stage: Stage) -> None:
    label_id = rolling_out(stage)
    assert reached(stage) == [FIRST]
    stage.pass_time(days=7)
    assert reached(stage) == [FIRST, EARLY]
    stage.pass_time(days=6)
    assert reached(stage) == [FIRST, EARLY, LATE]
    stage.pass_time(days=30)
    stage.wake(label_id)
    assert stage.label(label_id).current_step == "finalizePublishing"
    assert reached(stage) == [FIRST, EARLY, LATE]


def test_a_paused_rollout_reaches_nobody_until_it_goes_on(stage: Stage) -> None:
    label_id = rolling_out(stage)
    for wish, expected in ((Wish.PAUSE, []), (Wish.RESUME, [FIRST]), (Wish.FINALIZE, [FIRST, EARLY, LATE])):
        with stage.database.writing() as connection:
            ask(connection, label_id, wish, Decision("Ann", "a report", stage.now))
        stage.wake(label_id)
        assert reached(stage) == expected


def test_a_co_engineered_driver_reaches_insiders_for_sixty_days_by_the_clock_alone(stage: Stage) -> None:
    flown = AUTOMATIC | {"additionalInfoForMsApproval": {"isCoEngineered": True}}
    label_id = stage.new_label(stage.new_submission(), specifications=flown)
    stage.run(label_id)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    assert (becomes(stage, is_insider=True), becomes(stage)) == ("automatic", "insider")
    stage.pass_time(days=59, hours=23)
    assert becomes(stage, is_insider=True) == "automatic"
    stage.pass_time(hours=1)
    assert becomes(stage, is_insider=True) == "rollout"
    stage.wake(label_id)
    assert becomes(stage, is_insider=True) == "live"


def test_a_manual_label_is_an_optional_update_for_all(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission(), specifications=MANUAL)
    stage.run(label_id)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    assert becomes(stage) == "optional"


def test_what_was_live_stays_offered_while_what_is_new_is_rolled_out(stage: Stage) -> None:
    submission = stage.new_submission([Inf([WIDGET, GADGET])])
    (first, second) = (
        {"bundle_id": "bundle", "inf_id": "widget.inf", "os_code": "WINDOWS_v100_X64_RS5_FULL", "hardware_id": each}
        for each in (WIDGET, GADGET)
    )
    label_id = stage.new_label(submission, [first], specifications=AUTOMATIC)
    stage.run(label_id)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    stage.pass_time(days=40)
    stage.wake(label_id)
    stage.restart(label_id)
    with stage.database.writing() as connection:
        stage.add_rows(connection, label_id, submission, [second], run=2)
    stage.run(label_id)
    assert (becomes(stage, WIDGET), becomes(stage, GADGET)) == ("automatic", "live")
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    assert (becomes(stage, WIDGET), becomes(stage, GADGET)) == ("automatic", "rollout")
    assert becomes(stage, GADGET, bucket=FIRST) == "automatic"


def test_what_is_removed_is_offered_until_the_run_is_published(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission(), specifications=MANUAL)
    stage.run(label_id)
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    stage.restart(label_id)
    with stage.database.writing() as connection:
        rows = label_hardware_ids
        connection.execute(rows.update().where(rows.c.label_id == label_id).values(state="pendingRemove"))
    stage.run(label_id)
    assert becomes(stage) == "optional"
    stage.pass_time(seconds=15)
    stage.wake(label_id)
    assert becomes(stage) == "live"
