"""What can go wrong with a driver's files.

DriversError
  ParseError          the bytes or the text are not what their format asks for
  LimitExceeded       they are, but reading them would cost more than the caller allows
  VerificationError   they read well, but a digest, a signature or a certificate does not hold
"""


class DriversError(Exception):
    """Base of every error that the driver toolkit raises on purpose."""


class ParseError(DriversError):
    """A file is not what its format asks for.

    ``source`` names the file; ``offset`` is a byte offset from its start, ``line`` a line number counted from 1;
    ``field`` is the format's own name for the part that is wrong.
    """

    def __init__(
        self, message: str, *, source: str, offset: int | None = None, line: int | None = None, field: str | None = None
    ) -> None:
        place = source
        if line is not None:
            place += f", line {line}"
        if offset is not None:
            place += f", offset {offset:#x}"
        if field is not None:
            place += f", {field}"
        super().__init__(f"{place}: {message}")
        self.message = message
        self.source = source
        self.offset = offset
        self.line = line
        self.field = field


class LimitExceeded(DriversError):
    """Reading a file would take more memory, disk or time than the caller allows. ``source`` names the file."""

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(f"{source}: {message}")
        self.message = message
        self.source = source


class VerificationError(DriversError):
    """A digest, a signature or a certificate does not hold. ``source`` names the file."""

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(f"{source}: {message}")
        self.message = message
        self.source = source
