"""What rows stand on: products, submissions and workflows, made once each, when the first row asks for them.

Few are made, because on Microsoft's service none can ever be deleted. What could not be made is remembered as such:
each row that needs it then fails with the reason, and none tries again.
"""

import base64
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx

from hwdash.conformance.caller import Caller, object_of, shown
from hwdash.conformance.outcome import Mismatch, NotApplicable
from hwdash.conformance.target import Application, Target
from hwdash.sdk.errors import SdkError

T = TypeVar("T")

X64 = "WINDOWS_v100_X64_GE_FULL"
SERVER = "WINDOWS_v100_SERVER_X64_GE_FULL"
NO_PACKAGE = b"not a driver package"

# In the manner of the documentation's sample for attestation: mixed casing, a date without a zone, a lower-case family.
SAMPLE = {
    "productName": "hwdash conformance: sample",
    "testHarness": "Attestation",
    "announcementDate": "2018-04-01T00:00:00",
    "deviceMetadataIds": [],
    "firmwareVersion": "980",
    "deviceType": "external",
    "isTestSign": False,
    "isFlightSign": False,
    "marketingNames": ["Contoso Mini", "Contoso Large"],
    "selectedProductTypes": {"windows_v100_RS3": "Unclassified"},
    "requestedSignatures": ["WINDOWS_v100_RS3_FULL", "WINDOWS_v100_X64_RS3_FULL"],
    "additionalAttributes": {},
}


@dataclass(frozen=True, slots=True)
class Made:
    """Something created, and the answer that told so."""

    id: int
    answer: httpx.Response
    body: dict[str, Any]


@dataclass
class Workflow:
    """A submission on its way through the workflow: every answer on the way, and each look at it."""

    product: Made
    submission: Made
    uploaded: list[httpx.Response]
    committed: httpx.Response
    looks: list[dict[str, Any]] = field(default_factory=list)
    """The submission as it was read, from right after the commit on."""
    broke: str = ""
    """Why nobody could look any more."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> str:
        """The submission's path below the base."""
        return f"/products/{self.product.id}/submissions/{self.submission.id}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a workflow is begun: the product, the package, and in which forms it is uploaded and committed."""

    changes: Mapping[str, Any]
    package: Callable[["Stage"], bytes]
    by_blocks: bool
    commit: Mapping[str, Any]


PLANS = {
    # As Microsoft's own client does it, and as curl does it.
    "signed": Plan({}, lambda stage: stage.package, True, {"json": {}}),
    "failing": Plan({}, lambda _: NO_PACKAGE, False, {}),
    "stranger": Plan(
        {}, lambda stage: stage.stranger, False, {"content": b"", "headers": {"Content-Type": "application/json"}}
    ),
    "system": Plan(
        {"selectedProductTypes": {"Windows_v100_GE": "Desktop"}}, lambda stage: stage.package, False, {"json": {}}
    ),
    "extension": Plan({}, lambda stage: stage.extension, False, {"json": {}}),
    # Without its test signature it would be the HLK's, and not attested: what is refused of it is refused for that.
    "tested": Plan({"testHarness": "HLK", "isTestSign": True}, lambda stage: stage.package, False, {"json": {}}),
    "early": Plan({}, lambda stage: stage.lengthy, False, {"json": {}}),
    "server": Plan({"requestedSignatures": [SERVER]}, lambda stage: stage.package, False, {}),
}
"""The workflows that rows wait for, by name."""


