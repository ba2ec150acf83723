"""What stands below /_sandbox, who may ask for it, and that a service without the mark has none of it."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from hwdash.sandbox.pages import PREFIX
from sandbox_service import Sandbox, sandbox
from service import API, DEADLINE_SECONDS, X64, ApiClient, Served, hwdash, serve, signed_cabinet, until

ROUTES = [
    ("GET", ""),
    ("GET", "/requests"),
    ("DELETE", "/requests"),
    ("GET", "/clock"),
    ("POST", "/clock"),
    ("GET", "/scenario"),
    ("POST", "/scenario"),
    ("DELETE", "/scenario"),
]
BUSY = '[[rule]]\nwhen = { route = "products" }\nanswer = { status = 503 }\n'


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


# Who may


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_told_or_changed_without_the_token(stage: Sandbox, method: str, path: str) -> None:
    bearer = stage.client().http.headers["Authorization"]
    for authorization in ("none", "Bearer", "Bearer wrong", bearer, basic("wrong")):
        answer = stage.admin(method, path, authorization=authorization, content=b"{}")
        assert answer.status_code == 401, authorization
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


def basic(token: str) -> str:
    return f"Basic {base64.b64encode(f'me:{token}'.encode()).decode()}"


def test_a_browser_may_look_and_not_touch(stage: Sandbox) -> None:
    assert stage.admin("GET", "", authorization=basic(stage.token)).status_code == 200
    changed = stage.admin("POST", "/clock", authorization=basic(stage.token), json={"advance": "1h"})
    assert changed.status_code == 401


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_service_without_the_mark_has_none_of_it(client: ApiClient, method: str, path: str) -> None:
    answer = client.http.request(method, f"{PREFIX}{path}", content=b"{}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "entityNotFound"


def test_a_service_without_the_mark_plays_nothing(client: ApiClient, service: Served) -> None:
    assert client.create_product(productName="[sandbox:no-such]")["productName"] == "[sandbox:no-such]"
    assert client.create_product(productName="sandbox: explode")["productName"] == "sandbox: explode"
    for file in ("sandbox-clock.json", "sandbox-scenario.toml"):
        assert not (service.made.data / file).exists()


def test_files_of_a_sandbox_in_another_folder_mean_nothing(client: ApiClient, service: Served, tmp_path: Path) -> None:
    """The mark alone makes a sandbox; where it is absent, a moved clock beside it is not even read."""
    file = service.made.data / "sandbox-clock.json"
    file.write_text('{"offsetSeconds": 86400000, "standsAt": null}')
    try:
        created = client.create_product()["createdDateTime"]
    finally:
        file.unlink()
    assert abs(datetime.fromisoformat(created) - datetime.now(UTC)) < timedelta(minutes=5)


def test_what_is_not_there_and_what_is_wrong_is_said(stage: Sandbox) -> None:
    assert stage.admin("GET", "/elsewhere").status_code == 404
    assert stage.admin("PUT", "/clock").status_code == 405
    for body in ('{"advance": "soon"}', '{"advance": 3}', "{}", '{"frozen": 1}', '{"advance": "1d", "frozen": true}'):
        answer = stage.admin("POST", "/clock", content=body)
        assert answer.status_code == 422, body
    assert stage.admin("POST", "/clock", content="{").status_code == 400
    assert stage.admin("POST", "/clock", content="[]").status_code == 400
    assert stage.admin("GET", "/requests", params={"after": "x"}).status_code == 422
    assert stage.admin("POST", "/scenario", content=b"\xff").status_code == 422
    assert stage.admin("POST", "/scenario", content=b"x" * 600_000).status_code == 413
    assert stage.admin("POST", "/scenario", json={"name": "no-such"}).status_code == 422
    refused = stage.admin("POST", "/scenario", content='colour = 1\n[[rule]]\ndelay = "x"\n').json()["error"]
    assert len(refused["validationErrors"]) == 2


# Scenarios


def test_a_scenario_is_set_listed_and_cleared_by_the_command(stage: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "busy.toml"
    file.write_text(BUSY)
    client = stage.client()
    stage.command("sandbox", "scenario", "set", str(file))
    assert client.http.get(f"{API}/products").status_code == 503
    listed = json.loads(stage.command("sandbox", "scenario", "list", "--json"))
    assert listed["scenario"]["rules"] == 1
    assert {"throttled", "slow"} <= {each["name"] for each in listed["shipped"]}
    stage.command("sandbox", "scenario", "clear")
    assert client.http.get(f"{API}/products").status_code == 200
    stage.command("sandbox", "scenario", "set", "throttled")
    assert json.loads(stage.command("sandbox", "scenario", "list", "--json"))["scenario"]["name"] == "throttled"
    stage.command("sandbox", "scenario", "clear")


# Inspection


def test_requests_are_shown_with_their_answers_and_reasons(stage: Sandbox) -> None:
    client = stage.client()
    submission = client.create_submission(client.create_product(productName="Shown <b>")["id"])
    assert client.commit(submission).status_code == 422
    missing = f"No package has been uploaded: Initial_{submission['id']}"
    (commit,) = stage.requests(missing)
    assert (commit["method"], commit["status"]) == ("POST", 422)
    assert "before the commit" in commit["explanation"]
    assert commit["path"].endswith("/commit")
    page = stage.admin("GET", "", params={"q": "Shown <b>"})
    assert "Shown &lt;b&gt;" in page.text
    assert "<b>" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|<link|<img|\son\w+=|https?://[^\s\"<]*\.(?:js|css)", page.text)
    shown = stage.command("sandbox", "log", "--grep", missing)
    assert "commit 422" in shown
    assert "Documented in: manage-product-submissions" in shown
    document = json.loads(stage.command("sandbox", "log", "--grep", missing, "--json"))
    assert [each["status"] for each in document["requests"]] == [422]
    assert stage.admin("DELETE", "/requests").status_code == 204
    assert stage.requests() == []


def test_no_secret_no_token_and_no_signature_is_kept(stage: Sandbox, tmp_path: Path) -> None:
    client = stage.client()
    done = client.submit(signed_cabinet(tmp_path, stage.made.vendor), productName="Canary")
    for item in done["downloads"]["items"]:
        client.http.get(item["url"])
    client.http.get(f"{API}/products", headers={"Authorization": "Bearer canaryAAAABBBBCCCC"})
    kept = json.dumps(stage.requests()) + stage.admin("GET", "").text
    assert "Canary" in kept
    secrets = [
        stage.made.credentials["clientSecret"],
        stage.token,
        client.http.headers["Authorization"].removeprefix("Bearer "),
        "canaryAAAABBBBCCCC",
        *(found for item in done["downloads"]["items"] for found in re.findall(r"[?&]sig=([^&]+)", item["url"])),
    ]
    assert len(secrets) > 6
    for secret in secrets:
        assert secret not in kept
        assert secret[:16] not in kept


# Time


def test_the_clock_moves_tokens_urls_and_names_the_service_writes(stage: Sandbox) -> None:
    client = stage.client()
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, b"package").status_code == 201
    before = json.loads(stage.command("sandbox", "clock", "show", "--json"))
    stage.command("sandbox", "clock", "advance", "61m")
    expired = client.http.get(f"{API}/products")
    assert (expired.status_code, "expired" in expired.text) == (401, True)
    stage.command("sandbox", "clock", "advance", "1d")
    refused = client.upload(submission, b"package")
    assert refused.status_code == 403
    assert "expired" in refused.text
    stage.command("sandbox", "clock", "freeze")
    frozen = [stage.command("sandbox", "clock", "show") for _ in range(2)]
    assert frozen[0] == frozen[1]
    assert "(frozen)" in frozen[0]
    again = stage.client()
    assert again.create_product()["createdDateTime"] == again.create_product()["createdDateTime"]
    stage.command("sandbox", "clock", "resume")
    after = json.loads(stage.command("sandbox", "clock", "show", "--json"))
    moved = datetime.fromisoformat(after["now"]) - datetime.fromisoformat(before["now"])
    assert timedelta(minutes=61, days=1) <= moved < timedelta(minutes=71, days=1)


def test_steps_take_their_time_by_the_clock_also_over_a_restart(tmp_path: Path) -> None:
    with sandbox(tmp_path, HWDASH_SANDBOX_STEP_TIMES="realistic") as stage:
        made = stage.made
        assert stage.admin("POST", "/clock", json={"frozen": True}).status_code == 200
        client = stage.client()
        submission = client.create_submission(client.create_product()["id"])
        assert client.upload(submission, signed_cabinet(tmp_path, made.vendor)).status_code == 201
        assert client.commit(submission).status_code == 202
        stage.advance("59s")
        assert client.get_submission(submission)["workflowStatus"]["currentStep"] == "packageInfoValidation"
        stage.advance("1s")
        until(
            lambda: client.get_submission(submission)["workflowStatus"]["currentStep"] == "preparation",
            "the first step has not ended although its time is over",
        )
    with serve(made) as served:
        stage = Sandbox(served)
        client = served.client()
        assert client.get_submission(submission)["workflowStatus"]["currentStep"] == "preparation"
        for _ in range(DEADLINE_SECONDS * 2):
            stage.advance("10m")
            if client.get_submission(submission)["workflowStatus"]["state"] == "completed":
                break
            client = served.client()  # the clock takes tokens along
        assert client.get_submission(submission)["workflowStatus"]["state"] == "completed"


def test_a_moved_clock_and_faults_do_not_reach_the_signing_keys(tmp_path: Path) -> None:
    """What is signed has the machine's time, and a step that a scenario failed leads to no signature."""
    with sandbox(tmp_path) as stage:
        begun = datetime.now(UTC)
        stage.advance("200d")
        client = stage.client()
        package = signed_cabinet(tmp_path, stage.made.vendor)
        failed = client.submit(package, productName="sandbox: fail manualReview: no")
        assert failed["workflowStatus"]["currentStep"] == "manualReview"
        log = stage.made.data / "keys" / "signatures.log"
        assert log.read_text() == "", "a signature for a submission that was refused"
        done = client.submit(package)
        assert datetime.fromisoformat(done["createdDateTime"]) > begun + timedelta(days=199)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {line["submissionId"] for line in lines} == {done["id"]}
        for line in lines:
            for time in (line["time"], line["when"]):
                assert begun - timedelta(seconds=1) <= datetime.fromisoformat(time) <= datetime.now(UTC)
            assert set(line["finishedSteps"]) >= {"scanning", "validation", "manualReview"}


