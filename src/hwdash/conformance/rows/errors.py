"""Every documented refusal that can be provoked: statuses, codes, triggers, literals (contract, section 7)."""

from typing import Any

from hwdash.conformance import expect
from hwdash.conformance.caller import object_of
from hwdash.conformance.outcome import NotApplicable, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_LONG, UNKNOWN_PRODUCT
from hwdash.conformance.stage import SAMPLE, Stage

ROWS = Rows()
JSON = {"Content-Type": "application/json"}
INVALID, STATE, UNAUTHORISED = "invalidInput", "requestInvalidForCurrentState", "updateUnauthorized"
ONLY_PENDING = "Only pending submissions can be committed."
INITIAL_EXISTS = "Initial submission already exists"
NO_DERIVED = "Cannot create derived submission for Attestation, TestSigned and ExtensionInf type of products."


# Statuses (7.1)


@ROWS.row("status-400-no-json", Source.DOCUMENTED)
def no_json(stage: Stage) -> None:
    """A body that is not JSON: 400."""
    for content in (b"{", b"", b"\xff\xfe", b"productName=x"):
        expect.any_error(stage.caller.send("POST", "/products", content=content, headers=JSON), 400)


@ROWS.row("status-400-no-object", Source.DOCUMENTED)
def no_object(stage: Stage) -> None:
    """JSON that is not an object: 400."""
    for content in (b"[]", b'"text"', b"1", b"null"):
        expect.any_error(stage.caller.send("POST", "/products", content=content, headers=JSON), 400)


@ROWS.row("status-401-bad-token", Source.DOCUMENTED)
def bad_token(stage: Stage) -> None:
    """A token that is none: 401, flat."""
    for value in ("Bearer nonsense", "Bearer a.b.c", "Basic eDp5"):
        expect.flat_error(stage.caller.send("GET", "/products", authorization=value), 401)


@ROWS.row("status-401-changed-token", Source.DOCUMENTED)
def changed_token(stage: Stage) -> None:
    """A token whose signature was changed: 401, flat."""
    head, _, signature = stage.caller.token().rpartition(".")
    middle = len(signature) // 2
    changed = "A" if signature[middle] != "A" else "B"
    token = f"{head}.{signature[:middle]}{changed}{signature[middle + 1 :]}"
    expect.flat_error(stage.caller.send("GET", "/products", authorization=f"Bearer {token}"), 401)


@ROWS.row("status-404-ids-are-digits", Source.OURS)
def ids_are_digits(stage: Stage) -> None:
    """An id that is not decimal digits: 404."""
    for text in ("x", "-1", "1.0", "0x10", "%31x", "9" * 30):
        expect.error(stage.caller.send("GET", f"/products/{text}"), 404, "entityNotFound")


@ROWS.row("status-404-no-route", Source.DOCUMENTED)
def no_route(stage: Stage) -> None:
    """A path below the base that is no route: 404, as JSON."""
    expect.any_error(stage.caller.send("GET", "/nothing"), 404)


@ROWS.row("status-415-no-json-type", Source.DOCUMENTED)
def media_type(stage: Stage) -> None:
    """A body of another media type than JSON: 415."""
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
        answer = stage.caller.send("POST", "/products", content=b"{}", headers={"Content-Type": kind})
        expect.any_error(answer, 415)


@ROWS.row("status-422-required", Source.OURS)
def required(stage: Stage) -> None:
    """Missing required properties: 422 invalidInput, one finding each."""
    found = expect.error(stage.caller.send("POST", "/products", json={}), 422, INVALID)
    expect.targets(found, "productName", "testHarness", "requestedSignatures")
    found = expect.error(stage.caller.send("POST", f"/products/{stage.sample.id}/submissions", json={}), 422, INVALID)
    expect.targets(found, "name", "type")


@ROWS.row("status-429-throttled", Source.OURS)
def throttled(stage: Stage) -> None:
    """429 is flat and has Retry-After, when it came."""
    seen = [each for each in stage.caller.seen if each.status_code == 429]
    if not seen:
        raise NotApplicable("the service has throttled nothing so far, and the suite does not flood it.")
    for answer in seen:
        expect.flat_error(answer, 429)
        expect.true(answer.headers.get("Retry-After", "").isdecimal(), "Retry-After is missing, or no number.")


@ROWS.row("status-no-delete", Source.DOCUMENTED)
def no_delete(stage: Stage) -> None:
    """Nothing can be deleted: DELETE is refused, as JSON, and changes nothing."""
    for path in (stage.pending_path, f"/products/{stage.sample.id}"):
        answer = stage.caller.send("DELETE", path)
        expect.true(400 <= answer.status_code < 500, f"DELETE was answered {answer.status_code}.")
        expect.any_error(answer, answer.status_code)
        expect.status(stage.caller.send("GET", path), 200)


# invalidInput


