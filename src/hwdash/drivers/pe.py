"""PE images: where a signature goes, what it digests, and the signed file.

Format: Microsoft's "PE Format" and "Windows Authenticode Portable Executable Signature Format";
facts/package-formats.md. Parsing (untrusted) and writing stand apart: a ``PeLayout`` of four numbers is all that the
writer needs from the parser.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import BinaryIO, Final

from hwdash.drivers.errors import ParseError
from hwdash.drivers.page_hashes import PageHasher

PE32: Final = 0x10B
PE32_PLUS: Final = 0x20B
# Offsets of the format are 32 bits wide; 16 MiB stay free for a signature.
MAX_IMAGE_SIZE: Final = 0xFF000000
_CHUNK: Final = 1 << 18
_RUN: Final = 1 << 14
_SECTION: Final = 40  # bytes of one section header
_WIN_CERT_REVISION_2: Final = 0x0200
_WIN_CERT_TYPE_PKCS_SIGNED_DATA: Final = 0x0002


@dataclass(frozen=True, slots=True)
class PeImage:
    """The numbers of a PE image that signing needs; offsets count from the start of the file, sizes are in bytes."""

    machine: int
    magic: int
    subsystem: int
    checksum_offset: int
    security_entry_offset: int
    certificate_table: tuple[int, int]
    """Offset and size; (0, 0) when the image carries no signature."""
    size: int
    headers_size: int
    """SizeOfHeaders, as the file has it."""
    sections: tuple[tuple[int, int], ...]
    """Offset and size of each section's content, in the order of the section table."""
    source: str

    @classmethod
    def open(cls, stream: BinaryIO, *, source: str) -> "PeImage":
        """Parse the headers of the image in ``stream`` (seekable). ParseError says which field is wrong."""
        size = stream.seek(0, 2)
        if size > MAX_IMAGE_SIZE:
            raise ParseError(f"{size} bytes are more than an image of 32-bit offsets can hold", source=source)
        reader = _Reader(stream, source, size)
        dos = reader.take(0, 64, "DOS header")
        if dos[:2] != b"MZ":
            raise ParseError("not a PE image: it does not begin with MZ", source=source, offset=0, field="e_magic")
        (pe,) = struct.unpack_from("<I", dos, 0x3C)
        if pe < 64 or pe % 4:
            raise ParseError(f"{pe:#x} is not the place of a PE header", source=source, offset=0x3C, field="e_lfanew")
        signature, machine, section_count, _, _, _, optional_size, _ = struct.unpack(
            "<4sHHIIIHH", reader.take(pe, 24, "PE header")
        )
        if signature != b"PE\0\0":
            raise ParseError("no PE header where e_lfanew points", source=source, offset=pe, field="Signature")
        optional_at = pe + 24
        optional = reader.take(optional_at, optional_size, "optional header")
        magic = int.from_bytes(optional[:2], "little")
        if magic not in (PE32, PE32_PLUS):
            raise ParseError(
                f"magic {magic:#x} is neither PE32 nor PE32+", source=source, offset=optional_at, field="Magic"
            )
        directories = 96 if magic == PE32 else 112
        security = directories + 4 * 8
        if len(optional) < security + 8 or struct.unpack_from("<I", optional, directories - 4)[0] < 5:
            message = "the image has no security directory entry, so it cannot carry a signature"
            raise ParseError(message, source=source, offset=optional_at, field="NumberOfRvaAndSizes")
        table: tuple[int, int] = struct.unpack_from("<II", optional, security)
        sections_at = optional_at + optional_size
        reader.certificate_table(table, optional_at + security, sections_at + _SECTION * section_count)
        return cls(
            machine=machine,
            magic=magic,
            subsystem=int.from_bytes(optional[68:70], "little"),
            checksum_offset=optional_at + 64,
            security_entry_offset=optional_at + security,
            certificate_table=table,
            size=size,
            headers_size=int.from_bytes(optional[60:64], "little"),
            sections=reader.sections(sections_at, section_count, table[0] or size),
            source=source,
        )

    @property
    def body_size(self) -> int:
        """Bytes of the image without its certificate table."""
        return self.certificate_table[0] or self.size


