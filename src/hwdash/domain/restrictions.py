"""Publishing restrictions: the hardware ids and products whose labels a person looks at first
(contract/dashboard.md 145 and appendix 2).

They protect the drivers of classes, generic ids of buses and the ids of other vendors. A hit refuses nothing: it is a
reason for an approval.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hwdash.vocabulary import UNCLASSIFIED, Architecture, TestHarness

RESTRICTED_BUSES = frozenset(
    ("activcardbus", "circlass", "irbus", "midi", "pnp", "acp", "ian", "avm", "stream", "display")
)
"""Bus enumerators, in lower case; PS2_ and Hid\\irdevice of the same row are looked for by their beginning."""
FORBIDDEN_STARTS = ("hid_devi", "serial_m", "isapnp\\pnp", "serenum\\pnp", "pnp", "*pnp")
RESERVED_STARTS = ("bios\\pnp", "acpi\\pnp")
FORBIDDEN_IDS = frozenset(
    ("*dontuse", "serial_mouse", "root\\circlass", "hid\\irdevice", "storage\\volumesnapshot", "storage\\volume")
)
REVIEWED_CLASSES: Mapping[str, str] = {
    "firmware": "firmware cannot be taken back from a machine that does not start any more",
    "securitydevices": "a machine's keys lie in it",
}
"""Classes whose labels always need a person's word, in lower case, and why. Microsoft has such classes and does not
name them (contract/dashboard.md 117): the choice is ours."""

_CLASS_CODE = re.compile(r"\\class|\\cc|&cc_|&class_")
_BLUETOOTH_SERVICE = re.compile(r"bth[a-z]*\\\{[0-9a-f-]{36}\}")
_BLUETOOTH_DEVICE = re.compile(r"vid&[0-9a-f]+_pid&[0-9a-f]+")
_PCI_VENDOR = re.compile(r"pci\\ven_(0000|ffff)(?![0-9a-f])")

_RULES: tuple[tuple[str, Callable[[str, str], object]], ...] = (
    ("it has no bus enumerator", lambda text, _bus: "\\" not in text),
    (
        "its bus enumerator is restricted",
        lambda text, bus: bus in RESTRICTED_BUSES or text.startswith(("ps2_", "hid\\irdevice")),
    ),
    ("it declares a class code", lambda text, _bus: _CLASS_CODE.search(text)),
    ("it has two parts, and no subsystem", lambda text, bus: bus in {"pci", "hdaudio"} and is_two_part(text)),
    (
        "it is a Bluetooth service without vendor and product",
        lambda text, _bus: _BLUETOOTH_SERVICE.match(text) and not _BLUETOOTH_DEVICE.search(text),
    ),
    ("its PCI vendor is nobody's", lambda text, _bus: _PCI_VENDOR.match(text)),
    (
        "it names no device",
        lambda text, bus: (bus == "pci" and "dev_" not in text) or (bus == "usb" and "pid_" not in text),
    ),
    ("its beginning is forbidden", lambda text, _bus: text.startswith(FORBIDDEN_STARTS)),
    ("it is reserved for the system", lambda text, _bus: text.startswith(RESERVED_STARTS)),
    ("it is forbidden", lambda text, _bus: text in FORBIDDEN_IDS),
)


def is_two_part(hardware_id: str) -> bool:
    """Does it name vendor and device only, and no subsystem, which is of the machine's maker?"""
    text = hardware_id.lower()
    return "ven_" in text and "dev_" in text and "subsys_" not in text


def is_four_part(hardware_id: str) -> bool:
    """Does it name the subsystem, too?"""
    return "subsys_" in hardware_id.lower()


def restrictions_of_id(hardware_id: str) -> list[str]:
    """Which restrictions a hardware id, in any case, hits."""
    text = hardware_id.lower()
    bus = text.partition("\\")[0]
    return [why for why, hits in _RULES if hits(text, bus)]


def restrictions_of_architecture(architecture: Architecture) -> list[str]:
    """Which restrictions an architecture hits."""
    return ["the architecture ia64 is not served any more"] if architecture == "ia64" else []


def restrictions_of_product(
    test_harness: str, product_types: Iterable[Any], *, is_for_test_machines: bool
) -> list[str]:
    """Which restrictions a product hits. ``is_for_test_machines``: all audiences of the label are test audiences."""
    found = []
    if UNCLASSIFIED in product_types:
        found.append("the product's type is Unclassified")
    if test_harness == TestHarness.ATTESTATION and not is_for_test_machines:
        found.append("a driver that is signed by attestation goes to test machines only")
    return found
