import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from hwdash.server import tokens
from hwdash.server.tokens import RESOURCE, Caller, TokenIssuer, TokenRejected, ensure_token_key
from hwdash.signing.keys import KeyFolder

URL = "https://hwdash.contoso.example:8443"
TENANT = "0f8fad5b-d9cb-469f-a165-70867728950e"
CLIENT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(key: rsa.RSAPrivateKey, clock: Clock) -> TokenIssuer:
    return TokenIssuer(key, URL, clock)


def minted(issuer: TokenIssuer, *, version: str = "1.0", audience: str = RESOURCE, by_certificate: bool = False) -> str:
    text, _ = issuer.mint(
        client_id=CLIENT,
        tenant_id=TENANT,
        roles=["Manager"],
        audience=audience,
        version=version,
        by_certificate=by_certificate,
    )
    return text


def claims_of(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(key: rsa.RSAPrivateKey, issuer: TokenIssuer, *, algorithm: str = "RS256", kid: str = "", **changes) -> str:
    claims = {**claims_of(minted(issuer)), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": algorithm, "kid": kid or issuer.key_id}
    return jwt.encode(header, claims, RSAKey.import_key(key), algorithms=[algorithm])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("audience", [RESOURCE, f"{RESOURCE}/", URL, f"{URL}/"])
def test_a_minted_token_proves_application_and_tenant(issuer: TokenIssuer, clock: Clock, version, audience) -> None:
    caller = issuer.verify(minted(issuer, version=version, audience=audience))
    assert caller == Caller(CLIENT, TENANT, clock.now.timestamp() + 3600)


def test_the_claims_are_those_of_entra(issuer: TokenIssuer) -> None:
    one = claims_of(minted(issuer))
    two = claims_of(minted(issuer, version="2.0", by_certificate=True))
    assert one["iss"] == one["idp"] == f"{URL}/{TENANT}/"
    assert (one["ver"], one["appid"], one["appidacr"]) == ("1.0", CLIENT, "1")
    assert two["iss"] == f"{URL}/{TENANT}/v2.0"
    assert (two["ver"], two["azp"], two["azpacr"]) == ("2.0", CLIENT, "2")
    assert one["sub"] == one["oid"] == two["oid"] != CLIENT
    assert (one["tid"], one["roles"], one["aud"]) == (TENANT, ["Manager"], RESOURCE)
    assert one["exp"] - one["iat"] == 3600
    assert "appid" not in two


def test_the_public_keys_verify_a_token_and_hold_nothing_private(issuer: TokenIssuer) -> None:
    (public,) = issuer.public_keys()["keys"]
    assert set(public) == {"kty", "n", "e", "use", "alg", "kid"}
    assert jwt.decode(minted(issuer), RSAKey.import_key(public), algorithms=["RS256"]).claims["tid"] == TENANT


def test_processes_that_share_the_key_accept_each_others_tokens(key, issuer: TokenIssuer, clock: Clock) -> None:
    assert TokenIssuer(key, f"{URL}/", clock).verify(minted(issuer)).client_id == CLIENT


def test_a_token_ends_after_60_minutes_remembered_or_not(key, issuer: TokenIssuer, clock: Clock) -> None:
    token = minted(issuer)
    clock.advance(minutes=59, seconds=59)
    issuer.verify(token)
    clock.advance(seconds=1)
    for each in (issuer, TokenIssuer(key, URL, clock)):
        with pytest.raises(TokenRejected, match="expired"):
            each.verify(token)


def test_a_token_from_the_future_is_rejected_remembered_or_not(issuer: TokenIssuer, clock: Clock) -> None:
    clock.advance(hours=1)
    token = minted(issuer)
    issuer.verify(token)
    clock.advance(minutes=-58)
    with pytest.raises(TokenRejected, match="not valid yet"):
        issuer.verify(token)
    clock.advance(minutes=57, seconds=30)
    issuer.verify(token)


def test_a_second_look_at_a_token_costs_no_verification(issuer: TokenIssuer, monkeypatch) -> None:
    token = minted(issuer)
    first = issuer.verify(token)
    monkeypatch.setattr(tokens.jwt, "decode", lambda *_: pytest.fail("verified again"))
    assert issuer.verify(token) == first


def test_the_memory_of_tokens_is_bounded(issuer: TokenIssuer, monkeypatch) -> None:
    monkeypatch.setattr(tokens, "_MAX_CACHED", 3)
    for _ in range(5):
        issuer.verify(minted(issuer))
    assert len(issuer._verified) == 3


@pytest.mark.parametrize("ends", ["alg none", "HS256 by the public key", "HS256 named RS256"])
def test_an_unsigned_token_or_one_by_a_public_secret_is_rejected(issuer: TokenIssuer, ends: str) -> None:
    """RFC 8725 2.1 and 3.1."""
    claims = claims_of(minted(issuer))

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    if ends == "alg none":
        token = f"{part({'alg': 'none', 'kid': issuer.key_id})}.{part(claims)}."
    else:
        secret = OctKey.import_key(json.dumps(issuer.public_keys()))
        token = jwt.encode({"alg": "HS256", "kid": issuer.key_id}, claims, secret, algorithms=["HS256"])
        if ends == "HS256 named RS256":
            _, payload, signature = token.split(".")
            token = f"{part({'alg': 'RS256', 'kid': issuer.key_id})}.{payload}.{signature}"
    with pytest.raises(TokenRejected):
        issuer.verify(token)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"algorithm": "PS256"}, "not signed with RS256"),
        ({"kid": "another"}, "not this service's"),
        ({"iss": "https://sts.windows.net/x/"}, "another issuer"),
        ({"iss": f"{URL}/11111111-1111-1111-1111-111111111111/"}, "another issuer"),
        ({"aud": "https://graph.microsoft.com"}, "another audience"),
        ({"aud": [RESOURCE]}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"tid": None}, "no application and tenant"),
        ({"appid": None}, "no application and tenant"),
        ({"exp": None}, "begins and ends"),
        ({"nbf": "0"}, "begins and ends"),
        ({"exp": 0}, "expired"),
        ({"nbf": 2**40}, "not valid yet"),
    ],
)
def test_a_token_that_is_not_quite_ours_is_rejected_with_the_reason(key, issuer: TokenIssuer, changes, reason) -> None:
    with pytest.raises(TokenRejected, match=reason):
        issuer.verify(signed(key, issuer, **changes))


