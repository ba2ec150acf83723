"""The shell of an initial package, for driver updates. Runs in the bounded child process only."""

from datetime import datetime
from pathlib import Path
from typing import Any

from hwdash.drivers.errors import ParseError
from hwdash.drivers.hlkx import Hlkx
from hwdash.drivers.hlkx_shell import write_shell
from hwdash.pipeline.inspection import LIMITS
from hwdash.pipeline.package_source import opened

SHELL = "shell"
"""The file's name in the folder."""


def make(arguments: dict[str, Any]) -> None:
    """Write the shell of the package into ``folder``. Further arguments: ``when``, an ISO time for the zip entries."""
    folder = Path(arguments["folder"])
    paths = [Path(each) for each in arguments["package"]]
    with opened(paths, arguments["name"], folder) as source, (folder / SHELL).open("w+b") as out:
        if not isinstance(source.container, Hlkx):
            raise ParseError("only a package of the HLK or HCK has a shell", source=arguments["name"])
        source.container.check_limits(LIMITS)
        write_shell(source.container, out, datetime.fromisoformat(arguments["when"]))
