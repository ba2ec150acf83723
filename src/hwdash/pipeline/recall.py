"""A recall: a driver that was released is taken back.

In one transaction the submission and every copy that partners have of it are marked, each of their labels ends, and the
signed package is no longer handed out. After that, and again if it was cut short, the package is read once for the
digests by which machines can refuse its files. The package itself stays: it is the evidence.
"""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import sqlalchemy as sa
from cryptography import x509

from hwdash.domain.audit import act
from hwdash.domain.reason import ReasonRefused, check_reason
from hwdash.drivers.authenticode import catalog_signatures
from hwdash.drivers.catalog import trust_list_element
from hwdash.drivers.errors import DriversError
from hwdash.pipeline.report import publish_label_error_report
from hwdash.pipeline.review import Decision
from hwdash.signing.keys import KeyFolder
from hwdash.signing.revocation import revoke
from hwdash.storage.audit import append, operator
from hwdash.storage.blobs import BlobError, BlobStore
from hwdash.storage.database import Database
from hwdash.storage.label_progress import expire, lock_label, move_label
from hwdash.storage.recalls import (
    RecalledFile,
    find_any_submission,
    find_recall,
    insert_recall,
    labels_of,
    mark_recalled,
    package_blob,
    with_copies,
    write_files,
)
from hwdash.storage.shares import original_submission
from hwdash.storage.submissions import step_results
from hwdash.vocabulary import SubmissionStep, WorkflowState

PE_FILE, CATALOG = "pe", "catalog"
LARGEST_CATALOG = 64 << 20
_CHUNK = 1 << 20


class NothingToRecall(Exception):
    """There is no such driver, or it was never handed out. The message says what it is."""


