"""Which devices an INF has for an operating system, and the driver metadata made from that."""

import json
import re
import warnings
from pathlib import Path

import pytest

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.inf import metadata
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.metadata import driver_metadata, pnp_positions
from hwdash.drivers.inf.models import (
    TargetOS,
    architectures,
    devices,
    devices_for,
    excluded_ids,
    feature_score,
    install_section,
    manufacturers,
)
from hwdash.vocabulary import OPERATING_SYSTEMS, OperatingSystem, operating_system


def parse(text: str) -> Inf:
    return Inf.from_text(text, source="t.inf")


def system(code: str) -> OperatingSystem:
    found = operating_system(f"WINDOWS_{code}")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("NTamd64", TargetOS("amd64")),
        (".ntARM64", TargetOS("arm64")),
        ("NT", TargetOS()),
        ("NTx86.5.1", TargetOS("x86", (5, 1))),
        ("NTamd64.6", TargetOS("amd64", (6, 0))),
        ("NT.10.0.3", TargetOS(None, (10, 0), 3)),
        ("NTamd64.10.0...16299", TargetOS("amd64", (10, 0), None, None, 16299)),
        ("NTamd64.0xA.0x0.0x1.0x80.0x3FAB", TargetOS("amd64", (10, 0), 1, 0x80, 16299)),
        ("NTamd64...3", TargetOS("amd64", None, 3)),
    ],
)
def test_decorations_are_read(text: str, target: TargetOS) -> None:
    assert TargetOS.parse(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "amd64", "NTppc", "NT$ARCH$", "NTamd64.10.0...16299.1", "NTamd64.ten", "NTamd64.-1", "NT.1٢"],
)
def test_other_text_is_not_a_decoration(text: str) -> None:
    assert TargetOS.parse(text) is None


def chosen(decorations: str, code: str) -> str | None:
    """The decoration of the Models section that a system uses; "" for the bare one."""
    (line,) = manufacturers(parse(f"[Manufacturer]\nm = M, {decorations}" if decorations else "[Manufacturer]\nm = M"))
    found = line.models_for(system(code))
    return found.decoration if found is not None else None


@pytest.mark.parametrize(
    ("decorations", "code", "expected"),
    [
        # architecture: equal; none stated means x86
        ("", "v100_RS5_FULL", ""),
        ("", "v100_X64_RS5_FULL", None),
        ("NT", "v100_RS5_FULL", "NT"),
        ("NT, NTx86", "v100_RS5_FULL", "NTx86"),
        ("NTx86", "v100_RS5_FULL", "NTx86"),
        ("NTarm64", "v100_X64_RS5_FULL", None),
        ("NTarm64", "v100_ARM64_RS5_FULL", "NTarm64"),
        ("NTarm", "8_ARM", "NTarm"),
        # version: the highest that is not above the system's
        ("NTamd64.6.0, NTamd64.6.1, NTamd64.6.3", "8_X64", "NTamd64.6.1"),
        ("NTamd64.6.2", "7_X64", None),
        ("NTamd64, NTamd64.6.2", "7_X64", "NTamd64"),
        ("NTamd64, NTamd64.5.1", "7_X64", "NTamd64.5.1"),
        # build: only at an equal version
        ("NTamd64.10.0...16299", "v100_X64_RS2_FULL", None),
        ("NTamd64.10.0...16299", "v100_X64_RS3_FULL", "NTamd64.10.0...16299"),
        ("NTamd64.10.0...16299, NTamd64.10.0...17763, NTamd64.10.0", "v100_X64_RS4_FULL", "NTamd64.10.0...16299"),
        ("NTamd64.6.3...99999", "v100_X64_RS4_FULL", "NTamd64.6.3...99999"),
        ("NTamd64.10.0...26100", "v100_X64_26H1_FULL", "NTamd64.10.0...26100"),  # its build is not known: the newest
        # product type: equal; suites never
        ("NTamd64.10.0.3", "v100_X64_RS5_FULL", None),
        ("NTamd64.10.0.3", "v100_SERVER_X64_RS5_FULL", "NTamd64.10.0.3"),
        ("NTamd64.10.0.1", "v100_SERVER_X64_RS5_FULL", None),
        ("NTamd64.10.0, NTamd64.10.0.3", "v100_SERVER_X64_RS5_FULL", "NTamd64.10.0.3"),
        ("NTamd64...3, NTamd64.6.0", "v100_SERVER_X64_RS5_FULL", "NTamd64.6.0"),
        ("NTamd64.10.0..0x80", "v100_X64_RS5_FULL", None),
        # what cannot be read is passed over
        ("NT$ARCH$, NTamd64", "v100_X64_RS5_FULL", "NTamd64"),
    ],
)
def test_one_models_section_is_chosen(decorations: str, code: str, expected: str | None) -> None:
    assert chosen(decorations, code) == expected


