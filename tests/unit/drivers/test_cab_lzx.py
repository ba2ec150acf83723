"""Cabinets compressed by LZX and Quantum, with libmspack and without."""

import io
import struct
import subprocess
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from cab_builder import Folder, build_cabinet
from hwdash.drivers import cab_content, libmspack
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.cab_format import BLOCK, BLOCK_SIZE
from hwdash.drivers.errors import LimitExceeded, ParseError
from lzx_writer import LzxWriter, lzx_cabinet, lzx_folder
from quantum_writer import quantum_folder

TEXT = b"".join(b"%d: the quick brown fox\r\n" % number for number in range(9000))  # eight blocks
NOISE = Random(1).randbytes(100_000)
FILES = [("driver\\sample.inf", TEXT), ("driver\\sample.sys", NOISE), ("empty.txt", b""), ("last", b"x" * BLOCK_SIZE)]

with_and_without = pytest.mark.parametrize("use_libmspack", [True, False], ids=["libmspack", "Python"])


def opened(raw: bytes | bytearray) -> Cabinet:
    return Cabinet.open(io.BytesIO(bytes(raw)), source="test.cab")


def contents(raw: bytes | bytearray, use_libmspack: bool = True) -> dict[str, bytes]:
    extracted = opened(raw).extract(use_libmspack=use_libmspack)
    return {file.name: b"".join(pieces) for file, pieces in extracted}


def by_cabextract(raw: bytes | bytearray, folder: Path) -> dict[str, bytes]:
    (folder / "x.cab").write_bytes(raw)
    subprocess.run(["cabextract", "-q", "-d", folder / "out", folder / "x.cab"], check=True, capture_output=True)
    found = [path for path in (folder / "out").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder / "out")).replace("/", "\\"): path.read_bytes() for path in found}


def with_places(folder: Folder, places: dict[str, tuple[int, int]]) -> Folder:
    """The folder with files of these offsets and sizes instead."""
    files = [(name, offset, size) for name, (offset, size) in places.items()]
    return Folder(folder.method, folder.blocks, folder.size, files)


# --- Reading


@with_and_without
@pytest.mark.parametrize("window_bits", [15, 18, 21])
def test_lzx_is_read_as_cabextract_reads_it(tmp_path: Path, window_bits: int, use_libmspack: bool) -> None:
    raw = lzx_cabinet(FILES, window_bits, call_size=300_000, plan=[("aligned", 70_000), ("verbatim", 100_001)])
    assert contents(raw, use_libmspack) == by_cabextract(raw, tmp_path) == dict(FILES)


@pytest.mark.parametrize("window_bits", [10, 14, 15, 21])
def test_quantum_is_read_as_cabextract_reads_it(tmp_path: Path, window_bits: int) -> None:
    raw = build_cabinet([quantum_folder("a", TEXT + NOISE[:20_000], window_bits)])
    assert contents(raw) == by_cabextract(raw, tmp_path) == {"a": TEXT + NOISE[:20_000]}


