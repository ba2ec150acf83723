"""``hwdash admin review``: a person's word on the submissions that wait for one."""

from pathlib import Path

import click

from hwdash.cli.admin_decisions import decision, decision_told
from hwdash.cli.admin_options import BY, transaction
from hwdash.cli.officer_options import (
    acting_officer,
    appointed,
    break_glass_option,
    breaks_glass,
    officer_options,
    tell_of_broken_glass,
)
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option, existing_service
from hwdash.cli.two_people import checked_reason
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.review import (
    APPROVED,
    REJECTED,
    ApprovalsNeeded,
    AsOfficer,
    NotInReview,
    approve,
    identity_of_row,
    package_digest_of,
    reject,
    waiting,
)
from hwdash.signing.errors import OfficerRefused
from hwdash.signing.release import approvals_needed
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database
from hwdash.storage.officers import approvals_of


@click.group()
def review() -> None:
    """The submissions that wait for a person's review."""


@review.command("list")
@json_option
@data_option
def list_waiting(as_json: bool, data: Path | None) -> None:
    """List what waits, oldest first."""
    control = appointed(existing_service(data)).control
    with transaction(data) as connection:
        found = [
            {
                "submissionId": each.id,
                "productId": each.product_id,
                "accountId": each.account_id,
                "account": each.account_name,
                "productName": each.product_name,
                "name": each.name,
                "type": each.type,
                "committedAt": each.committed_at.isoformat(),
                "packageDigest": package_digest_of(connection, each.id),
                "approvedBy": list(approvals_of(connection, each.id)),
                "officersNeeded": approvals_needed(control, identity_of_row(each)),
            }
            for each in waiting(connection)
        ]
    if as_json:
        print_json({"submissions": found})
    else:
        rows = [each | {"approvedBy": ", ".join(each["approvedBy"])} for each in found]
        print_table(["submissionId", "account", "productName", "name", "type", "committedAt", "approvedBy"], rows)


@review.command("approve")
@click.argument("submission_id", type=int)
@click.option("--reason", default="", help="Why; kept with the decision.")
@BY
@officer_options
@click.option(
    "--package-digest",
    metavar="SHA256",
    help="Of the package that you looked at, as hwdash package inspect tells it: no other one is approved.",
)
@break_glass_option
@json_option
@data_option
def approve_submission(
    submission_id: int, reason: str, by: str | None, package_digest: str | None, as_json: bool, data: Path | None
) -> None:
    """Let SUBMISSION_ID go on to signing; where the policy asks for officers, as one of them."""
    settings = existing_service(data)
    queue = WorkflowQueue(Database(settings.database))
    here = appointed(settings)
    acting = acting_officer()
    if breaks_glass():
        checked_reason(reason.strip())
        if acting is None:
            refuse("To break the glass say who you are of the officers with --officer and --key.", Exit.USAGE)
    if package_digest is not None and acting is None:
        refuse("--package-digest is for officers: say who you are with --officer and --key.", Exit.USAGE)
    looked_at = (package_digest or "").strip().lower()
    officer = None if acting is None else AsOfficer(acting.name, acting.key, here.service, breaks_glass(), looked_at)
    word = decision(by if acting is None else acting.name, reason)
    with decision_told(NotInReview, ApprovalsNeeded, OfficerRefused), transaction(data) as connection:
        judged = approve(connection, queue, submission_id, word, here.control, officer)
    if judged is not None and judged.broke_glass:
        tell_of_broken_glass()
    if judged is None or not judged.refusals:
        _tell(submission_id, APPROVED, judged is not None, as_json)
    elif as_json:
        document = {"decision": None, "approvedBy": list(judged.officers), "officersNeeded": judged.needed}
        print_json({"submissionId": submission_id, **document})
    else:
        told = f"{len(judged.officers)} of {judged.needed} officers: {', '.join(judged.officers)}"
        click.echo(f"submission {submission_id} is approved by {told}")


@review.command("reject")
@click.argument("submission_id", type=int)
@click.option("--reason", required=True, help="Why; the vendor reads it among the submission's messages.")
@BY
@json_option
@data_option
def reject_submission(submission_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Fail SUBMISSION_ID for good."""
    blobs = BlobStore(existing_service(data).data / "blobs")
    with decision_told(NotInReview), transaction(data) as connection:
        is_new = reject(connection, blobs, submission_id, decision(by, reason))
    _tell(submission_id, REJECTED, is_new, as_json)


def _tell(submission_id: int, word: str, is_new: bool, as_json: bool) -> None:
    if as_json:
        print_json({"submissionId": submission_id, "decision": word, "already": not is_new})
    else:
        click.echo(f"submission {submission_id} is {word}{'' if is_new else ' already'}")
