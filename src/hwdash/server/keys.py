"""The service's own secrets, apart from the signing keys: what tokens and upload URLs are signed with."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from hwdash.server.tokens import ensure_token_key
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import SERVICE_SECRETS, KeyFolder, write_atomically

SAS_KEY_BYTES = 32


def secrets_folder(data: Path) -> Path:
    """Where they are kept. The signing keys are in another folder, with another passphrase: this process never opens
    those.
    """
    return data / "secrets"


def open_secrets(data: Path, part: str = "") -> KeyFolder:
    """The folder of the service's own secrets, or a part of it. Raises KeysError."""
    return KeyFolder.open(secrets_folder(data) / part, secret=SERVICE_SECRETS)


def keys_folder(data: Path) -> Path:
    """Where the signing keys are kept, for the signer's process."""
    return data / "keys"


@dataclass(frozen=True, slots=True)
class ServiceKeys:
    """The key that signs tokens and the one that signs upload URLs."""

    token: rsa.RSAPrivateKey = field(repr=False)
    sas: bytes = field(repr=False)

    @classmethod
    def ensure(cls, data: Path) -> "ServiceKeys":
        """Load them, made when absent. Raises KeysError."""
        folder = open_secrets(data)
        token = ensure_token_key(folder)
        file = folder.path / "sas.key"
        with folder.locked():
            if not file.exists():
                write_atomically(file, secrets.token_hex(SAS_KEY_BYTES).encode(), mode=0o600)
        try:
            sas = bytes.fromhex(file.read_text("ascii"))
        except (OSError, ValueError) as error:
            raise KeysError(
                f"{file} is not a key: {error}. Restore it, or remove it: URLs given out then end"
            ) from error
        return cls(token, sas)
