"""The service's judgement on a package before it is submitted: the same functions, run here and without a service.

What only a service knows stays open: whether the signer is registered, and what a malware scanner says.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hwdash.drivers.errors import DriversError
from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.verify import Mode
from hwdash.drivers.package import Kind
from hwdash.drivers.package_contents import check_signatures
from hwdash.pipeline.inf_policy import SERVICE_MODE
from hwdash.pipeline.inspection import UNREADABLE_INFS, check_infs, inspect_package, prepare
from hwdash.pipeline.validation import signatures_not_served
from hwdash.pipeline.work import REBUILD


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known of a package. ``findings``: errors first, then by file and line.

    ``signer`` is the subject of the certificate, when the signature holds. ``is_declarative`` is None and
    ``is_universal`` "unknown" when the package could not be unpacked.
    """

    findings: list[Finding]
    signer: str | None = None
    is_declarative: bool | None = None
    is_universal: str = "unknown"
    is_extension: bool = False

    @property
    def is_valid(self) -> bool:
        """The service would not refuse the package for what it finds in it."""
        return not any(finding.level == "error" for finding in self.findings)


def preflight(
    package: Path,
    *,
    kind: Kind = "attestation",
    signatures: Sequence[str] = (),
    mode: Mode = SERVICE_MODE,
    today: date | None = None,
) -> Preflight:
    """Judge ``package``, a file or a folder of driver folders, and tell everything at once.

    ``signatures`` are OS codes; ``today`` is in UTC. What is found goes on from step to step, where the service stops
    after the step that found an error. Never raises for what is wrong with the package.
    """
    with tempfile.TemporaryDirectory(prefix="hwdash-preflight-") as folder:
        run = _Run(package, kind, folder)
        run.take(check_signatures(signatures, kind))
        inspected = run.step(inspect_package)
        prepared = None
        if inspected is not None and inspected["files"]:
            prepared = run.step(prepare, submission=0, signatures=signatures, today=today and today.isoformat())
        checked = None
        if prepared is not None:
            checked = run.step(check_infs, bundles=_readable(prepared, run.findings), mode=mode)
        if checked is not None and prepared is not None and checked["hasDevices"]:
            run.take(signatures_not_served(prepared["metadata"], signatures))
    broken = any(each.rule in UNREADABLE_INFS for each in run.findings)
    return Preflight(
        findings=run.ordered(),
        signer=inspected["signer"]["subject"] if inspected is not None and "signer" in inspected else None,
        is_declarative=None if checked is None else checked["isDeclarative"] and not broken,
        is_universal=prepared["universal"]["verdict"] if prepared is not None else "unknown",
        is_extension=prepared is not None and prepared["isExtension"],
    )


class _Run:
    """The steps over one package, and what they found."""

    def __init__(self, package: Path, kind: Kind, folder: str) -> None:
        self.findings: list[Finding] = []
        self._arguments: dict[str, Any] = {
            "package": [str(package)],
            "name": package.name,
            "kind": kind,
            "folder": folder,
        }

    def take(self, findings: Sequence[Finding]) -> None:
        self.findings += findings

    def step(self, function: Any, **arguments: Any) -> dict[str, Any] | None:
        """One step's answer; None when it cannot read the package, which is then a finding."""
        try:
            answer: dict[str, Any] = function(self._arguments | arguments)
        except DriversError as problem:
            self.take([Finding("package.unreadable", "error", f"{problem}.", REBUILD, self._arguments["name"])])
            return None
        self.take([Finding.from_json(each) for each in answer["findings"]])
        return answer

    def ordered(self) -> list[Finding]:
        return sorted(
            dict.fromkeys(self.findings),
            key=lambda each: (each.level != "error", each.file or "", each.line or 0, each.rule),
        )


def _readable(prepared: dict[str, Any], findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The bundles without the INFs that cannot be parsed: a finding says so already."""
    broken = {each.file for each in findings if each.rule in UNREADABLE_INFS}
    return [
        bundle | {"files": [file for file in bundle["files"] if file["path"] not in broken]}
        for bundle in prepared["bundles"]
    ]
