"""``hwdash package``: build, sign and check driver packages on this machine."""

from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hwdash.cli.output import refuse
from hwdash.cli.package_check import check
from hwdash.cli.package_inspect import inspect
from hwdash.cli.package_sign import NEW_FILE, replacing, sign
from hwdash.clock import system_clock
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.drivers.package import check_layout
from hwdash.signing.authority import development_vendor_certificate
from hwdash.signing.keys import encrypted_pkcs8, write_atomically


@click.group()
def package() -> None:
    """Build, sign and check driver packages on this machine."""


@package.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=NEW_FILE, help="The cabinet to write.")
@click.option("--store", is_flag=True, help="Do not compress.")
def build(folders: tuple[Path, ...], output: Path, store: bool) -> None:
    """Put driver FOLDERS into a cabinet in the layout that attestation asks for: one folder a driver, nothing at the
    root.
    """
    build_cabinet(folders, output, compress=not store)
    click.echo(f"{output}: {output.stat().st_size} bytes")


package.add_command(sign)
package.add_command(check)
package.add_command(inspect)


@package.command("development-certificate")
@click.argument("company")
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder to write into."
)
@click.option(
    "--passphrase", envvar="HWDASH_SIGNING_PASSPHRASE", help="Encrypt the key with it [HWDASH_SIGNING_PASSPHRASE]."
)
def development_certificate(company: str, output: Path, passphrase: str | None) -> None:
    """Make an EV-like certificate of COMPANY for trials. Nobody trusts it; register it with your own service."""
    certificate, key = write_development_certificate(company, output, passphrase)
    click.echo(f"certificate: {certificate}\nkey: {key}")


def build_cabinet(folders: tuple[Path, ...], output: Path, *, compress: bool = True) -> None:
    """Write a cabinet of driver folders, each under its own name."""
    entries: list[tuple[str, Path | bytes]] = []
    for folder in folders:
        name = folder.resolve().name
        entries += [
            (f"{name}\\{file.relative_to(folder).as_posix().replace('/', chr(92))}", file)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]
    findings = check_layout([name for name, _ in entries])
    errors = [each for each in findings if each.level == "error"]
    if errors:
        refuse("\n".join(str(each) for each in errors))
    with replacing(output) as part, part.open("w+b") as stream:
        write_cabinet(stream, entries, compression="mszip" if compress else "store", reserve_for_signature=True)


def write_development_certificate(company: str, folder: Path, passphrase: str | None = None) -> tuple[Path, Path]:
    """Write ``certificate.pem`` (the chain) and ``key.pem``."""
    key, chain = development_vendor_certificate(company, system_clock())
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(key_file, encrypted_pkcs8(key, passphrase.encode()) if passphrase else plain, mode=0o600)
    certificate_file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    return certificate_file, key_file
