"""Signatures that are well made, and every way in which one may be made to look so."""

import hashlib
from dataclasses import dataclass, field, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

from authenticode_oracle import Signatory, signatory
from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import RSA_ENCRYPTION, SHA1, SHA256
from hwdash.drivers.asn1.signed_data import (
    CONTENT_TYPE,
    MAX_SIGNATURE_SIZE,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    parse_signed_data,
    read_signed_data,
    unverified_content,
    with_unsigned_value,
)
from hwdash.drivers.authenticode import attribute
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError

CONTENT = der.sequence(der.integer(7))
TYPE = "1.2.3.4"
PSS = "1.2.840.113549.1.1.10"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"


def pss(digest: str = SHA256, mask: str = SHA256, salt: int = 32) -> bytes:
    """RSASSA-PSS-params (RFC 4055, 3.1)."""
    function = der.sequence(der.oid("1.2.840.113549.1.1.8"), der.sequence(der.oid(mask), der.null()))
    named = der.sequence(der.oid(digest), der.null())
    return der.sequence(der.explicit(0, named), der.explicit(1, function), der.explicit(2, der.integer(salt)))


def certificate_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@dataclass
class Forge:
    """Builds SignedData with any part replaced; by default one that verifies."""

    who: Signatory = field(default_factory=signatory)
    digest_oid: str = SHA256
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    signature_oid: str = RSA_ENCRYPTION
    attributes: list[bytes] | None = None
    sort: bool = True
    certificates: list[bytes] | None = None
    signers: int = 1
    content: bytes = CONTENT
    version: bytes = der.integer(1)
    attributes_field: bytes | None = None
    signer_id: bytes | None = None
    parameters: bytes | None = None

    def standard_attributes(self) -> list[bytes]:
        octets = der.content_octets(self.content)
        return [
            attribute(CONTENT_TYPE, der.oid(TYPE)),
            attribute(MESSAGE_DIGEST, der.octet_string(hashlib.new(self.digest.name, octets).digest())),
        ]

    def signature(self, tbs: bytes) -> bytes:
        key = self.who.key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(tbs, ec.ECDSA(self.digest))
        if self.signature_oid == PSS:
            return key.sign(tbs, padding.PSS(padding.MGF1(self.digest), self.digest.digest_size), self.digest)
        return key.sign(tbs, padding.PKCS1v15(), self.digest)

    def build(self) -> bytes:
        attributes = self.attributes if self.attributes is not None else self.standard_attributes()
        tbs = der.set_of(*attributes)
        listed = sorted(attributes) if self.sort else sorted(attributes, reverse=True)
        certificates = self.certificates if self.certificates is not None else self.who.certificates
        leaf = self.who.leaf
        signer = der.sequence(
            self.version,
            self.signer_id or der.sequence(leaf.issuer.public_bytes(), der.integer(leaf.serial_number)),
            der.sequence(der.oid(self.digest_oid), der.null()),
            der.explicit(0, *listed) if self.attributes_field is None else self.attributes_field,
            der.sequence(der.oid(self.signature_oid), der.null() if self.parameters is None else self.parameters),
            der.octet_string(self.signature(tbs)),
        )
        body = der.sequence(
            der.integer(1),
            der.set_of(der.sequence(der.oid(self.digest_oid), der.null())),
            der.sequence(der.oid(TYPE), der.explicit(0, self.content)),
            der.explicit(0, *certificates) if certificates else b"",
            der.set_of(*[signer] * self.signers),
        )
        return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, body))


def read(forged: Forge) -> str:
    return read_signed_data(forged.build(), source="test").digest_algorithm


