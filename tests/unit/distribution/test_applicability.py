"""Devices and labels, row by row: each is named after the documented rule that it stands for, with where that is
written. Numbers are those of contract/dashboard.md; names of pages those of Microsoft's documentation.
"""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from hwdash.distribution.applicability import RULES, Candidate, TargetedId
from hwdash.distribution.machine import Device, Machine
from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.vocabulary import RELEASES
from offered import (
    AUTOMATIC,
    CHIDS,
    CLASS,
    DEVICE,
    HARDWARE_ID,
    LESS_SPECIFIC,
    MANUAL,
    NOW,
    PUSHED_ONLY,
    UPGRADES_ONLY,
    X64_CO,
    X64_GE,
    X64_NI,
    X64_RS3,
    candidate,
    installed,
    machine,
    outcome,
    rollout,
    told,
    ver,
)

PILOT, OTHER = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class Row:
    """A machine with one device, a label, and what becomes of it: ``automatic``, ``optional`` or the rule's name."""

    name: str
    source: str
    machine: Machine
    candidate: Candidate
    becomes: str


def floored(floor: str = "", ceiling: str = "") -> dict[str, Any]:
    return {"live_targeting": {"inServicePublishInfo": {"flooring": floor, "ceiling": ceiling}}}


def co_engineered(floor: int | str = "", ceiling: int | str = "") -> dict[str, Any]:
    numbers = {"flooringBuildNumber": floor, "ceilingBuildNumber": ceiling}
    return {"live_targeting": {"coEngDriverPublishInfo": numbers}}


def restricted(*audiences: str) -> dict[str, Any]:
    return {"live_targeting": {"restrictedToAudiences": list(audiences)}}


def specified(**changes: Any) -> dict[str, Any]:
    return {"specifications": AUTOMATIC | changes}


def target(os_code: str = X64_NI, **changes: Any) -> TargetedId:
    return TargetedId(HARDWARE_ID, os_code, **changes)


EXTENSION = "0f3d9a6e-1111-4222-8333-444444444444"
GENERIC = Device(DEVICE.hardware_ids, DEVICE.compatible_ids, installed("10.0.1.1", "2006-06-21", is_generic=True))
OWN_DRIVER = Device(DEVICE.hardware_ids, DEVICE.compatible_ids, installed())
FLIGHT, LIMIT, USING = "driver-flighting", "limit-driver-distribution", "using-chids"
SELECTION = "overview-of-the-driver-selection-process"
DELIVERED = "understanding-windows-update-automatic-and-optional-rules-for-driver-distribution, 86"
EXTENSIONS, ROLLOUT = "submit-dashboard-extension-inf-files", "gradual-rollout"

