"""``hwdash package inspect``: what is in a package."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hwdash.cli.output import print_json, refuse
from hwdash.cli.package_check import plain
from hwdash.drivers.errors import DriversError
from hwdash.pipeline.description import describe
from hwdash.pipeline.report import module_line


@click.command()
@click.argument("package", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def inspect(package: Path, as_json: bool) -> None:
    """Show what is in FILE, a package or a folder of driver folders. Nothing is judged."""
    try:
        found = describe(package)
    except DriversError as problem:
        refuse(plain(str(problem)))
    if as_json:
        print_json(found)
    else:
        for line in _lines(found):
            click.echo(plain(line))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    container = found["container"]
    size = f"{container['files']} files, {container['unpackedBytes']} bytes unpacked"
    yield f"{found['file']}: {container['form']}, {size}"
    for number, folder in enumerate(container.get("folders", ())):
        yield f"  cabinet folder {number}: compression {folder['compression'] or 'unknown'}, {folder['blocks']} blocks"
    if reserves := container.get("reserves"):
        yield "  reserved bytes: " + ", ".join(f"{name} {size}" for name, size in reserves.items())
    for name, value in container.get("packageInfo", {}).items():
        yield f"  {name}: {value}"
    yield from _signature(found["signature"])
    yield from found["notes"]
    for folder in found["driverFolders"]:
        yield f"driver folder {folder['name']}"
        yield from map(_file, folder["files"])
        for inf in folder["infs"]:
            yield from _inf(inf)
        yield f"  catalogs that signing makes: {', '.join(folder['catalogs']) or 'none'}"
    if found["filesAtRoot"]:
        yield f"at the root: {', '.join(found['filesAtRoot'])}"
    universal, metadata = found["universal"], found["metadata"]
    yield f"universal: {universal['verdict']}. {universal['reason']}"
    for binary in universal["binaries"]:
        imports = ", ".join(map(module_line, binary["modules"])) or "nothing"
        yield f"  {binary['path']} ({binary['machine']}) imports {imports}"
    yield (
        f"metadata: {metadata['bundles']} bundles, {metadata['infs']} INFs, {', '.join(metadata['locales'])}; "
        f"extension: {'yes' if metadata['isExtension'] else 'no'}"
    )


def _signature(signature: dict[str, Any] | None) -> Iterator[str]:
    if signature is None:
        yield "not signed"
    elif signature["holds"]:
        yield f"signed by {signature['signer']}, certificate SHA-256 {signature['thumbprint']}"
        yield f"  issued by {signature['issuer']}, valid until {signature['expires']}"
        yield f"  digest ({signature['digestAlgorithm']}) {signature['digest']}"
    else:
        yield f"signed, but the signature does not hold: {signature['problem']}"


def _file(file: dict[str, Any]) -> str:
    kind = f"PE for {file['machine'] or 'an unknown machine'}" if file["kind"] == "pe" else "flat"
    return f"  {file['path']}: {file['size']} bytes, {kind}, SHA-256 {file['sha256']}"


def _inf(inf: dict[str, Any]) -> Iterator[str]:
    if "problem" in inf:
        yield f"  {inf['problem']}"
        return
    about = (
        f"class {inf['class'] or 'none'}, {inf['provider'] or 'no provider'}, DriverVer {inf['driverVer'] or 'none'}"
    )
    yield f"  {inf['file']}: {about}"
    systems = inf["operatingSystems"]
    yield (
        f"    {inf['hardwareIds']} hardware IDs, {', '.join(inf['architectures']) or 'no architecture'}, "
        f"{len(systems)} OS codes, catalogs {', '.join(inf['catalogs']) or 'none'}"
    )
