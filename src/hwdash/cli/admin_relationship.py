"""``hwdash admin relationship``: which publishers may target an owner's ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_options import BY, account_named, findings_told, transaction, who_decides
from hwdash.cli.admin_ownership import CHIDS, HARDWARE_IDS, given_ids
from hwdash.cli.output import json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.clock import system_clock
from hwdash.storage.ownership import (
    APPROVED,
    REJECTED,
    decide_relationship,
    list_relationships,
    request_relationship,
)


@click.group()
def relationship() -> None:
    """Which publishers may target an owner's hardware ids and CHIDs."""


@relationship.command("list")
@click.option("--account", type=int, metavar="SELLERID", help="Only those in which this account is owner or publisher.")
@json_option
@data_option
def list_all(account: int | None, as_json: bool, data: Path | None) -> None:
    """List the relationships, oldest first."""
    with transaction(data) as connection:
        if account is not None:
            account_named(connection, account)
        found = [_document(each) for each in list_relationships(connection, account)]
    if as_json:
        print_json({"relationships": found})
        return
    print_table(
        ["id", "owner", "publisher", "status", "hardwareIds", "chids", "requestedAt", "decidedBy", "reason"],
        [each | {name: " ".join(each[name]) for name in ("hardwareIds", "chids")} for each in found],
    )


@relationship.command("request")
@click.option("--owner", required=True, type=int, metavar="SELLERID", help="The account that owns the ids, and asks.")
@click.option("--publisher", required=True, type=int, metavar="SELLERID", help="The account that may target them.")
@HARDWARE_IDS
@CHIDS
@json_option
@data_option
def request(
    owner: int,
    publisher: int,
    hardware_ids: Sequence[str],
    chids: Sequence[str],
    as_json: bool,
    data: Path | None,
) -> None:
    """Note an owner's request that a publisher may target ids of the owner. It waits for approval."""
    with findings_told(), transaction(data) as connection:
        made = request_relationship(
            connection,
            owner_id=account_named(connection, owner),
            publisher_id=account_named(connection, publisher),
            given=given_ids(hardware_ids, chids),
            now=system_clock(),
        )
    if as_json:
        print_json(_document(made))
    else:
        click.echo(f"relationship {made.id} is {made.status}")


@relationship.command("approve")
@click.argument("relationship_id", type=int)
@click.option("--reason", default="", help="Why; kept with the decision.")
@BY
@json_option
@data_option
def approve(relationship_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Let the publisher of RELATIONSHIP_ID target its ids."""
    _decide(relationship_id, APPROVED, reason, by, as_json, data)


@relationship.command("reject")
@click.argument("relationship_id", type=int)
@click.option("--reason", required=True, help="Why; kept with the decision.")
@BY
@json_option
@data_option
def reject(relationship_id: int, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    """Refuse RELATIONSHIP_ID, or end it: what is published stays so, and nothing more can be."""
    _decide(relationship_id, REJECTED, reason, by, as_json, data)


def _decide(relationship_id: int, status: str, reason: str, by: str | None, as_json: bool, data: Path | None) -> None:
    name, why = who_decides(by), reason.strip()
    if len(why) > 2000:
        refuse("--reason takes 2000 characters at most.")
    with transaction(data) as connection:
        is_new = decide_relationship(
            connection, relationship_id, status=status, by=name, reason=why, now=system_clock()
        )
    if is_new is None:
        refuse(f"there is no relationship {relationship_id}; hwdash admin relationship list tells which there are.")
    if as_json:
        print_json({"relationshipId": relationship_id, "status": status, "already": not is_new})
    else:
        click.echo(f"relationship {relationship_id} is {status}{'' if is_new else ' already'}")


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "owner": row.owner_id,
        "publisher": row.publisher_id,
        "status": row.status,
        "hardwareIds": row.hardware_ids,
        "chids": row.chids,
        "requestedAt": row.requested_at.isoformat(),
        "decidedAt": None if row.decided_at is None else row.decided_at.isoformat(),
        "decidedBy": row.decided_by,
        "reason": row.reason,
    }
