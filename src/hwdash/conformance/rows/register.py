"""The register of inconsistencies: which of two documented forms is answered, and what is taken besides (contract,
section 11). Entries that only labels show are in the files about labels.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hwdash.conformance import expect
from hwdash.conformance.caller import API, object_of
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.shapes import SUBMISSION_STEPS, is_absolute
from hwdash.conformance.stage import Stage, download

ROWS = Rows()
COMMIT_STATUSES = ("commitPending", "commitReceived", "commitComplete", "commitFailed")


def _read(stage: Stage, path: str) -> dict[str, Any]:
    answer = stage.caller.send("GET", path)
    expect.status(answer, 200)
    return object_of(answer)


def _hrefs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("href"), str):
            yield value["href"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _hrefs(each)


@ROWS.row("register-01-audiences-both", Source.DOCUMENTED)
def both_audiences(stage: Stage) -> None:
    """audiences and audience are the same list."""
    plural, singular = (_read(stage, path) for path in ("/audiences", "/audience"))
    expect.equal(singular["value"], plural["value"], "the value of /audience")
    expect.true(plural["links"][0]["href"].endswith("/audiences"), f"self is {plural['links'][0]['href']}.")


@ROWS.row("register-02-commit-status-casing", Source.CLIENTS, waits="failing")
def commit_status_casing(stage: Stage) -> None:
    """commitStatus is camelCase all the way."""
    workflow, _ = stage.finished("failing")
    for each in [workflow.submission.body, *workflow.looks]:
        status = str(each.get("commitStatus"))
        expect.true(status[:7] == "commitP" or status in COMMIT_STATUSES, f"commitStatus is {status}.")
    expect.equal(workflow.submission.body.get("commitStatus"), "commitPending", "commitStatus before the commit")


@ROWS.row("register-03-commit-reply", Source.DOCUMENTED, waits="failing")
def commit_reply(stage: Stage) -> None:
    """The commit's answer is empty."""
    expect.empty(stage.begin("failing").committed, 202)


@ROWS.row("register-04-commit-status-names", Source.DOCUMENTED, waits="failing")
def commit_status_names(stage: Stage) -> None:
    """commitStatus has today's names."""
    workflow, _ = stage.finished("failing")
    for each in workflow.looks:
        expect.true(each.get("commitStatus") in COMMIT_STATUSES[1:], f"commitStatus is {each.get('commitStatus')}.")


@ROWS.row("register-07-is-extension-inf", Source.DOCUMENTED)
def is_extension_inf(stage: Stage) -> None:
    """isExtensionInf is on products and on submissions."""
    for path in (f"/products/{stage.sample.id}", stage.pending_path):
        expect.equal(_read(stage, path).get("isExtensionInf"), False, f"isExtensionInf of {path}")


@ROWS.row("register-08-ids-exact", Source.FIELD)
def ids_exact(stage: Stage) -> None:
    """Ids are exact numbers, the same as at the end of the first link."""
    for path in (f"/products/{stage.sample.id}", stage.pending_path):
        body = _read(stage, path)
        expect.equal(body["id"], int(body["links"][0]["href"].split("/")[-1]), f"id of {path}")


@ROWS.row("register-08-string-ids", Source.OURS)
def string_ids(stage: Stage) -> None:
    """Ids as decimal text in a body are taken."""
    body = {"name": "renamed", "id": str(stage.pending.id)}
    expect.empty(stage.caller.send("PATCH", stage.pending_path, json=body), 204)


@ROWS.row("register-09-workflow-in-lists", Source.DOCUMENTED, waits="failing")
def workflow_in_lists(stage: Stage) -> None:
    """Lists have workflowStatus once committed."""
    workflow, submission = stage.finished("failing")
    (listed,) = _read(stage, f"/products/{workflow.product.id}/submissions")["value"]
    expect.true("workflowStatus" in listed, "the listed submission has no workflowStatus.")
    expect.equal(listed["workflowStatus"]["state"], submission["workflowStatus"]["state"], "state in the list")


@ROWS.row("register-10-downloads", Source.DOCUMENTED)
def downloads(stage: Stage) -> None:
    """downloads: in the create's answer and in GET, not in lists."""
    (listed,) = _read(stage, f"/products/{stage.sample.id}/submissions")["value"]
    expect.true("downloads" in stage.pending.body, "the create's answer has no downloads.")
    expect.true("downloads" in _read(stage, stage.pending_path), "GET has no downloads.")
    expect.true("downloads" not in listed, "the listed submission has downloads.")


@ROWS.row("register-11-commit-status", Source.DOCUMENTED)
def commit_status(stage: Stage) -> None:
    """commitStatus is in GET and in lists."""
    (listed,) = _read(stage, f"/products/{stage.sample.id}/submissions")["value"]
    expect.equal(listed.get("commitStatus"), "commitPending", "commitStatus in the list")
    expect.equal(_read(stage, stage.pending_path).get("commitStatus"), "commitPending", "commitStatus of GET")


@ROWS.row("register-18-test-harness", Source.DOCUMENTED)
def test_harness(stage: Stage) -> None:
    """testHarness: Attestation in, attestation out."""
    expect.equal(stage.sample.body.get("testHarness"), "attestation", "testHarness")


@ROWS.row("register-19-family-codes", Source.DOCUMENTED)
def family_codes(stage: Stage) -> None:
    """Family codes come back in the table's spelling."""
    expect.equal(list(stage.sample.body["selectedProductTypes"]), ["Windows_v100_RS3"], "the family codes")


