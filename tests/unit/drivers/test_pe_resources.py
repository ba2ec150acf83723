"""Version resources and the mark of an ELAM driver as a resource compiler writes them; when an image was linked."""

import io
import struct
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pydivert
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwdash.drivers.errors import DriversError, ParseError
from hwdash.drivers.pe import PeImage
from hwdash.drivers.pe_resources import file_version, is_elam
from hwdash.drivers.pe_sections import MappedImage
from pe_images import RVA, image, linked_dll, linked_on

SOURCE = "int use(void) { return 1; }"


def mapped(content: bytes) -> MappedImage:
    stream = io.BytesIO(content)
    return MappedImage(stream, PeImage.open(stream, source="x.dll"), source="x.dll")


@pytest.fixture(scope="module")
def with_version(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    script = "1 ICON_LIKE { 1L }\n1 VERSIONINFO FILEVERSION 10,20,30,65535 PRODUCTVERSION 1,2,3,4 { }\n"
    return linked_dll(tmp_path_factory.mktemp("version"), SOURCE, resources=script).read_bytes()


def test_the_version_is_the_one_that_the_resource_compiler_was_given(with_version: bytes) -> None:
    assert file_version(mapped(with_version)) == (10, 20, 30, 65535)


def test_a_real_driver_has_a_version() -> None:
    (driver,) = Path(pydivert.__file__).parent.rglob("WinDivert64.sys")
    assert file_version(mapped(driver.read_bytes())) == (2, 0, 0, 0)


def test_an_image_without_resources_has_no_version() -> None:
    assert file_version(mapped(image())) is None
    assert is_elam(mapped(image())) is False


def test_other_resources_are_no_version(tmp_path: Path) -> None:
    made = mapped(linked_dll(tmp_path, SOURCE, resources="1 RCDATA { 1L }\n").read_bytes())
    assert file_version(made) is None
    assert is_elam(made) is False


def test_the_resource_of_an_elam_driver_is_found(tmp_path: Path) -> None:
    script = 'MSElamCertInfoID MicrosoftElamCertificateInfo { 1, L"hash\\0" }\n'
    assert is_elam(mapped(linked_dll(tmp_path, SOURCE, resources=script).read_bytes())) is True


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_change_gives_a_version_or_an_error_of_ours(with_version: bytes, data: st.DataObject) -> None:
    whole = bytearray(with_version)
    start = mapped(with_version).directory(2)[1] and whole.index("VS_VERSION_INFO".encode("utf-16-le")) - 200
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(start, start + 300))] = data.draw(st.integers(0, 255))
    with suppress(DriversError):
        file_version(mapped(bytes(whole)))
        is_elam(mapped(bytes(whole)))


def test_a_folder_that_contains_itself_is_an_error() -> None:
    content = bytes(12) + struct.pack("<HH", 0, 1) + struct.pack("<II", 16, 1 << 31)
    with pytest.raises(ParseError, match="too deep"):
        file_version(mapped(image(content, {2: (RVA, 24)})))


CODEVIEW, REPRODUCIBLE = 2, 16
LINKED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_a_time_stamp_counts_where_a_debug_directory_vouches_for_it() -> None:
    stamp = int(LINKED.timestamp())
    assert mapped(linked_on(stamp, CODEVIEW)).linked() == LINKED
    assert mapped(linked_on(stamp, CODEVIEW, REPRODUCIBLE)).linked() is None
    assert mapped(linked_on(stamp)).linked() is None
    assert mapped(linked_on(0, CODEVIEW)).linked() is None
