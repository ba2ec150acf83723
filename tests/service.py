"""A real service in a process of its own, and packages for it: what acceptance and contract tests stand on.

Nothing here is a fake. The service is made by ``hwdash init`` and run by ``hwdash serve`` as a user would run them.
"""

import atexit
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hwdash.clock import system_clock
from hwdash.drivers.authenticode import sign_cabinet
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.signing.authority import development_vendor_certificate
from marks import found_in
from openapi_answers import check_answer

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "sample-driver" / "hwdash_sample"
API = "/v2.0/my/hardware"
RESOURCE = "https://manage.devcenter.microsoft.com"
X64 = "WINDOWS_v100_X64_GE_FULL"
HWDASH = [sys.executable, "-m", "hwdash.cli.main"]
DEADLINE_SECONDS = 60

Entry = tuple[str, Path | bytes]


@dataclass(frozen=True)
class Vendor:
    """A vendor with an EV-like certificate."""

    key: rsa.RSAPrivateKey = field(repr=False)
    chain: list[x509.Certificate]

    def write_certificate(self, folder: Path) -> Path:
        file = folder / f"vendor-{uuid.uuid4().hex}.pem"
        file.write_bytes(self.chain[0].public_bytes(Encoding.PEM))
        return file

    def sign(self, unsigned: Path, signed: Path) -> Path:
        with unsigned.open("rb") as stream, signed.open("w+b") as out:
            sign_cabinet(
                stream,
                out,
                lambda attributes: self.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256()),
                [each.public_bytes(Encoding.DER) for each in self.chain],
                source=unsigned.name,
            )
        return signed


def new_vendor(company: str = "Test Hardware Vendor") -> Vendor:
    return Vendor(*development_vendor_certificate(company, system_clock(), key_size=2048))


def sample_entries(folder: str = "hwdash_sample") -> list[Entry]:
    """The sample driver's files, as they stand in a cabinet."""
    return [(f"{folder}\\{file.name}", file) for file in sorted(SAMPLE.iterdir())]


def unsigned_cabinet(folder: Path, entries: Sequence[Entry]) -> Path:
    file = folder / f"{uuid.uuid4().hex}.cab"
    with file.open("w+b") as stream:
        write_cabinet(stream, list(entries), reserve_for_signature=True)
    return file


def signed_cabinet(folder: Path, vendor: Vendor, entries: Sequence[Entry] | None = None) -> Path:
    unsigned = unsigned_cabinet(folder, sample_entries() if entries is None else entries)
    return vendor.sign(unsigned, unsigned.with_suffix(".signed.cab"))


