"""What is done with the bytes of a package. Every function here runs in the bounded child process (pipeline/child.py)
and nowhere else.

They take and return JSON: findings, metadata, digests and offsets.
"""

import hashlib
import io
import os
import re
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from hwdash.drivers.authenticode import verify_cabinet
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.errors import DriversError, ParseError
from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.document import MAX_BYTES, Inf
from hwdash.drivers.inf.metadata import driver_metadata
from hwdash.drivers.inf.models import devices_for, manufacturers
from hwdash.drivers.inf.verify import syntax_error, verify
from hwdash.drivers.package import (
    check_architectures,
    check_inf_references,
    check_layout,
    driver_folders,
    unsafe_path_reason,
)
from hwdash.drivers.pe import PeImage, measure
from hwdash.storage.blobs import BlobReader, Segment
from hwdash.vocabulary import OperatingSystem, operating_system

LIMITS = CabinetLimits()
# Bundle ids are GUIDs (contract/api.md 1.5), the same in every run over the same package.
BUNDLES = uuid.UUID("6f1d0bde-1f0c-4a35-9d5e-0a3c0a5b7f21")
# Files that Windows loads as code: one of these that is not a sound PE file is an error, any other file may hold what
# it likes.
PE_SUFFIXES = (".sys", ".dll", ".exe", ".ocx", ".cpl", ".efi", ".drv")
CATALOG_NAME = re.compile(r"[^/\\]+\.cat", re.IGNORECASE)
# What the declarative mode alone asks for (facts/inf/infverif_codes.json): legacy ways to install that still install.
DECLARATIVE_ONLY = frozenset(f"inf.{code}" for code in range(1300, 1310))
WRITE_BATCH = 1 << 20
READ_BATCH = 1 << 18
# Files that wait to be measured while the next ones are unpacked.
MEASURES_AHEAD = 64
Measured: TypeAlias = tuple[dict[str, Any], Finding | None]


def _open(arguments: dict[str, Any]) -> BinaryIO:
    segments = [Segment(Path(path), Path(path).stat().st_size) for path in arguments["package"]]
    return io.BufferedReader(BlobReader(segments), WRITE_BATCH)


def inspect_package(arguments: dict[str, Any]) -> dict[str, Any]:
    """Open the cabinet, check its signature and its layout, extract nothing.

    Answers {"findings", "signer": {"thumbprint", "subject"} or absent, "digest" (hex SHA-256 that the signature
    covers), "files", "bytes"}.
    """
    name = arguments["name"]
    with _open(arguments) as stream:
        cabinet = Cabinet.open(stream, source=name)
        cabinet.check_limits(LIMITS)
        findings = check_layout([file.name for file in cabinet.files])
        answer: dict[str, Any] = {
            "files": len(cabinet.files),
            "bytes": sum(file.size for file in cabinet.files),
        }
        try:
            signature = verify_cabinet(stream, cabinet, source=name)
        except DriversError as problem:
            unsigned = cabinet.signature is None
            findings.append(
                Finding(
                    rule="package.unsigned" if unsigned else "package.signature-invalid",
                    level="error",
                    message=f"SignatureValidationFailed: {getattr(problem, 'message', problem)}.",
                    remedy="Sign the cabinet (SHA-256) with a certificate that is registered with the account: "
                    "hwdash package sign."
                    if unsigned
                    else "Sign the cabinet anew, and do not change it afterwards.",
                    file=name,
                )
            )
        else:
            answer["signer"] = {
                "thumbprint": signature.signer.fingerprint(SHA256()).hex(),
                "subject": _subject(signature.signer),
            }
            answer["digest"] = signature.digest.hex()
    answer["findings"] = [each.to_json() for each in findings]
    return answer


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def prepare(arguments: dict[str, Any]) -> dict[str, Any]:
    """Unpack the cabinet into ``folder``, measure every file, and read the INFs.

    Answers {"bundles", "metadata", "isExtension", "findings"}: see pipeline/preparation.py.
    """
    folder = Path(arguments["folder"])
    findings: list[Finding] = []
    measured: dict[str, dict[str, Any]] = {}
    with _open(arguments) as stream:
        cabinet = Cabinet.open(stream, source=arguments["name"])
        cabinet.check_limits(LIMITS)
        for facts, finding in _unpack(cabinet, folder):
            measured[facts["path"]] = facts
            findings += [finding] if finding else []
    systems = _systems(arguments["signatures"])
    bundles, extension = [], False
    infs_of_bundles: dict[str, list[tuple[str, Inf]]] = {}
    infs_of_folders: dict[str, list[Inf]] = {}
    for name, paths in sorted(driver_folders(list(measured)).items()):
        bundle_id = str(uuid.uuid5(BUNDLES, f"{arguments['submission']}/{name}"))
        infs: list[tuple[str, Inf]] = []
        for path in sorted(paths):
            if path.lower().endswith(".inf"):
                try:
                    infs.append((path.rsplit("/", 1)[-1], _read_inf(folder / measured[path]["stored"], path)))
                except DriversError as problem:
                    findings.append(_unreadable(problem, path))
        infs_of_bundles[bundle_id] = infs
        infs_of_folders[name] = [inf for _, inf in infs]
        extension = extension or any(inf.version.is_extension for _, inf in infs)
        bundles.append(
            {
                "id": bundle_id,
                "folder": name,
                "files": [measured[path] for path in sorted(paths)],
                "catalogs": _catalog_names(name, infs, findings),
                "hardwareIds": _hardware_ids(infs, systems),
            }
        )
    findings += check_architectures(infs_of_folders)
    return {
        "bundles": bundles,
        "metadata": driver_metadata(infs_of_bundles, systems),
        "isExtension": extension,
        "findings": [each.to_json() for each in findings],
    }


