"""Unpacking cabinets into a folder, against ``cabextract``.

Run: ``.venv/bin/python bench/cabinet.py``. Two cabinets, each of 400 MB of plain content in files of 1 MB: the
compiled modules of the Python packages that are installed here, which is machine code of the entropy that drivers have.

MSZIP: written by ``hwdash.drivers.cab_writer``, all of the content in one folder. LZX: 8 MB of the same content, taken
from the largest modules, compressed once by the compressor of the tests (window of 2 MB, x86 calls translated), because
nothing else on Linux writes LZX; the folder then stands in the cabinet again and again, each with bytes of its own to
read. Windows' own compressor packs some tighter.

Ours: a Python process that opens the cabinet, checks its limits and writes every piece that ``Cabinet.extract`` gives
to the file it belongs to. The peer: ``cabextract -q -d FOLDER``. Both read the same cabinet, verify the checksum of
every block, write the same files to the same file system in writes of 32 KB, start a process of their own, and are
timed from its start to its end. With libmspack ours unpacks LZX by the code that cabextract has too; what it unpacks in
plain Python is timed once, on 8 MB, and has no goal.

A first run of each is not timed: the files are compared, byte for byte. Then three runs in turn, the disk synced before
each; the medians count. The memory is the greatest of our process (VmHWM, proc(5)).
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hwdash.drivers import libmspack
from hwdash.drivers.cab import write_cabinet
from report import MIB, Measure, median, print_report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cab_builder import Folder, build_cabinet
from lzx_writer import lzx_folder

RUNS = 3
PEAK_GOAL_MB = 100
GOALS = {"MSZIP": 0.8, "LZX": 0.5}
SAMPLE_FILES = 8  # of 1 MB: what LZX is compressed of
SMALLEST_MODULE = 100_000
# Our side, in a process of its own; it prints its greatest memory in MB.
OURS = """
import pathlib, sys
from hwdash.drivers.cab import Cabinet, CabinetLimits
folder = pathlib.Path(sys.argv[2])
with open(sys.argv[1], "rb") as stream:
    cabinet = Cabinet.open(stream, source=sys.argv[1])
    cabinet.check_limits(CabinetLimits())
    for file, pieces in cabinet.extract(use_libmspack=sys.argv[3] == "libmspack"):
        with open(folder / file.name, "wb", buffering=0) as out:
            for piece in pieces:
                out.write(piece)
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak.split()[1]) / 1024)
"""


def machine_code() -> Iterator[bytes]:
    """Megabytes of compiled modules, the largest first, without end."""
    modules = {path.resolve() for path in Path(sys.prefix).rglob("*.so*") if path.is_file()}
    listed = [path for path in modules if path.stat().st_size >= SMALLEST_MODULE]
    for path in itertools.cycle(sorted(listed, key=lambda path: (-path.stat().st_size, path.name))):
        with path.open("rb") as file:
            while piece := file.read(MIB):
                yield piece + bytes(MIB - len(piece))


def write_mszip(path: Path, megabytes: int) -> None:
    """A cabinet of this much plain content."""
    entries = [(f"{number}.bin", content) for number, content in enumerate(itertools.islice(machine_code(), megabytes))]
    with path.open("w+b") as stream:
        write_cabinet(stream, entries)


def write_lzx(path: Path, megabytes: int) -> None:
    """A cabinet of this much plain content, in folders of the same 8 MB."""
    sample = itertools.islice(machine_code(), 0, 10 * SAMPLE_FILES, 10)
    one = lzx_folder([(f"{number}.bin", content) for number, content in enumerate(sample)], 21, call_size=12_000_000)
    folders = [
        Folder(one.method, one.blocks, one.size, [(f"{number}-{name}", *place) for name, *place in one.files])
        for number in range(max(megabytes // SAMPLE_FILES, 1))
    ]
    path.write_bytes(build_cabinet(folders))


def run(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds that the command took with an empty folder, and what it printed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    start = time.perf_counter()
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return time.perf_counter() - start, printed


def compare(ours: Path, peer: Path) -> None:
    """End the bench when the two folders differ."""
    names = sorted(path.name for path in ours.iterdir())
    if not names or names != sorted(path.name for path in peer.iterdir()):
        sys.exit("the two sides unpacked different files")
    if different := [name for name in names if (ours / name).read_bytes() != (peer / name).read_bytes()]:
        sys.exit(f"the two sides unpacked different content: {', '.join(different)}")


def measure(name: str, cabinet: Path, folder: Path, megabytes: int) -> Measure:
    """Both sides in turn over one cabinet."""
    ours_folder, peer_folder = folder / "ours", folder / "peer"
    ours = [sys.executable, "-c", OURS, str(cabinet), str(ours_folder), "libmspack"]
    peer = ["cabextract", "-q", "-d", str(peer_folder), str(cabinet)] if shutil.which("cabextract") else None
    print(f"{name}: {cabinet.stat().st_size / MIB:.0f} MB that unpack to {megabytes} MB", flush=True)
    _, printed = run(ours, ours_folder)
    peaks, our_speeds, peer_speeds = [float(printed)], [], []
    if peer is None:
        print("the peer cannot be had: cabextract is not installed")
    else:
        run(peer, peer_folder)
        compare(ours_folder, peer_folder)
    for number in range(1, RUNS + 1):
        seconds, printed = run(ours, ours_folder)
        our_speeds.append(megabytes / seconds)
        peaks.append(float(printed))
        print(f"run {number}: hwdash {our_speeds[-1]:.0f} MB/s", flush=True)
        if peer is not None:
            peer_speeds.append(megabytes / run(peer, peer_folder)[0])
            print(f"run {number}: cabextract {peer_speeds[-1]:.0f} MB/s", flush=True)
    return Measure(
        name=f"cabinet of {name}, unpacked into a folder, against cabextract",
        goal=GOALS[name],
        ours=median(our_speeds),
        peer=median(peer_speeds),
        unit="MB/s",
        peak_mb=max(peaks),
        peak_goal_mb=PEAK_GOAL_MB,
    )


def main(megabytes: int) -> None:
    """Make the cabinets, run both sides, report."""
    if libmspack.load() is None:
        print("libmspack is not installed: LZX is read in plain Python here")
    with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as name:
        folder = Path(name)
        mszip, lzx, small = folder / "mszip.cab", folder / "lzx.cab", folder / "small.cab"
        write_mszip(mszip, megabytes)
        write_lzx(lzx, megabytes)
        write_lzx(small, SAMPLE_FILES)
        measures = [measure("MSZIP", mszip, folder, megabytes), measure("LZX", lzx, folder, megabytes)]
        python = [sys.executable, "-c", OURS, str(small), str(folder / "ours"), "Python"]
        print(f"LZX in plain Python: {SAMPLE_FILES / run(python, folder / 'ours')[0]:.1f} MB/s")
    print_report(measures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400, help="plain content of each cabinet; a multiple of 8")
    main(parser.parse_args().megabytes)
