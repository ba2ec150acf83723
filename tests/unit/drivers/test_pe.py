import hashlib
import io
import struct
import subprocess
from pathlib import Path

import pytest

from authenticode_oracle import compiled_driver, osslsigncode, sign_image, signatory
from hwdash.drivers.errors import ParseError
from hwdash.drivers.pe import (
    MAX_IMAGE_SIZE,
    PE32_PLUS,
    PeImage,
    PeLayout,
    authenticode_digests,
    checksum_base,
    finish_checksum,
    measure,
    pkcs7_entries,
    signed_image_chunks,
    signed_size,
)


@pytest.fixture
def driver() -> bytes:
    return compiled_driver()


def opened(image: bytes) -> PeImage:
    return PeImage.open(io.BytesIO(image), source="sample.sys")


def signed(image: bytes, pkcs7: bytes) -> bytes:
    stream = io.BytesIO(image)
    return b"".join(signed_image_chunks(stream, measure(stream, opened(image)).layout, pkcs7))


def sections_end(image: bytes) -> int:
    """Where the last section ends; behind it the compiler leaves its symbols."""
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    count, optional = struct.unpack_from("<H", image, pe + 6)[0], struct.unpack_from("<H", image, pe + 20)[0]
    places = [struct.unpack_from("<II", image, pe + 24 + optional + 40 * index + 16) for index in range(count)]
    return max(int(start) + int(size) for size, start in places)


