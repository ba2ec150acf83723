"""The service is killed in each step of a shipping label, and in its approval, and still publishes it, once."""

import sys
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from finished_submission import MANUAL, RS5, finished_submission
from hwdash.domain.targets import DriverRow
from hwdash.storage.database import Database
from hwdash.storage.label_tables import shipping_labels
from hwdash.storage.tables import downloads
from hwdash.vocabulary import WINDOWS_UPDATE_STEPS
from service import Made, hwdash, make_service, serve, until

KILLED_SERVICE = (sys.executable, str(Path(__file__).with_name("killed_service.py")))
KILLS = {f"label-{step}" for step in WINDOWS_UPDATE_STEPS[1:]}
# Of nobody's vendor: a person has to approve it.
ROWS = [DriverRow("bundle", "sample.inf", RS5, r"pci\ven_ffff&dev_0001&subsys_00011234")]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_service(tmp_path)


@pytest.mark.timeout(280)
def test_a_label_survives_a_kill_in_every_step(made: Made, tmp_path: Path) -> None:
    marks = tmp_path / "killed"
    marks.mkdir()
    with closing(Database(f"sqlite:///{made.data / 'hwdash.db'}")) as database:
        with database.writing() as connection:
            finished = finished_submission(connection, made.credentials["accountId"], rows=ROWS)
            signed = {"submission_id": finished.id, "type": "signedPackage", "blob": "ab" * 16, "name": "signed.zip"}
            connection.execute(downloads.insert().values(**signed))
        body = {
            "name": "Killed",
            "destination": "windowsUpdate",
            "publishingSpecifications": MANUAL,
            "targeting": {"hardwareIds": finished.targets()},
        }
        label_id = 0
        for _ in range(len(KILLS)):
            with serve(made, command=KILLED_SERVICE, extra={"KILLED": str(marks)}) as served:
                if not label_id:
                    with suppress(httpx.HTTPError):  # the kill may come before the answer
                        assert served.client().http.post(finished.labels, json=body).status_code == 201
                    label_id = _only_label(database).id
                if (marks / "label-microsoftApproval").exists() and not _is_decided(database):
                    until(lambda: bool(_only_label(database).messages), "the label does not wait for approval")
                    hwdash("admin", "approval", "approve", str(label_id), environment=made.environment)
                until(lambda: served.process.poll() is not None, "the service was not killed")
                assert served.process.returncode == -9
        assert {mark.name for mark in marks.iterdir()} == KILLS

        with serve(made) as served:
            path = f"{finished.labels}/{label_id}?includeTargetingInfo=true"
            until(lambda: _only_label(database).state == "completed", "the label was not published")
            shown = served.client().http.get(path).json()
        assert shown["workflowStatus"] == {"currentStep": "finalizePublishing", "state": "completed", "messages": []}
        assert [each["distributionState"] for each in shown["targeting"]["hardwareIds"]] == ["added"]
        label = _only_label(database)
        assert (label.run, label.published_at is not None, label.live_targeting is not None) == (1, True, True)


def _only_label(database: Database) -> sa.Row[tuple[object, ...]]:
    with database.reading() as connection:
        return connection.execute(sa.select(shipping_labels)).one()


def _is_decided(database: Database) -> bool:
    return "decision" in (_only_label(database).approval or {})
