"""Open Packaging Conventions (ECMA-376 part 2): a zip file of parts with content types and relationships.

Read strictly, so that no other reader can see another package in the same bytes: every item of the zip file is a part
or ``[Content_Types].xml``; interleaved pieces, trash items, names that are no part names and types given twice are
refused. XML has no DTD, is limited in size and nesting, and is never resolved against anything outside. Signatures are
verified by drivers/opc_signature.py.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from lxml import etree

from hwdash.drivers.errors import LimitExceeded, ParseError
from hwdash.drivers.xml_document import MAX_XML, line_of, parse_xml
from hwdash.drivers.zip_package import ZipPackage, ZipPackageFile

CONTENT_TYPES: Final = "[Content_Types].xml"
RELATIONSHIPS_NAMESPACE: Final = "http://schemas.openxmlformats.org/package/2006/relationships"
RELATIONSHIPS_TYPE: Final = "application/vnd.openxmlformats-package.relationships+xml"
TYPES_NAMESPACE: Final = "http://schemas.openxmlformats.org/package/2006/content-types"
# Segments of pchar (RFC 3986). That none ends with a dot, and that no escape hides a slash or a plain character, is
# checked beside it (ECMA-376 part 2, 9.1.1).
_PART_NAME: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_NEVER_ESCAPED: Final = re.compile(r"[A-Za-z0-9._~/\\\x00-]")
_RELATIONSHIPS_PART: Final = re.compile(r"((?:/[^/]+)*/)_rels/([^/]*)\.rels", re.IGNORECASE)
# No scheme, no authority, no query: a path to a part.
_INTERNAL_TARGET: Final = re.compile(r"(?!//)[^:?#\s]+")


@dataclass(frozen=True, slots=True)
class Relationship:
    """One relationship of the package or of a part. ``target`` is a part's name; as written when ``external``."""

    id: str
    type: str
    target: str
    written_target: str
    external: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``name`` begins with a slash and is escaped as in a URI."""

    name: str
    content_type: str
    file: ZipPackageFile

    @property
    def size(self) -> int:
        """Bytes when unpacked."""
        return self.file.size


def relationships_part(source_part: str) -> str:
    """The name of the part that holds the relationships of ``source_part``; "/" is the package."""
    folder, name = posixpath.split(source_part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def relationships_source(name: str) -> str | None:
    """The part whose relationships the part ``name`` holds ("/" is the package); None when it holds none."""
    found = _RELATIONSHIPS_PART.fullmatch(name)
    return found[1] + found[2] if found else None


class OpcPackage:
    """The parts of a package, found by name without regard to case."""

    def __init__(self, zip_package: ZipPackage, parts: dict[str, Part]) -> None:
        self.source = zip_package.source
        self.zip_package = zip_package
        self._parts = parts
        self._relationships: dict[str, tuple[Relationship, ...]] = {}

    @classmethod
    def open(cls, stream: BinaryIO, *, source: str) -> "OpcPackage":
        """Read the zip directory and the content types of the package in ``stream`` (seekable).

        ParseError when the zip file is hostile (see ``ZipPackage``) or breaks the conventions; LimitExceeded when an
        XML part is too large.
        """
        zip_package = ZipPackage.open(stream, source=source)
        named = {file.name.lower(): file for file in zip_package.files}
        if (listed := named.pop(CONTENT_TYPES.lower(), None)) is None:
            message = f"no {CONTENT_TYPES}: a zip file, but not a package of the Open Packaging Conventions"
            raise ParseError(message, source=source, field=CONTENT_TYPES)
        types = _ContentTypes(_read(zip_package, listed), source)
        parts: dict[str, Part] = {}
        for key, file in named.items():
            name = f"/{file.name}"
            _check_part_name(name, source, file.start)
            parts[f"/{key}"] = Part(name, types.of(name), file)
        return cls(zip_package, parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part, those with relationships included, in the order of the content."""
        return tuple(self._parts.values())

    def part(self, name: str) -> Part | None:
        """The part of that name."""
        return self._parts.get(name.lower())

    def pieces(self, part: Part) -> Iterator[bytes]:
        """The content in pieces of at most 256 KiB, verified as ``ZipPackage.extract`` does."""
        return self.zip_package.pieces(part.file)

    def read(self, part: Part, limit: int = MAX_XML) -> bytes:
        """The whole content. LimitExceeded when it is longer than ``limit`` bytes."""
        return _read(self.zip_package, part.file, limit)

    def xml(self, part: Part) -> etree._Element:
        """The content parsed by ``parse_xml``."""
        return parse_xml(self.read(part), source=self.source, field=part.name)

    def relationships(self, source_part: str = "/") -> tuple[Relationship, ...]:
        """The relationships of a part, or of the package; none when it has no relationships part.

        ParseError when that part is malformed.
        """
        key = source_part.lower()
        if key not in self._relationships:
            part = self.part(relationships_part(source_part))
            self._relationships[key] = () if part is None else tuple(self._read_relationships(part, source_part))
        return self._relationships[key]

    def _read_relationships(self, part: Part, source_part: str) -> Iterator[Relationship]:
        if part.content_type.lower() != RELATIONSHIPS_TYPE:
            raise self._error(part, f"has the type {part.content_type}, not that of relationships", "ContentType")
        root = self.xml(part)
        seen: set[str] = set()
        if root.tag != f"{{{RELATIONSHIPS_NAMESPACE}}}Relationships" or root.attrib:
            raise self._error(part, "does not hold Relationships", "Relationships")
        for element in root.iterchildren(tag=etree.Element):
            given = {str(name): str(value) for name, value in element.attrib.items()}
            found = {name: given.pop(name, "") for name in ("Id", "Type", "Target")}
            mode = given.pop("TargetMode", "Internal")
            if (
                element.tag != f"{{{RELATIONSHIPS_NAMESPACE}}}Relationship"
                or given
                or len(element)
                or "" in found.values()
            ):
                raise self._error(part, "has an element that is no plain Relationship", "Relationship", element)
            if found["Id"] in seen:
                raise self._error(part, f"has the Id {found['Id']!r} twice", "Id", element)
            seen.add(found["Id"])
            target = found["Target"]
            if mode == "Internal":
                if not _INTERNAL_TARGET.fullmatch(target):
                    raise self._error(part, f"the target {target!r} is not a part's name", "Target", element)
                target = posixpath.normpath(posixpath.join(posixpath.dirname(source_part), target))
            elif mode != "External":
                raise self._error(part, f"{mode!r} is neither Internal nor External", "TargetMode", element)
            yield Relationship(found["Id"], found["Type"], target, found["Target"], external=mode == "External")

    def _error(self, part: Part, message: str, field: str, element: etree._Element | None = None) -> ParseError:
        line = None if element is None else line_of(element)
        return ParseError(f"{part.name} {message}", source=self.source, line=line, field=field)


