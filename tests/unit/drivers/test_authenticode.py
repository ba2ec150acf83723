import hashlib
import io
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from authenticode_oracle import Signatory, compiled_driver, osslsigncode, sign_image, signatory
from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import (
    CATALOG_CONTENT_TYPE,
    CODE_SIGNING,
    SPC_INDIRECT_DATA,
    Signature,
    cabinet_digest,
    content_digest,
    key_usages,
    may_sign_code,
    sign_cabinet,
    signed_attributes,
    signed_data,
    spc_cabinet,
    spc_indirect_data,
    spc_pe_image_data,
    verify_cabinet,
    verify_catalog,
    verify_pe,
)
from hwdash.drivers.cab import Cabinet, write_cabinet
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.pe import PeImage, certificate_table, measure, signed_image_chunks

ENTRIES: list[tuple[str, Path | bytes]] = [("x.inf", b"[Version]\r\n" * 9000), ("x.sys", bytes(range(256)) * 50)]


@pytest.fixture(params=["rsa", "ec"])
def who(request: pytest.FixtureRequest) -> Signatory:
    return signatory(request.param)


def cabinet_file(*, reserve: bool = False, entries: list[tuple[str, Path | bytes]] = ENTRIES) -> bytes:
    stream = io.BytesIO()
    write_cabinet(stream, entries, reserve_for_signature=reserve)
    return stream.getvalue()


def signed_cabinet(raw: bytes, who: Signatory) -> bytes:
    out = io.BytesIO()
    sign_cabinet(io.BytesIO(raw), out, who.sign, who.certificates, source="x.cab", program_name="Contoso")
    return out.getvalue()


def checked_cabinet(raw: bytes) -> Signature:
    stream = io.BytesIO(raw)
    return verify_cabinet(stream, Cabinet.open(stream, source="x.cab"), source="x.cab")


def checked_image(raw: bytes) -> Signature | None:
    stream = io.BytesIO(raw)
    return verify_pe(stream, PeImage.open(stream, source="x.sys"), source="x.sys")


def extracted(raw: bytes) -> list[tuple[str, bytes]]:
    return [(f.name, b"".join(p)) for f, p in Cabinet.open(io.BytesIO(raw), source="x.cab").extract()]


def content_signed(who: Signatory, content: bytes, content_type: str = SPC_INDIRECT_DATA) -> bytes:
    attributes = signed_attributes(content_type, content_digest(content), program_name=None, url=None)
    return signed_data(
        content_type, content, certificates=who.certificates, attributes=attributes, signature=who.sign(attributes)
    )


# --- Cabinets


