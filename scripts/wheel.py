"""Build the wheel twice, from two copies of the checkout in different places, and compare: ``make wheel``.

The time in it is SOURCE_DATE_EPOCH, else that of the last commit. Prints ``wheel: PATH`` and ``sha256: HEX``; ends
with 1 when the two differ.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"


def sources() -> list[str]:
    """What git has of the checkout, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [each for each in listed.split("\0") if each and (ROOT / each).is_file()]


def epoch() -> str:
    """Seconds since 1970 of what is built."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.strip()


def build(folder: Path, seconds: str) -> Path:
    """A wheel from a copy of the sources in this folder."""
    copy = folder / "checkout"
    for each in sources():
        (copy / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / each, copy / each)
    out = folder / "dist"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": seconds}
    subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=True)  # noqa: S603
    (wheel,) = out.glob("*.whl")
    return wheel


def main() -> int:
    """Build, compare, keep."""
    seconds = epoch()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory(prefix="another-place-") as second:
        wheels = [build(Path(folder), seconds) for folder in (first, second)]
        digests = [hashlib.sha256(each.read_bytes()).hexdigest() for each in wheels]
        if len(set(digests)) > 1:
            print(f"the two wheels differ: {' and '.join(digests)}", file=sys.stderr)
            return 1
        DIST.mkdir(exist_ok=True)
        kept = shutil.copyfile(wheels[0], DIST / wheels[0].name)
    print(f"wheel: {kept}\nsha256: {digests[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
