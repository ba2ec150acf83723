"""LZX decompression in plain Python, as cabinets use it.

Format: Microsoft's "LZX Data Compression Format" (Cabinet SDK, 1997), with what [MS-PATCH] and real cabinets correct in
it: 42 and 50 position slots for windows of 2**20 and 2**21 bytes, the aligned tree before the others, a length tree
that may be empty. Memory stays within two windows and a frame; time is linear in the packed and in the plain bytes.
"""

import struct
from itertools import accumulate
from operator import length_hint
from typing import Final

from hwdash.drivers.errors import ParseError

WINDOW_BITS: Final = range(15, 22)
FRAME_SIZE: Final = 32768

_UNCOMPRESSED: Final = 3
_KINDS: Final = (1, 2, _UNCOMPRESSED)  # verbatim, aligned offset, uncompressed
_ALIGNED: Final = 2
_LITERALS: Final = 256  # symbols of the main tree that are bytes
_FOOTERS: Final = 249  # symbols of the length tree
_FIRST_FOOTER: Final = 9  # a match of this length or more has its length in the length tree
_TRANSLATED_FRAMES: Final = 32768  # calls are translated in the first 2**30 bytes
_UNREACHABLE: Final = 1 << 40  # a match offset that no content has

_EARLY: Final = "its data ends early"

