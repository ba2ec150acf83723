"""Requests and answers of the SDK without a service."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.sdk import requests
from hwdash.sdk.errors import SdkError


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (requests.update_product(5, {"productName": "n"}), "PATCH", "products/5", {"productName": "n"}),
        (requests.update_submission(5, 6, "n"), "PATCH", "products/5/submissions/6", {"name": "n"}),
        (requests.list_audiences(), "GET", "audiences", None),
        (requests.document("products/5"), "GET", "products/5", None),
    ],
)
def test_a_request_is_built_as_documented(call: requests.Call[Any], method: str, path: str, body: Any) -> None:
    assert (call.method, call.path, call.body) == (method, f"/v2.0/my/hardware/{path}", body)
    assert call.repeatable


def test_a_link_is_followed_as_it_is() -> None:
    link = "https://localhost/v2.0/my/hardware/products?pageSize=1&continuationToken=a%3D"
    assert requests.document(link).path == link


@given(st.lists(st.lists(st.integers(), max_size=3), min_size=1, max_size=4))
def test_joined_pages_hold_every_item_once_in_order_and_no_next_link(items: list[list[int]]) -> None:
    own = {"href": "https://localhost/p", "rel": "self", "method": "GET"}
    following = {"href": "https://localhost/p?2", "rel": "next_link", "method": "GET"}
    pages = [{"value": each, "links": [own, following]} for each in items[:-1]]
    pages.append({"value": items[-1], "links": [own]})
    assert [requests.next_page(page) for page in pages] == ["https://localhost/p?2"] * (len(items) - 1) + [None]
    assert requests.joined(pages) == {"value": [each for page in items for each in page], "links": [own]}


@pytest.mark.parametrize("answer", [None, [], {}, {"value": {}}, {"value": None}])
def test_what_is_no_collection_is_refused(answer: Any) -> None:
    with pytest.raises(SdkError):
        requests.list_audiences().read(answer)


def test_links_may_be_absent() -> None:
    assert requests.next_page({"value": []}) is None
    assert requests.joined([{"value": [1], "links": None}]) == {"value": [1], "links": []}


LABEL = {"name": "n", "destination": "windowsUpdate"}


@pytest.mark.parametrize(
    ("call", "method", "path", "body", "repeatable"),
    [
        (requests.create_label(5, 6, LABEL), "POST", "products/5/submissions/6/shippingLabels", LABEL, False),
        (requests.get_label(5, 6, 7), "GET", "products/5/submissions/6/shippingLabels/7", None, True),
        (
            requests.get_label(5, 6, 7, targeting=True),
            *("GET", "products/5/submissions/6/shippingLabels/7?includeTargetingInfo=true", None, True),
        ),
        (requests.list_labels(5, 6), "GET", "products/5/submissions/6/shippingLabels", None, True),
        (
            requests.update_label(5, 6, 7, {"chids": []}),
            *("PATCH", "products/5/submissions/6/shippingLabels/7", {"targeting": {"chids": []}}, False),
        ),
        (requests.cancel_label(5, 6, 7), "PUT", "products/5/submissions/6/shippingLabels/7/cancel", None, True),
        (
            requests.create_publisher_metadata(5, 6),
            *("POST", "products/5/submissions/6/createpublishermetadata", {}, True),
        ),
        (
            requests.look_up(4, 5, 6),
            "GET",
            "products/relationships/sourcepubliherid/4/sourceproductid/5/sourcesubmissionid/6",
            *(None, True),
        ),
    ],
)
def test_a_request_about_labels_is_built_as_documented(
    call: requests.Call[Any], method: str, path: str, body: Any, repeatable: bool
) -> None:
    assert (call.method, call.path, call.body) == (method, f"/v2.0/my/hardware/{path}", body)
    assert call.repeatable is repeatable
