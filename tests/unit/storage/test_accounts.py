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

from hwdash.storage import accounts
from hwdash.storage.accounts import Account, AccountError, Application, CertificateRefused, SecretCheck
from hwdash.storage.database import Database
from hwdash.storage.tables import application_secrets

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


def test_an_account_has_an_8_digit_seller_id_and_a_tenant_of_its_own(connection: sa.Connection) -> None:
    made = [accounts.create_account(connection, f"company {n}", NOW) for n in range(20)]
    assert all(10_000_000 <= each.id <= 99_999_999 for each in made)
    assert len({each.id for each in made} | {each.tenant_id for each in made}) == 40
    assert accounts.account(connection, made[3].id) == made[3]
    assert accounts.account_of_tenant(connection, made[3].tenant_id.upper()) == made[3]
    assert {each.id for each in accounts.all_accounts(connection)} == {each.id for each in made}


def test_a_seller_id_in_use_is_drawn_again(connection: sa.Connection, account: Account, monkeypatch) -> None:
    draws = iter([account.id - 10_000_000, account.id - 10_000_000, 7])
    monkeypatch.setattr(accounts.secrets, "randbelow", lambda _limit: next(draws))
    assert accounts.create_account(connection, "second", NOW).id == 10_000_007


def test_a_tenant_has_one_account(connection: sa.Connection, account: Account) -> None:
    with pytest.raises(AccountError, match="already"):
        accounts.create_account(connection, "again", NOW, tenant_id=account.tenant_id.upper())
    with pytest.raises(AccountError, match="must be a GUID"):
        accounts.create_account(connection, "again", NOW, tenant_id="contoso.example")


def test_an_application_carries_its_account_tenant_and_roles(
    connection: sa.Connection, account: Account, application: Application
) -> None:
    found = accounts.application(connection, application.client_id.upper())
    assert found == application
    assert (found.account_id, found.tenant_id, found.roles) == (
        account.id,
        account.tenant_id,
        ("Manager", "Driver Submitter"),
    )
    assert accounts.applications_of(connection, account.id) == [application]


def test_roles_can_be_changed(connection: sa.Connection, application: Application) -> None:
    accounts.set_roles(connection, application.client_id, ["Report Reviewer"])
    assert accounts.application(connection, application.client_id).roles == ("Report Reviewer",)
    with pytest.raises(AccountError, match="no application"):
        accounts.set_roles(connection, "nobody", [])


def test_applications_need_an_account_and_a_free_client_id(
    connection: sa.Connection, account: Account, application: Application
) -> None:
    with pytest.raises(AccountError, match="no account 1"):
        accounts.create_application(connection, 1, "x", [], NOW)
    with pytest.raises(AccountError, match="in use"):
        accounts.create_application(connection, account.id, "x", [], NOW, client_id=application.client_id)


def test_a_secret_is_known_to_its_owner_only(connection: sa.Connection, application: Application) -> None:
    made = accounts.add_secret(connection, application.client_id, NOW)
    assert len(made.secret) == 43  # 256 bits in base64url
    assert made.secret not in repr(made)
    stored = connection.execute(sa.select(application_secrets)).one()
    assert made.secret.encode() not in stored.sha256
    assert len(stored.sha256) == 32
    assert accounts.verify_secret(connection, application.client_id.upper(), made.secret, NOW) is SecretCheck.VALID


def test_a_secret_counts_until_it_expires(connection: sa.Connection, application: Application) -> None:
    made = accounts.add_secret(connection, application.client_id, NOW, timedelta(days=7))
    check = lambda when: accounts.verify_secret(connection, application.client_id, made.secret, when)  # noqa: E731
    assert check(NOW + 7 * DAY - timedelta(seconds=1)) is SecretCheck.VALID
    assert check(NOW + 7 * DAY) is SecretCheck.EXPIRED
    assert accounts.add_secret(connection, application.client_id, NOW).expires_at == NOW + 730 * DAY


def test_several_secrets_count_side_by_side_and_go_one_by_one(
    connection: sa.Connection, application: Application
) -> None:
    old, new = (accounts.add_secret(connection, application.client_id, NOW) for _ in range(2))
    check = lambda made: accounts.verify_secret(connection, application.client_id, made.secret, NOW)  # noqa: E731
    assert check(old) is check(new) is SecretCheck.VALID
    assert accounts.remove_secret(connection, application.client_id, old.id)
    assert (check(old), check(new)) == (SecretCheck.WRONG, SecretCheck.VALID)
    assert not accounts.remove_secret(connection, application.client_id, old.id)


def test_nobodys_secret_and_anothers_secret_are_wrong(
    connection: sa.Connection, account: Account, application: Application
) -> None:
    other = accounts.create_application(connection, account.id, "other", [], NOW)
    made = accounts.add_secret(connection, other.client_id, NOW)
    for client_id, secret in ((application.client_id, made.secret), ("nobody", made.secret), (other.client_id, "")):
        assert accounts.verify_secret(connection, client_id, secret, NOW) is SecretCheck.WRONG
    with pytest.raises(AccountError, match="no application"):
        accounts.add_secret(connection, "nobody", NOW)


