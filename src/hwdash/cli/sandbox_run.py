"""``hwdash sandbox run``: one command in a throwaway sandbox."""

import tempfile
from pathlib import Path

import click

from hwdash.cli.output import refuse
from hwdash.cli.sandbox_options import TOKEN, certificate_option, scenario_option
from hwdash.cli.service_options import told_plainly
from hwdash.sandbox.command import NOT_EXECUTABLE, NOT_FOUND, end_as, impersonating, run_to_its_end
from hwdash.sandbox.instance import SandboxFailed
from hwdash.sandbox.namespace import NoNamespaces, enter
from hwdash.sandbox.throwaway import open_sandbox
from hwdash.settings import Settings


@click.command(context_settings={"ignore_unknown_options": True})
@certificate_option
@scenario_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(certificates: tuple[Path, ...], scenario: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in a throwaway sandbox that it takes for Microsoft's service, and end with its exit code.

    COMMAND gets a network of its own, with the loopback alone, and finds login.microsoftonline.com and
    manage.devcenter.microsoft.com there. Nothing on the machine changes. Linux only. HWDASH_URL, HWDASH_TENANT_ID,
    HWDASH_CLIENT_ID, HWDASH_CLIENT_SECRET, HWDASH_CA and HWDASH_SANDBOX_TOKEN are in its environment. Write -- before
    it.
    """
    try:
        # Before anything else: a process with a second thread gets no user namespace.
        enter()
        with told_plainly(), tempfile.TemporaryDirectory(prefix="hwdash-sandbox-") as folder:
            data = Path(folder, "data")
            opened = open_sandbox(Settings(data=data), certificates, scenario)
            with impersonating(opened.service, Path(folder), data) as environment:
                code = run_to_its_end(command, environment | {TOKEN: opened.token})
    except (NoNamespaces, SandboxFailed) as error:
        refuse(str(error))
    if code == NOT_FOUND:
        click.echo(f"{command[0]}: not found", err=True)
    elif code == NOT_EXECUTABLE:
        click.echo(f"{command[0]}: cannot be run", err=True)
    end_as(code)
