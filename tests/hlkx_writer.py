"""HLK packages for tests, signed as Windows' PackageDigitalSignatureManager signs them.

The XML is put together as text that is canonical already, so that nothing here depends on the code under test or on its
XML library: what is digested and signed is exactly what is written.
"""

import base64
import hashlib
import io
import posixpath
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from authenticode_oracle import Signatory, signatory

DS = "http://www.w3.org/2000/09/xmldsig#"
OPC = "http://schemas.openxmlformats.org/package/2006"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
KIT = "http://microsoft.com/schemas/windows/kits/hardware/2010"
RELS_TYPE = "application/vnd.openxmlformats-package.relationships+xml"
SIGNATURE_TYPE = "application/vnd.openxmlformats-package.digital-signature-"
FOLDER = "package/services/digital-signature"
ORIGIN = f"{FOLDER}/origin.psdsor"
SIGNATURE = f"{FOLDER}/xml-signature/95e6830732f14212a1137041894c7e39.psdsxs"
DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
DIGESTS = {
    "sha1": f"{DS}sha1",
    "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
    "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
}
HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}

PACKAGE_INFO = b"""<?xml version="1.0" encoding="utf-8"?>
<Package Type="SubmissionPackage" KitVersion="10.1.22621.1" PackageVersion="1.0" PackageFormatVersion="2.0.0.0"
  IsWindowsDriverProject="False">
 <Project Name="Contoso widget">
  <ProductInstances>
   <ProductInstance Status="Pass" IsUniversal="True">
    <OperatingSystem Architecture="X64"><Codes><Code Name="WINDOWS_v100_X64_22H2_FULL" /></Codes></OperatingSystem>
    <Targets><Target Key="PCI\\VEN_1234"><Driver Id="d-1" ReplacesId="">
      <OperatingSystems><OperatingSystem Architecture="X64" Code="WINDOWS_v100_X64_22H2_FULL" /></OperatingSystems>
    </Driver></Target></Targets>
   </ProductInstance>
  </ProductInstances>
  <TestRollup Passed="5" Failed="1" NotRun="2" />
 </Project>
</Package>"""
STREAM = "hck/data/ab834d96-a511-4391-91fb-5c9f77cf719b"
CORE = "hck/data/db395828-8690-4df1-8d53-cc7705ebcad1"

Relationships = Sequence[tuple[str, str, str]]
"""Id, type and target of each."""


@dataclass(frozen=True)
class Form:
    """How a package is signed."""

    digest: str = "sha256"
    signature: str = "sha256"
    certificate: Literal["part", "KeyInfo", "none"] = "part"
    relationships: tuple[str, ...] = ("whole", "types")
    """How each relationships part is referenced: ``whole`` in C14N, by ``types``, by ``ids``."""
    leave_out: frozenset[str] = frozenset()
    """Names of parts, and ids of relationships, that are not signed."""
    manifest: Callable[[str], str] = str
    """Changes the Manifest before it is signed."""
    signed_info: Callable[[str], str] = str
    document: Callable[[str], str] = str
    """Changes the whole Signature after it was signed."""


def relationships(entries: Relationships) -> bytes:
    inside = "".join(f'<Relationship Type="{kind}" Target="{target}" Id="{id_}"/>' for id_, kind, target in entries)
    return f'{DECLARATION}<Relationships xmlns="{OPC}/relationships">{inside}</Relationships>'.encode()


def content_types(names: Iterable[str], others: Mapping[str, str] | None = None) -> bytes:
    defaults = {
        "rels": RELS_TYPE,
        "xml": "application/octet",
        "psdsor": f"{SIGNATURE_TYPE}origin",
        "psdsxs": f"{SIGNATURE_TYPE}xmlsignature+xml",
        "cer": f"{SIGNATURE_TYPE}certificate",
    }
    overrides = {f"/{name}": "application/octet" for name in names if name.rpartition(".")[2] not in defaults}
    overrides |= others or {}
    inside = "".join(f'<Default Extension="{key}" ContentType="{value}"/>' for key, value in defaults.items())
    inside += "".join(f'<Override PartName="{key}" ContentType="{value}"/>' for key, value in overrides.items())
    return f'{DECLARATION}<Types xmlns="{OPC}/content-types">{inside}</Types>'.encode()


