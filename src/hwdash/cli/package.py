"""``hwdash package``: build, sign and check driver packages on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hwdash.cli.output import Exit, print_json, refuse
from hwdash.clock import system_clock
from hwdash.drivers.authenticode import sign_cabinet, verify_cabinet
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.drivers.errors import DriversError
from hwdash.drivers.findings import Finding
from hwdash.drivers.package import check_layout
from hwdash.signing.authority import development_vendor_certificate
from hwdash.signing.keys import encrypted_pkcs8, write_atomically

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


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


@package.command()
@click.argument("cabinet", type=EXISTING_FILE)
@click.option(
    "--certificate", required=True, type=EXISTING_FILE, help="PEM: the signer's certificate first, then its chain."
)
@click.option("--key", required=True, type=EXISTING_FILE, help="PEM: the signer's private key.")
@click.option(
    "--passphrase", envvar="HWDASH_SIGNING_PASSPHRASE", help="Of an encrypted key [HWDASH_SIGNING_PASSPHRASE]."
)
@click.option("--output", required=True, type=NEW_FILE, help="The signed cabinet to write.")
def sign(cabinet: Path, certificate: Path, key: Path, passphrase: str | None, output: Path) -> None:
    """Sign CABINET (SHA-256) with a certificate of yours."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError) as error:
        refuse(f"{certificate} or {key} cannot be read: {error}", Exit.USAGE)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        refuse(f"{key} is neither an RSA nor an ECDSA key.", Exit.USAGE)
    if private.public_key() != chain[0].public_key():
        refuse(f"The key in {key} does not belong to the first certificate in {certificate}.", Exit.USAGE)
    sign_file(cabinet, output, private, chain)
    click.echo(f"{output}: signed by {chain[0].subject.rfc4514_string()}")


@package.command()
@click.argument("cabinet", type=EXISTING_FILE)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def check(cabinet: Path, as_json: bool) -> None:
    """Check CABINET as packageInfoValidation does, without a service. Ends with 1 when there is an error."""
    findings: list[Finding] = []
    signer = None
    try:
        with cabinet.open("rb") as stream:
            opened = Cabinet.open(stream, source=cabinet.name)
            opened.check_limits(CabinetLimits())
            findings += check_layout([file.name for file in opened.files])
            signer = verify_cabinet(stream, opened, source=cabinet.name).signer.subject.rfc4514_string()
    except DriversError as problem:
        remedy = "Correct the package and check it again."
        findings.append(Finding("package.unreadable", "error", str(problem), remedy, cabinet.name))
    for finding in findings:
        click.echo(str(finding), err=True)
    failed = any(each.level == "error" for each in findings)
    if as_json:
        print_json({"valid": not failed, "signer": signer, "findings": [each.to_json() for each in findings]})
    else:
        click.echo(f"{cabinet}: {'refused' if failed else f'in order, signed by {signer}'}")
    if failed:
        raise click.exceptions.Exit(Exit.REFUSED)


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
    with _replacing(output) as part, part.open("w+b") as stream:
        write_cabinet(stream, entries, compression="mszip" if compress else "store", reserve_for_signature=True)


def sign_file(
    cabinet: Path,
    output: Path,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    chain: list[x509.Certificate],
) -> None:
    """Write a signed copy of a cabinet."""
    try:
        with cabinet.open("rb") as stream, _replacing(output) as part, part.open("w+b") as out:
            sign_cabinet(
                stream,
                out,
                _signature(key),
                [each.public_bytes(Encoding.DER) for each in chain],
                source=cabinet.name,
            )
    except DriversError as problem:
        refuse(str(problem))


def write_development_certificate(company: str, folder: Path, passphrase: str | None = None) -> tuple[Path, Path]:
    """Write ``certificate.pem`` (the chain) and ``key.pem``."""
    key, chain = development_vendor_certificate(company, system_clock())
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(key_file, encrypted_pkcs8(key, passphrase.encode()) if passphrase else plain, mode=0o600)
    certificate_file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    return certificate_file, key_file


def _signature(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda attributes: key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
    return lambda attributes: key.sign(attributes, ec.ECDSA(hashes.SHA256()))


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that takes its place when all went well, and is removed otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
