"""Every value of every enumeration goes out as it came in, in its one spelling (contract, section 10).

Six products carry them all: each has a part of the product types, one value of each small enumeration, and a date in
another form (contract, 1.4).
"""

from datetime import UTC, datetime
from typing import Any

from hwdash.conformance import expect
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import X64, Made, Stage
from hwdash.vocabulary import OPERATING_SYSTEMS, OS_FAMILIES, PRODUCT_TYPES, GuestOs, ProcessorArchitecture

ROWS = Rows()

FAMILIES = [each.code for each in OS_FAMILIES if each.documented]
OS_CODES = [each.code for each in OPERATING_SYSTEMS if each.documented]
IN_PRACTICE = [each.code for each in OPERATING_SYSTEMS if not each.documented]
HARNESSES = ["hlk", "hck", "attestation", "notset"]
DEVICE_TYPES = ["internal", "external", "internalExternal", "notSet"]
GUESTS = [str(each) for each in GuestOs]
ARCHITECTURES = [str(each) for each in ProcessorArchitecture]
TYPES = {number: dict(zip(FAMILIES, PRODUCT_TYPES[number * len(FAMILIES) :], strict=False)) for number in range(5)}
"""By product: family code to product type."""
DATES = [
    ("zone-less", "2018-01-01T00:00:00"),
    ("utc", "2018-01-01T00:00:00Z"),
    ("offset", "2018-01-01T02:00:00+02:00"),
    ("seven-digits", "2018-01-01T00:00:00.0000000Z"),
    ("date-only", "2018-01-01"),
    ("year-1", "0001-01-01T00:00:00"),
]
STORAGE: dict[str, Any] = {
    "biosVersion": "1.0", "firmwareVersion": "2.0", "driverVersion": "3.0", "driverName": "stor.sys",
    "deviceVersion": "4.0", "chipsetName": "C1", "usedProprietary": True, "proprietaryName": "P",
    "proprietaryVersion": "5.0", "usedMicrosoft": True, "microsoftName": "M", "microsoftVersion": "6.0",
    "usedBootSupport": True, "usedBetterBoot": True, "uefiVersion": "7.0", "acpiVersion": "8.0",
    "supportsSector4K512E": True, "supportsSector4K4K": False, "supportsDifferential": True,
}  # fmt: skip
RAID: dict[str, Any] = {
    "firmwareVersion": "1.0", "filterVersion": "2.0", "driverVersion": "3.0", "usedProprietary": True,
    "proprietaryName": "P", "proprietaryVersion": "4.0", "usedMicrosoft": True, "microsoftName": "M",
    "microsoftVersion": "5.0", "isThirdPartyNeeded": True, "isSES": False, "isSAFTE": True, "additionalInfo": "none",
}  # fmt: skip


def _svvp(number: int) -> dict[str, Any]:
    # The second one sends its numbers as text, as clients do.
    counts: list[Any] = ["8", "64"] if number == 1 else [8, 64]
    return {
        "productVersion": "1.0",
        "supportLink": "https://support.example/svvp",
        "guestOs": GUESTS[number],
        "processorArchitecture": ARCHITECTURES[number % 3],
        "maxProcessors": counts[0],
        "maxMemory": counts[1],
    }


def _product(stage: Stage, number: int) -> Made:
    def create() -> Made:
        changes: dict[str, Any] = {
            "productName": f"hwdash conformance: enumerations {number + 1} of 6",
            "testHarness": HARNESSES[number % 4],
            "deviceType": DEVICE_TYPES[number % 4],
            "announcementDate": DATES[number][1],
            "requestedSignatures": {0: OS_CODES, 1: IN_PRACTICE}.get(number, [X64]),
            "selectedProductTypes": TYPES.get(number, {}),
        }
        if number < 4:
            changes["additionalAttributes"] = {"svvp": _svvp(number)}
        elif number == 4:
            changes["additionalAttributes"] = {"storageController": STORAGE}
        else:
            # Everything in another casing.
            changes |= {
                "testHarness": "HLK",
                "deviceType": "INTERNALEXTERNAL",
                "requestedSignatures": [X64.upper()],
                "selectedProductTypes": {FAMILIES[0].upper(): PRODUCT_TYPES[0].lower()},
                "additionalAttributes": {"RaidController": {name[0].upper() + name[1:]: RAID[name] for name in RAID}},
            }
        return stage.create(**changes)

    return stage.once(f"enumerations {number}", create)


@ROWS.row("enum-product-types", Source.DOCUMENTED)
def product_types(stage: Stage) -> None:
    """The 147 product types and Unclassified."""
    for number, types in TYPES.items():
        expect.subset(_product(stage, number).body["selectedProductTypes"], types, f"product {number + 1} of 6")


