"""``hwdash admin agreement``."""

from pathlib import Path

import click

from hwdash.cli.admin_options import ACCOUNT, account_named, transaction
from hwdash.cli.admin_user import chosen_user
from hwdash.cli.output import json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.clock import system_clock
from hwdash.storage import agreements


@click.group()
def agreement() -> None:
    """The agreements that accounts have to sign."""


@agreement.command("publish")
@click.argument("name")
@click.argument("version")
@data_option
def publish(name: str, version: str, data: Path | None) -> None:
    """Ask every account to have signed NAME in VERSION, from the next request on."""
    with transaction(data) as connection:
        agreements.publish_agreement(connection, name, version, system_clock())
    click.echo(f"every account has to sign {name} {version}")


@agreement.command("withdraw")
@click.argument("name")
@data_option
def withdraw(name: str, data: Path | None) -> None:
    """Ask for NAME no more. What was signed stays on record."""
    with transaction(data) as connection:
        if not agreements.withdraw_agreement(connection, name):
            refuse(f"There is no agreement {name}; hwdash admin agreement list tells which there are.")
    click.echo(f"withdrew {name}")


@agreement.command("list")
@json_option
@data_option
def list_agreements(as_json: bool, data: Path | None) -> None:
    """List what every account has to have signed."""
    with transaction(data) as connection:
        known = agreements.published_agreements(connection)
    rows = [
        {"name": each.name, "version": each.version, "publishedAt": each.published_at.isoformat()} for each in known
    ]
    if as_json:
        print_json({"agreements": rows})
        return
    print_table(("name", "version", "publishedAt"), rows)


@agreement.command("sign")
@click.argument("name")
@click.option("--by", required=True, metavar="LOGIN", help="The person who signs; see hwdash admin user.")
@ACCOUNT
@data_option
def sign(name: str, by: str, account: int | None, data: Path | None) -> None:
    """Record that a person signed NAME for their account.

    It takes the role Legal Agreement Signer or Administrator.
    """
    with transaction(data) as connection:
        person = chosen_user(connection, account_named(connection, account), by)
        signed = agreements.sign_agreement(connection, name, person, system_clock())
    click.echo(f"account {signed.account_id}: {signed.signed_by_name} signed {signed.name} {signed.version}")
