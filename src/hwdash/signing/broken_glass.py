"""Broken glass: what one officer did alone that needs more people, and the word of another who has seen it.

A release is taken by an approval that says so (release.py); a command by a word that holds all of it. Each use waits
until another officer acknowledges it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwdash.signing.errors import OfficerRefused
from hwdash.signing.officers import DualControl

COMMAND_TYPE: Final = "application/vnd.hwdash.broken-glass+json"
ACKNOWLEDGEMENT_TYPE: Final = "application/vnd.hwdash.broken-glass-acknowledgement+json"


def take_alone(
    control: DualControl,
    name: str,
    key: Ed25519PrivateKey,
    *,
    service: str,
    command: str,
    parameters: Mapping[str, Any],
    reason: str,
    now: datetime,
) -> str:
    """The word of an officer who runs a command alone. Raises OfficerRefused, also where the policy forbids it."""
    if not control.policy.break_glass:
        raise OfficerRefused("the policy forbids to break the glass: another officer has to confirm it")
    said = {"service": service, "command": command, "parameters": parameters, "reason": reason}
    return control.signed(name, key, COMMAND_TYPE, said | {"when": now.isoformat()})


def acknowledge(
    control: DualControl, name: str, key: Ed25519PrivateKey, identifier: str, broken_by: str, now: datetime
) -> str:
    """The word of another officer who has seen it. Raises OfficerRefused."""
    signed = control.signed(name, key, ACKNOWLEDGEMENT_TYPE, {"brokenGlass": identifier, "when": now.isoformat()})
    if name == broken_by:
        raise OfficerRefused(f"{name} broke the glass: another officer has to acknowledge it")
    return signed
