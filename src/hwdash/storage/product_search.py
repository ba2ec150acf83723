"""Which products a filter of the list finds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from hwdash.storage.compiled import Compiled
from hwdash.storage.tables import product_hardware_ids, product_signatures, products, submissions
from hwdash.vocabulary import WorkflowState


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """What the products of a list have in common; None where it does not matter."""

    name: str | None = None  # part of it, in any case
    state: WorkflowState | None = None  # of the initial submission's workflow; notStarted: before the commit too
    signature: str | None = None  # OS code
    hardware_id: str | None = None  # in any case
    created_from: datetime | None = None  # these two inclusive
    updated_from: datetime | None = None
    created_to: datetime | None = None  # these two exclusive
    updated_to: datetime | None = None


def remember_signatures(connection: sa.Connection, product_id: int, codes: Sequence[str]) -> None:
    """Note the OS codes of a new product."""
    if codes:
        parameters = {f"code_{place}": code for place, code in enumerate(codes)}
        _insert_signatures(len(codes)).later(connection, {"product": product_id, **parameters})


@cache
def _insert_signatures(count: int) -> Compiled:
    rows: list[dict[str, sa.BindParameter[Any]]] = [
        {"product_id": sa.bindparam("product"), "code": sa.bindparam(f"code_{each}")} for each in range(count)
    ]
    return Compiled(product_signatures.insert().values(rows))


def remember_hardware_ids(connection: sa.Connection, submission_id: int, hardware_ids: Iterable[str]) -> None:
    """Note the hardware ids that a finished submission's driver metadata names, beside those noted before."""
    product_id = connection.execute(
        sa.select(submissions.c.product_id).where(submissions.c.id == submission_id)
    ).scalar_one()
    table = product_hardware_ids
    known = set(connection.execute(sa.select(table.c.hardware_id).where(table.c.product_id == product_id)).scalars())
    new = {each.lower() for each in hardware_ids} - known
    if new:
        connection.execute(table.insert(), [{"product_id": product_id, "hardware_id": each} for each in sorted(new)])


def filtered(query: sa.Select[tuple[object, ...]], wanted: ProductFilter) -> sa.Select[tuple[object, ...]]:
    """A query over products, with what the filter asks for."""
    if wanted.name is not None:
        query = query.where(products.c.name_folded.contains(wanted.name.casefold(), autoescape=True))
    if wanted.signature is not None:
        named = product_signatures.c.product_id == products.c.id, product_signatures.c.code == wanted.signature
        query = query.where(sa.exists().where(*named))
    if wanted.hardware_id is not None:
        table = product_hardware_ids
        having = sa.select(table.c.product_id).where(table.c.hardware_id == wanted.hardware_id.lower())
        query = query.where(products.c.id.in_(having))
    if wanted.state is not None:
        initial = submissions.c.product_id == products.c.id, submissions.c.type == "initial"
        if wanted.state is WorkflowState.NOT_STARTED:
            query = query.where(~sa.exists().where(*initial, submissions.c.state.is_not(None)))
        else:
            query = query.where(sa.exists().where(*initial, submissions.c.state == wanted.state))
    for column, first, end in (
        (products.c.created_at, wanted.created_from, wanted.created_to),
        (products.c.updated_at, wanted.updated_from, wanted.updated_to),
    ):
        if first is not None:
            query = query.where(column >= first)
        if end is not None:
            query = query.where(column < end)
    return query
