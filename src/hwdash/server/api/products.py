"""Products: create, get, list (contract/api.md 4.1 to 4.3)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.server.requests import (
    HARDWARE_ROLES,
    SUBMITTERS,
    authenticate,
    authorize,
    create_key,
    identifier,
    read_body,
    write_create,
)
from hwdash.server.service import Service
from hwdash.storage.creates import CreateKey, find_created, remember_created
from hwdash.storage.products import find_product, insert_product, list_products
from hwdash.storage.submissions import initial_submission
from hwdash.wire.base import collection, link
from hwdash.wire.product import Product, ProductCreate

# Microsoft's own client never follows next_link (contract/api.md section 9).
DEFAULT_PAGE = 1000
LARGEST_PAGE = 1000


def product_routes(service: Service) -> APIRouter:
    """The routes of products."""
    routes = APIRouter()

    @routes.post("/products", status_code=201)
    async def create(request: Request) -> JSONResponse:
        identity = authenticate(service, request)
        wanted = await read_body(request, ProductCreate)
        row = await write_create(service, _create, service, identity, create_key(request, wanted), wanted)
        product = _to_wire(service, row)
        return JSONResponse(product, 201, headers={"Location": product["links"][0]["href"]})

    @routes.get("/products/{product_id}")
    async def get(request: Request, product_id: str) -> JSONResponse:
        identity = authenticate(service, request)
        return JSONResponse(await service.database.read(_get, service, identity, identifier(product_id, "product")))

    @routes.get("/products")
    async def list_all(request: Request) -> JSONResponse:
        identity = authenticate(service, request)
        size, after = _page(request)
        return JSONResponse(await service.database.read(_list, service, identity, size, after))

    return routes


def _create(
    connection: sa.Connection, service: Service, identity: tuple[str, str], key: CreateKey, wanted: ProductCreate
) -> sa.Row[Any]:
    caller = authorize(connection, identity, SUBMITTERS)
    made_before = find_created(connection, caller.client_id, key)
    if made_before is not None and (row := find_product(connection, caller.account_id, made_before)) is not None:
        return row
    attributes = wanted.to_wire()
    row = insert_product(
        connection,
        account_id=caller.account_id,
        name=wanted.product_name,
        test_harness=wanted.test_harness,
        attributes={name: value for name, value in attributes.items() if name not in ("productName", "testHarness")},
        now=service.clock(),
    )
    remember_created(connection, caller.client_id, key, row.id, service.clock())
    return row


def _get(connection: sa.Connection, service: Service, identity: tuple[str, str], product_id: int) -> dict[str, Any]:
    caller = authorize(connection, identity, HARDWARE_ROLES)
    row = find_product(connection, caller.account_id, product_id)
    if row is None:
        raise not_found("product", product_id)
    initial = initial_submission(connection, product_id)
    return _to_wire(service, row, is_extension=initial is not None and initial.is_extension_inf)


def _list(
    connection: sa.Connection,
    service: Service,
    identity: tuple[str, str],
    size: int,
    after: tuple[datetime, int] | None,
) -> dict[str, Any]:
    caller = authorize(connection, identity, HARDWARE_ROLES)
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
            "createdDateTime": row.created_at,
            "updatedDateTime": row.updated_at,
        }
    )
    return stored.to_wire()


def _page(request: Request) -> tuple[int, tuple[datetime, int] | None]:
    size, after = DEFAULT_PAGE, None
    if (asked := request.query_params.get("pageSize")) is not None:
        if not asked.isascii() or not asked.isdecimal() or not 1 <= int(asked[:6]) <= LARGEST_PAGE:
            raise DomainError(
                Code.INVALID_INPUT,
                "The page size is not one.",
                [("pageSize", f"Must be a whole number from 1 to {LARGEST_PAGE}.")],
            )
        size = int(asked)
    if token := request.query_params.get("continuationToken"):
        after = _after(token)
    return size, after


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
