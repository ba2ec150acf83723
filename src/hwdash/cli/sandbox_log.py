"""``hwdash sandbox log``: what was asked of a running sandbox, what it answered, and why."""

import time
from typing import Any

import click

from hwdash.cli.output import print_json
from hwdash.cli.sandbox_admin import SandboxAdmin, url_option

PAUSE_SECONDS = 0.5


@click.command()
@click.option("--grep", "text", metavar="TEXT", default="", help="Only those in which TEXT stands, in any case.")
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print one object; with --follow, one for each request.")
@url_option
def log(text: str, follow: bool, as_json: bool, url: str | None) -> None:
    """Show the requests, the oldest first, each with its status and beside a refusal the rule that it follows."""
    admin = SandboxAdmin(url)
    document = admin.call("GET", "/requests", params={"q": text})
    if as_json and not follow:
        print_json(document)
        return
    last = _show(document["requests"], as_json=as_json)
    while follow:
        time.sleep(PAUSE_SECONDS)
        last = _show(
            admin.call("GET", "/requests", params={"q": text, "after": last})["requests"], as_json=as_json, last=last
        )


def _show(requests: list[dict[str, Any]], *, as_json: bool, last: int = 0) -> int:
    for each in requests:
        if as_json:
            print_json(each)
        else:
            click.echo(f"{each['at'][:19]} {each['method']} {each['path']} {each['status'] or 'no answer'}")
            if each["explanation"]:
                click.echo(f"  {each['explanation']}")
        last = each["number"]
    return last
