"""What Windows Update takes back of a label, rule by rule (contract/dashboard.md 79 to 81, 101, 108 and 120)."""

from typing import Any

import pytest

from hwdash.domain.policy import Policy
from hwdash.pipeline.label_rules import Facts, inbox_drivers, label_findings
from hwdash.pipeline.label_targets import Target, Targets, beginnings

RS5, CO, GE = "WINDOWS_v100_X64_RS5_FULL", "WINDOWS_v100_X64_CO_FULL", "WINDOWS_v100_X64_GE_FULL"
CHID, OTHER_CHID = "70ffd812-4c7f-5c7d-8000-000000000001", "70ffd812-4c7f-5c7d-8000-000000000002"
TWO, FOUR = "pci\\ven_1234&dev_5678", "pci\\ven_1234&dev_5678&subsys_00011234"
USB = "usb\\vid_1234&pid_5678"


def target(hardware_id: str = FOUR, *, of: str = "net", on: str = RS5) -> Target:
    return Target(hardware_id, on, of, is_new=True)


def findings(
    *rows: Target,
    chids: list[str] | None = None,
    based: set[str] | None = None,
    owners: dict[str, str] | None = None,
    apos: set[str] | None = None,
    says: tuple[str, ...] = (),
    targeting: dict[str, Any] | None = None,
) -> dict[str, list[str]]:
    """The rules that find something, and the ids that they name."""
    targets = Targets(rows, chids or [], is_expiry=False)
    ids = {row.hardware_id for row in rows}
    known = frozenset(ids if based is None else based)
    facts = Facts(says, targeting or {}, owners or {}, known, Policy().class_chids, frozenset(apos or ()))
    found = label_findings(targets, facts)
    return {each.rule.removeprefix("label."): list(each.ids) for each in found}


def extension(hardware_id: str = FOUR) -> Target:
    return target(hardware_id, of="extension")


def test_an_ordinary_label_is_in_order() -> None:
    assert findings(target(), target(TWO), target(USB), chids=[CHID]) == {}


class TestExtensions:
    def test_of_four_parts_with_a_base_driver_are_in_order(self) -> None:
        assert findings(extension()) == {}

    @pytest.mark.parametrize("broad", [TWO, USB, "acpi\\abcd1234", "swc\\widget"])
    def test_without_a_subsystem_need_chids(self, broad: str) -> None:
        assert findings(extension(broad), extension()) == {"extension-two-part": [broad]}
        assert findings(extension(broad), extension(), chids=[CHID]) == {}

    def test_the_rules_are_not_for_the_base_driver_beside_them(self) -> None:
        assert findings(extension(), target(TWO)) == {}

    def test_target_machines_of_one_maker(self) -> None:
        owners = {FOUR: "Fabrikam (seller 2)", CHID: "Contoso (seller 3)"}
        found = findings(extension(), chids=[CHID, OTHER_CHID], owners=owners)
        assert found == {"extension-many-oems": [f"{FOUR} (Fabrikam (seller 2))", f"{CHID} (Contoso (seller 3))"]}
        assert findings(extension(), chids=[CHID], owners=dict.fromkeys(owners, "Contoso (seller 3)")) == {}

    def test_need_a_declarative_base_driver(self) -> None:
        other = FOUR + "&rev_01"
        assert findings(extension(), extension(other), based={FOUR}) == {"extension-base-driver": [other]}

    def test_may_extend_a_driver_of_windows_when_the_justification_says_so(self) -> None:
        assert findings(extension(), based=set(), says=("because; ExtendsInboxDriver = netrtl.inf",)) == {}

    def test_extend_one_driver_of_windows_a_label(self) -> None:
        says = ("ExtendsInboxDriver = b.inf, ExtendsInboxDriver=a.inf",)
        assert findings(extension(), based=set(), says=says) == {"extension-inbox": ["a.inf", "b.inf"]}

    def test_do_not_mix_a_driver_of_windows_with_another(self) -> None:
        other = FOUR + "&rev_01"
        found = findings(extension(), extension(other), based={FOUR}, says=("ExtendsInboxDriver = a.inf",))
        assert found == {"extension-inbox-mixed": [FOUR]}


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["ExtendsInboxDriver = netrtl.inf"], ["netrtl.inf"]),
        (["extendsinboxdriver=NETRTL.INF."], ["netrtl.inf"]),
        (["ExtendsInboxDriver =a.inf; ExtendsInboxDriver= b.inf"], ["a.inf", "b.inf"]),
        (["newest", "ExtendsInboxDriver = new.inf", "ExtendsInboxDriver = old.inf"], ["new.inf"]),
        (["it extends the inbox driver a.inf"], []),
        ([], []),
    ],
)
def test_the_newest_justification_that_names_an_inbox_driver_counts(texts: list[str], named: list[str]) -> None:
    assert inbox_drivers(texts) == named


