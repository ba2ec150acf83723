"""Ceremonies with the keys: ``hwdash admin key``, and what ``hwdash init`` says of the root keys."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hwdash.cli.main import cli
from hwdash.clock import system_clock
from hwdash.settings import Settings
from hwdash.signing.authority import ensure_authority, new_roots
from hwdash.signing.keys import KeyFolder
from hwdash.signing.roots import new_passphrase, read_roots, write_roots
from hwdash.storage.audit_tables import audit_queue
from hwdash.storage.database import Database

PASSPHRASE = new_passphrase()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    roots = new_roots(system_clock(), key_size=2048)
    ensure_authority(KeyFolder.open(folder / "service" / "keys", {}), system_clock(), key_size=2048, roots=roots)
    write_roots(folder / "roots.pem", roots, PASSPHRASE, is_random=True)
    return folder


@pytest.fixture
def folder(made_once: Path, tmp_path: Path) -> Path:
    return copytree(made_once, tmp_path / "made")


@pytest.fixture
def run(folder: Path) -> Callable[..., Result]:
    def run(*arguments: str, passphrase: str | None = PASSPHRASE) -> Result:
        environment = {"HWDASH_ROOT_PASSPHRASE": passphrase, "HWDASH_KEY_PASSPHRASE": None}
        return CliRunner(env=environment).invoke(cli, [*arguments, "--data", str(folder / "service")])

    return run


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "service" / "keys" / f"{name}.crt").read_bytes())


def audited(folder: Path) -> list[dict[str, Any]]:
    with closing(Database(Settings(data=folder / "service").database)) as database, database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(audit_queue)).mappings()]


def test_a_ceremony_says_who_did_what_when_and_both_fingerprints(folder: Path, run: Callable[..., Result]) -> None:
    before = certificate(folder, "issuing")
    words = ["--by", "Ada", "--reason", "it ends", "--json"]
    done = run("admin", "key", "issue", "issuing", "--root-key", str(folder / "roots.pem"), *words)
    assert done.exit_code == 0, done.output
    told, after = json.loads(done.stdout), certificate(folder, "issuing")
    assert (told["ceremony"], told["key"], told["by"], told["reason"]) == (
        "admin key issue", "issuing", "Ada", "it ends",
    )  # fmt: skip
    (change,) = told["certificates"]
    assert change["before"]["sha256"] == before.fingerprint(hashes.SHA256()).hex()
    assert change["after"]["sha256"] == after.fingerprint(hashes.SHA256()).hex() != change["before"]["sha256"]
    (entry,) = audited(folder)
    assert (entry["action"], entry["object_id"], entry["actor_kind"]) == ("admin key issue", "issuing", "operator")
    assert json.loads(entry["details"]) == {"by": "Ada", "reason": "it ends", "certificates": [change]}


def test_the_transcript_for_people_has_a_line_for_each(folder: Path, run: Callable[..., Result]) -> None:
    done = run("admin", "key", "issue", "preproduction", "--root-key", str(folder / "roots.pem"))
    assert done.exit_code == 0, done.output
    serial = f"{certificate(folder, 'preproduction').serial_number:x}"
    assert any(line.startswith("preproduction after: ") and serial in line for line in done.stdout.splitlines())


def test_a_key_is_rotated_and_listed(folder: Path, run: Callable[..., Result]) -> None:
    before = certificate(folder, "attestation")
    done = run("admin", "key", "rotate", "attestation", "--by", "Ada", "--json")
    assert done.exit_code == 0, done.output
    after = certificate(folder, "attestation")
    assert after.public_key() != before.public_key()
    (change,) = json.loads(done.stdout)["certificates"]
    assert (change["name"], change["after"]["serial"]) == ("attestation", f"{after.serial_number:x}")
    listed = {each["name"]: each for each in json.loads(run("admin", "key", "list", "--json").stdout)["keys"]}
    assert len(listed) == 10
    assert (listed["root"]["kept"], listed["attestation"]["kept"]) == ("elsewhere", "encrypted file")
    assert listed["attestation"]["sha256"] == after.fingerprint(hashes.SHA256()).hex()
    assert listed["attestation"]["key"] == "RSA 3072"
    shown = json.loads(run("admin", "key", "show", "attestation", "--json").stdout)
    assert x509.load_pem_x509_certificate(shown["certificate"].encode()) == after
    assert "hwdash Issuing CA" in shown["chain"][0]
    assert "1.3.6.1.4.1.311.10.3.5.1" in shown["usages"]


def test_rotating_what_a_root_has_issued_asks_for_the_file(folder: Path, run: Callable[..., Result]) -> None:
    for name in ("issuing", "preproduction"):
        before = certificate(folder, name)
        done = run("admin", "key", "rotate", name)
        assert done.exit_code == 1
        assert "--root-key" in done.output
        assert certificate(folder, name) == before
        done = run("admin", "key", "rotate", name, "--root-key", str(folder / "roots.pem"))
        assert done.exit_code == 0, done.output
        assert certificate(folder, name).public_key() != before.public_key()


@pytest.mark.parametrize(
    ("passphrase", "file", "complaint"),
    [
        ("wrong", "roots.pem", "do not open"),
        (None, "roots.pem", "Set HWDASH_ROOT_PASSPHRASE"),
        (PASSPHRASE, "absent.pem", "cannot be read"),
        (PASSPHRASE, "service/keys/issuing.pem", "no file of root keys"),
    ],
    ids=["a wrong passphrase", "no passphrase", "no file", "another file"],
)
def test_what_is_refused_changes_nothing_and_leaves_no_entry(
    folder: Path, run: Callable[..., Result], passphrase: str | None, file: str, complaint: str
) -> None:
    before = certificate(folder, "issuing")
    done = run("admin", "key", "issue", "issuing", "--root-key", str(folder / file), passphrase=passphrase)
    assert (done.exit_code, certificate(folder, "issuing")) == (1, before)
    assert complaint in done.output
    assert audited(folder) == []


@pytest.fixture
def with_roots(folder: Path) -> KeyFolder:
    """As earlier versions made it: the roots' keys in the key folder."""
    keys = KeyFolder.open(folder / "service" / "keys", {})
    for name, root in read_roots(folder / "roots.pem", PASSPHRASE).items():
        keys.write(name, root)
    return keys


