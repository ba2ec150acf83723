"""``hwdash admin approval``, ``rollout`` and ``account policy``: what a person says, and that the workflow follows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner, Result

from hwdash.cli.main import cli
from hwdash.cli.output import Refused
from hwdash.clock import system_clock
from hwdash.domain.ownership import IdKind
from hwdash.settings import Settings
from hwdash.storage.database import Database
from hwdash.storage.ownership import add_owned
from hwdash.storage.users import create_user
from stored_labels import AUTOMATIC, MANUAL, NOON, Inf, Stage

CLIENT = "11111111-2222-3333-4444-555555555555"
WIDGET = "pci\\ven_1234&dev_5678&subsys_00011234"
CHID = "70ffd812-4c7f-5c7d-8000-000000000001"


@dataclass
class Administrator:
    """Runs commands beside the stage's database."""

    stage: Stage

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["admin", *arguments, "--data", str(self.stage.folder)])

    def json(self, *arguments: str) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return document

    def refused(self, *arguments: str, code: int = 1) -> str:
        """What the command says when it ends with this code; of a Refused, the one that main() exits with."""
        command = ["admin", *arguments, "--data", str(self.stage.folder)]
        error = CliRunner().invoke(cli, command, standalone_mode=False).exception
        assert isinstance(error, click.ClickException), error
        assert (error.code if isinstance(error, Refused) else error.exit_code) == code
        return error.format_message()


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administrator]:
    monkeypatch.setenv("LOGNAME", "operator")
    (tmp_path / "keys").mkdir()
    database = Database(Settings(data=tmp_path).database)
    database.create()
    yield Administrator(Stage(database, tmp_path))
    database.close()


@pytest.fixture
def stage(admin: Administrator) -> Stage:
    return admin.stage


@pytest.fixture
def waiting(stage: Stage) -> int:
    label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC, chids=[CHID])
    stage.run(label_id)
    return label_id


@pytest.fixture
def rolling(admin: Administrator, waiting: int) -> int:
    admin.json("approval", "approve", str(waiting))
    admin.stage.pass_time(seconds=15)
    admin.stage.wake(waiting)
    return waiting