INF = r"""[Version]
Signature = "$WINDOWS NT$"
Class = Sensor
ClassGuid = {5175D334-C371-4806-B3BA-71FD53C9258D}
Provider = %Maker%
DriverVer = 12/31/2024, 1.02.3.4
ExtensionId = {CF51C86E-1F54-4F5C-9E2D-0B1C7E1B6E51}
[Manufacturer]
%Maker% = Acme, NTamd64.10.0...16299, NTamd64.10.0...22000, NTarm64
Other = Other, NTamd64
[Acme.NTamd64.10.0...16299]
%Light% = Light, ACPI\ACME0001, ACPI\PNP0001
%Light% = Light, , ACPI\Generic
Again = Plain, acpi\acme0001
[Acme.NTamd64.10.0...22000]
[Acme.NTarm64]
%Light% = Light, ACPI\ACME0001
[Other.NTamd64]
Thing = Plain, USB\VID_1234&PID_5678
[Light.NT]
FeatureScore = 7f
FeatureScore = 01
[Light.NTarm64]
FeatureScore = zz
[Plain]
CopyFiles = x
[Strings]
Maker = "Acme"
Light = "Light sensor"
[Strings.0407]
Light = "Lichtsensor"
[Strings.0804]
Light = "x"
"""


def test_devices_come_in_the_order_of_the_file() -> None:
    found = devices_for(parse(INF), system("v100_X64_RS5_FULL"))
    assert [(device.manufacturer, device.description, device.ids) for device in found] == [
        ("Acme", "Light sensor", ("ACPI\\ACME0001", "ACPI\\PNP0001")),
        ("Acme", "Light sensor", ("ACPI\\Generic",)),
        ("Acme", "Again", ("acpi\\acme0001",)),
        ("Other", "Thing", ("USB\\VID_1234&PID_5678",)),
    ]
    assert found[0].hardware_ids == ("ACPI\\ACME0001",)
    assert found[0].compatible_ids == ("ACPI\\PNP0001",)
    assert found[1].hardware_ids == ()
    assert (found[0].install_section, found[0].line) == ("Light", 12)


def test_an_empty_section_for_newer_systems_takes_the_devices_away() -> None:
    found = devices_for(parse(INF), system("v100_X64_CO_FULL"))
    assert [device.manufacturer for device in found] == ["Other"]


def test_architectures_are_those_with_devices() -> None:
    assert architectures(parse(INF)) == {"amd64", "arm64"}
    assert architectures(parse("[Manufacturer]\nm=M,NTamd64\n[M]\nd=i,x")) == {"x86"}
    assert architectures(parse("[DefaultInstall.NTamd64.10.0...25952]\n[DefaultInstall.NTarm64.Services]")) == {"amd64"}


def test_the_install_section_of_the_architecture_comes_first() -> None:
    inf = parse("[a]\n[a.nt]\n[a.NTamd64]\n[b]\n[b.NTx86]")
    assert install_section(inf, "A", "amd64") == "A.ntamd64"
    assert install_section(inf, "a", "arm64") == "a.nt"
    assert install_section(inf, "b", "arm64") == "b"
    assert install_section(inf, "c", "x86") is None


def test_the_first_feature_score_counts() -> None:
    inf = parse(INF)
    assert feature_score(inf, "Light.NT") == 0x7F
    assert feature_score(inf, "Light.NTarm64") is None
    assert feature_score(inf, "Plain") is None


def test_excluded_ids_are_read_and_stay_in_the_metadata() -> None:
    inf = parse(
        INF.replace("[Plain]\n", "[Plain]\nExcludeID = %Id%, , USB\\X\nexcludeid = USB\\Y\n")
        + '[Strings]\nId = "USB\\I"\n'
    )
    assert excluded_ids(inf, "plain") == ["USB\\I", "USB\\X", "USB\\Y"]
    assert excluded_ids(inf, "Light.NT") == []
    inf = parse(INF.replace("[Plain]\n", "[Plain]\nExcludeID = USB\\VID_1234&PID_5678\n"))
    assert '"usb' in json.dumps(driver_metadata({"b": [("t.inf", inf)]}, [system("7_X64")]))


def test_positions_tell_hardware_ids_from_compatible_ones() -> None:
    """install/identifier-score.md: an ID counts by its place among the compatible IDs of its line."""
    inf = parse(INF)
    systems = [system("v100_X64_RS5_FULL"), system("v100_X64_CO_FULL")]
    # ACPI\\Generic is the first compatible ID of a line without a hardware ID.
    rs5 = {"acpi\\pnp0001": 1, "acpi\\generic": 1}
    assert pnp_positions({"b": [("t.inf", inf)]}, systems) == {"b": {"t.inf": {"WINDOWS_v100_X64_RS5_FULL": rs5}}}