def test_the_roots_of_an_older_service_move_out_under_a_passphrase_that_is_shown(
    folder: Path, run: Callable[..., Result], with_roots: KeyFolder
) -> None:
    done = run("admin", "key", "offline", "--root-key", str(folder / "new.pem"), passphrase=None)
    assert done.exit_code == 0, done.output
    first = done.stdout.splitlines()[0]
    roots = read_roots(folder / "new.pem", first.removeprefix("passphrase of the root keys: "))
    assert roots["root"].certificate == certificate(folder, "root") == with_roots.certificates("root")[0]
    assert not with_roots.has_key("root")
    assert not with_roots.has_key("preproduction-root")
    assert (folder / "new.pem").stat().st_mode & 0o777 == 0o600
    again = run("admin", "key", "offline", "--root-key", str(folder / "other.pem"))
    assert again.exit_code == 1
    assert not (folder / "other.pem").exists()


def test_the_roots_stay_where_the_file_cannot_be_written_or_the_passphrase_would_be_lost(
    folder: Path, run: Callable[..., Result], with_roots: KeyFolder
) -> None:
    for arguments, passphrase in (
        ([str(folder / "roots.pem")], None),
        ([str(folder / "nowhere" / "f.pem")], None),
        ([str(folder / "new.pem"), "--json"], None),
    ):
        done = run("admin", "key", "offline", "--root-key", *arguments, passphrase=passphrase)
        assert done.exit_code == 1, done.output
        assert with_roots.has_key("root")
    assert audited(folder) == []


def test_an_init_that_was_cut_short_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (folder / "roots.pem").rename(tmp_path / "new" / "root-key.pem")
    runner = CliRunner(env={"HWDASH_ROOT_PASSPHRASE": None})
    done = runner.invoke(cli, ["init", "--data", str(tmp_path / "new")])
    assert done.exit_code == 1
    assert "remove the data folder" in done.output
    done = runner.invoke(
        cli, ["init", "--json", "--data", str(tmp_path / "new")], env={"HWDASH_ROOT_PASSPHRASE": PASSPHRASE}
    )
    assert done.exit_code == 0, done.output
    assert "rootPassphrase" not in json.loads(done.stdout)
    assert certificate(folder, "root") == x509.load_pem_x509_certificate(
        (tmp_path / "new" / "keys" / "root.crt").read_bytes()
    )


def test_a_sandbox_keeps_no_root_keys(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(cli, ["init", "--sandbox", "--json", "--data", str(tmp_path / "s")])
    assert done.exit_code == 0, done.output
    assert not {"rootKey", "rootPassphrase"} & json.loads(done.stdout).keys()
    assert not KeyFolder.open(tmp_path / "s" / "keys", {}).has_key("root")
    refused = runner.invoke(cli, ["init", "--sandbox", "--root-key", "f.pem", "--data", str(tmp_path / "t")])
    assert refused.exit_code != 0
    assert "leave --root-key and --token out" in refused.output
