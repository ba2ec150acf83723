"""Install sections: what they need from elsewhere, their services, their files, and all of it in one object."""

import json

import pytest

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.inf import contents as contents_module
from hwdash.drivers.inf import installs, needs
from hwdash.drivers.inf.contents import contents
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.files import InstalledFile
from hwdash.drivers.inf.installs import InstallSection, install_sections
from hwdash.drivers.inf.needs import Include, Need, includes, resolved
from hwdash.drivers.inf.services import Location, Service, parse_number


def parse(text: str) -> Inf:
    return Inf.from_text(text, source="t.inf")


TEXT = r"""[Version]
Signature = "$WINDOWS NT$"
Class = Sensor
ClassGuid = {5175D334-C371-4806-B3BA-71FD53C9258D}
Provider = %Maker%
DriverVer = 12/31/2024, 1.2.3.4
CatalogFile.NTamd64 = a.cat
CatalogFile = b.cat
PnpLockdown = 1
[SourceDisksNames]
1 = "Disk", , , bin
[SourceDisksNames.arm64]
1 = "Disk", data.cab, , arm
[SourceDisksFiles]
light.sys = 1, x64
[DestinationDirs]
DefaultDestDir = 12
Store = 13, sub
[Manufacturer]
%Maker% = Acme, NTamd64.10.0...16299, NTarm64, NTppc, NTamd64.10.0.3.0x80
[Acme.NTamd64.10.0...16299]
%Light% = Light, ACPI\ACME0001, ACPI\PNP0001
Two = Light, ACPI\ACME0002
[Acme.NTarm64]
%Light% = Light, ACPI\ACME0001
[Light.NT]
FeatureScore = 7F
ExcludeID = ACPI\ACME0009
CopyFiles = Store, @readme.txt
Include = wudfrd.inf, other.inf
Needs = WUDFRD.NT, Common
[Common]
CopyFiles = More
Needs = Light.NT, Deeper
[Deeper]
CopyFiles = Store
[Store]
light.sys
renamed.dll, light.dll,, 0x4000
[More]
more.bin
[Light.NT.Services]
AddService = Light, 0x2, Light_Service
Needs = Common.Services
[Common.Services]
AddService = Filter,, Filter_Service
AddService = , x
[Light_Service]
DisplayName = %Light%
ServiceType = 0x1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\sub\light.sys
LoadOrderGroup = Extended Base
Dependencies = A, B
[Filter_Service]
StartType = yes
ServiceBinary = c:\filter.sys
[DefaultInstall.NTx86]
CopyFiles = More
[DefaultInstall.Services]
[Strings]
Maker = "Acme"
Light = "Light sensor"
Include = "a string"
[Strings.0407]
Light = "Lichtsensor"
"""


def test_includes_and_needs_are_told_with_their_sections_and_lines() -> None:
    inf = parse(TEXT)
    assert includes(inf) == [Include("Light.NT", "wudfrd.inf", 30), Include("Light.NT", "other.inf", 30)]
    assert needs.needs(inf) == [
        Need("Light.NT", "WUDFRD.NT", ("wudfrd.inf", "other.inf"), is_here=False, line=31),
        Need("Light.NT", "Common", ("wudfrd.inf", "other.inf"), is_here=True, line=31),
        Need("Common", "Light.NT", (), is_here=True, line=34),
        Need("Common", "Deeper", (), is_here=True, line=34),
        Need("Light.NT.Services", "Common.Services", (), is_here=True, line=44),
    ]


def test_needed_sections_of_the_file_count_once_after_the_own_entries() -> None:
    inf = parse(TEXT)
    found = resolved(inf, "light.nt")
    assert found.sections == ("Light.NT", "Common", "Deeper")
    assert [entry.line for entry in found.keyed(inf, "CopyFiles")] == [29, 33, 36]
    assert len(found.entries) == 5 + 2 + 1
    assert [need.name for need in found.needs if not need.is_here] == ["WUDFRD.NT"]
    assert resolved(inf, "missing") == ((), (), ())


def test_needs_are_bounded() -> None:
    chain = "".join(f"[a{number}]\nNeeds = a{number + 1}\n" for number in range(needs.MAX_NEEDED + 1))
    with pytest.raises(LimitExceeded, match="needs more than"):
        resolved(parse(chain), "a0")
    assert len(resolved(parse(chain), "a1").sections) == needs.MAX_NEEDED


def test_install_sections_come_with_what_they_need() -> None:
    first, second, default = install_sections(parse(TEXT))
    light = Service(
        name="Light",
        flags=2,
        section="Light_Service",
        binary=Location(13, r"sub\light.sys"),
        service_type=1,
        start_type=3,
        error_control=1,
        display_name="Light sensor",
        load_order_group="Extended Base",
        dependencies=("A", "B"),
        line=43,
    )
    assert isinstance(first, InstallSection)
    assert (first.section, first.architecture, first.line) == ("Light.NT", "amd64", 26)
    assert (first.feature_score, first.excluded_ids) == (0x7F, ("ACPI\\ACME0009",))
    assert first.parts == ("Light.NT.Services",)
    assert first.services[0] == light
    assert light.is_associated
    assert [(each.name, each.flags, each.start_type, each.binary) for each in first.services[1:]] == [
        ("Filter", 0, None, Location(None, r"c:\filter.sys")),
        ("", None, None, None),
    ]
    assert [(file.source, file.destination, file.line) for file in first.files] == [
        ("bin/x64/light.sys", r"%13%\sub\light.sys", 38),
        ("light.dll", r"%13%\sub\renamed.dll", 39),
        ("readme.txt", r"%12%\readme.txt", 29),
        ("more.bin", r"%12%\more.bin", 41),
    ]
    assert (second.section, second.architecture) == ("Light.NT", "arm64")
    assert (second.files[0].source, second.files[0].cabinet) == ("arm/x64/light.sys", "arm/data.cab")
    assert (default.section, default.architecture, default.services) == ("DefaultInstall.NTx86", "x86", ())
    assert default.files == (InstalledFile("more.bin", None, 12, "", "more.bin", 41),)


