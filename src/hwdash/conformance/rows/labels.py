"""Shipping labels and partners: their routes are there, and refuse what they should (contract, section 2, 10 to 15 and
22). What without a label or a partner cannot be seen has no row yet.
"""

from hwdash.conformance import expect, shapes
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_LONG, UNKNOWN_PRODUCT
from hwdash.conformance.stage import Stage

ROWS = Rows()


@ROWS.row("route-10-create-publisher-metadata", Source.DOCUMENTED, waits="signed")
def create_publisher_metadata(stage: Stage) -> None:
    """POST createpublishermetadata: 202, empty."""
    workflow, _ = stage.succeeded("signed")
    expect.empty(stage.caller.send("POST", f"{workflow.path}/createpublishermetadata", json={}), 202)


@ROWS.row("route-11-list-labels", Source.DOCUMENTED)
def list_labels(stage: Stage) -> None:
    """GET shippingLabels: 200 and a collection."""
    path = f"{stage.pending_path}/shippingLabels"
    listed = expect.json(
        stage.caller.send("GET", path),
        200,
        shapes.collection(shapes.members({"id": shapes.integer})),
        "the list of labels",
    )
    expect.link(listed, 0, "self", "GET", path)
    expect.equal(listed["value"], [], "the labels of a submission that has none")


@ROWS.row("route-12-create-label-early", Source.DOCUMENTED)
def label_too_early(stage: Stage) -> None:
    """POST shippingLabels before preparation: 422, retry later."""
    body = {
        "name": "hwdash conformance",
        "destination": "anotherPartner",
        "recipientSpecifications": {"receiverPublisherId": "1", "enforceChidTargeting": False},
    }
    answer = stage.caller.send("POST", f"{stage.pending_path}/shippingLabels", json=body)
    expect.error(answer, 422, "requestInvalidForCurrentState")


@ROWS.row("observed-23-both-spellings", Source.CLIENTS)
def both_spellings(stage: Stage) -> None:
    """The look-up of a partner's ids: in the service's own misspelling, and in the right one."""
    rest = f"1/sourceproductid/{UNKNOWN_PRODUCT}/sourcesubmissionid/{UNKNOWN_LONG}"
    for word in ("sourcepubliherid", "sourcepublisherid"):
        # Without a token: what it answers with one depends on partners that a suite has not.
        path = f"/products/relationships/{word}/{rest}"
        expect.flat_error(stage.caller.send("GET", path, authorization=None), 401)
