"""Every write over HTTP leaves an entry of the audit log, and so does what is refused to whoever may not."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from callers import Mint, client_id_of, database_of, new_client
from finished_submission import Finished, finished_submission, stored_label
from hwdash.server.api.routes import ROUTES
from hwdash.server.refusals import A_MINUTE
from hwdash.signing.checkpoint import VerifierKey
from hwdash.storage.audit_tables import audit_entries, audit_queue
from hwdash.storage.audit_verification import TreeHead, verify
from service import API, RESOURCE, ApiClient, Served, make_service, serve, signed_cabinet, until
from wire_routes import PRODUCT

pytestmark = pytest.mark.usefixtures("no_accident")

WRITING = {route.action for route in ROUTES if route.writes}


def entries(service: Served, **wanted: object) -> list[dict[str, Any]]:
    """The entries, sealed or not, whose columns and details are as wanted; in the order of time."""
    found = []
    with database_of(service) as database, database.reading() as connection:
        for table in (audit_entries, audit_queue):
            for row in connection.execute(sa.select(table)).mappings():
                entry = {**row, **json.loads(row["details"])}
                if all(entry.get(name) == value for name, value in wanted.items()):
                    found.append(entry)
    return sorted(found, key=lambda each: each["time"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Of this file alone: of refusals so many a minute have entries, and other tests make more."""
    with serve(make_service(tmp_path_factory.mktemp("audited"))) as served:
        yield served


@pytest.fixture
def finished(service: Served) -> Finished:
    with database_of(service) as database, database.writing() as connection:
        return finished_submission(connection, service.made.credentials["accountId"])


@pytest.fixture
def label(service: Served, finished: Finished) -> str:
    """A label that waits for its approval."""
    with database_of(service) as database, database.writing() as connection:
        number = stored_label(connection, finished, current_step="microsoftApproval", state="started")
    return f"{finished.labels}/{number}"


@pytest.fixture
def live_label(service: Served, finished: Finished) -> str:
    with database_of(service) as database, database.writing() as connection:
        return f"{finished.labels}/{stored_label(connection, finished)}"


@pytest.fixture
def waiting(client: ApiClient, service: Served, tmp_path: Path) -> str:
    """A submission whose package is uploaded."""
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, signed_cabinet(tmp_path, service.made.vendor)).status_code == 201
    return f"{API}/products/{submission['productId']}/submissions/{submission['id']}"


Request = Callable[[pytest.FixtureRequest], tuple[str, str, bytes]]


def _json(method: str, path: str, body: object) -> tuple[str, str, bytes]:
    return method, path, json.dumps(body).encode()


def _product(request: pytest.FixtureRequest) -> str:
    client: ApiClient = request.getfixturevalue("client")
    return f"{API}/products/{client.create_product()['id']}"


def _new_label(request: pytest.FixtureRequest) -> tuple[str, str, bytes]:
    finished: Finished = request.getfixturevalue("finished")
    body = {
        "name": "L",
        "destination": "windowsUpdate",
        "publishingSpecifications": {
            "goLiveDate": None,
            "visibleToAccounts": [],
            "isAutoInstallDuringOSUpgrade": False,
            "isAutoInstallOnApplicableSystems": False,
            "manualAcquisition": True,
            "isDisclosureRestricted": False,
            "publishToWindows10s": False,
        },
        "targeting": {"hardwareIds": finished.targets(), "restrictedToAudiences": []},
    }
    return _json("POST", finished.labels, body)


