"""Whose the extension ids of a package are (contract/dashboard.md 75).

An id becomes that seller's who is the first to finish a submission that uses it, and stays so; an administrator can
register one beforehand (``hwdash admin ownership``). A relationship is no way around: who is to use another company's
id submits under that company's seller id.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.ownership import IdKind
from hwdash.drivers.findings import Finding
from hwdash.storage.ownership import account_names, add_owned, owners_of


class ExtensionIdTaken(Exception):
    """Another submission has just made the id another seller's: the step, tried again, refuses in words."""


def foreign_extension_ids(connection: sa.Connection, account_id: int, results: Mapping[str, Any]) -> dict[str, str]:
    """The extension ids of a package that another account owns, with its name and seller id."""
    owners = owners_of(connection, IdKind.EXTENSION_ID, _extension_ids(results))
    foreign = {each: owner for each, owner in owners.items() if owner != account_id}
    names = account_names(connection, foreign.values())
    return {each: f"{names[owner]} (seller {owner})" for each, owner in foreign.items()}


def bind_extension_ids(connection: sa.Connection, account_id: int, results: Mapping[str, Any], now: datetime) -> None:
    """Make the package's extension ids the account's, in the transaction that ends the submission.

    Raises ExtensionIdTaken.
    """
    ids = _extension_ids(results)
    if not ids:
        return
    if foreign_extension_ids(connection, account_id, results):
        raise ExtensionIdTaken(", ".join(ids))
    add_owned(connection, account_id, [(IdKind.EXTENSION_ID, each) for each in ids], now)


def extension_id_findings(results: Mapping[str, Any], owners: Mapping[str, str]) -> list[Finding]:
    """What is to be said of the ids that others own, a finding for each INF that uses one."""
    return [
        Finding(
            rule="package.extension-id-owned",
            level="error",
            message=f"The ExtensionId {extension_id} belongs to {owners[extension_id]}.",
            remedy="Give the INF an ExtensionId of your own (a new GUID, kept for the life of the part); or, where the "
            "owner wants this package, submit it under the owner's seller id: no relationship allows it under yours.",
            file=file,
        )
        for file, extension_id in _infs(results)
        if extension_id in owners
    ]


def _extension_ids(results: Mapping[str, Any]) -> list[str]:
    return sorted({extension_id for _, extension_id in _infs(results)})


def _infs(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The extension INFs of a prepared package, with their extension ids."""
    prepared = results.get("preparation", {})
    folders = {each["id"]: each["folder"] for each in prepared.get("bundles", ())}
    for bundle_id, bundle in prepared.get("metadata", {}).get("BundleInfoMap", {}).items():
        for name, inf in bundle["InfInfoMap"].items():
            if inf["ExtensionId"]:
                yield f"{folders.get(bundle_id, bundle_id)}/{name}", str(inf["ExtensionId"]).lower()
