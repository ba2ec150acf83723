import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.server.sas import Grant, SasError, SasSigner

KEY = "0123456789abcdef" * 2
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = secrets.token_bytes(32)


def signer(now: datetime = NOON, keys=SECRET) -> SasSigner:
    return SasSigner(keys, "https://hwdash.example:8443/", lambda: now)


def verify(url: str, needed: str = "r", *, by: SasSigner | None = None) -> Grant:
    parts = urlsplit(url)
    _, _, key, name = parts.path.split("/")
    return (by or signer()).verify(key, name, parse_qsl(parts.query, keep_blank_values=True), needed)


def refusal(url: str, needed: str = "r", *, by: SasSigner | None = None) -> SasError:
    with pytest.raises(SasError) as caught:
        verify(url, needed, by=by)
    return caught.value


def test_a_url_grants_what_it_says_until_it_expires():
    url = signer().url(KEY, "Initial_7.cab", permissions="rwl", hours=24, download_name="Initial_7.cab")

    assert url.startswith(f"https://hwdash.example:8443/blobs/{KEY}/Initial_7.cab?sv=")
    assert verify(url, "w") == Grant(
        KEY, "Initial_7.cab", "rwl", NOON + timedelta(hours=24), "attachment; filename=Initial_7.cab"
    )


def test_the_query_has_the_parameters_that_clients_look_for():
    query = dict(parse_qsl(urlsplit(signer().url(KEY, "a.cab", permissions="r")).query))

    assert query.keys() == {"sv", "se", "sr", "sp", "sig"}
    assert (query["sr"], query["sp"], query["se"]) == ("b", "r", "2026-11-24T12:00:00Z")


@pytest.mark.parametrize("needed", ["w", "d", "c"])
def test_a_read_url_does_not_write(needed):
    assert refusal(signer().url(KEY, "a.cab", permissions="rl"), needed).code == "AuthorizationPermissionMismatch"


def test_an_expired_url_says_when_it_expired():
    url = signer().url(KEY, "a.cab", permissions="r", hours=1)

    error = refusal(url, by=signer(NOON + timedelta(hours=1)))

    assert error.code == "AuthenticationFailed"
    assert "2026-11-23T13:00:00Z" in error.message
    assert verify(url, by=signer(NOON + timedelta(minutes=59, seconds=59))).key == KEY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sp=r", "sp=rw"),
        ("se=2026", "se=2036"),
        (KEY, "f" * 32),
        ("a.cab", "b.cab"),
        ("filename%3Da.cab", "filename%3Dz.cab"),
        ("sr=b", "sr=c"),
        ("sv=2024", "sv=2025"),
        ("sig=", "sig=A"),
        ("sig=", "gis="),
        ("?", "?st=2020-01-01T00%3A00%3A00Z&"),
        ("?", "?sp=rwl&"),
    ],
)
def test_a_changed_url_is_refused(old, new):
    url = signer().url(KEY, "a.cab", permissions="r", download_name="a.cab")
    assert old in url

    assert refusal(url.replace(old, new, 1)).code == "AuthenticationFailed"


def test_parameters_that_are_not_signed_are_ignored():
    url = signer().url(KEY, "a.cab", permissions="rwl")

    assert verify(url + "&comp=block&blockid=AAAA&timeout=30", "w").permissions == "rwl"


def test_a_query_that_a_client_encoded_again_still_holds():
    url = signer().url(KEY, "a.cab", permissions="r", download_name="my driver+1.cab")
    loosely = "&".join(f"{name}={quote(value, safe=':/;=,')}" for name, value in parse_qsl(urlsplit(url).query))

    granted = verify(f"{url.partition('?')[0]}?{loosely}")

    assert granted.content_disposition == "attachment; filename*=UTF-8''my%20driver%2B1.cab"


def test_a_signature_whose_plus_a_client_did_not_escape_still_holds():
    urls = (signer().url(KEY, f"{number}.cab", permissions="r") for number in range(1000))
    url = next(url for url in urls if "%2B" in url)

    assert verify(url.replace("%2B", "+")).key == KEY


def test_a_new_key_signs_and_the_old_one_still_verifies():
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    url = signer(keys=old).url(KEY, "a.cab", permissions="r")
    fresh = signer(keys=[new, old]).url(KEY, "a.cab", permissions="r")

    assert verify(url, by=signer(keys=[new, old])).key == KEY
    assert verify(fresh, by=signer(keys=new)).key == KEY
    assert refusal(url, by=signer(keys=new)).code == "AuthenticationFailed"


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        signer(keys=b"short")


@given(
    name=st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=40),
    download_name=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    permissions=st.sampled_from(["r", "rl", "rwl"]),
)
def test_any_name_survives_the_url(name, download_name, permissions):
    url = signer().url(KEY, name, permissions=permissions, download_name=download_name)
    parts = urlsplit(url)

    granted = signer().verify(KEY, name, parse_qsl(parts.query), "r")

    assert (granted.name, granted.permissions) == (name, permissions)
    assert (granted.content_disposition is None) == (download_name is None)
    assert all(" " <= letter <= "~" for letter in granted.content_disposition or "")


@given(st.lists(st.tuples(st.sampled_from(["sp", "st", "se", "sr", "sv", "rscd", "sig", "x"]), st.text()), max_size=9))
def test_no_query_made_up_by_a_stranger_is_accepted(pairs):
    with pytest.raises(SasError):
        signer().verify(KEY, "a.cab", pairs, "r")
