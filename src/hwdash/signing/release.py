"""Whether officers approved a release, as the signer itself sees it.

A release signature is one by the identities ``attestation`` and ``whql``. How many officers have to approve says
``policy.json`` (officers.py). Each signs what they approve: this package of this submission, for this identity, by this
service. The signer asks for as many different officers as the policy says, none of them who submitted it, and takes
nobody's word for it: neither the worker's nor the database's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwdash.signing.errors import OfficerRefused
from hwdash.signing.officers import DualControl

RELEASE_IDENTITIES: Final = ("attestation", "whql")
APPROVAL_TYPE: Final = "application/vnd.hwdash.release-approval+json"
APPROVE, BREAK_GLASS = "approve", "break-glass"
MOST_APPROVALS: Final = 200
"""In a request: an officer may have approved twice."""


@dataclass(frozen=True, slots=True)
class Release:
    """What officers approve, and what a signature is asked for."""

    submission_id: int
    product_id: int
    account_id: int
    package_sha256: str  # lower-case hex
    identity: str
    submitters: tuple[str, ...]  # client or user ids: who made and who committed the submission

    def document(self) -> dict[str, Any]:
        """As it stands in a word."""
        return {
            "submissionId": self.submission_id,
            "productId": self.product_id,
            "accountId": self.account_id,
            "packageSha256": self.package_sha256,
            "identity": self.identity,
            "submitters": sorted(set(self.submitters)),
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What approvals are worth. ``refusals`` is empty when the release may be signed."""

    officers: tuple[str, ...]
    """Who approved it, each once."""
    needed: int
    broke_glass: str
    """Who took it upon themselves alone; empty: nobody."""
    refusals: tuple[str, ...]


def approvals_needed(control: DualControl, identity: str) -> int:
    """How many officers have to approve before a signature by ``identity``."""
    return control.policy.release if identity in RELEASE_IDENTITIES else 0


def approval(
    control: DualControl,
    name: str,
    key: Ed25519PrivateKey,
    release: Release,
    service: str,
    *,
    reason: str,
    when: datetime,
    break_glass: bool = False,
) -> str:
    """The word of an officer for a release. Raises OfficerRefused when they may not give it."""
    said = release.document() | {
        "service": service,
        "decision": BREAK_GLASS if break_glass else APPROVE,
        "reason": reason,
        "when": when.isoformat(),
    }
    word = control.signed(name, key, APPROVAL_TYPE, said)
    _checked(control, word, release, service)
    return word


def judge(control: DualControl, release: Release, approvals: Sequence[str], service: str) -> Judgement:
    """Whether these words allow this release. ``service``: see ``ReleaseControl``."""
    needed = approvals_needed(control, release.identity)
    officers: list[str] = []
    problems: list[str] = []
    broke_glass = ""
    for word in approvals[:MOST_APPROVALS]:
        try:
            name, decision = _checked(control, word, release, service)
        except OfficerRefused as refusal:
            problems.append(f"an approval does not count: {refusal}")
            continue
        if decision == BREAK_GLASS:
            broke_glass = broke_glass or name
        if name not in officers:
            officers.append(name)
    if len(officers) >= needed:
        broke_glass = ""  # it was not needed
    if len(officers) >= needed or broke_glass:
        return Judgement(tuple(officers), needed, broke_glass, ())
    told = f": {', '.join(officers)}" if officers else ""
    short = (
        f"a signature as {release.identity} needs the approval of {needed} "
        f"officer{'s' if needed > 1 else ''} who did not submit the package, and has {len(officers)}{told}"
    )
    return Judgement(tuple(officers), needed, "", (short, *problems))


def _checked(control: DualControl, text: str, release: Release, service: str) -> tuple[str, str]:
    """Who says what in a word for this release. Raises OfficerRefused."""
    word = control.open(text, APPROVAL_TYPE)
    name, said = word.officer.name, word.said
    wanted = {**release.document(), "service": service}
    if others := [each for each, value in wanted.items() if said.get(each) != value]:
        raise OfficerRefused(f"{name} approved another release: {', '.join(others)} differ")
    if said.get("decision") not in (APPROVE, BREAK_GLASS):
        raise OfficerRefused(f"{name} did not approve it")
    if said["decision"] == BREAK_GLASS and not control.policy.break_glass:
        raise OfficerRefused(f"{name} broke the glass, which the policy forbids")
    if not release.submitters:
        raise OfficerRefused("nobody is named as who submitted the package")
    if set(release.submitters) & {name, *word.officer.submits_as}:
        raise OfficerRefused(f"{name} submitted the package, and so cannot approve it")
    return name, str(said["decision"])


class ReleaseControl:
    """Judges the releases of one service by the officers and the policy in its key folder.

    ``service`` is the SHA-256 of its root certificate, in hex: a word for another service counts for nothing here.
    Both files are read anew each time: who was removed counts no more from then on.
    """

    def __init__(self, folder: Path, service: str) -> None:
        self._folder = folder
        self.service = service

    def control(self) -> DualControl:
        """Officers and policy as they stand now. Raises KeysError."""
        return DualControl.read(self._folder)

    def judge(self, release: Release, approvals: Sequence[str]) -> Judgement:
        """Whether a release may be signed. Raises KeysError: what cannot be read allows nothing."""
        return judge(self.control(), release, approvals, self.service)
