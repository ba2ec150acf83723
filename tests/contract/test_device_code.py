"""Sign-in of people: the real Azure library as the terminal, plain HTTP as the browser, and all that is refused."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import msal
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DeviceCodeCredential

from hwdash.server.tokens import RESOURCE, TokenRejected
from hwdash.storage import users
from hwdash.storage.principals import find_principal
from hwdash.storage.users import NewUser
from hwdash.vocabulary import COMMAND_LINE_CLIENT_ID, Role
from token_service import SCOPE, Service, no_other_trust, running

__all__ = ["no_other_trust"]  # a fixture

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PASSWORD = "correct horse battery"
LOGIN = "ada@contoso.example"


class MovableClock:
    """The real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.added = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.added


@pytest.fixture(scope="module")
def movable() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="module")
def at_any_time(tmp_path_factory: pytest.TempPathFactory, movable: MovableClock) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), clock=movable) as started:
        yield started


@pytest.fixture
def clock(movable: MovableClock) -> MovableClock:
    """An hour after the test before: what was limited then is not now."""
    movable.added += timedelta(hours=1)
    return movable


@pytest.fixture
def service(at_any_time: Service, clock: MovableClock) -> Service:
    return at_any_time


@pytest.fixture(scope="module")
def now_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """At the real time, which the real libraries know."""
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


def new_person(service: Service, now: datetime) -> NewUser:
    """Ada, made anew: whatever a test before did to her is forgotten."""
    account_id = service.application.account_id
    with service.database.writing() as connection:
        if (known := users.user_of_login(connection, account_id, LOGIN)) is not None:
            users.remove_user(connection, known.id)
        made = users.create_user(connection, account_id, LOGIN, "Ada", [Role.DRIVER_SUBMITTER], now)
        users.choose_password(connection, made.user, PASSWORD)
    return made


@pytest.fixture
def ada(service: Service, clock: MovableClock) -> NewUser:
    return new_person(service, clock())


@pytest.fixture
def ada_now(now_service: Service) -> NewUser:
    return new_person(now_service, datetime.now(UTC))


def begin(service: Service, **changes: str) -> dict[str, str]:
    fields = {"client_id": COMMAND_LINE_CLIENT_ID, "scope": f"{SCOPE} offline_access", **changes}
    answer = service.post(fields, "oauth2/v2.0/devicecode")
    assert answer.status_code == 200, answer.text
    return answer.json()


def poll(service: Service, device_code: str, **changes: str) -> httpx.Response:
    fields = {"grant_type": GRANT, "client_id": COMMAND_LINE_CLIENT_ID, "device_code": device_code, **changes}
    return service.post(fields, "oauth2/v2.0/token")


def refresh(service: Service, token: str) -> httpx.Response:
    fields = {"grant_type": "refresh_token", "client_id": COMMAND_LINE_CLIENT_ID, "refresh_token": token}
    return service.post(fields, "oauth2/v2.0/token")