def _invalid(stage: Stage, target: str, changes: dict[str, Any]) -> dict[str, Any]:
    found = expect.error(stage.caller.send("POST", "/products", json={**SAMPLE, **changes}), 422, INVALID)
    named = [each["target"] for each in found.get("validationErrors", [])]
    expect.true(
        any(each == target or each.startswith((f"{target}[", f"{target}.")) for each in named),
        f"validationErrors names {named}; it should name {target}.",
    )
    return found


@ROWS.row("error-invalidInput-enumerations", Source.OURS)
def unknown_words(stage: Stage) -> None:
    """Unknown words in enumerations: 422, each with its field."""
    _invalid(stage, "testHarness", {"testHarness": "WHQL"})
    _invalid(stage, "deviceType", {"deviceType": "sideways"})
    _invalid(stage, "selectedProductTypes", {"selectedProductTypes": {"Windows_v100": "Toaster"}})
    _invalid(stage, "selectedProductTypes", {"selectedProductTypes": {"Windows_v999": "Printer"}})


@ROWS.row("error-invalidInput-all-findings", Source.OURS)
def all_findings(stage: Stage) -> None:
    """All findings of a body come at once."""
    found = _invalid(stage, "testHarness", {"testHarness": "x", "deviceType": "y", "productName": ""})
    expect.targets(found, "deviceType", "productName")


@ROWS.row("error-invalidInput-conditional", Source.DOCUMENTED)
def conditional(stage: Stage) -> None:
    """Names and versions that a flag of a controller asks for: 422."""
    for controller in ("storageController", "raidController"):
        for flag in ("usedProprietary", "usedMicrosoft"):
            _invalid(stage, "additionalAttributes", {"additionalAttributes": {controller: {flag: True}}})
    better_boot = {"storageController": {"usedBetterBoot": True}}
    _invalid(stage, "additionalAttributes", {"additionalAttributes": better_boot})


@ROWS.row("error-invalidInput-one-attribute", Source.DOCUMENTED)
def one_attribute(stage: Stage) -> None:
    """Two members of additionalAttributes: 422."""
    _invalid(stage, "additionalAttributes", {"additionalAttributes": {"storageController": {}, "svvp": {}}})


@ROWS.row("error-invalidInput-two-ways-of-signing", Source.OURS)
def two_ways(stage: Stage) -> None:
    """isTestSign with isFlightSign: 422."""
    body = {**SAMPLE, "isTestSign": True, "isFlightSign": True}
    expect.error(stage.caller.send("POST", "/products", json=body), 422, INVALID)


@ROWS.row("error-invalidInput-empty-update", Source.OURS)
def empty_update(stage: Stage) -> None:
    """A PATCH that changes nothing: 422."""
    _ = stage.pending
    expect.error(stage.caller.send("PATCH", f"/products/{stage.sample.id}", json={}), 422, INVALID)
    expect.error(stage.caller.send("PATCH", stage.pending_path, json={}), 422, INVALID)


@ROWS.row("error-invalidInput-immutable", Source.OURS)
def immutable(stage: Stage) -> None:
    """A PATCH of a property that is not changeable: 422."""
    _ = stage.pending
    answer = stage.caller.send("PATCH", f"/products/{stage.sample.id}", json={"deviceType": "internal"})
    expect.error(answer, 422, INVALID)


@ROWS.row("error-invalidInput-late-marketing-name", Source.DOCUMENTED)
def late_marketing_name(stage: Stage) -> None:
    """A new marketing name after the announcement date has passed: 422."""
    _ = stage.pending
    body = {"marketingNames": ["Contoso Mini", "Contoso Late"]}
    expect.error(stage.caller.send("PATCH", f"/products/{stage.sample.id}", json=body), 422, INVALID)


@ROWS.row("error-invalidInput-derived-attestation", Source.FIELD)
def derived_attestation(stage: Stage) -> None:
    """A derived submission of an attestation product: 400."""
    answer = stage.caller.send(
        "POST", f"/products/{stage.sample.id}/submissions", json={"name": "derived", "type": "derived"}
    )
    expect.error(answer, 400, INVALID, message=NO_DERIVED)


# requestInvalidForCurrentState


@ROWS.row("error-requestInvalidForCurrentState-a-second-commit", Source.CLIENTS, waits="failing")
def second_commit(stage: Stage) -> None:
    """a. The commit of a submission that is not pending: 422 and the literal."""
    answer = stage.caller.send("POST", f"{stage.begin('failing').path}/commit")
    expect.error(answer, 422, STATE, message=ONLY_PENDING)


@ROWS.row("error-requestInvalidForCurrentState-b-second-initial", Source.CLIENTS)
def second_initial(stage: Stage) -> None:
    """b. A second initial submission: 422 and the literal."""
    _ = stage.pending
    answer = stage.caller.send(
        "POST", f"/products/{stage.sample.id}/submissions", json={"name": "second", "type": "initial"}
    )
    expect.error(answer, 422, STATE, message=INITIAL_EXISTS)


