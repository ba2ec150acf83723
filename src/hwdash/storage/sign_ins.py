"""Sign-ins of people under way and their refresh tokens (RFC 8628; RFC 9700 2.2.2 on rotation).

Codes and tokens are random and stored as SHA-256. A refresh token is good once: its use gives the next one of its
family, and the use of a spent one ends the family, because one of the two users stole it.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from uuid import uuid4

import sqlalchemy as sa

from hwdash.storage.tables import device_codes, refresh_tokens

CODE_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=90)
MAX_FAILURES = 10
"""Wrong passwords with one code, after which it counts no more."""
MAX_OPEN = 1000
"""Sign-ins of one account under way at once."""

# RFC 8628 6.1: no vowels, so that no words come out, and nothing that looks like something else.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8


@dataclass(frozen=True, slots=True)
class NewCodes:
    """Both codes of a sign-in, shown to the client once."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenSignIn:
    """A sign-in that waits for its person."""

    key: str
    account_id: int


class Poll(Enum):
    """What a client that asks for its token learns."""

    UNKNOWN = "unknown"
    TOO_FAST = "too fast"
    EXPIRED = "expired"
    PENDING = "pending"
    DENIED = "denied"
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class Granted:
    """For whom and for what a sign-in or a refresh counts."""

    user_id: str
    audience: str


def begin_sign_in(connection: sa.Connection, account_id: int, audience: str, now: datetime) -> NewCodes | None:
    """A new sign-in; None when too many are under way."""
    table = device_codes
    # A client that comes late is told that its code has ended, for an hour.
    connection.execute(table.delete().where(table.c.expires_at < now - timedelta(hours=1)))
    counted = sa.select(sa.func.count()).where(table.c.account_id == account_id, table.c.expires_at > now)
    if connection.execute(counted).scalar_one() >= MAX_OPEN:
        return None
    user_code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    made = NewCodes(secrets.token_urlsafe(32), f"{user_code[:4]}-{user_code[4:]}")
    connection.execute(
        table.insert().values(
            device_code=_hash(made.device_code),
            user_code=_hash(user_code),
            account_id=account_id,
            audience=audience,
            failures=0,
            expires_at=now + CODE_LIFETIME,
        )
    )
    return made


def open_sign_in(connection: sa.Connection, user_code: str, now: datetime) -> OpenSignIn | None:
    """The sign-in of a code as a person typed it: in any case, with or without blanks and dashes."""
    typed = "".join(each for each in user_code.upper() if each in _LETTERS)
    table = device_codes
    row = connection.execute(
        sa.select(table.c.device_code, table.c.account_id).where(
            table.c.user_code == _hash(typed), table.c.is_allowed.is_(None), table.c.expires_at > now
        )
    ).one_or_none()
    return None if row is None else OpenSignIn(row.device_code, row.account_id)


def count_failure(connection: sa.Connection, sign_in: OpenSignIn) -> None:
    """A wrong password came with this code; the tenth denies it."""
    table = device_codes
    which = table.c.device_code == sign_in.key
    connection.execute(table.update().where(which).values(failures=table.c.failures + 1))
    connection.execute(table.update().where(which, table.c.failures >= MAX_FAILURES).values(is_allowed=False))


def answer_sign_in(connection: sa.Connection, sign_in: OpenSignIn, user_id: str | None, now: datetime) -> bool:
    """The person's answer, None for no; False when the sign-in has ended or was answered before."""
    table = device_codes
    which = (table.c.device_code == sign_in.key) & table.c.is_allowed.is_(None) & (table.c.expires_at > now)
    values = {"is_allowed": user_id is not None, "user_id": user_id}
    return connection.execute(table.update().where(which).values(values)).rowcount > 0


def poll_sign_in(
    connection: sa.Connection, account_id: int, device_code: str, interval: timedelta, now: datetime
) -> tuple[Poll, Granted | None]:
    """How a sign-in stands. One that is allowed counts once."""
    table = device_codes
    which = (table.c.device_code == _hash(device_code)) & (table.c.account_id == account_id)
    row = connection.execute(sa.select(table).where(which)).one_or_none()
    if row is None:
        return Poll.UNKNOWN, None
    if now >= row.expires_at:
        return Poll.EXPIRED, None
    if row.asked_at is not None and now < row.asked_at + interval:
        connection.execute(table.update().where(which).values(asked_at=now))
        return Poll.TOO_FAST, None
    connection.execute(table.update().where(which).values(asked_at=now))
    if row.is_allowed is None:
        return Poll.PENDING, None
    connection.execute(table.delete().where(which))
    if not row.is_allowed or row.user_id is None:
        return Poll.DENIED, None
    return Poll.ALLOWED, Granted(row.user_id, row.audience)


def new_refresh_token(connection: sa.Connection, granted: Granted, now: datetime, *, family: str | None = None) -> str:
    """A refresh token: the first of a new family, or the next one of ``family``."""
    table = refresh_tokens
    connection.execute(table.delete().where(table.c.expires_at <= now))
    token = secrets.token_urlsafe(48)
    connection.execute(
        table.insert().values(
            sha256=_hash(token),
            family=family or str(uuid4()),
            user_id=granted.user_id,
            audience=granted.audience,
            is_spent=False,
            expires_at=now + REFRESH_LIFETIME,
        )
    )
    return token


def use_refresh_token(connection: sa.Connection, token: str, now: datetime) -> tuple[Granted, str] | None:
    """Whose token it is, and its family; it is spent by that. None for one that does not count.

    The use of a spent one ends its family: the caller must let the transaction commit.
    """
    table = refresh_tokens
    which = table.c.sha256 == _hash(token)
    row = connection.execute(sa.select(table).where(which, table.c.expires_at > now)).one_or_none()
    if row is None:
        return None
    # Of two uses at once one finds it spent.
    if connection.execute(table.update().where(which, ~table.c.is_spent).values(is_spent=True)).rowcount == 0:
        connection.execute(table.delete().where(table.c.family == row.family))
        return None
    return Granted(row.user_id, row.audience), row.family


def end_family(connection: sa.Connection, token: str) -> str | None:
    """End the sign-in that a refresh token came from; whose it was, by user id."""
    table = refresh_tokens
    row = connection.execute(sa.select(table).where(table.c.sha256 == _hash(token))).one_or_none()
    if row is None:
        return None
    connection.execute(table.delete().where(table.c.family == row.family))
    return str(row.user_id)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
