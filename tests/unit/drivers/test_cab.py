import io
import struct
import subprocess
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import pytest

from hwdash.drivers import cab_writer
from hwdash.drivers.cab import (
    Cabinet,
    CabinetLimits,
    write_cabinet,
)
from hwdash.drivers.cab_format import BLOCK_SIZE, FILE, block_checksum, signature_reserve
from hwdash.drivers.errors import LimitExceeded, ParseError

TEXT = b"".join(b"%d: the quick brown fox\r\n" % number for number in range(6000))  # five blocks
NOISE = bytes((number * number * 2654435761 >> 11) & 0xFF for number in range(100_000))
ENTRIES: list[tuple[str, Path | bytes]] = [
    ("driver\\sample.inf", TEXT),
    ("driver\\sample.sys", NOISE),
    ("empty.txt", b""),
    ("grüße.txt", b"x" * BLOCK_SIZE),
]


def written(entries: Iterable[tuple[str, Path | bytes]] = tuple(ENTRIES), **options: object) -> bytearray:
    stream = io.BytesIO()
    write_cabinet(stream, entries, **options)  # type: ignore[arg-type]
    return bytearray(stream.getvalue())


def opened(raw: bytes | bytearray) -> Cabinet:
    return Cabinet.open(io.BytesIO(bytes(raw)), source="test.cab")


def contents(raw: bytes | bytearray) -> dict[str, bytes]:
    return {file.name: b"".join(pieces) for file, pieces in opened(raw).extract()}


def entry_offset(raw: bytearray, index: int) -> int:
    """Where the CFFILE of this index stands."""
    (at,) = struct.unpack_from("<I", raw, 16)
    for _ in range(index):
        at = raw.index(b"\0", at + FILE.size) + 1
    return int(at)


def patched(raw: bytearray, offset: int, layout: str, *values: int) -> bytearray:
    struct.pack_into(layout, raw, offset, *values)
    return raw


# --- Writing


@pytest.mark.parametrize("compression", ["mszip", "store"])
def test_cabextract_reads_what_we_write(tmp_path: Path, compression: str) -> None:
    (tmp_path / "x.cab").write_bytes(written(compression=compression))
    subprocess.run(["cabextract", "-q", "-d", tmp_path, tmp_path / "x.cab"], check=True, capture_output=True)
    for name, content in ENTRIES:
        assert (tmp_path / name.replace("\\", "/")).read_bytes() == content


def test_gcab_lists_what_we_write(tmp_path: Path) -> None:
    (tmp_path / "x.cab").write_bytes(written())
    done = subprocess.run(["gcab", "-t", tmp_path / "x.cab"], check=True, capture_output=True, text=True)
    assert done.stdout.replace("\\", "/").split() == [name.replace("\\", "/") for name, _ in ENTRIES]


@pytest.mark.parametrize("compression", ["mszip", "store"])
@pytest.mark.parametrize("reserve", [False, True])
def test_we_read_what_we_write(compression: str, reserve: bool) -> None:
    raw = written(compression=compression, reserve_for_signature=reserve)
    assert contents(raw) == dict(ENTRIES)
    assert opened(raw).declared_size == len(raw)
    assert opened(raw).signature is None


def test_equal_entries_give_equal_bytes() -> None:
    assert written() == written()


def test_files_carry_the_time_they_are_given() -> None:
    raw = written(modified=datetime(2026, 3, 4, 5, 6, 8))  # noqa: DTZ001 - DOS times know no zone
    date, time = struct.unpack_from("<HH", raw, entry_offset(raw, 0) + 10)
    assert (date >> 9, date >> 5 & 15, date & 31) == (2026 - 1980, 3, 4)
    assert (time >> 11, time >> 5 & 63, time & 31) == (5, 6, 4)


def test_a_year_outside_of_the_format_is_refused() -> None:
    with pytest.raises(ValueError, match="1979"):
        written(modified=datetime(1979, 12, 31))  # noqa: DTZ001


def test_files_on_disk_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(TEXT)
    assert contents(written([("a", tmp_path / "a"), ("b", b"b")])) == {"a": TEXT, "b": b"b"}


def test_slashes_become_backslashes() -> None:
    assert list(contents(written([("x64/a.sys", b"1")]))) == ["x64\\a.sys"]


@pytest.mark.parametrize("name", ["", "a\0b", "n" * 256])
def test_a_name_that_the_format_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        written([(name, b"")])


