"""No secret, token or signature of a URL in a recording, in whatever form it comes.

Two nets. What the API calls a secret is removed by its name: fields, query parameters, headers. And each value that was
seen to be one is looked for in every line, as it is and as JSON, URL encoding, base64 or hexadecimal digits write it.
"""

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

REMOVED = "REMOVED"
SHORTEST = 8
"""Characters: what is shorter is no secret, and would be found everywhere."""

_SECRET_NAMES = re.compile(r"secret|token|assertion|password|authorization|^sig(nature)?$|device_code", re.IGNORECASE)
_OPEN_NAMES = re.compile(
    r"^token_(type|endpoint)|^continuationtoken$|_supported$|^client_assertion_type$", re.IGNORECASE
)
_WEB_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# Also where the = is escaped.
_SIGNATURE = re.compile(r"(\bsig(?:=|%3D))(?!REMOVED)[^&\s\"'<>\\]+", re.IGNORECASE)
KEPT_HEADERS = frozenset(
    [
        "accept",
        "content-type",
        "content-range",
        "content-disposition",
        "etag",
        "last-modified",
        "location",
        "range",
        "retry-after",
        "www-authenticate",
        "x-ms-blob-type",
        "x-ms-error-code",
        "x-ms-version",
    ]
)


def is_secret(name: str) -> bool:
    """Whether a field or parameter of this name holds something that opens a door."""
    return _SECRET_NAMES.search(name) is not None and _OPEN_NAMES.search(name) is None


class Secrets:
    """The secret values that were seen so far."""

    def __init__(self) -> None:
        self._forms: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._forms)

    def learn(self, value: str) -> None:
        """Know one more."""
        for each in {value, unquote(value)}:
            if len(each) >= SHORTEST and each != REMOVED:
                self._forms |= dict.fromkeys(_forms(each))

    def learn_authorization(self, header: str) -> None:
        """The credentials of an Authorization header; of Basic ones, the password in them too."""
        scheme, _, credentials = header.strip().partition(" ")
        self.learn(credentials or scheme)
        if scheme.casefold() == "basic":
            try:
                pair = base64.b64decode(credentials, validate=True).decode()
            except ValueError:
                return
            self.learn(pair.partition(":")[2])

    def learn_query(self, query: str) -> None:
        """The secret parameters of a query or a form."""
        for part in query.split("&"):
            name, _, value = part.partition("=")
            if is_secret(unquote(name)):
                self.learn(value)

    def learn_json(self, value: Any) -> None:
        """The secret members of a JSON value, and the signatures of the URLs in it."""
        if isinstance(value, dict):
            for name, member in value.items():
                if isinstance(member, str) and is_secret(name):
                    self.learn(member)
                self.learn_json(member)
        elif isinstance(value, list):
            for member in value:
                self.learn_json(member)
        elif isinstance(value, str) and "://" in value:
            self.learn_query(urlsplit(value).query)

    def removed(self, text: str) -> str:
        """The text without any of them."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, REMOVED)
        return _SIGNATURE.sub(rf"\g<1>{REMOVED}", _WEB_TOKEN.sub(REMOVED, text))


def without_secrets(value: Any) -> Any:
    """A JSON value without what is secret by its name."""
    if isinstance(value, dict):
        return {
            name: REMOVED if isinstance(member, str) and is_secret(name) else without_secrets(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    if isinstance(value, str) and "://" in value and "?" in value:
        return url_without_secrets(value)
    return value


def url_without_secrets(url: str) -> str:
    """A URL whose secret parameters are removed."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=query_without_secrets(parts.query)))


def query_without_secrets(query: str) -> str:
    """A query or form whose secret parameters are removed."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(is_secret(name) for name, _ in pairs):
        return query
    return urlencode([(name, REMOVED if is_secret(name) else value) for name, value in pairs])


def _forms(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    forms = [secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    forms += [quote(secret), quote(secret, safe=""), quote_plus(secret), raw.hex(), raw.hex().upper()]
    forms += [quote(each, safe="") for each in forms[3:6]]
    # In base64 a text looks different at each of three places; its first and last digits hang on its neighbours.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).decode()
        inner = coded[(0, 2, 3)[shift] :].rstrip("=")
        if (shift + len(raw)) % 3:
            inner = inner[:-1]
        forms += [inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")]
    return [each for each in dict.fromkeys(forms) if len(each) >= SHORTEST]
