"""scanning: is there malware in it? clamd when it is configured, yara-x otherwise; the report says which, and with how many signatures."""

from contextlib import ExitStack
from pathlib import Path

from hwdash.pipeline.scan_engines import ScanReport, scan_with_clamd
from hwdash.pipeline.work import Done, StepFailed, Work


def run(work: Work) -> Done:
    """Result: the scan report (see scan_engines.ScanReport)."""
    prepared = work.results["preparation"]
    folder = work.workspace / prepared["folder"]
    files = [(file["path"], folder / file["stored"]) for bundle in prepared["bundles"] for file in bundle["files"]]
    settings = work.resources.settings
    if settings.clamd:
        with ExitStack() as opened:
            report = scan_with_clamd(
                settings.clamd, ((name, opened.enter_context(path.open("rb"))) for name, path in files)
            )
    else:
        report = ScanReport.from_json(
            work.in_child(
                "scan_engines:scan_files",
                {
                    "files": [[name, str(path)] for name, path in files],
                    "rules": str(Path(settings.yara_rules).absolute()) if settings.yara_rules else None,
                },
                readable=[Path(settings.yara_rules).absolute()] if settings.yara_rules else [],
            )
        )
    if report.detections:
        raise StepFailed(
            [
                f"ERROR package.malware in {each.file}: {report.engine} {report.version} found {each.signature}. "
                "Remove the file; if it is harmless, have the scanner's vendor correct the signature."
                for each in report.detections
            ]
        )
    if report.scanned_files != len(files):
        raise RuntimeError(f"{report.engine} scanned {report.scanned_files} of {len(files)} files")
    return Done(report.to_json())
