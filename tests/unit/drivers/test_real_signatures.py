"""A driver that its vendor and Microsoft signed: WinDivert, from the package pydivert.

The vendor's signature (Sectigo, 2022) has a PKCS#9 countersignature; Microsoft's is nested in it, with an RFC 3161
timestamp whose token carries an attribute certificate, by an authority that marks timeStamping as it should not: not as
critical.
"""

import io
from datetime import UTC, datetime
from importlib.metadata import files

import pytest
from cryptography import x509

from authenticode_oracle import osslsigncode
from hwdash.drivers.authenticode import pe_signatures, verify_pe
from hwdash.drivers.chain import LIFETIME_SIGNING, check_trust
from hwdash.drivers.errors import VerificationError
from hwdash.drivers.extensions import common_name, extended_key_usages
from hwdash.drivers.pe import PeImage
from hwdash.drivers.signature import Signature, SignatureReport

WHQL = "1.3.6.1.4.1.311.10.3.5"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def driver() -> bytes:
    listed = files("pydivert")
    assert listed is not None
    (found,) = [each for each in listed if each.name == "WinDivert64.sys"]
    return found.read_binary()


@pytest.fixture(scope="module")
def signatures(driver: bytes) -> list[SignatureReport]:
    stream = io.BytesIO(driver)
    return pe_signatures(stream, PeImage.open(stream, source="WinDivert64.sys"), source="WinDivert64.sys")


def tops(signature: Signature) -> list[x509.Certificate]:
    """The certificates at the top of what the signature brings along: taken as roots here."""
    at_hand = [*signature.certificates, *(signature.timestamp.certificates if signature.timestamp else ())]
    subjects = {each.subject for each in at_hand}
    return [each for each in at_hand if each.issuer == each.subject or each.issuer not in subjects]


def test_both_signatures_hold_and_say_who_and_when(signatures: list[SignatureReport]) -> None:
    vendor, microsoft = signatures
    assert (vendor.problem, vendor.nested) == (None, False)
    assert (microsoft.problem, microsoft.nested) == (None, True)
    assert vendor.signature is not None
    assert microsoft.signature is not None
    assert common_name(microsoft.signature.signer) == "Microsoft Windows Hardware Compatibility Publisher"
    assert microsoft.signature.program_name == common_name(vendor.signature.signer)
    assert WHQL in extended_key_usages(microsoft.signature.signer)[0]
    assert LIFETIME_SIGNING not in extended_key_usages(microsoft.signature.signer)[0]
    for each, form in ((vendor.signature, "pkcs9"), (microsoft.signature, "rfc3161")):
        assert each.timestamp is not None
        assert each.timestamp.form == form
        assert each.timestamp.when.year == 2022
        assert (each.digest_algorithm, each.content_algorithm, each.page_hashes) == ("sha256", "sha256", None)
    assert vendor.signature.timestamp is not None
    assert vendor.signature.timestamp.when == datetime(2022, 9, 20, 4, 54, 19, tzinfo=UTC)


def test_osslsigncode_says_the_same(signatures: list[SignatureReport], driver: bytes, tmp_path) -> None:
    (tmp_path / "x.sys").write_bytes(driver)
    _, output = osslsigncode("verify", "-ignore-crl", "-ignore-cdp", tmp_path / "x.sys")
    told = [line.split(": ", 1)[1] for line in output.splitlines() if "Timestamp time" in line]
    mine = [f"{each.signature.timestamp.when:%b %e %H:%M:%S %Y} GMT" for each in signatures]
    assert told == mine
    assert output.count(f"Calculated message digest : {signatures[0].signature.digest.hex().upper()}") == 2


def test_the_chains_lead_to_what_stands_at_their_top_at_the_time_of_the_timestamp(
    signatures: list[SignatureReport],
) -> None:
    for report in signatures:
        signature = report.signature
        assert signature is not None
        assert signature.timestamp is not None
        found = check_trust(signature, roots=tops(signature), now=NOW, source="x")
        assert (found.trusted, found.findings, found.when) == (True, (), signature.timestamp.when)
        assert len(found.chain) >= 2
        assert found.timestamp is not None
        assert found.timestamp.trusted


def test_without_the_timestamp_both_certificates_have_ended(signatures: list[SignatureReport]) -> None:
    for report in signatures:
        signature = report.signature
        assert signature is not None
        found = check_trust(signature, roots=tops(signature), timestamp_roots=[], now=NOW, source="x")
        assert {each.rule for each in found.findings} == {"chain.expired", "chain.timestamp"}


def test_a_changed_byte_breaks_both(driver: bytes) -> None:
    raw = bytearray(driver)
    raw[0x1000] ^= 1
    stream = io.BytesIO(raw)
    image = PeImage.open(stream, source="x")
    assert all("was changed" in (each.problem or "") for each in pe_signatures(stream, image, source="x"))
    with pytest.raises(VerificationError, match="was changed"):
        verify_pe(stream, image, source="x")
