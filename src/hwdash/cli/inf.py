"""``hwdash inf``: check INF files, show what is in them, and make them from templates."""

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import get_args

import click

from hwdash.cli.inf_contents import contents_for_people
from hwdash.cli.inf_reports import as_json, as_sarif, for_people, one_line
from hwdash.cli.output import Exit, print_json, refuse, say
from hwdash.clock import system_clock
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError
from hwdash.drivers.findings import Finding, errors
from hwdash.drivers.inf.contents import contents
from hwdash.drivers.inf.document import MAX_BYTES, Inf
from hwdash.drivers.inf.encoding import decode
from hwdash.drivers.inf.metadata import driver_metadata
from hwdash.drivers.inf.stamp import architecture_named, stamped
from hwdash.drivers.inf.verify import Mode, syntax_error, verify
from hwdash.vocabulary import OPERATING_SYSTEMS, OperatingSystem, operating_system

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SUFFIXES = (".inf", ".inx")
BUNDLES = uuid.UUID("6f9f44f1-4a3e-5f0c-9d52-5d0b3a8d2c11")
"""The namespace of bundle ids that are made from the name of a folder."""


@click.group()
def inf() -> None:
    """Check INF files and show what is in them."""


@inf.command()
@click.argument("paths", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="declarative",
    show_default=True,
    help="What to judge by: InfVerif's /k, /u or /w.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["people", "line", "sarif"]),
    default="people",
    show_default=True,
    help="How to print the findings.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON object instead.")
@click.option("--provider", metavar="NAME", help="The name that Provider must be.")
def check(paths: tuple[Path, ...], mode: Mode, form: str, as_document: bool, provider: str | None) -> None:
    """Judge INF files by InfVerif's rules. Folders are searched for .inf and .inx files.

    Ends with 1 when there is an error.
    """
    if as_document and form != "people":
        raise click.UsageError("--json and --format exclude one another.")
    findings: list[Finding] = []
    files = _inf_files(paths, findings)
    for file in files:
        findings += _judged(file, mode, provider)
    if as_document:
        print_json({"findings": [as_json(each) for each in findings]})
    elif form == "sarif":
        click.echo(json.dumps(as_sarif(findings, mode), indent=2))
    elif form == "line":
        for each in findings:
            click.echo(one_line(each))
    else:
        for line in for_people(findings, len(files)):
            click.echo(line)
    if errors(findings):
        raise click.exceptions.Exit(Exit.REFUSED)


@inf.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=EXISTING_FILE)
@click.option(
    "--signature",
    "signatures",
    metavar="OSCODE",
    multiple=True,
    help="An OS code to look at; once for each. All by default.",
)
@click.option("--json", "on_one_line", is_flag=True, help="Print the document on one line.")
def metadata(files: tuple[Path, ...], signatures: tuple[str, ...], on_one_line: bool) -> None:
    """Print the driver metadata of INF files as the service makes it. The files of one folder are one bundle."""
    systems = [_system(code) for code in signatures] or list(OPERATING_SYSTEMS)
    bundles: dict[str, list[tuple[str, Inf]]] = {}
    for file in dict.fromkeys(files):
        folder = os.path.relpath(file.absolute().parent)
        bundles.setdefault(str(uuid.uuid5(BUNDLES, Path(folder).as_posix())), []).append((file.name, _read(file)))
    try:
        document = driver_metadata(bundles, systems)
    except DriversError as problem:
        refuse(str(problem))
    click.echo(json.dumps(document, ensure_ascii=False, indent=None if on_one_line else 2))


@inf.command()
@click.argument("file", type=EXISTING_FILE)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON object.")
def show(file: Path, as_document: bool) -> None:
    """Show what is in an INF: version, devices, install sections, services, files, languages."""
    try:
        found = contents(_read(file))
    except DriversError as problem:
        refuse(str(problem))
    if as_document:
        print_json(found)
    else:
        for line in contents_for_people(found):
            click.echo(line)


