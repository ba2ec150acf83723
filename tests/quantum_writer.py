"""A small Quantum compressor, for tests only. No public description by the format's owner exists; this mirrors what
libmspack documents of its decoder, and cabextract checks what it makes.
"""

import bisect
import itertools
from collections.abc import Iterator
from typing import Final

from cab_builder import Folder

_FRAME: Final = 32768
_EXTRA: Final = [max(slot - 2, 0) // 2 for slot in range(42)]
_BASE: Final = [0, *itertools.accumulate(1 << extra for extra in _EXTRA)]
_LENGTH_EXTRA: Final = [max(slot - 2, 0) // 4 for slot in range(26)] + [0]
_LENGTH_BASE: Final = [*([0, *itertools.accumulate(1 << extra for extra in _LENGTH_EXTRA[:25])]), 254]


class _Model:
    """Symbols by frequency with cumulative counts, adapted as they are used."""

    def __init__(self, symbols: range) -> None:
        self.symbols = list(symbols)
        self.counts = list(range(len(symbols), -1, -1))  # cumulative from the end; the last is 0
        self._halvings = 4

    def use(self, index: int) -> None:
        for at in range(index + 1):
            self.counts[at] += 8
        if self.counts[0] <= 3800:
            return
        self._halvings -= 1
        size, counts = len(self.symbols), self.counts
        if self._halvings:
            for at in reversed(range(size)):
                counts[at] = max(counts[at] // 2, counts[at + 1] + 1)
            return
        self._halvings = 50
        single = [(counts[at] - counts[at + 1] + 1) // 2 for at in range(size)]
        for low, high in itertools.combinations(range(size), 2):  # this very sort: the order of equals depends on it
            if single[low] < single[high]:
                single[low], single[high] = single[high], single[low]
                self.symbols[low], self.symbols[high] = self.symbols[high], self.symbols[low]
        self.counts = [*reversed(list(itertools.accumulate(reversed(single)))), 0]


class _Frame:
    """Arithmetic coding of one frame. Plain bits stand among the code's where the decoder will read them."""

    def __init__(self) -> None:
        self._low, self._high, self._pending = 0, 0xFFFF, 0
        self._code: list[int] = []
        self._plain: list[tuple[int, list[int]]] = []

    def put(self, model: _Model, symbol: int) -> None:
        index = model.symbols.index(symbol)
        width, total = self._high - self._low + 1, model.counts[0]
        self._high = self._low + model.counts[index] * width // total - 1
        self._low += model.counts[index + 1] * width // total
        model.use(index)
        while True:
            if (self._low ^ self._high) & 0x8000 == 0:
                self._emit(self._low >> 15)
            elif self._low & 0x4000 and not self._high & 0x4000:
                self._pending += 1
                self._low &= 0x3FFF
                self._high |= 0x4000
            else:
                return
            self._low = self._low << 1 & 0xFFFF
            self._high = self._high << 1 & 0xFFFF | 1

    def put_plain(self, value: int, count: int) -> None:
        bits = [value >> at & 1 for at in reversed(range(count))]
        self._plain.append((16 + len(self._code) + self._pending, bits))

    def _emit(self, bit: int) -> None:
        self._code += [bit] + [1 - bit] * self._pending
        self._pending = 0

    def packed(self) -> bytes:
        read = 16 + len(self._code) + self._pending  # bits of code that the decoder takes
        self._pending += 1
        self._emit(int(self._low >= 0x4000))
        code = iter(self._code + [0] * 16)
        bits: list[int] = []
        taken = 0
        for at, plain in self._plain:
            bits += [*itertools.islice(code, at - taken), *plain]
            taken = at
        bits += itertools.islice(code, read - taken)
        bits += [0] * (-len(bits) % 8)
        return int("".join(map(str, bits)), 2).to_bytes(len(bits) // 8, "big")


def _frames(plain: bytes, window_bits: int) -> Iterator[bytes]:
    literals = [_Model(range(64 * number, 64 * number + 64)) for number in range(4)]
    slots = [_Model(range(min(2 * window_bits, most))) for most in (24, 36, 42)]  # matches of 3, of 4, of 5 or more
    lengths, selectors = _Model(range(27)), _Model(range(7))
    places: dict[bytes, int] = {}
    for start in range(0, len(plain), _FRAME):
        frame, at, end = _Frame(), start, min(start + _FRAME, len(plain))
        while at < end:
            key = plain[at : at + 3]
            place, limit, length = places.get(key, at), min(259, end - at), 0
            places[key] = at
            while place < at and length < limit and plain[place + length] == plain[at + length]:
                length += 1
            offset = at - place - 1
            slot = bisect.bisect_right(_BASE, offset) - 1
            kind = min(length, 5) - 3
            if length < 3 or offset >= (1 << window_bits) or slot >= len(slots[kind].symbols):
                frame.put(selectors, plain[at] >> 6)
                frame.put(literals[plain[at] >> 6], plain[at])
                at += 1
                continue
            frame.put(selectors, 4 + kind)
            if kind == 2:
                footer = bisect.bisect_right(_LENGTH_BASE, length - 5) - 1
                frame.put(lengths, footer)
                frame.put_plain(length - 5 - _LENGTH_BASE[footer], _LENGTH_EXTRA[footer])
            frame.put(slots[kind], slot)
            frame.put_plain(offset - _BASE[slot], _EXTRA[slot])
            at += length
        yield frame.packed()


def quantum_folder(name: str, plain: bytes, window_bits: int = 18) -> Folder:
    """A folder of one file, packed by Quantum."""
    return Folder(2 | 7 << 4 | window_bits << 8, list(_frames(plain, window_bits)), len(plain), [(name, 0, len(plain))])
