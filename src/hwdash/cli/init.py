"""``hwdash init``: a new service."""

from pathlib import Path
from urllib.parse import urlsplit

import click

from hwdash.cli.output import Exit, print_json, refuse, say
from hwdash.cli.service_options import data_option, settings_of, told_plainly
from hwdash.sandbox.separation import make_release, make_sandbox
from hwdash.server.setup import AlreadyMade


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
@click.option("--sandbox", is_flag=True, help="A sandbox, to rehearse in: its keys can release nothing.")
@click.option(
    "--root-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write the keys of the roots, to be carried away [root-key.pem in the data folder].",
)
@click.option(
    "--token",
    default="",
    metavar="URI",
    help="A PKCS#11 token or a key vault to make the signing keys in: pkcs11:… or azure-key-vault:… [encrypted files].",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(
    data: Path | None,
    account_name: str,
    application_name: str,
    sandbox: bool,
    root_key: Path | None,
    token: str,
    as_json: bool,
) -> None:
    """Make a new service: data folder, keys, certificates, first account and application.

    The client's key and the passphrase of the root keys are printed once and stored nowhere.
    """
    if sandbox and (root_key or token):
        refuse("A sandbox keeps no root keys and needs no token: leave --root-key and --token out.", Exit.USAGE)
    settings = settings_of(data)
    host = urlsplit(settings.public_url).hostname or "localhost"
    try:
        with told_plainly():
            names = {"account_name": account_name, "application_name": application_name}
            if sandbox:
                made, token = make_sandbox(settings, hosts=[host], **names)
            else:
                made, token = make_release(settings, hosts=[host], root_key=root_key, token=token, **names), ""
    except AlreadyMade as error:
        refuse(str(error), Exit.USAGE)
    if as_json:
        more = {"sandboxToken": token} if token else {}
        more |= {"rootKey": str(made.root_key)} if made.root_key else {}
        more |= {"rootPassphrase": made.root_passphrase} if made.root_passphrase else {}
        print_json(
            more
            | {
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
        *((("sandbox token", token),) if token else ()),
        *((("root keys", made.root_key),) if made.root_key else ()),
        *((("passphrase of the root keys", made.root_passphrase),) if made.root_passphrase else ()),
    ):
        click.echo(f"{name}: {value}")
    also = " and the sandbox token" if token else " and the passphrase" if made.root_passphrase else ""
    say(f"The client secret{also} {'are' if also else 'is'} shown this once.")
    if made.root_key:
        say(f"Carry {made.root_key} away: the service never needs it. docs/how-to/keep-the-keys.md says when you do.")
