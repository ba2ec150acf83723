"""Audiences: list (contract/api.md 4.16)."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hwdash.server.api.pages import DEFAULT_PAGE, PageQuery
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.audiences import audiences_of
from hwdash.wire.audience import Audience
from hwdash.wire.base import collection, link

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def list_of_audiences(connection: sa.Connection, service: Service, caller: Caller, page: PageQuery) -> dict[str, Any]:
    """GET audiences. They have no ids that follow one another: a page ends at a number of audiences."""
    url = f"{service.api_url}/audiences"
    after = page.after(service, caller, url)
    size, begin = page.page_size or DEFAULT_PAGE, after[1] if after else 0
    found = audiences_of(connection, caller.account_id)
    items = [
        Audience(
            id=each.id,
            name=each.name,
            description=each.description,
            audience_name=each.audience_name,
            links=[link(url, "self")],
        ).to_wire()
        for each in found[begin : begin + size]
    ]
    last = (_ANY_TIME, begin + size) if begin + size < len(found) else None
    return collection(items, page.links(service, caller, url, size, last))
