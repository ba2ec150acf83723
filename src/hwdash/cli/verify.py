"""``hwdash verify``: the evidence of a signed package, checked without the service."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hwdash.cli.evidence import Statement, check_evidence
from hwdash.cli.output import Exit, json_option, print_json, refuse
from hwdash.cli.remote import PROVENANCE_SUFFIX
from hwdash.cli.verification import Check
from hwdash.clock import system_clock
from hwdash.drivers.errors import ParseError
from hwdash.drivers.extensions import read_certificates
from hwdash.settings import SettingsError, load_settings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("package", type=FILE)
@click.option(
    "--root", type=FILE, metavar="FILE", help="The root certificate to trust [that of the service on this machine]."
)
@click.option(
    "--provenance", type=FILE, metavar="FILE", help="The statement of provenance [PACKAGE.intoto.json beside PACKAGE]."
)
@click.option("--submitted", type=FILE, metavar="FILE", help="Compare with the package that was submitted, too.")
@json_option
def verify(package: Path, root: Path | None, provenance: Path | None, submitted: Path | None, as_json: bool) -> None:
    """Check the signed PACKAGE and its statement of provenance, without the service.

    Every signature, catalog and timestamp, down to the root certificate; that the statement is about this very package;
    and with --submitted, that its files are those that were submitted. Ends with 1 unless all of it holds.
    """
    trusted = root or _own_root()
    try:
        checks, statement = check_evidence(
            package,
            provenance or package.with_name(f"{package.name}{PROVENANCE_SUFFIX}"),
            submitted,
            read_certificates(trusted.read_bytes(), source=str(trusted)),
            system_clock(),
        )
    except ParseError as problem:
        refuse(str(problem), Exit.USAGE)
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}", Exit.USAGE)
    holds = all(each.holds for each in checks)
    if as_json:
        print_json(
            {
                "package": str(package),
                "holds": holds,
                "checks": [asdict(each) for each in checks],
                "statement": statement.document if statement else None,
            }
        )
    else:
        _print(checks, statement, holds=holds)
    if not holds:
        raise click.exceptions.Exit(Exit.REFUSED)


def _own_root() -> Path:
    try:
        own = load_settings().data / "keys" / "root.crt"
    except SettingsError as error:
        refuse(str(error), Exit.USAGE)
    if not own.is_file():
        refuse(f"There is no service on this machine ({own} is not there): give --root.", Exit.USAGE)
    return own


def _print(checks: list[Check], statement: Statement | None, *, holds: bool) -> None:
    for each in checks:
        click.echo(_printable(f"{'ok  ' if each.holds else 'FAIL'}  {each.what}: {each.says}"))
    if statement is not None:
        click.echo("\nWhat the statement says:")
        try:
            for name, text in _told(statement):
                click.echo(_printable(f"  {name:<12}{text}"))
        except (LookupError, TypeError, AttributeError, ValueError):
            click.echo("  more, which this version of hwdash does not read: see --json")
    failed = sum(not each.holds for each in checks)
    click.echo("\nAll of it holds." if holds else f"\nDoes not hold: {failed} of {len(checks)} checks failed.")


def _told(statement: Statement) -> Iterator[tuple[str, str]]:
    """The statement for people: from what was submitted to what was signed."""
    predicate = statement.document["predicate"]
    built, run = predicate["buildDefinition"], predicate["runDetails"]
    asked, signing, (submitted,) = (
        built["externalParameters"],
        built["internalParameters"]["signing"],
        built["resolvedDependencies"],
    )
    notes = submitted.get("annotations", {})
    yield "product", f"{asked.get('productName')} ({asked.get('productId')}), account {asked.get('accountId')}"
    yield "submission", f"{asked.get('submissionName')} ({asked.get('submissionId')})"
    yield "submitted", f"{submitted['name']}, SHA-256 {submitted['digest']['sha256']}"
    yield "", f"signed by {notes.get('signerSubject')}"
    for step in run["byproducts"]:
        yield from _step(step["name"], step.get("annotations", {}))
    yield "signed", f"{statement.document['subject'][0]['name']}, SHA-256 {statement.package_sha256}"
    yield "signed as", f"{signing['identity']}, key {signing['keyId']}"
    yield "", f"certificate {signing['certificateSha256']}"
    yield "by", f"hwdash {run['builder']['version']['hwdash']}, from {run['metadata']['startedOn']} on"
    yield "", run["builder"]["id"]


def _step(name: str, said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if name == "scanning":
        yield (
            "scanned",
            f"by {said.get('engine')} {said.get('version')}: {said.get('scannedFiles')} files, nothing found",
        )
    elif name == "manualReview":
        by = f" by {said['by']} at {said.get('when')}" if "by" in said else ""
        why = said.get("reason") or said.get("policy")
        yield "review", f"{said.get('decision')}{by}" + (f": {why}" if why else "")
        if "breakGlass" in said:
            yield "", f"BREAK-GLASS: {said['breakGlass']} released it alone, {said.get('officersNeeded')} were needed"
    elif said.get("findings"):
        yield "findings", ", ".join(f"{each['rule']} ({each['level']}, {each['count']})" for each in said["findings"])


def _printable(text: str) -> str:
    """A stranger's names without controls of the terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