class _ContentTypes:
    """``[Content_Types].xml``: a type for each extension, and for single parts."""

    def __init__(self, raw: bytes, source: str) -> None:
        self._source = source
        self._defaults: dict[str, str] = {}
        self._overrides: dict[str, str] = {}
        root = parse_xml(raw, source=source, field=CONTENT_TYPES)
        if root.tag != f"{{{TYPES_NAMESPACE}}}Types":
            raise ParseError("the root is not Types", source=source, field=CONTENT_TYPES)
        kinds = {
            f"{{{TYPES_NAMESPACE}}}Default": ("Extension", self._defaults),
            f"{{{TYPES_NAMESPACE}}}Override": ("PartName", self._overrides),
        }
        for element in root.iterchildren(tag=etree.Element):
            attribute, table = kinds.get(str(element.tag), ("Extension", {}))
            key, value = element.get(attribute, "").lower(), element.get("ContentType", "")
            if str(element.tag) not in kinds or len(element.attrib) != 2 or not key or not value:
                message = "an element that is no plain Default or Override"
                raise ParseError(message, source=source, line=line_of(element), field=CONTENT_TYPES)
            if key in table:
                message = f"{attribute} {key!r} has two content types"
                raise ParseError(message, source=source, line=line_of(element), field=CONTENT_TYPES)
            table[key] = value

    def of(self, part_name: str) -> str:
        key = part_name.lower()
        _, dot, extension = posixpath.basename(key).rpartition(".")
        found = self._overrides.get(key) or (self._defaults.get(extension) if dot else None)
        if found is None:
            raise ParseError(f"the part {part_name} has no content type", source=self._source, field=CONTENT_TYPES)
        return found


def _check_part_name(name: str, source: str, at: int) -> None:
    escaped = [chr(int(code, 16)) for code in _ESCAPE.findall(name)]
    dotted = any(segment.endswith(".") for segment in name.split("/"))
    if not _PART_NAME.fullmatch(name) or dotted or any(_NEVER_ESCAPED.match(each) for each in escaped):
        message = f"{name!r} is not a part's name (interleaved pieces and trash items are not read either)"
        raise ParseError(message, source=source, offset=at, field="part name")


def _read(zip_package: ZipPackage, file: ZipPackageFile, limit: int = MAX_XML) -> bytes:
    if file.size > limit:
        message = f"{file.name} has {file.size} bytes, at most {limit} are allowed"
        raise LimitExceeded(message, source=zip_package.source)
    return b"".join(zip_package.pieces(file))
