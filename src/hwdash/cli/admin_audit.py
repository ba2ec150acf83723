"""``hwdash admin audit``: who did what to which object, and whether the log of it is still what it was."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from hwdash.cli.admin_options import transaction
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.domain.audit import Entry
from hwdash.server.audit_log import seal_all, take_checkpoint
from hwdash.server.keys import open_secrets
from hwdash.settings import Settings
from hwdash.signing.checkpoint import SUFFIX, CheckpointError, VerifierKey, stored_verifier
from hwdash.storage.audit import entry_at, find_entries
from hwdash.storage.audit_verification import TreeHead, Verified, verify
from hwdash.storage.database import Database


@click.group()
def audit() -> None:
    """The audit log: who did what to which object."""


@audit.command("list")
@click.option("--account", type=int, metavar="SELLERID", help="Of this account; 0: of the service itself [all].")
@click.option("--action", metavar="NAME", help="With this action, such as create_product or refused [all].")
@click.option("--actor", metavar="ID", help="By this actor: a client id, a user id, a name on the machine [all].")
@click.option("--object", "object_id", metavar="ID", help="About the object of this id [all].")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@json_option
@data_option
def list_entries(
    account: int | None,
    action: str | None,
    actor: str | None,
    object_id: str | None,
    limit: int,
    as_json: bool,
    data: Path | None,
) -> None:
    """List the newest entries, the newest last."""
    _seal(existing_service(data))
    with transaction(data) as connection:
        found = find_entries(
            connection, account_id=account, action=action, actor_id=actor, object_id=object_id, limit=limit
        )
    if as_json:
        print_json({"entries": [_document(each) for each in found]})
        return
    columns = ("position", "time", "account", "actor", "action", "object")
    print_table(
        columns, [_document(each) | {name: _pair(each, name) for name in ("actor", "object")} for each in found]
    )


@audit.command("show")
@click.argument("position", type=click.IntRange(0))
@json_option
@data_option
def show(position: int, as_json: bool, data: Path | None) -> None:
    """Show the entry at POSITION: 0 is the first of the log."""
    _seal(existing_service(data))
    with transaction(data) as connection:
        entry = entry_at(connection, position)
    if entry is None:
        refuse(f"There is no entry {position}; hwdash admin audit list tells which there are.")
    if as_json:
        print_json(_document(entry))
        return
    shown = _document(entry) | {name: _pair(entry, name) for name in ("actor", "object")}
    for name, value in ({**shown, "details": ""} | shown["details"]).items():
        if name != "details":
            click.echo(f"{name}: {json.dumps(value) if isinstance(value, dict | list) else value}")


@audit.command("checkpoint")
@json_option
@data_option
def checkpoint(as_json: bool, data: Path | None) -> None:
    """Print a signed checkpoint of all that was done until now, to be kept elsewhere.

    It is added to the folder of the setting audit_checkpoints too, where that is set.
    """
    settings = existing_service(data)
    with told_plainly(), closing(Database(settings.database)) as database:
        database.create()
        seal_all(database)
        note, file = take_checkpoint(settings, database)
    if as_json:
        print_json({"checkpoint": note.decode(), "file": None if file is None else str(file)})
        return
    click.echo(note.decode(), nl=False)
    if file is not None:
        say(f"kept as {file}")


@audit.command("verify")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A checkpoint that was kept, or a folder of them; as often as needed [those of audit_checkpoints].",
)
@click.option(
    "--public-key", metavar="KEY", help="The verifier key NAME+ID+KEY, or its file [the one in the data folder]."
)
@json_option
@data_option
def verify_log(checkpoints: tuple[Path, ...], public_key: str | None, as_json: bool, data: Path | None) -> None:
    """Compute the log anew: is it what it was, and what the checkpoints say that it was? Exit code 1 when it is not."""
    settings = existing_service(data)
    with told_plainly():
        heads, problems = _heads(settings, checkpoints, public_key)
        with closing(Database(settings.database)) as database:
            database.create()
            with database.reading() as connection:
                result = verify(connection, heads)
    findings = problems + result.findings
    if as_json:
        print_json(_report(result, findings, heads))
    else:
        _tell(result, findings)
    if findings:
        refuse("The audit log is not what it was.")


def _seal(settings: Settings) -> None:
    with told_plainly(), closing(Database(settings.database)) as database:
        database.create()
        seal_all(database)


def _heads(settings: Settings, given: tuple[Path, ...], public_key: str | None) -> tuple[list[TreeHead], list[str]]:
    """The checkpoints whose signature is good, and what is wrong with the others."""
    kept = Path(settings.audit_checkpoints) if settings.audit_checkpoints else None
    places = given or ((kept,) if kept is not None and kept.is_dir() else ())
    files = [file for each in places for file in (sorted(each.glob(f"*{SUFFIX}")) if each.is_dir() else [each])]
    key = _verifier(settings, public_key) if files or public_key else None
    heads, problems = [], []
    for file in files:
        try:
            found = key.open(file.read_bytes(), str(file)) if key else None
        except CheckpointError as error:
            problems.append(str(error))
        else:
            if found is not None:
                heads.append(TreeHead(str(file), found.size, found.root))
    return heads, problems


def _verifier(settings: Settings, given: str | None) -> VerifierKey:
    if given is None:
        return stored_verifier(open_secrets(settings.data))
    try:
        # A key's text may be longer than a file's name may be.
        return VerifierKey.parse(given if "+" in given else Path(given).read_text("utf-8"))
    except (CheckpointError, UnicodeDecodeError) as error:
        refuse(f"--public-key: {error}.", Exit.USAGE)


def _report(result: Verified, findings: list[str], heads: list[TreeHead]) -> dict[str, Any]:
    return {
        "verified": not findings,
        "entries": result.size,
        "root": result.root.hex(),
        "unsealed": result.unsealed,
        "checkpoints": len(heads),
        "matching": result.matching,
        "findings": findings,
        "furtherFindings": result.further,
    }


def _tell(result: Verified, findings: list[str]) -> None:
    click.echo(f"entries: {result.size}")
    click.echo(f"root: {result.root.hex()}")
    if result.unsealed:
        click.echo(f"not sealed yet: {result.unsealed}")
    for each in result.matching:
        click.echo(f"agrees with {each}")
    for each in findings:
        click.echo(f"finding: {each}")
    if result.further:
        click.echo(f"and {result.further} findings more")
    if not result.matching and not findings:
        say("No checkpoint was compared: whoever owns the database could have made all of it anew.")


def _document(entry: Entry) -> dict[str, Any]:
    act = entry.act
    return {
        "position": entry.position,
        "account": act.account_id,
        "sequence": entry.sequence,
        "time": act.time.isoformat(),
        "actor": {"kind": act.actor_kind, "id": act.actor_id},
        "action": act.action,
        "object": {"kind": act.object_kind, "id": act.object_id},
        "details": json.loads(act.details),
        "hash": entry.hash.hex(),
    }


def _pair(entry: Entry, name: str) -> str:
    act = entry.act
    return f"{act.actor_kind} {act.actor_id}" if name == "actor" else f"{act.object_kind} {act.object_id}"
