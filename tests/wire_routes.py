"""The routes of contract/api.md section 2 with the roles of section 8.3, written down once more: the server's own table
is held against this one. A new route needs a row here.
"""

import re
from dataclasses import dataclass
from typing import Any

from hwdash.server.api.routes import ROUTES
from hwdash.server.route import Route
from service import API, X64

ALL = frozenset(
    {
        "Administrator",
        "Upgrade Test Results Submitter",
        "Legal Agreement Signer",
        "Report Reviewer",
        "Driver Submitter",
        "Shipping Label Owner",
        "System Submitter",
        "WCOS Image Signer",
        "WCOS Retail Unlock",
        "Shipping Label Promoter",
    }
)
SUBMITTERS = frozenset({"Driver Submitter", "Administrator"})
OWNERS = frozenset({"Shipping Label Owner", "Administrator"})

PRODUCT = {"productName": "P", "testHarness": "Attestation", "requestedSignatures": [X64]}
OFFERS = "/distribution/v1/offers"
MACHINE = {"os": {"build": 22631, "architecture": "amd64"}, "devices": [{"hardwareIds": ["ROOT\\NOTHING"]}]}


@dataclass(frozen=True)
class Row:
    """One route. ``roles`` may call it for a driver; None: everyone, without a token.

    ``answer`` is what whoever may call it gets for ``body`` on a product with a pending submission that has no package
    yet: the status, and the code of a refusal. ``for_systems``: a System Submitter may call it too for a whole system.
    """

    roles: frozenset[str] | None
    answer: tuple[int, str | None]
    body: dict[str, Any] | None = None
    for_systems: bool = False


_P = "/products/{product}"
_S = f"{_P}/submissions/{{submission}}"
_L = f"{_S}/shippingLabels/{{label}}"
_RELATED = "/products/relationships/sourcepubliherid/{seller}/sourceproductid/{product}/sourcesubmissionid/{submission}"
_REPORT = "/dashboard/hardware/Driver/DownloadCertificationReport/{seller}/{product}/{submission}"
_PREPROD = "/preprod/packages"

NOT_NOW = (422, "requestInvalidForCurrentState")
NOT_FOUND = (404, "entityNotFound")

TABLE: dict[tuple[str, str], Row] = {
    ("GET", f"{API}/products"): Row(ALL, (200, None)),
    ("POST", f"{API}/products"): Row(SUBMITTERS, (201, None), PRODUCT, for_systems=True),
    ("GET", f"{API}{_P}"): Row(ALL, (200, None)),
    ("PATCH", f"{API}{_P}"): Row(SUBMITTERS, (204, None), {"productName": "Renamed"}, for_systems=True),
    ("GET", f"{API}{_P}/submissions"): Row(ALL, (200, None)),
    ("POST", f"{API}{_P}/submissions"): Row(SUBMITTERS, NOT_NOW, {"name": "n", "type": "initial"}, for_systems=True),
    ("GET", f"{API}{_S}"): Row(ALL, (200, None)),
    ("PATCH", f"{API}{_S}"): Row(SUBMITTERS, (204, None), {"name": "Renamed"}, for_systems=True),
    ("POST", f"{API}{_S}/commit"): Row(SUBMITTERS, (422, "invalidInput"), for_systems=True),
    ("GET", f"{API}{_S}/provenance"): Row(ALL, NOT_FOUND),
    ("POST", f"{API}{_S}/createpublishermetadata"): Row(SUBMITTERS | OWNERS, NOT_NOW),
    ("GET", f"{API}{_S}/shippingLabels"): Row(ALL, (200, None)),
    ("POST", f"{API}{_S}/shippingLabels"): Row(OWNERS, NOT_NOW, {"name": "L", "destination": "windowsUpdate"}),
    ("GET", f"{API}{_L}"): Row(ALL, NOT_FOUND),
    ("PATCH", f"{API}{_L}"): Row(OWNERS, NOT_FOUND, {"targeting": {}}),
    ("PUT", f"{API}{_L}/cancel"): Row(OWNERS, NOT_FOUND),
    ("GET", f"{API}/audiences"): Row(ALL, (200, None)),
    ("GET", f"{API}{_RELATED}"): Row(ALL, (200, None)),
    ("PUT", f"{API}{_PREPROD}"): Row(SUBMITTERS, (422, "invalidInput")),
    ("GET", f"{API}{_PREPROD}/{{package}}"): Row(ALL, NOT_FOUND),
    ("GET", f"{API}{_PREPROD}/{{package}}/assets"): Row(ALL, NOT_FOUND),
    ("GET", f"{API}{_PREPROD}/{{package}}/assets/{{asset}}"): Row(ALL, NOT_FOUND),
    ("GET", f"{API}{_PREPROD}/{{package}}/assets/{{asset}}/download"): Row(ALL, NOT_FOUND),
    ("GET", OFFERS): Row(ALL, (422, "invalidInput")),
    ("POST", OFFERS): Row(ALL, (200, None), MACHINE),
    ("GET", _REPORT): Row(None, NOT_FOUND),
}


def key_of(route: Route) -> tuple[str, str]:
    """A route of the server's table, as the table here names it."""
    return route.method, re.sub(r"\{(\w+)_id\}", r"{\1}", route.path)


SERVED = sorted({key_of(route) for route in ROUTES})
"""What the server serves of the table."""


def parameters(path: str) -> list[str]:
    """The ids that a path of the table has."""
    return re.findall(r"\{(\w+)\}", path)