def test_a_new_folder_begins_where_the_blocks_of_one_run_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cab_writer, "MAX_BLOCKS", 5)
    raw = written()
    assert [folder.blocks for folder in opened(raw).folders] == [5, 5]
    assert contents(raw) == dict(ENTRIES)
    (tmp_path / "x.cab").write_bytes(raw)
    subprocess.run(["cabextract", "-q", "-t", tmp_path / "x.cab"], check=True, capture_output=True)


def test_a_file_too_large_for_a_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cab_writer, "MAX_BLOCKS", 1)
    with pytest.raises(LimitExceeded, match="big"):
        written([("big", b"x" * (BLOCK_SIZE + 1))])


def test_a_file_that_grows_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1")

    def entries() -> Iterable[tuple[str, Path | bytes]]:
        yield "log", path

    class Growing(io.BytesIO):
        def write(self, content: object) -> int:
            path.write_bytes(b"12")
            return super().write(content)  # type: ignore[arg-type]

    with pytest.raises(LimitExceeded, match="changed its size"):
        write_cabinet(Growing(), entries())


def test_incompressible_blocks_grow_by_twelve_bytes_at_most() -> None:
    raw = written([("noise", NOISE[:BLOCK_SIZE])])
    start = opened(raw).folders[0].start
    assert struct.unpack_from("<H", raw, start + 4)[0] <= BLOCK_SIZE + 12


# --- Reading


