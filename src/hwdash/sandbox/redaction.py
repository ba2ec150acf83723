"""What is kept of a request and its answer: no secret, no token, no signature of a URL, and no more than a page."""

import re

MAX_KEPT = 16 * 1024
"""Characters of a body."""

REMOVED = "(removed)"
_HIDDEN = (
    "client_secret|client_assertion|assertion|password|refresh_token|access_token|id_token|clientSecret|token|"
    "clientAssertion|accessToken|csrf|device_code"
)
_IN_FORM = re.compile(rf"((?:^|[&?])(?:{_HIDDEN}|code)=)[^&\s\"]*", re.IGNORECASE)
_IN_JSON = re.compile(rf'("(?:{_HIDDEN})"\s*:\s*)"(?:[^"\\]|\\.)*"?', re.IGNORECASE)
# Also where the & before it is escaped: &amp;sig=, \u0026sig=, %26sig%3D.
_SIGNATURE = re.compile(r"((?:[&?;]|\\u0026|%26|%3F)sig(?:=|%3D))[^&\s\"'<>\\]*", re.IGNORECASE)
_BEARER = re.compile(r"\b((?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_WEB_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def redacted(text: str) -> str:
    """The text without what opens anything."""
    text = _IN_FORM.sub(rf"\g<1>{REMOVED}", text)
    text = _IN_JSON.sub(rf'\g<1>"{REMOVED}"', text)
    text = _SIGNATURE.sub(rf"\g<1>{REMOVED}", text)
    text = _BEARER.sub(rf"\g<1>{REMOVED}", text)
    return _WEB_TOKEN.sub(REMOVED, text)


def kept_body(body: bytes, size: int, media_type: str) -> str:
    """A body as it is kept; ``body`` is its beginning, ``size`` the length of all of it."""
    if not size:
        return ""
    kind = media_type.partition(";")[0].strip().lower()
    is_text = kind.startswith("text/") or "json" in kind or "xml" in kind or "form-urlencoded" in kind
    if not is_text and (kind or not body.isascii() or b"\0" in body):
        return f"({size} bytes of {kind or 'no type'})"
    text = redacted(body.decode("utf-8", "replace"))
    if size > len(body) or len(text) > MAX_KEPT:
        return f"{_whole(text[:MAX_KEPT])} ... ({size} bytes)"
    return text


def _whole(text: str) -> str:
    """Without a last word that was cut, which redaction may not have recognised."""
    return text[: max(text.rfind(each) for each in ('",', "&", "\n", ">", " "))] if len(text) > 200 else ""
