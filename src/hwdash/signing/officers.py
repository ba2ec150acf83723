"""Officers: the people whose word a release, a role or a certificate needs, and the policy that says how many.

An officer has a key of their own (Ed25519), in an encrypted file that the service never sees. What the service knows is
the public key, in ``officers.json`` of the signer's key folder, beside ``policy.json``: not in the database, so that
nobody who holds that becomes an officer or changes what is asked for.

A word of an officer is a DSSE envelope (drivers/dsse.py) of a JSON object, with one signature and without certificates:
the key id is looked up among the officers. Each kind of word has a payload type of its own, so that none is taken for
another.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from hwdash.drivers.dsse import pae
from hwdash.signing.errors import KeysError, OfficerRefused
from hwdash.signing.keys import KeyFolder, encrypted_pkcs8, write_atomically

OFFICERS_FILE: Final = "officers.json"
POLICY_FILE: Final = "policy.json"
MOST_OFFICERS: Final = 100
LARGEST_WORD: Final = 1 << 20
"""Of a word as text, in characters: one about a change holds the files that the change is given."""
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Policy:
    """How many people have to agree. The defaults ask for nobody beside who does it."""

    release: int = 0
    """Officers that approve a package before it gets a release signature."""
    role_grants: int = 1
    """People for a command that lets somebody in or gives them roles: 1 or 2."""
    certificates: int = 1
    """People for a command that registers a certificate: 1 or 2."""
    break_glass: bool = True
    """Whether one officer may do alone, and loudly, what needs more."""

    @property
    def is_dual(self) -> bool:
        """Whether anything needs a second person. Then a change of policy or officers does too."""
        return self.release > 0 or self.role_grants > 1 or self.certificates > 1


@dataclass(frozen=True, slots=True)
class Officer:
    """A person with a key. ``submits_as``: the client and user ids by which they submit packages, too."""

    name: str
    key: Ed25519PublicKey = field(repr=False)
    submits_as: tuple[str, ...]
    added_at: datetime

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key (SubjectPublicKeyInfo), lower-case hex."""
        return key_id(self.key)


