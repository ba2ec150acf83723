"""LZX and Quantum by libmspack, where the system has it (Debian's package libmspack0), through ctypes.

Of the library's decompressors only the one for whole cabinets is public (mspack.h). It is given a cabinet that exists
in callbacks alone: a header of ours with one folder, whose "files" are pieces of about a megabyte that cover it in
order, and the packed blocks as they are asked for. So each piece is pulled when it is wanted, memory stays flat and
nothing touches the disk. Where the library is missing, `load` says so and nothing fails.
"""

import ctypes
import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from hwdash.drivers.cab_format import BLOCK, BLOCK_SIZE, FILE, FOLDER, HEADER

PIECE_SIZE: Final = 32768
"""The most bytes that `unpack` yields at once."""

_SONAME: Final = "libmspack.so.0"
_QUANTUM: Final = 2
# LZX unpacks the next 32 KiB early where a file ends with a frame: an odd size avoids that, so damage is met when it is
# reached. Quantum unpacks no more than it is asked for, but with a small window it must not stop within a frame.
_PIECE_FILE_SIZE: Final = (1 << 20) - 1
_QUANTUM_PIECE_FILE_SIZE: Final = 1 << 20
_TO_READ: Final = 0  # of the ways to open
_FROM_START: Final = 0  # of the ways to seek; the library uses no other than this and "from here"
_NO_MEMORY: Final = 6
_REASONS: Final = {3: "the data ends early", 8: "the data is malformed", 11: "the data is malformed"}

_pointer = ctypes.c_void_p
_OPEN = ctypes.CFUNCTYPE(_pointer, _pointer, ctypes.c_char_p, ctypes.c_int)
_CLOSE = ctypes.CFUNCTYPE(None, _pointer)
_TRANSFER = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, _pointer, ctypes.c_int)
_SEEK = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, ctypes.c_longlong, ctypes.c_int)
_TELL = ctypes.CFUNCTYPE(ctypes.c_longlong, _pointer)
_MESSAGE = ctypes.CFUNCTYPE(None, _pointer, _pointer)
_ALLOCATE = ctypes.CFUNCTYPE(_pointer, _pointer, ctypes.c_size_t)


class Damaged(Exception):
    """libmspack cannot unpack the blocks; the message says why, as far as it tells."""


class _System(ctypes.Structure):
    """struct mspack_system."""

    _fields_ = (
        ("open", _OPEN),
        ("close", _CLOSE),
        ("read", _TRANSFER),
        ("write", _TRANSFER),
        ("seek", _SEEK),
        ("tell", _TELL),
        ("message", _MESSAGE),
        ("alloc", _ALLOCATE),
        ("free", _pointer),
        ("copy", _pointer),
        ("null_ptr", _pointer),
    )


class _File(ctypes.Structure):
    """struct mscabd_file, as far as it is read here."""


_File._fields_ = (("next", ctypes.POINTER(_File)),)


class _Cabinet(ctypes.Structure):
    """struct mscabd_cabinet, as far as it is read here."""

    _fields_ = (
        ("next", _pointer),
        ("filename", _pointer),
        ("base_offset", ctypes.c_longlong),
        ("length", ctypes.c_uint),
        ("others_and_names", _pointer * 6),
        ("files", ctypes.POINTER(_File)),
    )


class _Decompressor(ctypes.Structure):
    """struct mscab_decompressor."""

    _fields_ = (
        ("open", ctypes.CFUNCTYPE(ctypes.POINTER(_Cabinet), _pointer, ctypes.c_char_p)),
        ("close", ctypes.CFUNCTYPE(None, _pointer, ctypes.POINTER(_Cabinet))),
        ("search", _pointer),
        ("append", _pointer),
        ("prepend", _pointer),
        ("extract", ctypes.CFUNCTYPE(ctypes.c_int, _pointer, ctypes.POINTER(_File), ctypes.c_char_p)),
        ("set_param", _pointer),
        ("last_error", ctypes.CFUNCTYPE(ctypes.c_int, _pointer)),
    )


class _Transfer:
    """What one decompressor reads and writes. The library's file handles are the numbers of these in ``_transfers``."""

    def __init__(self, header: bytes, blocks: Iterator[tuple[bytes, int]]) -> None:
        self.written: list[bytes] = []
        self.sound = 0  # plain bytes that the blocks read so far hold
        self.failure: BaseException | None = None
        self.at = 0
        self._header = header
        self._blocks = blocks
        self._block = b""
        self._block_at = 0

    def read(self, size: int) -> bytes:
        """From the header; after its end from the blocks, which are read once, in order."""
        if self.at < len(self._header):
            taken = self._header[self.at : self.at + size]
        else:
            if self._block_at == len(self._block):
                self._block = self._next_block()
                self._block_at = 0
            taken = self._block[self._block_at : self._block_at + size]
            self._block_at += len(taken)
        self.at += len(taken)
        return taken

    def _next_block(self) -> bytes:
        """The library reads ahead. A block that fails must not cost those before it, so others stand in for it."""
        packed, plain_size = bytes(BLOCK_SIZE), BLOCK_SIZE
        if self.failure is None:
            try:
                packed, plain_size = next(self._blocks)
                self.sound += plain_size
            except StopIteration:
                return b""
            except BaseException as failure:  # noqa: BLE001  raised again by unpack
                self.failure = failure
        return BLOCK.pack(0, len(packed), plain_size) + packed  # no checksum: it was verified before


_transfers: dict[int, _Transfer] = {}
_numbers = itertools.count(1)


