"""More than one signature in a file: made and read by us and by osslsigncode, in images, cabinets and catalogs."""

import io
import subprocess
from pathlib import Path

import pytest

from authenticode_oracle import NOW, compiled_driver, osslsigncode
from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import DIGESTS
from hwdash.drivers.asn1.signed_data import with_unsigned_value
from hwdash.drivers.authenticode import (
    CATALOG_CONTENT_TYPE,
    SPC_INDIRECT_DATA,
    cabinet_signatures,
    catalog_signatures,
    content_digest,
    sign_catalog,
    signed_attributes,
    signed_data,
    spc_cabinet,
    spc_pe_image_data,
    verify_cabinet,
    verify_catalog,
    verify_pe,
)
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.catalog import CatalogMember, certificate_trust_list
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.drivers.pe import PeImage, measure, signed_image_chunks
from hwdash.drivers.signature import MAX_SIGNATURES, SignatureReport, nest
from hwdash.drivers.spc import NESTED_SIGNATURE
from pki import (
    Holder,
    reports,
    signed_cabinet,
    signed_catalog,
    signed_image,
    signer,
    token,
    unsigned_catalog,
    unsigned_catalog_of,
)

KINDS = ("p256", "p384", "rsa2048")


def signature(content: bytes, who: Holder, content_type: str = SPC_INDIRECT_DATA) -> bytes:
    attributes = signed_attributes(content_type, content_digest(content), program_name=None, url=None)
    return signed_data(
        content_type, content, certificates=who.sent, attributes=attributes, signature=who.sign(attributes)
    )


def cabinet_reports(raw: bytes) -> list[SignatureReport]:
    stream = io.BytesIO(raw)
    return cabinet_signatures(stream, Cabinet.open(stream, source="x.cab"), source="x.cab")


def catalog_reports(raw: bytes) -> list[SignatureReport]:
    return catalog_signatures(raw, source="x.cat")


def said(found: list[SignatureReport]) -> list[tuple[str | None, object]]:
    return [(each.problem, each.signature and each.signature.signer) for each in found]


@pytest.mark.parametrize(
    ("make", "read"), [(signed_image, reports), (signed_cabinet, cabinet_reports), (signed_catalog, catalog_reports)]
)
def test_each_signature_that_is_appended_is_told_and_holds(make, read) -> None:
    raw = make(None, signer("rsa2048"), program_name="first")
    assert said(read(raw)) == [(None, signer("rsa2048").certificate)]
    for kind, algorithm in (("p256", "sha256"), ("p384", "sha384"), ("p256", "sha512")):
        raw = make(raw, signer(kind), append=True, algorithm=algorithm, timestamp=token)
    found = read(raw)
    assert [each.nested for each in found] == [False, True, True, True]
    assert all(each.holds for each in found)
    assert found[0].signature.program_name == "first"
    assert sorted((each.signature.digest_algorithm, each.signature.content_algorithm) for each in found[1:]) == [
        (each, each) for each in ("sha256", "sha384", "sha512")
    ]
    assert all(each.signature.timestamp is not None for each in found[1:])


def test_appending_leaves_the_first_signature_as_it_stands() -> None:
    once = signed_image(timestamp=token)
    twice = signed_image(once, signer("p384"), append=True)
    offset = PeImage.open(io.BytesIO(once), source="x").certificate_table[0]
    first = der.Reader(once, source="x", start=offset + 8).read(der.SEQUENCE, "it")
    signers = list(first.open().all_tags("it"))[-1]
    # All up to the unsigned attributes, but for lengths, is the same bytes.
    content = signers.only(der.SEQUENCE, "it").open()
    content.any("version")
    content.any("digestAlgorithms")
    kept = content.any("contentInfo").encoded + content.any("certificates").encoded
    assert kept in twice
    stream = io.BytesIO(twice)
    found = verify_pe(stream, PeImage.open(stream, source="x"), source="x")
    assert found is not None
    assert found.timestamp is not None


def test_appending_to_an_unsigned_file_just_signs_it() -> None:
    for found in (reports(signed_image(append=True)), cabinet_reports(signed_cabinet(append=True))):
        assert said(found) == [(None, signer().certificate)]


def test_osslsigncode_verifies_what_we_append(tmp_path: Path) -> None:
    root, _, _ = signer().files(tmp_path)
    for name, make in (("x.sys", signed_image), ("x.cab", signed_cabinet)):
        raw = make(None, signer("rsa2048"), timestamp=token)
        raw = make(raw, signer("p384"), append=True, algorithm="sha384", timestamp=token)
        (tmp_path / name).write_bytes(raw)
        good, output = osslsigncode("verify", "-CAfile", root, "-TSA-CAfile", root, tmp_path / name)
        assert good, output
        assert output.count("Signature verification: ok") == 4  # two of the files, two of the timestamps
        assert "Number of verified signatures: 2" in output