# fmt: off
ROWS = (
    Row("a hardware id that the label targets", SELECTION, machine(), candidate(), "automatic"),
    Row("a less specific hardware id", SELECTION, machine(),
        candidate(1, TargetedId(LESS_SPECIFIC, X64_NI)), "automatic"),
    Row("a compatible id", SELECTION, machine(), candidate(1, TargetedId(CLASS, X64_NI)), "automatic"),
    Row("an id that is being removed is live until it is", "expire-a-driver-from-windows-update, 142",
        machine(), candidate(1, target(state="pendingRemove")), "automatic"),
    Row("an id that waits for publishing", "publish-a-driver-to-windows-update, 84",
        machine(), candidate(1, target(state="pendingAdd")), "live"),
    Row("an id that expired", "expire-a-driver-from-windows-update, 142",
        machine(), candidate(1, target(state="notSet")), "live"),
    Row("a label of which nothing is offered yet", "publish-a-driver-to-windows-update, 84",
        machine(), candidate(live_targeting=None), "live"),
    Row("one live id among dead ones", "expire-a-driver-from-windows-update, 142",
        machine(), candidate(1, target(state="notSet"), target(X64_CO)), "automatic"),
    Row("another architecture", "get-product-data", machine(),
        candidate(os_code="WINDOWS_v100_ARM64_NI_FULL"), "architecture"),
    Row("arm64 for arm64", "get-product-data", machine(architecture="arm64"),
        candidate(os_code="WINDOWS_v100_ARM64_NI_FULL"), "automatic"),
    Row("x86 is not amd64", "get-product-data", machine(build=19045),
        candidate(os_code="WINDOWS_v100_RS5_FULL"), "architecture"),
    Row("one architecture of two", "get-product-data", machine(),
        candidate(1, target("WINDOWS_v100_ARM64_NI_FULL"), target()), "automatic"),
    Row("a driver for servers", "get-product-data", machine(build=26100),
        candidate(os_code="WINDOWS_v100_SERVER_X64_GE_FULL"), "edition"),
    Row("a driver for clients, and a server", "get-product-data", machine(build=26100, is_server=True),
        candidate(os_code=X64_GE), "edition"),
    Row("a driver for servers, and a server", "get-product-data", machine(build=26100, is_server=True),
        candidate(os_code="WINDOWS_v100_SERVER_X64_FE_FULL"), "automatic"),
    Row("the very release", f"{LIMIT}, 96", machine(build=22621), candidate(), "automatic"),
    Row("the lowest row reaches later releases", f"{LIMIT}, 96", machine(build=26200),
        candidate(os_code=X64_RS3), "automatic"),
    Row("no row reaches earlier releases", f"{LIMIT}, 96", machine(build=22000), candidate(), "os-release"),
    Row("a build between two releases is of the earlier", f"{LIMIT}, 96", machine(build=22620),
        candidate(), "os-release"),
    Row("a release whose build is not known comes after all others", "contract/api.md 10.4", machine(build=26200),
        candidate(os_code="WINDOWS_v100_X64_26H1_FULL"), "os-release"),
    Row("a build after all known releases", "contract/api.md 10.4", machine(build=28000),
        candidate(os_code="WINDOWS_v100_X64_26H1_FULL"), "automatic"),
    Row("Windows 8.1 does not reach Windows 10 without expansion", f"{LIMIT}, 106", machine(build=19045),
        candidate(os_code="WINDOWS_v63_X64"), "os-release"),
    Row("Windows 8.1 for Windows 8.1", f"{LIMIT}, 96", machine(Device((HARDWARE_ID,)), build=9600),
        candidate(os_code="WINDOWS_v63_X64"), "automatic"),
    Row("Windows 7 reaches Windows 8.1", f"{LIMIT}, 96", machine(build=9600),
        candidate(os_code="WINDOWS_7_X64"), "automatic"),
    Row("Windows 8.1 does not reach Windows 7", f"{LIMIT}, 96", machine(build=7601),
        candidate(os_code="WINDOWS_v63_X64"), "os-release"),
    Row("below the floor", f"{LIMIT}, 103", machine(build=19045),
        candidate(os_code=X64_RS3, **floored("CO")), "floor"),
    Row("at the floor", f"{LIMIT}, 103", machine(build=22000),
        candidate(os_code=X64_RS3, **floored("CO")), "automatic"),
    Row("above the floor", f"{LIMIT}, 103", machine(build=26100),
        candidate(os_code=X64_RS3, **floored("CO")), "automatic"),
    Row("a floor of RS4 needs 1803", LIMIT, machine(build=16299),
        candidate(os_code=X64_RS3, **floored("RS4")), "floor"),
    Row("at the ceiling", f"{LIMIT}, 103", machine(build=19045),
        candidate(os_code=X64_RS3, **floored(ceiling="VB")), "automatic"),
    Row("above the ceiling", f"{LIMIT}, 103", machine(build=22000),
        candidate(os_code=X64_RS3, **floored(ceiling="VB")), "ceiling"),
    Row("a ceiling of RS3 on an RS1 driver never reaches 1803", LIMIT, machine(build=17134),
        candidate(os_code="WINDOWS_v100_X64_RS1_FULL", **floored(ceiling="RS3")), "ceiling"),
    Row("later builds of the ceiling's release", f"{LIMIT}, 103", machine(build=22631),
        candidate(**floored(ceiling="NI")), "automatic"),
    Row("floor before ceiling, both broken", f"{LIMIT}, 103", machine(build=18363),
        candidate(os_code=X64_RS3, **floored("VB", "RS4")), "floor"),
    Row("below the build number of co-engineering", f"{LIMIT}, 104", machine(build=27000),
        candidate(**co_engineered(27500)), "build-numbers"),
    Row("at the build number of co-engineering", "contract/api.md 10.5: inclusive",
        machine(build=27500, is_insider=True),
        candidate(**co_engineered(27500)), "automatic"),
    Row("co-engineered by its build number, and no Insider", f"{FLIGHT}, 119", machine(build=27500),
        candidate(**co_engineered(27500)), "insider"),
    Row("a build number that was stored as text", "contract/observed.md 17", machine(build=27499),
        candidate(**co_engineered("27500")), "build-numbers"),
    Row("above the last build number", f"{LIMIT}, 104", machine(build=27601),
        candidate(**co_engineered(27500, 27600)), "build-numbers"),
    Row("at the last build number", "contract/api.md 10.5: inclusive", machine(build=27600, is_insider=True),
        candidate(**co_engineered(27500, 27600)), "automatic"),
    Row("a label without CHIDs is for every computer", f"{USING}, 98", machine(chids=()), candidate(), "automatic"),
    Row("one of the label's CHIDs is enough", f"{USING}, 98", machine(),
        candidate(chids=frozenset({CHIDS[14], "not-this-one"})), "automatic"),
    Row("none of the label's CHIDs", f"{USING}, 98", machine(), candidate(chids=frozenset({"not-this-one"})), "chid"),
    Row("a machine without SMBIOS values", f"{USING}, 97", machine(chids=()),
        candidate(chids=frozenset(CHIDS)), "chid"),
    Row("a CHID-5 machine that is no CHID-4 machine", USING, machine(chids=(CHIDS[5],)),
        candidate(chids=frozenset({CHIDS[4]})), "chid"),
    Row("the test audience, without its key", "publishing-for-test-distribution, 110", machine(),
        candidate(**restricted(TEST_REGISTRY_KEY.id)), "audience"),
    Row("the test audience by the name of its key", "publishing-for-test-distribution, 110",
        machine(audiences=frozenset({"test_registry_key"})),
        candidate(**restricted(TEST_REGISTRY_KEY.id)), "automatic"),
    Row("an audience by its id", "get-audience-data, 109", machine(audiences=frozenset({PILOT})),
        candidate(**restricted(PILOT)), "automatic"),
    Row("an audience by its name", "get-audience-data, 109", machine(audiences=frozenset({"pilot machines"})),
        candidate(audiences={PILOT: frozenset({"Pilot machines"})}, **restricted(PILOT)), "automatic"),
    Row("another audience", "get-audience-data, 109", machine(audiences=frozenset({OTHER})),
        candidate(**restricted(PILOT)), "audience"),
    Row("one audience of two", "get-audience-data, 109", machine(audiences=frozenset({OTHER})),
        candidate(**restricted(PILOT, OTHER)), "automatic"),
    Row("test drivers are added to production ones: a member gets unrestricted labels too",
        "publishing-for-test-distribution, 111", machine(audiences=frozenset({PILOT})), candidate(), "automatic"),
    Row("signed for flights, and no Insider", "contract/api.md 6.6", machine(),
        candidate(is_flight_signed=True), "insider"),
    Row("signed for flights, and an Insider", "contract/api.md 6.6", machine(is_insider=True),
        candidate(is_flight_signed=True), "automatic"),
    Row("co-engineered drivers are for Insiders only", f"{FLIGHT}, 119", machine(),
        candidate(**specified(additionalInfoForMsApproval={"isCoEngineered": True})), "insider"),
    Row("co-engineered, and an Insider", f"{FLIGHT}, 119", machine(is_insider=True),
        candidate(**specified(additionalInfoForMsApproval={"isCoEngineered": True})), "automatic"),
    Row("S mode, which the label does not serve", "publish-a-driver-to-windows-update, 91", machine(is_s_mode=True),
        candidate(), "s-mode"),
    Row("S mode, which the label serves", "publish-a-driver-to-windows-update, 91", machine(is_s_mode=True),
        candidate(**specified(publishToWindows10s=True)), "automatic"),
    Row("before it goes live", "contract/api.md 3.8", machine(),
        candidate(**specified(goLiveDate="2026-11-28T12:00:01Z")), "go-live-date"),
    Row("from the second on at which it goes live", "contract/api.md 3.8", machine(),
        candidate(**specified(goLiveDate="2026-11-28T12:00:00Z")), "automatic"),
    Row("a bucket that the rollout has not reached", f"{ROLLOUT}, 128", machine(bucket=1),
        candidate(rollout=rollout(1)), "rollout"),
    Row("a bucket below the percentage of the first day", f"{ROLLOUT}, 129", machine(bucket=0.99),
        candidate(rollout=rollout(1)), "automatic"),
    Row("the day before the next phase", f"{ROLLOUT}, 129", machine(bucket=5),
        candidate(rollout=rollout(7)), "rollout"),
    Row("the day of the next phase", f"{ROLLOUT}, 129", machine(bucket=5),
        candidate(rollout=rollout(8)), "automatic"),
    Row("the last phase reaches all", f"{ROLLOUT}, 129", machine(bucket=99.99),
        candidate(rollout=rollout(14)), "automatic"),
    Row("a pause is 0 %", f"{ROLLOUT}, 130", machine(bucket=0), candidate(rollout=rollout(14, paused=True)), "rollout"),
    Row("1703 is reached at the end only", f"{ROLLOUT}, 131", machine(build=15063, bucket=0),
        candidate(os_code="WINDOWS_v100_X64_RS2_FULL", rollout=rollout(20)), "rollout"),
    Row("1709 is reached with the others", f"{ROLLOUT}, 131", machine(build=16299, bucket=0),
        candidate(os_code="WINDOWS_v100_X64_RS2_FULL", rollout=rollout(20)), "automatic"),
    Row("1703, when the rollout was finalized", f"{ROLLOUT}, 131", machine(build=15063, bucket=50),
        candidate(os_code="WINDOWS_v100_X64_RS2_FULL", rollout=rollout(2, is_finalized=True)), "automatic"),
    Row("1703, when the label is being finalized", f"{ROLLOUT}, 131", machine(build=15063, bucket=50),
        candidate(os_code="WINDOWS_v100_X64_RS2_FULL", rollout=rollout(31), step="finalizePublishing"), "automatic"),
    Row("what an earlier run has added stays offered to all", f"{ROLLOUT}, 128", machine(bucket=99),
        candidate(1, target(run=1), run=2, rollout=rollout(1)), "automatic"),
    Row("what this run has added is rolled out", f"{ROLLOUT}, 128", machine(bucket=99),
        candidate(1, target(run=2), run=2, rollout=rollout(1)), "rollout"),
    Row("a label without a rollout is for all at once", f"{ROLLOUT}, 132", machine(bucket=99.99),
        candidate(specifications=MANUAL), "optional"),
    Row("an extension INF on a build that takes it", f"{EXTENSIONS}, 78", machine(build=16299, revision=192),
        candidate(os_code=X64_RS3, extension_id=EXTENSION), "automatic"),
    Row("an extension INF one revision too early", f"{EXTENSIONS}, 78", machine(build=16299, revision=191),
        candidate(os_code=X64_RS3, extension_id=EXTENSION), "extension-build"),
    Row("an extension INF on 1703", f"{EXTENSIONS}, 78", machine(build=15063),
        candidate(os_code="WINDOWS_v100_X64_RS1_FULL", extension_id=EXTENSION), "extension-build"),
    Row("an extension INF is never optional", f"{EXTENSIONS}, 74", machine(),
        candidate(extension_id=EXTENSION, specifications=UPGRADES_ONLY), "delivery"),
    Row("both automatic options, in a scan", DELIVERED, machine(), candidate(), "automatic"),
    Row("both automatic options, in an upgrade", DELIVERED, machine(is_upgrade=True), candidate(), "automatic"),
    Row("all applicable systems only, in a scan", DELIVERED, machine(),
        candidate(specifications=PUSHED_ONLY), "automatic"),
    Row("all applicable systems only, in an upgrade", DELIVERED, machine(is_upgrade=True),
        candidate(specifications=PUSHED_ONLY), "automatic"),
    Row("upgrades only, in an upgrade", DELIVERED, machine(is_upgrade=True),
        candidate(specifications=UPGRADES_ONLY), "automatic"),
    Row("upgrades only, in a scan of 2004 or later", DELIVERED, machine(build=19041),
        candidate(os_code=X64_RS3, specifications=UPGRADES_ONLY), "optional"),
    Row("upgrades only, in a scan of 1909", DELIVERED, machine(build=18363),
        candidate(os_code=X64_RS3, specifications=UPGRADES_ONLY), "delivery"),
    Row("manual, in an upgrade", DELIVERED, machine(is_upgrade=True), candidate(specifications=MANUAL), "delivery"),
    Row("manual, from 2004 on", DELIVERED, machine(build=19041),
        candidate(os_code=X64_RS3, specifications=MANUAL), "optional"),
    Row("manual, on 1909, without a driver", DELIVERED, machine(build=18363),
        candidate(os_code=X64_RS3, specifications=MANUAL), "automatic"),
    Row("manual, on 1909, with a generic driver", DELIVERED, machine(GENERIC, build=18363),
        candidate(os_code=X64_RS3, specifications=MANUAL), "automatic"),
    Row("manual, on 1909, with a driver of its own", DELIVERED, machine(OWN_DRIVER, build=18363),
        candidate(os_code=X64_RS3, specifications=MANUAL), "delivery"),
    Row("a floor counts against the build to come, in an upgrade", f"{LIMIT}, 87",
        machine(build=26100, is_upgrade=True), candidate(**floored("GE")), "automatic"),
    Row("newer than what is installed", SELECTION, machine(OWN_DRIVER), candidate(), "automatic"),
    Row("a newer date counts before a higher version", SELECTION,
        machine(Device(DEVICE.hardware_ids, (), installed("9.0.0.0"))), candidate(), "automatic"),
    Row("an older date", SELECTION,
        machine(Device(DEVICE.hardware_ids, (), installed("1.0.0.0", "2026-02-01"))), candidate(), "installed"),
    Row("the same date and a higher version", SELECTION,
        machine(Device(DEVICE.hardware_ids, (), installed("1.9.9.9", "2026-01-31"))), candidate(), "automatic"),
    Row("the very driver that is installed", SELECTION,
        machine(Device(DEVICE.hardware_ids, (), installed("2.0.0.0", "2026-01-31"))), candidate(), "installed"),
    Row("a better rank counts before date and version", SELECTION,
        machine(Device(DEVICE.hardware_ids, (), installed("9.0.0.0", "2027-01-01", rank=0x00FF0001))),
        candidate(), "automatic"),
    Row("a worse rank, however new", SELECTION,
        machine(Device(DEVICE.hardware_ids, (), installed(rank=0x00FE0000))), candidate(), "installed"),
    Row("a feature score makes a better rank", "feature-score", machine(Device((HARDWARE_ID,), (),
        installed("9.0.0.0", "2027-01-01", rank=0x00FF0000))), candidate(1, target(feature_score=0xFD)), "automatic"),
    Row("an optional driver has to be better than what is installed too", SELECTION,
        machine(Device((HARDWARE_ID,), (), installed("3.0.0.0", "2026-05-05"))),
        candidate(specifications=MANUAL), "installed"),
    Row("a newer extension INF than the installed one", f"{EXTENSIONS}, 76",
        machine(Device((HARDWARE_ID,), (), None, ((EXTENSION, ver("1.0.0.0")),))),
        candidate(extension_id=EXTENSION), "automatic"),
    Row("an extension INF that is installed already", f"{EXTENSIONS}, 76",
        machine(Device((HARDWARE_ID,), (), None, ((EXTENSION, ver("2.0.0.0")),))),
        candidate(extension_id=EXTENSION), "installed"),
    Row("neither rank nor base driver play a part among extensions", f"{EXTENSIONS}, 82",
        machine(Device((HARDWARE_ID,), (), installed("9.0.0.0", "2027-01-01", rank=0))),
        candidate(extension_id=EXTENSION), "automatic"),
    Row("another ExtensionId than the installed one", "using-an-extension-inf-file",
        machine(Device((HARDWARE_ID,), (), None, ((OTHER, ver("9.0.0.0")),))),
        candidate(extension_id=EXTENSION), "automatic"),
)
# fmt: on


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} ({row.source})")
def test_the_rule(row: Row) -> None:
    assert outcome(row.machine, row.candidate) == {row.candidate.label_id: row.becomes}


