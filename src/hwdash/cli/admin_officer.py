"""``hwdash admin officer``: the people whose word releases, roles and certificates need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.admin_options import transaction
from hwdash.cli.officer_options import appointed, officer_passphrase
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.cli.two_people import Rule, two_people, waits_for_another
from hwdash.clock import system_clock
from hwdash.domain.audit import SERVICE, act
from hwdash.server.keys import keys_folder
from hwdash.signing.keys import write_atomically
from hwdash.signing.officers import (
    MOST_OFFICERS,
    DualControl,
    Officer,
    key_id,
    locked_control,
    new_officer_key,
    policy_document,
    read_public_key,
)
from hwdash.storage.audit import append, operator
from hwdash.storage.principals import known_principals

_SWITCH = click.Choice(["on", "off"])
_PEOPLE = click.IntRange(1, 2)
SHORTEST_PASSPHRASE = 12


@click.group()
def officer() -> None:
    """Officers: the people whose word releases, roles and certificates need, and how many it takes."""


@officer.command("key")
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The key to write; beside it FILE.pub, which is handed in.",
)
def make_key(output: Path) -> None:
    """Make your key as an officer, on a machine of your own: FILE stays with you, FILE.pub is handed in."""
    public = output.with_name(f"{output.name}.pub")
    if taken := [each for each in (output, public) if each.exists()]:
        refuse(f"{taken[0]} is there already: a key is not overwritten.", Exit.USAGE)
    passphrase = officer_passphrase(is_new=True)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        refuse(f"The passphrase has {len(passphrase)} characters: take {SHORTEST_PASSPHRASE} or more.", Exit.USAGE)
    private_pem, public_pem = new_officer_key(passphrase.encode())
    with told_plainly():
        write_atomically(output, private_pem, mode=0o600)
        write_atomically(public, public_pem, mode=0o644)
        identifier = key_id(read_public_key(public_pem, str(public)))
    click.echo(f"wrote {output} and {public}, key id {identifier}")


@officer.command("list")
@json_option
@data_option
def list_officers(as_json: bool, data: Path | None) -> None:
    """List the officers, and the policy that they serve."""
    control = appointed(existing_service(data)).control
    rows = [
        {
            "name": each.name,
            "keyId": each.key_id,
            "submitsAs": list(each.submits_as),
            "addedAt": each.added_at.isoformat(),
        }
        for each in control.officers.values()
    ]
    if as_json:
        print_json({"officers": rows, "policy": policy_document(control.policy)})
        return
    print_table(("name", "keyId", "submitsAs"), [each | {"submitsAs": ", ".join(each["submitsAs"])} for each in rows])
    for name, value in policy_document(control.policy).items():
        click.echo(f"{name}: {value}")


@officer.command("add")
@click.argument("name")
@click.option(
    "--public-key",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The public key that hwdash admin officer key wrote on their machine.",
)
@click.option(
    "--submits-as",
    metavar="ID",
    multiple=True,
    help="A client or user id by which they submit, too: they approve nothing of it. Once for each.",
)
@two_people(Rule.OFFICERS)
@data_option
def add(name: str, public_key: Path, submits_as: tuple[str, ...], data: Path | None) -> None:
    """Make NAME an officer: from now on their word counts."""
    with told_plainly():
        key = read_public_key(public_key.read_bytes(), str(public_key))
    made = Officer(name, key, submits_as, system_clock())
    with _changed(data, "admin officer add", name, keyId=made.key_id, submitsAs=list(submits_as)) as changing:
        if unknown := sorted(set(submits_as) - known_principals(changing.connection, submits_as)):
            refuse(f"there is no application or person {', '.join(unknown)}: name the client id, or the user's id.")
        changing.become(changing.before.with_officer(made))
    say(f"{name} is an officer now. Compare the key id with them, by another way than the file came: {made.key_id}")


@officer.command("remove")
@click.argument("name")
@two_people(Rule.OFFICERS)
@data_option
def remove(name: str, data: Path | None) -> None:
    """NAME is an officer no longer: from now on nothing that they signed counts."""
    with _changed(data, "admin officer remove", name) as changing:
        changing.become(changing.before.without_officer(name))
    click.echo(f"removed {name}")


@officer.command("policy")
@click.option("--release", type=click.IntRange(0, MOST_OFFICERS), help="Officers that approve each release.")
@click.option("--role-grants", type=_PEOPLE, help="People for what lets somebody in or gives them roles.")
@click.option("--certificates", type=_PEOPLE, help="People for the registration of a certificate.")
@click.option("--allow-break-glass", type=_SWITCH, help="Whether one officer may do alone, loudly, what needs more.")
@two_people(Rule.OFFICERS)
@data_option
def change_policy(
    release: int | None,
    role_grants: int | None,
    certificates: int | None,
    allow_break_glass: str | None,
    data: Path | None,
) -> None:
    """Change how many people it takes; what is not named stays as it is."""
    given = {"release": release, "role_grants": role_grants, "certificates": certificates}
    given["break_glass"] = None if allow_break_glass is None else allow_break_glass == "on"
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        refuse("Say what to change: --release, --role-grants, --certificates or --allow-break-glass.", Exit.USAGE)
    with _changed(data, "admin officer policy", "policy", **wanted) as changing:
        after = changing.before.with_policy(replace(changing.before.policy, **wanted))
        changing.become(after)
    for name, value in policy_document(after.policy).items():
        click.echo(f"{name}: {value}")


@dataclass(frozen=True, slots=True)
class _Changing:
    """A change of officers or policy that is under way."""

    connection: sa.Connection
    before: DualControl
    become: Callable[[DualControl], None]


@contextmanager
def _changed(data: Path | None, action: str, thing: str, **details: Any) -> Iterator[_Changing]:
    """Change officers and policy in the block, with an entry of the audit log for it."""
    settings = existing_service(data)
    folder = keys_folder(settings.data)
    with told_plainly(), locked_control(folder).locked(), transaction(data) as connection:
        before = DualControl.read(folder)

        def become(after: DualControl) -> None:
            append(connection, act(SERVICE, system_clock(), operator(), action, ("officer", thing), **details))
            if not waits_for_another(settings):
                after.write(folder)

        yield _Changing(connection, before, become)
    if not before.policy.is_dual:
        say("warning: one person changed officers or policy: as long as the policy asks for no second one, anybody can")
