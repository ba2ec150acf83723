"""Queries over products."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.identifiers import new_long_id, new_product_id
from hwdash.domain.product import AUTHOR
from hwdash.storage.compiled import Compiled, made_row
from hwdash.storage.product_search import ProductFilter, filtered, remember_signatures
from hwdash.storage.tables import products, submissions

_INSERT = Compiled(products.insert())
_select_one = sa.select(products).where(
    products.c.id == sa.bindparam("product_id"), products.c.account_id == sa.bindparam("account_id")
)
_ONE = Compiled(_select_one)
_ONE_SHOWN = Compiled(
    _select_one.add_columns(submissions.c.is_extension_inf).outerjoin(
        submissions, sa.and_(submissions.c.product_id == products.c.id, submissions.c.type == "initial")
    )
)


def insert_product(
    connection: sa.Connection,
    *,
    account_id: int,
    name: str,
    test_harness: str,
    attributes: dict[str, Any],
    now: datetime,
) -> sa.Row[Any]:
    """Store a new product under a random id and return its row.

    Raises sqlalchemy.exc.IntegrityError when the id is taken, once in 10^15: do it again.
    """
    product_id = new_product_id()
    values = {
        "id": product_id,
        "account_id": account_id,
        "shared_product_id": new_long_id(),
        "name": name,
        "name_folded": name.casefold(),
        "test_harness": test_harness,
        "attributes": attributes,
        "is_committed": False,
        "origin_type": AUTHOR,
        "source_product_id": 0,
        "source_publisher_id": 0,
        "created_at": now,
        "updated_at": now,
    }
    _INSERT.later(connection, values)
    remember_signatures(connection, product_id, attributes.get("requestedSignatures", ()))
    return made_row(products, values)


def find_product(connection: sa.Connection, account_id: int, product_id: int) -> sa.Row[Any] | None:
    """The product, None when there is none in this account."""
    return _ONE.execute(connection, {"product_id": product_id, "account_id": account_id}).one_or_none()


def find_product_shown(connection: sa.Connection, account_id: int, product_id: int) -> sa.Row[Any] | None:
    """The product with ``is_extension_inf`` of its initial submission, None there when it has none."""
    return _ONE_SHOWN.execute(connection, {"product_id": product_id, "account_id": account_id}).one_or_none()


def list_products(
    connection: sa.Connection,
    account_id: int,
    *,
    limit: int,
    after: tuple[datetime, int] | None = None,
    wanted: ProductFilter | None = None,
) -> Sequence[sa.Row[Any]]:
    """The account's products that the filter finds, newest first, ``limit`` at most, from behind ``after`` =
    (created_at, id) on.
    """
    query = sa.select(products).where(products.c.account_id == account_id)
    if wanted is not None:
        query = filtered(query, wanted)
    if after is not None:
        query = query.where(sa.tuple_(products.c.created_at, products.c.id) < sa.tuple_(*after))
    return connection.execute(query.order_by(products.c.created_at.desc(), products.c.id.desc()).limit(limit)).all()


def change_product(connection: sa.Connection, product_id: int, values: Mapping[str, Any], now: datetime) -> None:
    """Change columns of a product."""
    folded = {"name_folded": values["name"].casefold()} if "name" in values else {}
    changed = {**values, **folded, "updated_at": now}
    connection.execute(products.update().where(products.c.id == product_id).values(**changed))
