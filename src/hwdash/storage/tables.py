"""The tables. The row is the truth: what a client sees of a submission is read from here and nowhere else."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time. SQLite drops zones, so times are stored in UTC without one and given it back on reading."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse a naive time and store an aware one in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive time cannot be stored: {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON()


schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

# One row: "release" or "sandbox" (storage/kind.py).
service_kind = sa.Table("service_kind", metadata, sa.Column("kind", sa.String(20), primary_key=True))

accounts = sa.Table(
    "accounts",
    metadata,
    # The seller id: 8 digits.
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    # The directory of the account: a GUID, the first path segment of its token endpoint.
    sa.Column("tenant_id", sa.String(36), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    # {"manualReview": bool}
    sa.Column("policy", _json(), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # domain/access.py: AccountStatus.
    sa.Column("status", sa.String(20), nullable=False, server_default="enrolled"),
)

agreements = sa.Table(
    "agreements",
    metadata,
    # What every account has to have signed, in which version. A new version has to be signed anew.
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False),
)

signed_agreements = sa.Table(
    "signed_agreements",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(40), primary_key=True),
    sa.Column("signed_by", sa.String(36), nullable=False),  # user id; it outlives the user
    sa.Column("signed_by_name", sa.String(200), nullable=False),
    sa.Column("signed_at", UtcDateTime, nullable=False),
)

applications = sa.Table(
    "applications",
    metadata,
    sa.Column("client_id", sa.String(36), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    # Role names of contract/api.md section 8.1, e.g. ["Manager", "Driver Submitter"].
    sa.Column("roles", _json(), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("is_disabled", sa.Boolean, nullable=False, server_default=sa.false()),
)

application_secrets = sa.Table(
    "application_secrets",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("client_id", sa.ForeignKey("applications.client_id"), nullable=False, index=True),
    # SHA-256 of a secret of 256 random bits: such a secret needs no slow hash.
    sa.Column("sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

application_certificates = sa.Table(
    "application_certificates",
    metadata,
    sa.Column("thumbprint", sa.String(64), primary_key=True),  # SHA-256 of the DER, lower-case hex
    sa.Column("client_id", sa.ForeignKey("applications.client_id"), primary_key=True),
    sa.Column("certificate", sa.LargeBinary, nullable=False),  # DER
    sa.Column("created_at", UtcDateTime, nullable=False),
)

signing_certificates = sa.Table(
    "signing_certificates",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("thumbprint", sa.String(64), primary_key=True),  # SHA-256 of the DER, lower-case hex
    sa.Column("certificate", sa.LargeBinary, nullable=False),  # DER
    sa.Column("subject", sa.String(1000), nullable=False),  # RFC 4514
    sa.Column("kind", sa.String(20), nullable=False),  # "ev" or "standard"
    sa.Column("not_after", UtcDateTime, nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
    # Its holder signed a challenge with it; else an administrator's word.
    sa.Column("is_proven", sa.Boolean, nullable=False, server_default=sa.false()),
)

certificate_challenges = sa.Table(
    "certificate_challenges",
    metadata,
    sa.Column("nonce", sa.String(64), primary_key=True),  # 256 random bits, hex; it proves nothing by itself
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # GUID
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    # The name signed in with, case-folded; one in an account.
    sa.Column("login", sa.String(200), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("roles", _json(), nullable=False),
    # storage/passwords.py: scrypt with its parameters and salt.
    sa.Column("password", sa.String(200), nullable=False),
    # When a one-time password ends; null: a password that the person chose.
    sa.Column("one_time_until", UtcDateTime),
    sa.Column("is_disabled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("locked_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("account_id", "login"),
)

device_codes = sa.Table(
    "device_codes",
    metadata,
    # RFC 8628. SHA-256 of both codes, hex.
    sa.Column("device_code", sa.String(64), primary_key=True),
    sa.Column("user_code", sa.String(64), nullable=False, unique=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("audience", sa.String(200), nullable=False),
    # Null while nobody has answered.
    sa.Column("is_allowed", sa.Boolean),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE")),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("asked_at", UtcDateTime),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),  # hex, of 256 random bits
    # All that came from one sign-in; the use of a spent one ends them all.
    sa.Column("family", sa.String(36), nullable=False, index=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("audience", sa.String(200), nullable=False),
    sa.Column("is_spent", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

products = sa.Table(
    "products",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("shared_product_id", sa.BigInteger, nullable=False),
    # What the client sent, in canonical spelling: see domain/product.py.
    sa.Column("name", sa.String, nullable=False),
    # The name in folded case, to be searched.
    sa.Column("name_folded", sa.String, nullable=False, server_default=""),
    sa.Column("test_harness", sa.String(20), nullable=False),
    sa.Column("attributes", _json(), nullable=False),
    sa.Column("is_committed", sa.Boolean, nullable=False, default=False),
    # "author", or of what was received by sharing "publisher" or "readOnly", with the ids that it has at its author's.
    sa.Column("origin_type", sa.String(20), nullable=False, server_default="author"),
    sa.Column("source_product_id", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("source_publisher_id", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("ix_products_account_created", "account_id", "created_at", "id"),
)

# What products are searched by (storage/product_search.py).
product_signatures = sa.Table(
    "product_signatures",
    metadata,
    sa.Column("product_id", sa.ForeignKey("products.id"), primary_key=True),
    sa.Column("code", sa.String(60), primary_key=True),  # of requestedSignatures
)

product_hardware_ids = sa.Table(
    "product_hardware_ids",
    metadata,
    # Of the finished submissions' driver metadata, in lower case.
    sa.Column("hardware_id", sa.String(400), primary_key=True),
    sa.Column("product_id", sa.ForeignKey("products.id"), primary_key=True, index=True),
)

submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("product_id", sa.ForeignKey("products.id"), nullable=False, index=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("type", sa.String(10), nullable=False),  # "initial" or "derived"
    sa.Column("commit_status", sa.String(20), nullable=False),
    # Null until commit.
    sa.Column("current_step", sa.String(40)),
    sa.Column("state", sa.String(20)),
    sa.Column("messages", _json(), nullable=False),  # list of strings
    # Raised by each takeover of the workflow; the UPDATE that ends a step checks it.
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    # The uploaded package: a blob key, and from commit on the very version that the workflow reads.
    sa.Column("package_blob", sa.String(64), nullable=False, unique=True),
    sa.Column("package_version", sa.String(64)),
    sa.Column("is_extension_inf", sa.Boolean, nullable=False, default=False),
    sa.Column("is_universal", sa.Boolean, nullable=False, default=False),
    sa.Column("is_declarative_inf", sa.Boolean, nullable=False, default=False),
    sa.Column("created_by", sa.String(36), nullable=False),  # client id or user id
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("committed_at", UtcDateTime),
    sa.Column("committed_by", sa.String(36)),  # client id or user id; null until commit
    sa.Column("finished_at", UtcDateTime),
    # Of one received by sharing: the author's submission, the label that shared it, and what that label asks for.
    sa.Column("source_submission_id", sa.BigInteger, index=True),
    sa.Column("source_label_id", sa.BigInteger),
    sa.Column("enforces_chids", sa.Boolean, nullable=False, server_default=sa.false()),
    # The author changed or revoked what was shared: labels of it can only expire.
    sa.Column("is_deprecated", sa.Boolean, nullable=False, server_default=sa.false()),
    # The operator took it back: nothing of it is handed out or offered any more (storage/recall_tables.py).
    sa.Column("recalled_at", UtcDateTime),
)
sa.Index(
    "uq_submissions_one_initial",
    submissions.c.product_id,
    unique=True,
    sqlite_where=submissions.c.type == "initial",
    postgresql_where=submissions.c.type == "initial",
)

audiences = sa.Table(
    "audiences",
    metadata,
    # What an operator made for one account; every account has domain/audience.py's test audience besides.
    sa.Column("id", sa.String(36), primary_key=True),  # GUID
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.String(1000), nullable=False),
    sa.Column("audience_name", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("account_id", "name"),
)

create_requests = sa.Table(
    "create_requests",
    metadata,
    # A create that is sent again under the same MS-RequestId with the same content gets the first answer.
    sa.Column("caller_id", sa.String(36), primary_key=True),  # of an application or a user
    sa.Column("request_id", sa.String(100), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),  # SHA-256 of route and content, hex
    sa.Column("object_id", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

submission_steps = sa.Table(
    "submission_steps",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), primary_key=True),
    sa.Column("step", sa.String(40), primary_key=True),
    # What the step found out: the later steps read it, the record of what was done and with what.
    sa.Column("result", _json(), nullable=False),
    sa.Column("finished_at", UtcDateTime, nullable=False),
    # What the examiner sealed of this step and those before it; of the steps that it does not run, null.
    sa.Column("examination", sa.Text),
)

downloads = sa.Table(
    "downloads",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submissions.id"), primary_key=True),
    sa.Column(
        "type", sa.String(30), primary_key=True
    ),  # signedPackage, certificationReport, driverMetadata, errorReport, provenance
    sa.Column("blob", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),  # the file name offered to the client
)

preprod_packages = sa.Table(
    "preprod_packages",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    # NotStarted, Processing, Succeeded or Failed. Null while the upload is under way: then nobody sees the package.
    sa.Column("signing_status", sa.String(20)),
    sa.Column("current_step", sa.String(40)),
    sa.Column("error", sa.Text),
    # As of submissions.
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("package_blob", sa.String(64), nullable=False, unique=True),
    sa.Column("package_version", sa.String(64)),
    sa.Column("created_by", sa.String(36), nullable=False),  # client id
    sa.Column("created_at", UtcDateTime, nullable=False),
    # What the client sees changed last then: the status.
    sa.Column("modified_at", UtcDateTime, nullable=False),
    sa.Index("ix_preprod_packages_status", "signing_status"),
)

preprod_steps = sa.Table(
    "preprod_steps",
    metadata,
    # As submission_steps.
    sa.Column("package_id", sa.ForeignKey("preprod_packages.id"), primary_key=True),
    sa.Column("step", sa.String(40), primary_key=True),
    sa.Column("result", _json(), nullable=False),
    sa.Column("finished_at", UtcDateTime, nullable=False),
    sa.Column("examination", sa.Text),
)

preprod_assets = sa.Table(
    "preprod_assets",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("package_id", sa.ForeignKey("preprod_packages.id"), nullable=False, index=True),
    sa.Column("type", sa.String(30), nullable=False),  # SignedFilesZip
    sa.Column("blob", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),  # the file name offered to the client
    sa.Column("sha256", sa.String(64), nullable=False),  # lower-case hex
    sa.Column("created_at", UtcDateTime, nullable=False),
)