def test_the_table_is_long_enough_and_its_names_differ() -> None:
    assert len(ROWS) >= 60
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_every_rule_that_one_label_can_break_has_a_row() -> None:
    seen = {row.becomes for row in ROWS} | {"hardware-id", "better-offer", "extension-winner"}
    assert seen - {"automatic", "optional"} == {rule.name for rule in RULES}


def test_a_driver_that_matches_in_no_id_is_not_spoken_of() -> None:
    (found,) = told(machine(Device(("pci\\ven_1",))), candidate())
    assert (found.offers, found.refused) == ([], [])


@pytest.mark.parametrize("row", [row for row in ROWS if row.becomes not in ("automatic", "optional")])
def test_a_refusal_is_one_sentence_that_ends(row: Row) -> None:
    ((refused,),) = (found.refused for found in told(row.machine, row.candidate))
    assert refused.reason.endswith(".")
    assert "\n" not in refused.reason


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("below the floor", "floor is CO; the machine has build 19045"),
        ("a bucket that the rollout has not reached", "has reached 1 % of the machines; this one's bucket is 1"),
        ("another architecture", "published for arm64; the machine is amd64"),
        ("the test audience, without its key", "the audience Test_Registry_Key"),
        ("an extension INF one revision too early", "needs build 16299.192 or later; the machine has 16299.191"),
        ("the very driver that is installed", "the installed 2.0.0.0 of 2026-01-31, of unknown rank"),
    ],
)
def test_a_refusal_names_the_values(row: str, says: str) -> None:
    (chosen,) = (each for each in ROWS if each.name == row)
    ((refused,),) = (found.refused for found in told(chosen.machine, chosen.candidate))
    assert says in refused.reason


