"""Is the audit log what it was? Chains and tree are computed anew, and compared with what is stored and what was kept.

What stands in the database alone shows an entry that was edited, removed, inserted or moved, as long as not all hashes
after it were made anew. Whoever owns the database can do that too; then the roots differ from those of the checkpoints
that were kept elsewhere. Memory does not grow with the log: a page of entries, the head of each chain, the tree's
subtrees.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from hwdash.domain.audit import FIRST_PREVIOUS, Entry, entry_hash
from hwdash.domain.merkle import Tree
from hwdash.storage.audit import all_entries, current_tree, unsealed

FINDINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A size of the log and its root then, as a checkpoint tells them. ``name``: which one, for messages."""

    name: str
    size: int
    root: bytes


@dataclass(slots=True)
class Verified:
    """What came of it: the size and root that the entries have, and every finding, as far as they are shown."""

    size: int = 0
    root: bytes = b""
    unsealed: int = 0
    matching: list[str] = field(default_factory=list)
    """The checkpoints that the log agrees with."""
    findings: list[str] = field(default_factory=list)
    further: int = 0
    """How many findings beyond those that are shown."""

    def found(self, message: str) -> None:
        """Add a finding."""
        if len(self.findings) < FINDINGS_SHOWN:
            self.findings.append(message)
        else:
            self.further += 1


def verify(connection: sa.Connection, heads: Sequence[TreeHead]) -> Verified:
    """Compute the log anew, and compare it with these checkpoints. ``connection`` has just begun its transaction."""
    if connection.dialect.name == "postgresql":  # SQLite's see one state of the database throughout
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    result = Verified(unsealed=unsealed(connection))
    tree, chains = Tree(), _Chains()
    by_size = sorted(heads, key=lambda each: each.size)
    compared = 0
    agreed = 0  # up to here a checkpoint agrees
    differs = False

    def compare() -> None:
        nonlocal compared, agreed, differs
        while compared < len(by_size) and by_size[compared].size == tree.size:
            head = by_size[compared]
            compared += 1
            if head.root == tree.root:
                result.matching.append(head.name)
                agreed = head.size
            elif not differs:
                differs = True
                result.found(
                    f"{head.name}: the log is another one than at this checkpoint: the first entry that differs is "
                    f"{_span(agreed, head.size)}"
                )
            else:
                result.found(f"{head.name}: the log is another one than at this checkpoint")

    compare()
    expected = 0
    for entry in all_entries(connection):
        if entry.position > expected:
            gap = f"{expected}" if entry.position == expected + 1 else f"{expected} to {entry.position - 1}"
            result.found(f"entry {gap} is missing: it was removed")
        elif entry.position < expected:
            result.found(f"entry {entry.position} stands before the first one: it was inserted")
        expected = max(entry.position + 1, 0)
        for complaint in chains.next(entry):
            result.found(complaint)
        # What the entry says now, not what its row says that it hashes to.
        tree.append(chains.hash)
        compare()
    result.size, result.root = tree.size, tree.root
    _compare_stored(connection, result)
    for head in by_size[compared:]:
        result.found(
            f"{head.name}: it is of {head.size} entries, and the log has {tree.size}: entry {tree.size} and what came "
            "after it were removed"
        )
    return result


def _compare_stored(connection: sa.Connection, result: Verified) -> None:
    stored = current_tree(connection)
    if stored.size > result.size:
        result.found(
            f"the database holds the tree of {stored.size} entries, and there are {result.size}: entries were removed, "
            "at the latest the last ones"
        )
    elif stored.size < result.size:
        result.found(f"entry {stored.size} and what comes after it are not in the tree: they were inserted")
    elif stored.root != result.root:
        result.found("the tree that the database holds is not that of its entries: an entry or the tree was changed")


class _Chains:
    """The chains of all accounts, walked along."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[int, bytes]] = {}
        self.hash = b""
        """Of the last entry, computed anew."""

    def next(self, entry: Entry) -> list[str]:
        """Take the next entry; what is wrong with it."""
        account = entry.act.account_id
        last, previous = self._heads.get(account, (0, FIRST_PREVIOUS))
        name = f"entry {entry.position} (account {account}, number {entry.sequence} of its chain)"
        self.hash = entry_hash(entry.act, entry.sequence, previous)
        # The next one is held against what this one's row says, so that one change is one finding.
        self._heads[account] = entry.sequence, entry.hash
        if entry.sequence != last + 1:
            return [f"{name} follows number {last}: an entry was removed, inserted or moved"]
        if not hmac.compare_digest(self.hash, entry.hash):
            return [f"{name} has not the hash that it was sealed with: it was changed, or put in another's place"]
        return []


def _span(agreed: int, size: int) -> str:
    if size - agreed <= 1:
        return f"entry {agreed}"
    return f"between entry {agreed} and entry {size - 1}"
