import base64
import hashlib
import io
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from authenticode_oracle import Signatory, signatory
from hlkx_writer import (
    C14N,
    DIGESTS,
    DS,
    FOLDER,
    KIT,
    OPC,
    ORIGIN,
    RELS_TYPE,
    ROOT,
    SIGNATURE,
    STREAM,
    Form,
    content_types,
    hlkx_parts,
    object_text,
    packed,
    relationships,
    rels_name,
    sign,
)
from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.opc import OpcPackage, Part
from hwdash.drivers.opc_signature import OpcSignature, signature_origin, signature_parts, verify_signatures

INFO = "hck/data/PackageInfo.xml"
CERTIFICATE_TYPE = "application/vnd.openxmlformats-package.digital-signature-certificate"


def opened(parts: dict[str, bytes], types: dict[str, str] | None = None) -> OpcPackage:
    return OpcPackage.open(io.BytesIO(packed(parts, types)), source="x.hlkx")


def verified(parts: dict[str, bytes], types: dict[str, str] | None = None) -> tuple[OpcSignature, ...]:
    return verify_signatures(opened(parts, types))


def refusal(parts: dict[str, bytes], types: dict[str, str] | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        verified(parts, types)
    assert caught.value.source == "x.hlkx"
    return caught.value.message


@cache
def signed_once(kind: str, form: Form) -> tuple[tuple[str, bytes], ...]:
    return tuple(sign(hlkx_parts(), signatory(kind), form).items())


def signed(kind: str = "rsa", **form: object) -> dict[str, bytes]:
    return dict(signed_once(kind, Form(**form)))  # type: ignore[arg-type]


# --- Parts, types and relationships


def test_parts_have_their_content_types() -> None:
    package = opened(hlkx_parts(more={"a.b/c.XML": b"", "e.f": b"1"}), {"/e.f": "text/plain"})
    found = {part.name: part.content_type for part in package.parts}
    assert found["/_rels/.rels"] == RELS_TYPE
    assert found["/a.b/c.XML"] == found[f"/{STREAM}"] == "application/octet"
    assert found["/e.f"] == "text/plain"
    part = package.part("/E.f")
    assert part is not None
    assert (package.read(part), part.size) == (b"1", 1)


def test_relationships_lead_to_parts() -> None:
    entries = [("A", "t", "/x/y"), ("B", "t", "y"), ("C", "t", "../z/./w")]
    parts = {"_rels/.rels": relationships(ROOT), "x/_rels/a.rels": relationships(entries), "x/a": b""}
    package = opened(parts)
    assert [each.target for each in package.relationships("/x/a")] == ["/x/y", "/x/y", "/z/w"]
    assert {each.id for each in package.relationships()} == {"R0", "R1", "R2", "R3"}
    assert package.relationships("/x/nothing") == ()


def test_an_external_target_stays_as_it_is() -> None:
    raw = relationships([("A", "t", "https://contoso.example/x?y")]).replace(
        b' Id="A"', b' Id="A" TargetMode="External"'
    )
    (found,) = opened({"_rels/.rels": raw}).relationships()
    assert (found.target, found.external) == ("https://contoso.example/x?y", True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/[0].piece", "interleaved pieces"),
        ("[trash]/0000.dat", "trash items"),
        ("a/b%2Fc", "is not a part's name"),
        ("a/b%5cc", "is not a part's name"),
        ("a/%41", "is not a part's name"),
        ("a/b.", "is not a part's name"),
        ("a/b%zz", "is not a part's name"),
        ("a b", "is not a part's name"),
        ("ü", "is not a part's name"),
    ],
)
def test_other_names_than_part_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(ParseError, match=re.escape(message)):
        opened({name: b""})


