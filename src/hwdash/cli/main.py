"""The ``hwdash`` command. Each subcommand is loaded when it is called: start-up stays short."""

import sys

import click

from hwdash import __version__
from hwdash.cli.lazy import LazyGroup
from hwdash.cli.output import Refused

COMMANDS = {
    "demo": ("hwdash.cli.demo", "demo", "Take a sample driver from unsigned to signed, on this machine."),
    "init": ("hwdash.cli.init", "init", "Make a new service: data folder, keys, first account and application."),
    "serve": ("hwdash.cli.serve", "serve", "Run the service."),
    "signer": ("hwdash.cli.signer", "signer", "Sign for a service that another user runs."),
    "login": ("hwdash.cli.login", "login", "Sign in as a person."),
    "logout": ("hwdash.cli.login", "logout", "End the sign-in."),
    "submit": ("hwdash.cli.submit", "submit", "Submit a package, wait, and download what was signed."),
    "verify": ("hwdash.cli.verify", "verify", "Check a signed package and its statement of provenance, offline."),
    "product": ("hwdash.cli.product", "product", "The products of the account: list, show, create, update."),
    "submission": ("hwdash.cli.submission", "submission", "The submissions of a product, step by step."),
    "label": ("hwdash.cli.label", "label", "Publish drivers: the shipping labels of a submission."),
    "share": ("hwdash.cli.share", "share", "Give a driver on to another account."),
    "audience": ("hwdash.cli.audience", "audience", "The audiences that shipping labels can be restricted to."),
    "preprod": ("hwdash.cli.preprod", "preprod", "Have packages signed for test machines, before production."),
    "package": ("hwdash.cli.package", "package", "Build, sign and check driver packages on this machine."),
    "inf": ("hwdash.cli.inf", "inf", "Check INF files and show what is in them."),
    "cat": ("hwdash.cli.cat", "cat", "Show, verify and rebuild security catalogs."),
    "trust": ("hwdash.cli.trust", "trust", "Make machines trust the service, and know which never will."),
    "offers": (
        "hwdash.cli.offers",
        "offers",
        "Which published drivers is a machine offered, and why not the others?",
    ),
    "chid": ("hwdash.cli.chid", "chid", "Compute the hardware IDs of a computer (CHIDs)."),
    "sandbox": ("hwdash.cli.sandbox", "sandbox", "Rehearse: scenarios, a movable clock, every request on show."),
    "conformance": (
        "hwdash.cli.conformance",
        "conformance",
        "Compare a service with the API's contract, row by row.",
    ),
    "admin": ("hwdash.cli.admin", "admin", "Administer the service: accounts, applications, people, certificates."),
}


@click.group(cls=LazyGroup, commands_in=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hwdash")
def cli() -> None:
    """Microsoft's Hardware dashboard API, self-hosted: validate, sign, share and release Windows drivers."""


def main() -> None:
    """The entry point: known errors end in a sentence and an exit code, never in a traceback."""
    try:
        # Without standalone mode, the code of a click.exceptions.Exit is what main returns.
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except Refused as refusal:
        refusal.show()
        sys.exit(refusal.code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
