"""Whoever owns the database cannot change what the audit log says and stay unseen by a checkpoint that was kept.

Each attack edits the tables with the sqlite3 of its owner, as cunningly as can be: up to making every hash anew.
"""

import json
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hwdash.cli.main import cli
from hwdash.domain.audit import Act
from hwdash.server.audit_log import checkpoint_key, seal_all
from hwdash.settings import Settings
from hwdash.signing.checkpoint import CheckpointKey, file_name, verifier_file
from hwdash.signing.keys import KeyFolder
from hwdash.storage.audit import all_entries, append, current_tree
from hwdash.storage.database import Database
from service import clean_environment

EARLIER, LATER = file_name(6), file_name(10)


@dataclass(frozen=True)
class Log:
    """A service's data folder with ten entries of two accounts and the service; checkpoints of six and of ten of them,
    which were kept elsewhere with the verifier key.
    """

    data: Path
    kept: Path

    def run(self, *arguments: str, **settings: str) -> Result:
        command = ["admin", *arguments, "--data", str(self.data)]
        return CliRunner().invoke(cli, command, env=clean_environment(**settings))

    def done(self, *arguments: str, **settings: str) -> dict[str, Any]:
        done = self.run(*arguments, **settings)
        assert done.exit_code == 0, done.output
        document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return document

    def verify(self, *checkpoints: str, key: Path | str | None = None) -> dict[str, Any]:
        """What verify says; it must end with 1 when it has a finding, else with 0."""
        given = [each for name in checkpoints for each in ("--checkpoint", str(self.kept / name))]
        done = self.run("audit", "verify", "--json", *given, "--public-key", str(key or self.kept / "vkey"))
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert done.exit_code == (1 if report["findings"] else 0), done.output
        assert report["verified"] == (report["findings"] == [])
        return report

    def sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.data / "hwdash.db")) as connection:
            for each in statements:
                connection.execute(each)
            connection.commit()

    def rewrite(self, change: Callable[[list[Act]], list[Act]]) -> None:
        """Make the whole log anew from changed acts: every hash, every chain, the tree."""
        with closing(Database(Settings(data=self.data).database)) as database:
            with database.reading() as connection:
                acts = [each.act for each in all_entries(connection)]
            self.sql("DELETE FROM audit_entries", "DELETE FROM audit_queue", "DELETE FROM audit_tree")
            with database.writing() as connection:
                append(connection, *change(acts))
            seal_all(database)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("audit")
    log = Log(folder / "service", folder / "kept")
    assert CliRunner().invoke(cli, ["init", "--data", str(log.data)], env=clean_environment()).exit_code == 0
    first = str(log.done("account", "list", "--json")["accounts"][0]["id"])
    second = str(log.done("account", "create", "Other")["id"])
    for number in range(2):
        for account in (first, second):
            log.done("audience", "create", f"a{number}", "--description", "d", "--account", account, "--json")
    assert log.done("audit", "checkpoint", "--json", HWDASH_AUDIT_CHECKPOINTS=str(log.kept))["file"].endswith(EARLIER)
    for number in range(2, 4):
        for account in (first, second):
            log.done("audience", "create", f"a{number}", "--description", "d", "--account", account, "--json")
    assert log.done("audit", "checkpoint", "--json", HWDASH_AUDIT_CHECKPOINTS=str(log.kept))["file"].endswith(LATER)
    shutil.copy(verifier_file(KeyFolder.open(log.data / "secrets")), log.kept / "vkey")
    return log


@pytest.fixture
def log(made: Log, tmp_path: Path) -> Log:
    shutil.copytree(made.data, tmp_path / "service")
    return replace(made, data=tmp_path / "service")


def test_an_honest_log_agrees_with_every_checkpoint(log: Log) -> None:
    report = log.verify(EARLIER, LATER)
    assert (report["entries"], report["checkpoints"], report["findings"]) == (10, 2, [])
    assert [Path(each).name for each in report["matching"]] == [EARLIER, LATER]
    assert log.verify("")["checkpoints"] == 2  # the folder
    log.done("account", "create", "Third")  # it goes on, and the old checkpoints still hold
    assert log.verify(EARLIER, LATER)["findings"] == []


