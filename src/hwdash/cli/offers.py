"""``hwdash offers``: which published drivers a machine is offered, and by which rule it is not offered the others."""

import json
from typing import IO, Any

import click

from hwdash.cli.connection import profile_option
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse
from hwdash.cli.remote import connected
from hwdash.wire.offers import Offer, Offers, Refusal, example_machine

COLUMNS = ["device", "offer", "rank", "driver", "label", "why not"]


@click.command()
@click.option("--device", "file", type=click.File("rb"), help="The machine document, a JSON file; - is stdin.")
@click.option("--example", is_flag=True, help="Print a machine document to start from.")
@json_option
@profile_option
def offers(file: IO[bytes] | None, example: bool, as_json: bool, profile: str | None) -> None:
    """Ask which published drivers Windows Update would offer a machine, and why not the others."""
    if example:
        click.echo(json.dumps(example_machine(), indent=2))
        return
    if file is None:
        refuse("Give the machine with --device FILE. --example prints a document to start from.", Exit.USAGE)
    machine = _document(file)
    with connected(profile) as client:
        found = client.offers(machine)
    if as_json:
        print_json(found.to_wire())
    else:
        print_table(COLUMNS, _rows(found))


def _document(file: IO[bytes]) -> dict[str, Any]:
    try:
        value = json.load(file)
    except (ValueError, RecursionError) as error:
        refuse(f"{file.name} is not JSON: {error}", Exit.USAGE)
    if not isinstance(value, dict):
        refuse(f"{file.name} must hold a JSON object.", Exit.USAGE)
    return value


def _rows(found: Offers) -> list[dict[str, object]]:
    rows = []
    for device in found.devices:
        rows += [_row(device.hardware_id, each, each.kind, "") for each in device.offers]
        rows += [_row(device.hardware_id, each, "none", f"{each.rule}: {each.reason}") for each in device.refused]
    return rows


def _row(device: str, driver: Offer | Refusal, offer: str, why_not: str) -> dict[str, object]:
    name = f"{driver.inf_id} {driver.driver_version} of {driver.driver_date}"
    return dict(zip(COLUMNS, (device, offer, driver.rank, name, driver.label_id, why_not), strict=True))
