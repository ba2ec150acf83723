"""Private keys at rest.

A key folder (mode 0700) holds one file a key, ``NAME.pem`` (mode 0600): the private key as encrypted PKCS#8, then its
certificate chain, leaf first. Both stand in one file, because one rename replaces them together: a crash leaves the old
pair or the new one, never a mixture. ``NAME.crt`` is the certificate alone, for those who have to trust it. A root's
``NAME.pem`` holds no key: that is elsewhere (signing/roots.py). One whose key is on a token or in a vault
(signing/key_elsewhere.py) has a line with its URI instead; the file ``token`` names where new keys are made.

The encryption is PBES2 with scrypt (RFC 7914) and AES-256-CBC, which OpenSSL and cryptography read. cryptography itself
writes PKCS#8 with 2,048 rounds of PBKDF2 only, too few for a passphrase that a person chose.

The passphrase of the signing keys comes from HWDASH_KEY_PASSPHRASE, from the file that HWDASH_KEY_PASSPHRASE_FILE names
or from a credential of systemd (settings.py), or else from the file ``passphrase`` in the folder, made at first use of
256 random bits. Nobody guesses those, so the keys under them are stretched little, and open at once. The service's own
secrets are in folders with another passphrase, HWDASH_SECRETS_PASSPHRASE: the process that opens them has no use for
that of the signing keys, and does not read it.

What that file is worth: it keeps a copy of single key files (a stray backup, a support archive) useless, and lets the
service start unattended. It does not protect from somebody who can read the whole folder. Who wants that gives the
passphrase from a secret store at each start and removes the file.
"""

import base64
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hwdash.drivers.asn1 import der
from hwdash.settings import SettingsError, secret_of
from hwdash.signing.errors import KeysError
from hwdash.signing.key_elsewhere import KeyElsewhere
from hwdash.signing.key_places import open_key

TOKEN_PIN = "key_pin"  # noqa: S105 the name of a secret
SIGNING_KEYS, SERVICE_SECRETS = "key_passphrase", "secrets_passphrase"
"""By which secret a folder opens, as settings.py names it."""
_ON_TOKENS = (SIGNING_KEYS,)
PASSPHRASE_FILE = "passphrase"  # noqa: S105
TOKEN_FILE = "token"  # noqa: S105
_KEY_LINE = "Key: "

