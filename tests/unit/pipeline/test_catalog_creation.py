"""What the service's catalogs say, by what was read out of catalogs that Microsoft's dashboard signed."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hwdash.drivers.asn1 import der
from hwdash.drivers.catalog_list import NameValue, TrustList
from hwdash.pipeline.catalog_creation import os_attribute, os_name, run
from hwdash.pipeline.work import Work, kind_of

NOW = datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)
X64 = "WINDOWS_v100_X64_GE_FULL"


def made(tmp_path: Path, *, harness: str = "attestation", signatures: tuple[str, ...] = (X64,)) -> TrustList:
    """The list of a package of two files."""
    files: list[dict[str, Any]] = [
        {
            "path": f"d/{name}",
            "sha1": hashlib.sha1(name.encode()).hexdigest(),
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "layout": {} if name.endswith(".sys") else None,
        }
        for name in ("D.inf", "d.sys", "vendors.cat")
    ]
    bundle = {
        "id": "6f1d0bde",
        "folder": "d",
        "files": files,
        "catalogs": ["d.cat"],
        "hardwareIds": ["PCI\\VEN_1414&DEV_0001", "ACPI\\ABCD0001", "ROOT\\D"],
    }

    def fresh_folder(name: str) -> Path:
        (folder := tmp_path / name).mkdir()
        return folder

    work: Any = SimpleNamespace(
        results={"preparation": {"bundles": [bundle]}, "validation": {"isDeclarative": True}},
        attributes={"requestedSignatures": list(signatures)},
        test_harness=harness,
        kind=kind_of(harness, is_test_sign=False),
        account_id=1,
        product_id=2,
        object_id=3,
        resources=SimpleNamespace(signing_clock=lambda: NOW),
        fresh_folder=fresh_folder,
    )
    done = run(cast(Work, work))
    (catalog,) = done.result["catalogs"]
    content = (tmp_path / "catalogs" / catalog["stored"]).read_bytes()
    assert catalog["sha256"] == hashlib.sha256(content).hexdigest()
    return TrustList.read(der.Reader(content, source="d.ctl").any("list"))


def header(trust_list: TrustList) -> list[tuple[str, str]]:
    return [(each.name, each.value) for each in trust_list.header if isinstance(each, NameValue)]


def test_the_header_has_the_dashboards_attributes_in_its_order(tmp_path: Path) -> None:
    """The hardware IDs stand with the last of the INFs first, numbered the other way round."""
    assert header(made(tmp_path)) == [
        ("Submission ID", "1_2_3"),
        ("BundleID", "6f1d0bde"),
        ("Universal", "False"),
        ("Declarative", "True"),
        ("OS", "_v100_X64_24H2"),
        ("HWID3", "root\\d"),
        ("HWID2", "acpi\\abcd0001"),
        ("HWID1", "pci\\ven_1414&dev_0001"),
    ]


def test_tested_drivers_have_a_qualification_level_before_all_else(tmp_path: Path) -> None:
    assert header(made(tmp_path, harness="hlk"))[:3] == [
        ("Qualification Level", "1000"),
        ("DTC", "1"),
        ("Submission ID", "1_2_3"),
    ]


def test_every_file_but_the_vendors_catalog_is_listed_by_both_digests(tmp_path: Path) -> None:
    trust_list = made(tmp_path, signatures=("WINDOWS_v63_X64", X64))
    listed = {(each.value("File"), each.value("OSAttr"), each.is_pe, len(each.digest)) for each in trust_list.subjects}
    assert listed == {(name, "2:6.3,2:10.0", name == "d.sys", size) for name in ("d.inf", "d.sys") for size in (20, 32)}
    assert (trust_list.version, trust_list.when) == (2, NOW)


def test_releases_of_one_name_are_named_once(tmp_path: Path) -> None:
    both = ("WINDOWS_v100_X64_TH1_FULL", "WINDOWS_v100_X64_TH2_FULL")
    assert ("OS", "_v100_X64") in header(made(tmp_path, signatures=both))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("WINDOWS_v100_TH1_FULL", "_v100"),
        ("WINDOWS_v100_X64_RS1_FULL", "_v100_X64_RS1"),
        ("windows_V100_x64_vb_full", "_v100_X64_Vb"),
        ("WINDOWS_v100_ARM64_19H1_FULL", "_v100_ARM64_19H1"),
        ("WINDOWS_v100_X64_CO_FULL", "_v100_X64_21H2"),
        ("WINDOWS_v100_X64_NI_FULL", "_v100_X64_22H2"),
        ("WINDOWS_v100_X64_GE_FULL", "_v100_X64_24H2"),
        ("WINDOWS_v100_X64_26H1_FULL", "_v100_X64_26H1"),
        ("WINDOWS_v63", "_v63"),
        ("WINDOWS_v63_SERVER_X64", "_v63_Server_X64"),
        ("WINDOWS_8_ARM", "8ARM"),
        ("WINDOWS_8_SERVER_X64", "Server2012X64"),
        ("WINDOWS_7_X64", "7X64"),
        ("WINDOWS_2008_SERVER_R2_X64", "Server2008R2X64"),
        ("WINDOWS_2008_SERVER_IA64", "Server2008IA64"),
        ("WINDOWS_VISTA", "VistaX86"),
        ("WINDOWS_2003_IA64", "Server2003IA64"),
        ("WINDOWS_XP", "XPX86"),
        ("WINDOWS_2000", "2000"),
        ("WINDOWS_v101_X64_NEXT_FULL", "_v101_X64_NEXT"),
    ],
)
def test_operating_systems_are_named_as_in_real_catalogs(code: str, name: str) -> None:
    assert os_name(code) == name


def test_the_members_name_each_version_of_windows_once() -> None:
    """Both strings stand in real catalogs of such requests."""
    assert os_attribute(["WINDOWS_v63_X64", X64, "WINDOWS_7", "WINDOWS_7_X64", "WINDOWS_8"]) == (
        "2:6.1,2:6.2,2:6.3,2:10.0"
    )
    old = ["WINDOWS_2000", "WINDOWS_XP", "WINDOWS_XP_X64", "WINDOWS_VISTA", "WINDOWS_7", "WINDOWS_8"]
    assert os_attribute(old) == "2:5.00,2:5.1,2:5.2,2:6.0,2:6.1,2:6.2"


def test_an_unknown_system_counts_as_windows_10() -> None:
    assert os_attribute(["WINDOWS_v101_X64_NEXT_FULL"]) == "2:10.0"
