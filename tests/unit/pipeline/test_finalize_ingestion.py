"""The signed package and how it is published, on a real blob store; the signatures are made by a test key."""

import base64
import errno
import json
import os
import struct
import subprocess
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from authenticode_oracle import osslsigncode, signatory
from examined import examined_work
from hwdash.drivers.authenticode import (
    SPC_INDIRECT_DATA,
    content_digest,
    signed_attributes,
    signed_data,
    spc_pe_image_data,
)
from hwdash.drivers.dsse import Envelope
from hwdash.pipeline.finalize_ingestion import add_entry, run
from hwdash.pipeline.inspection import prepare
from hwdash.pipeline.work import Resources, StepFailed, Work, result_blob_key
from hwdash.settings import Settings
from hwdash.signing.authority import ensure_authority
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.provenance import StatementSigner
from hwdash.signing.signer import LocalSigner
from hwdash.storage.blobs import BlobStore
from service import X64, sample_entries, unsigned_cabinet

WHEN = datetime(2026, 11, 23, 14, 15, 17, tzinfo=UTC)
OTHERS = {"notes\\read me.txt": b"text", "firmware.bin": bytes(range(256)) * 10_000, "empty.dat": b""}
VENDORS_CATALOG = b"the vendor's own catalog"
SIGNED_CATALOG = b"the catalog as the service signed it"
GIB = 1 << 30