TYPES = content_types(["a"]).decode()


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (TYPES.replace("/a", "/b"), "the part /a has no content type"),
        (TYPES.replace("</Types>", '<Override PartName="/A" ContentType="x"/></Types>'), "has two content types"),
        (TYPES.replace("</Types>", '<Default Extension="XML" ContentType="x"/></Types>'), "has two content types"),
        (TYPES.replace("</Types>", '<Default Extension="x"/></Types>'), "no plain Default or Override"),
        (TYPES.replace("</Types>", "<Other/></Types>"), "no plain Default or Override"),
        ("<Types/>", "the root is not Types"),
        ("", "malformed XML"),
    ],
)
def test_content_types_that_are_missing_or_ambiguous_are_refused(types: str, message: str) -> None:
    with pytest.raises(ParseError, match=re.escape(message)) as caught:
        opened({"a": b"", "[Content_Types].xml": types.encode()})
    assert caught.value.field == "[Content_Types].xml"


def test_a_zip_file_without_content_types_is_no_package() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"")
    with pytest.raises(ParseError, match="not a package of the Open Packaging Conventions"):
        OpcPackage.open(stream, source="x.hlkx")


ONE = relationships([("A", "t", "/x")]).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE.replace("</R", '<Relationship Type="t" Target="/x" Id="A"/></R'), "has the Id 'A' twice"),
        (ONE.replace("/x", "https://contoso.example"), "is not a part's name"),
        (ONE.replace("/x", "//host/x"), "is not a part's name"),
        (ONE.replace(' Id="A"', ""), "no plain Relationship"),
        (ONE.replace(' Id="A"', ' Id="A" other="x"'), "no plain Relationship"),
        (ONE.replace(' Id="A"', ' Id="A" TargetMode="Elsewhere"'), "neither Internal nor External"),
        (ONE.replace("</R", "<Other/></R"), "no plain Relationship"),
        ("<Relationships/>", "does not hold Relationships"),
    ],
)
def test_malformed_relationships_are_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=re.escape(message)):
        opened({"_rels/.rels": text.encode()}).relationships()


def test_relationships_of_another_content_type_are_refused() -> None:
    package = opened({"_rels/.rels": relationships(ROOT)}, {"/_rels/.rels": "application/xml"})
    with pytest.raises(ParseError, match="not that of relationships"):
        package.relationships()


def test_a_long_part_is_not_read_whole() -> None:
    package = opened(hlkx_parts())
    part = package.part(f"/{STREAM}")
    assert part is not None
    with pytest.raises(LimitExceeded, match="at most 100 are allowed"):
        package.read(part, 100)
    assert b"".join(package.pieces(part)) == b"stream" * 5000


# --- Signatures that hold


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_every_algorithm_of_windows_is_verified(kind: str, algorithm: str) -> None:
    (found,) = verified(signed(kind, digest=algorithm, signature=algorithm))
    assert found.signer == signatory(kind).leaf
    assert found.digest_algorithm == algorithm
    assert found.algorithms == {algorithm}
    assert found.signed_parts == {f"/{name}" for name in hlkx_parts()}
    assert found.part == f"/{SIGNATURE}"


def test_a_weak_algorithm_is_told_wherever_it_is_used() -> None:
    assert verified(signed(digest="sha256", signature="sha1"))[0].algorithms == {"sha256", "sha1"}
    assert verified(signed(digest="sha1", signature="sha256"))[0].algorithms == {"sha256", "sha1"}


@pytest.mark.parametrize("certificate", ["part", "KeyInfo"])
def test_the_certificate_is_found_in_its_part_or_in_the_signature(certificate: str) -> None:
    (found,) = verified(signed(certificate=certificate))
    assert found.certificates == (signatory("rsa").leaf,)


@pytest.mark.parametrize("ways", [("whole", "types"), ("whole",), ("types",), ("ids",)])
def test_relationships_are_signed_in_every_way_that_windows_offers(ways: tuple[str, ...]) -> None:
    parts = sign(
        hlkx_parts(more={"x/a": b""}), signatory("rsa"), Form(relationships=ways), others={"x/a": [("B", "t", "/x/a")]}
    )
    assert "/x/_rels/a.rels" in verified(parts)[0].signed_parts


def test_two_signatures_are_both_verified() -> None:
    twice = sign(signed("rsa"), signatory("ec"), name=f"{FOLDER}/xml-signature/2.psdsxs")
    assert [each.signer for each in verified(twice)] == [signatory("rsa").leaf, signatory("ec").leaf]


