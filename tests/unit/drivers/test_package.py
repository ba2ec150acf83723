"""Layout rules of attestation packages, on names alone and on names with the INF that mentions them."""

import pytest

from hwdash.drivers.findings import Finding
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.package import (
    check_architectures,
    check_inf_references,
    check_layout,
    clashing_names,
    driver_folders,
    unsafe_path_reason,
)

GOOD = ["amd64\\echo.inf", "amd64\\echo.sys", "amd64\\echo.pdb", "amd64\\echo.cat"]


def rules(names: list[str]) -> set[str]:
    return {finding.rule for finding in check_layout(names)}


@pytest.mark.parametrize("names", [GOOD, [name.replace("\\", "/") for name in GOOD]])
def test_a_folder_with_inf_binary_symbols_and_catalog_is_accepted(names: list[str]) -> None:
    assert check_layout(names) == []


@pytest.mark.parametrize(
    ("extra", "rule", "level"),
    [
        ("readme.txt", "package.files-at-root", "error"),
        ("x86\\echo.sys", "package.no-inf", "error"),
        ("x86\\sub\\echo.inf", "package.no-inf", "error"),
        (f"{'a' * 40}\\echo.inf", "package.folder-name-length", "error"),
        ("drv&co\\echo.inf", "package.folder-name-characters", "error"),
        ("trèiber\\echo.inf", "package.folder-name-characters", "error"),
        ("AMD64\\ECHO.SYS", "package.duplicate-name", "error"),
        ("amd64/echo.sys", "package.duplicate-name", "error"),
        ("amd64\\..\\echo.sys", "package.unsafe-name", "error"),
        ("\\\\server\\share\\echo.inf", "package.unsafe-name", "error"),
        ("amd64\\bin\\echo.dll", "package.nested-folder", "warning"),
        ("x86\\echo.inf", "package.no-catalog", "warning"),
    ],
)
def test_each_rule_is_broken_by_one_name(extra: str, rule: str, level: str) -> None:
    found = [finding for finding in check_layout([*GOOD, extra]) if finding.rule == rule]
    assert [finding.level for finding in found] == [level]
    assert found[0].remedy


@pytest.mark.parametrize("rule", ["nested-folder", "folder-name-characters", "inf-not-at-top", "inf-name-twice"])
def test_what_no_document_says_is_marked(rule: str) -> None:
    names = [*GOOD, "amd64\\sub\\echo.inf", "drv&co\\echo.inf"]
    assert {finding.inferred for finding in check_layout(names) if finding.rule == f"package.{rule}"} == {True}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["amd64\\sub\\other.inf"], {"package.nested-folder", "package.inf-not-at-top"}),
        (["amd64\\sub\\ECHO.inf"], {"package.nested-folder", "package.inf-not-at-top", "package.inf-name-twice"}),
        (["x86\\echo.inf", "x86\\echo.cat"], set()),
    ],
)
def test_an_inf_below_the_top_of_its_folder_is_a_warning(extra: list[str], expected: set[str]) -> None:
    assert rules([*GOOD, *extra]) == expected


def test_packages_of_the_hlk_are_judged_by_names_and_paths_only() -> None:
    long = "d/" + "a" * 157
    assert check_layout(["root.txt", "drv&co/x/y.sys", long], "whql") == []
    (finding,) = check_layout([long + "b"], "whql")
    assert (finding.rule, finding.level, finding.inferred) == ("package.path-length", "warning", True)
    assert finding.file == long + "b"
    assert "160 characters" in finding.message
    unsafe = check_layout(["d/../x.inf", "d/a", "D/A"], "whql")
    assert [finding.rule for finding in unsafe] == ["package.unsafe-name", "package.duplicate-name"]


def test_preproduction_packages_are_laid_out_as_those_for_attestation() -> None:
    names = [*GOOD, "readme.txt", f"{'a' * 40}\\echo.inf"]
    assert check_layout(names, "preproduction") == check_layout(names, "attestation")


def test_files_at_the_root_have_a_place() -> None:
    (finding,) = check_layout([*GOOD, "b.txt", "a.txt"])
    assert finding.file == "b.txt"


def test_binaries_without_symbols_are_a_warning() -> None:
    assert rules([name for name in GOOD if not name.endswith(".pdb")]) == {"package.no-symbols"}


def test_a_folder_without_binaries_needs_no_symbols() -> None:
    assert rules(["ext\\extension.inf", "ext\\extension.cat"]) == set()


def test_an_empty_package_is_one_finding() -> None:
    assert rules([]) == {"package.empty"}


def test_a_folder_name_of_39_characters_is_accepted() -> None:
    assert rules([f"{'a' * 39}\\e.inf", f"{'a' * 39}\\e.cat"]) == set()


def test_files_at_the_root_are_named_up_to_a_limit() -> None:
    (finding,) = [found for found in check_layout([*GOOD, *(f"f{n}.txt" for n in range(25))]) if "root" in found.rule]
    assert "f0.txt, f1.txt" in finding.message
    assert "f20.txt" not in finding.message
    assert "and 5 more" in finding.message


def test_folders_that_differ_in_case_are_one() -> None:
    names = ["AMD64\\a.inf", "amd64/b.sys", "x86\\c.inf", "root.txt"]
    assert driver_folders(names) == {"AMD64": ["AMD64\\a.inf", "amd64/b.sys"], "x86": ["x86\\c.inf"]}


