"""Services, and install sections side by side, that look like what a rule is about and are not."""

import pytest

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import verify
from seeded.device_inf import device_inf


def codes(text: str) -> set[int | str]:
    return {finding.code for finding in verify(Inf.from_text(text, source="acme.inf"), mode="windows")}


@pytest.mark.parametrize(
    ("code", "services"),
    [
        (1017, "AddService = dynambus2, 2, Service"),
        (1021, f"AddService = {'a' * 256}, 2, Service"),
        (1021, f"AddService = {'a' * 200}, 0x10002, Service"),
        (1022, "AddService = acme, 0x10002, Service\nAddService = other, 0, Service"),
        (1022, "AddService = acme, 0x10002, Service\nAddService = ACME, 0x10000, Service"),
        (1022, "AddService = acme, 0x10002, Service\nAddService = acme, %UNIQUE%, Service"),
        (1253, "AddService = , 2"),
        (1253, "AddService = , 0x3"),
        (1253, "AddService = , %SPSVCINST_ASSOCSERVICE%"),
        (1272, "AddService = , 2, ,"),
    ],
)
def test_an_addservice_gives_no_alarm(code: int, services: str) -> None:
    assert code not in codes(device_inf(services=services))


def helper(lines: str, *, flags: str = "") -> str:
    """The INF with a second service, whose section has some lines."""
    services = f"AddService = acme, 2, Service\nAddService = helper, {flags}, Helper"
    return device_inf(services=services, sections=f"[Helper]\nErrorControl = 1\n{lines}")


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (1251, "ServiceType = 1\nStartType = 4\nServiceBinary = %13%\\acme.sys"),
        (1252, "ServiceType = 0x110\nStartType = 2\nDelayedAutoStart = 1\nAddTrigger = Trigger"),
        (1252, "ServiceType = 0x20\nStartType = 4\nFailureActions = Failed\nRequiredPrivileges = SeAuditPrivilege"),
        (1252, "ServiceType = 1\nStartType = 0\nBootFlags = 0x14"),
        (1252, "ServiceType = %UNKNOWN%\nBootFlags = 1\nAddTrigger = Trigger"),
        (1252, "StartType = 1\nBootFlags = 1\nAddTrigger = Trigger"),
        (1254, 'ServiceBinary = """%13%\\Acme Tools\\acme.exe"" -k x"'),
        (1254, 'ServiceBinary = "%13%\\acme.exe'),
        (2084, "ServiceBinary = %13%\\ACME.EXE -k acme"),
        (2084, 'ServiceBinary = """%13%\\acme.exe"" -k acme"'),
        (2084, "ServiceBinary = %13%\\sub\\acme.exe"),
        (2084, "ServiceBinary = %11%\\svchost.exe -k acme"),
        (2084, "ServiceBinary = System32\\other.exe"),
    ],
)
def test_the_section_of_a_service_gives_no_alarm(code: int, lines: str) -> None:
    assert code not in codes(helper(lines))


def test_a_binary_may_come_from_elsewhere() -> None:
    text = device_inf().replace(r"%13%\acme.sys", r"%12%\other.sys")
    assert 2084 in codes(text)
    assert 2084 not in codes(text.replace("CopyFiles = Files", "Include = other.inf\nNeeds = Other\nCopyFiles = Files"))
    assert 2084 not in codes(text.replace("[Install.NT.Services]", "[Install.NT.Services]\nInclude = o.inf\nNeeds = O"))
    assert 2084 not in codes(text.replace("PnpLockdown = 1", "PnpLockdown = 1\nLayoutFile = layout.inf"))


def test_a_binary_may_be_copied_by_another_section_for_the_architecture() -> None:
    sections = "[Other.NT]\nCopyFiles = @other.sys\n\n[Other.NT.Services]\nAddService = acme, 2, Service"
    text = two_devices(sections=sections).replace(r"%13%\acme.sys", r"%13%\other.sys")
    assert 2084 not in codes(text)
    assert 2084 in codes(text.replace("[Other.NT", "[Other.NTarm64"))


