import io
import struct
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from hwdash.drivers.cab import Cabinet, CabinetLimits, write_cabinet
from hwdash.drivers.cab_format import FILE, block_checksum

names = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=60)
# Long repetitions and noise: blocks that pack well, badly, and into several blocks.
pieces = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda seed, times: seed * times, st.binary(min_size=1, max_size=40), st.integers(0, 3000)),
    st.builds(lambda seed: seed.randbytes(40_000), st.randoms(use_true_random=False)),
)
entries = st.lists(st.tuples(names.filter(lambda name: len(name.encode()) < 256), pieces), max_size=6)
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


@given(st.binary(max_size=2000))
def test_the_checksum_is_the_xor_of_words_and_a_big_endian_rest(block: bytes) -> None:
    whole = len(block) - len(block) % 4
    expected = int.from_bytes(block[whole:], "big")
    for (word,) in struct.iter_unpack("<I", block[:whole]):
        expected ^= word
    assert block_checksum(block) == expected
