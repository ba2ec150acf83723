"""``hwdash admin key``: ceremonies with the keys of the service."""

import sys
from pathlib import Path

import click

from hwdash.cli.admin_options import BY
from hwdash.cli.ceremony import ceremony
from hwdash.cli.output import Exit, json_option, refuse, say
from hwdash.cli.service_options import data_option, told_plainly
from hwdash.signing.roots import (
    CEREMONIES,
    ROOT_PASSPHRASE,
    given_passphrase,
    new_passphrase,
    read_roots,
    renew,
    roots_in,
    take_roots_away,
    write_roots,
)

ROOT_KEY = click.option(
    "--root-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    required=True,
    help="The file of the root keys.",
)
REASON = click.option("--reason", help="Why; kept with the transcript.")


@click.group()
def key() -> None:
    """Ceremonies with the keys of the service. Each leaves a transcript and an entry of the audit log."""


@key.command("offline")
@ROOT_KEY
@BY
@REASON
@json_option
@data_option
def take_offline(root_key: Path, by: str | None, reason: str | None, as_json: bool, data: Path | None) -> None:
    """Move the keys of the roots out of the service's key folder into FILE, where an earlier version left them."""
    with told_plainly():
        given = given_passphrase()
    if given is None and as_json:
        refuse(f"With --json set {ROOT_PASSPHRASE} or {ROOT_PASSPHRASE}_FILE: it would not be shown.", Exit.USAGE)
    with ceremony(data, "root", by=by, reason=reason, as_json=as_json) as under_way:
        roots = roots_in(under_way.keys)
        if not roots:
            refuse("The keys of the roots are not in the key folder: there is nothing to move.")
        passphrase = given or new_passphrase()
        write_roots(root_key, roots, passphrase, is_random=given is None)
        if given is None:
            # Before the only other copy goes.
            click.echo(f"passphrase of the root keys: {passphrase}")
            sys.stdout.flush()
        take_roots_away(under_way.keys)
        under_way.more["rootKey"] = str(root_key)
    say(f"Carry {root_key} away. Older backups of the key folder still hold these keys.")


@key.command("issue")
@click.argument("name", type=click.Choice(CEREMONIES))
@ROOT_KEY
@BY
@REASON
@json_option
@data_option
def issue(name: str, root_key: Path, by: str | None, reason: str | None, as_json: bool, data: Path | None) -> None:
    """Have the root issue a new certificate for NAME, whose key stays. A running service takes it up by itself."""
    with ceremony(data, name, by=by, reason=reason, as_json=as_json) as under_way:
        renew(under_way.keys, name, read_roots(root_key, root_passphrase()), under_way.now)
    if name == "issuing":
        say("Policies and machines that name the certificate of the issuing CA need the new one: hwdash trust export.")


def root_passphrase() -> str:
    """The passphrase of the root keys: what is set, or what a person enters. Raises KeysError."""
    given = given_passphrase()
    if given is None and not sys.stdin.isatty():
        refuse(f"Set {ROOT_PASSPHRASE} or {ROOT_PASSPHRASE}_FILE, or run this at a terminal.", Exit.USAGE)
    return given or str(click.prompt("Passphrase of the root keys", hide_input=True, err=True))