@ROWS.row("enum-os-families", Source.DOCUMENTED)
def os_families(stage: Stage) -> None:
    """The 34 OS family codes."""
    expect.equal(sorted(_product(stage, 0).body["selectedProductTypes"]), sorted(FAMILIES), "the family codes")


@ROWS.row("enum-os-codes", Source.DOCUMENTED)
def os_codes(stage: Stage) -> None:
    """The 66 OS codes."""
    expect.equal(_product(stage, 0).body["requestedSignatures"], OS_CODES, "requestedSignatures")


@ROWS.row("enum-os-codes-in-practice", Source.FIELD)
def os_codes_in_practice(stage: Stage) -> None:
    """The OS codes that clients send although no document lists them, such as WINDOWS_v100_X64_25H2_FULL."""
    expect.equal(_product(stage, 1).body["requestedSignatures"], IN_PRACTICE, "requestedSignatures")


@ROWS.row("enum-test-harness", Source.DOCUMENTED)
def test_harness(stage: Stage) -> None:
    """testHarness: hlk, hck, attestation, notset."""
    expect.equal([_product(stage, each).body["testHarness"] for each in range(4)], HARNESSES, "testHarness")


@ROWS.row("enum-device-type", Source.DOCUMENTED)
def device_type(stage: Stage) -> None:
    """deviceType: internal, external, internalExternal, notSet."""
    expect.equal([_product(stage, each).body["deviceType"] for each in range(4)], DEVICE_TYPES, "deviceType")


@ROWS.row("enum-storage-controller", Source.CLIENTS)
def storage_controller(stage: Stage) -> None:
    """additionalAttributes.storageController, every member."""
    expect.subset(_product(stage, 4).body["additionalAttributes"]["storageController"], STORAGE, "storageController")


@ROWS.row("enum-raid-controller", Source.CLIENTS)
def raid_controller(stage: Stage) -> None:
    """additionalAttributes.raidController, every member."""
    expect.subset(_product(stage, 5).body["additionalAttributes"]["raidController"], RAID, "raidController")


@ROWS.row("register-23-raid-versions", Source.DOCUMENTED)
def raid_versions(stage: Stage) -> None:
    """RAID filterVersion and driverVersion go by their names."""
    raid = _product(stage, 5).body["additionalAttributes"]["raidController"]
    expect.subset(raid, {"filterVersion": "2.0", "driverVersion": "3.0"}, "raidController")


@ROWS.row("enum-svvp", Source.DOCUMENTED)
def svvp(stage: Stage) -> None:
    """additionalAttributes.svvp, every member, guest and architecture."""
    for number in (0, 2, 3):
        expect.subset(_product(stage, number).body["additionalAttributes"]["svvp"], _svvp(number), "svvp")


@ROWS.row("observed-17-numbers-as-text", Source.FIELD)
def numbers_as_text(stage: Stage) -> None:
    """maxProcessors and maxMemory as text are taken, numbers come back."""
    found = _product(stage, 1).body["additionalAttributes"]["svvp"]
    expect.subset(found, {"maxProcessors": 8, "maxMemory": 64, "guestOs": GUESTS[1]}, "svvp")


@ROWS.row("enum-any-case", Source.DOCUMENTED)
def any_case(stage: Stage) -> None:
    """Enumerations are taken in any case, and answered in one."""
    expect.subset(
        _product(stage, 5).body,
        {
            "testHarness": "hlk",
            "deviceType": "internalExternal",
            "requestedSignatures": [X64],
            "selectedProductTypes": {FAMILIES[0]: PRODUCT_TYPES[0]},
        },
        "the product",
    )


@ROWS.row("lenient-dates", Source.FIELD)
def dates(stage: Stage) -> None:
    """Dates with Z, an offset, no zone, seven digits or no time are taken."""
    for number, (form, sent) in enumerate(DATES[:-1]):
        given = str(_product(stage, number).body.get("announcementDate"))
        read = datetime.fromisoformat(given)
        read = read if read.tzinfo else read.replace(tzinfo=UTC)
        expect.equal(read, datetime(2018, 1, 1, tzinfo=UTC), f"the {form} date {sent}, answered {given},")


@ROWS.row("lenient-year-1", Source.CLIENTS)
def year_one(stage: Stage) -> None:
    """The year-1 date is as if absent."""
    expect.true(
        "announcementDate" not in _product(stage, 5).body,
        f"announcementDate is {_product(stage, 5).body.get('announcementDate')!r}; it should be absent.",
    )


@ROWS.row("json-dates-in-utc", Source.OURS)
def dates_in_utc(stage: Stage) -> None:
    """Dates are answered in RFC 3339, UTC."""
    bodies = [_product(stage, 2).body, stage.sample.body, stage.pending.body]
    for body in bodies:
        for name, value in body.items():
            if name.endswith(("Date", "DateTime")):
                expect.true(str(value).endswith(("Z", "+00:00")), f"{name} is {value}.")
