"""What is done with the bytes of a package. In the service every function here runs in the bounded child process
(pipeline/child.py) and nowhere else; `hwdash package check` runs the same ones on a developer's own package.

They take and return JSON: findings, metadata, digests and offsets. All take ``package``, the paths of the package's
segments, and ``name``, what it is called in messages.
"""

import hashlib
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.errors import DriversError, ParseError
from hwdash.drivers.findings import Finding
from hwdash.drivers.hlkx import Hlkx
from hwdash.drivers.hlkx_shell import package_facts
from hwdash.drivers.inf.document import MAX_BYTES, Inf
from hwdash.drivers.inf.metadata import driver_metadata, pnp_positions
from hwdash.drivers.inf.models import devices_for, manufacturers
from hwdash.drivers.inf.verify import syntax_error, verify
from hwdash.drivers.package import (
    Kind,
    check_architectures,
    check_inf_references,
    check_layout,
    driver_folders,
    unsafe_path_reason,
)
from hwdash.drivers.package_contents import DriverFolder, check_contents
from hwdash.drivers.universal import universal_report
from hwdash.pipeline.inf_policy import SERVICE_MODE, as_the_service_judges, is_declarative
from hwdash.pipeline.package_source import FORM_OF, PackageSource, opened
from hwdash.pipeline.unpacking import Measured, unpack
from hwdash.vocabulary import OperatingSystem, operating_system

LIMITS = CabinetLimits()
# Bundle ids are GUIDs (contract/api.md 1.5), the same in every run over the same package.
BUNDLES = uuid.UUID("6f1d0bde-1f0c-4a35-9d5e-0a3c0a5b7f21")
UNREADABLE_INFS = frozenset({"inf.1002", "package.inf-unreadable"})
"""The rules of an INF that `prepare` cannot read."""
CATALOG_NAME = re.compile(r"[^/\\]+\.cat", re.IGNORECASE)


def inspect_package(arguments: dict[str, Any]) -> dict[str, Any]:
    """Open the package, check its container, signature and layout; extract nothing.

    Further arguments: ``kind`` (drivers/package.py), and ``folder``, for a temporary file. Answers {"findings",
    "signer": {"thumbprint", "subject"} or absent, "digest" (hex, of what the signature covers), "files", "bytes",
    "packageInfo" (drivers/hlkx_shell.py; of an HLK package)}.
    """
    name, kind = arguments["name"], arguments["kind"]
    answer: dict[str, Any] = {"files": 0, "bytes": 0}
    try:
        with opened([Path(each) for each in arguments["package"]], name, Path(arguments["folder"])) as source:
            source.container.check_limits(LIMITS)
            files = source.container.files
            answer |= {"files": len(files), "bytes": sum(file.size for file in files)}
            findings = [*_container(source, kind, name), *source.findings]
            if isinstance(source.container, Hlkx):
                answer["packageInfo"] = package_facts(source.container.package_info)
            # An HLK package says itself that there is no driver in it.
            if files or source.form != "HLK package":
                findings += check_layout([file.name for file in files], kind)
            findings += _signature(source, name, answer)
    except ParseError as problem:
        if problem.field != "zip64":
            raise
        findings = [_zip64(name)]
    answer["findings"] = [each.to_json() for each in findings]
    return answer


def _container(source: PackageSource, kind: Kind, name: str) -> Iterator[Finding]:
    wanted = FORM_OF[kind]
    if source.form in (wanted, "folder"):
        return
    cabinet = wanted == "cabinet"
    yield Finding(
        rule="package.container",
        level="error",
        message=f"The package is a {source.form}; {'WHQL' if kind == 'whql' else kind} takes "
        + ("a signed cabinet." if cabinet else "a signed package of the HLK or HCK (.hlkx, .hckx)."),
        remedy="Make a cabinet of the driver folders with hwdash package build, and sign it."
        if cabinet
        else "Make and sign the package with HLK Studio, or create the product with testHarness Attestation.",
        file=name,
    )