@pytest.mark.parametrize(
    ("forge", "algorithm"),
    [
        (Forge(), "sha256"),
        (Forge(digest_oid="2.16.840.1.101.3.4.2.2", digest=hashes.SHA384()), "sha384"),
        (Forge(digest_oid="2.16.840.1.101.3.4.2.3", digest=hashes.SHA512()), "sha512"),
        (Forge(signature_oid="1.2.840.113549.1.1.11"), "sha256"),
        (Forge(signature_oid=PSS, parameters=pss()), "sha256"),
        (Forge(who=signatory("ec"), signature_oid=ECDSA_SHA256), "sha256"),
        (Forge(who=signatory("ec"), signature_oid="1.2.840.10045.2.1"), "sha256"),
        (Forge(sort=False), "sha256"),
    ],
)
def test_signatures_of_all_supported_kinds_verify(forge: Forge, algorithm: str) -> None:
    assert read(forge) == algorithm


MASK = "1.2.840.113549.1.1.8"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (None, "without its parameters"),
        (der.null(), "without its parameters"),
        (der.oid("1.2.3"), "without its parameters"),
        (der.sequence(), "not the signer's"),  # the defaults are SHA-1
        (pss(digest=SHA1), "not the signer's"),
        (pss(mask="2.16.840.1.101.3.4.2.2"), "not the signer's"),
        (pss(salt=20), "does not verify"),
        (pss(salt=-1), "no key allows"),
        (pss() + b"", None),
        (pss().replace(der.oid(MASK), der.oid("1.2.840.113549.1.1.9")), "MGF1"),
    ],
)
def test_the_parameters_of_rsassa_pss_count(parameters: bytes | None, words: str | None) -> None:
    forge = Forge(signature_oid=PSS, parameters=parameters)
    if words is None:
        assert read(forge) == "sha256"
    else:
        with pytest.raises((ParseError, VerificationError), match=words):
            read(forge)


@pytest.mark.parametrize("in_order", [True, False])
def test_attributes_may_be_signed_as_they_stand_or_in_the_order_of_der(*, in_order: bool) -> None:
    """DigiCert's timestamps have them out of order, and are signed so."""

    class Unsorted(Forge):
        def signature(self, tbs: bytes) -> bytes:
            listed = sorted(self.standard_attributes(), reverse=True)
            return super().signature(tbs if in_order else der.tlv(der.SET, *listed))

    assert read(Unsorted(sort=False)) == "sha256"


def test_other_kinds_of_certificates_are_passed_over() -> None:
    """Microsoft's timestamps have attribute certificates: CertificateChoices [1] of RFC 5652, 10.2.2."""
    forge = Forge(certificates=[der.explicit(1, der.sequence()), *signatory().certificates])
    assert len(read_signed_data(forge.build(), source="test").certificates) == 2


def test_signer_certificates_and_content_are_told() -> None:
    forge = Forge()
    signed = read_signed_data(forge.build() + bytes(5), source="test")
    assert signed.signer == forge.who.leaf
    assert set(signed.certificates) == {forge.who.leaf, forge.who.root}
    assert (signed.content_type, signed.content.encoded) == (TYPE, CONTENT)


def test_a_self_signed_signer_verifies() -> None:
    who = signatory()
    root_only = replace_leaf(who)
    assert read(Forge(who=root_only, certificates=[certificate_der(root_only.leaf)])) == "sha256"


