import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authenticode_oracle import compiled_driver, sign_image, signatory
from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import content_digest, sign_catalog, signed_attributes, signed_data
from hwdash.drivers.catalog import (
    CATALOG_CONTENT_TYPE,
    Catalog,
    CatalogMember,
    certificate_trust_list,
    trust_list_element,
)
from hwdash.drivers.catalog_files import CatalogFile, Membership
from hwdash.drivers.catalog_list import NameValue, Subject, TrustList
from hwdash.drivers.catalog_rebuild import Difference, rebuild
from hwdash.drivers.errors import DriversError, ParseError, VerificationError

WHEN = datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)
HEADER = [("Submission ID", "1_2_3"), ("OS", "_v100_X64"), ("HWID1", "pci\\ven_1414&dev_0001")]


@pytest.fixture
def package(tmp_path: Path) -> list[Path]:
    """An image, an INF, and one file in two folders."""
    contents = {
        "sample.sys": compiled_driver(),
        "Sample.inf": b"[Version]\r\n",
        "a/firmware.bin": b"firmware",
        "b/firmware.bin": b"firmware",
        "empty.txt": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in contents]


def member(path: Path, **changed: object) -> CatalogMember:
    file = CatalogFile.measure(path)
    made = CatalogMember(path.name, file.is_pe, file.sha1, file.sha256, "2:10.0")
    return replace(made, **changed)  # type: ignore[arg-type]


def unsigned(content: bytes) -> bytes:
    body = der.sequence(
        der.integer(1),
        der.set_of(),
        der.sequence(der.oid(CATALOG_CONTENT_TYPE), der.explicit(0, content)),
        der.set_of(),
    )
    return der.sequence(der.oid("1.2.840.113549.1.7.2"), der.explicit(0, body))


def signed(content: bytes) -> bytes:
    who = signatory("ec")
    attributes = signed_attributes(CATALOG_CONTENT_TYPE, content_digest(content), program_name=None, url=None)
    return signed_data(
        CATALOG_CONTENT_TYPE,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )


def catalog_of(files: list[Path], version: int = 2) -> bytes:
    return signed(
        certificate_trust_list(
            map(member, files), list_id=bytes(range(16)), when=WHEN, attributes=HEADER, version=version
        )
    )


def told(catalog: bytes, files: list[Path]) -> list[Difference]:
    return rebuild(catalog, files, source="x.cat")


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_catalogued_is_rebuilt_identically(package: list[Path], version: int) -> None:
    assert told(catalog_of(package, version), package) == []
    assert told(catalog_of(package, version), package[::-1]) == []


@pytest.mark.parametrize("version", [1, 2])
def test_a_changed_file_is_named_with_both_digests(package: list[Path], version: int) -> None:
    catalog = catalog_of(package, version)
    before = hashlib.sha1(package[1].read_bytes()).hexdigest()
    package[1].write_bytes(b"[Version]\n")
    found = told(catalog, package)
    assert {each.where for each in found} == {"member sample.inf", f"file {package[1]}"}
    (by_sha1,) = (each for each in found if "SHA-1" in each.message)
    assert before in by_sha1.message
    assert hashlib.sha1(b"[Version]\n").hexdigest() in by_sha1.message
    assert by_sha1.offset is not None
    at = catalog.index(bytes.fromhex(before) if version == 2 else before.upper().encode("utf-16-le"))
    assert by_sha1.offset <= at < by_sha1.offset + 20


def test_a_member_without_its_file_and_a_file_without_a_member_are_named(package: list[Path]) -> None:
    catalog = catalog_of(package)
    (other := package[0].with_name("other.txt")).write_bytes(b"other")
    found = told(catalog, [*package[:1], *package[2:], other])
    assert [each.where for each in found] == ["member sample.inf", "member sample.inf", f"file {other}"]
    assert found[-1].offset is None
    assert str(found[-1]).endswith("other.txt: is not listed in the catalog")


def test_a_file_that_is_listed_once_but_there_twice_is_a_difference(package: list[Path]) -> None:
    catalog = catalog_of(package[:3])
    assert [each.where for each in told(catalog, package[:4])] == [f"file {package[3]}"]
    both = catalog_of(package[:4])
    assert {each.where for each in told(both, package[:3])} == {"member firmware.bin"}


