"""``hwdash sandbox up`` and ``down``: a sandbox for as long as it is wanted."""

import atexit
import importlib
import logging
import os
import shlex
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwdash.cli.output import print_json, refuse, say
from hwdash.cli.sandbox_options import certificate_option, scenario_option
from hwdash.cli.service_options import told_plainly
from hwdash.sandbox.separation import check_sandbox
from hwdash.sandbox.throwaway import Opened, open_sandbox
from hwdash.server.data_folder import stop_service
from hwdash.settings import Settings, load_settings

if TYPE_CHECKING:
    from hwdash.signing.process import SignerProcess

STOP_SECONDS = 30


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The sandbox's data folder, made when there is none [a new one, thrown away at the end].",
)
@click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="The port; 0 takes a free one."
)
@certificate_option
@scenario_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines for a shell.")
def up(data: Path | None, port: int, certificates: tuple[Path, ...], scenario: str, as_json: bool) -> None:
    """Start a sandbox, print what its clients need, and serve it until it is interrupted.

    A sandbox that is there before gives its first application one more secret each time.
    """
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with told_plainly():
        folder = None if data else Path(tempfile.mkdtemp(prefix="hwdash-sandbox-"))
        # A throwaway sandbox takes nothing from the settings of another service.
        settings = load_settings(data) if folder is None else load_settings(folder / "data", {})
        if folder is not None:
            atexit.register(_throw_away, folder)
        # The service takes as long to load as the keys to be made and the signer to be started: both at once.
        with ThreadPoolExecutor(1) as thread:
            opening = thread.submit(_open, settings, certificates, scenario)
            serving = importlib.import_module("hwdash.cli.serving")
            opened, signer = opening.result()
        serving.stop_politely_on_sigterm()
        serving.serve_until_stopped(
            settings,
            serving.listen("127.0.0.1", port),
            no_tls=False,
            impersonate=False,
            ready=lambda url: _tell(settings, opened, url, as_json=as_json),
            stopped=lambda: _throw_away(folder),
            signer=signer,
        )


@click.command()
@click.option(
    "--data", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="The sandbox's data folder, as up printed it.",
)  # fmt: skip
def down(data: Path) -> None:
    """Stop the sandbox that runs over a data folder, and wait until it has ended."""
    with told_plainly():
        check_sandbox(Settings(data=data))
        if not stop_service(data, STOP_SECONDS):
            refuse(f"No sandbox runs over {data}.")
    say(f"stopped the sandbox over {data}")


def _open(settings: Settings, certificates: tuple[Path, ...], scenario: str) -> "tuple[Opened, SignerProcess]":
    opened = open_sandbox(settings, certificates, scenario)
    # Loaded by the other thread meanwhile.
    return opened, importlib.import_module("hwdash.server.checked_signer").start_checked_signer(settings)


def _throw_away(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(settings: Settings, opened: Opened, url: str, *, as_json: bool) -> None:
    made = opened.service
    if as_json:
        given = {
            "url": url,
            "tenantId": made.tenant_id,
            "clientId": made.client_id,
            "clientSecret": made.client_secret,
            "caCertificate": str(made.ca_certificate),
            "rootCertificate": str(made.root_certificate),
            "accountId": made.account_id,
            "data": str(settings.data),
            "pid": os.getpid(),
        }
        print_json(given | ({"sandboxToken": opened.token} if opened.token else {}))
        return
    for name, value in (
        ("HWDASH_URL", url),
        ("HWDASH_TENANT_ID", made.tenant_id),
        ("HWDASH_CLIENT_ID", made.client_id),
        ("HWDASH_CLIENT_SECRET", made.client_secret),
        ("HWDASH_CA", made.ca_certificate),
        *((("HWDASH_SANDBOX_TOKEN", opened.token),) if opened.token else ()),
    ):
        click.echo(f"export {name}={shlex.quote(str(value))}")
    say(f"serving {settings.data} until it is interrupted")
