"""Imports as objdump lists them, in images of a real tool chain, and what only hand-made images have."""

import io
import re
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pydivert
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pe_images
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError
from hwdash.drivers.pe import PeImage
from hwdash.drivers.pe_imports import MAX_FUNCTIONS, MAX_MODULES, ImportedModule, imported_modules
from hwdash.drivers.pe_sections import MappedImage
from pe_images import AMD64, I386, RVA, Content, image, importing

WINDIVERT = sorted(Path(pydivert.__file__).parent.rglob("WinDivert64.*"))


def modules_in(content: bytes) -> list[ImportedModule]:
    stream = io.BytesIO(content)
    return imported_modules(MappedImage(stream, PeImage.open(stream, source="x.sys"), source="x.sys"))


def told_by_objdump(file: Path) -> list[tuple[str, list[str]]]:
    command = ["x86_64-w64-mingw32-objdump", "-p", str(file)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    tables = text.partition("The Import Tables")[2].partition("\nThe ")[0]
    found: list[tuple[str, list[str]]] = []
    for line in tables.splitlines():
        if module := re.fullmatch(r"\s*DLL Name: (.+)", line):
            found.append((module[1], []))
        elif found and (function := re.fullmatch(r"\t[0-9a-f]+\t\s*[0-9]+  (\w+).*", line)):
            found[-1][1].append(function[1])
    return found


@pytest.mark.parametrize("file", WINDIVERT, ids=lambda file: file.name)
def test_a_real_driver_imports_what_objdump_lists(file: Path) -> None:
    found = [(each.name, list(each.functions)) for each in modules_in(file.read_bytes())]
    assert len(found) >= 2
    assert found == told_by_objdump(file)


def test_a_linked_dll_imports_what_objdump_lists(tmp_path: Path) -> None:
    source = """
    __declspec(dllimport) int __stdcall MessageBoxA(void *, const char *, const char *, unsigned);
    __declspec(dllimport) unsigned long __stdcall GetLastError(void);
    int use(void) { return MessageBoxA(0, "a", "b", 0) + (int)GetLastError(); }
    """
    made = pe_images.linked_dll(tmp_path, source, "user32", "kernel32")
    found = [(each.name.lower(), list(each.functions)) for each in modules_in(made.read_bytes())]
    assert sorted(found) == [("kernel32.dll", ["GetLastError"]), ("user32.dll", ["MessageBoxA"])]
    assert [(name.lower(), functions) for name, functions in told_by_objdump(made)] == found


@pytest.mark.parametrize("machine", [AMD64, I386])
def test_names_and_ordinals_at_load_and_delayed(machine: int) -> None:
    at_load = [("ntoskrnl.exe", ("IoCreateDevice", 7)), ("HAL.dll", (0xFFFF,))]
    found = modules_in(importing(at_load, delayed=[("user32.dll", ("GetDC", 3))], machine=machine))
    assert found == [
        ImportedModule("ntoskrnl.exe", ("IoCreateDevice", 7), False),
        ImportedModule("HAL.dll", (0xFFFF,), False),
        ImportedModule("user32.dll", ("GetDC", 3), True),
    ]


def test_a_delay_load_table_of_addresses_is_read_as_one() -> None:
    content = Content()
    place = content.delay_imports([("old.dll", ("F",))], 4, base=0x400000)
    found = modules_in(image(bytes(content.data), {13: place}, machine=I386, base=0x400000))
    assert found == [ImportedModule("old.dll", ("F",), True)]


def test_an_image_without_import_tables_imports_nothing() -> None:
    assert modules_in(image()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("api-ms-win-core-file-l1-1-0.dll", "apiSet"),
        ("EXT-MS-Win-session-wtsapi32-l1-1-0.dll", "apiSet"),
        ("NTOSKRNL.EXE", "kernel"),
        ("hal.dll", "kernel"),
        ("WDFLDR.SYS", "kernel"),
        ("kernel32.dll", "dll"),
        ("api.dll", "dll"),
    ],
)
def test_kinds_of_modules(name: str, kind: str) -> None:
    assert ImportedModule(name, (), False).kind == kind


class TestHostile:
    def test_a_table_outside_of_the_file_is_an_error_that_names_it(self) -> None:
        with pytest.raises(ParseError, match=r"RVA 0x900000 is in no part of the file") as caught:
            modules_in(image(b"x", {1: (0x900000, 40)}))
        assert caught.value.field == "import table"

    def test_a_table_without_an_end_stops_at_its_section(self) -> None:
        with pytest.raises(ParseError, match=r"section|part of the file"):
            modules_in(image(struct.pack("<IIIII", RVA + 64, 0, 0, RVA + 64, RVA + 64) * 25, {1: (RVA, 500)}))

    def test_a_name_without_an_end_is_an_error(self) -> None:
        content = struct.pack("<IIIII", 0, 0, 0, RVA + 64, RVA + 40).ljust(64, b"\0") + b"n" * 0x1C0
        with pytest.raises(ParseError, match="has no end"):
            modules_in(image(content, {1: (RVA, 40)}))

    def test_modules_are_counted(self) -> None:
        one = struct.pack("<IIIII", RVA + 0x20000, 0, 0, RVA + 0x20008, RVA + 0x20000)
        content = (one * (MAX_MODULES + 1)).ljust(0x20000, b"\0") + bytes(8) + b"a.dll\0"
        with pytest.raises(LimitExceeded, match=f"more than {MAX_MODULES} modules"):
            modules_in(image(content, {1: (RVA, 20)}))

    def test_functions_are_counted_over_all_modules(self) -> None:
        many = list(range(1, MAX_FUNCTIONS // 2 + 2))
        with pytest.raises(LimitExceeded, match=f"more than {MAX_FUNCTIONS} functions"):
            modules_in(importing([("a.dll", many), ("b.dll", many)], machine=I386))

    def test_long_names_are_counted_together(self) -> None:
        content = Content()
        name = content.put(b"\0\0" + b"n" * 4000 + b"\0")
        lookup = content.put(struct.pack("<Q", name) * 6000 + bytes(8))
        table = content.put(struct.pack("<IIIII", lookup, 0, 0, content.put(b"a.dll\0"), lookup) + bytes(20))
        with pytest.raises(LimitExceeded, match="names of its imports"):
            modules_in(image(bytes(content.data), {1: (table, 40)}))

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def test_any_change_gives_modules_or_an_error_of_ours(self, data: st.DataObject) -> None:
        whole = bytearray(importing([("ntoskrnl.exe", ("A", 2))], delayed=[("b.dll", ("C",))]))
        for _ in range(data.draw(st.integers(1, 6))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
        with suppress(DriversError):
            modules_in(bytes(whole[:cut]))
