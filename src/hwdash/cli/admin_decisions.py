"""What the commands share by which a person decides: review, approval, rollout and recall."""

from collections.abc import Iterator
from contextlib import contextmanager

from hwdash.cli.admin_options import who_decides
from hwdash.cli.output import Exit, refuse
from hwdash.clock import system_clock
from hwdash.domain.reason import ReasonRefused
from hwdash.pipeline.review import Decision


@contextmanager
def decision_told(*refusals: type[Exception]) -> Iterator[None]:
    """Ends the command with what refuses a decision; a reason that cannot be kept is wrong usage."""
    try:
        yield
    except ReasonRefused as error:
        refuse(f"{error}.", Exit.USAGE)
    except refusals as error:
        refuse(f"{error}.")


def decision(by: str | None, reason: str) -> Decision:
    """A person's word, now. Ends the command when nobody is named."""
    return Decision(by=who_decides(by), reason=reason.strip(), when=system_clock())
