"""The plain content of a cabinet's folders, in order and in flat memory; ``cab`` is its one user.

Store and MSZIP need 32 KiB of what came before to unpack a block, so a file that begins within the one before it costs
its own size only. LZX and Quantum need all that came before: see `SolidFolder`.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from hwdash.drivers import libmspack
from hwdash.drivers.cab_format import BLOCK, BLOCK_SIZE, CabinetFile, CabinetFolder, Method, block_checksum
from hwdash.drivers.errors import ParseError
from hwdash.drivers.lzx import WINDOW_BITS, LzxDecoder

KEPT: Final = 16 << 20
"""How many bytes of an LZX or Quantum folder are kept for a file that begins within those before it."""

_MAX_PACKED: Final = BLOCK_SIZE + 6144  # [MS-CAB] on cbData
_QUANTUM_WINDOW_BITS: Final = range(10, 22)
_BLOCKWISE: Final = (Method.STORE, Method.MSZIP)


class _Block(NamedTuple):
    at: int  # byte of the cabinet where the CFDATA header stands
    packed: bytes
    plain_size: int
    length: int  # in the cabinet


class BlockReader:
    """Reads and checks CFDATA blocks. ``end`` is the cabinet's, ``reserve`` the bytes reserved in each block."""

    def __init__(self, stream: BinaryIO, *, source: str, end: int, reserve: int) -> None:
        self.source = source
        self._stream = stream
        self._end = end
        self._reserve = reserve

    def read(self, at: int) -> _Block:
        """The block at this byte; ParseError when it is cut off or damaged."""
        header_size = BLOCK.size + self._reserve
        available = self._end - at
        self._stream.seek(at)
        header = self._stream.read(header_size) if header_size <= available else b""
        if len(header) != header_size:
            raise self.error(at, "the cabinet is truncated", "CFDATA")
        checksum, packed_size, plain_size = BLOCK.unpack_from(header)
        if not 0 < plain_size <= BLOCK_SIZE:
            raise self.error(at, f"a block of {plain_size} bytes: from 1 to 32768 are allowed", "cbUncomp")
        packed = self._stream.read(packed_size) if header_size + packed_size <= available else b""
        if len(packed) != packed_size:
            raise self.error(at, "the cabinet is truncated", "CFDATA")
        if checksum:
            found = block_checksum(packed) ^ plain_size << 16 ^ packed_size
            # [MS-CAB] counts the block's reserve area in, libmspack does not: writers exist of both kinds.
            if found != checksum and found ^ block_checksum(header[BLOCK.size :]) != checksum:
                raise self.error(at, "the block's checksum is wrong: the cabinet is damaged", "csum")
        return _Block(at, packed, plain_size, header_size + packed_size)

    def error(self, at: int, message: str, field: str) -> ParseError:
        """A ParseError about the block at this byte."""
        return ParseError(message, source=self.source, offset=at, field=field)


class _Content(ABC):
    """What both kinds of folder have in common: one file at a time is read."""

    def __init__(self, blocks: BlockReader, folder: CabinetFolder) -> None:
        self._blocks = blocks
        self._folder = folder
        self._current: CabinetFile | None = None

    def pieces(self, file: CabinetFile, next_offset: int | None) -> Iterator[bytes]:
        """The content of ``file``. No file asked for later begins before ``next_offset``; None when none follows."""
        self._current = file
        return self._pieces(file, file.offset + file.size if next_offset is None else next_offset)

    @abstractmethod
    def _pieces(self, file: CabinetFile, next_offset: int) -> Iterator[bytes]:
        """``pieces``, with the end of the file as ``next_offset`` where none follows."""

    def _check_turn(self, file: CabinetFile) -> None:
        if self._current is not file:
            raise RuntimeError(f"the content of {file.name} was asked for after the next file")


class _Position(NamedTuple):
    """The state before one block of store or MSZIP: all that is needed to unpack it again."""

    number: int  # of blocks before it
    at: int  # byte of the cabinet where the CFDATA header stands
    start: int  # plain offset of the block in its folder
    window: bytes  # the last 32 KiB of plain content before it


