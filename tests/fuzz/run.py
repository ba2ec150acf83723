"""``make fuzz``: every target, two at a time, for as many seconds in all as asked for; then a table.

Inputs that reached new code are kept in ``.fuzz/NAME/corpus`` and used by the next run; an input that broke something
is left in ``.fuzz/NAME`` under the name that the table gives.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from fuzz.targets import BROKEN, TARGETS  # noqa: E402 - run as a script, its package is found by the line above

SECONDS_FOR_ONE_INPUT = 10
MEGABYTES = 300
"""What a target may take, the interpreter and the instrumented code included (some 100 MB)."""


class Outcome(NamedTuple):
    """What a target's run gave; ``broken`` is the end of its output when it found something."""

    name: str
    runs: int
    peak_mb: int
    broken: str


def fuzz(
    names: Sequence[str], folder: Path, *, seconds: int, runs: int = -1, seed: int | None = None, jobs: int = 2
) -> list[Outcome]:
    """Run targets, from their seeds and what earlier runs kept: each for so long, or for so many inputs if fewer."""
    for name in names:
        corpus = folder / name / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for content in (TARGETS | BROKEN)[name].seeds():
            (corpus / sha256(content).hexdigest()[:16]).write_bytes(content)
        (folder / name / "status").unlink(missing_ok=True)
    options = {
        "max_total_time": seconds,
        "runs": runs,
        "timeout": SECONDS_FOR_ONE_INPUT,
        "rss_limit_mb": MEGABYTES,
        "artifact_prefix": "%/",
        "print_final_stats": 1,
        **({"seed": seed} if seed is not None else {}),
    }
    command = [
        sys.executable,
        HERE / "one_target.py",
        folder.absolute(),
        str(jobs),
        *names,
        *(f"-{key}={value}" for key, value in options.items()),
    ]
    started = subprocess.run(
        # A process takes the greatest memory of its parent for its own when it starts: a shell keeps ours out.
        ["sh", "-c", '"$@"; exit $?', "sh", *command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if started.returncode:
        raise RuntimeError(f"the targets could not be started: {started.stderr[-4000:]}")
    return [_outcome(name, folder / name) for name in names]


def _outcome(name: str, folder: Path) -> Outcome:
    said = (folder / "said").read_text(errors="replace")

    def number(label: str) -> int:
        found = re.search(rf"{label}:\s+(\d+)", said)
        return int(found[1]) if found else 0

    broken = said[-4000:] or "ended without a word" if (folder / "status").read_text() != "0" else ""
    return Outcome(name, number("number_of_executed_units"), number("peak_rss_mb"), broken)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=600, help="in all [600]")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="what is kept between runs [.fuzz]")
    asked = parser.parse_args(arguments)
    names = asked.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    each = max(1, 2 * asked.seconds // len(names))
    print(f"{len(names)} targets, {each} s each, two at a time", flush=True)
    outcomes = fuzz(names, asked.folder, seconds=each)
    print(f"{'target':24}{'inputs':>10}{'peak MB':>10}  findings")
    for outcome in outcomes:
        print(f"{outcome.name:24}{outcome.runs:>10}{outcome.peak_mb:>10}  {'FOUND' if outcome.broken else 'none'}")
    for outcome in outcomes:
        if outcome.broken:
            print(f"\n== {outcome.name}\n{outcome.broken}")
    return any(outcome.broken for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