def test_a_file_may_be_listed_under_the_name_that_the_inf_copies_it_to(package: list[Path]) -> None:
    catalog = catalog_of(package)
    package[0] = package[0].rename(package[0].with_name("sample_x64.sys"))
    assert told(catalog, package) == []


def test_an_image_that_was_signed_since_is_rebuilt_identically(package: list[Path]) -> None:
    """So a signed package's catalog is compared with what was submitted, and the other way round."""
    catalog = catalog_of(package)
    package[0].write_bytes(sign_image(compiled_driver(), signatory()))
    assert told(catalog, package) == []


def test_page_hashes_are_computed_from_the_image(package: list[Path]) -> None:
    pages = CatalogFile.measure(package[0]).page_hashes("sha256")
    assert len(pages) % 36 == 0
    assert pages

    def with_pages(held: bytes) -> bytes:
        listed = member(package[0], page_hashes=held, attributes=(("PETrusted", "1"),))
        return unsigned(certificate_trust_list([listed], list_id=bytes(16), when=WHEN, attributes=[("PE", "TRUSTED")]))

    assert told(with_pages(pages), package[:1]) == []
    wrong = pages[:-40] + bytes([pages[-40] ^ 1]) + pages[-39:]
    (found,) = told(with_pages(wrong), package[:1])
    assert found.where.startswith("member sample.sys, attribute ")
    assert found.offset == with_pages(wrong).index(wrong[-80:]) + 40


def element(catalog: bytes) -> der.Element:
    return trust_list_element(catalog, source="x.cat")


def test_forms_of_older_kits_and_unknown_attributes_are_rebuilt(package: list[Path]) -> None:
    """The flat type and <<<Obsolete>>> on images of version 1, extensions and attributes of other types: all real."""
    image, inf = (CatalogFile.measure(path) for path in package[:2])
    unknown = der.sequence(der.oid("1.2.3"), der.set_of(der.octet_string(b"?")))
    extension = der.sequence(der.oid("1.2.4"), der.boolean(True), der.octet_string(b"?"))
    named = (NameValue("File", "SAMPLE.sys"), NameValue("OSAttr", "2:5.00"))
    flat = "{DE351A42-8E59-11D0-8C47-00C04FC295EE}"
    old = TrustList(
        bytes(16),
        WHEN,
        1,
        (
            Subject(image.sha1, True, named, subject_type=flat, link="<<<Obsolete>>>"),
            Subject(inf.sha1, False, (), others=(unknown,)),
        ),
        (extension, NameValue("OS", "XPX86")),
    )
    catalog = unsigned(old.encode())
    again = TrustList.read(element(catalog))
    assert again.encode() == old.encode()
    assert again.header == old.header
    assert {each.others for each in again.subjects} == {(), (unknown,)}
    assert told(catalog, package[:2]) == []
    assert "<<<Obsolete>>>".encode("utf-16-be") in catalog


def test_an_image_listed_as_a_flat_file_is_found(package: list[Path]) -> None:
    content = package[0].read_bytes()
    listed = member(
        package[0], is_pe=False, sha1=hashlib.sha1(content).digest(), sha256=hashlib.sha256(content).digest()
    )
    catalog = unsigned(certificate_trust_list([listed], list_id=bytes(16), when=WHEN, attributes=[]))
    assert told(catalog, package[:1]) == []
    Membership(Catalog.parse(catalog, source="x.cat", verify=False)).check(CatalogFile.measure(package[0]))


def test_the_wrong_kind_of_member_is_a_difference_with_its_place(package: list[Path]) -> None:
    catalog = unsigned(
        certificate_trust_list([member(package[1], is_pe=True)], list_id=bytes(16), when=WHEN, attributes=[])
    )
    found = told(catalog, package[1:2])
    assert [each.where for each in found] == ["member sample.inf, attribute 1 (1.3.6.1.4.1.311.12.2.3)"]
    assert catalog[found[0].offset or 0] == 0x80