@pytest.mark.parametrize("name", ["a\\b.sys", "a/b c.inf", "drv_1.0\\x-y.cat", "console\\aux1.sys", "a\\.hidden"])
def test_ordinary_names_are_safe(name: str) -> None:
    assert unsafe_path_reason(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "\\windows\\a",
        "\\\\server\\a",
        "C:\\a",
        "a:b",
        "..",
        "a/../b",
        ".\\a",
        "a//b",
        "a\\",
        "a\0b",
        "a\nb",
        "a\x7fb",
        "a\u202eb",
        "a\ud800b",
        "con",
        "a\\NUL.txt",
        "a\\com1 .sys",
        "a\\LPT².x",
        "a.\\b",
        "a \\b",
        "a\\b.",
        "a\\b*c",
        f"a\\{'b' * 256}",
    ],
)
def test_names_that_could_escape_or_cannot_exist_are_unsafe(name: str) -> None:
    assert unsafe_path_reason(name)


@pytest.mark.parametrize(
    ("listed", "pairs"),
    [
        (("a", "b", "c\\a"), []),
        (("a.inf", "A.INF"), [("a.inf", "A.INF")]),
        (("x\\a", "X/A"), [("x\\a", "X/A")]),
        (("a", "a", "A"), [("a", "a"), ("a", "A")]),
        (("a", "a\\b"), [("a", "a\\b")]),
        (("a\\b\\c", "A"), [("a\\b\\c", "A")]),
        (("a\\b", "a\\c"), []),
    ],
)
def test_names_that_cannot_stand_together_are_told(listed: tuple[str, ...], pairs: list[tuple[str, str]]) -> None:
    assert clashing_names(listed) == pairs


INF = """[Version]
Signature = "$WINDOWS NT$"
[Manufacturer]
%M% = Models, NTamd64
[Models.NTamd64]
%D% = Install, ROOT\\X
[Install]
CopyFiles = Files, @direct.dll
CopyINF = other.inf
[Files]
driver.sys,drv.sys
[SourceDisksNames]
1 = "disk",,,\\bin
[SourceDisksNames.x86]
1 = "disk",,,\\x86
2 = "disk", apart.cab
[SourceDisksFiles]
drv.sys = 1
direct.dll = 1, lib
spare.dll = 1
[SourceDisksFiles.x86]
old.sys = 1
packed.sys = 2
"""


def missing(inf: Inf, files: set[str]) -> list[tuple[str, int | None]]:
    return [(finding.level, finding.line) for finding in check_inf_references(inf, files)]


def test_files_are_looked_for_in_the_folders_of_their_disk_and_line() -> None:
    inf = Inf.from_text(INF, source="x.inf")
    assert missing(inf, {"x.inf", "other.inf", "bin\\drv.sys", "BIN/lib/direct.dll", "bin/spare.dll"}) == []


def test_a_compressed_file_serves() -> None:
    inf = Inf.from_text(INF, source="x.inf")
    assert missing(inf, {"other.inf", "bin/drv.sy_", "bin/lib/direct.dll", "bin/spare.dll"}) == []


def test_what_is_copied_and_missing_is_an_error_with_its_line() -> None:
    inf = Inf.from_text(INF, source="x.inf")
    found = check_inf_references(inf, {"drv.sys", "direct.dll"})
    assert [(finding.level, finding.line) for finding in found] == [
        ("error", 9),
        ("error", 18),
        ("error", 19),
        ("warning", 20),
    ]
    assert "bin/lib/direct.dll" in found[2].message
    assert found[0].file == "x.inf"


def test_other_architectures_are_looked_at_when_the_inf_supports_them() -> None:
    inf = Inf.from_text(INF.replace("NTamd64", "NTx86"), source="x.inf")
    found = {finding.message for finding in check_inf_references(inf, set())}
    assert any("x86/old.sys" in message for message in found)
    assert any("apart.cab" in message for message in found)
    assert check_inf_references(inf, {"other.inf"}, wanted={"arm64"}) == []


def test_a_copied_file_without_a_source_line_lies_beside_the_inf() -> None:
    text = INF.replace("direct.dll = 1, lib\n", "")
    present = {"other.inf", "bin/drv.sys", "bin/spare.dll"}
    assert missing(Inf.from_text(text, source="x.inf"), present) == [("error", 8)]
    assert missing(Inf.from_text(text, source="x.inf"), present | {"direct.dll"}) == []


def architecture_inf(*decorations: str) -> Inf:
    models = "".join(f"[M.{name}]\nd = I, ROOT\\X\n" for name in decorations)
    return Inf.from_text(f"[Manufacturer]\nm = M, {', '.join(decorations)}\n{models}", source="a.inf")


def test_folders_with_the_same_architectures_agree() -> None:
    both = architecture_inf("NTamd64", "NTarm64")
    assert check_architectures({"a": [both], "b": [architecture_inf("NTarm64"), architecture_inf("NTamd64")]}) == []


def test_a_folder_that_lacks_an_architecture_is_named() -> None:
    found: list[Finding] = check_architectures(
        {"a": [architecture_inf("NTamd64", "NTarm64")], "b": [architecture_inf("NTamd64")]}
    )
    assert [(finding.rule, finding.file) for finding in found] == [("package.architectures-differ", "b")]
    assert "arm64" in found[0].message
