"""People's words on a submission that waits in manualReview: they end the step, and a new workflow goes on."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwdash.domain.audit import BREAK_GLASS, act
from hwdash.domain.reason import ReasonRefused, check_reason
from hwdash.domain.submission import next_step
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.report import publish_error_report
from hwdash.pipeline.signing import identity_of
from hwdash.pipeline.submission import SUBMISSION
from hwdash.pipeline.work import kind_of
from hwdash.signing.errors import OfficerRefused
from hwdash.signing.officers import DualControl
from hwdash.signing.release import Judgement, Release, approval, approvals_needed, judge
from hwdash.storage.audit import append, operator
from hwdash.storage.blobs import BlobStore
from hwdash.storage.officers import approvals_of, keep_approval, keep_broken_glass
from hwdash.storage.submissions import claim_step, end_step, step_results, submissions_at, submitters_of
from hwdash.vocabulary import SubmissionStep, WorkflowState

APPROVED, REJECTED = "approved", "rejected"


class NotInReview(Exception):
    """The submission does not wait for a review. The message says what became of it."""


class ApprovalsNeeded(Exception):
    """The signer's policy asks for officers. The message says how many."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word: who, why and when. A rejection needs a reason."""

    by: str
    reason: str
    when: datetime


@dataclass(frozen=True, slots=True)
class AsOfficer:
    """An officer who decides: their name and key, and the service that they decide for."""

    name: str
    key: Ed25519PrivateKey
    service: str
    break_glass: bool = False
    looked_at: str = ""
    """The digest of the package that they looked at, hex; empty: they take the database's word for it."""


def waiting(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The submissions that wait for a review or are about to pass it, oldest first."""
    return submissions_at(connection, SubmissionStep.MANUAL_REVIEW)


def identity_of_row(row: sa.Row[Any]) -> str:
    """As what a submission is to be signed."""
    kind = kind_of(row.test_harness, is_test_sign=bool(row.attributes.get("isTestSign")))
    return identity_of(kind, row.test_harness, row.attributes)


def package_digest_of(connection: sa.Connection, submission_id: int) -> str:
    """SHA-256 of what the signature of the submission's package covers, hex; empty while it is not known."""
    return str(step_results(connection, submission_id).get("packageInfoValidation", {}).get("packageDigest", ""))


def release_of(connection: sa.Connection, row: sa.Row[Any]) -> Release:
    """What is approved of a submission that stands in manualReview; ``row`` as submissions_at has it."""
    return Release(
        submission_id=row.id,
        product_id=row.product_id,
        account_id=row.account_id,
        package_sha256=package_digest_of(connection, row.id),
        identity=identity_of_row(row),
        submitters=submitters_of(row),
    )


def approve(
    connection: sa.Connection,
    queue: WorkflowQueue,
    submission_id: int,
    decision: Decision,
    control: DualControl,
    officer: AsOfficer | None = None,
) -> Judgement | None:
    """Let it go on to signing, as soon as as many officers approved it as the signer's policy asks for.

    Without an officer where it asks for none. Returns what the approvals are worth so far, with refusals among it while
    some are missing; None when it was approved before. Raises NotInReview, ReasonRefused, ApprovalsNeeded and
    OfficerRefused.
    """
    check_reason(decision.reason)
    row = _claim(connection, submission_id, APPROVED)
    if row is None:
        return None
    if officer is None:
        identity = identity_of_row(row)
        if needed := approvals_needed(control, identity):
            raise ApprovalsNeeded(f"a signature as {identity} needs the approval of {needed} officers: say who you are")
        _go_on(connection, queue, row, decision, {})
        return Judgement((), 0, "", ())
    release = release_of(connection, row)
    if officer.looked_at and not hmac.compare_digest(officer.looked_at, release.package_sha256):
        raise OfficerRefused(
            f"the package of submission {row.id} has the digest {release.package_sha256}, and the one that you looked "
            f"at {officer.looked_at}: it is another one"
        )
    word = approval(
        control,
        officer.name,
        officer.key,
        release,
        officer.service,
        reason=decision.reason,
        when=decision.when,
        break_glass=officer.break_glass,
    )
    keep_approval(connection, submission_id, officer.name, word, decision.when)
    words = list(approvals_of(connection, submission_id).values())
    judged = judge(control, release, words, officer.service)
    if not judged.refusals:
        more: dict[str, Any] = {"approvals": words}
        if judged.broke_glass:
            more["breakGlass"] = True
            _keep_broken_glass(connection, row, officer.name, word, decision)
        whole = Decision(", ".join(judged.officers), decision.reason, decision.when)
        _go_on(connection, queue, row, whole, more)
    return judged


def _go_on(
    connection: sa.Connection, queue: WorkflowQueue, row: sa.Row[Any], decision: Decision, more: dict[str, Any]
) -> None:
    changes = {"current_step": next_step(SubmissionStep.MANUAL_REVIEW), "state": WorkflowState.STARTED}
    _end(connection, row, APPROVED, decision, changes, more=more)
    queue.enqueue(connection, SUBMISSION, row.id, f"reviewed-{row.fence}")


def _keep_broken_glass(
    connection: sa.Connection, row: sa.Row[Any], officer: str, word: str, decision: Decision
) -> None:
    given = {"act": f"release of submission {row.id}", "broken_by": officer, "reason": decision.reason, "word": word}
    identifier = keep_broken_glass(connection, now=decision.when, **given)
    details = {"officer": officer, "reason": decision.reason, "brokenGlass": identifier}
    thing = ("submission", row.id)
    append(connection, act(row.account_id, decision.when, operator(), BREAK_GLASS, thing, **details))


def reject(connection: sa.Connection, blobs: BlobStore, submission_id: int, decision: Decision) -> bool:
    """Fail it, with the reason among its messages and in its error report; False when it was rejected before.

    Raises NotInReview and ReasonRefused.
    """
    if not decision.reason.strip():
        raise ReasonRefused("a rejection needs a reason: the vendor reads it among the submission's messages")
    check_reason(decision.reason)
    row = _claim(connection, submission_id, REJECTED)
    if row is None:
        return False
    messages = [f"ERROR review.rejected: {decision.reason}"]
    report = publish_error_report(
        blobs, row.id, row.test_harness, SubmissionStep.MANUAL_REVIEW, messages, decision.when
    )
    changes = {"state": WorkflowState.FAILED, "messages": messages, "finished_at": decision.when}
    _end(connection, row, REJECTED, decision, changes, [report])
    return True


def _claim(connection: sa.Connection, submission_id: int, wanted: str) -> sa.Row[Any] | None:
    """Claim the waiting step; None when the wanted decision was made before."""
    row = claim_step(connection, submission_id, SubmissionStep.MANUAL_REVIEW)
    if row is None:
        made = step_results(connection, submission_id).get(SubmissionStep.MANUAL_REVIEW, {})
        if made.get("decision") == wanted:
            return None
        told = f": it is {made['decision']} by {made['by']}" if "by" in made else ""
        raise NotInReview(f"submission {submission_id} does not wait for a review{told}")
    return row


def _end(
    connection: sa.Connection,
    row: sa.Row[Any],
    word: str,
    decision: Decision,
    changes: dict[str, Any],
    files: Sequence[tuple[str, str, str]] = (),
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    when = decision.when
    result = {"decision": word, "reason": decision.reason, "by": decision.by, "when": when.isoformat(), **more}
    step = SubmissionStep.MANUAL_REVIEW
    end_step(connection, row.id, step, fence=row.fence, result=result, changes=changes, files=files, now=when)
