"""``hwdash audience``: the audiences that shipping labels can be restricted to."""

import click

from hwdash.cli.connection import profile_option
from hwdash.cli.output import json_option, print_json, print_table
from hwdash.cli.remote import connected

COLUMNS = ["id", "name", "audienceName", "description"]


@click.group()
def audience() -> None:
    """The audiences that shipping labels can be restricted to."""


@audience.command("list")
@json_option
@profile_option
def list_audiences(as_json: bool, profile: str | None) -> None:
    """List the audiences of the account."""
    with connected(profile) as client:
        found = client.collection("audiences")
    if as_json:
        print_json(found)
    else:
        print_table(COLUMNS, [{name: each.get(name) for name in COLUMNS} for each in found["value"]])