def test_an_application_certificate_is_registered_once_and_found(
    connection: sa.Connection, application: Application, certify: Certify
) -> None:
    certificate = certify(purpose=None, signs=None)
    thumbprint = accounts.add_application_certificate(connection, application.client_id, certificate, NOW)
    assert thumbprint == certificate.fingerprint(hashes.SHA256()).hex()
    accounts.add_application_certificate(connection, application.client_id, certificate, NOW)
    assert accounts.certificates_of(connection, application.client_id) == [certificate]
    assert accounts.remove_application_certificate(connection, application.client_id, thumbprint.upper())
    assert accounts.certificates_of(connection, application.client_id) == []


def test_an_application_certificate_must_be_rsa_and_current(
    connection: sa.Connection, application: Application, certify: Certify
) -> None:
    unfit = certify(key=ec.generate_private_key(ec.SECP256R1()), end=NOW - timedelta(hours=1))
    with pytest.raises(CertificateRefused) as caught:
        accounts.add_application_certificate(connection, application.client_id, unfit, NOW)
    assert len(caught.value.findings) == 2


@pytest.mark.parametrize(("ev", "kind"), [(True, "ev"), (False, "standard")])
def test_the_policy_tells_ev_certificates(
    connection: sa.Connection, account: Account, certify: Certify, ev: bool, kind: str
) -> None:
    certificate = certify(ev=ev)
    made = accounts.add_signing_certificate(connection, account.id, certificate, NOW)
    assert (made.kind, made.subject) == (kind, "O=Contoso Ltd")
    assert made.not_after == certificate.not_valid_after_utc
    assert accounts.has_valid_ev_certificate(connection, account.id, NOW) is ev
    assert not accounts.has_valid_ev_certificate(connection, account.id, NOW + 366 * DAY)


def test_signing_certificates_are_listed_found_and_retired(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    first = accounts.add_signing_certificate(connection, account.id, certify(), NOW)
    second = accounts.add_signing_certificate(connection, account.id, certify(ev=True), NOW + DAY)
    assert accounts.signing_certificates_of(connection, account.id) == [first, second]
    assert accounts.signing_certificate(connection, account.id, second.thumbprint.upper()) == second
    assert accounts.signing_certificate(connection, account.id + 1, second.thumbprint) is None
    assert accounts.remove_signing_certificate(connection, account.id, first.thumbprint)
    assert accounts.signing_certificates_of(connection, account.id) == [second]
    assert not accounts.remove_signing_certificate(connection, account.id, first.thumbprint)


def test_registering_again_changes_nothing(connection: sa.Connection, account: Account, certify: Certify) -> None:
    certificate = certify()
    first = accounts.add_signing_certificate(connection, account.id, certificate, NOW)
    assert accounts.add_signing_certificate(connection, account.id, certificate, NOW + DAY) == first


def test_two_accounts_may_register_one_certificate(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    other = accounts.create_account(connection, "Fabrikam", NOW)
    certificate = certify()
    one = accounts.add_signing_certificate(connection, account.id, certificate, NOW)
    two = accounts.add_signing_certificate(connection, other.id, certificate, NOW)
    assert one.thumbprint == two.thumbprint


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_certificates_are_accepted(connection: sa.Connection, account: Account, certify: Certify, curve) -> None:
    accounts.add_signing_certificate(connection, account.id, certify(key=ec.generate_private_key(curve)), NOW)


def test_a_certificate_without_key_usage_is_not_restricted(
    connection: sa.Connection, account: Account, certify: Certify
) -> None:
    """RFC 5280 4.2.1.3."""
    accounts.add_signing_certificate(connection, account.id, certify(signs=None), NOW)


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
        accounts.add_signing_certificate(connection, account.id, certify(**options), NOW)
    assert len(caught.value.findings) == 1
    assert accounts.signing_certificates_of(connection, account.id) == []


def test_a_sha1_certificate_is_refused(connection: sa.Connection, account: Account, tmp_path: Path) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -sha1 -days 9999 -subj /O=x -addext extendedKeyUsage=codeSigning"
    run_openssl(f"{command} -keyout {tmp_path}/k -out {tmp_path}/c")
    certificate = x509.load_pem_x509_certificate((tmp_path / "c").read_bytes())
    with pytest.raises(CertificateRefused, match="sha1; only SHA-2"):
        accounts.add_signing_certificate(connection, account.id, certificate, certificate.not_valid_before_utc + DAY)


def test_extensions_that_cannot_be_read_are_a_finding(
    connection: sa.Connection, account: Account, tmp_path: Path
) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -days 9999 -subj /O=x -addext extendedKeyUsage=DER:0400"
    run_openssl(f"{command} -keyout {tmp_path}/k -out {tmp_path}/c")
    certificate = x509.load_pem_x509_certificate((tmp_path / "c").read_bytes())
    with pytest.raises(CertificateRefused, match="cannot be read"):
        accounts.add_signing_certificate(connection, account.id, certificate, certificate.not_valid_before_utc + DAY)


def test_every_finding_comes_at_once(connection: sa.Connection, account: Account, certify: Certify) -> None:
    weak = certify(key=rsa.generate_private_key(65537, 1024), end=NOW - timedelta(hours=1), purpose=None, signs=False)
    with pytest.raises(CertificateRefused) as caught:
        accounts.add_signing_certificate(connection, account.id, weak, NOW)
    assert len(caught.value.findings) == 4


def test_a_certificate_of_an_unknown_account_is_refused(connection: sa.Connection, certify: Certify) -> None:
    with pytest.raises(AccountError, match="no account 1"):
        accounts.add_signing_certificate(connection, 1, certify(), NOW)
