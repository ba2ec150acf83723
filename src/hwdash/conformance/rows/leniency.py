"""What is taken on input besides the documented form (contract, 1.4)."""

import json
from typing import Any

from hwdash.conformance import expect
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import X64, Made, Stage, made

ROWS = Rows()
NULLABLE = ("deviceMetadataIds", "marketingNames", "additionalAttributes", "selectedProductTypes", "firmwareVersion")


def _nulls(stage: Stage) -> Made:
    changes = dict.fromkeys((*NULLABLE, "announcementDate", "deviceMetadataCategory"))
    return stage.once("nulls", lambda: stage.create(productName="hwdash conformance: nulls", **changes))


def _pascal(stage: Stage) -> Made:
    """Sent as text in UTF-8 under the official client's type, every name in PascalCase, with unknown members."""

    def create() -> Made:
        body: dict[str, Any] = {
            "ProductName": "hwdash conformance: Ünï 驱动",
            "TestHarness": "HLK",
            "RequestedSignatures": [X64],
            "DeviceType": "Internal",
            "MarketingNames": ["One"],
            "IsTestSign": False,
            "markettingNames": ["misspelt"],
            "deviceMetaDataIds": None,
            "manualAcquistion": True,
            "packageType": "HLK",
            "id": "5",
        }
        headers = {"Content-Type": "application/json; charset=utf-8"}
        content = json.dumps(body, ensure_ascii=False).encode()
        return made(stage.caller.send("POST", "/products", content=content, headers=headers))

    return stage.once("pascal", create)


def _minimal(stage: Stage) -> Made:
    """The least that was seen to work, and an empty date; sent without a Content-Type."""

    def create() -> Made:
        body = {
            "productName": "hwdash conformance: minimal",
            "testHarness": "attestation",
            "requestedSignatures": [X64],
            "announcementDate": "",
        }
        return made(stage.caller.send("POST", "/products", content=json.dumps(body).encode()))

    return stage.once("minimal", create)


@ROWS.row("lenient-null", Source.CLIENTS)
def null(stage: Stage) -> None:
    """null for an array, an object or an optional text is taken as absent."""
    expect.subset(
        _nulls(stage).body,
        {"deviceMetadataIds": [], "marketingNames": [], "additionalAttributes": {}, "selectedProductTypes": {}},
        "the product",
    )


@ROWS.row("lenient-null-date", Source.CLIENTS)
def null_date(stage: Stage) -> None:
    """null for a date: the answer has no such member."""
    expect.true("announcementDate" not in _nulls(stage).body, "announcementDate is in the answer.")


@ROWS.row("lenient-names", Source.FIELD)
def names(stage: Stage) -> None:
    """Property names are taken in any case."""
    expect.subset(
        _pascal(stage).body, {"testHarness": "hlk", "deviceType": "internal", "marketingNames": ["One"]}, "the product"
    )


@ROWS.row("lenient-unknown-members", Source.CLIENTS)
def unknown_members(stage: Stage) -> None:
    """Unknown and misspelt members are ignored."""
    product = _pascal(stage).body
    found = [name for name in ("markettingNames", "deviceMetaDataIds", "manualAcquistion") if name in product]
    expect.true(not found, f"{', '.join(found)} came back.")
    expect.true(product["id"] != 5, "the id that was sent was taken.")


@ROWS.row("lenient-utf-8", Source.DOCUMENTED)
def utf_8(stage: Stage) -> None:
    """Text beyond ASCII comes back."""
    expect.equal(_pascal(stage).body["productName"], "hwdash conformance: Ünï 驱动", "productName")


@ROWS.row("lenient-minimal", Source.FIELD)
def minimal(stage: Stage) -> None:
    """A name, a harness and OS codes make a product; the rest has defaults."""
    expect.subset(
        _minimal(stage).body,
        {
            "deviceType": "notSet",
            "isTestSign": False,
            "isFlightSign": False,
            "selectedProductTypes": {},
            "marketingNames": [],
            "deviceMetadataIds": [],
            "additionalAttributes": {},
            "originType": "author",
            "sourceProductId": 0,
            "sourcePublisherId": 0,
            "message": "",
        },
        "the product",
    )


@ROWS.row("lenient-empty-date", Source.CLIENTS)
def empty_date(stage: Stage) -> None:
    """An empty date is as if absent."""
    expect.true("announcementDate" not in _minimal(stage).body, "announcementDate is in the answer.")


@ROWS.row("lenient-no-content-type", Source.DOCUMENTED)
def no_content_type(stage: Stage) -> None:
    """A JSON body without a Content-Type is taken."""
    sent = _minimal(stage).answer.request
    expect.true("Content-Type" not in sent.headers, "the suite itself sent a Content-Type.")


@ROWS.row("lenient-submission-names", Source.FIELD)
def submission_names(stage: Stage) -> None:
    """Submissions: names and words in any case."""
    # A refusal that has read the type: a second initial submission.
    _ = stage.pending
    path = f"/products/{stage.sample.id}/submissions"
    bodies: list[dict[str, Any]] = [
        {"Name": "n", "Type": "Initial"},
        {"NAME": "n", "TYPE": "INITIAL", "unknown": {}, "id": None},
    ]
    for body in bodies:
        answer = stage.caller.send("POST", path, json=body)
        expect.error(answer, 422, "requestInvalidForCurrentState")


@ROWS.row("lenient-patch-names", Source.CLIENTS)
def patch_names(stage: Stage) -> None:
    """PATCH: names in any case, and the year-1 date as if absent."""
    _ = stage.pending
    body = {"ProductName": "hwdash conformance: pascal", "AnnouncementDate": "0001-01-01T00:00:00"}
    expect.empty(stage.caller.send("PATCH", f"/products/{stage.sample.id}", json=body), 204)


@ROWS.row("lenient-accept", Source.DOCUMENTED)
def accept(stage: Stage) -> None:
    """Any Accept is answered in JSON."""
    for value in ("application/json", "*/*", "text/html", "application/xml"):
        answer = stage.caller.send("GET", "/products?pageSize=1", headers={"Accept": value})
        expect.status(answer, 200)
        expect.is_json(answer)


@ROWS.row("lenient-get-with-type", Source.CLIENTS)
def get_with_type(stage: Stage) -> None:
    """A GET with a Content-Type and Content-Length: 0 is answered."""
    headers = {"Content-Type": "application/json", "Content-Length": "0"}
    expect.status(stage.caller.send("GET", "/products?pageSize=1", headers=headers), 200)


@ROWS.row("header-json-charset", Source.OURS)
def charset(stage: Stage) -> None:
    """JSON is answered as application/json; charset=utf-8."""
    kind = stage.caller.send("GET", f"/products/{stage.sample.id}").headers.get("Content-Type", "")
    expect.equal(kind.replace(" ", "").lower(), "application/json;charset=utf-8", "Content-Type")
