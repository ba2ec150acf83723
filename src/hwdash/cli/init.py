"""``hwdash init``: a new service."""

from pathlib import Path
from urllib.parse import urlsplit

import click

from hwdash.cli.output import Exit, print_json, refuse
from hwdash.cli.service_options import data_option, settings_of, told_plainly
from hwdash.clock import system_clock
from hwdash.server.setup import AlreadyMade, make_service


@click.command()
@data_option
@click.option(
    "--account", "account_name", default="First account", show_default=True, help="The first account's publisher name."
)
@click.option(
    "--application",
    "application_name",
    default="First application",
    show_default=True,
    help="The first application's name.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(data: Path | None, account_name: str, application_name: str, as_json: bool) -> None:
    """Make a new service: data folder, keys, certificates, first account and application.

    The client's key is printed once and stored nowhere.
    """
    settings = settings_of(data)
    host = urlsplit(settings.public_url).hostname or "localhost"
    try:
        with told_plainly():
            made = make_service(
                settings, account_name=account_name, application_name=application_name, hosts=[host], now=system_clock()
            )
    except AlreadyMade as error:
        refuse(str(error), Exit.USAGE)
    if as_json:
        print_json(
            {
                "tenantId": made.tenant_id,
                "clientId": made.client_id,
                "clientSecret": made.client_secret,
                "url": settings.public_url,
                "caCertificate": str(made.ca_certificate),
                "rootCertificate": str(made.root_certificate),
                "accountId": made.account_id,
                "data": str(settings.data),
            }
        )
        return
    for name, value in (
        ("data folder", settings.data),
        ("url", settings.public_url),
        ("tenant id", made.tenant_id),
        ("client id", made.client_id),
        ("client secret", made.client_secret),
        ("account (seller id)", made.account_id),
        ("TLS CA certificate", made.ca_certificate),
        ("root certificate of signatures", made.root_certificate),
    ):
        click.echo(f"{name}: {value}")
    click.echo("The client secret is shown this once.", err=True)