def test_a_list_in_another_order_than_windows_searches_is_a_difference(package: list[Path]) -> None:
    made = TrustList.read(element(catalog_of(package)))
    backwards = der.sequence(*(each.encode(2) for each in made.subjects[::-1]))
    forwards = der.sequence(*(each.encode(2) for each in made.subjects))
    catalog = unsigned(made.encode().replace(forwards, backwards))
    assert next(each.where for each in told(catalog, package)).endswith("subjectIdentifier")


def test_every_changed_byte_of_the_list_is_found(package: list[Path]) -> None:
    catalog = catalog_of(package[:2])
    held = element(catalog)
    for at in range(held.start, held.end):
        changed = bytearray(catalog)
        changed[at] ^= 1
        try:
            found = told(bytes(changed), package[:2])
        except ParseError:
            continue
        assert found, f"byte {at:#x}"


def test_what_no_file_tells_is_vouched_for_by_the_signature(package: list[Path]) -> None:
    catalog = catalog_of(package)
    changed = catalog.replace("2:10.0".encode("utf-16-le"), "2:10.1".encode("utf-16-le"))
    (found,) = told(changed, package)
    assert found.where == "signature"
    assert told(unsigned(element(changed).encoded), package) == [], "an unsigned list vouches for nothing"


def test_a_second_signature_changes_nothing(package: list[Path]) -> None:
    who = signatory()
    twice = sign_catalog(catalog_of(package), who.sign, who.certificates, source="x.cat", append=True)
    assert told(twice, package) == []


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=12).filter(
    lambda name: name.strip(".") and len(name.encode()) < 200
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(names, st.binary(max_size=30), min_size=1, max_size=6),
    st.lists(st.tuples(names, names), max_size=3),
    st.sampled_from([1, 2]),
    st.data(),
)
def test_random_members_are_rebuilt_and_a_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    contents: dict[str, bytes],
    header: list[tuple[str, str]],
    version: int,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = [folder / name for name in contents]
    catalog = unsigned(
        certificate_trust_list(map(member, files), list_id=bytes(16), when=WHEN, attributes=header, version=version)
    )
    assert told(catalog, files) == []
    victim = data.draw(st.sampled_from(files))
    victim.write_bytes(victim.read_bytes() + b"!")
    assert told(catalog, files)


def test_random_bytes_are_a_clear_error() -> None:
    with pytest.raises(DriversError):
        told(b"MZ" + bytes(100), [])


@pytest.mark.parametrize("version", [1, 2])
def test_members_are_recognised(package: list[Path], version: int) -> None:
    listed = Membership(Catalog.parse(catalog_of(package[:2], version), source="x.cat"))
    for path in package[:2]:
        listed.check(CatalogFile.measure(path), allow_sha1=version == 1)
    if version == 1:
        with pytest.raises(VerificationError, match="SHA-1 alone"):
            listed.check(CatalogFile.measure(package[0]))
    with pytest.raises(VerificationError, match="not listed"):
        listed.check(CatalogFile.measure(package[2]))
    package[1].write_bytes(b"[Version] \r\n")
    with pytest.raises(VerificationError, match="it was changed"):
        listed.check(CatalogFile.measure(package[1]))


def test_a_member_of_one_kind_is_not_a_file_of_the_other(package: list[Path]) -> None:
    flat_as_image = member(package[1], is_pe=True)
    catalog = unsigned(certificate_trust_list([flat_as_image], list_id=bytes(16), when=WHEN, attributes=[]))
    with pytest.raises(VerificationError, match="by this name"):
        Membership(Catalog.parse(catalog, source="x.cat", verify=False)).check(CatalogFile.measure(package[1]))


def test_wrong_page_hashes_are_refused(package: list[Path]) -> None:
    wrong = bytes(len(CatalogFile.measure(package[0]).page_hashes("sha256")))
    catalog = unsigned(
        certificate_trust_list([member(package[0], page_hashes=wrong)], list_id=bytes(16), when=WHEN, attributes=[])
    )
    with pytest.raises(VerificationError, match="page hashes"):
        Membership(Catalog.parse(catalog, source="x.cat", verify=False)).check(CatalogFile.measure(package[0]))
