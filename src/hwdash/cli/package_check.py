"""``hwdash package check``: what the service would say of a package, before it is submitted."""

from collections.abc import Iterator
from datetime import UTC
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import click

from hwdash.cli.output import Exit, print_json, refuse, say
from hwdash.clock import system_clock
from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.verify import Mode
from hwdash.drivers.package import Kind
from hwdash.pipeline.inf_policy import SERVICE_MODE
from hwdash.pipeline.preflight import Preflight, preflight
from hwdash.vocabulary import operating_system


@click.command()
@click.argument("package", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--kind", type=click.Choice(get_args(Kind)), default="attestation", help="What it is submitted for.")
@click.option("--signature", "signatures", metavar="OSCODE", multiple=True, help="An OS code to sign for; repeatable.")
@click.option(
    "--mode", type=click.Choice(get_args(Mode)), default=SERVICE_MODE, help="The mode that INFs are judged in."
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def check(package: Path, kind: Kind, signatures: tuple[str, ...], mode: Mode, as_json: bool) -> None:
    """Check FILE, a package or a folder of driver folders, as the service does. Ends with 1 when there is an error."""
    known = [operating_system(code) for code in signatures]
    codes = [system.code for system in known if system is not None]
    if None in known:
        refuse(f"{signatures[known.index(None)]} is no OS code, such as WINDOWS_v100_X64_GE_FULL.", Exit.USAGE)
    today = system_clock().astimezone(UTC).date()
    judged = preflight(package, kind=kind, signatures=codes, mode=mode, today=today)
    if as_json:
        print_json(_document(judged))
    else:
        for line in _lines(judged.findings):
            say(line)
        click.echo(f"{package}: {_verdict(judged)}")
    if not judged.is_valid:
        raise click.exceptions.Exit(Exit.REFUSED)


def _document(judged: Preflight) -> dict[str, Any]:
    return {
        "findings": [
            {
                "code": each.code,
                "level": each.level,
                "file": each.file,
                "line": each.line,
                "message": each.message,
                "remedy": each.remedy,
                "inferred": each.inferred,
            }
            for each in judged.findings
        ],
        "valid": judged.is_valid,
        "signer": judged.signer,
        "isDeclarative": judged.is_declarative,
        "isUniversal": judged.is_universal,
        "isExtension": judged.is_extension,
    }


def _lines(findings: list[Finding]) -> Iterator[str]:
    """The findings by file, errors first within each."""
    by_file = sorted(findings, key=lambda each: each.file or "")
    for file, group in groupby(by_file, key=lambda each: each.file):
        inside = list(group)
        yield plain(f"{file or 'the package'}: {counted(inside)}")
        for each in inside:
            place = f"line {each.line}: " if each.line is not None else ""
            inferred = " (inferred: no document says so)" if each.inferred else ""
            yield plain(f"  {each.level.upper()} {each.code}: {place}{each.message}{inferred}")
            yield plain(f"      {each.remedy}")


def _verdict(judged: Preflight) -> str:
    verdicts = {True: "yes", False: "no", None: "unknown"}
    facts = (
        f"declarative: {verdicts[judged.is_declarative]}, universal: {judged.is_universal}, "
        f"extension: {verdicts[judged.is_extension]}"
    )
    outcome = "in order" if judged.is_valid else "refused"
    signer = f"signed by {judged.signer}" if judged.signer else "not signed"
    return plain(f"{outcome}, {counted(judged.findings)}; {signer}; {facts}")


def counted(findings: list[Finding]) -> str:
    """How many errors and warnings there are, in words."""
    errors = sum(each.level == "error" for each in findings)
    warnings = len(findings) - errors
    return f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"


def plain(text: str) -> str:
    """Text that a terminal shows as it is: names inside a package may hold anything, terminal controls too."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
