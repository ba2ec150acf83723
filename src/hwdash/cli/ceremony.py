"""What is done with the signing keys is a ceremony: it leaves a transcript and an entry of the audit log.

The transcript says what was done, who did it, when and why, and each certificate that was changed, before and after.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hwdash.cli.admin_options import who_decides
from hwdash.cli.output import print_json
from hwdash.cli.service_options import existing_service, told_plainly
from hwdash.clock import system_clock
from hwdash.domain.audit import SERVICE, act
from hwdash.server.keys import keys_folder
from hwdash.settings import Settings
from hwdash.signing.authority import LEAVES, ROOTS
from hwdash.signing.keys import KeyFolder
from hwdash.storage.audit import append, operator
from hwdash.storage.database import Database

NAMES = (*ROOTS, "issuing", *LEAVES)
"""Every key, issuers first."""


@dataclass
class Ceremony:
    """One that is under way. ``more`` is what its transcript says beside."""

    settings: Settings
    keys: KeyFolder
    now: datetime
    more: dict[str, str] = field(default_factory=dict)


@contextmanager
def ceremony(
    data: Path | None, subject: str, *, by: str | None, reason: str | None, as_json: bool
) -> Iterator[Ceremony]:
    """Do something with the keys of a service. ``subject`` is the key that it is about."""
    settings, now, who = existing_service(data), system_clock(), who_decides(by)
    path = click.get_current_context().command_path.split()
    action = " ".join(path[path.index("admin") :])
    with told_plainly(), closing(Database(settings.database)) as database:
        database.create()
        keys = KeyFolder.open(keys_folder(settings.data))
        before = _certificates(keys)
        under_way = Ceremony(settings, keys, now)
        with database.writing() as connection:
            yield under_way
            after = _certificates(keys)
            changes = [
                (name, _told(before.get(name)), _told(after.get(name)))
                for name in NAMES
                if before.get(name) != after.get(name)
            ]
            documents = [{"name": name, "before": old, "after": new} for name, old, new in changes]
            told = {"by": who, "reason": reason, "certificates": documents or None, **under_way.more}
            append(connection, act(SERVICE, now, operator(), action, ("key", subject), **told))
    said = {"ceremony": action, "key": subject, "when": now.isoformat(timespec="seconds"), "by": who}
    said |= {"reason": reason} if reason else {}
    said |= under_way.more
    if as_json:
        print_json({**said, "certificates": documents})
        return
    for name, value in said.items():
        click.echo(f"{name}: {value}")
    for name, old, new in changes:
        for when, state in (("before", old), ("after", new)):
            words = "none" if state is None else " ".join(f"{word} {value}" for word, value in state.items())
            click.echo(f"{name} {when}: {words}")


def _certificates(keys: KeyFolder) -> dict[str, x509.Certificate]:
    return {name: keys.certificates(name)[0] for name in NAMES if keys.has(name)}


def _told(certificate: x509.Certificate | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    return {
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "serial": f"{certificate.serial_number:x}",
        "notAfter": certificate.not_valid_after_utc.isoformat(timespec="seconds"),
    }
