"""The unit that ships runs the service without rights, on a read-only system, with its secrets as credentials."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwdash.settings import SECRETS
from service import ROOT

UNIT = ROOT / "packaging" / "hwdash.service"
SIGNER_UNIT = ROOT / "packaging" / "hwdash-signer.service"
WITH_SIGNER = ROOT / "packaging" / "hwdash-with-signer.conf"
MOST_EXPOSED = 2.0
"""On systemd's scale from 0 to 10."""


@pytest.fixture(params=[UNIT, SIGNER_UNIT], ids=["service", "signer"])
def unit(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Each of the two units, with the program of this checkout."""
    file: Path = request.param
    copy = tmp_path / file.name
    program = Path(sys.executable).with_name("hwdash")
    copy.write_text(file.read_text().replace("/opt/hwdash/.venv/bin/hwdash", str(program)))
    return copy


def analysed(*words: str) -> str:
    command = [shutil.which("systemd-analyze") or "systemd-analyze", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_reads_all_of_it(unit: Path) -> None:
    assert unit.name not in analysed("verify", str(unit))


def test_a_word_that_systemd_does_not_know_would_be_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analysed("verify", str(unit))


def test_systemd_finds_little_that_it_is_exposed_to(unit: Path) -> None:
    said = analysed("security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"Overall exposure level for \S+: (\S+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED


def test_no_secret_stands_in_the_unit_and_each_can_be_a_credential() -> None:
    text = UNIT.read_text()
    assert not re.search(r"^Environment=.*(PASSPHRASE|PASSWORD|SECRET|DATABASE_URL)", text, re.MULTILINE)
    assert set(re.findall(r"^#?LoadCredential=(\w+):", text, re.MULTILINE)) == set(SECRETS)


def service_of(file: Path) -> dict[str, str]:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(file)
    return dict(parsed["Service"])


@pytest.mark.parametrize(("file", "user"), [(UNIT, "hwdash"), (SIGNER_UNIT, "hwdash-signer")])
def test_it_runs_as_a_user_of_its_own_that_may_nothing(file: Path, user: str) -> None:
    service = service_of(file)
    assert service["User"] == user
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service_of(UNIT)["StateDirectoryMode"] == "0700"


def test_with_a_signer_of_another_user_the_service_gets_no_passphrase_of_the_keys() -> None:
    given = re.findall(r"^LoadCredential=(.*)$", WITH_SIGNER.read_text(), re.MULTILINE)
    # The empty one takes back what the unit loads.
    assert given[0] == ""
    assert not any(each.startswith("key_passphrase") for each in given)
    assert "key_passphrase" in service_of(SIGNER_UNIT)["LoadCredential"]
    path = re.search(r"--socket (\S+) --user hwdash", service_of(SIGNER_UNIT)["ExecStart"])
    assert path is not None
    assert f"Environment=HWDASH_SIGNER_SOCKET={path[1]}\n" in WITH_SIGNER.read_text()
