"""What is refused of shipping labels, and with which code (contract, 7.4 and 7.5). Nothing here makes a label.

What a workflow refuses afterwards (rules 15 and 22) is seen of labels that hwdash.conformance.labels made apart.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from hwdash.conformance import expect
from hwdash.conformance.caller import object_of, shown
from hwdash.conformance.labels import CHID, LabelRun, labels_of
from hwdash.conformance.outcome import Mismatch, NotApplicable, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_LONG
from hwdash.conformance.stage import Stage, download
from hwdash.sdk.selection import hardware_ids

ROWS = Rows()
INVALID, STATE = "invalidInput", "requestInvalidForCurrentState"
NO_AUDIENCE = "8a4a9d6d-0f3b-4a0e-9c8a-111111111111"
NOBODY = "10000007"
"""A seller id that belongs to nobody."""


def names(found: dict[str, Any], *wanted: str) -> None:
    """The validation errors name these fields, wherever in the body they stand."""
    given = [str(each["target"]) for each in found.get("validationErrors", [])]
    missing = [name for name in wanted if not any(name.casefold() in target.casefold() for target in given)]
    if missing:
        raise Mismatch(f"validationErrors lacks {', '.join(missing)}; it names {', '.join(given) or 'nothing'}.")


def _refused(stage: Stage, wanted: tuple[str, ...], **changes: object) -> None:
    labels = labels_of(stage)
    names(expect.error(labels.post(labels.body(**changes)), 422, INVALID), *wanted)


@ROWS.row("label-rule-01-unknown-submission", Source.DOCUMENTED, waits="signed")
def unknown_submission(stage: Stage) -> None:
    """1. A label of an unknown submission: 404."""
    labels = labels_of(stage)
    path = f"/products/{labels.signed['productId']}/submissions/{UNKNOWN_LONG}/shippingLabels"
    expect.error(labels.post(labels.body(), path=path), 404, "entityNotFound")


@ROWS.row("label-rule-01-foreign-submission", Source.OURS, waits="signed")
def foreign_submission(stage: Stage) -> None:
    """1. A label of another account's submission: 404, not 403."""
    labels = labels_of(stage)
    expect.error(labels.post(labels.body(), stage.second), 404, "entityNotFound")


@ROWS.row("label-rule-04-system", Source.DOCUMENTED, waits="system")
def system_submission(stage: Stage) -> None:
    """4. A whole system for Windows Update: requestInvalidForCurrentState."""
    workflow, _ = stage.succeeded("system")
    labels = labels_of(stage)
    metadata = object_of(stage.caller.blob("GET", download(stage.finished("system")[1], "driverMetadata")))
    targeting = labels.targeting(hardwareIds=hardware_ids(metadata)[:1])
    answer = labels.post(labels.body(targeting=targeting), path=f"{workflow.path}/shippingLabels")
    expect.error(answer, 422, STATE)


@ROWS.row("label-rule-05-name-and-destination", Source.OURS, waits="signed")
def name_and_destination(stage: Stage) -> None:
    """5. Without name and destination: invalidInput, both told."""
    _refused(stage, ("name", "destination"), name=..., destination=...)
    _refused(stage, ("destination",), destination="notSet")


@ROWS.row("label-rule-06-publishing-specifications", Source.DOCUMENTED, waits="signed")
def publishing_specifications(stage: Stage) -> None:
    """6. windowsUpdate without publishingSpecifications: invalidInput."""
    _refused(stage, ("publishingSpecifications",), publishingSpecifications=...)


@ROWS.row("label-rule-07-receiver", Source.DOCUMENTED, waits="signed")
def receiver(stage: Stage) -> None:
    """7. anotherPartner without a receiver: invalidInput."""
    labels = labels_of(stage)
    for specifications in (..., {"enforceChidTargeting": False}):
        answer = labels.post(labels.share(NOBODY, recipientSpecifications=specifications))
        names(expect.error(answer, 422, INVALID), "receiverPublisherId")


@ROWS.row("label-rule-07-known-receiver", Source.OURS, waits="signed")
def known_receiver(stage: Stage) -> None:
    """7. A receiver that is nobody, or the account itself: invalidInput."""
    labels = labels_of(stage)
    for seller in (NOBODY, labels.own_seller_id):
        names(expect.error(labels.post(labels.share(seller)), 422, INVALID), "receiverPublisherId")


