"""Certificates of every kind, good and bad, for the tests of chains, timestamps and signatures."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authenticode_oracle import NOW, compiled_driver
from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import (
    CATALOG_CONTENT_TYPE,
    SigningOptions,
    pe_signatures,
    sign_cabinet,
    sign_catalog,
    sign_pe,
)
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.drivers.pe import PeImage
from hwdash.drivers.signature import SignatureReport
from hwdash.drivers.timestamp import timestamp_info, timestamp_token, token_attributes

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
CODE = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")
TIME = ExtendedKeyUsageOID.TIME_STAMPING
LIFETIME = x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.13")
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
YEAR = timedelta(days=365)


@cache
def key(kind: str, number: int = 0) -> PrivateKey:
    """A key of this kind: ``rsa2048``, ``rsa1024``, ``p256``, ``p384``, ...; the same for the same number."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "k256": ec.SECP256K1()}[kind])


@dataclass(frozen=True)
class Holder:
    """A key, its certificate, and who issued that."""

    key: PrivateKey
    certificate: x509.Certificate
    issuer: "Holder | None"

    @property
    def path(self) -> list[x509.Certificate]:
        """Its certificate and those above it, the root last."""
        return [self.certificate, *(self.issuer.path if self.issuer else [])]

    @property
    def sent(self) -> list[bytes]:
        """DER of the path without the root, as a signature carries it; the root where it is alone."""
        sent = self.path[:-1] or self.path
        return [each.public_bytes(serialization.Encoding.DER) for each in sent]

    @property
    def root(self) -> x509.Certificate:
        return self.path[-1]

    def sign(self, content: bytes, algorithm: str = "sha256") -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(content, padding.PKCS1v15(), HASHES[algorithm])
        return self.key.sign(content, ec.ECDSA(HASHES[algorithm]))

    def files(self, folder: Path) -> tuple[Path, Path, Path]:
        """Paths of the root, of the path below it and of the key, in PEM."""
        folder.mkdir(exist_ok=True)
        pem = serialization.Encoding.PEM
        root, chain, private = folder / "root.pem", folder / "chain.pem", folder / "key.pem"
        root.write_bytes(self.root.public_bytes(pem))
        chain.write_bytes(b"".join(each.public_bytes(pem) for each in (self.path[:-1] or self.path)))
        plain = serialization.NoEncryption()
        private.write_bytes(self.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return root, chain, private


def usage(**named: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: named.get(name, False) for name in names})


def issue(
    name: str,
    issuer: Holder | None = None,
    *,
    kind: str = "p256",
    number: int | None = None,
    ca: bool | None = None,
    path_length: int | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (),
    critical: bool = False,
    key_usage: x509.KeyUsage | None = None,
    begin: datetime = NOW - YEAR,
    end: datetime = NOW + YEAR,
    digest: hashes.HashAlgorithm | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Holder:
    """A certificate; ``ca`` None leaves basic constraints out."""
    own = key(kind, hash(name) if number is None else number)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = issuer.certificate.subject if issuer else subject
    builder = x509.CertificateBuilder(above, subject, own.public_key(), x509.random_serial_number(), begin, end)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    for value, is_critical in more:
        builder = builder.add_extension(value, critical=is_critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    if issuer is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    signing = issuer.key if issuer else own
    return Holder(own, builder.sign(signing, digest or hashes.SHA256()), issuer)


@cache
def root(name: str = "Test Root") -> Holder:
    return issue(name, ca=True, key_usage=usage(key_cert_sign=True, crl_sign=True))


@cache
def authority() -> Holder:
    """A CA below the root."""
    return issue("Test CA", root(), ca=True, path_length=0, key_usage=usage(key_cert_sign=True, crl_sign=True))


@cache
def signer(kind: str = "p256") -> Holder:
    """A code signer below the CA."""
    signs = usage(digital_signature=True)
    return issue(f"Test Signer {kind}", authority(), kind=kind, ca=False, usages=[CODE], key_usage=signs)


@cache
def timestamper() -> Holder:
    """A timestamp authority below the CA. Its key is RSA: openssl ts makes no ECDSA tokens without being told."""
    signs = usage(digital_signature=True)
    return issue("Test TSA", authority(), kind="rsa2048", usages=[TIME], critical=True, key_usage=signs)


def token(over: bytes, when: datetime = NOW, who: Holder | None = None, *, serial: int = 7) -> bytes:
    """A timestamp over these bytes."""
    holder = who or timestamper()
    info = timestamp_info(over, policy="1.2.3.4", serial=serial, when=when)
    attributes = token_attributes(info, holder.sent[0], when)
    return timestamp_token(info, certificates=holder.sent, attributes=attributes, signature=holder.sign(attributes))


def signed_image(image: bytes | None = None, who: Holder | None = None, *, page_hashes: bool = False, **how) -> bytes:
    """A signed PE image; ``how`` are SigningOptions."""
    options: SigningOptions = how
    holder, out = who or signer(), io.BytesIO()
    algorithm = options.get("algorithm", "sha256")
    raw = io.BytesIO(compiled_driver() if image is None else image)
    sign_pe(
        raw,
        out,
        lambda attributes: holder.sign(attributes, algorithm),
        holder.sent,
        source="x.sys",
        page_hashes=page_hashes,
        **options,
    )
    return out.getvalue()


def signed_cabinet(cabinet: bytes | None = None, who: Holder | None = None, **how) -> bytes:
    """A signed cabinet; ``how`` are SigningOptions."""
    options: SigningOptions = how
    holder, raw, out = who or signer(), io.BytesIO(cabinet or b""), io.BytesIO()
    if cabinet is None:
        write_cabinet(raw, [("a\\x.inf", b"[Version]\r\n" * 20), ("a\\x.sys", bytes(range(256)))])
    algorithm = options.get("algorithm", "sha256")
    signing = lambda attributes: holder.sign(attributes, algorithm)  # noqa: E731
    sign_cabinet(raw, out, signing, holder.sent, source="x.cab", **options)
    return out.getvalue()


def unsigned_catalog() -> bytes:
    """As makecat writes it: a SignedData without a signer. Its list has no members."""
    return unsigned_catalog_of(
        der.sequence(der.sequence(der.oid("1.3.6.1.4.1.311.12.1.1")), der.octet_string(bytes(16)), der.null())
    )


def unsigned_catalog_of(content: bytes) -> bytes:
    """The same around a certificate trust list."""
    info = der.sequence(der.oid(CATALOG_CONTENT_TYPE), der.explicit(0, content))
    body = der.sequence(der.integer(1), der.set_of(), info, der.set_of())
    return der.sequence(der.oid("1.2.840.113549.1.7.2"), der.explicit(0, body))


def signed_catalog(catalog: bytes | None = None, who: Holder | None = None, **how) -> bytes:
    """A signed catalog; ``how`` are SigningOptions."""
    options: SigningOptions = how
    holder, algorithm = who or signer(), options.get("algorithm", "sha256")
    signing = lambda attributes: holder.sign(attributes, algorithm)  # noqa: E731
    return sign_catalog(catalog or unsigned_catalog(), signing, holder.sent, source="x.cat", **options)


def reports(image: bytes, *, allow_sha1: bool = False) -> list[SignatureReport]:
    stream = io.BytesIO(image)
    return pe_signatures(stream, PeImage.open(stream, source="x.sys"), source="x.sys", allow_sha1=allow_sha1)
