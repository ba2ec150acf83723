"""Requests with an examination that the examiner of a key folder could have sealed: whoever has the folder is one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hwdash.drivers.authenticode import content_digest
from hwdash.pipeline.signing import ToSign, identity_of
from hwdash.pipeline.work import Work
from hwdash.signing.keys import KeyFolder
from hwdash.signing.provenance import StatementRequest, result_digest
from hwdash.signing.records import EXAMINED_STEPS, Examination, records_key
from hwdash.signing.signer import SigningRecord, SigningRequest


def examination_of(
    record: SigningRecord, identity: str, program_name: str, when: datetime, /, **members: Any
) -> Examination:
    """One that fits the record; ``members`` are put in the place of its own."""
    fitting: dict[str, Any] = {
        "identity": identity,
        "object_id": record.submission_id,
        "product_id": record.product_id,
        "account_id": record.account_id,
        "program_name": program_name,
        "upload_sha256": "33" * 32,
        "package_sha256": record.package_sha256,
        "steps": {step: record.finished_steps[step] for step in EXAMINED_STEPS if step in record.finished_steps},
        "signable": {},
        "when": when,
    }
    return Examination(**fitting | members)


def examined(keys: KeyFolder, request: SigningRequest, **members: Any) -> SigningRequest:
    """The request, with a sealed examination that allows it but for ``members``."""
    signable: dict[str, list[str]] = {}
    for content in request.contents:
        signable.setdefault(content.type, []).append(content.digest.hex())
    members = {"signable": signable} | members
    passed = examination_of(request.record, request.identity, request.program_name, request.when, **members)
    return replace(request, record=replace(request.record, examination=passed.sealed(records_key(keys))))


def examined_statement(keys: KeyFolder, request: StatementRequest, **members: Any) -> StatementRequest:
    """The same for a statement."""
    members = {"upload_sha256": request.submitted_sha256} | members
    passed = examination_of(request.record, request.identity, "Contoso Ltd", request.begun, **members)
    return replace(request, record=replace(request.record, examination=passed.sealed(records_key(keys))))


def examined_work(keys: KeyFolder, work: Work, *, upload_sha256: str = "33" * 32, contents: Iterable[ToSign]) -> Work:
    """A work whose results, as they are, have been examined, and whose ``contents`` may be signed."""
    steps: Mapping[str, str] = {step: result_digest(work.results[step]) for step in EXAMINED_STEPS}
    signable: dict[str, list[str]] = {}
    for each in contents:
        signable.setdefault(each.content_type, []).append(content_digest(each.content).hex())
    passed = Examination(
        identity=identity_of(work.kind, work.test_harness, work.attributes),
        object_id=work.object_id,
        product_id=work.product_id,
        account_id=work.account_id,
        program_name=work.account_name,
        upload_sha256=upload_sha256,
        package_sha256=work.results["packageInfoValidation"]["packageDigest"],
        steps=steps,
        signable=signable,
        when=work.now,
    )
    return replace(work, examination=passed.sealed(records_key(keys)))
