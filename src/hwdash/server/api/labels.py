"""Shipping labels (contract/api.md 4.11 to 4.15).

This release has no labels. Its routes check what they always will, and then say so.
"""

from typing import Any, NoReturn

import sqlalchemy as sa

from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.server.api.submissions import own_submission
from hwdash.server.route import Caller
from hwdash.server.service import Service
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
