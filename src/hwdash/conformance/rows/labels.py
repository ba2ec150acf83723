"""Shipping labels: their routes, and what is read and written (contract, 3.7 to 3.12, 4.10 to 4.16 and section 11).

The labels are those of hwdash.conformance.labels. What rules refuse is in label_rules.py, how labels get on in
label_workflow.py, what a partner gets in partners.py.
"""

from typing import Any

from hwdash.conformance import expect, shapes
from hwdash.conformance.caller import object_of
from hwdash.conformance.labels import FAR_AWAY, labels_of
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_LONG
from hwdash.conformance.stage import Stage

ROWS = Rows()


def targeting_of(label: dict[str, Any]) -> dict[str, Any]:
    """The targeting of a look at a label."""
    expect.shape(label, shapes.LABEL_WITH_TARGETING, "the label")
    found: dict[str, Any] = label["targeting"]
    return found


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


# Create


@ROWS.row("route-12-create-label-status", Source.OURS, waits="labels")
def created(stage: Stage) -> None:
    """POST shippingLabels: 201."""
    expect.status(labels_of(stage).made("cancelled").answer, 201)


@ROWS.row("route-12-create-label", Source.DOCUMENTED, waits="labels")
def created_label(stage: Stage) -> None:
    """POST shippingLabels: a ShippingLabel with its links, self first."""
    labels = labels_of(stage)
    made = labels.made("cancelled")
    expect.shape(made.body, shapes.LABEL, "the new label")
    path = f"{labels.path}/{made.id}"
    expect.link(made.body, 0, "self", "GET", path)
    expect.link(made.body, 1, "update_shippinglabel", "PATCH", path)
    wanted = {"productId": labels.signed["productId"], "submissionId": labels.signed["id"]}
    expect.subset(made.body, {"destination": "windowsUpdate", **wanted}, "the new label")


@ROWS.row("route-12-no-targeting", Source.DOCUMENTED, waits="labels")
def no_targeting(stage: Stage) -> None:
    """The answer to a create has no targeting."""
    expect.true("targeting" not in labels_of(stage).made("cancelled").body, "the answer has targeting.")


@ROWS.row("route-12-first-step", Source.DOCUMENTED, waits="labels")
def first_step(stage: Stage) -> None:
    """A new label is at preProcessShippingLabel, notStarted."""
    status = labels_of(stage).made("cancelled").body.get("workflowStatus") or {}
    expect.subset(status, {"currentStep": "preProcessShippingLabel", "state": "notStarted"}, "workflowStatus")


@ROWS.row("route-12-windows-update-only", Source.DOCUMENTED, waits="labels")
def only_its_own(stage: Stage) -> None:
    """publishingSpecifications are there exactly when the destination is windowsUpdate."""
    label = labels_of(stage).run("published").end
    expect.true("publishingSpecifications" in label, "the label has no publishingSpecifications.")
    expect.true("recipientSpecifications" not in label, "the label has recipientSpecifications.")


# Read


@ROWS.row("route-11-list-of-labels", Source.DOCUMENTED, waits="labels")
def listed_labels(stage: Stage) -> None:
    """GET shippingLabels has the label, without its targeting."""
    labels = labels_of(stage)
    run = labels.run("cancelled")
    kind = shapes.collection(shapes.LABEL)
    listed = expect.json(stage.caller.send("GET", labels.path), 200, kind, "the list of labels")
    expect.true(any(each["id"] == run.made.id for each in listed["value"]), "the label is not in the list.")


@ROWS.row("route-11-list-with-targeting", Source.CLIENTS, waits="labels")
def listed_targeting(stage: Stage) -> None:
    """GET shippingLabels with includeTargetingInfo, as Microsoft's own client sends it: with targeting."""
    labels = labels_of(stage)
    labels.run("cancelled")
    answer = stage.caller.send("GET", f"{labels.path}?includeTargetingInfo=true")
    kind = shapes.collection(shapes.LABEL_WITH_TARGETING)
    expect.json(answer, 200, kind, "the list of labels")


@ROWS.row("route-13-get-label", Source.DOCUMENTED, waits="labels")
def get_label(stage: Stage) -> None:
    """GET a label: 200, without targeting."""
    labels = labels_of(stage)
    run = labels.run("cancelled")
    path = labels.label_path(run)
    body = expect.json(stage.caller.send("GET", path), 200, shapes.LABEL, "the label")
    expect.link(body, 0, "self", "GET", path)
    expect.equal(body["id"], run.made.id, "id")


@ROWS.row("route-13-targeting", Source.DOCUMENTED, waits="labels")
def get_targeting(stage: Stage) -> None:
    """GET with includeTargetingInfo=true: what was targeted."""
    labels = labels_of(stage)
    found = targeting_of(labels.run("cancelled").end)
    (entry,) = found["hardwareIds"]
    given = {name: value.casefold() for name, value in labels.hardware_id.items()}
    expect.subset({name: value.casefold() for name, value in entry.items()}, given, "the hardware id")
    expect.equal(found["restrictedToAudiences"], [labels.audience], "restrictedToAudiences")


@ROWS.row("route-13-targeting-words", Source.OURS, waits="labels")
def targeting_words(stage: Stage) -> None:
    """includeTargetingInfo is taken as True and 1 too; false is false."""
    labels = labels_of(stage)
    path = labels.label_path(labels.run("cancelled"))
    for word, wanted in (("True", True), ("1", True), ("false", False)):
        body = object_of(stage.caller.send("GET", f"{path}?includeTargetingInfo={word}"))
        expect.equal("targeting" in body, wanted, f"whether targeting is there with {word}")


