"""Does a signed package hold together? Every signature in it, down to a root certificate."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from hwdash.cli.output import refuse
from hwdash.clock import system_clock
from hwdash.drivers.authenticode import Signature, verify_pe
from hwdash.drivers.catalog import Catalog
from hwdash.drivers.chain import check_trust
from hwdash.drivers.errors import DriversError, VerificationError
from hwdash.drivers.extensions import common_name, read_certificates
from hwdash.drivers.pe import PeImage, authenticode_digests


def verify_signed_package(package: Path, root: Path) -> Iterator[str]:
    """One line a file: by what it is signed. Ends the command when anything does not hold."""
    try:
        roots = read_certificates(root.read_bytes(), source=str(root))
        with zipfile.ZipFile(package) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        yield from _verify(contents, roots)
    except (DriversError, zipfile.BadZipFile) as problem:
        refuse(f"{package} does not verify: {problem}")


def _verify(contents: dict[str, bytes], roots: Sequence[x509.Certificate]) -> Iterator[str]:
    listed: dict[str, set[bytes]] = {}
    for name, content in contents.items():
        if name.endswith(".cat"):
            catalog = Catalog.parse(content, source=name)
            if catalog.signature is None:
                raise VerificationError("is not signed", source=name)
            _check_trust(catalog.signature, roots, name)
            listed[name.rpartition("/")[0]] = {member.sha256 for member in catalog.members}
            yield f"{name}: catalog of {len(catalog.members)} files, signed by {common_name(catalog.signature.signer)}"
    for name, content in contents.items():
        if name.endswith(".cat"):
            continue
        stream = io.BytesIO(content)
        how = "listed in the catalog"
        if content[:2] == b"MZ":
            image = PeImage.open(stream, source=name)
            signature = verify_pe(stream, image, source=name)
            if signature is None:
                raise VerificationError("is not signed", source=name)
            _check_trust(signature, roots, name)
            digest = authenticode_digests(stream, image, ("sha256",))["sha256"]
            how += f" and signed by {common_name(signature.signer)}"
        else:
            digest = _sha256(content)
        if digest not in listed.get(name.rpartition("/")[0], set()):
            raise VerificationError("is not listed in its folder's catalog", source=name)
        yield f"{name}: {how}"


def _check_trust(signature: Signature, roots: Sequence[x509.Certificate], name: str) -> None:
    trust = check_trust(signature, roots=roots, now=system_clock(), source=name)
    if reasons := [each.message for each in trust.findings if each.level == "error"]:
        raise VerificationError(f"its signer is not trusted: {' '.join(reasons)}", source=name)


def _sha256(content: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(content)
    return digest.finalize()
