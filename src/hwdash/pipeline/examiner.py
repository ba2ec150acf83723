"""The examiner: runs the steps that judge a package, and seals what has passed (signing/records.py).

It believes of a request what the service alone knows: whose the submission is, what was asked for, which certificates
are registered. It does not believe that a package has passed: each step needs the seal of the step before, the results
that come with the request must be those that were sealed, and so must be the files that a step left for the next one.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwdash.clock import system_clock
from hwdash.drivers.authenticode import content_digest
from hwdash.drivers.errors import ParseError
from hwdash.drivers.pe import PeLayout, layout_sha256
from hwdash.pipeline import catalog_creation, package_info_validation, preparation, scanning, validation
from hwdash.pipeline.examination import ExaminationRequest, settings_of
from hwdash.pipeline.signing import identity_of, to_sign
from hwdash.pipeline.work import Done, Resources, StepFailed, Work
from hwdash.signing.errors import SigningRefused
from hwdash.signing.provenance import result_digest
from hwdash.signing.records import EXAMINED_STEPS, Examination, key_of_bytes, opened
from hwdash.storage.blobs import BlobStore
from hwdash.vocabulary import SubmissionStep

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_STEPS: Mapping[str, Callable[[Work], Done]] = {
    SubmissionStep.PACKAGE_INFO_VALIDATION: package_info_validation.run,
    SubmissionStep.PREPARATION: preparation.run,
    SubmissionStep.SCANNING: scanning.run,
    SubmissionStep.VALIDATION: validation.run,
    SubmissionStep.CATALOG_CREATION: catalog_creation.run,
}
_FIRST = EXAMINED_STEPS[0]


class Examiner:
    """Examines with the settings and the key that it was started with, on any number of threads."""

    def __init__(self, settings: str, key: bytes) -> None:
        told = settings_of(settings)
        self._resources = Resources(told, BlobStore(told.data / "blobs"), None, clock=system_clock)
        self._key = key_of_bytes(key)

    def answer(self, line: bytes) -> bytes:
        """The answer to a request (examination.py)."""
        try:
            request = ExaminationRequest.model_validate_json(line)
            done, examination = self._examine(request.step, request.work(self._resources))
            answer = {
                "result": done.result,
                "changes": done.changes,
                "examination": examination.sealed(self._key),
            }
        except StepFailed as refusal:
            answer = {"refused": refusal.messages}
        except ValidationError as error:
            answer = {"failed": f"the request has not the form of one for an examination: {error.error_count()} errors"}
        except Exception as error:
            log.exception("a step did not go through")
            answer = {"failed": f"{type(error).__name__}: {error}"}
        return json.dumps(answer).encode()

    def _examine(self, step: str, asked: Work) -> tuple[Done, Examination]:
        if step not in _STEPS:
            raise StepFailed([f"ERROR examination.refused: {step!r} is no step that is examined."])
        before = None if step == _FIRST else self._passed_before(step, asked)
        # What else comes with the request has nobody's seal.
        work = replace(asked, results={name: asked.results[name] for name in (before.steps if before else ())})
        work.workspace.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1) as beside:
            looked_at = beside.submit(_files_of, step, work, before)
            try:
                done = _STEPS[step](work)
            except StepFailed:
                if isinstance(changed := looked_at.exception(), StepFailed):
                    raise changed from None  # that is why
                raise
            upload_sha256 = looked_at.result()
        passed = {} if before is None else dict(before.steps)
        results = work.results | {step: done.result}
        return done, Examination(
            identity=identity_of(work.kind, work.test_harness, work.attributes),
            object_id=work.object_id,
            product_id=work.product_id,
            account_id=work.account_id,
            program_name=work.account_name if before is None else before.program_name,
            upload_sha256=upload_sha256,
            package_sha256=results[_FIRST]["packageDigest"],
            steps=passed | {step: result_digest(done.result)},
            signable=_signable(replace(work, results=results)) if step == EXAMINED_STEPS[-1] else {},
            when=system_clock(),
        )

    def _passed_before(self, step: str, work: Work) -> Examination:
        """The examination of the steps before this one. Raises StepFailed when there is none for this very work."""
        try:
            before = opened(work.examination, self._key.public_key())
        except SigningRefused as refusal:
            raise StepFailed([f"ERROR examination.refused: {refusal}. Submit it again."]) from refusal
        reasons = [
            f"the step before was examined for {what} {passed}, this one is asked for with {told}"
            for what, passed, told in (
                ("object", before.object_id, work.object_id),
                ("product", before.product_id, work.product_id),
                ("account", before.account_id, work.account_id),
                ("identity", before.identity, identity_of(work.kind, work.test_harness, work.attributes)),
            )
            if passed != told
        ]
        needed = EXAMINED_STEPS[: EXAMINED_STEPS.index(step)]
        if tuple(before.steps) != needed:
            reasons.append(f"the examination is of {', '.join(before.steps)}; {step} needs {', '.join(needed)}")
        reasons += [
            f"the result of {each} is not the one that was examined"
            for each in needed
            if before.steps.get(each) != result_digest(work.results.get(each))
        ]
        if reasons:
            raise StepFailed([f"ERROR examination.refused: {each}. Submit it again." for each in reasons])
        return before


def _files_of(step: str, work: Work, before: Examination | None) -> str:
    """Look at the files that a step reads, while it does: are they those of the steps before? Returns the SHA-256 of
    the upload. Raises StepFailed.
    """
    if step in (_FIRST, SubmissionStep.PREPARATION):
        upload = _digest_of_upload(work)
        if before is not None and not hmac.compare_digest(upload, before.upload_sha256):
            raise StepFailed([f"ERROR examination.changed: {work.package_name} is not the file that was examined."])
        return upload
    assert before is not None  # noqa: S101 - of all steps but the first
    if step != SubmissionStep.CATALOG_CREATION:
        prepared = work.results[SubmissionStep.PREPARATION]
        files = [file for bundle in prepared["bundles"] for file in bundle["files"]]
        if step == SubmissionStep.VALIDATION:
            files = [file for file in files if file["path"].lower().endswith(".inf")]
        if changed := list(_changed(files, work.workspace / prepared["folder"])):
            raise StepFailed(
                [f"ERROR examination.changed: {each} is not the file that was unpacked." for each in changed]
            )
    return before.upload_sha256


def _digest_of_upload(work: Work) -> str:
    digest = hashlib.sha256()
    with work.resources.blobs.open(work.package_blob, work.package_version) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _changed(files: Iterable[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """The paths of the files that are not as the step preparation measured them."""
    for file in files:
        try:
            with (folder / file["stored"]).open("rb") as stream:
                found = (
                    layout_sha256(stream, PeLayout(**file["layout"])).hex()
                    if file["layout"] is not None
                    else hashlib.file_digest(stream, "sha256").hexdigest()
                )
        except (OSError, ParseError):
            found = ""
        if not hmac.compare_digest(found, file["sha256"]):
            yield file["path"]


def _signable(work: Work) -> dict[str, list[str]]:
    signable: dict[str, list[str]] = {}
    for each in to_sign(work):
        signable.setdefault(each.content_type, []).append(content_digest(each.content).hex())
    return signable
