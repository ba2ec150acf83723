"""``hwdash trust``: make machines trust the service, and know beforehand which do."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.service_options import data_option, existing_service, told_plainly
from hwdash.domain.trust import IN_SHORT, NOTES, RELEASES, Verdict, release_of, verdicts
from hwdash.drivers.errors import DriversError
from hwdash.pipeline.trust import package_trust
from hwdash.server.keys import keys_folder
from hwdash.server.trust_kit import KitRefused, write_kit
from hwdash.signing.keys import KeyFolder


@click.group()
def trust() -> None:
    """Make machines trust the service, and know which never will."""


@trust.command()
@click.option(
    "--output", required=True, metavar="FOLDER", type=click.Path(path_type=Path), help="A new folder to write."
)
@json_option
@data_option
def export(output: Path, as_json: bool, data: Path | None) -> None:
    """Write certificates, scripts and a page for the administrators of machines. No private key is read."""
    settings = existing_service(data)
    with told_plainly():
        try:
            files = write_kit(KeyFolder(keys_folder(settings.data), b""), output)
        except KitRefused as error:
            refuse(str(error))
    if as_json:
        print_json({"folder": str(output.absolute()), "files": files})
        return
    for each in files:
        click.echo(each)
    say(IN_SHORT)


@trust.command()
@click.argument("package", metavar="PACKAGE", type=click.Path(exists=True, path_type=Path))
@click.option("--windows", type=click.Choice([each.key for each in RELEASES]), help="Only this release.")
@click.option("--secure-boot", type=click.Choice(["on", "off"]), help="Only this state of Secure Boot.")
@json_option
def verdict(package: Path, windows: str | None, secure_boot: str | None, as_json: bool) -> None:
    """Say on which Windows PACKAGE loads when this service has signed it, and on which it never will."""
    try:
        found = package_trust(package)
    except DriversError as problem:
        refuse(f"{problem}.")
    except OSError as error:
        refuse(f"{package} cannot be read: {error.strerror}")
    strangers = [each for each in found.signers if not each.startswith("hwdash ")]
    if strangers:
        refuse(
            f"{package.name} is signed by {', '.join(strangers)}, not by a service of hwdash: this command tells what "
            "a signature of hwdash is worth.",
            Exit.USAGE,
        )
    judged = verdicts(
        found.kind,
        RELEASES if windows is None else [release_of(windows)],
        (True, False) if secure_boot is None else [secure_boot == "on"],
    )
    rows = [_row(each) for each in judged]
    if as_json:
        notes = [{"note": note, "source": source} for note, source in NOTES]
        told = {_CAMEL.get(name, name): value for name, value in asdict(found).items()}
        print_json(told | {"inShort": IN_SHORT, "verdicts": rows, "notes": notes})
        return
    click.echo(f"{package.name}: a {found.kind} package, signed by {', '.join(found.signers) or 'nobody yet'}")
    print_table(["windows", "secureBoot", "setUp", "verdict", "why", "source"], rows)
    for note, source in NOTES:
        click.echo(f"{note} ({source})")
    click.echo(IN_SHORT)


_CAMEL = {"kernel_files": "kernelFiles"}


def _row(each: Verdict) -> dict[str, Any]:
    return {
        "windows": each.windows.name,
        "secureBoot": "on" if each.secure_boot else "off",
        "setUp": each.set_up,
        "verdict": each.answer,
        "why": each.why,
        "source": each.source,
    }
