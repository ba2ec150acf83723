"""The checklist: what whole clients need (contract, section 13). What a partner gets is in partners.py."""

import io
import json
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hwdash.conformance import expect, shapes
from hwdash.conformance.caller import json_of, object_of
from hwdash.conformance.outcome import Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_PRODUCT
from hwdash.conformance.rows.errors import INITIAL_EXISTS, JSON, ONLY_PENDING, STATE, UNAUTHORISED
from hwdash.conformance.stage import NO_PACKAGE, Stage, download, request_id

ROWS = Rows()


@ROWS.row("checklist-01-signed-package", Source.CLIENTS, waits="signed")
def signed_package(stage: Stage) -> None:
    """1. A package comes back signed, as a zip file."""
    _, submission = stage.succeeded("signed")
    answer = stage.caller.blob("GET", download(submission, "signedPackage"))
    expect.status(answer, 200)
    expect.true(zipfile.is_zipfile(io.BytesIO(answer.content)), "signedPackage is no zip file.")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
    expect.true(any(name.lower().endswith(".cat") for name in names), f"there is no catalog among {names}.")


@ROWS.row("checklist-01-driver-metadata", Source.DOCUMENTED, waits="signed")
def driver_metadata(stage: Stage) -> None:
    """1. The driver metadata has its documented form."""
    _, submission = stage.succeeded("signed")
    answer = stage.caller.blob("GET", download(submission, "driverMetadata"))
    expect.status(answer, 200)
    expect.shape(json_of(answer), shapes.METADATA, "the driver metadata")


@ROWS.row("checklist-01-commit-with-empty-object", Source.CLIENTS, waits="signed")
def commit_with_object(stage: Stage) -> None:
    """1. A commit with {} is taken."""
    expect.empty(stage.begin("signed").committed, 202)


@ROWS.row("checklist-01-no-null", Source.CLIENTS)
def no_null(stage: Stage) -> None:
    """1. No null: no date, no boolean, nothing."""
    for path in ("/products", f"/products/{stage.sample.id}", stage.pending_path):
        stage.caller.send("GET", path)
    for answer in stage.caller.seen:
        if b"null" in answer.content and answer.headers.get("Content-Type", "").startswith("application/json"):
            found = list(_nulls(json_of(answer), ""))
            expect.true(not found, f"{answer.request.method} {answer.request.url.path} has null in {', '.join(found)}.")


