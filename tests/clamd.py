"""A real clamd for tests: Debian's, on a Unix or TCP socket, with two hand-made signatures.

    @pytest.fixture(scope="module")
    def clamd(tmp_path_factory):
        with running_clamd(tmp_path_factory.mktemp("clamd")) as address:
            yield address

It knows the EICAR test file and ``MARKER``, anywhere in a file. It starts within a second and needs no network.
"""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

# Joined at run time, so that no scanner takes this file, or what Python compiles it to, for the test file.
EICAR = b"-".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*"))
EICAR_SIGNATURE = "Hwdash.Test.Eicar.UNOFFICIAL"
MARKER = b"hwdash made-up marker of malware"
MARKER_SIGNATURE = "Hwdash.Test.Marker.UNOFFICIAL"

SIGNATURES: Mapping[str, bytes] = {"Hwdash.Test.Eicar": EICAR, "Hwdash.Test.Marker": MARKER}


@contextmanager
def running_clamd(
    folder: Path,
    *,
    signatures: Mapping[str, bytes] = SIGNATURES,
    settings: Mapping[str, str] = MappingProxyType({}),
    tcp: bool = False,
) -> Iterator[str]:
    """Start clamd in ``folder``, yield its address for `scan_with_clamd` once it answers, and end it.

    ``settings`` overrule those of clamd.conf here: 200 MB for a stream, a file and a scan, with an alert above them.
    """
    databases = folder / "databases"
    databases.mkdir()
    extended = "".join(f"{name}:0:*:{content.hex()}\n" for name, content in signatures.items())
    (databases / "hand-made.ndb").write_text(extended)
    if tcp:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address, place = f"tcp:127.0.0.1:{port}", {"TCPSocket": str(port), "TCPAddr": "127.0.0.1"}
    else:
        address, place = f"unix:{folder}/clamd.socket", {"LocalSocket": f"{folder}/clamd.socket"}
    chosen = {
        "DatabaseDirectory": str(databases),
        "Foreground": "yes",
        "StreamMaxLength": "200M",
        "MaxScanSize": "200M",
        "MaxFileSize": "200M",
        "AlertExceedsMax": "yes",
    }
    configuration = folder / "clamd.conf"
    lines = (f"{name} {value}\n" for name, value in (chosen | place | dict(settings)).items())
    configuration.write_text("".join(lines))
    with (
        (folder / "clamd.log").open("wb") as log,
        subprocess.Popen(["clamd", f"--config-file={configuration}"], stdout=log, stderr=subprocess.STDOUT) as clamd,
    ):
        try:
            _wait_until_it_answers(clamd, address, folder / "clamd.log")
            yield address
        finally:
            clamd.kill()


def _wait_until_it_answers(clamd: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    scheme, _, place = address.partition(":")
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.socket(socket.AF_UNIX if scheme == "unix" else socket.AF_INET) as connection:
                connection.settimeout(10)
                connection.connect(place if scheme == "unix" else ("127.0.0.1", int(place.rpartition(":")[2])))
                connection.sendall(b"zPING\0")
                if connection.recv(100) == b"PONG\0":
                    return
        except OSError:
            pass
        try:
            status = clamd.wait(0.02)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
        else:
            raise RuntimeError(f"clamd ended with status {status}: {log.read_text()}")
