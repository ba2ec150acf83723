"""What is fuzzed: each target reads bytes as the product does, and starts from files that are good.

A target may raise ParseError and LimitExceeded; one that checks signatures also VerificationError. Anything else is a
finding, and so is an input that takes longer or more memory than run.py allows.
"""

import io
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

import hlkx_writer
from authenticode_oracle import NOW, signatory
from fuzz import seeds
from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.signed_data import read_signed_data
from hwdash.drivers.authenticode import (
    cabinet_signatures,
    catalog_signatures,
    key_usages,
    pe_signatures,
    sign_cabinet,
    sign_catalog,
    verify_cabinet,
    verify_pe,
)
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.catalog import Catalog
from hwdash.drivers.catalog_files import CatalogFile, Membership
from hwdash.drivers.catalog_rebuild import rebuild
from hwdash.drivers.chain import CODE_SIGNING, check_chain, check_trust
from hwdash.drivers.chid import chids, parse_smbios
from hwdash.drivers.container import PackageContainer
from hwdash.drivers.crl import RevocationList
from hwdash.drivers.dsse import Envelope, verify_envelope
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.extensions import read_certificate, read_certificates
from hwdash.drivers.hlkx import Hlkx, PackageInfo, verify_hlkx
from hwdash.drivers.hlkx_shell import check_derived, package_facts, write_shell
from hwdash.drivers.inf.contents import contents
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.encoding import decode
from hwdash.drivers.inf.metadata import driver_metadata
from hwdash.drivers.inf.stamp import stamped
from hwdash.drivers.inf.verify import verify
from hwdash.drivers.known_drivers import KnownDrivers
from hwdash.drivers.package import check_architectures, check_inf_references, check_layout, clashing_names
from hwdash.drivers.package_contents import Binary, DriverFolder, check_contents
from hwdash.drivers.pe import PeImage, measure, signed_image_chunks
from hwdash.drivers.pe_imports import imported_modules
from hwdash.drivers.pe_resources import file_version, is_elam
from hwdash.drivers.pe_sections import MappedImage
from hwdash.drivers.signature import all_signed_data, read_signature, report
from hwdash.drivers.timestamp import read_response, read_timestamp
from hwdash.drivers.universal import BinaryImports, universal_report
from hwdash.drivers.xml_document import canonical_xml, parse_xml
from hwdash.drivers.zip_package import ZipPackage
from hwdash.vocabulary import OPERATING_SYSTEMS

LIMITS = CabinetLimits(max_total_bytes=4 << 20, max_ratio=50, ratio_applies_above=1 << 20)
"""Small, so that one input costs milliseconds."""

_READ = (ParseError, LimitExceeded)
_VERIFY = (ParseError, LimitExceeded, VerificationError)


