"""What the real service was seen to do, fact by fact, where the wire shows it. Labels have no rows yet."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from hwdash.conformance import expect
from hwdash.conformance.caller import API, json_of, object_of
from hwdash.conformance.outcome import Mismatch, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.rows.access import UNKNOWN_PRODUCT
from hwdash.conformance.rows.errors import ONLY_PENDING, STATE
from hwdash.conformance.shapes import SUBMISSION_STEPS, is_absolute
from hwdash.conformance.stage import SAMPLE, Stage, download, request_id

ROWS = Rows()
UNKNOWN_CODE = "WINDOWS_v100_X86_TH2_FULL"


@ROWS.row("observed-01-broken-bearer", Source.OURS)
def broken_bearer(stage: Stage) -> None:
    """An empty or broken Bearer: 401 and JSON."""
    for value in ("Bearer", "bearer x", "Bearer ..", ""):
        headers = {"Authorization": value}
        expect.flat_error(stage.caller.send("GET", "/products", headers=headers, authorization=None), 401)


@ROWS.row("observed-02-missing-role", Source.FIELD)
def missing_role(stage: Stage) -> None:
    """Without the role: 403, not 503."""
    expect.any_error(stage.reader.send("POST", "/products", json=SAMPLE), 403)


@ROWS.row("observed-03-commit-forms", Source.CLIENTS, waits="failing")
def commit_forms(stage: Stage) -> None:
    """A commit with no body, an empty one or {} gets as far as its rules."""
    path = f"{stage.begin('failing').path}/commit"
    json_type = {"Content-Type": "application/json; charset=utf-8", "Content-Length": "0"}
    forms: list[dict[str, Any]] = [{}, {"content": b""}, {"json": {}}, {"content": b"{}"}, {"headers": json_type}]
    for form in forms:
        expect.error(stage.caller.send("POST", path, **form), 422, STATE, message=ONLY_PENDING)


@ROWS.row("observed-04-v1", Source.FIELD)
def version_one(stage: Stage) -> None:
    """v1.0 paths work beside v2.0."""
    path = f"/products/{stage.sample.id}"
    first, second = (stage.caller.send("GET", path, base=base) for base in ("/v1.0/my/hardware", API))
    expect.status(first, 200)
    expect.equal(object_of(first), object_of(second), "the product")


@ROWS.row("observed-06-headers-echoed", Source.OURS)
def headers_echoed(stage: Stage) -> None:
    """MS-CorrelationId and MS-RequestId come back."""
    for path, authorization in (("/products", ""), (f"/products/{UNKNOWN_PRODUCT}", ""), ("/products", None)):
        sent = {"MS-CorrelationId": request_id(), "MS-RequestId": request_id()}
        answer = stage.caller.send("GET", path, headers=sent, authorization=authorization)
        for name, value in sent.items():
            expect.equal(answer.headers.get(name), value, name)


@ROWS.row("observed-06-headers-made", Source.OURS)
def headers_made(stage: Stage) -> None:
    """MS-CorrelationId and MS-RequestId are made when they are absent."""
    answer = stage.caller.send("GET", "/products?pageSize=1")
    for name in ("MS-CorrelationId", "MS-RequestId"):
        value = answer.headers.get(name, "")
        try:
            UUID(value)
        except ValueError as error:
            raise Mismatch(f"{name} is {value!r}, no GUID.") from error


@ROWS.row("observed-07-unknown-os-code", Source.FIELD)
def unknown_os_code(stage: Stage) -> None:
    """An unknown OS code: 422 invalidInput and its message."""
    body = {**SAMPLE, "requestedSignatures": [UNKNOWN_CODE]}
    found = expect.error(stage.caller.send("POST", "/products", json=body), 422, "invalidInput")
    wanted = f"The OS code `{UNKNOWN_CODE}` is invalid."
    errors = [(each["target"], each["message"]) for each in found.get("validationErrors", [])]
    expect.true(("requestedSignatures", wanted) in errors, f"validationErrors is {errors}; it should say: {wanted}")


@ROWS.row("observed-07-errors-are-json", Source.FIELD)
def errors_are_json(stage: Stage) -> None:
    """Every refusal is JSON, whatever its status."""
    stage.caller.send("GET", "/products", authorization=None)
    stage.caller.send("GET", f"/products/{UNKNOWN_PRODUCT}")
    stage.caller.send("POST", "/products", json={})
    stage.caller.send("POST", "/products", content=b"{", headers={"Content-Type": "application/json"})
    stage.caller.send("GET", "/nothing")
    stage.caller.send("PUT", "/products", json={})
    stage.caller.send("GET", "/dashboard/hardware/Driver/DownloadCertificationReport/1/1/1", base="")
    for answer in stage.caller.seen:
        if answer.status_code >= 400:
            expect.any_error(answer, answer.status_code)


@ROWS.row("observed-12-unregistered-certificate", Source.FIELD, waits="stranger")
def unregistered_certificate(stage: Stage) -> None:
    """An unregistered certificate: SignatureValidationFailed."""
    _, submission = stage.finished("stranger")
    status = submission["workflowStatus"]
    expect.equal(status["state"], "failed", "state")
    expect.true(
        any("SignatureValidationFailed" in each for each in status["messages"]),
        f"no message says SignatureValidationFailed: {status['messages']}",
    )


@ROWS.row("observed-13-server-code", Source.FIELD, waits="server")
def server_code(stage: Stage) -> None:
    """Attestation for a server: the commit is taken, the workflow fails."""
    workflow, submission = stage.finished("server")
    expect.status(workflow.committed, 202)
    expect.equal(submission["workflowStatus"]["state"], "failed", "state")
    expect.true(submission["workflowStatus"]["messages"], "no message says why.")


@ROWS.row("observed-14-commit-complete", Source.FIELD, waits="signed")
def commit_complete(stage: Stage) -> None:
    """A finished submission is commitComplete."""
    _, submission = stage.succeeded("signed")
    expect.equal(submission["commitStatus"], "commitComplete", "commitStatus")


@ROWS.row("observed-15-status-at-once", Source.CLIENTS, waits="failing")
def status_at_once(stage: Stage) -> None:
    """Right after the commit there is a workflowStatus."""
    first = stage.looked("failing").looks[0]
    status = first.get("workflowStatus")
    if not isinstance(status, dict):
        raise Mismatch("the first GET after the commit has no workflowStatus.")
    expect.true(status["state"] in ("notStarted", "started", "failed"), f"state is {status['state']} at once.")


@ROWS.row("observed-15-first-step", Source.FIELD, waits="failing")
def first_step(stage: Stage) -> None:
    """The workflow begins with packageInfoValidation."""
    # No package fails in the first step, so the first look can see no other.
    status = stage.looked("failing").looks[0]["workflowStatus"]
    expect.equal(status["currentStep"], "packageInfoValidation", "currentStep")


@ROWS.row("observed-15-last-step", Source.FIELD, waits="signed")
def last_step(stage: Stage) -> None:
    """The workflow ends with finalizeIngestion, completed."""
    _, submission = stage.succeeded("signed")
    expect.subset(
        submission["workflowStatus"], {"currentStep": "finalizeIngestion", "state": "completed"}, "workflowStatus"
    )


@ROWS.row("observed-16-completed-is-complete", Source.OURS, waits="signed")
def completed_is_complete(stage: Stage) -> None:
    """completed is never seen before signedPackage."""
    workflow, _ = stage.finished("signed")
    for each in workflow.looks:
        status = each["workflowStatus"]
        types = [item["type"] for item in each["downloads"]["items"]]
        if status["state"] == "completed":
            expect.equal(status["currentStep"], SUBMISSION_STEPS[-1], "the step of the first completed")
            expect.true("signedPackage" in types, f"completed, and the downloads are only {types}.")
        else:
            expect.true("signedPackage" not in types, f"signedPackage is there while {status['currentStep']} runs.")


@ROWS.row("observed-17-step-is-text", Source.CLIENTS, waits="failing")
def step_is_text(stage: Stage) -> None:
    """currentStep is text, never a number."""
    workflow, _ = stage.finished("failing")
    for each in workflow.looks:
        step = each["workflowStatus"]["currentStep"]
        expect.true(step in SUBMISSION_STEPS, f"currentStep is {step!r}.")


@ROWS.row("observed-18-initialPackage-first", Source.FIELD)
def initial_package_first(stage: Stage) -> None:
    """The create's first download is initialPackage."""
    items = (stage.pending.body.get("downloads") or {}).get("items") or [{}]
    expect.equal(items[0].get("type"), "initialPackage", "the type of downloads.items[0]")
    expect.true(is_absolute(items[0].get("url")), "its URL is not absolute.")


