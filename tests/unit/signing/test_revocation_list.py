"""Revoked certificates: what the list says, when it is made anew, and what a crash or a damaged file leaves."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from examined import examined
from hwdash.drivers.crl import RevocationList, revocation_findings
from hwdash.signing.authority import ensure_authority
from hwdash.signing.errors import KeysError, SignerUnavailable
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.revocation import (
    CRL_LIFE,
    CRL_RENEWAL,
    REVOCATIONS_FILE,
    CrlSigner,
    keys_state,
    read_revocations,
    replace_revoked,
    revoke,
)
from hwdash.signing.signer import SigningRequest

URL = "https://hwdash.example:8443/crl/issuing.crl"


def certificate(keys: KeyFolder, name: str = "attestation") -> x509.Certificate:
    return keys.certificates(name)[0]


def crl_signer(keys: KeyFolder) -> CrlSigner:
    return CrlSigner(keys, keys_state(keys.path))


def listed(keys: KeyFolder, now: datetime) -> tuple[int, set[int]]:
    """The number of the list, and what it lists; its signature and its times hold."""
    crl = x509.load_der_x509_crl(crl_signer(keys).crl(now))
    assert crl.is_signature_valid(certificate(keys, "issuing").public_key())  # type: ignore[arg-type]
    assert crl.last_update_utc <= now < (crl.next_update_utc or now) <= now + CRL_LIFE
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return number, {each.serial_number for each in crl}


def test_the_list_is_the_same_until_a_day_has_passed_and_then_has_the_next_number(
    keys: KeyFolder, now: datetime
) -> None:
    signer = crl_signer(keys)
    first = signer.crl(now)
    assert signer.crl(now + CRL_RENEWAL / 2) == first
    assert listed(keys, now) == (1, set())
    assert listed(keys, now + CRL_RENEWAL) == (2, set())
    # A clock that was set back makes a list that is valid by it.
    assert listed(keys, now - timedelta(days=1)) == (3, set())


def test_a_revoked_certificate_is_replaced_and_listed_at_once(keys: KeyFolder, now: datetime) -> None:
    signer, old = crl_signer(keys), certificate(keys)
    signer.crl(now)
    assert not signer.is_outdated
    found = revoke(keys, old, "copied", now, crl_url=URL)
    assert signer.is_outdated
    assert (found.serial, found.identity, found.why) == (old.serial_number, "attestation", "copied")
    assert listed(keys, now) == (2, {old.serial_number})
    new = certificate(keys)
    assert new.public_key() != old.public_key()
    new.verify_directly_issued_by(certificate(keys, "issuing"))
    points = new.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for point in points for name in point.full_name or ()] == [URL]
    assert revoke(keys, old, "again", now + timedelta(days=1)) == found
    assert certificate(keys) == new


def test_verification_by_the_list_refuses_what_was_signed_since(keys: KeyFolder, now: datetime) -> None:
    old = keys.certificates("attestation")
    revoke(keys, old[0], "copied", now)
    crls = [RevocationList.read(crl_signer(keys).crl(now), source="crl")]
    later, before = now + timedelta(hours=1), now - timedelta(hours=1)
    rules = {
        when: [each.rule for each in revocation_findings(old, crls, when=when, now=later, source="x")]
        for when in (later, before)
    }
    assert rules == {later: ["chain.revoked"], before: ["chain.revoked-later"]}


def test_a_change_of_keys_that_was_cut_short_is_finished(keys: KeyFolder, now: datetime) -> None:
    old = keys.file("attestation").read_bytes()
    serial = certificate(keys).serial_number
    revoke(keys, certificate(keys), "copied", now)
    keys.file("attestation").write_bytes(old)  # as a crash before the new key would have it
    replace_revoked(keys, now)
    assert certificate(keys).serial_number != serial
    assert [each.serial for each in read_revocations(keys.path)] == [serial]


def test_a_running_signer_goes_on_with_the_new_key(
    keys: KeyFolder, now: datetime, request_to_sign: SigningRequest
) -> None:
    with SignerProcess.start(keys.path, environment={}) as signer:
        old = signer.sign(request_to_sign)[0].chain[0]
        revoke(keys, x509.load_der_x509_certificate(old), "copied", now)
        new = signer.sign(request_to_sign)[0].chain[0]
        assert new != old
        assert signer.sign(examined(keys, replace(request_to_sign, identity="whql")))[0].chain[0] not in (old, new)
        crl = x509.load_der_x509_crl(signer.crl())
        assert crl.get_revoked_certificate_by_serial_number(x509.load_der_x509_certificate(old).serial_number)


@pytest.mark.parametrize("content", ["", "{", "[{}]", '[{"serial": "x", "identity": "a", "when": "b", "why": "c"}]'])
def test_a_damaged_file_forgets_nothing_and_stops_the_signer(
    keys: KeyFolder, now: datetime, content: str, request_to_sign: SigningRequest
) -> None:
    with SignerProcess.start(keys.path, environment={}) as signer:
        (keys.path / REVOCATIONS_FILE).write_text(content)
        for ask in (signer.crl, lambda: signer.sign(request_to_sign)):
            with pytest.raises(SignerUnavailable, match="revoked certificates are forgotten"):
                ask()
    with pytest.raises(KeysError, match="restore it"):
        revoke(keys, certificate(keys), "copied", now)


def test_only_certificates_of_signing_identities_below_the_issuing_ca(keys: KeyFolder, now: datetime) -> None:
    for name, said in (("preproduction", "not of this service's issuing CA"), ("timestamp", "no signing identity")):
        with pytest.raises(KeysError, match=said):
            revoke(keys, certificate(keys, name), "copied", now)
    assert read_revocations(keys.path) == []


def test_a_certificate_of_a_namesake_of_the_issuing_ca_is_refused(
    keys: KeyFolder, now: datetime, tmp_path: Path
) -> None:
    # As one that another data folder's authority issued: the same names, another key.
    other = KeyFolder.open(tmp_path / "other", {})
    ensure_authority(other, now)
    with pytest.raises(KeysError, match="not of this service's issuing CA"):
        revoke(keys, certificate(other), "copied", now)
    assert read_revocations(keys.path) == []


def test_new_certificates_name_the_list_where_there_is_an_address(keys: KeyFolder, now: datetime) -> None:
    assert not any(isinstance(each.value, x509.CRLDistributionPoints) for each in certificate(keys).extensions)
    keys.file("whql").unlink()
    ensure_authority(keys, now, key_size=2048, crl_url=URL)
    points = certificate(keys, "whql").extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert not points.critical
