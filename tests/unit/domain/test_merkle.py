"""The Merkle tree of RFC 6962, against the vectors that Certificate Transparency's own libraries are tested with."""

import pytest

from hwdash.domain.merkle import EMPTY_ROOT, Tree, leaf_hash, node_hash

ENTRIES = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plain_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


def test_the_roots_are_those_of_the_published_vectors() -> None:
    tree, found = Tree(), []
    for entry in [None, *ENTRIES]:
        if entry is not None:
            tree.append(leaf_hash(entry))
        found.append(tree.root.hex())
    assert found == ROOTS


def test_at_every_size_the_root_is_that_of_the_definition() -> None:
    tree, leaves = Tree(), []
    for number in range(130):
        leaves.append(leaf_hash(str(number).encode()))
        tree.append(leaves[-1])
        assert tree.root == plain_root(leaves)


def test_a_tree_goes_on_from_its_subtrees() -> None:
    whole, first = Tree(), Tree()
    for number in range(77):
        whole.append(leaf_hash(bytes([number])))
        if number == 40:
            first = Tree(whole.size, whole.subtrees)
    for number in range(41, 77):
        first.append(leaf_hash(bytes([number])))
    assert (first.root, first.subtrees) == (whole.root, whole.subtrees)


def test_subtrees_that_are_not_of_a_size_are_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2 whole subtrees"):
        Tree(3, [EMPTY_ROOT])
