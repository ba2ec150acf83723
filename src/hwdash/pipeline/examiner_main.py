"""The examiner's process: ``python -I -m hwdash.pipeline.examiner_main SETTINGS PIPE``, which the signer's process
starts (signing/process.py).

From PIPE comes the key of the records, once the signer has opened it. Standard input is a socket over which the service
sends connections, one for each examination. The process ends with the signer's, and when the service closes the socket;
what it has started ends with it.
"""

import importlib
import json
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hwdash.signing.hardening import harden

MAX_LINE = 512 << 20
"""A request brings the results of all steps before; preparation's is 64 MB at most."""


def main() -> NoReturn:
    """The process's whole life."""
    harden()
    settings, pipe = sys.argv[1:]
    if Path(json.loads(settings)["data"]).stat().st_mode & stat.S_ISGID:
        # The service is another user's, to whose group the folder belongs: it goes on with what is left there.
        os.umask(0o007)
    with open(int(pipe), "rb") as stream:
        key = stream.read()
    if not key:  # the signer did not open its keys
        os._exit(1)
    # Loaded only now: until the signer is ready, the service starts, and needs the processor.
    examiner = importlib.import_module("hwdash.pipeline.examiner").Examiner(settings, key)
    with socket.socket(fileno=0) as channel:
        while True:
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
            if not descriptors:
                os._exit(0)  # threads may be at work
            threading.Thread(target=_serve, args=(descriptors[0], examiner.answer), daemon=True).start()


def _serve(descriptor: int, answer: Callable[[bytes], bytes]) -> None:
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rwb") as stream:
        line = stream.readline(MAX_LINE)
        if line.endswith(b"\n"):
            stream.write(answer(line) + b"\n")


if __name__ == "__main__":
    main()
