"""What a planted fault is."""

from typing import NamedTuple

from hwdash.drivers.inf.verify import Mode


class Fault(NamedTuple):
    """One thing broken in a good INF.

    ``base`` is the text of an INF without findings; ``edits`` are replacements (old, new), where each old text occurs
    exactly once. ``at`` is a piece of the broken text that occurs exactly once: the finding must be in its line; ``""``
    asks for a finding about the file as a whole, without a line. ``provider`` and ``files`` are those of ``verify``.
    """

    code: int
    name: str
    base: str
    edits: tuple[tuple[str, str], ...]
    at: str
    mode: Mode = "windows"
    provider: str | None = None
    files: tuple[str, ...] | None = None
