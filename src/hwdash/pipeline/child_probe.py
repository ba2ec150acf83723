"""Tasks that try what a child must not do, for `hwdash.pipeline.child.check_isolation` and the tests.

Each is an ordinary task, run by its name in the child; none does harm where it succeeds.
"""

import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.pipeline.child_main import JSON


def attempts(arguments: dict[str, JSON]) -> JSON:
    """Try everything once; return what went otherwise than it should: name and outcome, empty where all walls stand.

    ``secret`` is a file that the child was not given, ``inside`` a folder that it may write to, ``memory_bytes`` more
    than its limit.
    """
    secret, inside = Path(str(arguments["secret"])), Path(str(arguments["inside"]))
    memory_bytes = int(str(arguments["memory_bytes"]))
    forbidden: dict[str, Callable[[], object]] = {
        "open a network socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "open a local socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "start a process": _fork,
        "start a program": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}),
        "become a program": lambda: os.execv("/no/such/program", ["none"]),  # noqa: S606  refused before it is looked for
        "read a file outside": secret.read_bytes,
        "list a folder outside": lambda: list(secret.parent.iterdir()),
        "write a file outside": lambda: secret.with_name("written").write_bytes(b""),
        "change the mode of a file outside": lambda: secret.chmod(0o600),
        "make a link inside": lambda: (inside / "link").symlink_to(secret),
        "signal its parent": lambda: os.kill(os.getppid(), 0),
        "read its parent's limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
        "read its parent's environment": Path("/proc", str(os.getppid()), "environ").read_bytes,
        "use more memory than its limit": lambda: bytearray(memory_bytes),
    }
    needed: dict[str, Callable[[], object]] = {
        "write and read a file inside": lambda: (
            (inside / "written").write_bytes(b"") or (inside / "written").read_bytes()
        ),
        "run a thread": _run_thread,
    }
    outcomes = [(name, _refusal(attempt)) for name, attempt in forbidden.items()]
    outcomes += [(name, _success(attempt)) for name, attempt in needed.items()]
    return {name: outcome for name, outcome in outcomes if outcome}


def _refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (PermissionError, MemoryError):
        return ""
    except OSError as error:
        return f"failed, but was not refused: {error}"
    return "possible, but must not be"


def _success(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (OSError, RuntimeError) as error:
        return f"must be possible, but failed: {error}"
    return ""


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _run_thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def echo(arguments: dict[str, JSON]) -> JSON:
    """Return the arguments."""
    return arguments


def situation(_arguments: dict[str, JSON]) -> JSON:
    """What the child finds around itself: environment, working folder, session, descriptors that are open."""
    descriptors: list[JSON] = []
    for descriptor in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        descriptors.append(descriptor)
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "process": os.getpid(),
        "session": os.getsid(0),
        "descriptors": descriptors,
    }


def allocate(arguments: dict[str, JSON]) -> JSON:
    """Hold ``size`` bytes."""
    return len(bytearray(int(str(arguments["size"]))))


def allocate_bit_by_bit(_arguments: dict[str, JSON]) -> JSON:
    """Hold small objects without end."""
    held: list[bytes] = []
    while True:
        held.append(os.urandom(1000))


def spin(_arguments: dict[str, JSON]) -> JSON:
    """Compute for ever."""
    while True:
        pass


def wait(_arguments: dict[str, JSON]) -> JSON:
    """Wait for ever, using no processor time."""
    threading.Event().wait()
    return None


def end_by_signal(arguments: dict[str, JSON]) -> JSON:
    """Send ``signal`` to this process."""
    os.kill(os.getpid(), signal.Signals(int(str(arguments["signal"]))))
    return None


def leave(_arguments: dict[str, JSON]) -> JSON:
    """Call sys.exit with success."""
    sys.exit(0)


def end_with_status(arguments: dict[str, JSON]) -> JSON:
    """End without an answer."""
    os._exit(int(str(arguments["status"])))


def read_path(arguments: dict[str, JSON]) -> JSON:
    """How many bytes the file ``path`` holds, by reading it."""
    return len(Path(str(arguments["path"])).read_bytes())


def write_path(arguments: dict[str, JSON]) -> JSON:
    """Write ``size`` bytes to the file ``path``."""
    return Path(str(arguments["path"])).write_bytes(bytes(int(str(arguments["size"]))))


def extract(arguments: dict[str, JSON]) -> JSON:
    """In the folder ``path``: make a folder and a file, rename across folders, truncate, remove."""
    folder = Path(str(arguments["path"]))
    (folder / "a").mkdir()
    (folder / "a" / "file").write_bytes(b"12345")
    (folder / "a" / "file").rename(folder / "file")
    with (folder / "file").open("r+b") as file:
        file.truncate(3)
    (folder / "a").rmdir()
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def print_and_warn(arguments: dict[str, JSON]) -> JSON:
    """Print ``size`` bytes to both streams, as a careless library does."""
    text = "x" * int(str(arguments["size"]))
    print(text, flush=True)
    sys.stderr.write(text)
    return "printed"


def write_raw_answer(arguments: dict[str, JSON]) -> JSON:
    """Write ``text`` where the answer belongs, in place of the answer."""
    text = str(arguments["text"]).encode()
    for descriptor in range(3, 10):
        try:
            os.write(descriptor, text)
        except OSError:
            continue
        os._exit(0)
    return None


def answer_of_size(arguments: dict[str, JSON]) -> JSON:
    """One string of ``size`` characters."""
    return "x" * int(str(arguments["size"]))


def answer_with_nan(_arguments: dict[str, JSON]) -> JSON:
    """What JSON cannot say."""
    return float("nan")


def answer_of_values(arguments: dict[str, JSON]) -> JSON:
    """A list of ``count`` numbers."""
    return [0] * int(str(arguments["count"]))


def raise_error(arguments: dict[str, JSON]) -> JSON:
    """Raise the error named ``type``."""
    errors: dict[str, Exception] = {
        "ParseError": ParseError("is torn", source="a.inf", offset=16, line=3, field="Version"),
        "LimitExceeded": LimitExceeded("holds too many files", source="a.cab"),
        "VerificationError": VerificationError("has another digest", source="a.sys"),
        "DriversError": DriversError("something in the package"),
        "ZeroDivisionError": ZeroDivisionError("by a defect of ours"),
    }
    raise errors[str(arguments["type"])]
