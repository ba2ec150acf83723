"""``hwdash admin review``: a person's word on the submissions that wait for one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hwdash.cli.admin import transaction
from hwdash.cli.output import print_json, refuse
from hwdash.cli.service_options import data_option, existing_service
from hwdash.clock import system_clock
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.review import NotInReview, approve, reject, waiting
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database


@click.group()
def review() -> None:
    """The submissions that wait for a person's review."""


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotInReview as error:
        refuse(f"{error}.")


@review.command("list")
@data_option
def list_waiting(data: Path | None) -> None:
    """List what waits, as one JSON object."""
    with transaction(data) as connection:
        rows = waiting(connection)
    print_json(
        {"submissions": [{"submissionId": each.id, "productId": each.product_id, "name": each.name} for each in rows]}
    )


REASON = click.option("--reason", required=True, help="Why; a rejection's reason reaches the vendor.")


@review.command("approve")
@click.argument("submission_id", type=int)
@REASON
@data_option
def approve_submission(submission_id: int, reason: str, data: Path | None) -> None:
    """Let SUBMISSION_ID go on to signing."""
    queue = WorkflowQueue(Database(existing_service(data).database))
    with _told(), transaction(data) as connection:
        approve(connection, queue, submission_id, reason, system_clock())
    click.echo(f"submission {submission_id} is approved")


@review.command("reject")
@click.argument("submission_id", type=int)
@REASON
@data_option
def reject_submission(submission_id: int, reason: str, data: Path | None) -> None:
    """Fail SUBMISSION_ID for good."""
    blobs = BlobStore(existing_service(data).data / "blobs")
    with _told(), transaction(data) as connection:
        reject(connection, blobs, submission_id, reason, system_clock())
    click.echo(f"submission {submission_id} is rejected")
