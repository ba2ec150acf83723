"""A change that waits for a second person: what the first officer asks for, and what another says to it.

Both are words of officers (officers.py). The first holds all of the change: the command, its parameters and the content
of its files. So what runs after the second word is what the first officer signed, whatever became of the row meanwhile.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwdash.signing.errors import OfficerRefused
from hwdash.signing.officers import LARGEST_WORD, DualControl

CHANGE_TYPE: Final = "application/vnd.hwdash.pending-change+json"
DECISION_TYPE: Final = "application/vnd.hwdash.pending-change-decision+json"
CONFIRM, REFUSE = "confirm", "refuse"
LIFE: Final = timedelta(days=7)
"""For how long a change may wait."""


@dataclass(frozen=True, slots=True)
class Change:
    """A command that was asked for."""

    id: str
    service: str
    """SHA-256 of the service's root certificate, hex."""
    command: str
    """As ``admin app create``."""
    parameters: Mapping[str, Any]
    """What the command is called with, by name; a file is ``{"file": its name, "content": base64}``."""
    reason: str
    asked_by: str
    until: datetime


def ask(
    control: DualControl,
    name: str,
    key: Ed25519PrivateKey,
    *,
    identifier: str,
    service: str,
    command: str,
    parameters: Mapping[str, Any],
    reason: str,
    now: datetime,
) -> str:
    """The word of the first officer. Raises OfficerRefused."""
    said = {
        "id": identifier,
        "service": service,
        "command": command,
        "parameters": parameters,
        "reason": reason,
        "when": now.isoformat(),
        "until": (now + LIFE).isoformat(),
    }
    word = control.signed(name, key, CHANGE_TYPE, said)
    if len(word) > LARGEST_WORD:
        raise OfficerRefused(f"the change has {len(word)} characters, its files among them: at most {LARGEST_WORD}")
    return word


def asked(control: DualControl, word: str, *, identifier: str, service: str, now: datetime) -> Change:
    """What an officer asked for. Raises OfficerRefused when the word does not hold, or not any more."""
    opened = control.open(word, CHANGE_TYPE)
    said = opened.said
    try:
        change = Change(
            id=str(said["id"]),
            service=str(said["service"]),
            command=str(said["command"]),
            parameters=dict(said["parameters"]),
            reason=str(said["reason"]),
            asked_by=opened.officer.name,
            until=datetime.fromisoformat(said["until"]),
        )
    except (LookupError, ValueError, TypeError):
        raise OfficerRefused("the word is about no change") from None
    if (change.id, change.service) != (identifier, service):
        raise OfficerRefused(f"{change.asked_by} asked for another change, or of another service")
    if now >= change.until:
        raise OfficerRefused(f"it waited too long, until {change.until.isoformat()}: ask for it again")
    return change


def decide(
    control: DualControl, name: str, key: Ed25519PrivateKey, word: str, change: Change, decision: str, now: datetime
) -> str:
    """The word of another officer about a change. Raises OfficerRefused: nobody confirms what they asked for."""
    said = {
        "service": change.service,
        "change": hashlib.sha256(word.encode()).hexdigest(),
        "decision": decision,
        "when": now.isoformat(),
    }
    signed = control.signed(name, key, DECISION_TYPE, said)
    if decision == CONFIRM and name == change.asked_by:
        raise OfficerRefused(f"{name} asked for it: another officer has to confirm it")
    return signed
