"""Each prerequisite of the API (contract/api.md 1.2, 8; dashboard.md 2, 3, 10) and its own refusal: 403 with the
functional envelope, never 401, and gone with the next request once the piece is there.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hwdash.clock import system_clock
from hwdash.conformance import target as conformance
from hwdash.conformance.outcome import Result
from hwdash.conformance.rows import ROWS
from hwdash.conformance.stage import Stage
from hwdash.conformance.suite import run
from hwdash.conformance.target import Target
from hwdash.domain.access import AccountStatus
from hwdash.settings import load_settings
from hwdash.storage import accounts, agreements, certificates, users
from hwdash.storage.accounts import Account, Application
from hwdash.storage.database import Database
from hwdash.vocabulary import FIRST_ROLES, Role
from service import API, X64, ApiClient, Served, new_vendor, signed_cabinet

PRODUCT = {"productName": "P", "testHarness": "Attestation", "requestedSignatures": [X64]}


@dataclass
class Caller:
    """An application of an account of its own that has everything but an EV certificate."""

    database: Database
    account: Account
    application: Application
    secret: str
    client: ApiClient

    @property
    def http(self) -> httpx.Client:
        return self.client.http

    def forbidden(self, method: str = "GET", path: str = f"{API}/products", body: object = None) -> str:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == 403, answer.text
        assert "WWW-Authenticate" not in answer.headers
        error = answer.json()["error"]
        assert (error["code"], error["validationErrors"]) == ("forbidden", [])
        assert error["requestId"] == answer.headers["MS-RequestId"]
        return str(error["message"])

    def is_let_in(self) -> bool:
        return self.http.get(f"{API}/products").status_code == 200


@contextmanager
def _database(service: Served) -> Iterator[Database]:
    settings = {name: value for name, value in service.made.environment.items() if name.startswith("HWDASH_")}
    with closing(Database(load_settings(service.made.data, settings).database)) as database:
        yield database


@pytest.fixture
def caller(service: Served) -> Iterator[Caller]:
    now = system_clock()
    with _database(service) as database:
        with database.writing() as connection:
            account = accounts.create_account(connection, "A vendor", now)
            application = accounts.create_application(connection, account.id, "CI", FIRST_ROLES, now)
            secret = accounts.add_secret(connection, application.client_id, now).secret
        ca = service.made.credentials["caCertificate"]
        client = ApiClient(service.url, ca, account.tenant_id, application.client_id, secret)
        with closing(client.http):
            yield Caller(database, account, application, secret, client)


def test_with_everything_it_is_let_in(caller: Caller) -> None:
    assert caller.is_let_in()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (AccountStatus.PENDING, "is not enrolled in the hardware programme yet"),
        (AccountStatus.SUSPENDED, "is suspended"),
    ],
)
def test_the_account_must_be_enrolled(caller: Caller, status: AccountStatus, message: str) -> None:
    with caller.database.writing() as connection:
        accounts.set_status(connection, caller.account.id, status)
    assert f"The account {caller.account.id} {message}" in caller.forbidden()
    with caller.database.writing() as connection:
        accounts.set_status(connection, caller.account.id, AccountStatus.ENROLLED)
    assert caller.is_let_in()


def test_every_published_agreement_must_be_signed_in_its_version(caller: Caller) -> None:
    now = system_clock()
    with caller.database.writing() as connection:
        signer = users.create_user(
            connection, caller.account.id, "legal@vendor.example", "L", [Role.LEGAL_AGREEMENT_SIGNER], now
        ).user
    try:
        for version in ("1.0", "2.0"):
            with caller.database.writing() as connection:
                agreements.publish_agreement(connection, "Code Signing", version, now)
            assert f"The account has not signed Code Signing {version}." in caller.forbidden()
            with caller.database.writing() as connection:
                agreements.sign_agreement(connection, "Code Signing", signer, now)
            assert caller.is_let_in()
    finally:
        # The service is shared with other tests.
        with caller.database.writing() as connection:
            agreements.withdraw_agreement(connection, "Code Signing")


def test_a_disabled_application_is_refused_until_it_is_enabled(caller: Caller) -> None:
    for disabled in (True, False):
        with caller.database.writing() as connection:
            accounts.set_application_disabled(connection, caller.application.client_id, disabled=disabled)
        if disabled:
            assert caller.forbidden().startswith("The application is disabled.")
    assert caller.is_let_in()


def test_an_application_whose_association_ended_is_refused(caller: Caller) -> None:
    with caller.database.writing() as connection:
        accounts.remove_application(connection, caller.application.client_id)
    assert "is not associated with an account" in caller.forbidden()


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ([], "does not hold the Manager role"),
        ([Role.DRIVER_SUBMITTER, Role.SHIPPING_LABEL_OWNER], "does not hold the Manager role"),
        ([Role.MANAGER], "holds no hardware role"),
    ],
)
def test_the_roles_of_an_application(caller: Caller, roles: list[Role], message: str) -> None:
    with caller.database.writing() as connection:
        accounts.set_roles(connection, caller.application.client_id, roles)
    assert message in caller.forbidden()


def test_the_wrong_hardware_role_is_told_which_one_it_takes(caller: Caller) -> None:
    with caller.database.writing() as connection:
        accounts.set_roles(connection, caller.application.client_id, [Role.MANAGER, Role.REPORT_REVIEWER])
    assert caller.is_let_in()
    message = caller.forbidden("POST", f"{API}/products", PRODUCT)
    assert message == "This request needs the role Administrator or Driver Submitter or System Submitter."


def test_a_commit_needs_a_valid_ev_certificate_and_burns_nothing_without(caller: Caller, tmp_path: Path) -> None:
    """contract/dashboard.md 10: registered and valid at submission time."""
    vendor = new_vendor()
    submission = caller.client.create_submission(caller.client.create_product()["id"])
    assert caller.client.upload(submission, signed_cabinet(tmp_path, vendor)).status_code == 201
    commit = f"{API}/products/{submission['productId']}/submissions/{submission['id']}/commit"
    assert "no registered EV certificate that is valid today" in caller.forbidden("POST", commit)
    assert caller.client.get_submission(submission)["commitStatus"] == "commitPending"
    with caller.database.writing() as connection:
        certificates.add_signing_certificate(connection, caller.account.id, vendor.chain[0], system_clock())
    assert caller.client.commit(submission).status_code == 202


def test_the_conformance_suite_calls_no_row_a_failure_for_want_of_a_certificate(
    caller: Caller, service: Served, tmp_path: Path
) -> None:
    target = Target(
        service.url,
        service.url,
        conformance.Application(caller.account.tenant_id, caller.application.client_id, caller.secret),
        stranger=signed_cabinet(tmp_path, new_vendor()),
        ca=service.made.credentials["caCertificate"],
    )
    stage = Stage(target)
    (found,) = run(stage, [row for row in ROWS if row.id == "observed-12-unregistered-certificate"])
    stage.close()
    assert (found.result, "EV certificate" in found.why) == (Result.NOT_APPLICABLE, True)
