"""Malware rules by yara-x, in the bounded child process and nowhere else: its engine takes memory that a service need
not hold.

Source: the yara-x Python API; facts/package-formats.md (Scanning).
"""

import errno
import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yara_x

from hwdash.drivers.errors import LimitExceeded
from hwdash.pipeline.scan_engines import Detection, ScannerUnavailable, ScanReport

_OUR_RULES = Path(__file__).with_name("rules")
_YARA_NOTES = [
    "yara-x looks at the package's files as they are: it does not look into archives, installers or compressed code.",
    "Every rule that matches counts as a detection.",
]
# Names by which published rules ask for the file they look at, since yara-x itself knows only its bytes.
_EXTERNAL_VARIABLES = ("filename", "filepath", "extension")


def scan_with_yara(
    rules_folder: Path | None, files: Sequence[tuple[str, Path]], *, timeout_seconds: int = 120
) -> ScanReport:
    """Scan ``files`` (name, path) by our own rules and by every ``*.yar`` and ``*.yara`` file in ``rules_folder``.

    Runs in the bounded child process (`scan_files`). A file is mapped, not read: it takes address space of its size,
    and the engine takes some 250 MB beside it. ``timeout_seconds`` bounds the time for one file. Raises `LimitExceeded`
    for a file that takes longer, `MemoryError` for one that has no room, `ScannerUnavailable` for rules that do not
    compile, with file and line.
    """
    rules, version = _compiled(rules_folder)
    scanner = yara_x.Scanner(rules)
    scanner.set_timeout(timeout_seconds)
    scanner.fast_scan(True)  # whether a rule matches is all that is asked
    scanned_bytes = 0
    detections: list[Detection] = []
    for name, path in files:
        inner = PurePosixPath(name.replace("\\", "/"))
        for variable, value in zip(_EXTERNAL_VARIABLES, (inner.name, name, inner.suffix.lower()), strict=True):
            scanner.set_global(variable, value)
        scanned_bytes += path.stat().st_size
        try:
            results = scanner.scan_file(str(path))
        except yara_x.TimeoutError:
            raise LimitExceeded(f"took longer than {timeout_seconds} seconds to scan", source=name) from None
        except yara_x.ScanError as error:
            if f"os error {errno.ENOMEM}" in str(error):
                raise MemoryError(str(error)) from None
            raise ScannerUnavailable(f"yara-x could not scan {name}: {error}") from error
        detections += [Detection(name, f"{rule.namespace}:{rule.identifier}") for rule in results.matching_rules]
    return ScanReport(
        "yara-x", version, sum(1 for _ in rules), len(files), scanned_bytes, detections, list(_YARA_NOTES)
    )


def scan_files(arguments: dict[str, Any]) -> dict[str, Any]:
    """A task of `run_in_child`: ``rules`` is a folder or null, ``files`` pairs of name and path. Answers a report."""
    rules = arguments["rules"]
    files = [(name, Path(path)) for name, path in arguments["files"]]
    return scan_with_yara(Path(rules) if rules else None, files).to_json()


def count_rules(arguments: dict[str, Any]) -> int:
    """A task of `run_in_child`: how many rules there are, ours and those in the folder ``rules``.

    `ScannerUnavailable` where they do not compile.
    """
    rules = arguments["rules"]
    return sum(1 for _ in _compiled(Path(rules) if rules else None)[0])


def _compiled(rules_folder: Path | None) -> tuple[yara_x.Rules, str]:
    """The rules, and the version to report: of the engine, and a digest of the rules' sources."""
    compiler = yara_x.Compiler(includes_enabled=False)  # every file of the folder is compiled anyway
    for variable in _EXTERNAL_VARIABLES:
        compiler.define_global(variable, "")
    sources = hashlib.sha256()
    for owner, folder in (("hwdash", _OUR_RULES), ("local", rules_folder)):
        if folder is None:
            continue
        paths = sorted(path for path in folder.glob("*") if path.suffix in {".yar", ".yara"})
        if not paths:
            raise ScannerUnavailable(f"There are no rules (*.yar, *.yara) in {folder}")
        for path in paths:
            try:
                text = path.read_text("utf-8")
                compiler.new_namespace(f"{owner}.{path.stem}")
                compiler.add_source(text, origin=str(path))
            except (yara_x.CompileError, UnicodeDecodeError, OSError) as error:
                raise ScannerUnavailable(f"The rules in {path} do not compile: {error}") from error
            sources.update(hashlib.sha256(text.encode()).digest())
    rules = compiler.build()
    return rules, f"{importlib.metadata.version('yara-x')}, rules {sources.hexdigest()[:12]}"
