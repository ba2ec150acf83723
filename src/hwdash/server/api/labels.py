"""Shipping labels, publisher metadata and the partner look-up (contract/api.md 4.10 to 4.15 and 4.22).

This release has no labels and shares nothing between accounts. Its routes check what they always will, and then say so.
"""

from typing import Any, NoReturn

import sqlalchemy as sa

from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.server.api.submissions import get_submission, own_submission
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.submissions import list_downloads
from hwdash.vocabulary import DownloadType
from hwdash.wire.base import WireModel, collection, link


class LabelBody(WireModel):
    """The body of a request about a label. None of it is read yet."""


def list_of_labels(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, submission_id: int
) -> dict[str, Any]:
    """GET shippingLabels: there are none."""
    own_submission(connection, caller, product_id, submission_id)
    url = f"{service.api_url}/products/{product_id}/submissions/{submission_id}/shippingLabels"
    return collection([], [link(url, "self")])


def create_label(
    connection: sa.Connection,
    _service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    _wanted: LabelBody,
) -> NoReturn:
    """POST shippingLabels."""
    own_submission(connection, caller, product_id, submission_id)
    raise DomainError(
        Code.REQUEST_INVALID_FOR_CURRENT_STATE,
        "This release does not serve shipping labels yet. Download the signed package and distribute it yourself.",
    )


def no_label(
    connection: sa.Connection,
    _service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    label_id: int,
    *_wanted: LabelBody,
) -> NoReturn:
    """Whatever is asked of one label: none exists, as this release does not serve them yet."""
    own_submission(connection, caller, product_id, submission_id)
    raise not_found("shipping label", label_id)


def create_publisher_metadata(
    connection: sa.Connection, _service: Service, caller: Caller, product_id: int, submission_id: int
) -> None:
    """POST createpublishermetadata: nothing to do where the workflow has made the metadata already."""
    own_submission(connection, caller, product_id, submission_id)
    if any(file.type == DownloadType.DRIVER_METADATA for file in list_downloads(connection, submission_id)):
        return
    raise DomainError(
        Code.REQUEST_INVALID_FOR_CURRENT_STATE,
        "The submission's workflow makes the driver metadata, and has not yet. This release does not serve shipping "
        "labels yet, so no submission is received from another account.",
    )


def look_up(
    connection: sa.Connection, service: Service, caller: Caller, seller_id: int, product_id: int, submission_id: int
) -> dict[str, Any]:
    """GET relationships: the caller's own ids are their own translation; nothing is shared by others yet."""
    if seller_id == caller.account_id:
        return get_submission(connection, service, caller, product_id, submission_id)
    raise DomainError(
        Code.ENTITY_NOT_FOUND,
        f"The account {seller_id} shares no submission {submission_id} with this one: this release does not serve "
        "shipping labels yet.",
    )
