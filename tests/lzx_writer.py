"""A small LZX compressor, for tests only: no LZX writer exists on Linux, and our own can make every kind of block.

It follows Microsoft's "LZX Data Compression Format" and the corrections in [MS-PATCH]. It searches little, so it packs
worse than Microsoft's; what it makes is checked by cabextract.
"""

import bisect
import heapq
import itertools
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple

from cab_builder import Folder, build_cabinet

FRAME: Final = 32768
Kind = Literal["verbatim", "aligned", "uncompressed"]
_NUMBERS: Final[dict[Kind, int]] = {"verbatim": 1, "aligned": 2, "uncompressed": 3}
_EXTRA: Final = [0, 0, *(min(slot // 2 - 1, 17) for slot in range(2, 50))]
_BASE: Final = [0, *itertools.accumulate(1 << extra for extra in _EXTRA)]


class BitWriter:
    """Bits, highest first, in little-endian words of 16."""

    def __init__(self) -> None:
        self.made = bytearray()
        self._word = 0
        self.free = 16

    def put(self, value: int, count: int) -> None:
        while count:
            take = min(count, self.free)
            count -= take
            self._word = self._word << take | (value >> count) & (1 << take) - 1
            self.free -= take
            if not self.free:
                self.made += struct.pack("<H", self._word)
                self._word, self.free = 0, 16

    def align(self) -> None:
        if self.free < 16:
            self.put(0, self.free)

    def cut(self) -> bytes:
        self.align()
        piece = bytes(self.made)
        self.made.clear()
        return piece


class Match(NamedTuple):
    symbol: int
    footer: int  # of the length tree, -1 for none
    low: int  # what is added to the slot's base
    extra: int  # bits of it


def code_lengths(counts: list[int], longest: int) -> list[int]:
    """Lengths of a complete prefix code of at most ``longest`` bits; all zero when nothing is counted."""
    lengths = [0] * len(counts)
    used = [symbol for symbol, count in enumerate(counts) if count]
    if len(used) == 1:
        lengths[used[0]] = lengths[(used[0] + 1) % len(counts)] = 1
    if len(used) < 2:
        return lengths
    weights = [counts[symbol] for symbol in used]
    while True:
        heap: list[tuple[int, int, list[int]]] = [(weight, at, [at]) for at, weight in enumerate(weights)]
        heapq.heapify(heap)
        depth = [0] * len(used)
        for tie in itertools.count(len(used)):
            if len(heap) == 1:
                break
            weight_a, _, a = heapq.heappop(heap)
            weight_b, _, b = heapq.heappop(heap)
            for at in a + b:
                depth[at] += 1
            heapq.heappush(heap, (weight_a + weight_b, tie, a + b))
        if max(depth) <= longest:
            break
        weights = [weight // 2 + 1 for weight in weights]
    for symbol, length in zip(used, depth, strict=True):
        lengths[symbol] = length
    return lengths


def codes(lengths: list[int]) -> list[int]:
    """The canonical code of each symbol: shorter first, then by symbol."""
    made, code = [0] * len(lengths), 0
    for length in range(1, 17):
        for symbol, its in enumerate(lengths):
            if its == length:
                made[symbol] = code
                code += 1
        code <<= 1
    return made


def translate_calls(frame: bytes, at: int, size: int) -> bytes:
    """The E8 preprocessing of a frame that begins at byte ``at``: relative call targets become absolute."""
    changed, place = bytearray(frame), 0
    while at < 1 << 30 and (place := changed.find(0xE8, place)) >= 0 and place < len(frame) - 10:
        (relative,) = struct.unpack_from("<i", changed, place + 1)
        here = at + place
        if -here <= relative < size - here:
            struct.pack_into("<i", changed, place + 1, relative + here)
        elif size - here <= relative < size:
            struct.pack_into("<i", changed, place + 1, relative - size)
        place += 5
    return bytes(changed)


class LzxWriter:
    """One folder's stream. ``plan`` says of which kind and length each block is, the last one again and again."""

    def __init__(self, window_bits: int = 16, *, call_size: int = 0, plan: Iterable[tuple[Kind, int]] = ()) -> None:
        slots = {20: 42, 21: 50}.get(window_bits, 2 * window_bits)
        self.window = 1 << window_bits
        self.call_size = call_size
        self._plan = list(plan) or [("verbatim", 1 << 17)]
        self._main = [0] * (256 + 8 * slots)
        self._footers = [0] * 249
        self._recent = [1, 1, 1]
        self._places: dict[bytes, int] = {}
        self._bits = BitWriter()

    def blocks(self, plain: bytes) -> list[bytes]:
        """The packed CFDATA blocks of ``plain``, one for each 32 KiB."""
        if self.call_size:
            cut = range(0, len(plain), FRAME)
            plain = b"".join(translate_calls(plain[at : at + FRAME], at, self.call_size) for at in cut)
        self._bits.put(1 if self.call_size else 0, 1)
        if self.call_size:
            self._bits.put(self.call_size, 32)
        plan = itertools.chain(self._plan, itertools.repeat(self._plan[-1]))
        frames, start = [], 0
        while start < len(plain):
            kind, length = next(plan)
            end = min(start + length, len(plain))
            frames += self._block(kind, plain, start, end)
            start = end
        return [*frames, self._bits.cut()] if len(plain) % FRAME else frames

    def _block(self, kind: Kind, plain: bytes, start: int, end: int) -> Iterator[bytes]:
        """Write one LZX block, and yield the frames that it completes; a match crosses no frame's end."""
        bits = self._bits
        bits.put(_NUMBERS[kind], 3)
        bits.put(end - start, 24)
        pieces = list(itertools.pairwise([start, *range(start // FRAME * FRAME + FRAME, end, FRAME), end]))
        if kind == "uncompressed":
            bits.put(0, bits.free)
            bits.made += struct.pack("<III", *self._recent)
            tokens = []
        else:
            tokens = [list(self._tokens(plain, low, high)) for low, high in pieces]
            self._trees(kind, [token for frame in tokens for token in frame])
        for number, (low, high) in enumerate(pieces):
            if kind == "uncompressed":
                bits.made += plain[low:high] + bytes((end - start) % 2 if high == end else 0)
            else:
                for token in tokens[number]:
                    self._put(token, kind)
            if high % FRAME == 0:
                yield bits.cut()

    def _tokens(self, plain: bytes, start: int, end: int) -> Iterator[int | Match]:
        places, at = self._places, start
        while at < end:
            key = plain[at : at + 3]
            found = places.get(key, -1)
            places[key] = at
            candidates = [(place, recent) for recent in (0, 1, 2) if (place := at - self._recent[recent]) >= 0]
            if found >= 0 and at - found <= self.window - 3:
                candidates.append((found, 3))
            best, choice = 1, (0, 0)
            for candidate in candidates:
                limit = min(257, end - at)
                length = limit if plain[candidate[0] : candidate[0] + limit] == plain[at : at + limit] else 0
                while length < limit and plain[candidate[0] + length] == plain[at + length]:
                    length += 1
                if length > best and (candidate[1] < 3 or length > 2):
                    best, choice = length, candidate
            if best < 2:
                yield plain[at]
                at += 1
                continue
            yield self._match(at - choice[0], best, choice[1])
            at += best

    def _match(self, offset: int, length: int, recent: int) -> Match:
        if recent < 3:
            slot, low, extra = recent, 0, 0
            self._recent[0], self._recent[recent] = self._recent[recent], self._recent[0]
        else:
            slot = bisect.bisect_right(_BASE, offset + 2) - 1
            low, extra = offset + 2 - _BASE[slot], _EXTRA[slot]
            self._recent = [offset, *self._recent[:2]]
        header = min(length - 2, 7)
        return Match(256 + 8 * slot + header, length - 9 if header == 7 else -1, low, extra)

    def _trees(self, kind: Kind, tokens: list[int | Match]) -> None:
        main, footers, aligned = [0] * len(self._main), [0] * 249, [0] * 8
        for token in tokens:
            if isinstance(token, int):
                main[token] += 1
            else:
                main[token.symbol] += 1
                if token.footer >= 0:
                    footers[token.footer] += 1
                if token.extra >= 3:
                    aligned[token.low & 7] += 1
        if kind == "aligned":
            self._aligned = code_lengths(aligned if any(aligned) else [1] * 8, 7)
            self._aligned_codes = codes(self._aligned)
            for length in self._aligned:
                self._bits.put(length, 3)
        new = code_lengths(main, 16)
        self._lengths(self._main[:256], new[:256])
        self._lengths(self._main[256:], new[256:])
        self._main, self._main_codes = new, codes(new)
        new = code_lengths(footers, 16)
        self._lengths(self._footers, new)
        self._footers, self._footer_codes = new, codes(new)

    def _lengths(self, old: list[int], new: list[int]) -> None:
        """Code lengths as differences to the block before, runs shortened."""
        steps: list[tuple[int, int, int, int]] = []  # symbol, extra value, its bits, symbol after it or -1
        at = 0
        while at < len(new):
            run = next((n for n, value in enumerate(new[at:]) if value != new[at]), len(new) - at)
            delta = (old[at] - new[at]) % 17
            if new[at] == 0 and run >= 20:
                run = min(run, 51)
                steps.append((18, run - 20, 5, -1))
            elif new[at] == 0 and run >= 4:
                steps.append((17, run - 4, 4, -1))
            elif run >= 4:
                run = min(run, 5)
                steps.append((19, run - 4, 1, delta))
            else:
                run = 1
                steps.append((delta, 0, 0, -1))
            at += run
        counts = [0] * 20
        for symbol, _, _, following in steps:
            counts[symbol] += 1
            if following >= 0:
                counts[following] += 1
        pretree = code_lengths(counts, 15)
        pretree_codes = codes(pretree)
        for length in pretree:
            self._bits.put(length, 4)
        for symbol, value, width, following in steps:
            self._bits.put(pretree_codes[symbol], pretree[symbol])
            self._bits.put(value, width)
            if following >= 0:
                self._bits.put(pretree_codes[following], pretree[following])

    def _put(self, token: int | Match, kind: Kind) -> None:
        bits = self._bits
        if isinstance(token, int):
            bits.put(self._main_codes[token], self._main[token])
            return
        bits.put(self._main_codes[token.symbol], self._main[token.symbol])
        if token.footer >= 0:
            bits.put(self._footer_codes[token.footer], self._footers[token.footer])
        if kind == "aligned" and token.extra >= 3:
            bits.put(token.low >> 3, token.extra - 3)
            bits.put(self._aligned_codes[token.low & 7], self._aligned[token.low & 7])
        else:
            bits.put(token.low, token.extra)


def lzx_folder(
    files: Iterable[tuple[str, bytes]],
    window_bits: int = 16,
    *,
    call_size: int = 0,
    plan: Iterable[tuple[Kind, int]] = (),
) -> Folder:
    """A folder of these files, one after the other, packed by LZX."""
    listed, plain = [], b""
    for name, content in files:
        listed.append((name, len(plain), len(content)))
        plain += content
    blocks = LzxWriter(window_bits, call_size=call_size, plan=plan).blocks(plain)
    return Folder(3 | window_bits << 8, blocks, len(plain), listed)


def lzx_cabinet(files: Iterable[tuple[str, bytes]], window_bits: int = 16, **options: Any) -> bytes:
    """A cabinet of one `lzx_folder`."""
    return bytes(build_cabinet([lzx_folder(files, window_bits, **options)]))
