"""Ranks by the worked examples of Microsoft's documentation."""

import pytest

from hwdash.distribution.ranking import as_hex, identifier_score, order, rank
from offered import ver

HARDWARE, COMPATIBLE = ("hwid_1", "hwid_2"), ("cid_1", "cid_2")


@pytest.mark.parametrize(
    ("device_id", "scores"),
    [
        ("hwid_1", (0x0000, 0x1000, 0x1000)),
        ("hwid_2", (0x0001, 0x1001, 0x1001)),
        ("cid_1", (0x2000, 0x3000, 0x3100)),
        ("cid_2", (0x2001, 0x3001, 0x3101)),
    ],
)
def test_the_table_of_the_driver_rank_example(device_id: str, scores: tuple[int, ...]) -> None:
    """install/driver-rank-example.md: two hardware ids and two compatible ids of a device, against the hardware id and
    the two compatible ids of a models line.
    """
    assert tuple(identifier_score(device_id, position, HARDWARE, COMPATIBLE) for position in range(3)) == scores


def test_an_id_that_the_device_has_not_scores_nothing() -> None:
    assert identifier_score("hwid_3", 0, HARDWARE, COMPATIBLE) is None


def test_an_id_in_both_lists_counts_as_a_hardware_id() -> None:
    assert identifier_score("cid_1", 0, ("hwid_1", "cid_1"), COMPATIBLE) == 0x0001


def test_scores_stay_within_their_kind() -> None:
    """identifier-score.md: from 0x3000 to 0x3FFF."""
    many = tuple(f"cid_{number}" for number in range(100))
    assert identifier_score("cid_99", 40, (), many) == 0x3FFF


def test_the_parts_of_a_rank() -> None:
    """how-windows-ranks-driver-packages.md; feature-score.md: FeatureScore=xFD gives 0x00FD0000, none 0x00FF0000; the
    log of driver-rank-information-in-the-setupapi-log.md has 0x0dff0000.
    """
    assert as_hex(rank(0)) == "0x00FF0000"
    assert as_hex(rank(0, 0xFD)) == "0x00FD0000"
    assert as_hex(rank(0x3101, 0)) == "0x00003101"
    assert as_hex(rank(0, signature_score=0x0D)) == "0x0DFF0000"


def test_the_lower_rank_then_the_newer_date_then_the_higher_version() -> None:
    """overview-of-the-driver-selection-process.md"""
    worst_first = [
        order(1, ver("8.9.9.9", "2023-01-01")),
        order(1, ver("9.0.0.0", "2023-01-01")),
        order(1, ver("10.0.0.0", "2023-01-01")),
        order(1, ver("1.0.0.0", "2024-01-01")),
        order(0, ver("1.0.0.0", "2020-01-01")),
    ]
    assert sorted(worst_first) == list(reversed(worst_first))