@ROWS.row("label-rule-09-approval-info", Source.DOCUMENTED, waits="signed")
def approval_info(stage: Stage) -> None:
    """9. Delivered automatically, without contact, validations and OEMs: invalidInput, or 403 where it may not be."""
    for flag in ("isAutoInstallDuringOSUpgrade", "isAutoInstallOnApplicableSystems"):
        answer = _automatic(stage, {flag: True})
        names(
            expect.error(answer, 422, INVALID),
            *("microsoftContact", "validationsPerformed", "affectedOems"),
        )


def _automatic(stage: Stage, specifications: Mapping[str, object]) -> httpx.Response:
    labels = labels_of(stage)
    answer = labels.post(labels.body(publishingSpecifications=specifications))
    if answer.status_code == 403:
        raise NotApplicable("needs an account that may deliver automatically.")
    return answer


@ROWS.row("label-rule-10-manual-acquisition", Source.DOCUMENTED, waits="signed")
def manual_acquisition(stage: Stage) -> None:
    """10. manualAcquisition that contradicts the flags: invalidInput."""
    _refused(stage, ("manualAcquisition",), publishingSpecifications={"manualAcquisition": False})
    both = {"manualAcquisition": True, "isAutoInstallOnApplicableSystems": True}
    names(expect.error(_automatic(stage, both), 422, INVALID), "manualAcquisition")


def _of_extension(stage: Stage, specifications: Mapping[str, object], audience: str) -> dict[str, Any]:
    """The refusal of a label of the package with an extension INF."""
    workflow, submission = stage.succeeded("extension")
    labels = labels_of(stage)
    metadata = object_of(stage.caller.blob("GET", download(submission, "driverMetadata")))
    targeting = {"hardwareIds": hardware_ids(metadata)[:1], "restrictedToAudiences": [audience]}
    body = labels.body(publishingSpecifications=specifications, targeting=targeting)
    return expect.error(labels.post(body, path=f"{workflow.path}/shippingLabels"), 422, INVALID)


@ROWS.row("label-rule-11-extension", Source.DOCUMENTED, waits="extension")
def extension(stage: Stage) -> None:
    """11. An extension INF with neither automatic flag: invalidInput."""
    found = _of_extension(stage, {"manualAcquisition": True}, labels_of(stage).audience)
    names(found, "isAutoInstall")


@ROWS.row("register-27-either-flag", Source.DOCUMENTED, waits="extension")
def either_flag(stage: Stage) -> None:
    """11. For an extension INF one of the two automatic flags suffices."""
    info = {"microsoftContact": "a@example.com", "validationsPerformed": "none", "affectedOems": ["none"]}
    for flag in ("isAutoInstallDuringOSUpgrade", "isAutoInstallOnApplicableSystems"):
        # With an audience that is none, so that no label is made.
        found = _of_extension(stage, {flag: True, "additionalInfoForMsApproval": info}, NO_AUDIENCE)
        told = [each["target"] for each in found.get("validationErrors", []) if "isAutoInstall" in each["target"]]
        expect.equal(told, [], f"what is told of the flags with {flag}")


@ROWS.row("label-rule-12-hardware-ids", Source.DOCUMENTED, waits="signed")
def some_hardware_ids(stage: Stage) -> None:
    """12. Without hardware ids: invalidInput."""
    labels = labels_of(stage)
    for targeting in (labels.targeting(hardwareIds=[]), labels.targeting(hardwareIds=...)):
        _refused(stage, ("hardwareIds",), targeting=targeting)


@ROWS.row("label-rule-12-in-metadata", Source.DOCUMENTED, waits="signed")
def in_metadata(stage: Stage) -> None:
    """12. A hardware id that is not in the driver metadata, in any of its four parts: invalidInput."""
    labels = labels_of(stage)
    for name in ("bundleId", "infId", "operatingSystemCode", "pnpString"):
        entry = {**labels.hardware_id, name: "WINDOWS_7" if name == "operatingSystemCode" else "none"}
        _refused(stage, ("hardwareIds",), targeting=labels.targeting(hardwareIds=[labels.hardware_id, entry]))


@ROWS.row("label-rule-13-chid-before-windows-10", Source.DOCUMENTED, waits="signed")
def chid_before_windows_10(stage: Stage) -> None:
    """13. CHIDs together with a hardware id of Windows 8.1: invalidInput."""
    labels = labels_of(stage)
    older = {**labels.hardware_id, "operatingSystemCode": "WINDOWS_v63_X64"}
    _refused(stage, ("chids",), targeting=labels.targeting(hardwareIds=[older], chids=[{"chid": CHID}]))


