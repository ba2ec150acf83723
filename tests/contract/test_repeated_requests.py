"""What is sent again, and what is sent too often (contract/api.md 1.3)."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import API, X64, ApiClient, Served, make_service, serve, signed_cabinet


@pytest.fixture
def uploaded(client: ApiClient, service: Served, tmp_path: Path) -> dict[str, Any]:
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, signed_cabinet(tmp_path, service.made.vendor)).status_code == 201
    return submission


def _commit(client: ApiClient, submission: dict[str, Any], request_id: str) -> httpx.Response:
    path = f"{API}/products/{submission['productId']}/submissions/{submission['id']}/commit"
    return client.http.post(path, json={}, headers={"MS-RequestId": request_id})


def test_the_commit_that_was_taken_may_be_sent_again_and_no_other(client: ApiClient, uploaded: dict[str, Any]) -> None:
    taken = str(uuid.uuid4())
    for _ in range(3):
        answer = _commit(client, uploaded, taken)
        assert (answer.status_code, answer.content) == (202, b"")
    finished = client.finished(uploaded)
    assert _commit(client, uploaded, taken).status_code == 202
    other = _commit(client, uploaded, str(uuid.uuid4()))
    assert other.status_code == 422
    assert other.json()["error"]["message"] == "Only pending submissions can be committed."
    again = client.get_submission(uploaded)
    assert again["workflowStatus"] == finished["workflowStatus"]


def test_one_commit_sent_many_times_at_once_is_taken_once(client: ApiClient, uploaded: dict[str, Any]) -> None:
    taken = str(uuid.uuid4())
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: _commit(client, uploaded, taken), range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert client.finished(uploaded)["workflowStatus"]["state"] == "completed"


def test_a_refused_commit_may_be_sent_again_under_its_id(client: ApiClient, service: Served, tmp_path: Path) -> None:
    submission = client.create_submission(client.create_product()["id"])
    request_id = str(uuid.uuid4())
    assert _commit(client, submission, request_id).status_code == 422
    client.upload(submission, signed_cabinet(tmp_path, service.made.vendor))
    assert _commit(client, submission, request_id).status_code == 202


def test_one_create_sent_many_times_at_once_makes_one_object(client: ApiClient) -> None:
    request_id = str(uuid.uuid4())
    body = {"productName": request_id, "testHarness": "Attestation", "requestedSignatures": [X64]}
    headers = {"MS-RequestId": request_id}
    with ThreadPoolExecutor(6) as threads:
        products = list(
            threads.map(lambda _: client.http.post(f"{API}/products", json=body, headers=headers), range(6))
        )
        path = f"{API}/products/{products[0].json()['id']}/submissions"
        first = {"name": "n", "type": "initial"}
        submissions = list(threads.map(lambda _: client.http.post(path, json=first, headers=headers), range(6)))
    for answers in (products, submissions):
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len({answer.headers["Location"] for answer in answers}) == 1
    assert [each["id"] for each in client.http.get(path).json()["value"]] == [submissions[0].json()["id"]]
    # What the others had begun is undone.
    listed = client.http.get(f"{API}/products", params={"productName": request_id}).json()["value"]
    assert [each["id"] for each in listed] == [products[0].json()["id"]]


def test_an_application_that_asks_too_often_is_told_when_to_ask_again(tmp_path: Path) -> None:
    made = make_service(tmp_path, HWDASH_REQUEST_BURST="3", HWDASH_REQUESTS_PER_MINUTE="1")
    with serve(made) as served, closing(served.client().http) as http:
        for _ in range(3):
            assert http.get(f"{API}/products").status_code == 200
        answer = http.get(f"{API}/products")
        assert answer.status_code == 429
        seconds = answer.headers["Retry-After"]
        assert 50 <= int(seconds) <= 60
        assert answer.json() == {
            "statusCode": "429",
            "message": f"Too many requests of this application. Try again in {seconds} seconds.",
        }
        # Tokens are not counted, so that a client can always sign in.
        served.client().http.close()