@pytest.mark.parametrize(
    "edit",
    [
        "actor_id = 'somebody else'",
        "actor_kind = 'application'",
        "action = 'admin audience remove'",
        "object_kind = 'products'",
        "object_id = '7'",
        "time = '2026-01-01 00:00:00.000000'",
        "account_id = 7",
        """details = '{"reason":"harmless"}'""",
        "details = details || ' '",
        "hash = zeroblob(32)",
    ],
)
def test_an_edited_entry_is_named(log: Log, edit: str) -> None:
    log.sql(f"UPDATE audit_entries SET {edit} WHERE position = 3")
    first, *_ = log.verify()["findings"]
    assert first.startswith("entry 3 (account ")


def test_a_rewrite_from_behind_a_checkpoint_on_is_told_by_the_next_one(log: Log) -> None:
    before = log.verify()["root"]
    log.rewrite(lambda acts: [*acts[:-1], replace(acts[-1], actor_id="x")])
    assert log.verify()["root"] != before
    assert "the first one that differs" not in str(log.verify(EARLIER)["findings"])
    (found,) = log.verify(EARLIER, LATER)["findings"]
    assert "the first entry that differs is between entry 6 and entry 9" in found


@pytest.mark.parametrize("position", [0, 4])
def test_a_removed_entry_is_named(log: Log, position: int) -> None:
    log.sql(f"DELETE FROM audit_entries WHERE position = {position}")
    first, *_ = log.verify()["findings"]
    assert first == f"entry {position} is missing: it was removed"


def test_a_removed_entry_is_named_when_those_after_it_moved_up(log: Log) -> None:
    # In two steps: SQLite looks at the primary key row by row.
    log.sql(
        "DELETE FROM audit_entries WHERE position = 4",
        "UPDATE audit_entries SET position = position + 99 WHERE position > 4",
        "UPDATE audit_entries SET position = position - 100 WHERE position > 4",
    )
    first, *_ = log.verify()["findings"]
    assert "an entry was removed, inserted or moved" in first


@pytest.mark.parametrize("position", [-1, 10])
def test_an_inserted_entry_is_named(log: Log, position: int) -> None:
    log.sql(
        f"INSERT INTO audit_entries SELECT {position}, 99, account_id, time, actor_kind, actor_id, action, "
        "object_kind, object_id, details, hash FROM audit_entries WHERE position = 3"
    )
    first, *_ = log.verify()["findings"]
    assert first.startswith((f"entry {position} stands before the first", f"entry {position} (account "))


def test_an_entry_appended_with_a_good_hash_is_not_in_the_tree(log: Log) -> None:
    with closing(Database(Settings(data=log.data).database)) as database:
        with database.reading() as connection:
            tree = [each.hex() for each in current_tree(connection).subtrees]
            acts = [each.act for each in all_entries(connection)]
        with database.writing() as connection:
            append(connection, acts[-1])
        seal_all(database)
    log.sql(f"UPDATE audit_tree SET size = 10, subtrees = '{json.dumps(tree)}'")
    assert log.verify()["findings"] == ["entry 10 and what comes after it are not in the tree: they were inserted"]


def test_reordered_entries_are_named(log: Log) -> None:
    log.sql(
        "UPDATE audit_entries SET position = 99 WHERE position = 3",
        "UPDATE audit_entries SET position = 3 WHERE position = 5",
        "UPDATE audit_entries SET position = 5 WHERE position = 99",
    )
    first, *_ = log.verify()["findings"]
    assert first.startswith("entry 3 (account ")


def test_a_truncated_tail_is_told(log: Log) -> None:
    log.sql("DELETE FROM audit_entries WHERE position > 7")
    (found,) = log.verify()["findings"]
    assert found.startswith("the database holds the tree of 10 entries, and there are 8: entries were removed")


def test_a_tail_that_was_cut_off_with_the_tree_is_told_by_a_checkpoint(log: Log) -> None:
    log.rewrite(lambda acts: acts[:8])
    assert log.verify(EARLIER)["findings"] == []
    (found,) = log.verify(EARLIER, LATER)["findings"]
    assert found.endswith("it is of 10 entries, and the log has 8: entry 8 and what came after it were removed")


def test_the_rewrite_of_all_of_it_is_told_by_a_checkpoint_and_by_nothing_else(log: Log) -> None:
    """With hashes, chains and tree made anew the log is sound in itself. So checkpoints have to be kept elsewhere."""
    log.rewrite(lambda acts: [replace(each, actor_id="nobody") if n == 2 else each for n, each in enumerate(acts)])
    assert log.verify()["findings"] == []
    first, second = log.verify(EARLIER, LATER)["findings"]
    assert f"{EARLIER}: the log is another one than at this checkpoint" in first
    assert "the first entry that differs is between entry 0 and entry 5" in first
    assert LATER in second