def two_devices(*, install: str = "", services: str = "AddService = acme, 2, Service", sections: str = "") -> str:
    second = "%Device% = Install, ROOT\\ACME\n%Device% = Other, ROOT\\ACME2"
    return device_inf(install=install, services=services, sections=sections).replace(
        "%Device% = Install, ROOT\\ACME", second
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("HKR,,Mode,0x00010001,1", "HKR,,Mode,0x00010001,2"),
        (r"HKCR,Acme,Mode,0x00010001,1", r"HKCR,Acme,Other,0x00010001,2"),
        (r"HKCR,Acme,Mode,0x00010001,1", r"HKCR,Acme\Sub,Mode,0x00010001,2"),
        (r"HKCR,Acme,Mode,0x00010001,1", r"hkcr,ACME\,mode,65537,1"),
        (r"HKCR,Acme,Mode,0x00010001,1", r"HKCR,Acme,Mode,0x00010003,2"),
        (r"HKCR,Acme,Mode,0x00010001,1", r"HKCR,Acme,Mode,0x00014001,2"),
        (r"HKCR,Acme,Mode,0x00010000,one", r"HKCR,Acme,Mode,0x00010008,two"),
        (r"HKCR,Acme,Mode,0x00010001,1", r"HKCR,Acme,Mode,4"),
        (r"HKCR,Acme", r"HKCR,Acme,,0x10"),
        (r"HKCR,Acme,Mode,,1", "HKCR,Acme,Mode,,2\nHKCR,Acme,Mode,,1"),
    ],
)
def test_install_sections_agree(first: str, second: str) -> None:
    sections = f"[Other.NT]\nAddReg = Second\n\n[First]\n{first}\n\n[Second]\n{second}"
    assert 1331 not in codes(two_devices(install="AddReg = First", sections=sections))


def test_install_sections_of_different_systems_may_differ() -> None:
    sections = "[Other.NT]\nAddReg = Second\n\n[First]\nHKCR,Acme,Mode,,1\n\n[Second]\nHKCR,Acme,Mode,,2"
    text = two_devices(install="AddReg = First", sections=sections)
    assert 1331 in codes(text)
    text = text.replace("NTamd64.10.0...26100\n", "NTamd64.10.0...26100, NTarm64.10.0...26100\n", 1)
    text = text.replace("%Device% = Other", "\n[Acme.NTarm64.10.0...26100]\n%Device% = Other")
    assert 1331 not in codes(text)


def test_one_install_section_may_correct_itself() -> None:
    text = device_inf(install="AddReg = One, Two", sections="[One]\nHKCR,Acme,Mode,,1\n\n[Two]\nHKCR,Acme,Mode,,2")
    assert 1331 not in codes(text)


SERVICE = "ServiceType = 1\nStartType = 3\nErrorControl = 1\nServiceBinary = %13%\\acme.sys\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("", "LoadOrderGroup = Base"),
        ("Description = one", "Description = two"),
        ("AddReg = One", ""),
        ("AddReg = One", "AddReg = Again"),
        ("AddReg = One", "AddReg = Kept"),
    ],
)
def test_sections_of_a_service_agree(first: str, second: str) -> None:
    lists = (
        "[One]\nHKR,Parameters,A,,1\n\n[Again]\nHKR,PARAMETERS,a,0,1\nHKR,Parameters,B,,1\n\n"
        "[Kept]\nHKR,Parameters,A,0x2,2"
    )
    sections = f"[Other.NT.Services]\nAddService = shared, 2, Two.Service\n\n[Other.NT]\n\n{lists}\n\n"
    sections += f"[One.Service]\n{SERVICE}{first}\n\n[Two.Service]\n{SERVICE}{second}"
    found = codes(two_devices(services="AddService = Shared, 2, One.Service", sections=sections))
    assert not {1332, 1333} & found


def test_two_services_may_differ() -> None:
    sections = f"[Other.NT.Services]\nAddService = b, 2, Two.Service\n\n[Other.NT]\n\n[One.Service]\n{SERVICE}\n\n"
    sections += "[Two.Service]\n" + SERVICE.replace("StartType = 3", "StartType = 0")
    assert 1333 not in codes(two_devices(services="AddService = a, 2, One.Service", sections=sections))
    assert 1333 in codes(two_devices(services="AddService = B, 2, One.Service", sections=sections))


@pytest.mark.parametrize(
    "value",
    [
        'HKR,,CoInstallers32,0x00010000,"WdfCoInstaller01009.dll,WdfCoInstaller","WinUSBCoInstaller2.dll"',
        'HKR,,CoInstallers32,0x00010000,"WUDFCoinstaller.dll"',
        "HKR,,Other,,acme.dll",
        "",
    ],
)
def test_the_co_installers_of_windows_own_frameworks_give_no_alarm(value: str) -> None:
    sections = f"[Install.NT.CoInstallers]\nAddReg = Co\n\n[Co]\n{value}"
    assert 1303 not in codes(device_inf(sections=sections))
