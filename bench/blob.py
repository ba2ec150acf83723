"""A 256 MB package up and down by azure-storage-blob, against Azurite and against an endpoint that does nothing else.

Run: ``.venv/bin/python bench/blob.py``. Everything over plain http on this machine, the client with ``max_concurrency=4``
and its other defaults. Ours answers 201 when the bytes are on the disk (fsync of file and folder). Azurite comes from npm
into ``.peers`` and runs with its defaults (its README: ``azurite-blob --location``; ``--skipApiVersionCheck`` because the
client is newer than it, ``--silent`` and ``--disableTelemetry`` as for any automatic use). The bare endpoint writes each
block to a file of its own with fsync and reads it back: no signature, no folder sync, no manifest, no check of anything.
Three runs in turn, the disk synced before each; the medians count.
"""

import argparse
import asyncio
import base64
import hashlib
import http.client
import io
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from azure.storage.blob import BlobClient, BlobServiceClient, generate_blob_sas

from hwdash.clock import system_clock
from hwdash.server.blobs import BlobEndpoint
from hwdash.server.sas import SasSigner
from hwdash.storage.blobs import BlobStore
from report import MIB, Measure, median, peak_mb, print_report

SIZE = 256 * MIB
RUNS = 3
PEERS = Path(__file__).resolve().parent.parent / ".peers"
NewUrl = Callable[[], str]


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

    def write(self, content: Any) -> int:
        self.size += len(content)
        return len(content)


# Servers, each in a process of its own


def run_endpoint(port: int, root: Path) -> None:
    """Our blob endpoint alone."""

    async def always(_: str) -> bool:
        return True

    sas = SasSigner(bytes.fromhex(os.environ["BENCH_SAS_KEY"]), f"http://127.0.0.1:{port}", system_clock)
    run_uvicorn(BlobEndpoint(BlobStore(root), sas, may_write=always, clock=system_clock), port)


def run_bare(port: int, root: Path) -> None:
    """Writes and reads, and that is all."""
    threads = ThreadPoolExecutor(8)
    blobs: dict[str, list[tuple[Path, int]]] = {}

    async def body_to(file: io.FileIO, receive: Callable[[], Awaitable[Any]]) -> None:
        loop = asyncio.get_running_loop()
        batch: list[bytes] = []
        collected = 0
        while True:
            message = await receive()
            batch.append(message["body"])
            collected += len(message["body"])
            if collected >= MIB or not message["more_body"]:
                await loop.run_in_executor(threads, os.writev, file.fileno(), batch)
                batch, collected = [], 0
            if not message["more_body"]:
                await loop.run_in_executor(threads, os.fsync, file.fileno())
                return

    def read(files: list[tuple[Path, int]], start: int, end: int) -> Iterator[bytes]:
        offset = 0
        for path, size in files:
            with path.open("rb", buffering=0) as file:
                while start < min(end, offset + size):
                    chunk = os.pread(file.fileno(), min(MIB, min(end, offset + size) - start), start - offset)
                    start += len(chunk)
                    yield chunk
            offset += size

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        query = parse_qs(scope["query_string"].decode())
        name = scope["path"].rpartition("/")[2]
        if scope["method"] == "PUT" and query.get("comp") == ["blocklist"]:
            body = b""
            while True:
                message = await receive()
                body += message["body"]
                if not message["more_body"]:
                    break
            files = [root / f"{name}-{hashlib.sha1(i).hexdigest()}" for i in re.findall(b"<Latest>([^<]*)<", body)]
            blobs[name] = [(path, path.stat().st_size) for path in files]
        elif scope["method"] == "PUT":
            path = root / f"{name}-{hashlib.sha1(query['blockid'][0].encode()).hexdigest()}"
            with path.open("wb", buffering=0) as file:
                await body_to(file, receive)
        if scope["method"] == "PUT":
            common = [
                (b"etag", b'"1"'),
                (b"last-modified", b"Mon, 23 Nov 2026 14:11:00 GMT"),
                (b"content-length", b"0"),
            ]
            await send({"type": "http.response.start", "status": 201, "headers": common})
            await send({"type": "http.response.body", "body": b""})
            return
        total = sum(size for _, size in blobs[name])
        asked = dict(scope["headers"])[b"x-ms-range"].decode().removeprefix("bytes=").split("-")
        start, end = int(asked[0]), min(int(asked[1]) + 1, total)
        headers = [
            (b"etag", b'"1"'),
            (b"content-range", f"bytes {start}-{end - 1}/{total}".encode()),
            (b"content-length", str(end - start).encode()),
            (b"x-ms-blob-type", b"BlockBlob"),
        ]
        await send({"type": "http.response.start", "status": 206, "headers": headers})
        chunks = read(blobs[name], start, end)
        while start < end:
            chunk = await loop.run_in_executor(threads, next, chunks)
            start += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": start < end})

    run_uvicorn(app, port)


def run_uvicorn(app: Any, port: int) -> None:
    """The settings of ``hwdash serve``."""
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


