"""The signing step on a real signer: what is signed and stamped, and that it can be repeated."""

import io
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509

from authenticode_oracle import compiled_driver, osslsigncode
from examined import examined_work
from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import verify_catalog, verify_pe
from hwdash.drivers.chain import check_trust
from hwdash.drivers.pe import PeImage, PeLayout, measure, signed_image_chunks
from hwdash.pipeline.signing import run, to_sign
from hwdash.pipeline.work import Resources, Work
from hwdash.settings import Settings
from hwdash.signing.authority import ensure_authority
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.signer import REQUIRED_STEPS, LocalSigner
from hwdash.storage.blobs import BlobStore

NOW = datetime.now(UTC)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder.open(tmp_path / "keys", {})
    ensure_authority(folder, NOW - timedelta(days=1), key_size=2048)
    return folder


@pytest.fixture
def work(tmp_path: Path, keys: KeyFolder) -> Work:
    """A submission of one driver and one catalog that stands at signing."""
    data = tmp_path / "service"
    (data / "blobs").mkdir(parents=True)
    signer = cast("SignerProcess", LocalSigner(keys, lambda: NOW))
    resources = Resources(
        Settings(data=data),
        BlobStore(data / "blobs"),
        signer,
        clock=lambda: NOW + timedelta(days=400),
        signing_clock=lambda: NOW,
    )
    (resources.workspaces / "7" / "catalogs").mkdir(parents=True)
    trust_list = der.sequence(der.sequence(der.oid("1.3.6.1.4.1.311.12.1.1")), der.octet_string(bytes(16)))
    (resources.workspaces / "7" / "catalogs" / "0.ctl").write_bytes(trust_list)
    stream = io.BytesIO(compiled_driver())
    measured = measure(stream, PeImage.open(stream, source="x"))
    driver = {
        "path": "x/x.sys",
        "stored": "0",
        "sha256": measured.digests["sha256"].hex(),
        "layout": measured.layout.to_json(),
    }
    results: dict[str, Any] = {
        **{step: {} for step in REQUIRED_STEPS},
        "packageInfoValidation": {"packageDigest": "ab" * 32},
        "preparation": {"bundles": [{"files": [driver]}]},
        "catalogCreation": {
            "folder": "catalogs",
            "catalogs": [{"path": "x/x.cat", "stored": "0.ctl", "sha256": sha256(trust_list).hexdigest()}],
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
        attributes={},
        policy={},
        workspace=resources.workspaces / "7",
        package_name="Initial_7.cab",
        package_blob="",
        package_version="",
        certificates={},
        results=results,
        fence=1,
        now=NOW,
    )
    return examined_work(keys, stands, contents=to_sign(stands))


def again(work: Work, later: timedelta) -> Work:
    """The next run of the step, as after a crash."""
    parts = {name: getattr(work, name) for name in Work.__slots__}
    return Work(**parts | {"fence": work.fence + 1, "now": work.now + later})


def written(work: Work, result: dict[str, Any]) -> dict[str, bytes]:
    folder = work.workspace / result["folder"]
    return {name: (folder / name).read_bytes() for name in ("0.cat", "0.p7")}


def test_a_run_after_a_crash_makes_the_same_bytes(work: Work) -> None:
    first = run(work).result
    second = run(again(work, timedelta(hours=3))).result
    assert written(work, first) == written(work, second)
    assert second == first | {"folder": "signed-2"}
    assert datetime.fromisoformat(first["when"]) == NOW


def test_driver_and_catalog_carry_a_timestamp_that_outlives_the_certificate(
    work: Work, keys: KeyFolder, tmp_path: Path
) -> None:
    made = written(work, run(work).result)
    image = compiled_driver()
    layout = PeLayout(**work.results["preparation"]["bundles"][0]["files"][0]["layout"])
    signed = io.BytesIO(b"".join(signed_image_chunks(io.BytesIO(image), layout, made["0.p7"])))
    driver = verify_pe(signed, PeImage.open(signed, source="x"), source="x")
    assert driver is not None
    root = x509.load_pem_x509_certificate(keys.public_file("root").read_bytes())
    for signature in (driver, verify_catalog(made["0.cat"], source="x")[0]):
        assert signature.timestamp is not None
        assert signature.timestamp.when == NOW.replace(microsecond=0)
        decades = NOW + timedelta(days=365 * 15)
        found = check_trust(signature, roots=[root], now=decades, source="x")
        assert (found.trusted, found.findings) == (True, ())
    (tmp_path / "x.sys").write_bytes(signed.getvalue())
    trusted = keys.public_file("root")
    good, output = osslsigncode("verify", "-CAfile", trusted, "-TSA-CAfile", trusted, tmp_path / "x.sys")
    assert good, output
    assert "Timestamp Server Signature verification: ok" in output
