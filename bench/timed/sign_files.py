"""The process that bench/signing.py times: ``sign_files.py FILES OUTPUT CERTIFICATE KEY``.

It imports what it uses and nothing else, as the pipeline's child processes do, and prints its process's VmHWM in MB.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from hwdash.drivers.authenticode import content_digest, signed_attributes, signed_data, spc_pe_image_data
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE, CatalogMember, certificate_trust_list
from hwdash.drivers.catalog_files import whole_digests
from hwdash.drivers.pe import PeImage, PeLayout, measure, signed_image_chunks
from hwdash.drivers.spc import SPC_INDIRECT_DATA

THREADS = 2


class Signing:
    """What LocalSigner does with one key, without the record of steps that it asks for."""

    def __init__(self, certificate: Path, key: Path) -> None:
        loaded = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise TypeError(f"{key} is no RSA key")
        self._key = loaded
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        self._certificates = [each.public_bytes(Encoding.DER) for each in chain]

    def signed(self, content_type: str, content: bytes) -> bytes:
        """PKCS#7 over the content."""
        attributes = signed_attributes(content_type, content_digest(content), program_name="Bench", url=None)
        signature = self._key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
        return signed_data(
            content_type, content, certificates=self._certificates, attributes=attributes, signature=signature
        )


def measured(path: Path) -> tuple[Path, CatalogMember, PeLayout | None]:
    """What catalog and signature need of a file."""
    with path.open("rb") as stream:
        if stream.read(2) == b"MZ":
            found = measure(stream, PeImage.open(stream, source=path.name))
            sha1, sha256 = found.digests["sha1"], found.digests["sha256"]
            return path, CatalogMember(path.name, True, sha1, sha256, "2:10.0"), found.layout
        return path, CatalogMember(path.name, False, *whole_digests(stream), "2:10.0"), None


def sign_files(folder: Path, output: Path, signing: Signing) -> None:
    """Measure, catalogue, sign, write."""

    def write_signed(path: Path, member: CatalogMember, layout: PeLayout) -> None:
        signature = signing.signed(SPC_INDIRECT_DATA, spc_pe_image_data(member.sha256))
        with path.open("rb") as stream, (output / path.name).open("wb") as out:
            out.writelines(signed_image_chunks(stream, layout, signature))

    by_size = sorted(folder.iterdir(), key=lambda path: path.stat().st_size, reverse=True)
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(measured, by_size))
        trust_list = certificate_trust_list(
            [member for _, member, _ in found], list_id=os.urandom(16), when=datetime.now(UTC), attributes=[]
        )
        written = [threads.submit(write_signed, path, member, layout) for path, member, layout in found if layout]
        (output / "bench.cat").write_bytes(signing.signed(CATALOG_CONTENT_TYPE, trust_list))
        for each in written:
            each.result()


if __name__ == "__main__":
    folder, output, certificate, key = map(Path, sys.argv[1:])
    sign_files(folder, output, Signing(certificate, key))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)
