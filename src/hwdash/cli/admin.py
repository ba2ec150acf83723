"""``hwdash admin``: the service's side, beside a running service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import sqlalchemy as sa
from cryptography import x509

from hwdash.cli.lazy import LazyGroup
from hwdash.cli.output import Exit, Refused, print_json, refuse
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.clock import system_clock
from hwdash.storage.accounts import (
    add_application_certificate,
    add_signing_certificate,
    all_accounts,
    set_policy,
    set_roles,
    signing_certificates_of,
)
from hwdash.storage.database import Database
from hwdash.vocabulary import Role

REVIEW = {"review": ("hwdash.cli.review", "review", "The submissions that wait for a person's review.")}


@click.group(cls=LazyGroup, commands_in=REVIEW)
def admin() -> None:
    """Administer the service: accounts, applications, certificates. Works while the service runs."""


@contextmanager
def transaction(data: Path | None) -> Iterator[sa.Connection]:
    """A writing transaction on the service's database; what it refuses ends the command."""
    settings = existing_service(data)
    with told_plainly():
        database = Database(settings.database)
        try:
            database.create()
            with database.writing() as connection:
                yield connection
        finally:
            database.close()


def _account(connection: sa.Connection, wanted: int | None) -> int:
    known = [each.id for each in all_accounts(connection)]
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted in known:
        return wanted
    known_ids = ", ".join(map(str, known)) or "none"
    raise Refused(f"Name the account with --account: there are {known_ids}.", Exit.USAGE)


def _certificate(file: Path) -> x509.Certificate:
    content = file.read_bytes()
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError as error:
        refuse(f"{file} is not a certificate in PEM or DER: {error}", Exit.USAGE)


ACCOUNT = click.option("--account", type=int, metavar="SELLERID", help="The account [the only one].")
FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@admin.group()
def account() -> None:
    """Accounts."""


@account.command("list")
@data_option
def list_accounts(data: Path | None) -> None:
    """List the accounts as one JSON object."""
    with transaction(data) as connection:
        known = [{"id": each.id, "tenantId": each.tenant_id, "name": each.name} for each in all_accounts(connection)]
    print_json({"accounts": known})


@account.command()
@click.option(
    "--manual-review", required=True, type=click.Choice(["on", "off"]), help="Ask for a person's word before signing."
)
@ACCOUNT
@data_option
def policy(manual_review: str, account: int | None, data: Path | None) -> None:
    """Change an account's policy; it counts for steps that begin from now on."""
    with transaction(data) as connection:
        account_id = _account(connection, account)
        set_policy(connection, account_id, {"manualReview": manual_review == "on"})
    click.echo(f"account {account_id}: manual review is {manual_review}")


@admin.group()
def certificate() -> None:
    """The certificates that an account's packages may be signed with."""


@certificate.command("add")
@FILE
@ACCOUNT
@data_option
def add_certificate(file: Path, account: int | None, data: Path | None) -> None:
    """Register the certificate in FILE (PEM or DER; of several in PEM the first). It is trusted by registration."""
    with transaction(data) as connection:
        added = add_signing_certificate(connection, _account(connection, account), _certificate(file), system_clock())
    click.echo(
        f"registered {added.kind} certificate {added.thumbprint}: {added.subject}, until {added.not_after:%Y-%m-%d}"
    )


@certificate.command("list")
@ACCOUNT
@data_option
def list_certificates(account: int | None, data: Path | None) -> None:
    """List an account's certificates as one JSON object."""
    with transaction(data) as connection:
        known = signing_certificates_of(connection, _account(connection, account))
    print_json(
        {
            "certificates": [
                {
                    "thumbprint": each.thumbprint,
                    "kind": each.kind,
                    "subject": each.subject,
                    "notAfter": each.not_after.isoformat(),
                }
                for each in known
            ]
        }
    )


@admin.group()
def app() -> None:
    """Applications: the programs that may call the API."""


@app.command("certificate")
@click.argument("client_id")
@FILE
@data_option
def add_app_certificate(client_id: str, file: Path, data: Path | None) -> None:
    """Register the certificate in FILE by which CLIENT_ID signs its assertions."""
    with transaction(data) as connection:
        thumbprint = add_application_certificate(connection, client_id, _certificate(file), system_clock())
    click.echo(f"registered {thumbprint}")


@app.command("roles")
@click.argument("client_id")
@click.argument("roles", nargs=-1, required=True, type=click.Choice([*Role], case_sensitive=False))
@data_option
def change_roles(client_id: str, roles: tuple[str, ...], data: Path | None) -> None:
    """Give CLIENT_ID these ROLES instead of the ones it has."""
    with transaction(data) as connection:
        set_roles(connection, client_id, [Role(each) for each in roles])
    click.echo(f"{client_id}: {', '.join(Role(each) for each in roles)}")
