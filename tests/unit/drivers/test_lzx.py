"""The LZX decoder alone; the tests of cabinets compressed by LZX are in test_cab_lzx.py."""

import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from hwdash.drivers import libmspack
from hwdash.drivers.errors import ParseError
from hwdash.drivers.lzx import FRAME_SIZE, LzxDecoder
from lzx_writer import BitWriter, Kind, LzxWriter, Match

TEXT = b"".join(b"%d: the quick brown fox\r\n" % number for number in range(6000))  # five frames
NOISE = Random(1).randbytes(50_000)
CODE = b"".join(b"\x55\xe8" + struct.pack("<i", 90_000 - 37 * at) + b"\x8b\xec" * (at % 9) for at in range(6000))


def unpacked(frames: Sequence[bytes], size: int, window_bits: int = 16) -> bytes:
    decoder = LzxDecoder(window_bits, source="test.cab")
    sizes = [min(FRAME_SIZE, size - at) for at in range(0, size, FRAME_SIZE)]
    return b"".join(decoder.frame(frame, its, offset=99) for frame, its in zip(frames, sizes, strict=True))


@pytest.mark.parametrize("window_bits", range(15, 22))
@pytest.mark.parametrize(
    "plan",
    [
        [("verbatim", 1 << 20)],
        [("aligned", 1 << 20)],
        [("uncompressed", 1 << 20)],
        [("uncompressed", 33_333), ("aligned", 3), ("uncompressed", 1), ("verbatim", 70_001)],
        [("verbatim", 32_768), ("uncompressed", 32_767), ("aligned", 1), ("uncompressed", 40_000)],
    ],
)
def test_every_kind_of_block_in_every_window_comes_out_right(window_bits: int, plan: list[tuple[Kind, int]]) -> None:
    for plain in (TEXT, NOISE, CODE, TEXT[:1], TEXT[:FRAME_SIZE], bytes(100_000)):
        assert unpacked(LzxWriter(window_bits, plan=plan).blocks(plain), len(plain), window_bits) == plain


def test_matches_reach_back_as_far_as_the_window_allows() -> None:
    first = Random(2).randbytes(1000)
    plain = first + bytes((1 << 16) - 3 - len(first)) + first
    frames = LzxWriter(16, plan=[("aligned", 1 << 20)]).blocks(plain)
    assert unpacked(frames, len(plain)) == plain
    assert sum(map(len, frames)) < 2000


@pytest.mark.parametrize("call_size", [1, 50_000, 12_000_000])
def test_translated_calls_are_restored(call_size: int) -> None:
    plain = b"\x90" * 9 + CODE[:-3]  # calls across the ends of frames, and in the last ten bytes
    frames = LzxWriter(17, call_size=call_size).blocks(plain)
    assert unpacked(frames, len(plain), 17) == plain


def test_a_frame_of_ten_bytes_has_no_calls() -> None:
    plain = b"\xe8\1\0\0\0\xe8\1\0\0\0"
    assert unpacked(LzxWriter(call_size=1000).blocks(plain), 10) == plain


def test_calls_are_translated_in_the_first_gibibyte_only() -> None:
    frame = b"\xe8" + struct.pack("<i", 5_000_000) + bytes(FRAME_SIZE - 5)
    count, frames_of_a_block = 32_770, 511

    def frames() -> Iterator[bytes]:
        for index in range(count):
            bits = BitWriter()
            if index == 0:
                bits.put(1, 1)
                bits.put(12_000_000, 32)
            if index % frames_of_a_block == 0:
                bits.put(3, 3)
                bits.put(frames_of_a_block * FRAME_SIZE, 24)
                bits.put(0, bits.free)
                bits.made += struct.pack("<III", 1, 1, 1)
            yield bytes(bits.made) + frame

    def target(plain: bytes | bytearray) -> int:
        return int.from_bytes(plain[1:5], "little", signed=True)

    decoder = LzxDecoder(15, source="test.cab")
    targets = [target(decoder.frame(each, FRAME_SIZE, offset=0)) for each in frames()]
    assert targets[:2] == [5_000_000, 5_000_000 - FRAME_SIZE]
    assert targets[-3:] == [5_000_000 - 32_767 * FRAME_SIZE, 5_000_000, 5_000_000]
    pieces = libmspack.unpack(3 | 15 << 8, ((each, FRAME_SIZE) for each in frames()), count, count * FRAME_SIZE)
    by_libmspack, plain = [], bytearray()
    for piece in pieces:
        plain += piece
        if len(plain) >= FRAME_SIZE:
            by_libmspack.append(target(plain))
            del plain[:FRAME_SIZE]
    assert by_libmspack == targets


