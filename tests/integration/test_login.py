"""``hwdash login`` and ``logout`` with a real service: a person in place of a client secret."""

import json
import re
import ssl
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from hwdash.cli.connection import load_connection
from hwdash.cli.main import cli
from hwdash.cli.output import Refused
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import AuthenticationError
from service import HWDASH, Served, clean_environment

PASSWORD = "correct horse battery"


@pytest.fixture
def environment(service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A person's: no client id and no secret."""
    given = service.made.credentials
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return clean_environment(
        HWDASH_URL=service.url, HWDASH_TENANT_ID=given["tenantId"], HWDASH_CA=given["caCertificate"]
    ) | {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def enter(service: Served, code: str, login: str, one_time: str) -> None:
    context = ssl.create_default_context(cafile=service.made.credentials["caCertificate"])
    with httpx.Client(base_url=service.url, verify=context, timeout=60) as browser:
        token = re.search(r'name="csrf" value="([^"]+)"', browser.get("/devicelogin").text)
        assert token is not None
        fields = {"csrf": token[1], "code": code, "login": login, "password": one_time, "answer": "allow"}
        fields |= {"new_password": PASSWORD, "new_password_again": PASSWORD}
        answer = browser.post("/devicelogin", data=fields)
        assert answer.status_code == 200, answer.text


def test_a_person_signs_in_works_and_signs_out(service: Served, environment: dict[str, str], tmp_path: Path) -> None:
    account = ("--account", str(service.made.credentials["accountId"]))
    made = run(service.made.environment, "admin", "user", "create", "ada", "--role", "Driver Submitter", *account)
    one_time = json.loads(made.stdout)["oneTimePassword"]
    with pytest.raises(Refused, match="hwdash login"):
        load_connection(None, environment)
    with subprocess.Popen([*HWDASH, "login"], env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        code = re.search(r"enter the code (\S+)\.", told)
        assert code is not None, told
        assert f"{service.url}/devicelogin" in told
        enter(service, code[1], "ada", one_time)
        assert process.stderr.read() == f"signed in to {service.url}\n"
    assert process.returncode == 0
    kept = tmp_path / "config" / "hwdash" / "sign-ins.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    first = kept.read_text()

    def products(_number: int) -> int:
        connection = load_connection(None, environment)
        with HardwareClient(connection.url, connection.credentials, verify=str(connection.ca)) as client:
            return len(list(client.products()))

    # Several commands at once: each gets its turn with the one refresh token.
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(products, range(4)))) == 1
    assert kept.read_text() != first
    spent = json.loads(kept.read_text())
    done = run(environment, "logout")
    assert done.exit_code == 0, done.stderr
    assert json.loads(kept.read_text()) == {}
    with pytest.raises(Refused, match="hwdash login"):
        load_connection(None, environment)
    # Ended at the service too, not only forgotten here.
    kept.write_text(json.dumps(spent))
    with pytest.raises(AuthenticationError, match="The sign-in has ended"):
        products(0)


def test_logging_out_without_a_sign_in_says_so(service: Served, environment: dict[str, str]) -> None:
    done = run(environment, "logout")
    assert done.exit_code == 1
    assert f"Nobody is signed in to {service.url}." in done.stderr


def test_a_file_of_sign_ins_that_is_none_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "config" / "hwdash" / "sign-ins.json"
    file.parent.mkdir(parents=True)
    for content in ("{", "[]", '{"a": 1}'):
        file.write_text(content)
        done = run(environment, "logout")
        assert (done.exit_code, "sign-ins.json" in done.stderr) == (1, True)
