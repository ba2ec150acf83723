"""scanning: is there malware in it? clamd when it is configured, yara-x otherwise; the report says which, and with how
many signatures. And is a file of it on the operator's list of known bad drivers?
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from hwdash.drivers.errors import DriversError
from hwdash.pipeline.bad_hashes import bad_files, known_drivers
from hwdash.pipeline.child import ChildFailed, ChildLimits, run_in_child
from hwdash.pipeline.scan_engines import ScannerUnavailable, ScanReport, scan_with_clamd
from hwdash.pipeline.work import Done, StepFailed, Work
from hwdash.settings import Settings


def run(work: Work) -> Done:
    """Result: the scan report (see scan_engines.ScanReport), and ``badDrivers``: how many entries the list has that was
    looked through, null without one.
    """
    prepared = work.results["preparation"]
    folder = work.workspace / prepared["folder"]
    facts = [(file, folder / file["stored"]) for bundle in prepared["bundles"] for file in bundle["files"]]
    files = [(file["path"], path) for file, path in facts]
    settings = work.resources.settings
    known = known_drivers(settings)
    bad = list(bad_files(known, facts)) if known is not None else []
    if settings.clamd:
        try:
            report = scan_with_clamd(settings.clamd, _opened(files))
        except DriversError as problem:
            remedy = "Make the file smaller, or have the operator raise clamd's limits (MaxScanSize, MaxFileSize)."
            raise StepFailed([f"ERROR package.not-scanned: {problem}. {remedy}"]) from problem
    else:
        rules = Path(settings.yara_rules).absolute() if settings.yara_rules else None
        arguments = {"files": [[name, str(path)] for name, path in files], "rules": str(rules) if rules else None}
        answer = work.in_child(
            "yara_engine:scan_files",
            arguments,
            readable=[rules] if rules else [],
            # yara-x maps the file that it looks at into its address space.
            mapped_bytes=max(path.stat().st_size for _, path in files),
            remedy="Make the file smaller, or have the operator raise child_memory_mb and child_seconds.",
        )
        report = ScanReport.from_json(answer)
    if report.detections or bad:
        raise StepFailed(
            bad
            + [
                f"ERROR package.malware in {each.file}: {report.engine} {report.version} found {each.signature}. "
                "Remove the file; if it is harmless, have the scanner's vendor correct the signature."
                for each in report.detections
            ]
        )
    if report.scanned_files != len(files):
        raise RuntimeError(f"{report.engine} scanned {report.scanned_files} of {len(files)} files")
    return Done(report.to_json() | {"badDrivers": known.entries if known is not None else None})


def check_rules(settings: Settings) -> None:
    """Do the rules compile? Raises ScannerUnavailable with file and line. For the start of the service."""
    rules = Path(settings.yara_rules).absolute() if settings.yara_rules else None
    if rules is not None and not rules.is_dir():
        raise ScannerUnavailable(f"There is no folder {rules}: set yara_rules to one with *.yar files")
    try:
        run_in_child(
            "hwdash.pipeline.yara_engine:count_rules",
            {"rules": str(rules) if rules else None},
            readable=[rules] if rules else [],
            limits=ChildLimits(memory_mb=settings.child_memory_mb),
        )
    except ChildFailed as failure:
        raise ScannerUnavailable(failure.message) from failure


def _opened(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, BinaryIO]]:
    """The files one after the other, each open while it is looked at."""
    for name, path in files:
        with path.open("rb") as stream:
            yield name, stream
