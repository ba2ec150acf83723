"""Secrets of a run, and whether they stand in a text, also as URLs, base64 and hexadecimal digits write them."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

# Whatever a test's secrets are: an access token, and the signature of a URL.
WEB_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
URL_SIGNATURE = re.compile(r"[?&]sig=[A-Za-z0-9%+/_=-]{20,}")


def forms(secret: str) -> set[str]:
    """How a secret may be written."""
    raw = secret.encode()
    inner = {base64.b64encode(b"\0" * shift + raw).decode()[4 : -4 or None] for shift in range(3)}
    return {secret, quote(secret, safe=""), quote_plus(secret), raw.hex(), *(each for each in inner if len(each) > 8)}


def found_in(text: str, secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets that stand in a text, in whatever form."""
    named = [name for name, secret in secrets.items() if any(form in text for form in forms(secret))]
    named += ["a web token"] if WEB_TOKEN.search(text) else []
    return named + (["the signature of a URL"] if URL_SIGNATURE.search(text) else [])
