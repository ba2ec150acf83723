"""signing: every catalog and every PE file gets a signature from the signer's process, which sees digests only.

The signatures are kept beside the files: finalizeIngestion puts them in place while it writes the signed package. Each
carries a timestamp of the time when the step was first begun, a preproduction signature none: a run after a crash makes
the same bytes again.
"""

import base64
import hashlib
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hwdash.drivers.authenticode import SPC_INDIRECT_DATA, content_digest, signed_data, spc_pe_image_data
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE
from hwdash.drivers.package import Kind
from hwdash.pipeline.work import Done, StepFailed, Work
from hwdash.signing.authority import PREPRODUCTION
from hwdash.signing.errors import SigningRefused
from hwdash.signing.provenance import result_digest
from hwdash.signing.signer import SigningRecord, SigningRequest
from hwdash.vocabulary import SubmissionStep

log = logging.getLogger(__name__)


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

    def sign(content_type: str, content: bytes) -> bytes:
        nonlocal leaf
        request = SigningRequest(
            identity=identity,
            content_type=content_type,
            content_digest=content_digest(content),
            program_name=work.account_name,
            url=work.resources.settings.signature_url,
            when=when,
            record=record,
        )
        try:
            signed = work.resources.signer.sign(request)
        except SigningRefused as refusal:
            raise StepFailed([f"ERROR signing.refused: {refusal}"]) from refusal
        leaf = signed.chain[0]
        return signed_data(
            content_type,
            content,
            certificates=signed.chain,
            attributes=signed.attributes,
            signature=signed.signature,
            timestamp=signed.timestamp or None,
        )

    def keep(name: str, path: str, signature: bytes) -> dict[str, str]:
        (folder / name).write_bytes(signature)
        return {"path": path, "stored": name, "signature": hashlib.sha256(signature).hexdigest()}

    made = work.results["catalogCreation"]
    catalogs = [
        keep(
            f"{number}.cat",
            catalog["path"],
            sign(CATALOG_CONTENT_TYPE, (work.workspace / made["folder"] / catalog["stored"]).read_bytes()),
        )
        for number, catalog in enumerate(made["catalogs"])
    ]
    files = [
        keep(
            f"{file['stored']}.p7",
            file["path"],
            sign(SPC_INDIRECT_DATA, spc_pe_image_data(bytes.fromhex(file["sha256"]))),
        )
        for bundle in work.results["preparation"]["bundles"]
        for file in bundle["files"]
        if file["layout"] is not None
    ]
    return Done(
        {
            "folder": folder.name,
            "identity": identity,
            "certificate": hashlib.sha256(leaf).hexdigest(),
            "leaf": base64.b64encode(leaf).decode(),
            "when": when.isoformat(),
            "catalogs": catalogs,
            "files": files,
        }
    )


def record_of(work: Work) -> SigningRecord:
    """Why the package may be signed: the steps before this one, by the digests of their results."""
    before = [step for step in work.results if step != SubmissionStep.SIGNING]
    return SigningRecord(
        submission_id=work.object_id,
        product_id=work.product_id,
        account_id=work.account_id,
        package_sha256=work.results["packageInfoValidation"]["packageDigest"],
        finished_steps={step: result_digest(work.results[step]) for step in before},
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
