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
    add_secret,
    add_signing_certificate,
    all_accounts,
    create_account,
    create_application,
    remove_signing_certificate,
    set_policy,
    set_roles,
    signing_certificates_of,
)
from hwdash.storage.database import Database
from hwdash.vocabulary import FIRST_ROLES, Role

ELSEWHERE = {
    "review": ("hwdash.cli.review", "review", "The submissions that wait for a person's review."),
    "audience": ("hwdash.cli.admin_audience", "audience", "The audiences of an account."),
}


@click.group(cls=LazyGroup, commands_in=ELSEWHERE)
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


def account_named(connection: sa.Connection, wanted: int | None) -> int:
    """The account of this seller id, or the only one there is; what it refuses ends the command."""
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


ROLE = click.Choice([str(each) for each in Role], case_sensitive=False)
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


@account.command("create")
@click.argument("name")
@data_option
def new_account(name: str, data: Path | None) -> None:
    """Make an account with the publisher NAME; prints one JSON object."""
    with transaction(data) as connection:
        made = create_account(connection, name, system_clock(), policy={"manualReview": False})
    print_json({"id": made.id, "tenantId": made.tenant_id, "name": made.name})


@account.command()
@click.option(
    "--manual-review", required=True, type=click.Choice(["on", "off"]), help="Ask for a person's word before signing."
)
@ACCOUNT
@data_option
def policy(manual_review: str, account: int | None, data: Path | None) -> None:
    """Change an account's policy; it counts for steps that begin from now on."""
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        known = next(each.policy for each in all_accounts(connection) if each.id == account_id)
        set_policy(connection, account_id, known | {"manualReview": manual_review == "on"})
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
        added = add_signing_certificate(
            connection, account_named(connection, account), _certificate(file), system_clock()
        )
    click.echo(
        f"registered {added.kind} certificate {added.thumbprint}: {added.subject}, until {added.not_after:%Y-%m-%d}"
    )


@certificate.command("list")
@ACCOUNT
@data_option
def list_certificates(account: int | None, data: Path | None) -> None:
    """List an account's certificates as one JSON object."""
    with transaction(data) as connection:
        known = signing_certificates_of(connection, account_named(connection, account))
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


@certificate.command("remove")
@click.argument("thumbprint")
@ACCOUNT
@data_option
def remove_certificate(thumbprint: str, account: int | None, data: Path | None) -> None:
    """Retire the certificate of THUMBPRINT (SHA-256): packages signed with it are refused from now on."""
    with transaction(data) as connection:
        account_id = account_named(connection, account)
        if not remove_signing_certificate(connection, account_id, thumbprint):
            refuse(f"account {account_id} has no certificate {thumbprint}; hwdash admin certificate list tells which.")
    click.echo(f"removed {thumbprint}")


@admin.group()
def app() -> None:
    """Applications: the programs that may call the API."""


@app.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, type=ROLE, help="A role; give it once for each [those of init].")
@ACCOUNT
@data_option
def new_app(name: str, roles: tuple[str, ...], account: int | None, data: Path | None) -> None:
    """Make an application with a client secret; prints one JSON object, the secret this once."""
    with transaction(data) as connection:
        made = create_application(
            connection, account_named(connection, account), name, roles or FIRST_ROLES, system_clock()
        )
        secret = add_secret(connection, made.client_id, system_clock())
    print_json({"tenantId": made.tenant_id, "clientId": made.client_id, "clientSecret": secret.secret})


@app.command("secret")
@click.argument("client_id")
@data_option
def new_secret(client_id: str, data: Path | None) -> None:
    """Make another client secret of CLIENT_ID; prints one JSON object, the secret this once."""
    with transaction(data) as connection:
        secret = add_secret(connection, client_id, system_clock())
    print_json({"clientSecret": secret.secret, "expiresAt": secret.expires_at.isoformat()})


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
@click.argument("roles", nargs=-1, required=True, type=ROLE)
@data_option
def change_roles(client_id: str, roles: tuple[str, ...], data: Path | None) -> None:
    """Give CLIENT_ID these ROLES instead of the ones it has."""
    with transaction(data) as connection:
        set_roles(connection, client_id, [Role(each) for each in roles])
    click.echo(f"{client_id}: {', '.join(Role(each) for each in roles)}")
