"""Sign-in as clients do it: the real Azure libraries against the real endpoints over TLS, each error by plain HTTP."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import msal
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientAssertionCredential, ClientSecretCredential
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from joserfc import jwt
from joserfc.jwk import KeySet

from hwdash.clock import system_clock
from hwdash.server.tokens import RESOURCE
from hwdash.storage import accounts, certificates
from token_service import NOBODY, SCOPE, Service, no_other_trust, running, self_signed

__all__ = ["no_other_trust"]  # a fixture


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="module")
def pem(service: Service) -> bytes:
    key = service.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + service.certificate.public_bytes(Encoding.PEM)


def azure_options(service: Service) -> dict[str, object]:
    return {"authority": service.url, "disable_instance_discovery": True, "connection_verify": service.ca}


def claims_of(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def refused(response: httpx.Response, status: int, error: str, number: int) -> str:
    """Check an error against Entra's shape and give its description back."""
    assert response.status_code == status, response.text
    assert response.headers["Cache-Control"].startswith("no-store")
    body = response.json()
    assert (body["error"], body["error_codes"]) == (error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert body["trace_id"] in body["error_description"]
    assert body["correlation_id"] in body["error_description"]
    datetime.strptime(body["timestamp"], "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
    UUID(body["trace_id"])
    return body["error_description"]


# The real libraries


def test_azure_identity_signs_in_with_a_secret(service: Service) -> None:
    with ClientSecretCredential(
        service.tenant, service.client_id, service.secret, **azure_options(service)
    ) as credential:
        token = credential.get_token(SCOPE)
    caller = service.issuer.verify(token.token)
    assert (caller.client_id, caller.tenant_id) == (service.client_id, service.tenant)
    assert claims_of(token.token)["ver"] == "2.0"
    assert claims_of(token.token)["roles"] == ["Manager", "Driver Submitter"]
    assert 3500 < token.expires_on - datetime.now(UTC).timestamp() <= 3600


def test_azure_identity_reports_a_wrong_secret(service: Service) -> None:
    with (
        ClientSecretCredential(service.tenant, service.client_id, "wrong", **azure_options(service)) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(SCOPE)


@pytest.mark.parametrize("send_chain", [False, True])
def test_azure_identity_signs_in_with_a_certificate(service: Service, pem: bytes, send_chain: bool) -> None:
    with CertificateCredential(
        service.tenant,
        service.client_id,
        certificate_data=pem,
        send_certificate_chain=send_chain,
        **azure_options(service),
    ) as credential:
        token = credential.get_token(SCOPE)
    assert service.issuer.verify(token.token).client_id == service.client_id
    assert claims_of(token.token)["azpacr"] == "2"


def test_azure_identity_signs_in_with_an_assertion_of_the_callers(service: Service) -> None:
    with ClientAssertionCredential(
        service.tenant, service.client_id, service.assertion, **azure_options(service)
    ) as credential:
        assert service.issuer.verify(credential.get_token(SCOPE).token).tenant_id == service.tenant


def msal_application(service: Service, credential: object) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        service.client_id,
        client_credential=credential,
        authority=f"{service.url}/{service.tenant}",
        instance_discovery=False,
        verify=service.ca,
    )


def pfx(service: Service) -> bytes:
    return serialize_key_and_certificates(
        b"ci", service.key, service.certificate, None, BestAvailableEncryption(b"passphrase")
    )


def test_msal_signs_in_with_a_secret(service: Service) -> None:
    answer = msal_application(service, service.secret).acquire_token_for_client([SCOPE])
    assert service.issuer.verify(answer["access_token"]).client_id == service.client_id


@pytest.mark.parametrize("public", [False, True])
def test_msal_signs_in_with_a_pfx(service: Service, tmp_path: Path, public: bool) -> None:
    """With a PFX msal signs PS256 and names the certificate by x5t#S256, and by x5c on demand."""
    file = tmp_path / "ci.pfx"
    file.write_bytes(pfx(service))
    credential = {"private_key_pfx_path": str(file), "passphrase": "passphrase", "public_certificate": public}
    answer = msal_application(service, credential).acquire_token_for_client([SCOPE])
    assert service.issuer.verify(answer["access_token"]).client_id == service.client_id


def msal_with_certificate(service: Service, pem: bytes) -> msal.ConfidentialClientApplication:
    thumbprint = service.certificate.fingerprint(hashes.SHA1()).hex()
    return msal_application(service, {"private_key": pem.decode(), "thumbprint": thumbprint})


def test_msal_may_send_one_assertion_for_several_tokens(service: Service, pem: bytes) -> None:
    """It keeps an assertion for nine minutes: single use would break a client that forces a new token."""
    application = msal_with_certificate(service, pem)
    for scope in (SCOPE, f"{RESOURCE}//.default", f"{service.url}/.default"):
        assert "access_token" in application.acquire_token_for_client([scope])


def test_a_service_may_insist_on_single_use(tmp_path: Path) -> None:
    with running(tmp_path, single_use_assertions=True) as service:
        once = service.assertion()
        assert service.by_assertion(once).status_code == 200
        assert "used before" in refused(service.by_assertion(once), 401, "invalid_client", 700027)
        assert service.by_assertion(service.assertion()).status_code == 200


# The forms of contract/observed.md 5


def test_the_documented_v1_request_is_answered_as_entra_does(service: Service) -> None:
    response = service.post(service.form())
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store, no-cache"
    body = response.json()
    assert (body["token_type"], body["resource"]) == ("Bearer", RESOURCE)
    assert (body["expires_in"], body["ext_expires_in"]) == ("3599", "3599")
    assert int(body["expires_on"]) - int(body["not_before"]) == 3599
    assert claims_of(body["access_token"])["ver"] == "1.0"


def test_the_v2_answer_has_numbers(service: Service) -> None:
    body = service.post(service.form(resource=None, scope=SCOPE), "oauth2/v2.0/token").json()
    assert set(body) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert (body["expires_in"], body["ext_expires_in"]) == (3599, 3599)


@pytest.mark.parametrize("path", ["oauth2/token", "oauth2/v2.0/token"])
@pytest.mark.parametrize(
    "asked",
    [
        {"resource": RESOURCE},
        {"resource": f"{RESOURCE}/"},
        {"resource": None, "scope": SCOPE},
        {"resource": None, "scope": f"openid profile offline_access {SCOPE}"},
    ],
)
def test_either_endpoint_takes_resource_and_scope(service: Service, path: str, asked: dict[str, str | None]) -> None:
    token = service.post(service.form(**asked), path).json()["access_token"]
    assert service.issuer.verify(token).client_id == service.client_id


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded; charset=utf-8", "text/plain"])
def test_the_form_needs_no_content_type_and_no_escapes(service: Service, content_type: str | None) -> None:
    content = f"grant_type=client_credentials&client_id={service.client_id}&client_secret={service.secret}"
    request = service.http.build_request(
        "POST", f"/{service.tenant}/oauth2/token", content=f"{content}&resource={RESOURCE}".encode()
    )
    if content_type:
        request.headers["Content-Type"] = content_type
    assert service.http.send(request).status_code == 200


def test_guids_may_be_in_capitals(service: Service) -> None:
    response = service.post(service.form(client_id=service.client_id.upper()), tenant=service.tenant.upper())
    assert claims_of(response.json()["access_token"])["appid"] == service.client_id


def test_the_secret_may_come_by_http_basic(service: Service) -> None:
    fields = service.form(client_id=None, client_secret=None)
    assert service.post(fields, auth=(service.client_id, service.secret)).status_code == 200
    assert service.post(service.form(client_secret=None), auth=(service.client_id, service.secret)).status_code == 200
    response = service.post(fields, auth=(service.client_id, "wrong"))
    refused(response, 401, "invalid_client", 7000215)
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("value", ["Basic ?", "Basic bm90aGluZw==", "Basic /w==", "Basic b3RoZXI6c2VjcmV0"])
def test_a_broken_or_contradicting_basic_header_is_refused(service: Service, value: str) -> None:
    response = service.post(service.form(client_secret=None), headers={"Authorization": value})
    refused(response, 401, "invalid_client", 7000216)


def test_the_host_header_changes_no_url(service: Service) -> None:
    path = f"/{service.tenant}/v2.0/.well-known/openid-configuration"
    document = service.http.get(path, headers={"Host": "evil.example"}).json()
    assert document["token_endpoint"] == f"{service.url}/{service.tenant}/oauth2/v2.0/token"
    assert "evil" not in json.dumps(document)


# Discovery


@pytest.mark.parametrize(("infix", "version"), [("", "1.0"), ("/v2.0", "2.0")])
def test_discovery_leads_to_the_keys_that_verify_a_token(service: Service, infix: str, version: str) -> None:
    document = service.http.get(f"/{service.tenant}{infix}/.well-known/openid-configuration").json()
    token = service.http.post(document["token_endpoint"], data=service.form()).json()["access_token"]
    keys = KeySet.import_key_set(service.http.get(document["jwks_uri"]).json())
    claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["ver"]) == (document["issuer"], version)


def test_instance_discovery_names_this_service_only(service: Service) -> None:
    asked = {"api-version": "1.1", "authorization_endpoint": f"https://other/{service.tenant}/oauth2/v2.0/authorize"}
    document = service.http.get("/common/discovery/instance", params=asked).json()
    host = service.url.removeprefix("https://")
    assert document["metadata"] == [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}]
    found = service.http.get(document["tenant_discovery_endpoint"]).json()
    assert found["issuer"] == f"{service.url}/{service.tenant}/v2.0"
    for nonsense in ("", "https://[", "///", "\0"):
        asked = {"authorization_endpoint": nonsense}
        assert service.http.get("/common/discovery/instance", params=asked).status_code == 200


