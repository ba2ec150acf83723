"""How shipping labels get on: their steps, and the states of what they target (contract, 6.3 to 6.5)."""

from itertools import pairwise
from typing import Any

from hwdash.conformance import expect, shapes
from hwdash.conformance.labels import LabelRun, labels_of
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.labels import targeting_of
from hwdash.conformance.shapes import SHARING_STEPS, WINDOWS_UPDATE_STEPS
from hwdash.conformance.stage import Stage

ROWS = Rows()


def _statuses(run: LabelRun) -> list[dict[str, Any]]:
    return [each["workflowStatus"] for each in (run.made.body, *run.looks)]


def _first_run(run: LabelRun) -> list[dict[str, Any]]:
    """What was seen of the label until it ended for the first time."""
    found = []
    for status in _statuses(run):
        found.append(status)
        if status["state"] in ("completed", "failed"):
            break
    return found


def _in_order(statuses: list[dict[str, Any]], steps: tuple[str, ...]) -> None:
    for before, after in pairwise(each["currentStep"] for each in statuses):
        expect.true(after in steps, f"{after} is no step of this label.")
        expect.true(steps.index(before) <= steps.index(after), f"{after} was seen after {before}.")


@ROWS.row("register-05-label-step-casing", Source.CLIENTS, waits="labels")
def step_casing(stage: Stage) -> None:
    """currentStep and state of labels are camelCase, spelt as documented."""
    for name in ("published", "cancelled"):
        for status in _statuses(labels_of(stage).run(name)):
            expect.shape(status, shapes.LABEL_STATUS, "workflowStatus")


@ROWS.row("register-06-steps-are-names", Source.OURS, waits="labels")
def steps_are_names(stage: Stage) -> None:
    """currentStep is one of the documented names all the way, never a number."""
    for status in _statuses(labels_of(stage).run("published")):
        found = status.get("currentStep")
        expect.true(found in WINDOWS_UPDATE_STEPS, f"currentStep is {found!r}.")


@ROWS.row("label-status-always", Source.CLIENTS, waits="labels")
def status_always(stage: Stage) -> None:
    """A label always has its workflowStatus."""
    run = labels_of(stage).run("published")
    for each in (run.made.body, *run.looks):
        expect.true(isinstance(each.get("workflowStatus"), dict), "the label has no workflowStatus.")


@ROWS.row("label-order-of-steps", Source.DOCUMENTED, waits="labels")
def order_of_steps(stage: Stage) -> None:
    """The steps of a label to Windows Update follow one another in the documented order."""
    _in_order(_first_run(labels_of(stage).settled("published")), WINDOWS_UPDATE_STEPS)


@ROWS.row("label-approval-is-seen", Source.CLIENTS, waits="labels")
def approval_is_seen(stage: Stage) -> None:
    """Every label comes by microsoftApproval: Microsoft's own client waits for nothing else."""
    steps = [each["currentStep"] for each in _first_run(labels_of(stage).settled("published"))]
    expect.true("microsoftApproval" in steps, f"the label was seen at {', '.join(dict.fromkeys(steps))} only.")


@ROWS.row("label-ends-published", Source.DOCUMENTED, waits="labels")
def ends_published(stage: Stage) -> None:
    """A label that is published ends at finalizePublishing, completed."""
    wanted = {"currentStep": "finalizePublishing", "state": "completed"}
    expect.subset(_first_run(labels_of(stage).settled("published"))[-1], wanted, "the label at its end")


@ROWS.row("label-completed-at-the-end-only", Source.OURS, waits="labels")
def completed_at_the_end(stage: Stage) -> None:
    """No step but the last is seen completed."""
    for status in _statuses(labels_of(stage).run("published")):
        if status["state"] == "completed":
            expect.equal(status["currentStep"], "finalizePublishing", "currentStep of a completed label")


@ROWS.row("label-added", Source.DOCUMENTED, waits="labels")
def added(stage: Stage) -> None:
    """distributionState: pendingAdd until it is published, then added."""
    run = labels_of(stage).run("published")
    states = [targeting_of(look)["hardwareIds"][0]["distributionState"] for look in run.looks]
    expect.true(states[0] in ("pendingAdd", "added"), f"distributionState is {states[0]} at first.")
    at_end = states[len(_first_run(run)) - 2]
    expect.equal(at_end, "added", "distributionState when the label is published")