def test_of_a_pnp_id_that_occurs_twice_the_smallest_position_counts() -> None:
    text = "[Manufacturer]\nM = M, NTamd64\n[M.NTamd64]\n"
    inf = parse(text + "a = i, A\\1, C\\1, C\\2, C\\3\nb = i, A\\2, C\\3, c\\2, A\\1\nd = i, C\\1\n")
    found = pnp_positions({"b": [("t.inf", inf)]}, [system("7_X64")])
    assert found == {"b": {"t.inf": {"WINDOWS_7_X64": {"c\\2": 2, "c\\3": 1}}}}
    assert pnp_positions({"b": [("t.inf", inf)]}, [system("7")]) == {}


DOCUMENTED = {
    "BundleInfoMap": {
        "dc3b111e-c750-4a55-96ce-0eae1d1da8a2": {
            "Locales": ["English"],
            "InfInfoMap": {
                "foo_bar.inf": {
                    "DriverPackageFamilyId": "RAID-foo_bar.inf",
                    "InfClass": "SCSIAdapter",
                    "DriverVersion": "1.1.1.1",
                    "DriverDate": "2018-01-11T00:00:00",
                    "ExtensionId": None,
                    "Provider": "RAID",
                    "ClassGuid": "{a43418dc-cfc9-42e1-85b0-2d644331e214}",
                    "InstallationComputerHardwareIds": [
                        "a9a8e6fc-4969-4336-927c-9d8f7b6c1d14",
                        "a4a127cb-2c10-464e-abb5-e78fcdf0d3c3",
                    ],
                    "OSPnPInfoMap": {
                        "WINDOWS_v100_RS3_FULL": {
                            "pci\\ven_test&dev_abcd": {
                                "Manufacturer": "RAID",
                                "DeviceDescription": "Virtual Raid Adapter",
                                "FeatureScore": None,
                            }
                        }
                    },
                }
            },
        }
    }
}


def test_the_documented_sample_is_made_of_the_inf_that_it_describes() -> None:
    """The one sample of dashboard/driver-package-metadata.md. No INF can hold its CHIDs: ours is an empty list."""
    inf = parse(
        "[Version]\nClass=SCSIAdapter\nClassGuid={A43418DC-CFC9-42E1-85B0-2D644331E214}\nProvider=%R%\n"
        "DriverVer=01/11/2018,1.1.1.1\n[Manufacturer]\n%R%=M,NTx86\n[M.NTx86]\n%D%=I,PCI\\VEN_TEST&DEV_ABCD\n[I]\n"
        '[Strings]\nR="RAID"\nD="Virtual Raid Adapter"\n'
    )
    (bundle,) = DOCUMENTED["BundleInfoMap"]
    found = json.loads(json.dumps(driver_metadata({bundle: [("foo_bar.inf", inf)]}, [system("v100_RS3_FULL")])))
    chids = found["BundleInfoMap"][bundle]["InfInfoMap"]["foo_bar.inf"]["InstallationComputerHardwareIds"]
    assert chids == []
    chids += ["a9a8e6fc-4969-4336-927c-9d8f7b6c1d14", "a4a127cb-2c10-464e-abb5-e78fcdf0d3c3"]
    assert found == DOCUMENTED


def test_metadata_has_the_shape_of_the_wire() -> None:
    systems = [system(code) for code in ("v100_X64_RS5_FULL", "v100_X64_CO_FULL", "v100_ARM64_RS5_FULL", "7_X64", "7")]
    found = driver_metadata({"bundle-1": [("acme.inf", parse(INF))]}, systems)
    light = {"Manufacturer": "Acme", "DeviceDescription": "Light sensor", "FeatureScore": "7F"}
    thing = {"Manufacturer": "Other", "DeviceDescription": "Thing", "FeatureScore": None}
    assert json.loads(json.dumps(found)) == {
        "BundleInfoMap": {
            "bundle-1": {
                "Locales": ["English", "German", "Chinese (Simplified)"],
                "InfInfoMap": {
                    "acme.inf": {
                        "DriverPackageFamilyId": "Acme-acme.inf",
                        "InfClass": "Sensor",
                        "DriverVersion": "1.2.3.4",
                        "DriverDate": "2024-12-31T00:00:00",
                        "ExtensionId": "cf51c86e-1f54-4f5c-9e2d-0b1c7e1b6e51",
                        "Provider": "Acme",
                        "ClassGuid": "{5175d334-c371-4806-b3ba-71fd53c9258d}",
                        "InstallationComputerHardwareIds": [],
                        "OSPnPInfoMap": {
                            "WINDOWS_v100_X64_RS5_FULL": {
                                "acpi\\acme0001": light,
                                "acpi\\pnp0001": light,
                                "acpi\\generic": light,
                                "usb\\vid_1234&pid_5678": thing,
                            },
                            "WINDOWS_v100_X64_CO_FULL": {"usb\\vid_1234&pid_5678": thing},
                            "WINDOWS_v100_ARM64_RS5_FULL": {"acpi\\acme0001": {**light, "FeatureScore": None}},
                            "WINDOWS_7_X64": {"usb\\vid_1234&pid_5678": thing},
                        },
                    }
                },
            }
        }
    }