@pytest.mark.parametrize("tenant", [NOBODY, "common", "contoso.onmicrosoft.com", "%00"])
@pytest.mark.parametrize("path", [".well-known/openid-configuration", "v2.0/.well-known/openid-configuration"])
def test_discovery_of_an_unknown_tenant(service: Service, tenant: str, path: str) -> None:
    refused(service.http.get(f"/{tenant}/{path}"), 400, "invalid_request", 90002)


# Errors


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": "\N{GRINNING FACE}\0"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000216),
        ({"client_id": NOBODY}, 400, "unauthorized_client", 700016),
        ({"client_id": "not a guid\0"}, 400, "unauthorized_client", 700016),
        ({"client_id": None}, 400, "invalid_request", 900144),
        ({"grant_type": None}, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"resource": None}, 400, "invalid_request", 900144),
        ({"resource": "https://graph.microsoft.com"}, 400, "invalid_resource", 500011),
        ({"resource": None, "scope": "https://graph.microsoft.com/.default"}, 400, "invalid_resource", 500011),
        ({"resource": None, "scope": f"{RESOURCE}/user_impersonation"}, 400, "invalid_scope", 70011),
        ({"resource": None, "scope": f"{SCOPE} {SCOPE}"}, 400, "invalid_scope", 70011),
        ({"resource": None, "scope": "openid"}, 400, "invalid_request", 900144),
        ({"client_assertion": "x"}, 400, "invalid_request", 50027),
    ],
)
def test_each_error_has_its_code_and_status(service: Service, changes, status: int, error: str, number: int) -> None:
    refused(service.post(service.form(**changes)), status, error, number)