def naive_checksum(image: bytes) -> int:
    """The algorithm of imagehlp's CheckSumMappedFile, word by word."""
    at = opened(image).checksum_offset
    image = image[:at] + bytes(4) + image[at + 4 :]
    total = 0
    for (word,) in struct.iter_unpack("<H", image + bytes(len(image) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(image)


def test_the_linker_agrees_on_where_things_are(driver: bytes) -> None:
    image = opened(driver)
    assert (image.machine, image.magic, image.subsystem) == (0x8664, PE32_PLUS, 1)
    assert image.certificate_table == (0, 0)
    assert image.size == image.body_size == len(driver)
    assert struct.unpack_from("<I", driver, image.checksum_offset) == (naive_checksum(driver),)


@pytest.mark.parametrize("extra", range(9))
def test_the_signed_file_has_the_checksum_that_windows_computes(driver: bytes, extra: int) -> None:
    image = signed(driver + b"\xa5" * extra, b"\x30\x05signa")
    assert struct.unpack_from("<I", image, opened(image).checksum_offset) == (naive_checksum(image),)
    assert len(image) % 8 == 0


def test_a_sum_of_zero_takes_the_form_of_ones() -> None:
    assert finish_checksum(0xFFFE, b"\x01\x00", b"", 1000) == 0xFFFF + 1000


@pytest.mark.parametrize("extra", [0, 3])
def test_signing_again_drops_the_old_signature(driver: bytes, extra: int) -> None:
    once = signed(driver + bytes(extra), b"\x30\x03one")
    assert signed(once, b"\x30\x05other") == signed(driver + bytes(extra), b"\x30\x05other")


def test_the_size_is_known_before_the_file_is_written(driver: bytes) -> None:
    for pkcs7 in (b"", b"1", b"12345678"):
        layout = measure(io.BytesIO(driver), opened(driver)).layout
        assert signed_size(layout, pkcs7) == len(signed(driver, pkcs7))


def test_the_layout_travels_through_json(driver: bytes) -> None:
    layout = measure(io.BytesIO(driver), opened(driver)).layout
    assert PeLayout(**layout.to_json()) == layout


def test_numbers_of_no_image_are_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        PeLayout(checksum_offset=100, security_entry_offset=90, body_size=1000, checksum_base=0)
    with pytest.raises(ValueError, match="no image"):
        PeLayout(checksum_offset=100, security_entry_offset=200, body_size=1 << 33, checksum_base=0)


def test_digests_and_sum_of_one_pass_are_those_of_single_ones(driver: bytes) -> None:
    stream, image = io.BytesIO(driver), opened(driver)
    found = measure(stream, image)
    assert found.digests == authenticode_digests(stream, image)
    assert found.checksum_base == checksum_base(stream, image)


def test_digests_leave_out_what_signing_changes(driver: bytes) -> None:
    stream = io.BytesIO(driver)
    image = opened(driver)
    kept = driver[: image.checksum_offset] + driver[image.checksum_offset + 4 : image.security_entry_offset]
    kept += driver[image.security_entry_offset + 8 :]
    digests = authenticode_digests(stream, image, ("sha1", "sha256", "sha384"))
    assert digests["sha1"] == hashlib.sha1(kept).digest()
    assert digests["sha384"] == hashlib.sha384(kept).digest()


def test_osslsigncode_computes_the_same_digest(driver: bytes, tmp_path: Path) -> None:
    who = signatory()
    root, _, _ = who.files(tmp_path)
    (tmp_path / "x.sys").write_bytes(sign_image(driver + b"odd", who))
    good, output = osslsigncode("verify", "-CAfile", root, tmp_path / "x.sys")
    assert good, output
    # It prints the computed checksum only when it differs from the one in the file.
    assert "Calculated PE checksum" not in output
    padded = io.BytesIO(driver + b"odd")
    assert authenticode_digests(padded, PeImage.open(padded, source="x"))["sha256"].hex().upper() in output


def test_a_layout_larger_than_the_stream_is_refused(driver: bytes) -> None:
    layout = measure(io.BytesIO(driver), opened(driver)).layout
    with pytest.raises(ParseError, match="truncated"):
        list(signed_image_chunks(io.BytesIO(driver[:-1]), layout, b""))


def test_32_bit_images_are_read(tmp_path: Path, driver: bytes) -> None:
    """A PE32 optional header is 16 bytes shorter: rebuild the driver's headers in that form."""
    pe = struct.unpack_from("<I", driver, 0x3C)[0]
    optional = bytearray(driver[pe + 24 : pe + 24 + 240])
    narrow = struct.pack("<H", 0x10B) + optional[2:24] + bytes(4) + optional[24:28] + optional[32:72] + bytes(16)
    narrow += optional[104:]
    head = bytearray(driver[: pe + 24])
    struct.pack_into("<H", head, pe + 20, len(narrow))
    sections = driver[pe + 24 + 240 : 1024 - 16]
    image = bytes(head) + bytes(narrow) + sections
    image += driver[len(image) :]
    assert opened(image).magic == 0x10B
    assert opened(image).security_entry_offset == pe + 24 + 128
    written = signed(image, b"\x30\x00")
    assert struct.unpack_from("<I", written, opened(written).checksum_offset) == (naive_checksum(written),)


def test_a_program_for_another_machine_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int f(void) { return 1; }")
    command = ["x86_64-w64-mingw32-gcc", "-shared", "-nostdlib", "-Wl,--entry,f", "-o", "a.dll", "a.c"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    assert opened((tmp_path / "a.dll").read_bytes()).subsystem == 3


def damaged(image: bytes, offset: int, layout: str, *values: int) -> bytes:
    raw = bytearray(image)
    struct.pack_into(layout, raw, offset, *values)
    return bytes(raw)


def test_wrong_headers_are_refused_with_their_field(driver: bytes) -> None:
    pe = struct.unpack_from("<I", driver, 0x3C)[0]
    entry = opened(driver).security_entry_offset
    cases = [
        (b"", "DOS header", "truncated"),
        (b"ZM" + driver[2:], "e_magic", "does not begin with MZ"),
        (damaged(driver, 0x3C, "<I", 0xFFFFFFF0), "PE header", "truncated"),
        (damaged(driver, 0x3C, "<I", 2), "e_lfanew", "not the place"),
        (damaged(driver, 0x3C, "<I", pe + 1), "e_lfanew", "not the place"),
        (damaged(driver, pe, "<I", 0), "Signature", "no PE header"),
        (damaged(driver, pe + 20, "<H", 0xFFFF), "optional header", "truncated"),
        (damaged(driver, pe + 20, "<H", 0), "Magic", "neither PE32 nor"),
        (damaged(driver, pe + 20, "<H", 150), "NumberOfRvaAndSizes", "no security directory entry"),
        (damaged(driver, pe + 24, "<H", 0x107), "Magic", "0x107"),
        (damaged(driver, pe + 24 + 108, "<I", 4), "NumberOfRvaAndSizes", "no security directory entry"),
        (damaged(driver, pe + 6, "<H", 0xFFFF), "section table", "truncated"),
        (driver[: sections_end(driver) - 1], "SizeOfRawData", "ends at"),
        (damaged(driver, entry, "<II", 8, 8), "certificate table", "no place"),
        (damaged(driver, entry, "<II", len(driver), 8), "certificate table", "no place"),
        (damaged(driver, entry, "<II", 0, 8), "certificate table", "no place"),
        (damaged(driver, entry, "<II", len(driver) - 8, 0), "certificate table", "no place"),
        (damaged(driver, entry, "<II", len(driver) - 80, 8), "certificate table", "bytes follow"),
    ]
    for image, field, words in cases:
        with pytest.raises(ParseError, match=words) as caught:
            opened(image)
        assert caught.value.field == field


def test_a_section_inside_the_certificate_table_is_refused(driver: bytes) -> None:
    """Windows would run it although no digest covers it."""
    entry = opened(driver).security_entry_offset
    start = sections_end(driver) - 8
    with pytest.raises(ParseError, match="the section"):
        opened(damaged(driver, entry, "<II", start, len(driver) - start))


def test_only_zeros_may_follow_the_certificate_table(driver: bytes) -> None:
    image = signed(driver, b"\x30\x00")
    assert opened(image + bytes(7)).certificate_table == opened(image).certificate_table
    for tail in (bytes(8), b"\0\0\1"):
        with pytest.raises(ParseError, match="bytes follow the certificate table"):
            opened(image + tail)


def test_an_image_beyond_32_bit_offsets_is_refused() -> None:
    class Huge(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return MAX_IMAGE_SIZE + 1 if whence == 2 else super().seek(offset, whence)

    with pytest.raises(ParseError, match="32-bit offsets"):
        PeImage.open(Huge(b"MZ"), source="huge")


def test_entries_of_a_certificate_table() -> None:
    other = struct.pack("<IHH", 9, 0x200, 1) + b"x" + bytes(7)
    ours = struct.pack("<IHH", 10, 0x200, 2) + b"ab" + bytes(6)
    assert pkcs7_entries(other + ours + ours, source="x") == [b"ab", b"ab"]
    for length in (0, 7, 17):
        with pytest.raises(ParseError, match=f"an entry of {length} bytes"):
            pkcs7_entries(struct.pack("<IHH", length, 0x200, 2) + bytes(8), source="x")