@dataclass(frozen=True, slots=True)
class DeniedName:
    """A file that a policy is to deny by its original name, up to a version."""

    file_name: str
    up_to: str  # a.b.c.d

    def to_json(self) -> dict[str, str]:
        """As recalls.denied_names holds it."""
        return {"fileName": self.file_name, "upTo": self.up_to}


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a recall came to."""

    submission_id: int  # the author's
    is_new: bool
    label_ids: Sequence[int]
    files: int
    problem: str | None
    """Why the digests are not, or not all, known."""
    package_blob: str | None


def recall_driver(
    database: Database,
    blobs: BlobStore,
    submission_id: int,
    decision: Decision,
    denied_names: Sequence[DeniedName] = (),
) -> Recalled:
    """Take a released driver back, once: of one that was recalled before only what is missing is done.

    A copy that a partner has stands for the author's submission. Raises NothingToRecall and ReasonRefused.
    """
    if not decision.reason.strip():
        raise ReasonRefused("a recall needs a reason: everybody who has the driver reads it")
    check_reason(decision.reason)
    with database.writing() as connection:
        row = find_any_submission(connection, submission_id)
        if row is None:
            raise NothingToRecall(f"there is no submission {submission_id}")
        author_id = original_submission(connection, submission_id)
        earlier = find_recall(connection, author_id)
        if earlier is None:
            _take_back(connection, blobs, author_id, decision, denied_names)
    with database.writing() as connection:
        stored = find_recall(connection, author_id)
        assert stored is not None  # noqa: S101 - it was written above, and nothing removes one
        key, results = package_blob(connection, author_id), step_results(connection, author_id)
    files, problem = _measured(blobs, key, results)
    with database.writing() as connection:
        write_files(connection, author_id, files, problem)
    return Recalled(author_id, earlier is None, stored.label_ids, len(files), problem, key)


def revoke_certificates(
    database: Database, blobs: BlobStore, keys: KeyFolder, recalled: Recalled, decision: Decision, crl_url: str
) -> list[str]:
    """Revoke what signed a recalled package, for a compromised key, and have the identity sign with a new one; the
    serial numbers in hex. Safe to repeat. Raises NothingToRecall and KeysError.
    """
    serials = []
    for certificate in _signing_certificates(blobs, recalled.package_blob):
        serial = f"{revoke(keys, certificate, decision.reason, decision.when, crl_url=crl_url).serial:x}"
        with database.writing() as connection:
            row = find_any_submission(connection, recalled.submission_id)
            if row is not None:
                told = {"by": decision.by, "reason": decision.reason, "submission": recalled.submission_id}
                thing = ("certificate", serial)
                append(connection, act(row.account_id, decision.when, operator(), "revoke_certificate", thing, **told))
        serials.append(serial)
    return serials


def _signing_certificates(blobs: BlobStore, key: str | None) -> list[x509.Certificate]:
    """What the catalogs of a signed package are signed with, each once. Raises NothingToRecall."""
    found: dict[int, x509.Certificate] = {}
    try:
        with blobs.open(key or "0" * 32) as stream, zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".cat") and entry.file_size <= LARGEST_CATALOG:
                    for each in catalog_signatures(archive.read(entry), source=entry.filename):
                        if each.signature is not None:
                            found[each.signature.signer.serial_number] = each.signature.signer
    except (BlobError, OSError, zipfile.BadZipFile, DriversError) as error:
        raise NothingToRecall(f"the certificate that signed the package cannot be read: {error}") from error
    return list(found.values())


def _take_back(
    connection: sa.Connection,
    blobs: BlobStore,
    submission_id: int,
    decision: Decision,
    denied_names: Sequence[DeniedName],
) -> None:
    row = find_any_submission(connection, submission_id)
    if row is None or row.state != WorkflowState.COMPLETED or package_blob(connection, submission_id) is None:
        stands = "it does not exist" if row is None else f"it is at {row.current_step}, {row.state}"
        raise NothingToRecall(f"nothing of submission {submission_id} was handed out: {stands}")
    family = with_copies(connection, submission_id)
    message = f"ERROR submission.recalled: the operator recalled this driver: {decision.reason}"
    mark_recalled(connection, family, message, decision.when)
    label_ids = labels_of(connection, family)
    ended = [each for each in label_ids if _end_label(connection, blobs, each, decision)]
    values = {
        "reason": decision.reason,
        "recalled_by": decision.by,
        "recalled_at": decision.when,
        "denied_names": [each.to_json() for each in denied_names],
        "label_ids": ended,
    }
    insert_recall(connection, submission_id, values)
    for each in family:
        if (own := find_any_submission(connection, each)) is not None:
            told = {"by": decision.by, "reason": decision.reason, "author": submission_id}
            done = act(own.account_id, decision.when, operator(), "recall_driver", ("submission", each), **told)
            append(connection, done)


def _end_label(connection: sa.Connection, blobs: BlobStore, label_id: int, decision: Decision) -> bool:
    """Fail the run that is under way and expire what is live; False when the label had ended before."""
    row = lock_label(connection, label_id)
    if row is None or (row.is_cancelled and not row.is_unfinished):
        return False
    messages = [f"ERROR label.recalled: the operator recalled this driver: {decision.reason}"]
    changes = {
        # As cancelled: it cannot be changed any more.
        "state": WorkflowState.FAILED,
        "is_cancelled": True,
        "messages": messages,
        "error_report": publish_label_error_report(blobs, row, messages, decision.when),
        "wake_at": None,
        "updated_at": decision.when,
        **expire(connection, row),
    }
    move_label(connection, label_id, changes)
    return True


# The digests


def _measured(blobs: BlobStore, key: str | None, results: Mapping[str, Any]) -> tuple[list[RecalledFile], str | None]:
    """The PE files and catalogs of a signed package with their digests, and what kept some from being made.

    What Authenticode covers of a PE file stands in the workflow's record already: a package that is lost takes only the
    digests of whole files with it.
    """
    bundles = results.get(SubmissionStep.PREPARATION, {}).get("bundles", ())
    files = {
        file["path"]: RecalledFile(file["path"], PE_FILE, "", "", file["sha1"], file["sha256"])
        for bundle in bundles
        for file in bundle["files"]
        if file["layout"] is not None
    }
    try:
        with blobs.open(key or "0" * 32) as stream:
            files |= _in_package(stream, files)
    except (BlobError, OSError, zipfile.BadZipFile, DriversError) as error:
        return sorted(files.values(), key=_path), f"the signed package cannot be read: {error}"[:2000]
    return sorted(files.values(), key=_path), None


def _path(file: RecalledFile) -> str:
    return file.path


def _in_package(stream: BinaryIO, images: Mapping[str, RecalledFile]) -> dict[str, RecalledFile]:
    found = {}
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            path = entry.filename
            if path in images:
                with archive.open(entry) as member:
                    sha1, sha256 = _digests(member)
                found[path] = replace(images[path], sha1=sha1, sha256=sha256)
            elif path.lower().endswith(".cat") and entry.file_size <= LARGEST_CATALOG:
                content = archive.read(entry)
                listed = trust_list_element(content, source=path).content
                found[path] = RecalledFile(path, CATALOG, *_hex(content), *_hex(listed))
    return found


def _digests(stream: Any) -> tuple[str, str]:
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        sha1.update(chunk)
        sha256.update(chunk)
    return sha1.hexdigest(), sha256.hexdigest()


def _hex(content: bytes) -> tuple[str, str]:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest(), hashlib.sha256(content).hexdigest()
