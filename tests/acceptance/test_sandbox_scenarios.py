"""Every shipped scenario, played to our own client: it gets its package signed, or ends with the right error."""

import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hwdash.cli.output import Exit, Refused
from hwdash.cli.submit import submit
from hwdash.sandbox.scenario import Fail
from hwdash.sandbox.scenario_file import shipped_names, shipped_scenario
from hwdash.sdk.auth import ClientSecret
from hwdash.sdk.client import HardwareClient
from hwdash.sdk.errors import ApiError, LabelFailed, TransportError
from hwdash.sdk.selection import hardware_ids
from sandbox_service import Sandbox, sandbox
from service import API, X64, hwdash, signed_cabinet

LONGEST_PAUSE = 0.05


def briefly(seconds: float) -> None:
    """Wait as the client does, but never long."""
    time.sleep(min(seconds, LONGEST_PAUSE))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def package(stage: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return signed_cabinet(tmp_path_factory.mktemp("package"), stage.made.vendor)


class Client:
    """``hwdash submit`` in this process, with waits cut short."""

    def __init__(self, stage: Sandbox, package: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stage = stage
        self._package = package
        self.signed = folder / "signed.zip"
        self._state = folder / "state"
        self._monkeypatch = monkeypatch

    def submit(self, name: str, *options: str, timeout: float = 60.0) -> tuple[int, dict[str, Any]]:
        """The exit code and the JSON document."""
        client = partial(HardwareClient, sleep=briefly, timeout=timeout)
        self._monkeypatch.setattr("hwdash.cli.remote.HardwareClient", client)
        words = [str(self._package), "--name", name, "--signature", X64, "--output", str(self.signed), "--json"]
        environment = {**self._stage.environment(), "XDG_STATE_HOME": str(self._state)}
        done = CliRunner().invoke(submit, [*words, *options], env=environment, standalone_mode=False)
        code = 0
        if done.exception is not None:
            assert isinstance(done.exception, Refused), done.exception
            code = done.exception.code
        return code, json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def client(stage: Sandbox, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(stage, package, tmp_path, monkeypatch)


def sdk(stage: Sandbox, **changes: str) -> HardwareClient:
    given = stage.made.credentials
    names = {"client_id": given["clientId"], "client_secret": given["clientSecret"]} | changes
    credentials = ClientSecret(stage.url, given["tenantId"], **names)
    return HardwareClient(stage.url, credentials, verify=given["caCertificate"], sleep=briefly)


def struck(stage: Sandbox, name: str) -> list[dict[str, Any]]:
    """The requests at which a rule of the scenario struck."""
    return [each for each in stage.requests(f"{name}, rule") if each["rules"]]


CONDITIONAL = re.compile(r".* (?:when|after) .*")
# What strikes in steps, or only at requests that `hwdash submit` does not make.
UNSEEN = {
    *("broken-token", "missing-role", "late-pages", "commit-needs-type"),
    *("label-cancelled-late", "approval-refused"),
}


@pytest.mark.parametrize("name", shipped_names())
def test_the_client_survives_or_ends_with_the_right_error(stage: Sandbox, client: Client, name: str) -> None:
    scenario = shipped_scenario(name)
    stage.play_shipped(name)
    stage.admin("DELETE", "/requests")
    if name == "stuck":
        code, document = client.submit(name, "--timeout", "1")
        assert (code, document["state"]) == (Exit.UNREACHABLE, "unreachable")
        stage.advance("3d")
    # Too little patience for the scenario's two seconds: the client gives up and asks again.
    code, document = client.submit(name, timeout=1.5 if name == "slow" else 60.0)
    if scenario.outcome.startswith("SubmissionFailed in "):
        assert (code, document["state"]) == (Exit.REFUSED, "failed")
        (rule,) = scenario.rules
        assert isinstance(rule.effect, Fail)
        assert scenario.outcome.endswith(rule.when.step or "?")
        assert document["messages"] == list(rule.effect.messages)
    elif scenario.outcome == "ApiError 403":
        assert (code, document["state"]) == (Exit.REFUSED, "refused")
    else:
        assert scenario.outcome == "signed" or CONDITIONAL.fullmatch(scenario.outcome)
        assert (code, document["state"]) == (0, "completed"), document
        with zipfile.ZipFile(client.signed) as archive:
            assert any(each.endswith(".cat") for each in archive.namelist())
    if not any(isinstance(rule.effect, Fail) for rule in scenario.rules) and name not in {*UNSEEN, "stuck"}:
        numbers = {rule for each in struck(stage, name) for rule in each["rules"]}
        assert numbers == {f"{name}, rule {rule.number}" for rule in scenario.rules}, "a rule that never struck"
    with sdk(stage) as check:
        made = [each for each in check.products() if each.product_name == name]
        assert len(made) == 1, "a repeated create made a second product"
        assert len(list(check.submissions(made[0].id))) == 1


def refused(action: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as error:
        action()
    return error.value


def test_a_broken_token_gets_500(stage: Sandbox) -> None:
    stage.play_shipped("broken-token")
    client = stage.client()
    client.http.headers["Authorization"] = "Bearer broken"
    answer = client.http.get(f"{API}/products")
    assert (answer.status_code, answer.json()["statusCode"]) == (500, 500)
    assert set(answer.json()) == {"statusCode", "message", "activityId"}
    stage.admin("DELETE", "/scenario")
    assert client.http.get(f"{API}/products").status_code == 401


def test_a_missing_role_gets_503(stage: Sandbox) -> None:
    stage.play_shipped("missing-role")
    made = json.loads(hwdash("admin", "app", "create", "Weak", "--role", "Manager", environment=stage.made.environment))
    with sdk(stage, client_id=made["clientId"], client_secret=made["clientSecret"]) as client:
        assert refused(lambda: list(client.products())).status == 503
    assert any("scenario plays" in each["explanation"] for each in struck(stage, "missing-role"))


def test_late_pages_get_500(stage: Sandbox) -> None:
    stage.play_shipped("late-pages")
    with sdk(stage) as client:
        for _ in range(2):
            client.create_product({"productName": "P", "testHarness": "Attestation", "requestedSignatures": [X64]})
        assert list(client.products())
    http = stage.client().http
    first = http.get(f"{API}/products?pageSize=1")
    assert first.status_code == 200
    (following,) = (each["href"] for each in first.json()["links"] if each["rel"] == "next_link")
    assert http.get(following).status_code == 500


def test_a_commit_without_the_headers_of_a_body_is_refused(stage: Sandbox) -> None:
    stage.play_shipped("commit-needs-type")
    client = stage.client()
    submission = client.create_submission(client.create_product()["id"])
    assert client.commit(submission).status_code == 415
    path = f"{API}/products/{submission['productId']}/submissions/{submission['id']}/commit"
    bare = client.http.build_request("POST", path, headers={"Content-Type": "application/json"})
    del bare.headers["Content-Length"]
    refused = client.http.send(bare)
    assert (refused.status_code, refused.headers["content-type"]) == (411, "text/html")
    taken_further = client.http.post(path, headers={"Content-Type": "application/json"})
    assert taken_further.json()["error"]["code"] == "invalidInput", "the service's own word: nothing was uploaded"


def test_late_metadata_comes_with_the_clock(stage: Sandbox, package: Path) -> None:
    stage.play_shipped("metadata-late")
    done = stage.client().submit(package)
    assert "driverMetadata" not in {each["type"] for each in done["downloads"]["items"]}
    stage.advance("4h")
    later = stage.client().get_submission(done)
    assert "driverMetadata" in {each["type"] for each in later["downloads"]["items"]}


def test_a_magic_name_does_it_for_a_client_that_can_set_nothing_else(stage: Sandbox, package: Path) -> None:
    stage.admin("DELETE", "/scenario")
    client = stage.client()
    failed = client.submit(package, productName="sandbox: fail scanning: infected, says the rehearsal")
    assert failed["workflowStatus"]["currentStep"] == "scanning"
    assert failed["workflowStatus"]["messages"] == ["infected, says the rehearsal"]
    report = client.http.get(failed["workflowStatus"]["errorReport"])
    assert "infected, says the rehearsal" in report.text
    numbered = client.submit(package, productName="Audio [sandbox:numeric-step]")
    assert numbered["workflowStatus"]["currentStep"] == 8
    assert client.submit(package)["workflowStatus"]["currentStep"] == "finalizeIngestion"
    body = {"productName": "[sandbox:nonsense]", "testHarness": "Attestation", "requestedSignatures": [X64]}
    refused = client.http.post(f"{API}/products", json=body)
    assert refused.status_code == 422
    assert (
        "there are approval-refused, bad-gateway-on-commit" in refused.json()["error"]["validationErrors"][0]["message"]
    )


def test_a_label_that_is_cancelled_late_ends_a_day_later(stage: Sandbox, package: Path) -> None:
    stage.play_shipped("label-cancelled-late")
    made, label = labelled(stage, package)
    stage.advance("30m")
    with sdk(stage) as client:
        client.wait_label(*made, label, until_approval=True, poll_seconds=0)
        client.cancel_label(*made, label)
        client.cancel_label(*made, label)
        assert client.get_label(*made, label).workflow_status.state == "started"
    for span in ("2h", "23h"):
        stage.advance(span)
        with sdk(stage) as client, pytest.raises(TransportError):
            client.wait_label(*made, label, poll_seconds=0.5, timeout_seconds=2.5)
    stage.advance("2h")
    with sdk(stage) as client, pytest.raises(LabelFailed) as failure:
        client.wait_label(*made, label, timeout_seconds=60)
    assert failure.value.step == "microsoftApproval"
    assert "cancelled" in " ".join(failure.value.messages)


def test_an_approval_is_refused_after_two_days_with_a_reason(stage: Sandbox, package: Path) -> None:
    stage.play_shipped("approval-refused")
    made, label = labelled(stage, package)
    stage.advance("47h")
    with sdk(stage) as client, pytest.raises(TransportError):
        client.wait_label(*made, label, poll_seconds=0.5, timeout_seconds=2.5)
    stage.advance("2h")
    with sdk(stage) as client:
        with pytest.raises(LabelFailed, match="on which machines") as failure:
            client.wait_label(*made, label, timeout_seconds=60)
        assert failure.value.step == "microsoftApproval"
        report = client.get_label(*made, label).workflow_status.error_report
        assert report is not None
    assert "on which machines" in stage.client().http.get(report, headers={"Authorization": ""}).text


def labelled(stage: Sandbox, package: Path) -> tuple[tuple[int, int], int]:
    """A submission with a label for test machines that has come to its approval: ids of product and submission, and the
    label's.
    """
    done = stage.client().submit(package)
    ids = done["productId"], done["id"]
    with sdk(stage) as client:
        (audience,) = [each.id for each in client.audiences() if each.name == "Test_Registry_Key"]
        targeting = {
            "hardwareIds": hardware_ids(client.driver_metadata(*ids)),
            "restrictedToAudiences": [audience],
        }
        specifications = {"manualAcquisition": True}
        wanted = {"name": "n", "destination": "windowsUpdate", "publishingSpecifications": specifications}
        label = client.create_label(*ids, {**wanted, "targeting": targeting})
        client.wait_label(*ids, label.id, until_approval=True, timeout_seconds=60)
        assert [each.id for each in client.labels(*ids)] == [label.id]
        shown = client.get_label(*ids, label.id, targeting=True).targeting
        assert shown is not None
        assert shown.restricted_to_audiences == [audience]
    return ids, label.id