@pytest.mark.parametrize("reserve", [False, True])
def test_osslsigncode_verifies_cabinets_we_sign(who: Signatory, reserve: bool, tmp_path: Path) -> None:
    root, _, _ = who.files(tmp_path)
    raw = signed_cabinet(cabinet_file(reserve=reserve), who)
    (tmp_path / "x.cab").write_bytes(raw)
    good, output = osslsigncode("verify", "-CAfile", root, tmp_path / "x.cab")
    assert good, output
    subprocess.run(["cabextract", "-q", "-t", tmp_path / "x.cab"], check=True, capture_output=True)
    middle = bytearray(raw)
    middle[len(cabinet_file()) // 2] ^= 1
    (tmp_path / "y.cab").write_bytes(middle)
    good, output = osslsigncode("verify", "-CAfile", root, tmp_path / "y.cab")
    assert not good, output


def test_we_verify_cabinets_that_osslsigncode_signs(who: Signatory, tmp_path: Path) -> None:
    _, leaf, key = who.files(tmp_path)
    (tmp_path / "x.cab").write_bytes(cabinet_file())
    files = ["-in", tmp_path / "x.cab", "-out", tmp_path / "y.cab"]
    good, output = osslsigncode("sign", "-h", "sha256", "-certs", leaf, "-key", key, "-n", "Acme", *files)
    assert good, output
    raw = (tmp_path / "y.cab").read_bytes()
    found = checked_cabinet(raw)
    assert (found.signer, found.program_name, found.digest_algorithm) == (who.leaf, "Acme", "sha256")
    assert extracted(raw) == ENTRIES


def test_a_cabinet_signed_with_sha1_is_refused(tmp_path: Path) -> None:
    _, leaf, key = signatory().files(tmp_path)
    (tmp_path / "x.cab").write_bytes(cabinet_file())
    files = ["-in", tmp_path / "x.cab", "-out", tmp_path / "y.cab"]
    good, output = osslsigncode("sign", "-h", "sha1", "-certs", leaf, "-key", key, *files)
    assert good, output
    with pytest.raises(VerificationError, match="SHA-1: SHA-2 is required"):
        checked_cabinet((tmp_path / "y.cab").read_bytes())


def test_our_own_cabinet_signature_verifies(who: Signatory) -> None:
    raw = signed_cabinet(cabinet_file(), who)
    found = checked_cabinet(raw)
    assert (found.signer, found.program_name) == (who.leaf, "Contoso")
    stream = io.BytesIO(raw)
    assert found.digest == cabinet_digest(stream, Cabinet.open(stream, source="x"))
    assert extracted(raw) == ENTRIES


def test_signing_again_replaces_the_signature() -> None:
    first, second = signatory("rsa"), signatory("ec")
    raw = signed_cabinet(signed_cabinet(cabinet_file(), first), second)
    assert checked_cabinet(raw).certificates.count(first.leaf) == 0
    assert checked_cabinet(raw).signer == second.leaf


def test_cabinets_without_content_can_be_signed() -> None:
    for entries in ([], [("empty", b"")]):
        raw = signed_cabinet(cabinet_file(entries=list(entries)), signatory())
        assert extracted(raw) == entries
        assert checked_cabinet(raw).signer == signatory().leaf


def test_an_unsigned_cabinet_is_told_from_a_badly_signed_one() -> None:
    for raw in (cabinet_file(), cabinet_file(reserve=True)):
        with pytest.raises(VerificationError, match="is not signed"):
            checked_cabinet(raw)


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(VerificationError, match="3 bytes follow the signature"):
        checked_cabinet(signed_cabinet(cabinet_file(), signatory()) + b"abc")


def repointed(offset: int, size: int) -> bytes:
    raw = bytearray(signed_cabinet(cabinet_file(), signatory()))
    at, length = struct.unpack_from("<II", raw, 44)
    struct.pack_into("<II", raw, 44, at + offset, length + size)
    return bytes(raw)


def test_a_signature_outside_of_the_file_is_refused() -> None:
    with pytest.raises(VerificationError, match="outside the file"):
        checked_cabinet(repointed(0, 1))
    with pytest.raises(VerificationError, match="outside the file"):
        checked_cabinet(signed_cabinet(cabinet_file(), signatory())[:-1])


def test_a_signature_elsewhere_is_refused() -> None:
    with pytest.raises(VerificationError, match="does not follow"):
        checked_cabinet(repointed(8, -8))


def test_every_byte_before_the_signature_counts() -> None:
    """The digest leaves out reserved1, iCabinet and most of the reserve: there only what signers write is accepted."""
    raw = signed_cabinet(cabinet_file(entries=[("a", b"abcdef")]), signatory())
    end = struct.unpack_from("<I", raw, 8)[0]
    accepted = []
    for at in range(end):
        changed = bytearray(raw)
        changed[at] ^= 0x20
        try:
            checked_cabinet(bytes(changed))
        except DriversError:
            continue
        accepted.append(at)
    assert accepted == []


def test_a_changed_signature_fails_or_says_the_same() -> None:
    """Accepted changes lie in the certificates, which a thumbprint covers, and in fields that decide nothing."""
    who = signatory("ec")
    raw = signed_cabinet(cabinet_file(entries=[("a", b"abcdef")]), who)
    whole = checked_cabinet(raw)
    places = [(raw.index(certificate), len(certificate)) for certificate in who.certificates]
    accepted = 0
    for at in range(struct.unpack_from("<I", raw, 8)[0], len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 0x04]) + raw[at + 1 :]
        try:
            found = checked_cabinet(changed)
        except DriversError:
            continue
        assert found.signer.public_key() == whole.signer.public_key()
        assert (found.digest, found.program_name) == (whole.digest, whole.program_name)
        accepted += not any(start <= at < start + size for start, size in places)
    # Two versions, digestAlgorithms, and NULL parameters.
    assert accepted < 30


