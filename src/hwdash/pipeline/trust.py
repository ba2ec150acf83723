"""What a package is, for a verdict on it: kernel-mode or user-mode, and which identity of hwdash signed it, if any."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from hwdash.domain.trust import Kind
from hwdash.drivers.authenticode import catalog_signatures
from hwdash.drivers.catalog import is_signed
from hwdash.drivers.errors import LimitExceeded
from hwdash.pipeline.description import describe
from hwdash.pipeline.inspection import LIMITS
from hwdash.pipeline.package_source import opened
from hwdash.signing.authority import IDENTITIES

LARGEST_CATALOG = 64 << 20
_OF_HWDASH = "hwdash "


@dataclass(frozen=True, slots=True)
class PackageTrust:
    """What of a package its verdict depends on."""

    kind: Kind
    kernel_files: list[str]
    """The files that run in the kernel."""
    signers: list[str]
    """The names of who signed its catalogs, those that are not hwdash's among them."""
    identities: list[str]
    """Those of hwdash's identities that signed catalogs of it (signing/authority.py)."""


def package_trust(package: Path) -> PackageTrust:
    """Look at a package file, or a folder of driver folders. Raises DriversError when it cannot be read."""
    found = describe(package)
    binaries = {each["path"]: each for each in found["universal"]["binaries"]}
    kernel = [
        file["path"]
        for folder in found["driverFolders"]
        for file in folder["files"]
        if file["kind"] == "pe" and _runs_in_kernel(file["path"], binaries.get(file["path"], {}).get("modules", ()))
    ]
    signers = _signers(package)
    names = [_common_name(each) for each in signers]
    identities = [each for each in IDENTITIES if f"{each} signing" in {_role(name) for name in names}]
    return PackageTrust(Kind.KERNEL if kernel else Kind.USER, kernel, sorted(set(names)), identities)


def _runs_in_kernel(path: str, modules: object) -> bool:
    named = path.lower().endswith(".sys")
    return named or (isinstance(modules, list) and any(each["kind"] == "kernel" for each in modules))


def _signers(package: Path) -> list[x509.Certificate]:
    """Who says to have signed the catalogs in the package; whether the signatures hold is not asked."""
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="hwdash-trust-") as folder,
        opened([package], package.name, Path(folder)) as source,
    ):
        source.container.check_limits(LIMITS)
        for file, chunks in source.container.extract():
            if not file.name.lower().endswith(".cat"):
                for _ in chunks:
                    pass  # a cabinet is read from its beginning to its end
                continue
            content = bytearray()
            for chunk in chunks:
                content += chunk
                if len(content) > LARGEST_CATALOG:
                    raise LimitExceeded(f"more than {LARGEST_CATALOG >> 20} MB: that is no catalog", source=file.name)
            if is_signed(bytes(content), source=file.name):
                reports = catalog_signatures(bytes(content), source=file.name, allow_sha1=True)
                found += [each.signature.signer for each in reports if each.signature is not None]
    return found


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _role(name: str) -> str:
    """``attestation signing`` of "hwdash attestation signing", in a sandbox too; "" of a foreign one."""
    return name.removeprefix(_OF_HWDASH).removeprefix("SANDBOX ") if name.startswith(_OF_HWDASH) else ""
