"""catalogCreation: a new v2 catalog for every driver folder, over the files as they were measured. The vendor's own are
discarded.

The list id and the time are drawn here and stored with the result, before anything is signed: signing again gives the
same catalog.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from hwdash.drivers.catalog import CatalogMember, certificate_trust_list
from hwdash.pipeline.work import Done, Work
from hwdash.vocabulary import OperatingSystem, operating_system

# How the dashboard's catalogs name operating systems, read out of real ones: by family before Windows 8.1, and by what
# the release was called outside from Windows 10 20H1 on.
_FAMILIES = {
    "Windows2000": "2000",
    "WindowsXP": "XP",
    "WindowsServer2003": "Server2003",
    "WindowsVista": "Vista",
    "Windows2008Server": "Server2008",
    "Windows7": "7",
    "Windows2008ServerR2": "Server2008R2",
    "Windows8": "8",
    "Windows8Server": "Server2012",
}
_ARCHITECTURES = {"x86": "X86", "amd64": "X64", "ia64": "IA64", "arm": "ARM", "arm64": "ARM64"}
_RELEASES = {"TH1": "", "TH2": "", "VB": "_Vb", "CO": "_21H2", "NI": "_22H2", "GE": "_24H2"}


def run(work: Work) -> Done:
    """Result: {"folder", "when", "catalogs": [{"path", "stored", "listId", "sha256", "members"}]}.

    ``sha256`` is of the trust list, ``members`` their number.
    """
    prepared = work.results["preparation"]
    folder = work.fresh_folder("catalogs")
    named = os_attribute(work.attributes["requestedSignatures"])
    when = work.resources.signing_clock()
    catalogs: list[dict[str, Any]] = []
    for bundle in prepared["bundles"]:
        members = [
            CatalogMember(
                name=file["path"].rsplit("/", 1)[-1],
                is_pe=file["layout"] is not None,
                sha1=bytes.fromhex(file["sha1"]),
                sha256=bytes.fromhex(file["sha256"]),
                os_attribute=named,
            )
            for file in bundle["files"]
            if not file["path"].lower().endswith(".cat")
        ]
        for name in bundle["catalogs"]:
            list_id = secrets.token_bytes(16)
            trust_list = certificate_trust_list(
                members, list_id=list_id, when=when, attributes=_attributes(work, bundle)
            )
            stored = f"{len(catalogs)}.ctl"
            (folder / stored).write_bytes(trust_list)
            catalogs.append(
                {
                    "path": f"{bundle['folder']}/{name}",
                    "stored": stored,
                    "listId": list_id.hex(),
                    "sha256": hashlib.sha256(trust_list).hexdigest(),
                    "members": len(members),
                }
            )
    return Done({"folder": folder.name, "when": when.isoformat(), "catalogs": catalogs})


def _attributes(work: Work, bundle: dict[str, Any]) -> list[tuple[str, str]]:
    """The header attributes of a dashboard's catalog, in its order (facts/package-formats.md)."""
    # A dashboard's catalog of tested drivers begins with these two; what the level means is not documented.
    tested = [("Qualification Level", "1000"), ("DTC", "1")] if work.kind == "whql" else []
    hardware_ids = [(f"HWID{number}", each.lower()) for number, each in enumerate(bundle["hardwareIds"], start=1)]
    return [
        *tested,
        ("Submission ID", f"{work.account_id}_{work.product_id}_{work.object_id}"),
        ("BundleID", bundle["id"]),
        ("Universal", "False"),
        ("Declarative", str(work.results["validation"]["isDeclarative"])),
        ("OS", ",".join(dict.fromkeys(os_name(code) for code in work.attributes["requestedSignatures"]))),
        # The first hardware ID of the INFs stands last.
        *reversed(hardware_ids),
    ]


def os_name(code: str) -> str:
    """How a catalog's OS attribute names an OS code: ``WINDOWS_v100_X64_VB_FULL`` is ``_v100_X64_Vb``."""
    known = operating_system(code, accept_new=True)
    if known is None:
        return code.removeprefix("WINDOWS").removesuffix("_FULL")
    if known.family in _FAMILIES:
        architecture = "" if known.family == "Windows2000" else _ARCHITECTURES[known.architecture]
        return _FAMILIES[known.family] + architecture
    release = _RELEASES.get(known.release, f"_{known.release}") if known.release else ""
    architecture = "" if known.architecture == "x86" else f"_{_ARCHITECTURES[known.architecture]}"
    version = "_v100" if known.major == 10 else f"_v{known.major}{known.minor}"
    return f"{version}{'_Server' if known.server else ''}{architecture}{release}"


def os_attribute(codes: Sequence[str]) -> str:
    """The OSAttr of every member: the versions of Windows asked for, ``2:6.1,2:10.0``; the 2 stands for NT."""
    systems: list[OperatingSystem] = [known for code in codes if (known := operating_system(code, accept_new=True))]
    versions = sorted({(known.major, known.minor) for known in systems}) or [(10, 0)]
    # Windows 2000 alone has a minor version of two digits there.
    return ",".join(f"2:{major}.{'00' if (major, minor) == (5, 0) else minor}" for major, minor in versions)