# The commands


def test_the_commands_say_what_is_missing_or_wrong(stage: Sandbox, service: Served, tmp_path: Path) -> None:
    def refused(*words: str, **changes: str) -> tuple[int, str]:
        environment = {**stage.environment(), **changes}
        with pytest.raises(AssertionError) as failure:
            hwdash(*words, environment={name: value for name, value in environment.items() if value})
        found = re.search(r"ended with (\d+)", str(failure.value))
        assert found
        return int(found[1]), str(failure.value)

    assert refused("sandbox", "clock", "show", HWDASH_SANDBOX_TOKEN="")[0] == 2
    assert refused("sandbox", "clock", "show", HWDASH_SANDBOX_TOKEN="wrong")[0] == 4
    assert refused("sandbox", "clock", "show", HWDASH_URL="https://localhost:9")[0] == 3
    assert refused("sandbox", "clock", "show", HWDASH_CA=str(tmp_path / "none.crt"))[0] == 2
    code, told = refused("sandbox", "clock", "advance", "soon")
    assert (code, "3d, 2h30m" in told) == (1, True)
    code, told = refused("sandbox", "scenario", "set", "no-such")
    assert (code, "no scenario that comes with hwdash" in told) == (2, True)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[[rule]]\ndelay = "x"\n[[rule]]\n')
    code, told = refused("sandbox", "scenario", "set", str(wrong))
    assert (code, "Rule 1, line 1" in told, "Rule 2, line 3" in told) == (2, True, True)
    ordinary = service.made.credentials["caCertificate"]
    code, told = refused("sandbox", "log", HWDASH_URL=service.url, HWDASH_CA=ordinary)
    assert (code, "no sandbox" in told) == (1, True)


def test_the_answers_of_a_sandbox_without_a_scenario_are_the_services_own(stage: Sandbox, client: ApiClient) -> None:
    """Compared with a normal service: the same statuses, headers and properties."""
    stage.admin("DELETE", "/scenario")
    mine = stage.client()

    def shapes(each: ApiClient) -> list[tuple[int, set[str], set[str]]]:
        product = each.create_product()
        submission = each.create_submission(product["id"])
        answers: list[httpx.Response] = [
            each.http.get(f"{API}/products/{product['id']}"),
            each.http.post(f"{API}/products", json={"requestedSignatures": [X64]}),
            each.http.get(f"{API}/products/1"),
            each.http.get(f"{API}/products", headers={"Authorization": "Bearer x"}),
            each.commit(submission),
            each.upload(submission, b"x"),
            each.http.get("/healthz"),
        ]
        volatile = {"date", "etag", "last-modified", "content-md5"}
        return [
            (
                answer.status_code,
                set(answer.headers) - volatile,
                set(answer.json()) if "json" in answer.headers.get("content-type", "") else set(),
            )
            for answer in answers
        ]

    assert shapes(mine) == shapes(client)
