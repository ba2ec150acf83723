import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hwdash.storage import accounts, agreements, users
from hwdash.storage.accounts import AccountError
from hwdash.storage.database import Database
from hwdash.storage.passwords import hash_password, password_findings, password_matches
from hwdash.storage.principals import find_principal, unsigned_agreements
from hwdash.storage.users import NewUser
from hwdash.vocabulary import Role

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CHOSEN = "correct horse battery"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    with database.writing() as transaction:
        yield transaction
    database.close()


@pytest.fixture
def made(connection: sa.Connection) -> NewUser:
    account = accounts.create_account(connection, "Contoso Ltd", NOW)
    return users.create_user(connection, account.id, "Ada@Contoso.example", "Ada", [Role.DRIVER_SUBMITTER], NOW)


def test_a_person_begins_with_a_one_time_password_that_is_shown_once(connection: sa.Connection, made: NewUser) -> None:
    assert made.user.login == "ada@contoso.example"
    assert made.one_time_password not in repr(made)
    found = users.user_of_login(connection, made.user.account_id, "ADA@contoso.example ")
    assert found == made.user == users.user(connection, made.user.id)
    assert made.one_time_password not in found.password
    assert found.password.startswith("scrypt$32768$8$1$")
    assert password_matches(made.one_time_password, found.password)
    assert found.one_time_until == NOW + timedelta(days=7)


@pytest.mark.parametrize("login", ["", " ", "a b", "x" * 201, "a\0b"])
def test_a_login_that_is_none_is_refused(connection: sa.Connection, made: NewUser, login: str) -> None:
    with pytest.raises(AccountError, match="the login must be"):
        users.create_user(connection, made.user.account_id, login, "x", [], NOW)


def test_a_login_is_one_persons_in_an_account(connection: sa.Connection, made: NewUser) -> None:
    with pytest.raises(AccountError, match=r"has a user ada@contoso\.example already"):
        users.create_user(connection, made.user.account_id, "ADA@contoso.example", "x", [], NOW)
    other = accounts.create_account(connection, "Fabrikam", NOW)
    users.create_user(connection, other.id, "ada@contoso.example", "another", [], NOW)
    with pytest.raises(AccountError, match="no account 1"):
        users.create_user(connection, 1, "ada", "x", [], NOW)


def test_a_chosen_password_takes_the_place_of_the_one_time_one(connection: sa.Connection, made: NewUser) -> None:
    users.choose_password(connection, made.user, CHOSEN)
    found = users.user(connection, made.user.id)
    assert found is not None
    assert found.one_time_until is None
    assert password_matches(CHOSEN, found.password)
    assert not password_matches(made.one_time_password, found.password)
    again = users.reset_password(connection, made.user.id, NOW)
    found = users.user(connection, made.user.id)
    assert found is not None
    assert found.one_time_until == NOW + timedelta(days=7)
    assert password_matches(again, found.password)


def test_every_reason_against_a_password_is_told(connection: sa.Connection, made: NewUser) -> None:
    assert password_findings(CHOSEN, "ada") == []
    assert len(password_findings("aaa", "a")) == 3
    assert "256 characters or fewer" in password_findings("abcde" * 60, "x")[0]
    person = dataclasses.replace(made.user, login="ada")
    with pytest.raises(AccountError, match=r"12 characters or more; it must not contain the name"):
        users.choose_password(connection, person, "ada-bcdef")


def test_passwords_are_salted_and_compared_in_one_unicode_form() -> None:
    first, second = hash_password("ÅngströmÅngström"), hash_password("ÅngströmÅngström")
    assert first != second
    assert password_matches("A\u030angstro\u0308mA\u030angstro\u0308m", first)
    assert not password_matches("x", first)
    assert not password_matches("", None)
    assert not password_matches("\ud800", first)


def test_wrong_passwords_lock_a_person_for_longer_and_longer(connection: sa.Connection, made: NewUser) -> None:
    locks, now = [], NOW
    for _ in range(12):
        assert users.count_attempt(connection, made.user.id, now)
        person = users.user(connection, made.user.id)
        assert person is not None
        if person.locked_until is None:
            locks.append(0)
            continue
        locks.append(int((person.locked_until - now).total_seconds()))
        assert not users.count_attempt(connection, made.user.id, person.locked_until - timedelta(seconds=1))
        now = person.locked_until
    assert locks == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]
    users.note_success(connection, made.user.id)
    person = users.user(connection, made.user.id)
    assert person is not None
    assert (person.failures, person.locked_until) == (0, None)


def test_a_person_is_a_principal_of_their_own_tenant_only(connection: sa.Connection, made: NewUser) -> None:
    owner = accounts.account(connection, made.user.account_id)
    assert owner is not None
    found = find_principal(connection, made.user.id, owner.tenant_id)
    assert found is not None
    assert (found.is_person, found.account_id, found.roles) == (True, owner.id, ("Driver Submitter",))
    other = accounts.create_account(connection, "Fabrikam", NOW)
    assert find_principal(connection, made.user.id, other.tenant_id) is None
    users.remove_user(connection, made.user.id)
    assert find_principal(connection, made.user.id, owner.tenant_id) is None


def test_agreements_are_signed_by_those_who_may_and_anew_for_each_version(
    connection: sa.Connection, made: NewUser
) -> None:
    account_id = made.user.account_id
    assert unsigned_agreements(connection, account_id) == []
    agreements.publish_agreement(connection, "Code Signing", "1.0", NOW)
    agreements.publish_agreement(connection, "Analytics", "2.0", NOW)
    assert unsigned_agreements(connection, account_id) == ["Analytics 2.0", "Code Signing 1.0"]
    with pytest.raises(AccountError, match="may not sign for account"):
        agreements.sign_agreement(connection, "Analytics", made.user, NOW)
    signer = users.create_user(connection, account_id, "legal", "Legal", [Role.LEGAL_AGREEMENT_SIGNER], NOW).user
    with pytest.raises(AccountError, match="no agreement 'Marks'; there are: Analytics, Code Signing"):
        agreements.sign_agreement(connection, "Marks", signer, NOW)
    signed = agreements.sign_agreement(connection, "Code Signing", signer, NOW)
    assert (signed.signed_by, signed.signed_by_name, signed.version) == (signer.id, "Legal", "1.0")
    assert agreements.sign_agreement(connection, "Code Signing", signer, NOW + timedelta(1)) == signed
    assert unsigned_agreements(connection, account_id) == ["Analytics 2.0"]
    agreements.publish_agreement(connection, "Code Signing", "1.1", NOW)
    assert unsigned_agreements(connection, account_id) == ["Analytics 2.0", "Code Signing 1.1"]
    users.remove_user(connection, signer.id)
    assert agreements.signed_by_account(connection, account_id) == [signed]
    assert agreements.withdraw_agreement(connection, "Analytics")
    assert not agreements.withdraw_agreement(connection, "Analytics")