# N, r, p. 16 MB a guess, which stays below the 32 MB that OpenSSL allows scrypt; p makes it five times as slow.
_FOR_CHOSEN = (2**14, 8, 5)
_FOR_RANDOM = (2**10, 8, 1)
_RANDOM_BYTES = 32
_RANDOM_LENGTH = 43  # in base64url

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_BEGIN_KEY, _BEGIN_CERTIFICATE = b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Credential:
    """A private key and its certificate chain, leaf first. The root stands in the chain only where it is the leaf."""

    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of this key."""
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """A folder of encrypted keys and the passphrase that opens them."""

    path: Path
    passphrase: bytes = field(repr=False)
    is_random: bool = False
    """The passphrase is one that was made here, not one that somebody chose."""
    secret: str = SIGNING_KEYS
    pin: str = field(default="", repr=False)
    """What opens the token or vault that keys of the folder are in."""

    @classmethod
    def open(
        cls, path: Path, environment: Mapping[str, str] = os.environ, *, secret: str = SIGNING_KEYS
    ) -> "KeyFolder":
        """Open the folder, made when it is absent.

        Raises KeysError when others may read it, and when it holds keys but the passphrase is nowhere.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise KeysError(f"{path} is open to other users (mode {mode:o}): run chmod 700 on it")
            # The service opens its own secrets, and must not learn the token's PIN by it.
            pin = (_given(TOKEN_PIN, environment) if secret in _ON_TOKENS else None) or ""
            if given := _given(secret, environment):
                return cls(path, _utf8(secret, given), secret=secret, pin=pin)
            with _locked(path):
                stored = _stored_passphrase(path, secret)
                return cls(path, stored, is_random=len(stored) >= _RANDOM_LENGTH, secret=secret, pin=pin)
        except OSError as error:
            raise KeysError(f"the key folder {path} cannot be used: {error.strerror}") from error

    def file(self, name: str) -> Path:
        """Where the key and certificates of ``name`` are kept."""
        return self.path / f"{name}.pem"

    def public_file(self, name: str) -> Path:
        """Where the certificate of ``name`` is kept alone, to be handed out."""
        return self.path / f"{name}.crt"

    def has(self, name: str) -> bool:
        """Whether there is a key, or at least a certificate, of that name."""
        return self.file(name).exists()

    def has_key(self, name: str) -> bool:
        """Whether the private key of that name is in the folder. Raises KeysError."""
        return self.has(name) and _BEGIN_KEY in self._text(name)

    def token_key(self, name: str) -> str:
        """The URI of the key of that name on a token or in a vault; empty: it is in neither. Raises KeysError."""
        head = self._text(name).partition(_BEGIN_CERTIFICATE)[0].decode("utf-8", "replace").strip()
        return head.removeprefix(_KEY_LINE) if head.startswith(_KEY_LINE) else ""

    @property
    def token(self) -> str:
        """The URI of the token or vault in which new keys are made; empty: they are made here. Raises KeysError."""
        try:
            return (self.path / TOKEN_FILE).read_text("utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise KeysError(f"{self.path / TOKEN_FILE} cannot be read: {error}") from error

    def write(self, name: str, credential: Credential) -> None:
        """Store a key and its certificates, replacing those of that name in one step. Raises KeysError."""
        if isinstance(credential.key, KeyElsewhere):
            key = f"{_KEY_LINE}{credential.key.uri}\n".encode()
        else:
            key = encrypted_pkcs8(credential.key, self.passphrase, is_random=self.is_random)
        self._store(name, key, credential.chain)

    def write_certificates(self, name: str, chain: Sequence[x509.Certificate]) -> None:
        """Store certificates, leaf first, whose key is not kept in this folder. Raises KeysError."""
        self._store(name, b"", chain)

    def replace_certificates(self, name: str, chain: Sequence[x509.Certificate]) -> None:
        """Store other certificates for the key of that name, which stays as it is. Raises KeysError."""
        self._store(name, self._text(name).partition(_BEGIN_CERTIFICATE)[0], chain)

    def _store(self, name: str, key: bytes, chain: Sequence[x509.Certificate]) -> None:
        certificates = [each.public_bytes(Encoding.PEM) for each in chain]
        write_atomically(self.file(name), key + b"".join(certificates), mode=0o600)
        if certificates:
            write_atomically(self.public_file(name), certificates[0], mode=0o644)

    def read(self, name: str) -> Credential:
        """Load a key and its certificates.

        Raises KeysError when they are absent, open to other users, of another passphrase, or do not belong together.
        """
        text, file = self._text(name), self.file(name)
        if uri := self.token_key(name):
            return self._belonging(open_key(uri, self.pin), name)
        if _BEGIN_KEY not in text and _BEGIN_CERTIFICATE in text:
            raise KeysError(
                f"there is no key in {file}, only certificates: restore the file, or where a root is meant, give the "
                "file of the root keys with --root-key"
            )
        try:
            # The slow primality test is left out: the key is our own, and it must match its certificate below.
            key = load_pem_private_key(text, self.passphrase, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeysError(
                f"the key {file} does not open: the passphrase is another than the one it was written with, "
                f"or the file is damaged. Set {variable_of(self.secret)} to the right one, or restore the file"
            ) from error
        if not isinstance(key, PrivateKey):
            raise KeysError(f"the key {file} is neither RSA nor ECDSA")
        return self._belonging(key, name)

    def _belonging(self, key: PrivateKey, name: str) -> Credential:
        chain = _certificates(self._text(name), self.file(name))
        if chain and chain[0].public_key() != key.public_key():
            raise KeysError(f"the first certificate in {self.file(name)} belongs to another key: restore the file")
        return Credential(key, chain)

    def certificates(self, name: str) -> tuple[x509.Certificate, ...]:
        """The certificate chain of a key, leaf first, without opening the key. Raises KeysError when there is none."""
        if chain := _certificates(self._text(name), self.file(name)):
            return chain
        raise KeysError(f"there is no certificate in {self.file(name)}: restore the file")

    def _text(self, name: str) -> bytes:
        file = self.file(name)
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                raise KeysError(f"{file} is open to other users (mode {mode:o}): run chmod 600 on it")
            return file.read_bytes()
        except OSError as error:
            raise KeysError(f"the key {file} cannot be read: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from making keys in this folder meanwhile."""
        with _locked(self.path):
            yield


def encrypted_pkcs8(
    key: PrivateKey | ed25519.Ed25519PrivateKey, passphrase: bytes, *, is_random: bool = False
) -> bytes:
    """PEM of a key as EncryptedPrivateKeyInfo (RFC 5958) by PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC.

    ``is_random`` says that nobody can guess the passphrase, however quick a guess is.
    """
    n, r, p = _FOR_RANDOM if is_random else _FOR_CHOSEN
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    derived = Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(AES256(derived), CBC(iv)).encryptor()
    encrypted = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    cost = [der.integer(each) for each in (n, r, p)]
    scrypt = der.sequence(der.oid("1.3.6.1.4.1.11591.4.11"), der.sequence(der.octet_string(salt), *cost))
    aes = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), der.octet_string(iv))
    pbes2 = der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence(scrypt, aes))
    body = base64.encodebytes(der.sequence(pbes2, der.octet_string(encrypted)))
    return _BEGIN_KEY + b"\n" + body + b"-----END ENCRYPTED PRIVATE KEY-----\n"


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file so that a crash leaves the old content or the new one. Raises KeysError."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                _give_to_the_owner(descriptor, path.parent)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeysError(f"{path} cannot be written: {error.strerror}") from error


