"""Page hashes, against osslsigncode both ways and against a computation that cuts the file in pieces."""

import hashlib
import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authenticode_oracle import compiled_driver, osslsigncode
from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import SHA1, SHA256
from hwdash.drivers.authenticode import (
    SPC_INDIRECT_DATA,
    content_digest,
    signed_attributes,
    signed_data,
    spc_indirect_data,
    spc_pe,
)
from hwdash.drivers.errors import LimitExceeded, ParseError
from hwdash.drivers.page_hashes import PAGE_SIZE, PageHasher
from hwdash.drivers.pe import PeImage, measure, page_hashes, signed_image_chunks
from hwdash.drivers.spc import PageHashes, read_indirect_data
from pki import reports, signed_image, signer

FLAGS = b"\x03\x01\x00"
KIND = "1.3.6.1.4.1.311.2.3.2"


def opened(image: bytes) -> tuple[io.BytesIO, PeImage]:
    stream = io.BytesIO(image)
    return stream, PeImage.open(stream, source="x.sys")


def naive(image: bytes, algorithm: str) -> bytes:
    """By slices of the whole file."""
    _, parsed = opened(image)
    head = image[: parsed.checksum_offset] + image[parsed.checksum_offset + 4 : parsed.security_entry_offset]
    head += image[parsed.security_entry_offset + 8 : parsed.headers_size]
    pages = [(0, head.ljust(PAGE_SIZE - 12, b"\0"))]
    for start, size in parsed.sections:
        content = image[start : start + size]
        pages += [
            (start + at, content[at : at + PAGE_SIZE].ljust(PAGE_SIZE, b"\0")) for at in range(0, size, PAGE_SIZE)
        ]
    listed = [struct.pack("<I", at) + hashlib.new(algorithm, page).digest() for at, page in pages]
    end = [start + size for start, size in parsed.sections if size][-1]
    return b"".join(listed) + struct.pack("<I", end) + bytes(hashlib.new(algorithm).digest_size)


