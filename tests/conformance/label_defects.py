"""Defects of shipping labels and of what partners get: planted and kept as those of defects.py."""

from typing import Any

from defects import Answer, Request, defect, drop, every_object, pascal, put

LABELS = r"/products/\d+/submissions/\d+/shippingLabels"
LABEL = LABELS + r"/\d+"
SIGNED, SEEN = ("signed",), ("labels",)
"""``SIGNED``: the labels are made with the defect. ``SEEN``: they were made without it, and are looked at with it."""


def _refused(answer: Answer, status: int, code: str) -> None:
    answer.status = status
    answer.json = {"error": {"code": code, "message": "no"}}


def _of_labels(request: Request, answer: Answer) -> bool:
    return answer.status < 300 and (request.is_("GET", LABEL) or request.is_("GET", LABELS))


# Create


@defect("route-12-create-label-status", revisits=SIGNED)
def labels_made_with_200(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 201:
        answer.status = 200


@defect("route-12-no-targeting", "route-12-create-label", revisits=SIGNED)
def targeting_in_the_answer_to_a_create(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 201:
        answer.json = {**answer.json, "targeting": {"hardwareIds": [], "chids": [], "restrictedToAudiences": []}}


@defect("route-12-first-step", revisits=SIGNED)
def labels_that_begin_completed(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS):
        put(answer, "state", lambda _: "completed")


@defect("register-15-manual-acquisition", revisits=SIGNED)
def no_manual_acquisition(request: Request, answer: Answer) -> None:
    drop(answer, "manualAcquisition")


@defect("register-17-both-specifications", revisits=SIGNED)
def specifications_of_the_other_destination(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 201:
        answer.json = {"recipientSpecifications": {}, **answer.json}


@defect("register-32-affected-oems", revisits=SIGNED)
def oems_as_one_text(request: Request, answer: Answer) -> None:
    put(answer, "affectedOems", ", ".join)


@defect("register-14-recipient-array", revisits=SIGNED)
def receivers_as_numbers(request: Request, answer: Answer) -> None:
    put(answer, "receiverPublisherId", int)


@defect("register-45-justification-on-create", revisits=SIGNED)
def a_forgotten_justification(request: Request, answer: Answer) -> None:
    drop(answer, "businessJustification")


# Read


@defect("route-13-get-label", "route-11-list-of-labels", revisits=SEEN)
def targeting_that_nobody_asked_for(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "workflowStatus" in found:
            found.setdefault("targeting", {"hardwareIds": [], "chids": [], "restrictedToAudiences": []})

    if _of_labels(request, answer):
        every_object(answer, change)


@defect("route-13-targeting", "route-11-list-with-targeting", "route-13-targeting-words", revisits=SEEN)
def targeting_that_is_never_told(request: Request, answer: Answer) -> None:
    drop(answer, "targeting")


@defect("register-24-label-list-self", "route-11-list-of-labels", revisits=SEEN)
def a_label_list_that_links_to_the_products(request: Request, answer: Answer) -> None:
    if request.is_("GET", LABELS) and answer.status == 200:
        document = answer.json
        document["links"][0]["href"] = document["links"][0]["href"].partition("/products")[0] + "/products?pageSize=50"
        document["value"] = []
        answer.json = document


@defect("label-no-null", revisits=SEEN)
def null_go_live_dates(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "manualAcquisition" in found:
            found.setdefault("goLiveDate", None)

    every_object(answer, change)


@defect("register-44-go-live-date", revisits=SEEN)
def forgotten_go_live_dates(request: Request, answer: Answer) -> None:
    drop(answer, "goLiveDate")


@defect("register-26-distribution-state", "label-added", revisits=SEEN)
def distribution_states_in_pascal_case(request: Request, answer: Answer) -> None:
    put(answer, "distributionState", pascal)


# Workflow


@defect("register-05-label-step-casing", "label-ends-published", revisits=SEEN)
def label_steps_in_pascal_case(request: Request, answer: Answer) -> None:
    if _of_labels(request, answer):
        put(answer, "currentStep", pascal)


@defect("register-05-label-step-casing", "observed-22-cancelled-is-failed", revisits=SEEN)
def label_states_in_pascal_case(request: Request, answer: Answer) -> None:
    if _of_labels(request, answer):
        put(answer, "state", pascal)


@defect("register-06-steps-are-names", revisits=SEEN)
def steps_as_numbers(request: Request, answer: Answer) -> None:
    if _of_labels(request, answer):
        put(answer, "currentStep", len)


@defect("label-status-always", revisits=SEEN)
def labels_without_a_status(request: Request, answer: Answer) -> None:
    if _of_labels(request, answer):
        drop(answer, "workflowStatus")


@defect("label-error-report", "register-05-label-step-casing", revisits=SEEN)
def blank_error_reports(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "currentStep" in found:
            found["errorReport"] = ""

    if _of_labels(request, answer):
        every_object(answer, change)


@defect("label-approval-is-seen", revisits=SIGNED)
def labels_that_skip_approval(request: Request, answer: Answer) -> None:
    if _of_labels(request, answer):
        put(answer, "currentStep", lambda step: "updateGeneration" if step == "microsoftApproval" else step)


@defect("observed-22-cancelled-is-failed", revisits=SEEN)
def cancelled_labels_that_are_completed(request: Request, answer: Answer) -> None:
    if _of_labels(request, answer):
        put(answer, "state", lambda _: "completed")


@defect("label-removed", revisits=SEEN)
def removed_hardware_ids_that_vanish(request: Request, answer: Answer) -> None:
    put(answer, "hardwareIds", lambda found: [each for each in found if each.get("distributionState") != "notSet"])


@defect("label-early-taken", "label-early-waits")
def labels_of_finished_submissions_only(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS):
        _refused(answer, 422, "requestInvalidForCurrentState")


@defect("label-early-waits")
def labels_that_wait_for_no_submission(request: Request, answer: Answer) -> None:
    if request.is_("GET", LABEL):
        put(answer, "currentStep", lambda step: "updateGeneration" if step == "publishJobValidation" else step)


@defect("label-rule-15-foreign-chid", "label-rule-22-extension", revisits=("foreign label", "baseless label"))
def labels_for_whatever_computer(request: Request, answer: Answer) -> None:
    if request.is_("GET", LABEL):
        put(answer, "state", lambda _: "completed")


@defect("label-rule-15-foreign-chid", "label-rule-22-extension", revisits=("foreign label", "baseless label"))
def rejections_that_name_no_ids(request: Request, answer: Answer) -> None:
    if request.is_("GET", LABEL):
        put(answer, "messages", lambda _: ["The label was rejected."])


# Change, cancel, refuse


@defect("route-15-cancel-label", "route-15-cancel-again", revisits=SIGNED)
def cancels_answered_with_200(request: Request, answer: Answer) -> None:
    if request.is_("PUT", LABEL + "/cancel") and answer.status == 204:
        answer.status, answer.json = 200, {}


@defect("route-15-cancel-again", revisits=SIGNED)
def a_second_cancel_that_is_refused(request: Request, answer: Answer) -> None:
    global _cancels
    if request.is_("PUT", LABEL + "/cancel") and answer.status == 204:
        _cancels += 1
        if not _cancels % 2:
            _refused(answer, 422, "requestInvalidForCurrentState")


_cancels = 0


@defect("label-update-in-approval", revisits=SIGNED)
def labels_that_change_in_approval(request: Request, answer: Answer) -> None:
    if request.is_("PATCH", LABEL) and answer.status == 422:
        answer.status, answer.body = 204, b""


@defect("label-rule-06-publishing-specifications", "label-rule-16-attestation", "register-40-floor-below-the-driver",
        "label-rule-24-visible-to", "label-rule-19-known-release", revisits=SIGNED)  # fmt: skip
def labels_taken_whatever_they_say(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        answer.status = 201


@defect("label-rule-12-in-metadata", "label-rule-10-manual-acquisition", revisits=SIGNED)
def labels_refused_with_400(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        answer.status = 400


@defect("label-rule-12-hardware-ids", "label-rule-17-audiences", revisits=SIGNED)
def wrong_labels_refused_for_their_state(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS):
        put(answer, "code", lambda _: "requestInvalidForCurrentState")


@defect("label-rule-19-floor-above-ceiling", "label-rule-19-floor-build-above-ceiling", "label-rule-19-released-build",
        "register-40-ceiling-below-the-driver", revisits=SEEN)  # fmt: skip
def limits_taken_as_they_come(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        answer.status = 201


@defect("label-rule-21-co-engineering", "register-39-ceiling", revisits=SIGNED)
def limits_set_by_everybody(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 403:
        answer.status = 201


@defect("label-rule-23-test-signed", revisits=("signed", "tested"))
def test_signatures_for_everybody(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        answer.status = 201


@defect("label-rule-11-extension", revisits=("signed", "extension"))
def manual_labels_of_extensions(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        answer.status = 201


@defect("register-27-either-flag", revisits=("signed", "extension"))
def both_flags_asked_of_extensions(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        found = {"target": "publishingSpecifications.isAutoInstallDuringOSUpgrade", "message": "both"}
        put(answer, "validationErrors", lambda findings: [*findings, found])


@defect("label-rule-04-system", revisits=("signed", "system"))
def whole_systems_for_windows_update(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        put(answer, "code", lambda _: "invalidInput")


@defect("label-rule-all-at-once", "label-rule-05-name-and-destination", revisits=SIGNED)
def one_finding_on_a_label(request: Request, answer: Answer) -> None:
    put(answer, "validationErrors", lambda found: found[:1])


@defect("observed-08-empty-update", revisits=SEEN)
def targets_called_targeting_info(request: Request, answer: Answer) -> None:
    put(answer, "target", lambda target: target.replace("targeting.", "targetingInfo."))


@defect("label-update-action", "label-update-removes-what-is-there", "label-update-rules-again", "label-update-name",
        revisits=SEEN)  # fmt: skip
def changes_taken_whatever_they_say(request: Request, answer: Answer) -> None:
    if request.is_("PATCH", LABEL) and answer.status == 422:
        answer.status, answer.body = 204, b""


@defect("label-update-role", "label-update-read-only", revisits=SEEN)
def labels_that_everybody_changes(request: Request, answer: Answer) -> None:
    if request.method in ("PATCH", "PUT") and answer.status == 403:
        answer.status, answer.body = 204, b""


# Partners


@defect("label-rule-01-foreign-submission", "route-13-unknown-label", revisits=SIGNED)
def foreign_labels_forbidden(request: Request, answer: Answer) -> None:
    if answer.status == 404:
        _refused(answer, 403, "forbidden")


@defect("checklist-09-author-path", revisits=SEEN)
def the_authors_submission_for_everybody(request: Request, answer: Answer) -> None:
    if answer.status == 404:
        answer.status, answer.json = 200, {}


@defect("route-22-both-spellings", revisits=SEEN)
def a_look_up_in_one_spelling(request: Request, answer: Answer) -> None:
    if "/sourcepublisherid/" in request.path:
        _refused(answer, 404, "entityNotFound")


@defect("checklist-09-own-ids", "checklist-09-source-ids", revisits=SEEN)
def received_products_of_their_own(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if found.get("originType") == "publisher":
            found.update(originType="author", sourceProductId=0, sharedProductId=found["sharedProductId"] + 10)

    every_object(answer, change)


@defect("error-updateUnauthorized-a-received-product", "error-updateUnauthorized-f-received-submission", revisits=SEEN)
def received_products_that_change(request: Request, answer: Answer) -> None:
    if request.method == "PATCH" and answer.status == 403:
        answer.status, answer.body = 204, b""


@defect("label-rule-08-onward-sharing", "label-rule-14-enforced-chids", "checklist-09-within-the-share", revisits=SEEN)
def receivers_that_may_everything(request: Request, answer: Answer) -> None:
    if request.is_("POST", LABELS) and answer.status == 422:
        answer.status = 201


@defect("observed-11-read-only-product", revisits=SEEN)
def another_message_for_read_only_products(request: Request, answer: Answer) -> None:
    put(answer, "message", lambda text: text.rstrip("."))