def test_we_read_what_gcab_writes(tmp_path: Path) -> None:
    for name, content in (("a.inf", TEXT), ("ü.sys", NOISE), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
    command = ["gcab", "-c", "-z", "-n", "x.cab", "a.inf", "ü.sys", "empty"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    assert contents((tmp_path / "x.cab").read_bytes()) == {"a.inf": TEXT, "ü.sys": NOISE, "empty": b""}


def test_names_without_the_utf8_flag_are_windows_1252() -> None:
    raw = written([("grüße", b"1")])
    at = entry_offset(raw, 0)
    raw = patched(raw, at + 14, "<H", 0x20)
    assert opened(raw).files[0].name == "grüße".encode().decode("cp1252")


def test_names_that_windows_1252_lacks_are_latin_1() -> None:
    raw = written([("ab", b"1")])
    at = entry_offset(raw, 0) + FILE.size
    raw[at] = 0x81
    assert opened(raw).files[0].name == "\x81b"


def test_files_that_share_and_overlap_content_all_come_out_right() -> None:
    raw = written([("a", TEXT[:70_000]), ("b", TEXT[70_000:140_000]), ("c", b"z"), ("d", b"z")])
    plain = TEXT[:140_000] + b"zz"
    places = {"a": (0, 140_000), "b": (0, 140_000), "c": (20_000, 60_000), "d": (139_990, 12)}
    for index, (offset, size) in enumerate(places.values()):
        patched(raw, entry_offset(raw, index), "<II", size, offset)
    assert contents(raw) == {name: plain[offset : offset + size] for name, (offset, size) in places.items()}


def test_many_overlapping_files_cost_their_own_size_only() -> None:
    """Restarting the folder for each file would unpack 300 times 5 blocks here."""
    count = 300
    raw = written([(f"{number}", b"") for number in range(count)] + [("all", TEXT)])
    for index in range(count):
        patched(raw, entry_offset(raw, index), "<II", 10, len(TEXT) - 20)
    cabinet = opened(raw)
    reads: list[int] = []
    stream = cabinet._stream
    original = stream.read

    def read(size: int = -1) -> bytes:
        reads.append(size)
        return original(size)

    stream.read = read  # type: ignore[method-assign]
    got = {file.name: b"".join(pieces) for file, pieces in cabinet.extract()}
    assert got["0"] == TEXT[-20:-10]
    assert got["all"] == TEXT
    assert len(reads) <= 2 * 2 * cabinet.folders[0].blocks


def test_content_not_asked_for_is_skipped() -> None:
    last = [b"".join(pieces) for file, pieces in opened(written()).extract() if file.name == "grüße.txt"]
    assert last == [b"x" * BLOCK_SIZE]


def test_content_asked_for_too_late_is_an_error_not_wrong_bytes() -> None:
    late = [pieces for _, pieces in opened(written()).extract()]
    with pytest.raises(RuntimeError, match=r"sample\.inf"):
        next(late[0])


@pytest.mark.parametrize("compression", ["mszip", "store"])
def test_extraction_runs_in_flat_memory(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "big.cab"
    with path.open("w+b") as stream:
        write_cabinet(stream, [("big", NOISE * 200)], compression=compression)  # type: ignore[arg-type]
    with path.open("rb") as stream:
        tracemalloc.start()
        size = sum(len(p) for _, pieces in Cabinet.open(stream, source="big").extract() for p in pieces)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert size == 20_000_000
    assert peak < 1 << 20


@pytest.mark.parametrize("reserve", [0, 3])
@pytest.mark.parametrize("counts_reserve", [False, True])
def test_reserves_in_folders_and_blocks_are_passed_over(reserve: int, counts_reserve: bool) -> None:
    content = b"some content"
    spare = b"\x11" * reserve
    sizes = struct.pack("<HH", len(content), len(content))
    checksum = block_checksum(content) ^ block_checksum(sizes + spare if counts_reserve else sizes)
    block = struct.pack("<I", checksum) + sizes + spare + content
    file = FILE.pack(len(content), 0, 0, 0x21, 0, 0x20) + b"name\0"
    files_at = 36 + 4 + 5 + 8 + reserve
    data_at = files_at + len(file)
    raw = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, data_at + len(block), 0, files_at, 0, 3, 1, 1, 1, 4, 0, 0)
    raw += struct.pack("<HBB5s", 5, reserve, reserve, b"spare") + struct.pack("<IHH", data_at, 1, 0) + spare
    assert contents(raw + file + block) == {"name": content}


def test_the_place_of_a_signature_is_told() -> None:
    raw = written(reserve_for_signature=True)
    raw[36:60] = signature_reserve(len(raw), 1234)
    place = opened(raw).signature
    assert place is not None
    assert (place.offset, place.size) == (len(raw), 1234)


# --- Refusing


def change(offset: int, layout: str, *values: int) -> Callable[[bytearray], bytearray]:
    return lambda raw: patched(raw, offset, layout, *values)


def change_entry(offset: int, layout: str, *values: int) -> Callable[[bytearray], bytearray]:
    return lambda raw: patched(raw, entry_offset(raw, 0) + offset, layout, *values)


def change_block(offset: int, layout: str, *values: int) -> Callable[[bytearray], bytearray]:
    return lambda raw: patched(raw, struct.unpack_from("<I", raw, 36)[0] + offset, layout, *values)


@pytest.mark.parametrize(
    ("damage", "field", "words"),
    [
        (change(0, "<I", 0), "signature", "does not begin with MSCF"),
        (change(25, "<B", 2), "version", "expected 1.3"),
        (change(30, "<H", 1), "flags", "one cabinet that holds all"),
        (change(30, "<H", 2), "flags", "one cabinet that holds all"),
        (change(8, "<I", 0xFFFFFF), "cbCabinet", "declares 16777215 bytes"),
        (change(8, "<I", 20), "cbCabinet", "declares 20 bytes"),
        (change(16, "<I", 10), "coffFiles", "inside the header"),
        (change(16, "<I", 0xFFFFFFF0), "CFFILE", "truncated"),
        (change(26, "<H", 60000), "CFFOLDER", "truncated"),
        (change(28, "<H", 5), "CFFILE", "truncated or its name too long"),
        (change(36, "<I", 4), "coffCabStart", "outside the cabinet"),
        (change(36, "<I", 0xFFFFFFF0), "coffCabStart", "outside the cabinet"),
        (change_entry(8, "<H", 7), "iFolder", "folder 7 of 1"),
        (change_entry(8, "<H", 0xFFFD), "iFolder", "one cabinet that holds all"),
        (change_entry(8, "<H", 0xFFFF), "iFolder", "one cabinet that holds all"),
        (change_entry(0, "<I", 0xFFFFFFFF), "cbFile", "folder of 9 blocks"),
        (change_entry(14, "<HB", 0x80, 0xFF), "szName", "not UTF-8"),
    ],
)
def test_a_wrong_header_is_refused_with_its_field(
    damage: Callable[[bytearray], bytearray], field: str, words: str
) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        opened(damage(written()))
    assert caught.value.field == field
    assert caught.value.offset is not None
    assert caught.value.source == "test.cab"


@pytest.mark.parametrize(
    ("damage", "field", "words"),
    [
        (change(42, "<H", 3 | 14 << 8), "typeCompress", r"LZX with a window of 2\*\*14 bytes"),
        (change(42, "<H", 3 | 22 << 8), "typeCompress", r"LZX with a window of 2\*\*22 bytes"),
        (change(42, "<H", 3 | 21 << 8), "ab", "the LZX block is damaged"),
        (change(42, "<H", 2 | 9 << 8), "typeCompress", r"Quantum with a window of 2\*\*9 bytes"),
        (change(42, "<H", 9), "typeCompress", r"an unknown method \(9\): rebuild the cabinet with MSZIP or LZX"),
        (change(42, "<H", 0), "cbUncomp", "bytes, not 32768"),
        (change_block(0, "<I", 1), "csum", "checksum is wrong"),
        (change_block(6, "<H", 0), "cbUncomp", "block of 0 bytes"),
        (change_block(6, "<H", 32769), "cbUncomp", "block of 32769 bytes"),
        (change_block(0, "<IHHH", 0, 100, 32768, 0), "ab", "must begin with CK"),
        (change_block(0, "<IHH", 0, 100, 32768), "cbUncomp", "does not end after 32768"),
        (change_block(0, "<IHHHB", 0, 100, 32768, 0x4B43, 0xFF), "ab", "damaged"),
    ],
)
def test_a_wrong_block_is_refused_with_its_field(
    damage: Callable[[bytearray], bytearray], field: str, words: str
) -> None:
    raw = damage(written())
    with pytest.raises(ParseError, match=words) as caught:
        contents(raw)
    assert caught.value.field == field
    assert caught.value.offset == opened(raw).folders[0].start


def test_a_block_that_unpacks_to_more_than_it_declares_is_refused() -> None:
    raw = patched(written([("zeros", bytes(BLOCK_SIZE))]), entry_offset(written([("zeros", b"")]), 0), "<I", 5)
    start = opened(raw).folders[0].start
    patched(raw, start, "<I", 0)
    patched(raw, start + 6, "<H", 5)
    with pytest.raises(ParseError, match="does not end after 5 bytes"):
        contents(raw)


@pytest.mark.parametrize("keep", [0, 3, 35, 40, 60, 120, 1000])
def test_a_truncated_cabinet_is_refused(keep: int) -> None:
    raw = written()[:keep]
    with pytest.raises(ParseError):
        opened(raw)
    if keep >= 36:
        with pytest.raises(ParseError, match=r"truncated|outside the cabinet"):
            contents(patched(raw, 8, "<I", keep))


# --- Limits


class Counted(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


def test_a_bomb_is_refused_from_the_headers() -> None:
    stream = Counted(written([("zeros", bytes(70 << 20))]))
    cabinet = Cabinet.open(stream, source="bomb.cab")
    with pytest.raises(LimitExceeded, match="decompression bomb"):
        cabinet.check_limits(CabinetLimits())
    assert stream.taken < 1000


def test_an_ordinary_large_package_passes() -> None:
    raw = written([("text", TEXT * 500)])
    assert len(TEXT) * 500 > 64 << 20
    opened(raw).check_limits(CabinetLimits())


def test_small_content_may_be_packed_at_any_ratio() -> None:
    opened(written([("zeros", bytes(8 << 20))])).check_limits(CabinetLimits())


def test_files_that_share_content_count_each() -> None:
    raw = written([(f"{number}", b"") for number in range(100)] + [("all", TEXT)])
    for index in range(100):
        patched(raw, entry_offset(raw, index), "<II", len(TEXT), 0)
    with pytest.raises(LimitExceeded, match=f"unpacks to {101 * len(TEXT)} bytes"):
        opened(raw).check_limits(CabinetLimits(max_total_bytes=100 * len(TEXT)))


def test_content_that_must_be_unpacked_to_be_skipped_counts() -> None:
    raw = written([("late", b"12345"), ("rest", TEXT)])
    patched(raw, entry_offset(raw, 0), "<II", 1, len(TEXT))
    patched(raw, entry_offset(raw, 1), "<II", 1, 0)
    with pytest.raises(LimitExceeded, match="unpacks to"):
        opened(raw).check_limits(CabinetLimits(max_total_bytes=1000))


def test_too_many_files_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="4 files, at most 3"):
        opened(written()).check_limits(CabinetLimits(max_files=3))
