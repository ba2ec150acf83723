"""A row: one thing that clients rely on, small enough that its name says what is wrong when it fails."""

from collections.abc import Callable
from dataclasses import dataclass

from hwdash.conformance.outcome import Source
from hwdash.conformance.stage import Stage

Check = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Row:
    """``check`` returns when the service is right, raises Mismatch when it is not and NotApplicable when it cannot be
    tried.
    """

    id: str
    """Stable: scripts and issues name it."""
    title: str
    source: Source
    check: Check
    waits: str | None = None
    """What the row looks at: a workflow (a name of stage.PLANS), the labels, or one made apart (of labels.APART)."""


class Rows(list[Row]):
    """The rows of one file, in the order in which they run."""

    def row(self, name: str, source: Source, *, title: str = "", waits: str | None = None) -> Callable[[Check], Check]:
        """Add the function as a row. Its title is the function's docstring when none is given."""

        def add(check: Check) -> Check:
            self.append(Row(name, title or (check.__doc__ or "").removesuffix("."), source, check, waits))
            return check

        return add
