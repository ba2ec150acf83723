"""The statement beside a signed package: its facts are gathered here; the signer's process builds and signs it.

Everything in it comes from the stored results of the steps and from the files themselves, so that a repeated run writes
the same bytes.
"""

import base64
from collections.abc import Mapping
from datetime import datetime

from hwdash.drivers.dsse import MEDIA_TYPE
from hwdash.pipeline.signing import record_of
from hwdash.pipeline.work import StepFailed, Work, result_blob_key
from hwdash.signing.errors import SigningRefused
from hwdash.signing.provenance import SHOWN_STEPS, Parameters, StatementRequest
from hwdash.signing.records import unsealed

PROVENANCE = "provenance"
"""The type of the download. No word of the API: it is not among a submission's downloads on the wire."""


def provenance_of(work: Work, package_sha256: str, files: Mapping[str, str]) -> bytes:
    """The DSSE envelope for a signed package. ``files`` are the digests of what is in it, by path; all SHA-256 in hex.

    Raises StepFailed when the signer refuses, SignerUnavailable.
    """
    results, signing = work.results, work.results["signing"]
    request = StatementRequest(
        record=record_of(work),
        parameters=Parameters(
            productName=work.product_name,
            submissionName=work.submission_name,
            testHarness=work.test_harness,
            requestedSignatures=tuple(work.attributes["requestedSignatures"]),
            isTestSign=bool(work.attributes.get("isTestSign")),
            isFlightSign=bool(work.attributes.get("isFlightSign")),
        ),
        submitted_name=work.package_name,
        submitted_sha256=unsealed(work.examination).upload_sha256,
        results={step: results[step] for step in SHOWN_STEPS},
        preparation_findings=[(each["rule"], each["level"]) for each in results["preparation"]["findings"]],
        identity=signing["identity"],
        certificate=_certificate(work),
        begun=datetime.fromisoformat(results["catalogCreation"]["when"]),
        signed=datetime.fromisoformat(signing["when"]),
        package_sha256=package_sha256,
        files=list(files.items()),
    )
    try:
        return work.resources.signer.state(request).envelope()
    except SigningRefused as refusal:
        raise StepFailed([f"ERROR signing.refused: {refusal}"]) from refusal


def provenance_download(work: Work, package_sha256: str, files: Mapping[str, str]) -> tuple[str, str, str]:
    """Store the envelope. Returns the download: (type, blob key, file name)."""
    key, name = result_blob_key(work.object_id, PROVENANCE), f"Signed_{work.object_id}.zip.intoto.json"
    envelope = provenance_of(work, package_sha256, files)
    work.resources.blobs.put_file(key, [envelope], name=name, content_type=MEDIA_TYPE)
    return PROVENANCE, key, name


def _certificate(work: Work) -> bytes:
    """By which the files were signed. What an hwdash signed that did not keep it, it signed with the one of today."""
    signing = work.results["signing"]
    if "leaf" in signing:
        return base64.b64decode(signing["leaf"])
    return work.resources.signer.chain(signing["identity"])[0]
