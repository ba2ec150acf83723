"""``hwdash package sign``: sign cabinets, PE images and catalogs with a certificate of one's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Unpack

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.cli.output import Exit, refuse
from hwdash.drivers.asn1.algorithms import DIGESTS
from hwdash.drivers.asn1.signed_data import MAX_SIGNATURE_SIZE
from hwdash.drivers.authenticode import SigningOptions, sign_cabinet, sign_catalog, sign_pe
from hwdash.drivers.errors import DriversError, LimitExceeded
from hwdash.signing.errors import TimestampUnavailable
from hwdash.signing.timestamp_client import request_timestamp

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)

_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


@click.command()
@click.argument("file", type=EXISTING_FILE)
@click.option(
    "--certificate", required=True, type=EXISTING_FILE, help="PEM: the signer's certificate first, then its chain."
)
@click.option("--key", required=True, type=EXISTING_FILE, help="PEM: the signer's private key.")
@click.option(
    "--passphrase", envvar="HWDASH_SIGNING_PASSPHRASE", help="Of an encrypted key [HWDASH_SIGNING_PASSPHRASE]."
)
@click.option("--output", type=NEW_FILE, help="The signed file to write; FILE itself if not given.")
@click.option("--timestamp-url", metavar="URL", help="A timestamp authority (RFC 3161).")
@click.option("--append", is_flag=True, help="Keep the signatures that FILE has.")
@click.option("--page-hashes", is_flag=True, help="Put page hashes into the signature of a PE image.")
@click.option("--program-name", help="What is signed, for Windows to show.")
@click.option("--url", help="Where more is said about it, for Windows to show.")
@click.option("--digest", type=click.Choice(tuple(DIGESTS)), default="sha256", help="The digest.", show_default=True)
def sign(
    file: Path,
    certificate: Path,
    key: Path,
    passphrase: str | None,
    output: Path | None,
    timestamp_url: str | None,
    append: bool,
    page_hashes: bool,
    program_name: str | None,
    url: str | None,
    digest: str,
) -> None:
    """Sign FILE, a cabinet, a PE image or a catalog, with a certificate of yours."""
    private, chain = _credential(certificate, key, passphrase)
    if url is not None and not url.isascii():
        refuse(f"The URL {url} must be ASCII: write other characters as %XX or in punycode.", Exit.USAGE)
    stamp = partial(request_timestamp, timestamp_url, algorithm=digest) if timestamp_url is not None else None
    target = output or file
    try:
        sign_file(
            file,
            target,
            private,
            chain,
            page_hashes=page_hashes,
            program_name=program_name,
            url=url,
            algorithm=digest,
            append=append,
            timestamp=stamp,
        )
    except TimestampUnavailable as problem:
        refuse(f"{problem}", Exit.UNREACHABLE)
    click.echo(f"{target}: signed by {chain[0].subject.rfc4514_string()}")


def sign_file(
    file: Path,
    output: Path,
    key: PrivateKey,
    chain: list[x509.Certificate],
    *,
    page_hashes: bool = False,
    **options: Unpack[SigningOptions],
) -> None:
    """Write a signed copy of a cabinet, a PE image or a catalog; which one it is, its first bytes tell."""
    signer = _signature(key, options.get("algorithm", "sha256"))
    certificates = [each.public_bytes(Encoding.DER) for each in chain]
    try:
        with file.open("rb") as stream, replacing(output) as part, part.open("w+b") as out:
            start = stream.read(4)
            stream.seek(0)
            if page_hashes and start[:2] != b"MZ":
                refuse(f"{file} is no PE image: only those have page hashes.", Exit.USAGE)
            if start[:2] == b"MZ":
                sign_pe(stream, out, signer, certificates, source=file.name, page_hashes=page_hashes, **options)
            elif start[:1] == b"\x30":
                if file.stat().st_size > MAX_SIGNATURE_SIZE:
                    raise LimitExceeded("a catalog has at most 16 MiB", source=file.name)
                out.write(sign_catalog(stream.read(), signer, certificates, source=file.name, **options))
            elif start == b"MSCF":
                sign_cabinet(stream, out, signer, certificates, source=file.name, **options)
            else:
                refuse(f"{file} is neither a cabinet nor a PE image nor a catalog.")
    except DriversError as problem:
        refuse(str(problem))


def _credential(certificate: Path, key: Path, passphrase: str | None) -> tuple[PrivateKey, list[x509.Certificate]]:
    """The key and the chain, of a kind that Windows takes signatures of."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        refuse(f"{certificate} or {key} cannot be read: {error}", Exit.USAGE)
    if not isinstance(private, PrivateKey):
        refuse(f"{key} is neither an RSA nor an ECDSA key.", Exit.USAGE)
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < 2048:
        refuse(f"{key} is an RSA key of {private.key_size} bits; 2048 are the least.", Exit.USAGE)
    if isinstance(private, ec.EllipticCurvePrivateKey) and not isinstance(private.curve, _CURVES):
        refuse(f"{key} is a key on {private.curve.name}; signatures are made on P-256 and P-384.", Exit.USAGE)
    if private.public_key() != chain[0].public_key():
        refuse(f"The key in {key} does not belong to the first certificate in {certificate}.", Exit.USAGE)
    return private, chain


def _signature(key: PrivateKey, algorithm: str) -> Callable[[bytes], bytes]:
    digest = _HASHES[algorithm]
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda attributes: key.sign(attributes, padding.PKCS1v15(), digest)
    return lambda attributes: key.sign(attributes, ec.ECDSA(digest))


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that takes its place when all went well, and is removed otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