def _nulls(value: object, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _nulls(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for each in value:
            yield from _nulls(each, f"{path}[]")


@ROWS.row("checklist-02-raw-upload", Source.FIELD, waits="failing")
def raw_upload(stage: Stage) -> None:
    """2. An upload with one header, as raw clients do it: 201."""
    (uploaded,) = stage.begin("failing").uploaded
    expect.status(uploaded, 201)


@ROWS.row("checklist-02-commit-without-body", Source.FIELD, waits="failing")
def commit_without_body(stage: Stage) -> None:
    """2. A commit without body and type is taken."""
    committed = stage.begin("failing").committed
    expect.true("Content-Type" not in committed.request.headers, "the suite itself sent a Content-Type.")
    expect.empty(committed, 202)


@ROWS.row("checklist-03-ids-as-doubles", Source.OURS)
def doubles(stage: Stage) -> None:
    """3. Ids survive a client that keeps numbers as doubles."""
    for identifier in (stage.sample.body["id"], stage.sample.body["sharedProductId"], stage.pending.body["id"]):
        # As a client prints it that keeps numbers as doubles: the shortest digits that read back as the same one.
        printed = Decimal(repr(float(identifier)))
        expect.true(printed == identifier, f"{identifier} becomes {printed:f}.")


@ROWS.row("checklist-03-first-link", Source.FIELD)
def first_link(stage: Stage) -> None:
    """3. links[0].href ends with the id, without slash or query."""
    for made in (stage.sample, stage.pending):
        tail = made.body["links"][0]["href"].split("/").pop()
        expect.true(tail.isdecimal(), f"links[0].href ends with {tail!r}, no id.")


@ROWS.row("checklist-04-statuses", Source.CLIENTS, waits="failing")
def statuses(stage: Stage) -> None:
    """4. 201, 201, 202, 200."""
    workflow = stage.begin("failing")
    expect.status(workflow.product.answer, 201)
    expect.status(workflow.submission.answer, 201)
    expect.status(workflow.committed, 202)
    expect.status(stage.caller.send("GET", workflow.path), 200)


@ROWS.row("checklist-05-replayed-post", Source.CLIENTS)
def replayed_post(stage: Stage) -> None:
    """5. A replayed POST makes no second initial submission."""
    product, headers = stage.replayed, {"MS-RequestId": request_id()}
    body = {"name": "replayed", "type": "initial"}
    path = f"/products/{product.id}/submissions"
    first, again = (stage.caller.send("POST", path, json=body, headers=headers) for _ in range(2))
    expect.status(first, 201)
    if again.status_code == 201:
        expect.equal(object_of(again)["id"], object_of(first)["id"], "the id of the second answer")
    else:
        expect.error(again, 422, STATE)
    expect.equal(len(object_of(stage.caller.send("GET", path))["value"]), 1, "the number of submissions")


@ROWS.row("checklist-05-replayed-product", Source.OURS)
def replayed_product(stage: Stage) -> None:
    """5. A replayed create with its MS-RequestId makes no second product."""
    sent = stage.replayed.answer.request
    headers = {"MS-RequestId": sent.headers["MS-RequestId"], "Content-Type": "application/json"}
    again = stage.caller.send("POST", "/products", content=sent.content, headers=headers)
    expect.status(again, 201)
    expect.equal(object_of(again)["id"], stage.replayed.body["id"], "the id of the second answer")


@ROWS.row("checklist-05-replayed-commit", Source.OURS, waits="failing")
def replayed_commit(stage: Stage) -> None:
    """5. A commit replayed with its MS-RequestId is taken again, or refused as a second one; it starts nothing."""
    workflow, submission = stage.finished("failing")
    headers = {"MS-RequestId": workflow.committed.request.headers["MS-RequestId"]}
    answer = stage.caller.send("POST", f"{workflow.path}/commit", headers=headers)
    if answer.status_code == 202:
        expect.empty(answer, 202)
    else:
        expect.error(answer, 422, STATE, message=ONLY_PENDING)
    after = object_of(stage.caller.send("GET", workflow.path))
    expect.equal(after["workflowStatus"]["state"], submission["workflowStatus"]["state"], "state after the replay")


@ROWS.row("checklist-06-patch-is-empty", Source.DOCUMENTED)
def patch_is_empty(stage: Stage) -> None:
    """6. PATCH answers 204 without a body."""
    _ = stage.pending
    answers = [
        stage.caller.send("PATCH", f"/products/{stage.sample.id}", json={"productName": "hwdash conformance: patched"}),
        stage.caller.send("PATCH", stage.pending_path, json={"name": "patched"}),
    ]
    for answer in answers:
        expect.empty(answer, 204)


@ROWS.row("checklist-07-error-envelopes", Source.FIELD)
def error_envelopes(stage: Stage) -> None:
    """7. 400, 403, 404 and 422 have the API's envelope."""
    bare = f"/products/{stage.bare.id}"
    expect.error(stage.caller.send("PATCH", bare, json={"productName": "too early"}), 403, UNAUTHORISED)
    expect.error(stage.caller.send("GET", f"/products/{UNKNOWN_PRODUCT}"), 404, "entityNotFound")
    expect.error(stage.caller.send("POST", "/products", json={}), 422, "invalidInput")
    expect.error(stage.caller.send("POST", "/products", content=b"{", headers=JSON), 400, "invalidInput")


@ROWS.row("checklist-07-flat-401", Source.CLIENTS)
def flat_401(stage: Stage) -> None:
    """7. 401 is flat."""
    expect.flat_error(stage.caller.send("GET", "/products", authorization=None), 401)


def _submit(stage: Stage, path: str, kind: str) -> Any:
    return stage.caller.send("POST", path, json={"name": "n", "type": kind})


@ROWS.row("checklist-08-second-initial", Source.DOCUMENTED)
def second_initial(stage: Stage) -> None:
    """8. A second initial submission is refused."""
    _ = stage.pending
    answer = _submit(stage, f"/products/{stage.sample.id}/submissions", "initial")
    expect.error(answer, 422, STATE, message=INITIAL_EXISTS)


@ROWS.row("checklist-08-derived-first", Source.DOCUMENTED)
def derived_first(stage: Stage) -> None:
    """8. A derived submission before the initial one is refused."""
    expect.error(_submit(stage, f"/products/{stage.bare.id}/submissions", "derived"), 422, STATE)


@ROWS.row("checklist-08-double-commit", Source.DOCUMENTED, waits="failing")
def double_commit(stage: Stage) -> None:
    """8. A second commit is refused."""
    path = f"{stage.begin('failing').path}/commit"
    forms: list[dict[str, Any]] = [{}, {"json": {}}, {"content": b"", "headers": JSON}]
    for form in forms:
        expect.error(stage.caller.send("POST", path, **form), 422, STATE, message=ONLY_PENDING)


@ROWS.row("checklist-12-self-first", Source.FIELD)
def self_first(stage: Stage) -> None:
    """12. links[0] is self in every resource."""
    _ = stage.pending
    for path in ("/products", f"/products/{stage.sample.id}", f"/products/{stage.sample.id}/submissions",
                 stage.pending_path, "/audiences"):  # fmt: skip
        body = object_of(stage.caller.send("GET", path))
        expect.equal(body["links"][0]["rel"], "self", f"links[0].rel of {path}")
        for each in body.get("value", []):
            if "links" in each:
                expect.equal(each["links"][0]["rel"], "self", f"links[0].rel in {path}")


@ROWS.row("checklist-uploaded-bytes", Source.DOCUMENTED, waits="failing")
def uploaded_bytes(stage: Stage) -> None:
    """What was uploaded can be read again after the commit."""
    _, submission = stage.finished("failing")
    answer = stage.caller.blob("GET", download(submission, "initialPackage"))
    expect.status(answer, 200)
    expect.equal(answer.content, NO_PACKAGE, "the uploaded package")


@ROWS.row("checklist-numbers-are-digits", Source.DOCUMENTED)
def numbers_are_digits(stage: Stage) -> None:
    """Ids are written as digits, not as 1.15e18."""
    for made in (stage.sample, stage.pending):
        for number in _numbers(made.answer.text):
            expect.true(number.isdecimal(), f"{number} is not written in digits.")


def _numbers(text: str) -> list[str]:
    found: list[str] = []
    json.loads(text, parse_float=found.append, parse_int=found.append)
    return found
