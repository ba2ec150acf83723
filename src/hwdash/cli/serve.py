"""``hwdash serve``: run the service."""

import logging
from pathlib import Path

import click

from hwdash.cli.output import Exit, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.cli.serving import inherited_socket, listen, serve_until_stopped
from hwdash.sandbox.separation import IMPERSONATED, check_sandbox
from hwdash.settings import DEFAULT_PORT


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
    "--impersonate",
    is_flag=True,
    help="Answer for Microsoft's own host names, for clients that have them built in. A sandbox only.",
)
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def serve(data: Path | None, host: str, port: int, no_tls: bool, impersonate: bool, log_level: str) -> None:
    """Run the service until it is interrupted. Prints "listening on URL" when it is ready.

    A socket that a supervisor such as systemd passes on is taken instead of --host and --port.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    settings = existing_service(data)
    with told_plainly():
        if impersonate:
            if no_tls:
                refuse("--impersonate needs TLS: clients reach Microsoft's host names by nothing else.", Exit.USAGE)
            check_sandbox(settings)
            say(f"this sandbox answers for {' and '.join(IMPERSONATED)}; clients must reach them here at port 443")
        listening = inherited_socket() or listen(host, port)
        serve_until_stopped(
            settings,
            listening,
            no_tls=no_tls,
            impersonate=impersonate,
            ready=lambda url: click.echo(f"listening on {url}"),
        )
