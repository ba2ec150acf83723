"""updateGeneration: what machines download is there. Offers are made from the signed package as it is."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.pipeline.label_work import Failed, LabelStepResult, Moved
from hwdash.storage.submissions import list_downloads
from hwdash.vocabulary import DownloadType


def run(connection: sa.Connection, label: sa.Row[Any], _now: datetime) -> LabelStepResult:
    """Look for the signed package."""
    if any(each.type == DownloadType.SIGNED_PACKAGE for each in list_downloads(connection, label.submission_id)):
        return Moved()
    return Failed(
        [
            f"ERROR label.no-package: submission {label.submission_id} has no signed package that machines could "
            "download. Submit the driver anew."
        ]
    )