def error(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


def enter(service: Service, code: str, password: str = PASSWORD, **changes: str) -> httpx.Response:
    """What a browser does with the page."""
    page = service.http.get("/devicelogin")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    fields = {"csrf": token[1], "code": code, "login": LOGIN, "password": password, "answer": "allow", **changes}
    return service.http.post("/devicelogin", data=fields)


def signed_in(service: Service) -> dict[str, str]:
    begun = begin(service)
    assert enter(service, begun["user_code"]).status_code == 200
    answer = poll(service, begun["device_code"])
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_azure_identity_signs_a_person_in(now_service: Service, ada_now: NewUser) -> None:
    seen: list[str] = []

    def prompt(uri: str, code: str, _expires: datetime) -> None:
        seen.append(uri)
        assert enter(now_service, code).status_code == 200

    with DeviceCodeCredential(
        COMMAND_LINE_CLIENT_ID,
        tenant_id=now_service.tenant,
        authority=now_service.url,
        disable_instance_discovery=True,
        connection_verify=now_service.ca,
        prompt_callback=prompt,
    ) as credential:
        token = credential.get_token(SCOPE).token
        assert credential.get_token(SCOPE).token == token
    assert seen == [f"{now_service.url}/devicelogin"]
    caller = now_service.issuer.verify(token)
    assert (caller.principal, caller.client_id, caller.tenant_id) == (
        ada_now.user.id,
        COMMAND_LINE_CLIENT_ID,
        now_service.tenant,
    )


def test_msal_refreshes_a_sign_in_without_the_person(now_service: Service, ada_now: NewUser) -> None:
    application = msal.PublicClientApplication(
        COMMAND_LINE_CLIENT_ID,
        authority=f"{now_service.url}/{now_service.tenant}",
        instance_discovery=False,
        verify=now_service.ca,
    )
    flow = application.initiate_device_flow([SCOPE])
    assert enter(now_service, flow["user_code"]).status_code == 200
    first = application.acquire_token_by_device_flow(flow)
    assert first["id_token_claims"]["preferred_username"] == LOGIN
    (account,) = application.get_accounts()
    again = application.acquire_token_silent([SCOPE], account, force_refresh=True)
    assert again["access_token"] != first["access_token"]
    assert now_service.issuer.verify(again["access_token"]).principal == ada_now.user.id


def test_azure_identity_is_told_when_the_person_says_no(now_service: Service, ada_now: NewUser) -> None:
    def prompt(_uri: str, code: str, _expires: datetime) -> None:
        assert "refused" in enter(now_service, code, answer="deny", login="", password="").text

    with (
        DeviceCodeCredential(
            COMMAND_LINE_CLIENT_ID,
            tenant_id=now_service.tenant,
            authority=now_service.url,
            disable_instance_discovery=True,
            connection_verify=now_service.ca,
            prompt_callback=prompt,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS65004"),
    ):
        credential.get_token(SCOPE)


def test_v1_has_its_own_names(service: Service, ada: NewUser) -> None:
    begun = service.post({"client_id": COMMAND_LINE_CLIENT_ID, "resource": RESOURCE}, "oauth2/devicecode").json()
    assert begun["verification_url"] == f"{service.url}/devicelogin"
    assert (begun["expires_in"], begun["interval"]) == ("900", "5")
    enter(service, begun["user_code"])
    fields = {"grant_type": GRANT, "client_id": COMMAND_LINE_CLIENT_ID, "code": begun["device_code"]}
    answer = service.post(fields, "oauth2/token").json()
    assert answer["resource"] == RESOURCE
    assert service.issuer.verify(answer["access_token"]).principal == ada.user.id


def test_the_terminal_is_told_how_the_sign_in_stands(service: Service, ada: NewUser, clock: MovableClock) -> None:
    begun = begin(service)
    assert error(poll(service, begun["device_code"])) == "authorization_pending"
    assert error(poll(service, begun["device_code"])) == "slow_down"
    clock.added += timedelta(seconds=6)
    assert error(poll(service, begun["device_code"])) == "authorization_pending"
    enter(service, begun["user_code"])
    clock.added += timedelta(seconds=6)
    assert poll(service, begun["device_code"]).status_code == 200
    assert error(poll(service, begun["device_code"])) == "invalid_grant"  # it counts once
    assert error(poll(service, "nonsense")) == "invalid_grant"
    late = begin(service)
    clock.added += timedelta(minutes=15)
    assert "has ended" in enter(service, late["user_code"]).text
    assert error(poll(service, late["device_code"])) == "expired_token"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"client_id": "f47ac10b-58cc-4372-a567-0e02b2c3d479"}, "unauthorized_client"),
        ({"client_id": ""}, "invalid_request"),
    ],
)
def test_a_wrong_request_for_the_token(service: Service, changes: dict[str, str], wanted: str) -> None:
    assert error(poll(service, "x", **changes)) == wanted
    assert error(poll(service, "")) == "invalid_request"


def test_the_page_needs_no_script_and_takes_nothing_from_elsewhere(service: Service) -> None:
    page = service.http.get("/devicelogin")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    for absent in ("<script", "http:", "https:", "<img", "<link"):
        assert absent not in page.text
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-hwdash-sign-in=")
    for flag in ("HttpOnly", "Secure", "SameSite=strict"):
        assert flag in cookie


@pytest.mark.parametrize("token", ["", "another", "\N{GRINNING FACE}"])
def test_a_forged_form_is_refused(service: Service, ada: NewUser, token: str) -> None:
    begun = begin(service)
    assert enter(service, begun["user_code"], csrf=token).status_code == 403
    assert error(poll(service, begun["device_code"])) == "authorization_pending"


def test_what_a_person_typed_is_shown_as_text(service: Service, ada: NewUser) -> None:
    begun = begin(service)
    answer = enter(service, begun["user_code"], login='"><script>alert(1)</script>')
    assert answer.status_code == 400
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert PASSWORD not in answer.text


def test_a_code_is_read_in_any_case_and_with_any_dashes(service: Service, ada: NewUser) -> None:
    begun = begin(service)
    assert enter(service, f" {begun['user_code'].lower().replace('-', ' ')} ").status_code == 200


def test_a_wrong_password_an_unknown_name_and_a_barred_person_are_answered_alike(
    service: Service, ada: NewUser
) -> None:
    begun = begin(service)
    answers = [enter(service, begun["user_code"], "wrong"), enter(service, begun["user_code"], login="nobody")]
    with service.database.writing() as connection:
        users.set_user_disabled(connection, ada.user.id, disabled=True)
    answers.append(enter(service, begun["user_code"]))
    alerts = {re.search(r'role="alert">([^<]+)', each.text)[1] for each in answers}  # type: ignore[index]
    assert len(alerts) == 1
    assert {each.status_code for each in answers} == {400}