# By action: a request that succeeds. A new writing route needs a line here.
REQUESTS: dict[str, Request] = {
    "create_product": lambda _: _json("POST", f"{API}/products", PRODUCT),
    "update_product": lambda given: _json(
        "PATCH", given.getfixturevalue("waiting").partition("/submissions")[0], {"productName": "Renamed"}
    ),
    "create_submission": lambda given: _json(
        "POST", f"{_product(given)}/submissions", {"name": "n", "type": "initial"}
    ),
    "update_submission": lambda given: _json("PATCH", given.getfixturevalue("waiting"), {"name": "Renamed"}),
    "commit_submission": lambda given: ("POST", f"{given.getfixturevalue('waiting')}/commit", b""),
    "create_publisher_metadata": lambda given: (
        "POST",
        f"{given.getfixturevalue('finished').path}/createpublishermetadata",
        b"",
    ),
    "create_label": _new_label,
    "update_label": lambda given: _json(
        "PATCH",
        given.getfixturevalue("live_label"),
        {"targeting": {"chids": [{"chid": str(uuid.uuid4()), "action": "add"}]}},
    ),
    "cancel_label": lambda given: ("PUT", f"{given.getfixturevalue('label')}/cancel", b""),
    "upload_package": lambda _: ("PUT", f"{API}/preprod/packages", b"a package"),
}
KINDS = {"product": "products", "submission": "submissions", "shipping label": "shippingLabels"}


def test_each_writing_route_is_tried() -> None:
    assert set(REQUESTS) == WRITING
    assert len(WRITING) == sum(route.writes for route in ROUTES)


@pytest.mark.parametrize("action", sorted(WRITING))
def test_a_write_is_one_entry_with_who_what_and_the_digest(
    action: str, request: pytest.FixtureRequest, client: ApiClient, service: Served
) -> None:
    method, path, body = REQUESTS[action](request)
    headers = {"MS-RequestId": str(uuid.uuid4()), "Content-Type": "application/json"}
    answers = [client.http.request(method, path, content=body, headers=headers)]
    assert answers[0].is_success, answers[0].text
    if action.startswith("create_") and action != "create_publisher_metadata":
        answers.append(client.http.request(method, path, content=body, headers=headers))
        assert answers[1].json()["id"] == answers[0].json()["id"]  # a repeat does nothing, and is no entry
    (entry,) = entries(service, requestId=headers["MS-RequestId"])
    assert (entry["action"], entry["account_id"]) == (action, service.made.credentials["accountId"])
    assert (entry["actor_kind"], entry["actor_id"]) == ("application", client_id_of(client))
    assert entry.get("bodySha256") == (hashlib.sha256(body).hexdigest() if body else None)
    made = answers[0].json()["id"] if answers[0].status_code == 201 else None
    if made is None:
        segments = path.split("/")
        made = segments[segments.index(KINDS[entry["object_kind"]]) + 1]
    assert entry["object_id"] == str(made)


def test_a_request_that_fails_leaves_no_entry(client: ApiClient, service: Served) -> None:
    request_id = str(uuid.uuid4())
    answer = client.http.patch(f"{API}/products/7", json={"productName": "x"}, headers={"MS-RequestId": request_id})
    assert answer.status_code == 404
    assert entries(service, requestId=request_id) == []


def test_steps_and_signatures_are_entries(client: ApiClient, service: Served, tmp_path: Path) -> None:
    submission = client.submit(signed_cabinet(tmp_path, service.made.vendor))
    assert submission["workflowStatus"]["state"] == "completed"
    found = entries(service, object_kind="submission", object_id=str(submission["id"]), actor_kind="workflow")
    ended = [each["step"] for each in found if each["action"] == "end_step"]
    assert ended == [
        "packageInfoValidation", "preparation", "scanning", "validation", "catalogCreation", "manualReview", "signing",
        "finalizeIngestion",
    ]  # fmt: skip
    assert all(len(each["resultSha256"]) == 64 for each in found if each["action"] == "end_step")
    # What the signer says that it knew of the steps is what the log says.
    (line, *_) = [
        each
        for each in map(json.loads, (service.made.data / "keys" / "signatures.log").read_text().splitlines())
        if each.get("submissionId") == submission["id"]
    ]
    known = {each["step"]: each["resultSha256"] for each in found if each["action"] == "end_step"}
    assert line["finishedSteps"] == {step: known[step] for step in ended[:6]}
    signed = [each for each in found if each["action"] == "sign"]
    assert {each["path"].rpartition(".")[2] for each in signed} == {"cat", "sys"}
    assert {each["identity"] for each in signed} == {"attestation"}
    assert {each["certificate"] for each in signed} == {line["certificateSha256"]}


def test_a_step_that_fails_is_an_entry(client: ApiClient, service: Served) -> None:
    submission = client.submit(b"no cabinet")
    found = entries(service, object_id=str(submission["id"]), action="fail_step")
    assert [each["step"] for each in found] == ["packageInfoValidation"]


