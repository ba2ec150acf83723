"""``hwdash cat``: show, verify and rebuild security catalogs."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hwdash.cli.output import Exit, print_json, refuse, say
from hwdash.clock import system_clock
from hwdash.drivers.authenticode import Signature, SignatureReport, catalog_signatures
from hwdash.drivers.catalog import Catalog, CatalogMember, is_signed
from hwdash.drivers.catalog_files import CatalogFile, Membership
from hwdash.drivers.catalog_rebuild import rebuild as differences_of
from hwdash.drivers.chain import check_trust
from hwdash.drivers.errors import DriversError, ParseError
from hwdash.drivers.extensions import read_certificates

MAX_CATALOG_SIZE = 64 << 20
CATALOG = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE_OR_FOLDER = click.Path(exists=True, path_type=Path)


@click.group()
def cat() -> None:
    """Show, verify and rebuild security catalogs."""


@cat.command()
@click.argument("file", type=CATALOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def show(file: Path, as_json: bool) -> None:
    """Show what the catalog FILE lists and says, and by whom it is signed, whether or not that is to be trusted."""
    content = _read(file)
    try:
        catalog = Catalog.parse(content, source=file.name, verify=False)
    except DriversError as problem:
        refuse(str(problem))
    report, problem_found = _signature(content, file)
    signature = report.signature if report else None
    signer = signature.signer.subject.rfc4514_string() if signature else None
    timestamp = signature.timestamp.when.isoformat() if signature and signature.timestamp else None
    if as_json:
        print_json(
            {
                "version": catalog.version,
                "attributes": [list(pair) for pair in catalog.attributes],
                "members": [_member(each) for each in catalog.members],
                "signer": signer,
                "timestamp": timestamp,
                "problem": problem_found,
            }
        )
        return
    click.echo(f"version: {catalog.version}")
    click.echo(f"list: {catalog.list_id.hex()}, {catalog.when.isoformat()}")
    click.echo(f"signer: {signer or 'nobody'}")
    click.echo(f"timestamp: {timestamp or 'none'}")
    click.echo(f"signature: {problem_found or 'holds; trust was not checked'}")
    for name, value in catalog.attributes:
        click.echo(f"{name}: {value}")
    for member in catalog.members:
        kind = "PE image" if member.is_pe else "flat file"
        click.echo(f"\n{member.name or '(no name)'}: {kind}, {member.os_attribute or 'no OSAttr'}")
        for label, digest in (("SHA-1", member.sha1), ("SHA-256", member.sha256)):
            if digest:
                click.echo(f"  {label}: {digest.hex()}")
        for name, value in member.attributes:
            click.echo(f"  {name}: {value}")


@cat.command()
@click.argument("catalog", metavar="CAT", type=CATALOG)
@click.argument("files", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=FILE_OR_FOLDER)
@click.option("--ca", metavar="FILE", type=CATALOG, help="Check the signer too, by these roots (PEM or DER).")
@click.option(
    "--crl", "crls", metavar="FILE", multiple=True, type=CATALOG, help="A revocation list to believe; repeat."
)
@click.option("--at", metavar="TIME", help="Judge the signer at this time, ISO 8601; UTC unless it says otherwise.")
@click.option("--allow-sha1", is_flag=True, help="Accept signatures and members by SHA-1, as old catalogs have them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def verify(
    catalog: Path,
    files: tuple[Path, ...],
    ca: Path | None,
    crls: tuple[Path, ...],
    at: str | None,
    allow_sha1: bool,
    as_json: bool,
) -> None:
    """Check that the catalog CAT lists each file as it stands, and that the catalog's signature holds.

    Folders are searched; catalogs in them are left out. Ends with 1 unless all is well.
    """
    if ca is None and (crls or at):
        raise click.UsageError("--crl and --at are about the signer: give --ca as well.")
    now = _time(at) if at else system_clock()
    content = _read(catalog)
    try:
        listed = Membership(Catalog.parse(content, source=catalog.name, verify=False))
    except DriversError as problem:
        refuse(str(problem))
    report, refused = _signature(content, catalog, allow_sha1=allow_sha1)
    if ca is not None and report and report.signature and not refused:
        refused = _distrust(report.signature, catalog, ca, crls, now, allow_sha1=allow_sha1)
    results = {path: refused or _membership(listed, path, allow_sha1) for path in _files(files)}
    if not results:
        refuse("There is no file to check.", Exit.USAGE)
    if as_json:
        print_json({"files": [{"file": str(path), "result": result} for path, result in results.items()]})
    else:
        for path, result in results.items():
            click.echo(f"{path}: {result}")
    if ca is None:
        say("Whether the signer is to be trusted was not checked: give --ca with the root certificate.")
    if set(results.values()) != {"ok"}:
        raise click.exceptions.Exit(Exit.REFUSED)


@cat.command()
@click.argument("catalog", metavar="CAT", type=CATALOG)
@click.argument("files", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=FILE_OR_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def rebuild(catalog: Path, files: tuple[Path, ...], as_json: bool) -> None:
    """Make the list of the catalog CAT anew from the files it lists, and compare the two byte for byte.

    Folders are searched; catalogs in them are left out. Prints "identical", or where the two differ and ends with 1.
    """
    content = _read(catalog)
    try:
        found = differences_of(content, _files(files), source=catalog.name)
    except (DriversError, OSError) as problem:
        refuse(str(problem))
    if as_json:
        told = [{"where": each.where, "offset": each.offset, "message": each.message} for each in found]
        print_json({"identical": not found, "differences": told})
    else:
        click.echo("\n".join(str(each) for each in found) or "identical")
    if found:
        raise click.exceptions.Exit(Exit.REFUSED)


def _read(file: Path) -> bytes:
    if file.stat().st_size > MAX_CATALOG_SIZE:
        refuse(f"{file} has more than {MAX_CATALOG_SIZE >> 20} MB: that is no catalog.")
    try:
        return file.read_bytes()
    except OSError as error:
        refuse(f"{file} cannot be read: {error.strerror}")


def _files(given: Iterable[Path]) -> list[Path]:
    """The files named, and those in the folders named, each once; of folders all but their catalogs."""

    def each() -> Iterator[Path]:
        for path in given:
            if path.is_dir():
                inside = sorted(path.rglob("*"))
                yield from (file for file in inside if file.is_file() and file.suffix.lower() != ".cat")
            else:
                yield path

    return list({path.resolve(): path for path in each()}.values())


def _signature(content: bytes, file: Path, *, allow_sha1: bool = True) -> tuple[SignatureReport | None, str | None]:
    """The catalog's first signature, and what is wrong with it."""
    try:
        if not is_signed(content, source=file.name):
            return None, "the catalog is not signed"
        report = catalog_signatures(content, source=file.name, allow_sha1=allow_sha1)[0]
    except DriversError as problem:
        return None, f"the signature cannot be read: {problem}"
    return report, report.problem