# --- The library's view of a system. Exceptions cannot cross it: each is kept, and raised when the library returns.


def _open(_system: int, name: bytes, mode: int) -> int:
    """Input and output have one handle: the library reads one input at a time, and output has no position."""
    number = int(name)
    if mode == _TO_READ:
        _transfers[number].at = 0
    return number


def _close(_handle: int) -> None:
    pass


def _read(handle: int, buffer: int, size: int) -> int:
    transfer = _transfers[handle]
    try:
        taken = transfer.read(size)
        ctypes.memmove(buffer, taken, len(taken))
    except BaseException as failure:  # noqa: BLE001  raised again by unpack
        transfer.failure = failure
        return -1
    return len(taken)


def _write(handle: int, buffer: int, size: int) -> int:
    transfer = _transfers[handle]
    try:
        transfer.written.append(ctypes.string_at(buffer, size))
    except BaseException as failure:  # noqa: BLE001  raised again by unpack
        transfer.failure = failure
        return -1
    return size


def _seek(handle: int, offset: int, mode: int) -> int:
    transfer = _transfers[handle]
    transfer.at = offset if mode == _FROM_START else transfer.at + offset
    return 0


def _tell(handle: int) -> int:
    return _transfers[handle].at


def _message(_handle: int, _format: int) -> None:
    pass


class _Library:
    """The loaded library and the system that it is given; both live as long as the process."""

    def __init__(self, library: ctypes.CDLL) -> None:
        libc = ctypes.CDLL(None)
        libc.calloc.restype = _pointer
        libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
        # Zeros: a damaged stream may copy from a window before it was written.
        allocate = _ALLOCATE(lambda _system, size: libc.calloc(1, size))
        # The structure keeps its callbacks alive. bcopy is memmove with its source first, as the library wants it.
        self.system = _System(
            _OPEN(_open),
            _CLOSE(_close),
            _TRANSFER(_read),
            _TRANSFER(_write),
            _SEEK(_seek),
            _TELL(_tell),
            _MESSAGE(_message),
            allocate,
            ctypes.cast(libc.free, _pointer),
            ctypes.cast(libc.bcopy, _pointer),
            None,
        )
        self.create: Any = library.mspack_create_cab_decompressor
        self.create.restype = ctypes.POINTER(_Decompressor)
        self.create.argtypes = (ctypes.POINTER(_System),)
        self.destroy: Any = library.mspack_destroy_cab_decompressor
        self.destroy.restype = None
        self.destroy.argtypes = (ctypes.POINTER(_Decompressor),)


@cache
def load() -> _Library | None:
    """The library, None where the system has none. A confined process loads it before it is confined."""
    try:
        return _Library(ctypes.CDLL(_SONAME))
    except (OSError, AttributeError):
        return None


def unpack(method: int, blocks: Iterator[tuple[bytes, int]], count: int, size: int) -> Iterator[bytes]:
    """The first ``size`` plain bytes of a folder, in pieces.

    ``method`` is its typeCompress, ``blocks`` the packed bytes and the plain size of its first ``count`` blocks, which
    hold at least ``size`` bytes. What ``blocks`` raises is raised after all that stands before. Raises `Damaged`, for
    Quantum up to 1 MiB early; `MemoryError`; and `RuntimeError` where the library is missing.
    """
    library = load()
    if library is None:
        raise RuntimeError(f"{_SONAME} is not there")
    number = next(_numbers)
    transfer = _transfers[number] = _Transfer(_header(method, count, size), blocks)
    name = ctypes.create_string_buffer(b"%d" % number)  # the library keeps a pointer to it
    decompressor = library.create(library.system)
    try:
        if not decompressor:
            raise MemoryError
        calls = decompressor.contents
        cabinet = calls.open(decompressor, name)
        try:
            if not cabinet:
                raise _exception(calls.last_error(decompressor))
            yield from _extracted(decompressor, cabinet.contents.files, name, transfer)
        finally:
            calls.close(decompressor, cabinet)
    finally:
        library.destroy(decompressor)
        del _transfers[number]


def _extracted(decompressor: Any, file: Any, name: Any, transfer: _Transfer) -> Iterator[bytes]:
    given = 0
    while file:
        error = decompressor.contents.extract(decompressor, file, name)
        written, transfer.written = transfer.written, []
        for whole in written:
            sound = whole[: transfer.sound - given]
            given += len(sound)
            for at in range(0, len(sound), PIECE_SIZE):
                yield sound[at : at + PIECE_SIZE]
        if transfer.failure is not None and (error or given == transfer.sound):
            raise transfer.failure
        if error:
            raise _exception(error)
        file = file.contents.next


def _exception(error: int) -> Exception:
    return MemoryError() if error == _NO_MEMORY else Damaged(_REASONS.get(error, f"libmspack's error {error}"))


def _header(method: int, count: int, size: int) -> bytes:
    """The cabinet up to its first block: one folder, and files that cover it."""
    step = _QUANTUM_PIECE_FILE_SIZE if method & 0x0F == _QUANTUM else _PIECE_FILE_SIZE
    files = b"".join(
        FILE.pack(min(step, size - at), at, 0, 0x21, 0, 0) + b"%d\0" % (at // step) for at in range(0, size, step)
    )
    files_at = HEADER.size + FOLDER.size
    end = files_at + len(files)
    file_count = -(-size // step)
    return (
        HEADER.pack(b"MSCF", 0, end + count * BLOCK_SIZE, 0, files_at, 0, 3, 1, 1, file_count, 0, 0, 0)
        + FOLDER.pack(end, count, method)
        + files
    )
