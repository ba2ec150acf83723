from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hwdash.domain.access import AccountStatus
from hwdash.storage import accounts
from hwdash.storage.accounts import Account, AccountError, Application, SecretCheck
from hwdash.storage.database import Database
from hwdash.storage.tables import application_secrets

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


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


def test_rotation_leaves_the_old_secrets_a_grace_period_and_no_more(
    connection: sa.Connection, application: Application
) -> None:
    short = accounts.add_secret(connection, application.client_id, NOW, DAY)
    old = accounts.add_secret(connection, application.client_id, NOW)
    new = accounts.rotate_secret(connection, application.client_id, NOW, grace=3 * DAY)
    check = lambda made, when: accounts.verify_secret(connection, application.client_id, made.secret, when)  # noqa: E731
    assert check(old, NOW + 2 * DAY) is check(new, NOW + 2 * DAY) is SecretCheck.VALID
    assert check(short, NOW + 2 * DAY) is SecretCheck.EXPIRED  # as it would have
    assert check(old, NOW + 3 * DAY) is SecretCheck.EXPIRED
    assert check(new, NOW + 3 * DAY) is SecretCheck.VALID
    accounts.rotate_secret(connection, application.client_id, NOW + 4 * DAY, grace=timedelta(0))
    assert check(new, NOW + 4 * DAY) is SecretCheck.EXPIRED
    ends = [each.expires_at for each in accounts.secrets_of(connection, application.client_id)]
    assert sorted(ends) == [NOW + DAY, NOW + 3 * DAY, NOW + 4 * DAY, NOW + 734 * DAY]


def test_an_application_that_is_removed_takes_its_secrets_with_it(
    connection: sa.Connection, application: Application
) -> None:
    made = accounts.add_secret(connection, application.client_id, NOW)
    accounts.remove_application(connection, application.client_id.upper())
    assert accounts.application(connection, application.client_id) is None
    assert connection.execute(sa.select(application_secrets)).all() == []
    assert accounts.verify_secret(connection, application.client_id, made.secret, NOW) is SecretCheck.WRONG
    with pytest.raises(AccountError, match="no application"):
        accounts.remove_application(connection, application.client_id)


def test_an_application_is_disabled_and_enabled(connection: sa.Connection, application: Application) -> None:
    for disabled in (True, False):
        accounts.set_application_disabled(connection, application.client_id, disabled=disabled)
        found = accounts.application(connection, application.client_id)
        assert found is not None
        assert found.is_disabled is disabled


def test_an_account_has_a_status(connection: sa.Connection, account: Account) -> None:
    assert account.status is AccountStatus.ENROLLED
    pending = accounts.create_account(connection, "Later", NOW, status=AccountStatus.PENDING)
    assert accounts.account(connection, pending.id) == pending
    accounts.set_status(connection, pending.id, AccountStatus.SUSPENDED)
    assert [each.status for each in accounts.all_accounts(connection)] in (
        [AccountStatus.ENROLLED, AccountStatus.SUSPENDED],
        [AccountStatus.SUSPENDED, AccountStatus.ENROLLED],
    )
    with pytest.raises(AccountError, match="no account 1"):
        accounts.set_status(connection, 1, AccountStatus.ENROLLED)