def test_a_refused_role_and_a_foreign_application_are_entries(service: Served) -> None:
    reader = new_client(service, ["Manager", "Report Reviewer"])
    request_id = str(uuid.uuid4())
    answer = reader.http.post(f"{API}/products", json=PRODUCT, headers={"MS-RequestId": request_id})
    assert answer.status_code == 403
    (entry,) = entries(service, requestId=request_id)
    assert (entry["action"], entry["object_id"], entry["actor_id"]) == (
        "refused",
        "create_product",
        client_id_of(reader),
    )
    assert "needs the role" in entry["reason"]
    assert entry["account_id"] not in (0, service.made.credentials["accountId"])


def test_a_refused_token_is_an_entry_without_the_token(service: Served, client: ApiClient) -> None:
    request_id = str(uuid.uuid4())
    token = Mint(service)(age=timedelta(hours=2))
    headers = {"Authorization": f"Bearer {token}", "MS-RequestId": request_id}
    assert client.http.get(f"{API}/products", headers=headers).status_code == 401
    (entry,) = entries(service, requestId=request_id)
    assert (entry["action"], entry["account_id"], entry["actor_kind"]) == ("refused", 0, "unknown")
    assert "expired" in entry["reason"]
    assert not any(part in str(entry) for part in token.split("."))


def _token(service: Served, secret: str) -> httpx.Response:
    given = service.made.credentials
    fields = {"grant_type": "client_credentials", "client_id": given["clientId"], "client_secret": secret}
    with httpx.Client(base_url=service.url, verify=False) as http:
        return http.post(f"/{given['tenantId']}/oauth2/token", data=fields | {"resource": RESOURCE})


def test_a_sign_in_and_a_failed_one_are_entries(service: Served) -> None:
    given = service.made.credentials
    before = len(entries(service, action="get_token", actor_id=given["clientId"]))
    assert _token(service, given["clientSecret"]).status_code == 200
    (*_, taken) = found = entries(service, action="get_token", actor_id=given["clientId"])
    assert (len(found), taken["by"], taken["account_id"]) == (before + 1, "secret", given["accountId"])
    assert _token(service, "not-the-secret").status_code == 401
    (*_, refused) = entries(service, action="refused", object_id="get_token")
    assert (refused["reason"], refused["account_id"]) == ("AADSTS7000215 invalid_client", given["accountId"])
    assert "not-the-secret" not in str(refused)


def test_a_flood_of_refusals_is_counted_and_not_written(tmp_path: Path) -> None:
    """Anybody can have tokens refused. Two minutes may be touched, no more."""
    with serve(make_service(tmp_path)) as served:
        http = served.client().http
        for _ in range(2 * A_MINUTE + 50):
            assert http.get(f"{API}/products", headers={"Authorization": "Bearer x"}).status_code == 401
        assert A_MINUTE <= len(entries(served, action="refused")) <= 2 * A_MINUTE


def test_a_running_service_seals_and_takes_checkpoints(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    made = make_service(tmp_path, HWDASH_AUDIT_CHECKPOINTS=str(kept))
    with serve(made) as served:
        until(lambda: any(kept.glob("*.checkpoint")), "no checkpoint is taken")
        product = served.client().create_product()
        until(
            lambda: any("position" in each for each in entries(served, object_id=str(product["id"]))),
            "the entry is not sealed",
        )
    with database_of(served) as database, closing(database), database.reading() as connection:
        assert entries(served, object_id=str(product["id"]))[0]["position"] > 0
        key = VerifierKey.parse((made.data / "secrets" / "audit-checkpoints.vkey").read_text())
        files = sorted(kept.glob("*.checkpoint"))
        read = [key.open(each.read_bytes(), each.name) for each in files]
        result = verify(connection, [TreeHead(str(each.size), each.size, each.root) for each in read])
    # The first soon after the start, the last at the end of the service, of all there is.
    assert (len(files) >= 2, result.findings, result.unsealed) == (True, [], 0)
    assert (read[-1].size, len(result.matching)) == (result.size, len(files))