class TestApproval:
    def test_what_waits_is_listed_with_its_reasons(self, admin: Administrator, waiting: int) -> None:
        admin.stage.run(admin.stage.new_label(admin.stage.new_submission()))  # it asks nobody
        (listed,) = admin.json("approval", "list")["labels"]
        assert listed["labelId"] == waiting
        assert listed["requestId"] == admin.stage.label(waiting).approval["requestId"]
        assert listed["reasons"] == ["it is delivered automatically"]
        assert listed["account"] == "Vendor"
        table = admin.run("approval", "list").stdout
        assert "it is delivered automatically" in table

    def test_show_tells_what_is_asked_for_and_whose_it_is(self, admin: Administrator, waiting: int) -> None:
        with admin.stage.database.writing() as connection:
            add_owned(connection, admin.stage.account_id, [(IdKind.HARDWARE_ID, "pci\\ven_1234")], NOON)
        shown = admin.json("approval", "show", str(waiting))
        assert shown["justifications"] == ["a better driver"]
        assert [each["pnpString"] for each in shown["hardwareIds"]] == [WIDGET]
        assert shown["chids"] == [{"chid": CHID, "distributionState": "pendingAdd"}]
        assert shown["owners"] == [{"accountId": admin.stage.account_id, "account": "Vendor", "ids": [WIDGET]}]
        assert shown["decision"] is None
        text = admin.run("approval", "show", str(waiting)).stdout
        for part in ("a better driver", WIDGET, CHID, "owned by Vendor", "isAutoInstallDuringOSUpgrade: True"):
            assert part in text

    def test_approving_is_done_once_and_kept(self, admin: Administrator, waiting: int) -> None:
        done = admin.json("approval", "approve", str(waiting), "--reason", "tried on the bench", "--by", "Ann")
        assert done == {"labelId": waiting, "decision": "approved", "already": False}
        assert admin.json("approval", "approve", str(waiting), "--by", "Bob")["already"]
        assert admin.json("approval", "list")["labels"] == []
        kept = admin.json("approval", "show", str(waiting))["decision"]
        assert (kept["decision"], kept["by"], kept["reason"]) == ("approved", "Ann", "tried on the bench")
        said = admin.refused("approval", "reject", str(waiting), "--reason", "no")
        assert "does not wait for an approval: it is approved by Ann" in said

    def test_a_rejection_reaches_the_labels_messages(self, admin: Administrator, waiting: int) -> None:
        admin.json("approval", "reject", str(waiting), "--reason", "too broad")
        assert admin.json("approval", "reject", str(waiting), "--reason", "again")["already"]
        label = admin.stage.wake(waiting)
        assert (label.state, label.messages) == ("failed", ["ERROR approval.rejected: too broad"])
        assert "is rejected by" in admin.refused("approval", "approve", str(waiting))

    def test_a_rejection_has_a_reason_for_each_id_with_the_company_that_owns_it(
        self, admin: Administrator, waiting: int
    ) -> None:
        owner = admin.stage.new_account("Contoso")
        with admin.stage.database.writing() as connection:
            add_owned(connection, owner, [(IdKind.HARDWARE_ID, "pci\\ven_1234")], NOON)
        ids = ("--id", WIDGET.upper(), "sold by others, too", "--id", f"{{{CHID}}}", "not out yet")
        admin.json("approval", "reject", str(waiting), "--reason", "too broad", *ids, "--by", "Ann")
        kept = admin.json("approval", "show", str(waiting))["decision"]
        assert kept["ids"] == {WIDGET: "sold by others, too", CHID: "not out yet"}
        label = admin.stage.wake(waiting)
        told = [
            "ERROR approval.rejected: too broad",
            f"ERROR approval.rejected: {WIDGET}, of Contoso (seller {owner}): sold by others, too",
            f"ERROR approval.rejected: {CHID}: not out yet",
        ]
        assert (label.state, label.messages) == ("failed", told)
        assert admin.stage.error_report(waiting).splitlines()[2:] == told

    def test_a_reason_for_one_id_suffices(self, admin: Administrator, waiting: int) -> None:
        admin.json("approval", "reject", str(waiting), "--id", CHID, "not out yet")
        assert admin.stage.wake(waiting).messages == [f"ERROR approval.rejected: {CHID}: not out yet"]

    def test_reasons_of_ids_that_the_label_does_not_target_are_all_told_and_nothing_is_decided(
        self, admin: Administrator, waiting: int
    ) -> None:
        foreign = ("--id", "pci\\ven_9999", "no", "--id", CHID, "no", "--id", "not-an-id", "no")
        said = admin.refused("approval", "reject", str(waiting), *foreign, code=2)
        assert f"label {waiting} does not target pci\\ven_9999, not-an-id:" in said
        assert admin.refused("approval", "reject", str(waiting), "--id", CHID, " ", code=2).count(CHID) == 1
        assert [each["labelId"] for each in admin.json("approval", "list")["labels"]] == [waiting]

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["approve", "7"], 1, "there is no shipping label 7"),
            (["reject", "7"], 2, "needs a reason"),
            (["reject", "7", "--reason", " "], 2, "needs a reason"),
            (["reject", "7", "--reason", "a\nb"], 2, "one line"),
            (["approve", "7", "--by", " "], 2, "--by"),
            (["show", "7"], 1, "there is no shipping label 7"),
        ],
    )
    def test_what_cannot_be_is_told_in_a_sentence(
        self, admin: Administrator, arguments: list[str], code: int, said: str
    ) -> None:
        assert said in admin.refused("approval", *arguments, code=code)

    def test_a_label_that_asks_nobody_cannot_be_approved(self, admin: Administrator, stage: Stage) -> None:
        label_id = stage.new_label(stage.new_submission())
        stage.run(label_id)
        said = admin.refused("approval", "approve", str(label_id))
        assert "does not wait for an approval: it is at microsoftApproval, started" in said

    def test_a_cancelled_label_cannot_be_approved(self, admin: Administrator, waiting: int) -> None:
        admin.stage.change(waiting, is_cancelled=True)
        assert admin.json("approval", "list")["labels"] == []
        assert "it was cancelled" in admin.refused("approval", "approve", str(waiting))

    @pytest.mark.parametrize("command", [["approve"], ["reject", "--reason", "no"]])
    def test_who_made_it_does_not_decide(self, admin: Administrator, waiting: int, command: list[str]) -> None:
        stage = admin.stage
        with stage.database.writing() as connection:
            person = create_user(connection, stage.account_id, "ada@vendor.example", "Ada", ["Administrator"], NOON)
        by_ada = stage.new_label(stage.new_submission(), specifications=AUTOMATIC, created_by=person.user.id)
        stage.run(by_ada)
        submitted = stage.new_submission(created_by=person.user.id)
        of_ada = stage.new_label(submitted, specifications=AUTOMATIC)
        stage.run(of_ada)
        for label_id, by in (
            (waiting, CLIENT),
            (by_ada, person.user.id.upper()),
            (by_ada, "Ada@Vendor.example"),
            (of_ada, "ada@vendor.example"),
        ):
            said = admin.refused("approval", *command, str(label_id), "--by", by)
            assert "wants another person to decide" in said
            assert stage.label(label_id).approval.keys() == {"requestId", "reasons"}
        done = admin.run("account", "policy", "--approver-is-not-submitter", "off")
        assert done.exit_code == 0, done.output
        assert not admin.json("approval", *command, str(by_ada), "--by", "ada@vendor.example")["already"]