def test_we_verify_what_osslsigncode_appends(tmp_path: Path) -> None:
    _, chain, key = signer("rsa2048").files(tmp_path)
    for name, make, read in (("x.sys", signed_image, reports), ("x.cab", signed_cabinet, cabinet_reports)):
        (tmp_path / name).write_bytes(make(None, signer("p256"), timestamp=token))
        files = ["-in", tmp_path / name, "-out", tmp_path / f"y-{name}"]
        good, output = osslsigncode("sign", "-nest", "-h", "sha384", "-certs", chain, "-key", key, *files)
        assert good, output
        found = read((tmp_path / f"y-{name}").read_bytes())
        assert said(found) == [(None, signer("p256").certificate), (None, signer("rsa2048").certificate)]
        assert [each.signature.digest_algorithm for each in found] == ["sha256", "sha384"]
        assert found[0].signature.timestamp is not None


def test_an_old_sha1_signature_is_reported_when_asked_for_and_never_accepted(tmp_path: Path) -> None:
    _, chain, key = signer("rsa2048").files(tmp_path)
    (tmp_path / "x.sys").write_bytes(compiled_driver())
    files = ["-in", tmp_path / "x.sys", "-out", tmp_path / "y.sys"]
    good, output = osslsigncode("sign", "-h", "sha1", "-certs", chain, "-key", key, *files)
    assert good, output
    old = (tmp_path / "y.sys").read_bytes()
    both = signed_image(old, append=True)
    first, second = reports(both, allow_sha1=True)
    assert (first.problem, first.signature.digest_algorithm) == (None, "sha1")
    assert (second.problem, second.signature.digest_algorithm) == (None, "sha256")
    first, second = reports(both)
    assert "SHA-1: SHA-2 is required" in first.problem
    assert first.signature.signer == signer("rsa2048").certificate  # still told, with the reason
    assert second.holds
    stream = io.BytesIO(both)
    with pytest.raises(VerificationError, match="SHA-1"):
        verify_pe(stream, PeImage.open(stream, source="x"), source="x")