ROOT: Relationships = [
    ("R1", f"{KIT}/packageinfo", "/hck/data/PackageInfo.xml"),
    ("R2", f"{KIT}/streamdata", f"/{STREAM}"),
    ("R3", f"{KIT}/coredata", f"/{CORE}"),
    ("R0", f"{KIT.replace('schemas', 'shcemas')}/packageinfo", "/hck/data/PackageInfo.xml"),
]


def hlkx_parts(stream: bytes = b"stream" * 5000, more: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The parts of an unsigned package, without its content types."""
    return {
        "_rels/.rels": relationships(ROOT),
        STREAM: stream,
        CORE: b"core" * 100,
        "hck/data/PackageInfo.xml": PACKAGE_INFO,
        **(more or {}),
    }


def sign(
    parts: Mapping[str, bytes],
    who: Signatory,
    form: Form = Form(),
    *,
    root: Relationships = ROOT,
    others: Mapping[str, Relationships] | None = None,
    name: str = SIGNATURE,
) -> dict[str, bytes]:
    """The parts with a signature. ``root`` are the package's relationships; ``others`` those of parts, by name.

    A second signature is made by signing again, under another ``name``.
    """
    signed = dict(parts)
    linked = dict(others or {})
    root = [*root, ("RSig", f"{OPC}/relationships/digital-signature/origin", f"/{ORIGIN}")]
    signed["_rels/.rels"] = relationships(root)
    signed |= {rels_name(source): relationships(entries) for source, entries in linked.items()}
    linked[""] = root
    references = "".join(
        reference
        for part, content in sorted(signed.items())
        if not part.startswith(FOLDER) and part not in form.leave_out
        for reference in part_references(part, content, linked, form)
    )
    package_object = object_text(form.manifest(references))
    info = form.signed_info(signed_info(package_object, form, who))
    certificate = who.leaf.public_bytes(Encoding.DER)
    key_info = ""
    if form.certificate == "KeyInfo":
        key_info = f"<KeyInfo><X509Data><X509Certificate>{b64(certificate)}</X509Certificate></X509Data></KeyInfo>"
    value = f"<SignatureValue>{b64(sign_value(who, form.signature, info))}</SignatureValue>"
    body = (info + value + key_info + package_object).replace(f' xmlns="{DS}"', "")
    document = f'<Signature xmlns="{DS}" Id="SignatureIdValue">{body}</Signature>'
    signed.setdefault(ORIGIN, b"")
    number = sum(part.endswith(".psdsxs") for part in signed)
    earlier = [part for part in signed if part.endswith(".psdsxs")]
    signed[rels_name(ORIGIN)] = relationships(
        [
            (f"S{at}", f"{OPC}/relationships/digital-signature/signature", f"/{part}")
            for at, part in enumerate([*earlier, name])
        ]
    )
    signed[name] = f'<?xml version="1.0" encoding="utf-8" standalone="yes"?>{form.document(document)}'.encode()
    if form.certificate == "part":
        place = f"{FOLDER}/certificate/{number}{who.leaf.serial_number:X}.cer"
        signed[rels_name(name)] = relationships(
            [("C1", f"{OPC}/relationships/digital-signature/certificate", f"/{place}")]
        )
        signed[place] = certificate
    return signed


def rels_name(part: str) -> str:
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def part_references(part: str, content: bytes, linked: Mapping[str, Relationships], form: Form) -> Iterable[str]:
    source = next((source for source in linked if rels_name(source) == part), None)
    if source is None:
        yield reference(part, "application/octet", "", content, form)
        return
    entries = [entry for entry in linked[source] if entry[0] not in ("RSig", *form.leave_out)]
    for way in form.relationships:
        if way == "whole":
            # C14N sorts attributes: Id, Target, Type.
            chosen = "".join(
                f'<Relationship Id="{i}" Target="{t}" Type="{k}"></Relationship>' for i, k, t in linked[source]
            )
            transforms = transform(C14N)
        else:
            chosen = "".join(
                f'<Relationship Id="{i}" Target="{t}" TargetMode="Internal" Type="{k}"></Relationship>'
                for i, k, t in sorted(entries)
            )
            transforms = transform(f"{OPC}/RelationshipTransform", selectors(entries, way)) + transform(C14N)
        canonical = f'<Relationships xmlns="{OPC}/relationships">{chosen}</Relationships>'
        yield reference(part, RELS_TYPE, f"<Transforms>{transforms}</Transforms>", canonical.encode(), form)


def selectors(entries: Relationships, way: str) -> str:
    if way == "ids":
        return "".join(f'<opc:RelationshipReference SourceId="{i}"></opc:RelationshipReference>' for i, _, _ in entries)
    return "".join(
        f'<opc:RelationshipsGroupReference SourceType="{kind}"></opc:RelationshipsGroupReference>'
        for kind in dict.fromkeys(kind for _, kind, _ in entries)
    )


def transform(algorithm: str, inside: str = "") -> str:
    return f'<Transform Algorithm="{algorithm}">{inside}</Transform>'


def reference(part: str, content_type: str, transforms: str, digested: bytes, form: Form) -> str:
    return (
        f'<Reference URI="/{escape(part)}?ContentType={content_type}">{transforms}'
        f'<DigestMethod Algorithm="{DIGESTS[form.digest]}"></DigestMethod>'
        f"<DigestValue>{b64(hashlib.new(form.digest, digested).digest())}</DigestValue></Reference>"
    )


def object_text(references: str) -> str:
    return (
        f'<Object xmlns="{DS}" Id="idPackageObject">'
        f'<Manifest xmlns:opc="{OPC}/digital-signature">{references}</Manifest>'
        '<SignatureProperties><SignatureProperty Id="idSignatureTime" Target="#SignatureIdValue">'
        f'<SignatureTime xmlns="{OPC}/digital-signature"><Format>YYYY-MM-DDThh:mm:ss.sTZD</Format>'
        "<Value>2026-11-02T10:11:12.0+00:00</Value></SignatureTime></SignatureProperty></SignatureProperties></Object>"
    )


def signed_info(package_object: str, form: Form, who: Signatory) -> str:
    family = "ecdsa" if isinstance(who.key, ec.EllipticCurvePrivateKey) else "rsa"
    method = f"http://www.w3.org/2001/04/xmldsig-more#{family}-{form.signature}"
    if (family, form.signature) == ("rsa", "sha1"):
        method = f"{DS}rsa-sha1"
    digest = hashlib.new(form.digest, package_object.encode()).digest()
    return (
        f'<SignedInfo xmlns="{DS}"><CanonicalizationMethod Algorithm="{C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{method}"></SignatureMethod>'
        f'<Reference Type="{DS}Object" URI="#idPackageObject">'
        f'<DigestMethod Algorithm="{DIGESTS[form.digest]}"></DigestMethod><DigestValue>{b64(digest)}</DigestValue>'
        "</Reference></SignedInfo>"
    )


def sign_value(who: Signatory, algorithm: str, info: str) -> bytes:
    if not isinstance(who.key, ec.EllipticCurvePrivateKey):
        return who.key.sign(info.encode(), padding.PKCS1v15(), HASHES[algorithm]())
    size = (who.key.key_size + 7) // 8
    numbers = decode_dss_signature(who.key.sign(info.encode(), ec.ECDSA(HASHES[algorithm]())))
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def packed(
    parts: Mapping[str, bytes], types: Mapping[str, str] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """The package: all parts and their content types in a zip file. ``types`` are overrides, by part name."""
    parts = dict(parts)
    parts.setdefault("[Content_Types].xml", content_types(parts, types))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 2, 10, 11, 12)), content, method)
    return stream.getvalue()


def signed_hlkx(
    who: Signatory | None = None, form: Form = Form(), *, stream: bytes = b"stream" * 5000, **more: bytes
) -> bytes:
    """A signed package with ``stream`` as its large part; ``more`` parts by name, with ``__`` for slashes."""
    parts = hlkx_parts(stream, {name.replace("__", "/"): content for name, content in more.items()})
    return packed(sign(parts, who or signatory(), form))


__all__ = ["Form", "hlkx_parts", "packed", "relationships", "replace", "sign", "signed_hlkx"]
