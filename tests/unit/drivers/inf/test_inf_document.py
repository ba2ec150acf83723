"""Reading INF text: encodings, sections, entries, quotes, continuations, strings."""

import codecs
from datetime import date

import pytest

from hwdash.drivers.errors import LimitExceeded, ParseError
from hwdash.drivers.inf import lexer
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.encoding import decode


def parse(text: str) -> Inf:
    return Inf.from_text(text, source="t.inf")


def read(line: str) -> list[tuple[str | None, list[str]]]:
    """The entries of lines in a section of their own."""
    return [(entry.key, [field.text for field in entry.values]) for entry in parse(f"[s]\n{line}").entries("s")]


@pytest.mark.parametrize(
    ("line", "key", "values"),
    [
        ("key = value", "key", ["value"]),
        ("key=a,b , c", "key", ["a", "b", "c"]),
        ("a,b", None, ["a", "b"]),
        ("alone", None, ["alone"]),
        ("= value", "", ["value"]),
        ("key =", "key", [""]),
        ("key = a,,b,", "key", ["a", "", "b", ""]),
        (",", None, ["", ""]),
        ("HKR,,Name,,a=b", None, ["HKR", "", "Name", "", "a=b"]),
        ("key = a=b", "key", ["a=b"]),
        ("\t key\u00a0= value \r", "key", ["value"]),
        ("key = value ; comment, x", "key", ["value"]),
        ('key = "a;b,c=d" ; comment', "key", ["a;b,c=d"]),
        ('key = "say ""hi"""', "key", ['say "hi"']),
        ('key = a""b', "key", ["ab"]),
        ('key = ""', "key", [""]),
        ('key = " padded "', "key", [" padded "]),
        ('key = x  "y"  z  ', "key", ["x  y  z"]),
        ('key = "open, to the end', "key", ["open, to the end"]),
        ('key = "open \\', "key", ["open \\"]),
        ('"a = b", c', None, ["a = b", "c"]),
        ('"quoted key" = 1', "quoted key", ["1"]),
        ("key = 'a,b'", "key", ["'a", "b'"]),
        ("key = c:\\dir\\file", "key", ["c:\\dir\\file"]),
        ("key = a\\ b", "key", ["a\\ b"]),
        ("key = %a;b%", "key", ["%a"]),
    ],
)
def test_a_line_is_split_as_setup_splits_it(line: str, key: str | None, values: list[str]) -> None:
    assert read(line) == [(key, values)]


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ("key = a, \\\n  b", ["a", "b"]),
        ("key = a \\\n  b", ["ab"]),
        ("key = a \\\\\\ \t\r\n  b", ["ab"]),
        ("key = a, \\ ; comment\n\tb", ["a", "b"]),
        ("key = a, \\\n\\\n b", ["a", "b"]),
        ('key = "a " \\\n " b"', ["a  b"]),
        ("key = a, \\\n\nother = 1", ["a", ""]),
        ("key = a, \\\n[t]", ["a", "[t]"]),
        ("key = a, \\", ["a", ""]),
    ],
)
def test_a_backslash_at_the_end_joins_the_next_line(lines: str, values: list[str]) -> None:
    assert read(lines)[0] == ("key", values)


@pytest.mark.parametrize("lines", ["", "; only", "   \r", "\\", "\\\n\\\n ; end", "  \\ ; x\n"])
def test_lines_without_text_are_no_entries(lines: str) -> None:
    assert read(lines) == []


def test_places_are_those_of_the_text() -> None:
    (entry,) = parse('[s]\n\n  key = "a",   b, \\\n    c').entries("s")
    assert (entry.line, entry.column, entry.end_line) == (3, 3, 4)
    assert [(field.text, field.line, field.column) for field in entry.values] == [
        ("a", 3, 9),
        ("b", 3, 16),
        ("c", 4, 5),
    ]
    assert [field.quoted for field in entry.values] == [True, False, False]
    (entry,) = parse("[s]\n k =  x, y").entries("s")
    assert (entry.column, [field.column for field in entry.values]) == (2, [7, 10])


@pytest.mark.parametrize(
    "line",
    [
        'key = "a", b, "c;d", e f ; comment',
        '  "a", b ,\t"c"',
        '  key = "a", b ',
        "\tkey=a,b c , d=e\r",
        'HKR,, "Name", 0x1, "text"\r',
        "%Device% = Install, PCI\\VEN_1234&DEV_5678",
    ],
)
def test_the_ways_of_reading_a_line_agree(line: str) -> None:
    """An empty doubled quote at its end sends a line the way of the odd ones."""
    (entry,) = parse(f"[s]\n{line}").entries("s")
    body, semicolon, comment = line.partition(" ; ")
    (other,) = parse(f'[s]\n{body.rstrip()}, """"{semicolon}{comment}').entries("s")
    assert (entry.key, entry.values, entry.line, entry.column) == (
        other.key,
        other.values[:-1],
        other.line,
        other.column,
    )