class _Reader:
    """Checked reads."""

    def __init__(self, stream: BinaryIO, source: str, size: int) -> None:
        self._stream = stream
        self._source = source
        self._size = size

    def take(self, at: int, size: int, field: str) -> bytes:
        taken = b""
        if at + size <= self._size:
            self._stream.seek(at)
            taken = self._stream.read(size)
        if len(taken) != size:
            raise ParseError("the image is truncated", source=self._source, offset=at, field=field)
        return taken

    def certificate_table(self, table: tuple[int, int], where: int, headers_end: int) -> None:
        offset, size = table
        if (offset, size) == (0, 0):
            return
        field = "certificate table"
        if offset % 8 or offset < headers_end or size < 8 or offset + size > self._size:
            message = f"{size} bytes at {offset:#x} is no place for it in a file of {self._size} bytes"
            raise ParseError(message, source=self._source, offset=where, field=field)
        rest = self._size - offset - size
        # What follows the table would belong to no digest.
        if rest >= 8 or self.take(offset + size, rest, field).strip(b"\0"):
            raise ParseError(
                "bytes follow the certificate table", source=self._source, offset=offset + size, field=field
            )

    def sections(self, table_at: int, count: int, body_size: int) -> tuple[tuple[int, int], ...]:
        """Each section must lie before the certificate table: what lies in the table is executed but not digested."""
        table = self.take(table_at, _SECTION * count, "section table")
        found: list[tuple[int, int]] = []
        for index in range(count):
            name = table[_SECTION * index : _SECTION * index + 8].rstrip(b"\0").decode("ascii", "replace")
            size, start = struct.unpack_from("<II", table, _SECTION * index + 16)
            if start and start + size > body_size:
                message = f"the section {name!r} ends at {start + size:#x}, the image at {body_size:#x}"
                raise ParseError(
                    message, source=self._source, offset=table_at + _SECTION * index, field="SizeOfRawData"
                )
            found.append((start, size))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class PeLayout:
    """The four numbers from which the signed file is written."""

    checksum_offset: int
    security_entry_offset: int
    body_size: int
    """Bytes of the image without certificate table and without padding."""
    checksum_base: int
    """Sum of the image's 16-bit words modulo 65535, CheckSum and security directory entry counted as zero."""

    def __post_init__(self) -> None:
        if not 0 < self.checksum_offset < self.security_entry_offset - 4 < self.body_size - 12 < MAX_IMAGE_SIZE:
            raise ValueError(f"these numbers are those of no image: {self}")

    def to_json(self) -> dict[str, int]:
        """The numbers by name: ``PeLayout(**layout.to_json()) == layout``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PeMeasure:
    """What one pass over an image finds: digests by hashlib's names, and the layout for signing it."""

    digests: dict[str, bytes]
    layout: PeLayout
    page_hashes: dict[str, bytes] = field(default_factory=dict)

    @property
    def checksum_base(self) -> int:
        """See ``PeLayout``."""
        return self.layout.checksum_base

    @property
    def body_size(self) -> int:
        """See ``PeLayout``."""
        return self.layout.body_size


def measure(
    stream: BinaryIO, image: PeImage, algorithms: Sequence[str] = ("sha1", "sha256"), *, pages: Sequence[str] = ()
) -> PeMeasure:
    """Digest and sum the image in one pass, as a signer sees it: without certificate table, padded with zeros to eight
    bytes.

    ``digests`` leave out the CheckSum field and the security directory entry. ``checksum_base`` is the sum of the
    16-bit little-endian words modulo 65535, those two fields counted as zero. ``pages`` asks for page hashes by these
    algorithms (drivers/page_hashes.py). ParseError when the stream ends early, or when the image has no page hashes.
    """
    hasher = PageHasher(image.headers_size, image.sections, pages, source=image.source) if pages else None
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    total = 0
    body = image.body_size
    # Every range starts at an even offset (e_lfanew is a multiple of four), so words never straddle two ranges.
    for start, end in (
        (0, image.checksum_offset),
        (image.checksum_offset + 4, image.security_entry_offset),
        (image.security_entry_offset + 8, body),
    ):
        at = start
        for chunk in _range(stream, start, end):
            for digest in hashes.values():
                digest.update(chunk)
            if hasher is not None:
                hasher.update(at, chunk)
            at += len(chunk)
            # 65536 is 1 modulo 65535: whole runs of words add up as big integers, and one division at the end is
            # enough.
            for run in range(0, len(chunk), _RUN):
                total += int.from_bytes(chunk[run : run + _RUN], "little")
    for digest in hashes.values():
        digest.update(bytes(-body % 8))
    layout = PeLayout(image.checksum_offset, image.security_entry_offset, body, total % 0xFFFF)
    digests = {name: digest.digest() for name, digest in hashes.items()}
    return PeMeasure(digests, layout, hasher.lists() if hasher is not None else {})


def authenticode_digests(
    stream: BinaryIO, image: PeImage, algorithms: Sequence[str] = ("sha1", "sha256")
) -> dict[str, bytes]:
    """The Authenticode digests alone; see ``measure``."""
    return measure(stream, image, algorithms).digests


