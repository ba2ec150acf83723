"""Digital signatures of Open Packaging Conventions packages (ECMA-376 part 2, clause 12; W3C XML Signature).

What holds for every ``OpcSignature`` that ``verify_signatures`` returns:

- it was found by relationships: package -> origin -> signature -> certificate;
- SignedInfo, in C14N 1.0, verifies with the key of a certificate that came with it (RSA PKCS#1 v1.5 or ECDSA);
- SignedInfo references Objects of the same Signature only, the package Object among them, each digest holds, and no Id
  occurs twice, so that there is no second element that could be meant;
- every part that the Manifest references has the signed digest and the signed content type;
- nothing is left out: every part but ``[Content_Types].xml`` and the signatures' own is referenced, and every
  relationship but the one to the signature origin is covered.

XML Signature can express much more: XPath, XSLT, Manifests of Manifests, HMAC, keys without certificates, comments
inside values. None of it occurs in packages and all of it is refused. Whether a certificate is to be trusted is not
decided here. SHA-1 is read, because HLK Studio signs with it, and told in ``OpcSignature.algorithms``.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.drivers.extensions import read_certificate
from hwdash.drivers.opc import (
    RELATIONSHIPS_NAMESPACE,
    OpcPackage,
    Part,
    Relationship,
    relationships_part,
    relationships_source,
)
from hwdash.drivers.xml_document import canonical_xml, line_of

XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
OPC_SIGNATURE: Final = "http://schemas.openxmlformats.org/package/2006/digital-signature"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
RELATIONSHIP_TRANSFORM: Final = "http://schemas.openxmlformats.org/package/2006/RelationshipTransform"
ORIGIN: Final = f"{RELATIONSHIPS_NAMESPACE}/digital-signature/origin"
SIGNATURE: Final = f"{RELATIONSHIPS_NAMESPACE}/digital-signature/signature"
CERTIFICATE: Final = f"{RELATIONSHIPS_NAMESPACE}/digital-signature/certificate"
CONTENT_TYPE: Final = "application/vnd.openxmlformats-package.digital-signature-"
"""What the content types of ``origin``, ``xmlsignature+xml`` and ``certificate`` begin with."""
PACKAGE_OBJECT: Final = "idPackageObject"

_DIGESTS: Final = {
    f"{XMLDSIG}sha1": "sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # nosec B303 # noqa: S303 - read, and told to the caller
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_SIGNATURES: Final = {f"{XMLDSIG}rsa-sha1": ("RSA", "sha1")} | {
    f"http://www.w3.org/2001/04/xmldsig-more#{family.lower()}-{algorithm}": (family, algorithm)
    for family in ("RSA", "ECDSA")
    for algorithm in _HASHES
    if (family, algorithm) != ("RSA", "sha1")
}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\s]*")
_XML_NAMESPACE: Final = "{http://www.w3.org/XML/1998/namespace}"
_MAX_SIGNATURES: Final = 8
_MAX_CERTIFICATES: Final = 16  # of one signature
_MAX_CERTIFICATE: Final = 1 << 16
_MAX_OBJECTS: Final = 4
_LISTED: Final = 10  # names in one message
# How often one relationships part may be referenced: Windows does so twice.
_MAX_SELECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class OpcSignature:
    """A signature that verified. ``signer`` is among ``certificates``; who trusts it is another question.

    No certificate was checked against its issuer: know a signer by the whole certificate (its thumbprint).
    """

    part: str
    """The name of the part that holds it."""
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    digest_algorithm: str
    """hashlib's name."""
    digest: bytes
    """The digest of the package Object, and so of the digests of all parts."""
    algorithms: frozenset[str]
    """hashlib's names of all digests and of the signature's own: ``sha1`` among them makes it a weak one."""
    signed_parts: frozenset[str]
    """The names of the parts that it covers, as the package spells them."""


@dataclass(frozen=True, slots=True)
class _Transform:
    """A RelationshipTransform: the relationships with one of the ids or one of the types."""

    ids: frozenset[str]
    types: frozenset[str]

    def selects(self, relationship: Relationship) -> bool:
        return relationship.id in self.ids or relationship.type in self.types


_How: TypeAlias = Literal["bytes", "xml"] | _Transform
"""What of a part is digested: its bytes, its canonical XML, or the canonical form of chosen relationships."""