class TestCalendar:
    def test_windows_are_added_listed_with_those_of_the_rule_and_removed(self, admin: Administrator) -> None:
        made = admin.json("calendar", "add", "Winter", "2090-12-18", "2091-01-01", "--all-drivers")
        winter = {"firstDay": "2090-12-18", "lastDay": "2091-01-01", "holds": "every driver", "isRule": False}
        assert made == {"name": "Winter"} | winter
        admin.json("calendar", "add", "Past", "2001-01-01", "2001-01-02")
        listed = admin.json("calendar", "list")["windows"]
        assert listed[-1] == made
        assert len(listed) in (12, 13)  # this month's may be over
        assert {each["isRule"] for each in listed[:-1]} == {True}
        assert "what needs approval" in admin.run("calendar", "list").stdout
        assert "removed Winter" in admin.run("calendar", "remove", "Winter").stdout
        assert made not in admin.json("calendar", "list")["windows"]
        assert "has no window Winter" in admin.refused("calendar", "remove", "Winter")

    def test_what_is_wrong_with_a_window_is_told_at_once(self, admin: Administrator) -> None:
        admin.json("calendar", "add", "Winter", "2090-12-18", "2091-01-01")
        said = admin.refused("calendar", "add", "winter", "2090-12-18", "2090-12-17", code=2)
        assert "name: There is a window winter already" in said
        assert "lastDay: Must be" in said
        assert "2090-13-01" in admin.refused("calendar", "add", "x", "2090-13-01", "2090-12-17", code=2)

    def test_an_approver_sees_beforehand_when_it_would_go_live(self, admin: Administrator, waiting: int) -> None:
        assert admin.json("approval", "show", str(waiting))["goesLiveAt"] is None
        today = system_clock().date()
        ends = today + timedelta(days=20)
        admin.json("calendar", "add", "Moratorium", str(today - timedelta(days=1)), str(ends), "--all-drivers")
        assert admin.json("approval", "show", str(waiting))["heldBackBy"] == []
        admin.run("account", "policy", "--release-calendar", "on")
        shown = admin.json("approval", "show", str(waiting))
        assert shown["goesLiveAt"] >= f"{ends + timedelta(days=1)}T00:00:00"
        assert "Moratorium" in shown["heldBackBy"]
        assert "held back by the release calendar: Moratorium" in admin.run("approval", "show", str(waiting)).stdout

    def test_what_waits_looks_anew_when_calendar_or_policy_change(self, admin: Administrator, waiting: int) -> None:
        admin.stage.pass_time(seconds=15)
        first, last = str(admin.stage.now.date()), str(admin.stage.now.date() + timedelta(days=3))
        changes = (
            (("account", "policy", "--release-calendar", "on"), False),
            (("calendar", "add", "Audit", first, last), True),
            (("account", "policy", "--release-calendar", "off"), False),
            (("account", "policy", "--release-calendar", "on"), True),
            (("calendar", "remove", "Audit"), False),
        )
        for command, is_held in changes:
            assert admin.run(*command).exit_code == 0
            messages = admin.stage.wake(waiting).messages
            assert any("holds it back" in each for each in messages) is is_held, command


