"""The statement of provenance of a signed package: an addition of ours, which no client of Microsoft's asks for."""

import sqlalchemy as sa

from hwdash.domain.errors import not_found
from hwdash.drivers.dsse import MEDIA_TYPE
from hwdash.pipeline.provenance import PROVENANCE
from hwdash.server.api.submissions import own_submission
from hwdash.server.route import Caller, FileAnswer
from hwdash.server.service import Service
from hwdash.storage.submissions import list_downloads

_HEADERS = {"X-Content-Type-Options": "nosniff"}


def get_provenance(
    connection: sa.Connection, _service: Service, caller: Caller, product_id: int, submission_id: int
) -> FileAnswer:
    """GET provenance: the DSSE envelope (docs/reference/provenance.md)."""
    own_submission(connection, caller, product_id, submission_id)
    for file in list_downloads(connection, submission_id):
        if file.type == PROVENANCE:
            return FileAnswer(file.blob, MEDIA_TYPE, _HEADERS)
    raise not_found("provenance of submission", submission_id)