def replace_leaf(who: Signatory) -> Signatory:
    key = who.key
    name = x509.Name([x509.NameAttribute(x509.OID_COMMON_NAME, "Alone")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1 << 100)
        .not_valid_before(who.leaf.not_valid_before_utc)
        .not_valid_after(who.leaf.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    return replace(who, leaf=certificate)


def other_digest() -> bytes:
    return attribute(MESSAGE_DIGEST, der.octet_string(bytes(32)))


def standard() -> list[bytes]:
    return Forge().standard_attributes()


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (Forge(digest_oid=SHA1, digest=hashes.SHA1()), "SHA-1: SHA-2 is required"),
        (Forge(digest_oid="1.2.840.113549.2.5"), "MD5: SHA-2 is required"),
        (Forge(digest_oid="1.2.3"), "algorithm 1.2.3: SHA-2 is required"),
        (Forge(signature_oid="1.2.840.113549.1.1.5"), "SHA-1: SHA-2 is required"),
        (Forge(signature_oid="1.2.840.113549.1.1.12"), "not the signer's"),
        (Forge(signature_oid="1.2.3"), "1.2.3 is not supported"),
        (Forge(signature_oid=ECDSA_SHA256), "does not fit"),
        (Forge(who=signatory("ec")), "does not fit"),
        (Forge(attributes=standard()[:1]), "lacks the signed attribute messageDigest"),
        (Forge(attributes=standard()[1:]), "lacks the signed attribute contentType"),
        (Forge(attributes=[]), "lacks the signed attribute"),
        (Forge(attributes=[standard()[0], other_digest()]), "digest is not the signed one"),
        (Forge(attributes=[standard()[1], attribute(CONTENT_TYPE, der.oid("1.2.3.5"))]), "content type"),
        (Forge(attributes=[standard()[1], attribute(CONTENT_TYPE, der.null())]), "content type"),
        (Forge(certificates=[]), "certificate is not in the signature"),
        (Forge(signers=0), "is not signed"),
        (Forge(certificates=[certificate_der(signatory().root)]), "certificate is not in the signature"),
        (Forge(attributes_field=der.explicit(0, *standard(), attribute("1.2.9", der.null()))), "does not verify"),
        (Forge(who=replace(signatory(), key=rsa.generate_private_key(65537, 2048))), "does not verify"),
    ],
)
def test_signatures_that_do_not_hold_are_refused(forge: Forge, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        read(forge)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (Forge(attributes=[*standard(), other_digest()]), "occurs twice"),
        (Forge(attributes=[standard()[0], attribute(MESSAGE_DIGEST, der.octet_string(b"1"), der.null())]), "after"),
        (Forge(attributes=[standard()[0], attribute(MESSAGE_DIGEST)]), "truncated"),
        (Forge(signers=2), "after its last element"),
        (Forge(attributes_field=b""), "no signed attributes"),
        (Forge(signer_id=der.implicit(0, bytes(20))), "issuer and serial number"),
        (Forge(certificates=[*signatory().certificates, der.null()]), "expected tag 0x30"),
        (Forge(certificates=[*signatory().certificates, der.sequence()]), "tbsCertificate"),
        (Forge(version=der.integer(3)), "is not 1"),
        (Forge(signature_oid="1.2.840.113549.1.1.11", parameters=der.integer(1)), "no parameters"),
        (Forge(digest_oid="1.2.840.113549.2.5", signature_oid="1.2.3", parameters=der.tlv(5, b"1")), "NULL"),
        (Forge(content=b""), "truncated"),
        (Forge(content=CONTENT + der.null()), "after its last element"),
    ],
)
def test_malformed_signatures_are_refused(forge: Forge, words: str) -> None:
    if forge.content in (b"", CONTENT + der.null()):
        forge.attributes = standard()
    with pytest.raises(ParseError, match=words):
        read(forge)


def test_a_certificate_that_cannot_be_parsed_is_refused() -> None:
    leaf = bytearray(certificate_der(signatory().leaf))
    at = leaf.index(b"\x17\x0d")
    leaf[at + 2] = 0x78
    with pytest.raises(ParseError, match="is not a certificate"):
        read(Forge(certificates=[bytes(leaf)]))


def test_a_key_of_another_kind_is_refused() -> None:
    who = signatory()
    builder = (
        x509.CertificateBuilder()
        .subject_name(who.leaf.subject)
        .issuer_name(who.leaf.issuer)
        .public_key(ed25519.Ed25519PrivateKey.generate().public_key())
        .serial_number(who.leaf.serial_number)
        .not_valid_before(who.leaf.not_valid_before_utc)
        .not_valid_after(who.leaf.not_valid_after_utc)
    )
    odd = certificate_der(builder.sign(who.key, hashes.SHA256()))
    with pytest.raises(VerificationError, match="does not fit"):
        read(Forge(certificates=[odd]))


