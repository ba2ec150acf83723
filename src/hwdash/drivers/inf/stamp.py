"""What stampinf does to a template (.inx): architecture, framework versions and DriverVer are filled in.

Sources: devtest/stampinf-command-options.md, wdf/using-inx-files-to-create-inf-files.md. ``Inf.unstamped`` tells what
is still to be filled in.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import get_args

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.version import parse_version
from hwdash.vocabulary import Architecture

_ALIASES: dict[str, Architecture] = {"x64": "amd64", "64": "ia64"}
_FRAMEWORK_VERSION = re.compile(r"(\d{1,2})\.(\d{1,3})(?:\.\d{1,5})?\Z", re.ASCII)


def architecture_named(text: str) -> Architecture:
    """The architecture that a word for stampinf's -a means, ``x64`` and ``64`` included. Raises ValueError."""
    known: dict[str, Architecture] = {name: name for name in get_args(Architecture)} | _ALIASES
    try:
        return known[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} is not an architecture; known are {', '.join(known)}") from None


def stamped(
    text: str,
    *,
    architecture: Architecture,
    version: str | None = None,
    date: date | None = None,
    kmdf: str | None = None,
    umdf: str | None = None,
) -> str:
    """The text of an INF made from the text of a template; all that is not filled in stays as it is.

    ``version`` (``w.x.y.z``) and ``date`` become the DriverVer of [Version], in place of the one that is there; both or
    neither are given. ``kmdf`` (``1.15``) and ``umdf`` (``2.15.0``) are the versions of the frameworks; without one its
    tokens stay, and ``Inf.unstamped`` goes on naming them. Raises ValueError for a version that is none, ParseError and
    LimitExceeded for text that is no INF.
    """
    text = text.replace("$ARCH$", architecture)
    for framework, wanted in (("KMDF", kmdf), ("UMDF", umdf)):
        if wanted is not None:
            match = _FRAMEWORK_VERSION.match(wanted)
            if match is None:
                raise ValueError(f"{wanted!r} is not a version of {framework}, such as 1.15 or 2.15.0")
            text = text.replace(f"${framework}VERSION$", wanted)
            text = text.replace(f"${framework}COINSTALLERVERSION$", f"{int(match[1]):02}{int(match[2]):03}")
    if version is None and date is None:
        return text
    if version is None or date is None:
        raise ValueError("version and date are given together")
    if version.count(".") != 3 or parse_version(version) is None:
        raise ValueError(f"{version!r} is not a driver version: four numbers from 0 to 65535, as in 1.2.3.4")
    # An INF ends at Ctrl+Z, and before NULs at its end.
    read = text.partition("\x1a")[0].rstrip("\0")
    return "\n".join(_with_driver_ver(read, f"DriverVer = {date:%m/%d/%Y},{version}")) + text[len(read) :]


def _with_driver_ver(text: str, driver_ver: str) -> Iterator[str]:
    inf = Inf.from_text(text, source="template")
    section, old = inf.section("Version"), inf.first("Version", "DriverVer")
    if section is None:
        raise ValueError("there is no [Version] section to hold DriverVer")
    for number, line in enumerate(text.split("\n"), start=1):
        end = "\r" if line.endswith("\r") else ""
        if old is not None and old.line <= number <= old.end_line:
            if number == old.line:
                yield line[: old.column - 1] + driver_ver + end
            continue
        yield line
        if old is None and number == section.line:
            yield driver_ver + end