def test_quantum_of_more_than_a_piece_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a window smaller than a frame, libmspack cannot stop anywhere within one."""
    monkeypatch.setattr(libmspack, "_QUANTUM_PIECE_FILE_SIZE", BLOCK_SIZE)
    for window_bits in (10, 12, 15, 18):
        assert contents(build_cabinet([quantum_folder("a", TEXT, window_bits)])) == {"a": TEXT}


@with_and_without
def test_pieces_are_32_kib_at_most(use_libmspack: bool) -> None:
    for raw in [lzx_cabinet(FILES)] + [build_cabinet([quantum_folder("a", TEXT)])] * use_libmspack:
        for file, pieces in opened(raw).extract(use_libmspack=use_libmspack):
            sizes = [len(piece) for piece in pieces]
            assert sum(sizes) == file.size
            assert not sizes or 0 < min(sizes) <= max(sizes) <= BLOCK_SIZE


@with_and_without
def test_folders_of_every_method_stand_side_by_side(use_libmspack: bool) -> None:
    folders = [lzx_folder([(f"lzx{number}", TEXT[number:])], 15 + number % 7) for number in range(12)]
    folders.append(Folder(0, [NOISE[:BLOCK_SIZE]], BLOCK_SIZE, [("stored", 0, BLOCK_SIZE)]))
    if use_libmspack:
        folders.insert(3, quantum_folder("quantum", TEXT))
    got = contents(build_cabinet(folders), use_libmspack)
    assert got.pop("stored") == NOISE[:BLOCK_SIZE]
    assert got.pop("quantum", TEXT) == TEXT
    assert got == {f"lzx{number}": TEXT[number:] for number in range(12)}


@with_and_without
def test_reserves_in_blocks_are_passed_over(use_libmspack: bool) -> None:
    raw = build_cabinet([lzx_folder(FILES), lzx_folder([("b", TEXT)])], reserves=(20, 3, 7))
    assert contents(raw, use_libmspack) == {**dict(FILES), "b": TEXT}


@with_and_without
def test_content_not_asked_for_is_skipped(use_libmspack: bool) -> None:
    extracted = opened(lzx_cabinet(FILES)).extract(use_libmspack=use_libmspack)
    assert [b"".join(pieces) for file, pieces in extracted if file.name == "last"] == [b"x" * BLOCK_SIZE]


@with_and_without
def test_content_asked_for_too_late_is_an_error_not_wrong_bytes(use_libmspack: bool) -> None:
    late = [pieces for _, pieces in opened(lzx_cabinet(FILES)).extract(use_libmspack=use_libmspack)]
    with pytest.raises(RuntimeError, match=r"sample\.inf"):
        next(late[0])


@with_and_without
def test_content_before_the_damage_comes_out_right(use_libmspack: bool) -> None:
    folder = lzx_folder([("a", TEXT[:BLOCK_SIZE]), ("b", TEXT[BLOCK_SIZE : 2 * BLOCK_SIZE]), ("c", TEXT)])
    blocks = list(folder.blocks)
    raw = build_cabinet([folder])
    damaged = raw.rindex(blocks[3])
    raw[damaged + 5] ^= 1
    extracted = opened(raw).extract(use_libmspack=use_libmspack)
    assert b"".join(next(extracted)[1]) == TEXT[:BLOCK_SIZE]
    assert b"".join(next(extracted)[1]) == TEXT[BLOCK_SIZE : 2 * BLOCK_SIZE]
    last = next(extracted)[1]
    assert next(last) == TEXT[:BLOCK_SIZE]
    with pytest.raises(ParseError, match="checksum is wrong") as caught:
        next(last)
    assert caught.value.offset == damaged - BLOCK.size


@with_and_without
def test_damage_before_a_file_is_told_again_for_it(use_libmspack: bool) -> None:
    folder = lzx_folder([("a", TEXT), ("b", TEXT)])
    raw = build_cabinet([folder])
    raw[raw.rindex(folder.blocks[3]) + 5] ^= 1
    for _, pieces in opened(raw).extract(use_libmspack=use_libmspack):
        with pytest.raises(ParseError, match=r"checksum is wrong|is damaged before this file"):
            list(pieces)


@with_and_without
def test_damage_behind_the_last_file_harms_nobody(use_libmspack: bool) -> None:
    folder = with_places(lzx_folder([("a", TEXT)]), {"a": (0, 2 * BLOCK_SIZE)})
    raw = build_cabinet([folder])
    raw[raw.rindex(folder.blocks[2]) + 5] ^= 1
    assert contents(raw, use_libmspack) == {"a": TEXT[: 2 * BLOCK_SIZE]}


# --- Files that share content


PLACES = {"a": (0, 140_000), "b": (0, 140_000), "c": (20_000, 60_000), "d": (139_990, 12), "e": (180_000, 0)}


@with_and_without
@pytest.mark.parametrize("kept", [0, 100_000, 1 << 20])
def test_files_that_share_and_overlap_content_all_come_out_right(
    monkeypatch: pytest.MonkeyPatch, kept: int, use_libmspack: bool
) -> None:
    monkeypatch.setattr(cab_content, "KEPT", kept)
    folder = with_places(lzx_folder([("all", TEXT)]), PLACES)
    expected = {name: TEXT[offset : offset + size] for name, (offset, size) in PLACES.items()}
    assert contents(build_cabinet([folder]), use_libmspack) == expected


def blocks_read(raw: bytes | bytearray, monkeypatch: pytest.MonkeyPatch, use_libmspack: bool) -> int:
    count = 0
    read = cab_content.BlockReader.read

    def counted(self: cab_content.BlockReader, at: int) -> object:
        nonlocal count
        count += 1
        return read(self, at)

    monkeypatch.setattr(cab_content.BlockReader, "read", counted)
    contents(raw, use_libmspack)
    return count


@with_and_without
def test_thousands_of_overlapping_files_unpack_their_folder_once(
    monkeypatch: pytest.MonkeyPatch, use_libmspack: bool
) -> None:
    places = {f"{number}": (len(TEXT) - 20, 10) for number in range(5000)} | {"all": (0, len(TEXT))}
    folder = with_places(lzx_folder([("all", TEXT)]), places)
    assert blocks_read(build_cabinet([folder]), monkeypatch, use_libmspack) == len(folder.blocks)


@with_and_without
def test_the_cost_told_beforehand_is_the_cost(monkeypatch: pytest.MonkeyPatch, use_libmspack: bool) -> None:
    """Each file that begins more than what is kept before the end of the others unpacks the folder anew."""
    monkeypatch.setattr(cab_content, "KEPT", BLOCK_SIZE)
    size = 6 * BLOCK_SIZE
    places = {f"{number}": (0, size) for number in range(4)}
    folder = with_places(lzx_folder([("all", TEXT)]), places)
    raw = build_cabinet([folder])
    cabinet = opened(raw)
    assert cab_content.unpacking_cost(cabinet.folders[0], cabinet.files) == 4 * size
    assert blocks_read(raw, monkeypatch, use_libmspack) == 4 * 6


# --- Limits


def test_overlap_that_costs_too_much_is_refused_from_the_headers() -> None:
    """Small files, but each would unpack 1 GiB again."""
    far = 1 << 30
    places = {f"{number}": (far + (number << 24), (1 << 24) + (1 << 23)) for number in range(3)} | {"z": (0, far)}
    count = 65535
    folder = Folder(3 | 21 << 8, [b""], BLOCK_SIZE, [(name, *place) for name, place in places.items()])
    raw = build_cabinet([folder])
    struct.pack_into("<H", raw, 36 + 4, count)
    opened(raw).check_limits(CabinetLimits(max_ratio=1 << 40))  # half of each is kept
    again = [(f"{number}", far, 1 << 25) for number in range(3)]
    raw = build_cabinet([Folder(3 | 21 << 8, [b""], BLOCK_SIZE, again)])
    struct.pack_into("<H", raw, 36 + 4, count)
    opened(raw).check_limits(CabinetLimits(max_ratio=1 << 40))
    with pytest.raises(LimitExceeded, match=r"overlap so that \d+ bytes must be unpacked.*rebuild .* MSZIP"):
        opened(raw).check_limits(CabinetLimits(max_ratio=1 << 40, max_total_bytes=3 << 30))


def zeros(blocks: int) -> bytes:
    """A cabinet of this many blocks: 511 of one LZX block of zeros, again and again."""
    one = 511
    made = LzxWriter(21, plan=[("verbatim", one * BLOCK_SIZE)]).blocks(bytes(4 * one * BLOCK_SIZE))
    repeated = made[2 * one : 3 * one]
    assert repeated == made[3 * one :]
    made += repeated * (blocks // one)
    size = blocks * BLOCK_SIZE
    return bytes(build_cabinet([Folder(3 | 21 << 8, made[:blocks], size, [("zeros", 0, size)])]))


def test_an_lzx_bomb_is_refused_from_the_headers() -> None:
    with pytest.raises(LimitExceeded, match="decompression bomb"):
        opened(zeros(65535)).check_limits(CabinetLimits())


def test_two_gigabytes_are_read() -> None:
    ((file, pieces),) = opened(zeros(65535)).extract()
    plain = bytes(BLOCK_SIZE)
    size = 0
    for piece in pieces:
        assert piece == plain[: len(piece)]
        size += len(piece)
    assert size == file.size == 65535 * BLOCK_SIZE


@with_and_without
def test_extraction_runs_in_flat_memory(use_libmspack: bool) -> None:
    raw = zeros(400)
    tracemalloc.start()
    size = sum(len(p) for _, pieces in opened(raw).extract(use_libmspack=use_libmspack) for p in pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 400 * BLOCK_SIZE
    assert peak < len(raw) + (8 << 20)  # two windows of 2 MiB that grow, or a piece of 1 MiB


# --- Refusing


def test_without_libmspack_lzx_is_read_and_quantum_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libmspack, "load", lambda: None)
    assert contents(lzx_cabinet(FILES)) == dict(FILES)
    raw = build_cabinet([quantum_folder("a", TEXT)])
    with pytest.raises(ParseError, match=r"Quantum, which needs libmspack: install it .*libmspack0.*MSZIP or LZX"):
        contents(raw)


def test_quantum_can_be_refused_where_libmspack_is() -> None:
    with pytest.raises(ParseError, match="Quantum, which needs libmspack") as caught:
        contents(build_cabinet([quantum_folder("a", TEXT)]), use_libmspack=False)
    assert caught.value.field == "typeCompress"


def damaged(blocks: Sequence[bytes], *, size: int = len(TEXT), method: int = 3 | 16 << 8) -> bytearray:
    return build_cabinet([Folder(method, blocks, size, [("a", 0, len(TEXT))])])


BLOCKS = LzxWriter().blocks(TEXT)


@with_and_without
@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        (damaged([*BLOCKS[:-1], BLOCKS[-1][:-4]]), "ab", "the LZX block is damaged"),
        (damaged([*BLOCKS[:4], BLOCKS[4][::-1], *BLOCKS[5:]]), "ab", "the LZX block is damaged"),
        (damaged(BLOCKS, size=len(TEXT) - 3), "cbUncomp", "ends before its files do"),
        (damaged([*BLOCKS[:4], BLOCKS[4] + bytes(39_000), *BLOCKS[5:]]), "cbData", "at most 38912 are allowed"),
    ],
)
def test_a_wrong_block_is_refused_with_its_field(raw: bytearray, field: str, words: str, use_libmspack: bool) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        contents(raw, use_libmspack)
    assert caught.value.field == field
    assert caught.value.offset is not None
    assert caught.value.offset >= opened(raw).folders[0].start


@with_and_without
def test_only_the_last_block_of_a_folder_may_be_short(use_libmspack: bool) -> None:
    raw = damaged(BLOCKS)
    at = raw.index(BLOCKS[1]) - BLOCK.size
    struct.pack_into("<IHH", raw, at, 0, len(BLOCKS[1]), BLOCK_SIZE - 1)
    with pytest.raises(ParseError, match="only the last of a folder may have less") as caught:
        contents(raw, use_libmspack)
    assert (caught.value.field, caught.value.offset) == ("cbUncomp", at)


@with_and_without
def test_a_folder_that_holds_less_than_its_files_is_refused(use_libmspack: bool) -> None:
    raw = build_cabinet([Folder(3 | 16 << 8, BLOCKS[:1], BLOCK_SIZE, [("a", 0, BLOCK_SIZE)])])
    struct.pack_into("<H", raw, 36 + 4, 2)
    struct.pack_into("<I", raw, struct.unpack_from("<I", raw, 16)[0], BLOCK_SIZE + 1)
    with pytest.raises(ParseError, match="truncated"):
        contents(raw, use_libmspack)
