"""CHIDs: published values, and the SMBIOS tables and text files that their parts come from."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from hwdash.drivers import chid
from hwdash.drivers.chid import Computer, chids, parse_smbios, read_linux, read_this_machine
from hwdash.drivers.errors import LimitExceeded, ParseError

# A machine and its 15 CHIDs as published in fwupd's libfwupdplugin/fu-hwids-test.c.
T440S = Computer(
    manufacturer="LENOVO",
    family="ThinkPad T440s",
    product="20ARS19C0C",
    sku="LENOVO_MT_20AR_BU_Think_FM_ThinkPad T440s",
    baseboard_manufacturer="LENOVO",
    baseboard_product="20ARS19C0C",
    bios_vendor="LENOVO",
    bios_version="GJET75WW (2.25 )",
    bios_major=0x02,
    bios_minor=0x19,
    enclosure_type=0x0A,
)
PUBLISHED = {
    0: "147efce9-f201-5fc8-ab0c-c859751c3440",
    1: "b7cceb67-774c-537e-bf8b-22c6107e9a74",
    2: "f5ff077f-3eeb-5bae-be1c-e98ffe8ce5f8",
    3: "3faec92a-3ae3-5744-be88-495e90a7d541",
    4: "660ccba8-1b78-5a33-80e6-9fb8354ee873",
    5: "8dc9b7c5-f5d5-5850-9ab3-bd6f0549d814",
    6: "178cd22d-ad9f-562d-ae0a-34009822cdbe",
    7: "da1da9b6-62f5-5f22-8aaa-14db7eeda2a4",
    8: "059eb22d-6dc7-59af-abd3-94bbe017f67c",
    9: "0cf8618d-9eff-537c-9f35-46861406eb9c",
    10: "f4275c1f-6130-5191-845c-3426247eb6a1",
    11: "db73af4c-4612-50f7-b8a7-787cf4871847",
    12: "e093d715-70f7-51f4-b6c8-b4a7e31def85",
    13: "f8e1de5f-b68c-5f52-9d1a-f1ba52f1f773",
    14: "6de5d951-d755-576b-bd09-c5cf66b27234",
}


def values(computer: Computer) -> dict[int, str]:
    return {each.number: str(each.value) for each in chids(computer)}


def test_the_published_machine_has_its_published_chids() -> None:
    assert values(T440S) == PUBLISHED
    assert list(values(T440S)) == list(range(15))


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("sku", {0, 3, 4, 6, 7}),
        ("family", {0, 1, 3, 4, 5, 10, 11}),
        ("bios_minor", {0, 1, 2}),
        ("enclosure_type", {12}),
        ("baseboard_product", {3, 6, 8, 10, 13}),
        ("manufacturer", set(range(15))),
    ],
)
def test_a_chid_needs_all_its_values(missing: str, gone: set[int]) -> None:
    wanted = {number: value for number, value in PUBLISHED.items() if number not in gone}
    is_text = isinstance(getattr(T440S, missing), str)
    for nothing in (None, "", " \t", "000") if is_text else (None,):
        assert values(replace(T440S, **{missing: nothing})) == wanted  # type: ignore[arg-type]


def test_blanks_around_a_value_and_zeros_before_it_do_not_count_but_case_does() -> None:
    assert values(replace(T440S, manufacturer="  00LENOVO "))[14] == PUBLISHED[14]
    assert values(replace(T440S, manufacturer="0 LENOVO"))[14] != PUBLISHED[14]
    assert values(replace(T440S, manufacturer="Lenovo"))[14] != PUBLISHED[14]


def structure(kind: int, length: int, numbers: dict[int, int], strings: list[bytes]) -> bytes:
    made = bytearray(length)
    struct.pack_into("<BBH", made, 0, kind, length, kind)
    for offset, value in numbers.items():
        made[offset] = value
    return bytes(made) + (b"".join(text + b"\0" for text in strings) or b"\0") + b"\0"


BIOS = structure(0, 0x18, {4: 1, 5: 2, 0x14: 2, 0x15: 0x19}, [b"LENOVO", b"GJET75WW (2.25 )"])
SYSTEM = structure(
    1,
    0x1B,
    {4: 1, 5: 2, 0x19: 4, 0x1A: 3},
    [b"LENOVO", b"20ARS19C0C", b"ThinkPad T440s", b"LENOVO_MT_20AR_BU_Think_FM_ThinkPad T440s"],
)
RISER = structure(2, 0x0F, {4: 1, 5: 2, 0x0D: 0x0B}, [b"Somebody", b"Riser"])
BOARD = structure(2, 0x0F, {4: 1, 5: 2, 0x0D: 0x0A}, [b"LENOVO", b"20ARS19C0C"])
ENCLOSURE = structure(3, 0x16, {4: 1, 5: 0x0A}, [b"LENOVO"])
END = structure(127, 4, {}, [])
TABLE = BIOS + SYSTEM + RISER + BOARD + ENCLOSURE + structure(9, 6, {}, []) + END


def test_an_smbios_table_is_read() -> None:
    assert parse_smbios(TABLE, source="DMI") == T440S
    assert parse_smbios(TABLE + b"\0whatever", source="DMI") == T440S
    assert parse_smbios(TABLE.removesuffix(END), source="DMI") == T440S


def test_a_dump_with_an_entry_point_is_read() -> None:
    new = b"_SM3_" + bytes(7) + struct.pack("<IQ", len(TABLE), 0x20) + bytes(8) + TABLE
    old = b"_SM_" + bytes(18) + struct.pack("<HI", len(TABLE), 0x20) + bytes(4) + TABLE
    assert parse_smbios(new, source="dump") == parse_smbios(old, source="dump") == T440S
    with pytest.raises(ParseError, match="beyond the end") as caught:
        parse_smbios(new.replace(struct.pack("<Q", 0x20), struct.pack("<Q", 1 << 40), 1), source="dump")
    assert caught.value.offset == 0x10
    with pytest.raises(ParseError, match="entry point is cut off"):
        parse_smbios(new[:0x1F], source="dump")


def test_what_an_old_or_sparse_table_lacks_is_missing() -> None:
    short = structure(1, 8, {4: 1, 5: 9}, [b"\xb5Star"])
    assert parse_smbios(short, source="DMI") == Computer(manufacturer="\u00b5Star")
    only_riser = parse_smbios(SYSTEM + RISER, source="DMI")
    assert (only_riser.baseboard_product, only_riser.bios_vendor, only_riser.enclosure_type) == ("Riser", None, None)


@pytest.mark.parametrize(
    ("data", "offset", "why"),
    [
        (b"", 0, "no System Information"),
        (END, 0, "no System Information"),
        (SYSTEM + b"\x02\x0f", len(SYSTEM), "header is cut off"),
        (SYSTEM + b"\x02\x03\0\0\0\0", len(SYSTEM) + 1, "a structure of 3 bytes"),
        (SYSTEM + b"\x02\xff\0\0\0\0", len(SYSTEM) + 1, "a structure of 255 bytes where 4 to 6"),
        (SYSTEM[:-1], 0x1B, "strings of a structure do not end"),
    ],
)
def test_a_broken_table_is_refused_with_its_place(data: bytes, offset: int, why: str) -> None:
    with pytest.raises(ParseError, match=why) as caught:
        parse_smbios(data, source="DMI")
    assert caught.value.offset == offset


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceeded, match="bytes"):
        parse_smbios(bytes(chid.MAX_BYTES + 1), source="DMI")
    monkeypatch.setattr(chid, "MAX_STRUCTURES", 3)
    with pytest.raises(LimitExceeded, match="more than 3"):
        parse_smbios(TABLE, source="DMI")


def write_linux(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text + "\n")
    return folder


TEXTS = {
    "sys_vendor": "LENOVO",
    "product_family": "ThinkPad T440s",
    "product_name": "20ARS19C0C",
    "product_sku": "LENOVO_MT_20AR_BU_Think_FM_ThinkPad T440s",
    "board_vendor": "LENOVO",
    "board_name": "20ARS19C0C",
    "bios_vendor": "LENOVO",
    "bios_version": "GJET75WW (2.25 )",
    "bios_release": "2.25",
    "chassis_type": "10",
}


def test_the_text_files_of_linux_give_the_same_as_the_table(tmp_path: Path) -> None:
    assert read_linux(write_linux(tmp_path / "id", TEXTS)) == T440S


def test_text_files_that_are_missing_or_say_nothing_are_missing_values(tmp_path: Path) -> None:
    folder = write_linux(tmp_path / "id", {"sys_vendor": "A", "bios_release": "none", "chassis_type": "x"})
    assert read_linux(folder) == Computer(manufacturer="A")
    with pytest.raises(ParseError, match="above 255"):
        read_linux(write_linux(tmp_path / "other", {"bios_release": "300.1"}))


def test_this_machine_is_read_from_its_table_or_else_from_the_texts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no SMBIOS data"):
        read_this_machine(tmp_path)
    write_linux(tmp_path / "class" / "dmi" / "id", {"sys_vendor": "A"})
    assert read_this_machine(tmp_path) == Computer(manufacturer="A")
    table = tmp_path / "firmware" / "dmi" / "tables" / "DMI"
    table.parent.mkdir(parents=True)
    table.write_bytes(TABLE)
    assert read_this_machine(tmp_path) == T440S
