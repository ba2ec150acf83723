"""Writers of a table, one at a time."""

import sqlalchemy as sa


def one_at_a_time(connection: sa.Connection, table: sa.Table) -> None:
    """Wait for whoever writes this table, and keep others from it until the transaction ends.

    For what is looked up and then written: two that look at once would both find it free. SQLite lets one write at a
    time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))
