"""Does a signed package hold together? Every signature in it, down to a root certificate."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from hwdash.cli.output import refuse
from hwdash.drivers.authenticode import Signature, verify_pe
from hwdash.drivers.catalog import Catalog
from hwdash.drivers.errors import DriversError, VerificationError
from hwdash.drivers.pe import PeImage, authenticode_digests


def verify_signed_package(package: Path, root: Path) -> Iterator[str]:
    """One line a file: by what it is signed. Ends the command when anything does not hold."""
    anchor = x509.load_pem_x509_certificate(root.read_bytes())
    try:
        with zipfile.ZipFile(package) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        yield from _verify(contents, anchor)
    except (DriversError, zipfile.BadZipFile) as problem:
        refuse(f"{package} does not verify: {problem}")


def _verify(contents: dict[str, bytes], anchor: x509.Certificate) -> Iterator[str]:
    listed: dict[str, set[bytes]] = {}
    for name, content in contents.items():
        if name.endswith(".cat"):
            catalog = Catalog.parse(content, source=name)
            if catalog.signature is None:
                raise VerificationError("is not signed", source=name)
            _check_chain(catalog.signature, anchor, name)
            listed[name.rpartition("/")[0]] = {member.sha256 for member in catalog.members}
            yield f"{name}: catalog of {len(catalog.members)} files, signed by {_common_name(catalog.signature.signer)}"
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
            _check_chain(signature, anchor, name)
            digest = authenticode_digests(stream, image, ("sha256",))["sha256"]
            how += f" and signed by {_common_name(signature.signer)}"
        else:
            digest = _sha256(content)
        if digest not in listed.get(name.rpartition("/")[0], set()):
            raise VerificationError("is not listed in its folder's catalog", source=name)
        yield f"{name}: {how}"


def _check_chain(signature: Signature, anchor: x509.Certificate, name: str) -> None:
    """Each certificate is issued by the next, the last by the anchor. (osslsigncode checks the rest in our tests.)"""
    chain = [signature.signer]
    others = {each.subject: each for each in signature.certificates}
    while chain[-1].issuer != anchor.subject:
        issuer = others.get(chain[-1].issuer)
        if issuer is None or issuer in chain:
            raise VerificationError(f"its signature does not lead to {_common_name(anchor)}", source=name)
        chain.append(issuer)
    for certificate, issuer in zip(chain, [*chain[1:], anchor], strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise VerificationError(
                f"its certificate chain does not hold at {_common_name(certificate)}", source=name
            ) from error


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _sha256(content: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(content)
    return digest.finalize()