class Stage:
    """Everything that rows may use. Attributes raise NotApplicable when what they need was not given."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.caller = Caller(target, target.application)
        self._kept: dict[str, Any] = {}
        self._others: list[Caller] = []
        self._closing = threading.Event()
        self._watchers: list[threading.Thread] = []

    def close(self) -> None:
        """Stop looking at workflows, and close the connections."""
        self._closing.set()
        for each in self._watchers:
            each.join()
        for caller in [self.caller, *self._others]:
            caller.close()

    # Who asks

    @cached_property
    def second(self) -> Caller:
        """An application of another account."""
        return self._other(self.target.second, "--second-client-id and --second-client-secret: another account's")

    @cached_property
    def reader(self) -> Caller:
        """An application of the same account that may not submit."""
        return self._other(
            self.target.reader, "--reader-client-id and --reader-client-secret: an application that may only read"
        )

    def _other(self, application: Application | None, option: str) -> Caller:
        if application is None:
            raise NotApplicable(f"needs {option}.")
        caller = Caller(self.target, application)
        self._others.append(caller)
        return caller

    # What is submitted

    @property
    def package(self) -> bytes:
        """A signed package that the account may submit."""
        return _given(self.target.package, "--package, or --certificate and --key: a package the account may submit")

    @property
    def lengthy(self) -> bytes:
        """Such a package that takes a while, as far as there is one."""
        return self.target.lengthy.read_bytes() if self.target.lengthy else self.package

    @property
    def extension(self) -> bytes:
        """Such a package with an extension INF."""
        return _given(
            self.target.extension, "--certificate and --key, by which a package with an extension INF is made"
        )

    @property
    def stranger(self) -> bytes:
        """A package signed by a certificate that the account has not registered."""
        return _given(self.target.stranger, "a package signed by an unregistered certificate")

    # Products and submissions

    def create(self, **changes: object) -> Made:
        """A new product: the sample with changes; a member that is ``...`` is left out."""
        body = {name: value for name, value in {**SAMPLE, **changes}.items() if value is not ...}
        return made(self.caller.send("POST", "/products", json=body))

    def create_submission(self, product: Made, name: str = "hwdash conformance", kind: str = "initial") -> Made:
        """A new submission."""
        return made(self.caller.send("POST", f"/products/{product.id}/submissions", json={"name": name, "type": kind}))

    @property
    def sample(self) -> Made:
        """The product of the sample. It gets one submission, which is never committed."""
        return self.once("sample", self.create)

    @property
    def pending(self) -> Made:
        """The submission of the sample, which is never committed."""
        return self.once("pending", lambda: self.create_submission(self.sample))

    @property
    def pending_path(self) -> str:
        """The path of the pending submission below the base."""
        return f"/products/{self.sample.id}/submissions/{self.pending.id}"

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Make something once; what went wrong goes wrong again for each who asks."""
        if name not in self._kept:
            try:
                self._kept[name] = make()
            except (Mismatch, NotApplicable, SdkError, httpx.HTTPError) as error:
                self._kept[name] = error
        kept: Any = self._kept[name]
        if isinstance(kept, Exception):
            raise kept
        return kept  # type: ignore[no-any-return]  # what make() returned under this name

    @property
    def bare(self) -> Made:
        """A product tested with the HLK that never gets a submission."""
        return self.once("bare", lambda: self.create(productName="hwdash conformance: bare", testHarness="HLK"))

    @property
    def spare(self) -> Made:
        """A product whose submission may be spent."""
        return self.once("spare", lambda: self.create(productName="hwdash conformance: spare", isTestSign=True))

    @property
    def replayed(self) -> Made:
        """A product that was created with an MS-RequestId."""
        body = {**SAMPLE, "productName": "hwdash conformance: replayed"}
        headers = {"MS-RequestId": request_id()}
        return self.once("replayed", lambda: made(self.caller.send("POST", "/products", json=body, headers=headers)))

    # Preproduction

    @property
    def preprod(self) -> Made:
        """A preproduction package: the signed one, or when there is none, no package at all. Its ``id`` is 0."""
        return self.once("preprod", self._preprod)

    def _preprod(self) -> Made:
        content = self.target.package.read_bytes() if self.target.package else NO_PACKAGE
        answer = self.caller.send(
            "PUT", "/preprod/packages", content=content, headers={"Content-Type": "application/octet-stream"}
        )
        if not answer.is_success:
            raise Mismatch(f"{shown(answer)}\nThe package should be taken.")
        return Made(0, answer, object_of(answer))

    @property
    def preprod_ended(self) -> tuple[Made, dict[str, Any]]:
        """The preproduction package, and what it is at its end."""
        return self.once("preprod ended", self._preprod_ended)

    def _preprod_ended(self) -> tuple[Made, dict[str, Any]]:
        made, until = self.preprod, time.monotonic() + self.target.timeout_seconds
        while True:
            package = object_of(readable(self.caller.send("GET", f"/preprod/packages/{made.body.get('id')}")))
            if package.get("signingStatus") in ("Succeeded", "Failed"):
                return made, package
            if time.monotonic() > until:
                raise Mismatch(f"the package has not been signed in {self.target.timeout_seconds:.0f} s (--timeout).")
            time.sleep(self.target.poll_seconds)

    # Workflows

    def prepare(self, name: str) -> None:
        """Begin what rows will wait for."""
        if name == "preprod":
            _ = self.preprod
        else:
            self.begin(name)

    def begin(self, name: str) -> Workflow:
        """Create, upload and commit what a plan says, once, and begin to look at it."""
        return self.once(f"workflow {name}", lambda: self._begin(name, PLANS[name]))

    def looked(self, name: str) -> Workflow:
        """The workflow of a plan, once it was looked at for the first time."""
        workflow = self.begin(name)
        if not workflow.looks:
            raise Mismatch(workflow.broke)
        return workflow

    def ended(self, name: str) -> bool:
        """Wait for the end of a workflow. False when nobody could look until then."""
        workflow = self.begin(name)
        workflow.ended.wait()
        return not workflow.broke

    def finished(self, name: str) -> tuple[Workflow, dict[str, Any]]:
        """The workflow of a plan and the submission at its end, whatever it is."""
        workflow = self.begin(name)
        if not self.ended(name):
            raise Mismatch(workflow.broke)
        return workflow, workflow.looks[-1]

    def succeeded(self, name: str) -> tuple[Workflow, dict[str, Any]]:
        """As ``finished``; Mismatch when the workflow failed."""
        workflow, submission = self.finished(name)
        status = submission.get("workflowStatus") or {}
        if status.get("state") != "completed":
            raise Mismatch(
                f"the package was not signed: {status.get('currentStep')} {status.get('state')}: "
                f"{' '.join(map(str, status.get('messages') or []))}"
            )
        return workflow, submission

    def adopt(self, name: str, other: "Stage") -> None:
        """Take over what another stage has brought to its end, and look at it anew."""
        if name == "preprod":
            self._kept[name] = other.preprod
            return
        workflow = other.begin(name)
        again = Workflow(workflow.product, workflow.submission, workflow.uploaded, workflow.committed)
        self._look(again)
        again.ended.set()
        self._kept[f"workflow {name}"] = again

    def _begin(self, name: str, plan: Plan) -> Workflow:
        package = plan.package(self)
        product = self.create(
            **{
                "productName": f"hwdash conformance: {name}",
                "announcementDate": "2018-04-01T00:00:00Z",
                "requestedSignatures": [self.target.signature],
                "selectedProductTypes": {},
                **plan.changes,
            }
        )
        submission = self.create_submission(product)
        url = download(submission.body, "initialPackage")
        uploaded = self._upload_by_blocks(url, package) if plan.by_blocks else [self.upload(url, package)]
        refused = [each for each in uploaded if each.status_code != 201]
        if refused:
            raise Mismatch(f"{shown(refused[0])}\nThe upload should be answered 201.")
        path = f"/products/{product.id}/submissions/{submission.id}"
        headers = {"MS-RequestId": request_id(), **plan.commit.get("headers", {})}
        committed = self.caller.send("POST", f"{path}/commit", **{**plan.commit, "headers": headers})
        if committed.status_code == 403 and self.target.package is None:
            # Whoever gives no package may have no certificate either, and then nothing is taken from the account.
            raise NotApplicable("needs an account with a registered EV certificate: the commit was forbidden.")
        if not committed.is_success:
            raise Mismatch(f"{shown(committed)}\nThe commit should be taken.")
        workflow = Workflow(product, submission, uploaded, committed)
        self._look(workflow)
        self.watch(lambda: self._watch(workflow), f"watch {name}")
        return workflow

    def _watch(self, workflow: Workflow) -> None:
        until = time.monotonic() + self.target.timeout_seconds
        try:
            while not workflow.broke and not has_ended(workflow.looks[-1]):
                if time.monotonic() > until:
                    workflow.broke = (
                        f"the workflow has not ended in {self.target.timeout_seconds:.0f} s; --timeout gives it more."
                    )
                elif self.pause():
                    workflow.broke = "the suite was stopped."
                else:
                    self._look(workflow)
        finally:
            workflow.ended.set()

    def _look(self, workflow: Workflow) -> None:
        try:
            workflow.looks.append(object_of(readable(self.caller.send("GET", workflow.path))))
        except (Mismatch, SdkError, httpx.HTTPError) as error:
            workflow.broke = str(error) or type(error).__name__

    # What goes on beside the rows

    def watch(self, what: Callable[[], None], name: str) -> None:
        """Do something beside the rows; it ends soon after ``pause`` tells it to."""
        watcher = threading.Thread(target=what, name=name)
        watcher.start()
        self._watchers.append(watcher)

    def pause(self, longest: float = 600.0) -> bool:
        """Wait until it is time for the next look, at most so many seconds. True when the suite is over."""
        return self._closing.wait(min(self.target.poll_seconds, longest))

    # Uploads

    def upload(self, url: str, content: bytes, **headers: str) -> httpx.Response:
        """Put a blob in one request, with the one header that it needs."""
        return self.caller.blob("PUT", url, content=content, headers={"x-ms-blob-type": "BlockBlob"} | headers)

    def _upload_by_blocks(self, url: str, content: bytes) -> list[httpx.Response]:
        """Put a blob as the storage libraries do it with large ones: in two blocks, sent last first, and their list."""
        half = len(content) // 2
        return self.upload_blocks(url, [content[:half], content[half:]])

    def upload_blocks(self, url: str, blocks: list[bytes]) -> list[httpx.Response]:
        """Put blocks, the last one first, then their list in order."""
        ids = [base64.b64encode(f"block-{number:04}".encode()).decode() for number in range(len(blocks))]
        answers = [
            self.caller.blob("PUT", f"{url}&comp=block&blockid={each.replace('=', '%3D')}", content=block)
            for each, block in reversed(list(zip(ids, blocks, strict=True)))
        ]
        listed = "".join(f"<Latest>{each}</Latest>" for each in ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        return [*answers, self.caller.blob("PUT", f"{url}&comp=blocklist", content=body.encode())]


def readable(answer: httpx.Response) -> httpx.Response:
    """The answer, when it is one with 200."""
    if answer.status_code != 200:
        raise Mismatch(f"{shown(answer)}\nIt should be readable.")
    return answer


def made(answer: httpx.Response) -> Made:
    """What a create has made. Its id is taken from the first link, which tells it exactly when the body does not."""
    if not answer.is_success:
        raise Mismatch(f"{shown(answer)}\nIt should be created.")
    body = object_of(answer)
    try:
        tail = str(body["links"][0]["href"]).rstrip("/").rpartition("/")[2]
    except (KeyError, IndexError, TypeError):
        tail = ""
    try:
        return Made(int(tail if tail.isdecimal() else body["id"]), answer, body)
    except (KeyError, TypeError, ValueError) as error:
        raise Mismatch(f"{shown(answer)}\nIt should tell an id.") from error


def download(submission: Mapping[str, Any], kind: str) -> str:
    """The URL of the one download of this type."""
    try:
        urls = [str(each["url"]) for each in submission["downloads"]["items"] if each["type"] == kind]
    except (KeyError, TypeError) as error:
        raise Mismatch("the submission has no downloads.items.") from error
    if len(urls) != 1:
        raise Mismatch(f"the submission has {len(urls)} downloads of the type {kind}; it should have one.")
    return urls[0]


def request_id() -> str:
    """A new MS-RequestId."""
    return str(uuid.uuid4())


def has_ended(submission: Mapping[str, Any]) -> bool:
    """Ended is what clients take for it: failed, or a signed package."""
    status = submission.get("workflowStatus")
    state = status.get("state") if isinstance(status, dict) else None
    step = status.get("currentStep") if isinstance(status, dict) else None
    return (
        state == "failed"
        or str(submission.get("commitStatus", "")).casefold() == "commitfailed"
        or (state == "completed" and step == "finalizeIngestion")
    )


def _given(file: Path | None, option: str) -> bytes:
    if file is None:
        raise NotApplicable(f"needs {option}.")
    return file.read_bytes()
