"""``hwdash chid``: compute the hardware IDs of a computer (CHIDs)."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from hwdash.cli.output import Exit, print_json, refuse
from hwdash.drivers.chid import MAX_BYTES, Computer, chids, parse_smbios, read_this_machine
from hwdash.drivers.errors import DriversError

_BYTE = click.IntRange(0, 255)
_VALUES: tuple[tuple[str, click.ParamType[Any], str], ...] = (
    ("--manufacturer", click.STRING, "Who made the computer."),
    ("--family", click.STRING, "The family that it belongs to."),
    ("--product", click.STRING, "Its product name."),
    ("--sku", click.STRING, "Its SKU number."),
    ("--baseboard-manufacturer", click.STRING, "Who made its baseboard."),
    ("--baseboard-product", click.STRING, "The baseboard's product name."),
    ("--bios-vendor", click.STRING, "Who made the BIOS."),
    ("--bios-version", click.STRING, "The BIOS version, a text."),
    ("--bios-major", _BYTE, "The BIOS release before the dot, in decimal."),
    ("--bios-minor", _BYTE, "The BIOS release after the dot, in decimal."),
    ("--enclosure-type", _BYTE, "The number of the enclosure's type in SMBIOS, in decimal."),
)


def _values(command: Callable[..., None]) -> Callable[..., None]:
    for name, kind, text in reversed(_VALUES):
        command = click.option(name, type=kind, help=text)(command)
    return command


@click.command()
@_values
@click.option(
    "--smbios",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An SMBIOS table: a copy of /sys/firmware/dmi/tables/DMI, or of dmidecode --dump-bin.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON object.")
def chid(smbios: Path | None, as_document: bool, **values: Any) -> None:
    """Compute the hardware IDs of a computer (CHIDs): of the values given, of an SMBIOS table, or of this machine.

    Values that are given count before those of the table.
    """
    given = {name: value for name, value in values.items() if value is not None}
    computer = replace(_read(smbios, wanted=not given), **given)
    found = chids(computer)
    if as_document:
        rows = [{"number": each.number, "chid": str(each.value), "values": list(each.names)} for each in found]
        print_json({"computer": asdict(computer), "chids": rows})
    else:
        for name, value in asdict(computer).items():
            if value is not None:
                click.echo(f"{name.replace('_', ' ')}: {value}")
        for each in found:
            names = " + ".join(name.replace("_", " ") for name in each.names)
            click.echo(f"HardwareID-{each.number:<2}  {{{each.value}}}  {names}")
    if not found:
        refuse("There is no CHID without a manufacturer: the SMBIOS data has none.")


def _read(smbios: Path | None, *, wanted: bool) -> Computer:
    try:
        if smbios is not None:
            with smbios.open("rb") as stream:
                return parse_smbios(stream.read(MAX_BYTES + 1), source=smbios.name)
        return read_this_machine() if wanted else Computer()
    except FileNotFoundError as problem:
        refuse(f"{problem}. Give --smbios or the values themselves.", Exit.USAGE)
    except (DriversError, OSError) as problem:
        refuse(str(problem))