def grown(image: bytes, by: int) -> bytes:
    """The driver with a last section of ``by`` bytes more, and its symbols left out."""
    _, parsed = opened(image)
    start, size = parsed.sections[-1]
    raw = bytearray(image[: start + size]) + bytes(range(256)) * (by // 256)
    pe = struct.unpack_from("<I", raw, 0x3C)[0]
    table = pe + 24 + struct.unpack_from("<H", raw, pe + 20)[0]
    struct.pack_into("<I", raw, table + 40 * (len(parsed.sections) - 1) + 16, len(raw) - start)
    return bytes(raw)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize("by", [0, 3 * PAGE_SIZE, 300 * PAGE_SIZE + 512])
def test_they_are_those_of_the_pieces_of_the_file(algorithm: str, by: int) -> None:
    image = grown(compiled_driver(), by)
    assert page_hashes(*opened(image), algorithm) == naive(image, algorithm)


def test_one_pass_gives_digests_and_page_hashes_of_all_kinds() -> None:
    stream, image = opened(compiled_driver())
    found = measure(stream, image, ("sha256",), pages=("sha1", "sha256"))
    assert found.page_hashes == {name: page_hashes(stream, image, name) for name in ("sha1", "sha256")}
    assert found.digests == measure(stream, image, ("sha256",)).digests
    assert found.layout == measure(stream, image).layout


@given(
    st.lists(st.tuples(st.integers(0, 3 * PAGE_SIZE), st.integers(0, 3 * PAGE_SIZE)), max_size=4),
    st.lists(st.integers(1, 5000), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=60)
def test_it_does_not_matter_how_the_bytes_are_cut(gaps: list[tuple[int, int]], cuts: list[int]) -> None:
    """Sections of any size anywhere, bytes in any pieces."""
    sections: list[tuple[int, int]] = []
    at = 1024
    for gap, size in gaps:
        sections.append((at + gap, size))
        at += gap + size
    content = bytes(each % 251 for each in range(at + 100))
    whole = PageHasher(1024, sections, ["sha256"], source="x")
    whole.update(0, content)
    pieces = PageHasher(1024, sections, ["sha256"], source="x")
    place = 0
    while place < len(content):
        for size in cuts:
            pieces.update(place, content[place : place + size])
            place += size
    assert whole.lists() == pieces.lists()
    entries = whole.lists()["sha256"]
    offsets = [struct.unpack_from("<I", entries, at)[0] for at in range(0, len(entries), 36)]
    expected = [start + page for start, size in sections for page in range(0, size, PAGE_SIZE)]
    assert offsets[1:-1] == expected


def test_what_has_no_page_hashes_is_told() -> None:
    for headers, sections, words in (
        (PAGE_SIZE + 1, [], "within one page"),
        (0, [], "within one page"),
        (1024, [(512, 10)], "overlaps"),
        (1024, [(4096, 5000), (8192, 10)], "overlaps"),
    ):
        with pytest.raises(ParseError, match=words):
            PageHasher(headers, sections, ["sha256"], source="x")
    with pytest.raises(LimitExceeded, match="too large"):
        PageHasher(1024, [(4096, 0xF0000000)], ["sha256"], source="x")


def test_osslsigncode_computes_the_same_when_we_sign(tmp_path: Path) -> None:
    root, _, _ = signer().files(tmp_path)
    (tmp_path / "x.sys").write_bytes(signed_image(grown(compiled_driver(), 5 * PAGE_SIZE), page_hashes=True))
    good, output = osslsigncode("verify", "-CAfile", root, tmp_path / "x.sys")
    assert good, output
    said = [line.partition(": ")[2] for line in output.splitlines() if "age hash " in line and "algorithm" not in line]
    assert len(said) == 2
    assert said[0] == said[1] != ""


@pytest.mark.parametrize(("digest", "kind"), [("sha1", "sha1"), ("sha256", "sha256")])
def test_we_compute_the_same_when_osslsigncode_signs(digest: str, kind: str, tmp_path: Path) -> None:
    _, chain, key = signer().files(tmp_path)
    image = grown(compiled_driver(), 5 * PAGE_SIZE)
    (tmp_path / "x.sys").write_bytes(image)
    files = ["-in", tmp_path / "x.sys", "-out", tmp_path / "y.sys"]
    good, output = osslsigncode("sign", "-ph", "-h", digest, "-certs", chain, "-key", key, *files)
    assert good, output
    raw = (tmp_path / "y.sys").read_bytes()
    (report,) = reports(raw, allow_sha1=True)
    assert report.problem is None
    assert report.signature is not None
    assert report.signature.page_hashes == PageHashes(kind, page_hashes(*opened(raw), kind))


def problem_of(content: bytes, image: bytes) -> str | None:
    """What is said of a signature over this content on this image."""
    who = signer()
    attributes = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=None, url=None)
    signature = signed_data(
        SPC_INDIRECT_DATA, content, certificates=who.sent, attributes=attributes, signature=who.sign(attributes)
    )
    stream, parsed = opened(image)
    raw = b"".join(signed_image_chunks(stream, measure(stream, parsed).layout, signature))
    return reports(raw)[0].problem


def test_page_hashes_that_are_not_the_images_are_refused() -> None:
    image = compiled_driver()
    stream, parsed = opened(image)
    digest, entries = measure(stream, parsed).digests["sha256"], page_hashes(stream, parsed)
    assert problem_of(spc_pe(SHA256, digest, FLAGS, entries), image) is None
    for wrong in (b"", entries[:-1], entries[:4] + bytes(32) + entries[36:]):
        problem = problem_of(spc_pe(SHA256, digest, FLAGS, wrong), image)
        assert problem is not None
        assert "page hashes are not those of the image" in problem


def test_page_hashes_by_sha1_beside_a_digest_by_sha256_are_refused() -> None:
    image = compiled_driver()
    stream, parsed = opened(image)
    old = spc_pe(SHA1, measure(stream, parsed).digests["sha1"], FLAGS, page_hashes(stream, parsed, "sha1"))
    value = der.Reader(old, source="x").read(der.SEQUENCE, "it").open().read(der.SEQUENCE, "it").open()
    kind, described = value.any("it").oid("it"), value.any("it").encoded
    content = spc_indirect_data(kind, described, SHA256, measure(stream, parsed).digests["sha256"])
    assert "the page hashes use SHA-1" in (problem_of(content, image) or "")


def test_page_hashes_of_an_image_that_has_none_are_refused() -> None:
    """Its headers claim more than a page; the digest itself holds."""
    raw = bytearray(compiled_driver())
    pe = struct.unpack_from("<I", raw, 0x3C)[0]
    struct.pack_into("<I", raw, pe + 24 + 60, 8192)
    image = bytes(raw)
    digest = measure(*opened(image)).digests["sha256"]
    assert problem_of(spc_pe(SHA256, digest, FLAGS), image) is None
    assert "within one page" in (problem_of(spc_pe(SHA256, digest, FLAGS, bytes(72)), image) or "")


def test_a_moniker_of_another_class_holds_no_page_hashes() -> None:
    content = spc_pe(SHA256, bytes(32), FLAGS, b"list").replace(bytes.fromhex("a6b586d5"), bytes(4))
    assert read_indirect_data(der.Reader(content, source="x").read(der.SEQUENCE, "it")).page_hashes is None


def test_page_hashes_of_an_unknown_algorithm_are_malformed() -> None:
    content = spc_pe(SHA256, bytes(32), FLAGS, b"list").replace(der.oid(KIND), der.oid(KIND[:-1] + "9"))
    with pytest.raises(ParseError, match="no known algorithm"):
        read_indirect_data(der.Reader(content, source="x").read(der.SEQUENCE, "it"))
