"""INF properties: nothing but our errors on any bytes, and documents that read back as they were written."""

import time
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from hwdash.drivers.errors import DriversError
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry, Field, Section
from hwdash.drivers.inf.metadata import driver_metadata
from hwdash.drivers.inf.models import devices_for
from hwdash.drivers.inf.verify import verify
from hwdash.drivers.package import check_inf_references, check_layout, driver_folders, unsafe_path_reason
from hwdash.vocabulary import OPERATING_SYSTEMS

WORDS = st.sampled_from(
    [
        "[Version]\n", "[Manufacturer]\n", "[Strings]\n", "[M.NTamd64]\n", "[I]\n", "[I.Services]\n", "[S]\n", "[F]\n",
        "[DestinationDirs]\n", "[SourceDisksFiles]\n", "[SourceDisksNames]\n", "[DefaultInstall.NTamd64]\n",
        'Signature="$WINDOWS NT$"\n', "%x%=M,NTamd64\n", "%x% = I, A\\B\n", "CopyFiles=F,@f\n", "AddReg=R\n", "[R]\n",
        "HKR,,x,0x8,y\n", "AddService=x,2,S\n", "ServiceBinary=%13%\\x\n", "x,y\n", "x=1\n", "DriverVer=1/1/1,1\n",
        "CatalogFile=\n", "[Strings.0407]\n", "[", "]", '"', "\\", "%", ",", "=", ";", "\n", " ", "\0", "\x1a",
        "$ARCH$",
    ]
)  # fmt: skip
TEXT = st.lists(WORDS, max_size=60).map("".join)


def look_at_everything(data: bytes) -> None:
    inf = Inf.parse(data, source="x.inf")
    inf.to_text()
    list(inf.unstamped())
    driver_metadata({"b": [("x.inf", inf)]}, OPERATING_SYSTEMS)
    for system in OPERATING_SYSTEMS[-3:]:
        devices_for(inf, system)
    verify(inf, mode="windows")
    verify(inf, mode="declarative")
    check_inf_references(inf, {"f"})
    inf.substitute("%x%%%", 0x0407)


@given(st.binary(max_size=300) | TEXT.map(str.encode) | TEXT.map(lambda text: text.encode("utf-16")))
@settings(max_examples=400, deadline=None)
def test_bytes_give_a_document_or_one_of_our_errors(data: bytes) -> None:
    with suppress(DriversError):  # anything else fails the test
        look_at_everything(data)


LINE = st.characters(exclude_characters="\n\x1a\0", codec="utf-8")
VALUE = st.text(LINE, max_size=12) | st.sampled_from(["", "a\\", ";", '"', " ", "a=b", "[x]", "\\", "=,;"])
NAME = st.text(st.characters(exclude_characters="]\n\x1a\0", codec="utf-8"), max_size=12)


def field(text: str) -> Field:
    return Field(text, 0, 0, False)


ENTRY = st.builds(
    lambda key, values: Entry(key, tuple(map(field, values)), 0, 0, 0),
    st.none() | VALUE,
    st.lists(VALUE, min_size=1, max_size=5),
)


def quoted(entry: Entry) -> Entry:
    """A single empty value without a key must be quoted, or there is no entry at all."""
    if entry.key is None and len(entry.values) == 1 and not entry.values[0].text:
        return entry._replace(values=(entry.values[0]._replace(quoted=True),))
    return entry


@given(st.dictionaries(NAME, st.lists(ENTRY, max_size=6), max_size=5))
def test_a_document_reads_back_as_it_was_written(contents: dict[str, list[Entry]]) -> None:
    sections = {
        name.lower(): Section(name, 0, [quoted(entry) for entry in lines], []) for name, lines in contents.items()
    }
    again = Inf.parse(Inf(sections, source="x").to_text().encode("utf-16"), source="y")
    assert [
        (section.name, [(entry.key, [value.text for value in entry.values]) for entry in section.entries])
        for section in again.sections
    ] == [
        (section.name, [(entry.key, [value.text for value in entry.values]) for entry in section.entries])
        for section in sections.values()
    ]


@given(TEXT)
def test_continuing_a_value_on_the_next_line_changes_nothing(text: str) -> None:
    plain = Inf.from_text("[a]\nkey = one, two\n[b]\n", source="x")
    folded = Inf.from_text(
        f"[a]\nkey = one, \\ ;{text.partition(chr(10))[0]}\n  two\n[b]\n".replace("\0", "").replace("\x1a", ""),
        source="x",
    )
    assert [value.text for value in folded.entries("a")[0].values] == [
        value.text for value in plain.entries("a")[0].values
    ]


@given(st.lists(st.text(st.sampled_from("ab./\\: ") | st.characters(), max_size=12), max_size=8))
def test_any_names_can_be_checked(names: list[str]) -> None:
    reasons = [unsafe_path_reason(name) for name in names]
    found = check_layout(names)
    assert sum(finding.rule == "package.unsafe-name" for finding in found) == sum(map(bool, reasons))
    assert sum(map(len, driver_folders(names).values())) == sum("/" in name or "\\" in name for name in names)


def test_hostile_text_takes_time_in_proportion_to_its_size() -> None:
    section = "[Version]\nSignature=$CHICAGO$\n"
    shapes = [
        "[M]\n" + "a\\\n" * 30_000,
        '[M]\nk="' + '""' * 300_000,
        "[M]\n" + "\\ " * 150_000,
        "[M]\n" + "," * 60_000,
        "[Manufacturer]\n" + "a=M\n" * 10_000 + "[M]\n" + "d=I,x\n" * 10_000 + "[I]\n" + "CopyFiles=F\n" * 5_000,
        "[Manufacturer]\na=M" + ",NTamd64.10.0...17000" * 10_000 + "\n[M.NTamd64.10.0...17000]\nd=I,x\n[I]\n",
        "[DefaultInstall.NTx86]\n" + "CopyFiles=F\n" * 10_000 + "[F]\n" + "a\n" * 10_000,
        "[DefaultInstall.NTx86.Services]\n" + "AddService=a,2,S\n" * 10_000 + "[S]\n" + "AddReg=R\n" * 10_000,
        "[Strings]\na=b\n[x]\n" + "k=" + "%" * 150_000,
    ]
    for shape in shapes:
        started = time.process_time()
        look_at_everything((section + shape).encode())
        assert time.process_time() - started < 10