def _give_to_the_owner(descriptor: int, folder: Path) -> None:
    """What root writes into the folder of another user, who runs the signer, must be that user's."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def variable_of(secret: str) -> str:
    """The variable of a secret."""
    return f"HWDASH_{secret.upper()}"


def _given(secret: str, environment: Mapping[str, str]) -> str | None:
    try:
        return secret_of(secret, environment)
    except SettingsError as error:
        raise KeysError(str(error)) from error


def _utf8(secret: str, passphrase: str) -> bytes:
    try:
        return passphrase.encode()
    except UnicodeEncodeError:
        raise KeysError(f"{variable_of(secret)} must be UTF-8 text") from None


def _stored_passphrase(folder: Path, secret: str) -> bytes:
    file = folder / PASSPHRASE_FILE
    if file.exists():
        if stored := file.read_bytes().strip():
            return stored
        raise KeysError(f"{file} is empty: restore it, or set {variable_of(secret)}")
    if any(folder.glob("*.pem")):
        earlier = {SIGNING_KEYS: ""}.get(secret, " (in earlier versions that of HWDASH_KEY_PASSPHRASE)")
        raise KeysError(
            f"{folder} holds keys but no file {PASSPHRASE_FILE!r}: set {variable_of(secret)} to their "
            f"passphrase{earlier}"
        )
    made = secrets.token_urlsafe(_RANDOM_BYTES).encode()
    write_atomically(file, made + b"\n", mode=0o600)
    return made


def _certificates(text: bytes, file: Path) -> tuple[x509.Certificate, ...]:
    if _BEGIN_CERTIFICATE not in text:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(text))
    except ValueError as error:
        raise KeysError(f"a certificate in {file} cannot be read ({error}): restore the file") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _give_to_the_owner(descriptor, folder)
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)
