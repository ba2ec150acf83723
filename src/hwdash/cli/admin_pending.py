"""``hwdash admin pending``: the changes that wait for a second person."""

import base64
import hashlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli import admin
from hwdash.cli.admin_options import transaction
from hwdash.cli.officer_options import ActingOfficer, acting_officer, appointed, officer_options
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.cli.two_people import Confirmation, confirm_here, run_confirmed
from hwdash.clock import system_clock
from hwdash.settings import Settings
from hwdash.signing.pending import CONFIRM, REFUSE, Change, asked, decide
from hwdash.storage.database import Database
from hwdash.storage.officers import WAITING, end_change, find_change, waiting_changes

CHANGE_ID = click.argument("change_id")
_LONGEST_TEXT = 10_000


@click.group()
def pending() -> None:
    """The changes that wait for a second person."""


@pending.command("list")
@json_option
@data_option
def list_pending(as_json: bool, data: Path | None) -> None:
    """List what waits, oldest first."""
    with transaction(data) as connection:
        rows = [_document(each) for each in waiting_changes(connection, system_clock())]
    if as_json:
        print_json({"changes": rows})
    else:
        print_table(("id", "command", "askedBy", "askedAt", "expiresAt"), rows)


@pending.command("show")
@CHANGE_ID
@json_option
@data_option
def show(change_id: str, as_json: bool, data: Path | None) -> None:
    """Show the change CHANGE_ID as it was signed: its command with all parameters and the content of files."""
    looked_at = _looked_at(existing_service(data), change_id)
    document = _document(looked_at.row) | {
        # As it was signed, whatever the row says.
        "command": looked_at.change.command,
        "askedBy": looked_at.change.asked_by,
        "reason": looked_at.change.reason,
        "state": looked_at.row.state,
        "decidedBy": looked_at.row.decided_by,
        "parameters": {name: _told(value) for name, value in looked_at.change.parameters.items()},
    }
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if name != "parameters" and value not in (None, ""):
            click.echo(f"{name}: {value}")
    for name, value in document["parameters"].items():
        if isinstance(value, dict):
            click.echo(f"  {name}: {value['file']}, SHA-256 {value['sha256']}")
            for line in (value.get("text") or "").splitlines():
                click.echo(f"    {line}")
        elif value not in (None, [], ""):
            click.echo(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


@pending.command("confirm")
@CHANGE_ID
@officer_options
@data_option
def confirm(change_id: str, data: Path | None) -> None:
    """Run the change CHANGE_ID, as an officer who did not ask for it; prints what its command prints."""
    settings = existing_service(data)
    looked_at, officer = _looked_at(settings, change_id), _officer()
    change = looked_at.change
    decision = looked_at.decide(officer, CONFIRM)
    say(f"confirming what {change.asked_by} asked for: {change.command}")
    confirm_here(Confirmation(change.id, change.asked_by, officer.name, decision))
    run_confirmed(admin.admin, change.command, change.parameters, data)


@pending.command("refuse")
@CHANGE_ID
@officer_options
@data_option
def refuse_change(change_id: str, data: Path | None) -> None:
    """Refuse the change CHANGE_ID, or take back what you asked for."""
    settings = existing_service(data)
    looked_at, officer = _looked_at(settings, change_id), _officer()
    decision = looked_at.decide(officer, REFUSE)
    now = system_clock()
    with transaction(data) as connection:
        if not end_change(connection, change_id, "refused", decided_by=officer.name, decision=decision, now=now):
            refuse(f"pending change {change_id} does not wait any more.")
    click.echo(f"refused {change_id}")


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """A change whose word holds, in its row."""

    settings: Settings
    row: sa.Row[Any]
    change: Change

    def decide(self, officer: ActingOfficer, decision: str) -> str:
        if self.row.state != WAITING:
            refuse(f"pending change {self.row.id} does not wait any more: {self.row.decided_by} {self.row.state} it.")
        control, now = appointed(self.settings).control, system_clock()
        with told_plainly():
            return decide(control, officer.name, officer.key, self.row.word, self.change, decision, now)


def _looked_at(settings: Settings, change_id: str) -> _LookedAt:
    with told_plainly(), closing(Database(settings.database)) as database:
        database.create()
        with database.reading() as connection:
            row = find_change(connection, change_id)
        if row is None:
            refuse(f"There is no pending change {change_id}; hwdash admin pending list tells which there are.")
        here = appointed(settings)
        change = asked(here.control, row.word, identifier=change_id, service=here.service, now=system_clock())
    return _LookedAt(settings, row, change)


def _officer() -> ActingOfficer:
    officer = acting_officer()
    if officer is None:
        refuse("Say who you are of the officers with --officer and --key.", Exit.USAGE)
    return officer


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "command": row.command,
        "askedBy": row.asked_by,
        "askedAt": row.asked_at.isoformat(),
        "expiresAt": row.expires_at.isoformat(),
    }


def _told(value: Any) -> Any:
    """A parameter for people and scripts; of a file its name, digest, and its text where it is one."""
    if not isinstance(value, dict):
        return value
    content = base64.b64decode(value["content"])
    told = {"file": value["file"], "sha256": hashlib.sha256(content).hexdigest()}
    if content.isascii() and len(content) <= _LONGEST_TEXT:
        text = content.decode()
        if all(each.isprintable() or each in "\r\n\t" for each in text):
            told["text"] = text
    return told
