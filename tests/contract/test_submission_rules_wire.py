"""Every rule of submissions, broken on the wire: status, code and every target (contract/api.md 4.5 to 4.9, 6.1, 6.2,
7.1 and 7.2). What is answered when they are kept is in test_submissions_wire.py and test_updates_wire.py.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from callers import database_of
from hwdash.storage.database import Database
from hwdash.storage.tables import products, submissions
from hwdash.vocabulary import SUBMISSION_STEPS, CommitStatus
from refusals import functional, refusal
from service import API, ApiClient, Served

pytestmark = pytest.mark.usefixtures("no_accident")

PRODUCTS = f"{API}/products"
INVALID = "invalidInput"
NOT_NOW = "requestInvalidForCurrentState"
UNAUTHORIZED = (403, "updateUnauthorized", [])


@pytest.fixture(scope="module")
def api(service: Served) -> Iterator[ApiClient]:
    client = service.client()
    with closing(client.http):
        yield client


@pytest.fixture(scope="module")
def database(service: Served) -> Iterator[Database]:
    with database_of(service) as database:
        yield database


def _set(database: Database, table: sa.Table, key: int, **values: object) -> None:
    with database.writing() as connection:
        connection.execute(sa.update(table).where(table.c.id == key).values(values))


def _path(submission: dict[str, Any]) -> str:
    return f"{PRODUCTS}/{submission['productId']}/submissions/{submission['id']}"


def _list(api: ApiClient, product_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.http.get(f"{PRODUCTS}/{product_id}/submissions").json()["value"]
    return found


# --- Create


@pytest.mark.parametrize(
    ("body", "targets"),
    [
        ({}, ["name", "type"]),
        ({"name": None, "type": None}, ["name", "type"]),
        ({"name": "", "type": ""}, ["name", "type"]),
        ({"name": " \t", "type": "first"}, ["name", "type"]),
        ({"name": "x" * 1001, "type": "initial"}, ["name"]),
        ({"name": 1, "type": 1}, ["name", "type"]),
        ({"name": True, "type": False}, ["name", "type"]),
        ({"name": ["n"], "type": ["initial"]}, ["name", "type"]),
        ({"name": {"name": "n"}, "type": {}}, ["name", "type"]),
        ({"name": "n"}, ["type"]),
        ({"type": "derived"}, ["name"]),
        ({"Name": 0.5, "TYPE": "initial derived", "unknown": 1}, ["name", "type"]),
        ({"names": "n", "kind": "initial"}, ["name", "type"]),
    ],
)
def test_a_broken_rule_is_named_with_every_other(api: ApiClient, body: dict[str, Any], targets: list[str]) -> None:
    product_id = api.create_product(testHarness="HLK")["id"]
    assert refusal(api.http.post(f"{PRODUCTS}/{product_id}/submissions", json=body)) == (422, INVALID, targets)
    assert _list(api, product_id) == []


@pytest.mark.parametrize(
    ("product", "initial", "kind", "expected"),
    [
        # The documented order of things (api.md 4.6): a second initial one, for ever; a derived one before its time.
        ({}, "pending", "initial", (422, NOT_NOW, [])),
        ({}, "running", "initial", (422, NOT_NOW, [])),
        ({}, "failed", "initial", (422, NOT_NOW, [])),
        ({}, "finished", "initial", (422, NOT_NOW, [])),
        ({"testHarness": "HLK"}, None, "derived", (422, NOT_NOW, [])),
        ({"testHarness": "HLK"}, "pending", "derived", (422, NOT_NOW, [])),
        ({"testHarness": "HLK"}, "running", "derived", (422, NOT_NOW, [])),
        ({"testHarness": "HLK"}, "failed", "derived", (422, NOT_NOW, [])),
        ({"testHarness": "HCK"}, "finished", "derived", None),
        ({"testHarness": "HLK"}, "finished", "derived", None),
        # Kinds of product without derived ones, whatever has been before (observed.md 9).
        ({}, None, "derived", (400, INVALID, ["type"])),
        ({}, "finished", "derived", (400, INVALID, ["type"])),
        ({"testHarness": "HLK", "isTestSign": True}, "finished", "derived", (400, INVALID, ["type"])),
        ({"testHarness": "HLK"}, "extension", "derived", (400, INVALID, ["type"])),
        ({"testHarness": "notset"}, "finished", "derived", (400, INVALID, ["type"])),
    ],
)
def test_what_a_product_can_get_depends_on_what_it_has(
    api: ApiClient, database: Database, product: dict[str, Any], initial: str | None, kind: str, expected: Any
) -> None:
    product_id = api.create_product(**product)["id"]
    if initial is not None:
        made = api.create_submission(product_id)
        states: dict[str, dict[str, object]] = {
            "pending": {},
            "running": {"commit_status": "commitComplete", "current_step": "manualReview", "state": "started"},
            "failed": {"commit_status": "commitComplete", "current_step": "scanning", "state": "failed"},
            "finished": {"commit_status": "commitComplete", "current_step": "finalizeIngestion", "state": "completed"},
        }
        states["extension"] = states["finished"] | {"is_extension_inf": True}
        if states[initial]:
            _set(database, submissions, made["id"], **states[initial])
    before = _list(api, product_id)
    for spelling in (kind, kind.upper()):
        answer = api.http.post(f"{PRODUCTS}/{product_id}/submissions", json={"name": "n", "type": spelling})
        assert (None if answer.status_code == 201 else refusal(answer)) == expected
    assert len(_list(api, product_id)) == len(before) + (2 if expected is None else 0)


# --- Update


@pytest.fixture(scope="module")
def pending(api: ApiClient) -> dict[str, Any]:
    return api.create_submission(api.create_product(testHarness="HLK")["id"])


@pytest.mark.parametrize(
    ("body", "targets"),
    [
        ({}, ["name"]),
        ({"name": None}, ["name"]),
        ({"name": None, "type": "INITIAL"}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "\u3000"}, ["name"]),
        ({"name": "x" * 1001}, ["name"]),
        ({"name": 1}, ["name"]),
        ({"NAME": ["n"], "Type": "derived"}, ["name", "type"]),
        ({"name": "n", "type": 1}, ["type"]),
        ({"name": "n", "id": 1, "productId": "1"}, ["id", "productId"]),
        ({"name": "n", "commitStatus": "commitComplete"}, ["commitStatus"]),
        ({"name": "n", "workflowStatus": {"currentStep": "signing", "state": "completed"}}, ["workflowStatus"]),
        ({"name": "n", "links": [], "createdBy": "me"}, ["links", "createdBy"]),
        ({"name": "n", "isUniversal": True, "isDeclarativeInf": True}, ["isUniversal", "isDeclarativeInf"]),
        ({"name": "n", "isExtensionInf": "yes", "createdDateTime": "x"}, ["isExtensionInf", "createdDateTime"]),
        ({"productName": "n"}, ["productName"]),
        ({f"p{at}": 1 for at in range(201)}, ["body"]),
    ],
)
def test_a_broken_rule_of_an_update_is_named_with_every_other(
    api: ApiClient, pending: dict[str, Any], body: dict[str, Any], targets: list[str]
) -> None:
    before = _list(api, pending["productId"])
    assert refusal(api.http.patch(_path(pending), json=body)) == (422, INVALID, targets)
    assert _list(api, pending["productId"]) == before


@pytest.mark.parametrize("step", SUBMISSION_STEPS)
def test_once_a_step_has_failed_nothing_changes_any_more(api: ApiClient, database: Database, step: str) -> None:
    """api.md 6.2, 7.2 updateUnauthorized c and g: failed is final, for the submission and for its product."""
    submission = api.create_submission(api.create_product()["id"])
    _set(database, submissions, submission["id"], commit_status="commitComplete", current_step=step, state="failed")
    before = api.get_submission(submission)["workflowStatus"]
    assert before == {"currentStep": step, "state": "failed", "messages": []}
    for body in ({"name": "n"}, {}, {"name": ""}, {"type": "derived"}):
        assert refusal(api.http.patch(_path(submission), json=body)) == UNAUTHORIZED
    product = f"{PRODUCTS}/{submission['productId']}"
    assert refusal(api.http.patch(product, json={"marketingNames": []})) == UNAUTHORIZED
    assert refusal(api.http.post(f"{_path(submission)}/commit")) == (422, NOT_NOW, [])
    assert api.get_submission(submission)["workflowStatus"] == before


def test_what_was_received_is_its_authors_to_change(api: ApiClient, database: Database) -> None:
    submission = api.create_submission(api.create_product()["id"])
    for origin in ("publisher", "readOnly"):
        _set(database, products, submission["productId"], origin_type=origin)
        for body in ({"name": "n"}, {"name": 1}):
            assert refusal(api.http.patch(_path(submission), json=body)) == UNAUTHORIZED
    assert api.get_submission(submission)["name"] == submission["name"]


# --- Commit


def test_a_commit_without_a_package_is_refused_and_can_be_made_again(api: ApiClient) -> None:
    submission = api.create_submission(api.create_product()["id"])
    missing = (422, INVALID, ["downloads.initialPackage"])
    assert refusal(api.commit(submission)) == missing
    assert api.upload(submission, b"").status_code == 201
    assert refusal(api.commit(submission)) == missing
    assert api.get_submission(submission)["commitStatus"] == "commitPending"
    assert "workflowStatus" not in api.get_submission(submission)
    assert api.upload(submission, b"no cabinet").status_code == 201
    assert api.commit(submission).status_code == 202
    assert api.finished(submission)["workflowStatus"]["state"] == "failed"


@pytest.mark.parametrize("status", [each for each in CommitStatus if each is not CommitStatus.PENDING])
def test_only_a_pending_submission_is_committed(api: ApiClient, database: Database, status: str) -> None:
    submission = api.create_submission(api.create_product()["id"])
    assert api.upload(submission, b"no cabinet").status_code == 201
    _set(database, submissions, submission["id"], commit_status=status)
    error = functional(api.commit(submission), 422, NOT_NOW)
    # Microsoft's tool compares these bytes (api.md 4.9).
    assert error["message"] == "Only pending submissions can be committed."
    assert api.get_submission(submission)["commitStatus"] == status
    # Nor can its package be replaced any more.
    assert api.upload(submission, b"another").status_code == 403
