"""Each command of ``hwdash admin`` that changes something leaves an entry of the audit log, and no other does."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hwdash.cli.admin import admin as admin_group
from hwdash.cli.main import cli
from hwdash.cli.two_people import rule_of
from hwdash.clock import system_clock
from hwdash.settings import Settings
from hwdash.signing.authority import ensure_authority, new_roots
from hwdash.signing.keys import KeyFolder
from hwdash.signing.officers import new_officer_key
from hwdash.signing.roots import new_passphrase, write_roots
from hwdash.storage.audit_tables import audit_entries, audit_queue
from hwdash.storage.database import Database
from service import new_vendor
from stored_labels import AUTOMATIC, Stage

CHID = "70ffd812-4c7f-5c7d-8000-000000000001"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name))


@dataclass
class Administrator:
    """Runs commands on a stage, and remembers what they printed."""

    stage: Stage
    folder: Path
    app: str = ""
    secret: str = ""
    audience: str = ""
    relationship: str = ""
    printed: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str) -> Any:
        done = CliRunner().invoke(cli, ["admin", *arguments, "--data", str(self.stage.folder)])
        assert done.exit_code == 0, done.output
        last = done.stdout.strip().splitlines()[-1:] or [""]
        return json.loads(last[0]) if last[0].startswith("{") else None

    def entries(self) -> list[dict[str, Any]]:
        with self.stage.database.reading() as connection:
            kept = [connection.execute(sa.select(table)).mappings().all() for table in (audit_entries, audit_queue)]
        return [{**row, **json.loads(row["details"])} for rows in kept for row in rows]

    @property
    def account(self) -> tuple[str, str]:
        return "--account", str(self.stage.account_id)

    def new_app(self, *_: object) -> Any:
        made = self.run("app", "create", "CI", *self.account)
        self.app = made["clientId"]
        return made

    def certificate(self) -> str:
        return str(new_vendor().write_certificate(self.folder))

    def officer_key(self) -> str:
        file = self.folder / f"{len(list(self.folder.iterdir()))}.pub"
        file.write_bytes(new_officer_key(b"a passphrase of the test")[1])
        return str(file)

    def waiting_label(self) -> str:
        label_id = self.stage.new_label(self.stage.new_submission(), specifications=AUTOMATIC, chids=[CHID])
        self.stage.run(label_id)
        return str(label_id)

    def rolling_label(self) -> str:
        label_id = self.waiting_label()
        self.run("approval", "approve", label_id)
        self.stage.pass_time(seconds=15)
        self.stage.wake(int(label_id))
        return label_id

    def submission_in_review(self) -> str:
        return str(
            self.stage.new_submission(
                state="started", current_step="manualReview", package_version="1", committed_at=self.stage.now
            )
        )

    def new_relationship(self) -> str:
        asked = self.run(
            "relationship", "request", "--owner", self.other(), "--publisher", self.account[1], "--chid", CHID, "--json"
        )
        return str(asked["id"])

    def other(self) -> str:
        if "other" not in self.printed:
            self.printed["other"] = self.run("account", "create", "Other")
            self.run("ownership", "add", "--chid", CHID, "--account", str(self.printed["other"]["id"]))
        return str(self.printed["other"]["id"])


def new_user(admin: Administrator) -> None:
    admin.run("user", "create", "ann", "--role", "Legal Agreement Signer", *admin.account)


Prepared = Callable[[Administrator], list[str]]


def on_app(*arguments: str) -> Prepared:
    def prepare(admin: Administrator) -> list[str]:
        admin.new_app()
        return [admin.app, *arguments]

    return prepare


def on_user(*arguments: str) -> Prepared:
    def prepare(admin: Administrator) -> list[str]:
        new_user(admin)
        return ["ann", *arguments, *admin.account]

    return prepare


def of_account(*arguments: str) -> Prepared:
    return lambda admin: [*arguments, *admin.account]


def on_label(make: Callable[[Administrator], str]) -> Prepared:
    return lambda admin: [make(admin), "--reason", "because", "--by", "Ann"]


def signed_agreement(admin: Administrator) -> list[str]:
    new_user(admin)
    admin.run("agreement", "publish", "terms", "1")
    return ["terms", "--by", "ann", *admin.account]


def published_agreement(admin: Administrator) -> list[str]:
    admin.run("agreement", "publish", "terms", "1")
    return ["terms"]


def registered_certificate(admin: Administrator) -> list[str]:
    admin.run("certificate", "add", admin.certificate(), *admin.account)
    listed = admin.run("certificate", "list", "--json", *admin.account)
    return [listed["certificates"][0]["thumbprint"], *admin.account]


def app_certificate(admin: Administrator) -> list[str]:
    admin.new_app()
    admin.run("app", "certificate", admin.app, admin.certificate())
    return [admin.app, admin.run("app", "show", admin.app, "--json")["certificates"][0]["thumbprint"]]


def app_secret(admin: Administrator) -> list[str]:
    admin.new_app()
    return [admin.app, admin.run("app", "secret", admin.app)["id"]]


def appointed_officer(admin: Administrator) -> list[str]:
    admin.run("officer", "add", "ann", "--public-key", admin.officer_key())
    return ["ann"]


def policy_of_one(admin: Administrator) -> list[str]:
    for name in ("ann", "bob"):
        admin.run("officer", "add", name, "--public-key", admin.officer_key())
    return ["--release", "1"]


def removable_audience(admin: Administrator) -> list[str]:
    made = admin.run("audience", "create", "Beta", "--description", "d", "--json", *admin.account)
    return [made["id"], *admin.account]


def measured_label(admin: Administrator) -> list[str]:
    file = admin.folder / "measured.json"
    file.write_text('{"results": [{"measureId": "26118008", "value": 0.1, "population": 100}]}', "utf-8")
    return [str(admin.rolling_label()), str(file)]


def known_window(admin: Administrator) -> list[str]:
    admin.run("calendar", "add", "Winter", "2026-12-18", "2027-01-01")
    return ["Winter"]


def owned_ids(admin: Administrator) -> list[str]:
    admin.run("ownership", "add", "--chid", CHID, *admin.account)
    return ["--chid", CHID, *admin.account]


def with_roots_in_the_folder(admin: Administrator) -> list[str]:
    """As earlier versions made it."""
    ensure_authority(KeyFolder.open(admin.stage.folder / "keys", {}), system_clock(), key_size=2048)
    return ["--root-key", str(admin.folder / "roots.pem")]


def with_roots_carried_away(admin: Administrator) -> list[str]:
    keys, file = KeyFolder.open(admin.stage.folder / "keys", {}), admin.folder / "roots.pem"
    roots = new_roots(system_clock(), key_size=2048)
    ensure_authority(keys, system_clock(), key_size=2048, roots=roots)
    write_roots(file, roots, os.environ["HWDASH_ROOT_PASSPHRASE"], is_random=True)
    return ["issuing", "--root-key", str(file), "--reason", "it ends"]


# A command that changes something needs a line here: what it is called with, and whether the entry is the account's.
WRITES: dict[str, Prepared] = {
    "account create": lambda _: ["Another"],
    "account enroll": of_account(),
    "account suspend": of_account(),
    "account policy": of_account("--manual-review", "on"),
    "agreement publish": lambda _: ["terms", "1"],
    "agreement sign": signed_agreement,
    "agreement withdraw": published_agreement,
    "app certificate": lambda admin: [admin.new_app()["clientId"], admin.certificate()],
    "app create": of_account("CI"),
    "app disable": on_app(),
    "app enable": on_app(),
    "app remove": on_app(),
    "app remove-certificate": app_certificate,
    "app remove-secret": app_secret,
    "app roles": on_app("Manager"),
    "app rotate-secret": on_app(),
    "app secret": on_app(),
    "approval approve": on_label(Administrator.waiting_label),
    "approval reject": on_label(Administrator.waiting_label),
    "audience create": of_account("Beta", "--description", "d"),
    "audience remove": removable_audience,
    "calendar add": lambda _: ["Winter", "2026-12-18", "2027-01-01"],
    "calendar remove": known_window,
    "certificate add": lambda admin: [admin.certificate(), *admin.account],
    "certificate challenge": lambda admin: ["--output", str(admin.folder / "challenge.cab"), *admin.account],
    "certificate remove": registered_certificate,
    "key issue": with_roots_carried_away,
    "key offline": with_roots_in_the_folder,
    "key rotate": lambda admin: ["whql", *with_roots_carried_away(admin)[3:]],
    "measure record": measured_label,
    "officer add": lambda admin: ["ann", "--public-key", admin.officer_key()],
    "officer policy": policy_of_one,
    "officer remove": appointed_officer,
    "ownership add": of_account("--chid", CHID),
    "ownership remove": owned_ids,
    "recall submission": lambda admin: [str(admin.stage.new_submission()), "--reason", "no"],
    "relationship approve": lambda admin: [admin.new_relationship()],
    "relationship reject": lambda admin: [admin.new_relationship(), "--reason", "no"],
    "relationship request": lambda admin: [
        "--owner", admin.other(), "--publisher", admin.account[1], "--chid", CHID,
    ],
    "review reject": lambda admin: [admin.submission_in_review(), "--reason", "no"],
    "rollout cancel": on_label(Administrator.rolling_label),
    "rollout finalize": on_label(Administrator.rolling_label),
    "rollout pause": on_label(Administrator.rolling_label),
    "rollout resume": on_label(Administrator.rolling_label),
    "user create": of_account("ann", "--role", "Administrator"),
    "user disable": on_user(),
    "user enable": on_user(),
    "user remove": on_user(),
    "user reset-password": on_user(),
    "user roles": on_user("Administrator"),
}  # fmt: skip
READS = ("list", "show", "verify", "checkpoint", "export")
# What there is of it to show needs officers: security/test_two_people.py.
READING = sorted({each for each in leaves(admin_group) if each.endswith((" list", " show"))} - {"pending show"})
# Its workflow is started in the engine's own tables, which a running service has: acceptance/test_manual_review.py.
# What waits for a second person needs officers: security/test_two_people.py.
ELSEWHERE = {"review approve", "pending confirm", "pending refuse", "break-glass acknowledge"}
LETS_IN = ("applications", "application_secrets", "application_certificates", "users", "signing_certificates")
TAKES_AWAY = {"app disable", "user disable"}
# Makes a key on an officer's machine, where there is no service.
OF_NO_SERVICE = {"officer key"}
OF_THE_SERVICE = {
    "agreement publish",
    "agreement withdraw",
    "calendar add",
    "calendar remove",
    "key issue",
    "key offline",
    "key rotate",
    "officer add",
    "officer policy",
    "officer remove",
}


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administrator]:
    monkeypatch.setenv("HWDASH_ROOT_PASSPHRASE", new_passphrase())
    data = tmp_path / "service"
    (data / "keys").mkdir(parents=True)
    (data / "keys").chmod(0o700)
    with closing(Database(Settings(data=data).database)) as database:
        database.create()
        yield Administrator(Stage(database, data), tmp_path)


def test_each_command_that_writes_is_tried() -> None:
    assert set(WRITES) | ELSEWHERE | OF_NO_SERVICE == {
        each for each in leaves(admin_group) if each.split()[-1] not in READS
    }


@pytest.mark.parametrize("command", sorted(WRITES))
def test_a_command_that_changes_something_leaves_one_entry(command: str, admin: Administrator) -> None:
    arguments = WRITES[command](admin)
    before = len(admin.entries())
    admin.run(*command.split(), *arguments)
    (entry,) = admin.entries()[before:]
    assert entry["action"] == ("recall_driver" if command == "recall submission" else f"admin {command}")
    assert entry["actor_kind"] == "operator"
    with admin.stage.database.reading() as connection:
        known = set(connection.execute(sa.text("SELECT id FROM accounts")).scalars())
    assert entry["account_id"] in ({0} if command in OF_THE_SERVICE else known)
    assert entry["object_id"]
    writes = {row.split()[1] for row in entry.get("rows", ()) if not row.startswith("delete ")}
    if writes & set(LETS_IN) and command not in TAKES_AWAY:
        group, name = command.split()
        found = admin_group.get_command(click.Context(admin_group), group)
        assert isinstance(found, click.Group)
        assert rule_of(found.commands[name]) is not None, "one person is enough for it under every policy"


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_leaves_none(command: str, admin: Administrator) -> None:
    admin.run("account", "create", "Other")
    admin.new_app()
    recalled = str(admin.stage.new_submission())
    if command.startswith("key "):
        with_roots_carried_away(admin)
    admin.run("recall", "submission", recalled, "--reason", "no")
    given = {
        "account show": admin.account,
        "measure list": [str(admin.rolling_label())],
        "app show": (admin.app,),
        "approval show": (admin.waiting_label(),),
        "audit show": ("0",),
        "key show": ("issuing",),
        "recall show": (recalled,),
    }
    of_one = command in ("certificate list", "app list", "user list", "audience list", "ownership list")
    before = len(admin.entries())
    admin.run(*command.split(), *given.get(command, admin.account if of_one else ()))
    assert len(admin.entries()) == before


def test_what_is_refused_leaves_none(admin: Administrator) -> None:
    done = CliRunner().invoke(cli, ["admin", "app", "disable", "nobody", "--data", str(admin.stage.folder)])
    assert done.exit_code != 0
    assert admin.entries() == []


def test_an_entry_says_with_what_and_by_whom(admin: Administrator) -> None:
    file = admin.certificate()
    admin.run("certificate", "add", file, *admin.account)
    label = admin.waiting_label()
    admin.run("approval", "approve", label, "--by", "Ann", "--reason", "tried")
    added, *_, approved = [each for each in admin.entries() if each["actor_kind"] == "operator"]
    assert added["parameters"]["file"]["file"] == Path(file).name
    assert len(added["parameters"]["file"]["sha256"]) == 64
    assert approved["parameters"] == {"label_id": int(label), "by": "Ann", "reason": "tried"}
    assert (approved["object_kind"], approved["object_id"]) == ("shipping_labels", label)
