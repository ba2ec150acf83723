"""A signing key that is kept where it was made, and signs there: on a PKCS#11 token (signing/pkcs11.py), or in a key
vault of a cloud (signing/key_vault.py).

A place and a key in it are named by URIs, whose scheme says of which kind they are. What opens the place is a secret
(settings.py), and never part of a URI. Keys are RSA: PKCS#1 v1.5 gives the same signature for the same content, as the
signer needs it (signing/signer.py); ECDSA at such a place does not.
"""

from abc import abstractmethod
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding as paddings
from cryptography.hazmat.primitives.asymmetric import rsa

from hwdash.signing.errors import KeysError

TOKEN_SCHEME, VAULT_SCHEME = "pkcs11:", "azure-key-vault:"


class KeyElsewhere(rsa.RSAPrivateKey):
    """For whatever signs with a private key. It signs by SHA-256 and PKCS#1 v1.5 alone."""

    def __init__(self, uri: object, public: rsa.RSAPublicKey) -> None:
        self.uri = uri
        """Its name as text."""
        self._public = public

    @abstractmethod
    def signature(self, content: bytes) -> bytes:
        """The signature over content. Raises KeysError when there is none."""

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        """Raises KeysError when the place does not sign."""
        if not isinstance(padding, paddings.PKCS1v15) or not isinstance(algorithm, hashes.SHA256):
            raise TypeError("a key that is kept elsewhere signs by SHA-256 and PKCS#1 v1.5")
        return self.signature(bytes(data))

    def decrypt(self, ciphertext: bytes, padding: Any) -> NoReturn:
        """No."""
        self._never()

    def private_numbers(self) -> NoReturn:
        """No."""
        self._never()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:
        """No."""
        self._never()

    def __copy__(self) -> "KeyElsewhere":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "KeyElsewhere":
        return self

    def _never(self) -> NoReturn:
        raise KeysError(f"the key {self.uri} stays where it is")