def test_a_second_signature_that_does_not_hold_is_refused() -> None:
    second = f"{FOLDER}/xml-signature/2.psdsxs"
    twice = sign(signed("rsa"), signatory("ec"), name=second)
    twice[second] = twice[second].replace(b"idSignatureTime", b"idSignatureTimE")
    assert f"the signature /{second} does not hold" in refusal(twice)


def test_a_timestamp_beside_the_signed_object_is_left_alone() -> None:
    stamp = f'<Object><T xmlns="{OPC}/digital-signature" Id="idSignatureTimestamp"/></Object></Signature>'
    assert verified(signed(document=lambda text: text.replace("</Signature>", stamp)))


def test_the_signatures_own_parts_are_known() -> None:
    parts = signed()
    found = {part.name.removeprefix("/") for part in signature_parts(opened(parts))}
    assert found == {name for name in parts if name.startswith(FOLDER)}
    assert signature_parts(opened(hlkx_parts())) == ()


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_xmlsec_verifies_the_packages_that_these_tests_are_made_of(kind: str, algorithm: str, tmp_path: Path) -> None:
    """xmlsec1 checks SignedInfo, the Object and all references of the Manifest; it selects relationships by id only."""
    form = Form(digest=algorithm, signature=algorithm, relationships=("whole", "ids"))
    parts = sign(hlkx_parts(), signatory(kind), form)
    assert verified(parts)
    assert xmlsec(parts, tmp_path, signatory(kind)) == (True, "5/5")
    parts[STREAM] += b"x"
    assert xmlsec(parts, tmp_path, signatory(kind)) == (True, "4/5")
    assert f"/{STREAM} was changed" in refusal(parts)