def test_windows_10_and_older_do_not_go_together() -> None:
    old = target(on="WINDOWS_7_X64")
    assert findings(old, target()) == {"mixed-windows": ["WINDOWS_7_X64"]}
    assert findings(old, target(on="WINDOWS_v63_X64")) == {}
    assert findings(target(on="WINDOWS_v100_X64_30H1_FULL"), target()) == {}


def test_firmware_needs_chids_and_display_has_none() -> None:
    firmware, display = target("uefi\\res_1", of="firmware"), target(of="display")
    assert findings(firmware) == {"chids-required": ["uefi\\res_1"]}
    assert findings(firmware, chids=[CHID]) == {}
    assert findings(display, chids=[CHID]) == {"chids-forbidden": [FOUR]}
    assert findings(display) == {}


class TestAudio:
    @pytest.mark.parametrize(
        ("system", "targeting", "is_right"),
        [
            (RS5, {}, False),
            (CO, {}, True),
            (GE, {}, True),
            ("WINDOWS_v100_X64_30H1_FULL", {}, True),
            (RS5, {"inServicePublishInfo": {"flooring": "CO", "ceiling": ""}}, True),
            (RS5, {"inServicePublishInfo": {"flooring": "VB"}}, False),
            (RS5, {"coEngDriverPublishInfo": {"flooringBuildNumber": "22000"}}, True),
            (RS5, {"coEngDriverPublishInfo": {"flooringBuildNumber": 19041}}, False),
            (RS5, {"inServicePublishInfo": None, "coEngDriverPublishInfo": None}, False),
        ],
    )
    def test_processing_objects_begin_with_windows_11(
        self, system: str, targeting: dict[str, Any], *, is_right: bool
    ) -> None:
        found = findings(target(of="audioprocessingobject", on=system), targeting=targeting)
        assert found == ({} if is_right else {"audio-floor": [FOUR]})

    def test_their_software_component_ends_before(self) -> None:
        component = target(of="softwarecomponent")
        assert findings(component, apos={FOUR}) == {"audio-ceiling": [FOUR]}
        assert findings(component, apos={TWO}) == {}
        assert findings(component, apos={FOUR}, targeting={"inServicePublishInfo": {"ceiling": "FE"}}) == {}
        capped_too_late = {"inServicePublishInfo": {"ceiling": "CO"}}
        assert findings(component, apos={FOUR}, targeting=capped_too_late) == {"audio-ceiling": [FOUR]}


def test_all_is_found_at_once() -> None:
    rows = [extension(TWO), target(of="firmware"), target(of="audioprocessingobject"), target(on="WINDOWS_7_X64")]
    assert set(findings(*rows, based=set())) == {
        "mixed-windows",
        "chids-required",
        "audio-floor",
        "extension-two-part",
        "extension-base-driver",
    }


def test_messages_name_the_first_ids_and_the_report_all() -> None:
    rows = [extension(f"pci\\ven_1234&dev_{number:04x}") for number in range(50)]
    facts = Facts((), {}, {}, frozenset(row.hardware_id for row in rows), (), frozenset())
    (found,) = label_findings(Targets(rows, [], is_expiry=False), facts)
    assert found.message.startswith("ERROR label.extension-two-part: ")
    assert "dev_0000" in found.message
    assert "and 30 more" in found.message
    assert all(row.hardware_id in found.full_message for row in rows)


def test_what_an_id_begins_with() -> None:
    assert list(beginnings(FOUR)) == [FOUR, TWO, "pci\\ven_1234"]
    assert list(beginnings("swc\\widget")) == ["swc\\widget"]
