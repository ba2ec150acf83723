"""Signed checkpoints of the audit log, to be kept where the service's owner cannot reach them.

A checkpoint is a C2SP tlog-checkpoint in a signed note: three lines (origin, size, root in base64), an empty line, and
one line with the name of the key and the signature by Ed25519:

    hwdash.example.internal:8443/hwdash/audit
    1742
    t0KpcHGNbAj9TBYkjr6GZGIcVDJbXt1tfyDCxDT9LRI=

    — hwdash.example.internal:8443/hwdash/audit 3Vs6FWXo...

The verifier key, in one line, is what whoever checks must have: NAME+ID+KEY. The private key is in the folder of the
service's own secrets; it signs nothing but checkpoints.
"""

import base64
import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hwdash.domain.merkle import HASH_BYTES, Tree
from hwdash.signing.errors import KeysError, SigningError
from hwdash.signing.keys import KeyFolder, encrypted_pkcs8, write_atomically

KEY_NAME = "audit-checkpoints"
SUFFIX = ".checkpoint"
LARGEST = 64 << 10
_ED25519 = b"\x01"
_DASH = "— "


class CheckpointError(SigningError):
    """A checkpoint, a verifier key or their folder cannot be used. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says: at this size the log had this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public key of a log: its name, which is the log's origin too, and the key."""

    name: str
    key: Ed25519PublicKey = field(repr=False)

    @property
    def id(self) -> bytes:
        """Four bytes that stand before each signature."""
        return _key_id(self.name, self.key)

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.key.public_bytes_raw()).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The key in a line NAME+ID+KEY. Raises CheckpointError."""
        try:
            name, identifier, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            key = Ed25519PublicKey.from_public_bytes(raw[1:])
            if raw[:1] == _ED25519 and _is_name(name) and bytes.fromhex(identifier) == _key_id(name, key):
                return cls(name, key)
        except ValueError:  # binascii.Error is one
            pass
        raise CheckpointError(f"{text.strip()[:200]!r} is not a verifier key of the form NAME+ID+KEY for Ed25519")

    def open(self, note: bytes, source: str) -> Checkpoint:
        """The checkpoint in a signed note, when this key signed it. Raises CheckpointError."""
        text, signatures = _split(note, source)
        known = [raw[4:] for name, raw in signatures if name == self.name and raw[:4] == self.id]
        if not known:
            raise CheckpointError(f"{source} has no signature by {self.name} with the key {self.id.hex()}")
        try:
            self.key.verify(known[0], text.encode())
        except InvalidSignature:
            raise CheckpointError(
                f"{source}: the signature is not good: the checkpoint was changed, or another key signed it"
            ) from None
        checkpoint = _parse(text, source)
        if checkpoint.origin != self.name:
            raise CheckpointError(f"{source} is of the log {checkpoint.origin}, not of {self.name}")
        return checkpoint


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """The key that signs the checkpoints of one log."""

    verifier: VerifierKey
    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def ensure(cls, folder: KeyFolder, origin: str) -> "CheckpointKey":
        """Load it, made for ``origin`` when there is none yet. Raises KeysError."""
        file = folder.file(KEY_NAME)
        with folder.locked():
            if not file.exists():
                made = Ed25519PrivateKey.generate()
                verifier = VerifierKey(origin, made.public_key())
                # The name first: a key without it is made anew, for nothing was signed with it.
                write_atomically(verifier_file(folder), f"{verifier}\n".encode(), mode=0o644)
                pem = encrypted_pkcs8(made, folder.passphrase, is_random=folder.is_random)
                write_atomically(file, pem, mode=0o600)
        verifier = stored_verifier(folder)
        try:
            key = load_pem_private_key(file.read_bytes(), folder.passphrase)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeysError(f"the key {file} does not open: {error}. Restore the file, or its passphrase") from error
        if not isinstance(key, Ed25519PrivateKey) or key.public_key() != verifier.key:
            raise KeysError(f"{file} and {verifier_file(folder)} do not belong together: restore them")
        return cls(verifier, key)

    def sign(self, tree: Tree) -> bytes:
        """The signed checkpoint of the log as it is: the same for the same."""
        name = self.verifier.name
        text = Checkpoint(name, tree.size, tree.root).text()
        signature = base64.b64encode(self.verifier.id + self.key.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{name} {signature}\n".encode()


def verifier_file(folder: KeyFolder) -> Path:
    """Where the verifier key is kept, to be handed out."""
    return folder.path / f"{KEY_NAME}.vkey"


def stored_verifier(folder: KeyFolder) -> VerifierKey:
    """The verifier key of this service's own log. Raises KeysError when none was made yet."""
    file = verifier_file(folder)
    try:
        return VerifierKey.parse(file.read_text("utf-8"))
    except (OSError, ValueError, CheckpointError) as error:
        raise KeysError(f"the verifier key {file} cannot be read: {error}") from error


