import hashlib
import io
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import core
from cryptography.hazmat.primitives.asymmetric import rsa

from authenticode_oracle import Signatory, compiled_driver, osslsigncode, sign_image, signatory
from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import content_digest, signed_attributes, signed_data, spc_cabinet, verify_catalog
from hwdash.drivers.catalog import CATALOG_CONTENT_TYPE, Catalog, CatalogMember, certificate_trust_list, is_signed
from hwdash.drivers.errors import DriversError, ParseError, VerificationError
from hwdash.drivers.pe import PeImage, measure, page_hashes

INF = b"[Version]\r\nSignature=$WINDOWS NT$\r\n"
WHEN = datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)
HEADER = [("Submission ID", "1_2_3"), ("OS", "_v100_X64"), ("HWID1", "pci\\ven_1414&dev_0001")]


def flat_member(name: str, content: bytes) -> CatalogMember:
    return CatalogMember(name, False, hashlib.sha1(content).digest(), hashlib.sha256(content).digest(), "2:10.0")


def image_member(name: str, image: bytes) -> CatalogMember:
    stream = io.BytesIO(image)
    digests = measure(stream, PeImage.open(stream, source=name)).digests
    return CatalogMember(name, True, digests["sha1"], digests["sha256"], "2:10.0")


def members() -> list[CatalogMember]:
    return [image_member("sample.sys", compiled_driver()), flat_member("sample.inf", INF)]


def trust_list(listed: list[CatalogMember] | None = None) -> bytes:
    return certificate_trust_list(listed or members(), list_id=bytes(range(16)), when=WHEN, attributes=HEADER)


def signed(who: Signatory, content: bytes) -> bytes:
    attributes = signed_attributes(
        CATALOG_CONTENT_TYPE, content_digest(content), program_name="Contoso", url="https://contoso.example"
    )
    return signed_data(
        CATALOG_CONTENT_TYPE,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
    )


@pytest.fixture(params=["rsa", "ec"])
def who(request: pytest.FixtureRequest) -> Signatory:
    return signatory(request.param)


@pytest.mark.parametrize("embedded", [False, True])
def test_osslsigncode_verifies_an_image_through_the_catalog(who: Signatory, tmp_path: Path, embedded: bool) -> None:
    root, _, _ = who.files(tmp_path)
    image = sign_image(compiled_driver(), who) if embedded else compiled_driver()
    (tmp_path / "sample.sys").write_bytes(image)
    (tmp_path / "sample.cat").write_bytes(signed(who, trust_list()))
    verify = ["verify", "-catalog", tmp_path / "sample.cat", "-CAfile", root, tmp_path / "sample.sys"]
    good, output = osslsigncode(*verify)
    assert good, output
    changed = bytearray(image)
    changed[0x600] ^= 1
    (tmp_path / "sample.sys").write_bytes(changed)
    good, output = osslsigncode(*verify)
    assert not good, output