def test_every_inf_of_every_bundle_is_listed() -> None:
    empty = parse("[Version]\n")
    found = driver_metadata(
        {"a": [("x.inf", empty), ("y.inf", parse(INF))], "b": [("x.inf", empty)]}, OPERATING_SYSTEMS
    )
    bundles = found["BundleInfoMap"]
    assert isinstance(bundles, dict)
    assert {bundle: list(info["InfInfoMap"]) for bundle, info in bundles.items()} == {
        "a": ["x.inf", "y.inf"],
        "b": ["x.inf"],
    }
    bare = bundles["b"]["InfInfoMap"]["x.inf"]
    assert (bare["DriverDate"], bare["DriverVersion"]) == ("0001-01-01T00:00:00", "0.0.0.0")
    assert (bare["ExtensionId"], bare["OSPnPInfoMap"]) == (None, {})


def test_of_two_infs_of_one_name_the_first_is_listed() -> None:
    found = driver_metadata({"a": [("X.inf", parse(INF)), ("x.INF", parse("[Version]\n"))]}, OPERATING_SYSTEMS)
    assert '"X.inf"' in json.dumps(found)
    assert '"x.INF"' not in json.dumps(found)


def test_metadata_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MAX_PNP_IDS", 4)
    bundles = {"a": [("acme.inf", parse(INF))]}
    driver_metadata(bundles, [system("v100_X64_RS5_FULL")])
    with pytest.raises(LimitExceeded, match="more than 4"):
        driver_metadata(bundles, [system("v100_X64_RS5_FULL"), system("7_X64")])


SAMPLES = Path(__file__).parents[4] / ".." / "shared" / "corpus" / "inf"


def ids_by_hand(data: bytes) -> int:
    """The IDs in an INF, by another route than the parser's: the whole text is cut at its headers by one regular
    expression, and in the sections that [Manufacturer] names, whatever their decoration, the commas before something
    are counted behind each ``=``. No tokens, no quotes that hold a comma, no values as such.

    The PyPI tool wininfparser, run once over the same files beside the repository, gave the same number for each.
    """
    text = data[2:].decode("utf-16-le") if data.startswith(b"\xff\xfe") else data.decode("latin-1")
    _, *parts = re.split(r"^[ \t]*\[([^]\n]*)\][^\n]*$", text, flags=re.MULTILINE)
    bodies: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        bodies[name.lower()] = bodies.get(name.lower(), "") + body
    values = re.compile(r"^[ \t]*(?![;\s])(?:\"[^\"\n]*\"|[^=,;\"\n])+=([^;\n]*)", re.MULTILINE)
    named = set()
    for line in values.findall(bodies.get("manufacturer", "")):
        base, *targets = [part.strip().lower() for part in line.split(",")]
        named |= {base, *(f"{base}.{target}" for target in targets)}
    return sum(
        len(re.findall(r",[ \t]*[^\s,]", line)) for name in named for line in values.findall(bodies.get(name, ""))
    )


def ids_parsed(inf: Inf) -> int:
    sections = {
        models.name.lower(): (manufacturer, models)
        for manufacturer in manufacturers(inf)
        for models in manufacturer.models
    }
    return sum(len(device.ids) for maker, models in sections.values() for device in devices(inf, maker, models))


def test_every_sample_is_read_with_as_many_ids_as_another_reader_counts() -> None:
    assert ids_by_hand(INF.encode()) == ids_parsed(parse(INF)) == 6
    paths = sorted(path for path in SAMPLES.rglob("*") if path.suffix.lower() in (".inf", ".inx"))
    counts = {}
    for path in paths:
        data = path.read_bytes()
        name = path.relative_to(SAMPLES).as_posix()
        counts[name] = ids_parsed(Inf.parse(data, source=name)), ids_by_hand(data)
    assert {name: pair for name, pair in counts.items() if pair[0] != pair[1]} == {}
    if paths:
        assert (len(counts), sum(ours for ours, _ in counts.values())) == (138, 240)
    else:
        warnings.warn("the samples are not beside the repository: only our own INF is counted", stacklevel=2)
