"""``hwdash signer``: the signer of a service that another user runs."""

import logging
import os
from pathlib import Path

import click

from hwdash.cli.output import say
from hwdash.cli.service_options import data_option, settings_of, told_plainly
from hwdash.pipeline.examination import examiner_words
from hwdash.server.keys import keys_folder
from hwdash.signing.process import SignerStart
from hwdash.signing.signer_socket import Listener, bound, user_id


@click.command()
@data_option
@click.option(
    "--socket",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="The Unix socket to listen at; in a folder that this user alone may write to.",
)
@click.option("--user", required=True, help="The user who runs the service, by name or number; no other is served.")
def signer(data: Path | None, path: Path, user: str) -> None:
    """Sign for a service that another user runs, until it is interrupted. Prints "listening at PATH" when it is ready.

    The service finds it by its setting signer_socket. Keys and passphrase are this user's alone.
    """
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = settings_of(data)
    with told_plainly():
        served = user_id(user)
        if served == os.getuid():
            say("The service runs as this same user: a signer of its own keeps nothing from it.")
        start = SignerStart.of(keys_folder(settings.data), crl_url=settings.crl_url, examiner=examiner_words(settings))
        with bound(path) as listening:
            click.echo(f"listening at {path}")
            Listener(listening, served, start).serve()
