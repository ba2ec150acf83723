"""Commands that need officers and policy where the key folder is the signer's alone: the signer tells them."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hwdash.cli.main import cli
from officers import PASSPHRASE, Appointed, appoint
from service import HWDASH, Made, hwdash, make_service


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """A service whose policy asks for two people, and its signer at a socket."""
    made, socket = make_service(tmp_path), tmp_path / "s.sock"
    command = [*HWDASH, "signer", "--socket", str(socket), "--user", str(os.getuid())]
    with subprocess.Popen(command, env=made.environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"listening at {socket}\n"
            yield made
        finally:
            process.terminate()


def run(made: Made, *words: str, by: Appointed | None = None) -> Result:
    environment = {
        "HWDASH_OFFICER_PASSPHRASE": PASSPHRASE,
        "HWDASH_SIGNER_SOCKET": str(made.data.parent / "s.sock"),
        "HWDASH_SIGNER_USER": str(os.getuid()),
    }
    officer = () if by is None else by.words
    return CliRunner(env=environment).invoke(cli, ["admin", *words, *officer, "--data", str(made.data)])


def test_the_signer_tells_who_decides(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = (appoint(name, tmp_path, made.environment) for name in ("ann", "bob"))
    hwdash("admin", "officer", "policy", "--role-grants", "2", environment=made.environment)
    read = Path.read_bytes
    closed = made.data / "keys"

    def is_closed(file: Path) -> bytes:
        if file.is_relative_to(closed):
            raise PermissionError(13, "Permission denied", str(file))
        return read(file)

    # As for a user who is not the signer's. The tests may run as root, whom no mode keeps out.
    monkeypatch.setattr("hwdash.cli.officer_options.os.access", lambda path, mode: path != closed)
    monkeypatch.setattr(Path, "read_bytes", is_closed)
    listed = json.loads(run(made, "officer", "list", "--json").stdout)
    assert [each["name"] for each in listed["officers"]] == ["ann", "bob"]
    assert listed["policy"]["roleGrants"] == 2
    words = ("app", "roles", made.credentials["clientId"], "Administrator")
    assert "This takes two people" in run(made, *words).output
    asked = run(made, *words, by=ann)
    assert asked.exit_code == 0, asked.output
    confirmed = run(made, "pending", "confirm", asked.stdout.split()[2].rstrip(","), by=bob)
    assert confirmed.exit_code == 0, confirmed.output
    assert confirmed.stdout.endswith(f"{made.credentials['clientId']}: Administrator\n")