def signature_origin(package: OpcPackage) -> Part | None:
    """The part where the signatures begin; None when the package is not signed.

    ParseError when there are two, or when it is not what the conventions ask for.
    """
    found = [each for each in package.relationships() if each.type == ORIGIN]
    if not found:
        return None
    if len(found) > 1:
        raise ParseError("the package has two signature origins", source=package.source, field="origin")
    origin = _target(package, found[0], "origin")
    if origin.size:
        raise ParseError(f"the signature origin {origin.name} is not empty", source=package.source, field="origin")
    return origin


def signature_parts(package: OpcPackage) -> tuple[Part, ...]:
    """The parts of the signatures themselves, which nothing signs: origin, signatures, certificates, relationships."""
    return () if (origin := signature_origin(package)) is None else tuple(_own_parts(package, origin))


def _own_parts(package: OpcPackage, origin: Part) -> Iterator[Part]:
    yield origin
    yield from _relationships_of(package, origin)
    for signature in _signature_parts(package, origin):
        yield signature
        yield from _relationships_of(package, signature)
        yield from _certificate_parts(package, signature)


def _relationships_of(package: OpcPackage, part: Part) -> Iterator[Part]:
    if (found := package.part(relationships_part(part.name))) is not None:
        yield found


def _signature_parts(package: OpcPackage, origin: Part) -> list[Part]:
    return _linked(package, origin, SIGNATURE, "xmlsignature+xml", _MAX_SIGNATURES)


def _certificate_parts(package: OpcPackage, signature: Part) -> list[Part]:
    return _linked(package, signature, CERTIFICATE, "certificate", _MAX_CERTIFICATES)


def _linked(package: OpcPackage, source: Part, kind: str, content_type: str, limit: int) -> list[Part]:
    """The parts that relationships of type ``kind`` lead to; relationships of another type are refused."""
    relationships = package.relationships(source.name)
    if len(relationships) > limit:
        raise LimitExceeded(f"{source.name} has more than {limit} relationships", source=package.source)
    if other := next((each for each in relationships if each.type != kind), None):
        message = f"{source.name} has a relationship of type {other.type}, which nothing signs"
        raise VerificationError(message, source=package.source)
    return [_target(package, each, content_type) for each in relationships]


def _target(package: OpcPackage, relationship: Relationship, content_type: str) -> Part:
    part = None if relationship.external else package.part(relationship.target)
    if part is None:
        message = f"the relationship {relationship.id} leads to {relationship.target}, which is no part"
        raise ParseError(message, source=package.source, field=relationship.type)
    if part.content_type.lower() != CONTENT_TYPE + content_type:
        message = f"{part.name} has the type {part.content_type}, not that of a signature's {content_type}"
        raise ParseError(message, source=package.source, field="ContentType")
    return part


def verify_signatures(package: OpcPackage) -> tuple[OpcSignature, ...]:
    """Verify every signature of a package; each must hold and cover everything. Call ``check_limits`` first.

    VerificationError says why one does not, or that there is none; ParseError and LimitExceeded as when reading.
    """
    origin = signature_origin(package)
    signatures = [] if origin is None else _signature_parts(package, origin)
    if origin is None or not signatures:
        raise VerificationError("the package is not signed", source=package.source)
    own = frozenset(part.name.lower() for part in _own_parts(package, origin))
    digests = _PartDigests(package)
    return tuple(_Verification(package, part, digests).signature(own) for part in signatures)


class _PartDigests:
    """Digests of parts, each computed once whatever the number of references to it."""

    def __init__(self, package: OpcPackage) -> None:
        self._package = package
        self._found: dict[tuple[str, _How, str], bytes] = {}

    def of(self, part: Part, how: _How, algorithm: str) -> bytes:
        key = (part.name, how, algorithm)
        if key not in self._found:
            self._found[key] = self._compute(part, how, algorithm)
        return self._found[key]

    def _compute(self, part: Part, how: _How, algorithm: str) -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        if how == "xml":
            document = self._package.xml(part).getroottree()
            digest.update(canonical_xml(document, source=self._package.source, field=part.name))
        elif isinstance(how, _Transform):
            source_part = relationships_source(part.name) or ""
            chosen = [each for each in self._package.relationships(source_part) if how.selects(each)]
            digest.update(_canonical_relationships(chosen))
        else:
            for piece in self._package.pieces(part):
                digest.update(piece)
        return digest.digest()


