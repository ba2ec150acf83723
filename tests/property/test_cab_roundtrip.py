import io
import random
import struct
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cab_builder import Folder, build_cabinet
from hwdash.drivers import cab_content
from hwdash.drivers.cab import Cabinet, CabinetLimits, write_cabinet
from hwdash.drivers.cab_format import BLOCK_SIZE, FILE, block_checksum
from hwdash.drivers.errors import LimitExceeded, ParseError
from lzx_writer import Kind, lzx_folder
from quantum_writer import quantum_folder

names = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=60)
# Long repetitions and noise: blocks that pack well, badly, and into several blocks.
pieces = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda seed, times: seed * times, st.binary(min_size=1, max_size=40), st.integers(0, 3000)),
    st.builds(lambda seed: seed.randbytes(40_000), st.randoms(use_true_random=False)),
)
entries = st.lists(st.tuples(names.filter(lambda name: len(name.encode()) < 256), pieces), max_size=6)
# What an x86 call looks like, among other bytes.
calls = st.builds(
    lambda seed, times: b"".join(
        b"\xe8" + struct.pack("<i", seed.randrange(-100_000, 100_000)) + seed.randbytes(seed.randrange(4))
        for _ in range(times)
    ),
    st.randoms(use_true_random=False),
    st.integers(0, 8000),
)
contents = st.lists(st.one_of(pieces, calls), min_size=1, max_size=4).map(b"".join)
kinds: st.SearchStrategy[Kind] = st.sampled_from(["verbatim", "aligned", "uncompressed"])
# The last is repeated to the end: were it tiny, a frame of many would not fit in a CFDATA block.
plans = st.builds(
    lambda first, last: [*first, last],
    st.lists(st.tuples(kinds, st.integers(1, 100_000)), max_size=8),
    st.tuples(kinds, st.integers(10_000, 100_000)),
)
lzx_folders = st.builds(
    lambda plain, window_bits, call_size, plan: lzx_folder([("a", plain)], window_bits, call_size=call_size, plan=plan),
    contents,
    st.integers(15, 21),
    st.sampled_from([0, 1, 50_000, 12_000_000]),
    plans,
)
compressions: st.SearchStrategy[Literal["mszip", "store"]] = st.sampled_from(["mszip", "store"])


@settings(deadline=None, max_examples=150)
@given(entries, compressions, st.booleans())
def test_a_cabinet_holds_what_was_written(
    listed: list[tuple[str, bytes]], compression: Literal["mszip", "store"], reserve: bool
) -> None:
    stream = io.BytesIO()
    write_cabinet(stream, listed, compression=compression, reserve_for_signature=reserve)
    cabinet = Cabinet.open(stream, source="x.cab")
    cabinet.check_limits(CabinetLimits())
    assert [file.name for file in cabinet.files] == [name for name, _ in listed]
    assert sum(file.size for file in cabinet.files) == sum(len(content) for _, content in listed)
    got = {(file.offset, file.name, b"".join(chunks)) for file, chunks in cabinet.extract()}
    assert {(name, content) for _, name, content in got} == set(listed)
    assert cabinet.declared_size == len(stream.getvalue())


@settings(deadline=None, max_examples=150)
@given(st.binary(min_size=1, max_size=200), st.integers(1, 1000), compressions, st.data())
def test_files_at_any_place_of_a_folder_come_out_right(
    seed: bytes, times: int, compression: Literal["mszip", "store"], data: st.DataObject
) -> None:
    """[MS-CAB] lets files share content: uoffFolderStart and cbFile are free within the folder."""
    plain = seed * times
    count = data.draw(st.integers(1, 6))
    stream = io.BytesIO()
    write_cabinet(stream, [("0", plain), *((str(number), b"") for number in range(1, count))], compression=compression)
    raw = bytearray(stream.getvalue())
    (at,) = struct.unpack_from("<I", raw, 16)
    places = {}
    for number in range(count):
        offset = data.draw(st.integers(0, len(plain)))
        size = data.draw(st.integers(0, len(plain) - offset))
        struct.pack_into("<II", raw, at, size, offset)
        at += FILE.size + 2
        places[str(number)] = plain[offset : offset + size]
    cabinet = Cabinet.open(io.BytesIO(raw), source="x.cab")
    skipped = data.draw(st.sets(st.sampled_from(sorted(places))))
    got = {f.name: b"".join(chunks) for f, chunks in cabinet.extract() if f.name not in skipped}
    assert got == {name: content for name, content in places.items() if name not in skipped}


