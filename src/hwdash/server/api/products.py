"""Products: create, get, list, update (contract/api.md 4.1 to 4.4)."""

from collections.abc import Collection
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BeforeValidator

from hwdash.domain.access import check_submits
from hwdash.domain.errors import not_found
from hwdash.domain.product import CHANGEABLE, ProductChange, ProductState, check_update, families_not_requested
from hwdash.drivers.package_contents import check_signatures
from hwdash.pipeline.work import kind_of
from hwdash.server.api.pages import DEFAULT_PAGE, PageQuery
from hwdash.server.errors import invalid_input
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.product_search import ProductFilter
from hwdash.storage.products import change_product, find_product, find_product_shown, insert_product, list_products
from hwdash.storage.submissions import initial_submission, is_processing, products_of_extensions
from hwdash.vocabulary import WorkflowState
from hwdash.wire.base import FreeText, WireDate, collection, link_document, one_of, rfc3339
from hwdash.wire.product import OsCode, Product, ProductCreate, ProductUpdate, ProductUpdateBody
from hwdash.wire.update import changed_properties, read_update


class ProductQuery(PageQuery):
    """Filters of the list, an addition of this service's: a product is listed when it has all that is asked for."""

    product_name: FreeText | None = None
    state: Annotated[WorkflowState | None, BeforeValidator(one_of(WorkflowState))] = None
    requested_signature: OsCode | None = None
    hardware_id: FreeText | None = None
    created_from: WireDate = None
    created_to: WireDate = None
    updated_from: WireDate = None
    updated_to: WireDate = None

    def filter(self) -> ProductFilter:
        """The filter."""
        return ProductFilter(
            name=self.product_name,
            state=self.state,
            signature=self.requested_signature,
            hardware_id=self.hardware_id,
            created_from=self.created_from,
            created_to=self.created_to,
            updated_from=self.updated_from,
            updated_to=self.updated_to,
        )


def create_product(
    connection: sa.Connection, service: Service, caller: Caller, wanted: ProductCreate
) -> dict[str, Any]:
    """POST products."""
    check_submits(caller.roles, wanted.selected_product_types.values())
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
    row = find_product_shown(connection, caller.account_id, product_id)
    if row is None:
        raise not_found("product", product_id)
    return _to_wire(service, row, is_extension=bool(row.is_extension_inf))


def list_of_products(connection: sa.Connection, service: Service, caller: Caller, page: ProductQuery) -> dict[str, Any]:
    """GET products."""
    size = page.page_size or DEFAULT_PAGE
    url = f"{service.api_url}/products"
    after = page.after(service, caller, url)
    rows = list_products(connection, caller.account_id, limit=size + 1, after=after, wanted=page.filter())
    shown = rows[:size]
    extensions = products_of_extensions(connection, [row.id for row in shown])
    last = (shown[-1].created_at, shown[-1].id) if len(rows) > size else None
    return collection(
        [_to_wire(service, row, is_extension=row.id in extensions) for row in shown],
        page.links(service, caller, url, size, last),
    )


def update_product(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, body: ProductUpdateBody
) -> None:
    """PATCH products/{product_id}."""
    row = find_product(connection, caller.account_id, product_id)
    if row is None:
        raise not_found("product", product_id)
    check_submits(caller.roles, product_types(row))
    initial = initial_submission(connection, product_id)
    current = _to_wire(service, row, is_extension=initial is not None and initial.is_extension_inf)
    stored = Product.model_validate(current)
    wanted, problem = read_update(ProductUpdate, body.members)
    change = ProductChange(
        name=wanted.product_name,
        marketing_names=wanted.marketing_names,
        announcement_date=wanted.announcement_date,
        others=changed_properties(body.members, current, (ProductCreate, Product), aside=CHANGEABLE),
    )
    state = ProductState(
        name=row.name,
        marketing_names=stored.marketing_names,
        announcement_date=stored.announcement_date,
        origin_type=row.origin_type,
        initial=None if initial is None else (initial.current_step, initial.state),
        is_processing=is_processing(connection, product_id),
    )
    check_update(state, change, service.clock(), invalid_input(problem).targets if problem else ())
    given = wanted.to_wire()
    changed = {name: given[name] for name in ("marketingNames", "announcementDate") if name in given}
    change_product(
        connection,
        product_id,
        {"name": change.name or row.name, "attributes": row.attributes | changed},
        service.clock(),
    )


def product_types(row: sa.Row[Any]) -> Collection[str]:
    """The product types of a product's row."""
    types: dict[str, str] = row.attributes.get("selectedProductTypes", {})
    return types.values()


def _advice(row: sa.Row[Any]) -> str:
    """What will become of the product as it is: it was accepted, and a package of it will be refused later."""
    codes = row.attributes["requestedSignatures"]
    kind = kind_of(row.test_harness, is_test_sign=bool(row.attributes.get("isTestSign")))
    found = [f"{each.message} {each.remedy}" for each in check_signatures(codes, kind)]
    families = families_not_requested(list(row.attributes.get("selectedProductTypes", {})), codes)
    if families:
        found.append(f"selectedProductTypes names {', '.join(families)}, of which no signature is requested.")
    return " ".join(found)


def _to_wire(service: Service, row: sa.Row[Any], *, is_extension: bool = False) -> dict[str, Any]:
    """wire/product.py's Product of a row, written out: the row holds what that model made, and is not checked again."""
    url = f"{service.api_url}/products/{row.id}"
    return {
        "id": row.id,
        "sharedProductId": row.shared_product_id,
        "links": [link_document(url, "self"), link_document(f"{url}/submissions", "get_submissions")],
        "productName": row.name,
        "testHarness": row.test_harness,
        **row.attributes,
        "isCommitted": row.is_committed,
        "isExtensionInf": is_extension,
        "isRetpolineCompiled": False,
        "originType": row.origin_type,
        "sourceProductId": row.source_product_id,
        "sourcePublisherId": row.source_publisher_id,
        "message": _advice(row),
        "createdDateTime": rfc3339(row.created_at),
        "updatedDateTime": rfc3339(row.updated_at),
    }
