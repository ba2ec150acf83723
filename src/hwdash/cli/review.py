"""``hwdash admin review``: a person's word on the submissions that wait for one."""

from pathlib import Path

import click

from hwdash.cli.admin_decisions import decision, decision_told
from hwdash.cli.admin_options import BY, transaction
from hwdash.cli.output import json_option, print_json, print_table
from hwdash.cli.service_options import data_option, existing_service
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.review import APPROVED, REJECTED, NotInReview, approve, reject, waiting
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database


@click.group()
def review() -> None:
    """The submissions that wait for a person's review."""


@review.command("list")
@json_option
@data_option
def list_waiting(as_json: bool, data: Path | None) -> None:
    """List what waits, oldest first."""
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
            }
            for each in waiting(connection)
        ]
    if as_json:
        print_json({"submissions": found})
    else:
        print_table(["submissionId", "account", "productName", "name", "type", "committedAt"], found)


@review.command("approve")
@click.argument("submission_id", type=int)
@click.option("--reason", default="", help="Why; kept with the decision.")
@BY
@json_option
@data_option
def approve_submission(submission_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Let SUBMISSION_ID go on to signing."""
    queue = WorkflowQueue(Database(existing_service(data).database))
    with decision_told(NotInReview), transaction(data) as connection:
        is_new = approve(connection, queue, submission_id, decision(by, reason))
    _tell(submission_id, APPROVED, is_new, as_json)


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
