"""Targets, each in a process of its own: ``python one_target.py FOLDER JOBS NAME... [-OPTION=VALUE...]``.

Instrumenting the parsers takes seconds, so it is done once and each target is a fork. What a target says goes to
``FOLDER/NAME/said``; when it has ended, how it did to ``FOLDER/NAME/status``, as waitpid tells it. The options are
libFuzzer's; ``%`` in one of them is the target's folder.
"""

import contextlib
import io
import os
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with contextlib.redirect_stdout(io.StringIO()), atheris.instrument_imports(include=["hwdash.drivers"]):
    from fuzz.targets import BROKEN, TARGETS


def fuzz(name: str, folder: Path, options: list[str]) -> None:
    """Fuzz until libFuzzer ends the process: 0 when nothing was found."""
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    target = (TARGETS | BROKEN)[name]

    def one_input(data: bytes) -> None:
        try:
            target.read(data)
        except target.allowed:
            return

    given = [option.replace("%", str(folder)) for option in options]
    atheris.Setup([name, *given, f"-max_len={target.max_bytes}", str(folder / "corpus")], one_input)
    atheris.Fuzz()


def main() -> None:
    """Fork for each target, so many at a time."""
    folder, jobs = Path(sys.argv[1]), int(sys.argv[2])
    options = [each for each in sys.argv[3:] if each.startswith("-")]
    waiting = [each for each in sys.argv[3:] if not each.startswith("-")]
    running: dict[int, str] = {}
    while waiting or running:
        if waiting and len(running) < jobs:
            name = waiting.pop(0)
            process = os.fork()
            if not process:
                fuzz(name, folder / name, options)
                os._exit(0)
            running[process] = name
        else:
            process, status = os.wait()
            (folder / running.pop(process) / "status").write_text(str(status))


if __name__ == "__main__":
    main()
