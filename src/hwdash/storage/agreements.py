"""The agreements of the programme: what the operator published, and who signed it for which account, and when
(contract/dashboard.md 2).
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from hwdash.storage.accounts import AccountError
from hwdash.storage.tables import agreements, signed_agreements
from hwdash.storage.users import User
from hwdash.vocabulary import Role

SIGNERS = frozenset({Role.LEGAL_AGREEMENT_SIGNER, Role.ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement in the version that accounts have to have signed."""

    name: str
    version: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """Who bound an account to which version, and when."""

    account_id: int
    name: str
    version: str
    signed_by: str  # user id
    signed_by_name: str
    signed_at: datetime


def publish_agreement(connection: sa.Connection, name: str, version: str, now: datetime) -> None:
    """Ask every account for this version of an agreement from now on."""
    connection.execute(agreements.delete().where(agreements.c.name == name))
    connection.execute(agreements.insert().values(name=name, version=version, published_at=now))


def withdraw_agreement(connection: sa.Connection, name: str) -> bool:
    """Ask for it no more; whether it was published."""
    return connection.execute(agreements.delete().where(agreements.c.name == name)).rowcount > 0


def published_agreements(connection: sa.Connection) -> list[Agreement]:
    """What every account has to have signed, by name."""
    return [Agreement(**row._mapping) for row in connection.execute(sa.select(agreements).order_by(agreements.c.name))]


def sign_agreement(connection: sa.Connection, name: str, user: User, now: datetime) -> SignedAgreement:
    """Bind the user's account to the published version. Signing it again changes nothing.

    Raises AccountError when it is not published, or when the user may not bind the account.
    """
    version = connection.execute(sa.select(agreements.c.version).where(agreements.c.name == name)).scalar_one_or_none()
    if version is None:
        known = ", ".join(each.name for each in published_agreements(connection)) or "none"
        raise AccountError(f"there is no agreement {name!r}; there are: {known}")
    if user.is_disabled or SIGNERS.isdisjoint(user.roles):
        raise AccountError(
            f"{user.login} may not sign for account {user.account_id}: that takes the role "
            f"{' or '.join(sorted(SIGNERS))}, and not to be disabled"
        )
    for each in signed_by_account(connection, user.account_id):
        if (each.name, each.version) == (name, version):
            return each
    made = SignedAgreement(user.account_id, name, version, user.id, user.name, now)
    connection.execute(
        signed_agreements.insert().values({each.name: getattr(made, each.name) for each in signed_agreements.c})
    )
    return made


def signed_by_account(connection: sa.Connection, account_id: int) -> list[SignedAgreement]:
    """What an account has signed, in every version, oldest first."""
    table = signed_agreements
    statement = sa.select(table).where(table.c.account_id == account_id).order_by(table.c.signed_at, table.c.name)
    return [SignedAgreement(**row._mapping) for row in connection.execute(statement)]