def xmlsec(parts: dict[str, bytes], folder: Path, who: Signatory) -> tuple[bool, str]:
    """Whether SignedInfo holds, and how many references of the Manifest do."""
    (folder / "certificate.pem").write_bytes(who.leaf.public_bytes(Encoding.PEM))
    command = ["xmlsec1", "--verify", "--id-attr:Id", "Object", "--pubkey-cert-pem", "certificate.pem"]
    for uri in dict.fromkeys(re.findall(r'URI="(/[^"]*)"', parts[SIGNATURE].decode())):
        place = folder / uri.partition("?")[0].strip("/").replace("/", "_")
        place.write_bytes(parts[uri.partition("?")[0].strip("/")])
        command += [f"--url-map:{uri}", place.name]
    (folder / "signature.xml").write_bytes(parts[SIGNATURE])
    done = subprocess.run(
        [*command, "signature.xml"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    counted = re.search(r"Manifests References \(ok/all\): (\d+/\d+)", done.stdout + done.stderr)
    assert counted, done.stderr
    return done.returncode == 0, counted[1]


# --- Changes


def test_an_unsigned_package_has_no_origin() -> None:
    assert signature_origin(opened(hlkx_parts())) is None
    assert refusal(hlkx_parts()) == "the package is not signed"


def test_an_added_part_is_refused_by_name() -> None:
    message = refusal(signed() | {"hck/data/evil": b""})
    assert message.endswith("does not cover the whole package; not signed: /hck/data/evil")


def test_a_part_that_hides_among_those_of_the_signature_is_refused_by_name() -> None:
    assert f"not signed: /{FOLDER}/certificate/evil.sys" in refusal(signed() | {f"{FOLDER}/certificate/evil.sys": b""})


def test_a_relationships_part_that_was_added_is_refused() -> None:
    message = refusal(signed() | {rels_name(STREAM): relationships([("A", "t", "/x")])})
    assert f"not signed: /{rels_name(STREAM)}" in message


def test_many_unsigned_parts_are_listed_in_part() -> None:
    assert "and 5 more" in refusal(signed() | {f"x{number:02}": b"" for number in range(15)})


def test_a_part_that_the_signer_left_out_is_refused() -> None:
    assert f"not signed: /{INFO}" in refusal(signed(leave_out=frozenset([INFO])))


@pytest.mark.parametrize("ways", [("types",), ("ids",)])
def test_a_relationship_that_the_signer_left_out_is_refused(ways: tuple[str, ...]) -> None:
    message = refusal(signed(relationships=ways, leave_out=frozenset(["R2"])))
    assert f"not signed: the relationship R2 from / to /{STREAM}" in message


def test_a_removed_part_is_refused_by_name() -> None:
    parts = signed()
    del parts[STREAM]
    assert f"covers /{STREAM}, which is not in the package" in refusal(parts)


def test_a_renamed_part_is_refused() -> None:
    parts = signed()
    parts["hck/data/other"] = parts.pop(STREAM)
    assert f"covers /{STREAM}, which is not in the package" in refusal(parts)


def test_swapped_parts_are_refused() -> None:
    parts = signed()
    parts[STREAM], parts[INFO] = parts[INFO], parts[STREAM]
    assert "was changed after it was signed" in refusal(parts)


def test_another_content_type_is_refused() -> None:
    message = refusal(signed(), {f"/{INFO}": "application/xml"})
    assert f"covers /{INFO} as application/octet; the package calls it application/xml" in message
    assert "calls it Application/octet" in refusal(signed(), {f"/{INFO}": "Application/octet"})


@pytest.mark.parametrize("ways", [("whole", "types"), ("types",), ("ids",)])
@pytest.mark.parametrize("change", ["added", "removed", "another target", "another id"])
def test_changed_relationships_are_refused(ways: tuple[str, ...], change: str) -> None:
    parts = signed(relationships=ways)
    raw = parts["_rels/.rels"].decode()
    parts["_rels/.rels"] = {
        "added": raw.replace("</R", f'<Relationship Type="{KIT}/streamdata" Target="/{INFO}" Id="R9"/></R'),
        "removed": re.sub(r'<Relationship [^>]*Id="R2"/>', "", raw),
        "another target": raw.replace(f"/{STREAM}", f"/{INFO}"),
        "another id": raw.replace('"R2"', '"R7"'),
    }[change].encode()
    message = refusal(parts)
    assert "/_rels/.rels was changed" in message or "not signed: the relationship" in message


def test_relationships_signed_by_type_may_change_their_spelling_only() -> None:
    parts = signed(relationships=("types",))
    raw = parts["_rels/.rels"].decode()
    parts["_rels/.rels"] = raw.replace(' Id="R2"', ' TargetMode="Internal"  Id="R2"').replace("?>", "?>\n").encode()
    assert verified(parts)


SAMPLE = signed()
SIGNED_RAW = sorted(name for name in hlkx_parts() if name != "_rels/.rels")


@settings(deadline=3000, max_examples=100)
@given(st.data())
def test_any_changed_byte_of_a_signed_part_is_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SIGNED_RAW))
    assert f"/{name} was changed after it was signed" in refusal(flipped(data, name))


@settings(deadline=3000, max_examples=300)
@given(st.data())
def test_any_changed_byte_elsewhere_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    """Some bytes mean nothing: those of an XML declaration, or of an id in the signature's own relationships."""
    name = data.draw(st.sampled_from(sorted(set(SAMPLE) - set(SIGNED_RAW))))
    changed = flipped(data, name)
    try:
        found = verified(changed)
    except DriversError:
        return
    if name.endswith(".cer"):
        # Nothing signs the certificate itself, so it is known by all of its bytes.
        assert found[0].signer != signatory("rsa").leaf
    else:
        assert found == verified(dict(SAMPLE))
        assert opened(changed).relationships() == opened(dict(SAMPLE)).relationships()


def flipped(data: st.DataObject, name: str) -> dict[str, bytes]:
    content = bytearray(SAMPLE[name] or b"\0")
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    return dict(SAMPLE) | {name: bytes(content)}


# --- Wrapping and other tricks


def resigned(**form: Callable[[str], str]) -> dict[str, bytes]:
    return sign(hlkx_parts(), signatory("rsa"), Form(**form))  # type: ignore[arg-type]


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


