"""What the audit log keeps of an act: who did what to which object, and when. No I/O.

An entry is the next of its account's chain: it names the hash of the one before it. Its own hash is that of a leaf of
the Merkle tree over all entries (domain/merkle.py), so chain and tree hold the same thing. Entries that are of no
account alone are in the chain of the service, account 0.

Details hold ids, digests and the words of a refusal. They never hold a secret, a token or a package.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hwdash.domain.merkle import HASH_BYTES, leaf_hash

SERVICE = 0
"""The account of what concerns the service itself."""
FIRST_PREVIOUS = bytes(HASH_BYTES)
"""What the first entry of a chain names as the hash before it."""

REFUSED = "refused"
"""The action of an entry about something that was not done."""
BREAK_GLASS = "break_glass"
"""The action of an entry about what one officer did alone that needs more."""

APPLICATION, PERSON, OPERATOR, WORKFLOW, UNKNOWN = "application", "person", "operator", "workflow", "unknown"
"""The kinds of actors: by client id, by user id, by the name on the machine, by the course, by the network address."""

LONGEST = 200

# json.dumps makes an encoder for each call that asks for anything of its own.
_AS_IT_IS = json.JSONEncoder(separators=(",", ":"))
_SORTED = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done or refused, without its place in the log. ``details`` is one JSON object as text."""

    account_id: int
    time: datetime
    actor_kind: str
    actor_id: str
    action: str
    object_kind: str
    object_id: str
    details: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An act in its place: the ``position`` in the whole log from 0, the ``sequence`` in its account's chain from 1."""

    position: int
    sequence: int
    act: Act
    hash: bytes


def act(
    account_id: int, now: datetime, actor: tuple[str, object], action: str, thing: tuple[str, object], **details: Any
) -> Act:
    """An act. ``actor`` and ``thing`` are a kind and an id each; the details whose value is None are left out."""
    told = {name: value for name, value in details.items() if value is not None}
    return Act(
        account_id=account_id,
        time=now,
        actor_kind=actor[0],
        actor_id=_short(actor[1]),
        action=_short(action),
        object_kind=thing[0],
        object_id=_short(thing[1]),
        details=_SORTED.encode(told),
    )


def canonical(done: Act, sequence: int, previous: bytes) -> bytes:
    """The bytes that are hashed: a JSON object in ASCII, its names in order, no blanks; the details as one string."""
    document: Mapping[str, object] = {
        "account": done.account_id,
        "action": done.action,
        "actor": [done.actor_kind, done.actor_id],
        "details": done.details,
        "object": [done.object_kind, done.object_id],
        "previous": previous.hex(),
        "sequence": sequence,
        "time": done.time.astimezone(UTC).isoformat(timespec="microseconds"),
    }
    return _AS_IT_IS.encode(document).encode()


def entry_hash(done: Act, sequence: int, previous: bytes) -> bytes:
    """The hash of an entry: as a link of its account's chain, and as a leaf of the tree."""
    return leaf_hash(canonical(done, sequence, previous))


def _short(text: object) -> str:
    """What fits the column and every database."""
    return str(text)[:LONGEST].replace("\0", "?").encode("utf-8", "replace").decode()