@ROWS.row("register-20-hrefs", Source.OURS)
def hrefs(stage: Stage) -> None:
    """Links lead below one origin and /v2.0/my/hardware, without typing errors."""
    bodies = [
        stage.sample.body,
        stage.pending.body,
        _read(stage, "/products?pageSize=1"),
        _read(stage, f"/products/{stage.sample.id}"),
        _read(stage, f"/products/{stage.sample.id}/submissions"),
        _read(stage, stage.pending_path),
    ]
    found = [href for body in bodies for href in _hrefs(body)]
    for href in found:
        expect.true(is_absolute(href), f"{href!r} is no absolute URL.")
        path = re.sub(r"^https?://[^/]+", "", href).partition("?")[0]
        expect.true(
            path.startswith(f"{API}/") and not path.endswith("/") and "//" not in path and ".." not in path,
            f"{href} is not below {API}, or has a slash too many.",
        )
    origins = {href.partition(API)[0] for href in found}
    expect.true(len(origins) == 1, f"links lead to several origins: {', '.join(sorted(origins))}.")


@ROWS.row("register-21-driver-metadata", Source.DOCUMENTED, waits="signed")
def driver_metadata(stage: Stage) -> None:
    """driverMetadata is a download."""
    _, submission = stage.succeeded("signed")
    expect.true(is_absolute(download(submission, "driverMetadata")), "its URL is not absolute.")


@ROWS.row("register-22-error-report", Source.CLIENTS, waits="failing")
def error_report(stage: Stage) -> None:
    """errorReport is there on failure only, and never empty."""
    workflow, submission = stage.finished("failing")
    for each in workflow.looks:
        status = each.get("workflowStatus") or {}
        if status.get("state") != "failed":
            expect.true("errorReport" not in status, "errorReport is there although nothing failed.")
    report = submission["workflowStatus"].get("errorReport", "absent")
    expect.true(report == "absent" or is_absolute(report), f"errorReport is {report!r}.")


@ROWS.row("register-24-label-list-self", Source.DOCUMENTED)
def label_list_self(stage: Stage) -> None:
    """The list of labels links to itself, not to the products."""
    path = f"{stage.pending_path}/shippingLabels"
    expect.link(_read(stage, path), 0, "self", "GET", path)


@ROWS.row("register-25-product-list-links", Source.DOCUMENTED)
def product_list_links(stage: Stage) -> None:
    """The list of products has links."""
    links = _read(stage, "/products").get("links")
    expect.true(isinstance(links, list) and links, f"links is {links!r}.")


@ROWS.row("register-36-preprod-slash", Source.DOCUMENTED)
def preprod_slash(stage: Stage) -> None:
    """preprod/packages with and without a slash."""
    path = f"/preprod/packages/{stage.preprod.body['id']}"
    for each in (path, f"{path}/"):
        expect.status(stage.caller.send("GET", each), 200)


@ROWS.row("register-37-flags", Source.OURS)
def flags(stage: Stage) -> None:
    """isUniversal, isDeclarativeInf, isExtensionInf: false until validated."""
    names = ("isUniversal", "isDeclarativeInf", "isExtensionInf")
    expect.subset(stage.pending.body, dict.fromkeys(names, False), "the new submission")


@ROWS.row("register-38-order-of-steps", Source.DOCUMENTED, waits="signed")
def order_of_steps(stage: Stage) -> None:
    """Steps follow one another in the API's order."""
    workflow, _ = stage.finished("signed")
    steps = [each["workflowStatus"]["currentStep"] for each in workflow.looks if each.get("workflowStatus")]
    for before, after in pairwise(steps):
        expect.true(
            SUBMISSION_STEPS.index(before) <= SUBMISSION_STEPS.index(after), f"{after} was seen after {before}."
        )


@ROWS.row("register-46-test-sign", Source.DOCUMENTED)
def test_sign(stage: Stage) -> None:
    """Test signing is one flag, isTestSign."""
    expect.subset(stage.spare.body, {"isTestSign": True, "isFlightSign": False}, "the product")


@ROWS.row("register-47-report-path", Source.DOCUMENTED, waits="signed")
def report_path(stage: Stage) -> None:
    """The certification report: /Driver/ and /driver/."""
    _, submission = stage.succeeded("signed")
    url = download(submission, "certificationReport")
    for segment in ("/Driver/", "/driver/"):
        other = re.sub("/driver/", segment, url, flags=re.IGNORECASE)
        expect.status(stage.caller.send("GET", other, authorization=None), 200)


@ROWS.row("register-48-shared-product-id", Source.DOCUMENTED)
def shared_product_id(stage: Stage) -> None:
    """sharedProductId has 19 digits."""
    expect.equal(len(str(stage.sample.body["sharedProductId"])), 19, "the number of its digits")


@ROWS.row("register-49-metadata-of-ones-own", Source.CLIENTS, waits="signed")
def metadata_of_ones_own(stage: Stage) -> None:
    """createpublishermetadata is taken from the author too, and again."""
    workflow, _ = stage.succeeded("signed")
    for _ in range(2):
        expect.empty(stage.caller.send("POST", f"{workflow.path}/createpublishermetadata", json={}), 202)


@ROWS.row("register-53-product-id", Source.DOCUMENTED)
def product_id(stage: Stage) -> None:
    """A new product's id has 17 digits."""
    expect.equal(len(str(stage.sample.body["id"])), 17, "the number of its digits")