def _canonical_relationships(chosen: Sequence[Relationship]) -> bytes:
    """The Relationships Transform's result in C14N (ECMA-376 part 2, 12.2.4.26): by Id, with every TargetMode."""
    root = etree.fromstring(f'<Relationships xmlns="{RELATIONSHIPS_NAMESPACE}"/>')
    # .NET sorts by UTF-16 code units.
    for each in sorted(chosen, key=lambda relationship: relationship.id.encode("utf-16-be")):
        element = etree.SubElement(root, f"{{{RELATIONSHIPS_NAMESPACE}}}Relationship")
        mode = "External" if each.external else "Internal"
        for name, value in (
            ("Id", each.id),
            ("Target", each.written_target),
            ("TargetMode", mode),
            ("Type", each.type),
        ):
            element.set(name, value)
    return etree.tostring(root, method="c14n", with_comments=False)


class _Verification:
    """One signature part, being verified."""

    def __init__(self, package: OpcPackage, part: Part, digests: _PartDigests) -> None:
        self._package = package
        self._part = part
        self._digests = digests
        self._algorithms: set[str] = set()
        self._signed: dict[str, set[_How]] = {}
        """Lower-case names of the parts that the Manifest references, with how they were digested."""

    def signature(self, own: frozenset[str]) -> OpcSignature:
        root = self._package.xml(self._part)
        self._check_tree(root)
        info, value, *rest = self._children(root, "Signature", "SignedInfo", "SignatureValue", "KeyInfo?", "Object*")
        objects = [each for each in rest if each.tag == _name("Object")]
        key_info = rest[0] if len(objects) < len(rest) else None
        signer, certificates = self._check_value(info, value, key_info)
        package_object, algorithm, digest = self._check_objects(info, objects)
        self._check_manifest(package_object)
        self._check_coverage(own)
        names = frozenset(part.name for part in self._package.parts if part.name.lower() in self._signed)
        return OpcSignature(
            self._part.name, signer, certificates, algorithm, digest, frozenset(self._algorithms), names
        )

    # --- Structure

    def _check_tree(self, root: etree._Element) -> None:
        """Nothing that could be read in two ways: comments, instructions, xml:* attributes, an Id that occurs twice."""
        if root.tag != _name("Signature") or root.getprevious() is not None or root.getnext() is not None:
            raise self._malformed("is not a Signature alone", "Signature", root)
        ids: set[str] = set()
        manifests = 0
        for element in root.iter():
            if not isinstance(element.tag, str):
                raise self._malformed("has a comment or an instruction", "Signature", root)
            manifests += element.tag == _name("Manifest")
            for name, value in ((str(name), str(value)) for name, value in element.attrib.items()):
                if name.startswith(_XML_NAMESPACE):
                    raise self._malformed(f"has the attribute {name}", "Signature", element)
                if name.rpartition("}")[2].lower() == "id":
                    if value in ids:
                        raise self._refused(f"has the Id {value!r} twice: which one is signed cannot be told")
                    ids.add(value)
        if manifests != 1:
            raise self._refused(f"has {manifests} Manifests, not one")

    def _children(self, element: etree._Element, field: str, *expected: str) -> list[etree._Element]:
        """The children, whose names must be ``expected`` in that order; ``?`` marks one, ``*`` many that may lack."""
        children = list(element)
        names = " ".join(etree.QName(child).localname for child in children) + " "
        pattern = "".join(rf"(?:{each.rstrip('?*')} ){each[-1] if each[-1] in '?*' else ''}" for each in expected)
        if not re.fullmatch(pattern, names) or any(etree.QName(child).namespace != XMLDSIG for child in children):
            raise self._malformed(f"the elements of {field} are not {', '.join(expected)}", field, element)
        return children

    def _algorithm(self, element: etree._Element, *, plain: bool = True) -> str:
        if plain and (len(element) or (element.text or "").strip()):
            raise self._refused(f"gives {etree.QName(element).localname} parameters, which no package needs")
        return element.get("Algorithm", "")

    def _binary(self, element: etree._Element) -> bytes:
        text = element.text or ""
        field = etree.QName(element).localname
        try:
            if len(element) or not _BASE64.fullmatch(text):
                raise self._malformed("is not base64", field, element)
            return base64.b64decode("".join(text.split()), validate=True)
        except binascii.Error:
            raise self._malformed("is not base64", field, element) from None

    def _reference(self, element: etree._Element) -> tuple[str, list[etree._Element], str, bytes]:
        """The URI, the transforms, the digest's algorithm (hashlib's name) and the digest of a Reference."""
        *transforms, method, value = self._children(element, "Reference", "Transforms?", "DigestMethod", "DigestValue")
        uri = self._algorithm(method)
        if (algorithm := _DIGESTS.get(uri)) is None:
            raise self._refused(f"uses the digest {uri!r}, which is not supported")
        self._algorithms.add(algorithm)
        listed = self._children(transforms[0], "Transforms", "Transform*") if transforms else []
        return element.get("URI", ""), listed, algorithm, self._binary(value)

    # --- What is signed

    def _check_value(
        self, info: etree._Element, value: etree._Element, key_info: etree._Element | None
    ) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
        """The certificate whose key made the signature, and all that came with it."""
        canonicalization, method, *_ = self._children(
            info, "SignedInfo", "CanonicalizationMethod", "SignatureMethod", "Reference*"
        )
        if (uri := self._algorithm(canonicalization)) != C14N:
            raise self._refused(f"is canonicalised by {uri!r}: only C14N 1.0 is supported")
        uri = self._algorithm(method)
        if uri not in _SIGNATURES:
            raise self._refused(f"is made by {uri!r}: only RSA (PKCS#1 v1.5) and ECDSA are supported")
        family, algorithm = _SIGNATURES[uri]
        self._algorithms.add(algorithm)
        certificates = tuple(self._certificates(key_info))
        if not certificates:
            raise self._refused("comes without a certificate")
        signature, signed = self._binary(value), self._canonical(info)
        for certificate in certificates:
            if self._verifies(certificate, family, _HASHES[algorithm], signature, signed):
                return certificate, certificates
        raise self._refused("does not verify with the key of its certificate: it was changed, or is another's")

    def _certificates(self, key_info: etree._Element | None) -> Iterator[x509.Certificate]:
        """Those in parts of their own, then those in KeyInfo."""
        for part in _certificate_parts(self._package, self._part):
            yield self._certificate(self._package.read(part, _MAX_CERTIFICATE), part.name)
        embedded = (
            [] if key_info is None else list(key_info.iterfind(f"{_name('X509Data')}/{_name('X509Certificate')}"))
        )
        if len(embedded) > _MAX_CERTIFICATES:
            raise LimitExceeded(f"KeyInfo has more than {_MAX_CERTIFICATES} certificates", source=self._package.source)
        for element in embedded:
            yield self._certificate(self._binary(element), self._part.name)

    def _certificate(self, raw: bytes, place: str) -> x509.Certificate:
        try:
            return read_certificate(raw, source=self._package.source)
        except ParseError as error:
            message = f"{place} {error.message}"
            raise ParseError(message, source=self._package.source, field="certificate") from None

    def _verifies(
        self, certificate: x509.Certificate, family: str, algorithm: hashes.HashAlgorithm, signature: bytes, data: bytes
    ) -> bool:
        try:
            key = certificate.public_key()
            if isinstance(key, rsa.RSAPublicKey) and family == "RSA":
                key.verify(signature, data, padding.PKCS1v15(), algorithm)
                return True
            if isinstance(key, ec.EllipticCurvePublicKey) and family == "ECDSA":
                # XML Signature holds the two numbers side by side, each as long as the curve's order (RFC 4050, 3.3).
                half = (key.curve.key_size + 7) // 8
                if len(signature) != 2 * half:
                    return False
                numbers = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
                key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(algorithm))
                return True
        except InvalidSignature:
            return False
        except (ValueError, UnsupportedAlgorithm) as error:
            message = f"the signer's key cannot be used ({error})"
            raise ParseError(message, source=self._package.source, field="certificate") from None
        return False

    def _check_objects(
        self, info: etree._Element, objects: Sequence[etree._Element]
    ) -> tuple[etree._Element, str, bytes]:
        """The package Object with its digest, when the digests of all Objects that SignedInfo references hold."""
        found: tuple[etree._Element, str, bytes] | None = None
        references = [child for child in info if child.tag == _name("Reference")]
        if len(references) > _MAX_OBJECTS:
            raise LimitExceeded(f"SignedInfo has more than {_MAX_OBJECTS} references", source=self._package.source)
        for reference in references:
            uri, transforms, algorithm, digest = self._reference(reference)
            if [self._algorithm(each) for each in transforms] not in ([], [C14N]):
                raise self._refused(f"transforms {uri!r} by something other than C14N 1.0")
            meant = [each for each in objects if uri == f"#{each.get('Id')}"]
            if len(meant) != 1:
                raise self._refused(f"references {uri!r}, which is no Object of this Signature")
            if hashlib.new(algorithm, self._canonical(meant[0]), usedforsecurity=False).digest() != digest:
                raise self._refused(f"does not hold: the Object {uri!r} was changed")
            if uri == f"#{PACKAGE_OBJECT}":
                found = meant[0], algorithm, digest
        if found is None:
            raise self._refused(f"does not reference the package's Object, #{PACKAGE_OBJECT}")
        return found

    def _check_manifest(self, package_object: etree._Element) -> None:
        manifest, *_ = self._children(package_object, "Object", "Manifest", "SignatureProperties?")
        for reference in self._children(manifest, "Manifest", "Reference*"):
            uri, transforms, algorithm, digest = self._reference(reference)
            name, _, content_type = uri.partition("?ContentType=")
            part = self._package.part(name)
            if part is None:
                raise self._refused(f"covers {name}, which is not in the package")
            if part.content_type != content_type:
                message = f"covers {name} as {content_type or 'nothing'}; the package calls it {part.content_type}"
                raise self._refused(message)
            how = self._how(part, transforms)
            ways = self._signed.setdefault(part.name.lower(), set())
            ways.add(how)
            if len(ways) > _MAX_SELECTIONS:
                message = f"{part.name} is signed in more than {_MAX_SELECTIONS} ways"
                raise LimitExceeded(message, source=self._package.source)
            if self._digests.of(part, how, algorithm) != digest:
                raise self._refused(f"does not hold: {part.name} was changed after it was signed")

    def _how(self, part: Part, transforms: Sequence[etree._Element]) -> _How:
        kinds = [self._algorithm(each, plain=each.get("Algorithm") != RELATIONSHIP_TRANSFORM) for each in transforms]
        if not kinds:
            return "bytes"
        # C14N leaves comments out: of other parts, which are given out as they stand, it would cover too little.
        if relationships_source(part.name) is not None and kinds == [C14N]:
            return "xml"
        if relationships_source(part.name) is None or kinds != [RELATIONSHIP_TRANSFORM, C14N]:
            raise self._refused(f"transforms {part.name} in a way that packages do not use: {', '.join(kinds)}")
        ids: set[str] = set()
        types: set[str] = set()
        selectors = {
            f"{{{OPC_SIGNATURE}}}RelationshipReference": ("SourceId", ids),
            f"{{{OPC_SIGNATURE}}}RelationshipsGroupReference": ("SourceType", types),
        }
        for element in transforms[0]:
            attribute, chosen = selectors.get(str(element.tag), ("SourceId", None))
            value = element.get(attribute)
            if value is None or chosen is None:
                raise self._malformed("has a selector of relationships that is none", "Transform", element)
            chosen.add(value)
        return _Transform(frozenset(ids), frozenset(types))

    def _check_coverage(self, own: frozenset[str]) -> None:
        unsigned = []
        for part in self._package.parts:
            if part.name.lower() in own:
                continue
            ways = self._signed.get(part.name.lower())
            if ways is None:
                unsigned.append(part.name)
            elif not ways & {"bytes", "xml"}:
                source_part = relationships_source(part.name) or ""
                unsigned += [
                    f"the relationship {each.id} from {source_part} to {each.target}"
                    for each in self._package.relationships(source_part)
                    if not any(isinstance(how, _Transform) and how.selects(each) for how in ways)
                    and not (source_part == "/" and each.type == ORIGIN)
                ]
        if unsigned:
            listed = ", ".join(unsigned[:_LISTED]) + (
                f" and {len(unsigned) - _LISTED} more" * (len(unsigned) > _LISTED)
            )
            raise self._refused(f"does not cover the whole package; not signed: {listed}")

    def _canonical(self, element: etree._Element) -> bytes:
        return canonical_xml(element, source=self._package.source, field=self._part.name)

    def _malformed(self, message: str, field: str, element: etree._Element) -> ParseError:
        return ParseError(
            f"{self._part.name} {message}", source=self._package.source, line=line_of(element), field=field
        )

    def _refused(self, message: str) -> VerificationError:
        return VerificationError(f"the signature {self._part.name} {message}", source=self._package.source)


def _name(local: str) -> str:
    return f"{{{XMLDSIG}}}{local}"
