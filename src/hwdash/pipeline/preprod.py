"""Preproduction signing: the steps of a submission without a product, and the row that they move (docs/adr/0021).

The package is judged as one for attestation, and signed for the clients from Windows 11 22H2 on that its INFs serve
(contract/dashboard.md 70). There is no review by a person, and no report; the signed files are all that comes of it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.pipeline import signing
from hwdash.pipeline.engine import Course
from hwdash.pipeline.examination import EXAMINED, last_examination
from hwdash.pipeline.fenced import Ending, FencedWorkflow, Steps
from hwdash.pipeline.finalize_ingestion import write_signed_package
from hwdash.pipeline.validation import served_systems
from hwdash.pipeline.work import Done, Work, result_blob_key
from hwdash.storage.blobs import BlobStore
from hwdash.storage.certificates import signing_certificates_of
from hwdash.storage.database import Database
from hwdash.storage.preprod import (
    abandoned_uploads,
    claim_step,
    drop_upload,
    end_step,
    examinations,
    is_unfinished,
    step_results,
    unfinished_packages,
)
from hwdash.vocabulary import OPERATING_SYSTEMS, AssetType, SigningStatus, SubmissionStep

FIRST_BUILD = 22621  # Windows 11 22H2
SYSTEMS = tuple(
    each.code
    for each in OPERATING_SYSTEMS
    if each.documented and not each.server and each.major == 10 and (each.build or 0) >= FIRST_BUILD
)
"""The OS codes that a preproduction package may be signed for."""


def publish_signed_files(work: Work) -> Done:
    """The last step: write the zip of the signed files. Result: {"bytes", "sha256" (hex)}."""
    package = work.fresh_folder("final") / "signed.zip"
    write_signed_package(work, package)
    key, name = result_blob_key(work.object_id, AssetType.SIGNED_FILES_ZIP), f"Preproduction_{work.object_id}.zip"
    blob = work.resources.blobs.adopt_file(key, package, name=name, content_type="application/zip")
    if blob.sha256 is None:
        raise RuntimeError(f"blob {key} has no SHA-256")
    return Done({"bytes": blob.size, "sha256": blob.sha256.hex()}, files=[(AssetType.SIGNED_FILES_ZIP, key, name)])


STEPS: Steps = {
    **EXAMINED,
    SubmissionStep.SIGNING: signing.run,
    "publishSignedFiles": publish_signed_files,
}

PREPROD = Course("preprod", tuple(str(step) for step in STEPS))
"""The course of a preproduction package."""


class PreprodWorkflow(FencedWorkflow):
    """Runs the steps of preproduction packages."""

    kind = PREPROD.kind
    object_kind = "preproduction package"
    steps = STEPS

    def claim(self, connection: sa.Connection, object_id: int, step: str) -> Work | None:
        """Claim the step and raise the fence; None when the package does not stand there."""
        now = self.resources.clock()
        row = claim_step(connection, object_id, step, now)
        if row is None:
            return None
        results = step_results(connection, row.id)
        return Work(
            resources=self.resources,
            object_id=row.id,
            product_id=0,
            account_id=row.account_id,
            account_name=row.account_name,
            product_name="",
            submission_name="",
            test_harness="attestation",
            kind="preproduction",
            attributes={"requestedSignatures": _systems_of(results)},
            policy={},
            workspace=self.resources.workspaces / _workspace(row.id),
            package_name=f"Preproduction_{row.id}.cab",
            package_blob=row.package_blob,
            package_version=row.package_version,
            certificates={each.thumbprint: each for each in signing_certificates_of(connection, row.account_id)},
            results=results,
            fence=row.fence,
            now=now,
            examination=last_examination(examinations(connection, row.id)),
        )

    def is_unfinished(self, connection: sa.Connection, object_id: int) -> bool:
        """Is the package's workflow still under way?"""
        return is_unfinished(connection, object_id)

    def advanced(self, step: str, done: Done) -> Ending:
        """The end of a step that went well."""
        place = PREPROD.steps.index(step) + 1
        if place < len(PREPROD.steps):
            return Ending(done.result, {"current_step": PREPROD.steps[place]})
        changes = {"signing_status": SigningStatus.SUCCEEDED, "modified_at": self.resources.clock()}
        return Ending(done.result, changes, done.files, is_last=True)

    def failed(self, work: Work, step: str, messages: list[str]) -> Ending:
        """The end of a step, and of the workflow, that was refused."""
        changes = {
            "signing_status": SigningStatus.FAILED,
            "error": "\n".join(messages),
            "modified_at": self.resources.clock(),
        }
        return Ending({"messages": messages}, changes, is_last=True)

    def store(self, connection: sa.Connection, work: Work, step: str, ending: Ending) -> bool:
        """Store the end of a step when the fence is still the same; False otherwise."""
        return end_step(
            connection,
            work.object_id,
            step,
            fence=work.fence,
            result=ending.result,
            examination=ending.examination,
            changes=ending.changes,
            assets=[(kind, key, name, ending.result["sha256"]) for kind, key, name in ending.files],
            now=self.resources.clock(),
        )

    def workspaces(self, connection: sa.Connection) -> Iterable[str]:
        """The names of the workspaces that unfinished packages need."""
        return map(_workspace, unfinished_packages(connection))


def drop_abandoned_uploads(database: Database, blobs: BlobStore, now: datetime) -> None:
    """Remove the uploads that a crash cut off a day ago and more."""
    with database.reading() as connection:
        abandoned = abandoned_uploads(connection, now)
    for row in abandoned:
        blobs.delete(row.package_blob)
        with database.writing() as connection:
            drop_upload(connection, row.id)


def _systems_of(results: dict[str, Any]) -> list[str]:
    """What is signed for: everything possible until the INFs are read, and then what they serve of it.

    Where they serve none, everything again: the step validation says so, unless the package has no devices.
    """
    served = served_systems(results["preparation"]["metadata"]) if "preparation" in results else set()
    return [code for code in SYSTEMS if code in served] or list(SYSTEMS)


def _workspace(package_id: int) -> str:
    return f"preprod-{package_id}"
