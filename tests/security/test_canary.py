"""No log, no output, no record and no error tells a secret, whatever goes wrong.

One service runs at log level debug over PostgreSQL, with a marker in every secret that it is given, and all those that
it makes are noted: they go through sign-in, submission, labels, mistakes of clients and accidents of the service.
"""

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from callers import database_of
from hwdash.clock import system_clock
from hwdash.storage import users
from hwdash.vocabulary import COMMAND_LINE_CLIENT_ID, Role
from marks import URL_SIGNATURE, WEB_TOKEN, forms, found_in
from postgresql_cluster import Cluster, cluster
from sandbox_service import Sandbox, make_sandbox
from service import API, HWDASH, RESOURCE, ApiClient, clean_environment, download_url, serve, signed_cabinet

LOGIN = "canary@contoso.example"


@dataclass
class Run:
    """What a run left behind."""

    folder: Path
    secrets: dict[str, str] = field(repr=False)
    log: str = field(repr=False)
    ring: str = field(repr=False)
    refusals: list[tuple[str, str]] = field(repr=False)
    dump: str = field(repr=False)


def marker() -> str:
    return f"canary-{secrets.token_hex(12)}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("canary")
    known = {
        "passphrase": marker(),
        "passphrase of secrets": marker(),
        "database password": marker(),
        "password": marker(),
    }
    with cluster() as postgresql:
        url = postgresql.url.replace("hwdash@", f"hwdash:{known['database password']}@")
        made = make_sandbox(
            folder,
            HWDASH_KEY_PASSPHRASE=known["passphrase"],
            HWDASH_SECRETS_PASSPHRASE=known["passphrase of secrets"],
            HWDASH_DATABASE_URL=url,
        )
        known |= {"client secret": made.credentials["clientSecret"], "sandbox token": made.credentials["sandboxToken"]}
        known["key of URLs"] = (made.data / "secrets" / "sas.key").read_text().strip()
        with serve(made, command=(*HWDASH, "serve", "--log-level", "debug")) as served:
            refusals: list[tuple[str, str]] = []
            sandbox = Sandbox(served)
            _live(sandbox, postgresql, known, refusals, folder)
            ring = json.dumps(sandbox.requests())
        postgresql.restart()
        dump = ["pg_dump", "--host", str(postgresql.folder), "--username", "hwdash", "hwdash"]
        stored = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        yield Run(folder, known, served.log.read_text(), ring, refusals, stored)


def _live(
    sandbox: Sandbox, postgresql: Cluster, known: dict[str, str], refusals: list[tuple[str, str]], folder: Path
) -> None:
    """A day of the service: good work, then each mistake with each secret, then accidents."""
    made, api = sandbox.made, sandbox.client()
    known["access token"] = api.http.headers["Authorization"].split()[1]

    def note(answer: httpx.Response) -> None:
        if answer.status_code >= 400:
            answer.read()
            refusals.append((f"{answer.request.method} {answer.request.url.path}", answer.text))

    api.http.event_hooks["response"].append(note)
    with closing(api.http):
        _sign_in(sandbox, api.http, known)
        submission = api.submit(signed_cabinet(folder, made.vendor))
        for kind in ("signedPackage", "driverMetadata"):
            url = download_url(submission, kind)
            known[f"signature of {kind}"] = dict(parse_qsl(urlsplit(url).query))["sig"]
            assert api.http.get(url, headers={"Authorization": ""}).status_code == 200
        labels = f"{API}/products/{submission['productId']}/submissions/{submission['id']}/shippingLabels"
        api.http.post(labels, json={"name": "L", "destination": "windowsUpdate", "targeting": {}})
        _record(sandbox, known, folder)
        for name, secret in list(known.items()):
            _mistakes(api.http, made.credentials["tenantId"], name, secret, url)
        # Accidents: the database goes away in the midst of it.
        postgresql.stop()
        for _ in range(3):
            api.http.get(f"{API}/products")
            api.http.post(f"{API}/products", json={"productName": "P"})
            api.http.post(f"/{made.credentials['tenantId']}/oauth2/token", data=_form(made.credentials))