def test_a_token_by_another_key_under_our_key_id_is_rejected(issuer: TokenIssuer) -> None:
    with pytest.raises(TokenRejected, match="does not hold"):
        issuer.verify(signed(rsa.generate_private_key(65537, 2048), issuer))


def test_a_changed_token_is_rejected(issuer: TokenIssuer) -> None:
    header, payload, signature = minted(issuer).split(".")
    other = (
        base64.urlsafe_b64encode(json.dumps({**claims_of(f".{payload}."), "appid": "x"}).encode()).decode().rstrip("=")
    )
    for token in (
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{header}.{payload}.",
    ):
        with pytest.raises(TokenRejected, match="does not hold"):
            issuer.verify(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "Ä.Ä.Ä",
        "\ud800",
        "e30.e30.e30",
        "bnVsbA.e30.",
        "IjEi.e30.",
        "A" * 20_000,
        "W" * 5000,
    ],
)
def test_nonsense_is_rejected(issuer: TokenIssuer, token: str) -> None:
    with pytest.raises(TokenRejected):
        issuer.verify(token)


@pytest.mark.parametrize("extra", [{"crit": 1}, {"crit": ["b64"], "b64": False}, {"jku": "https://x"}, {"zip": "DEF"}])
def test_a_header_with_more_than_ours_is_rejected(issuer: TokenIssuer, extra: dict[str, object]) -> None:
    """RFC 8725 3.10: what a received header points to is not followed."""
    _, payload, signature = minted(issuer).split(".")
    header = {"typ": "JWT", "alg": "RS256", "kid": issuer.key_id, **extra}
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    with pytest.raises(TokenRejected, match="does not write"):
        issuer.verify(f"{head}.{payload}.{signature}")


def test_deeply_nested_json_is_rejected(issuer: TokenIssuer) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 11_000).decode().rstrip("=")
    with pytest.raises(TokenRejected):
        issuer.verify(f"{deep}.e30.e30")


def test_a_rejection_holds_nothing_of_the_token(issuer: TokenIssuer) -> None:
    token = minted(issuer) + "A"
    with pytest.raises(TokenRejected) as caught:
        issuer.verify(token)
    assert not any(part in str(caught.value) for part in token.split("."))


def test_the_key_is_made_once_and_kept_encrypted(tmp_path: Path) -> None:
    keys = KeyFolder.open(tmp_path / "keys", {})
    first = ensure_token_key(keys)
    assert ensure_token_key(keys).private_numbers() == first.private_numbers()
    assert b"ENCRYPTED PRIVATE KEY" in keys.file("tokens").read_bytes()