def hwdash(*arguments: str, environment: Mapping[str, str]) -> str:
    """Run a command to its end; its standard output. A failure shows what it said."""
    done = subprocess.run([*HWDASH, *arguments], env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"hwdash {' '.join(arguments)} ended with {done.returncode}\n{done.stderr}"
    return done.stdout


def clean_environment(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HWDASH_")} | settings


@dataclass
class Made:
    """A service that ``hwdash init`` made, with the vendor's certificate registered."""

    data: Path
    credentials: dict[str, Any]
    vendor: Vendor
    environment: dict[str, str]

    @property
    def secrets(self) -> dict[str, str]:
        """What must stand in no log: what was printed once, and what the environment holds."""
        printed = {name: self.credentials.get(name) for name in ("clientSecret", "sandboxToken", "rootPassphrase")}
        given = {name: value for name, value in self.environment.items() if name.endswith("_PASSPHRASE")}
        return {name: value for name, value in (printed | given).items() if value}

    @property
    def root_certificate(self) -> Path:
        return Path(self.credentials["rootCertificate"])


# With these ``init`` makes something else.
SETTINGS_OF_INIT = {
    "HWDASH_DATABASE_URL",
    "HWDASH_KEY_PASSPHRASE",
    "HWDASH_KEY_PASSPHRASE_FILE",
    "HWDASH_PUBLIC_URL",
    "HWDASH_SECRETS_PASSPHRASE",
}


def make_service(folder: Path, *options: str, **settings: str) -> Made:
    """A new service. All of a process that are made alike have the same keys: they take seconds to make."""
    if not SETTINGS_OF_INIT.isdisjoint(settings):
        return initialised(folder, *options, **settings)
    pattern = _first_of_its_kind(options)
    folder.mkdir(parents=True, exist_ok=True)
    data = shutil.copytree(pattern.data, folder / "service")
    told = json.dumps(pattern.credentials).replace(str(pattern.data), str(data))
    return Made(data, json.loads(told), pattern.vendor, _environment(folder, **settings))


def initialised(folder: Path, *options: str, **settings: str) -> Made:
    """A new service, by ``hwdash init``."""
    environment = _environment(folder, **settings)
    credentials = json.loads(hwdash("init", "--json", *options, environment=environment))
    vendor = new_vendor()
    certificate = vendor.write_certificate(folder)
    hwdash("admin", "certificate", "add", str(certificate), environment=environment)
    return Made(folder / "service", credentials, vendor, environment)


@cache
def _first_of_its_kind(options: tuple[str, ...]) -> Made:
    folder = tempfile.mkdtemp(prefix="hwdash-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return initialised(Path(folder), *options)


def _environment(folder: Path, **settings: str) -> dict[str, str]:
    return clean_environment(HWDASH_DATA=str(folder / "service"), XDG_STATE_HOME=str(folder / "state"), **settings)


@dataclass
class Served:
    """A running service."""

    made: Made
    url: str
    process: subprocess.Popen[str]
    log: Path

    def client(self) -> "ApiClient":
        given = self.made.credentials
        return ApiClient(self.url, given["caCertificate"], given["tenantId"], given["clientId"], given["clientSecret"])


@contextmanager
def serve(
    made: Made, *, command: Sequence[str] = (*HWDASH, "serve"), port: int = 0, extra: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run the service until the block ends. ``command`` may be another program that runs it."""
    log = made.data.parent / "service.log"
    with log.open("a") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=made.environment | dict(extra or {}),
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on "), f"the service did not start:\n{log.read_text()[-4000:]}"
            yield Served(made, line.removeprefix("listening on ").strip(), process, log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    # Whatever the test was about: no secret of its service is in the log.
    assert found_in(log.read_text("utf-8", "replace"), made.secrets) == []


class ApiClient:
    """Plain HTTP: what the API answers, not what a client of ours makes of it."""

    def __init__(self, url: str, ca: str, tenant_id: str, client_id: str, client_secret: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=ca), timeout=60)
        # Whatever a test is about, each answer has to be as OpenAPI says.
        self.http.event_hooks["response"].append(check_answer)
        answer = self.http.post(
            f"/{tenant_id}/oauth2/token",
            data={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
                "resource": RESOURCE,
            },
        )
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def create_product(self, **changes: object) -> dict[str, Any]:
        body = {
            "productName": "Test product",
            "testHarness": "Attestation",
            "requestedSignatures": [X64],
            "deviceType": "internal",
        } | changes
        answer = self.http.post(f"{API}/products", json=body)
        assert answer.status_code == 201, answer.text
        product: dict[str, Any] = answer.json()
        return product

    def create_submission(self, product_id: int, **changes: object) -> dict[str, Any]:
        body = {"name": "Test submission", "type": "initial"} | changes
        answer = self.http.post(f"{API}/products/{product_id}/submissions", json=body)
        assert answer.status_code == 201, answer.text
        submission: dict[str, Any] = answer.json()
        return submission

    def get_submission(self, submission: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.http.get(f"{API}/products/{submission['productId']}/submissions/{submission['id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def upload(self, submission: Mapping[str, Any], package: Path | bytes) -> httpx.Response:
        content = package if isinstance(package, bytes) else package.read_bytes()
        return self.http.put(
            download_url(submission, "initialPackage"),
            content=content,
            headers={"x-ms-blob-type": "BlockBlob", "Authorization": ""},
        )

    def commit(self, submission: Mapping[str, Any]) -> httpx.Response:
        return self.http.post(f"{API}/products/{submission['productId']}/submissions/{submission['id']}/commit")

    def submit(self, package: Path | bytes, **product: object) -> dict[str, Any]:
        """The whole way to the end of the workflow, whatever it is."""
        submission = self.create_submission(self.create_product(**product)["id"])
        uploaded = self.upload(submission, package)
        assert uploaded.status_code == 201, uploaded.text
        committed = self.commit(submission)
        assert committed.status_code == 202, committed.text
        return self.finished(submission)

    def finished(self, submission: Mapping[str, Any]) -> dict[str, Any]:
        """The submission once its workflow has ended."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            nonlocal found
            found = self.get_submission(submission)
            return found.get("workflowStatus", {}).get("state") in ("completed", "failed")

        until(ended, "the workflow has not ended")
        return found


def download_url(submission: Mapping[str, Any], kind: str) -> str:
    urls = [item["url"] for item in submission["downloads"]["items"] if item["type"] == kind]
    assert len(urls) == 1, f"{len(urls)} downloads of type {kind}"
    return str(urls[0])


def until(holds: Callable[[], bool], complaint: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for something that another process does; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One running service for all tests of a worker that only add products to it."""
    with serve(make_service(tmp_path_factory.mktemp("service"))) as served:
        yield served


@pytest.fixture
def client(service: Served) -> ApiClient:
    return service.client()
