"""Tokens of another issuer in the shape of Entra's: an issuer made here, and tokens that only look like its."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from hwdash.clock import system_clock
from hwdash.server.entra import EntraTokens
from hwdash.server.tokens import RESOURCE, Caller, TokenIssuer, TokenRejected
from hwdash.settings import Settings, SettingsError, load_settings
from hwdash.storage import accounts
from hwdash.storage.database import Database
from hwdash.vocabulary import FIRST_ROLES
from service import API, make_service, serve

TENANT, CLIENT = str(uuid4()), str(uuid4())
ISSUERS = ("https://sts.example/{tenantid}/", "https://login.example/{tenantid}/v2.0")


class Issuer:
    """Serves a key set on loopback, and signs."""

    def __init__(self) -> None:
        self.first = rsa.generate_private_key(65537, 2048)
        self.private = {"first": self.first}
        self.requests = 0
        self.answer: Callable[[], bytes] = self.key_set
        issuer = self

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                content = issuer.answer()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/keys"

    def key_set(self) -> bytes:
        return json.dumps(
            {
                "keys": [
                    {**RSAKey.import_key(key.public_key()).as_dict(private=False), "kid": kid, "use": "sig"}
                    for kid, key in self.private.items()
                ]
            }
        ).encode()

    def token(self, *, kid: str = "first", header: dict[str, Any] | None = None, **changes: Any) -> str:
        now = time.time()
        claims = {
            "aud": RESOURCE,
            "iss": f"https://sts.example/{TENANT}/",
            "tid": TENANT,
            "appid": CLIENT,
            "appidacr": "1",
            "ver": "1.0",
            "nbf": now - 10,
            "exp": now + 3600,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key = RSAKey.import_key(self.private[kid])
        return jwt.encode({"typ": "JWT", "alg": "RS256", "kid": kid, **(header or {})}, claims, key, ["RS256"])


class MovableClock:
    def __init__(self) -> None:
        self.added = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.added


@pytest.fixture(scope="module")
def shared_issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


@pytest.fixture
def issuer(shared_issuer: Issuer) -> Issuer:
    shared_issuer.private = {"first": shared_issuer.first}
    shared_issuer.answer = shared_issuer.key_set
    shared_issuer.requests = 0
    return shared_issuer


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="module")
def own_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def ask(issuer: Issuer, clock: MovableClock, own_key: rsa.RSAPrivateKey) -> Callable[[str], Caller]:
    """What a request with this token goes through."""
    entra = EntraTokens(ISSUERS, issuer.url, RESOURCE, clock)
    tokens = TokenIssuer(own_key, "https://hwdash.example", clock, foreign=entra.verify)

    def asked(token: str) -> Caller:
        asyncio.run(entra.prepare(token))
        return tokens.verify(token)

    return asked


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": f"{RESOURCE}/", "appidacr": "2", "idtyp": "app"},
        {
            "ver": "2.0",
            "iss": f"https://login.example/{TENANT}/v2.0",
            "appid": None,
            "appidacr": None,
            "azp": CLIENT.upper(),
            "azpacr": "1",
        },
    ],
)
def test_a_token_of_the_issuer_counts(issuer: Issuer, ask: Callable[[str], Caller], claims: dict[str, Any]) -> None:
    caller = ask(issuer.token(**claims))
    assert (caller.client_id, caller.tenant_id, caller.user_id) == (CLIENT, TENANT, None)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example/"}, "another issuer"),
        ({"iss": f"https://sts.example/{uuid4()}/"}, "another issuer"),
        ({"tid": str(uuid4())}, "another issuer"),
        ({"tid": "x"}, "another issuer"),
        ({"tid": None}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "https://graph.microsoft.com"}, "another audience"),
        ({"aud": [RESOURCE]}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "does not say when"),
        ({"exp": "never"}, "does not say when"),
        ({"exp": True}, "does not say when"),
        ({"exp": float("nan")}, "does not say when"),
        ({"exp": float("inf")}, "does not say when"),
        ({"nbf": time.time() + 3600}, "not valid yet"),
        ({"nbf": None}, "does not say when"),
        ({"appid": None}, "names no application"),
        ({"appid": 7}, "names no application"),
        ({"ver": "2.0"}, "names no application"),
        ({"scp": "user_impersonation"}, "speaks for a person"),
        ({"idtyp": "user"}, "speaks for a person"),
        ({"appidacr": "0"}, "did not authenticate"),
        ({"appidacr": None}, "did not authenticate"),
    ],
)
def test_a_token_that_says_something_else_is_refused(
    issuer: Issuer, ask: Callable[[str], Caller], claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TokenRejected, match=reason):
        ask(issuer.token(**claims))


def test_other_algorithms_are_refused(issuer: Issuer, ask: Callable[[str], Caller]) -> None:
    _, claims, signature = issuer.token().split(".")
    for algorithm in ("none", "HS256", "RS512", "PS256"):
        header = encoded({"typ": "JWT", "alg": algorithm, "kid": "first"})
        for end in ("", signature):
            with pytest.raises(TokenRejected, match="RS256"):
                ask(f"{header}.{claims}.{end}")
    # The public key as the secret of a symmetric signature.
    header = encoded({"typ": "JWT", "alg": "HS256", "kid": "first"})
    public = issuer.private["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.HMAC(public, hashes.SHA256())
    mac.update(f"{header}.{claims}".encode())
    forged = base64.urlsafe_b64encode(mac.finalize()).decode().rstrip("=")
    with pytest.raises(TokenRejected, match="RS256"):
        ask(f"{header}.{claims}.{forged}")


def test_a_key_that_the_header_brings_is_not_used(issuer: Issuer, ask: Callable[[str], Caller]) -> None:
    stranger = Issuer()
    try:
        own = RSAKey.import_key(stranger.private["first"].public_key()).as_dict(private=False)
        for brought in ({"jku": stranger.url}, {"x5u": stranger.url}, {"jwk": own}, {"x5c": ["AAAA"]}):
            with pytest.raises(TokenRejected, match="signature"):
                ask(stranger.token(header=brought))
        # Nor does it stand in the way of a good one.
        assert ask(issuer.token(header={"jku": stranger.url, "x5t": "abc"})).client_id == CLIENT
        assert stranger.requests == 0
    finally:
        stranger.server.shutdown()
        stranger.server.server_close()


def test_a_changed_token_is_refused(issuer: Issuer, ask: Callable[[str], Caller]) -> None:
    header, _, signature = issuer.token().split(".")
    other = issuer.token(tid=str(uuid4())).split(".")[1]
    for token in (f"{header}.{other}.{signature}", f"{header}.{other}."):
        with pytest.raises(TokenRejected, match="signature"):
            ask(token)


def test_extensions_of_the_header_are_refused(issuer: Issuer, ask: Callable[[str], Caller]) -> None:
    ask(issuer.token())
    _, claims, signature = issuer.token().split(".")
    for more in ({"crit": ["exp"]}, {"b64": False}, {"typ": "logout+jwt"}):
        header = encoded({"typ": "JWT", "alg": "RS256", "kid": "first"} | more)
        with pytest.raises(TokenRejected, match="what is not served"):
            ask(f"{header}.{claims}.{signature}")


def test_keys_are_fetched_once_and_anew_for_a_key_that_is_new(
    issuer: Issuer, ask: Callable[[str], Caller], clock: MovableClock
) -> None:
    for _ in range(3):
        ask(issuer.token(jti=str(uuid4())))
    assert issuer.requests == 1
    issuer.private["second"] = rsa.generate_private_key(65537, 2048)
    # Strangers with made-up key ids make us ask once a minute at most.
    for number in range(5):
        with pytest.raises(TokenRejected, match="not this service's nor a trusted issuer's"):
            ask(issuer.token(header={"kid": f"unknown {number}"}))
    assert issuer.requests == 1
    clock.added += timedelta(minutes=1)
    assert ask(issuer.token(kid="second")).client_id == CLIENT
    assert issuer.requests == 2
    del issuer.private["first"]
    clock.added += timedelta(hours=24)
    assert ask(issuer.token(kid="second", exp=time.time() + 200_000)).client_id == CLIENT
    assert issuer.requests == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"keys": 7}',
        b'{"keys": [7, {"kty": "RSA"}, {"kty": "RSA", "kid": "first", "n": "AQAB", "e": "AQAB"}]}',
        b'{"keys": [{"kty": "oct", "kid": "first", "k": "AAAA"}]}',
        json.dumps({"keys": [{}] * 101}).encode(),
        b" " * (600 * 1024),
    ],
    ids=lambda content: content[:20].decode(),
)
def test_a_key_set_that_is_none_costs_neither_the_service_nor_the_keys(
    issuer: Issuer, ask: Callable[[str], Caller], clock: MovableClock, content: bytes
) -> None:
    ask(issuer.token())
    issuer.answer = lambda: content
    clock.added += timedelta(hours=25)
    later = time.time() + 200_000
    assert ask(issuer.token(exp=later)).client_id == CLIENT
    assert issuer.requests == 2


def test_weak_keys_do_not_count(issuer: Issuer, ask: Callable[[str], Caller]) -> None:
    issuer.private["weak"] = rsa.generate_private_key(65537, 1024)
    with pytest.raises(TokenRejected, match="not this service's nor a trusted"):
        ask(issuer.token(kid="weak"))
    assert ask(issuer.token()).client_id == CLIENT


def test_the_keys_may_be_in_a_file(issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(issuer.key_set())
    settings = Settings(entra_issuers=" ".join(ISSUERS), entra_keys=str(file))
    entra = EntraTokens.of(settings, system_clock)
    assert entra is not None
    token = issuer.token()
    asyncio.run(entra.prepare(token))
    assert entra.verify(token, {"kid": "first"}).caller.client_id == CLIENT
    assert EntraTokens.of(Settings(), system_clock) is None


@pytest.mark.parametrize(
    ("issuers", "keys", "problem"),
    [
        ("https://a.example/", "", "belong together"),
        ("", "/keys.json", "belong together"),
        ("http://a.example/", "/keys.json", "entra_issuers must begin with https://"),
        ("https://[", "/keys.json", "entra_issuers must begin with https://"),
        ("https://a.example/", "http://a.example/keys", "entra_keys must begin with https://, or be a file"),
        ("https://a.example/", "ftp://a.example/keys", "entra_keys must begin with https://, or be a file"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path: Path, issuers: str, keys: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings(tmp_path, {"HWDASH_ENTRA_ISSUERS": issuers, "HWDASH_ENTRA_KEYS": keys})


def test_a_served_request_with_such_a_token_acts_for_the_registered_account(issuer: Issuer, tmp_path: Path) -> None:
    made = make_service(tmp_path, HWDASH_ENTRA_ISSUERS=" ".join(ISSUERS), HWDASH_ENTRA_KEYS=issuer.url)
    database = Database(load_settings(made.data, made.environment).database)
    now = system_clock()
    with database.writing() as connection:
        account = accounts.create_account(connection, "In Entra", now, tenant_id=TENANT)
        accounts.create_application(connection, account.id, "CI", FIRST_ROLES, now, client_id=CLIENT)
    database.close()
    with (
        serve(made) as served,
        closing(served.client().http) as http,
    ):

        def get(token: str) -> httpx.Response:
            return http.get(f"{API}/products", headers={"Authorization": f"Bearer {token}"})

        assert get(issuer.token()).json()["value"] == []
        assert get(issuer.token(aud="https://graph.microsoft.com")).status_code == 401
        assert get(issuer.token(appid=str(uuid4()))).status_code == 403
        assert served.client().http.get(f"{API}/products").status_code == 200
