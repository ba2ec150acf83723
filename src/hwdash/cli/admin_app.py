"""``hwdash admin app``."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes

from hwdash.cli.admin_options import ACCOUNT, FILE, ROLE, account_named, read_certificate, transaction
from hwdash.cli.output import json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.cli.two_people import Rule, two_people
from hwdash.clock import system_clock
from hwdash.storage import accounts, certificates
from hwdash.storage.accounts import ROTATION_GRACE, SECRET_LIFETIME, Application, NewSecret
from hwdash.vocabulary import FIRST_ROLES, Role

CLIENT_ID = click.argument("client_id")
DAYS = click.option(
    "--days",
    default=SECRET_LIFETIME.days,
    show_default=True,
    type=click.IntRange(1, 3650),
    help="For how many days the secret is good.",
)


@click.group()
def app() -> None:
    """Applications: the programs that may call the API."""


@app.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, type=ROLE, help="A role; give it once for each [those of init].")
@click.option("--client-id", metavar="GUID", help="Its id in Entra, whose tokens it brings: no secret is made.")
@ACCOUNT
@two_people(Rule.ROLE_GRANTS)
@data_option
def new_app(name: str, roles: tuple[str, ...], client_id: str | None, account: int | None, data: Path | None) -> None:
    """Make an application with a client secret; prints one JSON object, the secret this once."""
    now = system_clock()
    with transaction(data) as connection:
        chosen = [Role(each) for each in roles] or FIRST_ROLES
        made = accounts.create_application(
            connection, account_named(connection, account), name, chosen, now, client_id=client_id
        )
        printed = {"tenantId": made.tenant_id, "clientId": made.client_id}
        if client_id is None:
            printed["clientSecret"] = accounts.add_secret(connection, made.client_id, now).secret
    print_json(printed)


@app.command("list")
@ACCOUNT
@json_option
@data_option
def list_apps(account: int | None, as_json: bool, data: Path | None) -> None:
    """List an account's applications."""
    with transaction(data) as connection:
        known = accounts.applications_of(connection, account_named(connection, account))
    if as_json:
        print_json({"applications": [_to_json(each) for each in known]})
        return
    print_table(
        ("clientId", "state", "name", "roles"),
        [_to_json(each) | {"roles": ", ".join(each.roles)} for each in known],
    )


@app.command("show")
@CLIENT_ID
@json_option
@data_option
def show_app(client_id: str, as_json: bool, data: Path | None) -> None:
    """Show an application: its roles, and its secrets and certificates with their ends."""
    with transaction(data) as connection:
        shown = _shown(connection, client_id)
    if as_json:
        print_json(shown)
        return
    for name in ("name", "clientId", "tenantId", "accountId", "state"):
        click.echo(f"{name}: {shown[name]}")
    click.echo(f"roles: {', '.join(shown['roles'])}")
    for secret in shown["secrets"]:
        click.echo(f"secret {secret['id']}: until {secret['expiresAt']}, {secret['daysLeft']} days left")
    for each in shown["certificates"]:
        click.echo(f"certificate {each['thumbprint']}: until {each['notAfter']}, {each['daysLeft']} days left")


@app.command("secret")
@CLIENT_ID
@DAYS
@two_people(Rule.ROLE_GRANTS)
@data_option
def new_secret(client_id: str, days: int, data: Path | None) -> None:
    """Make another client secret of CLIENT_ID; prints one JSON object, the secret this once."""
    with transaction(data) as connection:
        made = accounts.add_secret(connection, client_id, system_clock(), timedelta(days=days))
    _print_secret(made)


@app.command("rotate-secret")
@CLIENT_ID
@click.option(
    "--grace",
    default=ROTATION_GRACE.days,
    show_default=True,
    type=click.IntRange(0, 365),
    help="For how many days the secrets before it stay good; 0 ends them now.",
)
@DAYS
@two_people(Rule.ROLE_GRANTS)
@data_option
def rotate(client_id: str, grace: int, days: int, data: Path | None) -> None:
    """Make a new client secret in place of those before it; prints one JSON object, the secret this once."""
    with transaction(data) as connection:
        made = accounts.rotate_secret(
            connection, client_id, system_clock(), grace=timedelta(days=grace), lifetime=timedelta(days=days)
        )
    _print_secret(made)


