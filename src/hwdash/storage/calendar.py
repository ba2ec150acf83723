"""Queries over the windows of the release calendar."""

from datetime import datetime

import sqlalchemy as sa

from hwdash.domain.calendar import Window, check_window
from hwdash.storage.label_tables import release_windows
from hwdash.storage.one_at_a_time import one_at_a_time


def windows_of(connection: sa.Connection) -> list[Window]:
    """The windows that the operator entered, in the order of their days."""
    table = release_windows.c
    rows = connection.execute(sa.select(release_windows).order_by(table.first_day, table.last_day, table.name))
    return [Window(row.name, row.first_day, row.last_day, row.holds_all) for row in rows]


def add_window(connection: sa.Connection, window: Window, now: datetime) -> None:
    """Store a window. Raises DomainError with every finding."""
    one_at_a_time(connection, release_windows)
    check_window(window, [each.name for each in windows_of(connection)])
    connection.execute(
        release_windows.insert().values(
            name=window.name,
            first_day=window.first_day,
            last_day=window.last_day,
            holds_all=window.holds_all,
            created_at=now,
        )
    )


def remove_window(connection: sa.Connection, name: str) -> bool:
    """Take a window away; whether there was one."""
    return connection.execute(release_windows.delete().where(release_windows.c.name == name)).rowcount > 0
