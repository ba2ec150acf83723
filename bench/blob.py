"""A 256 MB package up and down by azure-storage-blob, against Azurite and against an endpoint that does nothing else.

Run: ``.venv/bin/python bench/blob.py``. Plain http on this machine; the client has ``max_concurrency=4`` and its other
defaults, and throws away what it downloads. Ours is the whole service, as ``hwdash init`` makes it and ``hwdash serve
--no-tls`` runs it; it answers 201 when the bytes are on the disk (fsync of file and folder).

Azurite comes from npm into ``.peers`` and runs with its defaults (its README: ``azurite-blob --location``), and with
``--skipApiVersionCheck`` because the client is newer than it, ``--silent`` and ``--disableTelemetry``.

The bare endpoint is an ASGI function on uvicorn with the settings of ``hwdash serve``. It writes each block to a file
of its own, with fsync, and reads it back: no signature, no database, no sync of folders, no manifest, no check.

Three runs in turn. In each the server is fresh, moves the package once untimed while every byte is compared, and then
three times; the median of these is the run's speed, the median of the runs counts. Before each the disk is synced, and
512 MB of memory are taken and given back, the same for all: a virtual machine hands free memory back to its host
within seconds, and to fetch it again costs more than all the rest of writing a file, on one run more than on another.
For our memory it is the greatest VmHWM (proc(5)) of the serving process.
"""

import argparse
import asyncio
import base64
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO, cast
from urllib.parse import parse_qs

import httpx
import uvicorn
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobClient, BlobServiceClient, generate_blob_sas

from report import MIB, Measure, median, peak_mb, print_report

SIZE = 256 * MIB
RUNS = 3
PEAK_GOAL_MB = 150
WARM_UP = 512 * MIB
PEERS = Path(__file__).resolve().parent.parent / ".peers"
RESOURCE = "https://manage.devcenter.microsoft.com"
PRODUCT = {
    "productName": "Blob bench",
    "testHarness": "Attestation",
    "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"],
    "deviceType": "internal",
}
ETAG = b'"1"'
LAST_MODIFIED = b"Mon, 23 Nov 2026 14:11:00 GMT"
NewUrl = Callable[[], str]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Run(NamedTuple):
    """Speeds in MB/s (2**20 bytes), and memory in 2**20 bytes."""

    up: float
    down: float
    peak_mb: float


