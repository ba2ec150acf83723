"""Officers with keys of their own, for tests of what their word is needed for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwdash.signing.officers import DualControl, Officer
from service import hwdash

PASSPHRASE = os.urandom(16).hex()


@dataclass(frozen=True)
class Person:
    """Somebody with a key, whether an officer or not."""

    name: str
    submits_as: Sequence[str] = ()
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)

    @property
    def officer(self) -> Officer:
        return Officer(self.name, self.key.public_key(), tuple(self.submits_as), datetime(2026, 11, 1, tzinfo=UTC))


def appointed(control: DualControl, *people: Person) -> DualControl:
    """With these people as officers, too."""
    for each in people:
        control = control.with_officer(each.officer)
    return control


@dataclass(frozen=True)
class Appointed:
    """An officer of a real service, made and added by the commands."""

    name: str
    file: Path

    @property
    def words(self) -> tuple[str, ...]:
        """What a command takes to act as them."""
        return "--officer", self.name, "--key", str(self.file)


def appoint(name: str, folder: Path, environment: dict[str, str], *options: str) -> Appointed:
    """Make a key and add its holder. Sets the passphrase of officers in ``environment``."""
    environment["HWDASH_OFFICER_PASSPHRASE"] = PASSPHRASE
    file = folder / f"{name}.key"
    hwdash("admin", "officer", "key", "--output", str(file), environment=environment)
    words = ("admin", "officer", "add", name, "--public-key", f"{file}.pub", *options)
    hwdash(*words, environment=environment)
    return Appointed(name, file)
