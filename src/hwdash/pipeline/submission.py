"""The submission workflow: its steps in order, and how each is claimed, run and ended.

A step's effect stands between two transactions. The first claims it and raises the fence; the second stores its result
and moves the row, only when the fence is still the same. A process that dies in between leaves files in the workspace
and nothing else; the next run starts the step again. Two runs at once end in one result: the later claim.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from hwdash.domain.submission import LAST_STEP, next_step
from hwdash.pipeline import (
    catalog_creation,
    finalize_ingestion,
    manual_review,
    package_info_validation,
    preparation,
    scanning,
    signing,
    validation,
)
from hwdash.pipeline.engine import Course, Outcome
from hwdash.pipeline.report import publish_error_report
from hwdash.pipeline.work import Done, Initial, Resources, StepFailed, Waiting, Work
from hwdash.storage.certificates import signing_certificates_of
from hwdash.storage.database import Database
from hwdash.storage.product_search import remember_hardware_ids
from hwdash.storage.submissions import (
    claim_step,
    end_step,
    initial_submission,
    is_unfinished,
    step_results,
    unfinished_submissions,
)
from hwdash.vocabulary import SUBMISSION_STEPS, SubmissionStep, SubmissionType, WorkflowState

log = logging.getLogger(__name__)

STEPS: dict[str, Callable[[Work], Done | Waiting]] = {
    SubmissionStep.PACKAGE_INFO_VALIDATION: package_info_validation.run,
    SubmissionStep.PREPARATION: preparation.run,
    SubmissionStep.SCANNING: scanning.run,
    SubmissionStep.VALIDATION: validation.run,
    SubmissionStep.CATALOG_CREATION: catalog_creation.run,
    SubmissionStep.MANUAL_REVIEW: manual_review.run,
    SubmissionStep.SIGNING: signing.run,
    SubmissionStep.FINALIZE_INGESTION: finalize_ingestion.run,
}

GIVEN_UP = (
    "The service could not finish this step although it tried for a while. Nothing is known to be wrong with the "
    "package; the operator finds the reason in the service's log."
)


class SubmissionWorkflow:
    """Runs the steps of submissions, one call a step."""

    def __init__(self, database: Database, resources: Resources) -> None:
        self._database = database
        self._resources = resources

    def run_step(self, submission_id: int, step: str) -> Outcome:
        """Run ``step`` if the submission stands there. Raises whatever may pass when it is tried again."""
        work = self._claim(submission_id, step)
        if work is None:
            return self._where(submission_id)
        work.workspace.mkdir(parents=True, exist_ok=True)
        try:
            done = STEPS[step](work)
        except StepFailed as refusal:
            self._fail(work, step, refusal.messages)
            return Outcome.STOP
        if isinstance(done, Waiting):
            log.info("submission %d: %s", submission_id, done.reason)
            return Outcome.STOP
        return self._advance(work, step, done)

    def give_up(self, submission_id: int, step: str) -> None:
        """Fail a step that was tried often enough."""
        work = self._claim(submission_id, step)
        if work is not None:
            self._fail(work, step, [GIVEN_UP])

    def sweep(self) -> None:
        """Remove the workspaces that no unfinished submission needs. For start-up, before any step runs."""
        with self._database.reading() as connection:
            needed = {str(each) for each in unfinished_submissions(connection)}
        folder = self._resources.workspaces
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.name not in needed:
                shutil.rmtree(each, ignore_errors=True)

    def _claim(self, submission_id: int, step: str) -> Work | None:
        with self._database.writing() as connection:
            row = claim_step(connection, submission_id, step)
            if row is None:
                return None
            return self._work(connection, row)

    def _work(self, connection: sa.Connection, row: sa.Row[Any]) -> Work:
        return Work(
            resources=self._resources,
            submission_id=row.id,
            product_id=row.product_id,
            account_id=row.account_id,
            account_name=row.account_name,
            product_name=row.product_name,
            submission_name=row.name,
            test_harness=row.test_harness,
            attributes=row.attributes,
            policy=row.policy,
            package_blob=row.package_blob,
            package_version=row.package_version,
            certificates={each.thumbprint: each for each in signing_certificates_of(connection, row.account_id)},
            results=step_results(connection, row.id),
            fence=row.fence,
            now=self._resources.clock(),
            shared_product_id=row.shared_product_id,
            derives_from=_initial_of(connection, row) if row.type == SubmissionType.DERIVED else None,
        )

    def _where(self, submission_id: int) -> Outcome:
        """The submission does not stand at this step: either it is past it, or its workflow has ended."""
        with self._database.reading() as connection:
            return Outcome.NEXT if is_unfinished(connection, submission_id) else Outcome.STOP

    def _advance(self, work: Work, step: str, done: Done) -> Outcome:
        following = next_step(step)
        moved: dict[str, Any] = (
            {"current_step": following, "state": WorkflowState.STARTED}
            if following
            else {"state": WorkflowState.COMPLETED, "finished_at": self._resources.clock()}
        )
        ended = self._end(work, step, result=done.result, changes=done.changes | moved, files=done.files)
        if step == LAST_STEP and ended:
            shutil.rmtree(work.workspace, ignore_errors=True)
        return Outcome.NEXT if following else Outcome.STOP

    def _fail(self, work: Work, step: str, messages: list[str]) -> None:
        now = self._resources.clock()
        report = publish_error_report(self._resources.blobs, work.submission_id, work.test_harness, step, messages, now)
        ended = self._end(
            work,
            step,
            result={"messages": messages},
            changes={"state": WorkflowState.FAILED, "messages": messages, "finished_at": now},
            files=[report],
        )
        if ended:
            shutil.rmtree(work.workspace, ignore_errors=True)

    def _end(
        self,
        work: Work,
        step: str,
        *,
        result: dict[str, Any],
        changes: dict[str, Any],
        files: list[tuple[str, str, str]],
    ) -> bool:
        with self._database.writing() as connection:
            ended = end_step(
                connection,
                work.submission_id,
                step,
                fence=work.fence,
                result=result,
                changes=changes,
                files=files,
                now=self._resources.clock(),
            )
            if ended and changes["state"] == WorkflowState.COMPLETED:
                remember_hardware_ids(connection, work.submission_id, hardware_ids(work.results["preparation"]))
        became = {WorkflowState.FAILED: "failed", WorkflowState.COMPLETED: "ended, and the submission with it"}
        outcome = became.get(changes["state"], "ended") if ended else "was taken over by another run"
        log.info("submission %d: %s %s", work.submission_id, step, outcome)
        return ended


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
    results = step_results(connection, initial.id)
    bundles = results.get("preparation", {}).get("bundles", [])
    return Initial(
        submission_id=initial.id,
        package_info=results.get("packageInfoValidation", {}).get("packageInfo"),
        hardware_ids=[each for bundle in bundles for each in bundle["hardwareIds"]],
    )


SUBMISSION = Course("submission", tuple(str(step) for step in SUBMISSION_STEPS))
"""The course of a submission."""
