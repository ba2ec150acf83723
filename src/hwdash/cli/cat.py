"""``hwdash cat``: show, verify and rebuild security catalogs."""

import click


@click.group()
def cat() -> None:
    """Show, verify and rebuild security catalogs."""
