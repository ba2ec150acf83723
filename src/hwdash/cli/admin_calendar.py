"""``hwdash admin calendar``: the days on which no driver goes live."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hwdash.cli.admin_options import findings_told, transaction
from hwdash.cli.output import json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.clock import system_clock
from hwdash.domain.calendar import Window, update_windows
from hwdash.storage.calendar import add_window, remove_window, windows_of
from hwdash.storage.label_progress import wake_held_labels

MONTHS_LISTED = 12
DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def calendar() -> None:
    """The release calendar: days on which no driver goes live."""


@calendar.command("list")
@json_option
@data_option
def list_windows(as_json: bool, data: Path | None) -> None:
    """List the windows that are not over, with those around the second Tuesdays of the next twelve months."""
    today = system_clock().date()
    with transaction(data) as connection:
        known = [*windows_of(connection), *update_windows(today, MONTHS_LISTED)]
    coming = sorted((each for each in known if each.last_day >= today), key=lambda each: (each.first_day, each.name))
    found = [_document(each) for each in coming]
    if as_json:
        print_json({"windows": found})
    else:
        print_table(["firstDay", "lastDay", "holds", "name"], found)


@calendar.command("add")
@click.argument("name")
@click.argument("first_day", type=DAY)
@click.argument("last_day", type=DAY)
@click.option("--all-drivers", is_flag=True, help="Hold every driver back, not only what a person has to approve.")
@json_option
@data_option
def add(
    name: str, first_day: datetime, last_day: datetime, all_drivers: bool, as_json: bool, data: Path | None
) -> None:
    """Hold drivers back from FIRST_DAY to LAST_DAY, both included: YYYY-MM-DD, days of UTC."""
    window = Window(name, first_day.date(), last_day.date(), holds_all=all_drivers)
    with findings_told(), transaction(data) as connection:
        add_window(connection, window, system_clock())
        wake_held_labels(connection)
    if as_json:
        print_json(_document(window))
    else:
        click.echo(f"drivers are held back from {window.first_day} to {window.last_day}: {name}")


@calendar.command("remove")
@click.argument("name")
@data_option
def remove(name: str, data: Path | None) -> None:
    """Take the window NAME away; what it held back goes on."""
    with transaction(data) as connection:
        if not remove_window(connection, name):
            refuse(f"The calendar has no window {name}; hwdash admin calendar list names those that are not over.")
        wake_held_labels(connection)
    click.echo(f"removed {name}")


def _document(window: Window) -> dict[str, Any]:
    return {
        "name": window.name,
        "firstDay": window.first_day.isoformat(),
        "lastDay": window.last_day.isoformat(),
        "holds": "every driver" if window.holds_all else "what needs approval",
        "isRule": window.is_rule,
    }
