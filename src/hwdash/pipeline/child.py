"""The bounded child process that reads strangers' bytes (docs/explanation/isolation.md).

`run_in_child` runs one function of this package in a new interpreter that can use no network, no programs, no other
processes and no files beyond those it is given, within limits. What is wrong with the bytes comes back as the
`DriversError` that the function raised, or as `LimitExceeded`, so a caller treats it as a finding. The rest:

ChildFailed            the child broke: a defect of ours, or an attack; it says nothing about the package
IsolationUnavailable   this system cannot confine a process (raised by `hwdash.pipeline.confinement`)
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.pipeline.child_main import JSON, OUT_OF_MEMORY, TASK_NAME
from hwdash.pipeline.confinement import IsolationUnavailable

__all__ = ["JSON", "ChildFailed", "ChildLimits", "IsolationUnavailable", "check_isolation", "run_in_child"]

_PIECE = 1 << 16
_MESSAGES_KEPT = 8 << 10  # bytes of the end of standard error


class ChildFailed(Exception):
    """The child process broke: ``kind`` is an exception's class, a signal's name or "answer"; ``message`` says more."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"the child process failed ({kind}): {message}")
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What one child may use.

    ``memory_mb`` bounds its address space in units of 2**20 bytes, mapped files included; ``file_bytes`` each file that
    it writes; ``processes`` the processes and threads of the whole user, above which the child cannot start a thread;
    ``max_answer_values`` the members and elements of its answer, as counted by commas and opening brackets, those
    within strings too: a small text of many values is a large object in the parent.
    """

    memory_mb: int = 1024
    cpu_seconds: int = 300
    wall_seconds: float = 600
    file_bytes: int = 4 << 30
    open_files: int = 256
    processes: int = 4096
    max_answer_bytes: int = 64 << 20
    max_answer_values: int = 4_000_000


def run_in_child(
    task: str,
    arguments: Mapping[str, JSON],
    *,
    readable: Sequence[Path] = (),
    writable: Sequence[Path] = (),
    limits: ChildLimits = ChildLimits(),
    source: str = "the package",
) -> JSON:
    """Call ``task``, "hwdash.pipeline.module:function", with ``arguments`` in a confined process; return its answer.

    The function takes the arguments as one dict and returns what JSON can say. It sees the files and folders in
    ``readable`` and ``writable`` and no others; paths among the arguments should be absolute. In ``writable`` it makes
    folders and regular files, never links. ``source`` names, in a `LimitExceeded`, what was being read.

    Blocks until the child has ended. Raises `ParseError`, `LimitExceeded`, `VerificationError` or `DriversError` as the
    task raised them, `LimitExceeded` where a limit stopped it, `ChildFailed`, `IsolationUnavailable`, and `ValueError`
    or `FileNotFoundError` for a task or a path that is not there.
    """
    if TASK_NAME.fullmatch(task) is None:
        raise ValueError(f"{task!r} is no task: a task is hwdash.pipeline.<module>:<function>")
    policy = {
        "parent": os.getpid(),
        "limits": {
            "memory_bytes": limits.memory_mb << 20,
            "cpu_seconds": limits.cpu_seconds,
            "file_bytes": limits.file_bytes,
            "open_files": limits.open_files,
            "processes": limits.processes,
        },
        "readable": [str(path.resolve(strict=True)) for path in readable],
        "writable": [str(path.resolve(strict=True)) for path in writable],
    }
    request = {"task": task, "arguments": dict(arguments)}
    lines = "".join(json.dumps(line, allow_nan=False) + "\n" for line in (policy, request)).encode("ascii")
    with _start() as process:
        try:
            answer, messages = _converse(process, lines, limits, source)
        finally:
            _kill(process)
    return _value(process.returncode, answer, messages, limits, source)


def _start() -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise IsolationUnavailable("Python does not know its own program, so no child can be started from it")
    # The dynamic linker may need it to find Python itself; nothing else of the environment is the child's business.
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-m", "hwdash.pipeline.child_main"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env=environment,
        start_new_session=True,
    )


def _converse(process: subprocess.Popen[bytes], lines: bytes, limits: ChildLimits, source: str) -> tuple[bytes, str]:
    """Write the request, read answer and messages until the child has ended, all within its time."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ValueError("the child is started with three pipes")
    deadline = time.monotonic() + limits.wall_seconds
    answer, messages, left = bytearray(), bytearray(), memoryview(lines)
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ, answer)
            selector.register(process.stderr, selectors.EVENT_READ, messages)
            selector.register(ended, selectors.EVENT_READ)
            while set(selector.get_map()) - {process.stdin.fileno()}:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if time.monotonic() >= deadline:
                    raise LimitExceeded(f"took longer than {limits.wall_seconds:g} seconds to open", source=source)
                for key, _ in ready:
                    if key.fileobj is process.stdin:
                        left = _write(key.fd, left)
                        if not left:
                            selector.unregister(process.stdin)  # left open: its end tells the child that we died
                    elif key.fileobj is ended or not _receive(key.fd, key.data):
                        selector.unregister(key.fileobj)
                del messages[:-_MESSAGES_KEPT]
                if len(answer) > limits.max_answer_bytes:
                    why = f"holds more than {limits.max_answer_bytes} bytes of findings and metadata"
                    raise LimitExceeded(why, source=source)
    finally:
        os.close(ended)
    return bytes(answer), messages.decode("utf-8", "backslashreplace").strip()