@ROWS.row("label-rule-15-foreign-chid", Source.DOCUMENTED, waits="foreign label")
def foreign_chid(stage: Stage) -> None:
    """15. A CHID of another company without a relationship: the label fails, and its messages name the CHID."""
    _rejected(labels_of(stage).run("foreign label"), labels_of(stage).foreign_chid)


def _rejected(run: LabelRun, named: str) -> None:
    """The workflow refused the label, and told why with this id."""
    status = run.end.get("workflowStatus") or {}
    expect.equal(status.get("state"), "failed", "state of the label at its end")
    told = " ".join(map(str, status.get("messages") or []))
    expect.true(named.casefold() in told.casefold(), f"the messages do not name {named}: {told or 'there are none'}.")


@ROWS.row("label-rule-16-attestation", Source.DOCUMENTED, waits="signed")
def attestation(stage: Stage) -> None:
    """16. An attestation driver for retail machines: invalidInput."""
    targeting = labels_of(stage).targeting(restrictedToAudiences=...)
    _refused(stage, ("restrictedToAudiences",), targeting=targeting)


@ROWS.row("label-rule-17-audiences", Source.OURS, waits="signed")
def own_audiences(stage: Stage) -> None:
    """17. An audience that GET audiences does not have: invalidInput."""
    targeting = labels_of(stage).targeting(restrictedToAudiences=[NO_AUDIENCE])
    _refused(stage, ("restrictedToAudiences",), targeting=targeting)


@ROWS.row("register-16-both-publish-infos", Source.DOCUMENTED, waits="signed")
def both_publish_infos(stage: Stage) -> None:
    """18. Floors by release and by build at once: refused."""
    labels = labels_of(stage)
    targeting = labels.targeting(
        inServicePublishInfo={"flooring": labels.release}, coEngDriverPublishInfo={"flooringBuildNumber": 30000}
    )
    answer = labels.post(labels.body(targeting=targeting))
    # Who is no co-engineering partner is told that first.
    expect.any_error(answer, 403 if answer.status_code == 403 else 422)


@ROWS.row("label-rule-19-known-release", Source.DOCUMENTED, waits="signed")
def known_release(stage: Stage) -> None:
    """19. A floor that is no release: invalidInput."""
    _refused(stage, ("flooring",), targeting=labels_of(stage).targeting(inServicePublishInfo={"flooring": "XP"}))


@ROWS.row("label-rule-19-floor-above-ceiling", Source.OURS, waits="labels")
def floor_above_ceiling(stage: Stage) -> None:
    """19. A floor above the ceiling: invalidInput."""
    names(_limited(stage, inServicePublishInfo={"flooring": labels_of(stage).release, "ceiling": "TH"}), "ceiling")


@ROWS.row("label-rule-19-floor-build-above-ceiling", Source.OURS, waits="labels")
def floor_build_above_ceiling(stage: Stage) -> None:
    """19. A floor above the ceiling by build numbers: invalidInput."""
    builds = {"flooringBuildNumber": 50000, "ceilingBuildNumber": 40000}
    names(_limited(stage, coEngDriverPublishInfo=builds), "ceilingBuildNumber")


@ROWS.row("label-rule-19-released-build", Source.DOCUMENTED, waits="labels")
def released_build(stage: Stage) -> None:
    """19. A floor that is the build of a release: invalidInput."""
    names(_limited(stage, coEngDriverPublishInfo={"flooringBuildNumber": 19041}), "flooringBuildNumber")


def _limited(stage: Stage, **limits: object) -> dict[str, Any]:
    """The refusal of a label with limits that not every account may set: of the account that may, the receiver else."""
    labels = labels_of(stage)
    body = labels.body(targeting=labels.targeting(chids=[{"chid": CHID}], **limits))
    answer = labels.post(body)
    if answer.status_code == 403:
        received = labels.run("shared").received
        path = f"/products/{received['productId']}/submissions/{received['id']}/shippingLabels"
        answer = labels.post(body, stage.second, path)
    if answer.status_code == 403:
        raise NotApplicable("needs an account that may set ceilings and build numbers.")
    return expect.error(answer, 422, INVALID)


@ROWS.row("register-40-floor-below-the-driver", Source.OURS, waits="signed")
def floor_below_the_driver(stage: Stage) -> None:
    """20. A floor below the lowest release among the hardware ids: invalidInput."""
    labels = labels_of(stage)
    if labels.release == "TH":
        raise NotApplicable("needs a package for a later release than the first of Windows 10.")
    _refused(stage, ("flooring",), targeting=labels.targeting(inServicePublishInfo={"flooring": "TH"}))


