from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from hwdash.sandbox.urls import STYLES, restyled
from hwdash.server.sas import SasError, SasSigner

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
KEY = "6ed47b315cb84c0fa0dd0a3dd2f5d7a8"


@pytest.fixture
def sas() -> SasSigner:
    return SasSigner(bytes(range(32)), "https://localhost:8443", lambda: NOW)


def verified(sas: SasSigner, url: str, name: str, needed: str) -> timedelta:
    return sas.verify(KEY, name, parse_qsl(urlsplit(url).query), needed).expires - NOW


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("rights", ["rwl", "rl"])
def test_a_url_in_another_style_opens_the_same_blob(sas: SasSigner, style: str, rights: str) -> None:
    name = "Initial_7 x+y.cab"
    url = sas.url(KEY, name, permissions=rights, download_name=name)
    other = restyled(url, sas, NOW, style=style, expired=False)
    assert other != url
    assert verified(sas, other, name, "r") == timedelta(hours=24)
    if rights == "rl":
        with pytest.raises(SasError):
            verified(sas, other, name, "w")


def test_the_styles_have_the_order_and_the_company_that_was_seen(sas: SasSigner) -> None:
    url = sas.url(KEY, "Initial_7.cab", permissions="rwl")
    names = {
        style: [name for name, _ in parse_qsl(urlsplit(restyled(url, sas, NOW, style=style, expired=False)).query)]
        for style in STYLES
    }
    assert names["service-2017"] == ["sv", "sr", "sig", "se", "sp"]
    assert names["user-delegation"] == [
        *("skoid", "sktid", "skt", "ske", "sks", "skv"),
        *("sv", "se", "sr", "sp", "rscd", "sig"),
    ]
    raw = urlsplit(restyled(url, sas, NOW, style="user-delegation", expired=False)).query
    assert "rscd=attachment%3B+filename%3DInitial_7.cab" in raw
    assert "se=2026-11-29T12:00:00Z" in raw


@pytest.mark.parametrize("style", [None, *STYLES])
def test_an_expired_url_is_refused(sas: SasSigner, style: str | None) -> None:
    url = sas.url(KEY, "Initial_7.cab", permissions="rwl")
    with pytest.raises(SasError, match="expired"):
        verified(sas, restyled(url, sas, NOW, style=style, expired=True), "Initial_7.cab", "w")


@pytest.mark.parametrize("url", ["https://localhost:8443/dashboard/x", "https://localhost:8443/blobs/k/n?x=1", ""])
def test_what_is_no_sas_url_stays(sas: SasSigner, url: str) -> None:
    assert restyled(url, sas, NOW, style="service-2017", expired=True) == url
