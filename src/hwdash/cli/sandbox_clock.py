"""``hwdash sandbox clock``: the time of a running sandbox."""

from typing import Any

import click

from hwdash.cli.output import print_json
from hwdash.cli.sandbox_admin import SandboxAdmin, url_option

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one object: now, frozen, offsetSeconds.")


@click.group()
def clock() -> None:
    """The sandbox's clock. It goes forward only, and signatures do not follow it."""


def _tell(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(f"{document['now']}{' (frozen)' if document['frozen'] else ''}")


@clock.command()
@AS_JSON
@url_option
def show(as_json: bool, url: str | None) -> None:
    """Show what time it is in the sandbox."""
    _tell(SandboxAdmin(url).call("GET", "/clock"), as_json=as_json)


@clock.command()
@click.argument("span")
@AS_JSON
@url_option
def advance(span: str, as_json: bool, url: str | None) -> None:
    """Go forward by SPAN, such as 3d, 2h30m or 90s."""
    _tell(SandboxAdmin(url).call("POST", "/clock", json={"advance": span}), as_json=as_json)


@clock.command()
@AS_JSON
@url_option
def freeze(as_json: bool, url: str | None) -> None:
    """Stand still."""
    _tell(SandboxAdmin(url).call("POST", "/clock", json={"frozen": True}), as_json=as_json)


@clock.command()
@AS_JSON
@url_option
def resume(as_json: bool, url: str | None) -> None:
    """Go on from where it stands."""
    _tell(SandboxAdmin(url).call("POST", "/clock", json={"frozen": False}), as_json=as_json)