EVIL_OBJECT = object_text("").replace(f' xmlns="{DS}"', "")
TRICKS: dict[str, tuple[dict[str, Callable[[str], str]], str]] = {
    "a second Object of the same Id before the signed one": (
        {"document": replaced("<Object ", f"{EVIL_OBJECT}<Object ")},
        "has the Id 'idPackageObject' twice",
    ),
    "a second Object of the same Id behind it": (
        {"document": replaced("</Signature>", f"{EVIL_OBJECT}</Signature>")},
        "has the Id 'idPackageObject' twice",
    ),
    "the signed Object moved, another in its place": (
        {
            "document": lambda text: text.replace('Id="idPackageObject"', 'Id="moved"').replace(
                "</Signature>", f"{EVIL_OBJECT.replace('idSignatureTime', 'other')}</Signature>"
            )
        },
        "has 2 Manifests, not one",
    ),
    "a Manifest in another Object": (
        {"document": replaced("</Signature>", "<Object><Manifest/></Object></Signature>")},
        "has 2 Manifests, not one",
    ),
    "a reference to another Object only": (
        {"signed_info": replaced('URI="#idPackageObject"', 'URI="#other"')},
        "references '#other', which is no Object",
    ),
    "a reference to the whole document": (
        {"signed_info": replaced('URI="#idPackageObject"', 'URI=""')},
        "references '', which is no Object",
    ),
    "a reference to a property inside": (
        {"signed_info": replaced('URI="#idPackageObject"', 'URI="#idSignatureTime"')},
        "which is no Object",
    ),
    "no reference at all": (
        {"signed_info": lambda text: re.sub("<Reference.*</Reference>", "", text)},
        "does not reference the package's Object",
    ),
    "a comment inside a value": ({"document": replaced("<DigestValue>", "<DigestValue><!-- x -->")}, "has a comment"),
    "an instruction": ({"document": replaced("<Manifest", "<?x y?><Manifest")}, "has a comment or an instruction"),
    "an XSLT transform": (
        {
            "manifest": replaced(
                f'<Transform Algorithm="{C14N}">', '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">'
            )
        },
        "in a way that packages do not use",
    ),
    "a relationship transform of a part": (
        {
            "manifest": replaced(
                f'<Reference URI="/{INFO}?ContentType=application/octet">',
                f'<Reference URI="/{INFO}?ContentType=application/octet"><Transforms>'
                f'<Transform Algorithm="{OPC}/RelationshipTransform"></Transform>'
                f'<Transform Algorithm="{C14N}"></Transform></Transforms>',
            )
        },
        "in a way that packages do not use",
    ),
    "a part signed as XML, its comments left out": (
        {
            "manifest": replaced(
                f'<Reference URI="/{INFO}?ContentType=application/octet">',
                f'<Reference URI="/{INFO}?ContentType=application/octet"><Transforms>'
                f'<Transform Algorithm="{C14N}"></Transform></Transforms>',
            )
        },
        "in a way that packages do not use",
    ),
    "an HMAC": (
        {"signed_info": lambda text: re.sub('(?<=<SignatureMethod Algorithm=")[^"]*', f"{DS}hmac-sha1", text)},
        "only RSA",
    ),
    "a DSA signature": (
        {"signed_info": lambda text: re.sub('(?<=<SignatureMethod Algorithm=")[^"]*', f"{DS}dsa-sha1", text)},
        "only RSA",
    ),
    "a shortened signature": (
        {"signed_info": replaced("</SignatureMethod>", "<HMACOutputLength>1</HMACOutputLength></SignatureMethod>")},
        "gives SignatureMethod parameters",
    ),
    "MD5": (
        {"manifest": replaced(DIGESTS["sha256"], "http://www.w3.org/2001/04/xmldsig-more#md5")},
        "uses the digest",
    ),
    "another canonicalisation": ({"signed_info": replaced(C14N, f"{C14N}#WithComments")}, "only C14N 1.0"),
    "a changed time": ({"document": replaced("2026-11-02", "2020-11-02")}, "the Object '#idPackageObject' was changed"),
    "another RSA method": ({"document": replaced("rsa-sha256", "rsa-sha512")}, "does not verify with the key"),
    "no content type": ({"manifest": replaced("?ContentType=application/octet", "")}, "as nothing"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_are_refused(trick: str) -> None:
    form, message = TRICKS[trick]
    with pytest.raises(DriversError, match=re.escape(message)):
        verified(resigned(**form))


MALFORMED: dict[str, dict[str, Callable[[str], str]]] = {
    "no SignedInfo": {"document": lambda text: re.sub("<SignedInfo>.*</SignedInfo>", "", text)},
    "two SignedInfo": {"document": lambda text: re.sub("(<SignedInfo>.*</SignedInfo>)", r"\1\1", text)},
    "SignedInfo of another namespace": {"document": replaced("<SignedInfo>", '<SignedInfo xmlns="x">')},
    "another root": {"document": lambda text: f"<x>{text}</x>"},
    "an xml:base": {"document": replaced("<SignedInfo>", '<SignedInfo xml:base="x">')},
    "no base64": {"document": replaced("<SignatureValue>", "<SignatureValue>?")},
    "half base64": {"document": lambda text: re.sub("(?<=<SignatureValue>).*(?=</SignatureValue>)", "A", text)},
    "an empty selector": {"manifest": replaced(' SourceType="', ' Other="')},
    "two digests": {"manifest": lambda text: re.sub("(<DigestValue>[^<]*</DigestValue>)", r"\1\1", text)},
}


def test_a_namespace_that_c14n_refuses_is_refused() -> None:
    relative = replaced("<Object ", '<Object xmlns:a="relative" ')
    with pytest.raises(ParseError, match="cannot be canonicalised"):
        verified(resigned(document=relative))
    parts = signed()
    parts["_rels/.rels"] = parts["_rels/.rels"].replace(b"<Relationship ", b'<Relationship xmlns:a="relative" ', 1)
    with pytest.raises(ParseError, match="cannot be canonicalised"):
        verified(parts)


def test_an_instruction_beside_the_relationships_is_a_change_and_a_comment_is_none() -> None:
    """C14N without comments keeps processing instructions, those outside of the root too."""
    parts = signed(relationships=("whole",))
    raw = parts["_rels/.rels"]
    assert "/_rels/.rels was changed" in refusal(parts | {"_rels/.rels": raw + b"<?x y?>"})
    assert verified(parts | {"_rels/.rels": raw + b"<!-- x -->"})


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_signatures_are_refused(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        verified(resigned(**MALFORMED[name]))
    assert caught.value.message.startswith(f"/{SIGNATURE} ")


def test_a_signature_without_a_certificate_is_refused() -> None:
    assert "comes without a certificate" in refusal(signed(certificate="none"))


def test_another_certificate_is_refused() -> None:
    parts = signed()
    name = next(name for name in parts if name.endswith(".cer"))
    parts[name] = signatory("ec").leaf.public_bytes(Encoding.DER)
    assert "does not verify with the key of its certificate" in refusal(parts)


def test_what_is_no_certificate_is_refused() -> None:
    parts = signed()
    name = next(name for name in parts if name.endswith(".cer"))
    parts[name] += b"MSCF"
    with pytest.raises(ParseError, match="is not a certificate"):
        verified(parts)


def changed_links(source: str, entries: list[tuple[str, str, str]], **more: bytes) -> dict[str, bytes]:
    return signed() | {rels_name(source): relationships(entries)} | more


DS_LINK = f"{OPC}/relationships/digital-signature"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (lambda: changed_links(ORIGIN, []), "the package is not signed"),
        (lambda: changed_links(ORIGIN, [("A", "other", f"/{SIGNATURE}")]), "which nothing signs"),
        (lambda: changed_links(ORIGIN, [("A", f"{DS_LINK}/signature", "/x")]), "which is no part"),
        (lambda: changed_links(ORIGIN, [("A", f"{DS_LINK}/signature", f"/{STREAM}")]), "not that of a signature's"),
        (lambda: changed_links(SIGNATURE, [("A", f"{DS_LINK}/certificate", f"/{STREAM}")]), "not that of a signature"),
        (lambda: signed() | {ORIGIN: b"MSCF"}, "is not empty"),
        (lambda: changed_links("", [(i, f"{DS_LINK}/origin", f"/{ORIGIN}") for i in "AB"]), "two signature origins"),
        (
            lambda: changed_links(ORIGIN, [(f"A{n}", f"{DS_LINK}/signature", f"/{SIGNATURE}") for n in range(9)]),
            "more than 8 relationships",
        ),
    ],
)  # fmt: skip
def test_odd_relationships_of_the_signature_are_refused(parts: Callable[[], dict[str, bytes]], message: str) -> None:
    with pytest.raises(DriversError, match=re.escape(message)):
        verified(parts())


def test_a_driver_cannot_be_passed_off_as_a_certificate() -> None:
    """The certificate part is not signed itself; whatever calls itself one must be one."""
    links = [("A", f"{DS_LINK}/certificate", "/evil.inf")]
    parts = signed() | {"evil.inf": b"[Version]", rels_name(SIGNATURE): relationships(links)}
    with pytest.raises(ParseError, match=r"/evil\.inf is not a certificate"):
        verified(parts, {"/evil.inf": CERTIFICATE_TYPE})


def test_a_part_is_digested_once_however_often_it_is_referenced(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = re.compile(rf'<Reference URI="/{STREAM}.*?</Reference>')

    def repeat(text: str) -> str:
        found = entry.search(text)
        assert found
        return text + found[0] * 500

    package = opened(resigned(manifest=repeat))
    read: list[str] = []
    original = package.pieces

    def pieces(part: Part) -> Iterator[bytes]:
        read.append(part.name)
        return original(part)

    monkeypatch.setattr(package, "pieces", pieces)
    assert verify_signatures(package)
    assert read.count(f"/{STREAM}") == 1


def test_relationships_signed_in_too_many_ways_are_refused() -> None:
    def repeat(text: str) -> str:
        ways = "".join(
            f'<Reference URI="/_rels/.rels?ContentType={RELS_TYPE}"><Transforms>'
            f'<Transform Algorithm="{OPC}/RelationshipTransform">'
            f'<opc:RelationshipReference SourceId="none{number}"></opc:RelationshipReference></Transform>'
            f'<Transform Algorithm="{C14N}"></Transform></Transforms>'
            f'<DigestMethod Algorithm="{DIGESTS["sha256"]}"></DigestMethod>'
            f"<DigestValue>{EMPTY}</DigestValue></Reference>"
            for number in range(9)
        )
        return ways + text

    with pytest.raises(LimitExceeded, match="more than 8 ways"):
        verified(resigned(manifest=repeat))


EMPTY = base64.b64encode(
    hashlib.sha256(f'<Relationships xmlns="{OPC}/relationships"></Relationships>'.encode()).digest()
).decode()


# --- Arbitrary input


def read_everything(raw: bytes) -> None:
    package = OpcPackage.open(io.BytesIO(raw), source="x.hlkx")
    package.zip_package.check_limits(CabinetLimits(max_total_bytes=1 << 20))
    signature_parts(package)
    verify_signatures(package)


@settings(deadline=3000, max_examples=200)
@given(st.data())
def test_changed_files_raise_only_our_errors(data: st.DataObject) -> None:
    raw = bytearray(packed(dict(SAMPLE)))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    with suppress(DriversError):
        read_everything(bytes(raw))


words = st.sampled_from(
    ["<Signature", "<Object", "</Object>", "<Reference", "Id=", "URI=", "<!--", "-->", "<?x?>", "&amp;", "\0", "xmlns=",
     ' xmlns:a="b"', ' xmlns:a="b" ', ' xmlns:a="b"/', "<Transforms/>", "]]>", "<![CDATA[", "=", "ü"]
)  # fmt: skip


@settings(deadline=3000, max_examples=200)
@given(st.data())
def test_changed_xml_raises_only_our_errors(data: st.DataObject) -> None:
    parts = dict(SAMPLE)
    xml = sorted(name for name in parts if name.endswith((".rels", ".psdsxs", ".xml")))
    parts.setdefault("[Content_Types].xml", content_types(parts))
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([*xml, "[Content_Types].xml"]))
        content = parts[name].decode()
        at = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(at, min(at + 40, len(content))))
        parts[name] = (content[:at] + data.draw(words) + content[end:]).encode()
    with suppress(DriversError):
        read_everything(packed(parts))