def layout_sha256(stream: BinaryIO, layout: PeLayout) -> bytes:
    """The Authenticode SHA-256 of an image whose layout is known: nothing is parsed. ParseError when it ends early."""
    digest = hashlib.sha256()
    for start, end in (
        (0, layout.checksum_offset),
        (layout.checksum_offset + 4, layout.security_entry_offset),
        (layout.security_entry_offset + 8, layout.body_size),
    ):
        for chunk in _range(stream, start, end):
            digest.update(chunk)
    digest.update(bytes(-layout.body_size % 8))
    return digest.digest()


def page_hashes(stream: BinaryIO, image: PeImage, algorithm: str = "sha256") -> bytes:
    """The page hashes alone, as signatures and catalogs hold them; see ``measure`` and drivers/page_hashes.py."""
    return measure(stream, image, (), pages=(algorithm,)).page_hashes[algorithm]


def checksum_base(stream: BinaryIO, image: PeImage) -> int:
    """The sum alone; see ``measure``."""
    return measure(stream, image, ()).checksum_base


def finish_checksum(base: int, security_entry: bytes, certificate_table: bytes, total_size: int) -> int:
    """The CheckSum of the signed file of ``total_size`` bytes.

    The field is the end-around-carry sum of all 16-bit words, plus the size. Such a sum is the plain sum modulo 65535,
    but for its form of zero: that is 0xFFFF, since an image begins with MZ and is never all zeros.
    """
    words = (base + int.from_bytes(security_entry, "little") + int.from_bytes(certificate_table, "little")) % 0xFFFF
    return ((words or 0xFFFF) + total_size) & 0xFFFFFFFF


def certificate_table(pkcs7: bytes) -> bytes:
    """WIN_CERTIFICATE (revision 2.0, PKCS signed data) around a PKCS#7 signature, padded to eight bytes."""
    padded = pkcs7 + bytes(-len(pkcs7) % 8)
    header = struct.pack("<IHH", 8 + len(padded), _WIN_CERT_REVISION_2, _WIN_CERT_TYPE_PKCS_SIGNED_DATA)
    return header + padded


def signed_size(layout: PeLayout, pkcs7: bytes) -> int:
    """Bytes of the file that ``signed_image_chunks`` yields."""
    return layout.body_size + -layout.body_size % 8 + 8 + len(pkcs7) + -len(pkcs7) % 8


def signed_image_chunks(stream: BinaryIO, layout: PeLayout, pkcs7: bytes) -> Iterator[bytes]:
    """The signed file in chunks: the image with a new security entry and CheckSum, its padding, the certificate table.

    ``stream`` is the image that ``layout`` was measured on, seekable; a certificate table it already has is left out.
    ParseError when the stream is shorter than the layout says.
    """
    table = certificate_table(pkcs7)
    padding = bytes(-layout.body_size % 8)
    entry = struct.pack("<II", layout.body_size + len(padding), len(table))
    checksum = finish_checksum(layout.checksum_base, entry, table, signed_size(layout, pkcs7))
    yield from _range(stream, 0, layout.checksum_offset)
    yield struct.pack("<I", checksum)
    yield from _range(stream, layout.checksum_offset + 4, layout.security_entry_offset)
    yield entry
    yield from _range(stream, layout.security_entry_offset + 8, layout.body_size)
    yield padding + table


def pkcs7_entries(table: bytes, *, source: str) -> list[bytes]:
    """The PKCS#7 signatures of a certificate table, in order, each with the padding its entry has."""
    entries: list[bytes] = []
    at = 0
    while len(table) - at >= 8:
        length, revision, kind = struct.unpack_from("<IHH", table, at)
        if not 8 <= length <= len(table) - at:
            message = f"an entry of {length} bytes in {len(table) - at}"
            raise ParseError(message, source=source, offset=at, field="WIN_CERTIFICATE.dwLength")
        if (revision, kind) == (_WIN_CERT_REVISION_2, _WIN_CERT_TYPE_PKCS_SIGNED_DATA):
            entries.append(table[at + 8 : at + length])
        at += length + -length % 8
    return entries


def _range(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end``; chunks of even length but for the last."""
    stream.seek(start)
    left = end - start
    while left > 0:
        chunk = stream.read(min(_CHUNK, left))
        if len(chunk) != min(_CHUNK, left):
            raise ParseError("the image is truncated", source=getattr(stream, "name", "image"), offset=end - left)
        left -= len(chunk)
        yield chunk