def test_the_first_rule_that_refuses_is_told() -> None:
    """Of a label that breaks all of them, mended one by one in the order of the rules."""
    hopeless = {
        "live_targeting": floored("GE", "RS1")["live_targeting"]
        | co_engineered(30000)["live_targeting"]
        | restricted(PILOT)["live_targeting"],
        "chids": frozenset({"other"}),
        "is_flight_signed": True,
        "rollout": rollout(1),
        "extension_id": EXTENSION,
        "specifications": MANUAL | {"goLiveDate": "2027-01-01T00:00:00Z"},
    }
    which = machine(build=15063, is_s_mode=True, bucket=50)
    server_arm = "WINDOWS_v100_SERVER_ARM64_GE_FULL"
    steps: list[tuple[str, dict[str, Any]]] = [
        ("live", {"ids": (target(server_arm, state="notSet"),)}),
        ("architecture", {"ids": (target(server_arm),)}),
        ("edition", {"ids": (target("WINDOWS_v100_SERVER_X64_GE_FULL"),)}),
        ("os-release", {"ids": (target(X64_GE),)}),
        ("floor", {"ids": (target("WINDOWS_v100_X64_TH1_FULL"),)}),
        ("ceiling", {"live_targeting": hopeless["live_targeting"] | floored("", "RS1")["live_targeting"]}),
        ("build-numbers", {"live_targeting": hopeless["live_targeting"] | floored("", "")["live_targeting"]}),
        ("chid", restricted(PILOT)),
        ("audience", {"chids": None}),
        ("insider", {"live_targeting": {}}),
        ("s-mode", {"is_flight_signed": False}),
        ("go-live-date", {"specifications": hopeless["specifications"] | {"publishToWindows10s": True}}),
        ("rollout", {"specifications": MANUAL | {"publishToWindows10s": True}}),
        ("extension-build", {"rollout": None}),
    ]
    order = [rule.name for rule in RULES]
    assert [name for name, _ in steps] == order[1 : order.index("delivery")]
    label: dict[str, Any] = hopeless
    for name, mended in steps:
        label = label | mended
        assert outcome(which, candidate(**label)) == {1: name}