def test_the_digest_must_be_among_those_listed() -> None:
    built = Forge().build()
    named = der.sequence(der.oid(SHA256), der.null())
    at = built.index(named)
    wrong = built[:at] + named.replace(der.oid(SHA256), der.oid("2.16.840.1.101.3.4.2.2")) + built[at + len(named) :]
    with pytest.raises(ParseError, match="does not list"):
        read_signed_data(wrong, source="test")


def test_a_signature_over_the_bare_sha1_is_read_where_sha1_is() -> None:
    """Symantec's timestamps of 2012 to 2018 have no DigestInfo around it; Windows takes them."""

    class Bare(Forge):
        def signature(self, tbs: bytes) -> bytes:
            assert isinstance(self.who.key, rsa.RSAPrivateKey)
            return self.who.key.sign(hashlib.sha1(tbs).digest(), padding.PKCS1v15(), NoDigestInfo())

    forge = Bare(digest_oid=SHA1, digest=hashes.SHA1())
    assert read_signed_data(forge.build(), source="test", allow_sha1=True).digest_algorithm == "sha1"
    with pytest.raises(VerificationError, match="SHA-1"):
        read(forge)
    broken = forge.build().replace(CONTENT, der.sequence(der.integer(8)))
    with pytest.raises(VerificationError, match="was changed"):
        read_signed_data(broken, source="test", allow_sha1=True)


def test_unsigned_values_are_added_and_the_rest_stays() -> None:
    built = Forge().build()
    once = with_unsigned_value(built, "1.2.3", der.integer(2), source="test")
    twice = with_unsigned_value(once + bytes(3), "1.2.3", der.integer(1), source="test")
    other = with_unsigned_value(twice, "1.2.4", der.null(), source="test")
    unsigned = parse_signed_data(other, source="test").signer.unsigned
    assert {kind: [each.encoded for each in held] for kind, held in unsigned.items()} == {
        "1.2.3": [der.integer(1), der.integer(2)],
        "1.2.4": [der.null()],
    }
    assert read_signed_data(other, source="test").signer == signatory().leaf
    assert parse_signed_data(built, source="test").signer.unsigned == {}
    with pytest.raises(ParseError):
        with_unsigned_value(built[:-1], "1.2.3", der.null(), source="test")


def test_a_detached_signature_is_refused() -> None:
    body = der.sequence(der.integer(1), der.set_of(), der.sequence(der.oid(TYPE)), der.set_of())
    with pytest.raises(ParseError, match="detached"):
        read_signed_data(der.sequence(der.oid(SIGNED_DATA), der.explicit(0, body)), source="test")


def test_another_kind_of_message_is_refused() -> None:
    with pytest.raises(ParseError, match="not signedData"):
        read_signed_data(der.sequence(der.oid("1.2.840.113549.1.7.1"), der.explicit(0)), source="test")


def test_sizes_are_bounded() -> None:
    with pytest.raises(LimitExceeded, match="16 MiB"):
        read_signed_data(bytes(MAX_SIGNATURE_SIZE + 1), source="test")
    with pytest.raises(LimitExceeded, match="certificates"):
        read(Forge(certificates=signatory().certificates * 51))


def test_bytes_after_the_signature_are_refused_unless_zero() -> None:
    with pytest.raises(ParseError, match="other than zero"):
        read_signed_data(Forge().build() + b"\0\1", source="test")


def test_the_content_can_be_shown_without_verifying() -> None:
    forged = Forge(who=replace(signatory(), key=rsa.generate_private_key(65537, 2048))).build()
    content_type, content = unverified_content(forged, source="test")
    assert (content_type, content.encoded) == (TYPE, CONTENT)
