"""``hwdash admin audience``: the audiences of an account, which shipping labels can be restricted to."""

from pathlib import Path
from typing import Any

import click

from hwdash.cli.admin_options import ACCOUNT, account_named, findings_told, transaction
from hwdash.cli.output import json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.clock import system_clock
from hwdash.domain.audience import TEST_REGISTRY_KEY, Audience
from hwdash.storage.audiences import audiences_of, create_audience, remove_audience


@click.group()
def audience() -> None:
    """The audiences of an account."""


@audience.command("create")
@click.argument("name")
@click.option("--description", required=True, help="Which machines are in it, for people.")
@click.option("--key", help="The name of the key that puts a machine into it [NAME].")
@json_option
@ACCOUNT
@data_option
def create(name: str, description: str, key: str | None, as_json: bool, account: int | None, data: Path | None) -> None:
    """Make the audience NAME."""
    with findings_told(), transaction(data) as connection:
        made = create_audience(
            connection,
            account_named(connection, account),
            name=name,
            description=description,
            audience_name=key or name,
            now=system_clock(),
        )
    if as_json:
        print_json(_document(made))
    else:
        click.echo(f"audience {made.id}: {made.name}")


@audience.command("list")
@json_option
@ACCOUNT
@data_option
def list_audiences(as_json: bool, account: int | None, data: Path | None) -> None:
    """List an account's audiences; the first is every account's."""
    with transaction(data) as connection:
        found = [_document(each) for each in audiences_of(connection, account_named(connection, account))]
    if as_json:
        print_json({"audiences": found})
    else:
        print_table(["id", "name", "audienceName", "description"], found)


@audience.command("remove")
@click.argument("audience_id")
@json_option
@ACCOUNT
@data_option
def remove(audience_id: str, as_json: bool, account: int | None, data: Path | None) -> None:
    """Take the audience of AUDIENCE_ID away: new labels can no longer name it, older ones keep their restriction."""
    if audience_id.lower() == TEST_REGISTRY_KEY.id:
        refuse(f"{TEST_REGISTRY_KEY.name} cannot be removed: every account has it.")
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        if not remove_audience(connection, account_id, audience_id):
            refuse(f"account {account_id} has no audience {audience_id}; hwdash admin audience list tells which.")
    if as_json:
        print_json({"removed": audience_id.lower()})
    else:
        click.echo(f"removed {audience_id}")


def _document(each: Audience) -> dict[str, Any]:
    return {
        "id": each.id,
        "name": each.name,
        "audienceName": each.audience_name,
        "description": each.description,
    }