def _receive(descriptor: int, received: bytearray) -> bool:
    piece = os.read(descriptor, _PIECE)
    received += piece
    return bool(piece)


def _write(descriptor: int, left: memoryview) -> memoryview:
    try:
        return left[os.write(descriptor, left) :]
    except BrokenPipeError:  # the child ended early; its status says why
        return left[:0]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the child's process group; harmless when it has ended, for it is not yet waited for."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _value(status: int, answer: bytes, messages: str, limits: ChildLimits, source: str) -> JSON:
    if status != 0:
        _report_status(status, messages, limits, source)
    if answer.count(b",") + answer.count(b"[") + answer.count(b"{") > limits.max_answer_values:
        raise LimitExceeded(f"holds more than {limits.max_answer_values} findings and facts", source=source)
    try:
        document = json.loads(answer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ChildFailed("answer", f"its answer is no JSON: {error}") from None
    match document:
        case {"value": value}:
            return value  # type: ignore[no-any-return]  # json.loads makes nothing but JSON
        case {"found": dict(found)}:
            raise _found(found)
        case {"too_large_file": str(name)}:
            raise LimitExceeded(f"needs a file of more than {limits.file_bytes} bytes ({name}) to open", source=source)
        case {"failed": {"type": str(kind), "text": str(text)}}:
            raise ChildFailed(kind, f"{text}\n{messages}".strip())
        case {"unconfined": str(why)}:
            raise IsolationUnavailable(why)
    raise ChildFailed("answer", "its answer is not of the agreed form")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _found(found: Mapping[str, JSON]) -> Exception:
    match found:
        case {
            "type": "ParseError",
            "message": str(message),
            "source": str(source),
            "offset": int() | None as offset,
            "line": int() | None as line,
            "field": str() | None as field,
        }:
            return ParseError(message, source=source, offset=offset, line=line, field=field)
        case {"type": "LimitExceeded", "message": str(message), "source": str(source)}:
            return LimitExceeded(message, source=source)
        case {"type": "VerificationError", "message": str(message), "source": str(source)}:
            return VerificationError(message, source=source)
        case {"type": "DriversError", "text": str(text)}:
            return DriversError(text)
    return ChildFailed("answer", "its error is not of the agreed form")


def _report_status(status: int, messages: str, limits: ChildLimits, source: str) -> NoReturn:
    too_much_memory = LimitExceeded(f"needs more than {limits.memory_mb} MB of memory to open", source=source)
    if status == OUT_OF_MEMORY:
        raise too_much_memory
    if status > 0:
        raise ChildFailed("exit", f"it ended with status {status}\n{messages}".strip())
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    if -status == signal.SIGXCPU:
        raise LimitExceeded(f"needs more than {limits.cpu_seconds} seconds of processor time to open", source=source)
    if -status == signal.SIGABRT and "memory allocation of" in messages:  # how Rust's libraries end without memory
        raise too_much_memory
    raise ChildFailed(name, f"{name} ended it\n{messages}".strip())


def check_isolation() -> None:
    """Prove on this system that a child is confined; raise `IsolationUnavailable`, naming each wall that is missing.

    Starts a child that tries what it must not do and what it must be able to do. The service calls this before it takes
    its first package.
    """
    limits = ChildLimits(memory_mb=256, cpu_seconds=10, wall_seconds=30)
    with tempfile.TemporaryDirectory(prefix="hwdash-isolation-") as folder:
        secret = Path(folder, "outside", "secret")
        inside = Path(folder, "inside")
        for made in (secret.parent, inside):
            made.mkdir()
        secret.write_bytes(b"secret")
        arguments: dict[str, JSON] = {
            "secret": str(secret),
            "inside": str(inside),
            "memory_bytes": (limits.memory_mb + 1) << 20,
        }
        try:
            wrong = run_in_child("hwdash.pipeline.child_probe:attempts", arguments, writable=[inside], limits=limits)
        except (ChildFailed, DriversError) as error:
            raise IsolationUnavailable(f"The probe of the child process ended early: {error}") from error
    if wrong != {}:
        raise IsolationUnavailable(
            f"A child process is not confined on this system: {json.dumps(wrong, ensure_ascii=False)}"
        )