@pytest.mark.parametrize("algorithm", ["sha1", "md5", "sha224"])
def test_weak_digests_are_not_signed_with(algorithm: str) -> None:
    for make in (signed_image, signed_cabinet, signed_catalog):
        with pytest.raises(ValueError, match="signatures are made with"):
            make(algorithm=algorithm)
    assert set(DIGESTS) == {"sha256", "sha384", "sha512"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", DIGESTS)
def test_osslsigncode_verifies_each_kind_of_key_with_each_digest(kind: str, algorithm: str, tmp_path: Path) -> None:
    who = signer(kind)
    root, _, _ = who.files(tmp_path)
    for name, make in (("x.sys", signed_image), ("x.cab", signed_cabinet)):
        (tmp_path / name).write_bytes(make(None, who, algorithm=algorithm))
        good, output = osslsigncode("verify", "-CAfile", root, tmp_path / name)
        assert good, output
        assert f"Message digest algorithm  : {algorithm.upper()}" in output
    catalog = signed_catalog(None, who, algorithm=algorithm)
    assert catalog_reports(catalog)[0].holds


@pytest.mark.parametrize("kind", KINDS)
def test_osslsigncode_and_openssl_verify_catalogs_we_sign(kind: str, tmp_path: Path) -> None:
    who = signer(kind)
    root, _, _ = who.files(tmp_path)
    image = compiled_driver()
    stream = io.BytesIO(image)
    digests = measure(stream, PeImage.open(stream, source="x")).digests
    member = CatalogMember("x.sys", True, digests["sha1"], digests["sha256"], "2:10.0")
    content = certificate_trust_list([member], list_id=bytes(16), when=NOW, attributes=[])
    unsigned = unsigned_catalog_of(content)
    raw = signed_catalog(unsigned, who, program_name="Contoso", timestamp=token)
    (tmp_path / "x.cat").write_bytes(raw)
    (tmp_path / "x.sys").write_bytes(image)
    trusted = ["-CAfile", root, "-TSA-CAfile", root]
    for arguments in ((tmp_path / "x.cat",), ("-catalog", tmp_path / "x.cat", "-in", tmp_path / "x.sys")):
        good, output = osslsigncode("verify", *trusted, *arguments)
        assert good, output
        assert "Timestamp Server Signature verification: ok" in output
    (tmp_path / "content").write_bytes(der.content_octets(content))
    command = ["openssl", "smime", "-verify", "-inform", "DER", "-in", tmp_path / "x.cat", "-noverify"]
    done = subprocess.run([*command, "-content", tmp_path / "content"], capture_output=True, check=False)
    assert b"Verification successful" in done.stderr


def test_a_changed_file_breaks_every_signature_on_it() -> None:
    raw = bytearray(signed_image(signed_image(), signer("p384"), append=True))
    raw[0x600] ^= 1
    found = reports(bytes(raw))
    assert len(found) == 2
    assert all("was changed after it was signed" in (each.problem or "") for each in found)


def test_a_nested_signature_of_something_else_is_told_and_harms_no_other() -> None:
    image = signed_image()
    stream = io.BytesIO(image)
    parsed = PeImage.open(stream, source="x")
    first = image[parsed.certificate_table[0] + 8 :]
    measured = measure(stream, parsed)
    other = spc_pe_image_data(bytes(32))
    foreign = signature(spc_cabinet(measured.digests["sha256"]), signer())
    broken = bytearray(signature(spc_pe_image_data(measured.digests["sha256"]), signer()))
    broken[-1] ^= 1
    no_signature = der.sequence(der.integer(1))
    for added in (signature(other, signer()), foreign, bytes(broken), no_signature):
        first = (
            nest(first, added, source="x")
            if added is not no_signature
            else with_unsigned_value(first, NESTED_SIGNATURE, added, source="x")
        )
    raw = b"".join(signed_image_chunks(stream, measured.layout, first))
    found = reports(raw)
    assert [each.nested for each in found] == [False, True, True, True, True]
    assert found[0].holds
    told = " ".join(each.problem or "" for each in found[1:])
    for words in ("was changed", "another kind of file", "does not verify", "contentType"):
        assert words in told, told
    assert sum(each.signature is None for each in found) == 1


def test_a_nested_signature_over_another_catalog_is_told() -> None:
    first = signed_catalog()
    other = unsigned_catalog().replace(bytes(16), b"another catalog!")
    content = sign_catalog(other, signer().sign, signer().sent, source="x")
    flat = signature(spc_cabinet(bytes(32)), signer())
    found = catalog_reports(nest(nest(first, content, source="x"), flat, source="x"))
    assert found[0].holds
    told = " ".join(each.problem or "" for each in found[1:])
    assert "over another catalog" in told
    assert "not a catalog" in told


def test_what_does_not_hold_is_not_appended_to() -> None:
    image = bytearray(signed_image())
    image[0x600] ^= 1
    with pytest.raises(VerificationError, match="was changed"):
        signed_image(bytes(image), append=True)
    cabinet = bytearray(signed_cabinet())
    cabinet[120] ^= 1
    with pytest.raises(VerificationError, match="was changed"):
        signed_cabinet(bytes(cabinet), append=True)
    catalog = signed_catalog().replace(bytes(16), b"another catalog!")
    with pytest.raises(VerificationError, match="was changed"):
        signed_catalog(catalog, append=True)
    with pytest.raises(VerificationError, match="not signed"):
        signed_catalog(unsigned_catalog(), append=True)


def test_signing_without_append_leaves_all_older_signatures_out() -> None:
    raw = signed_image(signed_image(signed_image(), append=True), signer("p384"))
    assert said(reports(raw)) == [(None, signer("p384").certificate)]
    cabinet = signed_cabinet(signed_cabinet(signed_cabinet(), append=True), signer("p384"))
    assert said(cabinet_reports(cabinet)) == [(None, signer("p384").certificate)]
    catalog = signed_catalog(signed_catalog(signed_catalog(), append=True), signer("p384"))
    assert said(catalog_reports(catalog)) == [(None, signer("p384").certificate)]


def test_only_a_catalog_is_signed_as_one() -> None:
    with pytest.raises(ParseError, match="not a catalog"):
        signed_catalog(signature(spc_cabinet(bytes(32)), signer()))
    signature_, content = verify_catalog(signed_catalog(), source="x")
    assert content in unsigned_catalog()
    assert signature_.signer == signer().certificate
    listed = signature(der.octet_string(b"no list"), signer(), CATALOG_CONTENT_TYPE)
    with pytest.raises(ParseError, match="not a catalog"):
        verify_catalog(listed, source="x")


def test_unsigned_files_have_no_signatures_to_tell_of() -> None:
    assert reports(compiled_driver()) == []
    stream = io.BytesIO(signed_cabinet())
    cabinet = Cabinet.open(stream, source="x")
    assert verify_cabinet(stream, cabinet, source="x").signer == signer().certificate
    with pytest.raises(VerificationError, match="not signed"):
        catalog_reports(unsigned_catalog())


def test_the_number_of_signatures_is_bounded() -> None:
    raw = signed_catalog()
    small = der.sequence(der.integer(1))
    many = raw
    for number in range(MAX_SIGNATURES - 1):
        many = with_unsigned_value(many, NESTED_SIGNATURE, der.sequence(der.integer(number)), source="x")
    assert len(catalog_reports(many)) == MAX_SIGNATURES
    with pytest.raises(LimitExceeded, match="signatures"):
        nest(many, small, source="x")
    with pytest.raises(LimitExceeded, match="signatures"):
        catalog_reports(with_unsigned_value(many, NESTED_SIGNATURE, small, source="x"))