_EXTRA_BITS: Final = (0, 0, *(min(slot // 2 - 1, 17) for slot in range(2, 50)))
_BASES: Final = (0, *accumulate(1 << bits for bits in _EXTRA_BITS))
# For each symbol of the main tree that begins a match: its length; its offset, or 0, -1, -2 for one of the three recent
# ones; and how many bits add to the offset.
_MATCHES: Final = ((0, 0, 0),) * _LITERALS + tuple(
    (header + 2, _BASES[slot] - 2 if slot > 2 else -slot, _EXTRA_BITS[slot])
    for slot in range(50)
    for header in range(8)
)


class LzxDecoder:
    """The state of one folder's stream; ``frame`` unpacks it frame by frame, as CFDATA blocks hold them."""

    def __init__(self, window_bits: int, *, source: str) -> None:
        if window_bits not in WINDOW_BITS:
            raise ValueError(f"an LZX window has 15 to 21 bits, not {window_bits}")
        self._source = source
        self._offset = 0
        self._window = 1 << window_bits
        slots = {20: 42, 21: 50}.get(window_bits, 2 * window_bits)
        self._main_lengths = [0] * (_LITERALS + 8 * slots)
        self._footer_lengths = [0] * _FOOTERS
        self._main: list[int] = []
        self._footers: list[int] = []
        self._aligned: list[int] = []
        self._recent = (1, 1, 1)
        self._history = bytearray()
        self._frames = 0
        self._call_size = 0
        self._kind = 0
        self._block_size = 0
        self._left = 0  # of the block
        self._skip = 0  # bytes of padding that the next frame begins with
        self._packed = b""
        self._start_bits(0)

    def frame(self, packed: bytes, size: int, *, offset: int) -> bytes:
        """The plain bytes of the next frame: ``size``, which is 32768 for all but the last.

        ``packed`` is the whole frame and nothing else. ParseError, at ``offset``, for what is no LZX.
        """
        self._offset = offset
        self._packed = packed
        if len(self._history) >= 2 * self._window:
            del self._history[: -self._window]
        start = len(self._history)
        try:
            self._start_bits(self._skip, bytes_follow=self._kind == _UNCOMPRESSED and self._left > 0)
            self._skip = 0
            if self._frames == 0 and self._bits(1):
                self._call_size = (self._bits(32) ^ 1 << 31) - (1 << 31)  # signed
            left = size
            while left:
                if not self._left:
                    self._open_block()
                run = min(left, self._left)
                self._left -= run
                left -= run
                if self._kind == _UNCOMPRESSED:
                    self._copy(run)
                else:
                    self._decode(run)
        except StopIteration:
            raise self._error(_EARLY) from None
        end = self._base + (self._bits_used() + 15) // 16 * 2
        if end != len(packed) + self._skip:
            raise self._error(f"the frame uses {end} of its block's {len(packed)} bytes")
        plain = self._history[start:]
        if self._call_size and self._frames < _TRANSLATED_FRAMES:
            self._restore_calls(plain)
        self._frames += 1
        return bytes(plain)

    def _error(self, message: str) -> ParseError:
        if self._bits_used() > 8 * (len(self._packed) - self._base):  # then it is about the zeros after the end
            message = _EARLY
        return ParseError(f"the LZX block is damaged ({message})", source=self._source, offset=self._offset, field="ab")

    # --- Bits: little-endian words of 16, the highest bit first

    def _start_bits(self, at: int, *, bytes_follow: bool = False) -> None:
        """Read bits from byte ``at`` of the frame on; none when bytes are to be copied from there."""
        self._base = at
        size = 0 if bytes_follow else max(len(self._packed) - at, 0) // 2 * 2
        # Two words of zeros more: what is looked at may lie past the end, what is used may not.
        swapped = bytearray(size + -size % 8 + 16)
        swapped[0:size:2] = self._packed[at + 1 : at + size : 2]
        swapped[1:size:2] = self._packed[at : at + size : 2]
        self._word_count = len(swapped) // 8
        self._words = iter(struct.unpack(f">{self._word_count}Q", swapped))
        self._buffer = 0
        self._count = 0  # of bits in the buffer that are not used yet

    def _bits(self, count: int) -> int:
        if self._count < count:
            self._buffer = (self._buffer & (1 << self._count) - 1) << 64 | next(self._words)
            self._count += 64
        self._count -= count
        return self._buffer >> self._count & (1 << count) - 1

    def _bits_used(self) -> int:
        """How many bits were used since the byte where they start."""
        return 64 * (self._word_count - length_hint(self._words)) - self._count

    def _symbol(self, table: list[int]) -> int:
        width = len(table).bit_length() - 1
        entry = table[self._bits(width)]
        self._count += width - (entry & 31)
        return entry >> 5

    # --- Blocks

    def _open_block(self) -> None:
        self._kind = self._bits(3)
        self._left = self._block_size = self._bits(24)
        if self._kind not in _KINDS:
            raise self._error(f"a block of kind {self._kind}")
        if not self._left:
            raise self._error("an empty block")
        if self._kind == _UNCOMPRESSED:
            self._open_uncompressed()
            return
        self._aligned = []
        if self._kind == _ALIGNED:
            self._aligned = self._table([self._bits(3) for _ in range(8)], "aligned tree")
        self._read_lengths(self._main_lengths, 0, _LITERALS)
        self._read_lengths(self._main_lengths, _LITERALS, len(self._main_lengths))
        self._main = self._table(self._main_lengths, "main tree")
        self._read_lengths(self._footer_lengths, 0, _FOOTERS)
        self._footers = self._table(self._footer_lengths, "length tree") if any(self._footer_lengths) else []

    def _open_uncompressed(self) -> None:
        # From 1 to 16 bits of padding, then the three recent offsets.
        at = self._base + self._bits_used() // 16 * 2 + 2
        if at + 12 > len(self._packed):
            raise StopIteration
        first, second, third = (
            offset if 0 < offset <= self._window else _UNREACHABLE
            for offset in struct.unpack_from("<III", self._packed, at)
        )
        self._recent = (first, second, third)
        self._start_bits(at + 12, bytes_follow=True)

    def _copy(self, size: int) -> None:
        """Take ``size`` bytes of an uncompressed block as they are."""
        end = self._base + size
        if end > len(self._packed):
            raise StopIteration
        self._history += memoryview(self._packed)[self._base : end]
        if not self._left and self._block_size % 2:
            # A byte of padding ends a block of odd size. At the end of a frame it may stand in this one or the next.
            self._skip = int(end == len(self._packed))
            end += 1
        self._start_bits(end, bytes_follow=self._left > 0)

    def _read_lengths(self, lengths: list[int], start: int, end: int) -> None:
        """Change the code lengths of the symbols from ``start`` to ``end`` by what the stream says of them."""
        pretree = self._table([self._bits(4) for _ in range(20)], "pretree")
        at = start
        while at < end:
            symbol = self._symbol(pretree)
            if symbol < 17:
                lengths[at] = (lengths[at] - symbol) % 17
                at += 1
                continue
            if symbol == 19:
                run = self._bits(1) + 4
                value = (lengths[at] - self._delta(pretree)) % 17
            else:
                run = self._bits(4) + 4 if symbol == 17 else self._bits(5) + 20
                value = 0
            if run > end - at:
                raise self._error("a run of code lengths passes the end of its tree")
            lengths[at : at + run] = [value] * run
            at += run

    def _delta(self, pretree: list[int]) -> int:
        symbol = self._symbol(pretree)
        if symbol > 16:
            raise self._error("a run of code lengths within another")
        return symbol

    def _table(self, lengths: list[int], name: str) -> list[int]:
        """For each value of the next bits, as many as the longest code has: its symbol << 5 | its code's length."""
        used = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
        width = used[-1][0] if used else 0
        if sum(1 << width - length for length, _ in used) != 1 << width:
            raise self._error(f"the {name} is no complete prefix code")
        table: list[int] = []
        for length, symbol in used:
            table += [symbol << 5 | length] * (1 << width - length)
        return table

    def _decode(self, size: int) -> None:  # noqa: PLR0912, PLR0915  one loop, for speed
        """Append ``size`` bytes of the current verbatim or aligned block to the history."""
        history = self._history
        append, next_word = history.append, self._words.__next__
        main, footers, aligned, matches = self._main, self._footers, self._aligned, _MATCHES
        main_width, footer_width, aligned_width = (max(len(t).bit_length() - 1, 0) for t in (main, footers, aligned))
        main_mask, footer_mask, aligned_mask = len(main) - 1, len(footers) - 1, len(aligned) - 1
        buffer, count = self._buffer, self._count
        first, second, third = self._recent
        at = len(history)
        end = at + size
        problem = ""
        while at < end:
            if count < 56:  # 16 for a symbol, 16 for a length, 17 for an offset or 14 and 7 for an aligned one
                buffer = (buffer & (1 << count) - 1) << 64 | next_word()
                count += 64
            entry = main[buffer >> count - main_width & main_mask]
            count -= entry & 31
            if entry < _LITERALS << 5:
                append(entry >> 5)
                at += 1
                continue
            length, offset, extra = matches[entry >> 5]
            if length == _FIRST_FOOTER:
                if not footers:
                    problem = "a length where the length tree is empty"
                    break
                entry = footers[buffer >> count - footer_width & footer_mask]
                count -= entry & 31
                length += entry >> 5
            if extra:
                if aligned and extra >= 3:
                    count -= extra - 3
                    offset += (buffer >> count & (1 << extra - 3) - 1) << 3
                    entry = aligned[buffer >> count - aligned_width & aligned_mask]
                    count -= entry & 31
                    offset += entry >> 5
                else:
                    count -= extra
                    offset += buffer >> count & (1 << extra) - 1
                first, second, third = offset, first, second
            elif offset > 0:
                first, second, third = offset, first, second
            elif offset == 0:
                offset = first
            elif offset == -1:
                offset = second
                first, second = offset, first
            else:
                offset = third
                first, third = offset, first
            source = at - offset
            if source < 0:
                problem = "a match begins before the content"
                break
            if length <= offset:
                history += history[source : source + length]
            else:
                history += (history[source:] * (length // offset + 1))[:length]
            at += length
        if at > end:
            problem = "a match passes the end of its block or frame"
        self._buffer, self._count = buffer, count
        self._recent = (first, second, third)
        if problem:
            raise self._error(problem)

    def _restore_calls(self, frame: bytearray) -> None:
        """Undo the E8 translation: absolute targets of x86 calls become relative again. The history keeps them."""
        start = self._frames * FRAME_SIZE
        end = max(len(frame) - 10, 0)  # no call is translated in the last ten bytes
        at = 0
        while (at := frame.find(0xE8, at, end)) >= 0:
            (target,) = struct.unpack_from("<i", frame, at + 1)
            here = start + at
            if -here <= target < self._call_size:
                relative = target - here if target >= 0 else target + self._call_size
                struct.pack_into("<i", frame, at + 1, relative)
            at += 5
