"""``hwdash admin certificate``."""

from pathlib import Path

import click

from hwdash.cli.admin_options import ACCOUNT, account_named, read_certificate, transaction
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.package_sign import replacing
from hwdash.cli.service_options import data_option
from hwdash.cli.two_people import Rule, two_people
from hwdash.clock import system_clock
from hwdash.pipeline.possession import ProofRefused, read_proof, write_challenge
from hwdash.storage import certificates

PATH = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def certificate() -> None:
    """The certificates that an account's packages may be signed with."""


@certificate.command("challenge")
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The cabinet to write, a .cab file.",
)
@ACCOUNT
@data_option
def challenge(output: Path, account: int | None, data: Path | None) -> None:
    """Write a small cabinet for the holder of a certificate to sign; add --signed takes it back, once, for a week."""
    with transaction(data) as connection, replacing(output) as part:
        account_id = account_named(connection, account)
        with part.open("w+b") as stream:
            write_challenge(stream, account_id, certificates.new_challenge(connection, account_id, system_clock()))
    click.echo(f"wrote {output}: sign it with the certificate, then hwdash admin certificate add --signed {output}")


@certificate.command("add")
@click.argument("file", type=PATH, required=False)
@click.option("--signed", type=PATH, metavar="FILE", help="Register the certificate that signed this challenge.")
@ACCOUNT
@two_people(Rule.CERTIFICATES)
@data_option
def add_certificate(file: Path | None, signed: Path | None, account: int | None, data: Path | None) -> None:
    """Register the certificate in FILE (PEM or DER; of several in PEM the first), or the one that signed a challenge.

    In FILE it is trusted by your word; a signed challenge proves that the account holds its key.
    """
    if (file is None) == (signed is None):
        refuse("Name either the certificate's FILE, or a challenge that it signed by --signed FILE.", Exit.USAGE)
    now = system_clock()
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        if signed is not None:
            try:
                proof = read_proof(signed)
            except ProofRefused as error:
                refuse(f"{error}.")
            if not certificates.use_challenge(connection, account_id, proof.nonce, now):
                refuse(
                    f"{signed} is no open challenge of account {account_id}: it was used before, is older than a week, "
                    "or is another account's. Make another with hwdash admin certificate challenge."
                )
            wanted = proof.certificate
        elif file is not None:
            wanted = read_certificate(file)
        added = certificates.add_signing_certificate(connection, account_id, wanted, now, is_proven=signed is not None)
    click.echo(
        f"registered {added.kind} certificate {added.thumbprint}: {added.subject}, until {added.not_after:%Y-%m-%d}"
    )


@certificate.command("list")
@ACCOUNT
@json_option
@data_option
def list_certificates(account: int | None, as_json: bool, data: Path | None) -> None:
    """List an account's certificates, with the days left of each; warns of those that end within 60 days."""
    now = system_clock()
    with transaction(data) as connection:
        known = certificates.signing_certificates_of(connection, account_named(connection, account))
    for each in known:
        if warning := certificates.expiry_warning(each, now):
            say(f"warning: {warning}")
    rows = [
        {
            "thumbprint": each.thumbprint,
            "kind": each.kind,
            "subject": each.subject,
            "notAfter": each.not_after.isoformat(),
            "daysLeft": each.days_left(now),
            "proven": each.is_proven,
        }
        for each in known
    ]
    if as_json:
        print_json({"certificates": rows})
        return
    print_table(("thumbprint", "kind", "daysLeft", "proven", "subject"), rows)


@certificate.command("remove")
@click.argument("thumbprint")
@ACCOUNT
@data_option
def remove_certificate(thumbprint: str, account: int | None, data: Path | None) -> None:
    """Retire the certificate of THUMBPRINT (SHA-256): packages signed with it are refused from now on."""
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        if not certificates.remove_signing_certificate(connection, account_id, thumbprint):
            refuse(f"account {account_id} has no certificate {thumbprint}; hwdash admin certificate list tells which.")
    click.echo(f"removed {thumbprint}")
