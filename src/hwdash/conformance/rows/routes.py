"""Every route of products, submissions, audiences and reports: method, status, form (contract, section 2).

Preproduction has a file of its own, shipping labels too.
"""

from hwdash.conformance import expect, shapes
from hwdash.conformance.caller import object_of
from hwdash.conformance.outcome import Mismatch, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import Stage, download

ROWS = Rows()
MOST_PAGES = 200


@ROWS.row("route-01-list-products", Source.DOCUMENTED)
def list_products(stage: Stage) -> None:
    """GET products: 200 and a collection of products."""
    sample = stage.sample
    body = expect.json(
        stage.caller.send("GET", "/products"), 200, shapes.collection(shapes.PRODUCT), "the list of products"
    )
    expect.link(body, 0, "self", "GET", "/products")
    for _ in range(MOST_PAGES):
        if any(each["id"] == sample.id for each in body["value"]):
            return
        following = [each["href"] for each in body["links"] if each["rel"] == "next_link"]
        expect.true(following, f"product {sample.id}, just created, is not in the list.")
        body = object_of(stage.caller.send("GET", following[0]))
    raise Mismatch(f"product {sample.id} is not on the first {MOST_PAGES} pages.")


@ROWS.row("route-02-create-product", Source.CLIENTS)
def create_product(stage: Stage) -> None:
    """POST products: 201 and the product."""
    product = expect.json(stage.sample.answer, 201, shapes.PRODUCT, "the new product")
    expect.equal(product["isCommitted"], False, "isCommitted of a new product")
    expect.link(product, 0, "self", "GET", f"/products/{product['id']}")
    expect.link(product, 1, "get_submissions", "GET", f"/products/{product['id']}/submissions")


@ROWS.row("route-02-echo", Source.DOCUMENTED)
def create_product_echo(stage: Stage) -> None:
    """POST products: the answer has what was sent."""
    expect.subset(
        stage.sample.body,
        {
            "productName": "hwdash conformance: sample",
            "testHarness": "attestation",
            "firmwareVersion": "980",
            "deviceType": "external",
            "isTestSign": False,
            "isFlightSign": False,
            "marketingNames": ["Contoso Mini", "Contoso Large"],
            "selectedProductTypes": {"Windows_v100_RS3": "Unclassified"},
            "requestedSignatures": ["WINDOWS_v100_RS3_FULL", "WINDOWS_v100_X64_RS3_FULL"],
            "deviceMetadataIds": [],
            "additionalAttributes": {},
        },
        "the new product",
    )


@ROWS.row("route-02-location", Source.OURS)
def create_product_location(stage: Stage) -> None:
    """POST products: Location is the self link."""
    made = stage.sample
    expect.equal(made.answer.headers.get("Location"), made.body["links"][0]["href"], "Location")


@ROWS.row("route-03-get-product", Source.DOCUMENTED)
def get_product(stage: Stage) -> None:
    """GET product: 200 and the product."""
    made = stage.sample
    product = expect.json(stage.caller.send("GET", f"/products/{made.id}"), 200, shapes.PRODUCT, "the product")
    expect.equal(product["id"], made.id, "id")
    expect.link(product, 0, "self", "GET", f"/products/{made.id}")
    expect.equal(product["sharedProductId"], made.body.get("sharedProductId"), "sharedProductId")


@ROWS.row("route-04-update-product", Source.DOCUMENTED)
def update_product(stage: Stage) -> None:
    """PATCH product: 204 without a body, and GET shows the change."""
    _ = stage.pending  # without an initial submission a product cannot be changed
    # No new marketing name: after the announcement date there may be none.
    changes = {"productName": "hwdash conformance: renamed", "marketingNames": ["Contoso Mini"]}
    expect.empty(stage.caller.send("PATCH", f"/products/{stage.sample.id}", json=changes), 204)
    product = object_of(stage.caller.send("GET", f"/products/{stage.sample.id}"))
    expect.subset(product, changes, "the product after the change")


@ROWS.row("route-04-announcement-date", Source.DOCUMENTED)
def update_announcement_date(stage: Stage) -> None:
    """PATCH product: the announcement date can be changed."""
    _ = stage.pending
    body = {"announcementDate": "2018-05-06T07:08:09Z"}
    expect.empty(stage.caller.send("PATCH", f"/products/{stage.sample.id}", json=body), 204)
    date = str(object_of(stage.caller.send("GET", f"/products/{stage.sample.id}")).get("announcementDate"))
    expect.true(date.startswith("2018-05-06T07:08:09"), f"announcementDate is {date} after it was changed.")


@ROWS.row("route-05-list-submissions", Source.DOCUMENTED)
def list_submissions(stage: Stage) -> None:
    """GET submissions: 200 and a collection without downloads."""
    pending = stage.pending
    path = f"/products/{stage.sample.id}/submissions"
    body = expect.json(
        stage.caller.send("GET", path),
        200,
        shapes.collection(shapes.LISTED_SUBMISSION),
        "the list of submissions",
    )
    expect.link(body, 0, "self", "GET", path)
    expect.equal([each["id"] for each in body["value"]], [pending.id], "the ids in the list")


