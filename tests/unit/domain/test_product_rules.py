"""What may be changed of a product, and when (contract/api.md 4.4 and 7.2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.product import (
    CANNOT_CHANGE,
    NOTHING_GIVEN,
    ProductChange,
    ProductState,
    check_update,
    families_not_requested,
)
from hwdash.domain.submission import FIRST_STEP, LAST_STEP

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PRODUCT = ProductState(
    name="Widget",
    marketing_names=["One", "Two"],
    announcement_date=NOW + DAY,
    origin_type="author",
    initial=(LAST_STEP, "completed"),
    is_processing=False,
)
NOTHING = ProductChange(name=None, marketing_names=None, announcement_date=None)
RENAME = replace(NOTHING, name="Gadget")


def refusal(product: ProductState, change: ProductChange, findings: tuple[tuple[str, str], ...] = ()) -> DomainError:
    with pytest.raises(DomainError) as refused:
        check_update(product, change, NOW, findings)
    return refused.value


def test_name_and_marketing_names_of_a_finished_product_can_be_changed() -> None:
    check_update(PRODUCT, RENAME, NOW)
    check_update(PRODUCT, replace(NOTHING, marketing_names=["Three"]), NOW)
    check_update(PRODUCT, replace(NOTHING, marketing_names=[]), NOW)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"origin_type": "publisher"}, "received by sharing"),
        ({"origin_type": "readOnly"}, "received by sharing"),
        ({"initial": None}, "no initial submission yet"),
        ({"initial": (FIRST_STEP, "failed")}, "has failed"),
    ],
)
def test_a_product_that_cannot_be_changed_says_why(state: dict[str, object], said: str) -> None:
    refused = refusal(replace(PRODUCT, **state), replace(RENAME, others=["id"]))  # type: ignore[arg-type]  # parametrised
    assert refused.code is Code.UPDATE_UNAUTHORIZED
    assert said in refused.message


def test_the_announcement_date_is_fixed_once_ingestion_has_finished() -> None:
    later = replace(NOTHING, announcement_date=NOW + 2 * DAY)
    refused = refusal(PRODUCT, later)
    assert (refused.code, [target for target, _ in refused.targets]) == (
        Code.UPDATE_UNAUTHORIZED,
        ["announcementDate"],
    )
    check_update(PRODUCT, replace(NOTHING, announcement_date=PRODUCT.announcement_date), NOW)
    for initial in ((None, None), ("signing", "started"), (LAST_STEP, "started")):
        check_update(replace(PRODUCT, initial=initial), later, NOW)


def test_the_name_stands_still_while_a_submission_is_processed() -> None:
    busy = replace(PRODUCT, is_processing=True)
    assert refusal(busy, RENAME).targets[0][0] == "productName"
    check_update(busy, replace(NOTHING, name="Widget"), NOW)
    check_update(busy, replace(NOTHING, marketing_names=["Two"]), NOW)


def test_both_reasons_are_told_at_once() -> None:
    change = replace(RENAME, announcement_date=NOW + 2 * DAY)
    refused = refusal(replace(PRODUCT, is_processing=True), change)
    assert [target for target, _ in refused.targets] == ["announcementDate", "productName"]


def test_an_empty_update_is_refused_for_each_property() -> None:
    refused = refusal(PRODUCT, NOTHING)
    assert refused.code is Code.INVALID_INPUT
    assert refused.targets == (
        ("productName", NOTHING_GIVEN),
        ("marketingNames", NOTHING_GIVEN),
        ("announcementDate", NOTHING_GIVEN),
    )


def test_all_that_is_wrong_with_a_request_is_told_at_once() -> None:
    late = replace(PRODUCT, announcement_date=NOW - DAY)
    change = replace(NOTHING, marketing_names=["One", "New"], others=["isTestSign", "madeUp"])
    refused = refusal(late, change, (("productName", "Must not be blank."),))
    assert [target for target, _ in refused.targets] == ["productName", "isTestSign", "madeUp", "marketingNames"]
    assert refused.targets[1][1] == CANNOT_CHANGE
    assert "New" in refused.targets[3][1]


def test_the_announcement_date_of_the_same_request_counts_for_marketing_names() -> None:
    late = replace(PRODUCT, announcement_date=NOW - DAY, initial=("signing", "started"))
    check_update(late, replace(NOTHING, marketing_names=["New"], announcement_date=NOW + DAY), NOW)


@given(
    st.lists(st.text(max_size=3), max_size=5),
    st.lists(st.text(max_size=3), max_size=5),
    st.integers(-3, 3).map(DAY.__mul__),
)
def test_after_the_announcement_names_only_go(known: list[str], wanted: list[str], ahead: timedelta) -> None:
    product = replace(PRODUCT, marketing_names=known, announcement_date=NOW + ahead)
    change = replace(NOTHING, marketing_names=wanted)
    if ahead > timedelta() or set(wanted) <= set(known):
        check_update(product, change, NOW)
    else:
        assert [target for target, _ in refusal(product, change).targets] == ["marketingNames"]


def test_families_without_a_requested_signature_are_named() -> None:
    codes = ["WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_SERVER_X64_GE_FULL"]
    families = ["Windows_v100_GE", "Windows_v100Server_GE", "Windows7"]
    assert families_not_requested(families, codes) == ["Windows7"]
