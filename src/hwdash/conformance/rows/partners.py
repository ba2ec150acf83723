"""What another account gets of a shared driver, and what it may do with it (contract, 4.10, 4.22 and section 13, 9)."""

from typing import Any

import httpx

from hwdash.conformance import expect, shapes
from hwdash.conformance.caller import json_of, object_of
from hwdash.conformance.labels import CHID, Labels, labels_of, look_up_path
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_LONG, UNKNOWN_PRODUCT
from hwdash.conformance.rows.label_rules import INVALID, STATE, names
from hwdash.conformance.stage import Stage, download

ROWS = Rows()
READ_ONLY = "Not allowed to create the shipping labels on a read only product."


def _received(labels: Labels) -> str:
    """The path of what the second account got."""
    submission = labels.run("shared").received
    return f"/products/{submission['productId']}/submissions/{submission['id']}"


def _label_of_receiver(labels: Labels, stage: Stage, **changes: object) -> httpx.Response:
    """The second account asks for a label of what it got."""
    targeting = labels.targeting(chids=[{"chid": CHID}], **changes)
    path = f"{_received(labels)}/shippingLabels"
    return labels.post(labels.body(targeting=targeting), stage.second, path)


@ROWS.row("route-22-look-up", Source.CLIENTS, waits="labels")
def look_up(stage: Stage) -> None:
    """GET relationships: 200, the receiver's own submission."""
    answer = labels_of(stage).run("shared").answers["looked up"]
    found = expect.json(answer, 200, shapes.COMMITTED_SUBMISSION, "the receiver's submission")
    expect.link(found, 0, "self", "GET", f"/products/{found['productId']}/submissions/{found['id']}")


@ROWS.row("route-22-both-spellings", Source.CLIENTS, waits="labels")
def both_spellings_answer(stage: Stage) -> None:
    """GET relationships in the right spelling: the same submission."""
    labels = labels_of(stage)
    found = object_of(stage.second.send("GET", look_up_path(labels, "sourcepublisherid")))
    expect.equal(found.get("id"), labels.run("shared").received["id"], "id")


@ROWS.row("route-22-unknown", Source.OURS)
def look_up_unknown(stage: Stage) -> None:
    """GET relationships of what nobody shared: 404."""
    rest = f"1/sourceproductid/{UNKNOWN_PRODUCT}/sourcesubmissionid/{UNKNOWN_LONG}"
    answer = stage.caller.send("GET", f"/products/relationships/sourcepubliherid/{rest}")
    expect.error(answer, 404, "entityNotFound")


@ROWS.row("register-14-recipient-array", Source.DOCUMENTED, waits="labels")
def recipient_array(stage: Stage) -> None:
    """recipientSpecifications in an array is taken, and answered as an object with the seller id as text."""
    labels = labels_of(stage)
    found = labels.made("shared").body.get("recipientSpecifications")
    expect.shape(found, shapes.RECIPIENT_SPECIFICATIONS, "recipientSpecifications")
    wanted = {"receiverPublisherId": str(labels.second_seller_id), "enforceChidTargeting": True}
    expect.equal(found, wanted, "recipientSpecifications")


@ROWS.row("label-cancel-of-a-share", Source.DOCUMENTED, waits="labels")
def cancel_of_a_share(stage: Stage) -> None:
    """PUT cancel of a label to another partner: requestInvalidForCurrentState."""
    expect.error(labels_of(stage).run("shared").answers["cancelled"], 422, STATE)


@ROWS.row("checklist-09-own-ids", Source.DOCUMENTED, waits="labels")
def own_ids(stage: Stage) -> None:
    """9. The receiver has ids of its own, and the same sharedProductId."""
    labels = labels_of(stage)
    received = labels.run("shared").received
    for name, theirs in (("productId", labels.signed["productId"]), ("id", labels.signed["id"])):
        expect.true(received[name] != theirs, f"{name} of the receiver is the author's own.")
    mine = object_of(stage.caller.send("GET", f"/products/{labels.signed['productId']}"))
    theirs = _product(stage, received)
    expect.equal(theirs["sharedProductId"], mine["sharedProductId"], "sharedProductId")


@ROWS.row("checklist-09-source-ids", Source.OURS, waits="labels")
def source_ids(stage: Stage) -> None:
    """9. The received product tells whose it is: originType, sourceProductId, sourcePublisherId."""
    labels = labels_of(stage)
    wanted = {
        "originType": "publisher",
        "sourceProductId": labels.signed["productId"],
        "sourcePublisherId": labels.own_seller_id,
    }
    expect.subset(_product(stage, labels.run("shared").received), wanted, "the received product")


def _product(stage: Stage, received: dict[str, Any]) -> dict[str, Any]:
    answer = stage.second.send("GET", f"/products/{received['productId']}")
    body: dict[str, Any] = expect.json(answer, 200, shapes.PRODUCT, "the received product")
    return body


@ROWS.row("checklist-09-listed", Source.OURS, waits="labels")
def listed(stage: Stage) -> None:
    """9. The received product is in the receiver's list."""
    received = labels_of(stage).run("shared").received
    found = object_of(stage.second.send("GET", "/products"))["value"]
    expect.true(any(each["id"] == received["productId"] for each in found), "the product is not in the list.")


@ROWS.row("checklist-09-author-path", Source.OURS, waits="labels")
def author_path(stage: Stage) -> None:
    """9. By the author's ids the receiver finds nothing: 404, neither submission nor label."""
    labels = labels_of(stage)
    for path in (labels.submission_path, labels.path, labels.label_path(labels.run("shared"))):
        expect.error(stage.second.send("GET", path), 404, "entityNotFound")


