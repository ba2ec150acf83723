"""INF properties: nothing but our errors on any bytes, and documents that read back as they were written."""

import re
import time
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from hwdash.drivers.errors import DriversError, LimitExceeded
from hwdash.drivers.inf.contents import contents
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
        "$ARCH$", "Needs=I,S\n", "Include=x.inf\n", "ExcludeID=x\n",
        "[I.Events]\n", "AddEventProvider=x,S\n", "AddAutoLogger=x,x,S\n", "AddChannel=x,1,S\n", "Value=1\n",
        "LoggingAutoBackup=1\n", "FileName=x\n", "[I.Software]\n", "AddSoftware=x,,S\n", "SoftwareType=1\n",
        "SoftwareBinary=%11%\\x\n", "[I.Components]\n", "AddComponent=x,,S\n", "ComponentIDs=x\n", "[I.COM]\n",
        "AddComServer=x,,S\n", "AddComClass=x,,S\n", "ThreadingModel=x\n", "[I.Wdf]\n", "UmdfService=x,S\n",
        "UmdfLibraryVersion=1.1\n", "[I.WMI]\n", "WMIInterface=x,3,S\n", "DelReg=R\n", "BitReg=R\n", "AddProperty=R\n",
        "HKLM,SYSTEM\\x,y,0x10001,z\n", "HKR,Ndi,FilterType,0x10001,2\n", "[DefaultInstall.NetDrivers]\n",
        "AddNetFilter=x,S\n", "FilterClass=x,y\n", "Class=Display\n", "StartType=0\n",
    ]
)  # fmt: skip
TEXT = st.lists(WORDS, max_size=60).map("".join)


def look_at_everything(data: bytes) -> None:
    inf = Inf.parse(data, source="x.inf")
    inf.to_text()
    list(inf.unstamped())
    with suppress(LimitExceeded):
        contents(inf)
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


# The grammar once more, character by character, as facts/inf/inf_grammar.yaml has it: an oracle of another make.
CHARACTERS = st.text(st.sampled_from('ab1 \t\r\u00a0"";,=\\\\%\n\n'), max_size=60)
END_OF_LINE = re.compile(r"\\+\s*(;.*)?\Z")


def by_character(lines: list[str]) -> list[tuple[str | None, list[tuple[str, bool, tuple[int, int]]]]]:
    """Keys and fields of the lines below a header; a field is its text, whether it is quoted, and its place."""
    entries = []
    number = 0
    while number < len(lines):
        key: str | None = None
        done: list[tuple[str, bool, tuple[int, int]]] = []
        chars: list[tuple[str, bool]] = []  # a character, and whether it stays though it is white space
        place: tuple[int, int] | None = None
        quoted = anything = False

        def finish() -> tuple[str, bool, tuple[int, int]]:
            nonlocal chars, place, quoted
            while chars and chars[-1][0].isspace() and not chars[-1][1]:
                chars.pop()
            field = "".join(char for char, _ in chars), quoted, place or (0, 0)
            chars, place, quoted = [], None, False
            return field

        joins = True
        while joins and number < len(lines):
            line, joins = lines[number], False
            number += 1
            at = len(line) - len(line.lstrip())
            while at < len(line):
                char = line[at]
                if char == ";":
                    break
                if char == "\\" and END_OF_LINE.match(line, at):
                    joins = True
                    break
                if char == '"':
                    place, quoted, anything = place or (number + 1, at + 1), True, True
                    at += 1
                    while at < len(line) and (line[at] != '"' or line[at + 1 : at + 2] == '"'):
                        chars.append((line[at], True))
                        at += 2 if line[at] == '"' else 1
                    chars = [(each, True) for each, _ in chars]  # white space before it stays as well
                elif char == "," or (char == "=" and key is None and not done):
                    anything = True
                    if char == ",":
                        done.append(finish())
                    else:
                        key = finish()[0]
                elif place is not None or not char.isspace():
                    place, anything = place or (number + 1, at + 1), True
                    chars.append((char, False))
                at += 1
            while chars and chars[-1][0].isspace() and not chars[-1][1]:
                chars.pop()
        if anything:
            entries.append((key, [*done, finish()]))
    return entries


@given(CHARACTERS)
@settings(max_examples=1000)
def test_lines_are_read_as_one_character_after_the_other_says(text: str) -> None:
    found = [
        (entry.key, [(each.text, each.quoted, (each.line, each.column)) for each in entry.values])
        for entry in Inf.from_text(f"[s]\n{text}", source="x").entries("s")
    ]
    expected = by_character(text.split("\n"))
    # The place of an empty field is a matter of taste.
    for (_, fields), (_, wanted) in zip(found, expected, strict=True):
        for number, (value, place) in enumerate(zip(fields, wanted, strict=True)):
            if place[2] == (0, 0):
                fields[number] = (*value[:2], (0, 0))
    assert found == expected


