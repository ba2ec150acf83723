"""``hwdash login`` and ``hwdash logout``: a person instead of an application."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import httpx

from hwdash.cli.connection import Connection, load_connection, profile_option
from hwdash.cli.kept_sign_ins import KeptSignIns
from hwdash.cli.output import Exit, refuse, say
from hwdash.sdk.auth import sign_in, sign_out
from hwdash.sdk.client import trust
from hwdash.sdk.errors import AuthenticationError, TransportError


@click.command()
@profile_option
def login(profile: str | None) -> None:
    """Sign in as a person; the other commands act for them where no client secret is given."""
    connection = load_connection(profile, needs_caller=False)
    with _told(connection) as http:
        refresh_token = sign_in(http, connection.authority, connection.tenant_id, say)
    KeptSignIns.of().keep(connection.authority, connection.tenant_id, refresh_token)
    say(f"signed in to {connection.url}")


@click.command()
@profile_option
def logout(profile: str | None) -> None:
    """End the sign-in, here and at the service."""
    connection = load_connection(profile, needs_caller=False)
    refresh_token = KeptSignIns.of().take(connection.authority, connection.tenant_id)
    if refresh_token is None:
        refuse(f"Nobody is signed in to {connection.url}.")
    with _told(connection) as http:
        sign_out(http, connection.authority, connection.tenant_id, refresh_token)
    say(f"signed out of {connection.url}")


@contextmanager
def _told(connection: Connection) -> Iterator[httpx.Client]:
    try:
        with httpx.Client(verify=trust(connection.ca or True), timeout=60) as http:
            yield http
    except AuthenticationError as error:
        refuse(str(error), Exit.UNAUTHORISED)
    except TransportError as error:
        refuse(str(error), Exit.UNREACHABLE)
