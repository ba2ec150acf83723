"""What the resources of a PE image say of it: its file version, and whether it is an early launch antimalware driver.

Format: Microsoft's "PE Format" (.rsrc), VS_VERSIONINFO and VS_FIXEDFILEINFO of the Windows SDK, and
install/elam-driver-requirements.md for the resource that marks an ELAM driver. The image is untrusted: ParseError says
what is wrong.
"""

import struct
from typing import Final

from hwdash.drivers.errors import ParseError
from hwdash.drivers.pe_sections import RESOURCES, MappedImage

VERSION: Final = 16  # RT_VERSION
_ELAM: Final = "MICROSOFTELAMCERTIFICATEINFO"
_MAX_ENTRIES: Final = 4096
_IS_FOLDER: Final = 1 << 31
_FIXED: Final = b"\xbd\x04\xef\xfe"  # VS_FIXEDFILEINFO.dwSignature
_KEY: Final = "VS_VERSION_INFO\0".encode("utf-16-le")

FileVersion = tuple[int, int, int, int]


def file_version(image: MappedImage) -> FileVersion | None:
    """The version in the image's first version resource; None when it has none."""
    root, _ = image.directory(RESOURCES)
    place = next((at for name, at in _entries(image, root, 0) if name == VERSION), None) if root else None
    # Below the type stand the resource's name, and below that its language.
    for _ in range(2):
        if place is not None and place & _IS_FOLDER:
            place = next((at for _, at in _entries(image, root, place & ~_IS_FOLDER)), None)
    if place is None:
        return None
    if place & _IS_FOLDER:
        raise ParseError("its version resource lies too deep", source=image.source, field="resources")
    rva, size = struct.unpack("<II", image.take(root + place, 8, "resource"))
    head = image.take(rva, min(size, 64), "version resource")
    if len(head) < 56 or head[6:38] != _KEY or head[40:44] != _FIXED:
        return None
    minor, major, fourth, third = struct.unpack_from("<HHHH", head, 48)
    return major, minor, third, fourth


def is_elam(image: MappedImage) -> bool:
    """The image has the resource by which Windows knows an early launch antimalware driver."""
    root, _ = image.directory(RESOURCES)
    return any(name == _ELAM for name, _ in _entries(image, root, 0)) if root else False


def _entries(image: MappedImage, root: int, offset: int) -> list[tuple[int | str, int]]:
    """(id or upper-case name, place) of a resource folder; places count from ``root``."""
    named, numbered = struct.unpack_from("<HH", image.take(root + offset, 16, "resource folder"), 12)
    if named + numbered > _MAX_ENTRIES:
        message = f"a resource folder of {named + numbered} entries"
        raise ParseError(message, source=image.source, field="resource folder")
    raw = image.take(root + offset + 16, 8 * (named + numbered), "resource folder")
    return [(_name(image, root, name), place) for name, place in struct.iter_unpack("<II", raw)]


def _name(image: MappedImage, root: int, name: int) -> int | str:
    if not name & _IS_FOLDER:
        return name
    at = root + (name & ~_IS_FOLDER)
    (length,) = struct.unpack("<H", image.take(at, 2, "resource name"))
    return image.take(at + 2, 2 * min(length, 256), "resource name").decode("utf-16-le", "replace").upper()
