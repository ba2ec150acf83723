"""Every row of the table of publishing restrictions (contract/dashboard.md, appendix 2)."""

import pytest

from hwdash.domain.restrictions import (
    restrictions_of_architecture,
    restrictions_of_id,
    restrictions_of_product,
)

NO_BUS = "it has no bus enumerator"
BUS = "its bus enumerator is restricted"
CLASS_CODE = "it declares a class code"
TWO_PART = "it has two parts, and no subsystem"
BLUETOOTH = "it is a Bluetooth service without vendor and product"
VENDOR = "its PCI vendor is nobody's"
NO_DEVICE = "it names no device"
START = "its beginning is forbidden"
RESERVED = "it is reserved for the system"
FORBIDDEN = "it is forbidden"


@pytest.mark.parametrize(
    ("hardware_id", "hits"),
    [
        ("*ABC1234", {NO_BUS}),
        ("NameWithoutBus", {NO_BUS}),
        (r"ActivCardBus\reader", {BUS}),
        (r"CIRCLASS\x", {BUS}),
        (r"Hid\irdevice", {BUS, FORBIDDEN}),
        (r"Hid\irdevice&1", {BUS}),
        (r"Irbus\x", {BUS}),
        ("PS2_KEYBOARD", {NO_BUS, BUS}),
        (r"PS2_\mouse", {BUS}),
        (r"MIDI\x", {BUS}),
        (r"PNP\0501", {BUS, START}),
        (r"ACP\x", {BUS}),
        (r"IAN\x", {BUS}),
        (r"AVM\x", {BUS}),
        (r"STREAM\x", {BUS}),
        (r"DISPLAY\x", {BUS}),
        (r"PCI\CC_0C03", {CLASS_CODE, NO_DEVICE}),
        (r"PCI\VEN_8086&CC_0C0330", {CLASS_CODE, NO_DEVICE}),
        (r"USB\Class_08&SubClass_06", {CLASS_CODE, NO_DEVICE}),
        (r"USBSTOR\CLASS_1", {CLASS_CODE}),
        (r"PCI\VEN_8086&DEV_1533", {TWO_PART}),
        (r"PCI\VEN_8086&DEV_1533&REV_03", {TWO_PART}),
        (r"HDAUDIO\FUNC_01&VEN_10EC&DEV_0269", {TWO_PART}),
        (r"BTHENUM\{0000110b-0000-1000-8000-00805f9b34fb}", {BLUETOOTH}),
        (r"BTHLE\{0000180F-0000-1000-8000-00805F9B34FB}", {BLUETOOTH}),
        (r"PCI\VEN_0000&DEV_1533&SUBSYS_00011234", {VENDOR}),
        (r"PCI\VEN_FFFF&DEV_1533&SUBSYS_00011234", {VENDOR}),
        (r"PCI\VEN_8086", {NO_DEVICE}),
        (r"USB\VID_045E", {NO_DEVICE}),
        ("HID_DEVICE_UP:0001", {NO_BUS, START}),
        ("SERIAL_MICE", {NO_BUS, START}),
        ("SERIAL_MOUSE", {NO_BUS, START, FORBIDDEN}),
        (r"ISAPNP\PNP0501", {START}),
        (r"SERENUM\PNP0F01", {START}),
        ("PNP0501", {NO_BUS, START}),
        ("*PNP0501", {NO_BUS, START}),
        (r"BIOS\PNP0C01", {RESERVED}),
        (r"ACPI\PNP0C0A", {RESERVED}),
        ("*DONTUSE", {NO_BUS, FORBIDDEN}),
        (r"Root\circlass", {FORBIDDEN}),
        (r"Storage\VolumeSnapshot", {FORBIDDEN}),
        (r"STORAGE\Volume", {FORBIDDEN}),
    ],
)
def test_a_restricted_id_is_told_with_every_reason(hardware_id: str, hits: set[str]) -> None:
    assert set(restrictions_of_id(hardware_id)) == hits
    assert set(restrictions_of_id(hardware_id.lower())) == hits


@pytest.mark.parametrize(
    "hardware_id",
    [
        r"PCI\VEN_8086&DEV_1533&SUBSYS_00011028",
        r"PCI\VEN_8086&DEV_1533&SUBSYS_00011028&REV_03",
        r"PCI\VEN_8086&DEV_CC01&SUBSYS_00011028",
        r"HDAUDIO\FUNC_01&VEN_10EC&DEV_0269&SUBSYS_17AA2214",
        r"USB\VID_045E&PID_0040",
        r"USB\VID_045E&PID_0040&MI_00",
        r"HID\VID_045E&PID_0040",
        r"ACPI\ABCD1234",
        r"ACPI\VEN_ABCD&DEV_1234",
        r"ACPIX\device",
        r"BTHENUM\{0000110b-0000-1000-8000-00805f9b34fb}_VID&0002054c_PID&05c4",
        r"ROOT\HWDASH_SAMPLE",
        r"MONITOR\DEL4096",
        r"STREAMING\x",
        r"SWC\vendor_component",
        r"STORAGE\VolumeSnapshotX",
    ],
)
def test_an_id_of_a_vendors_own_device_hits_nothing(hardware_id: str) -> None:
    assert restrictions_of_id(hardware_id) == []


def test_itanium_is_restricted() -> None:
    assert restrictions_of_architecture("ia64")
    assert restrictions_of_architecture("amd64") == []


@pytest.mark.parametrize(
    ("harness", "types", "is_for_test_machines", "hits"),
    [
        ("hlk", ["Unclassified"], False, 1),
        ("hlk", ["LAN (Ethernet)"], False, 0),
        ("attestation", ["LAN (Ethernet)"], False, 1),
        ("attestation", ["LAN (Ethernet)"], True, 0),
        ("attestation", ["Unclassified"], False, 2),
    ],
)
def test_products_that_are_restricted(harness: str, types: list[str], is_for_test_machines: bool, hits: int) -> None:
    assert len(restrictions_of_product(harness, types, is_for_test_machines=is_for_test_machines)) == hits
