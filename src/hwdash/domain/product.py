"""What may be changed of a product, and when (contract/api.md 4.4 and 7.2).

- ``productName``, ``marketingNames`` and ``announcementDate`` can be changed; a request changes at least one.
- Any other property may be repeated as it is, and not changed.
- No marketing name can be added once the announcement date has passed.
- A product that was received by sharing is its author's to change.
- Nothing changes before there is an initial submission, and nothing once that has failed.
- The announcement date is fixed when ingestion has finished.
- The name stands still while a workflow of the product runs: reports are written with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.submission import CANNOT_CHANGE, LAST_STEP, NOTHING_GIVEN
from hwdash.vocabulary import WorkflowState, operating_system

AUTHOR = "author"
PUBLISHER = "publisher"
READ_ONLY = "readOnly"

CHANGEABLE = ("productName", "marketingNames", "announcementDate")

Findings = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ProductState:
    """What the rules look at. ``initial`` is (currentStep, state) of the initial submission, if there is one."""

    name: str
    marketing_names: Sequence[str]
    announcement_date: datetime | None
    origin_type: str
    initial: tuple[str | None, str | None] | None
    is_processing: bool
    """A workflow of one of the product's submissions runs."""


@dataclass(frozen=True, slots=True)
class ProductChange:
    """What a request gives; None is not given. ``others`` are the properties that it would change besides."""

    name: str | None
    marketing_names: Sequence[str] | None
    announcement_date: datetime | None
    others: Sequence[str] = ()


def check_update(product: ProductState, change: ProductChange, now: datetime, findings: Findings = ()) -> None:
    """May the product be changed so? ``findings`` are what else is wrong with the request: all are told at once."""
    _check_updatable(product)
    found = [*findings, *((name, CANNOT_CHANGE) for name in change.others), *_marketing_findings(product, change, now)]
    given = (change.name, change.marketing_names, change.announcement_date)
    if all(each is None for each in given) and not found:
        found = [(name, NOTHING_GIVEN) for name in CHANGEABLE]
    if found:
        raise DomainError(Code.INVALID_INPUT, "The product cannot be changed so; validationErrors lists why.", found)
    late = list(_too_late(product, change))
    if late:
        raise DomainError(Code.UPDATE_UNAUTHORIZED, " ".join(message for _, message in late), late)


def _check_updatable(product: ProductState) -> None:
    if product.origin_type != AUTHOR:
        raise DomainError(
            Code.UPDATE_UNAUTHORIZED,
            "The product was received by sharing: only the account that shared it can change it.",
        )
    if product.initial is None:
        raise DomainError(
            Code.UPDATE_UNAUTHORIZED, "The product has no initial submission yet; create that, then change the product."
        )
    if product.initial[1] == WorkflowState.FAILED:
        raise DomainError(
            Code.UPDATE_UNAUTHORIZED,
            "The workflow of the product has failed: it cannot be changed any more. Create a new product.",
        )


def _marketing_findings(product: ProductState, change: ProductChange, now: datetime) -> Findings:
    announced = change.announcement_date or product.announcement_date
    added = [name for name in change.marketing_names or () if name not in product.marketing_names]
    if not added or announced is None or announced > now:
        return []
    return [
        (
            "marketingNames",
            f"No name can be added once the announcement date, {announced:%Y-%m-%d}, has passed: "
            f"{', '.join(added[:5])}{' and more' if len(added) > 5 else ''}.",
        )
    ]


def _too_late(product: ProductState, change: ProductChange) -> Findings:
    found = []
    if (
        change.announcement_date is not None
        and change.announcement_date != product.announcement_date
        and product.initial == (LAST_STEP, WorkflowState.COMPLETED)
    ):
        found.append(("announcementDate", "The announcement date cannot be changed once ingestion has finished."))
    if change.name is not None and change.name != product.name and product.is_processing:
        found.append(
            ("productName", "The name cannot be changed while a submission is being processed. Try again later.")
        )
    return found


def families_not_requested(families: Sequence[str], codes: Sequence[str]) -> list[str]:
    """The keys of ``selectedProductTypes`` to which none of the requested OS codes belongs: worth a word, no more."""
    requested = {known.family for code in codes if (known := operating_system(code, accept_new=True)) is not None}
    return [family for family in families if family not in requested]
