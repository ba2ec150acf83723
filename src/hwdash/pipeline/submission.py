"""The submission workflow: its steps in order, and the row that they move (how they run: pipeline/fenced.py)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from hwdash.domain.submission import next_step
from hwdash.pipeline import finalize_ingestion, manual_review, signing
from hwdash.pipeline.driver_metadata import put_driver_metadata
from hwdash.pipeline.engine import Course
from hwdash.pipeline.examination import EXAMINED, last_examination
from hwdash.pipeline.extension_ids import bind_extension_ids, foreign_extension_ids
from hwdash.pipeline.fenced import Ending, FencedWorkflow, Steps
from hwdash.pipeline.report import publish_error_report
from hwdash.pipeline.work import Done, Initial, Waiting, Work, kind_of, package_name
from hwdash.storage.certificates import signing_certificates_of
from hwdash.storage.driver_rows import write_driver_rows
from hwdash.storage.product_search import remember_hardware_ids
from hwdash.storage.shares import limit_to_the_shared, original_submission
from hwdash.storage.submissions import (
    claim_step,
    end_step,
    examinations,
    initial_submission,
    is_unfinished,
    step_results,
    submitters_of,
    unfinished_submissions,
)
from hwdash.vocabulary import SUBMISSION_STEPS, SubmissionStep, SubmissionType, WorkflowState


def _prepare(work: Work) -> Done | Waiting:
    """preparation, and the driver metadata as a download: from now on a label may be made (contract/api.md 4.12), and
    clients choose its hardware ids out of that.
    """
    done = EXAMINED[SubmissionStep.PREPARATION](work)
    if isinstance(done, Waiting):
        return done
    return replace(done, files=[put_driver_metadata(work.resources.blobs, work.object_id, done.result["metadata"])])


STEPS: Steps = {
    **EXAMINED,
    SubmissionStep.PREPARATION: _prepare,
    SubmissionStep.MANUAL_REVIEW: manual_review.run,
    SubmissionStep.SIGNING: signing.run,
    SubmissionStep.FINALIZE_INGESTION: finalize_ingestion.run,
}

SUBMISSION = Course("submission", tuple(str(step) for step in SUBMISSION_STEPS))
"""The course of a submission."""


class SubmissionWorkflow(FencedWorkflow):
    """Runs the steps of submissions."""

    kind = SUBMISSION.kind
    object_kind = "submission"
    steps = STEPS

    def claim(self, connection: sa.Connection, object_id: int, step: str) -> Work | None:
        """Claim the step and raise the fence; None when the submission does not stand there."""
        row = claim_step(connection, object_id, step)
        if row is None:
            return None
        results = step_results(connection, row.id)
        return Work(
            resources=self.resources,
            object_id=row.id,
            product_id=row.product_id,
            account_id=row.account_id,
            account_name=row.account_name,
            product_name=row.product_name,
            submission_name=row.name,
            test_harness=row.test_harness,
            kind=kind_of(row.test_harness, is_test_sign=bool(row.attributes.get("isTestSign"))),
            attributes=row.attributes,
            policy=row.policy,
            workspace=self.resources.workspaces / str(row.id),
            package_name=package_name(row.id, row.test_harness),
            package_blob=row.package_blob,
            package_version=row.package_version,
            certificates={each.thumbprint: each for each in signing_certificates_of(connection, row.account_id)},
            results=results,
            fence=row.fence,
            now=self.resources.clock(),
            submitters=submitters_of(row),
            shared_product_id=row.shared_product_id,
            derives_from=_initial_of(connection, row) if row.type == SubmissionType.DERIVED else None,
            foreign_extension_ids=foreign_extension_ids(connection, row.account_id, results),
            examination=last_examination(examinations(connection, row.id)),
        )

    def is_unfinished(self, connection: sa.Connection, object_id: int) -> bool:
        """Is the submission's workflow still under way?"""
        return is_unfinished(connection, object_id)

    def advanced(self, step: str, done: Done) -> Ending:
        """The end of a step that went well."""
        following = next_step(step)
        moved: dict[str, Any] = (
            {"current_step": following, "state": WorkflowState.STARTED}
            if following
            else {"state": WorkflowState.COMPLETED, "finished_at": self.resources.clock()}
        )
        return Ending(done.result, done.changes | moved, done.files, is_last=following is None)

    def failed(self, work: Work, step: str, messages: list[str]) -> Ending:
        """The end of a step, and of the workflow, that was refused: with an error report."""
        now = self.resources.clock()
        report = publish_error_report(self.resources.blobs, work.object_id, work.test_harness, step, messages, now)
        changes = {"state": WorkflowState.FAILED, "messages": messages, "finished_at": now}
        return Ending({"messages": messages}, changes, [report], is_last=True)

    def store(self, connection: sa.Connection, work: Work, step: str, ending: Ending) -> bool:
        """Store the end of a step when the fence is still the same; False otherwise.

        Raises ExtensionIdTaken.
        """
        ended = end_step(
            connection,
            work.object_id,
            step,
            fence=work.fence,
            result=ending.result,
            examination=ending.examination,
            changes=ending.changes,
            files=ending.files,
            now=self.resources.clock(),
        )
        if ended and step == SubmissionStep.PREPARATION and ending.changes["state"] != WorkflowState.FAILED:
            write_driver_rows(connection, work.object_id, ending.result)
            limit_to_the_shared(connection, work.object_id)
        if ended and ending.changes["state"] == WorkflowState.COMPLETED:
            remember_hardware_ids(connection, work.object_id, hardware_ids(work.results["preparation"]))
            bind_extension_ids(connection, work.account_id, work.results, self.resources.clock())
        return ended

    def workspaces(self, connection: sa.Connection) -> Iterable[str]:
        """The names of the workspaces that unfinished submissions need."""
        return map(str, unfinished_submissions(connection))


def hardware_ids(preparation: Mapping[str, Any]) -> set[str]:
    """The hardware ids of the driver metadata (contract/api.md 3.13)."""
    return {
        pnp_id
        for bundle in preparation["metadata"]["BundleInfoMap"].values()
        for inf in bundle["InfInfoMap"].values()
        for pnp_ids in inf["OSPnPInfoMap"].values()
        for pnp_id in pnp_ids
    }


def _initial_of(connection: sa.Connection, derived: sa.Row[Any]) -> Initial | None:
    initial = initial_submission(connection, derived.product_id)
    if initial is None:
        return None
    # Of one received by sharing the author's workflow knows.
    results = step_results(connection, original_submission(connection, initial.id))
    bundles = results.get("preparation", {}).get("bundles", [])
    return Initial(
        submission_id=initial.id,
        package_info=results.get("packageInfoValidation", {}).get("packageInfo"),
        hardware_ids=[each for bundle in bundles for each in bundle["hardwareIds"]],
    )
