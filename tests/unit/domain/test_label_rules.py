"""The rules of new labels (contract/api.md 7.4): each broken alone, and any two together."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.label import NEWEST_BUILD, Delivery, Driver, Label, Owner, Reach, check_create
from hwdash.domain.policy import Policy
from hwdash.domain.targets import DriverRow, chid_findings, spelt_rows, unknown_rows
from hwdash.vocabulary import OPERATING_SYSTEMS, RELEASES, Role

CHID = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6"
TEST, OTHER, STRANGE = "audience-of-tests", "audience", "audience-of-others"
RS3, RS5, BLUE = "WINDOWS_v100_X64_RS3_FULL", "WINDOWS_v100_X64_RS5_FULL", "WINDOWS_v63_X64"
ACCOUNT, PARTNER = 11111111, 22222222


def row(os_code: str = RS5) -> DriverRow:
    return DriverRow("bundle", "Sample.inf", os_code, r"pci\ven_1af4")


DRIVER = Driver(
    origin_type="author",
    test_harness="hlk",
    state="completed",
    is_prepared=True,
    is_system=False,
    is_extension=False,
    is_test_sign=False,
    enforces_chids=False,
    is_deprecated=False,
)
OWNER = Owner(
    account_id=ACCOUNT,
    policy=Policy(ceilings=True, co_engineering=True),
    roles=(),
    audiences={TEST: True, OTHER: False},
    sellers={PARTNER},
)
AUTOMATIC = Delivery(is_automatic=True, contact="a@example.com", validations="HLK", oems=["Contoso"])
LABEL = Label(
    name="Label",
    destination="windowsUpdate",
    delivery=AUTOMATIC,
    receiver=None,
    rows=[row()],
    chids=[CHID],
    reach=Reach(),
)
SHARE = replace(LABEL, destination="anotherPartner", delivery=None, receiver=str(PARTNER))

Change = dict[str, dict[str, Any]]


def checked(change: Change, label: Label = LABEL, findings: list[tuple[str, str]] | None = None) -> None:
    """Check a sound label after a change of the driver, the owner, its policy, the label, its delivery or reach."""
    policy = replace(OWNER.policy, **change.get("policy", {}))
    if label.delivery is not None and "delivery" in change:
        label = replace(label, delivery=replace(label.delivery, **change["delivery"]))
    label = replace(label, reach=replace(label.reach, **change.get("reach", {})))
    label = replace(label, **change.get("label", {}))
    owner = replace(OWNER, policy=policy, **change.get("owner", {}))
    check_create(replace(DRIVER, **change.get("driver", {})), owner, label, findings or [])


def refusal(change: Change, label: Label = LABEL, findings: list[tuple[str, str]] | None = None) -> DomainError:
    with pytest.raises(DomainError) as caught:
        checked(change, label, findings)
    return caught.value


PUBLISHING, INFO = "publishingSpecifications", "publishingSpecifications.additionalInfoForMsApproval"
RELEASE, BUILD = "targeting.inServicePublishInfo", "targeting.coEngDriverPublishInfo"
AUDIENCES = "targeting.restrictedToAudiences"

BROKEN: dict[str, tuple[Change, list[str]]] = {
    "5 no name": ({"label": {"name": None}}, ["name"]),
    "9 no contact": ({"delivery": {"contact": None}}, [f"{INFO}.microsoftContact"]),
    "9 no validations": ({"delivery": {"validations": None}}, [f"{INFO}.validationsPerformed"]),
    "9 no OEMs": ({"delivery": {"oems": ()}}, [f"{INFO}.affectedOems"]),
    "10 manual and automatic": ({"delivery": {"manual_acquisition": True}}, [f"{PUBLISHING}.manualAcquisition"]),
    "10 neither": (
        {"delivery": {"is_automatic": False, "manual_acquisition": False}},
        [f"{PUBLISHING}.manualAcquisition"],
    ),
    "11 a manual extension": (
        {"driver": {"is_extension": True}, "delivery": {"is_automatic": False}},
        [f"{PUBLISHING}.isAutoInstallOnApplicableSystems"],
    ),
    "12 no hardware id": ({"label": {"rows": []}}, ["targeting.hardwareIds"]),
    "13 CHIDs before Windows 10": ({"label": {"rows": [row(), row(BLUE)]}}, ["targeting.chids"]),
    "14 enforced CHIDs": ({"driver": {"enforces_chids": True}, "label": {"chids": []}}, ["targeting.chids"]),
    "16 attestation for all": ({"driver": {"test_harness": "attestation"}}, [AUDIENCES]),
    "16 attestation for an audience": (
        {"driver": {"test_harness": "attestation"}, "reach": {"audiences": [TEST, OTHER]}},
        [AUDIENCES],
    ),
    "17 another's audience": ({"reach": {"audiences": [STRANGE]}}, [AUDIENCES]),
    "18 releases and builds": ({"reach": {"floor": "RS5", "floor_build": NEWEST_BUILD + 1}}, [BUILD]),
    "19 an unknown floor": ({"reach": {"floor": "RS9"}}, [f"{RELEASE}.flooring"]),
    "19 an unknown ceiling": ({"reach": {"ceiling": "RS9"}}, [f"{RELEASE}.ceiling"]),
    "19 a ceiling below the floor": ({"reach": {"floor": "CO", "ceiling": "RS5"}}, [f"{RELEASE}.ceiling"]),
    "19 a released build": ({"reach": {"floor_build": NEWEST_BUILD}}, [f"{BUILD}.flooringBuildNumber"]),
    "19 a build of six digits": ({"reach": {"ceiling_build": 100_000}}, [f"{BUILD}.ceilingBuildNumber"]),
    "19 builds the wrong way round": (
        {"reach": {"floor_build": 27001, "ceiling_build": 27000}},
        [f"{BUILD}.ceilingBuildNumber"],
    ),
    "20 a floor below the lowest": ({"reach": {"floor": "RS3"}}, [f"{RELEASE}.flooring"]),
    "20 a ceiling below the lowest": ({"reach": {"ceiling": "RS4"}}, [f"{RELEASE}.ceiling"]),
    "23 test-signed for all": ({"driver": {"is_test_sign": True}}, [AUDIENCES]),
    "24 an unknown reader": ({"delivery": {"visible_to": [PARTNER, 33333333]}}, [f"{PUBLISHING}.visibleToAccounts"]),
}


def test_a_sound_label_is_taken() -> None:
    checked({})
    checked({}, SHARE)
    checked({"delivery": {"is_automatic": False, "manual_acquisition": True, "contact": None}})
    checked({"driver": {"test_harness": "attestation", "is_test_sign": True}, "reach": {"audiences": [TEST]}})


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_broken_alone_gives_its_finding(name: str) -> None:
    change, targets = BROKEN[name]
    error = refusal(change)
    assert error.code == Code.INVALID_INPUT
    assert [target for target, _ in error.targets] == targets
    assert all(message.endswith(".") for _, message in error.targets)


def together(first: Change, second: Change) -> Change | None:
    """Both changes, None when they want different things of one value."""
    both: Change = {}
    for change in (first, second):
        for part, values in change.items():
            for name, value in values.items():
                if both.setdefault(part, {}).setdefault(name, value) != value:
                    return None
    return both


def pairs() -> list[tuple[str, str, Change]]:
    found = []
    for first, second in combinations(BROKEN, 2):
        both = together(BROKEN[first][0], BROKEN[second][0])
        if both is not None:
            found.append((first, second, both))
    return found


def is_hidden(first: str, second: str) -> bool:
    """Whether one change takes away what the other breaks: what is manual needs no approval and may say so, without
    hardware ids there is none to compare with, no CHIDs do not need Windows 10, and no release is below Windows 8.1.
    """
    names = {first, second}
    if names in (
        {"10 manual and automatic", "11 a manual extension"},
        {"13 CHIDs before Windows 10", "14 enforced CHIDs"},
    ):
        return True
    if names & {"10 neither", "11 a manual extension"}:
        return any(name.startswith("9 ") for name in names)
    return bool(names & {"12 no hardware id", "13 CHIDs before Windows 10"}) and any(
        name.startswith("20 ") for name in names
    )


def test_any_two_broken_rules_give_both_findings() -> None:
    seen = 0
    for first, second, both in pairs():
        if is_hidden(first, second) or first.split()[0] == second.split()[0]:
            continue
        wanted = Counter([*BROKEN[first][1], *BROKEN[second][1]])
        found = Counter(target for target, _ in refusal(both).targets)
        assert wanted <= found, f"{first} with {second}: {found}"
        seen += 1
    assert seen > 180


RECEIVER = "recipientSpecifications.receiverPublisherId"


@pytest.mark.parametrize(
    ("change", "targets"),
    [
        ({"destination": None}, ["destination"]),
        ({"destination": "notSet"}, ["destination"]),
        ({"destination": "elsewhere"}, ["destination"]),
        ({"receiver": None}, [RECEIVER]),
        ({"receiver": str(ACCOUNT)}, [RECEIVER]),
        ({"receiver": "33333333"}, [RECEIVER]),
        ({"receiver": "Contoso"}, [RECEIVER]),
        ({"receiver": None, "name": " "}, ["name", RECEIVER]),
        ({"rows": [row(BLUE)]}, ["targeting.chids"]),
    ],
)
def test_a_share_needs_a_receiver(change: dict[str, Any], targets: list[str]) -> None:
    assert [target for target, _ in refusal({"label": change}, SHARE).targets] == targets


def test_a_label_to_machines_needs_its_specifications() -> None:
    assert refusal({"label": {"delivery": None}}).targets == (
        (PUBLISHING, "This property is required when the destination is windowsUpdate."),
    )


STATES: dict[str, tuple[Change, Label, Code, str]] = {
    "2": ({"driver": {"origin_type": "readOnly"}}, LABEL, Code.READ_ONLY_PRODUCT, "read only product"),
    "deprecated": (
        {"driver": {"is_deprecated": True}},
        LABEL,
        Code.REQUEST_INVALID_FOR_CURRENT_STATE,
        "gets no new labels",
    ),
    "failed": ({"driver": {"state": "failed"}}, LABEL, Code.REQUEST_INVALID_FOR_CURRENT_STATE, "has failed"),
    "3": ({"driver": {"is_prepared": False}}, LABEL, Code.REQUEST_INVALID_FOR_CURRENT_STATE, "Try again"),
    "4": ({"driver": {"is_system": True}}, LABEL, Code.REQUEST_INVALID_FOR_CURRENT_STATE, "anotherPartner"),
    "automatic": ({"policy": {"automatic_delivery": False}}, LABEL, Code.FORBIDDEN, "--automatic-delivery"),
    "promoter": ({"policy": {"promoter_role": True}}, LABEL, Code.FORBIDDEN, "Shipping Label Promoter"),
    "21 ceiling": (
        {"policy": {"ceilings": False}, "reach": {"ceiling": "CO"}},
        LABEL,
        Code.FORBIDDEN,
        "--ceilings",
    ),
    "21 builds": (
        {"policy": {"co_engineering": False}, "reach": {"floor_build": 27000}},
        LABEL,
        Code.FORBIDDEN,
        "--co-engineering",
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_a_refusal_about_state_or_rights_comes_alone(name: str) -> None:
    change, label, code, words = STATES[name]
    for broken in ({}, {"label": {"name": None, "rows": []}}):
        both = together(change, broken)
        assert both is not None
        error = refusal(both, label, [("targeting.chids[0].chid", "Wrong.")])
        assert (error.code, error.targets) == (code, ())
        assert words in error.message


def test_of_two_states_the_first_of_the_table_is_told() -> None:
    names = list(STATES)
    for first, second in combinations(names, 2):
        both = together(STATES[first][0], STATES[second][0])
        assert both is not None
        assert STATES[first][3] in refusal(both).message, f"{first} before {second}"


def test_what_was_received_is_not_shared_on_and_a_system_is_shared() -> None:
    error = refusal({"driver": {"origin_type": "publisher"}}, SHARE)
    assert (error.code, error.targets) == (Code.REQUEST_INVALID_FOR_CURRENT_STATE, ())
    checked({"driver": {"origin_type": "publisher"}})
    checked({"driver": {"is_system": True}}, SHARE)


def test_promoters_and_others_may_deliver_by_their_policy() -> None:
    promoter = {"policy": {"promoter_role": True}, "owner": {"roles": [Role.SHIPPING_LABEL_PROMOTER]}}
    checked(promoter)
    manual: Change = {
        "policy": {"promoter_role": True, "automatic_delivery": False},
        "delivery": {"is_automatic": False},
    }
    checked(manual)


def test_rules_of_machines_do_not_bind_a_share() -> None:
    driver = {"is_extension": True, "enforces_chids": True, "test_harness": "attestation", "is_test_sign": True}
    checked({"driver": driver, "label": {"rows": [], "chids": []}}, SHARE)


@pytest.mark.parametrize("code", [system.code for system in OPERATING_SYSTEMS])
def test_a_floor_at_the_lowest_release_and_any_ceiling_from_there_on_are_taken(code: str) -> None:
    """Section 11, 40: no more is asked for."""
    floor = next(system.floor for system in OPERATING_SYSTEMS if system.code == code)
    lowest = RELEASES.index(floor) if floor else 0
    for ceiling in RELEASES[lowest:]:
        reach = {"floor": RELEASES[lowest], "ceiling": ceiling}
        checked({"label": {"rows": [row(code), row("WINDOWS_v100_X64_GE_FULL")], "chids": []}, "reach": reach})


def test_what_could_not_be_read_is_not_told_to_be_missing_too() -> None:
    wrong = [("targeting.hardwareIds[0].infId", "Wrong."), (f"{INFO}.affectedOems", "Wrong.")]
    change: Change = {"label": {"rows": []}, "delivery": {"oems": (), "manual_acquisition": True}}
    assert [target for target, _ in refusal(change, findings=wrong).targets] == [
        *(target for target, _ in wrong),
        f"{PUBLISHING}.manualAcquisition",
    ]


INFS = {("bundle", "sample.inf"): "Sample.inf"}


class TestTargets:
    def test_names_are_found_in_any_case_and_spelt_as_in_the_metadata(self) -> None:
        rows, found = spelt_rows([("bundle", "SAMPLE.INF", RS5, r"pci\ven_1af4", "")], INFS)
        assert (rows, found) == ([row()], [])
        assert list(unknown_rows(rows, {row()})) == []

    @pytest.mark.parametrize(
        ("entry", "places"),
        [
            (("", "", "", "", ""), ["bundleId", "infId", "operatingSystemCode", "pnpString"]),
            (("other", "sample.inf", RS5, "x", ""), ["bundleId"]),
            (("BUNDLE", "sample.inf", RS5, "x", ""), ["bundleId"]),
            (("bundle", "other.inf", RS5, "x", ""), ["infId"]),
            (("bundle", "sample.inf", "WINDOWS_11", "x", ""), ["operatingSystemCode"]),
            (("bundle", "other.inf", "WINDOWS_11", "", ""), ["infId", "operatingSystemCode", "pnpString"]),
            (("bundle", "sample.inf", RS5, "x", ""), ["pnpString"]),
            (("bundle", "sample.inf", RS3, r"pci\ven_1af4", ""), ["pnpString"]),
        ],
    )
    def test_each_part_of_an_entry_has_a_finding_of_its_own(self, entry: Any, places: list[str]) -> None:
        sound = ("bundle", "sample.inf", RS5, r"pci\ven_1af4", "")
        rows, found = spelt_rows([sound, entry], INFS)
        found += unknown_rows(rows, {row()})
        assert sorted(target for target, _ in found) == [f"targeting.hardwareIds[1].{place}" for place in places]

    def test_a_chid_is_a_guid(self) -> None:
        found = list(chid_findings([CHID, "", "x" * 300, "{" + CHID + "}"]))
        assert [target for target, _ in found] == [f"targeting.chids[{place}].chid" for place in (1, 2, 3)]
        assert max(len(message) for _, message in found) < 150
