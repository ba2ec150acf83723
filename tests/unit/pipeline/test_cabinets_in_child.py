"""Cabinets of every compression in the real, confined child: what they need was loaded before it was confined."""

from pathlib import Path

import pytest

from cab_builder import Folder, build_cabinet
from hwdash.drivers.errors import ParseError
from hwdash.pipeline.child import ChildLimits, run_in_child
from lzx_writer import lzx_folder
from quantum_writer import quantum_folder
from service import X64, sample_entries

FILES = [(name, file.read_bytes()) for name, file in sample_entries() if isinstance(file, Path)]


def unpacked(folder: Path, folders: list[Folder]) -> dict[str, bytes]:
    """The files that the child unpacks from this cabinet, by their names in it."""
    package, workspace = folder / "package.cab", folder / "files"
    package.write_bytes(build_cabinet(folders))
    workspace.mkdir()
    arguments = {
        "package": [str(package)],
        "name": package.name,
        "folder": str(workspace),
        "submission": 7,
        "signatures": [X64],
        "kind": "attestation",
        "today": "2027-01-01",
    }
    answer = run_in_child(
        "hwdash.pipeline.inspection:prepare",
        arguments,
        readable=[package],
        writable=[workspace],
        limits=ChildLimits(memory_mb=512, cpu_seconds=60, wall_seconds=120),
    )
    assert isinstance(answer, dict)
    (bundle,) = answer["bundles"]
    return {file["path"].replace("/", "\\"): (workspace / file["stored"]).read_bytes() for file in bundle["files"]}


def test_lzx_is_unpacked(tmp_path: Path) -> None:
    assert unpacked(tmp_path, [lzx_folder(FILES, 21)]) == dict(FILES)


def test_quantum_is_unpacked_so_libmspack_works_there(tmp_path: Path) -> None:
    assert unpacked(tmp_path, [quantum_folder(name, content) for name, content in FILES]) == dict(FILES)


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    folder = lzx_folder(FILES, 21)
    damaged = Folder(folder.method, [folder.blocks[0][:-9], *folder.blocks[1:]], folder.size, folder.files)
    with pytest.raises(ParseError, match="the LZX block is damaged") as caught:
        unpacked(tmp_path, [damaged])
    assert caught.value.offset is not None