@ROWS.row("error-requestInvalidForCurrentState-b-after-failure", Source.DOCUMENTED, waits="failing")
def initial_after_failure(stage: Stage) -> None:
    """b. A second initial submission after the first one failed: 422."""
    workflow, _ = stage.finished("failing")
    body = {"name": "again", "type": "initial"}
    answer = stage.caller.send("POST", f"/products/{workflow.product.id}/submissions", json=body)
    expect.error(answer, 422, STATE, message=INITIAL_EXISTS)


@ROWS.row("error-requestInvalidForCurrentState-c-derived-first", Source.DOCUMENTED)
def derived_first(stage: Stage) -> None:
    """c. A derived submission before an initial one: 422."""
    answer = stage.caller.send(
        "POST", f"/products/{stage.bare.id}/submissions", json={"name": "derived", "type": "derived"}
    )
    expect.error(answer, 422, STATE)


# updateUnauthorized


@ROWS.row("error-updateUnauthorized-b-no-initial", Source.DOCUMENTED)
def update_without_initial(stage: Stage) -> None:
    """b. PATCH of a product without a submission: 403."""
    answer = stage.caller.send("PATCH", f"/products/{stage.bare.id}", json={"productName": "too early"})
    expect.error(answer, 403, UNAUTHORISED)


@ROWS.row("error-updateUnauthorized-c-product-failed", Source.DOCUMENTED, waits="failing")
def update_failed_product(stage: Stage) -> None:
    """c. PATCH of a product whose workflow failed: 403."""
    workflow, _ = stage.finished("failing")
    answer = stage.caller.send("PATCH", f"/products/{workflow.product.id}", json={"productName": "too late"})
    expect.error(answer, 403, UNAUTHORISED)


@ROWS.row("error-updateUnauthorized-d-date-after-ingestion", Source.DOCUMENTED, waits="signed")
def update_date_after_ingestion(stage: Stage) -> None:
    """d. PATCH of the announcement date after ingestion: 403."""
    workflow, _ = stage.succeeded("signed")
    body = {"announcementDate": "2031-01-01T00:00:00Z"}
    answer = stage.caller.send("PATCH", f"/products/{workflow.product.id}", json=body)
    expect.error(answer, 403, UNAUTHORISED)


@ROWS.row("error-updateUnauthorized-e-name-now", Source.DOCUMENTED)
def update_name_now(_: Stage) -> None:
    """e. PATCH of a name that cannot be changed now: 403."""
    raise NotApplicable("the documentation does not say when a name cannot be changed, so it cannot be provoked.")


@ROWS.row("error-updateUnauthorized-g-submission-failed", Source.DOCUMENTED, waits="failing")
def update_failed_submission(stage: Stage) -> None:
    """g. PATCH of a submission whose workflow failed: 403."""
    workflow, _ = stage.finished("failing")
    expect.error(stage.caller.send("PATCH", workflow.path, json={"name": "too late"}), 403, UNAUTHORISED)


# entityNotFound


@ROWS.row("error-entityNotFound-a-commit", Source.DOCUMENTED)
def commit_unknown(stage: Stage) -> None:
    """a. The commit of an unknown submission: 404."""
    path = f"/products/{stage.sample.id}/submissions/{UNKNOWN_LONG}/commit"
    expect.error(stage.caller.send("POST", path, json={}), 404, "entityNotFound")


@ROWS.row("error-entityNotFound-b-submission", Source.DOCUMENTED)
def submission_for_unknown(stage: Stage) -> None:
    """b. A submission for an unknown product: 404."""
    path = f"/products/{UNKNOWN_PRODUCT}/submissions"
    expect.error(stage.caller.send("POST", path, json={"name": "n", "type": "initial"}), 404, "entityNotFound")


@ROWS.row("error-commit-without-upload", Source.OURS)
def commit_without_upload(stage: Stage) -> None:
    """The commit without an upload: 202 and commitFailed, or 422."""
    # On a submission of its own: one that is taken is spent.
    submission = stage.once("unfilled", lambda: stage.create_submission(stage.spare))
    path = f"/products/{stage.spare.id}/submissions/{submission.id}"
    answer = stage.caller.send("POST", f"{path}/commit")
    if answer.status_code == 202:
        expect.empty(answer, 202)
    else:
        expect.error(answer, 422, INVALID)


@ROWS.row("error-messages-are-sentences", Source.OURS)
def messages(stage: Stage) -> None:
    """Every refusal has a message for people."""
    refusals = [
        stage.caller.send("POST", "/products", json={}),
        stage.caller.send("GET", f"/products/{UNKNOWN_PRODUCT}"),
        stage.caller.send("POST", f"/products/{stage.bare.id}/submissions", json={"name": "d", "type": "derived"}),
    ]
    for answer in refusals:
        message = object_of(answer)["error"]["message"]
        expect.true(" " in message.strip(), f"the message of {answer.request.url.path} is {message!r}.")