@inf.command()
@click.argument("file", type=EXISTING_FILE)
@click.option("--architecture", required=True, help="What $ARCH$ becomes: x86, amd64 (or x64), arm64, arm or ia64.")
@click.option("--driver-version", metavar="W.X.Y.Z", help="The version for DriverVer.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="The date for DriverVer; today (UTC) by default.")
@click.option("--kmdf", metavar="VERSION", help="What $KMDFVERSION$ becomes, such as 1.15.")
@click.option("--umdf", metavar="VERSION", help="What $UMDFVERSION$ becomes, such as 2.15.0.")
@click.option(
    "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The INF to write, in UTF-16."
)
def stamp(
    file: Path,
    architecture: str,
    driver_version: str | None,
    date: datetime | None,
    kmdf: str | None,
    umdf: str | None,
    output: Path,
) -> None:
    """Make an INF from a template (.inx), as stampinf does: architecture, framework versions and DriverVer."""
    if date is not None and driver_version is None:
        raise click.UsageError("--date needs --driver-version.")
    day = (date or system_clock()).date() if driver_version is not None else None
    try:
        data = _bytes(file)
        if len(data) > MAX_BYTES:
            refuse(f"{file} has more than {MAX_BYTES} bytes: that is no INF.")
        template, _, findings = decode(data, source=_shown(file))
        if any(each.line is not None for each in findings):
            refuse(str(findings[-1]))  # what cannot be decoded would be lost
        text = stamped(
            template,
            architecture=architecture_named(architecture),
            version=driver_version,
            date=day,
            kmdf=kmdf,
            umdf=umdf,
        )
        left = dict.fromkeys(token for token, _ in Inf.from_text(text, source=file.name).unstamped())
    except ValueError as problem:
        refuse(f"{file}: {problem}.", Exit.USAGE)
    except (DriversError, OSError) as problem:
        refuse(str(problem))
    if left:
        refuse(f"{file} also has {', '.join(left)}: give --kmdf or --umdf.", Exit.USAGE)
    try:
        output.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    except OSError as problem:
        refuse(f"{output} cannot be written: {problem.strerror}.")
    click.echo(f"{output}: stamped for {architecture_named(architecture)}")


def _inf_files(paths: Sequence[Path], findings: list[Finding]) -> list[Path]:
    """The files to look at, each once, in order; what cannot be looked at becomes a finding."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(_search(path, findings))
        if not inside:
            message = "There is no .inf or .inx file in the folder."
            findings.append(_not_found(path, message, "Name a folder that has one, or the file itself."))
        found |= dict.fromkeys(inside)
    return list(found)


def _search(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        findings.append(_unreadable(Path(error.filename or folder), error))

    for place, _, names in os.walk(folder, onerror=unreadable):
        yield from (Path(place, name) for name in names if name.lower().endswith(SUFFIXES))


def _judged(file: Path, mode: Mode, provider: str | None) -> list[Finding]:
    source = _shown(file)
    try:
        parsed = Inf.parse(_bytes(file), source=source)
    except OSError as error:
        return [_unreadable(file, error)]
    except ParseError as error:
        return [syntax_error(error)]
    except LimitExceeded as error:
        message = f"The INF is too large to be judged: {error.message}."
        return [Finding("package.inf-unreadable", "error", message, "Make it smaller.", source)]
    findings = verify(parsed, mode=mode, provider=provider)
    tokens = dict(reversed([(token, line) for token, line in parsed.unstamped()]))
    if not tokens:
        return findings
    remedy = f"Make an INF from this template: hwdash inf stamp {file.name} --architecture amd64 --output NAME.inf."
    if not any(each.code == 1274 for each in findings):
        message = f"The file is a template (.inx) that was not stamped: {', '.join(tokens)} is still there."
        findings.append(Finding("inf.1274", "error", message, remedy, source, min(tokens.values()), inferred=True))
    return [replace(each, remedy=remedy) if each.code == 1274 else each for each in findings]


def _unreadable(path: Path, error: OSError) -> Finding:
    return _not_found(path, f"The file cannot be read: {error.strerror or error}.", "Correct the path.")


def _not_found(path: Path, message: str, remedy: str) -> Finding:
    return Finding("inf.1000", "error", message, remedy, _shown(path))


def _shown(path: Path) -> str:
    """A path as text that can be printed, whatever bytes its name has."""
    return click.format_filename(path.as_posix())


def _bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        # One byte too many is enough for the parser to refuse the file by its size.
        return stream.read(MAX_BYTES + 1)


def _read(file: Path) -> Inf:
    try:
        parsed = Inf.parse(_bytes(file), source=_shown(file))
    except (DriversError, OSError) as problem:
        refuse(str(problem))
    tokens = dict.fromkeys(token for token, _ in parsed.unstamped())
    if tokens:
        say(f"{_shown(file)} is a template that was not stamped ({', '.join(tokens)}): hwdash inf stamp makes an INF.")
    return parsed


def _system(code: str) -> OperatingSystem:
    found = operating_system(code)
    if found is None:
        raise click.BadParameter(f"{code!r} is not an OS code.", param_hint="--signature")
    return found