@pytest.mark.parametrize("window_bits", [15, 18])
def test_memory_stays_within_two_windows(window_bits: int) -> None:
    frames = LzxWriter(window_bits).blocks(bytes(5 << window_bits))
    tracemalloc.start()
    decoder = LzxDecoder(window_bits, source="test.cab")
    for frame in frames[:-1]:
        decoder.frame(frame, FRAME_SIZE, offset=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (2 << window_bits) + (1 << 20)  # besides windows: two tables of up to 2**16 entries


@pytest.mark.parametrize("window_bits", [0, 14, 22])
def test_a_window_that_cabinets_do_not_have_is_refused(window_bits: int) -> None:
    with pytest.raises(ValueError, match="15 to 21 bits"):
        LzxDecoder(window_bits, source="test.cab")


# --- Damage


class Crafted(LzxWriter):
    """Writes these tokens whatever the content."""

    def __init__(self, tokens: Sequence[int | Match], window_bits: int = 15) -> None:
        super().__init__(window_bits)
        self._crafted = tokens

    def _tokens(self, plain: bytes, start: int, end: int) -> Iterator[int | Match]:
        yield from self._crafted


def crafted(size: int, *tokens: int | Match) -> bytes:
    (frame,) = Crafted(tokens).blocks(bytes(size))
    return frame


def header(*fields: tuple[int, int], offsets: Sequence[int] = (), content: bytes = b"") -> bytes:
    bits = BitWriter()
    for value, width in ((0, 1), *fields):
        bits.put(value, width)
    if offsets:
        bits.put(0, bits.free)
        bits.made += struct.pack("<III", *offsets)
    return bits.cut() + content


A_LITERAL = [65] * 10
RECENT_4 = Match(256 + 2, -1, 0, 0)  # four bytes from the most recent offset, which is 1 at first
OFFSET_9 = Match(256 + 8 * 6 + 2, -1, 3, 2)  # slot 6 begins at formatted offset 8: 8 + 3 - 2 = 9


def test_a_match_may_repeat_what_it_writes() -> None:
    assert unpacked([crafted(14, *A_LITERAL, RECENT_4)], 14, 15) == b"A" * 14
    assert unpacked([crafted(14, *range(10), OFFSET_9)], 14, 15) == bytes([*range(10), 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (header((0, 3), (5, 24)), "a block of kind 0"),
        (header((7, 3), (5, 24)), "a block of kind 7"),
        (header((1, 3), (0, 24)), "an empty block"),
        (b"", "ends early"),
        (b"\0", "ends early"),
        (header((1, 3), (14, 24)), "ends early"),
        (header((3, 3), (14, 24)), "ends early"),
        (header((3, 3), (14, 24), offsets=(1, 1, 1), content=b"13 bytes only"), "ends early"),
        (header((3, 3), (14, 24), offsets=(1, 1, 1), content=b"fifteen bytes, "), "uses 30 of its block's 31 bytes"),
        (header((2, 3), (14, 24), *[(1, 3)] * 8), "the aligned tree is no complete prefix code"),
        (header((1, 3), (14, 24), *[(0, 4)] * 20), "the pretree is no complete prefix code"),
        (header((1, 3), (14, 24), *[(1, 4)] * 20), "the pretree is no complete prefix code"),
        # A pretree of the symbols 18 and 19, and runs of 51 zeros: the sixth passes 256.
        (header((1, 3), (14, 24), *[(0, 4)] * 18, *[(1, 4)] * 2, *[(0, 1), (31, 5)] * 6), "passes the end of its tree"),
        # Code 19 is followed by 19.
        (header((1, 3), (14, 24), *[(0, 4)] * 18, *[(1, 4)] * 2, (1, 1), (0, 1), (1, 1)), "within another"),
        (crafted(14, *A_LITERAL, RECENT_4)[:-2], "ends early"),
        (crafted(14, *A_LITERAL, RECENT_4) + b"\0\0", "of its block's"),
        (crafted(14, *A_LITERAL[:8], OFFSET_9, 65, 65), "a match begins before the content"),
        (crafted(14, *A_LITERAL, Match(256 + 7, -1, 0, 0)), "the length tree is empty"),
    ],
)
def test_damage_is_refused_with_its_place(frame: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        LzxDecoder(15, source="test.cab").frame(frame, 14, offset=99)
    assert (caught.value.source, caught.value.offset, caught.value.field) == ("test.cab", 99, "ab")


def test_a_match_past_the_end_of_its_frame_is_refused() -> None:
    with pytest.raises(ParseError, match="a match passes the end"):
        unpacked([crafted(13, *A_LITERAL, RECENT_4)], 13, 15)


@pytest.mark.parametrize("offset", [0, (1 << 15) + 1, 0xFFFFFFFF])
def test_recent_offsets_outside_of_the_window_cannot_be_used(offset: int) -> None:
    decoder = LzxDecoder(15, source="test.cab")
    start = header((3, 3), (1 << 17, 24), offsets=(offset, 1, 1), content=bytes(FRAME_SIZE))
    decoder.frame(start, FRAME_SIZE, offset=0)
    for _ in range(3):
        decoder.frame(bytes(FRAME_SIZE), FRAME_SIZE, offset=0)
    last = crafted(14, *A_LITERAL, RECENT_4)
    # The first bit of a stream says whether calls are translated: shift it out.
    value = int.from_bytes(b"".join(last[at : at + 2][::-1] for at in range(0, len(last), 2)), "big") << 1
    words = value.to_bytes(len(last), "big")
    with pytest.raises(ParseError, match="begins before the content"):
        decoder.frame(b"".join(words[at : at + 2][::-1] for at in range(0, len(words), 2)), 14, offset=0)


def test_blocks_of_one_byte_come_out_right() -> None:
    plain = TEXT[:700]
    assert unpacked(LzxWriter(15, plan=[("verbatim", 1)]).blocks(plain), len(plain), 15) == plain
