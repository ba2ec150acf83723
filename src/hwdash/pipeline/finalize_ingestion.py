"""finalizeIngestion: the signed package and the certification report become downloads; of an initial HLK or HCK package
also the shell for driver updates. The statement of provenance is kept with them, and the driver metadata where an older
release has left it for the end.

The downloads appear in the same transaction as ``completed``. Everything written is a function of the stored results,
so that a repeated run writes the same bytes under the same names.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from hwdash.drivers.pe import PeLayout, signed_image_chunks
from hwdash.pipeline.driver_metadata import put_driver_metadata
from hwdash.pipeline.extension_ids import extension_id_findings
from hwdash.pipeline.provenance import provenance_download
from hwdash.pipeline.report import certification_report, has_shell
from hwdash.pipeline.shell import SHELL
from hwdash.pipeline.work import Done, Work, refuse_errors, result_blob_key
from hwdash.vocabulary import DownloadType

CHUNK = 1 << 20


def run(work: Work) -> Done:
    """Result: {"signedPackage": {"size", "md5"...}, "report", "metadata"}."""
    # Another account may have finished one with the same id since validation.
    refuse_errors(extension_id_findings(work.results, work.foreign_extension_ids))
    blobs, when = work.resources.blobs, _made_at(work)
    package = work.fresh_folder("final") / "signed.zip"
    files = write_signed_package(work, package)
    names = {
        DownloadType.SIGNED_PACKAGE: f"Signed_{work.object_id}.zip",
        DownloadType.CERTIFICATION_REPORT: f"CertificationReport_{work.object_id}.html",
    }
    size = package.stat().st_size
    signed = blobs.adopt_file(
        _key(work, "signedPackage"), package, name=names[DownloadType.SIGNED_PACKAGE], content_type="application/zip"
    )
    blobs.put_file(
        _key(work, "certificationReport"),
        [certification_report(work).encode()],
        name=names[DownloadType.CERTIFICATION_REPORT],
        content_type="text/html; charset=utf-8",
    )
    metadata = put_driver_metadata(blobs, work.object_id, work.results["preparation"]["metadata"])
    if has_shell(work):
        names[DownloadType.DERIVED_PACKAGE] = f"Shell_{work.object_id}{Path(work.package_name).suffix}"
        _publish_shell(work, names[DownloadType.DERIVED_PACKAGE], when)
    assert signed.sha256 is not None  # noqa: S101 - of a result of ours it is known
    provenance = provenance_download(work, signed.sha256.hex(), files)
    return Done(
        {"signedPackageBytes": size},
        files=[*((kind, _key(work, kind), name) for kind, name in names.items()), metadata, provenance],
    )


def _publish_shell(work: Work, name: str, when: datetime) -> None:
    folder = work.fresh_folder("shell")
    work.in_child("shell:make", {"folder": str(folder), "when": when.isoformat()}, writable=[folder])
    key = _key(work, DownloadType.DERIVED_PACKAGE)
    work.resources.blobs.adopt_file(key, folder / SHELL, name=name, content_type="application/octet-stream")


def _made_at(work: Work) -> datetime:
    """The time of the catalogs is that of everything in the package."""
    return datetime.fromisoformat(work.results["catalogCreation"]["when"])


def _key(work: Work, kind: str) -> str:
    return result_blob_key(work.object_id, kind)


def write_signed_package(work: Work, target: Path) -> dict[str, str]:
    """Write the zip: the tree of the upload, its PE files signed, its catalogs replaced (contract/api.md section 5).

    Returns the SHA-256 of each file in it (hex), by path.
    """
    digests: dict[str, str] = {}
    when = _made_at(work)
    prepared, signed = work.results["preparation"], work.results["signing"]
    signatures = {file["path"]: work.workspace / signed["folder"] / file["stored"] for file in signed["files"]}
    catalogs = {each["path"]: work.workspace / signed["folder"] / each["stored"] for each in signed["catalogs"]}
    source = work.workspace / prepared["folder"]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for bundle in prepared["bundles"]:
            for file in bundle["files"]:
                if file["path"].lower().endswith(".cat"):
                    continue
                if file["path"] in signatures:
                    chunks = _signed_file(source / file["stored"], file["layout"], signatures[file["path"]])
                else:
                    chunks = _chunks(source / file["stored"])
                digests[file["path"]] = add_entry(archive, file["path"], when, file["size"], chunks)
        for path, stored in catalogs.items():
            digests[path] = add_entry(archive, path, when, stored.stat().st_size, _chunks(stored))
    return digests


def add_entry(archive: zipfile.ZipFile, path: str, when: datetime, size: int, chunks: Iterable[bytes]) -> str:
    """Add a file of ``size`` bytes, a signature not counted, as it is: mode 644 and the wall clock of ``when``.

    Returns its SHA-256 in hex.
    """
    digest = hashlib.sha256()
    entry = zipfile.ZipInfo(path, when.timetuple()[:6])
    entry.external_attr = 0o644 << 16
    # A signature adds kilobytes; past 2 GiB the entry needs the long form from the start.
    with archive.open(entry, "w", force_zip64=size > (2 << 30) - (64 << 20)) as member:
        for chunk in chunks:
            digest.update(chunk)
            member.write(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _signed_file(path: Path, layout: dict[str, Any], signature: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from signed_image_chunks(stream, PeLayout(**layout), signature.read_bytes())
