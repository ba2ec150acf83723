"""``hwdash inf``: check INF files and show what is in them."""

import click


@click.group()
def inf() -> None:
    """Check INF files and show what is in them."""
