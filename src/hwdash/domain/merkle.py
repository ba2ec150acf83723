"""The Merkle tree of RFC 6962, section 2.1, over a list that only grows.

Only the roots of its whole subtrees are held, one for each 1 in the binary form of the size: a tree of a million
entries is 20 hashes at most. The hashes of a leaf and of a node begin with different bytes, so that
neither passes for the other.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry of the list."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree to which leaves are appended, and whose root can be had at each size."""

    def __init__(self, size: int = 0, subtrees: Iterable[bytes] = ()) -> None:
        """``subtrees``: as the property of that name gave them at this size. Raises ValueError for other ones."""
        self.size = size
        self._subtrees = list(subtrees)
        if size < 0 or size.bit_count() != len(self._subtrees):
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} whole subtrees")

    @property
    def subtrees(self) -> Sequence[bytes]:
        """The roots of the whole subtrees, the largest first."""
        return tuple(self._subtrees)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next entry."""
        height = self.size
        while height & 1:
            leaf = node_hash(self._subtrees.pop(), leaf)
            height >>= 1
        self._subtrees.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root at this size."""
        if not self._subtrees:
            return EMPTY_ROOT
        *others, root = self._subtrees
        for left in reversed(others):
            root = node_hash(left, root)
        return root