@settings(deadline=None, max_examples=100)
@given(contents, st.integers(15, 21), st.sampled_from([0, 1, 50_000, 12_000_000]), plans)
def test_any_lzx_stream_is_unpacked_alike_by_both_decoders_and_cabextract(
    plain: bytes, window_bits: int, call_size: int, plan: list[tuple[Kind, int]]
) -> None:
    raw = build_cabinet([lzx_folder([("a", plain)], window_bits, call_size=call_size, plan=plan)])
    assert unpacked(raw, use_libmspack=False) == plain
    assert unpacked(raw, use_libmspack=True) == plain
    assert by_cabextract(raw) == plain


@settings(deadline=None, max_examples=60)
@given(contents, st.integers(10, 21))
def test_any_quantum_stream_is_unpacked_as_cabextract_does(plain: bytes, window_bits: int) -> None:
    raw = build_cabinet([quantum_folder("a", plain, window_bits)])
    assert unpacked(raw, use_libmspack=True) == by_cabextract(raw) == plain


@settings(deadline=None, max_examples=100)
@given(contents, st.sampled_from([0, BLOCK_SIZE, 1 << 24]), st.booleans(), st.data())
def test_files_at_any_place_of_an_lzx_folder_come_out_right(
    plain: bytes, kept: int, use_libmspack: bool, data: st.DataObject
) -> None:
    whole = lzx_folder([("all", plain)])
    places = []
    for _ in range(data.draw(st.integers(1, 6))):
        offset = data.draw(st.integers(0, len(plain)))
        places.append((offset, data.draw(st.integers(0, len(plain) - offset))))
    files = [(str(number), offset, size) for number, (offset, size) in enumerate(places)]
    skipped = data.draw(st.sets(st.integers(0, len(places) - 1)))
    raw = build_cabinet([Folder(whole.method, whole.blocks, whole.size, files)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cab_content, "KEPT", kept)
        extracted = Cabinet.open(io.BytesIO(raw), source="x.cab").extract(use_libmspack=use_libmspack)
        got = {int(file.name): b"".join(chunks) for file, chunks in extracted if int(file.name) not in skipped}
    expected = {number: plain[offset : offset + size] for number, (offset, size) in enumerate(places)}
    assert got == {number: content for number, content in expected.items() if number not in skipped}


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(lzx_folders, st.builds(quantum_folder, st.just("a"), pieces, st.integers(10, 21))),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
)
def test_a_damaged_cabinet_is_refused_or_read_and_nothing_else(
    folder: Folder, seed: random.Random, changes: int, in_blocks: bool, use_libmspack: bool
) -> None:
    raw = build_cabinet([folder])
    start = len(raw) - sum(len(packed) + 8 for packed in folder.blocks)
    at = start
    for packed in folder.blocks:  # without checksums the decoders meet the damage themselves
        struct.pack_into("<I", raw, at, 0)
        at += 8 + len(packed)
    for _ in range(changes):
        raw[seed.randrange(start if in_blocks and start < len(raw) else 0, len(raw))] = seed.randrange(256)
    with suppress(ParseError, LimitExceeded):
        cabinet = Cabinet.open(io.BytesIO(raw), source="x.cab")
        cabinet.check_limits(CabinetLimits(max_total_bytes=1 << 24))
        for file, chunks in cabinet.extract(use_libmspack=use_libmspack):
            assert sum(map(len, chunks)) == file.size


def unpacked(raw: bytearray, *, use_libmspack: bool) -> bytes:
    ((_, chunks),) = Cabinet.open(io.BytesIO(raw), source="x.cab").extract(use_libmspack=use_libmspack)
    return b"".join(chunks)


def by_cabextract(raw: bytearray) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.cab")
        path.write_bytes(raw)
        return subprocess.run(["cabextract", "-q", "-p", path], check=True, capture_output=True).stdout


@given(st.binary(max_size=2000))
def test_the_checksum_is_the_xor_of_words_and_a_big_endian_rest(block: bytes) -> None:
    whole = len(block) - len(block) % 4
    expected = int.from_bytes(block[whole:], "big")
    for (word,) in struct.iter_unpack("<I", block[:whole]):
        expected ^= word
    assert block_checksum(block) == expected