class BlockFolder(_Content):
    """A folder of store or MSZIP, read forwards; overlapping files go back to a remembered block only."""

    def __init__(self, blocks: BlockReader, folder: CabinetFolder) -> None:
        super().__init__(blocks, folder)
        self._resume = _Position(0, folder.start, 0, b"")
        self._last: tuple[_Position, bytes, _Position] | None = None

    def _pieces(self, file: CabinetFile, next_offset: int) -> Iterator[bytes]:
        position = self._resume
        end = file.offset + file.size
        while position.start < end and file.size:
            self._check_turn(file)
            plain, following = self._unpack(position)
            # The next file begins in this block or later: it will start here, not before.
            if position.start <= next_offset:
                self._resume = position
            if following.start > file.offset:
                low = max(file.offset - position.start, 0)
                high = end - position.start
                yield plain if low == 0 and high >= len(plain) else plain[low:high]
            position = following

    def _unpack(self, position: _Position) -> tuple[bytes, _Position]:
        if self._last is not None and self._last[0] is position:
            return self._last[1], self._last[2]
        if position.number >= self._folder.blocks:
            raise self._blocks.error(position.at, "the folder ends before its files do", "cCFData")
        block = self._blocks.read(position.at)
        plain = block.packed if self._folder.compression == Method.STORE else self._inflate(block, position.window)
        if len(plain) != block.plain_size:
            message = f"the block holds {len(plain)} bytes, not {block.plain_size}"
            raise self._blocks.error(block.at, message, "cbUncomp")
        window = plain if len(plain) == BLOCK_SIZE else (position.window + plain)[-BLOCK_SIZE:]
        following = _Position(position.number + 1, block.at + block.length, position.start + len(plain), window)
        self._last = position, plain, following
        return plain, following

    def _inflate(self, block: _Block, window: bytes) -> bytes:
        if block.packed[:2] != b"CK":
            raise self._blocks.error(block.at, "an MSZIP block must begin with CK", "ab")
        inflate = zlib.decompressobj(-15, zdict=window)
        try:
            # One byte more than declared shows both a longer block and the end mark of a right one.
            plain = inflate.decompress(memoryview(block.packed)[2:], block.plain_size + 1)
        except zlib.error as error:
            raise self._blocks.error(block.at, f"the MSZIP block is damaged ({error})", "ab") from None
        if len(plain) > block.plain_size or not inflate.eof:
            message = f"the MSZIP block does not end after {block.plain_size} bytes"
            raise self._blocks.error(block.at, message, "cbUncomp")
        return plain


class SolidFolder(_Content):
    """A folder of LZX or Quantum, where a block's state is all that came before it.

    A file that begins at most `KEPT` bytes before the end of those before it finds what it shares with them kept. For
    any other the folder is unpacked again from its start; `unpacking_cost` tells beforehand what that comes to.
    """

    def __init__(self, blocks: BlockReader, folder: CabinetFolder, *, reach: int, use_libmspack: bool) -> None:
        super().__init__(blocks, folder)
        self._reach = reach  # where the last file ends
        self._use_libmspack = use_libmspack
        self._start()

    def _start(self) -> None:
        self._unpacked = _unpacked(self._blocks, self._folder, self._reach, self._use_libmspack)
        self._at = 0  # where the next unpacked piece begins
        self._kept = bytearray()  # what stands before it

    def _pieces(self, file: CabinetFile, next_offset: int) -> Iterator[bytes]:
        at, end = file.offset, file.offset + file.size
        while at < end:
            self._check_turn(file)
            if at < self._at - len(self._kept):
                self._start()
            elif at >= self._at:
                piece = self._next_piece()
                whole = at == self._at and at + len(piece) <= end
                self._keep(piece, next_offset if whole else min(at, next_offset))
                if whole:
                    at += len(piece)
                    yield piece
            else:
                low = at - self._at + len(self._kept)
                piece = bytes(self._kept[low : low + min(end - at, BLOCK_SIZE)])
                at += len(piece)
                yield piece

    def _next_piece(self) -> bytes:
        piece = next(self._unpacked, None)
        if piece is None:
            raise self._blocks.error(self._folder.start, "the folder is damaged before this file", "ab")
        return piece

    def _keep(self, piece: bytes, needed_from: int) -> None:
        """Go on to the end of ``piece``, and keep what stands from ``needed_from`` on."""
        kept_from = self._at - len(self._kept)
        self._at += len(piece)
        if needed_from >= self._at:
            self._kept.clear()
            return
        del self._kept[: max(needed_from - kept_from, 0)]
        if len(self._kept) > KEPT + BLOCK_SIZE:
            self._kept.clear()
        self._kept += piece