def _form(given: dict[str, Any], **changes: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": given["clientId"],
        "client_secret": given["clientSecret"],
        "resource": RESOURCE,
    } | changes


def _sign_in(sandbox: Sandbox, http: httpx.Client, known: dict[str, str]) -> None:
    """A person signs in with a password, and refreshes the sign-in."""
    given = sandbox.made.credentials
    with database_of(sandbox.served) as database, database.writing() as connection:
        person = users.create_user(
            connection, given["accountId"], LOGIN, "Ada", [Role.DRIVER_SUBMITTER], system_clock()
        )
        known["one-time password"] = person.one_time_password
        users.choose_password(connection, person.user, known["password"])
    oauth2, client = f"/{given['tenantId']}/oauth2/v2.0", {"client_id": COMMAND_LINE_CLIENT_ID}
    scope = {"scope": f"{RESOURCE}/.default offline_access"}
    begun = http.post(f"{oauth2}/devicecode", data=client | scope).raise_for_status().json()
    known["device code"] = begun["device_code"]
    for password in ("wrong-" + known["password"], known["password"]):
        page = re.search(r'name="csrf" value="([^"]+)"', http.get("/devicelogin").text)
        assert page is not None
        entered = {"csrf": page[1], "code": begun["user_code"], "login": LOGIN, "password": password, "answer": "allow"}
        answer = http.post("/devicelogin", data=entered)
    assert answer.status_code == 200, answer.text
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
    got = http.post(f"{oauth2}/token", data=client | grant).raise_for_status().json()
    known |= {"a person's token": got["access_token"], "refresh token": got["refresh_token"]}
    again = {"grant_type": "refresh_token", "refresh_token": got["refresh_token"]}
    got = http.post(f"{oauth2}/token", data=client | again).raise_for_status().json()
    known["second refresh token"] = got["refresh_token"]
    assert http.post(f"{oauth2}/token", data=client | again).status_code == 400