def test_openssl_verifies_the_catalogs_signature(who: Signatory, tmp_path: Path) -> None:
    root, _, _ = who.files(tmp_path)
    content = trust_list()
    (tmp_path / "x.cat").write_bytes(signed(who, content))
    (tmp_path / "body").write_bytes(der.content_octets(content))
    command: list[str | Path] = ["openssl", "smime", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile", root]
    command += ["-in", tmp_path / "x.cat", "-out", tmp_path / "out", "-content", tmp_path / "body"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "body").write_bytes(der.content_octets(content) + b"\0")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_what_is_written_is_read_back(who: Signatory) -> None:
    catalog = Catalog.parse(signed(who, trust_list()), source="x.cat")
    assert (catalog.list_id, catalog.when, catalog.version) == (bytes(range(16)), WHEN, 2)
    assert catalog.members == tuple(sorted(members(), key=lambda member: member.name))
    assert catalog.attributes == tuple(HEADER)
    assert catalog.signature is not None
    assert (catalog.signature.signer, catalog.signature.program_name) == (who.leaf, "Contoso")


def test_equal_input_gives_equal_bytes_in_any_order() -> None:
    assert trust_list() == trust_list(members()[::-1])


class Elements(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.Any


class Members(core.SetOf):  # type: ignore[misc]
    _child_spec = core.Any


def test_subjects_are_sorted_by_digest_and_each_set_by_encoding() -> None:
    """asn1crypto walks the structure independently of our reader."""
    listed = Elements.load(Elements.load(trust_list(), strict=True)[4].dump(), strict=True)
    subjects = [Elements.load(subject.dump(), strict=True) for subject in listed]
    identifiers = [core.OctetString.load(subject[0].dump(), strict=True).native for subject in subjects]
    assert identifiers == sorted(digest for member in members() for digest in (member.sha1, member.sha256))
    for subject, identifier in zip(subjects, identifiers, strict=True):
        encoded = [attribute.dump() for attribute in Members.load(subject[1].dump(), strict=True)]
        assert encoded == sorted(encoded)
        # Only the SHA-256 member says by SPC_INDIRECT_DATA what was digested.
        assert len(encoded) == (3 if len(identifier) == 20 else 4)


def test_the_member_bytes_are_those_of_a_real_catalog() -> None:
    """Values from facts/package-formats.md, "Catalog"."""
    content = trust_list()
    indirect = bytes.fromhex("060a2b060104018237020104")
    assert content.count(indirect) == 2
    assert bytes.fromhex("060a2b06010401823702010f300a030205a0a004a2028000") in content
    assert bytes.fromhex("060a2b060104018237020119a2028000") in content
    assert content.count(bytes.fromhex("060a2b0601040182370c020331028000")) == 2
    assert content.count(bytes.fromhex("060a2b0601040182370c020331028200")) == 2
    name = bytes.fromhex("1e08") + "File".encode("utf-16-be") + bytes.fromhex("020410010001")
    value = "sample.inf\0".encode("utf-16-le")
    assert content.count(name + der.octet_string(value)) == 2


def test_names_are_listed_in_lower_case() -> None:
    catalog = Catalog.parse(signed(signatory(), trust_list([flat_member("Sample.INF", INF)])), source="x.cat")
    assert [member.name for member in catalog.members] == ["sample.inf"]


def test_files_of_equal_content_are_each_listed() -> None:
    """The dashboard does so, even for one file of one name in two folders."""
    twice = [flat_member("b.inf", INF), flat_member("a.inf", INF), flat_member("a.inf", INF)]
    catalog = Catalog.parse(signed(signatory(), trust_list(twice)), source="x.cat")
    assert catalog.members == tuple(sorted(twice, key=lambda member: member.name))


def test_files_of_one_name_are_listed_by_each_digest() -> None:
    """Which SHA-1 belongs to which SHA-256 cannot be told: nothing is guessed."""
    first, second = flat_member("a.inf", INF), flat_member("a.inf", INF + b"\n")
    catalog = Catalog.parse(signed(signatory(), trust_list([first, second])), source="x.cat")
    listed = {member.sha1 or member.sha256 for member in catalog.members}
    assert listed == {first.sha1, first.sha256, second.sha1, second.sha256}
    assert all(not (member.sha1 and member.sha256) for member in catalog.members)


def test_a_catalog_without_attributes_has_no_extensions() -> None:
    content = certificate_trust_list(members(), list_id=bytes(16), when=WHEN, attributes=[])
    assert Catalog.parse(signed(signatory(), content), source="x.cat").attributes == ()


def test_wrong_digests_and_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="SHA-1 of 20"):
        trust_list([replace(members()[0], sha1=b"")])
    with pytest.raises(ValueError, match="16 bytes"):
        certificate_trust_list(members(), list_id=b"", when=WHEN, attributes=[])


def test_an_attribute_of_a_member_and_page_hashes_stand_where_windows_looks(tmp_path: Path) -> None:
    """facts/package-formats.md, "PE": moniker [1], class a6b586d5..., SHA-256 page hashes are 1.3.6.1.4.1.311.2.3.2."""
    stream = io.BytesIO(compiled_driver())
    pages = page_hashes(stream, PeImage.open(stream, source="sample.sys"))
    member = replace(members()[0], attributes=(("PETrusted", "1"),), page_hashes=pages)
    content = trust_list([member])
    held = der.sequence(der.oid("1.3.6.1.4.1.311.2.3.2"), der.set_of(der.octet_string(pages)))
    link = der.octet_string(bytes.fromhex("a6b586d5b4a12466ae05a217da8e60d6")) + der.octet_string(der.set_of(held))
    assert content.count(der.explicit(1, link)) == 1, "only beside the SHA-256"
    assert content.count(der.bmp_string("PETrusted")) == 2
    raw = signed(signatory(), content)
    assert Catalog.parse(raw, source="x.cat").members == (member,)
    (tmp_path / "sample.cat").write_bytes(raw)
    (tmp_path / "sample.sys").write_bytes(compiled_driver())
    root, _, _ = signatory().files(tmp_path)
    good, output = osslsigncode("verify", "-catalog", tmp_path / "sample.cat", "-CAfile", root, tmp_path / "sample.sys")
    assert good, output


def test_the_header_attribute_of_trusted_images_has_flags_of_its_own() -> None:
    """As real catalogs with PETrusted members have it: 0x10001, not 0x10010001."""
    content = certificate_trust_list(
        members(), list_id=bytes(16), when=WHEN, attributes=[("PE", "TRUSTED"), ("OS", "7X64")]
    )
    assert der.bmp_string("PE") + der.integer(0x10001) in content
    assert der.bmp_string("OS") + der.integer(0x10010001) in content


def version_1(sha1: bytes, guid: str, identifier: bytes | None = None) -> bytes:
    """A version 1 list by the facts file, written here apart from the code under test."""

    def name_value(name: str, value: str) -> bytes:
        text = value.encode("utf-16-le") + b"\0\0"
        return der.sequence(der.bmp_string(name), der.integer(0x10010001), der.octet_string(text))

    def attribute(kind: str, value: bytes) -> bytes:
        return der.sequence(der.oid("1.3.6.1.4.1.311.12.2." + kind), der.set_of(value))

    if identifier is None:
        identifier = sha1.hex().upper().encode("utf-16-le") + b"\0\0"
    member = der.sequence(
        der.octet_string(identifier),
        der.set_of(
            attribute("1", name_value("File", "old.sys")),
            attribute("1", name_value("OSAttr", "2:6.1,2:10.0")),
            attribute("2", der.sequence(der.bmp_string(guid), der.integer(0x200))),
        ),
    )
    unknown = der.sequence(der.oid("1.2.3"), bytes.fromhex("0101ff"), der.octet_string(b"?"))
    named = der.sequence(der.oid("1.3.6.1.4.1.311.12.2.1"), der.octet_string(name_value("OS", "7X64")))
    return der.sequence(
        der.sequence(der.oid("1.3.6.1.4.1.311.12.1.1")),
        der.octet_string(bytes(16)),
        der.utc_time(WHEN),
        der.sequence(der.oid("1.3.6.1.4.1.311.12.1.2"), der.null()),
        der.sequence(member),
        der.explicit(0, der.sequence(unknown, named)),
    )


@pytest.mark.parametrize(
    ("guid", "is_pe"),
    [("{C689AAB8-8E78-11D0-8C47-00C04FC295EE}", True), ("{DE351A42-8E59-11D0-8C47-00C04FC295EE}", False)],
)
def test_version_1_catalogs_are_read(guid: str, is_pe: bool) -> None:
    sha1 = hashlib.sha1(INF).digest()
    catalog = Catalog.parse(signed(signatory(), version_1(sha1, guid)), source="old.cat")
    assert catalog.version == 1
    assert catalog.members == (CatalogMember("old.sys", is_pe, sha1, b"", "2:6.1,2:10.0"),)
    assert catalog.attributes == (("OS", "7X64"),)


def test_version_1_is_written_as_real_catalogs_have_it(tmp_path: Path) -> None:
    """facts/package-formats.md, "Catalog": identifier, GUIDs, SHA-1 indirect data; osslsigncode finds the image."""
    listed = [replace(each, sha256=b"") for each in members()]
    content = certificate_trust_list(listed, list_id=bytes(16), when=WHEN, attributes=HEADER, version=1)
    for member, guid, link in (
        (listed[0], "{C689AAB8-8E78-11D0-8C47-00C04FC295EE}", "060a2b06010401823702010f300a030205a0a004a2028000"),
        (listed[1], "{DE351A42-8E59-11D0-8C47-00C04FC295EE}", "060a2b060104018237020119a2028000"),
    ):
        assert der.octet_string(member.sha1.hex().upper().encode("utf-16-le") + b"\0\0") in content
        assert der.sequence(der.bmp_string(guid), der.integer(0x200)) in content
        info = der.sequence(der.sequence(der.oid("1.3.14.3.2.26"), der.null()), der.octet_string(member.sha1))
        assert der.sequence(bytes.fromhex(link)) + info in content
    raw = signed(signatory(), content)
    catalog = Catalog.parse(raw, source="old.cat")
    assert (catalog.version, catalog.attributes) == (1, tuple(HEADER))
    assert catalog.members == tuple(sorted(listed, key=lambda member: member.name))
    (tmp_path / "old.cat").write_bytes(raw)
    (tmp_path / "sample.sys").write_bytes(compiled_driver())
    root, _, _ = signatory().files(tmp_path)
    good, output = osslsigncode("verify", "-catalog", tmp_path / "old.cat", "-CAfile", root, tmp_path / "sample.sys")
    assert good, output


def test_an_unsigned_catalog_is_told_from_a_signed_one() -> None:
    """Inf2Cat's has no SignerInfo until signtool adds it."""
    body = der.sequence(
        der.integer(1),
        der.set_of(),
        der.sequence(der.oid(CATALOG_CONTENT_TYPE), der.explicit(0, trust_list())),
        der.set_of(),
    )
    raw = der.sequence(der.oid("1.2.840.113549.1.7.2"), der.explicit(0, body))
    assert not is_signed(raw, source="x.cat")
    assert Catalog.parse(raw, source="x.cat", verify=False).members == tuple(
        sorted(members(), key=lambda member: member.name)
    )
    assert is_signed(signed(signatory(), trust_list()), source="x.cat")
    with pytest.raises(DriversError):
        is_signed(b"MZ", source="x.cat")


@pytest.mark.parametrize("identifier", [b"", b"x" * 19, "zz".encode("utf-16-le"), b"\xd8\xd8" * 20, b"\0\xd8" * 4])
def test_identifiers_that_are_no_digests_are_refused(identifier: bytes) -> None:
    with pytest.raises(ParseError, match="neither a digest"):
        Catalog.parse(signed(signatory(), version_1(b"", "", identifier)), source="old.cat")


def test_a_changed_catalog_fails_to_verify_but_can_be_shown() -> None:
    raw = signed(signatory(), trust_list())
    changed = raw.replace(members()[1].sha256, bytes(32))
    with pytest.raises(VerificationError, match="was changed"):
        Catalog.parse(changed, source="x.cat")
    shown = Catalog.parse(changed, source="x.cat", verify=False)
    assert shown.signature is None
    assert bytes(32) in [member.sha256 for member in shown.members]


def test_a_catalog_of_another_key_fails_to_verify() -> None:
    forged = replace(signatory(), key=rsa.generate_private_key(65537, 2048))
    with pytest.raises(VerificationError, match="does not verify"):
        verify_catalog(signed(forged, trust_list()), source="x.cat")


@pytest.mark.parametrize("verify", [True, False])
def test_another_signed_content_is_no_catalog(verify: bool) -> None:
    who = signatory()
    content = spc_cabinet(bytes(32))
    attributes = signed_attributes("1.2.3", content_digest(content), program_name=None, url=None)
    raw = signed_data(
        "1.2.3", content, certificates=who.certificates, attributes=attributes, signature=who.sign(attributes)
    )
    with pytest.raises(ParseError, match="not a catalog"):
        Catalog.parse(raw, source="x.cat", verify=verify)


def test_malformed_lists_are_refused() -> None:
    good = trust_list()
    usage, version = bytes.fromhex("060a2b0601040182370c0101"), bytes.fromhex("060a2b0601040182370c0103")
    cases = [
        (good.replace(usage, usage[:-1] + b"\x09"), "not that of a catalog"),
        (good.replace(version, version[:-1] + b"\x09"), "no known catalog version"),
        (der.null(), "not a (catalog|certificate trust list)"),
        (der.sequence(), "subjectUsage"),
    ]
    for content, words in cases:
        for verify in (True, False):
            with pytest.raises(ParseError, match=words):
                Catalog.parse(signed(signatory(), content), source="x.cat", verify=verify)


def test_every_truncation_of_a_list_is_a_clear_error() -> None:
    """Only at the end of a complete field may the list end: members and attributes are optional."""
    reader = der.Reader(trust_list(), source="list").read(der.SEQUENCE, "list").open()
    ends = []
    while reader.next_tag is not None:
        element = reader.any("field")
        ends.append(element.end - 4)  # the list's own tag and length
    content = der.content_octets(trust_list())
    read = []
    for size in range(len(content) + 1):
        raw = signed(signatory("ec"), der.sequence(content[:size]))
        try:
            Catalog.parse(raw, source="x.cat", verify=False)
        except DriversError:
            continue
        read.append(size)
    assert read == ends[3:]
