"""Does a signed package hold together? Every signature in it, down to a root certificate.

The package is read in pieces: what is checked of one file lies in a temporary file, never all of it in memory.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from hwdash.cli.output import refuse
from hwdash.clock import system_clock
from hwdash.drivers.authenticode import Signature, verify_pe
from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.catalog import Catalog
from hwdash.drivers.chain import check_trust
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.extensions import common_name, read_certificates
from hwdash.drivers.pe import PeImage, authenticode_digests
from hwdash.drivers.zip_package import ZipPackage, ZipPackageFile

_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20
_MAX_CATALOG = 64 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what, what was found, and whether it holds."""

    what: str
    says: str
    holds: bool = True


@dataclass(slots=True)
class Examined:
    """What is in a signed package, and whether its signatures hold. Digests are SHA-256 in hex."""

    sha256: str
    is_readable: bool = False
    checks: list[Check] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """Of each whole file, by path."""
    contents: dict[str, str] = field(default_factory=dict)
    """Of each file but the catalogs; of a PE image the Authenticode digest, which leaves signatures out."""
    signers: set[str] = field(default_factory=set)
    """The certificates by which catalogs and images are signed."""
    submissions: set[str] = field(default_factory=set)
    """What the catalogs say whose they are: ids of account, product and submission."""
    _listed: dict[str, set[bytes]] = field(default_factory=dict)


def verify_signed_package(package: Path, root: Path) -> Iterator[str]:
    """One line a file: by what it is signed. Ends the command when anything does not hold."""
    try:
        roots = read_certificates(root.read_bytes(), source=str(root))
    except ParseError as problem:
        refuse(f"{package} does not verify: {problem}")
    for check in examine_package(package, roots, system_clock()).checks:
        if not check.holds:
            refuse(f"{package} does not verify: {check.what}: {check.says}")
        yield f"{check.what}: {check.says}"


def examine_package(package: Path, roots: Sequence[x509.Certificate], now: datetime) -> Examined:
    """Check every signature in the zip file ``package``: catalogs, images, their timestamps, and who vouches for them.

    Everything that does not hold is among the checks. OSError when the file cannot be read.
    """
    with package.open("rb") as stream:
        examined = Examined(hashlib.file_digest(stream, "sha256").hexdigest())
        try:
            archive = ZipPackage.open(stream, source=package.name)
            archive.check_limits(CabinetLimits())
        except DriversError as problem:
            examined.checks.append(_failed(package.name, problem))
            return examined
        examined.is_readable = True
        # Catalogs first: the other files are looked for in them.
        for file in sorted(archive.files, key=lambda file: not _is_catalog(file.name)):
            try:
                with _spooled(archive, file, examined) as content:
                    says = (_catalog if _is_catalog(file.name) else _file)(file.name, content, examined, roots, now)
            except DriversError as problem:
                examined.checks.append(_failed(file.name, problem))
            else:
                examined.checks.append(Check(file.name, says))
    return examined


def content_digest(stream: BinaryIO, name: str) -> tuple[str, PeImage | None]:
    """SHA-256 (hex) of a file without its signature, and the image where it is one."""
    stream.seek(0)
    if stream.read(2) == b"MZ":
        try:
            image = PeImage.open(stream, source=name)
            return authenticode_digests(stream, image, ("sha256",))["sha256"].hex(), image
        except ParseError:
            pass  # any file may begin with MZ
    stream.seek(0)
    return sha256_of(iter(lambda: stream.read(_CHUNK), b"")), None


def sha256_of(pieces: Iterable[bytes]) -> str:
    """SHA-256 of what comes in pieces, in hex."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def spooled(pieces: Iterable[bytes]) -> Iterator[BinaryIO]:
    """The pieces as a seekable file, a large one on the disk."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        for piece in pieces:
            spool.write(piece)
        spool.seek(0)
        yield spool  # type: ignore[misc]  # it has all of BinaryIO


@contextmanager
def _spooled(archive: ZipPackage, file: ZipPackageFile, examined: Examined) -> Iterator[BinaryIO]:
    """A file of the package. Its digest is kept even where the file is damaged, as far as it goes."""
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        try:
            for piece in archive.pieces(file):
                digest.update(piece)
                yield piece
        finally:
            examined.files[file.name] = digest.hexdigest()

    with spooled(pieces()) as content:
        yield content


def _is_catalog(name: str) -> bool:
    return name.lower().endswith(".cat")


def _catalog(name: str, content: BinaryIO, examined: Examined, roots: Sequence[x509.Certificate], now: datetime) -> str:
    read = content.read(_MAX_CATALOG + 1)
    if len(read) > _MAX_CATALOG:
        raise LimitExceeded(f"more than {_MAX_CATALOG >> 20} MB are no catalog", source=name)
    catalog = Catalog.parse(read, source=name)
    if catalog.signature is None:
        raise VerificationError("is not signed", source=name)
    by = _trusted(catalog.signature, examined, roots, now, name)
    examined._listed.setdefault(_driver_folder(name), set()).update(member.sha256 for member in catalog.members)
    examined.submissions.add(dict(catalog.attributes).get("Submission ID", ""))
    return f"catalog of {len(catalog.members)} files, signed by {by}"


def _file(name: str, content: BinaryIO, examined: Examined, roots: Sequence[x509.Certificate], now: datetime) -> str:
    digest, image = content_digest(content, name)
    examined.contents[name] = digest
    how = "listed in the catalog"
    if image is not None:
        signature = verify_pe(content, image, source=name)
        if signature is None:
            raise VerificationError("is not signed", source=name)
        how += f" and signed by {_trusted(signature, examined, roots, now, name)}"
    if bytes.fromhex(digest) not in examined._listed.get(_driver_folder(name), set()):
        raise VerificationError("is not listed in its folder's catalog", source=name)
    return how


def _driver_folder(name: str) -> str:
    return name.partition("/")[0]


def _trusted(
    signature: Signature, examined: Examined, roots: Sequence[x509.Certificate], now: datetime, name: str
) -> str:
    """The signer's name, when it is trusted and the timestamp, if there is one, holds."""
    trust = check_trust(signature, roots=roots, now=now, source=name)
    if reasons := [each.message for each in trust.findings if each.level == "error"]:
        raise VerificationError(f"its signer is not trusted: {' '.join(reasons)}", source=name)
    if signature.timestamp_problem is not None:
        raise VerificationError(f"its timestamp does not hold: {signature.timestamp_problem}", source=name)
    examined.signers.add(signature.signer.fingerprint(SHA256()).hex())
    return common_name(signature.signer)


def _failed(what: str, problem: DriversError) -> Check:
    text = str(problem)
    return Check(what, text.removeprefix(f"{what}: "), holds=False)
