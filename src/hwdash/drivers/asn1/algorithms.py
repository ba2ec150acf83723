"""The digest and signature algorithms of PKCS#7 and CMS, by their object identifiers.

Sources: RFC 5754 (SHA-2), RFC 4055 (RSASSA-PSS), RFC 3279 (SHA-1 and older). What is made uses SHA-2. SHA-1 is read
where the caller allows it, for reports about old files; MD5 and MD2 never.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from hwdash.drivers.asn1 import der
from hwdash.drivers.errors import ParseError, VerificationError

SHA1: Final = "1.3.14.3.2.26"
SHA256: Final = "2.16.840.1.101.3.4.2.1"
SHA384: Final = "2.16.840.1.101.3.4.2.2"
SHA512: Final = "2.16.840.1.101.3.4.2.3"
RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"
ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"
ECDSA_WITH_SHA384: Final = "1.2.840.10045.4.3.3"
ECDSA_WITH_SHA512: Final = "1.2.840.10045.4.3.4"
DIGESTS: Final = {"sha256": SHA256, "sha384": SHA384, "sha512": SHA512}
"""What may be made, by hashlib's names."""

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    SHA1: hashes.SHA1(),  # nosec B303 # noqa: S303 - to read old signatures when the caller allows it
    SHA256: hashes.SHA256(),
    SHA384: hashes.SHA384(),
    SHA512: hashes.SHA512(),
}
_BROKEN: Final = {SHA1: "SHA-1", "1.2.840.113549.2.5": "MD5", "1.2.840.113549.2.2": "MD2"}
_RSA_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"
# Signature algorithm -> (key family, the digest it fixes; None leaves it to the signer's digestAlgorithm).
_SIGNATURES: Final[dict[str, tuple[str, str | None]]] = {
    RSA_ENCRYPTION: ("RSA", None),
    "1.2.840.113549.1.1.5": ("RSA", SHA1),
    "1.2.840.113549.1.1.11": ("RSA", SHA256),
    "1.2.840.113549.1.1.12": ("RSA", SHA384),
    "1.2.840.113549.1.1.13": ("RSA", SHA512),
    _RSA_PSS: ("RSA", None),
    _EC_PUBLIC_KEY: ("ECDSA", None),
    "1.2.840.10045.4.1": ("ECDSA", SHA1),
    ECDSA_WITH_SHA256: ("ECDSA", SHA256),
    ECDSA_WITH_SHA384: ("ECDSA", SHA384),
    ECDSA_WITH_SHA512: ("ECDSA", SHA512),
}
_ECDSA: Final = {SHA256: ECDSA_WITH_SHA256, SHA384: ECDSA_WITH_SHA384, SHA512: ECDSA_WITH_SHA512}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }; NULL is None."""

    oid: str
    parameters: der.Element | None


def algorithm_identifier(algorithm: str) -> bytes:
    """AlgorithmIdentifier with NULL parameters."""
    return der.sequence(der.oid(algorithm), der.null())


def signature_algorithm(key: CertificatePublicKeyTypes, digest: str) -> bytes:
    """The AlgorithmIdentifier of a signature made with this key (RSA PKCS#1 v1.5 or ECDSA); ``digest`` is an OID."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        # RFC 5754 3.2: ECDSA algorithms carry no parameters; RSA's are NULL.
        return der.sequence(der.oid(_ECDSA[digest]))
    return algorithm_identifier(RSA_ENCRYPTION)


def digest_oid(name: str) -> str:
    """The OID of hashlib's ``name``. ValueError for what is not made any more: SHA-1 and MD5."""
    if name not in DIGESTS:
        raise ValueError(f"signatures are made with {', '.join(DIGESTS)}, not with {name}")
    return DIGESTS[name]


def read_algorithm(element: der.Element, field: str) -> Algorithm:
    """Read an AlgorithmIdentifier."""
    reader = element.open()
    algorithm = reader.read(der.OBJECT_IDENTIFIER, field).oid(field)
    parameters = None if reader.next_tag is None else reader.any(field)
    reader.finish(field)
    if parameters is not None and parameters.tag == der.NULL:
        if parameters.content:
            raise parameters.error("is a NULL with content", field)
        parameters = None
    return Algorithm(algorithm, parameters)


def read_digest_algorithm(element: der.Element, field: str) -> str:
    """The OID of a digest algorithm, which has no parameters."""
    algorithm = read_algorithm(element, field)
    if algorithm.parameters is not None:
        raise algorithm.parameters.error("a digest algorithm has no parameters", field)
    return algorithm.oid


def hash_of(algorithm: str, *, source: str, what: str, allow_sha1: bool = False) -> hashes.HashAlgorithm:
    """The hash named by an OID: SHA-2, and SHA-1 if allowed. VerificationError for others; ``what`` says of what."""
    if algorithm not in _HASHES or (algorithm == SHA1 and not allow_sha1):
        name = _BROKEN.get(algorithm, f"algorithm {algorithm}")
        raise VerificationError(f"{what} uses {name}: SHA-2 is required", source=source)
    return _HASHES[algorithm]


def verify(
    key: CertificatePublicKeyTypes,
    algorithm: Algorithm,
    digest: str,
    signature: bytes,
    signed: bytes,
    *,
    source: str,
    allow_sha1: bool = False,
) -> None:
    """Check a signature; ``digest`` is the signer's digestAlgorithm (OID), which the signature must use.

    VerificationError when it does not hold, ParseError when algorithm or key cannot be used.
    """
    chosen = hash_of(digest, source=source, what="the signature", allow_sha1=allow_sha1)
    if algorithm.oid not in _SIGNATURES:
        raise VerificationError(f"signature algorithm {algorithm.oid} is not supported", source=source)
    family, fixed = _SIGNATURES[algorithm.oid]
    if fixed not in (None, digest):
        hash_of(fixed or "", source=source, what="the signature", allow_sha1=allow_sha1)
        raise VerificationError("the signature's digest algorithm is not the signer's", source=source)
    if algorithm.parameters is not None and algorithm.oid not in (_RSA_PSS, _EC_PUBLIC_KEY):
        raise algorithm.parameters.error("this signature algorithm has no parameters", "signatureAlgorithm")
    try:
        if isinstance(key, rsa.RSAPublicKey) and family == "RSA":
            if algorithm.oid == _RSA_PSS:
                key.verify(signature, signed, _pss(algorithm, digest, source), chosen)
            elif digest != SHA1 or not _is_bare_sha1(key, signature, signed):
                key.verify(signature, signed, padding.PKCS1v15(), chosen)
        elif isinstance(key, ec.EllipticCurvePublicKey) and family == "ECDSA":
            key.verify(signature, signed, ec.ECDSA(chosen))
        else:
            raise VerificationError("the signer's key does not fit the signature algorithm", source=source)
    except InvalidSignature:
        raise VerificationError("the signature does not verify with the signer's key", source=source) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ParseError(f"the signer's key cannot be used ({error})", source=source, field="certificates") from None


def _is_bare_sha1(key: rsa.RSAPublicKey, signature: bytes, signed: bytes) -> bool:
    """Whether it is over the bare SHA-1, without a DigestInfo, as Symantec's old timestamps are; Windows takes them."""
    try:
        held = key.recover_data_from_signature(signature, padding.PKCS1v15(), None)
    except InvalidSignature:
        return False
    return held == hashlib.sha1(signed, usedforsecurity=False).digest()


def _pss(algorithm: Algorithm, digest: str, source: str) -> padding.PSS:
    """RSASSA-PSS-params ::= SEQUENCE { [0] hash, [1] mask generation, [2] salt length, [3] trailer }, RFC 4055 3.1.

    Both hashes must be the signer's digest (RFC 4056, 3).
    """
    field = "RSASSA-PSS-params"
    if algorithm.parameters is None or algorithm.parameters.tag != der.SEQUENCE:
        raise VerificationError("RSASSA-PSS without its parameters: they must name the hash", source=source)
    reader = algorithm.parameters.open()
    named, mask, salt, trailer = (reader.optional(0xA0 | number, field) for number in range(4))
    reader.finish(field)
    hash_oid = read_digest_algorithm(named.only(der.SEQUENCE, field), field) if named else SHA1
    mask_hash = SHA1
    if mask is not None:
        function = read_algorithm(mask.only(der.SEQUENCE, field), field)
        if function.oid != _MGF1 or function.parameters is None or function.parameters.tag != der.SEQUENCE:
            raise mask.error("is not MGF1 with a hash", field)
        mask_hash = read_digest_algorithm(function.parameters, field)
    if not hash_oid == mask_hash == digest:
        raise VerificationError("the hashes of RSASSA-PSS are not the signer's", source=source)
    length = salt.only(der.INTEGER, field).integer(field) if salt else 20
    if not 0 <= length <= 1024 or (trailer and trailer.only(der.INTEGER, field).integer(field) != 1):
        raise algorithm.parameters.error("has a salt length or a trailer that no key allows", field)
    return padding.PSS(padding.MGF1(_HASHES[digest]), length)
