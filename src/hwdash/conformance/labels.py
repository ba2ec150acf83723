"""The shipping labels that rows look at: each made once, driven by a script of its own to its end, all at one time.

They are of the signed package and for the audience of test machines, so that no machine outside a laboratory is offered
anything. Whoever has the second account, and its seller id, has the package shared too.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

from hwdash.conformance.caller import Caller, object_of, shown
from hwdash.conformance.outcome import Mismatch, NotApplicable
from hwdash.conformance.shapes import WINDOWS_UPDATE_STEPS
from hwdash.conformance.stage import Made, Stage, download, has_ended, made, readable, request_id
from hwdash.sdk.errors import SdkError
from hwdash.sdk.selection import hardware_ids

NAME = "hwdash conformance"
FAR_AWAY = "2090-01-02T03:04:05Z"
CHID = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6"
TEST_AUDIENCE = "test_registry_key"
LONGEST_PAUSE_SECONDS = 5.0
"""Between two looks at a label: so often Microsoft's own client looks, and sees each label in microsoftApproval."""

Answers = dict[str, httpx.Response]


@dataclass
class LabelRun:
    """A label from its create to its end: what was sent and answered, and each look at it with its targeting."""

    begun: bool = False
    label: Made | None = None
    below: str = ""
    """The path of the labels that it is among, where it is not of the signed package."""
    looks: list[dict[str, Any]] = field(default_factory=list)
    answers: Answers = field(default_factory=dict)
    received: dict[str, Any] = field(default_factory=dict)
    """The submission that the second account got by it."""
    ahead: list[dict[str, Any]] = field(default_factory=list)
    """Its workflowStatus whenever the workflow of its submission was seen to go on afterwards."""
    broke: Exception | None = None
    created: threading.Event = field(default_factory=threading.Event)
    under_way: threading.Event = field(default_factory=threading.Event)
    """It is past publishJobValidation: those who may see it do."""
    settled: threading.Event = field(default_factory=threading.Event)
    """It has ended for the first time."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def made(self) -> Made:
        """The answer to the create. Mismatch when there was none."""
        if self.label is None:
            raise Mismatch("the label was not made.")
        return self.label

    def end_all(self) -> None:
        """Nothing more is waited for."""
        for each in (self.created, self.under_way, self.settled, self.ended):
            each.set()

    @property
    def end(self) -> dict[str, Any]:
        """The last look."""
        if not self.looks:
            raise Mismatch("nobody has looked at the label.")
        return self.looks[-1]


class Labels:
    """The labels of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._runs = {name: LabelRun() for name in (*TOGETHER, *APART)}

    # What a label can be made of

    @cached_property
    def signed(self) -> dict[str, Any]:
        """The submission of the signed package, at its end."""
        return self._stage.succeeded("signed")[1]

    @cached_property
    def submission_path(self) -> str:
        """Its path below the base."""
        return self._stage.begin("signed").path

    @property
    def path(self) -> str:
        """The path of its labels."""
        return f"{self.submission_path}/shippingLabels"

    @cached_property
    def hardware_id(self) -> dict[str, str]:
        """One hardware id of the package."""
        return self.hardware_id_of(self.signed)

    def hardware_id_of(self, submission: Mapping[str, Any]) -> dict[str, str]:
        """One hardware id of a submission."""
        answer = readable(self._stage.caller.blob("GET", download(submission, "driverMetadata")))
        found = hardware_ids(object_of(answer))
        if not found:
            raise NotApplicable("needs a package with a hardware id.")
        return found[0]

    @cached_property
    def audience(self) -> str:
        """The id of the audience of test machines."""
        for each in object_of(readable(self._stage.caller.send("GET", "/audiences")))["value"]:
            if TEST_AUDIENCE in f"{each.get('name')} {each.get('audienceName')}".casefold():
                return str(each["id"])
        raise NotApplicable("needs the audience of the test registry key.")

    @property
    def release(self) -> str:
        """The release of Windows that the package is for, as floors and ceilings call it."""
        return self.hardware_id["operatingSystemCode"].removesuffix("_FULL").rpartition("_")[2]

    @cached_property
    def own_seller_id(self) -> int:
        """The account's own seller id, which the address of the certification report tells."""
        seller = urlsplit(download(self.signed, "certificationReport")).path.split("/")[-3]
        if not seller.isdecimal():
            raise Mismatch(f"the certification report's address has no seller id, but {seller}.")
        return int(seller)

    @property
    def second_seller_id(self) -> int:
        """The seller id of the second account."""
        _ = self._stage.second
        if self._stage.target.second_seller_id is None:
            raise NotApplicable("needs --second-seller-id: the number of the second account.")
        return self._stage.target.second_seller_id

    @property
    def foreign_chid(self) -> str:
        """A CHID of another company's."""
        if self._stage.target.foreign_chid is None:
            raise NotApplicable("needs --foreign-chid: a CHID that another company owns.")
        return self._stage.target.foreign_chid

    def body(self, **changes: object) -> dict[str, Any]:
        """A label that should be taken, with changes; a member that is ``...`` is left out."""
        # Asked for only where it is needed: it waits for the signed package.
        targeting = {} if "targeting" in changes else {"targeting": self.targeting()}
        sound = {
            "name": NAME,
            "destination": "windowsUpdate",
            "publishingSpecifications": {"manualAcquisition": True},
            **targeting,
        }
        return {name: value for name, value in {**sound, **changes}.items() if value is not ...}

    def targeting(self, **changes: object) -> dict[str, Any]:
        """The targeting of such a label, with changes."""
        hardware_ids = {} if "hardwareIds" in changes else {"hardwareIds": [self.hardware_id]}
        sound = {**hardware_ids, "chids": [], "restrictedToAudiences": [self.audience]}
        return {name: value for name, value in {**sound, **changes}.items() if value is not ...}

    def share(self, receiver: object, **changes: object) -> dict[str, Any]:
        """A label that shares the package."""
        specifications = {"receiverPublisherId": str(receiver), "enforceChidTargeting": True}
        wanted: dict[str, object] = {
            "destination": "anotherPartner",
            "publishingSpecifications": ...,
            "recipientSpecifications": specifications,
            "targeting": {"hardwareIds": [self.hardware_id]},
        }
        return self.body(**{**wanted, **changes})

    def post(self, body: Mapping[str, Any], caller: Caller | None = None, path: str = "") -> httpx.Response:
        """Ask for a label."""
        headers = {"MS-RequestId": request_id()}
        return (caller or self._stage.caller).send("POST", path or self.path, json=dict(body), headers=headers)

    # The labels

    def begin_all(self) -> None:
        """Begin every label as soon as the package is signed."""

        def begin() -> None:
            if not self._stage.ended("signed"):
                return
            for name in TOGETHER:
                self.begin(name)

        self._stage.watch(begin, "begin labels")

    def made(self, name: str) -> Made:
        """The label of this name as it was created. Raises what went wrong."""
        run = self.begin(name)
        run.created.wait()
        if run.label is None and run.broke is not None:
            raise run.broke
        return run.made

    def under_way(self, name: str) -> None:
        """Wait until the label of this name is past its validation."""
        self.begin(name).under_way.wait()

    def settled(self, name: str) -> LabelRun:
        """The label when it has ended for the first time. Raises what went wrong on the way."""
        run = self.begin(name)
        run.settled.wait()
        return self._sound(run)

    def run(self, name: str) -> LabelRun:
        """The label of this name at its end, whatever it is. Raises what went wrong on the way."""
        run = self.begin(name)
        run.ended.wait()
        return self._sound(run)

    def _sound(self, run: LabelRun) -> LabelRun:
        if run.broke is not None:
            raise run.broke
        return run

    def keep(self, run: LabelRun, answer: httpx.Response, below: str = "") -> None:
        """Take the answer to a create for the label of a run. Mismatch when it is a refusal."""
        run.below, run.label = below, made(answer)
        run.created.set()

    def adopt(self, other: "Labels", names: Iterable[str]) -> None:
        """Take over these labels of another stage, and look at each anew."""
        for name in names:
            theirs = other._runs[name]
            run = LabelRun(True, theirs.label, theirs.below, [], dict(theirs.answers), theirs.received, theirs.ahead)
            run.broke = theirs.broke
            if run.label is not None and run.broke is None:
                try:
                    self.look(run)
                except (Mismatch, SdkError, httpx.HTTPError) as error:
                    run.broke = error
            run.end_all()
            self._runs[name] = run

    def label_path(self, run: LabelRun) -> str:
        """The path of a label below the base."""
        return f"{run.below or self.path}/{run.made.id}"

    def look(self, run: LabelRun) -> dict[str, Any]:
        """The label as it is, with its targeting."""
        path = f"{self.label_path(run)}?includeTargetingInfo=true"
        run.looks.append(object_of(readable(self._stage.caller.send("GET", path))))
        return run.end

    def watch(self, run: LabelRun, *, is_there: Callable[[str, str], bool]) -> None:
        """Look until currentStep and state are so."""
        until = time.monotonic() + self._stage.target.timeout_seconds
        while True:
            status = self.look(run).get("workflowStatus") or {}
            if is_there(str(status.get("currentStep")), str(status.get("state"))):
                return
            self.pause(until, "the label has not got on")

    def pause(self, until: float, complaint: str, longest: float = LONGEST_PAUSE_SECONDS) -> None:
        """Wait for the next look, at most so many seconds; Mismatch when there is to be none."""
        if time.monotonic() > until:
            raise Mismatch(f"{complaint} in {self._stage.target.timeout_seconds:.0f} s; --timeout gives it more.")
        if self._stage.pause(min(longest, LONGEST_PAUSE_SECONDS)):
            raise Mismatch("the suite was stopped.")

    def begin(self, name: str) -> LabelRun:
        """Begin the label of this name, unless it was begun before."""
        run = self._runs[name]
        if run.begun:
            return run
        run.begun = True

        def follow() -> None:
            try:
                (TOGETHER | APART)[name](self, self._stage, run)
            except (Mismatch, NotApplicable, SdkError, httpx.HTTPError) as error:
                run.broke = error
            except Exception as error:  # noqa: BLE001 - whatever a service answers, those who wait are told
                run.broke = Mismatch(f"an answer has a form that was not expected: {type(error).__name__}: {error}")
            finally:
                run.end_all()

        self._stage.watch(follow, f"label {name}")
        return run


