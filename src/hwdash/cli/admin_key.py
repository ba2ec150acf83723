"""``hwdash admin key``: the keys of the service, and the ceremonies with them."""

import sys
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.cli.admin_options import BY
from hwdash.cli.ceremony import NAMES, ceremony
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.drivers.extensions import extended_key_usages
from hwdash.server.keys import keys_folder
from hwdash.signing.authority import LEAVES, rotate
from hwdash.signing.keys import KeyFolder
from hwdash.signing.roots import (
    CEREMONIES,
    ROOT_PASSPHRASE,
    given_passphrase,
    new_passphrase,
    renew,
    roots_in,
    roots_of,
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
    """The keys of the service. What changes one leaves a transcript and an entry of the audit log."""


@key.command("list")
@json_option
@data_option
def list_keys(as_json: bool, data: Path | None) -> None:
    """List the keys of the service: where each is kept and until when its certificate lasts."""
    keys = _folder(data)
    with told_plainly():
        found = [_document(keys, name) for name in NAMES if keys.has(name)]
    if as_json:
        print_json({"keys": found})
    else:
        print_table(["name", "subject", "key", "kept", "notAfter", "sha256"], found)


@key.command("show")
@click.argument("name", type=click.Choice(NAMES))
@json_option
@data_option
def show(name: str, as_json: bool, data: Path | None) -> None:
    """Show the key NAME: its certificate, what it is for, and the certificates above it."""
    keys = _folder(data)
    with told_plainly():
        certificate, *above = keys.certificates(name)
        found = _document(keys, name)
    found |= {
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "notBefore": certificate.not_valid_before_utc.isoformat(timespec="seconds"),
        "usages": sorted(extended_key_usages(certificate)[0]),
        "chain": [each.subject.rfc4514_string() for each in above],
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
    }
    if as_json:
        print_json(found)
        return
    for word, value in found.items():
        click.echo(f"{word}: {', '.join(value) if isinstance(value, list) else value}")


@key.command("rotate")
@click.argument("name", type=click.Choice(("issuing", *LEAVES)))
@click.option(
    "--root-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file of the root keys: for issuing and preproduction.",
)
@BY
@REASON
@json_option
@data_option
def rotate_key(
    name: str, root_key: Path | None, by: str | None, reason: str | None, as_json: bool, data: Path | None
) -> None:
    """Give NAME a new key and a new certificate. A running service signs with them from the next signature on.

    With issuing, everything below it gets new keys too. The old certificates stay valid: to revoke one, recall a
    package that it signed.
    """
    if name in CEREMONIES and root_key is None:
        refuse(f"Name the file of the root keys with --root-key: only a root issues {name}.", Exit.USAGE)
    with ceremony(data, name, by=by, reason=reason, as_json=as_json) as under_way:
        roots = None if root_key is None else roots_of(under_way.keys, root_key, root_passphrase())
        rotate(under_way.keys, name, under_way.now, crl_url=under_way.settings.crl_url, roots=roots)
    if name == "issuing":
        say("Policies and machines that name the certificate of the issuing CA need the new one: hwdash trust export.")


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
        renew(under_way.keys, name, roots_of(under_way.keys, root_key, root_passphrase()), under_way.now)
    if name == "issuing":
        say("Policies and machines that name the certificate of the issuing CA need the new one: hwdash trust export.")


def _folder(data: Path | None) -> KeyFolder:
    """The key folder, to read certificates alone."""
    return KeyFolder(keys_folder(existing_service(data).data), b"")


def _document(keys: KeyFolder, name: str) -> dict[str, Any]:
    certificate = keys.certificates(name)[0]
    public = certificate.public_key()
    return {
        "name": name,
        "subject": certificate.subject.rfc4514_string(),
        "key": f"{'RSA' if isinstance(public, RSAPublicKey) else 'ECDSA'} {getattr(public, 'key_size', '')}",
        "kept": keys.token_key(name) or ("encrypted file" if keys.has_key(name) else "elsewhere"),
        "notAfter": certificate.not_valid_after_utc.isoformat(timespec="seconds"),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def root_passphrase() -> str:
    """The passphrase of the root keys: what is set, or what a person enters. Raises KeysError."""
    given = given_passphrase()
    if given is None and not sys.stdin.isatty():
        refuse(f"Set {ROOT_PASSPHRASE} or {ROOT_PASSPHRASE}_FILE, or run this at a terminal.", Exit.USAGE)
    return given or str(click.prompt("Passphrase of the root keys", hide_input=True, err=True))
