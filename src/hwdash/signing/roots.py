"""The keys of the roots, in a file of their own under a passphrase of its own, which the service never opens.

Whoever has a root's key can make certificates that machines trust, and nobody can take them back: so it is kept where
no service runs. ``hwdash init`` writes the file, and the operator carries it away. It is needed again for what only a
root can sign: the certificates of the issuing CA, every ten years, and of the preproduction identity, every three.

The file is text: for each root a line ``Name: NAME``, the private key as in a key folder (signing/keys.py), and the
root's certificate. Its mode is not looked at when it is read: a file system that is carried about may have none.
"""

import base64
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from hwdash.settings import SettingsError, secret_of
from hwdash.signing.authority import LEAVES, PREPRODUCTION, ROOTS, is_sandbox_authority, issue
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import Credential, KeyFolder, PrivateKey, encrypted_pkcs8, write_atomically

ROOT_FILE = "root-key.pem"
ROOT_PASSPHRASE = "HWDASH_ROOT_PASSPHRASE"  # noqa: S105 the name of a variable, not a secret
CEREMONIES = ("issuing", PREPRODUCTION)
"""What a root has issued."""

_WARNED_BEFORE = {"root": timedelta(days=730), "issuing": timedelta(days=365), PREPRODUCTION: timedelta(days=180)}
_LARGEST = 1 << 20
_HEAD = """\
The root keys of a hwdash service. Keep this file where no service runs, and its passphrase elsewhere.
hwdash admin key issue needs both.
"""
_SECTION = re.compile(rb"^Name: ([a-z-]+)\n(-----BEGIN .+?-----END CERTIFICATE-----\n)", re.MULTILINE | re.DOTALL)


def new_passphrase() -> str:
    """160 random bits in groups of letters that can be copied by hand."""
    letters = base64.b32encode(secrets.token_bytes(20)).decode()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def write_roots(file: Path, roots: Mapping[str, Credential], passphrase: str, *, is_random: bool) -> None:
    """Write the keys of the roots into a new file, and read them back. Raises KeysError, also where a file is."""
    if file.exists():
        raise KeysError(f"{file} is there already, and is not overwritten: name another file, or move it away")
    parts = [_HEAD.encode()]
    for name, root in roots.items():
        parts += [
            f"\nName: {name}\n".encode(),
            encrypted_pkcs8(root.key, passphrase.encode(), is_random=is_random),
            root.certificate.public_bytes(Encoding.PEM),
        ]
    write_atomically(file, b"".join(parts), mode=0o600)
    read_roots(file, passphrase)


def read_roots(file: Path, passphrase: str) -> dict[str, Credential]:
    """The roots in a file, by name. Raises KeysError."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST)
    except OSError as error:
        raise KeysError(f"the file of the root keys {file} cannot be read: {error.strerror}") from error
    found = {}
    for name, section in _SECTION.findall(text.replace(b"\r\n", b"\n")):
        try:
            key = load_pem_private_key(section, passphrase.encode(), unsafe_skip_rsa_key_validation=True)
            certificate = x509.load_pem_x509_certificate(section)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeysError(f"the root keys in {file} do not open: wrong passphrase, or a damaged file") from error
        if not isinstance(key, PrivateKey) or key.public_key() != certificate.public_key():
            raise KeysError(f"a key and its certificate in {file} do not belong together: take another copy")
        found[name.decode()] = Credential(key, (certificate,))
    if set(found) != set(ROOTS):
        raise KeysError(f"{file} is no file of root keys as hwdash init or hwdash admin key offline writes it")
    return found


def given_passphrase(environment: Mapping[str, str] = os.environ) -> str | None:
    """The passphrase of the root keys from HWDASH_ROOT_PASSPHRASE or the file of it (settings.py). Raises KeysError."""
    try:
        return secret_of("root_passphrase", environment)
    except SettingsError as error:
        raise KeysError(str(error)) from error


def roots_of(keys: KeyFolder, file: Path, passphrase: str) -> dict[str, Credential]:
    """The roots in a file, which must be those of the folder. Raises KeysError."""
    roots = read_roots(file, passphrase)
    for name, root in roots.items():
        if keys.certificates(name)[0] != root.certificate:
            raise KeysError(f"{file} is of another service: its {name} is not that of {keys.file(name)}")
    return roots


def roots_in(keys: KeyFolder) -> dict[str, Credential]:
    """The roots whose keys are in the folder, as earlier versions have left them there. Raises KeysError."""
    return {name: keys.read(name) for name in ROOTS if keys.has_key(name)}


def take_roots_away(keys: KeyFolder) -> None:
    """Leave only the certificates of the roots in the folder. Raises KeysError."""
    with keys.locked():
        for name in ROOTS:
            keys.write_certificates(name, keys.certificates(name))


def renew(keys: KeyFolder, name: str, roots: Mapping[str, Credential], now: datetime) -> x509.Certificate:
    """A new certificate of the issuing CA or the preproduction identity, for the key that it has. Raises KeysError.

    ``roots`` are those of the folder (``roots_of``). The key is not opened. Certificates below the issuing CA stay as
    they are, with the new one in their chains.
    """
    with keys.locked():
        key, sandbox = keys.certificates(name)[0].public_key(), is_sandbox_authority(keys)
        chain = issue(keys, name, key, now, sandbox=sandbox, roots=roots)  # type: ignore[arg-type]  # it is one of ours
        keys.replace_certificates(name, chain)
        if name == "issuing":
            for leaf in LEAVES:
                if leaf != PREPRODUCTION and keys.certificates(leaf)[0].issuer == chain[0].subject:
                    keys.replace_certificates(leaf, (keys.certificates(leaf)[0], *chain))
    return chain[0]


def ceremonies_due(chains: Mapping[str, Sequence[bytes]], root: bytes, now: datetime) -> list[str]:
    """A sentence for each certificate that only its root can renew, and for the root, when it ends before long.

    ``chains`` are those of the identities, DER, and ``root`` is the root in PEM.
    """
    certificates = {
        "root": x509.load_pem_x509_certificate(root),
        "issuing": x509.load_der_x509_certificate(chains["attestation"][1]),
        PREPRODUCTION: x509.load_der_x509_certificate(chains[PREPRODUCTION][0]),
    }
    return [
        f"the {name} certificate ends on {end:%Y-%m-%d}: "
        + (f"hwdash admin key issue {name} --root-key FILE renews it" if name in CEREMONIES else "plan a new root")
        for name, each in certificates.items()
        if (end := each.not_valid_after_utc) < now + _WARNED_BEFORE[name]
    ]