@pytest.mark.parametrize("tenant", [NOBODY, "common", "contoso.onmicrosoft.com", "%00"])
def test_an_unknown_tenant(service: Service, tenant: str) -> None:
    refused(service.post(service.form(), tenant=tenant), 400, "invalid_request", 90002)


def test_an_application_is_unknown_in_another_tenant(service: Service) -> None:
    with service.database.writing() as connection:
        other = accounts.create_account(connection, "Fabrikam", system_clock())
    description = refused(service.post(service.form(), tenant=other.tenant_id), 400, "unauthorized_client", 700016)
    assert service.client_id in description


def test_an_expired_secret_is_told_from_a_wrong_one(service: Service) -> None:
    now = system_clock()
    with service.database.writing() as connection:
        old = accounts.add_secret(connection, service.client_id, now - timedelta(days=2), timedelta(days=1))
    refused(service.post(service.form(client_secret=old.secret)), 401, "invalid_client", 7000222)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"&".join([b"a=b"] * 60)])
def test_a_body_that_is_no_form(service: Service, content: bytes) -> None:
    response = service.http.post(f"/{service.tenant}/oauth2/token", content=content)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


def test_a_body_without_end_is_cut_off(service: Service) -> None:
    refused(service.post(service.form(padding="x" * 200_000)), 413, "invalid_request", 90014)


