"""What is in a package, without a judgement: for `hwdash package inspect`, on a developer's own machine."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256

from hwdash.drivers.cab import Cabinet
from hwdash.drivers.errors import DriversError
from hwdash.drivers.hlkx import Hlkx
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.metadata import locales
from hwdash.drivers.inf.models import architectures, devices, manufacturers
from hwdash.drivers.inf.version import Version
from hwdash.drivers.package import components
from hwdash.pipeline.inspection import LIMITS, prepare, read_inf
from hwdash.pipeline.package_source import PackageSource, opened
from hwdash.vocabulary import OPERATING_SYSTEMS


def describe(package: Path) -> dict[str, Any]:
    """{"file", "container", "signature", "notes", "driverFolders", "filesAtRoot", "universal", "metadata"} of a package
    file, or of a folder of driver folders. docs/reference/command-line.md has the shapes.

    Raises DriversError when the package cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="hwdash-inspect-") as folder:
        with opened([package], package.name, Path(folder)) as source:
            source.container.check_limits(LIMITS)
            answer = {
                "file": package.name,
                "container": _container(source),
                "signature": _signature(source),
                "notes": [str(each) for each in source.findings],
            }
            at_root = [file.name for file in source.container.files if len(components(file.name)) == 1]
        prepared = prepare(
            {
                "package": [str(package)],
                "name": package.name,
                "folder": folder,
                "submission": 0,
                "signatures": [],
                "kind": "attestation",
                "today": None,
            }
        )
        machines = {each["path"]: each["machine"] for each in prepared["universal"]["binaries"]}
        infs: list[Inf] = []
        return answer | {
            "driverFolders": [
                {
                    "name": bundle["folder"],
                    "files": [_file(file, machines) for file in bundle["files"]],
                    "infs": [
                        _inf(Path(folder, file["stored"]), file["path"], infs)
                        for file in bundle["files"]
                        if file["path"].lower().endswith(".inf")
                    ],
                    "catalogs": bundle["catalogs"],
                }
                for bundle in prepared["bundles"]
            ],
            "filesAtRoot": at_root,
            "universal": prepared["universal"],
            "metadata": {
                "bundles": len(prepared["bundles"]),
                "infs": len(infs),
                "locales": locales(infs),
                "isExtension": prepared["isExtension"],
            },
        }


def _container(source: PackageSource) -> dict[str, Any]:
    container = source.container
    facts: dict[str, Any] = {
        "form": source.form,
        "files": len(container.files),
        "unpackedBytes": sum(file.size for file in container.files),
    }
    if isinstance(container, Cabinet):
        facts["bytes"] = container.file_size
        facts["folders"] = [
            {"compression": method.label if (method := folder.compression) else None, "blocks": folder.blocks}
            for folder in container.folders
        ]
        reserves = container.reserves
        facts["reserves"] = dict(zip(("header", "folder", "block"), reserves, strict=True)) if reserves else None
    elif isinstance(container, Hlkx):
        facts["packageInfo"] = asdict(container.package_info)
    return facts


def _signature(source: PackageSource) -> dict[str, Any] | None:
    if not source.is_signed:
        return None
    try:
        found = source.verify()
    except DriversError as problem:
        return {"holds": False, "problem": str(problem)}
    return {
        "holds": True,
        "signer": found.signer.subject.rfc4514_string(),
        "issuer": found.signer.issuer.rfc4514_string(),
        "thumbprint": found.signer.fingerprint(SHA256()).hex(),
        "expires": found.signer.not_valid_after_utc.isoformat(),
        "digestAlgorithm": found.digest_algorithm,
        "digest": found.digest.hex(),
    }


def _file(file: dict[str, Any], machines: dict[str, str]) -> dict[str, Any]:
    is_pe = file["layout"] is not None
    return {
        "path": file["path"],
        "size": file["size"],
        "kind": "pe" if is_pe else "flat",
        "machine": machines.get(file["path"]) if is_pe else None,
        "sha1": file["sha1"],
        "sha256": file["sha256"],
    }


def _inf(stored: Path, path: str, readable: list[Inf]) -> dict[str, Any]:
    try:
        inf = read_inf(stored, path)
    except DriversError as problem:
        return {"file": path, "problem": str(problem)}
    readable.append(inf)
    version = inf.version
    return {
        "file": path,
        "class": version.class_name,
        "classGuid": version.class_guid,
        "provider": version.provider,
        "driverVer": _driver_ver(version),
        "extensionId": version.extension_id or None,
        "architectures": sorted(architectures(inf)),
        "hardwareIds": len(_hardware_ids(inf)),
        "operatingSystems": _served(inf),
        "catalogs": sorted(set(filter(None, version.catalog_files.values()))),
    }


def _driver_ver(version: Version) -> str | None:
    stamp = version.driver_ver
    return f"{stamp.date_text},{stamp.version_text}".removesuffix(",") if stamp is not None else None


def _hardware_ids(inf: Inf) -> set[str]:
    return {
        text.lower()
        for manufacturer in manufacturers(inf)
        for models in manufacturer.models
        for device in devices(inf, manufacturer, models)
        for text in device.ids
    }


def _served(inf: Inf) -> list[str]:
    """The OS codes for which the INF has devices."""
    lines = manufacturers(inf)
    return [
        system.code
        for system in OPERATING_SYSTEMS
        if any((models := line.models_for(system)) is not None and inf.entries(models.name) for line in lines)
    ]
