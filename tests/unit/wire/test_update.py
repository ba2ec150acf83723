"""Bodies of updates: what changes, and what is only repeated."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.wire.product import Product, ProductCreate, ProductUpdate, ProductUpdateBody
from hwdash.wire.update import changed_properties, read_update

CURRENT = Product.model_validate(
    {
        "id": 13635057453741330,
        "sharedProductId": 1152921504621441000,
        "links": [{"href": "https://localhost/p", "rel": "self", "method": "GET"}],
        "productName": "Widget",
        "testHarness": "hlk",
        "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_X64_QQ_FULL"],
        "selectedProductTypes": {"Windows_v100_GE": "Keyboard"},
        "deviceType": "internal",
        "deviceMetadataIds": ["6a2a7c39-0b5c-4f3a-9a59-6a4f8f1d9d10"],
        "additionalAttributes": {"svvp": {"productVersion": "1", "maxMemory": 8}},
        "createdDateTime": "2026-11-23T12:00:00Z",
    }
).to_wire()
ASIDE = ("productName", "marketingNames", "announcementDate")


def changed(body: dict[str, Any]) -> list[str]:
    return changed_properties(body, CURRENT, (ProductCreate, Product), aside=ASIDE)


def test_the_object_as_it_was_answered_changes_nothing() -> None:
    assert changed(CURRENT) == []


@pytest.mark.parametrize(
    "same",
    [
        {"TESTHARNESS": "HLK"},
        {"id": "13635057453741330"},
        {"requestedSignatures": ["windows_v100_x64_ge_full", "WINDOWS_V100_X64_QQ_FULL"]},
        {"selectedProductTypes": {"windows_v100_ge": "keyboard"}},
        {"deviceMetadataIds": ["{6A2A7C39-0B5C-4F3A-9A59-6A4F8F1D9D10}"]},
        {"additionalAttributes": {"SVVP": {"ProductVersion": "1", "maxMemory": "8"}}},
        {"createdDateTime": "2026-11-23T13:00:00.0000000+01:00"},
        {"isTestSign": None, "markettingNames": None},
    ],
)
def test_another_spelling_of_the_same_value_changes_nothing(same: dict[str, Any]) -> None:
    assert changed(same) == []


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"testharness": "attestation"}, "testHarness"),
        ({"testHarness": "none of them"}, "testHarness"),
        ({"id": 5}, "id"),
        ({"links": []}, "links"),
        ({"isTestSign": True}, "isTestSign"),
        ({"additionalAttributes": {}}, "additionalAttributes"),
        ({"markettingNames": []}, "markettingNames"),
        ({"requestedSignatures": "x"}, "requestedSignatures"),
    ],
)
def test_another_value_is_named_as_the_wire_spells_it(other: dict[str, Any], name: str) -> None:
    assert changed(other) == [name]


def test_what_is_sound_is_read_beside_what_is_not() -> None:
    wanted, problem = read_update(ProductUpdate, {"productName": " ", "MarketingNames": ["x"], "announcementDate": ""})
    assert (wanted.product_name, wanted.marketing_names, wanted.announcement_date) == (None, ["x"], None)
    assert problem is not None
    assert [each["loc"] for each in problem.errors()] == [("productName",)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=10), inside, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*CURRENT, "MarketingNames", "unknown"]) | st.text(max_size=10), JSON, max_size=6)
)
def test_no_body_is_too_strange_to_be_told_what_is_wrong(body: dict[str, Any]) -> None:
    members = ProductUpdateBody.model_validate(body).members
    assert members == body
    read_update(ProductUpdate, members)
    assert set(changed(members)) <= {*CURRENT, *Product.model_json_schema()["properties"], *body}
