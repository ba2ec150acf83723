"""The rules on directives, sections, files and directories: what looks broken to them and is not."""

import time

import pytest

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import verify
from hwdash.drivers.inf.verify.outline import HOMES, KINDS, Outline
from seeded.device_inf import device_inf

COPY = "CopyFiles = Files"
SERVICE = "AddService = acme, 2, Service"
TO_DRIVERS = ("DefaultDestDir = 13", "DefaultDestDir = 12")
SETTINGS = '[Settings]\nHKR,,Name,,"x"\n'


def codes(text: str, **options: object) -> set[int | str]:
    inf = Inf.from_text(text, source="acme.inf")
    return {
        each.code
        for mode in ("declarative", "universal", "windows")
        for each in verify(inf, mode=mode, **options)  # type: ignore[arg-type]
    }


def edited(*edits: tuple[str, str], base: str | None = None) -> str:
    text = base or device_inf()
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


SILENT = {
    "the null service": (SERVICE, "AddService = , 2\nAddService = acme, 0, Service"),
    "an optional value that is empty": ("ErrorControl = 1", "ErrorControl = 1\nLoadOrderGroup =\nDisplayName ="),
    "an interactive service": ("ServiceType = 1", "ServiceType = 0x110"),
    "every flag of services": (SERVICE, "AddService = acme, 0x3fffb, Service"),
    "fields of a source file left out": ("acme.dll = 1", "acme.dll = 1,,"),
    "a subfolder": ("1 = %Disk%", "1 = %Disk%,,,\\x64\\bin"),
    "arguments with slashes": ("%13%\\acme.sys", '"%13%\\acme.sys" /start //x'),
    "flags for files": ("[Files]\nacme.sys", "[Files]\nacme.sys,,,2"),
    "a comma in quotes": ("Provider = %Maker%", 'Provider = "Acme, Inc."'),
    "fields that are empty at the end": (SERVICE, f"{SERVICE}, , , , , "),
    "the same twice": ("PnpLockdown = 1", "PnpLockdown = 1\nPnpLockdown = 1"),
    "a list copied twice": (COPY, f"{COPY}\n[Install.NT.Other]\n{COPY}"),
    "a file of one architecture": (
        "[SourceDisksFiles]",
        "[SourceDisksFiles.arm64]\nacme.sys = 1,arm\n[SourceDisksFiles]",
    ),
    "a section of Windows without suffix": (
        COPY,
        f"{COPY}\n[Install.NT.HW]\nInclude = pci.inf\nNeeds = PciD3ColdSupported",
    ),
    "a decorated section of Windows": (COPY, f"{COPY}\nInclude = ks.inf\nNeeds = KSCAPTUR.Registration.NT"),
    "a needed section that is decorated": (COPY, f"{COPY}\nNeeds = Base\n[Base.NTamd64]\nAddReg = S\n[S]\nHKR,,a,,b"),
    "two texts for Reboot": (SERVICE, f"{SERVICE}\n[ControlFlags]\nExcludeFromSelect = Reboot"),
    "a decorated variant that no device uses": ("[Files]\n", f"[Install.NTx86]\n{COPY}\n[Files]\n"),
    "signature attributes": (
        "[Files]\n",
        "[SignatureAttributes]\nacme.dll = SignatureAttributes.DRM\n[SignatureAttributes.DRM]\nLevel = 1\n[Files]\n",
    ),
    "a section named by a string": (COPY, f"{COPY}\nAddReg = %Disk%\n[Acme disk]\nHKR,,a,,b"),
    "an interface class": (
        "[Files]\n",
        "[InterfaceInstall32]\n{cdc35b6e-0be4-4936-bf5f-5537380a7c1a} = Interface\n"
        "[Interface]\nAddReg = Settings\n[Settings]\nHKR,,a,,b\n[Files]\n",
    ),
    "a directive of some class of devices": (COPY, f"{COPY}\nCharacteristics = 0x84, a, b, c\nBusType = x"),
}


@pytest.mark.parametrize("edit", SILENT.values(), ids=SILENT.keys())
def test_what_is_legal_gives_no_alarm(edit: tuple[str, str]) -> None:
    assert codes(edited(edit)) == set()


