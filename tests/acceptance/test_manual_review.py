"""With manual review switched on a package waits for a person's word, through a restart, and then goes on or fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import ApiClient, Made, download_url, hwdash, make_service, serve, signed_cabinet, until


@pytest.fixture
def reviewing(tmp_path: Path) -> Made:
    made = make_service(tmp_path)
    hwdash("admin", "account", "policy", "--manual-review", "on", environment=made.environment)
    return made


def submitted(client: ApiClient, package: Path) -> dict[str, Any]:
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, package).status_code == 201
    assert client.commit(submission).status_code == 202
    until(
        lambda: client.get_submission(submission)["workflowStatus"]["currentStep"] == "manualReview",
        "the submission does not come to manualReview",
    )
    return submission


def test_waits_for_a_word_and_follows_it(reviewing: Made, tmp_path: Path) -> None:
    package = signed_cabinet(tmp_path, reviewing.vendor)
    environment = reviewing.environment
    with serve(reviewing) as served:
        good, bad = (submitted(served.client(), package) for _ in range(2))
    with serve(reviewing) as served:
        client = served.client()
        listed = json.loads(hwdash("admin", "review", "list", "--json", environment=environment))["submissions"]
        assert [each["submissionId"] for each in listed] == [good["id"], bad["id"]]
        assert {each["productName"] for each in listed} == {"Test product"}
        assert client.get_submission(good)["workflowStatus"]["state"] == "started"

        hwdash(
            "admin",
            "review",
            "approve",
            str(good["id"]),
            "--reason",
            "looks right",
            "--by",
            "Ann Reviewer",
            environment=environment,
        )
        (entry,) = json.loads(
            hwdash("admin", "audit", "list", "--action", "admin review approve", "--json", environment=environment)
        )["entries"]
        assert entry["object"] == {"kind": "submissions", "id": str(good["id"])}
        assert entry["details"]["parameters"]["by"] == "Ann Reviewer"
        finished = client.finished(good)
        assert finished["workflowStatus"] == {
            "currentStep": "finalizeIngestion",
            "state": "completed",
            "messages": [],
        }
        report = client.http.get(download_url(finished, "certificationReport")).text
        assert "approved by Ann Reviewer at " in report
        assert ": looks right</td>" in report
        again = hwdash("admin", "review", "approve", str(good["id"]), environment=environment)
        assert again == f"submission {good['id']} is approved already\n"
        with pytest.raises(AssertionError, match="it is approved by Ann Reviewer"):
            hwdash("admin", "review", "reject", str(good["id"]), "--reason", "too late", environment=environment)

        hwdash("admin", "review", "reject", str(bad["id"]), "--reason", "no test plan", environment=environment)
        status = client.finished(bad)["workflowStatus"]
        assert (status["currentStep"], status["state"]) == ("manualReview", "failed")
        assert status["messages"] == ["ERROR review.rejected: no test plan"]
        assert "no test plan" in client.http.get(status["errorReport"]).text

        told = hwdash("admin", "review", "reject", str(bad["id"]), "--reason", "x", "--json", environment=environment)
        assert json.loads(told) == {"submissionId": bad["id"], "decision": "rejected", "already": True}
        with pytest.raises(AssertionError, match="does not wait for a review: it is rejected by"):
            hwdash("admin", "review", "approve", str(bad["id"]), "--reason", "again", environment=environment)
