"""signing: every catalog and every PE file gets a signature from the signer's process, which sees digests only.

The signatures are kept beside the files: finalizeIngestion puts them in place while it writes the signed package. Each
carries a timestamp of the time when the step was first begun, a preproduction signature none: a run after a crash makes
the same bytes again.
"""

import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from hwdash.drivers.authenticode import SPC_INDIRECT_DATA, content_digest, signed_data, spc_pe_image_data
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE
from hwdash.drivers.package import Kind
from hwdash.pipeline.work import Done, StepFailed, Work
from hwdash.signing.authority import PREPRODUCTION
from hwdash.signing.errors import LimitReached, SigningRefused
from hwdash.signing.provenance import result_digest
from hwdash.signing.records import unsealed
from hwdash.signing.signer import MAX_CONTENTS, Content, SignedAttributes, SigningRecord, SigningRequest
from hwdash.vocabulary import SubmissionStep

log = logging.getLogger(__name__)

LIMITED = "Submit it again then, or have the operator of the signer raise the limit."


@dataclass(frozen=True, slots=True)
class ToSign:
    """Something of the package that gets a signature."""

    path: str
    """In the package."""
    stored: str
    """What the signature's file is called in the workspace."""
    content_type: str
    content: bytes

    @property
    def is_catalog(self) -> bool:
        """A catalog; else a PE file."""
        return self.content_type == CATALOG_CONTENT_TYPE


def run(work: Work) -> Done:
    """Result: {"folder", "identity", "certificate" (SHA-256 of the leaf), "leaf" (the certificate: DER in base64),
    "when", "catalogs": [...], "files": [...]}.

    Each of the two lists holds {"path", "stored", "signature" (SHA-256 of what was written)}.
    """
    folder = work.fresh_folder("signed")
    identity, when = identity_of(work.kind, work.test_harness, work.attributes), _first_begun(work, folder)
    record = record_of(work)
    if work.results.get("manualReview", {}).get("breakGlass"):
        by = work.results["manualReview"]["by"]
        log.critical("submission %d is signed by broken glass: %s released it alone", work.object_id, by)
    leaf = b""
    made: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    left = to_sign(work)
    while batch := tuple(islice(left, MAX_CONTENTS)):
        request = SigningRequest(
            identity=identity,
            contents=tuple(Content(each.content_type, content_digest(each.content)) for each in batch),
            program_name=unsealed(work.examination).program_name,
            url=work.resources.settings.signature_url,
            when=when,
            record=record,
        )
        try:
            signatures = work.resources.signer.sign(request)
        except LimitReached as limit:
            raise StepFailed([f"ERROR signing.limit: {reason}. {LIMITED}" for reason in limit.reasons]) from limit
        except SigningRefused as refusal:
            raise StepFailed([f"ERROR signing.refused: {refusal}"]) from refusal
        leaf = signatures[0].chain[0]
        for each, signed in zip(batch, signatures, strict=True):
            signature = _signed_data(each, signed)
            (folder / each.stored).write_bytes(signature)
            told = {"path": each.path, "stored": each.stored, "signature": hashlib.sha256(signature).hexdigest()}
            made[each.is_catalog].append(told)
    return Done(
        {
            "folder": folder.name,
            "identity": identity,
            "certificate": hashlib.sha256(leaf).hexdigest(),
            "leaf": base64.b64encode(leaf).decode(),
            "when": when.isoformat(),
            "catalogs": made[True],
            "files": made[False],
        }
    )


def to_sign(work: Work) -> Iterator[ToSign]:
    """Every catalog that catalogCreation made, then every PE file of the package."""
    made = work.results[SubmissionStep.CATALOG_CREATION]
    for number, catalog in enumerate(made["catalogs"]):
        content = (work.workspace / made["folder"] / catalog["stored"]).read_bytes()
        if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), catalog["sha256"]):
            raise StepFailed([f"ERROR examination.changed: {catalog['path']} is not the catalog that was made."])
        yield ToSign(catalog["path"], f"{number}.cat", CATALOG_CONTENT_TYPE, content)
    for bundle in work.results[SubmissionStep.PREPARATION]["bundles"]:
        for file in bundle["files"]:
            if file["layout"] is not None:
                content = spc_pe_image_data(bytes.fromhex(file["sha256"]))
                yield ToSign(file["path"], f"{file['stored']}.p7", SPC_INDIRECT_DATA, content)


def _signed_data(what: ToSign, signed: SignedAttributes) -> bytes:
    return signed_data(
        what.content_type,
        what.content,
        certificates=signed.chain,
        attributes=signed.attributes,
        signature=signed.signature,
        timestamp=signed.timestamp or None,
    )


def record_of(work: Work) -> SigningRecord:
    """Why the package may be signed: the steps before this one, by the digests of their results, and the examination.

    Raises StepFailed when there is none.
    """
    if not work.examination:
        raise StepFailed(["ERROR signing.refused: no examination of the package was kept. Submit it again."])
    before = [step for step in work.results if step != SubmissionStep.SIGNING]
    return SigningRecord(
        submission_id=work.object_id,
        product_id=work.product_id,
        account_id=work.account_id,
        package_sha256=work.results["packageInfoValidation"]["packageDigest"],
        finished_steps={step: result_digest(work.results[step]) for step in before},
        examination=work.examination,
        submitters=work.submitters,
        approvals=tuple(work.results.get("manualReview", {}).get("approvals", ())),
    )


def _first_begun(work: Work, folder: Path) -> datetime:
    """The time of this run, or of the first one that came so far: a file in the workspace keeps it."""
    kept, own = work.workspace / "signing-begun", folder / "when"
    with own.open("w") as stream:
        stream.write(work.resources.signing_clock().isoformat())
        stream.flush()
        os.fsync(stream.fileno())  # the link must not outlive its content
    with suppress(FileExistsError):
        os.link(own, kept)
    return datetime.fromisoformat(kept.read_text())


def identity_of(kind: Kind, test_harness: str, attributes: Mapping[str, Any]) -> str:
    """Which of the issuing identities signs (contract/api.md 6.6 and 11, item 54; contract/dashboard.md 72)."""
    if kind == "preproduction":
        return PREPRODUCTION
    if attributes.get("isTestSign"):
        return "test"
    if attributes.get("isFlightSign"):
        return "flight"
    return "attestation" if test_harness == "attestation" else "whql"