@ROWS.row("route-06-create-submission", Source.CLIENTS)
def create_submission(stage: Stage) -> None:
    """POST submissions: 201 and the submission."""
    submission = expect.json(stage.pending.answer, 201, shapes.PENDING_SUBMISSION, "the new submission")
    path = f"/products/{stage.sample.id}/submissions/{submission['id']}"
    expect.link(submission, 0, "self", "GET", path)
    expect.link(submission, 1, "update_submission", "PATCH", path)
    expect.subset(
        submission,
        {
            "productId": stage.sample.id,
            "name": "hwdash conformance",
            "type": "initial",
            "commitStatus": "commitPending",
        },
        "the new submission",
    )
    expect.equal(submission["downloads"]["messages"], [], "downloads.messages")
    _ = download(submission, "initialPackage")


@ROWS.row("route-06-location", Source.OURS)
def create_submission_location(stage: Stage) -> None:
    """POST submissions: Location is the self link."""
    made = stage.pending
    expect.equal(made.answer.headers.get("Location"), made.body["links"][0]["href"], "Location")


@ROWS.row("route-06-commit-link", Source.OURS)
def commit_link(stage: Stage) -> None:
    """POST submissions: a pending submission links to its commit."""
    expect.link(stage.pending.body, 2, "commit_submission", "POST", f"{stage.pending_path}/commit")


@ROWS.row("route-07-get-submission", Source.DOCUMENTED)
def get_submission(stage: Stage) -> None:
    """GET submission: 200 and the submission with its upload URL."""
    made = stage.pending
    submission = expect.json(
        stage.caller.send("GET", stage.pending_path), 200, shapes.PENDING_SUBMISSION, "the submission"
    )
    expect.equal(submission["id"], made.id, "id")
    expect.link(submission, 0, "self", "GET", f"{stage.pending_path}")
    _ = download(submission, "initialPackage")


@ROWS.row("route-08-update-submission", Source.DOCUMENTED)
def update_submission(stage: Stage) -> None:
    """PATCH submission: 204 without a body, and GET shows it."""
    expect.empty(stage.caller.send("PATCH", stage.pending_path, json={"name": "renamed"}), 204)
    expect.equal(object_of(stage.caller.send("GET", stage.pending_path)).get("name"), "renamed", "name")


@ROWS.row("route-09-commit", Source.DOCUMENTED, waits="failing")
def commit(stage: Stage) -> None:
    """POST commit: 202 without a body."""
    expect.empty(stage.begin("failing").committed, 202)


@ROWS.row("route-07-committed", Source.DOCUMENTED, waits="failing")
def get_committed(stage: Stage) -> None:
    """GET a committed submission: workflowStatus is there."""
    _, submission = stage.finished("failing")
    expect.shape(submission, shapes.COMMITTED_SUBMISSION, "the submission at its end")


@ROWS.row("route-07-signed", Source.DOCUMENTED, waits="signed")
def get_signed(stage: Stage) -> None:
    """GET a signed submission: its downloads are there."""
    _, submission = stage.succeeded("signed")
    expect.shape(submission, shapes.COMMITTED_SUBMISSION, "the signed submission")
    for kind in ("initialPackage", "signedPackage", "certificationReport", "driverMetadata"):
        download(submission, kind)


@ROWS.row("route-16-audiences", Source.DOCUMENTED)
def audiences(stage: Stage) -> None:
    """GET audiences: 200 and a collection of audiences."""
    body = expect.json(
        stage.caller.send("GET", "/audiences"), 200, shapes.collection(shapes.AUDIENCE), "the list of audiences"
    )
    expect.link(body, 0, "self", "GET", "/audiences")


@ROWS.row("route-16-test-audience", Source.OURS)
def test_audience(stage: Stage) -> None:
    """GET audiences: the test-registry-key audience is there."""
    body = object_of(stage.caller.send("GET", "/audiences"))
    names = [each.get("audienceName") for each in body["value"]] + [each.get("name") for each in body["value"]]
    expect.true("Test_Registry_Key" in names, f"no audience is named Test_Registry_Key; there are {names}.")


@ROWS.row("route-23-certification-report", Source.DOCUMENTED, waits="signed")
def certification_report(stage: Stage) -> None:
    """GET certification report: public, 200."""
    _, submission = stage.succeeded("signed")
    url = download(submission, "certificationReport")
    expect.true("/DownloadCertificationReport/" in url, f"the report is at {url.partition('?')[0]}")
    answer = stage.caller.send("GET", url, authorization=None)
    expect.status(answer, 200)
    expect.true(answer.content, "the certification report is empty.")
