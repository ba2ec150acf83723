"""SMBIOS properties: any bytes give a computer or one of our errors, and what was written is read."""

import struct
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from hwdash.drivers.chid import Computer, chids, parse_smbios
from hwdash.drivers.errors import DriversError

TEXT = st.binary(min_size=1, max_size=12).filter(lambda text: b"\0" not in text)
SYSTEM = struct.pack("<BBH", 1, 0x1B, 1) + bytes([1, 2, 0, 0, *bytes(17), 3, 4])


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: SYSTEM + tail))
def test_any_bytes_give_a_computer_or_one_of_our_errors(data: bytes) -> None:
    for dump in (data, b"_SM3_" + data, b"_SM_" + data):
        with suppress(DriversError):  # anything else fails the test
            assert len(chids(parse_smbios(dump, source="DMI"))) <= 15


@given(st.lists(TEXT, min_size=4, max_size=4), st.binary(max_size=8))
def test_strings_are_found_by_their_numbers(texts: list[bytes], more: bytes) -> None:
    table = SYSTEM + b"\0".join(texts) + b"\0\0" + struct.pack("<BBH", 200, 4 + len(more), 2) + more + b"\0\0"

    def text(raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    manufacturer, product, sku, family = map(text, texts)
    assert parse_smbios(table, source="DMI") == Computer(manufacturer, family, product, sku)
