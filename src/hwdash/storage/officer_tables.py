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

pending_changes = sa.Table(
    "pending_changes",
    metadata,
    sa.Column("id", sa.String(8), primary_key=True),  # random hex
    # As a person reads it; what runs is in the word (signing/pending.py).
    sa.Column("command", sa.String(200), nullable=False),
    sa.Column("word", sa.Text, nullable=False),
    sa.Column("asked_by", sa.String(100), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    # "waiting", "confirmed" or "refused"; who said so, and the word of it.
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("decided_by", sa.String(100)),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("decision", sa.Text),
)

broken_glass = sa.Table(
    "broken_glass",
    metadata,
    sa.Column("id", sa.String(8), primary_key=True),  # random hex
    # What was done alone: "release of submission 1426808380159559000", or the command.
    sa.Column("act", sa.String(200), nullable=False),
    sa.Column("broken_by", sa.String(100), nullable=False),
    sa.Column("broken_at", UtcDateTime, nullable=False),
    sa.Column("reason", sa.String(2000), nullable=False),
    sa.Column("word", sa.Text, nullable=False),  # signing/broken_glass.py, signing/release.py
    # The officer who has seen it, and the word of it; null: nobody yet.
    sa.Column("acknowledged_by", sa.String(100)),
    sa.Column("acknowledged_at", UtcDateTime),
    sa.Column("acknowledgement", sa.Text),
)