@ROWS.row("route-10-receiver-metadata", Source.DOCUMENTED, waits="labels")
def receiver_metadata(stage: Stage) -> None:
    """POST createpublishermetadata by the receiver: 202, empty; then the driver metadata is there."""
    labels = labels_of(stage)
    run = labels.run("shared")
    expect.empty(run.answers["metadata"], 202)
    answer = stage.second.blob("GET", download(run.received, "driverMetadata"))
    expect.status(answer, 200)
    expect.shape(json_of(answer), shapes.METADATA, "the receiver's driver metadata")


@ROWS.row("route-10-metadata-again", Source.OURS, waits="labels")
def metadata_again(stage: Stage) -> None:
    """POST createpublishermetadata once more: 202, and nothing happens."""
    labels = labels_of(stage)
    expect.empty(stage.second.send("POST", f"{_received(labels)}/createpublishermetadata"), 202)


@ROWS.row("error-updateUnauthorized-a-received-product", Source.DOCUMENTED, waits="labels")
def update_received(stage: Stage) -> None:
    """a. PATCH of a received product: 403."""
    product = labels_of(stage).run("shared").received["productId"]
    answer = stage.second.send("PATCH", f"/products/{product}", json={"productName": "taken"})
    expect.error(answer, 403, "updateUnauthorized")


@ROWS.row("error-updateUnauthorized-f-received-submission", Source.DOCUMENTED, waits="labels")
def update_received_submission(stage: Stage) -> None:
    """f. PATCH of a submission of a received product: 403."""
    answer = stage.second.send("PATCH", _received(labels_of(stage)), json={"name": "taken"})
    expect.error(answer, 403, "updateUnauthorized")


@ROWS.row("label-rule-08-onward-sharing", Source.DOCUMENTED, waits="labels")
def onward_sharing(stage: Stage) -> None:
    """8. The receiver shares it on: requestInvalidForCurrentState."""
    labels = labels_of(stage)
    path = f"{_received(labels)}/shippingLabels"
    answer = labels.post(labels.share(labels.own_seller_id), stage.second, path)
    expect.error(answer, 422, STATE)


@ROWS.row("label-rule-14-enforced-chids", Source.DOCUMENTED, waits="labels")
def enforced_chids(stage: Stage) -> None:
    """14. A label of the receiver without CHIDs, where the author insists: invalidInput."""
    labels = labels_of(stage)
    path = f"{_received(labels)}/shippingLabels"
    names(expect.error(labels.post(labels.body(), stage.second, path), 422, INVALID), "chids")


@ROWS.row("checklist-09-within-the-share", Source.DOCUMENTED, waits="labels")
def within_the_share(stage: Stage) -> None:
    """9. A label of the receiver for what was not shared: invalidInput."""
    labels = labels_of(stage)
    entry = {**labels.hardware_id, "pnpString": "pci\\ven_0000"}
    answer = _label_of_receiver(labels, stage, hardwareIds=[entry])
    names(expect.error(answer, 422, INVALID), "hardwareIds")


@ROWS.row("checklist-09-receiver-label", Source.DOCUMENTED, waits="labels")
def receiver_label(stage: Stage) -> None:
    """9. A label of the receiver for what was shared: taken."""
    labels = labels_of(stage)
    answer = _label_of_receiver(labels, stage)
    expect.true(answer.is_success, f"it was answered {answer.status_code}: {answer.text[:300]}")
    expect.shape(object_of(answer), shapes.LABEL, "the receiver's label")


@ROWS.row("observed-11-read-only-product", Source.FIELD, waits="labels")
def read_only_product(stage: Stage) -> None:
    """11. A label on a product that an account may only see: readOnlyProduct, with this message."""
    labels = labels_of(stage)
    answer = labels.post(labels.body(), stage.second, _seen_labels(labels, stage))
    expect.error(answer, 403, "readOnlyProduct", message=READ_ONLY)


def _seen_labels(labels: Labels, stage: Stage) -> str:
    """The path of the labels of what the second account may only see."""
    labels.run("published")
    _ = labels.second_seller_id
    listed = object_of(stage.second.send("GET", "/products"))["value"]
    wanted = str(object_of(stage.caller.send("GET", f"/products/{labels.signed['productId']}"))["sharedProductId"])
    origin = [
        each for each in listed if str(each.get("sharedProductId")) == wanted and each.get("originType") != "publisher"
    ]
    expect.true(origin, "the account of visibleToAccounts does not see the product.")
    submissions = object_of(stage.second.send("GET", f"/products/{origin[0]['id']}/submissions"))["value"]
    return f"/products/{origin[0]['id']}/submissions/{submissions[0]['id']}/shippingLabels"


@ROWS.row("label-update-read-only", Source.DOCUMENTED, waits="labels")
def update_of_a_reader(stage: Stage) -> None:
    """PATCH and cancel of a label that an account may only see: refused, and not by a 5xx."""
    labels = labels_of(stage)
    path = f"{_seen_labels(labels, stage)}/{labels.made('published').id}"
    for answer in (
        stage.second.send("PATCH", path, json={"targeting": {"restrictedToAudiences": []}}),
        stage.second.send("PUT", f"{path}/cancel"),
    ):
        expect.any_error(answer, answer.status_code if answer.status_code in (403, 404) else 403)


@ROWS.row("observed-23-both-spellings", Source.CLIENTS)
def both_spellings(stage: Stage) -> None:
    """The look-up of a partner's ids: in the service's own misspelling, and in the right one."""
    rest = f"1/sourceproductid/{UNKNOWN_PRODUCT}/sourcesubmissionid/{UNKNOWN_LONG}"
    for word in ("sourcepubliherid", "sourcepublisherid"):
        # Without a token: what it answers with one depends on partners that a suite has not.
        path = f"/products/relationships/{word}/{rest}"
        expect.flat_error(stage.caller.send("GET", path, authorization=None), 401)