def test_repeated_keys_and_sections_keep_their_order() -> None:
    inf = parse("[A]\nx=1\nX=2\n[b]\n[a] junk\nx=3\n")
    assert [entry.value(0) for entry in inf.entries("a", "X")] == ["1", "2", "3"]
    assert [(section.name, section.line, section.repeated) for section in inf.sections] == [("A", 1, [5]), ("b", 4, [])]


def test_a_section_name_is_what_stands_between_the_brackets() -> None:
    names = [section.name for section in parse('[ a;"%x%[ ]\n  [b].c]\n[]').sections]
    assert names == [' a;"%x%[ ', "b", ""]


def test_a_section_without_a_closing_bracket_is_an_error_with_its_line() -> None:
    with pytest.raises(ParseError, match=r"line 2: .*'\]'") as error:
        parse("[a]\n[b")
    assert error.value.line == 2


def test_text_before_the_first_section_needs_a_strings_section() -> None:
    with pytest.raises(ParseError, match="before the first") as error:
        parse("; fine\n/* banner\n*/\n[Version]\n")
    assert error.value.line == 2
    assert parse("/* banner */\n[Version]\n[strings]\n").section("version") is not None


def test_control_z_ends_the_file() -> None:
    inf = parse("[a]\nx=1\n\x1a\0[b")
    assert [section.name for section in inf.sections] == ["a"]


def test_a_binary_file_is_not_an_inf() -> None:
    with pytest.raises(ParseError, match="NUL"):
        Inf.parse(b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff", source="x.inf")


def test_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceeded, match="11 bytes"):
        Inf.parse(b"[a]\nx = 1\r\n", source="t", max_bytes=10)
    monkeypatch.setattr(lexer, "MAX_LINES", 5)
    monkeypatch.setattr(lexer, "MAX_SECTIONS", 2)
    monkeypatch.setattr(lexer, "MAX_FIELDS", 6)
    for text in ("[a]\n\n\n\n\n", "[a]\n[b]\n[c]", "[a]\n,,,,,,", '[a]\n"",,,,,,'):
        with pytest.raises(LimitExceeded, match="more than"):
            parse(text)


TEXT = '[Strings]\nm = "Müller"\n'


@pytest.mark.parametrize(
    ("data", "encoding", "rule"),
    [
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16-le", None),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16-be", "inf.1003"),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8", "inf.1003"),
        (TEXT.encode("utf-16-le"), "utf-16-le", "inf.1003"),
        (TEXT.encode("utf-16-be"), "utf-16-be", "inf.1003"),
        (TEXT.encode(), "utf-8", "inf.encoding-ambiguous"),
        (TEXT.encode("cp1252"), "cp1252", "inf.encoding-ambiguous"),
    ],
)
def test_every_encoding_is_read_and_the_unsupported_ones_reported(data: bytes, encoding: str, rule: str | None) -> None:
    inf = Inf.parse(data, source="t.inf")
    assert inf.strings()["m"] == "Müller"
    assert inf.encoding == encoding
    assert [finding.rule for finding in inf.findings] == ([rule] if rule else [])


def test_ascii_is_silent() -> None:
    assert decode(b"[Version]", source="t") == ("[Version]", "ascii", [])
    assert decode(b"", source="t") == ("", "ascii", [])


@pytest.mark.parametrize(
    ("data", "line"), [(b"\xff\xfe[\0a\0]\0\n\0\0\xd8x\0", 2), (b"\xff\xfe[\0a\0]\0x", 1), (b"\xef\xbb\xbf\n\n\xff", 3)]
)
def test_broken_encodings_are_reported_with_their_line(data: bytes, line: int) -> None:
    text, _, findings = decode(data, source="t")
    assert "\ufffd" in text
    assert (findings[-1].rule, findings[-1].line) == ("inf.1003", line)


