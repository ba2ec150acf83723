"""``hwdash admin break-glass``: what officers did alone, until another has seen it."""

from pathlib import Path

import click

from hwdash.cli.admin_options import transaction
from hwdash.cli.officer_options import acting_officer, appointed, officer_options
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option, existing_service
from hwdash.clock import system_clock
from hwdash.signing.broken_glass import acknowledge
from hwdash.storage.officers import acknowledge_broken_glass, all_broken_glass


@click.group("break-glass")
def break_glass() -> None:
    """What one officer did alone that needs more people."""


@break_glass.command("list")
@json_option
@data_option
def list_broken(as_json: bool, data: Path | None) -> None:
    """List each time that the glass was broken, oldest first."""
    with transaction(data) as connection:
        rows = [
            {
                "id": each.id,
                "act": each.act,
                "brokenBy": each.broken_by,
                "brokenAt": each.broken_at.isoformat(),
                "reason": each.reason,
                "acknowledgedBy": each.acknowledged_by,
            }
            for each in all_broken_glass(connection)
        ]
    if as_json:
        print_json({"brokenGlass": rows})
    else:
        print_table(("id", "act", "brokenBy", "brokenAt", "reason", "acknowledgedBy"), rows)


@break_glass.command("acknowledge")
@click.argument("identifier", metavar="ID")
@officer_options
@data_option
def acknowledge_one(identifier: str, data: Path | None) -> None:
    """Note, as another officer, that you have seen ID: nobody is warned of it any more."""
    officer = acting_officer()
    if officer is None:
        refuse("Say who you are of the officers with --officer and --key.", Exit.USAGE)
    control, now = appointed(existing_service(data)).control, system_clock()
    with transaction(data) as connection:
        found = next((each for each in all_broken_glass(connection) if each.id == identifier), None)
        if found is None:
            refuse(f"There is no broken glass {identifier}; hwdash admin break-glass list tells which there is.")
        word = acknowledge(control, officer.name, officer.key, identifier, found.broken_by, now)
        if not acknowledge_broken_glass(connection, identifier, by=officer.name, acknowledgement=word, now=now):
            refuse(f"{found.acknowledged_by} has acknowledged {identifier} already.")
    click.echo(f"acknowledged {identifier}")