def test_a_signature_for_another_kind_of_file_is_refused(who: Signatory) -> None:
    raw = cabinet_file(reserve=True)
    digest = bytes(32)
    for content in (spc_pe_image_data(digest), spc_indirect_data("1.2.3", der.null(), "1.2.3", digest)):
        with pytest.raises(ParseError, match="another kind of file"):
            checked_cabinet(attached(raw, content_signed(who, content)))
    with pytest.raises(ParseError, match="not SPC_INDIRECT_DATA"):
        checked_cabinet(attached(raw, content_signed(who, spc_cabinet(digest), CATALOG_CONTENT_TYPE)))
    with pytest.raises(VerificationError, match="was changed"):
        checked_cabinet(attached(raw, content_signed(who, spc_cabinet(digest))))


def attached(raw: bytes, signature: bytes) -> bytes:
    return raw[:44] + struct.pack("<II", len(raw), len(signature)) + raw[52:] + signature


def test_a_huge_signature_is_not_read() -> None:
    class Sparse(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return super().seek(offset, whence) + (64 << 20 if whence == 2 else 0)

    raw = bytearray(signed_cabinet(cabinet_file(), signatory()))
    struct.pack_into("<I", raw, 48, struct.unpack_from("<I", raw, 48)[0] + (64 << 20))
    stream = Sparse(bytes(raw))
    with pytest.raises(LimitExceeded, match="16 MiB"):
        verify_cabinet(stream, Cabinet.open(stream, source="x"), source="x")


def test_other_uses_of_the_reserve_are_not_overwritten() -> None:
    raw = bytearray(cabinet_file(reserve=True))
    raw[36] = 21
    raw[60:60] = b"\0"
    for at in (8, 16, 61):
        struct.pack_into("<I", raw, at, struct.unpack_from("<I", raw, at)[0] + 1)
    assert extracted(bytes(raw)) == ENTRIES
    with pytest.raises(ParseError, match="in use"):
        signed_cabinet(bytes(raw), signatory())
    stream = io.BytesIO(raw)
    with pytest.raises(ValueError, match="no room"):
        cabinet_digest(stream, Cabinet.open(stream, source="x"))


# --- PE images


def test_osslsigncode_verifies_images_we_sign(who: Signatory, tmp_path: Path) -> None:
    root, _, _ = who.files(tmp_path)
    raw = sign_image(compiled_driver(), who, program_name="Contoso GmbH", url="https://contoso.example/driver")
    (tmp_path / "x.sys").write_bytes(raw)
    good, output = osslsigncode("verify", "-CAfile", root, tmp_path / "x.sys")
    assert good, output
    assert "Text description: Contoso GmbH" in output
    assert "URL description: https://contoso.example/driver" in output
    changed = bytearray(raw)
    changed[0x600] ^= 1
    (tmp_path / "y.sys").write_bytes(changed)
    good, output = osslsigncode("verify", "-CAfile", root, tmp_path / "y.sys")
    assert not good, output
    with pytest.raises(VerificationError, match="was changed"):
        checked_image(bytes(changed))


def test_we_verify_images_that_osslsigncode_signs(who: Signatory, tmp_path: Path) -> None:
    _, leaf, key = who.files(tmp_path)
    (tmp_path / "x.sys").write_bytes(compiled_driver())
    files = ["-in", tmp_path / "x.sys", "-out", tmp_path / "y.sys"]
    good, output = osslsigncode("sign", "-h", "sha384", "-certs", leaf, "-key", key, "-n", "Acme", *files)
    assert good, output
    found = checked_image((tmp_path / "y.sys").read_bytes())
    assert found is not None
    assert (found.signer, found.program_name, found.digest_algorithm) == (who.leaf, "Acme", "sha384")


def test_an_unsigned_image_has_no_signature() -> None:
    assert checked_image(compiled_driver()) is None


def test_a_certificate_table_without_pkcs7_is_refused() -> None:
    raw = bytearray(sign_image(compiled_driver(), signatory()))
    at = raw.rindex(struct.pack("<HH", 0x200, 2))
    raw[at + 2] = 1
    with pytest.raises(VerificationError, match="no PKCS#7"):
        checked_image(bytes(raw))


def test_an_image_signed_as_a_cabinet_is_refused() -> None:
    stream = io.BytesIO(compiled_driver())
    measured = measure(stream, PeImage.open(stream, source="x"))
    signature = content_signed(signatory(), spc_cabinet(measured.digests["sha256"]))
    raw = b"".join(signed_image_chunks(stream, measured.layout, signature))
    assert raw.endswith(certificate_table(signature))
    with pytest.raises(ParseError, match="another kind of file"):
        checked_image(raw)


def test_a_huge_certificate_table_is_not_read() -> None:
    stream = io.BytesIO(compiled_driver())
    measured = measure(stream, PeImage.open(stream, source="x"))
    raw = b"".join(signed_image_chunks(stream, measured.layout, bytes((16 << 20) + 8)))
    with pytest.raises(LimitExceeded, match="certificate table"):
        checked_image(raw)


# --- Parts


def test_the_signed_attributes_are_a_der_set() -> None:
    attributes = signed_attributes(SPC_INDIRECT_DATA, bytes(32), program_name="N", url="https://u")
    inside = der.Reader(attributes, source="t").read(der.SET, "attributes").open()
    encoded = [element.encoded for element in inside.all(der.SEQUENCE, "attribute")]
    assert encoded == sorted(encoded)
    assert len(encoded) == 4


def test_a_url_must_be_ascii() -> None:
    with pytest.raises(ValueError, match="ascii"):
        signed_attributes(SPC_INDIRECT_DATA, bytes(32), program_name=None, url="https://grüße")


def test_the_content_digest_leaves_out_tag_and_length() -> None:
    assert content_digest(der.sequence(bytes(300))) == hashlib.sha256(bytes(300)).digest()


def test_a_timestamp_is_an_unsigned_attribute() -> None:
    who = signatory()
    token = der.sequence(der.integer(1))
    content = spc_cabinet(bytes(32))
    attributes = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=None, url=None)
    signed = signed_data(
        SPC_INDIRECT_DATA,
        content,
        certificates=who.certificates,
        attributes=attributes,
        signature=who.sign(attributes),
        timestamp=token,
    )
    assert signed.endswith(der.explicit(1, der.sequence(der.oid("1.3.6.1.4.1.311.3.3.1"), der.set_of(token))))
    assert checked_cabinet_error(signed) == "was changed"


