"""Creates that are sent again: the same MS-RequestId with the same content gets the object of the first one
(contract/api.md 1.3).
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from hwdash.storage.compiled import Compiled
from hwdash.storage.tables import create_requests

_FIND = Compiled(
    sa.select(create_requests.c.object_id).where(
        create_requests.c.caller_id == sa.bindparam("caller_id"),
        create_requests.c.request_id == sa.bindparam("request_id"),
        create_requests.c.fingerprint == sa.bindparam("fingerprint"),
    )
)
_REMEMBER = Compiled(create_requests.insert())


@dataclass(frozen=True, slots=True)
class CreateKey:
    """What a repeated create has in common with the first."""

    request_id: str
    fingerprint: str


def find_created(connection: sa.Connection, caller_id: str, key: CreateKey) -> int | None:
    """The id of the object that this create made before, None when it is new."""
    parameters = {"caller_id": caller_id, "request_id": key.request_id, "fingerprint": key.fingerprint}
    return _FIND.execute(connection, parameters).scalar_one_or_none()


def remember_created(connection: sa.Connection, caller_id: str, key: CreateKey, object_id: int, now: datetime) -> None:
    """Remember what a create made, in the same transaction."""
    values = {
        "caller_id": caller_id,
        "request_id": key.request_id,
        "fingerprint": key.fingerprint,
        "object_id": object_id,
        "created_at": now,
    }
    _REMEMBER.later(connection, values)