class TestMeasures:
    GOOD: ClassVar = {"measureId": 26387215, "value": 99.1, "population": 400}
    BAD: ClassVar = {"measureId": "26118008", "value": 2.5, "population": 400}
    OWN: ClassVar = {
        "measureId": "resume-hangs", "name": "hangs on resume", "value": 9, "population": 3, "atMost": 1, "minimum": 20,
    }  # fmt: skip

    def file(self, admin: Administrator, *results: dict[str, Any]) -> str:
        file = admin.stage.folder / "measured.json"
        file.write_text(json.dumps({"results": results}), "utf-8")
        return str(file)

    def test_results_are_judged_kept_listed_and_reach_the_owner(self, admin: Administrator, rolling: int) -> None:
        file = self.file(admin, self.GOOD, self.BAD, self.OWN)
        done = admin.json("measure", "record", str(rolling), file, "--by", "Ann")
        verdicts = {"26118008": "fail", "26387215": "pass", "resume-hangs": "data insufficient"}
        assert {each["measureId"]: each["verdict"] for each in done["results"]} == verdicts
        assert {each["recordedBy"] for each in done["results"]} == {"Ann"}
        assert done["paused"] is False
        assert admin.json("measure", "list", str(rolling))["results"] == done["results"]
        first, *told = admin.stage.wake(rolling).messages
        assert first == "Gradual rollout: 1 %, day 1 of 30"
        assert told == [
            "Measure 26118008 (machines with a kernel-mode crash, %): fail, 2.5 over 400 machines; it passes with 1 or "
            "less.",
            "Measure resume-hangs (hangs on resume): data insufficient, 9 over 3 machines; it passes with 1 or less.",
            "Measure 26387215 (machines where the install completes, %): pass, 99.1 over 400 machines; it passes with "
            "95 or more.",
        ]
        table = admin.run("measure", "list", str(rolling)).stdout
        assert "data insufficient" in table

    def test_a_later_result_takes_the_place_of_an_earlier_one(self, admin: Administrator, rolling: int) -> None:
        admin.json("measure", "record", str(rolling), self.file(admin, self.BAD, self.GOOD))
        admin.json("measure", "record", str(rolling), self.file(admin, self.BAD | {"value": 0.2}))
        found = admin.json("measure", "list", str(rolling))["results"]
        assert [(each["measureId"], each["verdict"]) for each in found] == [("26118008", "pass"), ("26387215", "pass")]

    def test_a_failure_pauses_the_rollout_where_the_policy_says_so(self, admin: Administrator, rolling: int) -> None:
        admin.run("account", "policy", "--pause-on-failure", "on")
        assert not admin.json("measure", "record", str(rolling), self.file(admin, self.GOOD, self.OWN))["paused"]
        assert admin.json("measure", "record", str(rolling), self.file(admin, self.BAD))["paused"]
        message = admin.stage.wake(rolling).messages[0]
        assert message.startswith("Gradual rollout: paused, 0 %, day 1 of 30: Measure 26118008 (")
        assert not admin.json("measure", "record", str(rolling), self.file(admin, self.BAD))["paused"]
        admin.json("rollout", "resume", str(rolling))
        assert admin.stage.wake(rolling).messages[0] == "Gradual rollout: 1 %, day 1 of 30"

    def test_a_changed_label_is_measured_anew(self, admin: Administrator, rolling: int) -> None:
        admin.json("measure", "record", str(rolling), self.file(admin, self.BAD))
        admin.stage.restart(rolling)
        assert admin.json("measure", "list", str(rolling))["results"] == []
        admin.json("measure", "record", str(rolling), self.file(admin, self.BAD))
        assert len(admin.json("measure", "list", str(rolling))["results"]) == 1

    def test_everything_that_is_wrong_with_a_file_is_told_and_nothing_is_kept(
        self, admin: Administrator, rolling: int
    ) -> None:
        both = self.OWN | {"measureId": "both", "atLeast": 1}
        misspelt = self.GOOD | {"valeu": 1, "population": -1, "value": "much"}
        said = admin.refused("measure", "record", str(rolling), self.file(admin, misspelt, both, {"name": " "}), code=2)
        for part in (
            "results[0].value:", "results[0].population:", "results[0].valeu: There is no such property.",
            "results[1].atMost: atLeast and atMost exclude", "results[2].measureId: This property is required.",
            "results[2].name: Must be 1 to 200",
        ):  # fmt: skip
            assert part in said
        known, unknown = self.GOOD | {"atLeast": 1}, {"measureId": "x", "value": 1, "population": 1}
        said = admin.refused(
            "measure", "record", str(rolling), self.file(admin, known, unknown, self.BAD, self.BAD), code=2
        )
        for part in ("results[0]: 26387215 is one of", "results[1].name:", "results[1]: x is", "results[3].measureId:"):
            assert part in said
        assert admin.json("measure", "list", str(rolling))["results"] == []

    @pytest.mark.parametrize("content", [b"[", b"[]", b"{}", b"\xff", b'{"results": []}', b"[" * 100_000])
    def test_a_file_that_is_none_is_refused_plainly(self, admin: Administrator, rolling: int, content: bytes) -> None:
        file = admin.stage.folder / "measured.json"
        file.write_bytes(content)
        assert admin.refused("measure", "record", str(rolling), str(file), code=2)

    def test_only_a_label_that_goes_to_machines_is_measured(self, admin: Administrator, stage: Stage) -> None:
        share = stage.new_label(stage.new_submission(), destination="anotherPartner")
        for label_id in (7, share):
            said = admin.refused("measure", "record", str(label_id), self.file(admin, self.GOOD))
            assert f"there is no shipping label {label_id} that goes to machines" in said
        assert "there is no shipping label 7" in admin.refused("measure", "list", "7")