class NullFile(io.RawIOBase):
    """Where a download goes, so that only the transfer is timed."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return offset

    def write(self, content: bytes) -> int:  # type: ignore[override]  # the client writes bytes only
        self.size += len(content)
        return len(content)


class BareEndpoint:
    """Writes and reads, and that is all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.threads = ThreadPoolExecutor(8)
        self.blobs: dict[str, list[tuple[Path, int]]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Put Block, Put Block List or Get Blob with a range, as the client of this bench sends them."""
        query = parse_qs(scope["query_string"].decode())
        name = scope["path"].rpartition("/")[2]
        if scope["method"] == "GET":
            await self.get_blob(self.blobs[name], dict(scope["headers"])[b"x-ms-range"].decode(), send)
            return
        if query["comp"] == ["blocklist"]:
            body = b""
            while message := await receive():
                body += message["body"]
                if not message["more_body"]:
                    break
            paths = [self.path(name, block) for block in re.findall(r"<Latest>([^<]*)<", body.decode())]
            self.blobs[name] = [(path, path.stat().st_size) for path in paths]
        else:
            with self.path(name, query["blockid"][0]).open("wb", buffering=0) as file:
                await self.put_block(file.fileno(), receive)
        headers = [(b"etag", ETAG), (b"last-modified", LAST_MODIFIED), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def path(self, name: str, block: str) -> Path:
        return self.root / f"{name}-{base64.b64decode(block).hex()}"

    async def put_block(self, file: int, receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        batch: list[bytes] = []
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            batch.append(message["body"])
            if sum(map(len, batch)) >= MIB or not more:
                await loop.run_in_executor(self.threads, os.writev, file, batch)
                batch = []
        await loop.run_in_executor(self.threads, os.fsync, file)

    async def get_blob(self, files: list[tuple[Path, int]], asked: str, send: Send) -> None:
        loop = asyncio.get_running_loop()
        total = sum(size for _, size in files)
        first, last = asked.removeprefix("bytes=").split("-")
        start, end = int(first), min(int(last) + 1, total)
        headers = [
            (b"etag", ETAG),
            (b"content-range", f"bytes {start}-{end - 1}/{total}".encode()),
            (b"content-length", str(end - start).encode()),
        ]
        await send({"type": "http.response.start", "status": 206, "headers": headers})
        offset = 0
        for path, size in files:
            if offset < end and start < offset + size:
                with path.open("rb", buffering=0) as file:
                    while start < min(end, offset + size):
                        count = min(MIB, min(end, offset + size) - start)
                        chunk = await loop.run_in_executor(self.threads, os.pread, file.fileno(), count, start - offset)
                        start += len(chunk)
                        await send({"type": "http.response.body", "body": chunk, "more_body": start < end})
            offset += size


# Servers, each in a process of its own; each gives a function that makes an upload URL, and the process id


@contextmanager
def ours(root: Path) -> Iterator[tuple[NewUrl, int]]:
    """A service of its own, with one submission to upload to."""
    environment = os.environ | {"HWDASH_DATA": str(root)}
    hwdash = [sys.executable, "-m", "hwdash.cli.main"]
    done = subprocess.run([*hwdash, "init", "--json"], env=environment, check=True, capture_output=True, text=True)
    made = json.loads(done.stdout.splitlines()[-1])
    command = [*hwdash, "serve", "--no-tls", "--port", "0", "--log-level", "warning"]
    with running(command, environment, stdout=subprocess.PIPE) as process, httpx.Client(trust_env=False) as http:
        line = (process.stdout or io.StringIO()).readline()
        if not line.startswith("listening on "):
            raise RuntimeError("the service did not start")
        url = line.removeprefix("listening on ").strip()
        credentials = {"client_id": made["clientId"], "client_secret": made["clientSecret"]}
        form = credentials | {"grant_type": "client_credentials", "resource": RESOURCE}
        token = http.post(f"{url}/{made['tenantId']}/oauth2/token", data=form).raise_for_status().json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"

        def new_url() -> str:
            products = f"{url}/v2.0/my/hardware/products"
            product = http.post(products, json=PRODUCT).raise_for_status().json()["id"]
            body = {"name": "Blob bench", "type": "initial"}
            submission = http.post(f"{products}/{product}/submissions", json=body).raise_for_status().json()
            return str(submission["downloads"]["items"][0]["url"])

        yield new_url, process.pid


@contextmanager
def bare(root: Path) -> Iterator[tuple[NewUrl, int]]:
    """The endpoint that only writes and reads."""
    root.mkdir()
    port = free_port()
    with running([sys.executable, __file__, "--bare", str(port), str(root)], os.environ) as process:
        wait_for(port, process)
        yield lambda: f"http://127.0.0.1:{port}/packages/{secrets.token_hex(16)}", process.pid


@contextmanager
def azurite(root: Path) -> Iterator[tuple[NewUrl, int]]:
    """Azurite with an account whose key lives for this run. RuntimeError or OSError when it cannot be had."""
    program = PEERS / "azurite/node_modules/.bin/azurite-blob"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is not installed")
        install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(PEERS / "azurite"), "azurite"]
        (PEERS / "azurite").mkdir(parents=True, exist_ok=True)
        subprocess.run(install, check=True, stdout=sys.stderr)
    port, key = free_port(), base64.b64encode(secrets.token_bytes(64)).decode()
    command = [str(program), "--blobPort", str(port), "--location", str(root)]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with running(command, os.environ | {"AZURITE_ACCOUNTS": f"bench:{key}"}) as process:
        wait_for(port, process)
        address = f"http://127.0.0.1:{port}/bench"
        credential = {"account_name": "bench", "account_key": key}
        BlobServiceClient(address, credential=credential).create_container("packages")

        def new_url() -> str:
            name = secrets.token_hex(16)
            until = datetime.now(UTC) + timedelta(hours=24)
            sas = generate_blob_sas("bench", "packages", name, account_key=key, permission="rw", expiry=until)
            return f"{address}/packages/{name}?{sas}"

        yield new_url, process.pid


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], stdout: int | TextIO = sys.stderr
) -> Iterator[subprocess.Popen[str]]:
    """A process until the block ends."""
    process = subprocess.Popen(command, env=environment, stdout=stdout, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Return when a server listens. RuntimeError when it ends before."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}") from None
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# The client


def transfer(new_url: NewUrl, package: Path) -> tuple[float, float]:
    """Upload and download once; MB/s (2**20 bytes) up and down."""
    os.sync()
    touch = f"b = bytearray({WARM_UP}); b[::4096] = bytes([1]) * ({WARM_UP} // 4096)"
    subprocess.run([sys.executable, "-c", touch], check=True)
    with BlobClient.from_blob_url(new_url()) as client:
        start = time.perf_counter()
        with package.open("rb") as content:
            client.upload_blob(content, overwrite=True, max_concurrency=4)
        up = time.perf_counter() - start
        sink = NullFile()
        start = time.perf_counter()
        client.download_blob(max_concurrency=4).readinto(cast("BinaryIO", sink))
        down = time.perf_counter() - start
        if sink.size != SIZE:
            raise RuntimeError(f"{sink.size} of {SIZE} bytes came back")
    return SIZE / MIB / up, SIZE / MIB / down


def check_content(new_url: NewUrl, package: Path) -> None:
    """One untimed round trip that compares every byte."""
    with BlobClient.from_blob_url(new_url()) as client, package.open("rb") as content:
        client.upload_blob(content, overwrite=True, max_concurrency=4)
        digest = hashlib.sha256()
        for chunk in client.download_blob(max_concurrency=4).chunks():
            digest.update(chunk)
        content.seek(0)
        if digest.digest() != hashlib.file_digest(content, "sha256").digest():
            raise RuntimeError("the bytes that came back differ")


def measure(side: Callable[[Path], AbstractContextManager[tuple[NewUrl, int]]], root: Path, package: Path) -> Run:
    """One run against a fresh server: MB/s up and down, and its peak memory."""
    try:
        with side(root) as (new_url, pid):
            check_content(new_url, package)
            ups, downs = zip(*(transfer(new_url, package) for _ in range(RUNS)), strict=True)
            return Run(statistics.median(ups), statistics.median(downs), peak_mb(pid))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Run them in turn and report."""
    runs: dict[str, list[Run]] = {"hwdash": [], "Azurite": [], "a bare endpoint": []}
    with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as folder:
        package = Path(folder, "package.cab")
        with package.open("wb") as file:
            for _ in range(SIZE // MIB):
                file.write(secrets.token_bytes(MIB))
        sides = list(zip(runs.items(), (ours, azurite, bare), strict=True))
        for number in range(RUNS):
            # Each is first once: what a run leaves in caches and on the disk is nobody's advantage.
            for (name, done), side in sides[number:] + sides[:number]:
                try:
                    run = measure(side, Path(folder, f"server-{number}"), package)
                except (RuntimeError, OSError, subprocess.CalledProcessError, AzureError) as error:
                    if name != "Azurite":
                        raise
                    print(f"Azurite could not be had: {error}", flush=True)
                    continue
                done.append(run)
                print(f"{name}: {run.up:.0f} MB/s up, {run.down:.0f} MB/s down, peak {run.peak_mb:.0f} MB", flush=True)
    mine = runs.pop("hwdash")
    peak = max(run.peak_mb for run in mine)
    measures = []
    for (name, theirs), goal in zip(runs.items(), (3.0, 0.8), strict=True):
        for direction in ("up", "down"):
            ours_median, peer_median = (median([getattr(run, direction) for run in side]) for side in (mine, theirs))
            title = f"{direction}load of 256 MB against {name}"
            measures.append(Measure(title, goal, ours_median, peer_median, "MB/s", peak, PEAK_GOAL_MB))
    print_report(measures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bare", nargs=2, metavar=("PORT", "FOLDER"), help="be the bare endpoint; the bench uses it")
    bare_arguments = parser.parse_args().bare
    if bare_arguments is None:
        main()
    else:
        uvicorn.run(
            BareEndpoint(Path(bare_arguments[1])),
            port=int(bare_arguments[0]),
            loop="uvloop",
            http="httptools",
            access_log=False,
            server_header=False,
            log_level="warning",
        )
