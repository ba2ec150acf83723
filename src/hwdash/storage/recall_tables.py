"""The tables of recalls: what was taken back, by whom and why, and by which digests machines know it.

As in tables.py the row is the truth. A recalled submission has ``recalled_at`` besides (tables.py).
"""

import sqlalchemy as sa

from hwdash.storage.tables import UtcDateTime, metadata

# One for an author's submission, whoever received it by sharing.
recalls = sa.Table(
    "recalls",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), primary_key=True),
    sa.Column("reason", sa.String(2000), nullable=False),
    sa.Column("recalled_by", sa.String(200), nullable=False),
    sa.Column("recalled_at", UtcDateTime, nullable=False),
    # {"fileName", "upTo"} each: files that a policy is to deny by name, up to this version.
    sa.Column("denied_names", sa.JSON(), nullable=False),
    # The labels that were ended.
    sa.Column("label_ids", sa.JSON(), nullable=False),
    # Why the digests of the package's files are not known; null: they are, or have yet to be made.
    sa.Column("problem", sa.String(2000)),
    sa.Column("is_measured", sa.Boolean, nullable=False, server_default=sa.false()),
)

recalled_files = sa.Table(
    "recalled_files",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("recalls.submission_id"), primary_key=True),
    sa.Column("path", sa.String(400), primary_key=True),  # in the signed package
    sa.Column("kind", sa.String(20), nullable=False),  # "pe" or "catalog"
    # Hex, lower case. Of the file as it was handed out, and without its signature: of a PE file as Authenticode has
    # it, of a catalog the digest of its list.
    sa.Column("sha1", sa.String(40), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("authenticode_sha1", sa.String(40), nullable=False),
    sa.Column("authenticode_sha256", sa.String(64), nullable=False),
)

# What no URL opens any more, whenever it was made.
recalled_blobs = sa.Table(
    "recalled_blobs",
    metadata,
    sa.Column("blob", sa.String(64), primary_key=True),
    sa.Column("submission_id", sa.ForeignKey("recalls.submission_id"), nullable=False),
)
