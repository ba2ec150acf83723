"""``hwdash sandbox scenario``: what goes wrong in a running sandbox."""

import click

from hwdash.cli.output import print_json, say
from hwdash.cli.sandbox_admin import SandboxAdmin, url_option
from hwdash.cli.sandbox_options import told_scenario
from hwdash.sandbox.scenario_file import shipped_names

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one object.")


@click.group()
def scenario() -> None:
    """Scenarios: what happens, to which requests and steps, how often."""


@scenario.command("set")
@click.argument("file_or_name")
@url_option
def set_scenario(file_or_name: str, url: str | None) -> None:
    """Play FILE_OR_NAME: a TOML file, or the name of a scenario that comes with hwdash."""
    if file_or_name in shipped_names():
        sent = SandboxAdmin(url).call("POST", "/scenario", json={"name": file_or_name})
    else:
        text = told_scenario(file_or_name)
        sent = SandboxAdmin(url).call(
            "POST", "/scenario", content=text.encode(), headers={"Content-Type": "application/toml"}
        )
    say(f"playing {sent['scenario']['name']}")


@scenario.command("list")
@AS_JSON
@url_option
def list_scenarios(as_json: bool, url: str | None) -> None:
    """List the scenarios that come with hwdash, and tell which one is being played."""
    document = SandboxAdmin(url).call("GET", "/scenario")
    if as_json:
        print_json(document)
        return
    for each in document["shipped"]:
        click.echo(f"{each['name']}: {each['summary']} ({each['report']})")
    playing = document["scenario"]
    say(f"playing {playing['name']}" if playing else "playing none")


@scenario.command()
@url_option
def clear(url: str | None) -> None:
    """Play none."""
    SandboxAdmin(url).call("DELETE", "/scenario")
    say("playing none")
