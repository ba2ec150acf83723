"""May a label's account target what the label targets (contract/api.md 7.4 rule 15, contract/dashboard.md 100)?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hwdash.domain.ownership import IdKind
from hwdash.pipeline.named_ids import OfIds
from hwdash.storage.label_tables import label_chids, label_hardware_ids
from hwdash.storage.ownership import Approved, account_names, owners_of, owners_of_hardware_ids
from hwdash.storage.tables import products
from hwdash.vocabulary import DistributionState, LabelDestination


@dataclass(frozen=True, slots=True)
class ForeignIds(OfIds):
    """Ids of one company that a label may not target."""

    company: str
    seller_id: int
    ids: Sequence[str]

    def told(self, ids: str) -> str:
        """The message with these ids in it."""
        return (
            f"ERROR label.ownership: {self.company} (seller {self.seller_id}) owns {ids}, and has no approved "
            f"relationship with this account for {'it' if len(self.ids) == 1 else 'them'}. Ask {self.company} to "
            "request one of the operator, then try again, or remove what is not yours."
        )


def ownership_findings(connection: sa.Connection, label: sa.Row[Any]) -> list[ForeignIds]:
    """What the label's run would add of other companies' ids without an approved relationship, those with the first
    names first.

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
    found = [ForeignIds(names[owner], owner, ids) for owner, ids in foreign.items()]
    return sorted(found, key=lambda each: (each.company.casefold(), each.seller_id))


def owners_by_id(connection: sa.Connection, ids: Collection[str]) -> dict[str, str]:
    """The company that owns each of these hardware ids and CHIDs, and its seller id; without those that nobody owns."""
    owners = owners_of_hardware_ids(connection, ids) | owners_of(connection, IdKind.CHID, ids)
    names = account_names(connection, owners.values())
    return {each: f"{names[owner]} (seller {owner})" for each, owner in owners.items()}


def _author(connection: sa.Connection, label: sa.Row[Any]) -> int:
    """The account that shared the driver with the label's; 0 when nobody did."""
    query = sa.select(products.c.source_publisher_id).where(products.c.id == label.product_id)
    return int(connection.execute(query).scalar_one())
