"""Keys, certificates and files that the Authenticode tests share; osslsigncode is the independent oracle."""

import io
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hwdash.drivers.authenticode import (
    SPC_INDIRECT_DATA,
    content_digest,
    signed_attributes,
    signed_data,
    spc_pe_image_data,
)
from hwdash.drivers.pe import PeImage, measure, signed_image_chunks

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Signatory:
    """A leaf key with its certificate and the root that issued it."""

    key: PrivateKey
    leaf: x509.Certificate
    root: x509.Certificate

    @property
    def certificates(self) -> list[bytes]:
        return [c.public_bytes(serialization.Encoding.DER) for c in (self.leaf, self.root)]

    def sign(self, attributes: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(attributes, ec.ECDSA(hashes.SHA256()))

    def files(self, folder: Path) -> tuple[Path, Path, Path]:
        """Paths of root, leaf and key in PEM."""
        pem = serialization.Encoding.PEM
        paths = folder / "root.pem", folder / "leaf.pem", folder / "key.pem"
        paths[0].write_bytes(self.root.public_bytes(pem))
        paths[1].write_bytes(self.leaf.public_bytes(pem))
        paths[2].write_bytes(
            self.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return paths


@cache
def signatory(kind: str = "rsa") -> Signatory:
    root_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key: PrivateKey
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    root_name, leaf_name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("Root", "Leaf"))

    def start(subject: x509.Name, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=30))
        )

    root = (
        start(root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        start(leaf_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return Signatory(key, leaf, root)


DRIVER_SOURCE = """
#include <ntddk.h>
static VOID Unload(PDRIVER_OBJECT driver) { (void)driver; }
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path) {
    (void)path;
    driver->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
"""


@cache
def compiled_driver() -> bytes:
    """A native PE32+ from free tools: facts/package-formats.md, "A sample driver from free tools"."""
    flags = "-O2 -Wall -I/usr/share/mingw-w64/include/ddk -shared -nostdlib -Wl,--subsystem,native"
    flags += " -Wl,--entry,DriverEntry -Wl,--image-base,0x140000000 -Wl,--dynamicbase -Wl,--nxcompat"
    command = ["x86_64-w64-mingw32-gcc", *flags.split(), "-o", "sample.sys", "sample.c", "-lntoskrnl"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sample.c").write_text(DRIVER_SOURCE)
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        return (Path(folder) / "sample.sys").read_bytes()


def sign_image(image: bytes, who: Signatory, *, program_name: str | None = None, url: str | None = None) -> bytes:
    stream = io.BytesIO(image)
    parsed = PeImage.open(stream, source="image")
    measured = measure(stream, parsed)
    content = spc_pe_image_data(measured.digests["sha256"])
    attributes = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=program_name, url=url)
    pkcs7 = signed_data(
        SPC_INDIRECT_DATA,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )
    return b"".join(signed_image_chunks(stream, measured.layout, pkcs7))


def osslsigncode(*arguments: object) -> tuple[bool, str]:
    """Whether it succeeded, and what it printed."""
    done = subprocess.run(
        ["osslsigncode", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode == 0, done.stdout + done.stderr
