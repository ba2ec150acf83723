"""The kind of service that a database belongs to: a release service, or a sandbox. It is set once and never changes.

A sandbox moves its clock and injects faults into rows; a release key must never act on such a row. So the database says
whose it is, as the keys do (signing/authority.py): with PostgreSQL it is not in the data folder.
"""

import sqlalchemy as sa

from hwdash.storage.database import SchemaMismatch
from hwdash.storage.tables import accounts, service_kind

RELEASE, SANDBOX = "release", "sandbox"


class WrongKind(SchemaMismatch):
    """The database belongs to a service of the other kind."""


def claim_database(connection: sa.Connection, *, sandbox: bool) -> None:
    """Take a new database for a service of this kind, or check that it is of this kind. Raises WrongKind.

    A database of a version that did not know kinds is a release service's as soon as it has an account.
    """
    wanted = SANDBOX if sandbox else RELEASE
    found = connection.execute(sa.select(service_kind.c.kind)).scalar_one_or_none()
    if found is None and connection.execute(sa.select(accounts.c.id).limit(1)).first():
        found = RELEASE
    if found is None:
        connection.execute(service_kind.insert().values(kind=wanted))
    elif found != wanted:
        raise WrongKind(
            f"the database belongs to a {found} service, and this is a {wanted} service: the two cannot be mixed. "
            "Name another database in HWDASH_DATABASE_URL, or make a new data folder"
        )
