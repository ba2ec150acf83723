"""Where two people are asked for, no one person lets anybody in, registers a certificate, or changes who decides.

The commands run on a service as ``hwdash init`` makes it. The attacks are those of an officer alone, of whoever runs
commands on the machine, and of whoever writes to the database.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hwdash.cli.main import cli
from hwdash.clock import system_clock
from hwdash.server.keys import keys_folder
from hwdash.server.setup import make_service
from hwdash.settings import Settings
from hwdash.signing.officers import DualControl, Policy, new_officer_key, open_officer_key
from hwdash.signing.pending import ask
from officers import PASSPHRASE, Person
from service import new_vendor

ANN, BOB, EVE = Person("ann"), Person("bob"), Person("eve")
DUAL = ("--role-grants", "2", "--certificates", "2")


@dataclass
class Administered:
    """A service with two officers, whose policy asks for two people, and somebody at its command line."""

    data: Path
    folder: Path
    account_id: int
    client_id: str
    keys: dict[str, Path] = field(default_factory=dict)

    def run(self, *words: str, by: Person | None = None) -> Result:
        """A command of ``hwdash admin``, by an officer or by nobody in particular."""
        officer = () if by is None else ("--officer", by.name, "--key", str(self.keys[by.name]))
        environment = {"HWDASH_OFFICER_PASSPHRASE": PASSPHRASE}
        return CliRunner(env=environment).invoke(cli, ["admin", *words, *officer, "--data", str(self.data)])

    def done(self, *words: str, by: Person | None = None) -> str:
        ran = self.run(*words, by=by)
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def refused(self, *words: str, by: Person | None = None) -> str:
        ran = self.run(*words, by=by)
        assert ran.exit_code in (1, 2), ran.output
        assert "Traceback" not in ran.output
        return ran.output

    def asked(self, *words: str, by: Person = ANN) -> str:
        """The id of the pending change that a command becomes."""
        told = self.done(*words, by=by)
        assert told.startswith("pending change "), told
        return told.split()[2].rstrip(",")

    def rows(self, query: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.data / "hwdash.db") as database:
            return database.execute(query, values).fetchall()

    @property
    def state(self) -> list[Any]:
        """All that the changes of these tests could have changed."""
        tables = (
            "accounts",
            "applications",
            "application_secrets",
            "application_certificates",
            "users",
            "signing_certificates",
        )
        files = [file.read_bytes() for file in sorted((self.data / "keys").glob("*.json"))]
        return [*(self.rows(f"SELECT * FROM {table}") for table in tables), files]

    def roles(self) -> list[str]:
        return list(json.loads(self.done("app", "show", self.client_id, "--json"))["roles"])


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Administered:
    folder = tmp_path_factory.mktemp("administered")
    data = folder / "service"
    made = make_service(
        Settings(data=data), account_name="A", application_name="B", hosts=["localhost"], now=system_clock()
    )
    service = Administered(data, folder, made.account_id, made.client_id)
    for person in (ANN, BOB, EVE):
        file = folder / f"{person.name}.key"
        private, public = new_officer_key(PASSPHRASE.encode())
        file.write_bytes(private)
        file.with_name(f"{file.name}.pub").write_bytes(public)
        service.keys[person.name] = file
    return service


@pytest.fixture
def service(made_once: Administered, tmp_path: Path) -> Iterator[Administered]:
    """The same service for each test: officers and database are put back afterwards."""
    database = made_once.data / "hwdash.db"
    with sqlite3.connect(database) as connection:
        kept = list(connection.iterdump())
    for name in ("ann", "bob"):
        made_once.done("officer", "add", name, "--public-key", f"{made_once.keys[name]}.pub")
    made_once.done("officer", "policy", *DUAL)
    yield made_once
    for file in (*made_once.data.glob("hwdash.db*"), *(made_once.data / "keys").glob("*.json")):
        file.unlink()
    with sqlite3.connect(database) as connection:
        connection.executescript("\n".join(kept))


def grants(service: Administered, folder: Path) -> dict[str, tuple[str, ...]]:
    """What lets somebody in, registers a certificate, or changes who decides."""
    certificate = str(new_vendor().write_certificate(folder))
    return {
        "app create": ("app", "create", "New"),
        "app secret": ("app", "secret", service.client_id),
        "app rotate-secret": ("app", "rotate-secret", service.client_id),
        "app certificate": ("app", "certificate", service.client_id, certificate),
        "app roles": ("app", "roles", service.client_id, "Administrator"),
        "app enable": ("app", "enable", service.client_id),
        "user create": ("user", "create", "eve", "--role", "Administrator"),
        "account enroll": ("account", "enroll"),
        "certificate add": ("certificate", "add", certificate),
        "officer add": ("officer", "add", "eve", "--public-key", f"{service.keys['eve']}.pub"),
        "officer policy": ("officer", "policy", "--role-grants", "1", "--certificates", "1"),
    }


GRANTS = (
    "app create", "app secret", "app rotate-secret", "app certificate", "app roles", "app enable", "user create",
    "account enroll", "certificate add", "officer add", "officer policy",
)  # fmt: skip


@pytest.mark.parametrize("grant", GRANTS)
def test_one_person_gets_nothing_done_and_two_get_it(service: Administered, tmp_path: Path, grant: str) -> None:
    service.done("app", "disable", service.client_id)
    service.done("account", "suspend")
    words, before = grants(service, tmp_path)[grant], service.state
    assert "This takes two people" in service.refused(*words)
    assert "there is no officer eve" in service.refused(*words, by=EVE)
    change = service.asked(*words)
    assert "another officer has to confirm it" in service.refused("pending", "confirm", change, by=ANN)
    assert "Say who you are" in service.refused("pending", "confirm", change)
    assert "there is no officer eve" in service.refused("pending", "confirm", change, by=EVE)
    assert service.state == before
    service.done("pending", "confirm", change, by=BOB)
    assert service.state != before
    assert "does not wait any more: bob confirmed it" in service.refused("pending", "confirm", change, by=BOB)


@pytest.mark.parametrize("command", ["roles", "enable", "reset-password"])
def test_a_person_is_let_in_by_two_as_well(service: Administered, command: str) -> None:
    service.done("pending", "confirm", service.asked("user", "create", "pat", "--role", "Administrator"), by=BOB)
    service.done("user", "disable", "pat")
    before = service.state
    words = ("user", command, "pat", *(("Report Reviewer",) if command == "roles" else ()))
    assert "This takes two people" in service.refused(*words)
    service.done("pending", "confirm", service.asked(*words, by=BOB), by=ANN)
    assert service.state != before


def test_what_takes_rights_away_takes_one_person(service: Administered) -> None:
    service.done("app", "disable", service.client_id)
    service.done("app", "remove", service.client_id)
    assert service.rows("SELECT * FROM applications WHERE is_disabled = 0") == []


def test_the_change_is_told_as_it_was_signed(service: Administered, tmp_path: Path) -> None:
    change = service.asked("certificate", "add", str(new_vendor().write_certificate(tmp_path)))
    listed = json.loads(service.done("pending", "list", "--json"))["changes"]
    assert [(each["id"], each["command"], each["askedBy"]) for each in listed] == [
        (change, "admin certificate add", "ann")
    ]
    entries = service.rows("SELECT count(*) FROM audit_queue")
    shown = json.loads(service.done("pending", "show", change, "--json"))
    assert service.rows("SELECT count(*) FROM audit_queue") == entries
    assert shown["parameters"]["file"]["text"].startswith("-----BEGIN CERTIFICATE-----")


def test_the_audit_log_names_both(service: Administered) -> None:
    change = service.asked("app", "roles", service.client_id, "Administrator")
    service.done("pending", "confirm", change, by=BOB)
    assert service.roles() == ["Administrator"]
    details = [json.loads(row[0]) for row in service.rows("SELECT details FROM audit_queue ORDER BY id")]
    assert {"officer": "ann", "command": "admin app roles"} in details
    assert details[-1]["officers"] == ["ann", "bob"]
    assert details[-1]["pendingChange"] == change


def test_an_officer_submits_as_somebody_who_is_known(service: Administered) -> None:
    words = ("officer", "add", "eve", "--public-key", f"{service.keys['eve']}.pub", "--submits-as")
    assert "there is no application or person mistyped" in service.refused(*words, "mistyped", by=ANN)
    service.done("pending", "confirm", service.asked(*words, service.client_id), by=BOB)
    assert DualControl.read(keys_folder(service.data)).officers["eve"].submits_as == (service.client_id,)


def test_a_command_that_would_be_refused_is_refused_before_anybody_is_asked(service: Administered) -> None:
    assert "nobody" in service.refused("app", "roles", "nobody", "Administrator", by=ANN)
    assert json.loads(service.done("pending", "list", "--json"))["changes"] == []


def test_what_was_refused_or_taken_back_runs_no_more(service: Administered) -> None:
    for person in (ANN, BOB):
        change = service.asked("app", "roles", service.client_id, "Administrator")
        service.done("pending", "refuse", change, by=person)
        assert f"{person.name} refused it" in service.refused("pending", "confirm", change, by=BOB)
        ((action, thing),) = service.rows("SELECT action, object_id FROM audit_queue ORDER BY id DESC LIMIT 1")
        assert (action, thing) == ("admin pending refuse", change)
    assert "Administrator" not in service.roles()


def test_broken_glass_is_told_until_another_officer_has_seen_it(service: Administered) -> None:
    words = ("app", "roles", service.client_id, "Administrator", "--break-glass")
    assert "This takes two people" in service.refused(*words, "--reason", "an emergency")
    assert "there is no officer eve" in service.refused(*words, "--reason", "an emergency", by=EVE)
    assert "give a --reason" in service.refused(*words, by=ANN)
    assert "Administrator" not in service.roles()
    service.done(*words, "--reason", "an emergency", by=ANN)
    assert service.roles() == ["Administrator"]
    (entry,) = service.rows("SELECT details FROM audit_queue WHERE action = 'break_glass'")
    assert json.loads(entry[0]) == {"command": "admin app roles", "officer": "ann", "reason": "an emergency"}
    (glass,) = json.loads(service.done("break-glass", "list", "--json"))["brokenGlass"]
    assert (glass["act"], glass["brokenBy"], glass["acknowledgedBy"]) == ("admin app roles", "ann", None)
    warning = f"ann broke the glass, and no other officer has seen it ({glass['id']}): admin app roles"
    assert warning in service.run("account", "list").stderr
    acknowledge = ("break-glass", "acknowledge", glass["id"])
    assert "another officer has to acknowledge it" in service.refused(*acknowledge, by=ANN)
    assert "Say who you are" in service.refused(*acknowledge)
    assert warning in service.run("account", "list").stderr
    service.done(*acknowledge, by=BOB)
    ((action,),) = service.rows("SELECT action FROM audit_queue ORDER BY id DESC LIMIT 1")
    assert action == "admin break-glass acknowledge"
    assert service.run("account", "list").stderr == ""
    assert "bob has acknowledged" in service.refused(*acknowledge, by=BOB)


def test_broken_glass_can_be_forbidden_and_one_officer_cannot_allow_it_again(service: Administered) -> None:
    forbidden = service.asked("officer", "policy", "--allow-break-glass", "off")
    service.done("pending", "confirm", forbidden, by=BOB)
    before = service.state
    for words in (
        ("app", "roles", service.client_id, "Administrator"),
        ("officer", "policy", "--allow-break-glass", "on"),
        ("officer", "remove", "bob"),
    ):
        assert "the policy forbids" in service.refused(*words, "--break-glass", "--reason", "x", by=ANN)
    assert service.state == before


# --- Whoever writes to the database


def rewritten(service: Administered, change: str, **columns: str) -> None:
    for name, value in columns.items():
        service.rows(f"UPDATE pending_changes SET {name} = ? WHERE id = ?", value, change)


def signed(
    service: Administered, change: str, command: str, parameters: dict[str, Any], stranger: Person | None = None
) -> str:
    """A word about a change as ann signs it with a program of her own, or a stranger in her name."""
    folder = keys_folder(service.data)
    root = x509.load_pem_x509_certificate((folder / "root.crt").read_bytes())
    officers = DualControl.read(folder) if stranger is None else DualControl(Policy(), {"ann": stranger.officer})
    key = open_officer_key(service.keys["ann"], PASSPHRASE.encode()) if stranger is None else stranger.key
    given = {
        "identifier": change,
        "service": root.fingerprint(hashes.SHA256()).hex(),
        "command": command,
        "parameters": parameters,
        "reason": "",
    }
    return ask(officers, "ann", key, now=system_clock(), **given)


def test_a_changed_row_changes_nothing_of_what_runs(service: Administered) -> None:
    change = service.asked("app", "roles", service.client_id, "Report Reviewer")
    rewritten(service, change, command="admin app enable", asked_by="bob")
    shown = json.loads(service.done("pending", "show", change, "--json"))
    assert (shown["command"], shown["askedBy"]) == ("admin app roles", "ann")
    assert "another officer has to confirm it" in service.refused("pending", "confirm", change, by=ANN)
    service.done("pending", "confirm", change, by=BOB)
    assert service.roles() == ["Report Reviewer"]


@pytest.mark.parametrize("by", ["a stranger", "another change", "a damaged word"])
def test_a_row_by_hand_is_confirmed_by_nobody(service: Administered, by: str) -> None:
    change = service.asked("app", "roles", service.client_id, "Report Reviewer")
    (word,) = service.rows("SELECT word FROM pending_changes WHERE id = ?", change)[0]
    other = service.asked("app", "roles", service.client_id, "Administrator")
    if by == "a stranger":
        wanted = {"client_id": service.client_id, "roles": ["Administrator"]}
        forged = signed(service, change, "admin app roles", wanted, Person("ann"))
    elif by == "another change":
        (forged,) = service.rows("SELECT word FROM pending_changes WHERE id = ?", other)[0]
    else:
        forged = word.replace('"sig":"', '"sig":"AA')
    rewritten(service, change, word=forged)
    said = service.refused("pending", "confirm", change, by=BOB)
    assert any(each in said for each in ("no officer's", "another change", "does not hold")), said
    assert "Administrator" not in service.roles()


def test_a_change_that_ran_is_not_run_again_by_whoever_asked(service: Administered) -> None:
    change = service.asked("app", "roles", service.client_id, "Administrator")
    service.done("pending", "confirm", change, by=BOB)
    rewritten(service, change, state="waiting", asked_by="bob")
    assert "another officer has to confirm it" in service.refused("pending", "confirm", change, by=ANN)


def test_a_change_expires_whatever_the_row_says(service: Administered, monkeypatch: pytest.MonkeyPatch) -> None:
    change = service.asked("app", "roles", service.client_id, "Administrator")
    rewritten(service, change, expires_at="2099-01-01 00:00:00.000000")
    later = system_clock() + timedelta(days=8)
    monkeypatch.setattr("hwdash.cli.admin_pending.system_clock", lambda: later)
    assert "it waited too long" in service.refused("pending", "confirm", change, by=BOB)
    assert "Administrator" not in service.roles()


def test_what_an_officer_asked_for_who_was_removed_does_not_run(service: Administered) -> None:
    change = service.asked("app", "roles", service.client_id, "Administrator")
    public = f"{service.keys['eve']}.pub"
    added = service.asked("officer", "add", "eve", "--public-key", public)
    service.done("pending", "confirm", added, by=BOB)
    service.done("pending", "confirm", service.asked("officer", "remove", "ann", by=BOB), by=EVE)
    assert set(DualControl.read(keys_folder(service.data)).officers) == {"bob", "eve"}
    assert "who was removed" in service.refused("pending", "confirm", change, by=BOB)


def test_a_dishonest_officer_makes_no_command_of_their_own(service: Administered) -> None:
    """The word holds, but what it asks for is no change that waits for anybody."""
    for command, parameters in (
        ("admin account create", {"name": "Mine"}),
        ("admin pending confirm", {}),
        ("admin nothing", {}),
        ("admin app roles", {"client_id": service.client_id, "roles": ["Emperor"]}),
        ("admin app roles", {"client_id": service.client_id, "roles": ["Manager"], "data": "/tmp"}),
        ("admin certificate add", {"file": {"file": "../../x", "content": "eA=="}}),
    ):
        change = service.asked("app", "roles", service.client_id, "Report Reviewer")
        rewritten(service, change, word=signed(service, change, command, parameters))
        before = service.state
        service.refused("pending", "confirm", change, by=BOB)
        assert service.state == before
