"""Submissions on the wire (contract: sections 3.3 to 3.6, 4.5 to 4.9, 6.1 and 6.2)."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from hwdash.vocabulary import SUBMISSION_STEPS
from service import API, ApiClient, Served, download_url, signed_cabinet, until

CREATED = {
    *("id", "productId", "name", "type", "links", "commitStatus", "downloads"),
    *("isExtensionInf", "isUniversal", "isDeclarativeInf", "createdBy", "createdDateTime"),
}


def _submissions(product_id: int) -> str:
    return f"{API}/products/{product_id}/submissions"


def test_a_new_submission_is_answered_in_the_documented_form(client: ApiClient, service: Served) -> None:
    product_id = client.create_product()["id"]
    answer = client.http.post(_submissions(product_id), json={"name": "First", "type": "initial"})
    assert answer.status_code == 201
    submission = answer.json()
    # Above all no workflowStatus: it appears with the commit.
    assert set(submission) == CREATED
    url = f"{service.url}{_submissions(product_id)}/{submission['id']}"
    assert answer.headers["Location"] == url
    assert submission["links"] == [
        {"href": url, "rel": "self", "method": "GET"},
        {"href": url, "rel": "update_submission", "method": "PATCH"},
        {"href": f"{url}/commit", "rel": "commit_submission", "method": "POST"},
    ]
    assert (submission["name"], submission["type"], submission["productId"]) == ("First", "initial", product_id)
    assert submission["commitStatus"] == "commitPending"
    assert not any(submission[flag] for flag in ("isExtensionInf", "isUniversal", "isDeclarativeInf"))
    assert submission["downloads"]["messages"] == []
    (item,) = submission["downloads"]["items"]
    assert item["type"] == "initialPackage"
    upload = httpx.URL(item["url"])
    assert upload.is_absolute_url
    assert upload.path.endswith(f"/Initial_{submission['id']}.cab")
    assert upload.params["sp"] == "rwl"
    assert upload.params["sr"] == "b"
    assert {"sv", "se", "sig"} <= set(upload.params)


def test_ids_survive_doubles_and_stand_at_the_end_of_the_first_link(client: ApiClient) -> None:
    for _ in range(5):
        submission = client.create_submission(client.create_product()["id"])
        assert len(str(submission["id"])) == 19
        assert Decimal(repr(float(submission["id"]))) == submission["id"]
        assert submission["links"][0]["href"].split("/")[-1] == str(submission["id"])


@pytest.mark.parametrize(
    "body",
    [
        {"Name": "n", "Type": "Initial"},
        {"NAME": "n", "TYPE": "INITIAL"},
        {"name": "n", "type": "initial", "id": 5, "commitStatus": None, "unknown": {}},
    ],
)
def test_a_submission_is_created_by_any_spelling(client: ApiClient, body: dict[str, Any]) -> None:
    answer = client.http.post(_submissions(client.create_product()["id"]) + "/", json=body)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["type"]) == ("n", "initial")


def test_a_pending_submission_gives_a_place_to_upload_at_every_get(client: ApiClient) -> None:
    submission = client.create_submission(client.create_product()["id"])
    read = client.get_submission(submission)
    assert set(read) == CREATED
    places = {download_url(each, "initialPackage").partition("?")[0] for each in (submission, read)}
    assert len(places) == 1
    assert client.upload(read, b"one").status_code == 201
    assert client.upload(submission, b"another").status_code == 201
    stored = client.http.get(download_url(read, "initialPackage"), headers={"Authorization": ""})
    assert stored.content == b"another"


COMMITS: dict[str, dict[str, Any]] = {
    "no body, no type": {},
    "no body, JSON": {"headers": {"Content-Type": "application/json", "Content-Length": "0"}},
    "empty object": {"json": {}},
    "empty object without a type": {"content": b"{}"},
    "charset": {"content": b"{}", "headers": {"Content-Type": "application/json; charset=utf-8"}},
}


@pytest.mark.parametrize("form", COMMITS)
@pytest.mark.parametrize("suffix", ["/commit", "/Commit/"])
def test_a_commit_is_taken_in_every_form_and_answered_with_nothing(client: ApiClient, form: str, suffix: str) -> None:
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, b"no cabinet").status_code == 201
    url = f"{_submissions(submission['productId'])}/{submission['id']}{suffix}"
    answer = client.http.post(url, **COMMITS[form])
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["Content-Length"] == "0"
    client.finished(submission)


def test_the_workflow_is_seen_in_order_and_completed_only_with_its_downloads(
    client: ApiClient, service: Served, tmp_path: Path
) -> None:
    submission = client.create_submission(client.create_product()["id"])
    client.upload(submission, signed_cabinet(tmp_path, service.made.vendor))
    assert client.http.get(f"{API}/products/{submission['productId']}").json()["isCommitted"] is False
    assert client.commit(submission).status_code == 202
    seen: list[dict[str, Any]] = []

    def ended() -> bool:
        seen.append(client.get_submission(submission))
        return bool(seen[-1]["workflowStatus"]["state"] != "started")

    until(ended, "the workflow has not ended")
    assert client.http.get(f"{API}/products/{submission['productId']}").json()["isCommitted"] is True
    steps = [each["workflowStatus"]["currentStep"] for each in seen]
    assert steps == sorted(steps, key=list(SUBMISSION_STEPS).index)
    for each in seen[:-1]:
        assert set(each) == CREATED | {"workflowStatus"}
        assert each["commitStatus"] in ("commitReceived", "commitComplete")
        assert set(each["workflowStatus"]) == {"currentStep", "state", "messages"}
        is_prepared = each["workflowStatus"]["currentStep"] not in SUBMISSION_STEPS[:2]
        kinds = ["initialPackage", "driverMetadata"] if is_prepared else ["initialPackage"]
        assert [item["type"] for item in each["downloads"]["items"]] == kinds
    last = seen[-1]
    assert last["workflowStatus"] == {"currentStep": "finalizeIngestion", "state": "completed", "messages": []}
    assert last["commitStatus"] == "commitComplete"
    items = last["downloads"]["items"]
    assert items[0]["type"] == "initialPackage"
    assert {item["type"] for item in items} == {
        "initialPackage",
        "signedPackage",
        "certificationReport",
        "driverMetadata",
    }
    assert all(httpx.URL(item["url"]).is_absolute_url for item in items)
    # What was uploaded can be read from now on, and not be replaced.
    assert httpx.URL(items[0]["url"]).params["sp"] == "rl"
    assert "commit_submission" not in [link["rel"] for link in last["links"]]
    names = {item["type"]: httpx.URL(item["url"]).path.rpartition("/")[2] for item in items}
    assert names["signedPackage"] == f"Signed_{last['id']}.zip"
    assert names["driverMetadata"] == f"DriverMetadata_{last['id']}.json"


def test_a_failed_submission_has_an_error_report_and_a_good_one_has_none(client: ApiClient) -> None:
    failed = client.submit(b"no cabinet")
    assert set(failed["workflowStatus"]) == {"currentStep", "state", "messages", "errorReport"}
    assert httpx.URL(failed["workflowStatus"]["errorReport"]).is_absolute_url
    assert all(isinstance(message, str) for message in failed["workflowStatus"]["messages"])


def test_the_list_has_everything_but_the_downloads(client: ApiClient, service: Served) -> None:
    product_id = client.create_product()["id"]
    empty = client.http.get(_submissions(product_id) + "/").json()
    links = [{"href": f"{service.url}{_submissions(product_id)}", "rel": "self", "method": "GET"}]
    assert empty == {"value": [], "links": links}
    submission = client.create_submission(product_id)
    (pending,) = client.http.get(_submissions(product_id)).json()["value"]
    assert pending == {name: value for name, value in submission.items() if name != "downloads"}
    client.upload(submission, b"no cabinet")
    client.commit(submission)
    failed = client.finished(submission)
    (listed,) = client.http.get(_submissions(product_id)).json()["value"]
    assert set(listed) == CREATED - {"downloads"} | {"workflowStatus"}
    assert listed["workflowStatus"]["messages"] == failed["workflowStatus"]["messages"]


def test_a_repeated_create_returns_the_first_submission(client: ApiClient) -> None:
    url = _submissions(client.create_product()["id"])
    headers = {"MS-RequestId": str(uuid.uuid4())}
    body = {"name": "n", "type": "initial"}
    first = client.http.post(url, json=body, headers=headers)
    again = client.http.post(url, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    for name in CREATED - {"downloads"}:
        assert again.json()[name] == first.json()[name]
    # Another body, or the same one for another product, is another request.
    other = client.http.post(url, json=body | {"name": "m"}, headers=headers)
    assert other.json()["error"]["code"] == "requestInvalidForCurrentState"
    elsewhere = client.http.post(_submissions(client.create_product()["id"]), json=body, headers=headers)
    assert elsewhere.status_code == 201
    assert elsewhere.json()["id"] != first.json()["id"]


def test_creates_repeated_at_the_same_time_make_one_submission(client: ApiClient) -> None:
    url = _submissions(client.create_product()["id"])
    headers = {"MS-RequestId": str(uuid.uuid4())}
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda _: client.http.post(url, json={"name": "n", "type": "initial"}, headers=headers), range(8)
            )
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
