"""Certificates of strangers: whatever is wrong with one is a ParseError, at once and not when a part is asked for."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from authenticode_oracle import NOW
from hwdash.drivers.crl import RevocationList
from hwdash.drivers.errors import ParseError
from hwdash.drivers.extensions import read_certificate, read_certificates
from pki import authority, issue, root

DER = root().certificate.public_bytes(Encoding.DER)
BOTH = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in (root(), authority()))


def test_a_file_holds_one_certificate_in_der_or_any_number_in_pem() -> None:
    assert read_certificates(DER, source="ca") == [root().certificate]
    assert read_certificates(BOTH, source="ca.pem") == [root().certificate, authority().certificate]
    with pytest.raises(ParseError, match=r"ca\.pem, certificate: holds no certificate"):
        read_certificates(b"-----BEGIN PRIVATE KEY-----\n", source="ca.pem")
    with pytest.raises(ParseError, match="is not a certificate"):
        read_certificates(b"hello", source="ca")


def with_another_name(before: bytes, after: bytes) -> bytes:
    """A certificate whose subject and issuer are called ``after``, in the same number of bytes."""
    made = issue("\0ab", ca=True).certificate.public_bytes(Encoding.DER)
    assert made.count(before) == 2
    return made.replace(before, after)


@pytest.mark.parametrize("after", [b"\x03\x03\x00ab", b"\x0c\x03\xff\xffb", b"\x02\x03\x00ab"])
def test_a_name_of_another_type_is_an_error_when_the_certificate_is_read(after: bytes) -> None:
    with pytest.raises(ParseError, match="is not a certificate"):
        read_certificate(with_another_name(b"\x0c\x03\x00ab", after), source="x")


def test_a_certificate_with_a_negative_number_is_looked_for_in_a_crl() -> None:
    serial = root().certificate.serial_number
    plain = serial.to_bytes(serial.bit_length() // 8 + 1, "big")  # as DER has it
    number = bytes([plain[0] | 0x80]) + plain[1:]
    assert DER.count(plain) == 1
    negative = read_certificate(DER.replace(plain, number), source="x")
    assert negative.serial_number < 0
    builder = x509.CertificateRevocationListBuilder(root().certificate.subject, NOW, NOW + timedelta(days=1))
    entry = x509.RevokedCertificateBuilder(serial, NOW).build()
    made = builder.add_revoked_certificate(entry).sign(root().key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert RevocationList.read(made, source="x").revoked(negative) is None
    found = RevocationList.read(made.replace(plain, number), source="x").revoked(negative)
    assert found == (NOW.replace(microsecond=0), "unspecified")


def test_a_crl_of_no_known_version_is_an_error() -> None:
    builder = x509.CertificateRevocationListBuilder(root().certificate.subject, NOW, NOW + timedelta(days=1))
    made = builder.sign(root().key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert RevocationList.read(made, source="x").is_usable
    with pytest.raises(ParseError, match="a CRL cannot be read"):
        RevocationList.read(made.replace(b"\x02\x01\x01", b"\x02\x01\x40", 1), source="x")
