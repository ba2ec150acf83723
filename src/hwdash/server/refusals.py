"""What the service refuses, in the audit log: tokens that do not count, roles that are not held, sign-ins that fail.

Anybody can have a token refused, as often as they like. So only so many entries a minute are written; the next one
tells how many there were beside them.
"""

import logging
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from hwdash.clock import Clock
from hwdash.domain.audit import APPLICATION, PERSON, REFUSED, SERVICE, UNKNOWN, act
from hwdash.storage.audit import append
from hwdash.storage.database import Database
from hwdash.storage.principals import find_principal

A_MINUTE = 120

log = logging.getLogger(__name__)

Who = Callable[[sa.Connection], tuple[int, tuple[str, object]]]
"""Finds the account, and the actor as kind and id."""


class Refusals:
    """Writes them; one process' count."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._minute = 0
        self._written = 0
        self._left_out = 0

    async def note(self, who: Who, thing: tuple[str, object], reason: str, **details: Any) -> None:
        """Write one. What goes wrong with that is logged: the refusal stands without it."""
        now = self._clock()
        minute = int(now.timestamp() // 60)
        if minute != self._minute:
            self._minute, self._written = minute, 0
        if self._written >= A_MINUTE:
            self._left_out += 1
            return
        self._written += 1
        left_out, self._left_out = self._left_out, 0

        def write(connection: sa.Connection) -> None:
            account_id, actor = who(connection)
            told = {"reason": reason, "leftOut": left_out or None, **details}
            append(connection, act(account_id, now, actor, REFUSED, thing, **told))

        try:
            await self._database.write(write)
        except SQLAlchemyError:
            self._left_out += left_out + 1
            log.exception("a refusal could not be written to the audit log")


def unknown(address: str, account_id: int = SERVICE) -> Who:
    """Somebody who has proven nothing, by their address."""
    return lambda _connection: (account_id, (UNKNOWN, address))


def principal(identity: tuple[str, str]) -> Who:
    """The application or person of a good token, by its id and its tenant's, whether it is known here or not."""

    def find(connection: sa.Connection) -> tuple[int, tuple[str, object]]:
        known = find_principal(connection, *identity)
        if known is None:
            return SERVICE, (UNKNOWN, identity[0])
        return known.account_id, (PERSON if known.is_person else APPLICATION, known.id)

    return find
