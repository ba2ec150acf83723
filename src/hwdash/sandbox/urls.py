"""SAS URLs in the styles that the real service was seen to give (contract/observed.md 25, contract/api.md 5).

The same blob, the same rights: what differs is the order, the escaping and the company of the parameters, over which
clients that take URLs apart have stumbled.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from hwdash.server.sas import SasSigner

EXPIRED_HOURS = -1.0
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def _escaped(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())


def _service(query: Mapping[str, str], _now: datetime) -> str:
    """A service SAS as in the documentation of 2018: version first, the signature in the middle."""
    order = ("sv", "sr", "sig", "se", "sp", "rscd")
    return _escaped({name: query[name] for name in order if name in query})


def _user_delegation(query: Mapping[str, str], now: datetime) -> str:
    """A user delegation SAS as in logs of 2024: who delegated, for seven days; colons as they are, spaces as ``+``."""
    delegated = {
        "skoid": str(uuid5(NAMESPACE_URL, "skoid")),
        "sktid": str(uuid5(NAMESPACE_URL, "sktid")),
        "skt": now.strftime(_TIME),
        "ske": (now + timedelta(days=7)).strftime(_TIME),
        "sks": "b",
        "skv": query["sv"],
    }
    order = ("sv", "se", "sr", "sp", "rscd", "sig")
    values = delegated | {name: query[name] for name in order if name in query}
    return "&".join(f"{name}={quote_plus(value, safe=':')}" for name, value in values.items())


STYLES: dict[str, tuple[str, Callable[[Mapping[str, str], datetime], str]]] = {
    "service-2017": ("2017-04-17", _service),
    "user-delegation": ("2024-05-04", _user_delegation),
}
"""By name: the version that is shown, and how the query is written."""


def restyled(url: str, sas: SasSigner, now: datetime, *, style: str | None, expired: bool) -> str:
    """The URL in another style, or expired. What is no SAS URL of this service is left as it is."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    folder, _, rest = parts.path.lstrip("/").partition("/")
    key, _, name = rest.partition("/")
    if folder != "blobs" or "sig" not in query:
        return url
    name = unquote(name)
    version, write = STYLES[style] if style is not None else (query["sv"], None)
    given = sas.url(
        key,
        name,
        permissions=query["sp"],
        hours=EXPIRED_HOURS if expired else 24,
        download_name=name if "rscd" in query or style == "user-delegation" else None,
        version=version,
    )
    if write is None:
        return given
    base, _, _ = given.partition("?")
    return f"{base}?{write(dict(parse_qsl(urlsplit(given).query)), now)}"
