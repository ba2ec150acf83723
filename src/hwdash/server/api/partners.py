"""Of drivers that were shared: publisher metadata and the look-up of ids (contract/api.md 4.10 and 4.22)."""

from typing import Any

import sqlalchemy as sa

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.product import READ_ONLY
from hwdash.pipeline.driver_metadata import publish_driver_metadata
from hwdash.server.api.products import product_types
from hwdash.server.api.submissions import get_submission, own_submission
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.driver_rows import write_missing_driver_rows
from hwdash.storage.shares import find_copy
from hwdash.storage.submissions import list_downloads
from hwdash.vocabulary import SYSTEM_PRODUCT_TYPES, DownloadType, WorkflowState


def create_publisher_metadata(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, submission_id: int
) -> None:
    """POST createpublishermetadata: of a submission received by sharing, or of an own one that has none yet."""
    row, product = own_submission(connection, caller, product_id, submission_id)
    if product.origin_type == READ_ONLY:
        raise DomainError(
            Code.READ_ONLY_PRODUCT,
            "The product is read only: it has the driver metadata of its author among its downloads already.",
        )
    if not SYSTEM_PRODUCT_TYPES.isdisjoint(product_types(product)):
        raise DomainError(
            Code.REQUEST_INVALID_FOR_CURRENT_STATE,
            "The submission is one of a whole system, which has no driver metadata: it can only be shared.",
        )
    if row.state != WorkflowState.COMPLETED:
        raise DomainError(
            Code.REQUEST_INVALID_FOR_CURRENT_STATE,
            "The submission's workflow makes the driver metadata, and has not yet. Wait until it has completed.",
        )
    if row.source_submission_id is None:
        write_missing_driver_rows(connection, submission_id)
    if any(file.type == DownloadType.DRIVER_METADATA for file in list_downloads(connection, submission_id)):
        return
    if not publish_driver_metadata(connection, service.blobs, row):
        raise DomainError(
            Code.REQUEST_INVALID_FOR_CURRENT_STATE,
            "Nothing is known of what the package holds: it was not processed by this service.",
        )


def look_up(
    connection: sa.Connection, service: Service, caller: Caller, seller_id: int, product_id: int, submission_id: int
) -> dict[str, Any]:
    """GET relationships: the caller's own ids for what another account shared with it; its own ids are their own."""
    if seller_id == caller.account_id:
        return get_submission(connection, service, caller, product_id, submission_id)
    found = find_copy(
        connection, caller.account_id, seller_id=seller_id, product_id=product_id, submission_id=submission_id
    )
    if found is None:
        raise DomainError(
            Code.ENTITY_NOT_FOUND,
            f"The account {seller_id} shares no submission {submission_id} of a product {product_id} with this one.",
        )
    return get_submission(connection, service, caller, found.product_id, found.id)
