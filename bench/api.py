"""Requests a second of three calls of the API, against the same calls on FastAPI and SQLAlchemy's asynchronous ORM.

Run: ``.venv/bin/python bench/api.py``. GET of one product, GET of one submission that waits for its package (with the
signed URL to upload to), POST of a product; on SQLite, and on a PostgreSQL cluster of this bench's own. The load is wrk
(the Debian package) with one thread and 32 connections on this machine; server and load share its processors in every
case alike.

Ours is the whole service, as ``hwdash init`` makes it and ``hwdash serve --no-tls`` runs it, with its signer and its
workflows. The peer, ``timed/api_peer.py``, is written as the documentation of its libraries would have it: FastAPI with
dependencies and response models, one asynchronous session a request, aiosqlite or asyncpg. Both are one process of
uvicorn with uvloop and httptools, plain http. Both check the token (RS256, verified tokens remembered), read the
application's account and roles from the database at each request, and answer the same JSON with the same headers; the
bench compares the answers. Both answer a repeated create with the first one's object: the peer looks for it before each
create, ours is told by the unique key that both store. SQLite runs in WAL mode with ``synchronous=FULL`` on both sides,
PostgreSQL with its defaults. Neither keeps answers. Ours counts each application's requests too, with a limit out of
reach. The peer's FastAPI, SQLAlchemy, aiosqlite and asyncpg are the newest, fetched into ``.peers``; the rest is
.venv's.

Three runs in turn, each first once; each call is loaded for one second untimed and for four timed; the medians count.
Beside that, the table shows our speed as a part of a bare ASGI application's that sends the same bytes and does nothing
else. Memory is the greatest VmHWM (proc(5)) of the serving process.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from report import Measure, median, peak_mb, print_report

RUNS = 3
CONNECTIONS = 32
WARM_UP_SECONDS, SECONDS = 1, 4
PEAK_GOAL_MB = 250
HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".peers" / "api"
RESOURCE = "https://manage.devcenter.microsoft.com"
API = "/v2.0/my/hardware"
PRODUCT = {
    "productName": "Bench",
    "testHarness": "Attestation",
    "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_X64_NI_FULL"],
    "selectedProductTypes": {"Windows_v100_GE": "Unclassified"},
    "deviceType": "internal",
    "marketingNames": ["Bench One", "Bench Two"],
    "firmwareVersion": "980",
}
GOALS = {"GET a product": 2.5, "GET a submission": 2.5, "POST a product": 2.0}
POST_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{}]==]
"""


@dataclass
class Side:
    """A running server: what to ask it for, and with what token."""

    url: str
    token: str
    pid: int
    product: int
    submission: int

    def path(self, call: str) -> str:
        products = f"{self.url}{API}/products"
        if call == "POST a product":
            return products
        return f"{products}/{self.product}" + (f"/submissions/{self.submission}" if call == "GET a submission" else "")


@dataclass
class Results:
    """Requests a second of one side by call, and its memory."""

    speeds: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: float = 0


# Databases


@contextmanager
def sqlite(folder: Path) -> Iterator[tuple[str, str]]:
    """Nothing to start: the addresses for ours (its own choice) and for the peer."""
    yield "", f"sqlite+aiosqlite:///{folder / 'peer.db'}"


@contextmanager
def postgresql(_folder: Path) -> Iterator[tuple[str, str]]:
    """A cluster of its own on a Unix socket, with the defaults of ``initdb``, and an empty database for each side."""
    folder = Path(tempfile.mkdtemp(prefix="hwdash-pg-"))
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
    try:
        data = folder / "data"
        postgres("initdb", "--pgdata", data, "--auth", "trust", "--username", "hwdash", "--encoding", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        postgres("pg_ctl", "--pgdata", data, "--log", folder / "log", "--options", options, "--wait", "start")
        try:
            for name in ("ours", "peer"):
                postgres("createdb", "--host", folder, "--username", "hwdash", name)
            yield (
                f"postgresql+psycopg://hwdash@/ours?host={folder}",
                f"postgresql+asyncpg://hwdash@/peer?host={folder}",
            )
        finally:
            postgres("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")
    finally:
        shutil.rmtree(folder)


def postgres(program: str, *arguments: object) -> None:
    """Run a program of PostgreSQL's, as the user postgres when we are root."""
    newest = max(Path("/usr/lib/postgresql").iterdir(), key=lambda version: int(version.name))
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*user, str(newest / "bin" / program), *map(str, arguments)]
    # Not captured: the server inherits what pg_ctl has open, and a pipe would never end.
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)


# Servers


