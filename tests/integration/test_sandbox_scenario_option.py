"""A scenario from the first request on: ``hwdash sandbox up --scenario`` and ``run --scenario``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hwdash.sandbox import SandboxFailed, running
from service import API, HWDASH, ApiClient, clean_environment

CLOCK = (
    "import json, subprocess, sys; subprocess.run([*json.loads(sys.argv[1]), 'sandbox', 'clock', 'show'], check=True)"
)


def test_a_throwaway_sandbox_plays_a_scenario_and_its_steps_take_no_time(tmp_path: Path) -> None:
    file = tmp_path / "refused.toml"
    file.write_text('[[rule]]\nwhen = { route = "GET products" }\nanswer = { status = 503, retry-after = 9 }\n')
    with running(scenario=str(file)) as sandbox:
        client = ApiClient(sandbox.url, str(sandbox.ca), sandbox.tenant_id, sandbox.client_id, sandbox.client_secret)
        client.http.event_hooks["response"].clear()  # no document describes what a scenario answers
        answer = client.http.get(f"{API}/products")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "9")
        assert client.create_product()["productName"] == "Test product"
        assert json.loads((sandbox.data / "sandbox.json").read_text())["stepTimes"] == "none"


def test_a_wrong_scenario_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text('[[rule]]\nwhen = { route = "commits" }\ndelay = "1h"\n')
    with pytest.raises(SandboxFailed) as refused, running(data=tmp_path / "data", scenario=str(file)):
        pass
    assert "Rule 1, line 1, when: route" in str(refused.value)
    assert "at most 10m" in str(refused.value)
    assert not (tmp_path / "data").exists()


def test_a_command_in_a_sandbox_can_move_its_clock() -> None:
    done = subprocess.run(
        [*HWDASH, "sandbox", "run", "--scenario", "throttled", "--", sys.executable, "-c", CLOCK, json.dumps(HWDASH)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20")