@ROWS.row("observed-18-initialPackage-stays-first", Source.OURS, waits="signed")
def initial_package_stays_first(stage: Stage) -> None:
    """initialPackage is the first download to the end."""
    _, submission = stage.succeeded("signed")
    expect.equal(submission["downloads"]["items"][0]["type"], "initialPackage", "the type of downloads.items[0]")


@ROWS.row("observed-18-self-first", Source.FIELD)
def self_first(stage: Stage) -> None:
    """The create's first link is self, the id at its end."""
    link = stage.pending.body["links"][0]
    expect.equal(link["rel"], "self", "links[0].rel")
    expect.equal(link["href"].split("/")[-1], str(stage.pending.body["id"]), "the end of links[0].href")


@ROWS.row("observed-19-error-report", Source.FIELD, waits="failing")
def error_report(stage: Stage) -> None:
    """errorReport can be read without a token, as text or JSON."""
    _, submission = stage.finished("failing")
    report = submission["workflowStatus"].get("errorReport")
    expect.true(is_absolute(report), f"errorReport is {report!r}.")
    answer = stage.caller.blob("GET", str(report))
    expect.status(answer, 200)
    kind = answer.headers.get("Content-Type", "")
    expect.true(kind.startswith(("text/", "application/json", "application/octet-stream")), f"its type is {kind}.")
    expect.true(answer.text.strip(), "the report is empty.")