def test_a_file_without_a_destination_has_no_dirid() -> None:
    (install,) = install_sections(parse("[DefaultInstall]\nCopyFiles = @a.sys"))
    assert install.architecture is None
    assert [(file.dirid, file.destination) for file in install.files] == [(None, "a.sys")]


def test_install_sections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installs, "MAX_INSTALLED", 9)
    with pytest.raises(LimitExceeded, match="more than 9"):
        install_sections(parse(TEXT))
    monkeypatch.setattr(installs, "MAX_INSTALLED", 3)
    with pytest.raises(LimitExceeded, match="copies more than 3"):
        install_sections(parse(TEXT))


def test_devices_that_are_listed_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many manufacturers may name one section: what is printed would grow with the product of both."""
    text = "[Manufacturer]\na=M\nb=M\n[M]\nd=I,x\ne=I,y\n"
    monkeypatch.setattr(contents_module, "MAX_DEVICES", 4)
    contents(parse(text))
    with pytest.raises(LimitExceeded, match="5 devices"):
        contents(parse(text + "[Manufacturer]\nc=O\n[O]\nd=I,x\n"))


@pytest.mark.parametrize(
    ("text", "location", "again"),
    [
        (r"%13%\a.sys", Location(13, "a.sys"), r"%13%\a.sys"),
        (r"%12%a.sys", Location(12, "a.sys"), r"%12%\a.sys"),
        (r"%-1%\c:\a.sys", Location(-1, r"c:\a.sys"), r"%-1%\c:\a.sys"),
        (r"system32\a.sys", Location(None, r"system32\a.sys"), r"system32\a.sys"),
        ("%name%\\a", Location(None, "%name%\\a"), "%name%\\a"),
    ],
)
def test_a_location_is_a_path_below_a_dirid(text: str, location: Location, again: str) -> None:
    assert Location.parse(text) == location
    assert str(location) == again


@pytest.mark.parametrize(
    ("text", "number"),
    [("0x10", 16), ("0XfF", 255), ("10", 10), ("", None), ("0x", None), ("-1", None), ("1_0", None), ("١", None)],
)
def test_numbers_are_decimal_or_hexadecimal(text: str, number: int | None) -> None:
    assert parse_number(text) == number


def test_all_that_an_inf_says_is_one_json_object() -> None:
    found = json.loads(json.dumps(contents(parse(TEXT))))
    assert (found["file"], found["unstamped"]) == ("t.inf", [])
    assert found["version"] == {
        "signature": "$WINDOWS NT$",
        "class": "Sensor",
        "classGuid": "{5175D334-C371-4806-B3BA-71FD53C9258D}",
        "provider": "Acme",
        "driverDate": "2024-12-31",
        "driverVersion": "1.2.3.4",
        "catalogFiles": [{"decoration": "ntamd64", "name": "a.cat"}, {"decoration": "", "name": "b.cat"}],
        "extensionId": None,
        "pnpLockdown": True,
        "line": 1,
    }
    (maker,) = found["manufacturers"]
    models = maker.pop("models")
    assert maker == {"name": "Acme", "line": 20}
    devices = models[0].pop("devices")
    assert models[0] == {
        "section": "Acme.NTamd64.10.0...16299",
        "decoration": "NTamd64.10.0...16299",
        "isDecoration": True,
        "isPresent": True,
        "architecture": "amd64",
        "osVersion": "10.0",
        "productType": None,
        "suiteMask": None,
        "build": 16299,
    }
    assert devices[0] == {
        "description": "Light sensor",
        "installSection": "Light",
        "hardwareIds": ["ACPI\\ACME0001"],
        "compatibleIds": ["ACPI\\PNP0001"],
        "line": 22,
    }
    assert [(each["architecture"], each["isDecoration"], each["isPresent"]) for each in models[1:]] == [
        ("arm64", True, True),
        (None, False, False),
        ("amd64", True, False),
    ]
    assert (models[3]["productType"], models[3]["suiteMask"]) == (3, 0x80)
    first = found["installSections"][0]
    assert (first["featureScore"], first["excludedIds"], first["line"]) == ("7F", ["ACPI\\ACME0009"], 26)
    assert first["needs"][0] == {"section": "Light.NT", "needs": "WUDFRD.NT", "isHere": False, "line": 31}
    assert first["includes"][0] == {"section": "Light.NT", "file": "wudfrd.inf", "line": 30}
    assert [(each["name"], each["start"], each["binary"], each["dirid"]) for each in first["services"]] == [
        ("Light", "demand", r"%13%\sub\light.sys", 13),
        ("Filter", None, r"c:\filter.sys", None),
        ("", None, None, None),
    ]
    assert first["files"][0] == {
        "source": "bin/x64/light.sys",
        "cabinet": None,
        "dirid": 13,
        "destination": r"%13%\sub\light.sys",
        "line": 38,
    }
    assert found["languages"] == [
        {"languageId": None, "name": None, "section": "Strings", "strings": 3},
        {"languageId": "0407", "name": "German", "section": "Strings.0407", "strings": 1},
    ]
