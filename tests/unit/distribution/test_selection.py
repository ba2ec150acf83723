"""Several drivers of one device: which is offered, and what the others are told."""

from dataclasses import replace

import pytest

from hwdash.distribution.applicability import TargetedId
from hwdash.distribution.machine import Device
from offered import (
    AUTOMATIC,
    CHIDS,
    CLASS,
    HARDWARE_ID,
    LESS_SPECIFIC,
    MANUAL,
    UPGRADES_ONLY,
    X64_CO,
    X64_GE,
    X64_NI,
    X64_RS3,
    candidate,
    installed,
    machine,
    outcome,
    told,
    ver,
)

EXTENSION, OTHER_EXTENSION, THIRD_EXTENSION = (f"0f3d9a6e-1111-4222-8333-{number:012}" for number in range(3))


def test_the_lower_rank_wins_however_old() -> None:
    specific = candidate(1, ver=ver("1.0.0.0", "2020-01-01"))
    newer = candidate(2, TargetedId(LESS_SPECIFIC, X64_NI), ver=ver("9.0.0.0"))
    assert outcome(machine(), newer, specific) == {1: "automatic", 2: "better-offer"}


def test_of_equal_ranks_the_newer_date_wins_then_the_higher_version() -> None:
    old, new = candidate(1, ver=ver("9.0.0.0", "2025-01-01")), candidate(2, ver=ver("1.0.0.0", "2026-01-01"))
    assert outcome(machine(), old, new) == {1: "better-offer", 2: "automatic"}
    higher = candidate(3, ver=ver("1.0.0.1", "2026-01-01"))
    assert outcome(machine(), new, higher) == {2: "better-offer", 3: "automatic"}


def test_of_equal_drivers_always_the_same_one_is_offered() -> None:
    assert outcome(machine(), candidate(1), candidate(2)) == outcome(machine(), candidate(2), candidate(1))


def test_the_refusal_names_the_better_one() -> None:
    (found,) = told(machine(), candidate(1), candidate(2, ver=ver("2.0.0.1")))
    (refused,) = found.refused
    assert refused.reason == (
        "2.0.0.0 of 2026-01-31, of rank 0x00FF0000, is not better than the offer of label 2 (driver.inf 2.0.0.1 of "
        "2026-01-31, rank 0x00FF0000)."
    )


def test_a_newer_optional_driver_does_not_displace_an_automatic_one() -> None:
    """understanding-windows-update-automatic-and-optional-rules-for-driver-distribution: the scan takes automatic
    drivers only.
    """
    automatic, optional = candidate(1), candidate(2, specifications=MANUAL, ver=ver("3.0.0.0", "2026-06-01"))
    assert outcome(machine(), automatic, optional) == {1: "automatic", 2: "optional"}


def test_an_optional_driver_that_is_worse_than_the_automatic_one_is_not_listed() -> None:
    automatic, optional = candidate(1), candidate(2, specifications=MANUAL, ver=ver("1.0.0.0", "2020-06-01"))
    assert outcome(machine(), automatic, optional) == {1: "automatic", 2: "better-offer"}


def test_one_optional_driver_is_listed() -> None:
    first, second = (candidate(n, specifications=MANUAL, ver=ver(f"{n}.0.0.0")) for n in (1, 2))
    assert outcome(machine(), first, second) == {1: "better-offer", 2: "optional"}


def test_an_automatic_driver_worse_than_the_installed_one_leaves_room_for_an_optional_one() -> None:
    device = Device((HARDWARE_ID,), (), installed("2.5.0.0", "2026-01-31"))
    optional = candidate(2, specifications=MANUAL, ver=ver("3.0.0.0"))
    assert outcome(machine(device), candidate(1), optional) == {1: "installed", 2: "optional"}


def test_before_2004_a_manual_driver_gives_way_to_any_automatic_one() -> None:
    old = machine(build=18363)
    automatic = candidate(1, TargetedId(CLASS, X64_RS3), ver=ver("1.0.0.0", "2018-01-01"))
    manual = candidate(2, os_code=X64_RS3, specifications=MANUAL)
    assert outcome(old, automatic, manual) == {1: "automatic", 2: "delivery"}
    assert outcome(old, manual) == {2: "automatic"}
    not_for_scans = replace(automatic, specifications=UPGRADES_ONLY)
    assert outcome(old, not_for_scans, manual) == {1: "delivery", 2: "automatic"}


