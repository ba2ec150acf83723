"""What is particular to libmspack's side; what it unpacks is compared in test_cab_lzx.py."""

from collections.abc import Iterator

import pytest

from hwdash.drivers import libmspack
from hwdash.drivers.cab_format import BLOCK_SIZE
from lzx_writer import LzxWriter

TEXT = b"".join(b"%d: the quick brown fox\r\n" % number for number in range(120_000))  # more than three pieces of 1 MiB
BLOCKS = LzxWriter(16).blocks(TEXT)
LZX = 3 | 16 << 8


def blocks() -> Iterator[tuple[bytes, int]]:
    for number, packed in enumerate(BLOCKS):
        yield packed, min(BLOCK_SIZE, len(TEXT) - number * BLOCK_SIZE)


def unpack(source: Iterator[tuple[bytes, int]], size: int = len(TEXT)) -> Iterator[bytes]:
    return libmspack.unpack(LZX, source, len(BLOCKS), size)


def test_nothing_is_read_before_it_is_needed() -> None:
    taken = 0

    def counted() -> Iterator[tuple[bytes, int]]:
        nonlocal taken
        for block in blocks():
            taken += 1
            yield block

    pieces = unpack(counted())
    assert taken == 0
    next(pieces)
    assert taken <= (1 << 20) // BLOCK_SIZE + 4  # a piece, and what fits in the library's buffer
    assert len(BLOCKS) > 90


def test_several_folders_may_be_unpacked_at_once() -> None:
    got = [bytearray(), bytearray()]
    for one, other in zip(unpack(blocks()), unpack(blocks()), strict=True):
        got[0] += one
        got[1] += other
    assert got == [TEXT, TEXT]


class Unusual(BaseException):
    pass


@pytest.mark.parametrize("kind", [ValueError, Unusual, KeyboardInterrupt])
def test_what_the_source_raises_comes_through_after_what_stands_before(kind: type[BaseException]) -> None:
    problem = kind("no more")

    def failing() -> Iterator[tuple[bytes, int]]:
        for number, block in enumerate(blocks()):
            if number == 70:
                raise problem
            yield block

    pieces = unpack(failing())
    got = bytearray()
    with pytest.raises(kind) as caught:  # noqa: PT012  all up to the exception
        for piece in pieces:
            got += piece
    assert caught.value is problem
    assert got == TEXT[: 70 * BLOCK_SIZE]


@pytest.mark.parametrize("callback", ["memmove", "string_at"])
def test_an_exception_in_a_callback_is_not_lost(monkeypatch: pytest.MonkeyPatch, callback: str) -> None:
    def failing(*_: object) -> bytes:
        raise MemoryError("none left")

    pieces = unpack(blocks())
    next(pieces)
    monkeypatch.setattr(libmspack.ctypes, callback, failing)
    with pytest.raises(MemoryError, match="none left"):
        list(pieces)


def test_damage_is_told_after_what_stands_before() -> None:
    def damaged() -> Iterator[tuple[bytes, int]]:
        for number, (packed, size) in enumerate(blocks()):
            yield (packed[::-1] if number == 50 else packed), size

    got = bytearray()
    with pytest.raises(libmspack.Damaged, match="malformed"):  # noqa: PT012  all up to the exception
        for piece in unpack(damaged()):
            got += piece
    assert got[: 50 * BLOCK_SIZE] == TEXT[: 50 * BLOCK_SIZE]


def test_blocks_that_run_out_are_damage() -> None:
    with pytest.raises(libmspack.Damaged):
        list(unpack(iter(list(blocks())[:3])))


def test_nothing_is_left_open_whatever_the_end() -> None:
    pieces = unpack(blocks())
    next(pieces)
    assert libmspack._transfers
    pieces.close()
    assert not libmspack._transfers
    with pytest.raises(libmspack.Damaged):
        list(unpack(iter([(b"nonsense", BLOCK_SIZE)])))
    assert not libmspack._transfers


def test_a_system_without_the_library_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libmspack, "_SONAME", "libmspack-that-is-not-there.so.0")
    assert libmspack.load.__wrapped__() is None
    monkeypatch.setattr(libmspack, "_SONAME", "libc.so.6")  # a library without its functions
    assert libmspack.load.__wrapped__() is None
    monkeypatch.setattr(libmspack, "load", lambda: None)
    with pytest.raises(RuntimeError, match="is not there"):
        next(unpack(blocks()))
