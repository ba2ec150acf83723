"""What a step is given, and how it refuses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hwdash.clock import Clock, system_clock
from hwdash.drivers.errors import DriversError
from hwdash.drivers.findings import Finding
from hwdash.drivers.package import Kind
from hwdash.pipeline.child import ChildFailed, ChildLimits, run_in_child
from hwdash.pipeline.scan_engines import ScannerUnavailable
from hwdash.settings import Settings
from hwdash.signing.errors import SignerUnavailable
from hwdash.signing.process import SignerProcess
from hwdash.storage.blobs import BlobStore
from hwdash.storage.certificates import SigningCertificate

MESSAGES_SHOWN = 100
CHILD_TRIES = 2
REBUILD = "Build the cabinet anew, as one file with MSZIP or stored data, and upload all of it."


class StepFailed(Exception):
    """The package cannot go on, whatever is tried again. ``messages`` say what is wrong, where, and what to do."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = list(messages)


@dataclass(frozen=True, slots=True)
class Resources:
    """What the steps work with."""

    settings: Settings
    blobs: BlobStore
    signer_process: SignerProcess | None
    """None in the examiner, which signs nothing."""
    clock: Clock
    signing_clock: Clock = system_clock
    """The times that are signed: the machine's, also where a sandbox has moved ``clock``."""

    @property
    def signer(self) -> SignerProcess:
        """The signer's process. Raises SignerUnavailable."""
        if self.signer_process is None:
            raise SignerUnavailable("there is no signer here")
        return self.signer_process

    @property
    def workspaces(self) -> Path:
        """The folder of the workspaces."""
        return self.settings.data / "work"


@dataclass(frozen=True, slots=True)
class Initial:
    """The initial submission that a derived one updates, as far as its steps' results are known."""

    submission_id: int
    package_info: dict[str, Any] | None
    """drivers/hlkx_shell.py; None when it was submitted to an hwdash that did not keep it."""
    hardware_ids: list[str]


@dataclass(frozen=True, slots=True)
class Work:
    """One run of one step, for one submission or preproduction package."""

    resources: Resources
    object_id: int
    """The id of the submission or preproduction package."""
    product_id: int
    """0 for a preproduction package: it has no product."""
    account_id: int
    account_name: str
    product_name: str
    submission_name: str
    test_harness: str
    kind: Kind
    """What the package was handed in for."""
    attributes: dict[str, Any]
    """The product's attributes as stored: requestedSignatures, isTestSign, ..."""
    policy: dict[str, Any]
    """The account's policy."""
    workspace: Path
    """The object's own folder for work in progress."""
    package_name: str
    """The name of the uploaded package, for messages."""
    package_blob: str
    package_version: str
    certificates: dict[str, SigningCertificate]
    """The account's registered signing certificates by thumbprint."""
    results: dict[str, Any]
    """The results of the steps before this one."""
    fence: int
    now: datetime
    submitters: tuple[str, ...] = ()
    """The client or user ids of who made and who committed it; of a preproduction package nobody asks."""
    shared_product_id: int = 0
    derives_from: Initial | None = None
    """Of a derived submission."""
    foreign_extension_ids: dict[str, str] = field(default_factory=dict)
    """The extension ids of the package that other accounts own, with whose they are."""
    examination: str = ""
    """What the examiner sealed after the last step that it ran (signing/records.py)."""

    def fresh_folder(self, name: str) -> Path:
        """A new empty folder in the workspace, that no other run of the step writes to: the fence is in its name."""
        folder = self.workspace / f"{name}-{self.fence}"
        folder.mkdir(parents=True)
        return folder

    def in_child(
        self,
        task: str,
        arguments: dict[str, Any],
        *,
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        mapped_bytes: int = 0,
        remedy: str = REBUILD,
    ) -> Any:
        """Let a bounded child process read the package; what it finds wrong with it fails the step.

        ``task`` is "module:function" of this package. ``mapped_bytes`` of address space are allowed beside the limit;
        ``remedy`` is what a person is told to do about what the child finds.
        """
        blob = self.resources.blobs.stat(self.package_blob, self.package_version)
        if blob is None:
            raise StepFailed(
                [f"ERROR package.missing: {self.package_name}: the uploaded package is not in the store any more."]
            )
        package = blob.segment_paths
        limits = ChildLimits(
            memory_mb=self.resources.settings.child_memory_mb + (mapped_bytes >> 20),
            wall_seconds=self.resources.settings.child_seconds,
        )
        for tries_left in reversed(range(CHILD_TRIES)):
            try:
                answer = run_in_child(
                    f"hwdash.pipeline.{task}",
                    {"package": [str(path) for path in package], "name": self.package_name, **arguments},
                    readable=[*package, self.workspace, *readable],
                    writable=writable,
                    limits=limits,
                    source=self.package_name,
                )
            except DriversError as problem:
                raise StepFailed([f"ERROR package.unreadable: {problem}. {remedy}"]) from problem
            except ChildFailed as failure:
                if failure.kind == ScannerUnavailable.__name__:
                    raise  # the operator's rules, not the package: tried again until they are mended
                # It may have been the machine; a second time it is the package and a defect of ours.
                if not tries_left:
                    defect = f"{self.package_name}: {failure}. This is a defect of hwdash: please report it."
                    raise StepFailed([f"ERROR package.unreadable: {defect}"]) from failure
            else:
                return answer
        raise AssertionError("unreachable")


def package_name(submission_id: int, test_harness: str) -> str:
    """The file name of a submission's initial package (contract/api.md 3.5)."""
    return f"Initial_{submission_id}.{'hlkx' if test_harness == 'hlk' else 'hckx' if test_harness == 'hck' else 'cab'}"


def kind_of(test_harness: str, *, is_test_sign: bool) -> Kind:
    """What a submission's package is for. A test signature needs no results of the HLK (contract/dashboard.md 69)."""
    return "attestation" if test_harness == "attestation" or is_test_sign else "whql"


def result_blob_key(object_id: int, kind: str) -> str:
    """The blob key of a result: the same in every run, so that a repeated step writes where the first one did."""
    return hashlib.sha256(f"{object_id}:{kind}".encode()).hexdigest()[:32]


def refuse_errors(findings: Sequence[Finding]) -> None:
    """Fail the step when there is an error among the findings, and tell every one of them, the warnings last."""
    if any(each.level == "error" for each in findings):
        ordered = sorted(findings, key=lambda each: each.level != "error")
        messages = [str(each) for each in ordered[:MESSAGES_SHOWN]]
        if len(ordered) > MESSAGES_SHOWN:
            messages.append(f"... and {len(ordered) - MESSAGES_SHOWN} more")
        raise StepFailed(messages)


@dataclass(frozen=True, slots=True)
class Done:
    """What a step found out and made."""

    result: dict[str, Any]
    changes: dict[str, Any] = field(default_factory=dict)
    """Columns of the object that change with it."""
    files: list[tuple[str, str, str]] = field(default_factory=list)
    """Downloads to publish: (download type, blob key, file name)."""
    examination: str = ""
    """What the examiner sealed, when it ran the step."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The step waits for a person: the workflow ends here, and a new one starts when the wait ends."""

    reason: str