def signature_for(sha256: str) -> bytes:
    content = spc_pe_image_data(bytes.fromhex(sha256))
    attributes = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=None, url=None)
    who = signatory()
    return signed_data(
        SPC_INDIRECT_DATA,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keys = KeyFolder.open(tmp_path_factory.mktemp("authority") / "keys", {})
    ensure_authority(keys, WHEN, sandbox=True)
    return keys.path


@pytest.fixture
def work(tmp_path: Path, authority: Path) -> Work:
    """A submission of the sample driver that stands at finalizeIngestion."""
    data = tmp_path / "service"
    (data / "blobs").mkdir(parents=True)
    keys = KeyFolder.open(authority, {})
    signer = cast("SignerProcess", SimpleNamespace(state=StatementSigner(keys, LocalSigner(keys, lambda: WHEN)).sign))
    resources = Resources(Settings(data=data), BlobStore(data / "blobs"), signer, clock=lambda: WHEN)
    workspace = resources.workspaces / "7"
    files, signed = workspace / "files-1", workspace / "signed-1"
    files.mkdir(parents=True)
    signed.mkdir()
    more = {**OTHERS, "hwdash_sample.cat": VENDORS_CATALOG}
    entries = sample_entries() + [(f"hwdash_sample\\{name}", content) for name, content in more.items()]
    package = unsigned_cabinet(tmp_path, entries)
    uploaded = resources.blobs.put_file("ab" * 16, package, name="Initial_7.cab")
    prepared = prepare(
        {
            "package": [str(package)],
            "name": "Initial_7.cab",
            "folder": str(files),
            "submission": 7,
            "signatures": [X64],
            "kind": "attestation",
            "today": None,
        }
    )
    (signed / "0.cat").write_bytes(SIGNED_CATALOG)
    pe_files = [file for file in prepared["bundles"][0]["files"] if file["layout"]]
    for file in pe_files:
        (signed / f"{file['stored']}.p7").write_bytes(signature_for(file["sha256"]))
    catalog = {"path": "hwdash_sample/hwdash_sample.cat", "stored": "0.cat"}
    leaf = keys.certificates("attestation")[0]
    results: dict[str, Any] = {
        "packageInfoValidation": {
            "signer": "cd" * 32,
            "signerSubject": "CN=Vendor",
            "packageDigest": "ab" * 32,
            "findings": [],
        },
        "preparation": prepared | {"folder": files.name, "findings": []},
        "scanning": {"engine": "yara-x", "version": "1", "signatures": 4, "scannedFiles": 5},
        "validation": {"isDeclarative": True, "isUniversal": "unknown", "findings": []},
        "catalogCreation": {"when": WHEN.isoformat(), "catalogs": [catalog]},
        "manualReview": {"decision": "not needed"},
        "signing": {
            "folder": signed.name,
            "identity": "attestation",
            "certificate": "00",
            "leaf": base64.b64encode(leaf.public_bytes(Encoding.DER)).decode(),
            "when": WHEN.isoformat(),
            "catalogs": [catalog],
            "files": [{"path": file["path"], "stored": f"{file['stored']}.p7"} for file in pe_files],
        },
    }
    stands = Work(
        resources=resources,
        object_id=7,
        product_id=8,
        account_id=9,
        account_name="Vendor",
        product_name="Product",
        submission_name="Submission",
        test_harness="attestation",
        kind="attestation",
        attributes={"requestedSignatures": [X64]},
        policy={},
        workspace=workspace,
        package_name="Initial_7.cab",
        package_blob="ab" * 16,
        package_version=uploaded.version,
        certificates={},
        results=results,
        fence=1,
        now=WHEN,
    )
    return examined_work(keys, stands, upload_sha256=sha256(package.read_bytes()).hexdigest(), contents=())


def again(work: Work) -> Work:
    """The next run of the step, as after a crash."""
    return Work(**{name: getattr(work, name) for name in Work.__slots__} | {"fence": work.fence + 1})


def signed_package(work: Work, folder: Path) -> Path:
    zipped = folder / "signed.zip"
    with work.resources.blobs.open(result_blob_key(7, "signedPackage")) as stream:
        zipped.write_bytes(stream.read())
    return zipped


class TestTheSignedPackage:
    def test_unzip_finds_it_sound_and_everything_in_it_under_the_uploads_names(self, work: Work, tmp_path: Path):
        run(work)
        zipped = signed_package(work, tmp_path)
        assert subprocess.run(["unzip", "-tqq", zipped], check=False).returncode == 0
        listed = subprocess.run(["unzip", "-Z1", zipped], check=True, capture_output=True, text=True).stdout
        names = ["hwdash_sample.cat", "hwdash_sample.inf", "hwdash_sample.sys", *OTHERS]
        assert sorted(listed.splitlines()) == sorted(f"hwdash_sample/{name.replace(chr(92), '/')}" for name in names)

    def test_catalogs_are_the_services_images_are_signed_and_the_rest_is_as_uploaded(self, work: Work, tmp_path: Path):
        run(work)
        unzip = ["unzip", "-q", signed_package(work, tmp_path), "-d", tmp_path / "tree"]
        subprocess.run(unzip, check=True)
        tree = tmp_path / "tree" / "hwdash_sample"
        assert (tree / "hwdash_sample.cat").read_bytes() == SIGNED_CATALOG
        root, _, _ = signatory().files(tmp_path)
        good, output = osslsigncode("verify", "-CAfile", root, tree / "hwdash_sample.sys")
        assert good, output
        assert "Calculated PE checksum" not in output  # printed only when it differs from the one in the file
        for name, content in OTHERS.items():
            assert (tree / name.replace("\\", "/")).read_bytes() == content

    def test_a_second_run_publishes_the_same_version_of_the_same_bytes(self, work: Work, tmp_path: Path):
        first = run(work)
        blobs, key = work.resources.blobs, result_blob_key(7, "signedPackage")
        published, content = blobs.stat(key), signed_package(work, tmp_path).read_bytes()
        assert run(again(work)) == first
        assert blobs.stat(key) == published
        assert (work.workspace / "final-2" / "signed.zip").read_bytes() == content

    def test_every_entry_bears_the_time_of_the_catalogs_and_not_that_of_the_run(self, work: Work, tmp_path: Path):
        run(work)
        with zipfile.ZipFile(signed_package(work, tmp_path)) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(2026, 11, 23, 14, 15, 16)}  # in steps of 2 s

    @pytest.mark.parametrize(("size", "long_form"), [(1, False), (GIB, False), (2 * GIB - 1, True), (3 * GIB, True)])
    def test_entries_near_and_past_2_gib_get_the_long_form_of_the_zip_format(
        self, tmp_path: Path, size: int, *, long_form: bool
    ):
        """Of APPNOTE.TXT 4.5.3 the extra field 0x0001 in the local header; it cannot be added after the content."""
        zipped = tmp_path / "one.zip"
        with zipfile.ZipFile(zipped, "w") as archive:
            add_entry(archive, "a", WHEN, size, [b"content"])
        name_size, extra_size = struct.unpack_from("<HH", zipped.read_bytes(), 26)
        extra = zipped.read_bytes()[30 + name_size : 30 + name_size + extra_size]
        assert extra[:2] == (b"\x01\x00" if long_form else b"")
        assert subprocess.run(["unzip", "-p", zipped, "a"], check=True, capture_output=True).stdout == b"content"