@contextmanager
def server(command: list[str | Path], port: int, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run a server until the block ends; gives its process id when its port is open."""
    process = subprocess.Popen(command, env=os.environ | (environment or {}), stdout=sys.stderr)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not open port {port}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def ours(root: Path) -> Iterator[tuple[NewUrl, int]]:
    """Our endpoint: a function that gives a fresh SAS URL, and the process id."""
    port, key = free_port(), secrets.token_bytes(32)
    sas = SasSigner(key, f"http://127.0.0.1:{port}", system_clock)
    command = [sys.executable, __file__, "--run", "endpoint", "--port", str(port), "--root", root]
    with server(command, port, {"BENCH_SAS_KEY": key.hex()}) as pid:
        yield lambda: sas.url(secrets.token_hex(16), "Initial_1.cab", permissions="rwl"), pid


@contextmanager
def bare(root: Path) -> Iterator[tuple[NewUrl, int]]:
    """The endpoint that only writes and reads."""
    port = free_port()
    root.mkdir()
    command = [sys.executable, __file__, "--run", "bare", "--port", str(port), "--root", root]
    with server(command, port) as pid:
        yield lambda: f"http://127.0.0.1:{port}/packages/{secrets.token_hex(16)}", pid


@contextmanager
def azurite(root: Path) -> Iterator[tuple[NewUrl, int]]:
    """Azurite with an account whose key lives for this run. RuntimeError or OSError when it cannot be had."""
    program = PEERS / "azurite/node_modules/.bin/azurite-blob"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is not installed")
        install = [npm, "install", "--no-audit", "--no-fund", "--prefix", PEERS / "azurite", "azurite"]
        (PEERS / "azurite").mkdir(parents=True, exist_ok=True)
        subprocess.run(install, check=True, stdout=sys.stderr)
    port, key = free_port(), base64.b64encode(secrets.token_bytes(64)).decode()
    command: list[str | Path] = [program, "--blobPort", str(port), "--location", root]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with server(command, port, {"AZURITE_ACCOUNTS": f"bench:{key}"}) as pid:
        address = f"http://127.0.0.1:{port}/bench"
        BlobServiceClient(address, credential={"account_name": "bench", "account_key": key}).create_container(
            "packages"
        )

        def new_url() -> str:
            name = secrets.token_hex(16)
            until = datetime.now(UTC) + timedelta(hours=24)
            sas = generate_blob_sas("bench", "packages", name, account_key=key, permission="rw", expiry=until)
            return f"{address}/packages/{name}?{sas}"

        yield new_url, pid


# The client


def transfer(new_url: NewUrl, package: Path) -> tuple[float, float]:
    """Upload and download once; MB/s (2**20 bytes) up and down."""
    os.sync()
    with BlobClient.from_blob_url(new_url()) as client:
        start = time.perf_counter()
        with package.open("rb") as content:
            client.upload_blob(content, overwrite=True, max_concurrency=4)
        up = time.perf_counter() - start
        sink = NullFile()
        start = time.perf_counter()
        client.download_blob(max_concurrency=4).readinto(sink)
        down = time.perf_counter() - start
        if sink.size != SIZE:
            raise RuntimeError(f"{sink.size} of {SIZE} bytes came back")
    return SIZE / MIB / up, SIZE / MIB / down


def check_content(new_url: NewUrl, package: Path) -> None:
    """One untimed round trip that compares every byte, and warms both sides."""
    with BlobClient.from_blob_url(new_url()) as client, package.open("rb") as content:
        client.upload_blob(content, overwrite=True, max_concurrency=4)
        digest = hashlib.sha256()
        for chunk in client.download_blob(max_concurrency=4).chunks():
            digest.update(chunk)
        content.seek(0)
        if digest.digest() != hashlib.file_digest(content, "sha256").digest():
            raise RuntimeError("the bytes that came back differ")


def main() -> None:
    """Run them in turn and report."""
    speeds: dict[str, list[tuple[float, float]]] = {"hwdash": [], "azurite": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as folder:
        package = Path(folder, "package.cab")
        with package.open("wb") as file:
            for _ in range(SIZE // MIB):
                file.write(secrets.token_bytes(MIB))
        peak = 0.0
        for run in range(RUNS):
            for name, start in (("hwdash", ours), ("azurite", azurite), ("bare", bare)):
                root = Path(folder, f"{name}-{run}")
                try:
                    with start(root) as (new_url, pid):
                        check_content(new_url, package)
                        speeds[name].append(transfer(new_url, package))
                        memory = peak_mb(pid)
                except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                    if name != "azurite":
                        raise
                    print(f"Azurite could not be had: {error}")
                    continue
                finally:
                    shutil.rmtree(root, ignore_errors=True)
                if name == "hwdash":
                    peak = max(peak, memory)
                up, down = speeds[name][-1]
                print(
                    f"run {run + 1}, {name}: {up:.0f} MB/s up, {down:.0f} MB/s down, peak {memory:.0f} MB", flush=True
                )
    measures = []
    for peer, goal in (("azurite", 3.0), ("bare", 0.8)):
        for direction, name in enumerate(("upload", "download")):
            our_median, peer_median = (
                median([speed[direction] for speed in speeds[side]]) for side in ("hwdash", peer)
            )
            measures.append(
                Measure(
                    f"blob {name} of 256 MB against {'Azurite' if peer == 'azurite' else 'a bare ASGI endpoint'}",
                    goal=goal,
                    ours=our_median,
                    peer=peer_median,
                    unit="MB/s",
                    peak_mb=peak,
                    peak_goal_mb=150,
                )
            )
    print_report(measures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", choices=["endpoint", "bare"], help="be a server instead (the bench starts itself so)")
    parser.add_argument("--port", type=int)
    parser.add_argument("--root", type=Path)
    arguments = parser.parse_args()
    if arguments.run == "endpoint":
        run_endpoint(arguments.port, arguments.root)
    elif arguments.run == "bare":
        run_bare(arguments.port, arguments.root)
    else:
        main()
