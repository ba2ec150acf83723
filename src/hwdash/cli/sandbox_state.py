"""``hwdash sandbox dump`` and ``load``: a sandbox's whole state in one file."""

from pathlib import Path

import click

from hwdash.cli.output import say
from hwdash.cli.service_options import data_option, existing_service, settings_of, told_plainly
from hwdash.sandbox import state


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def dump(file: Path, data: Path | None) -> None:
    """Write database, blobs and keys of a sandbox into FILE (tar), also while it runs. Keep it safe: keys are in it."""
    settings = existing_service(data)
    with told_plainly():
        state.dump(settings, file)
    say(f"wrote {file}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_option
def load(file: Path, data: Path | None) -> None:
    """Make a sandbox out of FILE, which dump wrote, in a new data folder."""
    settings = settings_of(data)
    with told_plainly():
        state.load(file, settings.data)
    say(f"{settings.data} is what {file} was")
