"""``hwdash admin rollout``: the shipping labels that reach ever more machines, and what an operator does with them."""

from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_decisions import decision, decision_told
from hwdash.cli.admin_options import BY, transaction
from hwdash.cli.output import json_option, print_json, print_table
from hwdash.cli.service_options import data_option
from hwdash.domain.rollout import Wish
from hwdash.pipeline.rollout_wishes import NotRollingOut, ask, rolling_out, take_label_back

REASON = click.option("--reason", default="", help="Why; of a pause, the owner reads it among the label's messages.")


@click.group()
def rollout() -> None:
    """The gradual rollouts of shipping labels."""


@rollout.command("list")
@json_option
@data_option
def list_rollouts(as_json: bool, data: Path | None) -> None:
    """List what is rolled out gradually, oldest first."""
    with transaction(data) as connection:
        found = [_document(each) for each in rolling_out(connection)]
    if as_json:
        print_json({"labels": found})
    else:
        print_table(["labelId", "account", "productName", "name", "startedAt", "message", "asked"], found)


@rollout.command("pause")
@click.argument("label_id", type=int)
@REASON
@BY
@json_option
@data_option
def pause(label_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Offer LABEL_ID to no machine until it is resumed."""
    _ask(label_id, Wish.PAUSE, reason, by, as_json, data)


@rollout.command("resume")
@click.argument("label_id", type=int)
@REASON
@BY
@json_option
@data_option
def resume(label_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Go on with LABEL_ID where it was paused."""
    _ask(label_id, Wish.RESUME, reason, by, as_json, data)


@rollout.command("finalize")
@click.argument("label_id", type=int)
@REASON
@BY
@json_option
@data_option
def finalize(label_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Offer LABEL_ID to every machine at once, and end its watch."""
    _ask(label_id, Wish.FINALIZE, reason, by, as_json, data)


@rollout.command("cancel")
@click.argument("label_id", type=int)
@click.option("--reason", required=True, help="Why; the owner reads it among the label's messages.")
@BY
@json_option
@data_option
def cancel(label_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Expire all of LABEL_ID for good, in its rollout or after it."""
    with decision_told(NotRollingOut), transaction(data) as connection:
        is_new = take_label_back(connection, label_id, decision(by, reason))
    _tell(label_id, "cancel", is_new, as_json)


def _ask(label_id: int, wish: Wish, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    with decision_told(NotRollingOut), transaction(data) as connection:
        is_new = ask(connection, label_id, wish, decision(by, reason))
    _tell(label_id, wish, is_new, as_json)


def _tell(label_id: int, wish: str, is_new: bool, as_json: bool) -> None:
    if as_json:
        print_json({"labelId": label_id, "asked": wish, "already": not is_new})
    elif is_new:
        click.echo(f"shipping label {label_id}: {wish} is asked for; the service does it at once, when it runs")
    else:
        click.echo(f"shipping label {label_id}: {wish} was done or asked for already")


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    stored = row.rollout
    return {
        "labelId": row.id,
        "submissionId": row.submission_id,
        "productId": row.product_id,
        "accountId": row.account_id,
        "account": row.account_name,
        "productName": row.product_name,
        "name": row.name,
        "message": next(iter(row.messages), ""),
        "phases": stored["phases"],
        "watchDays": stored["watchDays"],
        "startedAt": stored["startedAt"],
        "pausedAt": stored["pausedAt"],
        "asked": stored.get("wish", {}).get("what"),
    }
