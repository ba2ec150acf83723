"""Reading INF files whole, against the standard library's ``configparser``.

Run: ``.venv/bin/python bench/inf.py``. Two things are read: the 138 INF and INX files of Microsoft's driver samples,
where the shared corpus lies beside the repository, and one INF of 1.7 MB that is made here, with the shape of the
largest ones in public: a display driver's thousands of device lines, registry values, file lists and strings. Both
sides decode the bytes and read every section; each run reads the samples ten times.

Ours keeps every entry in order, with its values split, unquoted and joined over continued lines, and the line and
column of each. The peer is ``configparser`` as well as it can be set up for INFs: no strictness, keys without values,
no interpolation, ``=`` alone as delimiter, ``;`` as comment also behind text, keys in their own case, a dictionary that
gathers repeated keys, and lines stripped before (it takes indented lines for continuations). It neither splits values
nor knows quotes and backslashes, and a file with text before its first section it refuses. What it loses is counted:
entries that cannot be had from its strings by splitting them at commas and taking off the quotes around.

Three runs in turn after one that is not timed, each side first once in a while; the medians count. The memory is that
of a process that reads the large INF and nothing else (VmHWM). Choosing the devices for every OS code is timed apart;
it has no peer.
"""

import configparser
import gc
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.encoding import decode
from hwdash.drivers.inf.models import devices_for
from hwdash.vocabulary import OPERATING_SYSTEMS
from report import peak_mb

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "inf"
LARGE_BYTES = 1_700_000
RUNS = 3
ROUNDS = 10
GOAL = 1.0
PEAK_GOAL_MB = 100

Files = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Result:
    """An object of the last line: seconds, and ``ratio`` of ours to the peer's, at most ``goal``."""

    name: str
    goal: float
    ours: float
    peer: float
    unit: str
    peak_mb: float
    peak_goal_mb: float
    ratio: float
    met: bool


# What is read


def samples() -> Files:
    """Microsoft's driver samples; nothing where they are not beside the repository."""
    return [
        (file.name, file.read_bytes()) for file in sorted(CORPUS.rglob("*")) if file.suffix.lower() in (".inf", ".inx")
    ]


def large_inf(size: int) -> bytes:
    """An INF of about ``size`` bytes, the same in every run, in ASCII as the largest ones are."""
    numbers = random.Random("hwdash")
    decorations = ["NTamd64.10.0...14393", "NTamd64.10.0...17763", "NTamd64.10.0...22000", "NTarm64.10.0...22000"]
    head = [
        "; An INF for a measurement.",
        "[Version]",
        'Signature   = "$WINDOWS NT$"',
        "Class       = Display",
        "ClassGuid   = {4D36E968-E325-11CE-BFC1-08002BE10318}",
        "Provider    = %Maker%",
        "DriverVer   = 01/02/2026, 1.2.3.4",
        "CatalogFile = bench.cat",
        "",
        "[Manufacturer]",
        f"%Maker% = Devices, {', '.join(decorations)}",
        "",
    ]
    sections: dict[str, list[str]] = {f"Devices.{decoration}": [] for decoration in decorations}
    installs: list[str] = []
    registry: list[str] = []
    files: list[str] = []
    strings = ['Maker = "Bench Hardware Vendor"']
    done = 0
    for number in itertools.count():
        device, subsystem = numbers.randrange(1 << 16), numbers.randrange(1 << 32)
        section = f"Section{number % 400:03}"
        name = f"%Bench_DEV.{device:04X}.{number:04}%"
        lines = [f"{name} = {section}, PCI\\VEN_1AF4&DEV_{device:04X}&SUBSYS_{subsystem:08X}" for _ in decorations]
        for each, line in zip(sections.values(), lines, strict=True):
            each.append(line)
        rare = number % 20 == 0  # doubled quotes and continued lines occur, but seldom
        text = f'"Bench Graphics {device:04X} ""{number}"""' if rare else f'"Bench Graphics {device:04X} {number}"'
        strings.append(f"{name.strip('%')} = {text}")
        values = [
            f"HKR,, Feature{number:04}_{index}, %REG_DWORD%, 0x{numbers.randrange(1 << 32):08x} ; as measured"
            for index in range(3)
        ]
        joint = " \\\r\n    " if rare else " "
        values.append(f'HKR,, "Setting {number}", %REG_MULTI_SZ%, "a;b",{joint}"c, d"')
        registry += values
        files.append(f"bench{number:04}.bin,,,0x00004000")
        done += sum(map(len, [*lines, *values, strings[-1], files[-1]])) + 2 * 11
        if number < 400:
            installs += [
                f"[{section}]",
                "CopyFiles = Files",
                "AddReg = Registry",
                f"FeatureScore = {number % 256:02X}",
                "",
            ]
        if done > size - 30_000:
            break
    body = [line for name, lines in sections.items() for line in (f"[{name}]", *lines, "")]
    tail = ["[Registry]", *registry, "", "[Files]", *files, "", "[DestinationDirs]", "DefaultDestDir = 13", ""]
    strings += ['REG_DWORD = "0x00010001"', 'REG_MULTI_SZ = "0x00010000"']
    return "\r\n".join([*head, *body, *installs, *tail, "[Strings]", *strings, ""]).encode("ascii")