def _zip64(name: str) -> Finding:
    return Finding(
        rule="package.zip-large",
        level="error",
        message="The file uses Zip64, the form for zip files of more than 4 GB, which the Hardware dashboard refuses.",
        remedy="Leave out what is not needed, and pack it anew without Zip64.",
        file=name,
    )


def _signature(source: PackageSource, name: str, answer: dict[str, Any]) -> Iterator[Finding]:
    """Add signer and digest to the answer, or say why there is none. Zip files and folders carry none."""
    if source.form in ("zip file", "folder") or (source.form == "HLK package" and not source.is_signed):
        return
    try:
        signature = source.verify()
    except DriversError as problem:
        unsigned = not source.is_signed
        yield Finding(
            rule="package.unsigned" if unsigned else "package.signature-invalid",
            level="error",
            message=f"SignatureValidationFailed: {getattr(problem, 'message', problem)}.",
            remedy="Sign the cabinet (SHA-256) with a certificate that is registered with the account: "
            "hwdash package sign."
            if unsigned
            else f"Sign the {source.form} anew, and do not change it afterwards.",
            file=name,
        )
    else:
        answer["signer"] = {
            "thumbprint": signature.signer.fingerprint(SHA256()).hex(),
            "subject": _subject(signature.signer),
        }
        # The signing record has room for a SHA-256; a longer digest is told by its own.
        digest = signature.digest
        answer["digest"] = digest.hex() if len(digest) == 32 else hashlib.sha256(digest).hexdigest()


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def prepare(arguments: dict[str, Any]) -> dict[str, Any]:
    """Unpack the package into ``folder``, measure every file, and read the INFs.

    Further arguments: ``submission`` (its id), ``signatures`` (OS codes), ``kind``, and ``today``, an ISO date in UTC
    or None. Answers {"bundles", "metadata", "positions", "isExtension", "universal", "findings"}: see
    pipeline/preparation.py.
    """
    folder = Path(arguments["folder"])
    findings: list[Finding] = []
    measured: dict[str, Measured] = {}
    with opened([Path(each) for each in arguments["package"]], arguments["name"], folder) as source:
        source.container.check_limits(LIMITS)
        for file in unpack(source.container, folder):
            measured[file.facts["path"]] = file
            findings += file.findings
    systems = _systems(arguments["signatures"])
    bundles, driver_folders_read = [], []
    infs_of_bundles: dict[str, list[tuple[str, Inf]]] = {}
    for name, paths in sorted(driver_folders(list(measured)).items()):
        bundle_id = str(uuid.uuid5(BUNDLES, f"{arguments['submission']}/{name}"))
        infs: list[tuple[str, Inf]] = []
        for path in sorted(paths):
            if path.lower().endswith(".inf"):
                try:
                    infs.append((path.rsplit("/", 1)[-1], read_inf(folder / measured[path].facts["stored"], path)))
                except DriversError as problem:
                    findings.append(_unreadable(problem, path))
        infs_of_bundles[bundle_id] = infs
        binaries = [found for path in sorted(paths) if (found := measured[path].binary) is not None]
        driver_folders_read.append(DriverFolder(name, sorted(paths), [inf for _, inf in infs], binaries))
        bundles.append(
            {
                "id": bundle_id,
                "folder": name,
                "files": [measured[path].facts for path in sorted(paths)],
                "catalogs": _catalog_names(name, infs, findings),
                "hardwareIds": _hardware_ids(infs, systems),
            }
        )
    findings += check_architectures({each.name: each.infs for each in driver_folders_read})
    today = date.fromisoformat(arguments["today"]) if arguments["today"] else None
    findings += check_contents(driver_folders_read, arguments["kind"], today)
    return {
        "bundles": bundles,
        "metadata": driver_metadata(infs_of_bundles, systems),
        "positions": pnp_positions(infs_of_bundles, systems),
        "isExtension": any(inf.version.is_extension for each in driver_folders_read for inf in each.infs),
        "universal": _universal([measured[path] for path in sorted(measured)]),
        "findings": [each.to_json() for each in findings],
    }