@ROWS.row("observed-19-failure-says-why", Source.DOCUMENTED, waits="failing")
def failure_says_why(stage: Stage) -> None:
    """A failed workflow has messages and keeps its step."""
    _, submission = stage.finished("failing")
    status = submission["workflowStatus"]
    expect.equal(status["state"], "failed", "state")
    expect.true(status["messages"] and all(each.strip() for each in status["messages"]), "there are no messages.")


@ROWS.row("observed-21-one-initial", Source.DOCUMENTED)
def one_initial(stage: Stage) -> None:
    """A product has one initial submission."""
    _ = stage.pending
    path = f"/products/{stage.sample.id}/submissions"
    expect.error(stage.caller.send("POST", path, json={"name": "n", "type": "initial"}), 422, STATE)
    listed = object_of(stage.caller.send("GET", path))["value"]
    expect.equal([each["type"] for each in listed], ["initial"], "the types of the submissions")


@ROWS.row("observed-24-assets-bare-array", Source.FIELD, waits="preprod")
def assets_bare_array(stage: Stage) -> None:
    """The list of preproduction assets is a bare array."""
    _ = stage.package
    _, package = stage.preprod_ended
    answer = stage.caller.send("GET", f"/preprod/packages/{package['id']}/assets")
    expect.status(answer, 200)
    expect.true(isinstance(json_of(answer), list), "it is not an array.")


@ROWS.row("observed-25-sas-fields", Source.FIELD)
def sas_fields(stage: Stage) -> None:
    """The upload URL has sv, se, sr=b, sp with w, and sig."""
    query = dict(parse_qsl(urlsplit(download(stage.pending.body, "initialPackage")).query))
    missing = [name for name in ("sv", "se", "sr", "sp", "sig") if not query.get(name)]
    expect.true(not missing, f"the URL lacks {', '.join(missing)}.")
    expect.equal(query["sr"], "b", "sr")
    expect.true({"r", "w"} <= set(query["sp"]), f"sp is {query['sp']}.")


@ROWS.row("observed-25-sas-lasts-a-day", Source.FIELD)
def sas_lasts(stage: Stage) -> None:
    """The upload URL lasts about a day."""
    answer = stage.caller.send("GET", stage.pending_path)
    query = dict(parse_qsl(urlsplit(download(object_of(answer), "initialPackage")).query))
    hours = (datetime.fromisoformat(query["se"]) - datetime.now(UTC)).total_seconds() / 3600
    expect.true(12 <= hours <= 49, f"it lasts {hours:.1f} hours.")


@ROWS.row("observed-25-attachment", Source.FIELD, waits="signed")
def attachment(stage: Stage) -> None:
    """Downloads name a file to save as: Signed_ID.zip."""
    workflow, submission = stage.succeeded("signed")
    url = download(submission, "signedPackage")
    expect.true(
        urlsplit(url).path.endswith(f"/Signed_{workflow.submission.id}.zip")
        or f"Signed_{workflow.submission.id}.zip" in dict(parse_qsl(urlsplit(url).query)).get("rscd", ""),
        f"the path is {urlsplit(url).path}",
    )


@ROWS.row("observed-27-paging", Source.FIELD)
def paging(stage: Stage) -> None:
    """pageSize is honoured, and next_link leads on with a continuationToken."""
    _ = stage.sample, stage.bare
    first = object_of(stage.caller.send("GET", "/products?pageSize=1"))
    expect.equal(len(first["value"]), 1, "the number of products on a page of one")
    following = [each["href"] for each in first["links"] if each["rel"] == "next_link"]
    expect.equal(len(following), 1, "the number of next_links")
    expect.true("continuationToken=" in following[0] and is_absolute(following[0]), f"next_link is {following[0]}")
    second = stage.caller.send("GET", following[0])
    expect.status(second, 200)
    expect.true(object_of(second)["value"][0]["id"] != first["value"][0]["id"], "the second page is the first again.")


@ROWS.row("observed-27-bad-page-size", Source.OURS)
def bad_page(stage: Stage) -> None:
    """A pageSize or continuationToken that is none is refused, not 500."""
    for query in ("pageSize=0", "pageSize=x", "pageSize=-1", "continuationToken=%ff"):
        answer = stage.caller.send("GET", f"/products?{query}")
        expect.error(answer, 422, "invalidInput")


@ROWS.row("observed-27-unknown-parameters", Source.OURS)
def unknown_parameters(stage: Stage) -> None:
    """Unknown query parameters are ignored."""
    expect.status(stage.caller.send("GET", "/products?$filter=x&pageSize=1&includeTargetingInfo=true"), 200)