@dataclass(frozen=True, slots=True)
class Word:
    """What an officer signed, once its signature held. ``said`` is the JSON object, ``officer`` among its members."""

    officer: Officer
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DualControl:
    """The officers and the policy of a service, as they stand in its key folder."""

    policy: Policy
    officers: Mapping[str, Officer]

    @classmethod
    def read(cls, folder: Path) -> "DualControl":
        """Read both files; the defaults stand where there is none. Raises KeysError: what cannot be read allows
        nothing.
        """
        policy, officers = (_read(folder / name) for name in (POLICY_FILE, OFFICERS_FILE))
        return cls(
            Policy() if policy is None else _policy(policy, str(folder / POLICY_FILE)),
            {} if officers is None else _officers(officers.get("officers"), str(folder / OFFICERS_FILE)),
        )

    def open(self, word: str, payload_type: str) -> Word:
        """The word in an envelope, when one of the officers signed it. Raises OfficerRefused."""
        try:
            document = json.loads(word[: LARGEST_WORD + 1])
            (signature,) = document["signatures"]
            payload = base64.b64decode(document["payload"], validate=True)
            signed = base64.b64decode(signature["sig"], validate=True)
            found, wanted = document["payloadType"], signature["keyid"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise OfficerRefused("it is not an officer's word: a DSSE envelope with one signature") from None
        if found != payload_type:
            raise OfficerRefused(f"it is a word of the type {found!r}, not {payload_type!r}")
        officer = next((each for each in self.officers.values() if each.key_id == wanted), None)
        if officer is None:
            raise OfficerRefused(f"the key {str(wanted)[:64]} is no officer's, or that of one who was removed")
        try:
            officer.key.verify(signed, pae(payload_type, payload))
            said = json.loads(payload)
        except (InvalidSignature, ValueError, RecursionError):
            raise OfficerRefused(f"the signature of officer {officer.name} does not hold") from None
        if not isinstance(said, dict) or said.get("officer") != officer.name:
            raise OfficerRefused(f"the word that {officer.name} signed is another's")
        return Word(officer, said)

    def signed(self, name: str, key: Ed25519PrivateKey, payload_type: str, said: Mapping[str, Any]) -> str:
        """A word of an officer, as text. Raises OfficerRefused when there is no such officer with that key."""
        officer = self.officers.get(name)
        if officer is None:
            known = ", ".join(self.officers) or "none"
            raise OfficerRefused(f"there is no officer {name}; there are {known}")
        if key.public_key() != officer.key:
            raise OfficerRefused(f"the key is not the one of officer {name}, whose key id is {officer.key_id}")
        payload = json.dumps({**said, "officer": name}, sort_keys=True, separators=(",", ":")).encode()
        signature = {"keyid": officer.key_id, "sig": _base64(key.sign(pae(payload_type, payload)))}
        word = {"payloadType": payload_type, "payload": _base64(payload), "signatures": [signature]}
        return json.dumps(word, separators=(",", ":"))

    def with_officer(self, officer: Officer) -> "DualControl":
        """With one more. Raises OfficerRefused for a name or key that is there, and for a name that is none."""
        if not officer.name.strip() or len(officer.name) > _LONGEST_NAME or not officer.name.isprintable():
            raise OfficerRefused(f"an officer's name has 1 to {_LONGEST_NAME} printable characters")
        if officer.name in self.officers:
            raise OfficerRefused(f"there is an officer {officer.name} already: remove them first")
        if any(each.key_id == officer.key_id for each in self.officers.values()):
            raise OfficerRefused("the key is that of another officer: two people need two keys")
        if len(self.officers) == MOST_OFFICERS:
            raise OfficerRefused(f"there are {MOST_OFFICERS} officers already, which is the most")
        return replace(self, officers={**self.officers, officer.name: officer})

    def without_officer(self, name: str) -> "DualControl":
        """With one less. Raises OfficerRefused when there is none of that name, or the policy could not be met."""
        if name not in self.officers:
            raise OfficerRefused(f"there is no officer {name}; there are {', '.join(self.officers) or 'none'}")
        left = {each: officer for each, officer in self.officers.items() if each != name}
        return replace(self, officers=left).with_policy(self.policy)

    def with_policy(self, policy: Policy) -> "DualControl":
        """With another policy. Raises OfficerRefused when there are too few officers to meet it."""
        needed = max(policy.release, 2 if policy.is_dual else 0)
        if len(self.officers) < needed:
            raise OfficerRefused(
                f"the policy needs {needed} officers, and there would be {len(self.officers)}: "
                "add officers with hwdash admin officer add, or ask for less"
            )
        return replace(self, policy=policy)

    def write(self, folder: Path) -> None:
        """Store both. Raises KeysError."""
        document = self.document()
        # First who there is: in between, as many as before or more can meet the policy that still stands.
        _write(folder / OFFICERS_FILE, {"officers": document["officers"]})
        _write(folder / POLICY_FILE, document["policy"])

    def document(self) -> dict[str, Any]:
        """As one JSON object: ``officers`` and ``policy``, each as its file has it."""
        officers = [
            {
                "name": each.name,
                "publicKey": _public_pem(each.key),
                "submitsAs": list(each.submits_as),
                "addedAt": each.added_at.isoformat(),
            }
            for each in self.officers.values()
        ]
        return {"officers": officers, "policy": policy_document(self.policy)}

    @classmethod
    def parse(cls, document: Mapping[str, Any], source: str) -> "DualControl":
        """What ``document`` made. Raises KeysError, which names ``source``."""
        return cls(_policy(document["policy"], source), _officers(document["officers"], source))


def locked_control(folder: Path) -> KeyFolder:
    """For ``with locked_control(FOLDER).locked()``: keep others from changing officers and policy meanwhile."""
    return KeyFolder(folder, b"")


def new_officer_key(passphrase: bytes) -> tuple[bytes, bytes]:
    """A new key: the encrypted private key and the public key, both PEM."""
    key = Ed25519PrivateKey.generate()
    return encrypted_pkcs8(key, passphrase), _public_pem(key.public_key()).encode()


def open_officer_key(file: Path, passphrase: bytes) -> Ed25519PrivateKey:
    """The private key in a file. Raises KeysError."""
    try:
        key = load_pem_private_key(file.read_bytes(), passphrase)
    except OSError as error:
        raise KeysError(f"the officer's key {file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeysError(
            f"the officer's key {file} does not open: the passphrase is another, or it is no encrypted key in PEM"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysError(f"{file} is no key of Ed25519: make one with hwdash admin officer key")
    return key


def read_public_key(content: bytes, source: str) -> Ed25519PublicKey:
    """A public key, PEM. Raises KeysError."""
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeysError(f"{source} is no public key of Ed25519 in PEM: hwdash admin officer key makes one")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key (SubjectPublicKeyInfo), lower-case hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def policy_document(policy: Policy) -> dict[str, Any]:
    """A policy as ``policy.json`` has it."""
    return {
        "release": policy.release,
        "roleGrants": policy.role_grants,
        "certificates": policy.certificates,
        "breakGlass": policy.break_glass,
    }


def _policy(document: Mapping[str, Any], source: str) -> Policy:
    named = {**policy_document(Policy()), **document}
    policy = Policy(named["release"], named["roleGrants"], named["certificates"], named["breakGlass"])
    if set(named) != set(policy_document(policy)):
        raise KeysError(f"{source} has members that are not known: restore the file")
    numbers = (policy.release, 0, MOST_OFFICERS), (policy.role_grants, 1, 2), (policy.certificates, 1, 2)
    if not all(type(value) is int and least <= value <= most for value, least, most in numbers) or not isinstance(
        policy.break_glass, bool
    ):
        raise KeysError(f"{source} holds a value that cannot be: restore the file")
    return policy


def _officers(given: Any, source: str) -> dict[str, Officer]:
    try:
        officers = [
            Officer(
                name=str(each["name"]),
                key=read_public_key(str(each["publicKey"]).encode(), source),
                submits_as=tuple(map(str, each["submitsAs"])),
                added_at=datetime.fromisoformat(each["addedAt"]),
            )
            for each in given
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise KeysError(f"{source} cannot be read ({error}): restore the file") from None
    return {each.name: each for each in officers}


def _read(file: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise KeysError(f"{file} cannot be read ({error}): restore the file") from None
    if not isinstance(document, dict):
        raise KeysError(f"{file} cannot be read (it is no JSON object): restore the file")
    return document


def _write(file: Path, document: Mapping[str, Any]) -> None:
    write_atomically(file, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
    owner = file.parent.stat()
    if owner.st_uid != file.stat().st_uid:
        # Root wrote it, for a signer that is another user.
        os.chown(file, owner.st_uid, owner.st_gid)


def _public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