class TestRollout:
    def test_what_is_rolled_out_is_listed(self, admin: Administrator, rolling: int) -> None:
        (listed,) = admin.json("rollout", "list")["labels"]
        assert listed["labelId"] == rolling
        assert listed["message"] == "Gradual rollout: 1 %, day 1 of 30"
        assert listed["phases"] == [[1, 1], [10, 8], [100, 14]]
        assert "Gradual rollout: 1 %" in admin.run("rollout", "list").stdout

    def test_a_pause_is_asked_for_and_then_done(self, admin: Administrator, rolling: int) -> None:
        done = admin.json("rollout", "pause", str(rolling), "--reason", "crashes")
        assert done == {"labelId": rolling, "asked": "pause", "already": False}
        assert admin.json("rollout", "list")["labels"][0]["asked"] == "pause"
        assert admin.json("rollout", "pause", str(rolling))["already"]
        assert admin.stage.wake(rolling).messages == ["Gradual rollout: paused, 0 %, day 1 of 30: crashes"]
        (listed,) = admin.json("rollout", "list")["labels"]
        assert (listed["asked"], listed["pausedAt"]) == (None, admin.stage.now.isoformat())
        assert admin.json("rollout", "pause", str(rolling))["already"]
        assert not admin.json("rollout", "resume", str(rolling))["already"]
        assert admin.stage.wake(rolling).messages == ["Gradual rollout: 1 %, day 1 of 30"]
        assert admin.json("rollout", "resume", str(rolling))["already"]

    def test_a_resume_before_the_pause_was_done_undoes_it(self, admin: Administrator, rolling: int) -> None:
        admin.json("rollout", "pause", str(rolling))
        admin.json("rollout", "resume", str(rolling))
        assert admin.stage.wake(rolling).messages == ["Gradual rollout: 1 %, day 1 of 30"]

    def test_what_is_finalized_is_not_paused_any_more(self, admin: Administrator, rolling: int) -> None:
        admin.json("rollout", "finalize", str(rolling))
        assert admin.json("rollout", "finalize", str(rolling))["already"]
        assert "about to end" in admin.refused("rollout", "pause", str(rolling))
        assert admin.stage.wake(rolling).state == "completed"
        said = admin.refused("rollout", "pause", str(rolling))
        assert "is not being rolled out: it is at finalizePublishing, completed" in said
        assert admin.json("rollout", "list")["labels"] == []

    def test_to_cancel_expires_the_label_and_tells_its_owner(self, admin: Administrator, rolling: int) -> None:
        admin.json("rollout", "cancel", str(rolling), "--reason", "it breaks the fan")
        assert admin.json("rollout", "cancel", str(rolling), "--reason", "again")["already"]
        label = admin.stage.wake(rolling)
        assert (label.state, label.live_targeting) == ("failed", None)
        assert "it breaks the fan" in label.messages[0]
        assert "it was cancelled" in admin.refused("rollout", "resume", str(rolling))

    def test_to_cancel_reaches_a_label_that_waits(self, admin: Administrator, waiting: int) -> None:
        admin.json("rollout", "cancel", str(waiting), "--reason", "recalled")
        assert "recalled" in admin.stage.wake(waiting).messages[0]

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["pause", "7"], 1, "there is no shipping label 7"),
            (["cancel", "7", "--reason", "x"], 1, "there is no shipping label 7"),
            (["cancel", "7"], 2, "--reason"),
            (["cancel", "7", "--reason", ""], 2, "needs a reason"),
            (["pause", "7", "--reason", "\x1b[31m"], 2, "printable"),
        ],
    )
    def test_what_cannot_be_is_told_in_a_sentence(
        self, admin: Administrator, arguments: list[str], code: int, said: str
    ) -> None:
        assert said in admin.refused("rollout", *arguments, code=code)

    def test_what_is_not_rolled_out_cannot_be_paused(self, admin: Administrator, waiting: int) -> None:
        assert "it is at microsoftApproval, started" in admin.refused("rollout", "pause", str(waiting))

    def test_a_label_that_offers_nothing_cannot_be_taken_back(self, admin: Administrator, stage: Stage) -> None:
        failed = stage.new_label(stage.new_submission([Inf([WIDGET], inf_class="Firmware")]), specifications=MANUAL)
        stage.run(failed)
        assert "nothing of shipping label" in admin.refused("rollout", "cancel", str(failed), "--reason", "x")
        shared = stage.new_label(stage.new_submission(), destination="anotherPartner", specifications={})
        assert "shares a driver" in admin.refused("rollout", "cancel", str(shared), "--reason", "x")