# Who reads it


def ours(files: Files) -> list[Inf]:
    """Each file as our document."""
    return [Inf.parse(data, source=name) for name, data in files]


class Gathering(dict[str, Any]):
    """A dictionary in which ``configparser`` gathers the values of repeated keys: it stores each as a list of lines."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and isinstance(self.get(key), list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def peer(files: Files) -> list[configparser.RawConfigParser | None]:
    """Each file as ``configparser`` reads it; None for one that it refuses."""
    read: list[configparser.RawConfigParser | None] = []
    for name, data in files:
        parser = configparser.RawConfigParser(
            dict_type=Gathering,
            strict=False,
            allow_no_value=True,
            delimiters=("=",),
            comment_prefixes=(";",),
            inline_comment_prefixes=(";",),
            empty_lines_in_values=False,
            default_section="\0",
            interpolation=None,
        )
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep the case
        try:
            parser.read_file(map(str.strip, decode(data, source=name)[0].splitlines()), source=name)
        except configparser.Error:
            read.append(None)
        else:
            read.append(parser)
    return read


# What they found

Entries = Counter[tuple[str, str | None, tuple[str, ...]]]
"""Section, key and values of each entry, and how often it occurs."""


def our_entries(inf: Inf) -> Entries:
    return Counter(
        (section.name.lower(), entry.key, tuple(field.text for field in entry.values))
        for section in inf.sections
        for entry in section.entries
    )


def peer_entries(parser: configparser.RawConfigParser) -> Entries:
    """As one gets them from the peer's strings: split at commas, with the quotes around taken off."""
    found: Entries = Counter()
    for name in parser.sections():
        for key, text in parser.items(name):
            for line in [None] if text is None else text.split("\n"):
                values = (key if line is None else line).split(",")
                quoteless = tuple(value.strip().removeprefix('"').removesuffix('"') for value in values)
                found[name.lower(), None if line is None else key, quoteless] += 1
    return found


def ids(entries: Entries) -> int:
    """The IDs of devices, in the sections that [Manufacturer] names."""
    sections = set()
    for section, _, (base, *decorations) in entries:
        if section == "manufacturer":
            sections |= {base.lower(), *(f"{base}.{decoration}".lower() for decoration in decorations)}
    return sum(
        sum(map(bool, values[1:])) * count for (section, _, values), count in entries.items() if section in sections
    )


