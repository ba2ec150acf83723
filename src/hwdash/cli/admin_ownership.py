"""``hwdash admin ownership``: whose hardware ids, CHIDs and extension ids are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from hwdash.cli.admin_options import ACCOUNT, account_named, findings_told, transaction
from hwdash.cli.output import json_option, print_json, print_table
from hwdash.cli.service_options import data_option
from hwdash.clock import system_clock
from hwdash.domain.ownership import IdKind
from hwdash.storage.ownership import add_owned, list_owned, remove_owned

F = TypeVar("F", bound=Callable[..., Any])

HARDWARE_IDS = click.option(
    "--hardware-id",
    "hardware_ids",
    multiple=True,
    metavar="ID",
    help=r"A hardware id, or the beginning of many, such as PCI\VEN_1234; as often as needed.",
)
CHIDS = click.option("--chid", "chids", multiple=True, metavar="GUID", help="A CHID; as often as needed.")
EXTENSION_IDS = click.option(
    "--extension-id", "extension_ids", multiple=True, metavar="GUID", help="An extension id; as often as needed."
)


def given_ids(
    hardware_ids: Sequence[str], chids: Sequence[str], extension_ids: Sequence[str] = ()
) -> list[tuple[IdKind, str]]:
    """What the options name."""
    return [
        *((IdKind.HARDWARE_ID, each) for each in hardware_ids),
        *((IdKind.CHID, each) for each in chids),
        *((IdKind.EXTENSION_ID, each) for each in extension_ids),
    ]


@click.group()
def ownership() -> None:
    """Whose hardware ids, CHIDs and extension ids are."""


@ownership.command("list")
@json_option
@ACCOUNT
@data_option
def list_ids(as_json: bool, account: int | None, data: Path | None) -> None:
    """List what an account owns."""
    with transaction(data) as connection:
        found = [
            {"kind": each.kind, "id": each.value, "since": each.created_at.isoformat()}
            for each in list_owned(connection, account_named(connection, account))
        ]
    if as_json:
        print_json({"ids": found})
    else:
        print_table(["kind", "id", "since"], found)


@ownership.command("add")
@HARDWARE_IDS
@CHIDS
@EXTENSION_IDS
@json_option
@ACCOUNT
@data_option
def add_ids(
    hardware_ids: Sequence[str],
    chids: Sequence[str],
    extension_ids: Sequence[str],
    as_json: bool,
    account: int | None,
    data: Path | None,
) -> None:
    """Note that an account owns ids: others target them only under an approved relationship."""
    with findings_told(), transaction(data) as connection:
        account_id = account_named(connection, account)
        given = given_ids(hardware_ids, chids, extension_ids)
        _tell("added", add_owned(connection, account_id, given, system_clock()), as_json)


@ownership.command("remove")
@HARDWARE_IDS
@CHIDS
@EXTENSION_IDS
@json_option
@ACCOUNT
@data_option
def remove_ids(
    hardware_ids: Sequence[str],
    chids: Sequence[str],
    extension_ids: Sequence[str],
    as_json: bool,
    account: int | None,
    data: Path | None,
) -> None:
    """Take ids away from an account: anybody may target them again."""
    with findings_told(), transaction(data) as connection:
        account_id = account_named(connection, account)
        given = given_ids(hardware_ids, chids, extension_ids)
        _tell("removed", remove_owned(connection, account_id, given), as_json)


def _tell(what: str, ids: Sequence[tuple[IdKind, str]], as_json: bool) -> None:
    if as_json:
        print_json({what: [{"kind": kind, "id": value} for kind, value in ids]})
        return
    for kind, value in ids:
        click.echo(f"{what} {kind} {value}")
    if not ids:
        click.echo(f"nothing {what}: it was so already")
