import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hwdash.storage import accounts, certificates
from hwdash.storage.accounts import Account, AccountError, Application
from hwdash.storage.certificates import CertificateRefused
from hwdash.storage.database import Database

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)

Certify = Callable[..., x509.Certificate]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    with database.writing() as transaction:
        yield transaction
    database.close()


@pytest.fixture
def account(connection: sa.Connection) -> Account:
    return accounts.create_account(connection, "Contoso Ltd", NOW)


@pytest.fixture
def application(connection: sa.Connection, account: Account) -> Application:
    return accounts.create_application(connection, account.id, "CI", ["Manager", "Driver Submitter"], NOW)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certify(rsa_key: rsa.RSAPrivateKey) -> Certify:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Contoso Ltd")])

    def make(
        *,
        key=None,
        begin=NOW - DAY,
        end=NOW + 365 * DAY,
        purpose=ExtendedKeyUsageOID.CODE_SIGNING,
        signs=True,
        ev=False,
    ) -> x509.Certificate:
        key = key or rsa_key
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if signs is not None:
            usage = x509.KeyUsage(signs, False, not signs, False, False, False, False, False, False)
            builder = builder.add_extension(usage, critical=True)
        if ev:
            policy = x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.3"), None)
            builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
        return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())

    return make


def run_openssl(arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)


def test_an_application_certificate_is_registered_once_and_found(
    connection: sa.Connection, application: Application, certify: Certify
) -> None:
    certificate = certify(purpose=None, signs=None)
    thumbprint = certificates.add_application_certificate(connection, application.client_id, certificate, NOW)
    assert thumbprint == certificate.fingerprint(hashes.SHA256()).hex()
    certificates.add_application_certificate(connection, application.client_id, certificate, NOW)
    assert certificates.certificates_of(connection, application.client_id) == [certificate]
    assert certificates.remove_application_certificate(connection, application.client_id, thumbprint.upper())
    assert certificates.certificates_of(connection, application.client_id) == []


def test_an_application_certificate_must_be_rsa_and_current(
    connection: sa.Connection, application: Application, certify: Certify
) -> None:
    unfit = certify(key=ec.generate_private_key(ec.SECP256R1()), end=NOW - timedelta(hours=1))
    with pytest.raises(CertificateRefused) as caught:
        certificates.add_application_certificate(connection, application.client_id, unfit, NOW)
    assert len(caught.value.findings) == 2


@pytest.mark.parametrize(("ev", "kind"), [(True, "ev"), (False, "standard")])
def test_the_policy_tells_ev_certificates(
    connection: sa.Connection, account: Account, certify: Certify, ev: bool, kind: str
) -> None:
    certificate = certify(ev=ev)
    made = certificates.add_signing_certificate(connection, account.id, certificate, NOW)
    assert (made.kind, made.subject) == (kind, "O=Contoso Ltd")
    assert made.not_after == certificate.not_valid_after_utc
    assert certificates.has_valid_ev_certificate(connection, account.id, NOW) is ev
    assert not certificates.has_valid_ev_certificate(connection, account.id, NOW + 366 * DAY)


def test_signing_certificates_are_listed_found_and_retired(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    first = certificates.add_signing_certificate(connection, account.id, certify(), NOW)
    second = certificates.add_signing_certificate(connection, account.id, certify(ev=True), NOW + DAY)
    assert certificates.signing_certificates_of(connection, account.id) == [first, second]
    assert certificates.signing_certificate(connection, account.id, second.thumbprint.upper()) == second
    assert certificates.signing_certificate(connection, account.id + 1, second.thumbprint) is None
    assert certificates.remove_signing_certificate(connection, account.id, first.thumbprint)
    assert certificates.signing_certificates_of(connection, account.id) == [second]
    assert not certificates.remove_signing_certificate(connection, account.id, first.thumbprint)


def test_registering_again_changes_nothing(connection: sa.Connection, account: Account, certify: Certify) -> None:
    certificate = certify()
    first = certificates.add_signing_certificate(connection, account.id, certificate, NOW)
    assert certificates.add_signing_certificate(connection, account.id, certificate, NOW + DAY) == first


def test_two_accounts_may_register_one_certificate(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    other = accounts.create_account(connection, "Fabrikam", NOW)
    certificate = certify()
    one = certificates.add_signing_certificate(connection, account.id, certificate, NOW)
    two = certificates.add_signing_certificate(connection, other.id, certificate, NOW)
    assert one.thumbprint == two.thumbprint


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_certificates_are_accepted(connection: sa.Connection, account: Account, certify: Certify, curve) -> None:
    certificates.add_signing_certificate(connection, account.id, certify(key=ec.generate_private_key(curve)), NOW)


def test_a_certificate_without_key_usage_is_not_restricted(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    """RFC 5280 4.2.1.3."""
    certificates.add_signing_certificate(connection, account.id, certify(signs=None), NOW)


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        ({"end": NOW - timedelta(seconds=1)}, "ended on 2026-11-23"),
        ({"begin": NOW + DAY}, "begins only on 2026-11-24"),
        ({"signs": False}, "leaves out digital signatures"),
        ({"purpose": None}, "does not name code signing"),
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "does not name code signing"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "1024 bits"),
        ({"key": ec.generate_private_key(ec.SECP256K1())}, "not accepted"),
        ({"key": ed25519.Ed25519PrivateKey.generate()}, "not accepted"),
    ],
)
def test_an_unfit_certificate_is_refused(
    connection: sa.Connection, account: Account, certify: Certify, options, finding: str
) -> None:
    with pytest.raises(CertificateRefused, match=finding) as caught:
        certificates.add_signing_certificate(connection, account.id, certify(**options), NOW)
    assert len(caught.value.findings) == 1
    assert certificates.signing_certificates_of(connection, account.id) == []


