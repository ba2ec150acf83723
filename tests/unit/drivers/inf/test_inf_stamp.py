"""Templates (.inx) become INFs as stampinf makes them."""

from datetime import date

import pytest

from hwdash.drivers.inf.contents import contents
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.stamp import architecture_named, stamped


def parse(text: str) -> Inf:
    return Inf.from_text(text, source="t.inf")


TEMPLATE = (
    "; a template\r\n[Version]\r\n  DriverVer = ; TODO\r\n[Manufacturer]\r\nM = S,NT$ARCH$\r\n[S.NT$ARCH$]\r\n"
    "d = i, x ; $ARCH$\r\n[SourceDisksFiles.$ARCH$]\r\nWdfCoInstaller$KMDFCOINSTALLERVERSION$.dll = 1\r\n"
    "[i]\r\nKmdfLibraryVersion = $KMDFVERSION$\r\nUmdfLibraryVersion = $UMDFVERSION$\r\nother = $arch$\r\n"
)


def test_a_template_becomes_an_inf_and_keeps_its_lines() -> None:
    text = stamped(
        TEMPLATE, architecture="amd64", version="1.2.3.65535", date=date(2026, 3, 4), kmdf="1.33", umdf="2.15.0"
    )
    assert text == (
        "; a template\r\n[Version]\r\n  DriverVer = 03/04/2026,1.2.3.65535\r\n[Manufacturer]\r\nM = S,NTamd64\r\n"
        "[S.NTamd64]\r\nd = i, x ; amd64\r\n[SourceDisksFiles.amd64]\r\nWdfCoInstaller01033.dll = 1\r\n"
        "[i]\r\nKmdfLibraryVersion = 1.33\r\nUmdfLibraryVersion = 2.15.0\r\nother = $arch$\r\n"
    )
    inf = parse(text)
    assert list(inf.unstamped()) == []
    assert contents(inf)["manufacturers"] != contents(parse(TEMPLATE))["manufacturers"]


def test_what_is_not_given_stays_to_be_stamped() -> None:
    inf = parse(stamped(TEMPLATE, architecture="arm64"))
    assert [token for token, _ in inf.unstamped()] == ["$KMDFCOINSTALLERVERSION$", "$KMDFVERSION$", "$UMDFVERSION$"]
    assert inf.version.driver_ver is not None
    assert inf.version.driver_ver.date_text == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[Version]\nClass=x\n", "[Version]\nDriverVer = 01/02/2026,1.2.3.4\nClass=x\n"),
        (
            "[Version]\nDriverVer = 1/1/2000, \\\n  1.0\nClass=x\n",
            "[Version]\nDriverVer = 01/02/2026,1.2.3.4\nClass=x\n",
        ),
        ("[Version]", "[Version]\nDriverVer = 01/02/2026,1.2.3.4"),
        # An INF ends at Ctrl+Z, and NULs may follow it.
        ("[Version]\x1a\n[a]\n", "[Version]\nDriverVer = 01/02/2026,1.2.3.4\x1a\n[a]\n"),
        ("[Version]\0\0", "[Version]\nDriverVer = 01/02/2026,1.2.3.4\0\0"),
    ],
)
def test_driver_ver_takes_the_place_of_the_old_one_or_comes_first(before: str, after: str) -> None:
    assert stamped(before, architecture="x86", version="1.2.3.4", date=date(2026, 1, 2)) == after


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"version": "1.2.3", "date": date(2026, 1, 2)}, "four numbers"),
        ({"version": "1.2.3.65536", "date": date(2026, 1, 2)}, "four numbers"),
        ({"version": "1.2.3.4"}, "together"),
        ({"date": date(2026, 1, 2)}, "together"),
        ({"kmdf": "latest"}, "not a version of KMDF"),
        ({"umdf": "2"}, "not a version of UMDF"),
    ],
)
def test_versions_that_are_none_are_refused(arguments: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        stamped(TEMPLATE, architecture="amd64", **arguments)  # type: ignore[arg-type]


def test_a_file_without_a_version_section_cannot_be_stamped() -> None:
    with pytest.raises(ValueError, match=r"\[Version\]"):
        stamped("[a]\n", architecture="amd64", version="1.2.3.4", date=date(2026, 1, 2))


def test_architectures_have_the_names_that_stampinf_knows() -> None:
    assert [architecture_named(text) for text in ("x64", "AMD64", "64", "arm64", "x86")] == [
        "amd64",
        "amd64",
        "ia64",
        "arm64",
        "x86",
    ]
    with pytest.raises(ValueError, match="'ppc' is not an architecture"):
        architecture_named("ppc")