@ROWS.row("label-update-restarts", Source.OURS, waits="labels")
def update_restarts(stage: Stage) -> None:
    """A change begins at preProcessShippingLabel again."""
    run = labels_of(stage).run("published")
    rest = _statuses(run)[len(_first_run(run)) :]
    expect.true(rest and rest[0]["state"] in ("notStarted", "started"), "the label did not run again.")
    _in_order(rest, WINDOWS_UPDATE_STEPS)


@ROWS.row("label-removed", Source.OURS, waits="labels")
def removed(stage: Stage) -> None:
    """A hardware id that was removed stays on the label as notSet."""
    (entry,) = targeting_of(labels_of(stage).run("published").end)["hardwareIds"]
    expect.equal(entry["distributionState"], "notSet", "distributionState of what was removed")


@ROWS.row("register-29-blank-removes-the-floor", Source.OURS, waits="labels")
def blank_removes(stage: Stage) -> None:
    """A floor that is given blank is removed; it was there before."""
    run = labels_of(stage).run("published")
    before = targeting_of(run.looks[0]).get("inServicePublishInfo") or {}
    expect.equal(before.get("flooring"), labels_of(stage).release, "flooring as it was created")
    after = targeting_of(run.end).get("inServicePublishInfo") or {}
    expect.equal(after.get("flooring"), None, "flooring after it was given blank")


@ROWS.row("register-28-floor-in-an-update", Source.DOCUMENTED, waits="labels")
def floor_in_an_update(stage: Stage) -> None:
    """PATCH may change the floor, and takes businessJustification within targeting."""
    expect.empty(labels_of(stage).run("published").answers["updated"], 204)


@ROWS.row("register-30-empty-audiences", Source.DOCUMENTED, waits="labels")
def empty_audiences(stage: Stage) -> None:
    """restrictedToAudiences that is given empty ends the restriction."""
    found = targeting_of(labels_of(stage).run("published").end)["restrictedToAudiences"]
    expect.equal(found, [], "restrictedToAudiences")


@ROWS.row("observed-22-cancelled-is-failed", Source.FIELD, waits="labels")
def cancelled_is_failed(stage: Stage) -> None:
    """22. A cancelled label ends as failed, on the step where it was."""
    status = labels_of(stage).run("cancelled").end["workflowStatus"]
    expect.subset(status, {"currentStep": "microsoftApproval", "state": "failed"}, "the cancelled label")


@ROWS.row("label-waits-for-its-date", Source.DOCUMENTED, waits="labels")
def waits_for_its_date(stage: Stage) -> None:
    """A label with a goLiveDate is not published before it."""
    steps = [each["currentStep"] for each in _statuses(labels_of(stage).run("cancelled"))]
    expect.true(not {"publishing", "finalizePublishing"} & set(steps), "the label went on before its date.")


@ROWS.row("label-early-taken", Source.DOCUMENTED, waits="early label")
def early_taken(stage: Stage) -> None:
    """A label is taken while the workflow of its submission still runs."""
    labels = labels_of(stage)
    labels.run("early label")
    expect.shape(labels.made("early label").body, shapes.LABEL, "the label")


@ROWS.row("label-early-waits", Source.DOCUMENTED, waits="early label")
def early_waits(stage: Stage) -> None:
    """Such a label stays in its validation until the submission has completed, and then goes on."""
    run = labels_of(stage).run("early label")
    steps = [str(each.get("currentStep")) for each in run.ahead]
    after = [each for each in steps if each not in WINDOWS_UPDATE_STEPS[:4]]
    expect.true(not after, f"the label was at {', '.join(after)} before the submission had ended.")
    expect.equal(run.end["workflowStatus"]["currentStep"], "microsoftApproval", "currentStep when it was cancelled")


@ROWS.row("label-error-report", Source.CLIENTS, waits="labels")
def error_report(stage: Stage) -> None:
    """errorReport of a label is left out, or an address with a text; never blank."""
    for name in ("published", "cancelled"):
        for status in _statuses(labels_of(stage).run(name)):
            if "errorReport" in status:
                expect.shape(status["errorReport"], shapes.url, "errorReport")
    report = labels_of(stage).run("cancelled").end["workflowStatus"].get("errorReport")
    if report is not None:
        expect.status(stage.caller.blob("GET", report), 200)


# Sharing


@ROWS.row("label-order-of-sharing", Source.DOCUMENTED, waits="labels")
def order_of_sharing(stage: Stage) -> None:
    """The steps of a label that shares follow one another in the documented order, to finalizeSharing."""
    run = labels_of(stage).run("shared")
    _in_order(_statuses(run), SHARING_STEPS)
    wanted = {"currentStep": "finalizeSharing", "state": "completed"}
    expect.subset(run.end["workflowStatus"], wanted, "the label at its end")