NOT_THIS = {
    "security of files elsewhere": (
        1101,
        (TO_DRIVERS, ("[Files]\n", '[Files.security]\n"D:P(A;;GA;;;SY)"\n[Files]\n')),
    ),
    "files deleted elsewhere": (1102, (TO_DRIVERS, (COPY, f"{COPY}\nDelFiles = Old\n[Old]\nold.sys"))),
    "replaced elsewhere": (1103, (TO_DRIVERS, ("[Files]\nacme.sys", "[Files]\nacme.sys,,,0x400"))),
    "a file to delete": (1078, (TO_DRIVERS, (COPY, f"{COPY}\nDelFiles = @old.sys"))),
    "a directory of printers": (1241, ((TO_DRIVERS[0], "DefaultDestDir = 66000"),)),
    "a folder of the shell": (1242, ((TO_DRIVERS[0], "DefaultDestDir = 16422"),)),
    "an absolute path": (1243, ((TO_DRIVERS[0], "DefaultDestDir = -1, C:\\acme"),)),
    "a hexadecimal directory": (1243, ((TO_DRIVERS[0], "DefaultDestDir = 0xd"),)),
    "a list by two directives of one name": (1205, ((COPY, f"{COPY}, @acme.dll\n{COPY}"),)),
    "no Include here, none needed": (1319, ((COPY, f"{COPY}\nNeeds = Base\n[Base]\nInclude = ks.inf\nNeeds = KS"),)),
    "an empty disk": (1273, (("acme.dll = 1", "acme.dll ="),)),
    "uninstalling on old systems": (1421, ((COPY, f"{COPY}\n[DefaultUninstall]\nLegacyUninstall = 1"),)),
}


@pytest.mark.parametrize(("code", "edits"), NOT_THIS.values(), ids=NOT_THIS.keys())
def test_what_another_rule_may_judge_this_one_passes(code: int, edits: tuple[tuple[str, str], ...]) -> None:
    assert code not in codes(edited(*edits))


def two_devices(first: str, second: str, decorations: tuple[str, str]) -> str:
    """Devices whose install sections copy ``first`` and ``second``, under two decorations."""
    base = device_inf(
        sections=f"[Second.NT]\nCopyFiles = More\n[Second.NT.Services]\nAddService = ,2\n[More]\n{second}",
    )
    devices = "".join(
        f"[Acme.{decoration}]\n%Device% = {name}, ROOT\\{name}\n"
        for decoration, name in zip(decorations, ("Install", "Second"), strict=True)
        if decoration
    )
    return edited(
        TO_DRIVERS,
        ("%Maker% = Acme, NTamd64.10.0...26100", f"%Maker% = Acme, {', '.join(filter(None, decorations))}"),
        ("[Acme.NTamd64.10.0...26100]\n%Device% = Install, ROOT\\ACME\n", devices),
        ("[Files]\nacme.sys", f"[Files]\n{first}\nacme.sys"),
        base=base,
    )


def test_two_sources_conflict_only_where_one_system_uses_both() -> None:
    same = two_devices("x.dll,a.dll", "x.dll,b.dll", ("NTamd64", "")).replace(
        "ROOT\\Install\n", "ROOT\\Install\n%Device% = Second, ROOT\\SECOND\n"
    )
    assert 1330 in codes(same)
    assert 1330 not in codes(same.replace("x.dll,b.dll", "X.DLL,A.DLL"))
    assert 1330 not in codes(same.replace("x.dll,b.dll", "x.dll,a.dl_"))
    for decorations in (("NTamd64", "NTarm64"), ("NTamd64.6.1", "NTamd64.10.0")):
        assert 1330 not in codes(two_devices("x.dll,a.dll", "x.dll,b.dll", decorations))


@pytest.mark.parametrize("digits", ["0x" + "f" * 5_000, "1" * 19])
def test_a_number_of_any_length_is_no_directory(digits: str) -> None:
    assert codes(edited((TO_DRIVERS[0], f"DefaultDestDir = {digits}"))) & {1241, 1243}


def test_files_of_the_package_are_found_by_their_place() -> None:
    files = ["acme.inf", "ACME.sys", "acme.dl_", "acme.exe"]
    assert codes(device_inf(), files=files) == set()
    assert codes(edited(("acme.dll = 1", "acme.dll = 1,bin")), files=[*files, "bin\\acme.dll"]) == set()
    assert codes(device_inf(), files=files[:-1]) == {1016}


