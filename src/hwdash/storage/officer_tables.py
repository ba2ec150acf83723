"""The tables of dual control: approvals that wait for others, changes that wait for a second person, broken glass.

What officers say stands here as they signed it. The rows decide nothing by themselves: the signer, and the command that
runs a change, check the signatures against the officers in the key folder.
"""

import sqlalchemy as sa

from hwdash.storage.tables import UtcDateTime, metadata

release_approvals = sa.Table(
    "release_approvals",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), primary_key=True),
    sa.Column("officer", sa.String(100), primary_key=True),
    sa.Column("word", sa.Text, nullable=False),  # signing/release.py
    sa.Column("approved_at", UtcDateTime, nullable=False),
)
