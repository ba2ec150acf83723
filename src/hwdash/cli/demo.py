"""``hwdash demo``: a throwaway service, the sample driver, and the whole way from unsigned to signed."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import hwdash
from hwdash.cli.evidence import check_evidence
from hwdash.cli.output import Refused, refuse, say
from hwdash.cli.package import build_cabinet, write_development_certificate
from hwdash.cli.package_sign import sign_file
from hwdash.cli.remote import PROVENANCE_SUFFIX
from hwdash.clock import system_clock
from hwdash.drivers.extensions import read_certificates

COMPANY = "Demo Hardware Vendor"
SIGNATURES = ("WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_X64_NI_FULL")
STOP_SECONDS = 20

WORTH = (
    "What this signature is worth: it is this machine's own CA's, not Microsoft's: Windows loads the driver in "
    "test-signing mode or where a policy of yours trusts that CA; with Secure Boot and no such policy it does not."
)


@click.command()
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to leave everything [a new temporary folder].",
)
def demo(keep: Path | None) -> None:
    """Take a sample driver from unsigned to signed on this machine, through a real service."""
    folder = (keep or Path(tempfile.mkdtemp(prefix="hwdash-demo-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sample = sample_driver()
    say(f"1. The sample driver, unsigned: {sample}")
    unsigned, package = folder / "sample-unsigned.cab", folder / "sample.cab"
    build_cabinet((sample,), unsigned)
    certificate, key = write_development_certificate(COMPANY, folder / "vendor")
    sign_package(unsigned, package, certificate, key)
    say(f"2. A cabinet in the layout that attestation asks for, signed by the vendor {COMPANY}: {package}")
    data = folder / "service"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HWDASH_")}
    environment["HWDASH_DATA"] = str(data)
    environment["XDG_STATE_HOME"] = str(folder / "state")
    made = json.loads(run_hwdash(["init", "--json", "--account", COMPANY], environment))
    run_hwdash(["admin", "certificate", "add", str(certificate)], environment)
    say(f"3. A new service with an account, an application and a certificate authority of its own: {data}")
    signed = folder / "sample-signed.zip"
    with served(environment, folder / "service.log") as url:
        say(f"4. It is {url}; submitting over the Hardware dashboard API:")
        client = environment | {
            "HWDASH_URL": url,
            "HWDASH_TENANT_ID": made["tenantId"],
            "HWDASH_CLIENT_ID": made["clientId"],
            "HWDASH_CLIENT_SECRET": made["clientSecret"],
            "HWDASH_CA": made["caCertificate"],
        }
        wanted = [word for code in SIGNATURES for word in ("--signature", code)]
        run_hwdash(
            [
                "submit",
                str(package),
                "--name",
                "hwdash sample",
                *wanted,
                "--output",
                str(signed),
                "--poll",
                "0.2",
                "--json",
            ],
            client,
        )
    root = Path(made["rootCertificate"])
    say("5. What came back, verified file by file:")
    for line in _verified(signed, package, root):
        say(f"   {line}")
    say(WORTH)
    with zipfile.ZipFile(signed) as archive:
        archive.extractall(folder / "signed")
    click.echo(f"signed package: {signed}")
    click.echo(f"root certificate: {root}")


def _verified(signed: Path, package: Path, root: Path) -> Iterator[str]:
    """What ``hwdash verify`` checks, a line each. Ends the command when anything does not hold."""
    statement = signed.with_name(f"{signed.name}{PROVENANCE_SUFFIX}")
    roots = read_certificates(root.read_bytes(), source=str(root))
    for check in check_evidence(signed, statement, package, roots, system_clock())[0]:
        if not check.holds:
            refuse(f"{signed} does not verify: {check.what}: {check.says}")
        yield f"{check.what}: {check.says}"


def sample_driver() -> Path:
    """The folder of the sample driver: in the installed package, or in the checkout."""
    package = Path(hwdash.__file__).parent
    for folder in (
        package / "sample_driver" / "hwdash_sample",
        package.parents[1] / "examples" / "sample-driver" / "hwdash_sample",
    ):
        if folder.is_dir():
            return folder
    raise Refused("The sample driver is not installed with this hwdash: run the demo from a checkout.")


def sign_package(unsigned: Path, package: Path, certificate: Path, key: Path) -> None:
    """Sign a cabinet with a development certificate."""
    private = load_pem_private_key(key.read_bytes(), None)
    if not isinstance(private, RSAPrivateKey):
        raise TypeError("the development certificate has an RSA key")
    sign_file(unsigned, package, private, x509.load_pem_x509_certificates(certificate.read_bytes()))


def run_hwdash(arguments: list[str], environment: dict[str, str]) -> str:
    """Run a command as a user would; its progress goes to the terminal, its answer is returned."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "hwdash.cli.main", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        refuse(f"hwdash {' '.join(arguments[:2])} ended with {done.returncode}; the lines above say why.")
    return done.stdout


@contextmanager
def served(environment: dict[str, str], log: Path) -> Iterator[str]:
    """The service on a free port, in a process of its own; yields its URL and stops it at the end."""
    with log.open("w") as out:
        service = subprocess.Popen(
            [sys.executable, "-m", "hwdash.cli.main", "serve", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
        )
        try:
            line = service.stdout.readline() if service.stdout else ""
            if not line.startswith("listening on "):
                refuse(f"The service did not start; its log: {log}\n{log.read_text()[-2000:]}")
            yield line.removeprefix("listening on ").strip()
        finally:
            service.terminate()
            try:
                service.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()
