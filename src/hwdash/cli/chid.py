"""``hwdash chid``: compute the hardware IDs of a computer (CHIDs)."""

import click


@click.command()
def chid() -> None:
    """Compute the hardware IDs of a computer (CHIDs)."""