def _has_ended(_step: str, state: str) -> bool:
    return state in ("completed", "failed")


def _published(labels: Labels, stage: Stage, run: LabelRun) -> None:
    """A manual label, to its end; then everything is taken from it, and while that goes on, once more."""
    specifications: dict[str, Any] = {"isAutoInstallDuringOSUpgrade": False, "isAutoInstallOnApplicableSystems": False}
    if stage.target.second_seller_id is not None:
        specifications["visibleToAccounts"] = [stage.target.second_seller_id]
    body = labels.body(
        publishingSpecifications=specifications,
        # Of what the destination has no use for: register, 17.
        recipientSpecifications={"receiverPublisherId": "1", "enforceChidTargeting": True},
        targeting=labels.targeting(inServicePublishInfo={"flooring": labels.release}),
    )
    labels.keep(run, labels.post(body))
    labels.watch(run, is_there=lambda step, state: step in WINDOWS_UPDATE_STEPS[4:] or _has_ended(step, state))
    run.under_way.set()
    labels.watch(run, is_there=_has_ended)
    run.settled.set()
    path = labels.label_path(run)
    change = {
        "hardwareIds": [{**labels.hardware_id, "action": "remove"}],
        "restrictedToAudiences": [],
        "inServicePublishInfo": {"flooring": "", "ceiling": ""},
        "businessJustification": "The conformance suite has seen it.",
    }
    run.answers["cancelled too late"] = stage.caller.send("PUT", f"{path}/cancel")
    run.answers["updated"] = stage.caller.send("PATCH", path, json={"targeting": change})
    run.answers["updated while running"] = stage.caller.send("PATCH", path, json={"targeting": change})
    labels.watch(run, is_there=_has_ended)


