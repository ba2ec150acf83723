"""Shipping labels and sharing, which this release does not serve: what their routes answer until it does
(docs/reference/api.md).
"""

from pathlib import Path
from typing import Any

import httpx
import pytest

from service import API, ApiClient, Served, signed_cabinet


@pytest.fixture
def submission(client: ApiClient) -> dict[str, Any]:
    return client.create_submission(client.create_product()["id"])


def _path(submission: dict[str, Any]) -> str:
    return f"{API}/products/{submission['productId']}/submissions/{submission['id']}"


def _refused(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return str(answer.json()["error"]["message"])


def test_a_submission_has_an_empty_collection_of_labels(
    client: ApiClient, service: Served, submission: dict[str, Any]
) -> None:
    for suffix in ("", "/", "?includeTargetingInfo=true"):
        answer = client.http.get(f"{_path(submission)}/shippinglabels{suffix}")
        assert answer.status_code == 200
        url = f"{service.url}{_path(submission)}/shippingLabels"
        assert answer.json() == {"value": [], "links": [{"href": url, "rel": "self", "method": "GET"}]}


def test_a_new_label_is_refused_in_words(client: ApiClient, submission: dict[str, Any]) -> None:
    body = {"name": "L", "destination": "windowsUpdate", "targeting": {"hardwareIds": []}}
    answer = client.http.post(f"{_path(submission)}/shippingLabels", json=body)
    assert "does not serve shipping labels yet" in _refused(answer, 422, "requestInvalidForCurrentState")
    assert client.http.post(f"{_path(submission)}/shippingLabels", content=b"no JSON").status_code == 400


def test_no_label_exists(client: ApiClient, submission: dict[str, Any]) -> None:
    label = f"{_path(submission)}/shippingLabels/1152921504606971100"
    for answer in (
        client.http.get(label),
        client.http.patch(label, json={"targeting": {}}),
        client.http.put(f"{label}/cancel"),
    ):
        assert "There is no shipping label 1152921504606971100" in _refused(answer, 404, "entityNotFound")


def test_publisher_metadata_is_refused_before_there_is_any_and_done_afterwards(
    client: ApiClient, service: Served, submission: dict[str, Any], tmp_path: Path
) -> None:
    answer = client.http.post(f"{_path(submission)}/createPublisherMetadata", json={})
    assert "has not yet" in _refused(answer, 422, "requestInvalidForCurrentState")
    client.upload(submission, signed_cabinet(tmp_path, service.made.vendor))
    client.commit(submission)
    assert client.finished(submission)["workflowStatus"]["state"] == "completed"
    for body in (b"", b"{}"):
        done = client.http.post(f"{_path(submission)}/createPublisherMetadata", content=body)
        assert (done.status_code, done.content) == (202, b"")


@pytest.mark.parametrize("spelling", ["sourcepubliherid", "sourcepublisherid", "sourcePubliherId"])
def test_the_look_up_translates_the_callers_own_ids_only(
    client: ApiClient, service: Served, submission: dict[str, Any], spelling: str
) -> None:
    ids = f"sourceproductid/{submission['productId']}/sourcesubmissionid/{submission['id']}"
    own = service.made.credentials["accountId"]
    found = client.http.get(f"{API}/products/relationships/{spelling}/{own}/{ids}")
    assert (found.status_code, found.json()["id"]) == (200, submission["id"])
    answer = client.http.get(f"{API}/products/relationships/{spelling}/12345678/{ids}")
    assert "The account 12345678 shares no submission" in _refused(answer, 404, "entityNotFound")
