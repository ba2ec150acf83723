"""The tables of shipping labels, of what they target, and of who owns what is targeted.

As in tables.py the row is the truth. Hardware ids and CHIDs are lower case, CHIDs and GUIDs without braces.
"""

import sqlalchemy as sa

from hwdash.storage.tables import UtcDateTime, metadata

# What a submission's packages hold, from the step preparation on (contract/api.md 3.13). One received by sharing has
# the rows that were shared, under its own id.
driver_infs = sa.Table(
    "driver_infs",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), primary_key=True),
    sa.Column("bundle_id", sa.String(100), primary_key=True),
    sa.Column("inf_id", sa.String(260), primary_key=True),  # the file's name, as the metadata spells it
    sa.Column("inf_class", sa.String(200), nullable=False),
    sa.Column("class_guid", sa.String(40), nullable=False),
    sa.Column("provider", sa.String(300), nullable=False),
    sa.Column("driver_date", sa.String(10), nullable=False),  # ISO, 0001-01-01 when the INF has none
    sa.Column("driver_version", sa.String(40), nullable=False),  # a.b.c.d
    sa.Column("extension_id", sa.String(36)),  # of an extension INF
)

driver_rows = sa.Table(
    "driver_rows",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), primary_key=True),
    sa.Column("bundle_id", sa.String(100), primary_key=True),
    sa.Column("inf_id", sa.String(260), primary_key=True),
    sa.Column("os_code", sa.String(60), primary_key=True),
    sa.Column("hardware_id", sa.String(400), primary_key=True),
    # 0 to 255; null where the INF gives none.
    sa.Column("feature_score", sa.Integer),
    # 0: a hardware id of the models line, 1 and on: its place among the line's compatible ids.
    sa.Column("position", sa.Integer, nullable=False),
    sa.Index("ix_driver_rows_hardware_id", "hardware_id"),
)

shipping_labels = sa.Table(
    "shipping_labels",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    # Whose it is; product and submission are those of this account.
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("product_id", sa.ForeignKey("products.id"), nullable=False),
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("destination", sa.String(20), nullable=False),
    # publishingSpecifications or recipientSpecifications, as they go over the wire.
    sa.Column("specifications", sa.JSON(), nullable=False),
    # The rest of targeting as it was asked for: restrictedToAudiences, inServicePublishInfo, coEngDriverPublishInfo.
    sa.Column("targeting", sa.JSON(), nullable=False),
    # The same as machines see it, from the moment on that the label is live; null while nothing of it is offered.
    sa.Column("live_targeting", sa.JSON(none_as_null=True)),
    # Why it is distributed so: {"when", "text"} each, oldest first.
    sa.Column("justifications", sa.JSON(), nullable=False),
    # Of a label that shares: with whom, and the submission that the receiver has through it.
    sa.Column("receiver_id", sa.ForeignKey("accounts.id")),
    sa.Column("received_submission_id", sa.BigInteger),
    sa.Column("current_step", sa.String(40), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("messages", sa.JSON(), nullable=False),  # list of strings
    # 1 at first, and one more with each change.
    sa.Column("run", sa.Integer, nullable=False),
    # How often a wait of the workflow has ended.
    sa.Column("wakes", sa.Integer, nullable=False, server_default="0"),
    # When the current step began, and when what it waits for is to be looked at; null: it runs, or waits for an event.
    sa.Column("step_since", UtcDateTime, nullable=False),
    sa.Column("wake_at", UtcDateTime),
    # {"requestId", "reasons", "decision", "by", "reason", "when", "ids"} of this run, what there is of it; "ids" are
    # the reasons of single ids (pipeline/approval.py). Null: nobody has to approve. Beside it "cancelled", the
    # operator's word that ends a label.
    sa.Column("approval", sa.JSON(none_as_null=True)),
    # {"phases", "watchDays", "startedAt", "pausedAt", "pausedSeconds", "isFinalized", "isFlight"} of the last run that
    # was rolled out gradually or flew (domain/rollout.py), and beside it "wish": what an operator asks for and the
    # workflow has yet to do.
    sa.Column("rollout", sa.JSON(none_as_null=True)),
    sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("error_report", sa.String(64)),  # a blob key
    sa.Column("published_at", UtcDateTime),
    sa.Column("created_by", sa.String(36), nullable=False),  # client id or user id
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("ix_shipping_labels_submission", "submission_id", "created_at", "id"),
    sa.Index("ix_shipping_labels_wake_at", "wake_at"),
    sa.Index("ix_shipping_labels_state", "state"),
)

label_hardware_ids = sa.Table(
    "label_hardware_ids",
    metadata,
    sa.Column("label_id", sa.ForeignKey("shipping_labels.id"), primary_key=True),
    sa.Column("bundle_id", sa.String(100), primary_key=True),
    sa.Column("inf_id", sa.String(260), primary_key=True),
    sa.Column("os_code", sa.String(60), primary_key=True),
    sa.Column("hardware_id", sa.String(400), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),  # distributionState
    # The run of the label that added it: a gradual rollout is of what its own run added.
    sa.Column("run", sa.Integer, nullable=False),
    sa.Index("ix_label_hardware_ids_hardware_id", "hardware_id"),
)

label_chids = sa.Table(
    "label_chids",
    metadata,
    sa.Column("label_id", sa.ForeignKey("shipping_labels.id"), primary_key=True),
    sa.Column("chid", sa.String(36), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),  # distributionState
)

# visibleToAccounts: who may read a label, and the driver with it.
label_readers = sa.Table(
    "label_readers",
    metadata,
    sa.Column("label_id", sa.ForeignKey("shipping_labels.id"), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True, index=True),
)

# Whose a hardware id (or all that begin with it), a CHID or an extension id is.
owned_ids = sa.Table(
    "owned_ids",
    metadata,
    sa.Column("kind", sa.String(20), primary_key=True),  # "hardwareId", "chid" or "extensionId"
    sa.Column("value", sa.String(400), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# An owner's word that a publisher may target ids of the owner (contract/dashboard.md 100).
relationships = sa.Table(
    "relationships",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("owner_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("publisher_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("chids", sa.JSON(), nullable=False),
    sa.Column("hardware_ids", sa.JSON(), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),  # "requested", "approved" or "rejected"
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("decided_by", sa.String(200)),
    sa.Column("reason", sa.String(2000)),
)

# The release calendar of the operator: days of UTC, both included, on which drivers are held back (domain/calendar.py).
release_windows = sa.Table(
    "release_windows",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("holds_all", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# What machines with the driver report, as it was recorded last for this run of the label (domain/measures.py).
label_measures = sa.Table(
    "label_measures",
    metadata,
    sa.Column("label_id", sa.ForeignKey("shipping_labels.id"), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("measure_id", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    # The criterion: one of the two; a value beyond early_limit fails with few machines already.
    sa.Column("at_least", sa.Float),
    sa.Column("at_most", sa.Float),
    sa.Column("minimum", sa.Integer, nullable=False),
    sa.Column("early_limit", sa.Float),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("population", sa.Integer, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
)