TOKEN = st.text(st.characters(codec="utf-8", exclude_characters='%\n\r\x1a\0"'), min_size=1, max_size=6).map(str.strip)
STRING = st.text(LINE, max_size=8)
LANGUAGES = (0x0407, 0x0C07, 0x0409, 0x0411)


@given(
    st.dictionaries(TOKEN.filter(bool).map(str.lower), STRING, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(LANGUAGES), st.dictionaries(TOKEN.filter(bool).map(str.lower), STRING, max_size=3)),
    st.lists(st.sampled_from(["%%", "a", " ", "; "]) | st.none(), max_size=5),
    st.data(),
)
def test_tokens_of_each_language_read_back_as_they_were_written(
    strings: dict[str, str], localised: dict[int, dict[str, str]], parts: list[str | None], data: st.DataObject
) -> None:
    names = [data.draw(st.sampled_from(sorted(strings))) if part is None else "" for part in parts]
    text = "".join(part or f"%{name}%" for part, name in zip(parts, names, strict=True))
    tables = {"Strings": strings} | {f"Strings.{language:04x}": table for language, table in localised.items()}
    sections = {
        name.lower(): Section(
            name, 0, [Entry(key, (Field(value, 0, 0, True),), 0, 0, 0) for key, value in table.items()], []
        )
        for name, table in tables.items()
    }
    sections["s"] = Section("s", 0, [Entry("key", (field(text), field("%unknown%")), 0, 0, 0)], [])
    again = Inf.parse(Inf(sections, source="x").to_text().encode("utf-16"), source="y")
    assert set(again.languages) == set(localised)
    (entry,) = again.entries("s")
    assert entry.value(0) == text
    for language, table in localised.items():
        known = strings | table
        assert again.strings(language) == known
        assert again.substitute(entry.value(0), language) == expected(parts, names, known)
        assert again.substitute(entry.value(1), language) == known.get("unknown", "%unknown%")


def expected(parts: list[str | None], names: list[str], known: dict[str, str]) -> str:
    replaced = [
        known[name] if part is None else "%" if part == "%%" else part for part, name in zip(parts, names, strict=True)
    ]
    return "".join(replaced)


@given(st.lists(VALUE, min_size=1, max_size=6), st.lists(st.sampled_from(["", " ", "\t", " ; why"]), min_size=6))
def test_folding_a_line_at_each_comma_keeps_its_values(values: list[str], ends: list[str]) -> None:
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    folded = "".join(f"{value},\\{end}\n\t" for value, end in zip(quoted, ends, strict=False)) + '"last"'
    (entry,) = Inf.from_text(f"[a]\nkey = {folded}\n[b]\n", source="x").entries("a")
    assert [value.text for value in entry.values] == [*values, "last"]
    assert [value.line for value in entry.values] == list(range(2, len(values) + 3))
    assert (entry.line, entry.end_line) == (2, len(values) + 2)


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
        "[DefaultInstall]\nNeeds=a0\n" + "".join(f"[a{n}]\nNeeds=a{n + 1}" + ",a0" * 50 + "\n" for n in range(900)),
        "".join(f"[DefaultInstall.NTx86.{n}]\nCopyFiles=F\n" for n in range(1000)) + "[F]\n" + "a\n" * 100,
        '[x]\n"a' + '",' * 50_000 + '\\\n"' * 1000,
        "[Manufacturer]\na=M,"
        + ",".join(f"NTamd64.10.0...{17_000 + number}" for number in range(5_000))
        + "\n[R]\n"
        + "".join(f"[M.NTamd64.10.0...{17_000 + number}]\nd=I,x\nd=J,x\n" for number in range(5_000))
        + "".join(f"HKLM,x,{number},,y\n" for number in range(5_000))
        + "[I]\nAddReg=R\n[J]\nAddReg=R,R\n",
        "[DefaultInstall.NTx86.Components]\n"
        + "AddComponent=x,,C\n" * 10_000
        + "[DefaultInstall.NTx86]\n[C]\n"
        + "ComponentIDs=x\n" * 10_000,
        "[DefaultInstall.NTx86.Events]\n"
        + "AddEventProvider=x,P\n" * 10_000
        + "[DefaultInstall.NTx86]\n[P]\n"
        + "AddChannel=x,1,C\n" * 10_000
        + "[C]\nValue=1\nLoggingAutoBackup=1\n",
    ]
    for shape in shapes:
        started = time.process_time()
        look_at_everything((section + shape).encode())
        assert time.process_time() - started < 10