@pytest.mark.parametrize(
    ("build", "chids", "becomes"),
    [
        (15063, (CHIDS[5],), {4: "chid", 5: "automatic"}),
        (16299, (CHIDS[5],), {4: "chid", 5: "automatic"}),
        (15063, (CHIDS[4], CHIDS[5]), {4: "automatic", 5: "better-offer"}),
        (16299, (CHIDS[4], CHIDS[5]), {4: "better-offer", 5: "automatic"}),
    ],
)
def test_the_example_of_using_chids(build: int, chids: tuple[str, ...], becomes: dict[int, str]) -> None:
    """using-chids: one distribution for CHID-4, one for CHID-5. Up to 1703 CHID-4 outranks CHID-5; from 1709 on rank,
    date and version decide among both, here the date.
    """
    fourth = candidate(4, os_code="WINDOWS_v100_X64_TH1_FULL", chids=frozenset({CHIDS[4]}))
    fifth = replace(fourth, label_id=5, chids=frozenset({CHIDS[5]}), ver=ver("2.0.0.0", "2026-02-02"))
    assert outcome(machine(build=build, chids=chids), fourth, fifth) == becomes


def test_the_example_of_using_an_extension_inf_file() -> None:
    """using-an-extension-inf-file: of four extension INFs two have one ExtensionId; the newer of these and both others
    are applied, beside the base driver.
    """
    base = candidate(1)
    older = candidate(2, extension_id=EXTENSION, ver=ver("9.0.0.0", "2025-01-01"))
    newer = candidate(3, extension_id=EXTENSION.upper(), ver=ver("1.0.0.0", "2026-01-01"))
    others = [candidate(4, extension_id=OTHER_EXTENSION), candidate(5, extension_id=THIRD_EXTENSION)]
    assert outcome(machine(), base, older, newer, *others) == {
        1: "automatic",
        2: "extension-winner",
        3: "automatic",
        4: "automatic",
        5: "automatic",
    }


def test_a_worse_ranked_extension_inf_wins_when_it_is_newer() -> None:
    """submit-dashboard-extension-inf-files: neither feature nor identifier score plays a part."""
    specific = candidate(1, extension_id=EXTENSION, ver=ver("1.0.0.0", "2025-01-01"))
    generic = candidate(2, TargetedId(CLASS, X64_NI), extension_id=EXTENSION, ver=ver("1.0.0.0", "2026-01-01"))
    assert outcome(machine(), specific, generic) == {1: "extension-winner", 2: "automatic"}


def test_the_row_of_the_latest_release_that_the_machine_has_is_ranked() -> None:
    label = candidate(
        1,
        TargetedId(HARDWARE_ID, X64_CO, feature_score=0x10),
        TargetedId(HARDWARE_ID, X64_NI, feature_score=0x20),
        TargetedId(HARDWARE_ID, X64_GE, feature_score=0x30),
    )
    for build, code, rank in ((22000, X64_CO, 0x100000), (22631, X64_NI, 0x200000), (26200, X64_GE, 0x300000)):
        ((offer,),) = (found.offers for found in told(machine(build=build), label))
        assert (offer.match.target.os_code, offer.match.rank) == (code, rank)


def test_the_best_of_the_ids_that_match_is_ranked() -> None:
    label = candidate(1, TargetedId(CLASS, X64_NI), TargetedId(LESS_SPECIFIC, X64_NI))
    ((offer,),) = (found.offers for found in told(machine(), label))
    assert (offer.match.target.hardware_id, offer.match.rank) == (LESS_SPECIFIC, 0x00FF0001)


def test_each_device_is_judged_for_itself() -> None:
    mouse, other = Device((HARDWARE_ID,)), Device(("pci\\ven_1",))
    first, second = told(machine(mouse, other), candidate())
    assert [len(first.offers), len(second.offers), len(second.refused)] == [1, 0, 0]


def test_two_infs_of_one_label_are_two_drivers() -> None:
    one, two = candidate(1, inf_id="a.inf"), candidate(1, inf_id="b.inf", ver=ver("3.0.0.0"))
    (found,) = told(machine(), one, two)
    assert [each.candidate.inf_id for each in found.offers] == ["b.inf"]
    assert [(each.candidate.inf_id, each.rule.name) for each in found.refused] == [("a.inf", "better-offer")]


def test_an_upgrade_offers_no_optional_updates() -> None:
    upgrade = machine(is_upgrade=True)
    labels = [candidate(1, specifications=AUTOMATIC), candidate(2, specifications=MANUAL, ver=ver("9.0.0.0"))]
    assert outcome(upgrade, *labels) == {1: "automatic", 2: "delivery"}
