"""A signer under a user of its own: how a service reaches it, and who may.

``hwdash signer`` listens on a Unix socket. The service that connects sends the ends of the sockets on which it will
speak with the signer's process; the listener starts that process with them, as the service itself does where it has no
``signer_socket`` (signing/process.py). So the service speaks with the process directly, and which keys are opened by
which passphrase is the listener's matter alone. The connection remains as a leash: when the service closes it, the
process is killed; when the process ends, the listener closes it.

Both sides ask the kernel who is at the other end (SO_PEERCRED, unix(7)): the listener serves one user, and the service
speaks to one user.
"""

import logging
import os
import pwd
import selectors
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

from hwdash.signing.errors import KeysError, SignerUnavailable

MOST_PROCESSES = 16
"""A service has one; what is left of a dead one goes when its connections are closed."""
_MOST_DESCRIPTORS = 2
_HANDSHAKE_SECONDS = 5.0

log = logging.getLogger(__name__)


def user_id(user: str) -> int:
    """The number of a user, by name or as it is. Raises KeysError."""
    try:
        return int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise KeysError(f"there is no user {user!r} on this machine") from None


def peer_user_id(connection: socket.socket) -> int:
    """Who is at the other end of a Unix socket, as the kernel has it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


class DistantProcess:
    """The signer's process at the other end of a listener: what ``subprocess.Popen`` is for one of our own."""

    pid = None

    def __init__(self, path: Path, user: str, descriptors: Sequence[int]) -> None:
        """Have one started that speaks over ``descriptors``. Raises KeysError and SignerUnavailable."""
        self.returncode: int | None = None
        wanted = user_id(user)
        with ExitStack() as undo:
            self._leash = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            try:
                self._leash.connect(str(path))
                found = peer_user_id(self._leash)
                if found == wanted:
                    socket.send_fds(self._leash, [b"\n"], list(descriptors))
            except OSError as error:
                raise SignerUnavailable(f"the signer at {path} cannot be reached: {error.strerror or error}") from error
            if found != wanted:
                raise KeysError(f"{path} is served by user {found}, not by {user}: nothing was sent to it")
            undo.pop_all()

    def poll(self) -> int | None:
        """None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        """Have it ended now."""
        with suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._leash.settimeout(timeout)
            try:
                self._leash.recv(1)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("hwdash signer", timeout or 0) from None
            except OSError:
                pass
            self._leash.close()
            self.returncode = 1
        return self.returncode


def bound(path: Path) -> socket.socket:
    """A socket that listens at ``path``. Raises KeysError when another signer does, or something else is there."""
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise KeysError(f"{path} is no socket: name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise KeysError(f"another signer listens at {path}: stop it, or name another path")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        # Who may connect is asked of the kernel, connection by connection.
        path.chmod(0o666)
        listening.listen()
    except OSError as error:
        listening.close()
        raise KeysError(f"{path} cannot be listened at: {error.strerror or error}") from error
    return listening


class Listener:
    """Starts a process for each connection of the user that is served."""

    def __init__(
        self, listening: socket.socket, user: int, start: Callable[[Sequence[int]], "subprocess.Popen[bytes]"]
    ) -> None:
        self._listening = listening
        self._user = user
        self._start = start
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(listening, selectors.EVENT_READ)
        self._processes: dict[int, tuple[subprocess.Popen[bytes], socket.socket, int]] = {}

    def serve(self) -> NoReturn:
        """Until the process is ended; what it has started ends with it."""
        while True:
            for key, _ in self._waiting.select():
                if key.fileobj is self._listening:
                    self._accept()
                else:
                    self._end(key.data)

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        connection.settimeout(_HANDSHAKE_SECONDS)
        if (found := peer_user_id(connection)) != self._user:
            log.warning("user %d connected, who is not served here: refused", found)
        elif len(self._processes) >= MOST_PROCESSES:
            log.warning("%d processes run for user %d already: refused", MOST_PROCESSES, found)
        else:
            self._begin(connection)
            return
        connection.close()

    def _begin(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            _, descriptors, *_ = socket.recv_fds(connection, 1, _MOST_DESCRIPTORS)
            if not descriptors:
                raise OSError("no descriptor came with it")  # noqa: TRY301 - told as what the kernel refuses
            process = self._start(descriptors)
        except OSError as error:
            log.warning("a connection was of no use: %s", error)
            connection.close()
            return
        finally:
            for each in descriptors:
                os.close(each)
        pidfd = os.pidfd_open(process.pid)
        self._processes[process.pid] = process, connection, pidfd
        self._waiting.register(connection, selectors.EVENT_READ, process.pid)
        self._waiting.register(pidfd, selectors.EVENT_READ, process.pid)
        log.info("process %d signs for user %d", process.pid, self._user)

    def _end(self, pid: int) -> None:
        """The service has let go of it, or it has ended."""
        if pid not in self._processes:
            return  # both were told of at once
        process, connection, pidfd = self._processes.pop(pid)
        process.kill()
        process.wait()
        self._waiting.unregister(connection)
        self._waiting.unregister(pidfd)
        connection.close()
        os.close(pidfd)