def test_wrong_passwords_lock_the_person_for_a_while(service: Service, ada: NewUser, clock: MovableClock) -> None:
    begun = begin(service)
    for _ in range(5):
        assert enter(service, begun["user_code"], "wrong").status_code == 400
    assert enter(service, begun["user_code"]).status_code == 400  # the right one, too early
    clock.added += timedelta(seconds=31)
    assert enter(service, begun["user_code"]).status_code == 200


def test_ten_wrong_passwords_end_a_code(service: Service, ada: NewUser) -> None:
    begun = begin(service)
    for _ in range(10):
        enter(service, begun["user_code"], "wrong", login="nobody")
    assert "The code is wrong" in enter(service, begun["user_code"]).text
    assert error(poll(service, begun["device_code"])) == "access_denied"


def test_guesses_at_codes_are_limited(service: Service, clock: MovableClock) -> None:
    for _ in range(30):
        assert enter(service, "BBBB-BBBB").status_code == 400
    assert enter(service, "BBBB-BBBB").status_code == 429
    clock.added += timedelta(minutes=15)
    assert enter(service, "BBBB-BBBB").status_code == 400


def test_a_one_time_password_is_exchanged_at_the_first_sign_in(
    service: Service, ada: NewUser, clock: MovableClock
) -> None:
    with service.database.writing() as connection:
        once = users.reset_password(connection, ada.user.id, clock())
    begun = begin(service)
    assert "Choose a password" in enter(service, begun["user_code"], once).text
    new = "another long password"
    assert "differ" in enter(service, begun["user_code"], once, new_password=new, new_password_again="x").text
    short = enter(service, begun["user_code"], once, new_password="short", new_password_again="short").text
    assert "12 characters or more" in short
    assert enter(service, begun["user_code"], once, new_password=new, new_password_again=new).status_code == 200
    second = begin(service)
    assert enter(service, second["user_code"], once).status_code == 400
    assert enter(service, second["user_code"], new).status_code == 200


def test_a_one_time_password_ends_after_a_week(service: Service, ada: NewUser, clock: MovableClock) -> None:
    with service.database.writing() as connection:
        once = users.reset_password(connection, ada.user.id, clock())
    clock.added += timedelta(days=7)
    assert "is wrong" in enter(service, begin(service)["user_code"], once).text


def test_a_refresh_token_counts_once_and_a_spent_one_ends_the_sign_in(service: Service, ada: NewUser) -> None:
    first = signed_in(service)["refresh_token"]
    second = refresh(service, first).json()["refresh_token"]
    third = refresh(service, second).json()["refresh_token"]
    other = signed_in(service)["refresh_token"]
    assert error(refresh(service, first)) == "invalid_grant"
    assert error(refresh(service, third)) == "invalid_grant"
    assert refresh(service, other).status_code == 200  # another sign-in goes on


def test_of_two_uses_at_once_one_counts(service: Service, ada: NewUser) -> None:
    token = signed_in(service)["refresh_token"]
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(refresh(service, token).status_code)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 400, 400, 400]


def test_a_refresh_token_ends_with_time_revocation_and_the_person(
    service: Service, ada: NewUser, clock: MovableClock
) -> None:
    token = signed_in(service)["refresh_token"]
    assert service.post({"token": token}, "oauth2/v2.0/revoke").status_code == 200
    assert error(refresh(service, token)) == "invalid_grant"
    token = signed_in(service)["refresh_token"]
    clock.added += timedelta(days=90)
    assert error(refresh(service, token)) == "invalid_grant"
    token = signed_in(service)["refresh_token"]
    with service.database.writing() as connection:
        users.set_user_disabled(connection, ada.user.id, disabled=True)
        users.set_user_disabled(connection, ada.user.id, disabled=False)
    assert error(refresh(service, token)) == "invalid_grant"


def test_codes_and_tokens_are_stored_as_hashes_only(service: Service, ada: NewUser) -> None:
    begun, answer = begin(service), signed_in(service)
    with service.database.reading() as connection:
        stored = json.dumps(
            [
                [str(value) for value in row]
                for table in ("device_codes", "refresh_tokens", "users")
                for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
            ]
        )
    for secret in (begun["device_code"], begun["user_code"], answer["refresh_token"], PASSWORD):
        assert secret not in stored


def test_client_credentials_give_no_refresh_token(service: Service) -> None:
    assert "refresh_token" not in service.post(service.form()).json()


def test_an_id_token_opens_nothing(service: Service, ada: NewUser) -> None:
    with pytest.raises(TokenRejected, match="names no application"):
        service.issuer.verify(signed_in(service)["id_token"])


def test_a_persons_roles_are_read_at_each_request(service: Service, ada: NewUser) -> None:
    caller = service.issuer.verify(signed_in(service)["access_token"])
    with service.database.writing() as connection:
        users.set_user_roles(connection, ada.user.id, [Role.REPORT_REVIEWER])
        found = find_principal(connection, caller.principal, caller.tenant_id)
    assert found is not None
    assert found.roles == ("Report Reviewer",)