@ROWS.row("route-13-unknown-label", Source.DOCUMENTED, waits="signed")
def unknown_label(stage: Stage) -> None:
    """GET, PATCH and cancel of a label that is unknown: 404."""
    path = f"{labels_of(stage).path}/{UNKNOWN_LONG}"
    change = {"targeting": {"businessJustification": "none"}}
    for answer in (
        stage.caller.send("GET", path),
        stage.caller.send("PATCH", path, json=change),
        stage.caller.send("PUT", f"{path}/cancel"),
    ):
        expect.error(answer, 404, "entityNotFound")


# Change and cancel


@ROWS.row("route-14-update-label", Source.DOCUMENTED, waits="labels")
def updated(stage: Stage) -> None:
    """PATCH a label: 204, empty."""
    expect.empty(labels_of(stage).run("published").answers["updated"], 204)


@ROWS.row("route-15-cancel-label", Source.DOCUMENTED, waits="labels")
def cancelled(stage: Stage) -> None:
    """PUT cancel, without a body: 204, empty."""
    expect.empty(labels_of(stage).run("cancelled").answers["cancelled"], 204)


@ROWS.row("route-15-cancel-again", Source.OURS, waits="labels")
def cancelled_again(stage: Stage) -> None:
    """A second cancel: 204 too."""
    expect.empty(labels_of(stage).run("cancelled").answers["cancelled again"], 204)


# The register


@ROWS.row("register-12-targeting-info", Source.EARLIER, waits="labels")
def targeting_info(stage: Stage) -> None:
    """targetingInfo is taken as targeting."""
    labels = labels_of(stage)
    targeted = targeting_of(labels.run("cancelled").end)["hardwareIds"]
    expect.equal(len(targeted), 1, "the number of hardware ids of a label made with targetingInfo")


@ROWS.row("register-13-older-audience", Source.EARLIER, waits="labels")
def older_audience(stage: Stage) -> None:
    """restrictedToAudience is taken as restrictedToAudiences."""
    labels = labels_of(stage)
    found = targeting_of(labels.run("cancelled").end)["restrictedToAudiences"]
    expect.equal(found, [labels.audience], "restrictedToAudiences of a label made with restrictedToAudience")


@ROWS.row("register-15-manual-acquisition", Source.DOCUMENTED, waits="labels")
def manual_acquisition(stage: Stage) -> None:
    """manualAcquisition is told though it was left out: the opposite of both flags."""
    made = labels_of(stage).made("published").body["publishingSpecifications"]
    expect.equal(made.get("manualAcquisition"), True, "manualAcquisition")


@ROWS.row("register-17-both-specifications", Source.DOCUMENTED, waits="labels")
def both_specifications(stage: Stage) -> None:
    """Specifications of the other destination are ignored."""
    made = labels_of(stage).made("published")
    expect.true(made.answer.is_success, "the label was refused.")
    expect.true("recipientSpecifications" not in made.body, "the label has recipientSpecifications.")


@ROWS.row("register-26-distribution-state", Source.OURS, waits="labels")
def distribution_state(stage: Stage) -> None:
    """distributionState is camelCase."""
    for look in labels_of(stage).run("published").looks:
        for entry in targeting_of(look)["hardwareIds"]:
            expect.shape(entry["distributionState"], shapes.camel_case, "distributionState")


@ROWS.row("register-31-hardware-id-names", Source.EARLIER, waits="labels")
def hardware_id_names(stage: Stage) -> None:
    """bundleID and infID are taken, bundleId and infId answered."""
    labels = labels_of(stage)
    (entry,) = targeting_of(labels.run("cancelled").end)["hardwareIds"]
    expect.equal(entry["bundleId"], labels.hardware_id["bundleId"], "bundleId of a label made with bundleID")


@ROWS.row("register-32-affected-oems", Source.DOCUMENTED, waits="labels")
def affected_oems(stage: Stage) -> None:
    """affectedOems as one text is taken, and answered as an array."""
    found = labels_of(stage).made("cancelled").body["publishingSpecifications"]
    expect.equal(found["additionalInfoForMsApproval"]["affectedOems"], ["Contoso"], "affectedOems")


@ROWS.row("register-44-go-live-date", Source.DOCUMENTED, waits="labels")
def go_live_date(stage: Stage) -> None:
    """goLiveDate is told as it was given."""
    found = labels_of(stage).run("cancelled").end["publishingSpecifications"]
    expect.true(str(found.get("goLiveDate")).startswith(FAR_AWAY[:19]), f"goLiveDate is {found.get('goLiveDate')}.")


@ROWS.row("register-45-justification-on-create", Source.DOCUMENTED, waits="labels")
def justification(stage: Stage) -> None:
    """businessJustification is taken within additionalInfoForMsApproval, and answered there."""
    found = labels_of(stage).made("cancelled").body["publishingSpecifications"]
    given = found["additionalInfoForMsApproval"].get("businessJustification")
    expect.equal(given, "A rehearsal.", "businessJustification")


@ROWS.row("label-no-null", Source.CLIENTS, waits="labels")
def label_no_null(stage: Stage) -> None:
    """A label has no null: no date, no boolean, nothing."""
    run = labels_of(stage).run("published")
    for each in (run.made.body, *run.looks):
        expect.true("None" not in repr(each).replace("'None'", ""), f"the label has null: {each}")
