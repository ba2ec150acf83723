"""Proof that somebody holds a certificate's key: a small cabinet with a nonce, which they sign and send back
(contract/dashboard.md 9).

What comes back is a stranger's file: it is read in the confined child process like any package.
"""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.drivers.authenticode import verify_cabinet
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.drivers.errors import DriversError, VerificationError
from hwdash.pipeline.child import ChildFailed, ChildLimits, run_in_child

MAX_BYTES = 1 << 20
NAME = "hwdash-certificate-challenge.txt"

_MAX_TEXT = 4096
_NONCE = re.compile(r"^nonce: ([0-9a-f]{64})$", re.MULTILINE)


class ProofRefused(Exception):
    """A file proves nothing. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who signed which challenge."""

    nonce: str
    certificate: x509.Certificate


def write_challenge(stream: BinaryIO, account_id: int, nonce: str) -> None:
    """Write the cabinet to sign."""
    text = (
        "Sign this cabinet (Authenticode, SHA-256) with the certificate that is to be registered, and send it back.\r\n"
        f"account: {account_id}\n"
        f"nonce: {nonce}\n"
    )
    write_cabinet(stream, [(NAME, text.encode("ascii"))], compression="store", reserve_for_signature=True)


def read_proof(file: Path) -> Proof:
    """Who signed the challenge in ``file``. Raises ProofRefused; whether it is an open challenge is not asked."""
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise ProofRefused(f"{file} has {size} bytes: a signed challenge has at most {MAX_BYTES}. {_AGAIN}")
    with tempfile.TemporaryDirectory(prefix="hwdash-proof-") as folder:
        copy = Path(folder) / "signed.cab"
        shutil.copyfile(file, copy)
        try:
            found: Any = run_in_child(
                "hwdash.pipeline.possession:read_signed_challenge",
                {"file": str(copy), "name": file.name},
                readable=[copy],
                limits=ChildLimits(cpu_seconds=30, wall_seconds=60, file_bytes=0),
                source=file.name,
            )
        except (DriversError, ChildFailed) as problem:
            raise ProofRefused(f"{file} is no signed challenge: {problem}. {_AGAIN}") from problem
    return Proof(found["nonce"], x509.load_der_x509_certificate(bytes.fromhex(found["certificate"])))


def read_signed_challenge(arguments: dict[str, Any]) -> dict[str, Any]:
    """In the child: {"nonce", "certificate" (DER, hex)}. Raises DriversError."""
    source = arguments["name"]
    with Path(arguments["file"]).open("rb") as stream:
        cabinet = Cabinet.open(stream, source=source)
        if [each.name for each in cabinet.files] != [NAME] or cabinet.files[0].size > _MAX_TEXT:
            raise VerificationError("it is a cabinet of something else", source=source)
        signature = verify_cabinet(stream, cabinet, source=source)
        ((_, pieces),) = ((each, b"".join(content)) for each, content in cabinet.extract())
    nonce = _NONCE.search(pieces.decode("ascii", "replace").replace("\r", ""))
    if nonce is None:
        raise VerificationError("there is no nonce in it", source=source)
    return {"nonce": nonce[1], "certificate": signature.signer.public_bytes(Encoding.DER).hex()}


_AGAIN = "Make one with hwdash admin certificate challenge and sign that, for instance with hwdash package sign"
