"""May a label's account target what the label targets (contract/api.md 7.4 rule 15, contract/dashboard.md 100)?"""

from typing import Any

import sqlalchemy as sa

from hwdash.domain.ownership import IdKind
from hwdash.drivers.package import listing
from hwdash.storage.label_tables import label_chids, label_hardware_ids
from hwdash.storage.ownership import Approved, account_names, owners_of, owners_of_hardware_ids
from hwdash.storage.tables import products
from hwdash.vocabulary import DistributionState, LabelDestination


def ownership_findings(connection: sa.Connection, label: sa.Row[Any]) -> list[str]:
    """What the label's run would add of other companies' ids without an approved relationship: a message for each
    company, those with the first names first.

    Of a label that shares nothing: the receiver's own labels are checked. That the author shares its driver is its word
    that the receiver may target its hardware ids in it.
    """
    if label.destination != LabelDestination.WINDOWS_UPDATE:
        return []
    approved = Approved(connection, label.account_id)
    author = _author(connection, label)
    hardware_ids = connection.execute(
        sa.select(label_hardware_ids.c.hardware_id)
        .where(label_hardware_ids.c.label_id == label.id, label_hardware_ids.c.state == DistributionState.PENDING_ADD)
        .distinct()
    ).scalars()
    chids = connection.execute(
        sa.select(label_chids.c.chid).where(
            label_chids.c.label_id == label.id, label_chids.c.state == DistributionState.PENDING_ADD
        )
    ).scalars()
    foreign: dict[int, list[str]] = {}
    for each, owner in sorted(owners_of_hardware_ids(connection, hardware_ids).items()):
        if owner not in (label.account_id, author) and not approved.allows_hardware_id(owner, each):
            foreign.setdefault(owner, []).append(each)
    for each, owner in sorted(owners_of(connection, IdKind.CHID, chids).items()):
        if owner != label.account_id and not approved.allows_chid(owner, each):
            foreign.setdefault(owner, []).append(each)
    names = account_names(connection, foreign)
    return [
        f"{names[owner]} (seller {owner}) owns {listing(ids)}, and has no approved relationship with this account for "
        f"{'it' if len(ids) == 1 else 'them'}. Ask {names[owner]} to request one of the operator, then try again, or "
        "remove what is not yours."
        for owner, ids in sorted(foreign.items(), key=lambda each: (names[each[0]].casefold(), each[0]))
    ]


def _author(connection: sa.Connection, label: sa.Row[Any]) -> int:
    """The account that shared the driver with the label's; 0 when nobody did."""
    query = sa.select(products.c.source_publisher_id).where(products.c.id == label.product_id)
    return int(connection.execute(query).scalar_one())