def test_errors_repeat_neither_secret_nor_unprintable_text(service: Service) -> None:
    secret = "a-secret-that-is-wrong"
    assert secret not in service.post(service.form(client_secret=secret)).text
    assert "\\u0007" not in service.post(service.form(resource="\a")).text


def test_the_correlation_id_of_the_client_comes_back(service: Service) -> None:
    mine = str(uuid4())
    headers = {"client-request-id": mine}
    assert service.post(service.form(client_secret="x"), headers=headers).json()["correlation_id"] == mine
    headers = {"client-request-id": "no guid"}
    UUID(service.post(service.form(client_secret="x"), headers=headers).json()["correlation_id"])


# Assertions


def chain(*certificates: x509.Certificate) -> list[str]:
    return [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in certificates]


@pytest.mark.parametrize(
    "audience",
    ["/oauth2/token", "/oauth2/v2.0/token", "/oauth2/token/", "", "/", "/v2.0", "/v2.0/"],
)
def test_an_assertion_may_be_for_any_name_of_the_endpoint(service: Service, audience: str) -> None:
    assertion = service.assertion(aud=f"{service.url}/{service.tenant}{audience}")
    assert service.by_assertion(assertion).status_code == 200


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_assertion_may_name_its_certificate_in_each_way(service: Service, algorithm: str) -> None:
    sha1, sha256 = (
        base64.urlsafe_b64encode(service.certificate.fingerprint(each)).decode().rstrip("=")
        for each in (hashes.SHA1(), hashes.SHA256())
    )
    x5c = chain(service.certificate)
    for header in ({"x5t": sha1}, {"x5t#S256": sha256}, {"x5c": x5c}, {"x5t": sha1, "x5t#S256": sha256, "x5c": x5c}):
        assertion = service.assertion(algorithm=algorithm, header=header)
        assert service.by_assertion(assertion).status_code == 200


def test_an_assertion_says_itself_who_the_client_is(service: Service) -> None:
    assert service.by_assertion(service.assertion(), client_id=None).status_code == 200


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"iss": "someone"}, 700021),
        ({"sub": "someone"}, 700021),
        ({"sub": None}, 700021),
        ({"aud": "https://login.microsoftonline.com/x/oauth2/v2.0/token"}, 700023),
        ({"aud": None}, 700023),
        ({"aud": 1}, 700023),
        ({"exp": 0}, 700024),
        ({"exp": None}, 700024),
        ({"exp": "tomorrow"}, 700024),
        ({"exp": True}, 700024),
        ({"exp": 1e308}, 700024),
        ({"exp": 10**400}, 700024),
        ({"exp": float("nan")}, 700024),
        ({"exp": -1}, 700024),
        ({"nbf": 4_000_000_000.5}, 700024),
        ({"nbf": "now"}, 700024),
    ],
)
def test_an_assertion_with_a_wrong_claim_is_refused(service: Service, changes: dict[str, object], number: int) -> None:
    refused(service.by_assertion(service.assertion(**changes)), 401, "invalid_client", number)


