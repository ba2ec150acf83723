"""The bounded child process, from inside: ``python -I -m hwdash.pipeline.child_main``.

It reads two lines of JSON from standard input: what it may do, by which it confines itself before anything else, and
then the task. It writes one JSON object with one member to standard output and ends:

- ``value``: what the task returned;
- ``found``: the `DriversError` that the task raised, its class and fields;
- ``too_large_file``: the task wrote past the limit on a file's size;
- ``failed``: any other exception, its class and message;
- ``unconfined``: why this system cannot confine the process; the task was not touched.

Whatever a library prints goes to standard error. Standard input stays open as long as the parent lives.
"""

import errno
import importlib
import json
import os
import re
import threading
import traceback
from collections.abc import Callable
from typing import BinaryIO, NoReturn, TypeAlias

from hwdash.drivers import libmspack
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.pipeline.confinement import IsolationUnavailable, confine

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

TASK_NAME = re.compile(r"(hwdash\.pipeline(?:\.[a-z][a-z0-9_]*)+):([a-z][a-z0-9_]*)")
OUT_OF_MEMORY = 72  # exit status, because an answer would need memory that is not there

FIELDS_OF_ERRORS: dict[type[DriversError], tuple[str, ...]] = {
    ParseError: ("message", "source", "offset", "line", "field"),
    LimitExceeded: ("message", "source"),
    VerificationError: ("message", "source"),
}


def main() -> NoReturn:
    """Confine this process, do its one task, answer, end."""
    answers = os.dup(1)
    os.dup2(2, 1)
    requests = open(0, "rb", closefd=False)  # noqa: SIM115  never closed: its end tells of the parent's death
    libmspack.load()  # while it can still be looked for
    try:
        confine(**json.loads(requests.readline()))
    except IsolationUnavailable as error:
        _end(answers, _encoded({"unconfined": str(error)}))
    try:
        request = json.loads(requests.readline())
        threading.Thread(target=_end_with, args=(requests,), daemon=True).start()
        _end(answers, _outcome(request["task"], request["arguments"]))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException:  # noqa: BLE001  a task that calls sys.exit, among others
        traceback.print_exc()
        os._exit(1)


def task_function(name: str) -> Callable[[dict[str, JSON]], JSON]:
    """The function that ``name``, "hwdash.pipeline.module:function", means; `ValueError` for a name of another kind."""
    match = TASK_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no task: a task is hwdash.pipeline.<module>:<function>")
    function: Callable[[dict[str, JSON]], JSON] | None = getattr(importlib.import_module(match[1]), match[2], None)
    if function is None or getattr(function, "__module__", None) != match[1]:
        raise ValueError(f"{name!r} is no task: {match[1]} defines no such function")
    return function


def _outcome(task: str, arguments: dict[str, JSON]) -> bytes:
    try:
        return _encoded({"value": task_function(task)(arguments)})
    except MemoryError:
        raise
    except DriversError as error:
        kind = next((kind for kind in FIELDS_OF_ERRORS if isinstance(error, kind)), DriversError)
        fields = {name: getattr(error, name) for name in FIELDS_OF_ERRORS.get(kind, ())}
        return _encoded({"found": {"type": kind.__name__, "text": str(error), **fields}})
    except Exception as error:  # noqa: BLE001  the parent reports it; this process has nobody else to tell
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return _encoded({"too_large_file": str(error.filename or "unnamed")})
        traceback.print_exc()
        return _encoded({"failed": {"type": type(error).__name__, "text": str(error)}})


def _encoded(answer: dict[str, JSON]) -> bytes:
    return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode("ascii")


def _end(answers: int, answer: bytes) -> NoReturn:
    left = memoryview(answer)
    while left:
        left = left[os.write(answers, left) :]
    os._exit(0)  # nothing is left to tidy, and an interpreter's own end takes time


def _end_with(standard_input: BinaryIO) -> NoReturn:
    """The second way to learn of the parent's death: the signal, the first, is tied to one thread of the parent."""
    while standard_input.read(1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