def _universal(files: Sequence[Measured]) -> dict[str, Any]:
    unreadable = [file.facts["path"] for file in files if file.binary is not None and file.imports is None]
    return universal_report([file.imports for file in files if file.imports is not None], unreadable)


def _unreadable(problem: DriversError, path: str) -> Finding:
    if isinstance(problem, ParseError):
        return syntax_error(problem)
    return Finding(
        rule="package.inf-unreadable",
        level="error",
        message=f"The INF {getattr(problem, 'message', problem)}.",
        remedy="Make it smaller.",
        file=path,
    )


def read_inf(stored: Path, path: str) -> Inf:
    """The INF that was unpacked as ``stored``. Raises ParseError and LimitExceeded."""
    with stored.open("rb") as stream:
        # One byte too many is enough for the parser to refuse the file by its size.
        return Inf.parse(stream.read(min(os.fstat(stream.fileno()).st_size, MAX_BYTES + 1)), source=path)


def _systems(codes: Sequence[str]) -> list[OperatingSystem]:
    return [known for code in codes if (known := operating_system(code, accept_new=True)) is not None]


def _catalog_names(folder: str, infs: Sequence[tuple[str, Inf]], findings: list[Finding]) -> list[str]:
    """The catalogs that the INFs of a folder ask for, each once; an INF that names none gets one of its own name."""
    names: dict[str, str] = {}
    for file, inf in infs:
        named = {key: name for key, name in inf.version.catalog_files.items() if name}
        for decoration, name in named.items() or [("", f"{file.rsplit('.', 1)[0]}.cat")]:
            if CATALOG_NAME.fullmatch(name) is None or unsafe_path_reason(name) is not None:
                entry = inf.first("Version", f"CatalogFile{decoration}")
                line = entry.line if entry is not None else inf.version.line
                findings.append(_no_catalog_name(f"{folder}/{file}", name, line))
            else:
                names.setdefault(name.casefold(), name)
    return list(names.values())


def _no_catalog_name(path: str, name: str, line: int) -> Finding:
    return Finding(
        rule="package.catalog-name",
        level="error",
        message=f"The catalog cannot be called {name!r}.",
        remedy="CatalogFile must be a plain file name that ends in .cat.",
        file=path,
        line=line or None,
    )


def _hardware_ids(infs: Sequence[tuple[str, Inf]], systems: Sequence[OperatingSystem]) -> list[str]:
    ids: dict[str, None] = {}
    for _, inf in infs:
        for system in systems:
            for device in devices_for(inf, system):
                ids.update((each.lower(), None) for each in device.ids)
    return list(ids)


def check_infs(arguments: dict[str, Any]) -> dict[str, Any]:
    """Judge the INFs and what they name.

    Further arguments: ``folder``, and ``bundles`` as ``prepare`` answers them; ``mode`` is the service's own unless a
    developer asks for another. Answers {"findings", "isDeclarative", "hasDevices"}.
    """
    folder, mode = Path(arguments["folder"]), arguments.get("mode", SERVICE_MODE)
    findings: list[Finding] = []
    declarative, devices = True, False
    for bundle in arguments["bundles"]:
        inside = {file["path"][len(bundle["folder"]) :].lstrip("/").lower() for file in bundle["files"]}
        for file in bundle["files"]:
            if not file["path"].lower().endswith(".inf"):
                continue
            inf = read_inf(folder / file["stored"], file["path"])
            judged = verify(inf, mode=SERVICE_MODE)
            declarative = declarative and is_declarative(judged)
            devices = devices or bool(manufacturers(inf))
            if mode == SERVICE_MODE:
                findings += map(as_the_service_judges, judged)
            else:
                findings += verify(inf, mode=mode)
            findings += check_inf_references(inf, inside)
    return {
        "findings": [each.to_json() for each in findings],
        "isDeclarative": declarative,
        "hasDevices": devices,
    }
