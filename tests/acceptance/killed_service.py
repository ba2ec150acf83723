"""``hwdash serve`` that kills itself, with SIGKILL, at two places of each step of a submission.

Once before the step's effect, and once after it but before its commit; of a preproduction package, which has the same
steps, after those alone that leave files; of a shipping label in each step, when all is written and not committed. Run
by test_survives_being_killed.py, test_preproduction_signing.py and test_labels_survive_being_killed.py in the place of
``hwdash serve``. Each place kills once: a file in the folder named by the variable KILLED remembers it.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwdash.cli.main import cli
from hwdash.pipeline import label, preprod, submission
from hwdash.pipeline.work import Done, Waiting, Work

REMEMBERED = Path(os.environ["KILLED"])


def kill_once(place: str) -> None:
    mark = REMEMBERED / place
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def killed_after(place: str, run: Callable[..., Any]) -> Callable[..., Any]:
    def killed(*arguments: Any) -> Any:
        done = run(*arguments)
        kill_once(place)
        return done

    return killed


def killed_around(step: str, run: Callable[[Work], Done | Waiting]) -> Callable[[Work], Done | Waiting]:
    def killed(work: Work) -> Done | Waiting:
        kill_once(f"{step}-before")
        done = run(work)
        kill_once(f"{step}-after")
        return done

    return killed


if __name__ == "__main__":
    steps: Any = submission.STEPS
    for name in list(steps):
        steps[name] = killed_around(name, steps[name])
    steps = preprod.STEPS
    for name in ("preparation", "signing", "publishSignedFiles"):
        steps[name] = killed_after(f"preprod-{name}", steps[name])
    steps = label.STEPS
    for name in list(steps):
        steps[name] = killed_after(f"label-{name}", steps[name])
    cli(["serve", *sys.argv[1:]])
