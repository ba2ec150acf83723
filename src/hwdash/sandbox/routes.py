"""The routes by the names that scenarios use for them, in any of the forms that clients write paths in."""

import re

from hwdash.server.paths import CANONICAL_BASE, canonical_path

_P = rf"{CANONICAL_BASE}/products/(?P<product>[0-9]{{1,19}})"
_S = rf"{_P}/submissions/(?P<submission>[0-9]{{1,19}})"
_BLOB = r"/blobs/(?P<blob>[^/]+)/[^/]+"

ROUTES = {
    "token": re.compile(r"/[^/]+/oauth2/(?:v2\.0/)?token", re.IGNORECASE),
    "products": re.compile(rf"{CANONICAL_BASE}/products", re.IGNORECASE),
    "product": re.compile(_P, re.IGNORECASE),
    "submissions": re.compile(rf"{_P}/submissions", re.IGNORECASE),
    "submission": re.compile(_S, re.IGNORECASE),
    "commit": re.compile(rf"{_S}/commit", re.IGNORECASE),
    "publisher-metadata": re.compile(rf"{_S}/createpublishermetadata", re.IGNORECASE),
    "labels": re.compile(rf"{_S}/shippingLabels", re.IGNORECASE),
    "label": re.compile(rf"{_S}/shippingLabels/[^/]+", re.IGNORECASE),
    "cancel": re.compile(rf"{_S}/shippingLabels/[^/]+/cancel", re.IGNORECASE),
    "audiences": re.compile(rf"{CANONICAL_BASE}/audiences?", re.IGNORECASE),
    "preproduction": re.compile(rf"{CANONICAL_BASE}/preprod(?:/.*)?", re.IGNORECASE),
    "blob": re.compile(_BLOB),
}
"""``blob`` is every upload (PUT) and download (GET, HEAD) by a SAS URL."""

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")


def named_route(path: str) -> tuple[str, dict[str, str]]:
    """The route's name and the ids in its path; the name is "" for what has none."""
    canonical = canonical_path(path)
    for name, pattern in ROUTES.items():
        if (found := pattern.fullmatch(canonical)) is not None:
            return name, found.groupdict()
    return "", {}
