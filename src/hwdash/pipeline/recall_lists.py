"""What was recalled, for those who run machines: an App Control policy, and a list of digests in the form of the public
lists of vulnerable drivers (drivers/known_drivers.py), which the setting ``bad_hashes`` takes too.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hwdash.drivers.deny_policy import DeniedFile, DeniedVersions, deny_policy
from hwdash.pipeline.recall import PE_FILE
from hwdash.storage.recalls import RecalledFile, all_recalls, files_of

_NAMESPACE = uuid.UUID("0c3b6b0e-6a53-4d4c-9f0e-5a0f6d3d1d3e")


@dataclass(frozen=True, slots=True)
class RecalledDriver:
    """A recall (storage/recalls.py) with the files of its package."""

    row: sa.Row[Any]
    files: Sequence[RecalledFile]


def recalled_drivers(connection: sa.Connection) -> list[RecalledDriver]:
    """All that was recalled, oldest first."""
    return [RecalledDriver(row, files_of(connection, row.submission_id)) for row in all_recalls(connection)]


def policy_of(recalled: Sequence[RecalledDriver], service: str) -> bytes:
    """The policy that denies it all. ``service`` is the service's address: its policy keeps its id."""
    return deny_policy(
        _denied(recalled),
        policy_id=uuid.uuid5(_NAMESPACE, service),
        version=len(recalled),
        name=f"Drivers recalled by {service}",
    )


def _denied(recalled: Sequence[RecalledDriver]) -> Iterator[DeniedFile | DeniedVersions]:
    for each in recalled:
        for file in each.files:
            if file.kind == PE_FILE:
                yield DeniedFile(_name(file), [file.authenticode_sha1, file.authenticode_sha256])
        for name in each.row.denied_names:
            yield DeniedVersions(name["fileName"], name["upTo"])


def hash_list_of(recalled: Sequence[RecalledDriver]) -> bytes:
    """The list of digests, as JSON."""
    return json.dumps([_entry(each) for each in recalled], indent=2, ensure_ascii=False).encode() + b"\n"


def _entry(recalled: RecalledDriver) -> dict[str, Any]:
    row = recalled.row
    return {
        "Id": str(uuid.uuid5(_NAMESPACE, str(row.submission_id))),
        "Tags": sorted({_name(file) for file in recalled.files if file.kind == PE_FILE}),
        "Verified": "TRUE",
        "Author": row.recalled_by,
        "Created": row.recalled_at.date().isoformat(),
        "Category": "vulnerable driver",
        "Commands": {"Description": row.reason},
        "Resources": [],
        "KnownVulnerableSamples": [
            {
                "Filename": _name(file),
                "MD5": "",
                "SHA1": file.sha1,
                "SHA256": file.sha256,
                "Publisher": row.account_name,
                "Product": row.product_name,
                "Authentihash": {"MD5": "", "SHA1": file.authenticode_sha1, "SHA256": file.authenticode_sha256},
            }
            for file in recalled.files
        ],
    }


def _name(file: RecalledFile) -> str:
    return file.path.rpartition("/")[2]
