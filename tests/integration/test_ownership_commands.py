"""``hwdash admin ownership`` and ``hwdash admin relationship``."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hwdash.cli.main import cli
from hwdash.clock import system_clock
from hwdash.domain.ownership import IdKind
from hwdash.storage.accounts import create_account
from hwdash.storage.database import Database
from hwdash.storage.ownership import add_owned
from postgresql_cluster import Cluster, cluster
from service import HWDASH, Made, make_service, until

CHID = "3e7d7a3c-6a7e-5d0c-9f1c-0d5f6a1b2c3d"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_service(tmp_path_factory.mktemp("ownership"))


def run(made: Made, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["admin", *arguments], env=made.environment)


def answer(made: Made, *arguments: str) -> dict[str, Any]:
    done = run(made, *arguments, "--json")
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


@pytest.fixture
def publisher(made: Made) -> str:
    done = run(made, "account", "create", "Publisher")
    return str(json.loads(done.stdout.splitlines()[-1])["id"])


@pytest.fixture
def owner(made: Made) -> str:
    return str(made.credentials["accountId"])


def test_ids_are_added_listed_and_removed(made: Made, owner: str, publisher: str) -> None:
    ids = ("--hardware-id", r"PCI\VEN_ABCD", "--chid", f"{{{CHID}}}", "--account", owner)
    expected = [{"kind": "hardwareId", "id": r"pci\ven_abcd"}, {"kind": "chid", "id": CHID}]
    assert answer(made, "ownership", "add", *ids) == {"added": expected}
    assert answer(made, "ownership", "add", *ids) == {"added": []}
    listed = answer(made, "ownership", "list", "--account", owner)["ids"]
    assert [{"kind": each["kind"], "id": each["id"]} for each in listed] == expected
    assert answer(made, "ownership", "list", "--account", publisher) == {"ids": []}
    taken = run(made, "ownership", "add", "--chid", CHID, "--account", publisher)
    assert (taken.exit_code != 0, f"(seller {owner})" in taken.output) == (True, True)
    assert answer(made, "ownership", "remove", *ids) == {"removed": expected}
    assert "nothing removed" in run(made, "ownership", "remove", *ids).output


def test_every_bad_id_is_told(made: Made, owner: str) -> None:
    done = run(made, "ownership", "add", "--chid", "no", "--extension-id", "no", "--account", owner)
    assert done.exit_code != 0
    assert "chid: 'no' is no GUID" in done.output
    assert "extensionId: 'no' is no GUID" in done.output
    assert run(made, "ownership", "add", "--account", owner).exit_code != 0


def test_a_relationship_is_requested_approved_and_rejected(made: Made, owner: str, publisher: str) -> None:
    answer(made, "ownership", "add", "--hardware-id", r"USB\VID_1234", "--account", owner)
    parties = ("--owner", owner, "--publisher", publisher)
    foreign = run(made, "relationship", "request", *parties, "--hardware-id", r"USB\VID_9999")
    assert (foreign.exit_code != 0, "is not owned by account" in foreign.output) == (True, True)
    asked = answer(made, "relationship", "request", *parties, "--hardware-id", r"USB\VID_1234&PID_1")
    assert (asked["status"], asked["hardwareIds"], asked["chids"]) == ("requested", [r"usb\vid_1234&pid_1"], [])
    identifier = str(asked["id"])
    assert answer(made, "relationship", "approve", identifier, "--by", "Ann") == {
        "relationshipId": asked["id"],
        "status": "approved",
        "already": False,
    }
    assert answer(made, "relationship", "approve", identifier)["already"] is True
    answer(made, "relationship", "reject", identifier, "--reason", "contract ended", "--by", "Bea")
    (listed,) = answer(made, "relationship", "list", "--account", publisher)["relationships"]
    assert (listed["status"], listed["decidedBy"], listed["reason"]) == ("rejected", "Bea", "contract ended")
    assert listed["id"] in [each["id"] for each in answer(made, "relationship", "list")["relationships"]]


def test_what_is_not_there_is_refused_in_words(made: Made, owner: str) -> None:
    unknown = run(made, "relationship", "approve", "5")
    assert (unknown.exit_code != 0, "there is no relationship 5" in unknown.output) == (True, True)
    other = run(made, "relationship", "request", "--owner", owner, "--publisher", "7", "--chid", CHID)
    assert (other.exit_code != 0, "Name the account" in other.output) == (True, True)


def test_of_two_that_add_an_id_at_once_on_postgresql_one_is_refused_plainly(tmp_path: Path) -> None:
    with cluster() as running:
        made = make_service(tmp_path, HWDASH_DATABASE_URL=running.url)
        database = Database(running.url)
        try:
            with database.writing() as connection:
                other = create_account(connection, "Contoso", system_clock())
            with database.writing() as connection:
                add_owned(connection, other.id, [(IdKind.CHID, CHID)], system_clock())
                # It looks before the other one has committed.
                late = _adding(made, str(made.credentials["accountId"]))
                until(lambda: _waits_for_a_lock(running) or late.poll() is not None, "nobody waits")
            told, complaint = late.communicate(timeout=60)
        finally:
            database.close()
        assert (late.returncode, told) == (2, "")
        assert complaint == f"Error: chid: {CHID} is Contoso's (seller {other.id}); take it away there first.\n"


def _adding(made: Made, account: str) -> subprocess.Popen[str]:
    command = [*HWDASH, "admin", "ownership", "add", "--chid", CHID, "--account", account]
    return subprocess.Popen(
        command, env=made.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


def _waits_for_a_lock(running: Cluster) -> bool:
    asked = "SELECT 1 FROM pg_stat_activity WHERE datname = 'hwdash' AND wait_event_type = 'Lock'"
    return bool(running.ask(asked))
