"""One target in a process of its own: ``python one_target.py NAME [libFuzzer's options] FOLDER``."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["hwdash.drivers"]):
    from fuzz.targets import BROKEN, TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process: 0 when nothing was found."""
    target = (TARGETS | BROKEN)[sys.argv.pop(1)]

    def one_input(data: bytes) -> None:
        try:
            target.read(data)
        except target.allowed:
            return

    atheris.Setup([*sys.argv, f"-max_len={target.max_bytes}"], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