def _record(sandbox: Sandbox, known: dict[str, str], folder: Path) -> None:
    """The same service through ``hwdash sandbox record``."""
    given = sandbox.made.credentials
    command = [*HWDASH, "sandbox", "record", "--upstream", sandbox.url, "--ca", given["caCertificate"]]
    with subprocess.Popen(
        [*command, str(folder / "recording.jsonl")], env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            door = json.loads(process.stdout.readline())
            api = ApiClient(
                door["url"], door["caCertificate"], given["tenantId"], given["clientId"], given["clientSecret"]
            )
            known["recorded token"] = api.http.headers["Authorization"].split()[1]
            submission = api.create_submission(api.create_product()["id"])
            query = urlsplit(download_url(submission, "initialPackage")).query
            known["recorded signature"] = dict(parse_qsl(query))["sig"]
            assert api.upload(submission, b"MSCF no cabinet").status_code == 201
            api.commit(submission)
            api.http.close()
        finally:
            process.terminate()


def _mistakes(http: httpx.Client, tenant: str, name: str, secret: str, url: str) -> None:
    """What clients do wrong with a secret in their hands."""
    products, token = f"{API}/products", f"/{tenant}/oauth2/token"
    for header in (secret, f"Bearer {secret}", f"Basic {secret}", f"Token {secret}", f"Bearer {secret} {secret}"):
        http.get(products, headers={"Authorization": header})
        http.post(token, data={"grant_type": "client_credentials"}, headers={"Authorization": header})
    for fields in (
        {"grant_type": "client_credentials", "client_secret": secret},
        {
            "grant_type": "client_credentials",
            "client_id": name,
            "client_secret": secret,
            "resource": RESOURCE,
        },
        {"grant_type": "client_credentials", "client_assertion": secret},
        {"grant_type": "refresh_token", "client_id": COMMAND_LINE_CLIENT_ID, "refresh_token": secret},
        {"grant_type": "password", "username": LOGIN, "password": secret},
        {"password": secret, "token": secret},
    ):
        http.post(token, data=fields)
        http.post(f"/{tenant}/oauth2/v2.0/revoke", data=fields)
    http.post(token, content=f'{{"client_secret": "{secret}"}}', headers={"Content-Type": "application/json"})
    http.post("/devicelogin", data={"password": secret, "csrf": secret, "code": "ABCD"})
    for content in (f'{{"clientSecret": "{secret}"', f'{{"clientSecret": "{secret}"}}'):
        http.post(products, content=content, headers={"Content-Type": "application/json"})
    http.get(products, params={"access_token": secret, "pageSize": "none"})
    http.get("/nowhere", params={"client_secret": secret})
    http.get(f"{url}&sig={secret}", headers={"Authorization": ""})
    http.get(url.partition("&sig=")[0], params={"sig": secret}, headers={"Authorization": ""})
    http.request("PUT", url, content=b"x", headers={"Authorization": f"Bearer {secret}"})
    http.post("/_sandbox/clock", json={"advance": "1x"}, headers={"Authorization": f"Bearer {secret}"})


def test_every_kind_of_secret_went_through_the_run(run: Run) -> None:
    assert len(run.secrets) >= 14
    assert min(map(len, run.secrets.values())) >= 8


def test_the_run_had_refusals_and_accidents_at_the_level_of_debug(run: Run) -> None:
    # Else there was nothing that a secret could have slipped into.
    assert len(run.refusals) > 200
    assert " DEBUG " in run.log
    assert "Traceback" in run.log


def test_no_line_of_the_log_holds_a_secret(run: Run) -> None:
    found = [(found_in(line, run.secrets), line[:300]) for line in run.log.splitlines()]
    assert [each for each in found if each[0]] == []


def test_no_refusal_holds_a_secret(run: Run) -> None:
    found = [(where, found_in(text, run.secrets)) for where, text in run.refusals]
    assert [each for each in found if each[1]] == []


def test_nothing_that_a_sandbox_keeps_of_its_requests_holds_a_secret(run: Run) -> None:
    assert len(json.loads(run.ring)) > 200
    assert found_in(run.ring, run.secrets) == []


def test_the_recording_holds_no_secret(run: Run) -> None:
    recording = (run.folder / "recording.jsonl").read_text()
    assert recording.count("\n") > 4
    assert found_in(recording, run.secrets) == []


def test_no_file_of_the_service_and_no_row_holds_a_secret_that_it_need_not_know(run: Run) -> None:
    needed = {"key of URLs"}
    hidden = {name: secret for name, secret in run.secrets.items() if name not in needed}
    files = [each for each in run.folder.rglob("*") if each.is_file()]
    assert len(files) > 20
    marks = {name: {form.encode() for form in forms(secret)} for name, secret in hidden.items()}
    found = [
        (name, file.relative_to(run.folder).as_posix())
        for file in files
        for content in [file.read_bytes()]
        for name, wanted in marks.items()
        if any(each in content for each in wanted)
    ]
    assert found == []
    assert "submissions" in run.dump
    assert found_in(URL_SIGNATURE.sub("", WEB_TOKEN.sub("", run.dump)), hidden) == []


@pytest.mark.parametrize("place", ["plain", "quoted", "base64", "token", "url"])
def test_a_secret_that_slipped_out_would_be_seen(place: str) -> None:
    secret = "canary+" + secrets.token_hex(8)
    told = {
        "plain": f"line with {secret} in it",
        "quoted": f"a=1&b={sorted(forms(secret), key=len)[0]}",
        "base64": base64.b64encode(f"user:{secret}".encode()).decode(),
        "token": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "url": "GET /blobs/x?sp=r&sig=abcdefghijklmnopqrstuvwxyz%3D",
    }
    assert found_in(told[place], {"secret": secret})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://hwdash:{secret}@127.0.0.1:1/hwdash",
        "postgresql+psycopg://hwdash:{secret}@host:port/hwdash",
        "postgresql+psycopg:/hwdash:{secret}@host/hwdash",
        "nosuchdb://hwdash:{secret}@host/hwdash",
        "{secret}",
    ],
)
def test_a_database_that_cannot_be_had_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    secret = marker()
    environment = clean_environment(HWDASH_DATA=str(tmp_path / "s"), HWDASH_DATABASE_URL=url.format(secret=secret))
    done = subprocess.run([*HWDASH, "init"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert found_in(done.stdout + done.stderr, {"password": secret}) == []
    assert "Traceback" not in done.stderr