def _unpack(cabinet: Cabinet, folder: Path) -> Iterator[Measured]:
    """Write every file of the cabinet, and measure it beside: both spend their time outside of Python's lock."""
    pending: deque[Future[Measured]] = deque()
    with ThreadPoolExecutor(1) as beside:
        for number, (file, pieces) in enumerate(cabinet.extract()):
            stored = f"{number:06}"
            with (folder / stored).open("wb", buffering=WRITE_BATCH) as out:
                out.writelines(pieces)
            pending.append(beside.submit(_measure, folder, stored, file.name.replace("\\", "/")))
            if len(pending) > MEASURES_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _measure(folder: Path, stored: str, path: str) -> Measured:
    """{"path", "stored", "size", "sha1", "sha256", "layout"}; of a PE file the digests are Authenticode's."""
    with (folder / stored).open("rb") as stream:
        facts: dict[str, Any] = {"path": path, "stored": stored, "size": os.fstat(stream.fileno()).st_size}
        why = "it does not begin with MZ"
        if stream.read(2) == b"MZ":
            try:
                found = measure(stream, PeImage.open(stream, source=path))
            except DriversError as problem:
                why = getattr(problem, "message", str(problem))
            else:
                digests = {name: digest.hex() for name, digest in found.digests.items()}
                return facts | digests | {"layout": found.layout.to_json()}, None
        sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
        stream.seek(0)
        while chunk := stream.read(READ_BATCH):
            sha1.update(chunk)
            sha256.update(chunk)
    facts |= {"sha1": sha1.hexdigest(), "sha256": sha256.hexdigest(), "layout": None}
    return facts, _not_pe(path, why) if path.lower().endswith(PE_SUFFIXES) else None


def _not_pe(path: str, why: str) -> Finding:
    return Finding(
        rule="package.not-a-pe-file",
        level="error",
        message=f"The file is named like an executable but is not a sound PE file: {why}.",
        remedy="Put the linker's output into the package, unchanged.",
        file=path,
    )


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


def _read_inf(stored: Path, path: str) -> Inf:
    with stored.open("rb") as stream:
        # One byte too many is enough for the parser to refuse the file by its size.
        return Inf.parse(stream.read(min(os.fstat(stream.fileno()).st_size, MAX_BYTES + 1)), source=path)


def _systems(codes: Sequence[str]) -> list[OperatingSystem]:
    return [known for known in map(operating_system, codes) if known is not None]


def _catalog_names(folder: str, infs: Sequence[tuple[str, Inf]], findings: list[Finding]) -> list[str]:
    """The catalogs that the INFs of a folder ask for, each once; an INF that names none gets one of its own name."""
    names: dict[str, str] = {}
    for file, inf in infs:
        named = [name for name in inf.version.catalog_files.values() if name]
        for name in named or [f"{file.rsplit('.', 1)[0]}.cat"]:
            if CATALOG_NAME.fullmatch(name) is None or unsafe_path_reason(name) is not None:
                findings.append(_no_catalog_name(f"{folder}/{file}", name, inf.version.line))
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


def _judgement(finding: Finding) -> Finding:
    """An INF that is not declarative costs the package that verdict, not its signature."""
    if finding.level != "error" or finding.rule not in DECLARATIVE_ONLY:
        return finding
    return replace(finding, level="warning", message=f"{finding.message} (The package is not declarative.)")


def check_infs(arguments: dict[str, Any]) -> dict[str, Any]:
    """Judge the INFs and what they name. Answers {"findings", "isDeclarative", "hasDevices"}."""
    folder = Path(arguments["folder"])
    findings: list[Finding] = []
    declarative, devices = True, False
    for bundle in arguments["bundles"]:
        inside = {file["path"][len(bundle["folder"]) :].lstrip("/").lower() for file in bundle["files"]}
        for file in bundle["files"]:
            if not file["path"].lower().endswith(".inf"):
                continue
            inf = _read_inf(folder / file["stored"], file["path"])
            judged = verify(inf, mode="declarative")
            declarative = declarative and not any(each.level == "error" for each in judged)
            devices = devices or bool(manufacturers(inf))
            findings += [_judgement(each) for each in judged] + check_inf_references(inf, inside)
    return {
        "findings": [each.to_json() for each in findings],
        "isDeclarative": declarative,
        "hasDevices": devices,
    }