def _cancelled(labels: Labels, stage: Stage, run: LabelRun) -> None:
    """A label in the forms of older documents, with a far go-live date: cancelled as soon as it can be."""
    old = {name.replace("Id", "ID"): value for name, value in labels.hardware_id.items()}
    body = labels.body(
        publishingSpecifications={
            "goLiveDate": FAR_AWAY,
            "manualAcquisition": True,
            "additionalInfoForMsApproval": {"affectedOems": "Contoso", "businessJustification": "A rehearsal."},
        },
        targeting=...,
        targetingInfo={"hardwareIds": [old], "restrictedToAudience": [labels.audience]},
    )
    labels.keep(run, labels.post(body))
    labels.watch(
        run,
        is_there=lambda step, state: (step == "microsoftApproval" and state == "started") or _has_ended(step, state),
    )
    path = labels.label_path(run)
    change = {"targeting": {"hardwareIds": [{**labels.hardware_id, "action": "remove"}]}}
    run.answers["updated in approval"] = stage.caller.send("PATCH", path, json=change)
    run.answers["cancelled"] = stage.caller.send("PUT", f"{path}/cancel")
    run.answers["cancelled again"] = stage.caller.send("PUT", f"{path}/cancel")
    labels.watch(run, is_there=_has_ended)
    run.answers["updated after"] = stage.caller.send("PATCH", path, json=change)


def _shared(labels: Labels, stage: Stage, run: LabelRun) -> None:
    """The package shared with the second account, which then has its driver metadata made."""
    body = labels.share(labels.second_seller_id)
    # Who has the driver anyway gets no read-only copy of it: the other label comes first.
    labels.under_way("published")
    # Documented as an array: register, 14.
    body["recipientSpecifications"] = [body["recipientSpecifications"]]
    labels.keep(run, labels.post(body))
    labels.watch(run, is_there=_has_ended)
    run.answers["cancelled"] = stage.caller.send("PUT", f"{labels.label_path(run)}/cancel")
    run.answers["looked up"] = stage.second.send("GET", look_up_path(labels))
    run.received = object_of(readable(run.answers["looked up"]))
    received = f"/products/{run.received.get('productId')}/submissions/{run.received.get('id')}"
    run.answers["metadata"] = stage.second.send("POST", f"{received}/createpublishermetadata", json={})
    until = time.monotonic() + stage.target.timeout_seconds
    while not _kinds(run.received) >= {"driverMetadata"}:
        run.received = object_of(readable(stage.second.send("GET", received)))
        labels.pause(until, "the driver metadata was not made")


