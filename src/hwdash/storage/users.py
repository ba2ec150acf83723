"""The people of an account: roles, passwords, and how often a sign-in may fail (contract/dashboard.md 16 to 18).

A person is made with a one-time password, shown once, and chooses another at the first sign-in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from hwdash.storage.accounts import AccountError, account
from hwdash.storage.passwords import hash_password, new_one_time_password, password_findings
from hwdash.storage.tables import refresh_tokens, users

ONE_TIME_LIFETIME = timedelta(days=7)
MAX_LOGIN = 200
FREE_FAILURES = 5
FIRST_LOCK, LONGEST_LOCK = timedelta(seconds=30), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class User:
    """A person of an account. ``roles`` are names of contract/api.md 8.1."""

    id: str
    account_id: int
    login: str
    name: str
    roles: tuple[str, ...]
    password: str = field(repr=False)  # hashed
    one_time_until: datetime | None
    is_disabled: bool
    failures: int
    locked_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person just made, with a password that is good for one sign-in and known nowhere afterwards."""

    user: User
    one_time_password: str = field(repr=False)


def create_user(
    connection: sa.Connection, account_id: int, login: str, name: str, roles: Sequence[str], now: datetime
) -> NewUser:
    """A new person. Raises AccountError for an unknown account, and a login that is in use or is none."""
    if account(connection, account_id) is None:
        raise AccountError(f"there is no account {account_id}")
    login = login.strip().casefold()
    if not login or len(login) > MAX_LOGIN or not login.isprintable() or " " in login:
        raise AccountError(f"the login must be 1 to {MAX_LOGIN} printable characters without blanks, not {login!r}")
    if user_of_login(connection, account_id, login) is not None:
        raise AccountError(f"account {account_id} has a user {login} already")
    password = new_one_time_password()
    until = now + ONE_TIME_LIFETIME
    made = User(
        str(uuid4()), account_id, login, name, tuple(roles), hash_password(password), until, False, 0, None, now
    )
    connection.execute(
        users.insert().values({each.name: getattr(made, each.name) for each in users.c} | {"roles": list(roles)})
    )
    return NewUser(made, password)


def user(connection: sa.Connection, user_id: str) -> User | None:
    """The person of an id."""
    found = _users(connection, users.c.id == user_id)
    return found[0] if found else None


def user_of_login(connection: sa.Connection, account_id: int, login: str) -> User | None:
    """The person that signs in to an account by this name, in any case."""
    which = (users.c.account_id == account_id) & (users.c.login == login.strip().casefold())
    found = _users(connection, which)
    return found[0] if found else None


def users_of(connection: sa.Connection, account_id: int) -> list[User]:
    """The people of an account, oldest first."""
    return _users(connection, users.c.account_id == account_id)


def set_user_roles(connection: sa.Connection, user_id: str, roles: Sequence[str]) -> None:
    """Give a person these roles instead of those that they have."""
    _update(connection, user_id, roles=list(roles))


def set_user_disabled(connection: sa.Connection, user_id: str, *, disabled: bool) -> None:
    """Bar a person, or let them in again. Being barred ends every sign-in for good."""
    _update(connection, user_id, is_disabled=disabled)
    if disabled:
        end_sign_ins(connection, user_id)


def reset_password(connection: sa.Connection, user_id: str, now: datetime) -> str:
    """A new one-time password in place of the password; every sign-in ends."""
    password = new_one_time_password()
    _update(
        connection,
        user_id,
        password=hash_password(password),
        one_time_until=now + ONE_TIME_LIFETIME,
        failures=0,
        locked_until=None,
    )
    end_sign_ins(connection, user_id)
    return password


def choose_password(connection: sa.Connection, person: User, password: str) -> None:
    """The person's own password in place of the one-time one. Raises AccountError with every reason against it."""
    if findings := password_findings(password, person.login):
        raise AccountError(f"the password cannot be used: {'; '.join(findings)}")
    _update(connection, person.id, password=hash_password(password), one_time_until=None)


def remove_user(connection: sa.Connection, user_id: str) -> None:
    """Forget a person. What they did stays under their id."""
    connection.execute(users.delete().where(users.c.id == user_id))


def count_attempt(connection: sa.Connection, user_id: str, now: datetime) -> bool:
    """Count a sign-in before its password is looked at; False while the person is locked.

    From the fifth on each locks the person for twice as long, up to a quarter of an hour. ``note_success`` forgets it.
    Of many at once no more than these get through: the database counts, one after the other.
    """
    unlocked = users.c.locked_until.is_(None) | (users.c.locked_until <= now)
    counting = users.update().where(users.c.id == user_id, unlocked).values(failures=users.c.failures + 1)
    failures = connection.execute(counting.returning(users.c.failures)).scalar_one_or_none()
    if failures is None:
        return False
    if failures >= FREE_FAILURES:
        lock = min(LONGEST_LOCK, FIRST_LOCK * 2 ** min(failures - FREE_FAILURES, 10))
        _update(connection, user_id, locked_until=now + lock)
    return True


def note_success(connection: sa.Connection, user_id: str) -> None:
    """Forget the wrong passwords."""
    _update(connection, user_id, failures=0, locked_until=None)


def end_sign_ins(connection: sa.Connection, user_id: str) -> int:
    """Take every refresh token of a person away; how many there were."""
    return connection.execute(refresh_tokens.delete().where(refresh_tokens.c.user_id == user_id)).rowcount


def _update(connection: sa.Connection, user_id: str, **values: Any) -> None:
    connection.execute(users.update().where(users.c.id == user_id).values(values))


def _users(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[User]:
    statement = sa.select(users).where(which).order_by(users.c.created_at, users.c.login)
    return [User(**(dict(row._mapping) | {"roles": tuple(row.roles)})) for row in connection.execute(statement)]
