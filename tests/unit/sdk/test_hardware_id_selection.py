"""Hardware ids chosen from a driver's metadata."""

from typing import Any

import pytest

from hwdash.sdk.errors import NothingSelected, SdkError
from hwdash.sdk.selection import MOST_NAMED, Selection, hardware_ids

X64, ARM64 = "WINDOWS_v100_X64_GE_FULL", "WINDOWS_v100_ARM64_GE_FULL"


def _inf(*devices: tuple[str, str]) -> dict[str, Any]:
    systems: dict[str, Any] = {}
    for code, pnp in devices:
        systems.setdefault(code, {})[pnp] = {"Manufacturer": "Contoso", "DeviceDescription": "d", "FeatureScore": None}
    return {"DriverPackageFamilyId": "Contoso-net.inf", "OSPnPInfoMap": systems}


METADATA = {
    "BundleInfoMap": {
        "b1": {
            "Locales": ["English"],
            "InfInfoMap": {
                "Net.inf": _inf((X64, r"PCI\VEN_1"), (X64, r"PCI\VEN_2"), (ARM64, r"PCI\VEN_1")),
                "ext.inf": _inf((X64, r"PCI\VEN_1")),
            },
        },
        "b2": {"Locales": ["English"], "InfInfoMap": {"net.inf": _inf((X64, r"PCI\VEN_3"))}},
    }
}
ENTRIES = hardware_ids(METADATA)


def _chosen(**names: list[str]) -> list[tuple[str, ...]]:
    return [tuple(entry.values()) for entry in Selection(**names).choose(ENTRIES, "the driver")]


def test_every_hardware_id_of_the_metadata_is_there_in_the_wires_spelling_and_lower_case() -> None:
    assert ENTRIES[0] == {
        "bundleId": "b1", "infId": "Net.inf", "operatingSystemCode": X64, "pnpString": r"pci\ven_1",
    }  # fmt: skip
    assert _chosen() == [
        ("b1", "Net.inf", X64, r"pci\ven_1"),
        ("b1", "Net.inf", X64, r"pci\ven_2"),
        ("b1", "Net.inf", ARM64, r"pci\ven_1"),
        ("b1", "ext.inf", X64, r"pci\ven_1"),
        ("b2", "net.inf", X64, r"pci\ven_3"),
    ]


def test_names_of_one_kind_add_up_and_kinds_narrow_each_other_in_any_case() -> None:
    assert [each[3] for each in _chosen(infs=["NET.INF"], os_codes=[X64.lower()])] == [
        r"pci\ven_1",
        r"pci\ven_2",
        r"pci\ven_3",
    ]
    assert _chosen(hardware_ids=[r"PCI\VEN_1", r" pci\ven_2 "], infs=["net.inf"], os_codes=[X64]) == [
        ("b1", "Net.inf", X64, r"pci\ven_1"),
        ("b1", "Net.inf", X64, r"pci\ven_2"),
    ]
    assert _chosen(bundles=["b2"]) == [("b2", "net.inf", X64, r"pci\ven_3")]


def test_a_name_that_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(NothingSelected) as refused:
        _chosen(infs=["net.inf", "Disk.inf"], os_codes=["WINDOWS_7"])
    assert str(refused.value).splitlines() == [
        "There is no Disk.inf among the INFs of the driver: Net.inf, ext.inf, net.inf.",
        f"There is no WINDOWS_7 among the OS codes of the driver: {X64}, {ARM64}.",
    ]


def test_a_selection_that_leaves_nothing_is_told_with_what_there_was() -> None:
    with pytest.raises(NothingSelected, match="is all of that at once") as refused:
        _chosen(infs=["ext.inf"], os_codes=[ARM64])
    assert f"OS codes: {X64}, {ARM64}" in str(refused.value)
    with pytest.raises(NothingSelected, match="label 5"):
        Selection().choose([], "label 5")


def test_of_many_ids_only_some_are_named() -> None:
    many = [ENTRIES[0] | {"pnpString": f"id{number}"} for number in range(MOST_NAMED + 3)]
    with pytest.raises(NothingSelected, match=r"id19 and 3 more\.$"):
        Selection(hardware_ids=["none"]).choose(many, "the driver")


@pytest.mark.parametrize("metadata", [{}, {"BundleInfoMap": []}, {"BundleInfoMap": {"b": {"InfInfoMap": None}}}])
def test_what_is_no_metadata_is_an_error(metadata: dict[str, Any]) -> None:
    with pytest.raises(SdkError, match="documented form"):
        hardware_ids(metadata)
