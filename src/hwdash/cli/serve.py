"""``hwdash serve``: run the service."""

import logging
import os
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hwdash.cli.output import refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.clock import system_clock
from hwdash.server.app import create_service
from hwdash.server.data_folder import DataFolderLock
from hwdash.server.setup import tls_files
from hwdash.settings import DEFAULT_PORT, DEFAULT_URL, Settings

BACKLOG = 512
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with what the operator chose


@click.command()
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port; 0 takes a free one.",
)
@click.option("--no-tls", is_flag=True, help="Plain HTTP, for behind a proxy that ends TLS.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def serve(data: Path | None, host: str, port: int, no_tls: bool, log_level: str) -> None:
    """Run the service until it is interrupted. Prints "listening on URL" when it is ready."""
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    settings = existing_service(data)
    with told_plainly(), DataFolderLock(settings.data):
        listening = _listen(host, port)
        url = _public_url(settings, listening.getsockname()[1], no_tls=no_tls)
        config = uvicorn.Config(
            create_service(settings, public_url=url).app,
            loop="uvloop",
            http=_Protocol,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=10,
            backlog=BACKLOG,
        )
        if not no_tls:
            files = tls_files(settings, _names(url, host), system_clock())
            if files.is_new_ca:
                say(f"a new TLS CA was made: clients must trust {files.ca_certificate}")
            config.load()
            config.ssl = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            config.ssl.load_cert_chain(files.certificate_and_key, password=files.passphrase)
        server = _Server(config, url)
        with suppress(KeyboardInterrupt):  # the server has shut down by then
            server.run(sockets=[listening])
    if not server.started:
        refuse("the service did not start; the log above says why")
    # A step that is still running is run again at the next start, as after a kill: do not wait for its thread.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


class _Protocol(HttpToolsProtocol):
    """Ends idle connections at once when the service stops: over TLS, an idle client answers no polite close."""

    def shutdown(self) -> None:
        """Stop: now where nothing is under way, else after the answer."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            self.cycle.keep_alive = False


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            click.echo(f"listening on {self._url}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        refuse(f"{host}:{port} cannot be listened on: {error.strerror}. Choose another with --port.")
    listening.set_inheritable(False)
    return listening


def _names(url: str, host: str) -> list[str]:
    """The names that the server's certificate is for: the one in the links, and the address listened on."""
    public = urlsplit(url).hostname or "localhost"
    return [public] if host in EVERY_ADDRESS else [public, host]


def _public_url(settings: Settings, port: int, *, no_tls: bool) -> str:
    """The configured public URL; without one, this machine's own name for the port that was taken."""
    if settings.public_url != DEFAULT_URL:
        return settings.public_url
    return f"{'http' if no_tls else 'https'}://localhost:{port}"