class TestPolicy:
    def policy(self, admin: Administrator) -> dict[str, Any]:
        shown: dict[str, Any] = admin.json("account", "show")["policy"]
        return shown

    def test_of_a_new_account_is_careful(self, admin: Administrator) -> None:
        assert self.policy(admin) == {
            "manualReview": False,
            "approval": "required",
            "approverIsNotSubmitter": True,
            "rollout": [[1, 1], [10, 8], [100, 14]],
            "watchDays": 30,
            "ceilings": False,
            "coEngineering": False,
            "automaticDelivery": True,
            "promoterRole": False,
            "releaseCalendar": False,
            "pauseOnFailure": False,
            "classChids": {"firmware": "required", "display": "forbidden"},
        }

    def test_changes_what_is_named_and_leaves_the_rest(self, admin: Administrator) -> None:
        before = self.policy(admin)
        done = admin.run("account", "policy", "--approval", "automatic", "--rollout", "5:1,100:3", "--watch-days", "7")
        assert done.exit_code == 0, done.output
        assert "approval is automatic" in done.stdout
        assert "rollout is 5:1,100:3" in done.stdout
        changed = {"approval": "automatic", "rollout": [[5, 1], [100, 3]], "watchDays": 7}
        assert self.policy(admin) == before | changed
        switches = ("ceilings", "co-engineering", "promoter-role", "manual-review")
        for name in switches:
            assert admin.run("account", "policy", f"--{name}", "on").exit_code == 0
        assert admin.run("account", "policy", "--automatic-delivery", "off").exit_code == 0
        on = dict.fromkeys(("ceilings", "coEngineering", "promoterRole", "manualReview"), True)
        assert self.policy(admin) == before | changed | on | {"automaticDelivery": False}

    def test_says_which_classes_are_targeted_by_chids(self, admin: Administrator) -> None:
        for given, kept in (("Display=required", {"display": "required"}), ("", {})):
            assert admin.run("account", "policy", "--class-chids", given).exit_code == 0
            assert self.policy(admin)["classChids"] == kept
        firmware = Inf([WIDGET], inf_class="Firmware")
        label = admin.stage.run(admin.stage.new_label(admin.stage.new_submission([firmware])))
        assert label.current_step == "microsoftApproval"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--class-chids", "firmware"], ["CLASS=RULE"]),
            (["--class-chids", "firmware=sometimes"], ["CLASS=RULE"]),
            ([], ["Say what of the policy"]),
            (["--rollout", "fast"], ["PERCENT:DAY"]),
            (["--rollout", "1:1:1"], ["PERCENT:DAY"]),
            (["--rollout", "5:2,50:8", "--watch-days", "-1"], ["day 1", "100 percent", "0 to 3650"]),
            (["--approval", "sometimes"], ["required"]),
        ],
    )
    def test_that_is_wrong_is_refused_with_all_that_is_wrong(
        self, admin: Administrator, arguments: list[str], said: list[str]
    ) -> None:
        before = self.policy(admin)
        told = admin.refused("account", "policy", *arguments, code=2)
        assert all(each in told for each in said)
        assert self.policy(admin) == before
