"""300 MB of driver files hashed, catalogued and signed, against sha256sum and sha1sum of the same files.

Run: ``.venv/bin/python bench/signing.py``. The files are four PE images of 20 to 80 MB, grown out of the sample driver,
and flat files: two of 40 MB and two hundred small ones. They lie in the page cache for both sides.

Ours is one process (bench/timed/sign_files.py) from its start to its end: every file is digested by SHA-1 and SHA-256
as a catalog needs it (of PE images Authenticode's), the catalog's list is made, the catalog and each PE image get a
signature by RSA 3072, and the signed images and the catalog are written. It uses the functions of the pipeline, and
both cores.

The peer: ``sha256sum`` of all files and then ``sha1sum`` of all files (coreutils), which is hashing alone.

Three runs in turn; the medians count. The goal, at most 1.5 times the peer's time, is a ratio of 1/1.5. Our memory is
the greatest VmHWM (proc(5)) of our process. After the runs each signed image, and one through the catalog, is checked
by osslsigncode where that is installed.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hwdash.cli.demo import sample_driver
from hwdash.cli.package import write_development_certificate
from pipeline import content, with_section
from report import MIB, Measure, median, print_report

RUNS = 3
GOAL = 1 / 1.5
PEAK_GOAL_MB = 100
IMAGES = (80, 60, 40, 20)  # MiB, made a little smaller so that all files together have 300 MiB
FLAT = (40, 40)
SMALL = 200


def build_files(folder: Path) -> list[Path]:
    """The files; the same in every run."""
    numbers = random.Random("hwdash")
    sample = next(sample_driver().glob("*.sys")).read_bytes()
    plan = [(f"module{number}.sys", with_section(sample, size * MIB), size * MIB) for number, size in enumerate(IMAGES)]
    plan += [(f"symbols{number}.pdb", b"", size * MIB) for number, size in enumerate(FLAT)]
    plan += [(f"firmware{number:03}.bin", b"", 100 << 10) for number in range(SMALL)]
    for name, head, size in plan:
        with (folder / name).open("wb") as file:
            file.write(head)
            for piece in content(numbers, size):
                file.write(piece)
    return sorted(folder.iterdir())


def ours(files: list[Path], output: Path, certificate: Path, key: Path) -> tuple[float, float]:
    """Seconds and memory of one process."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    program = Path(__file__).parent / "timed" / "sign_files.py"
    command = [sys.executable, str(program), str(files[0].parent), str(output), str(certificate), str(key)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, float(done.stdout)


def peer(files: list[Path]) -> float:
    """Seconds of sha256sum and sha1sum, one after the other."""
    start = time.perf_counter()
    for tool in ("sha256sum", "sha1sum"):
        subprocess.run([tool, *map(str, files)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def problems(files: list[Path], output: Path, certificate: Path) -> Iterator[str]:
    """What osslsigncode says against the result; nothing where it is not installed."""
    tool = shutil.which("osslsigncode")
    if tool is None:
        return
    signed = [path for path in sorted(output.iterdir()) if path.suffix != ".cat"]
    first = next(path for path in files if path.name == signed[0].name)
    commands = [[tool, "verify", "-CAfile", str(certificate), str(path)] for path in signed]
    commands.append([tool, "verify", "-CAfile", str(certificate), "-c", str(output / "bench.cat"), str(first)])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"{' '.join(command)}: {done.stdout}"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as scratch:
        folder = Path(scratch, "files")
        folder.mkdir()
        files = build_files(folder)
        certificate, key = write_development_certificate("Bench Hardware Vendor", Path(scratch, "vendor"))
        output = Path(scratch, "signed")
        times: list[tuple[float, float]] = []
        peers: list[float] = []
        os.sync()
        for _ in range(RUNS):
            peers.append(peer(files))
            times.append(ours(files, output, certificate, key))
        for problem in problems(files, output, certificate):
            sys.exit(f"what was signed does not verify: {problem}")
        print(f"{sum(path.stat().st_size for path in files) / MIB:.0f} MiB in {len(files)} files")
        measure_of = Measure(
            name="signing",
            goal=round(GOAL, 3),
            ours=median([seconds for seconds, _ in times]),
            peer=median(peers),
            unit="s",
            peak_mb=max(peak for _, peak in times),
            peak_goal_mb=PEAK_GOAL_MB,
            smaller_is_better=True,
        )
        print_report([measure_of])


if __name__ == "__main__":
    main()
