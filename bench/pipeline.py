"""A 300 MB driver package from commit to signed package, against a shell script of the usual tools.

Run: ``.venv/bin/python bench/pipeline.py``. The package is a signed MSZIP cabinet of 300 MB with some 450 MB of files,
half of it hardly compressible: five PE files of 20 to 78 MB, five symbol files, and 300 small ones.

Ours: a service of ``hwdash init`` and ``hwdash serve --no-tls``, the package uploaded before. The clock runs from the
commit until the submission, asked every 50 ms, shows its ``signedPackage``.

The peer: ``sh`` with ``osslsigncode verify``, ``cabextract``, ``sha1sum`` and ``sha256sum`` of each file, a scan by the
same yara-x with the same rules in a Python process, ``osslsigncode sign`` of every PE file, ``zip -0``.

The same: the cabinet's signature verified, every file unpacked, digested by SHA-1 and SHA-256 and scanned, every PE
file signed by RSA and SHA-256, and one zip without compression. Ours does more: it judges layout and INFs, works out
the metadata, parses in confined child processes, makes and signs a catalog, asks another process for each signature,
digests the zip (MD5, SHA-256), keeps a record of each step, and has the zip on the disk (fsync) before it shows it.
The peer does more in two things: it digests PE files once whole and once as it signs them, and writes them twice,
because its tools share nothing but files. Ours may use both cores within a step, the script runs one tool at a time.

Three runs in turn, the disk synced before each; the medians count. A first run of ours is not timed: its signed package
is verified file by file, and during it the memory of the service, its signer and its children (VmHWM, proc(5)) is read
every 4 ms. What a child takes in its last 4 ms may be missed.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import hwdash.pipeline
from hwdash.cli.demo import sample_driver
from hwdash.cli.package import write_development_certificate
from hwdash.cli.package_sign import sign_file
from hwdash.cli.verification import verify_signed_package
from hwdash.drivers.cab_writer import write_cabinet
from report import MIB, median

COMPANY = "Bench Hardware Vendor"
FOLDER = "hwdash_sample"
RUNS = 3
GOAL = 2.0
PEAK_GOAL_MB = 250
API = "/v2.0/my/hardware"
RESOURCE = "https://manage.devcenter.microsoft.com"
PEER_TOOLS = ("cabextract", "osslsigncode", "zip", "sha1sum", "sha256sum")
RULES = Path(hwdash.pipeline.__file__).parent / "rules"
MACHINE_BYTES = 1 << 12  # what the compressible half repeats, with changes
DEADLINE_SECONDS = 300

PEER_SCRIPT = """
set -eu
osslsigncode verify -in "$CABINET" -CAfile "$ANCHOR" >/dev/null
mkdir files
cabextract -q -d files "$CABINET"
cd files
find . -type f -exec sha1sum {} + >../sha1
find . -type f -exec sha256sum {} + >../sha256
"$PYTHON" -c "$SCAN" "$RULES" .
find . -type f \\( -name '*.sys' -o -name '*.dll' \\) | while read -r image; do
    osslsigncode sign -certs "$CERTIFICATE" -key "$KEY" -h sha256 -in "$image" -out ../signed >/dev/null
    mv ../signed "$image"
done
zip -0 -q -r ../signed.zip .
"""
PEER_SCAN = """
import pathlib, sys, yara_x
compiler = yara_x.Compiler()
for name in ("filename", "filepath", "extension"):
    compiler.define_global(name, "")
for path in pathlib.Path(sys.argv[1]).glob("*.yar"):
    compiler.add_source(path.read_text())
scanner = yara_x.Scanner(compiler.build())
scanner.fast_scan(True)
for path in pathlib.Path(sys.argv[2]).rglob("*"):
    if path.is_file():
        scanner.set_global("extension", path.suffix.lower())
        if scanner.scan_file(str(path)).matching_rules:
            sys.exit(f"{path} matches")
