"""XML from strangers: no DTD, no entities but the five of XML itself, nothing from outside, bounded size and depth."""

from typing import Final

from lxml import etree

from hwdash.drivers.errors import LimitExceeded, ParseError

MAX_XML: Final = 16 << 20
"""Bytes of one XML part: room for the signature of some 30,000 parts."""
_MAX_MARKUP: Final = 600_000
"""Tags and attributes of one XML part: in memory each takes some 200 bytes."""


def parse_xml(raw: bytes, *, source: str, field: str) -> etree._Element:
    """The root of an XML document in UTF-8 or UTF-16; ``field`` names the part for messages.

    ParseError when it is malformed or has a DTD; LimitExceeded when it is too large or has too many elements. Nesting
    is limited to 256 by libxml2.
    """
    if len(raw) > MAX_XML:
        raise LimitExceeded(f"{field} has {len(raw)} bytes of XML, at most {MAX_XML} are allowed", source=source)
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        message = "the XML is neither UTF-8 nor UTF-16"
        raise ParseError(message, source=source, offset=error.start, field=field) from None
    if "<!DOCTYPE" in text:
        raise ParseError("the XML has a document type declaration: leave it out", source=source, field=field)
    if text.count("<") + text.count("=") > _MAX_MARKUP:
        raise LimitExceeded(f"{field} has more than {_MAX_MARKUP} tags and attributes", source=source)
    # The encoding is ours, whatever the document declares: what was searched for a DTD above is what is parsed.
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False
    )
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise ParseError(f"malformed XML ({error.msg})", source=source, line=error.lineno, field=field) from None


def line_of(element: etree._Element) -> int | None:
    """The line where an element begins, counted from 1."""
    line = element.sourceline
    return line if isinstance(line, int) else None


def canonical_xml(xml: etree._Element | etree._ElementTree, *, source: str, field: str) -> bytes:
    """A document, or an element with the namespaces that it inherits, in C14N 1.0. ParseError when it has no such form.

    lxml canonicalises a part of a document wrongly (facts/package-formats.md), so an element becomes a document of its
    own first.
    """
    try:
        if not isinstance(xml, etree._ElementTree):
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
            xml = etree.fromstring(etree.tostring(xml, with_tail=False), parser).getroottree()
        return etree.tostring(xml, method="c14n", with_comments=False)
    except etree.LxmlError as error:
        # A namespace that is no absolute URI, for one.
        raise ParseError(f"the XML cannot be canonicalised ({error})", source=source, field=field) from None
