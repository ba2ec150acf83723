"""Products: create, get, list (contract/api.md 4.1 to 4.3)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BeforeValidator

from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.products import find_product, insert_product, list_products
from hwdash.storage.submissions import initial_submission
from hwdash.wire.base import WireModel, collection, link
from hwdash.wire.product import Product, ProductCreate

# Microsoft's own client never follows next_link (contract/api.md section 9).
DEFAULT_PAGE = 1000
LARGEST_PAGE = 1000


def _page_size(value: object) -> int:
    text = str(value)[:6]
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= LARGEST_PAGE):
        raise ValueError(f"Must be a whole number from 1 to {LARGEST_PAGE}.")
    return int(text)


class PageQuery(WireModel):
    """Which part of a collection: at most ``pageSize`` objects, behind the place that ``continuationToken`` names."""

    page_size: Annotated[int, BeforeValidator(_page_size)] = DEFAULT_PAGE
    continuation_token: str | None = None


def create_product(
    connection: sa.Connection, service: Service, caller: Caller, wanted: ProductCreate
) -> dict[str, Any]:
    """POST products."""
    attributes = wanted.to_wire()
    row = insert_product(
        connection,
        account_id=caller.account_id,
        name=wanted.product_name,
        test_harness=wanted.test_harness,
        attributes={name: value for name, value in attributes.items() if name not in ("productName", "testHarness")},
        now=service.clock(),
    )
    return _to_wire(service, row)


def get_product(connection: sa.Connection, service: Service, caller: Caller, product_id: int) -> dict[str, Any]:
    """GET products/{product_id}."""
    row = find_product(connection, caller.account_id, product_id)
    if row is None:
        raise not_found("product", product_id)
    initial = initial_submission(connection, product_id)
    return _to_wire(service, row, is_extension=initial is not None and initial.is_extension_inf)


def list_of_products(connection: sa.Connection, service: Service, caller: Caller, page: PageQuery) -> dict[str, Any]:
    """GET products."""
    size = page.page_size
    after = _after(page.continuation_token) if page.continuation_token else None
    rows = list_products(connection, caller.account_id, limit=size + 1, after=after)
    url = f"{service.api_url}/products"
    links = [link(url, "self")]
    if len(rows) > size:
        last = rows[size - 1]
        links.append(
            link(f"{url}?pageSize={size}&continuationToken={_continuation(last.created_at, last.id)}", "next_link")
        )
    return collection([_to_wire(service, row) for row in rows[:size]], links)


def _to_wire(service: Service, row: sa.Row[Any], *, is_extension: bool = False) -> dict[str, Any]:
    url = f"{service.api_url}/products/{row.id}"
    stored = Product.model_validate(
        row.attributes
        | {
            "id": row.id,
            "sharedProductId": row.shared_product_id,
            "links": [link(url, "self"), link(f"{url}/submissions", "get_submissions")],
            "productName": row.name,
            "testHarness": row.test_harness,
            "isCommitted": row.is_committed,
            "isExtensionInf": is_extension,
            "originType": row.origin_type,
            "sourceProductId": row.source_product_id,
            "sourcePublisherId": row.source_publisher_id,
            "createdDateTime": row.created_at,
            "updatedDateTime": row.updated_at,
        }
    )
    return stored.to_wire()


def _after(token: str) -> tuple[datetime, int]:
    """Where a continuation token goes on: behind this (created, id)."""
    try:
        when, _, last = base64.urlsafe_b64decode(token.encode()).decode().partition("|")
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(when[:20])), int(last[:18])
    except (ValueError, OverflowError) as error:
        raise DomainError(
            Code.INVALID_INPUT,
            "The continuation token is not one of this service.",
            [("continuationToken", "Follow next_link as it was given.")],
        ) from error


def _continuation(when: datetime, last: int) -> str:
    microseconds = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{microseconds}|{last}".encode()).decode().replace("=", "%3D")
