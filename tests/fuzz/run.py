"""``make fuzz``: every target, two at a time, for as many seconds in all as asked for; then a table.

Inputs that reached new code are kept in ``.fuzz/NAME/corpus`` and used by the next run; an input that broke something
is left in ``.fuzz/NAME`` under the name that the table gives.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from fuzz.targets import BROKEN, TARGETS  # noqa: E402 - run as a script, its package is found by the line above

SECONDS_FOR_ONE_INPUT = 10
MEGABYTES = 300
"""What a target may take, the interpreter and the instrumented code included (some 60 MB)."""


class Outcome(NamedTuple):
    """What a target's run gave; ``broken`` is the end of its output when it found something."""

    name: str
    runs: int
    peak_mb: int
    broken: str


def fuzz(name: str, seconds: int, folder: Path, *, seed: int | None = None) -> Outcome:
    """Run a target, from its seeds and what earlier runs kept."""
    corpus = folder / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for content in (TARGETS | BROKEN)[name].seeds():
        (corpus / sha256(content).hexdigest()[:16]).write_bytes(content)
    options = {
        "max_total_time": seconds,
        "timeout": SECONDS_FOR_ONE_INPUT,
        "rss_limit_mb": MEGABYTES,
        "artifact_prefix": f"{folder / name}/",
        "print_final_stats": 1,
        **({"seed": seed} if seed is not None else {}),
    }
    command = [
        sys.executable,
        HERE / "one_target.py",
        name,
        *(f"-{key}={value}" for key, value in options.items()),
        corpus,
    ]
    ended = subprocess.run(
        # A process counts the greatest memory of its parent as its own at its start: a shell between keeps ours out.
        ["sh", "-c", '"$@"; exit $?', "sh", *command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds + 20 * SECONDS_FOR_ONE_INPUT,
    )
    said = ended.stdout + ended.stderr

    def number(label: str) -> int:
        found = re.search(rf"{label}:\s+(\d+)", said)
        return int(found[1]) if found else 0

    broken = said[-4000:] if ended.returncode else ""
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
    print(f"{len(names)} targets, {each} s each, two at a time")
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda name: fuzz(name, each, asked.folder), names))
    print(f"{'target':24}{'inputs':>10}{'peak MB':>10}  findings")
    for outcome in outcomes:
        print(f"{outcome.name:24}{outcome.runs:>10}{outcome.peak_mb:>10}  {'FOUND' if outcome.broken else 'none'}")
    for outcome in outcomes:
        if outcome.broken:
            print(f"\n== {outcome.name}\n{outcome.broken}")
    return any(outcome.broken for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