"""


# The package


def content(random_bytes: random.Random, size: int) -> Iterator[bytes]:
    """``size`` bytes, half of them random, half like machine code: pieces of a few kilobytes repeated with changes."""
    machine = random_bytes.randbytes(MACHINE_BYTES)
    while size > 0:
        at = random_bytes.randrange(0, MACHINE_BYTES)
        repeated = bytearray((machine[at:] + machine[:at]) * 8)
        for _ in range(600):
            repeated[random_bytes.randrange(len(repeated))] = random_bytes.randrange(256)
        piece = (random_bytes.randbytes(len(repeated)) + bytes(repeated))[:size]
        size -= len(piece)
        yield piece


def with_section(image: bytes, size: int) -> bytes:
    """The headers and content of a PE image, ready for a last section of ``size`` bytes that follows it."""
    made = bytearray(image)
    (pe,) = struct.unpack_from("<I", made, 0x3C)
    (count,) = struct.unpack_from("<H", made, pe + 6)
    table = pe + 24 + struct.unpack_from("<H", made, pe + 20)[0]
    address, headers_size = struct.unpack_from("<II", made, pe + 24 + 56)
    end = table + 40 * (count + 1)
    if end > headers_size or len(made) % 512:
        raise RuntimeError("the sample driver has no room for one more section header")
    struct.pack_into("<8sIIIIIIHHI", made, end - 40, b".bench", size, address, size, len(made), 0, 0, 0, 0, 0x40000040)
    struct.pack_into("<H", made, pe + 6, count + 1)
    struct.pack_into("<I", made, pe + 24 + 56, address + size + -size % 0x1000)
    return bytes(made)


def build_package(folder: Path, megabytes: int) -> tuple[Path, Path, Path]:
    """The signed cabinet of about ``megabytes``, the vendor's certificate (with its CA) and key."""
    numbers = random.Random("hwdash")  # the same package in every run
    driver = folder / FOLDER
    shutil.copytree(sample_driver(), driver)
    sample = next(driver.glob("*.sys")).read_bytes()
    unit = megabytes * MIB // 490  # the files make 736 units, the cabinet 490
    plan: list[tuple[str, bytes, int]] = [
        (f"module{number}.{'sys' if number % 2 else 'dll'}", with_section(sample, size), size)
        for number, size in enumerate(parts * unit // 512 * 512 for parts in (128, 128, 96, 64, 32))
    ]
    plan += [(f"module{number}.pdb", b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0", 64 * unit) for number in range(5)]
    plan += [(f"firmware{number:03}.bin", b"", numbers.randrange(unit // 4)) for number in range(300)]
    for name, head, size in plan:
        with (driver / name).open("wb") as file:
            file.write(head)
            for piece in content(numbers, size):
                file.write(piece)
    unsigned, package = folder / "unsigned.cab", folder / "package.cab"
    with unsigned.open("w+b") as stream:
        write_cabinet(
            stream, [(f"{FOLDER}\\{file.name}", file) for file in sorted(driver.iterdir())], reserve_for_signature=True
        )
    shutil.rmtree(driver)
    certificate, key = write_development_certificate(COMPANY, folder / "vendor")
    private: Any = load_pem_private_key(key.read_bytes(), None)
    sign_file(unsigned, package, private, x509.load_pem_x509_certificates(certificate.read_bytes()))
    unsigned.unlink()
    return package, certificate, key


# Ours


@dataclass
class Service:
    """A running service, spoken to over plain HTTP."""

    process_id: int
    root_certificate: Path
    http: httpx.Client

    def post(self, path: str, body: object = None) -> Any:
        answer = self.http.post(f"{API}{path}", json=body)
        if answer.is_error:
            raise RuntimeError(f"POST {path} was answered {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None

    def uploaded(self, package: Path) -> str:
        """The path of a new submission with its package uploaded."""
        product = self.post(
            "/products",
            {
                "productName": "Bench",
                "testHarness": "Attestation",
                "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"],
                "deviceType": "internal",
            },
        )
        submission = self.post(f"/products/{product['id']}/submissions", {"name": "Bench", "type": "initial"})
        with package.open("rb") as body:
            answer = httpx.put(
                download(submission, "initialPackage") or "",
                content=iter(lambda: body.read(MIB), b""),
                headers={"x-ms-blob-type": "BlockBlob", "Content-Length": str(package.stat().st_size)},
                timeout=60,
            )
        answer.raise_for_status()
        return f"/products/{product['id']}/submissions/{submission['id']}"

    def commit(self, submission: str) -> tuple[float, str]:
        """Seconds from the commit until the signed package can be had, and its URL."""
        start = time.perf_counter()
        self.post(f"{submission}/commit")
        while time.perf_counter() - start < DEADLINE_SECONDS:
            state = self.http.get(f"{API}{submission}").json()
            if url := download(state, "signedPackage"):
                return time.perf_counter() - start, url
            if state["workflowStatus"]["state"] == "failed":
                raise RuntimeError(f"the submission failed: {json.dumps(state['workflowStatus'], indent=2)}")
            time.sleep(0.05)
        raise RuntimeError(f"no signed package after {DEADLINE_SECONDS} seconds")


def download(submission: dict[str, Any], kind: str) -> str | None:
    items = (submission.get("downloads") or {}).get("items", [])
    return next((str(item["url"]) for item in items if item["type"] == kind), None)


@contextmanager
def serve(folder: Path, certificate: Path) -> Iterator[Service]:
    """A fresh service until the block ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HWDASH_")}
    environment |= {"HWDASH_DATA": str(folder / "service"), "XDG_STATE_HOME": str(folder / "state")}
    command = [sys.executable, "-m", "hwdash.cli.main"]
    init = [*command, "init", "--json", "--account", COMPANY]
    made = json.loads(subprocess.run(init, env=environment, stdout=subprocess.PIPE, check=True).stdout)
    add = [*command, "admin", "certificate", "add", str(certificate)]
    subprocess.run(add, env=environment, stdout=sys.stderr, check=True)
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "serve", "--no-tls", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("listening on "):
                raise RuntimeError(f"the service did not start: {(folder / 'service.log').read_text()[-2000:]}")
            url = line.removeprefix("listening on ").strip()
            with httpx.Client(base_url=url, timeout=60) as http:
                credentials = {"client_id": made["clientId"], "client_secret": made["clientSecret"]}
                form = {"grant_type": "client_credentials", "resource": RESOURCE} | credentials
                answer = http.post(f"/{made['tenantId']}/oauth2/token", data=form)
                answer.raise_for_status()
                http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                yield Service(process.pid, Path(made["rootCertificate"]), http)
        finally:
            process.terminate()
            process.wait(60)


class PeakMemory:
    """The greatest VmHWM (2**20 bytes) of each process of a tree, by what the process runs, while the block runs."""

    def __init__(self, root: int, *, pause: float) -> None:
        self.peaks: dict[str, float] = {}
        self._root = root
        self._pause = pause
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    @property
    def greatest(self) -> float:
        return max(self.peaks.values())

    def _watch(self) -> None:
        while not self._done.wait(self._pause):
            self._read(self._root, "service")

    def _read(self, process: int, name: str) -> None:
        with suppress(OSError):  # it has ended
            status = Path(f"/proc/{process}/status").read_text()
            peak = status.partition("VmHWM:")[2].split(None, 1)  # a process that ends has none any more
            if peak:
                self.peaks[name] = max(self.peaks.get(name, 0), int(peak[0]) / 1024)
            for task in Path(f"/proc/{process}/task").iterdir():
                for child in (task / "children").read_text().split():
                    run = Path(f"/proc/{child}/cmdline").read_text().split("\0")
                    # Until it runs a module of its own, a child is a fork of its parent and shares its memory.
                    modules = [word for word in run if word.startswith("hwdash.") and word != "hwdash.cli.main"]
                    self._read(int(child), modules[0] if modules else name)


# The peer


def run_peer(folder: Path, package: Path, certificate: Path, key: Path) -> float:
    """Seconds that the shell script took."""
    work = folder / "peer"
    work.mkdir()
    anchor = folder / "anchor.pem"
    anchor.write_text("-----BEGIN" + certificate.read_text().rpartition("-----BEGIN")[2])
    environment = os.environ | {
        "CABINET": str(package),
        "ANCHOR": str(anchor),
        "CERTIFICATE": str(certificate),
        "KEY": str(key),
        "PYTHON": sys.executable,
        "SCAN": PEER_SCAN,
        "RULES": str(RULES),
    }
    try:
        start = time.perf_counter()
        subprocess.run(["sh", "-c", PEER_SCRIPT], cwd=work, env=environment, check=True)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(work)


@dataclass(frozen=True)
class Result:
    """The last line: seconds, and ``ratio`` of ours to the peer's, at most ``goal``."""

    name: str
    goal: float
    ours: float | None
    peer: float | None
    unit: str
    peak_mb: float
    peak_goal_mb: float
    ratio: float | None
    met: bool


def main(megabytes: int) -> None:
    """Run both in turn and report."""
    missing = [tool for tool in PEER_TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"the peer cannot be had: {', '.join(missing)} not installed")
    ours: list[float] = []
    peer: list[float] = []
    with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as name:
        folder = Path(name)
        package, certificate, key = build_package(folder, megabytes)
        print(f"the package: {package.stat().st_size / MIB:.0f} MB", flush=True)
        with serve(folder, certificate) as service:
            submission = service.uploaded(package)
            with PeakMemory(service.process_id, pause=0.004) as memory:
                _, url = service.commit(submission)
            signed = folder / "signed.zip"
            with httpx.stream("GET", url, timeout=60) as answer, signed.open("wb") as file:
                for piece in answer.iter_bytes(MIB):
                    file.write(piece)
            print(
                f"signed and verified: {sum(1 for _ in verify_signed_package(signed, service.root_certificate))} files"
            )
            signed.unlink()
            for number in range(1, RUNS + 1):
                submission = service.uploaded(package)
                os.sync()
                ours.append(service.commit(submission)[0])
                print(f"run {number}: hwdash {ours[-1]:.2f} s", flush=True)
                if not missing:
                    os.sync()
                    peer.append(run_peer(folder, package, certificate, key))
                    print(f"run {number}: the script {peer[-1]:.2f} s", flush=True)
    for process, peak in memory.peaks.items():
        print(f"peak of {process}: {peak:.0f} MB")
    ratio = statistics.median(ours) / statistics.median(peer) if peer else None
    result = Result(
        name=f"pipeline, {megabytes} MB package from commit to signed package against a shell script",
        goal=GOAL,
        ours=median(ours),
        peer=median(peer),
        unit="s",
        peak_mb=memory.greatest,
        peak_goal_mb=PEAK_GOAL_MB,
        ratio=ratio,
        met=ratio is not None and ratio <= GOAL and memory.greatest < PEAK_GOAL_MB,
    )
    print(
        json.dumps(
            {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(result).items()}
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300, help="size of the cabinet; the goal is for 300")
    main(parser.parse_args().megabytes)
