"""Every rule of products, broken on the wire: status, code and every target (contract/api.md 1.4, 3.1, 3.2, 4.1 to 4.4,
6.6, 7.1 and 7.2). What is answered when they are kept is in test_products_wire.py and test_updates_wire.py.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from callers import database_of
from hwdash.storage.tables import products, submissions
from hwdash.vocabulary import (
    OPERATING_SYSTEMS,
    OS_FAMILIES,
    PRODUCT_TYPES,
    DeviceType,
    GuestOs,
    ProcessorArchitecture,
    TestHarness,
)
from refusals import Refusal, refusal
from service import API, X64, ApiClient, Served

pytestmark = pytest.mark.usefixtures("no_accident")

PRODUCTS = f"{API}/products"
MINIMAL = {"productName": "P", "testHarness": "HLK", "requestedSignatures": [X64]}
INVALID = "invalidInput"

# A value of each kind that JSON has; none is a good one of its kind, but for the null of what can be absent.
KINDS: dict[str, Any] = {
    "null": None,
    "text": "none such",
    "number": 77,
    "fraction": 0.5,
    "true": True,
    "list": [{}],
    "object": {"none": "such"},
}
# Which kinds each property takes (api.md 3.1), and where a finding about the others stands.
FREE_TEXT = {"null", "text"}
TAKES: dict[str, set[str]] = {
    "productName": {"text"},
    "testHarness": set(),
    "requestedSignatures": set(),
    "selectedProductTypes": {"null"},
    "deviceType": {"null"},
    "isTestSign": {"null", "true"},
    "isFlightSign": {"null", "true"},
    "announcementDate": {"null"},
    "marketingNames": {"null"},
    "deviceMetadataIds": {"null"},
    "deviceMetadataCategory": FREE_TEXT,
    "firmwareVersion": FREE_TEXT,
    # An object of unknown members is as one without any.
    "additionalAttributes": {"null", "object"},
}
PLACES = {
    ("requestedSignatures", "list"): "requestedSignatures",
    ("marketingNames", "list"): "marketingNames",
    ("deviceMetadataIds", "list"): "deviceMetadataIds",
}

STORAGE_TEXTS = [
    *(
        "biosVersion",
        "firmwareVersion",
        "driverVersion",
        "driverName",
        "deviceVersion",
        "chipsetName",
        "proprietaryName",
    ),
    *("proprietaryVersion", "microsoftName", "microsoftVersion", "uefiVersion", "acpiVersion"),
]
STORAGE_FLAGS = [
    *("usedProprietary", "usedMicrosoft", "usedBootSupport", "usedBetterBoot", "supportsSector4K512E"),
    *("supportsSector4K4K", "supportsDifferential"),
]
RAID_TEXTS = [
    *("firmwareVersion", "filterVersion", "driverVersion", "proprietaryName", "proprietaryVersion", "microsoftName"),
    *("microsoftVersion", "additionalInfo"),
]
RAID_FLAGS = ["usedProprietary", "usedMicrosoft", "isThirdPartyNeeded", "isSES", "isSAFTE"]
SVVP_TEXTS = ["productVersion", "supportLink"]
SVVP_WORDS = ["guestOs", "processorArchitecture"]
SVVP_NUMBERS = ["maxProcessors", "maxMemory"]


@pytest.fixture(scope="module")
def api(service: Served) -> Iterator[ApiClient]:
    client = service.client()
    with closing(client.http):
        yield client


def _create(api: ApiClient, **changes: object) -> Refusal | None:
    answer = api.http.post(PRODUCTS, json=MINIMAL | changes)
    return None if answer.status_code == 201 else refusal(answer)


def _count(api: ApiClient) -> int:
    return len(api.http.get(PRODUCTS).json()["value"])


# --- Create


@pytest.mark.parametrize("name", TAKES)
def test_each_kind_of_json_is_taken_or_refused_at_its_place(api: ApiClient, name: str) -> None:
    for kind, value in KINDS.items():
        answered = _create(api, **{name: value})
        if kind in TAKES[name]:
            assert answered is None, (kind, answered)
        elif (name, kind) == ("selectedProductTypes", "object"):
            assert answered == (422, INVALID, ["selectedProductTypes"])
        else:
            assert answered == (422, INVALID, [PLACES.get((name, kind), name)]), kind


@pytest.mark.parametrize("kind", ["text", "number", "fraction", "list", "object", "true"])
@pytest.mark.parametrize(
    ("member", "properties"),
    [
        ("storageController", {"true": STORAGE_FLAGS, "text": STORAGE_TEXTS}),
        ("raidController", {"true": RAID_FLAGS, "text": RAID_TEXTS}),
        ("svvp", {"text": SVVP_TEXTS, "number": SVVP_NUMBERS, "": SVVP_WORDS}),
    ],
)
def test_each_property_of_additional_attributes_has_its_kind(
    api: ApiClient, member: str, properties: dict[str, list[str]], kind: str
) -> None:
    """All at once: every property gets the same value, and those of another kind are named."""
    every = [name for names in properties.values() for name in names]
    wrong = {name for taken, names in properties.items() if taken != kind for name in names}
    if kind == "true":  # a count of true is 1, and a flag asks for more
        wrong -= set(properties.get("number", []))
    answered = _create(api, additionalAttributes={member: dict.fromkeys(every, KINDS[kind])})
    assert answered is not None
    assert answered[:2] == (422, INVALID)
    assert set(answered[2]) == {f"additionalAttributes.{member}.{name}" for name in wrong}
    assert len(answered[2]) == len(wrong)
    assert _create(api, additionalAttributes={member: dict.fromkeys(every)}) is None


BROKEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no name": ({"productName": ""}, ["productName"]),
    "a blank name": ({"productName": "\u2003\t "}, ["productName"]),
    "a long name": ({"productName": "x" * 1001}, ["productName"]),
    "a harness that cannot be had": ({"testHarness": "WLK"}, ["testHarness"]),
    "no signature": ({"requestedSignatures": []}, ["requestedSignatures"]),
    "unknown codes, each": (
        {"requestedSignatures": ["WINDOWS_11", X64, "", None, "windows_v100_x64_zz_full"]},
        ["requestedSignatures"] * 4,
    ),
    "very many codes": ({"requestedSignatures": [X64] * 501}, ["requestedSignatures"]),
    "the label of a code": ({"requestedSignatures": ["Windows 8 Client"]}, ["requestedSignatures"]),
    "an unknown family": ({"selectedProductTypes": {"Windows12": "Keyboard"}}, ["selectedProductTypes"]),
    "an unknown type": ({"selectedProductTypes": {"Windows_v100_GE": "Keyboards"}}, ["selectedProductTypes"]),
    "a type that is no text": (
        {"selectedProductTypes": {"Windows_v100_GE": 1, "Windows_v100_CO": None}},
        ["selectedProductTypes.Windows_v100_GE", "selectedProductTypes.Windows_v100_CO"],
    ),
    "very many families": ({"selectedProductTypes": {str(n): "LAN" for n in range(101)}}, ["selectedProductTypes"]),
    "a device type": ({"deviceType": "internal external"}, ["deviceType"]),
    "both ways to sign": ({"isTestSign": True, "isFlightSign": True}, ["isFlightSign"]),
    "both ways to sign, in order": ({"isFlightSign": True, "isTestSign": True}, ["isFlightSign"]),
    "names that are none": (
        {"marketingNames": ["a", None, 1, "x" * 4001]},
        ["marketingNames", "marketingNames", "marketingNames"],
    ),
    "ids that are none": ({"deviceMetadataIds": ["{}", "x"]}, ["deviceMetadataIds", "deviceMetadataIds"]),
    "a long category": ({"deviceMetadataCategory": "x" * 4001}, ["deviceMetadataCategory"]),
    "a long version": ({"firmwareVersion": "9" * 4001}, ["firmwareVersion"]),
    "two kinds of attributes": ({"additionalAttributes": {"svvp": {}, "raidController": {}}}, ["additionalAttributes"]),
    "three kinds of attributes": (
        {"additionalAttributes": {"svvp": {}, "raidController": {}, "storageController": {}}},
        ["additionalAttributes"],
    ),
    "a controller that is a list": (
        {"additionalAttributes": {"storageController": []}},
        ["additionalAttributes.storageController"],
    ),
    "an unknown guest": (
        {"additionalAttributes": {"SVVP": {"guestOs": "Windows Server 2008 R2"}}},
        ["additionalAttributes.svvp.guestOs"],
    ),
    "counts out of range": (
        {"additionalAttributes": {"svvp": {"maxProcessors": -1, "maxMemory": 1 << 31}}},
        ["additionalAttributes.svvp.maxProcessors", "additionalAttributes.svvp.maxMemory"],
    ),
    "everything at once": (
        {
            "productName": " ",
            "testHarness": "none",
            "requestedSignatures": [X64, "x", "y"],
            "selectedProductTypes": {"a": "b"},
            "deviceType": 1,
            "isTestSign": "maybe",
            "isFlightSign": "maybe",
            "announcementDate": "tomorrow",
            "marketingNames": [{}],
            "deviceMetadataIds": ["x"],
            "deviceMetadataCategory": 1,
            "firmwareVersion": 1.5,
            "additionalAttributes": {"raidController": {"usedMicrosoft": True, "isSES": "no such"}},
            "unknown": object.__name__,
        },
        [
            *("productName", "testHarness", "requestedSignatures", "requestedSignatures", "selectedProductTypes"),
            *("deviceType", "isTestSign", "isFlightSign", "announcementDate", "marketingNames"),
            *("deviceMetadataIds", "deviceMetadataCategory", "firmwareVersion"),
            *(f"additionalAttributes.raidController.{name}" for name in ("microsoftName", "microsoftVersion", "isSES")),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named_with_every_other(api: ApiClient, case: str) -> None:
    changes, targets = BROKEN[case]
    before = _count(api)
    assert _create(api, **changes) == (422, INVALID, targets)
    spelt_otherwise = {name.upper(): value for name, value in (MINIMAL | changes).items()}
    assert refusal(api.http.post(PRODUCTS, json=spelt_otherwise)) == (422, INVALID, targets)
    assert _count(api) == before


# What a flag of a controller asks for (api.md 3.2).
NEEDED = {
    "usedProprietary": ["proprietaryName", "proprietaryVersion"],
    "usedMicrosoft": ["microsoftName", "microsoftVersion"],
    "usedBetterBoot": ["uefiVersion", "acpiVersion"],
}


@pytest.mark.parametrize("flag", NEEDED)
@pytest.mark.parametrize("member", ["storageController", "raidController"])
def test_a_flag_asks_for_what_belongs_to_it(api: ApiClient, member: str, flag: str) -> None:
    first, second = NEEDED[flag]
    asks = not (member == "raidController" and flag == "usedBetterBoot")  # which a RAID controller does not have
    place = f"additionalAttributes.{member}"
    for given, missing in (
        ({}, [first, second]),
        ({first: "1"}, [second]),
        ({first: None, second: "2"}, [first]),
        ({first: "", second: " "}, [first, second]),
        ({first: "1", second: "2"}, []),
    ):
        answered = _create(api, additionalAttributes={member: {flag: True} | given})
        expected = (422, INVALID, [f"{place}.{name}" for name in missing]) if missing and asks else None
        if answered is not None:
            answered = (*answered[:2], sorted(answered[2], key=[f"{place}.{first}", f"{place}.{second}"].index))
        assert answered == expected
    assert _create(api, additionalAttributes={member: {flag: False}}) is None


NO_DATES = [
    *("1700000000", "2026", "20261123", "-1", "now", "2026-11", "2026-02-30", "2026-W48-1", "23.11.2026", "11/23/2026"),
    *("0000-01-01", "0001-13-01", "0001-01-01T", "0001-01-01garbage", "10000-01-01", "9999-12-31T23:59:59-01:00"),
    *("2026-11-23T25:00:00", "2026-11-23T10:00:00+99:00", "2026-11-23T10:00:00Z2026", " 2026-11-23"),
    "\u0662\u0660\u0662\u0666-11-23",
]


@pytest.mark.parametrize("date", NO_DATES)
def test_a_text_that_is_no_date_is_none(api: ApiClient, date: str) -> None:
    assert _create(api, announcementDate=date) == (422, INVALID, ["announcementDate"])


@pytest.mark.parametrize(
    "date", ["0001-01-01T00:00:00", "0001-01-01T00:00:00.0000000", "0001-01-01T00:00:00+14:00", "0001-01-01", "", "  "]
)
def test_the_first_day_of_the_calendar_is_no_date_and_changes_none(api: ApiClient, date: str) -> None:
    product = api.create_product(announcementDate=date)
    assert "announcementDate" not in product
    announced = api.create_product(announcementDate="2031-02-03")
    api.create_submission(announced["id"])
    path = f"{PRODUCTS}/{announced['id']}"
    assert refusal(api.http.patch(path, json={"announcementDate": date})) == (
        422, INVALID, ["productName", "marketingNames", "announcementDate"],
    )  # fmt: skip
    assert api.http.get(path).json()["announcementDate"] == "2031-02-03T00:00:00Z"


@pytest.mark.parametrize("spell", [str.upper, str.lower, str.swapcase])
def test_every_word_of_the_vocabulary_is_taken_in_any_case(api: ApiClient, spell: Any) -> None:
    """contract/api.md 10: one canonical spelling comes back."""
    for harness in TestHarness:
        assert api.create_product(testHarness=spell(harness))["testHarness"] == harness
    for kind in DeviceType:
        assert api.create_product(deviceType=spell(kind))["deviceType"] == kind
    codes = [system.code for system in OPERATING_SYSTEMS]
    assert api.create_product(requestedSignatures=[spell(code) for code in codes])["requestedSignatures"] == codes
    families = [family.code for family in OS_FAMILIES]
    for at in range(0, len(PRODUCT_TYPES), len(families)):
        types = dict(zip(families, PRODUCT_TYPES[at : at + len(families)], strict=False))
        given = {spell(family): spell(kind) for family, kind in types.items()}
        assert api.create_product(selectedProductTypes=given)["selectedProductTypes"] == types
    for guest, processor in zip(GuestOs, (*ProcessorArchitecture, ProcessorArchitecture.XEON), strict=True):
        svvp = {"guestOs": spell(guest), "processorArchitecture": spell(processor)}
        shown = api.create_product(additionalAttributes={"svvp": svvp})["additionalAttributes"]["svvp"]
        assert shown == {"guestOs": guest, "processorArchitecture": processor}


# --- Update


@pytest.fixture(scope="module")
def product(api: ApiClient) -> str:
    """The path of a product that can be changed."""
    made = api.create_product(announcementDate="2031-01-01", marketingNames=["One"], testHarness="HLK")
    api.create_submission(made["id"])
    return f"{PRODUCTS}/{made['id']}"


# Another value of the right kind for each property that stands.
OTHERS: dict[str, Any] = {
    "id": 1,
    "sharedProductId": 1,
    "links": [],
    "testHarness": "HCK",
    "requestedSignatures": ["WINDOWS_v100_X64_CO_FULL"],
    "selectedProductTypes": {"Windows_v100_GE": "LAN"},
    "deviceType": "external",
    "isTestSign": True,
    "isFlightSign": True,
    "deviceMetadataIds": ["8a4a9d6d-0f3b-4a0e-9c8a-111111111111"],
    "deviceMetadataCategory": "c",
    "firmwareVersion": "1",
    "additionalAttributes": {"svvp": {"maxMemory": 1}},
    "isCommitted": True,
    "isExtensionInf": True,
    "isRetpolineCompiled": True,
    "originType": "publisher",
    "sourceProductId": 1,
    "sourcePublisherId": 1,
    "message": "m",
    "createdDateTime": "2020-01-01T00:00:00Z",
    "updatedDateTime": "2020-01-01T00:00:00Z",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_stands_can_be_repeated_in_any_form_and_not_changed(api: ApiClient, product: str, name: str) -> None:
    before = api.http.get(product).json()
    for value in (OTHERS[name], KINDS["list"], 0.5, "none such"):
        for spelling in (name, name.upper()):
            refused = refusal(api.http.patch(product, json={"productName": "Other", spelling: value}))
            assert refused == (422, INVALID, [name]), value
    assert api.http.get(product).json() == before
    for value in (None, before.get(name)):
        unchanged = {"productName": before["productName"], name: value}
        assert api.http.patch(product, json=unchanged | {"updatedDateTime": None}).status_code == 204
    after = api.http.get(product).json()
    assert after == before | {"updatedDateTime": after["updatedDateTime"]}


def test_ids_can_be_repeated_as_text(api: ApiClient, product: str) -> None:
    """contract/api.md 11, 8: clients that keep numbers as doubles send ids as text."""
    whole = api.http.get(product).json()
    ids = {name: str(whole[name]) for name in ("id", "sharedProductId", "sourceProductId", "sourcePublisherId")}
    assert api.http.patch(product, json=whole | ids).status_code == 204


EMPTY = ["productName", "marketingNames", "announcementDate"]


@pytest.mark.parametrize(
    ("body", "targets"),
    [
        ({}, EMPTY),
        (dict.fromkeys(EMPTY), EMPTY),
        ({"isTestSign": False, "testHarness": "hlk"}, EMPTY),
        ({"productName": ""}, ["productName"]),
        ({"productName": "x" * 1001}, ["productName"]),
        ({"productName": ["n"]}, ["productName"]),
        ({"marketingNames": "One"}, ["marketingNames"]),
        ({"marketingNames": ["One", None, {}, "x" * 4001]}, ["marketingNames"] * 3),
        ({"marketingNames": ["n"] * 10_001}, ["marketingNames"]),
        ({"announcementDate": "1893456000"}, ["announcementDate"]),
        ({"announcementDate": 1893456000}, ["announcementDate"]),
        ({"announcementDate": "2020-01-01", "marketingNames": ["One", "Two"]}, ["marketingNames"]),
        ({"markettingNames": ["m"], "manualAcquisition": False}, ["markettingNames", "manualAcquisition"]),
        (
            {"productName": 1, "marketingNames": 1, "announcementDate": "x", "deviceType": "external", "x": 0},
            [*EMPTY, "deviceType", "x"],
        ),
        ({f"p{at}": 1 for at in range(201)}, ["body"]),
    ],
)
def test_a_broken_rule_of_an_update_is_named_with_every_other(
    api: ApiClient, product: str, body: dict[str, Any], targets: list[str]
) -> None:
    before = api.http.get(product).json()
    assert refusal(api.http.patch(product, json=body)) == (422, INVALID, targets)
    assert api.http.get(product).json() == before


UNAUTHORIZED = (403, "updateUnauthorized", [])


def test_what_cannot_be_changed_is_told_before_what_is_wrong(api: ApiClient, service: Served) -> None:
    """contract/api.md 7.2, updateUnauthorized a to c: no other body would do."""
    bodies: list[dict[str, Any]] = [{}, {"productName": "n"}, {"productName": ""}, {"isTestSign": True}]
    made = api.create_product()
    path = f"{PRODUCTS}/{made['id']}"
    assert [refusal(api.http.patch(path, json=body)) for body in bodies] == [UNAUTHORIZED] * 4
    submission = api.create_submission(made["id"])
    with database_of(service) as database:
        for table, key, values in (
            (submissions, submission["id"], {"current_step": "scanning", "state": "failed"}),
            (products, made["id"], {"origin_type": "publisher"}),
        ):
            with database.writing() as connection:
                connection.execute(sa.update(table).where(table.c.id == key).values(values))
            assert [refusal(api.http.patch(path, json=body)) for body in bodies] == [UNAUTHORIZED] * 4
    assert api.http.get(path).json()["productName"] == made["productName"]


# --- Pages


COLLECTIONS = ["products", "audiences", "products/{product}/submissions"]
NO_PLACES = [
    *(
        b"0|9999999999999999999",
        b"0|9223372036854775808",
        b"0|-1",
        b"-1|1",
        b"+1|1",
        b" 0|1",
        b"1_0|1",
        b"0|1|1",
        b"0|",
    ),
    *(b"|1", b"9999999999999999999|1", b"999999999999999999|1", b"0|\xd9\xa1", b"0|1\n", b"\0"),
]


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_what_is_no_page_is_refused(api: ApiClient, product: str, collection: str) -> None:
    path = f"{API}/{collection.format(product=product.rpartition('/')[2])}"
    for size in ("0", "-1", "1001", "1e2", "0x10", " 5", "5 ", "\u0665", "", "null", "9" * 5000):
        assert refusal(api.http.get(path, params={"pageSize": size})) == (422, INVALID, ["pageSize"]), size
    for place in NO_PLACES:
        token = base64.urlsafe_b64encode(place).decode()
        assert refusal(api.http.get(path, params={"continuationToken": token})) == (422, INVALID, ["continuationToken"])
    for token in ("garbage", "\u00fc", "====", "%00", "a" * 50_000):
        assert refusal(api.http.get(path, params={"continuationToken": token})) == (422, INVALID, ["continuationToken"])
    assert refusal(api.http.get(path, params={"pageSize": "x", "continuationToken": "~"}))[:2] == (422, INVALID)
    # What no collection knows is ignored (contract/api.md 9), and what is empty is absent.
    assert (
        api.http.get(path, params={"$filter": "x", "%00": "\udcff".encode("utf-8", "surrogateescape")}).status_code
        == 200
    )
    assert json.loads(api.http.get(path, params={"continuationToken": "", "PAGESIZE": "1"}).content)["links"]
