"""A package is known by its first bytes; a folder of driver folders is looked at as what will be built of it."""

import zipfile
from pathlib import Path

import pytest

from hlkx_writer import signed_hlkx
from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.pipeline.package_source import opened
from service import new_vendor, sample_entries, signed_cabinet, unsigned_cabinet


def driver(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "driver.inf").write_text("[Version]")
    (folder / "driver.sys").write_bytes(b"MZ" * 300_000)
    return folder


def names_in(path: Path) -> list[str]:
    with opened([path], path.name, path.parent) as source:
        return [file.name for file in source.container.files]


def test_cabinets_zip_files_and_hlk_packages_are_told_apart_whatever_their_names(tmp_path: Path) -> None:
    cabinet = signed_cabinet(tmp_path, new_vendor()).rename(tmp_path / "a.zip")
    archive, package = tmp_path / "b.cab", tmp_path / "c.cab"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("d/d.inf", "[Version]")
    package.write_bytes(signed_hlkx())
    forms = {}
    for path in (cabinet, archive, package):
        with opened([path], path.name, tmp_path) as source:
            forms[path.name] = (source.form, source.is_signed)
    assert forms == {"a.zip": ("cabinet", True), "b.cab": ("zip file", False), "c.cab": ("HLK package", True)}


def test_what_carries_no_signature_says_so(tmp_path: Path) -> None:
    folder = driver(tmp_path / "d")
    for path in (folder, unsigned_cabinet(tmp_path, sample_entries())):
        with opened([path], "x", tmp_path) as source, pytest.raises(VerificationError):
            source.verify()


def test_a_package_in_several_segments_is_one(tmp_path: Path) -> None:
    content = unsigned_cabinet(tmp_path, sample_entries()).read_bytes()
    segments = [tmp_path / name for name in ("one", "two")]
    segments[0].write_bytes(content[:1])
    segments[1].write_bytes(content[1:])
    with opened(segments, "x.cab", tmp_path) as source:
        assert len(source.container.files) == 2


def test_other_bytes_are_no_package(tmp_path: Path) -> None:
    file = tmp_path / "x.cab"
    for content in (b"", b"P", b"PK", b"text"):
        file.write_bytes(content)
        with pytest.raises(ParseError, match=r"x\.cab"), opened([file], "x.cab", tmp_path):
            pass


class TestFolders:
    def test_folders_below_are_driver_folders(self, tmp_path: Path) -> None:
        driver(tmp_path / "all" / "one")
        driver(tmp_path / "all" / "two")
        (tmp_path / "all" / "readme.txt").touch()
        assert names_in(tmp_path / "all") == [
            "one/driver.inf", "one/driver.sys", "readme.txt", "two/driver.inf", "two/driver.sys",
        ]  # fmt: skip

    def test_a_folder_with_an_inf_is_a_driver_folder_itself(self, tmp_path: Path) -> None:
        (driver(tmp_path / "mine") / "sub").mkdir()
        (tmp_path / "mine" / "sub" / "tool.exe").touch()
        assert names_in(tmp_path / "mine") == ["mine/driver.inf", "mine/driver.sys", "mine/sub/tool.exe"]

    def test_an_inf_beside_driver_folders_is_a_file_at_the_root(self, tmp_path: Path) -> None:
        driver(tmp_path / "all" / "one")
        (tmp_path / "all" / "stray.inf").touch()
        assert "stray.inf" in names_in(tmp_path / "all")

    def test_files_come_whole_and_in_pieces(self, tmp_path: Path) -> None:
        folder = driver(tmp_path / "d")
        with opened([folder], "d", tmp_path) as source:
            found = {file.name: list(pieces) for file, pieces in source.container.extract()}
        assert b"".join(found["d/driver.sys"]) == b"MZ" * 300_000
        assert len(found["d/driver.sys"]) > 1

    def test_links_are_refused_by_name(self, tmp_path: Path) -> None:
        (driver(tmp_path / "d") / "link").symlink_to("/etc")
        with pytest.raises(ParseError, match="link is a link or a device"), opened([tmp_path / "d"], "d", tmp_path):
            pass

    @pytest.mark.parametrize("limits", [CabinetLimits(max_files=1), CabinetLimits(max_total_bytes=1000)])
    def test_limits_are_those_of_a_package(self, tmp_path: Path, limits: CabinetLimits) -> None:
        with opened([driver(tmp_path / "d")], "d", tmp_path) as source:
            source.container.check_limits(CabinetLimits())
            with pytest.raises(LimitExceeded):
                source.container.check_limits(limits)