def _distrust(
    signature: Signature, catalog: Path, ca: Path, crls: tuple[Path, ...], now: datetime, *, allow_sha1: bool
) -> str | None:
    """Why the signer is not to be trusted; None when it is."""
    try:
        roots = read_certificates(ca.read_bytes(), source=str(ca))
        trust = check_trust(
            signature,
            roots=roots,
            now=now,
            source=catalog.name,
            crls=[each.read_bytes() for each in crls],
            allow_sha1=allow_sha1,
        )
    except ParseError as problem:
        refuse(str(problem), Exit.USAGE)
    for finding in trust.findings:
        say(str(finding))
    reasons = [each.message for each in trust.findings if each.level == "error"]
    return f"the signer is not trusted: {' '.join(reasons)}" if reasons else None


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text} is no time like 2026-11-23T12:00:00Z", param_hint="--at") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _membership(listed: Membership, path: Path, allow_sha1: bool) -> str:
    try:
        listed.check(CatalogFile.measure(path), allow_sha1=allow_sha1)
    except DriversError as problem:
        return str(getattr(problem, "message", problem))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "ok"


def _member(member: CatalogMember) -> dict[str, Any]:
    return {
        "file": member.name,
        "sha1": member.sha1.hex() or None,
        "sha256": member.sha256.hex() or None,
        "kind": "pe" if member.is_pe else "flat",
        "osAttr": member.os_attribute,
    }