def test_an_assertion_by_another_key_under_the_registered_name_is_refused(service: Service) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    assertion = service.assertion(key=stranger)
    assert "signature" in refused(service.by_assertion(assertion), 401, "invalid_client", 700027)


@pytest.mark.parametrize(
    "header", [{}, {"x5t": "AAAA"}, {"x5t": 1}, {"x5c": []}, {"x5c": "x"}, {"x5c": ["?"]}, {"x5t": "Ä"}]
)
def test_an_assertion_that_names_no_registered_certificate_is_refused(service: Service, header: dict) -> None:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", **header}).encode()).decode().rstrip("=")
    _, payload, signature = service.assertion().split(".")
    refused(service.by_assertion(f"{head}.{payload}.{signature}"), 401, "invalid_client", 700027)


def test_a_certificate_in_the_assertion_is_no_registration(service: Service) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    certificate = self_signed(stranger, system_clock())
    assertion = service.assertion(key=stranger, header={"x5c": chain(certificate)})
    assert "not registered" in refused(service.by_assertion(assertion), 401, "invalid_client", 700027)
    mixed = service.assertion(key=stranger, header={"x5c": chain(certificate, service.certificate)})
    refused(service.by_assertion(mixed), 401, "invalid_client", 700027)


def test_an_assertion_by_an_ended_certificate_is_refused(service: Service) -> None:
    key = rsa.generate_private_key(65537, 2048)
    begin = system_clock() - timedelta(days=30)
    certificate = self_signed(key, begin, days=20)
    with service.database.writing() as connection:
        certificates.add_application_certificate(connection, service.client_id, certificate, begin + timedelta(days=1))
    assertion = service.assertion(key=key, header={"x5c": chain(certificate)})
    assert "has ended" in refused(service.by_assertion(assertion), 401, "invalid_client", 700027)


def test_an_assertion_of_another_application_is_refused(service: Service) -> None:
    with service.database.writing() as connection:
        other = accounts.create_application(connection, service.application.account_id, "other", [], system_clock())
    refused(service.by_assertion(service.assertion(), client_id=other.client_id), 401, "invalid_client", 700027)


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "..", "bnVsbA.bnVsbA.", "e30.e30.e30", "Ä.Ä.Ä", "W1td." * 2 + "x"])
def test_an_assertion_that_is_no_token_is_refused(service: Service, assertion: str) -> None:
    response = service.by_assertion(assertion)
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", None, 1])
def test_an_assertion_with_another_algorithm_is_refused(service: Service, algorithm: object) -> None:
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
    _, payload, signature = service.assertion().split(".")
    for each in (f"{head}.{payload}.{signature}", f"{head}.{payload}."):
        refused(service.by_assertion(each), 401, "invalid_client", 700027)


@pytest.mark.parametrize("extra", [{"crit": 1}, {"crit": [[]]}, {"crit": None}, {"b64": False}])
def test_an_assertion_with_extensions_is_refused(service: Service, extra: dict[str, object]) -> None:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", **extra}).encode()).decode().rstrip("=")
    _, payload, signature = service.assertion().split(".")
    refused(service.by_assertion(f"{head}.{payload}.{signature}"), 401, "invalid_client", 50027)


def test_nothing_secret_reaches_the_logs(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = service.post(service.form()).json()["access_token"]
    assertion = service.assertion()
    service.by_assertion(assertion)
    service.post(service.form(client_secret="wrong-secret"))
    assert not any(each in caplog.text for each in (service.secret, token, assertion, "wrong-secret"))