def test_a_sha1_certificate_is_refused(connection: sa.Connection, account: Account, tmp_path: Path) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -sha1 -days 9999 -subj /O=x -addext extendedKeyUsage=codeSigning"
    run_openssl(f"{command} -keyout {tmp_path}/k -out {tmp_path}/c")
    certificate = x509.load_pem_x509_certificate((tmp_path / "c").read_bytes())
    with pytest.raises(CertificateRefused, match="sha1; only SHA-2"):
        certificates.add_signing_certificate(
            connection, account.id, certificate, certificate.not_valid_before_utc + DAY
        )


def test_extensions_that_cannot_be_read_are_a_finding(
    connection: sa.Connection, account: Account, tmp_path: Path
) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -days 9999 -subj /O=x -addext extendedKeyUsage=DER:0400"
    run_openssl(f"{command} -keyout {tmp_path}/k -out {tmp_path}/c")
    certificate = x509.load_pem_x509_certificate((tmp_path / "c").read_bytes())
    with pytest.raises(CertificateRefused, match="cannot be read"):
        certificates.add_signing_certificate(
            connection, account.id, certificate, certificate.not_valid_before_utc + DAY
        )


def test_every_finding_comes_at_once(connection: sa.Connection, account: Account, certify: Certify) -> None:
    weak = certify(key=rsa.generate_private_key(65537, 1024), end=NOW - timedelta(hours=1), purpose=None, signs=False)
    with pytest.raises(CertificateRefused) as caught:
        certificates.add_signing_certificate(connection, account.id, weak, NOW)
    assert len(caught.value.findings) == 4


def test_a_certificate_of_an_unknown_account_is_refused(connection: sa.Connection, certify: Certify) -> None:
    with pytest.raises(AccountError, match="no account 1"):
        certificates.add_signing_certificate(connection, 1, certify(), NOW)


def test_a_challenge_counts_once_for_its_account_and_for_a_week(connection: sa.Connection, account: Account) -> None:
    other = accounts.create_account(connection, "Fabrikam", NOW)
    nonce = certificates.new_challenge(connection, account.id, NOW)
    assert not certificates.use_challenge(connection, other.id, nonce, NOW)
    assert not certificates.use_challenge(connection, account.id, "0" * 64, NOW)
    assert certificates.use_challenge(connection, account.id, nonce, NOW + 6 * DAY)
    assert not certificates.use_challenge(connection, account.id, nonce, NOW + 6 * DAY)
    late = certificates.new_challenge(connection, account.id, NOW)
    assert not certificates.use_challenge(connection, account.id, late, NOW + 7 * DAY)
    with pytest.raises(AccountError, match="no account 1"):
        certificates.new_challenge(connection, 1, NOW)


def test_a_proof_counts_for_a_certificate_that_an_administrator_registered(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    certificate = certify()
    assert not certificates.add_signing_certificate(connection, account.id, certificate, NOW).is_proven
    proven = certificates.add_signing_certificate(connection, account.id, certificate, NOW + DAY, is_proven=True)
    assert proven.is_proven
    assert certificates.add_signing_certificate(connection, account.id, certificate, NOW + 2 * DAY) == proven
    assert certificates.signing_certificates_of(connection, account.id) == [proven]


def test_the_last_60_days_of_a_certificate_are_warned_of(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    late = certificates.add_signing_certificate(connection, account.id, certify(end=NOW + 61 * DAY), NOW)
    soon = certificates.add_signing_certificate(connection, account.id, certify(end=NOW + 59 * DAY, ev=True), NOW)
    assert certificates.expiring_certificates(connection, NOW) == [soon]
    assert certificates.expiry_warning(late, NOW) is None
    warning = certificates.expiry_warning(soon, NOW)
    assert warning is not None
    assert f"ev certificate {soon.thumbprint} of account {account.id} (O=Contoso Ltd) ends in 59 days" in warning
    assert "has ended, on 2027-01-21" in str(certificates.expiry_warning(soon, NOW + 60 * DAY))
    assert certificates.expiring_certificates(connection, NOW + 62 * DAY) == [soon, late]
    assert soon.days_left(NOW + 60 * DAY) == -1