def checked_cabinet_error(signature: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        checked_cabinet(attached(cabinet_file(reserve=True), signature))
    return "was changed" if "was changed" in caught.value.message else caught.value.message


def test_a_signature_of_something_else_is_no_catalog() -> None:
    with pytest.raises(ParseError, match="not a catalog"):
        verify_catalog(content_signed(signatory(), spc_cabinet(bytes(32))), source="x.cat")


def test_key_usages_are_told() -> None:
    who = signatory()
    assert key_usages(who.leaf) == {CODE_SIGNING}
    assert may_sign_code(who.leaf)
    assert key_usages(who.root) == frozenset()
    assert not may_sign_code(who.root)


def test_extensions_that_cannot_be_read_are_a_parse_error() -> None:
    who = signatory()
    builder = (
        x509.CertificateBuilder()
        .subject_name(who.leaf.subject)
        .issuer_name(who.leaf.issuer)
        .public_key(who.leaf.public_key())
        .serial_number(2)
        .not_valid_before(who.leaf.not_valid_before_utc)
        .not_valid_after(who.leaf.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(ExtensionOID.EXTENDED_KEY_USAGE, b"\x05\x00"), critical=False)
    )
    with pytest.raises(ParseError, match="extensions cannot be read"):
        key_usages(builder.sign(who.key, hashes.SHA256()))
    assert ExtendedKeyUsageOID.CODE_SIGNING.dotted_string == CODE_SIGNING
