"""Files that the service signs for nobody: the list that ``bad_hashes`` names, looked through in the step scanning.

Whole files are compared, and of PE files what Authenticode covers, which a new signature does not change.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hwdash.drivers.errors import ParseError
from hwdash.drivers.known_drivers import KnownDrivers
from hwdash.pipeline.scan_engines import ScannerUnavailable
from hwdash.settings import Settings

_CHUNK = 1 << 20


def known_drivers(settings: Settings) -> KnownDrivers | None:
    """The list as it is now; None where no list is set. Raises ScannerUnavailable when it cannot be used."""
    if not settings.bad_hashes:
        return None
    file = Path(settings.bad_hashes).absolute()
    try:
        state = file.stat()
        return _read(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise ScannerUnavailable(f"bad_hashes: {file} cannot be read: {error.strerror}") from error
    except ParseError as error:
        raise ScannerUnavailable(f"bad_hashes: {error}. Correct the file, or name another one") from error


@lru_cache(2)
def _read(file: Path, _changed_at: int, _size: int) -> KnownDrivers:
    """The list is read again when the file has changed."""
    return KnownDrivers.parse(file.read_bytes(), source=str(file))


def bad_files(known: KnownDrivers, files: Iterable[tuple[Mapping[str, Any], Path]]) -> Iterator[str]:
    """A message for each file that is on the list. ``files``: as the step preparation describes them, and where they
    are.
    """
    for facts, path in files:
        images = [facts["sha1"], facts["sha256"]] if facts["layout"] is not None else []
        found = known.find(_digests(path), images)
        if found is not None:
            entry, by = found
            names = f" ({entry.names})" if entry.names else ""
            yield (
                f"ERROR package.known-bad in {facts['path']}: the file is entry {entry.entry}{names} of the operator's "
                f"list of known bad drivers, by its {by}. Remove the file, or build it anew from corrected source."
            )


def _digests(path: Path) -> list[str]:
    made = [hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False), hashlib.sha256()]
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            for each in made:
                each.update(chunk)
    return [each.hexdigest() for each in made]
