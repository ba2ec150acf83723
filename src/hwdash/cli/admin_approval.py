"""``hwdash admin approval``: a person's word on the shipping labels that wait for one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_decisions import decision, decision_told
from hwdash.cli.admin_options import BY, transaction
from hwdash.cli.output import json_option, print_json, print_table
from hwdash.cli.service_options import data_option
from hwdash.clock import system_clock
from hwdash.domain.ownership import IdKind
from hwdash.drivers.package import listing
from hwdash.pipeline.approval import DeciderRefused, NotWaiting, approve, label_of, reject, waiting
from hwdash.pipeline.microsoft_approval import go_live_date
from hwdash.pipeline.pre_process_shipping_label import justifications_of
from hwdash.pipeline.release_calendar import held_back
from hwdash.pipeline.review import APPROVED, REJECTED
from hwdash.storage.labels import chids_of, hardware_ids_of
from hwdash.storage.ownership import account_names, owners_of, owners_of_hardware_ids
from hwdash.wire.base import rfc3339


@click.group()
def approval() -> None:
    """The shipping labels that wait for a person's approval."""


@approval.command("list")
@json_option
@data_option
def list_waiting(as_json: bool, data: Path | None) -> None:
    """List what waits, oldest first."""
    with transaction(data) as connection:
        found = [_document(each) for each in waiting(connection)]
    if as_json:
        print_json({"labels": found})
        return
    rows = [each | {"reasons": "; ".join(each["reasons"])} for each in found]
    print_table(["labelId", "requestId", "account", "productName", "name", "currentStep", "reasons"], rows)


@approval.command("show")
@click.argument("label_id", type=int)
@json_option
@data_option
def show(label_id: int, as_json: bool, data: Path | None) -> None:
    """Show what LABEL_ID asks for, why, and whose the ids are."""
    with decision_told(NotWaiting, DeciderRefused), transaction(data) as connection:
        row = label_of(connection, label_id)
        shown = _document(row) | _release(connection, row) | _targets(connection, row)
    if as_json:
        print_json(shown)
        return
    for name in ("labelId", "requestId", "account", "productName", "submissionId", "name", "currentStep", "state"):
        click.echo(f"{name}: {shown[name]}")
    if shown["goesLiveAt"]:
        click.echo(f"goesLiveAt: {shown['goesLiveAt']}")
    for each in shown["heldBackBy"]:
        click.echo(f"held back by the release calendar: {each}")
    for name in ("reasons", "justifications"):
        for each in shown[name]:
            click.echo(f"{name}: {each}")
    for name, value in (shown["publishingSpecifications"] | shown["targeting"]).items():
        click.echo(f"{name}: {value}")
    for each in shown["owners"]:
        click.echo(f"owned by {each['account']} (seller {each['accountId']}): {listing(each['ids'])}")
    print_table(["pnpString", "operatingSystemCode", "infId", "distributionState"], shown["hardwareIds"])
    if shown["chids"]:
        print_table(["chid", "distributionState"], shown["chids"])


@approval.command("approve")
@click.argument("label_id", type=int)
@click.option("--reason", default="", help="Why; kept with the decision.")
@BY
@json_option
@data_option
def approve_label(label_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Let LABEL_ID go on to its rollout."""
    with decision_told(NotWaiting, DeciderRefused), transaction(data) as connection:
        is_new = approve(connection, label_id, decision(by, reason))
    _tell(label_id, APPROVED, is_new, as_json)


@approval.command("reject")
@click.argument("label_id", type=int)
@click.option("--reason", default="", help="Why; the owner reads it among the label's messages.")
@click.option(
    "--id",
    "ids",
    nargs=2,
    multiple=True,
    metavar="ID REASON",
    help="Why of this hardware id or CHID; as often as needed. Then --reason may be left out.",
)
@BY
@json_option
@data_option
def reject_label(
    label_id: int, reason: str, ids: Sequence[tuple[str, str]], by: str | None, as_json: bool, data: Path | None
) -> None:
    """Fail what LABEL_ID asks for; what it offered before stays as it is."""
    with decision_told(NotWaiting, DeciderRefused), transaction(data) as connection:
        is_new = reject(connection, label_id, decision(by, reason), dict(ids))
    _tell(label_id, REJECTED, is_new, as_json)


def _tell(label_id: int, word: str, is_new: bool, as_json: bool) -> None:
    if as_json:
        print_json({"labelId": label_id, "decision": word, "already": not is_new})
    else:
        click.echo(f"shipping label {label_id} is {word}{'' if is_new else ' already'}")


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    asked = row.approval or {}
    return {
        "labelId": row.id,
        "requestId": asked.get("requestId"),
        "submissionId": row.submission_id,
        "productId": row.product_id,
        "accountId": row.account_id,
        "account": row.account_name,
        "productName": row.product_name,
        "name": row.name,
        "currentStep": row.current_step,
        "state": row.state,
        "run": row.run,
        "reasons": asked.get("reasons", []),
        "createdBy": row.created_by,
    }


def _release(connection: sa.Connection, row: sa.Row[Any]) -> dict[str, Any]:
    """When it would go live, were it approved now, and what of the calendar puts it off."""
    if not row.approval or not row.is_unfinished or row.rollout is not None:
        return {"goesLiveAt": None, "heldBackBy": []}
    moment = max(system_clock(), go_live_date(row) or system_clock())
    held = held_back(connection, row, moment)
    goes_live_at = held.until if held else go_live_date(row)
    return {
        "goesLiveAt": rfc3339(goes_live_at) if goes_live_at else None,
        "heldBackBy": list(held.names) if held else [],
    }


def _targets(connection: sa.Connection, row: sa.Row[Any]) -> dict[str, Any]:
    hardware_ids, chids = hardware_ids_of(connection, [row.id]), chids_of(connection, [row.id])
    owners = owners_of_hardware_ids(connection, [each.hardware_id for each in hardware_ids])
    owners |= owners_of(connection, IdKind.CHID, [each.chid for each in chids])
    names = account_names(connection, set(owners.values()))
    return {
        "publishingSpecifications": row.specifications,
        "targeting": row.targeting,
        "justifications": [each for each in justifications_of(row) if each],
        "decision": {name: value for name, value in (row.approval or {}).items() if name not in _ASKED} or None,
        "owners": [
            {
                "accountId": account_id,
                "account": name,
                "ids": sorted(each for each, owner in owners.items() if owner == account_id),
            }
            for account_id, name in sorted(names.items())
        ],
        "hardwareIds": [
            {
                "bundleId": each.bundle_id,
                "infId": each.inf_id,
                "operatingSystemCode": each.os_code,
                "pnpString": each.hardware_id,
                "distributionState": each.state,
            }
            for each in hardware_ids
        ],
        "chids": [{"chid": each.chid, "distributionState": each.state} for each in chids],
    }


_ASKED = frozenset(("requestId", "reasons"))
