"""The driver metadata as a download (contract/api.md 3.13 and 4.10)."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from hwdash.domain.targets import DriverRow
from hwdash.pipeline.work import result_blob_key
from hwdash.storage.blobs import BlobStore
from hwdash.storage.driver_rows import all_rows
from hwdash.storage.shares import original_submission
from hwdash.storage.submissions import add_download, step_results
from hwdash.vocabulary import DownloadType


def put_driver_metadata(blobs: BlobStore, submission_id: int, metadata: Mapping[str, Any]) -> tuple[str, str, str]:
    """Store driver metadata. Returns the download: (type, blob key, file name)."""
    key, name = result_blob_key(submission_id, DownloadType.DRIVER_METADATA), f"DriverMetadata_{submission_id}.json"
    content = json.dumps(metadata, ensure_ascii=False, indent=2).encode()
    blobs.put_file(key, [content], name=name, content_type="application/json")
    return DownloadType.DRIVER_METADATA, key, name


def publish_driver_metadata(connection: sa.Connection, blobs: BlobStore, submission: sa.Row[Any]) -> bool:
    """Make the driver metadata of a submission that has none: of one received by sharing what was shared, with every
    INF. False when the author's workflow left nothing to make it of.
    """
    source = original_submission(connection, submission.id)
    prepared = step_results(connection, source).get("preparation")
    if prepared is None:
        return False
    metadata = prepared["metadata"]
    if source != submission.id:
        metadata = limited(metadata, set(all_rows(connection, submission.id)))
    add_download(connection, submission.id, *put_driver_metadata(blobs, submission.id, metadata))
    return True


def limited(metadata: Mapping[str, Any], rows: Collection[DriverRow]) -> dict[str, Any]:
    """Driver metadata with these rows only; every bundle and INF stays."""
    return {
        "BundleInfoMap": {
            bundle_id: {
                **bundle,
                "InfInfoMap": {
                    inf_id: {**inf, "OSPnPInfoMap": _limited(bundle_id, inf_id, inf["OSPnPInfoMap"], rows)}
                    for inf_id, inf in bundle["InfInfoMap"].items()
                },
            }
            for bundle_id, bundle in metadata["BundleInfoMap"].items()
        }
    }


def _limited(
    bundle_id: str, inf_id: str, systems: Mapping[str, Any], rows: Collection[DriverRow]
) -> dict[str, dict[str, Any]]:
    kept = {
        os_code: {
            pnp_id: facts
            for pnp_id, facts in pnp_ids.items()
            if DriverRow(bundle_id, inf_id, os_code, pnp_id.lower()) in rows
        }
        for os_code, pnp_ids in systems.items()
    }
    return {os_code: pnp_ids for os_code, pnp_ids in kept.items() if pnp_ids}