@ROWS.row("register-40-ceiling-below-the-driver", Source.OURS, waits="labels")
def ceiling_below_the_driver(stage: Stage) -> None:
    """20. A ceiling below the lowest release among the hardware ids: invalidInput."""
    if labels_of(stage).release == "TH":
        raise NotApplicable("needs a package for a later release than the first of Windows 10.")
    names(_limited(stage, inServicePublishInfo={"ceiling": "TH"}), "ceiling")


@ROWS.row("register-39-ceiling", Source.DOCUMENTED, waits="signed")
def ceiling(stage: Stage) -> None:
    """21. A ceiling, from an account that may not set one: 403."""
    labels = labels_of(stage)
    # With an audience that is none, so that nothing is made where the account may.
    targeting = labels.targeting(inServicePublishInfo={"ceiling": labels.release}, restrictedToAudiences=[NO_AUDIENCE])
    answer = labels.post(labels.body(targeting=targeting))
    if answer.status_code == 422:
        raise NotApplicable("needs an account that may not set ceilings.")
    expect.any_error(answer, 403)


@ROWS.row("label-rule-21-co-engineering", Source.DOCUMENTED, waits="signed")
def co_engineering(stage: Stage) -> None:
    """21. Build numbers, from an account that is no co-engineering partner: 403."""
    labels = labels_of(stage)
    builds = {"flooringBuildNumber": 50000}
    targeting = labels.targeting(coEngDriverPublishInfo=builds, restrictedToAudiences=[NO_AUDIENCE])
    answer = labels.post(labels.body(targeting=targeting))
    if answer.status_code == 422:
        raise NotApplicable("needs an account that is no co-engineering partner.")
    expect.any_error(answer, 403)


@ROWS.row("label-rule-22-extension", Source.DOCUMENTED, waits="baseless label")
def baseless_extension(stage: Stage) -> None:
    """22. An extension INF for a device without a base driver: the label fails, and its messages name the id."""
    run = labels_of(stage).run("baseless label")
    _rejected(run, run.end["targeting"]["hardwareIds"][0]["pnpString"])


@ROWS.row("label-rule-23-test-signed", Source.OURS, waits="tested")
def test_signed(stage: Stage) -> None:
    """23. A test-signed driver, which is not attested, for retail machines: invalidInput."""
    workflow, submission = stage.succeeded("tested")
    labels = labels_of(stage)
    targeting = labels.targeting(hardwareIds=[labels.hardware_id_of(submission)], restrictedToAudiences=...)
    answer = labels.post(labels.body(targeting=targeting), path=f"{workflow.path}/shippingLabels")
    names(expect.error(answer, 422, INVALID), "restrictedToAudiences")


@ROWS.row("label-rule-24-visible-to", Source.OURS, waits="signed")
def visible_to(stage: Stage) -> None:
    """24. visibleToAccounts that are nobody: invalidInput."""
    specifications = {"manualAcquisition": True, "visibleToAccounts": [int(NOBODY)]}
    _refused(stage, ("visibleToAccounts",), publishingSpecifications=specifications)


@ROWS.row("label-rule-all-at-once", Source.OURS, waits="signed")
def all_at_once(stage: Stage) -> None:
    """Everything that is wrong with a label is told in one answer."""
    _refused(
        stage,
        ("name", "publishingSpecifications", "hardwareIds", "restrictedToAudiences"),
        name=...,
        publishingSpecifications=...,
        targeting={},
    )


# Changes


@ROWS.row("observed-08-empty-update", Source.FIELD, waits="labels")
def empty_update(stage: Stage) -> None:
    """8. PATCH with nothing in it: invalidInput that names chids, hardwareIds and restrictedToAudiences."""
    run = labels_of(stage).run("published")
    answer = stage.caller.send("PATCH", labels_of(stage).label_path(run), json={"targeting": {}})
    found = expect.error(answer, 422, INVALID)
    expect.targets(found, "targeting.chids", "targeting.hardwareIds", "targeting.restrictedToAudiences")