STRINGS = """[Version]
Provider = %Maker%
[s]
%Key% = 1
[Strings]
Maker = "Acme, Inc."
maker = "second"
Key = "the key"
13 = "thirteen"
plain = a, b
nested = "%Maker%"
[Strings.0407]
Maker = "Acme GmbH"
[Strings.0009]
Maker = "neutral"
[Strings.0810]
Maker = "svizzero"
"""


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("%maker%", "Acme, Inc."),
        ("%Key%%plain%", "the keya"),
        ("100%%", "100%"),
        ("%%maker%%", "%maker%"),
        ("%nested%", "%Maker%"),
        ("%unknown% and %key%", "%unknown% and the key"),
        ("%12%\\x.sys", "%12%\\x.sys"),
        ("%13%", "thirteen"),
        ("50 % off", "50 % off"),
        ("none", "none"),
    ],
)
def test_tokens_are_replaced_once(text: str, result: str) -> None:
    assert parse(STRINGS).substitute(text) == result


@pytest.mark.parametrize(
    ("language", "maker"),
    [
        (None, "Acme, Inc."),
        (0x0407, "Acme GmbH"),  # its own section
        (0x0409, "neutral"),  # the neutral section of its primary language
        (0x0410, "svizzero"),  # any of its primary language
        (0x0411, "Acme, Inc."),  # none: [Strings]
    ],
)
def test_a_language_chooses_its_strings(language: int | None, maker: str) -> None:
    inf = parse(STRINGS)
    assert inf.substitute("%Maker%", language) == maker
    assert inf.substitute("%Key%", language) == "the key"
    assert inf.languages == {0x0407: "strings.0407", 0x0009: "strings.0009", 0x0810: "strings.0810"}


def test_keys_are_found_by_their_replaced_text() -> None:
    inf = parse(STRINGS)
    found = inf.first("s", "THE KEY")
    assert found is not None
    assert inf.values(found) == ["1"]
    assert inf.first("s", "%Key%") is None
    assert inf.entries("missing") == []


def test_the_version_section_is_read_with_its_tokens() -> None:
    version = parse(
        '\n[Version]\nSignature="$Windows NT$"\nClass=%c%\nClassGuid={4D36E97D-E325-11CE-BFC1-08002BE10318}\n'
        "Provider=Acme\nDriverVer=06/21/2006,6.1.7600.16385\nCatalogFile.NTamd64=a.cat\nCatalogFile=b.cat\n"
        "PnpLockdown=1\n[Strings]\nc=System\n"
    ).version
    assert (version.line, version.signature, version.class_name) == (2, "$Windows NT$", "System")
    assert version.catalog_files == {".ntamd64": "a.cat", "": "b.cat"}
    assert (version.catalog("amd64"), version.catalog("arm64")) == ("a.cat", "b.cat")
    assert (version.provider, version.pnp_lockdown, version.extension_id) == ("Acme", "1", "")
    assert version.driver_ver is not None
    assert (version.driver_ver.date, version.driver_ver.version) == (date(2006, 6, 21), (6, 1, 7600, 16385))
    assert version.driver_ver.line == 7
    assert not version.is_extension
    assert parse("[version]\nclass=EXTENSION").version.is_extension
    assert parse("").version.line == 0
    assert parse("").version.catalog("amd64") is None
    assert parse("[Version]\nCatalogFile.NT=a.cat\nCatalogFile=b.cat").version.catalog("x86") == "a.cat"


@pytest.mark.parametrize(
    ("text", "day", "version"),
    [
        ("1/2/2003,1.2", date(2003, 1, 2), (1, 2, 0, 0)),
        ("01-02-2003, 1.2.3.65535", date(2003, 1, 2), (1, 2, 3, 65535)),
        ("13/01/2003,1.2.3.65536", None, None),
        ("02/30/2003,1.2.3.4.5", None, None),
        ("01/01/03,a.b", None, None),
        ("01/01/2003", date(2003, 1, 1), None),
        ("０1/01/2003,١.0.0.0", None, None),
        ("01/01/0000,-1.0", None, None),
    ],
)
def test_driver_ver_parts_are_read_or_none(text: str, day: date | None, version: tuple[int, ...] | None) -> None:
    stamp = parse(f"[Version]\nDriverVer = {text}").version.driver_ver
    assert stamp is not None
    assert (stamp.date, stamp.version) == (day, version)


def test_tokens_of_stampinf_are_named_with_their_lines() -> None:
    inf = parse("[Manufacturer]\n%M% = S,NT$ARCH$\n[S.NT$ARCH$]\nx = y$KMDFVERSION$, $other$\n")
    assert list(inf.unstamped()) == [("$ARCH$", 2), ("$ARCH$", 3), ("$KMDFVERSION$", 4)]
