"""The steps that judge a package, as the worker runs them: it asks the examiner (examiner.py), and keeps its seals.

One request is a line of JSON on a connection of its own, and so is the answer, which has one of

    result, changes, examination    the step has passed: a Done, and the sealed examination (signing/records.py)
    refused                         the messages of StepFailed
    failed                          anything else that went wrong; the step is tried again
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from hwdash.drivers.package import Kind
from hwdash.pipeline.examiner_main import MAX_LINE
from hwdash.pipeline.work import Done, Initial, Resources, StepFailed, Waiting, Work
from hwdash.settings import Settings
from hwdash.signing.records import EXAMINED_STEPS
from hwdash.storage.certificates import SigningCertificate
from hwdash.vocabulary import SubmissionStep

_PATHS = ("data", "yara_rules", "bad_hashes")
_OTHERS = ("clamd", "child_memory_mb", "child_seconds")
_NOT_SENT = ("resources", "workspace")


class ExaminationFailed(Exception):
    """The examiner could not finish a step, for a reason that may pass."""


class ExaminationRequest(BaseModel):
    """One step of one Work, which has the same members."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    step: str
    folder: Annotated[str, StringConstraints(pattern=r"\A[a-z0-9-]{1,64}\z")]
    """The name of the workspace."""
    object_id: int
    product_id: int
    account_id: int
    account_name: str
    product_name: str
    submission_name: str
    test_harness: str
    kind: Kind
    attributes: dict[str, Any]
    policy: dict[str, Any]
    package_name: str
    package_blob: str
    package_version: str
    certificates: dict[str, SigningCertificate]
    results: dict[str, Any]
    fence: int
    now: datetime
    shared_product_id: int
    derives_from: Initial | None
    submitters: tuple[str, ...]
    foreign_extension_ids: dict[str, str]
    examination: str

    @classmethod
    def of(cls, work: Work, step: str) -> "ExaminationRequest":
        """The request for a step."""
        members = {each.name: getattr(work, each.name) for each in fields(Work) if each.name not in _NOT_SENT}
        return cls(step=step, folder=work.workspace.name, **members)

    def work(self, resources: Resources) -> Work:
        """The work that is asked for, done with ``resources``."""
        members = {each.name: getattr(self, each.name) for each in fields(Work) if each.name not in _NOT_SENT}
        return Work(resources=resources, workspace=resources.workspaces / self.folder, **members)


def _by_the_examiner(step: str) -> Callable[[Work], Done | Waiting]:
    """The step as the worker runs it. It raises StepFailed, ExaminationFailed and SignerUnavailable."""

    def run(work: Work) -> Done:
        request = ExaminationRequest.of(work, step).model_dump_json().encode() + b"\n"
        with work.resources.signer.examiner() as connection, connection.makefile("rwb") as stream:
            try:
                stream.write(request)
                stream.flush()
                line = stream.readline(MAX_LINE)
            except OSError as error:
                raise ExaminationFailed(f"the examiner hung up: {error.strerror}") from error
        if not line.endswith(b"\n"):
            raise ExaminationFailed("the examiner ended before it had answered")
        answer: dict[str, Any] = json.loads(line)
        if "refused" in answer:
            raise StepFailed(answer["refused"])
        if "failed" in answer:
            raise ExaminationFailed(answer["failed"])
        return Done(answer["result"], answer["changes"], examination=answer["examination"])

    return run


EXAMINED: Mapping[str, Callable[[Work], Done | Waiting]] = {
    SubmissionStep(step): _by_the_examiner(step) for step in EXAMINED_STEPS
}
"""The steps that the examiner runs, in order."""


def last_examination(examinations: Mapping[str, str]) -> str:
    """Of what was sealed after each step, the last: it holds the others. Empty when there is none."""
    return next((examinations[step] for step in reversed(EXAMINED_STEPS) if step in examinations), "")


def examiner_words(settings: Settings) -> tuple[str, str]:
    """The module to start, and its argument: those of the settings that decide what passes. None of them is secret."""
    # It is started in another folder.
    paths = {name: str(Path(path).absolute()) for name in _PATHS if (path := getattr(settings, name))}
    return "hwdash.pipeline.examiner_main", json.dumps({name: getattr(settings, name) for name in _OTHERS} | paths)


def settings_of(words: str) -> Settings:
    """The settings in the argument of ``examiner_words``."""
    told: dict[str, Any] = json.loads(words)
    return Settings(**told | {"data": Path(told["data"])})
