"""What ``hwdash demo`` says of the package that comes back: every signature in it, down to a root certificate."""

import tracemalloc
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from authenticode_oracle import NOW
from hwdash.cli.output import Refused
from hwdash.cli.verification import examine_package, verify_signed_package
from hwdash.drivers.catalog import CatalogMember, certificate_trust_list
from hwdash.drivers.catalog_files import CatalogFile
from pki import (
    CODE,
    TIME,
    YEAR,
    Holder,
    authority,
    issue,
    root,
    signed_catalog,
    signed_image,
    signer,
    unsigned_catalog_of,
)

INF = b"[Version]\r\n"


def package(folder: Path, catalog_by: Holder | None = None, image_by: Holder | None = None) -> Path:
    """A package of an image, an INF and their catalog, signed by these."""
    files = {"d/x.sys": signed_image(who=image_by), "d/x.inf": INF}
    members = []
    for name, content in files.items():
        path = folder / Path(name).name
        path.write_bytes(content)
        file = CatalogFile.measure(path)
        members.append(CatalogMember(path.name, file.is_pe, file.sha1, file.sha256, "2:10.0"))
    content = certificate_trust_list(members, list_id=bytes(16), when=NOW, attributes=[])
    files["d/x.cat"] = signed_catalog(unsigned_catalog_of(content), catalog_by)
    made = folder / "signed.zip"
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made


def root_file(folder: Path, holder: Holder) -> Path:
    file = folder / "root.pem"
    file.write_bytes(holder.certificate.public_bytes(Encoding.PEM))
    return file


def test_every_file_is_told_with_its_signer(tmp_path: Path) -> None:
    assert list(verify_signed_package(package(tmp_path), root_file(tmp_path, root()))) == [
        "d/x.cat: catalog of 2 files, signed by Test Signer p256",
        "d/x.sys: listed in the catalog and signed by Test Signer p256",
        "d/x.inf: listed in the catalog",
    ]


EXPIRED = issue("Old", authority(), ca=False, usages=[CODE], begin=NOW - 2 * YEAR, end=NOW - timedelta(days=1))
FOR_TIME = issue("Stamps", authority(), ca=False, usages=[TIME])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (EXPIRED, "Old ended on"),
        (FOR_TIME, "extended key usages of Stamps leave out code signing"),
        (signer("rsa1024"), "RSA key of 1024 bits"),
        (issue("Alone", ca=False, usages=[CODE]), "Alone, which is not among the roots"),
    ],
)
def test_a_signer_that_is_not_to_be_trusted_is_refused_in_the_catalog_and_in_an_image(
    tmp_path: Path, bad: Holder, why: str
) -> None:
    for signed in (package(tmp_path, catalog_by=bad), package(tmp_path, image_by=bad)):
        with pytest.raises(Refused, match=f"does not verify: d/x.*not trusted.*{why}"):
            list(verify_signed_package(signed, root_file(tmp_path, root())))


def test_a_root_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.write_text("no certificate")
    with pytest.raises(Refused, match=r"root\.pem, certificate: is not a certificate"):
        list(verify_signed_package(package(tmp_path), file))


def test_memory_stays_flat_whatever_the_size_of_a_file(tmp_path: Path) -> None:
    large = tmp_path / "large.zip"
    with zipfile.ZipFile(large, "w") as archive, archive.open("d/firmware.bin", "w") as out:
        for _ in range(64):
            out.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        (check,) = examine_package(large, [root().certificate], NOW).checks
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (check.what, check.says) == ("d/firmware.bin", "is not listed in its folder's catalog")
    assert peak < 24 << 20


def test_all_that_does_not_hold_is_told_at_once(tmp_path: Path) -> None:
    signed = package(tmp_path)
    with zipfile.ZipFile(signed) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(signed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content[:-1] + b"?")
        archive.writestr("d/more.txt", b"more")
    checks = examine_package(signed, [root().certificate], NOW).checks
    assert [each.what for each in checks if not each.holds] == ["d/x.cat", "d/x.sys", "d/x.inf", "d/more.txt"]


def test_what_is_no_zip_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "signed.zip"
    for content in (b"", b"MSCF", b"PK\3\4" * 10):
        file.write_bytes(content)
        examined = examine_package(file, [root().certificate], NOW)
        assert ([each.what for each in examined.checks], examined.is_readable) == (["signed.zip"], False)
