"""``hwdash sandbox record``, ``replay`` and ``compare``: what a server really answers, kept, served and compared."""

import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
from starlette.types import ASGIApp

from hwdash.cli.connection import MICROSOFT, Connection, load_connection, profile_option
from hwdash.cli.output import Exit, print_json, refuse, say
from hwdash.cli.service_options import told_plainly
from hwdash.cli.serving import listen, run_application, stop_politely_on_sigterm
from hwdash.clock import system_clock
from hwdash.sandbox.comparison import compare as compare_recording
from hwdash.sandbox.comparison import is_upload
from hwdash.sandbox.recorder import Recorder
from hwdash.sandbox.recording import Recorded, RecordingError, RecordingFile, read_recording
from hwdash.sandbox.replay import Replay
from hwdash.sdk.auth import ClientSecret
from hwdash.sdk.errors import AuthenticationError, TransportError
from hwdash.signing.authority import ensure_tls
from hwdash.signing.keys import KeyFolder

TIMEOUT_SECONDS = 300
RECORDING = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
PORT = click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="The port; 0 takes a free one."
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--upstream", required=True, metavar="URL", help="The server to record.")
@click.option("--login", metavar="URL", help="Its token endpoint's host [Microsoft's for Microsoft's].")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The CA certificate of the server, when the system does not trust it.",
)  # fmt: skip
@PORT
def record(file: Path, upstream: str, login: str | None, ca: Path | None, port: int) -> None:
    """Stand between a client and a server, and write what passes into FILE, without secrets, until interrupted.

    Prints one JSON object with url and caCertificate, for the client.
    """
    for name, value in (("--upstream", upstream), ("--login", login)):
        if value is not None and not (value.startswith(("https://", "http://")) and urlsplit(value).hostname):
            refuse(f"{name} must be an address that begins with https://, not {value!r}.", Exit.USAGE)
    if login is None:
        login = MICROSOFT["authority"] if upstream.rstrip("/") == MICROSOFT["url"] else upstream
    try:
        trust = ssl.create_default_context(cafile=ca)
    except OSError as error:
        refuse(f"{ca} is no CA certificate: {error}", Exit.USAGE)
    with told_plainly(), _door(port) as (origin, serve):
        written = RecordingFile(file, origin)
        http = httpx.AsyncClient(verify=trust, timeout=TIMEOUT_SECONDS)
        try:
            serve(Recorder(written, http, origin=origin, upstream=upstream, login=login))
        finally:
            written.close()
    say(f"wrote {file}")


@click.command()
@RECORDING
@PORT
def replay(file: Path, port: int) -> None:
    """Serve what record wrote into FILE, until interrupted. Prints one JSON object with url and caCertificate."""
    requests = recorded(file)
    with told_plainly(), _door(port) as (origin, serve):
        serve(Replay(requests, origin))


@click.command()
@RECORDING
@click.option(
    "--package", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="What to upload where the recording has an upload; a recording holds no packages.",
)  # fmt: skip
@profile_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(file: Path, package: Path | None, profile: str | None, as_json: bool) -> None:
    """Send the requests in FILE to another server, and tell where its answers differ from the recorded ones.

    Exit code 1 when they do.
    """
    tell_differences(recorded(file), load_connection(profile), package, as_json=as_json)


def tell_differences(
    requests: Sequence[Recorded], connection: Connection, package: Path | None, *, as_json: bool
) -> None:
    """Play a recording to a server and print where its answers differ; ends the command with 1 when they do.

    What is missing is said before anything is sent: what a server creates may stay there for ever.
    """
    if package is None and any(map(is_upload, requests)):
        refuse("The recording has an upload: name the package to upload with --package.", Exit.USAGE)
    try:
        found = compare_recording(requests, _Server(connection, package))
    except AuthenticationError as error:
        refuse(str(error), Exit.UNAUTHORISED)
    except (TransportError, httpx.HTTPError) as error:
        refuse(f"{connection.url}: {error}", Exit.UNREACHABLE)
    if as_json:
        rows = [{"request": each.request, "field": each.field, "message": each.message} for each in found]
        print_json({"differences": rows})
    else:
        for each in found:
            click.echo(f"{each.request}: {each.field}: {each.message}")
        say(f"{len(found)} differences")
    if found:
        raise click.exceptions.Exit(Exit.REFUSED)


class _Server:
    """The server that a recording is compared with."""

    def __init__(self, connection: Connection, package: Path | None) -> None:
        self._package = package
        trust = ssl.create_default_context(cafile=connection.ca)
        self._http = httpx.Client(base_url=connection.url, verify=trust, timeout=TIMEOUT_SECONDS)
        self._secret = ClientSecret(
            connection.authority, connection.tenant_id, connection.client_id, connection.client_secret
        )

    def call(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Status and JSON of a call."""
        headers = {"Authorization": f"Bearer {self._secret.token(self._http)}"}
        answer = self._http.request(method, target, json=body, headers=headers)
        try:
            return answer.status_code, answer.json() if answer.content else None
        except ValueError:
            return answer.status_code, None

    def upload(self, url: str) -> None:
        """Put the package."""
        assert self._package is not None  # noqa: S101 - tell_differences has seen to it
        content = self._package.read_bytes()
        self._http.put(url, content=content, headers={"x-ms-blob-type": "BlockBlob"}).raise_for_status()


def recorded(file: Path) -> list[Recorded]:
    """What record wrote into a file; a file that is none ends the command."""
    try:
        return read_recording(file)
    except RecordingError as error:
        refuse(str(error), Exit.USAGE)
    except OSError as error:
        refuse(f"{file}: {error.strerror}", Exit.USAGE)


@contextmanager
def _door(port: int) -> Iterator[tuple[str, Callable[[ASGIApp], None]]]:
    """An address, and what serves an application there over TLS by a CA of this run alone."""
    with tempfile.TemporaryDirectory(prefix="hwdash-recorder-") as folder:
        files = ensure_tls(KeyFolder.open(Path(folder, "tls"), {}), [], system_clock(), sandbox=True)
        listening = listen("127.0.0.1", port)
        origin = f"https://localhost:{listening.getsockname()[1]}"

        def serve(app: ASGIApp) -> None:
            shown = {"url": origin, "caCertificate": str(files.ca_certificate)}
            run_application(app, listening, files, ready=lambda: print_json(shown), lifespan=False)

        stop_politely_on_sigterm()
        yield origin, serve