def test_the_provider_asked_for_is_compared_as_it_reads() -> None:
    assert codes(device_inf(), provider="Acme") == set()
    assert codes(device_inf(), provider="%Maker%") == {1210}


def test_retired_directories_are_a_matter_of_new_systems() -> None:
    older = edited(
        ("DefaultDestDir = 13", "DefaultDestDir = 13\nOldFiles = 24"),
        (
            "NTamd64.10.0...26100\n\n[Acme.NTamd64.10.0...26100]",
            "NTamd64.10.0...16299, NTamd64.6.1\n[Acme.NTamd64.6.1]\n%Device% = Old, ROOT\\ACME\n"
            "[Old]\nCopyFiles = OldFiles\n[Old.Services]\nAddService = acme, 2, Service\n[OldFiles]\nacme.sys\n"
            "[Acme.NTamd64.10.0...16299]",
        ),
    )
    assert 1340 not in codes(older)
    assert 1340 in codes(older.replace("NTamd64.10.0...16299, ", ""))


def test_every_reference_leads_to_a_kind_of_section() -> None:
    lists = {"registry", "bits", "properties", "files", "log configuration", "profile items", "ini lines"}
    lists |= {"ini fields", "ini to registry", "DLLs"}
    named = {
        field.allowed
        for kind in KINDS.values()
        for syntax in kind.directives.values()
        for field in syntax.fields
        if field.type == "section"
    }
    assert named - {"needed"} <= KINDS.keys() | lists
    for kind in KINDS.values():
        assert {name.lower() for name in kind.required} | kind.once <= kind.directives.keys()
    assert HOMES["addservice"] == ("Services",)


def test_sections_that_need_each_other_are_read_once() -> None:
    inf = Inf.from_text("[a]\nNeeds = b\nAddReg = r\n[b]\nNeeds = a\n[r]\nHKR\n", source="x")
    outline = Outline(inf, [("a", "install"), ("a", "install"), ("none", "install")])
    assert [(kind.name, section.name) for kind, section in outline.sections] == [("install", "a"), ("install", "b")]
    assert [(reference.target, reference.kind) for reference in outline.references] == [
        ("b", "install"),
        ("r", "registry"),
        ("a", "install"),
    ]


def test_time_grows_with_the_size_of_the_inf() -> None:
    head = "[Version]\nSignature = $CHICAGO$\n"
    many = range(10_000)
    shapes = [
        "[DefaultInstall.NTx86]\n" + "".join(f"Needs = s{n}\n[s{n}]\n" for n in many),
        "[DefaultInstall.NTx86]\nNeeds = s0\n" + "".join(f"[s{n}]\nNeeds = s{n + 1}.hw, s0\n" for n in many),
        "[DefaultInstall.NTx86]\nAddReg = " + ",".join(f"r{n % 7}" for n in range(100_000)) + "\n[r1]\nHKR\n",
        "[DefaultInstall.NTx86]\n" + "DelFiles = F\nRegisterDlls = F\n" * 5_000 + "[F]\n" + "a = b\n" * 10_000,
        "[" + "a." * 200_000 + "]\n",
        "".join(f"[{'x.' * 120}{n}]\n" for n in range(5_000)),
        "[Strings]\n" + "".join(f"k{n} = v\n" for n in many) + "".join(f"[Strings.{n:04x}]\na = b\n" for n in many),
        "[Manufacturer]\na = M"
        + "".join(f",NTamd64.10.0...{20_000 + n}" for n in range(1_000))
        + "\n"
        + "".join(f"[M.NTamd64.10.0...{20_000 + n}]\nd = I,x\nd = J,y\n" for n in range(1_000))
        + "[I]\nCopyFiles = F\n[J]\nCopyFiles = G\n[F]\n"
        + "".join(f"f{n}\n" for n in range(1_000))
        + "[G]\n"
        + "".join(f"f{n},g{n}\n" for n in range(1_000)),
    ]
    for shape in shapes:
        inf = Inf.from_text(head + shape, source="x.inf")
        started = time.process_time()
        verify(inf, mode="windows", files=[f"f{n}" for n in many])
        assert time.process_time() - started < 10