def print_losses(name: str, files: Files) -> None:
    """How much of each file the peer has kept as it is."""
    documents, parsers = ours(files), peer(files)
    entries = kept = our_ids = kept_ids = 0
    for inf, parser in zip(documents, parsers, strict=True):
        mine = our_entries(inf)
        both = mine & peer_entries(parser) if parser is not None else Counter()
        entries, kept = entries + mine.total(), kept + both.total()
        our_ids, kept_ids = our_ids + ids(mine), kept_ids + ids(both)
    print(f"{name}: {len(files)} files, {sum(len(data) for _, data in files)} bytes, {entries} entries, {our_ids} IDs")
    print(
        f"{name}: configparser refuses {parsers.count(None)} files and loses or changes {entries - kept} entries "
        f"({1 - kept / entries:.1%}), with {our_ids - kept_ids} IDs"
    )


# The measurement


def select_devices(documents: Sequence[Inf]) -> int:
    """The devices that each file has for every OS code there is; their number."""
    return sum(len(devices_for(inf, system)) for inf in documents for system in OPERATING_SYSTEMS)


def read_often(read: Callable[[Files], object], files: Files, rounds: int) -> None:
    for _ in range(rounds):
        read(files)


def seconds(read: Callable[[], object]) -> float:
    gc.collect()
    started = time.perf_counter()
    read()
    return time.perf_counter() - started


def measured(name: str, files: Files, rounds: int) -> tuple[float, float]:
    """The medians of three runs of each side in turn, in seconds for one reading of all files."""
    sides: dict[str, Callable[[Files], object]] = {"hwdash": ours, "configparser": peer}
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(RUNS + 1):
        for side in list(sides) if run % 2 else reversed(sides):
            read = sides[side]
            spent = seconds(partial(read_often, read, files, rounds)) / rounds
            if run:
                taken[side].append(spent)
                print(f"{name}, run {run}: {side} {spent * 1000:.1f} ms", flush=True)
    return statistics.median(taken["hwdash"]), statistics.median(taken["configparser"])


def peak_of_reading(files: Files) -> float:
    """The greatest memory of a process that reads these files with us, one after the other, in 2**20 bytes."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--peak"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    )
    answer, _ = process.communicate(b"".join(len(data).to_bytes(4, "big") + data for _, data in files))
    if process.returncode:
        raise RuntimeError("the process whose memory is measured has failed")
    return float(answer)


def report_own_peak() -> None:
    """The other end of ``peak_of_reading``."""
    while size := int.from_bytes(sys.stdin.buffer.read(4), "big"):
        Inf.parse(sys.stdin.buffer.read(size), source="measured.inf")
    print(peak_mb(os.getpid()))


def main() -> None:
    """Read everything with both, in turn, and report."""
    results = []
    large = [("large.inf", large_inf(LARGE_BYTES))]
    plan = [("138 driver samples", samples(), ROUNDS), (f"one INF of {len(large[0][1]) / 1e6:.1f} MB", large, 1)]
    if not plan[0][1]:
        print("the shared corpus is not beside the repository: only the large INF is read")
        del plan[0]
    for name, files, rounds in plan:
        print_losses(name, files)
        selected = seconds(partial(select_devices, ours(files)))
        print(f"{name}: devices for each of {len(OPERATING_SYSTEMS)} OS codes: {selected * 1000:.1f} ms")
        our_time, peer_time = measured(name, files, rounds)
        peak = peak_of_reading(files)
        ratio = our_time / peer_time
        results.append(
            Result(
                name=f"inf, full parse of {name} against tuned configparser",
                goal=GOAL,
                ours=our_time,
                peer=peer_time,
                unit="s",
                peak_mb=peak,
                peak_goal_mb=PEAK_GOAL_MB,
                ratio=ratio,
                met=ratio <= GOAL and peak < PEAK_GOAL_MB,
            )
        )
        print(f"{name}: {our_time * 1000:.1f} ms to {peer_time * 1000:.1f} ms, ratio {ratio:.2f}, peak {peak:.0f} MB")
    print(
        json.dumps(
            [
                {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(each).items()}
                for each in results
            ]
        )
    )


if __name__ == "__main__":
    report_own_peak() if sys.argv[1:] == ["--peak"] else main()
