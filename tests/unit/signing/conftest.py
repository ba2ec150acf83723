from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pytest

from examined import examined
from hwdash.signing.authority import ensure_authority
from hwdash.signing.keys import KeyFolder
from hwdash.signing.signer import REQUIRED_STEPS, SPC_INDIRECT_DATA, Content, SigningRecord, SigningRequest


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Path:
    folder = KeyFolder.open(tmp_path_factory.mktemp("authority") / "keys", {})
    ensure_authority(folder, now, key_size=2048)
    return folder.path


@pytest.fixture
def keys(made_once: Path, tmp_path: Path) -> KeyFolder:
    """A key folder of the test's own with a complete authority in it."""
    return KeyFolder.open(copytree(made_once, tmp_path / "keys"), {})


@pytest.fixture
def request_to_sign(now: datetime, keys: KeyFolder) -> SigningRequest:
    """One that the examiner has passed."""
    record = SigningRecord(
        submission_id=1_152_921_504_621_441_000,
        product_id=13_635_057_453_741_330,
        account_id=12_345_678,
        package_sha256="ab" * 32,
        finished_steps=dict.fromkeys(REQUIRED_STEPS, "cd" * 32),
        examination="",
    )
    content = Content(SPC_INDIRECT_DATA, bytes(range(32)))
    request = SigningRequest("attestation", (content,), "Contoso Ltd", "https://contoso.example", now, record)
    return examined(keys, request)