def test_a_live_date_that_has_come_by_the_services_clock() -> None:
    label = candidate(specifications=AUTOMATIC | {"goLiveDate": "2026-12-01T00:00:00Z"})
    assert told(machine(), label)[0].refused
    assert told(machine(), label, now=NOW + timedelta(days=3))[0].offers


FIRST_BUILDS = {
    "TH": 10240,
    "RS1": 14393,
    "RS2": 15063,
    "RS3": 16299,
    "RS4": 17134,
    "RS5": 17763,
    "19H1": 18362,
    "VB": 19041,
    "FE": 20348,
    "CO": 22000,
    "NI": 22621,
    "GE": 26100,
    "25H2": 26200,
    "26H1": 26201,  # not known: whatever comes after all that are
}


@pytest.mark.parametrize(("low", "high"), list(itertools.pairwise(FIRST_BUILDS)))
def test_releases_follow_one_another_as_floors_and_as_ceilings(low: str, high: str) -> None:
    """limit-driver-distribution: a floor says at or above, a ceiling at or below."""
    last_of_low, first_of_high = machine(build=FIRST_BUILDS[high] - 1), machine(build=FIRST_BUILDS[high])
    published = "WINDOWS_v100_X64_TH1_FULL"
    assert outcome(first_of_high, candidate(os_code=published, **floored(high))) == {1: "automatic"}
    assert outcome(first_of_high, candidate(os_code=published, **floored(ceiling=low))) == {1: "ceiling"}
    assert outcome(last_of_low, candidate(os_code=published, **floored(high))) == {1: "floor"}
    assert outcome(last_of_low, candidate(os_code=published, **floored(ceiling=low))) == {1: "automatic"}


def test_every_release_is_tried() -> None:
    assert list(FIRST_BUILDS) == [each for each in RELEASES if each != "MN"]
