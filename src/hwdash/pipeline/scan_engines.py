"""What a malware scan reports, and clamd over its socket; yara-x is in yara_engine.py.

A report says what was scanned, by which engine of which version, and by how many signatures where the engine tells.
"Nothing found" is only said by an engine that has shown to be at work: clamd is first given the EICAR test file, yara-x
counts its rules. Sources: clamd(8), clamd.conf(5); facts/package-formats.md (Scanning).
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from hwdash.drivers.errors import LimitExceeded

_CHUNK = 1 << 18
_LONGEST_REPLY = 1 << 16
# Joined at run time, so that no scanner takes this file, or what Python compiles it to, for the test file.
EICAR = b"-".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*"))


class ScannerUnavailable(Exception):
    """The scanner gave no verdict, for a reason that lies outside the files; the message says which. Worth a retry."""


@dataclass(frozen=True, slots=True)
class Detection:
    """``file``, by the name it was given under, matches ``signature``, by the engine's name for it."""

    file: str
    signature: str


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The result of one scan.

    ``signatures`` is the number of signatures or rules that were looked for, None where the engine does not tell it;
    ``notes`` are whole sentences: what the scan does not cover.
    """

    engine: str
    version: str
    signatures: int | None
    scanned_files: int
    scanned_bytes: int
    detections: list[Detection]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The report with the names of its fields in camel case."""
        return {
            "engine": self.engine,
            "version": self.version,
            "signatures": self.signatures,
            "scannedFiles": self.scanned_files,
            "scannedBytes": self.scanned_bytes,
            "detections": [{"file": each.file, "signature": each.signature} for each in self.detections],
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> "ScanReport":
        """What `to_json` made."""
        return cls(
            engine=report["engine"],
            version=report["version"],
            signatures=report["signatures"],
            scanned_files=report["scannedFiles"],
            scanned_bytes=report["scannedBytes"],
            detections=[Detection(each["file"], each["signature"]) for each in report["detections"]],
            notes=list(report["notes"]),
        )


# --- clamd ------------------------------------------------------------------------------------------------------------

_CLAMD_NOTES = [
    "clamd does not tell over its socket how many signatures it has loaded.",
    "clamd does not tell its limits either: only with 'AlertExceedsMax yes' does it report a file that it did not look "
    "into as a whole.",
]
_LIMITS_EXCEEDED = "Heuristics.Limits.Exceeded"


def scan_with_clamd(address: str, files: Iterable[tuple[str, BinaryIO]], *, timeout_seconds: float = 300) -> ScanReport:
    """Stream each of ``files`` (name, binary stream) to the clamd at ``address``: "unix:/path" or "tcp:host:port".

    ``timeout_seconds`` bounds each wait for clamd, among them that for a file's verdict. Raises `LimitExceeded` for a
    file that clamd's configuration does not let it scan as a whole, `ScannerUnavailable` for everything else that keeps
    clamd from a verdict, `ValueError` for an address of another form.
    """
    clamd = _Clamd(address, timeout_seconds)
    version = clamd.version()
    if clamd.signature_in("the EICAR test file", BytesIO(EICAR))[0] is None:
        raise ScannerUnavailable(
            f"clamd at {address} ({version}) does not recognise the EICAR test file: its signatures are not loaded "
            "or are not meant for malware. Load ClamAV's official databases (freshclam), or a signature of that file."
        )
    scanned_files = scanned_bytes = 0
    detections: list[Detection] = []
    for name, stream in files:
        signature, size = clamd.signature_in(name, stream)
        scanned_files += 1
        scanned_bytes += size
        if signature is not None:
            detections.append(Detection(name, signature))
    return ScanReport("clamd", version, None, scanned_files, scanned_bytes, detections, list(_CLAMD_NOTES))


class _Clamd:
    """One clamd; a connection of its own for each command, for clamd closes it after most replies."""

    def __init__(self, address: str, timeout_seconds: float) -> None:
        scheme, _, place = address.partition(":")
        host, _, port = place.rpartition(":")
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._path = place if scheme == "unix" else ""
        self._host_and_port = None
        if scheme == "tcp" and host and port.isascii() and port.isdigit() and int(port) < 1 << 16:
            self._host_and_port = (host.strip("[]"), int(port))
        if not self._path and self._host_and_port is None:
            raise ValueError(f"{address!r} is no address of clamd: write unix:/path/of/the/socket or tcp:host:port")

    def version(self) -> str:
        """The version of the engine and, where official databases are loaded, theirs: "1.4.6/27800/Mon Nov 23 ..."."""
        with self._connected() as connection:
            with self._speaking():
                connection.sendall(b"zVERSION\0")
            reply = self._reply(connection)
        if not reply.startswith("ClamAV "):
            raise ScannerUnavailable(f"What answers at {self._address} is not clamd: {reply[:200]!r}")
        return reply.removeprefix("ClamAV ")

    def signature_in(self, name: str, stream: BinaryIO) -> tuple[str | None, int]:
        """The signature that ``stream`` matches, if any, and the stream's size in bytes."""
        size = 0
        with self._connected() as connection:
            with self._speaking():
                connection.sendall(b"zINSTREAM\0")
            while chunk := stream.read(_CHUNK):
                if not self._takes(connection, chunk):
                    break
                size += len(chunk)
            else:
                self._takes(connection, b"")
            reply = self._reply(connection)
        if reply == "stream: OK":
            return None, size
        if reply.startswith("stream: ") and reply.endswith(" FOUND"):
            signature = reply.removeprefix("stream: ").removesuffix(" FOUND")
            if not signature.startswith(_LIMITS_EXCEEDED):
                return signature, size
            limit = signature.removeprefix(_LIMITS_EXCEEDED).strip(".") or "the limits"
            raise LimitExceeded(f"clamd did not look into all of it. Raise {limit} in clamd.conf", source=name)
        if "size limit exceeded" in reply:
            raise LimitExceeded("is too large for clamd. Raise StreamMaxLength in clamd.conf", source=name)
        raise ScannerUnavailable(f"clamd at {self._address} gave no verdict on {name}: {reply[:200]!r}")

    def _takes(self, connection: socket.socket, chunk: bytes) -> bool:
        """Send one chunk; False where clamd has closed the stream, after it said why."""
        try:
            with self._speaking():
                connection.sendall(struct.pack(">I", len(chunk)) + chunk)
        except ScannerUnavailable as error:
            if isinstance(error.__cause__, BrokenPipeError | ConnectionResetError):
                return False
            raise
        return True

    def _reply(self, connection: socket.socket) -> str:
        received = b""
        while not received.endswith(b"\0"):
            with self._speaking():
                piece = connection.recv(4096)
            if not piece:
                raise ScannerUnavailable(f"clamd at {self._address} closed the connection without a whole reply")
            received += piece
            if len(received) > _LONGEST_REPLY:
                raise ScannerUnavailable(f"What answers at {self._address} is not clamd: its reply does not end")
        return received[:-1].decode("utf-8", "backslashreplace").strip()

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with self._speaking():
            if self._host_and_port is not None:
                connection = socket.create_connection(self._host_and_port, self._timeout_seconds)
            else:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.settimeout(self._timeout_seconds)
                connection.connect(self._path)
        with connection:
            yield connection

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Around each use of the socket, and of nothing else: an error in reading a file is not clamd's."""
        try:
            yield
        except TimeoutError as error:
            waited = f"{self._timeout_seconds:g} seconds"
            raise ScannerUnavailable(f"clamd at {self._address} did not answer within {waited}") from error
        except OSError as error:
            raise ScannerUnavailable(f"clamd at {self._address}: {error.strerror or error}. Is it running?") from error
