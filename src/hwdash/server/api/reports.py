"""The public link to a certification report (contract/api.md section 2, row 23)."""

import sqlalchemy as sa

from hwdash.domain.errors import not_found
from hwdash.pipeline.report import STYLE
from hwdash.server.answer_headers import page_headers
from hwdash.server.route import FileAnswer
from hwdash.server.service import Service
from hwdash.storage.submissions import find_submission, list_downloads
from hwdash.vocabulary import DownloadType, WorkflowState

REPORT_PATH = "/dashboard/hardware/Driver/DownloadCertificationReport"
_HEADERS = page_headers(STYLE)


def get_report(
    connection: sa.Connection, _service: Service, seller_id: int, product_id: int, submission_id: int
) -> FileAnswer:
    """GET DownloadCertificationReport: HTML, for whoever has the link."""
    row = find_submission(connection, seller_id, product_id, submission_id)
    if row is not None and row.state == WorkflowState.COMPLETED:
        for file in list_downloads(connection, submission_id):
            if file.type == DownloadType.CERTIFICATION_REPORT:
                return FileAnswer(file.blob, "text/html; charset=utf-8", _HEADERS)
    raise not_found("certification report of submission", submission_id)