def file_name(size: int) -> str:
    """The file of a checkpoint in its folder: sorted by name is sorted by size."""
    return f"{size:015d}{SUFFIX}"


def keep(folder: Path, note: bytes, size: int) -> Path:
    """Add a checkpoint to a folder, in a file of its own, which is never written again.

    Raises CheckpointError when the folder has a checkpoint of more entries, or another one of as many: the log is not
    the one that was there before. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / file_name(size)
    newest = max((each.name for each in folder.glob(f"*{SUFFIX}")), default="")
    if newest > file.name:
        raise CheckpointError(
            f"{folder} has the checkpoint {newest}, and the log has {size} entries now: it was cut off or exchanged. "
            f"Run hwdash admin audit verify --checkpoint {folder / newest}"
        )
    if file.exists():
        if file.read_bytes() != note:
            raise CheckpointError(
                f"{file} is another checkpoint of as many entries: the log or the key was exchanged. Run hwdash admin "
                f"audit verify --checkpoint {file}"
            )
        return file
    temporary = folder / f".{file.name}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(note)
            stream.flush()
            os.fsync(stream.fileno())
        # Unlike a rename it does not replace what another process has put there.
        os.link(temporary, file)
    finally:
        temporary.unlink()
    return file


def _key_id(name: str, key: Ed25519PublicKey) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]


def _is_name(name: str) -> bool:
    return bool(name) and not any(each.isspace() or each == "+" for each in name)


def _split(note: bytes, source: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a signed note, and its signatures: name, and key id with signature. Raises CheckpointError."""
    whole = note[:LARGEST].decode("utf-8", "replace")
    text, _, lines = whole.rpartition("\n\n")
    signatures = [_signature(line) for line in lines.removesuffix("\n").split("\n")]
    # As the format has it: UTF-8, no controls but the ends of lines, and each line ended.
    is_text = whole.encode() == note and not any(each < " " and each != "\n" for each in whole)
    if not (is_text and text and lines.endswith("\n") and all(signatures)):
        raise CheckpointError(f"{source} is not a signed note: text, an empty line, and a line for each signature")
    return f"{text}\n", [each for each in signatures if each]


def _signature(line: str) -> tuple[str, bytes] | None:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error is one
        return None
    return (name, raw) if line.startswith(_DASH) and _is_name(name) and len(raw) > 4 else None


def _parse(text: str, source: str) -> Checkpoint:
    origin, size, encoded, *_extensions = [*text.split("\n"), "", ""]
    try:
        root = base64.b64decode(encoded, validate=True)
    except ValueError:
        root = b""
    is_number = size.isascii() and size.isdecimal() and (size == "0" or not size.startswith("0"))
    if not origin or not is_number or len(size) > 18 or len(root) != HASH_BYTES:
        raise CheckpointError(f"{source} is signed, and no checkpoint: it needs the lines origin, size and root")
    return Checkpoint(origin, int(size), root)
