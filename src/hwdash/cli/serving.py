"""A service on a socket until it is interrupted: what ``hwdash serve`` and ``hwdash sandbox up`` share."""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from hwdash.cli.output import refuse, say
from hwdash.clock import system_clock
from hwdash.sandbox.mark import mark_of
from hwdash.sandbox.separation import API_HOST, LOGIN_HOST, sandbox_tls
from hwdash.sandbox.stage import create_sandbox
from hwdash.server.app import create_service
from hwdash.server.connection import Connection
from hwdash.server.data_folder import DataFolderLock
from hwdash.server.setup import tls_files
from hwdash.server.tls import server_context
from hwdash.settings import DEFAULT_URL, Settings
from hwdash.signing.authority import TlsFiles
from hwdash.signing.process import SignerProcess

BACKLOG = 512
EVERY_ADDRESS = ("0.0.0.0", "::")  # nosec B104 # noqa: S104 - compared with what the operator chose
FIRST_INHERITED = 3  # sd_listen_fds(3)
COLLECT_EVERY = 50_000


def serve_until_stopped(
    settings: Settings,
    listening: socket.socket,
    *,
    no_tls: bool,
    impersonate: bool,
    ready: Callable[[str], None],
    stopped: Callable[[], object] = lambda: None,
    signer: SignerProcess | None = None,
) -> None:
    """Serve a data folder on this socket, then end the process. ``ready`` is called with the URL once it answers,
    ``stopped`` when it has stopped.

    ``impersonate`` builds links for Microsoft's own host names, which clients reach at port 443. ``signer`` is the
    signer of the folder where it has been started already.
    """
    gc.set_threshold(COLLECT_EVERY, 20, 20)
    host, port = listening.getsockname()[:2]
    local_url = _local_url(settings, port, no_tls=no_tls)
    with DataFolderLock(settings.data):
        app = _application(settings, local_url, signer, impersonate=impersonate)
        tls = None if no_tls else _tls(settings, _names(local_url, host))
        run_application(app, listening, tls, ready=lambda: ready(local_url))
    stopped()
    # A step that is still running is run again at the next start, as after a kill: do not wait for its thread.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def run_application(
    app: ASGIApp,
    listening: socket.socket,
    tls: TlsFiles | None,
    *,
    ready: Callable[[], None],
    lifespan: bool = True,
) -> None:
    """Serve an application until it is interrupted. One that does not start ends the command."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        lifespan="on" if lifespan else "off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=10,
        backlog=BACKLOG,
    )
    if tls is not None:
        config.load()
        config.ssl = server_context(tls)
    server = _Server(config, ready)
    with suppress(KeyboardInterrupt):  # the server has shut down by then
        server.run(sockets=[listening])
    if not server.started:
        refuse("the service did not start; the log above says why")


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; a port that cannot be had ends the command."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        refuse(f"{host}:{port} cannot be listened on: {error.strerror}. Choose another with --port.")
    listening.set_inheritable(False)
    return listening


def stop_politely_on_sigterm() -> None:
    """Let SIGTERM stop a command as Ctrl-C does: uvicorn raises it once more when it has shut down."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def inherited_socket() -> socket.socket | None:
    """The socket that a supervisor opened for this process, by systemd's protocol (sd_listen_fds(3)); None without."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    listening = socket.socket(fileno=FIRST_INHERITED)
    listening.set_inheritable(False)
    return listening


def _application(settings: Settings, local_url: str, signer: SignerProcess | None, *, impersonate: bool) -> ASGIApp:
    public_url, login_url = (f"https://{API_HOST}", f"https://{LOGIN_HOST}") if impersonate else (local_url, local_url)
    if mark_of(settings.data) is None:
        return create_service(settings, public_url=public_url, signer=signer).app
    return create_sandbox(settings, public_url=public_url, login_url=login_url, signer=signer)


def _tls(settings: Settings, names: list[str]) -> TlsFiles:
    make = sandbox_tls if mark_of(settings.data) is not None else tls_files
    files = make(settings, names, system_clock())
    if files.is_new_ca:
        say(f"a new TLS CA was made: clients must trust {files.ca_certificate}")
    return files


class _Server(uvicorn.Server):
    """Says that it listens once it does."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            # What is loaded stays. A label of 10,000 hardware ids makes so many objects that the collector would walk
            # all of it again and again.
            gc.freeze()
            self._ready()


def _names(url: str, host: str) -> list[str]:
    """The names that the server's certificate is for: the one in the links, and the address listened on."""
    public = urlsplit(url).hostname or "localhost"
    return [public] if host in EVERY_ADDRESS else [public, host]


def _local_url(settings: Settings, port: int, *, no_tls: bool) -> str:
    """The configured public URL; without one, this machine's own name for the port that was taken."""
    if settings.public_url != DEFAULT_URL:
        return settings.public_url
    return f"{'http' if no_tls else 'https'}://localhost:{port}"