@app.command("remove-secret")
@CLIENT_ID
@click.argument("secret_id")
@data_option
def remove_secret(client_id: str, secret_id: str, data: Path | None) -> None:
    """End the secret SECRET_ID of CLIENT_ID now."""
    with transaction(data) as connection:
        if not accounts.remove_secret(connection, client_id, secret_id):
            refuse(f"{client_id} has no secret {secret_id}; hwdash admin app show {client_id} tells which there are.")
    click.echo(f"removed {secret_id}")


@app.command("certificate")
@CLIENT_ID
@FILE
@two_people(Rule.ROLE_GRANTS)
@data_option
def add_app_certificate(client_id: str, file: Path, data: Path | None) -> None:
    """Register the certificate in FILE by which CLIENT_ID signs its assertions."""
    with transaction(data) as connection:
        thumbprint = certificates.add_application_certificate(
            connection, client_id, read_certificate(file), system_clock()
        )
    click.echo(f"registered {thumbprint}")


@app.command("remove-certificate")
@CLIENT_ID
@click.argument("thumbprint")
@data_option
def remove_app_certificate(client_id: str, thumbprint: str, data: Path | None) -> None:
    """End the sign-in of CLIENT_ID by the certificate of THUMBPRINT (SHA-256) now."""
    with transaction(data) as connection:
        if not certificates.remove_application_certificate(connection, client_id, thumbprint):
            refuse(
                f"{client_id} has no certificate {thumbprint}; hwdash admin app show {client_id} tells which there are."
            )
    click.echo(f"removed {thumbprint}")


@app.command("roles")
@CLIENT_ID
@click.argument("roles", nargs=-1, required=True, type=ROLE)
@two_people(Rule.ROLE_GRANTS)
@data_option
def change_roles(client_id: str, roles: tuple[str, ...], data: Path | None) -> None:
    """Give CLIENT_ID these ROLES instead of the ones it has."""
    with transaction(data) as connection:
        accounts.set_roles(connection, client_id, [Role(each) for each in roles])
    click.echo(f"{client_id}: {', '.join(Role(each) for each in roles)}")


@app.command("disable")
@CLIENT_ID
@data_option
def disable(client_id: str, data: Path | None) -> None:
    """Bar CLIENT_ID from the next request on."""
    _set_disabled(client_id, data, disabled=True)


@app.command("enable")
@CLIENT_ID
@two_people(Rule.ROLE_GRANTS)
@data_option
def enable(client_id: str, data: Path | None) -> None:
    """Let CLIENT_ID in again."""
    _set_disabled(client_id, data, disabled=False)


@app.command("remove")
@CLIENT_ID
@data_option
def remove(client_id: str, data: Path | None) -> None:
    """End the association of CLIENT_ID with its account, its secrets with it. What it submitted stays."""
    with transaction(data) as connection:
        accounts.remove_application(connection, client_id)
    click.echo(f"removed {client_id}")


def _set_disabled(client_id: str, data: Path | None, *, disabled: bool) -> None:
    with transaction(data) as connection:
        accounts.set_application_disabled(connection, client_id, disabled=disabled)
    click.echo(f"{client_id} is {'disabled' if disabled else 'enabled'}")


def _print_secret(made: NewSecret) -> None:
    print_json({"id": made.id, "clientSecret": made.secret, "expiresAt": made.expires_at.isoformat()})


def _state(shown: Application) -> str:
    return "disabled" if shown.is_disabled else "enabled"


def _to_json(shown: Application) -> dict[str, Any]:
    return {
        "clientId": shown.client_id,
        "name": shown.name,
        "roles": list(shown.roles),
        "state": _state(shown),
        "createdAt": shown.created_at.isoformat(),
    }


def _shown(connection: sa.Connection, client_id: str) -> dict[str, Any]:
    found = accounts.application(connection, client_id)
    if found is None:
        refuse(f"There is no application {client_id}; hwdash admin app list tells which there are.")
    now = system_clock()
    return _to_json(found) | {
        "accountId": found.account_id,
        "tenantId": found.tenant_id,
        "secrets": [
            {
                "id": each.id,
                "createdAt": each.created_at.isoformat(),
                "expiresAt": each.expires_at.isoformat(),
                "daysLeft": (each.expires_at - now).days,
            }
            for each in accounts.secrets_of(connection, client_id)
        ],
        "certificates": [
            {
                "thumbprint": each.fingerprint(hashes.SHA256()).hex(),
                "notAfter": each.not_valid_after_utc.isoformat(),
                "daysLeft": (each.not_valid_after_utc - now).days,
            }
            for each in certificates.certificates_of(connection, client_id)
        ],
    }