# These two hold no `SolidFolder`, so what libmspack has open is closed as soon as nobody reads the folder any more.


def _unpacked(blocks: BlockReader, folder: CabinetFolder, reach: int, use_libmspack: bool) -> Iterator[bytes]:
    """The plain content of a folder of LZX or Quantum from its start to ``reach``, or a little farther, in pieces."""
    count = min(folder.blocks, -(-reach // BLOCK_SIZE))
    places: list[int] = []  # where each block that was read stands
    needed = _solid_blocks(blocks, folder, count, reach, places)
    if not use_libmspack:
        decoder = LzxDecoder(folder.window_bits, source=blocks.source)
        for block in needed:
            yield decoder.frame(block.packed, block.plain_size, offset=block.at)
        return
    size = 0
    try:
        packed = ((block.packed, block.plain_size) for block in needed)
        for piece in libmspack.unpack(folder.method, packed, count, reach):
            yield piece
            size += len(piece)
    except libmspack.Damaged as error:
        at = places[min(size // BLOCK_SIZE, len(places) - 1)]
        name = Method(folder.method & 0x0F).label
        raise blocks.error(at, f"the {name} block is damaged ({error})", "ab") from None


def _solid_blocks(
    blocks: BlockReader, folder: CabinetFolder, count: int, reach: int, places: list[int]
) -> Iterator[_Block]:
    """The first ``count`` blocks, which hold ``reach`` plain bytes; ``places`` gets where each stands."""
    at = folder.start
    for index in range(count):
        places.append(at)
        block = blocks.read(at)
        if block.plain_size != BLOCK_SIZE and index + 1 < folder.blocks:
            message = f"a block of {block.plain_size} bytes: only the last of a folder may have less than 32768"
            raise blocks.error(at, message, "cbUncomp")
        if len(block.packed) > _MAX_PACKED:
            message = f"a block of {len(block.packed)} packed bytes: at most {_MAX_PACKED} are allowed"
            raise blocks.error(at, message, "cbData")
        if index + 1 == count and index * BLOCK_SIZE + block.plain_size < reach:
            raise blocks.error(at, "the folder ends before its files do", "cbUncomp")
        yield block
        at += block.length


def folder_content(
    blocks: BlockReader, folder: CabinetFolder, files: Iterable[CabinetFile], *, use_libmspack: bool
) -> BlockFolder | SolidFolder:
    """The reader of a folder that holds ``files``; ParseError when its compression cannot be read here."""
    if folder.compression in _BLOCKWISE:
        return BlockFolder(blocks, folder)
    message = ""
    use_libmspack = use_libmspack and libmspack.load() is not None
    if folder.compression is None:
        message = f"compressed by an unknown method ({folder.method & 0x0F}): rebuild the cabinet with MSZIP or LZX"
    elif folder.window_bits not in (WINDOW_BITS if folder.compression == Method.LZX else _QUANTUM_WINDOW_BITS):
        message = f"{folder.compression.label} with a window of 2**{folder.window_bits} bytes: the cabinet is damaged"
    elif folder.compression == Method.QUANTUM and not use_libmspack:
        message = (
            "compressed by Quantum, which needs libmspack: install it (Debian's package libmspack0), "
            "or rebuild the cabinet with MSZIP or LZX"
        )
    if message:
        raise blocks.error(folder.start, message, "typeCompress")
    reach = max((file.offset + file.size for file in files), default=0)
    return SolidFolder(blocks, folder, reach=reach, use_libmspack=use_libmspack)


def unpacking_cost(folder: CabinetFolder, files: Iterable[CabinetFile]) -> int:
    """How many bytes must be unpacked at most to read ``files``, the folder's own, sorted by offset and size."""
    cost = at = 0
    for file in files:
        if file.size and folder.compression not in _BLOCKWISE and file.offset < at - KEPT:
            cost += at
            at = 0
        at = max(at, file.offset + file.size)
    return cost + at
