"""Who may: each route without a token, with the ids of another account, and with ids that do not exist.

The table has the routes of section 2 of the contract that need a token, labels and partners included.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from hwdash.conformance import expect
from hwdash.conformance.caller import Caller
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import X64, Stage

ROWS = Rows()

# In the families of the contract's ids, and never given out: the service's own begin at 1 152 921 504 ...
UNKNOWN_PRODUCT = 10_000_000_000_000_010
UNKNOWN_LONG = 1_000_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Route:
    """A route that needs a token: its number in the contract, and a request that is right but for the ids."""

    name: str
    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    level: int = 0
    """0: no id of an account's own in the path; 1: a product's; 2: a submission's; 3: a label's."""

    def send(self, caller: Caller, ids: Mapping[str, object], authorization: str | None = "") -> httpx.Response:
        """Send the request with these ids."""
        headers = {} if self.content is None else {"Content-Type": "application/octet-stream"}
        return caller.send(
            self.method,
            self.path.format(**ids),
            json=self.json,
            content=self.content,
            headers=headers,
            authorization=authorization,
        )


_P = "/products/{product}"
_S = _P + "/submissions/{submission}"
_L = _S + "/shippingLabels/{label}"
_PRODUCT = {"productName": "n", "testHarness": "HLK", "requestedSignatures": [X64]}
_LABEL = {
    "name": "hwdash conformance",
    "destination": "anotherPartner",
    "recipientSpecifications": {"receiverPublisherId": "1", "enforceChidTargeting": False},
    "targeting": {"hardwareIds": [], "chids": []},
}
ROUTES = (
    Route("01-list-products", "GET", "/products"),
    Route("02-create-product", "POST", "/products", _PRODUCT),
    Route("03-get-product", "GET", _P, level=1),
    Route("04-update-product", "PATCH", _P, {"productName": "hwdash conformance: taken"}, level=1),
    Route("05-list-submissions", "GET", _P + "/submissions", level=1),
    Route("06-create-submission", "POST", _P + "/submissions", {"name": "n", "type": "initial"}, level=1),
    Route("07-get-submission", "GET", _S, level=2),
    Route("08-update-submission", "PATCH", _S, {"name": "taken"}, level=2),
    Route("09-commit", "POST", _S + "/commit", level=2),
    Route("10-create-publisher-metadata", "POST", _S + "/createpublishermetadata", {}, level=2),
    Route("11-list-labels", "GET", _S + "/shippingLabels", level=2),
    Route("12-create-label", "POST", _S + "/shippingLabels", _LABEL, level=2),
    Route("13-get-label", "GET", _L, level=3),
    Route("14-update-label", "PATCH", _L, {"targeting": {"businessJustification": "none"}}, level=3),
    Route("15-cancel-label", "PUT", _L + "/cancel", level=3),
    Route("16-audiences", "GET", "/audiences"),
    Route("17-preprod-upload", "PUT", "/preprod/packages", content=b"x"),
    Route("18-preprod-status", "GET", "/preprod/packages/none"),
    Route("19-preprod-assets", "GET", "/preprod/packages/none/assets"),
    Route("20-preprod-asset", "GET", "/preprod/packages/none/assets/none"),
    Route("21-preprod-download", "GET", "/preprod/packages/none/assets/none/download"),
    Route(
        "22-partner-lookup",
        "GET",
        "/products/relationships/sourcepubliherid/1/sourceproductid/{product}/sourcesubmissionid/{submission}",
    ),
)  # fmt: skip
_UNKNOWN: dict[str, object] = {"product": UNKNOWN_PRODUCT, "submission": UNKNOWN_LONG, "label": UNKNOWN_LONG}


def _without_token(route: Route) -> Callable[[Stage], None]:
    return lambda stage: expect.flat_error(route.send(stage.caller, _UNKNOWN, authorization=None), 401)


def _unknown(route: Route) -> Callable[[Stage], None]:
    def check(stage: Stage) -> None:
        # The innermost id is the one that does not exist; what is around it does.
        ids = _UNKNOWN | ({"product": stage.sample.id} if route.level > 1 else {})
        ids |= {"submission": stage.pending.id} if route.level > 2 else {}
        _is_there(stage, route, ids)
        expect.error(route.send(stage.caller, ids), 404, "entityNotFound")

    return check


def _is_there(stage: Stage, route: Route, ids: Mapping[str, object]) -> None:
    """A route that is not there would answer 404 too; it asks for no token."""
    expect.status(route.send(stage.caller, ids, authorization=None), 401)


def _foreign(route: Route) -> Callable[[Stage], None]:
    def check(stage: Stage) -> None:
        second, ids = stage.second, {"product": stage.sample.id, "submission": stage.pending.id, "label": UNKNOWN_LONG}
        _is_there(stage, route, ids)
        expect.error(route.send(second, ids), 404, "entityNotFound")

    return check


for _route in ROUTES:
    ROWS.row(f"auth-{_route.name}", Source.DOCUMENTED, title=f"{_route.method} without a token: 401, flat")(
        _without_token(_route)
    )
for _route in ROUTES:
    if _route.level:
        ROWS.row(f"unknown-{_route.name}", Source.DOCUMENTED, title=f"{_route.method} with an id that is unknown: 404")(
            _unknown(_route)
        )
for _route in ROUTES:
    if _route.level:
        ROWS.row(f"owner-{_route.name}", Source.OURS, title=f"{_route.method} with another account's ids: 404")(
            _foreign(_route)
        )


@ROWS.row("owner-list-products", Source.DOCUMENTED)
def foreign_list(stage: Stage) -> None:
    """GET products: another account's are not in the list."""
    second, sample = stage.second, stage.sample
    listed = second.send("GET", "/products")
    expect.status(listed, 200)
    expect.true(
        all(each["id"] != sample.id for each in listed.json()["value"]),
        "the second account sees the first one's product.",
    )


@ROWS.row("owner-mixed-ids", Source.DOCUMENTED)
def mixed_ids(stage: Stage) -> None:
    """A submission under another product of the same account is 404."""
    path = f"/products/{stage.bare.id}/submissions/{stage.pending.id}"
    expect.error(stage.caller.send("GET", path), 404, "entityNotFound")


@ROWS.row("role-reader-may-read", Source.OURS)
def reader_reads(stage: Stage) -> None:
    """An application that may not submit may read."""
    for path in ("/products", f"/products/{stage.sample.id}", stage.pending_path):
        expect.status(stage.reader.send("GET", path), 200)


@ROWS.row("role-reader-may-not-submit", Source.DOCUMENTED)
def reader_does_not_submit(stage: Stage) -> None:
    """An application without the submitting role: 403, never 401."""
    reader, ids = stage.reader, {"product": stage.sample.id, "submission": stage.pending.id}
    for route in ROUTES:
        if route.name[:2] in ("02", "04", "06", "08", "09"):
            expect.any_error(route.send(reader, ids), 403)