class TestPublishing:
    def test_the_four_downloads_are_told_with_their_blobs(self, work: Work):
        done = run(work)
        assert [(kind, name) for kind, _, name in done.files] == [
            ("signedPackage", "Signed_7.zip"),
            ("certificationReport", "CertificationReport_7.html"),
            ("driverMetadata", "DriverMetadata_7.json"),
            ("provenance", "Signed_7.zip.intoto.json"),
        ]
        sizes = [found.size for _, key, _ in done.files if (found := work.resources.blobs.stat(key))]
        assert len(sizes) == 4
        assert done.result == {"signedPackageBytes": sizes[0]}

    def test_the_statement_is_over_what_was_published_and_the_same_in_a_second_run(self, work: Work):
        blobs = work.resources.blobs
        key, package = result_blob_key(7, "provenance"), result_blob_key(7, "signedPackage")
        written = []
        for each in (work, again(work)):
            run(each)
            with blobs.open(key) as stream:
                written.append(stream.read())
        assert written[0] == written[1]
        statement = json.loads(Envelope.parse(written[0], source="it").payload)
        signed, uploaded = blobs.stat(package), blobs.stat("ab" * 16)
        assert signed is not None
        assert uploaded is not None
        assert signed.sha256 is not None
        assert uploaded.sha256 is not None
        (submitted,) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        assert statement["subject"][0]["digest"]["sha256"] == signed.sha256.hex()
        assert submitted["digest"]["sha256"] == uploaded.sha256.hex()

    def test_the_package_is_moved_into_the_store_and_not_copied(self, work: Work):
        run(work)
        blob = work.resources.blobs.stat(result_blob_key(7, "signedPackage"))
        assert blob is not None
        (path,) = blob.segment_paths
        assert path.stat().st_mode & 0o777 == 0o640
        assert list((work.workspace / "final-1").iterdir()) == []

    def test_the_digests_are_those_of_other_tools(self, work: Work, tmp_path: Path):
        run(work)
        blob = work.resources.blobs.stat(result_blob_key(7, "signedPackage"))
        assert blob is not None
        for tool, digest in (("md5sum", blob.content_md5), ("sha256sum", blob.sha256)):
            said = subprocess.run([tool, signed_package(work, tmp_path)], check=True, capture_output=True, text=True)
            assert digest is not None
            assert said.stdout.split()[0] == digest.hex()

    def test_the_package_is_on_the_disk_before_it_has_its_place(self, work: Work, monkeypatch: pytest.MonkeyPatch):
        """The step ends after ``run``: what it moved into the store unsynced, a power failure could lose."""
        synced: set[int] = set()
        early: list[str] = []
        fdatasync, rename = os.fdatasync, os.rename

        def watched_fdatasync(descriptor: int) -> None:
            fdatasync(descriptor)
            synced.add(os.fstat(descriptor).st_ino)

        def watched_rename(source: Path, target: Path) -> None:
            if Path(source).stat().st_ino not in synced:
                early.append(str(target))
            rename(source, target)

        monkeypatch.setattr(os, "fdatasync", watched_fdatasync)
        monkeypatch.setattr(os, "rename", watched_rename)
        run(work)
        blob = work.resources.blobs.stat(result_blob_key(7, "signedPackage"))
        assert blob is not None
        assert blob.segment_paths[0].stat().st_ino in synced
        assert early == []

    def test_on_another_file_system_the_package_is_copied(self, work: Work, monkeypatch: pytest.MonkeyPatch):
        rename = os.rename

        def between_file_systems(source: Path, target: Path) -> None:
            if Path(source).name == "signed.zip":
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(source, target)

        monkeypatch.setattr(os, "rename", between_file_systems)
        run(work)
        blob = work.resources.blobs.stat(result_blob_key(7, "signedPackage"))
        assert blob is not None
        assert blob.segment_paths[0].read_bytes() == (work.workspace / "final-1" / "signed.zip").read_bytes()


def test_an_extension_id_that_became_anothers_since_validation_ends_the_submission(work: Work) -> None:
    (bundle,) = work.results["preparation"]["metadata"]["BundleInfoMap"].values()
    extension_id = "b6c9a8f5-7cc2-4f5f-a2b6-0f5a6d7c1a11"
    bundle["InfInfoMap"]["hwdash_sample.inf"]["ExtensionId"] = extension_id
    parts = {name: getattr(work, name) for name in Work.__slots__}
    late = Work(**parts | {"foreign_extension_ids": {extension_id: "Contoso (seller 81422411)"}})
    with pytest.raises(StepFailed) as refused:
        run(late)
    (message,) = refused.value.messages
    assert message.startswith("ERROR package.extension-id-owned in hwdash_sample/hwdash_sample.inf: ")
    assert "belongs to Contoso (seller 81422411)" in message