def look_up_path(labels: Labels, spelling: str = "sourcepubliherid") -> str:
    """Where the second account finds its ids of the signed package."""
    product, submission = labels.signed["productId"], labels.signed["id"]
    ids = f"sourceproductid/{product}/sourcesubmissionid/{submission}"
    return f"/products/relationships/{spelling}/{labels.own_seller_id}/{ids}"


def _kinds(submission: Mapping[str, Any]) -> set[str]:
    return {each["type"] for each in (submission.get("downloads") or {}).get("items") or []}


def _early(labels: Labels, stage: Stage, run: LabelRun) -> None:
    """A label made as soon as it can be, while the workflow of its submission goes on; cancelled when it has moved on.

    A service says itself when that is: it refuses a label before.
    """
    _ = labels.audience  # while there is time
    workflow, begun = stage.begin("early"), time.monotonic()
    until = begun + stage.target.timeout_seconds
    below, refused = f"{workflow.path}/shippingLabels", ""
    while run.label is None:
        submission = object_of(readable(stage.caller.send("GET", workflow.path)))
        if "driverMetadata" in _kinds(submission):
            body = labels.body(targeting=labels.targeting(hardwareIds=[labels.hardware_id_of(submission)]))
            answer = labels.post(body, path=below)
            if answer.status_code != 422:
                labels.keep(run, answer, below)
                break
            refused = shown(answer)
        if has_ended(submission):
            if refused:
                raise Mismatch(f"{refused}\nIt was so until the submission had ended.")
            raise NotApplicable("needs a service that tells the driver metadata before a submission has ended.")
        # A service that is quick is asked often.
        labels.pause(until, "no label could be made", (time.monotonic() - begun) / 10)
    while True:
        status = labels.look(run).get("workflowStatus") or {}
        if has_ended(object_of(readable(stage.caller.send("GET", workflow.path)))):
            break
        run.ahead.append(status)
        labels.pause(until, "the submission has not ended", (time.monotonic() - begun) / 10)
    if not run.ahead:
        raise NotApplicable("needs a submission that takes longer: this one had ended when the label was made.")
    labels.watch(
        run,
        is_there=lambda step, state: (step == "microsoftApproval" and state == "started") or _has_ended(step, state),
    )
    run.answers["cancelled"] = stage.caller.send("PUT", f"{labels.label_path(run)}/cancel")
    labels.watch(run, is_there=_has_ended)


def _foreign(labels: Labels, _stage: Stage, run: LabelRun) -> None:
    """A label for the computers of another company, to its end."""
    labels.keep(run, labels.post(labels.body(targeting=labels.targeting(chids=[{"chid": labels.foreign_chid}]))))
    labels.watch(run, is_there=_has_ended)


def _baseless(labels: Labels, stage: Stage, run: LabelRun) -> None:
    """A label of an extension INF whose device has no base driver, to its end."""
    workflow, submission = stage.succeeded("extension")
    specifications = {
        "isAutoInstallOnApplicableSystems": True,
        "additionalInfoForMsApproval": {
            "microsoftContact": "a@example.com",
            "validationsPerformed": "none",
            "affectedOems": ["none"],
            "businessJustification": "A rehearsal.",
        },
    }
    targeting, below = (
        labels.targeting(hardwareIds=[labels.hardware_id_of(submission)]),
        f"{workflow.path}/shippingLabels",
    )
    answer = labels.post(labels.body(publishingSpecifications=specifications, targeting=targeting), path=below)
    if answer.status_code == 403:
        raise NotApplicable("needs an account that may deliver automatically.")
    labels.keep(run, answer, below)
    labels.watch(run, is_there=_has_ended)


Script = Callable[[Labels, Stage, LabelRun], None]
TOGETHER: dict[str, Script] = {"published": _published, "cancelled": _cancelled, "shared": _shared}
"""The labels that many rows look at, by name: begun at one time."""
APART: dict[str, Script] = {"early label": _early, "foreign label": _foreign, "baseless label": _baseless}
"""Labels of which each is for one or two rows, and begun when these run."""


def labels_of(stage: Stage) -> Labels:
    """The labels of a stage."""
    return stage.once("labels", lambda: Labels(stage))


def prepare(stage: Stage) -> None:
    """Begin the labels of a stage as soon as its package is signed."""
    stage.begin("signed")
    labels_of(stage).begin_all()
