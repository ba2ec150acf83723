"""The tables of the audit log (domain/audit.py): a queue that every write adds to, and the log in its final order."""

import sqlalchemy as sa

from hwdash.storage.tables import UtcDateTime, metadata


def _act() -> list[sa.Column[object]]:
    return [
        sa.Column("account_id", sa.BigInteger, nullable=False),  # 0: the service itself
        sa.Column("time", UtcDateTime, nullable=False),
        sa.Column("actor_kind", sa.String(20), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("action", sa.String(200), nullable=False),
        sa.Column("object_kind", sa.String(60), nullable=False),
        sa.Column("object_id", sa.String(200), nullable=False),
        # One JSON object. Text, so that it is hashed as it stands.
        sa.Column("details", sa.Text, nullable=False),
    ]


# What was done in a transaction that has committed, and has no place in the log yet.
audit_queue = sa.Table(
    "audit_queue",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_act(),
)

# The log. Rows are added, and nothing here ever changes or removes one.
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),  # from 0: the leaf of the tree
    sa.Column("sequence", sa.BigInteger, nullable=False),  # from 1, in the account's chain
    *_act(),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.UniqueConstraint("account_id", "sequence"),
)

# One row: the tree over the log, as domain/merkle.py holds it. Whoever seals holds its lock.
audit_tree = sa.Table(
    "audit_tree",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("subtrees", sa.JSON(), nullable=False),  # hex
)
