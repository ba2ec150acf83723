"""Whose a hardware id is, by its beginnings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.domain.errors import DomainError
from hwdash.domain.ownership import IdKind, beginnings, check_ids, is_covered


def test_an_id_is_owned_by_itself_and_by_its_beginnings_the_longest_first() -> None:
    assert list(beginnings(r"PCI\VEN_1234&DEV_0001&SUBSYS_1\X")) == [
        r"pci\ven_1234&dev_0001&subsys_1\x",
        r"pci\ven_1234&dev_0001&subsys_1",
        r"pci\ven_1234&dev_0001",
        r"pci\ven_1234",
    ]
    assert list(beginnings("*PNP0A05")) == ["*pnp0a05"]


@pytest.mark.parametrize(
    ("hardware_id", "owned", "covered"),
    [
        (r"PCI\VEN_1234&DEV_1", r"pci\ven_1234", True),
        (r"PCI\VEN_1234\X", r"pci\ven_1234", True),
        (r"PCI\VEN_1234", r"pci\ven_1234", True),
        (r"PCI\VEN_12345", r"pci\ven_1234", False),
        (r"PCI\VEN_1234_X&DEV", r"pci\ven_1234", False),
        (r"PCI\VEN_123", r"pci\ven_1234", False),
        (r"PCI\VEN_1234", "pci", False),
    ],
)
def test_a_beginning_ends_at_a_separator(hardware_id: str, owned: str, covered: bool) -> None:
    assert is_covered(hardware_id, {owned}) is covered


@given(st.text(alphabet="ab&\\", min_size=1), st.text(alphabet="ab&\\", max_size=6))
def test_what_follows_a_separator_changes_no_owner(beginning: str, rest: str) -> None:
    """By the rule itself: the beginning, a separator, whatever."""
    owned = {f"pci\\{beginning}"}
    assert all(is_covered(f"PCI\\{beginning}{separator}{rest}", owned) for separator in "&\\")
    assert is_covered(f"pci\\{beginning}x{rest}", owned) is False


def test_ids_are_stored_in_one_spelling_and_once() -> None:
    guid = "3E7D7A3C-6A7E-5D0C-9F1C-0D5F6A1B2C3D"
    assert check_ids(
        [
            (IdKind.CHID, f"{{{guid}}}"),
            (IdKind.CHID, guid),
            (IdKind.HARDWARE_ID, r"PCI\VEN_1234"),
            (IdKind.EXTENSION_ID, guid),
        ]
    ) == [
        (IdKind.CHID, guid.lower()),
        (IdKind.HARDWARE_ID, r"pci\ven_1234"),
        (IdKind.EXTENSION_ID, guid.lower()),
    ]


def test_every_bad_id_is_told_at_once() -> None:
    with pytest.raises(DomainError) as caught:
        check_ids(
            [
                (IdKind.CHID, "x"),
                (IdKind.HARDWARE_ID, ""),
                (IdKind.HARDWARE_ID, "PCI\\VEN_1234&"),
                (IdKind.HARDWARE_ID, "a b"),
                (IdKind.HARDWARE_ID, "a" * 401),
                (IdKind.HARDWARE_ID, "fine"),
                (IdKind.EXTENSION_ID, "{}"),
            ]
        )
    assert [target for target, _ in caught.value.targets] == ["chid", *["hardwareId"] * 4, "extensionId"]
    with pytest.raises(DomainError, match="No id is given"):
        check_ids([])