def test_an_owner_who_signs_the_rewritten_log_is_told_by_what_was_kept(log: Log, tmp_path: Path) -> None:
    """The key of the checkpoints is the owner's too."""
    log.rewrite(lambda acts: acts[1:])
    forged = log.done("audit", "checkpoint", "--json", HWDASH_AUDIT_CHECKPOINTS=str(tmp_path / "new"))["file"]
    assert log.verify(forged)["findings"] == []
    assert len(log.verify(EARLIER, LATER)["findings"]) == 2


def test_the_service_adds_no_checkpoint_that_cannot_follow_the_last(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.kept, tmp_path / "kept")
    log.rewrite(lambda acts: [replace(each, actor_id="nobody") for each in acts])
    for change, said in ((None, "is another checkpoint of as many entries"), (8, "it was cut off or exchanged")):
        if change is not None:
            log.rewrite(lambda acts: acts[:8])
        done = log.run("audit", "checkpoint", HWDASH_AUDIT_CHECKPOINTS=str(tmp_path / "kept"))
        assert (done.exit_code, said in done.output) == (1, True)
    assert sorted(each.name for each in (tmp_path / "kept").iterdir()) == [EARLIER, LATER, "vkey"]


def test_a_checkpoint_of_another_key_or_a_changed_one_does_not_count(log: Log, tmp_path: Path) -> None:
    other = CheckpointKey.ensure(
        KeyFolder.open(tmp_path / "other"), checkpoint_key(Settings(data=log.data)).verifier.name
    )
    with closing(Database(Settings(data=log.data).database)) as database, database.reading() as connection:
        forged, changed = (
            other.sign(current_tree(connection)),
            (log.kept / LATER).read_bytes().replace(b"\n10\n", b"\n9\n"),
        )
    (tmp_path / "forged").write_bytes(forged)
    (tmp_path / "changed").write_bytes(changed)
    (unsigned,) = log.verify(str(tmp_path / "forged"))["findings"]
    assert "has no signature by" in unsigned
    (bad,) = log.verify(str(tmp_path / "changed"))["findings"]
    assert "the signature is not good" in bad
    (stranger,) = log.verify(str(tmp_path / "forged"), LATER, key=str(other.verifier))["findings"]
    assert "has no signature by" in stranger
    assert LATER in stranger


def test_the_exchange_of_the_key_in_the_folder_is_told_by_the_key_that_was_kept(log: Log, tmp_path: Path) -> None:
    for each in (log.data / "secrets").glob("audit-checkpoints.*"):
        each.unlink()
    forged = log.done("audit", "checkpoint", "--json", HWDASH_AUDIT_CHECKPOINTS=str(tmp_path / "new"))["file"]
    (found,) = log.verify(forged)["findings"]
    assert "has no signature by" in found


def test_a_wrong_verifier_key_is_told_plainly(log: Log) -> None:
    done = log.run("audit", "verify", "--checkpoint", str(log.kept / LATER), "--public-key", "a+b+c")
    assert (done.exit_code, "is not a verifier key" in done.output, "Traceback" in done.output) == (1, True, False)


def test_entries_hold_no_secret(log: Log) -> None:
    app = log.done("app", "create", "CI", "--account", str(log.done("account", "list", "--json")["accounts"][0]["id"]))
    made = log.done("app", "secret", app["clientId"])
    person = log.done(
        "user", "create", "ann", "--role", "Administrator", "--account",
        str(log.done("account", "list", "--json")["accounts"][0]["id"]),
    )  # fmt: skip
    listed = log.run("audit", "list", "--json").stdout
    assert "admin app secret" in listed
    assert "admin user create" in listed
    for secret in (app["clientSecret"], made["clientSecret"], person["oneTimePassword"]):
        assert secret not in listed


def test_memory_does_not_grow_with_the_log(log: Log) -> None:
    """Twenty thousand entries are read in pages; a million take the same."""
    with closing(Database(Settings(data=log.data).database)) as database:
        with database.reading() as connection:
            one = next(all_entries(connection)).act
        with database.writing() as connection:
            append(connection, *[replace(one, object_id=str(n)) for n in range(20_000)])
        seal_all(database)
    tracemalloc.start()
    report = log.verify(EARLIER, LATER)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (report["entries"], report["findings"]) == (20_010, [])
    assert peak < 30 << 20