@ROWS.row("label-update-action", Source.DOCUMENTED, waits="labels")
def update_action(stage: Stage) -> None:
    """PATCH of a hardware id or CHID without an action, or with another: invalidInput."""
    labels = labels_of(stage)
    path = labels.label_path(labels.run("published"))
    for entry in (labels.hardware_id, {**labels.hardware_id, "action": "replace"}):
        answer = stage.caller.send("PATCH", path, json={"targeting": {"hardwareIds": [entry]}})
        names(expect.error(answer, 422, INVALID), "hardwareIds")
    answer = stage.caller.send("PATCH", path, json={"targeting": {"chids": [{"chid": CHID}]}})
    names(expect.error(answer, 422, INVALID), "chids")


@ROWS.row("label-update-unknown-hardware-id", Source.DOCUMENTED, waits="labels")
def update_unknown(stage: Stage) -> None:
    """PATCH that adds a hardware id that is not in the driver metadata: invalidInput."""
    labels = labels_of(stage)
    entry = {**labels.hardware_id, "pnpString": "none", "action": "add"}
    path = labels.label_path(labels.run("published"))
    answer = stage.caller.send("PATCH", path, json={"targeting": {"hardwareIds": [entry]}})
    names(expect.error(answer, 422, INVALID), "hardwareIds")


@ROWS.row("label-update-removes-what-is-there", Source.OURS, waits="labels")
def update_removes(stage: Stage) -> None:
    """PATCH that removes what the label has not (any more): invalidInput."""
    labels = labels_of(stage)
    entry = {**labels.hardware_id, "action": "remove"}
    path = labels.label_path(labels.run("published"))
    answer = stage.caller.send("PATCH", path, json={"targeting": {"hardwareIds": [entry]}})
    names(expect.error(answer, 422, INVALID), "hardwareIds")


@ROWS.row("label-update-rules-again", Source.DOCUMENTED, waits="labels")
def update_rules(stage: Stage) -> None:
    """PATCH to a floor that is no release, or to an audience that there is not: invalidInput, as on a create."""
    labels = labels_of(stage)
    path = labels.label_path(labels.run("published"))
    for change, named in (
        ({"inServicePublishInfo": {"flooring": "XP"}}, "flooring"),
        ({"restrictedToAudiences": [NO_AUDIENCE]}, "restrictedToAudiences"),
    ):
        answer = stage.caller.send("PATCH", path, json={"targeting": change})
        names(expect.error(answer, 422, INVALID), named)


@ROWS.row("label-update-role", Source.DOCUMENTED, waits="labels")
def update_role(stage: Stage) -> None:
    """Create, PATCH and cancel by an application that owns no labels: 403."""
    labels = labels_of(stage)
    path = labels.label_path(labels.run("published"))
    for answer in (
        labels.post(labels.body(name=...), stage.reader),
        stage.reader.send("PATCH", path, json={"targeting": {"inServicePublishInfo": {"flooring": "XP"}}}),
        stage.reader.send("PUT", f"{path}/cancel"),
    ):
        expect.any_error(answer, 403)


@ROWS.row("label-update-name", Source.OURS, waits="labels")
def update_name(stage: Stage) -> None:
    """PATCH of anything but targeting: 422."""
    labels = labels_of(stage)
    path = labels.label_path(labels.run("published"))
    expect.any_error(stage.caller.send("PATCH", path, json={"name": "Another name"}), 422)


@ROWS.row("label-update-while-running", Source.DOCUMENTED, waits="labels")
def update_while_running(stage: Stage) -> None:
    """PATCH while a workflow of the label runs: invalidInput."""
    expect.error(labels_of(stage).run("published").answers["updated while running"], 422, INVALID)


@ROWS.row("label-update-in-approval", Source.DOCUMENTED, waits="labels")
def update_in_approval(stage: Stage) -> None:
    """PATCH while the label is in approval: invalidInput."""
    expect.error(labels_of(stage).run("cancelled").answers["updated in approval"], 422, INVALID)


@ROWS.row("label-update-after-cancel", Source.OURS, waits="labels")
def update_after_cancel(stage: Stage) -> None:
    """PATCH of a cancelled label: requestInvalidForCurrentState."""
    expect.error(labels_of(stage).run("cancelled").answers["updated after"], 422, STATE)


@ROWS.row("label-cancel-too-late", Source.OURS, waits="labels")
def cancel_too_late(stage: Stage) -> None:
    """PUT cancel of a label that is published: requestInvalidForCurrentState."""
    answer = labels_of(stage).run("published").answers["cancelled too late"]
    if answer.is_success:
        raise Mismatch(f"{shown(answer)}\nIt should be refused.")
    expect.error(answer, 422, STATE)