class Target(NamedTuple):
    """``read`` is fed with at most ``max_bytes``; ``seeds`` makes the files to start from."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    max_bytes: int
    allowed: tuple[type[DriversError], ...] = _READ


def read_inf(data: bytes) -> None:
    """Parse, write, parse again; the metadata of three systems."""
    inf = Inf.parse(data, source="fuzz.inf")
    again = Inf.from_text(inf.to_text(), source="fuzz.inf")
    assert [section.name for section in again.sections] == [section.name for section in inf.sections]
    driver_metadata({"bundle": [("fuzz.inf", inf)]}, OPERATING_SYSTEMS[:3])


def judge_inf(data: bytes) -> None:
    """Every rule in every mode."""
    inf = Inf.parse(data, source="fuzz.inf")
    for mode in ("declarative", "universal", "windows"):
        assert all(finding.message and finding.remedy for finding in verify(inf, mode=mode))
    check_inf_references(inf, ["a.sys"])


def show_inf(data: bytes) -> None:
    """What ``inf show`` tells, and what a package with this INF is judged by."""
    inf = Inf.parse(data, source="a/fuzz.inf")
    contents(inf)
    binary = Binary("a/fuzz.sys", has_code=True, version=(1, 0, 0, 0), is_elam=False, linked=date(2026, 1, 1))
    folder = DriverFolder("a", ["a/fuzz.inf", "a/fuzz.sys"], [inf], [binary])
    for kind in ("attestation", "whql"):
        check_contents([folder], kind, date(2026, 1, 1))
    check_architectures({"a": [inf]})


def stamp_inf(data: bytes) -> None:
    """Fill in a template."""
    text, _, _ = decode(data, source="fuzz.inx")
    has_version = Inf.from_text(text, source="fuzz.inx").section("Version") is not None
    when = {"version": "1.2.3.4", "date": date(2026, 1, 1)} if has_version else {}
    made = stamped(text, architecture="amd64", kmdf="1.15", umdf="2.15.0", **when)
    if has_version:
        driver_ver = Inf.from_text(made, source="fuzz.inf").first("Version", "DriverVer")
        assert driver_ver is not None
        assert [value.text for value in driver_ver.values] == ["01/01/2026", "1.2.3.4"]


def judge_names(data: bytes) -> None:
    """The rules on the names in a package."""
    names = data.decode("utf-8", "surrogateescape").split("\n")
    for kind in ("attestation", "whql"):
        assert all(str(finding).isprintable() for finding in check_layout(names, kind))
    clashing_names(names)


def unpack(container: PackageContainer) -> None:
    """Unpack everything, within ``LIMITS``."""
    container.check_limits(LIMITS)
    for file, pieces in container.extract():
        assert sum(map(len, pieces)) == file.size


def read_cabinet(data: bytes) -> None:
    """Unpack everything, by libmspack where it is there and is used."""
    unpack(Cabinet.open(io.BytesIO(data), source="fuzz.cab"))


def read_lzx_cabinet(data: bytes) -> None:
    """Unpack everything by our own decoder, then by libmspack where it is there: both must say the same."""
    cabinet = Cabinet.open(io.BytesIO(data), source="fuzz.cab")
    cabinet.check_limits(LIMITS)
    ours = [b"".join(pieces) for _, pieces in cabinet.extract(use_libmspack=False)]
    theirs = [b"".join(pieces) for _, pieces in cabinet.extract()]
    assert ours == theirs


def verify_signed_cabinet(data: bytes) -> None:
    """Check the signature and look at the signer."""
    stream = io.BytesIO(data)
    cabinet = Cabinet.open(stream, source="fuzz.cab")
    cabinet_signatures(stream, cabinet, source="fuzz.cab")
    found = verify_cabinet(stream, cabinet, source="fuzz.cab")
    key_usages(found.signer)
    found.signer.subject.rfc4514_string()


def sign_again(data: bytes) -> None:
    """What can be signed verifies afterwards."""
    out = io.BytesIO()
    who = signatory("ec")
    sign_cabinet(io.BytesIO(data), out, who.sign, who.certificates, source="fuzz.cab")
    verify_signed_cabinet(out.getvalue())


def read_zip(data: bytes) -> None:
    """Unpack everything."""
    unpack(ZipPackage.open(io.BytesIO(data), source="fuzz.zip"))


def read_hlkx(data: bytes) -> None:
    """Unpack everything, make the shell, which must be a package again, and check the signature, if there is one."""
    package = Hlkx.open(io.BytesIO(data), source="fuzz.hlkx", spool=io.BytesIO)
    unpack(package)
    assert all(finding.message for finding in package.findings)
    out = io.BytesIO()
    write_shell(package, out, seeds.WHEN)
    shell = Hlkx.open(out, source="shell.hlkx", spool=io.BytesIO)
    assert shell.package_info == package.package_info
    facts = package_facts(package.package_info)
    assert "package.derived-project" not in {each.rule for each in check_derived(facts, facts, "fuzz.hlkx")}
    if package.signature is not None:
        verify_hlkx(package, source="fuzz.hlkx", accept_sha1=True)


def read_hlkx_parts(data: bytes) -> None:
    """Make a package of the parts, then as ``read_hlkx``."""
    parts = dict(part.partition(b"\n")[::2] for part in data.split(seeds.BETWEEN_PARTS))
    named = {name[:200].decode("latin-1"): content for name, content in parts.items()}
    read_hlkx(hlkx_writer.packed(named, method=0))


def read_xml(data: bytes) -> None:
    """A document with its canonical form, and as PackageInfo.xml."""
    root = parse_xml(data, source="fuzz.xml", field="fuzz")
    PackageInfo.read(root)
    once = canonical_xml(root, source="fuzz.xml", field="fuzz")
    again = parse_xml(once, source="fuzz.xml", field="fuzz")
    assert canonical_xml(again, source="fuzz.xml", field="fuzz") == once


def read_image(data: bytes) -> None:
    """What we would sign must be an image again."""
    stream = io.BytesIO(data)
    layout = measure(stream, PeImage.open(stream, source="fuzz.sys")).layout
    written = b"".join(signed_image_chunks(stream, layout, b"\x30\x00"))
    PeImage.open(io.BytesIO(written), source="fuzz.sys")


def map_image(data: bytes) -> None:
    """Page hashes, and what Windows reads of a loaded image."""
    stream = io.BytesIO(data)
    image = PeImage.open(stream, source="fuzz.sys")
    mapped = MappedImage(stream, image, source="fuzz.sys")
    for read in (imported_modules, file_version, is_elam, MappedImage.linked):
        try:
            read(mapped)
        except _READ:
            continue
    measure(stream, image, (), pages=("sha1", "sha256"))
    universal_report([BinaryImports("fuzz.sys", "amd64", tuple(imported_modules(mapped)))])


def verify_image(data: bytes) -> None:
    """Check the signatures, and whom they lead to."""
    stream = io.BytesIO(data)
    image = PeImage.open(stream, source="fuzz.sys")
    pe_signatures(stream, image, source="fuzz.sys", allow_sha1=True)
    signature = verify_pe(stream, image, source="fuzz.sys")
    if signature is not None:
        check_trust(signature, roots=signature.certificates[-1:], now=NOW, source="fuzz.sys")


def read_signatures(data: bytes) -> None:
    """A SignedData with what is nested in it, whatever it is over."""
    report(data, lambda _parsed, _name: None, source="fuzz.p7", allow_sha1=True)
    for _, parsed in all_signed_data(data, source="fuzz.p7"):
        if not isinstance(parsed, DriversError):
            read_signature(parsed, source="fuzz.p7", allow_sha1=True)
    read_signed_data(data, source="fuzz.p7", allow_sha1=True)


def read_catalog(data: bytes) -> None:
    """Read a catalog, whoever signed it."""
    Catalog.parse(data, source="fuzz.cat", verify=False)


def verify_catalog(data: bytes) -> None:
    """Read a catalog whose signature must hold."""
    catalog_signatures(data, source="fuzz.cat", allow_sha1=True)
    Catalog.parse(data, source="fuzz.cat")


def sign_catalog_again(data: bytes) -> None:
    """What can be signed verifies afterwards."""
    who = signatory("ec")
    verify_catalog(sign_catalog(data, who.sign, who.certificates, source="fuzz.cat"))


@cache
def _catalogued() -> tuple[tempfile.TemporaryDirectory[str], list[Path]]:
    folder = tempfile.TemporaryDirectory()
    return folder, seeds.catalogued(Path(folder.name))


def rebuild_catalog(data: bytes) -> None:
    """Compare a catalog with the files, and look for them in it."""
    files = _catalogued()[1]
    assert all(str(each) for each in rebuild(data, files, source="fuzz.cat"))
    membership = Membership(Catalog.parse(data, source="fuzz.cat", verify=False))
    for file in files:
        membership.check(CatalogFile.measure(file), allow_sha1=True)


def catalogs_to_rebuild() -> list[bytes]:
    """Catalogs of the files that ``rebuild_catalog`` has."""
    return seeds.catalogs_of_files(_catalogued()[1])


def read_token(data: bytes) -> None:
    """A timestamp over the bytes that the good ones are over."""
    read_timestamp(data, seeds.STAMPED, source="fuzz.tst", allow_sha1=True)


def verify_dsse(data: bytes) -> None:
    """A statement, down to the test root."""
    envelope = Envelope.parse(data, source="fuzz.json")
    verify_envelope(
        envelope,
        payload_type=seeds.ENVELOPED,
        usage=CODE_SIGNING,
        roots=[seeds.pki.root().certificate],
        now=NOW,
        source="fuzz.json",
    )


def read_timestamp_response(data: bytes) -> None:
    """What an authority answers, a refusal as well."""
    with suppress(VerificationError):
        read_token(read_response(data, source="fuzz.tsr"))


def read_chain(data: bytes) -> None:
    """Certificates and CRLs in DER, one after the other: from the first certificate to the last, which is trusted."""
    certificates: list[x509.Certificate] = []
    lists: list[bytes] = []
    for element in der.Reader(data, source="fuzz").all_tags("chain"):
        try:
            certificates.append(read_certificate(element.encoded, source="fuzz"))
        except ParseError:
            with suppress(ParseError):
                RevocationList.read(element.encoded, source="fuzz")
                lists.append(element.encoded)
    if certificates:
        signer, *others = certificates
        found = check_chain(signer, roots=certificates[-1:], others=others, when=NOW, crls=lists, source="fuzz")
        assert all(finding.message and finding.remedy for finding in found.findings)


def read_roots(data: bytes) -> None:
    """The file of certificates that a user names."""
    assert read_certificates(data, source="fuzz.pem")


def read_crl(data: bytes) -> None:
    """A list, and whether it speaks of the certificate of somebody it lists."""
    found = RevocationList.read(data, source="fuzz.crl")
    authority, signer = seeds.pki.authority().certificate, seeds.pki.signer().certificate
    found.covers(signer, authority)
    found.is_current(NOW)
    found.revoked(signer)
    for entry in found.crl:
        found.revoked(_holding(entry.serial_number))


class _Holding(NamedTuple):
    serial_number: int


def _holding(serial_number: int) -> x509.Certificate:
    return _Holding(serial_number)  # type: ignore[return-value]


def read_smbios(data: bytes) -> None:
    """A table with its CHIDs."""
    assert len(chids(parse_smbios(data, source="fuzz.dmi"))) <= 15


def read_der(data: bytes) -> None:
    """Every element, as every type that it may be."""
    waiting = [der.Reader(data, source="fuzz.der")]
    while waiting:
        for element in waiting.pop().all_tags("it"):
            assert element.encoded in data
            for read in (
                element.oid,
                element.integer,
                element.time,
                element.boolean,
                lambda field, element=element: element.text("utf-16-be", field),
            ):
                try:
                    read("it")
                except ParseError:
                    continue
            if element.tag & 0x20:
                waiting.append(element.open())


def read_known_drivers(content: bytes) -> None:
    KnownDrivers.parse(content, source="list.json")


TARGETS: dict[str, Target] = {
    "inf": Target(read_inf, seeds.infs, 16 << 10),
    "inf-rules": Target(judge_inf, seeds.infs_to_judge, 16 << 10),
    "inf-contents": Target(show_inf, seeds.infs_to_judge, 16 << 10),
    "inf-template": Target(stamp_inf, seeds.templates, 4 << 10),
    "file-names": Target(judge_names, seeds.file_names, 4 << 10),
    "cabinet": Target(read_cabinet, seeds.cabinets, 64 << 10),
    "lzx-cabinet": Target(read_lzx_cabinet, seeds.lzx_cabinets, 16 << 10),
    "quantum-cabinet": Target(read_cabinet, seeds.quantum_cabinets, 16 << 10),
    "signed-cabinet": Target(verify_signed_cabinet, seeds.signed_cabinets, 64 << 10, _VERIFY),
    "signing-a-cabinet": Target(sign_again, seeds.cabinets, 64 << 10, _VERIFY),
    "zip-package": Target(read_zip, seeds.zip_packages, 64 << 10),
    "hlkx": Target(read_hlkx, seeds.hlkx_packages, 64 << 10, _VERIFY),
    "hlkx-parts": Target(read_hlkx_parts, seeds.hlkx_parts, 64 << 10, _VERIFY),
    "xml": Target(read_xml, seeds.xml_documents, 16 << 10),
    "image": Target(read_image, seeds.images, 64 << 10),
    "mapped-image": Target(map_image, seeds.mapped_images, 64 << 10),
    "signed-image": Target(verify_image, seeds.signed_images, 128 << 10, _VERIFY),
    "signatures": Target(read_signatures, seeds.signatures, 32 << 10, _VERIFY),
    "catalog": Target(read_catalog, seeds.catalogs, 16 << 10),
    "signed-catalog": Target(verify_catalog, seeds.catalogs, 16 << 10, _VERIFY),
    "signing-a-catalog": Target(sign_catalog_again, catalogs_to_rebuild, 16 << 10, _VERIFY),
    "rebuilt-catalog": Target(rebuild_catalog, catalogs_to_rebuild, 16 << 10, _VERIFY),
    "timestamp": Target(read_token, seeds.tokens, 16 << 10, _VERIFY),
    "timestamp-response": Target(read_timestamp_response, seeds.timestamp_responses, 16 << 10),
    "envelope": Target(verify_dsse, seeds.envelopes, 16 << 10, _VERIFY),
    "chain": Target(read_chain, seeds.chains, 16 << 10),
    "root-certificates": Target(read_roots, seeds.root_certificates, 8 << 10),
    "crl": Target(read_crl, seeds.revocation_lists, 8 << 10),
    "smbios": Target(read_smbios, seeds.smbios_tables, 4 << 10),
    "known-drivers": Target(read_known_drivers, seeds.known_drivers, 4 << 10),
    "der": Target(read_der, seeds.der_values, 8 << 10),
}
"""Every target by its name."""


def lose_index(data: bytes) -> None:
    """Broken on purpose: an accidental error."""
    if data[:1] != b"B":
        _ = data[len(data)]


def take_memory(data: bytes) -> None:
    """Broken on purpose: a length believed."""
    if data[:1] != b"B":
        _taken.append(b"x" * (1 << 30))


_taken: list[bytes] = []

BROKEN: dict[str, Target] = {
    "lose-index": Target(lose_index, lambda: [b"B"], 16),
    "take-memory": Target(take_memory, lambda: [b"B"], 16),
}
"""Targets that prove that a finding is found."""
