import pytest

from hwdash.drivers import xml_document
from hwdash.drivers.errors import LimitExceeded, ParseError
from hwdash.drivers.xml_document import canonical_xml, line_of, parse_xml


def parsed(raw: bytes) -> str:
    return str(parse_xml(raw, source="x", field="y").tag)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xml_is_utf_8_or_utf_16_whatever_it_declares(encoding: str) -> None:
    assert parsed('<?xml version="1.0" encoding="utf-16"?><ü/>'.encode(encoding)) == "ü"


@pytest.mark.parametrize(
    "raw",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
    ],
)
def test_a_document_type_is_refused(raw: bytes) -> None:
    with pytest.raises(ParseError, match="document type declaration"):
        parsed(raw)


@pytest.mark.parametrize("raw", [b"", b"<a", b"<a>&b;</a>", b"\xff<a/>", b"<a>\0</a>", b"<a>" * 300 + b"</a>" * 300])
def test_malformed_xml_is_refused(raw: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        parsed(raw)
    assert (caught.value.source, caught.value.field) == ("x", "y")


def test_a_document_type_hidden_by_another_encoding_is_not_seen_by_the_parser_either() -> None:
    hidden = b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a [<!ENTITY b "c">]><a/>'
    with pytest.raises(ParseError, match="malformed XML"):
        parsed(hidden)


def test_large_xml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_document, "_MAX_MARKUP", 10)
    with pytest.raises(LimitExceeded, match="more than 10 tags"):
        parsed(b"<a>" + b"<b/>" * 10 + b"</a>")
    monkeypatch.setattr(xml_document, "MAX_XML", 10)
    with pytest.raises(LimitExceeded, match="at most 10 are allowed"):
        parsed(b"<a></a>     ")


def test_an_element_knows_its_line() -> None:
    root = parse_xml(b"<a>\n<b/></a>", source="x", field="y")
    assert [line_of(each) for each in root.iter()] == [1, 2]


# --- C14N 1.0


def canonical(text: str, path: str | None = None) -> str:
    root = parse_xml(text.encode(), source="x", field="y")
    element = root.getroottree() if path is None else root.find(path)
    assert element is not None
    return canonical_xml(element, source="x", field="y").decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # https://www.w3.org/TR/2001/REC-xml-c14n-20010315, 3.1: instructions stay, comments and declarations do not.
        (
            '<?xml version="1.0"?>\n<?xml-stylesheet   href="doc.xsl"\n   type="text/xsl"   ?>\n'
            "<doc>Hello, world!<!-- Comment 1 --></doc>\n<?pi-without-data     ?>\n<!-- Comment 2 -->",
            '<?xml-stylesheet href="doc.xsl"\n   type="text/xsl"   ?>\n<doc>Hello, world!</doc>\n<?pi-without-data?>',
        ),
        # 3.3: start and end tags.
        ("<doc><e1   /><e2   ></e2><e3   name = \"elem3\"   id=\"elem3\"   /></doc>",
         '<doc><e1></e1><e2></e2><e3 id="elem3" name="elem3"></e3></doc>'),
        # 3.4: character references and CDATA.
        ("<doc><text>First line&#x0d;&#10;Second line</text><value>&#x32;</value>"
         '<compute><![CDATA[value>"0" && value<"10" ?"valid":"error"]]></compute></doc>',
         "<doc><text>First line&#xD;\nSecond line</text><value>2</value>"
         '<compute>value&gt;"0" &amp;&amp; value&lt;"10" ?"valid":"error"</compute></doc>'),
        # 3.6: UTF-8.
        ('<?xml version="1.0" encoding="ISO-8859-1"?><doc>&#169;</doc>', "<doc>©</doc>"),
    ],
)  # fmt: skip
def test_the_examples_of_the_recommendation(text: str, expected: str) -> None:
    assert canonical(text) == expected


def test_an_element_takes_the_namespaces_that_it_inherits_along() -> None:
    """Under a default namespace lxml alone writes xmlns="" into the children of such an element."""
    text = '<a xmlns="urn:d" xmlns:u="urn:u"><b c="1"><e/><u:f/></b>tail</a>'
    expected = '<b xmlns="urn:d" xmlns:u="urn:u" c="1"><e></e><u:f></u:f></b>'
    assert canonical(text, "{urn:d}b") == expected


@pytest.mark.parametrize("path", [None, "b"])
def test_what_has_no_canonical_form_is_refused(path: str | None) -> None:
    with pytest.raises(ParseError, match="cannot be canonicalised") as caught:
        canonical('<a><b xmlns:c="relative"/></a>', path)
    assert (caught.value.source, caught.value.field) == ("x", "y")