@contextmanager
def running(command: list[str], environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A process until the block ends; the first line that it prints, and its id."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line:
                raise RuntimeError(f"{command[1:3]} did not start")
            yield line, process.pid
        finally:
            process.terminate()


@contextmanager
def ours(folder: Path, database: str) -> Iterator[Side]:
    """The service, with one product and one submission that waits for its package."""
    unlimited = {"HWDASH_REQUESTS_PER_MINUTE": "1000000000", "HWDASH_REQUEST_BURST": "1000000000"}
    environment = os.environ | unlimited | {"HWDASH_DATA": str(folder / "ours")}
    if database:
        environment["HWDASH_DATABASE_URL"] = database
    hwdash = [sys.executable, "-m", "hwdash.cli.main"]
    done = subprocess.run([*hwdash, "init", "--json"], env=environment, check=True, capture_output=True, text=True)
    made = json.loads(done.stdout.splitlines()[-1])
    command = [*hwdash, "serve", "--no-tls", "--port", "0", "--log-level", "warning"]
    with running(command, environment) as (line, pid), httpx.Client(trust_env=False, timeout=60) as http:
        url = line.removeprefix("listening on ")
        credentials = {"client_id": made["clientId"], "client_secret": made["clientSecret"]}
        form = credentials | {"grant_type": "client_credentials", "resource": RESOURCE}
        token = http.post(f"{url}/{made['tenantId']}/oauth2/token", data=form).raise_for_status().json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        products = f"{url}{API}/products"
        product = http.post(products, json=PRODUCT).raise_for_status().json()["id"]
        body = {"name": "Bench", "type": "initial"}
        submission = http.post(f"{products}/{product}/submissions", json=body).raise_for_status().json()["id"]
        yield Side(url, token, pid, product, submission)


@contextmanager
def peer(folder: Path, database: str) -> Iterator[Side]:
    """The conventional stack."""
    port = free_port()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PEERS), str(HERE.parent / "src")])}
    command = [sys.executable, str(HERE / "timed" / "api_peer.py"), str(port), database, json.dumps(PRODUCT)]
    with running(command, environment) as (line, pid):
        told = json.loads(line)
        wait_for(port)
        yield Side(f"http://127.0.0.1:{port}", told["token"], pid, told["product"], told["submission"])


def fetch_peer() -> None:
    """The peer's libraries, the newest."""
    command = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--python", sys.executable]
    packages = ["fastapi", "sqlalchemy[asyncio]", "aiosqlite", "asyncpg"]
    subprocess.run([*command, "--target", str(PEERS), *packages], check=True)


@contextmanager
def bare(body: bytes) -> Iterator[Side]:
    """An application that sends these bytes whatever is asked."""
    port = free_port()
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        with running([sys.executable, __file__, "--bare", str(port), file.name], os.environ) as (_, pid):
            wait_for(port)
            yield Side(f"http://127.0.0.1:{port}", "none", pid, 0, 0)


def serve_bare(port: int, body: bytes) -> None:
    """Be that application."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def application(_scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    print("ready", flush=True)
    uvicorn.run(
        application,  # type: ignore[arg-type]  # its scope is typed by hand
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when a server listens; RuntimeError after half a minute."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server does not listen")


# The load


def load(side: Side, call: str) -> float:
    """Requests a second; RuntimeError when any answer is none of 200 and 201."""
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--timeout", "30s"]
    command += ["--header", f"Authorization: Bearer {side.token}"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if call.startswith("POST"):
            script.write(POST_SCRIPT.format(json.dumps(PRODUCT)))
            script.flush()
            command += ["--script", script.name]
        for seconds in (WARM_UP_SECONDS, SECONDS):
            done = subprocess.run(
                [*command, "--duration", f"{seconds}s", side.path(call)], check=True, capture_output=True, text=True
            )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{call}: {done.stdout}")
    speed = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if speed is None:
        raise RuntimeError(f"wrk said {done.stdout}")
    return float(speed[1])


def answer(side: Side, call: str) -> bytes:
    """One answer, for comparison."""
    headers = {"Authorization": f"Bearer {side.token}"}
    with httpx.Client(trust_env=False, headers=headers) as http:
        if call.startswith("POST"):
            return http.post(side.path(call), json=PRODUCT).raise_for_status().content
        return http.get(side.path(call)).raise_for_status().content


def shape(value: object) -> object:
    """A document without what differs from one object to the next."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__ if isinstance(value, int | str) and not isinstance(value, bool) else value


def measure(side: Side, results: Results) -> None:
    """Each call once."""
    for call in GOALS:
        results.speeds.setdefault(call, []).append(load(side, call))
    results.peak_mb = max(results.peak_mb, peak_mb(side.pid))


def compare(name: str, database: Callable[[Path], AbstractContextManager[tuple[str, str]]]) -> list[Measure]:
    """Ours and the peer on one database, in turn; what the bare application does, in the same minutes."""
    mine, theirs, nothing = Results(), Results(), Results()
    for number in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="hwdash-bench-") as root, database(Path(root)) as (our_url, peer_url):
            sides = [(ours, our_url, mine), (peer, peer_url, theirs)]
            bodies: list[dict[str, bytes]] = []
            for make, url, results in sides if number % 2 == 0 else sides[::-1]:
                with make(Path(root), url) as side:
                    bodies.append({call: answer(side, call) for call in GOALS})
                    measure(side, results)
            for call in GOALS:
                first, second = (shape(json.loads(each[call])) for each in bodies)
                if first != second:
                    raise RuntimeError(f"{call}: the answers differ: {first} and {second}")
        with bare(bodies[0]["GET a product"]) as side:
            nothing.speeds.setdefault("GET a product", []).append(load(side, "GET a product"))
    measures = []
    empty = median(nothing.speeds["GET a product"]) or 0
    for call, goal in GOALS.items():
        speed, other = median(mine.speeds[call]), median(theirs.speeds[call])
        measures.append(Measure(f"{call} on {name}", goal, speed, other, "requests/s", mine.peak_mb, PEAK_GOAL_MB))
        print(
            f"{call} on {name}: {speed:.0f}/s of {empty:.0f}/s of a bare ASGI application, "
            f"{(speed or 0) / empty:.2f}; peer peak {theirs.peak_mb:.0f} MB",
            flush=True,
        )
    return measures


def main() -> None:
    """Both databases."""
    fetch_peer()
    print_report([*compare("SQLite", sqlite), *compare("PostgreSQL", postgresql)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bare", nargs=2, metavar=("PORT", "FILE"), help="be the bare application; the bench uses it")
    asked = parser.parse_args().bare
    if asked is None:
        main()
    else:
        serve_bare(int(asked[0]), Path(asked[1]).read_bytes())
