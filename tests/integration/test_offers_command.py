"""``hwdash offers`` against a real service."""

import json
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callers import database_of
from hwdash.drivers.chid import Computer, chids
from published import publish
from service import HWDASH, ApiClient, Served, clean_environment
from wire_routes import MACHINE, OFFERS


@dataclass(frozen=True)
class Terminal:
    """A shell with the environment of a client of the service."""

    environment: dict[str, str]

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*HWDASH, *arguments],
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        return done

    def document(self, *arguments: str) -> dict[str, Any]:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return document


@pytest.fixture
def terminal(service: Served, tmp_path: Path) -> Terminal:
    given = service.made.credentials
    return Terminal(
        clean_environment(
            HOME=str(tmp_path),
            HWDASH_URL=service.url,
            HWDASH_TENANT_ID=given["tenantId"],
            HWDASH_CLIENT_ID=given["clientId"],
            HWDASH_CLIENT_SECRET=given["clientSecret"],
            HWDASH_CA=given["caCertificate"],
        )
    )


def written(folder: Path, document: Any) -> str:
    file = folder / "machine.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_each_driver_is_a_line_with_what_becomes_of_it(terminal: Terminal, service: Served, tmp_path: Path) -> None:
    hardware_id, own = f"pci\\ven_{uuid.uuid4().hex}", int(service.made.credentials["accountId"])
    with database_of(service) as database, database.writing() as connection:
        label = publish(connection, own, [hardware_id], specifications={}).id
        floor = {"inServicePublishInfo": {"flooring": "GE"}}
        floored = publish(connection, own, [hardware_id], version="3.0.0.0", live_targeting=floor).id
    file = written(tmp_path, MACHINE | {"devices": [{"hardwareIds": [hardware_id]}]})
    lines = [line.split("\t") for line in terminal.run("offers", "--device", file).stdout.splitlines()]
    rank = "0x00FF0000"
    assert lines == [
        ["device", "offer", "rank", "driver", "label", "why not"],
        [hardware_id, "optional", rank, "Driver.inf 2.0.0.0 of 2026-01-31", str(label), ""],
        [
            hardware_id,
            "none",
            rank,
            "Driver.inf 3.0.0.0 of 2026-01-31",
            str(floored),
            "floor: The label's floor is GE; the machine has build 22631, of an earlier release.",
        ],
    ]


def test_json_is_the_services_answer(terminal: Terminal, client: ApiClient, tmp_path: Path) -> None:
    answer = terminal.document("offers", "--device", written(tmp_path, MACHINE), "--json")
    assert answer == client.http.post(OFFERS, json=MACHINE).json()


def test_the_document_is_read_from_standard_input(terminal: Terminal, client: ApiClient) -> None:
    done = terminal.run("offers", "--device", "-", "--json", typed=json.dumps(MACHINE))
    assert json.loads(done.stdout) == client.http.post(OFFERS, json=MACHINE).json()


def test_the_example_is_a_document_that_the_service_takes(terminal: Terminal, client: ApiClient) -> None:
    example = json.loads(terminal.run("offers", "--example").stdout)
    answer = client.http.post(OFFERS, json=example)
    assert answer.status_code == 200
    assert answer.json()["rolloutBucket"] == 42


def test_the_example_asks_no_service() -> None:
    done = subprocess.run([*HWDASH, "offers", "--example"], env={}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["devices"]


def test_the_computer_that_hwdash_chid_prints_is_taken_as_smbios(
    terminal: Terminal, service: Served, tmp_path: Path
) -> None:
    hardware_id, own = f"pci\\ven_{uuid.uuid4().hex}", int(service.made.credentials["accountId"])
    printed = terminal.document("chid", "--manufacturer", "Contoso", "--bios-vendor", "B", "--json")["computer"]
    wanted = str(chids(Computer(manufacturer="Contoso"))[0].value)
    with database_of(service) as database, database.writing() as connection:
        label = publish(connection, own, [hardware_id], chids=[wanted]).id
    document = MACHINE | {"devices": [{"hardwareIds": [hardware_id]}], "smbios": printed}
    (device,) = terminal.document("offers", "--device", written(tmp_path, document), "--json")["devices"]
    assert [each["labelId"] for each in device["offers"]] == [label]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("{", 2, "machine.json is not JSON"),
        ("[]", 2, "machine.json must hold a JSON object"),
        ("[" * 100_000, 2, "machine.json is not JSON"),
        ('{"os": {"build": 22631, "architecture": "mips"}}', 1, "os.architecture: `mips` is not one of x86"),
    ],
)
def test_a_bad_document_ends_with_a_sentence(
    terminal: Terminal, tmp_path: Path, content: str, code: int, said: str
) -> None:
    file = tmp_path / "machine.json"
    file.write_text(content)
    ran = terminal.run("offers", "--device", str(file))
    assert (ran.returncode, said in ran.stderr) == (code, True), ran.stderr


def test_without_a_device_it_says_what_to_do(terminal: Terminal) -> None:
    ran = terminal.run("offers")
    assert (ran.returncode, "--example" in ran.stderr) == (2, True)
