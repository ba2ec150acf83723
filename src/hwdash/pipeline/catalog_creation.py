"""catalogCreation: a new v2 catalog for every driver folder, over the files as they were measured. The vendor's own are
discarded.

The list id and the time are drawn here and stored with the result, before anything is signed: signing again gives the
same catalog.
"""

import hashlib
import secrets
from typing import Any

from hwdash.drivers.catalog import CatalogMember, certificate_trust_list
from hwdash.pipeline.work import Done, Work
from hwdash.vocabulary import operating_system

# facts/package-formats.md: what a dashboard's catalog says of files that are signed for Windows 10 and later.
OS_ATTRIBUTE = "2:10.0"


def run(work: Work) -> Done:
    """Result: {"folder", "when", "catalogs": [{"path", "stored", "listId", "sha256", "members"}]}.

    ``sha256`` is of the trust list, ``members`` their number.
    """
    prepared = work.results["preparation"]
    folder = work.fresh_folder("catalogs")
    catalogs: list[dict[str, Any]] = []
    for bundle in prepared["bundles"]:
        members = [
            CatalogMember(
                name=file["path"].rsplit("/", 1)[-1],
                is_pe=file["layout"] is not None,
                sha1=bytes.fromhex(file["sha1"]),
                sha256=bytes.fromhex(file["sha256"]),
                os_attribute=OS_ATTRIBUTE,
            )
            for file in bundle["files"]
            if not file["path"].lower().endswith(".cat")
        ]
        for name in bundle["catalogs"]:
            list_id = secrets.token_bytes(16)
            trust_list = certificate_trust_list(
                members, list_id=list_id, when=work.now, attributes=_attributes(work, bundle)
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
    return Done({"folder": folder.name, "when": work.now.isoformat(), "catalogs": catalogs})


def _attributes(work: Work, bundle: dict[str, Any]) -> list[tuple[str, str]]:
    """The header attributes of a dashboard's catalog, in its order (facts/package-formats.md)."""
    named = [
        ("Submission ID", f"{work.account_id}_{work.product_id}_{work.submission_id}"),
        ("BundleID", bundle["id"]),
        ("Universal", "False"),
        ("Declarative", str(work.results["validation"]["isDeclarative"])),
        ("OS", ",".join(_os_name(code) for code in work.attributes["requestedSignatures"])),
    ]
    return named + [(f"HWID{number}", each.lower()) for number, each in enumerate(bundle["hardwareIds"], start=1)]


def _os_name(code: str) -> str:
    """``WINDOWS_v100_X64_RS1_FULL`` stands in a catalog as ``_v100_X64_RS1``."""
    known = operating_system(code)
    spelt = known.code if known else code
    return spelt.removeprefix("WINDOWS").removesuffix("_FULL")
