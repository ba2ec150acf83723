"""One command in a throwaway sandbox: what ``hwdash sandbox run`` does."""

import ctypes
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hwdash.sandbox.impersonation import client_environment, cover_the_machine
from hwdash.sandbox.instance import SandboxFailed
from hwdash.sandbox.separation import API_HOST
from hwdash.server.setup import NewService

HTTPS = 443
STOP_SECONDS = 20
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as a shell ends
_FIRST_INHERITED = 3  # sd_listen_fds(3)
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def impersonating(
    made: NewService, folder: Path, data: Path, environment: Mapping[str, str] = os.environ
) -> Iterator[dict[str, str]]:
    """Serve a sandbox to this namespace (namespace.enter comes first); the environment of a client of it.

    Raises SandboxFailed with the end of the service's log, and OSError.
    """
    cover_the_machine(made.ca_certificate, folder)
    ours = {name: value for name, value in environment.items() if not name.startswith("HWDASH_")}
    with _served(ours | {"HWDASH_DATA": str(data)}, folder / "service.log"):
        yield client_environment(environment, made.ca_certificate, folder) | {
            "HWDASH_URL": f"https://{API_HOST}",
            "HWDASH_TENANT_ID": made.tenant_id,
            "HWDASH_CLIENT_ID": made.client_id,
            "HWDASH_CLIENT_SECRET": made.client_secret,
            "HWDASH_CA": str(made.ca_certificate),
            "HWDASH_DATA": str(data),
        }


def run_to_its_end(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command in the foreground; its exit code, -N when signal N ended it, 126 or 127 when it did not start.

    Signals that this process gets are passed on; those of the terminal reach the command by themselves.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    # Functions and not SIG_IGN, which the command would inherit.
    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        child = subprocess.Popen(list(command), env=dict(environment))  # noqa: S603 - what the user asked for
        for number in early:
            child.send_signal(number)
        return child.wait()
    except FileNotFoundError:
        return NOT_FOUND
    except OSError:
        return NOT_EXECUTABLE
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def end_as(code: int) -> None:
    """End this process as the command did: with its code, or by its signal."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 128 - code  # a signal that does not end a process by default
    sys.exit(code)


@contextmanager
def _served(environment: dict[str, str], log: Path) -> Iterator[None]:
    """``hwdash serve --impersonate`` on 127.0.0.1:443, whose socket is opened here, where that takes no privilege."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening, log.open("w") as errors:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", HTTPS))
        reading, writing = os.pipe()
        pid = _start(listening, writing, errors.fileno(), environment)
        os.close(writing)
    try:
        with os.fdopen(reading) as output:
            line = output.readline()
            if not line.startswith("listening on "):
                raise SandboxFailed(f"The sandbox did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
            yield
    finally:
        _stop(pid)


def _start(listening: socket.socket, output: int, errors: int, environment: dict[str, str]) -> int:
    """Start the service with the socket as file 3, in a session of its own; its process id.

    Forked by hand: LISTEN_PID has to be the id of the new process.
    """
    command = [sys.executable, "-m", "hwdash.cli.main", "serve", "--impersonate"]
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        # It ends with this process, however that ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        kept = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (listening.fileno(), output, errors)]
        for number, target in zip(kept, (_FIRST_INHERITED, 1, 2), strict=True):
            os.dup2(number, target)
        os.execve(command[0], command, environment | {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})  # noqa: S606
    finally:
        os._exit(NOT_FOUND)


def _stop(pid: int) -> None:
    """End the service; one that does not end in time is killed, for its folder is thrown away."""
    descriptor = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGTERM)
        if not select.select([descriptor], [], [], STOP_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)
