"""Events, software, COM, frameworks, network and display: what looks like what a rule is about, and is not."""

import pytest

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import verify
from seeded.device_inf import device_inf


def codes(text: str) -> set[int | str]:
    return {finding.code for finding in verify(Inf.from_text(text, source="acme.inf"), mode="windows")}


PROVIDER = """[Install.NT.Events]
AddEventProvider = {{071acb53-ccfb-42e0-9a68-5336b7301507}}, One
AddEventProvider = {{071acb53-ccfb-42e0-9a68-5336b7301508}}, Two

[One]
AddChannel = A/Admin, {kind}, First
AddChannel = A/Debug, 4, Second

[Two]
AddChannel = B/Admin, 1, First

[First]
{lines}

[Second]
Enabled = 1"""


@pytest.mark.parametrize("kind", ["1", "0x2", "3", "4", "9", "x"])
@pytest.mark.parametrize(
    "lines",
    ["Value = 16", "LoggingAutoBackup = 0", "LoggingRetention = 1", "LoggingAutoBackup = x\nLoggingRetention = 1", ""],
)
def test_a_channel_gives_no_alarm(kind: str, lines: str) -> None:
    assert not {1180, 1181, 1182} & codes(device_inf(sections=PROVIDER.format(kind=kind, lines=lines)))


def test_full_log_files_of_an_operational_channel_may_be_kept() -> None:
    lines = "LoggingAutoBackup = 0x1\nLoggingRetention = 0x2"
    assert not {1181, 1182} & codes(device_inf(sections=PROVIDER.format(kind="2", lines=lines)))


@pytest.mark.parametrize("values", ["WmiSecurity", "1, WmiSecurity", "0x1, WmiSecurity", ", WmiSecurity", "%X%, W"])
def test_a_wmi_interface_gives_no_alarm(values: str) -> None:
    line = f"WMIInterface = {{99999999-4cf9-11d2-ba4a-00a0c9062910}}, {values}"
    assert 1256 not in codes(device_inf(sections=f"[Install.NT.WMI]\n{line}"))


@pytest.mark.parametrize(
    "line", ["", r"FileName = %%driverdata%%\Acme\log.etl", r'FileName = "%%DriverData%%\a b.etl"']
)
def test_an_autologger_gives_no_alarm(line: str) -> None:
    session = "[Install.NT.Events]\nAddAutoLogger = Acme, {d9ff08ce-a7a6-4c44-91e9-bc1e3692301b}, Session\n[Session]\n"
    assert 1326 not in codes(device_inf(sections=session + line))


@pytest.mark.parametrize(
    "lines",
    [
        "SoftwareType = 1\nSoftwareBinary = acme.exe\nSoftwareVersion = 1.0.0.0",
        "SoftwareType = 1\nSoftwareBinary = %13%\\sub\\acme.exe\nSoftwareVersion = 1.0.0.0",
        'SoftwareType = 1\nSoftwareBinary = """%13%\\a b.exe"""\nSoftwareVersion = 1.0.0.0',
        "SoftwareType = 2\nSoftwareID = pfn://Acme",
        "SoftwareType = 7",
        "SoftwareID = pfn://Acme",
    ],
)
def test_software_gives_no_alarm(lines: str) -> None:
    found = codes(device_inf(sections=f"[Install.NT.Software]\nAddSoftware = Acme, , Software\n\n[Software]\n{lines}"))
    assert not {1141, 1142} & found
    assert (1144 in found) == ("SoftwareType = 1" in lines)


def test_two_devices_may_have_the_same_component() -> None:
    second = "%Device% = Install, ROOT\\ACME\n%Device% = Other, ROOT\\ACME2"
    sections = "[Other.NT]\n[Install.NT.Components]\nAddComponent = A, , First\nAddComponent = B, , First\n"
    sections += "[Other.NT.Components]\nAddComponent = A, , First\n[First]\nComponentIDs = VID0001&PID0001, VID2"
    found = codes(device_inf(sections=sections).replace("%Device% = Install, ROOT\\ACME", second))
    assert not {1086, 1150} & found


@pytest.mark.parametrize("lines", ["", "ThreadingModel = FREE", "ThreadingModel = Apartment", "Description = x"])
def test_a_com_class_gives_no_alarm(lines: str) -> None:
    sections = "[Install.NT.COM]\nAddComServer = Acme, , Server\n[Server]\nServerType = 1\n"
    sections += f"AddComClass = {{bb2b85ab-9473-42e5-8d1a-0f01d3879879}}, , Class\n[Class]\n{lines}"
    assert 1160 not in codes(device_inf(sections=sections))


@pytest.mark.parametrize(
    "lines",
    [
        "UmdfService = acmeum, Driver\nUmdfServiceOrder = Other, AcmeUm",
        "UmdfService = acmeum, Driver\nUmdfExtensions = AcmeUm",
        "UmdfService = acmeum, Driver\nInclude = other.inf\nNeeds = Other",
        "KmdfService = acmeum, Driver",
    ],
)
def test_a_framework_driver_gives_no_alarm(lines: str) -> None:
    for version in ("2.15.0", "2.0", "$UMDFVERSION$", "%VERSION%", ""):
        driver = f"[Driver]\nUmdfLibraryVersion = {version}"
        assert not {1400, 1401, 1402} & codes(device_inf(sections=f"[Install.NT.Wdf]\n{lines}\n\n{driver}"))


def test_a_driver_of_the_old_framework_has_a_com_class() -> None:
    wdf = "[Install.NT.Wdf]\nUmdfService = acme, Driver\nUmdfServiceOrder = acme\n\n[Driver]\nDriverCLSID = {x}\n"
    assert 1401 not in codes(device_inf(sections=f"{wdf}UmdfLibraryVersion = 1.11.0"))


@pytest.mark.parametrize(
    "lines",
    [
        "HKR,Ndi,FilterType,0x00010001,1",
        "HKR,Ndi,FilterType,0x00010001,2\nHKR,NDI,filterclass,,custom",
        "HKR,Acme,FilterType,0x00010001,2",
        "HKR,Ndi,FilterType,0x00010001",
    ],
)
def test_a_network_filter_gives_no_alarm(lines: str) -> None:
    assert 2418 not in codes(device_inf(install="AddReg = Filter", sections=f"[Filter]\n{lines}"))


def net_driver(line: str, component: str = "FilterClass = custom") -> str:
    text = device_inf(class_name="NETDRIVER").replace("[Manufacturer]\n%Maker% = Acme, NTamd64.10.0...26100", "")
    sections = f"[DefaultInstall.NTamd64.NetDrivers]\n{line}\n[Component]\n{component}\n[Strings]"
    return text.replace("Install.NT", "DefaultInstall.NTamd64").replace("[Strings]", sections)


@pytest.mark.parametrize("line", ["AddNetFilter = acme_1, Component", "AddNetProtocol = acmems_, Component"])
def test_a_network_component_gives_no_alarm(line: str) -> None:
    for component in ("FilterClass = provider_address", ""):
        found = codes(net_driver(line, component))
        assert not {2400, 2403, 2405, 2412, 2414, 2415, 2420} & found


def test_a_filter_of_a_display_driver_may_start_early() -> None:
    early = "[Filter]\nServiceType = 1\nStartType = 0\nErrorControl = 1\nServiceBinary = %13%\\acme.sys"
    services = "AddService = acme, 2, Service\nAddService = filter, , Filter"
    assert 2602 not in codes(device_inf(services=services, sections=early, class_name="Display"))
    assert 2602 not in codes(device_inf().replace("StartType = 3", "StartType = 0"))
