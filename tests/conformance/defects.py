"""Defects of the wire, each as a change of the answers of a service that is right, and the rows that must see it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]

    def is_(self, method: str, pattern: str) -> bool:
        return self.method == method and re.fullmatch(pattern, self.path.removeprefix("/v2.0/my/hardware")) is not None


@dataclass
class Answer:
    """What is answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The JSON of the body, None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @json.setter
    def json(self, value: Any) -> None:
        self.body = json.dumps(value).encode()


Plant = Callable[[Request, Answer], None]


@dataclass
class Defect:
    """A planted defect. ``revisits``: workflows, run without the defect, at whose end the rows look again with it."""

    plant: Plant
    rows: tuple[str, ...]
    revisits: tuple[str, ...] = field(default=())


DEFECTS: dict[str, Defect] = {}

PRODUCTS = "/products/?"
PRODUCT = r"/products/\d+"
SUBMISSIONS = r"/products/\d+/submissions"
SUBMISSION = r"/products/\d+/submissions/\d+"


def defect(*rows: str, revisits: tuple[str, ...] = ()) -> Callable[[Plant], Plant]:
    """Keep a function as a defect that these rows must see."""

    def keep(plant: Plant) -> Plant:
        DEFECTS[plant.__name__] = Defect(plant, rows, revisits)
        return plant

    return keep


def every_object(answer: Answer, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every JSON object of a body, inner ones too."""

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            change(value)
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                walk(each)

    document = answer.json
    if document is not None:
        walk(document)
        answer.json = document


def rename(answer: Answer, old: str, new: str) -> None:
    def change(found: dict[str, Any]) -> None:
        if old in found:
            found[new] = found.pop(old)

    every_object(answer, change)


def put(answer: Answer, name: str, make: Callable[[Any], Any]) -> None:
    """Replace the values of members of this name."""

    def change(found: dict[str, Any]) -> None:
        if name in found:
            found[name] = make(found[name])

    every_object(answer, change)


def drop(answer: Answer, name: str) -> None:
    every_object(answer, lambda found: found.pop(name, None))


def pascal(word: Any) -> Any:
    return word[:1].upper() + word[1:] if isinstance(word, str) else word


# Names, types and casing


@defect("route-02-create-product", "route-03-get-product", "route-01-list-products")
def a_name_in_pascal_case(request: Request, answer: Answer) -> None:
    rename(answer, "productName", "ProductName")


@defect("route-02-create-product", "register-48-shared-product-id")
def a_missing_member(request: Request, answer: Answer) -> None:
    drop(answer, "sharedProductId")


@defect("route-02-create-product", "register-08-ids-exact")
def ids_as_text(request: Request, answer: Answer) -> None:
    put(answer, "id", str)


@defect("route-02-create-product", "checklist-numbers-are-digits")
def ids_as_floats(request: Request, answer: Answer) -> None:
    answer.body = re.sub(rb'"id": ?(\d+)', rb'"id":\1.0', answer.body)


@defect("register-08-ids-exact")
def ids_rounded(request: Request, answer: Answer) -> None:
    put(answer, "id", lambda value: value // 10**6 * 10**6 if isinstance(value, int) else value)


@defect("checklist-03-ids-as-doubles")
def ids_that_doubles_round(request: Request, answer: Answer) -> None:
    put(answer, "sharedProductId", lambda value: value + 77)


@defect("register-48-shared-product-id")
def a_short_shared_id(request: Request, answer: Answer) -> None:
    put(answer, "sharedProductId", lambda value: value // 10**10)


@defect("route-02-create-product", "route-03-get-product")
def booleans_as_text(request: Request, answer: Answer) -> None:
    put(answer, "isTestSign", lambda value: str(value).lower())


@defect("lenient-null-date", "checklist-01-no-null")
def null_dates(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "productName" in found:
            found.setdefault("announcementDate", None)

    every_object(answer, change)


@defect("lenient-year-1", "route-02-create-product")
def the_year_1_for_no_date(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "productName" in found:
            found["announcementDate"] = "0001-01-01T00:00:00Z"

    every_object(answer, change)


@defect("json-dates-in-utc")
def dates_without_a_zone(request: Request, answer: Answer) -> None:
    for name in ("createdDateTime", "updatedDateTime", "announcementDate"):
        put(answer, name, lambda value: value.removesuffix("Z"))


@defect("lenient-dates")
def dates_moved_by_their_offset(request: Request, answer: Answer) -> None:
    put(answer, "announcementDate", lambda value: value.replace("T00:00:00", "T02:00:00"))


@defect("route-02-create-product", "route-02-echo", "register-18-test-harness", "enum-test-harness")
def a_harness_in_pascal_case(request: Request, answer: Answer) -> None:
    put(answer, "testHarness", pascal)


@defect("enum-device-type", "enum-any-case", "lenient-minimal")
def device_types_in_lower_case(request: Request, answer: Answer) -> None:
    put(answer, "deviceType", str.lower)


@defect("register-19-family-codes", "enum-os-families", "enum-any-case")
def family_codes_as_they_came(request: Request, answer: Answer) -> None:
    put(answer, "selectedProductTypes", lambda value: {name[0].lower() + name[1:]: value[name] for name in value})


@defect("enum-os-codes", "enum-os-codes-in-practice", "route-02-echo")
def os_codes_in_upper_case(request: Request, answer: Answer) -> None:
    put(answer, "requestedSignatures", lambda value: [each.upper() for each in value])


@defect("enum-product-types")
def product_types_tidied_up(request: Request, answer: Answer) -> None:
    answer.body = answer.body.replace(b"MCDM2.7", b"MCDM 2.7")


@defect("register-23-raid-versions", "enum-raid-controller")
def raid_versions_swapped(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "filterVersion" in found:
            found["filterVersion"], found["driverVersion"] = found["driverVersion"], found["filterVersion"]

    every_object(answer, change)


@defect("enum-storage-controller")
def attributes_in_pascal_case(request: Request, answer: Answer) -> None:
    rename(answer, "storageController", "StorageController")


@defect("observed-17-numbers-as-text", "enum-svvp")
def counts_as_text(request: Request, answer: Answer) -> None:
    put(answer, "maxMemory", str)


@defect("lenient-unknown-members")
def unknown_members_echoed(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "productName" in found:
            found["markettingNames"] = []

    every_object(answer, change)


@defect("lenient-utf-8")
def text_in_another_encoding(request: Request, answer: Answer) -> None:
    put(answer, "productName", lambda value: value.encode("ascii", "replace").decode())


# Statuses, headers, envelopes


@defect("route-02-create-product")
def a_product_with_200(request: Request, answer: Answer) -> None:
    if request.is_("POST", PRODUCTS) and answer.status == 201:
        answer.status = 200


@defect("route-06-create-submission")
def a_submission_with_200(request: Request, answer: Answer) -> None:
    if request.is_("POST", SUBMISSIONS) and answer.status == 201:
        answer.status = 200


@defect("route-09-commit", "register-03-commit-reply", "checklist-04-statuses", "checklist-02-commit-without-body")
def a_commit_with_200(request: Request, answer: Answer) -> None:
    if answer.status == 202:
        answer.status = 200


@defect("route-09-commit", "register-03-commit-reply")
def a_commit_with_a_body(request: Request, answer: Answer) -> None:
    if answer.status == 202:
        answer.json = {"commitStatus": "commitReceived"}
        answer.headers["content-type"] = "application/json; charset=utf-8"


@defect("route-02-location", "route-06-location")
def no_location(request: Request, answer: Answer) -> None:
    answer.headers.pop("location", None)


@defect("observed-06-headers-echoed")
def a_request_id_of_its_own(request: Request, answer: Answer) -> None:
    answer.headers["ms-requestid"] = "6f1d0bde-0000-4a35-9d5e-0a3c0a5b7f21"


@defect("observed-06-headers-echoed", "observed-06-headers-made")
def no_correlation_id(request: Request, answer: Answer) -> None:
    answer.headers.pop("ms-correlationid", None)


@defect("route-03-get-product", "lenient-accept", "header-json-charset")
def json_as_text(request: Request, answer: Answer) -> None:
    if answer.headers.get("content-type", "").startswith("application/json"):
        answer.headers["content-type"] = "text/plain"


@defect("route-01-list-products")
def a_list_as_a_bare_array(request: Request, answer: Answer) -> None:
    if request.is_("GET", PRODUCTS) and answer.status == 200:
        answer.json = answer.json["value"]


@defect("route-01-list-products", "register-25-product-list-links", "checklist-12-self-first")
def a_list_without_links(request: Request, answer: Answer) -> None:
    if request.is_("GET", PRODUCTS) and answer.status == 200:
        answer.json = {"value": answer.json["value"]}


@defect("observed-27-paging")
def no_next_link(request: Request, answer: Answer) -> None:
    put(answer, "links", lambda value: [each for each in value if each["rel"] != "next_link"])


@defect("observed-04-v1", "path-v1.0-my-hardware", "path-api-v1-hardware")
def only_the_canonical_base(request: Request, answer: Answer) -> None:
    if "/hardware/" in request.path and not request.path.startswith("/v2.0/my/"):
        answer.status = 404


@defect("path-trailing-slash")
def a_redirect_for_a_slash(request: Request, answer: Answer) -> None:
    if request.path.endswith("/"):
        answer.status, answer.body = 307, b""
        answer.headers["location"] = request.path.rstrip("/")


@defect("path-any-case")
def segments_in_one_case(request: Request, answer: Answer) -> None:
    if "PRODUCTS" in request.path:
        answer.status = 404


@defect("token-v1-resource", "token-v2-scope")
def a_token_type_in_lower_case(request: Request, answer: Answer) -> None:
    put(answer, "token_type", str.lower)


# Links


@defect("route-02-create-product", "route-06-create-submission", "observed-18-self-first", "checklist-12-self-first")
def no_self_link(request: Request, answer: Answer) -> None:
    put(answer, "links", lambda value: [each for each in value if each["rel"] != "self"])


@defect("checklist-12-self-first", "observed-18-self-first", "route-06-create-submission")
def links_in_another_order(request: Request, answer: Answer) -> None:
    put(answer, "links", lambda value: value[::-1])


@defect("checklist-03-first-link", "route-03-get-product", "register-20-hrefs")
def a_slash_after_the_id(request: Request, answer: Answer) -> None:
    put(answer, "href", lambda value: f"{value}/")


@defect("route-02-create-product", "register-20-hrefs")
def relative_links(request: Request, answer: Answer) -> None:
    put(answer, "href", lambda value: re.sub("^https?://[^/]+", "", value))


@defect("register-20-hrefs")
def links_to_the_samples_base(request: Request, answer: Answer) -> None:
    put(answer, "href", lambda value: value.replace("/v2.0/my/", "/api/v1/"))


@defect("route-02-create-product")
def a_link_without_its_method(request: Request, answer: Answer) -> None:
    drop(answer, "method")


# Submissions


@defect("route-06-create-submission", "observed-18-initialPackage-first", "register-10-downloads")
def no_downloads_at_create(request: Request, answer: Answer) -> None:
    if request.method == "POST":
        drop(answer, "downloads")


@defect("route-05-list-submissions", "register-10-downloads")
def downloads_in_lists(request: Request, answer: Answer) -> None:
    if request.is_("GET", SUBMISSIONS):
        put(answer, "value", lambda value: [each | {"downloads": {"items": [], "messages": []}} for each in value])


@defect("route-07-get-submission", "observed-25-sas-lasts-a-day", "blob-put")
def no_upload_url_at_get(request: Request, answer: Answer) -> None:
    if request.is_("GET", SUBMISSION):
        put(answer, "downloads", lambda value: value | {"items": []})


@defect("route-06-create-submission", "observed-18-initialPackage-first")
def a_space_in_the_upload_url(request: Request, answer: Answer) -> None:
    put(answer, "url", lambda value: value.replace("https://", "https:// "))


@defect("observed-25-sas-fields")
def an_upload_url_without_its_resource(request: Request, answer: Answer) -> None:
    put(answer, "url", lambda value: value.replace("sr=b", "sr=c"))


@defect("blob-name")
def an_upload_url_without_a_name(request: Request, answer: Answer) -> None:
    put(answer, "url", lambda value: value.replace("Initial_", "upload_"))


@defect("route-06-create-submission", "register-11-commit-status")
def commit_status_in_pascal_case(request: Request, answer: Answer) -> None:
    put(answer, "commitStatus", pascal)


@defect("register-04-commit-status-names", revisits=("failing",))
def commit_status_of_2019(request: Request, answer: Answer) -> None:
    put(answer, "commitStatus", {"commitReceived": "commitStarted", "commitComplete": "commitCompleted"}.get)


@defect("register-37-flags")
def flags_true_before_validation(request: Request, answer: Answer) -> None:
    put(answer, "isUniversal", lambda value: True)


@defect("route-06-create-submission", "route-07-get-submission")
def a_status_before_the_commit(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if found.get("commitStatus") == "commitPending":
            found["workflowStatus"] = {"currentStep": "packageInfoValidation", "state": "notStarted", "messages": []}

    every_object(answer, change)


# The workflow


@defect("observed-15-status-at-once")
def no_status_after_the_commit(request: Request, answer: Answer) -> None:
    drop(answer, "workflowStatus")


@defect("route-07-committed", "observed-19-failure-says-why", revisits=("failing",))
def messages_as_one_text(request: Request, answer: Answer) -> None:
    put(answer, "messages", lambda value: "" if value else value)


@defect("observed-15-first-step")
def another_first_step(request: Request, answer: Answer) -> None:
    put(answer, "currentStep", lambda value: "created" if value == "packageInfoValidation" else value)


@defect("observed-16-completed-is-complete", "observed-18-initialPackage-stays-first")
def completed_before_the_signed_package(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        status = found.get("workflowStatus")
        if status and status["currentStep"] not in ("packageInfoValidation", "finalizeIngestion"):
            status |= {"currentStep": "finalizeIngestion", "state": "completed"}
            found.get("downloads", {}).get("items", [])[:] = []

    every_object(answer, change)


@defect("observed-15-last-step", "observed-14-commit-complete", "route-07-signed", revisits=("signed",))
def states_in_pascal_case(request: Request, answer: Answer) -> None:
    put(answer, "state", pascal)
    put(answer, "commitStatus", pascal)


@defect("observed-17-step-is-text", "route-07-committed", revisits=("failing",))
def a_step_as_a_number(request: Request, answer: Answer) -> None:
    put(answer, "currentStep", lambda value: 1)


@defect("register-22-error-report", "observed-19-error-report", revisits=("failing",))
def an_empty_error_report(request: Request, answer: Answer) -> None:
    put(answer, "errorReport", lambda value: "")


@defect("observed-19-failure-says-why", revisits=("failing",))
def a_failure_without_a_reason(request: Request, answer: Answer) -> None:
    put(answer, "messages", lambda value: [])


@defect("register-09-workflow-in-lists", revisits=("failing",))
def lists_without_the_workflow(request: Request, answer: Answer) -> None:
    if request.is_("GET", SUBMISSIONS):
        drop(answer, "workflowStatus")


@defect("route-07-signed", "register-21-driver-metadata", "checklist-01-driver-metadata", revisits=("signed",))
def no_driver_metadata(request: Request, answer: Answer) -> None:
    put(
        answer,
        "downloads",
        lambda value: value | {"items": [each for each in value["items"] if each["type"] != "driverMetadata"]},
    )


@defect("checklist-01-driver-metadata", revisits=("signed",))
def metadata_in_camel_case(request: Request, answer: Answer) -> None:
    rename(answer, "BundleInfoMap", "bundleInfoMap")


@defect("observed-18-initialPackage-stays-first", revisits=("signed",))
def downloads_in_another_order(request: Request, answer: Answer) -> None:
    put(answer, "items", lambda value: value[::-1])


@defect("observed-25-attachment", revisits=("signed",))
def a_download_without_a_name(request: Request, answer: Answer) -> None:
    put(answer, "url", lambda value: value.replace("Signed_", "x_"))


@defect("register-47-report-path", "route-23-certification-report", revisits=("signed",))
def a_report_only_by_its_lower_case_path(request: Request, answer: Answer) -> None:
    if "/Driver/" in request.path:
        answer.status = 404


@defect("checklist-01-signed-package", revisits=("signed",))
def a_cut_download(request: Request, answer: Answer) -> None:
    if "/Signed_" in request.path:
        answer.body = answer.body[: len(answer.body) // 2]


@defect("observed-12-unregistered-certificate", revisits=("stranger",))
def another_word_for_a_bad_signature(request: Request, answer: Answer) -> None:
    answer.body = answer.body.replace(b"SignatureValidationFailed", b"signature failed")


# Refusals


@defect(
    "error-requestInvalidForCurrentState-b-second-initial", "checklist-08-second-initial", "observed-21-one-initial"
)
def a_wrong_code(request: Request, answer: Answer) -> None:
    put(answer, "code", lambda value: "invalidState" if value == "requestInvalidForCurrentState" else value)


@defect("status-422-required", "observed-07-unknown-os-code", "error-invalidInput-enumerations")
def codes_in_pascal_case(request: Request, answer: Answer) -> None:
    put(answer, "code", pascal)


@defect(
    "error-requestInvalidForCurrentState-a-second-commit",
    "checklist-08-double-commit",
    "observed-03-commit-forms",
    revisits=("failing",),
)
def the_literal_of_the_commit_without_its_period(request: Request, answer: Answer) -> None:
    put(answer, "message", lambda value: value.replace("can be committed.", "can be committed"))


@defect("error-requestInvalidForCurrentState-b-second-initial")
def the_literal_of_the_initial_with_a_period(request: Request, answer: Answer) -> None:
    put(answer, "message", lambda value: value.replace("already exists", "already exists."))


@defect("error-invalidInput-derived-attestation")
def a_derived_refusal_with_422(request: Request, answer: Answer) -> None:
    if answer.status == 400:
        answer.status = 422


@defect("observed-07-unknown-os-code")
def another_message_for_an_os_code(request: Request, answer: Answer) -> None:
    put(answer, "message", lambda value: value.replace("The OS code", "OS code"))


@defect("status-422-required", "error-invalidInput-conditional")
def validation_errors_without_target(request: Request, answer: Answer) -> None:
    drop(answer, "target")


@defect("error-invalidInput-all-findings", "status-422-required")
def only_the_first_finding(request: Request, answer: Answer) -> None:
    put(answer, "validationErrors", lambda value: value[:1])


@defect("status-422-required", "checklist-07-error-envelopes")
def refusals_with_400(request: Request, answer: Answer) -> None:
    if answer.status == 422:
        answer.status = 400


@defect("role-reader-may-not-submit", "observed-02-missing-role")
def a_missing_role_with_401(request: Request, answer: Answer) -> None:
    if answer.status == 403:
        answer.status = 401


@defect("owner-03-get-product", "owner-07-get-submission", "owner-09-commit")
def a_foreign_product_with_403(request: Request, answer: Answer) -> None:
    if answer.status == 404:
        answer.status = 403


@defect("unknown-03-get-product", "unknown-07-get-submission", "error-entityNotFound-b-submission")
def an_unknown_id_with_500(request: Request, answer: Answer) -> None:
    if answer.status == 404:
        answer.status = 500


@defect("observed-07-errors-are-json", "unknown-03-get-product", "status-404-no-route")
def refusals_in_html(request: Request, answer: Answer) -> None:
    if answer.status >= 400:
        answer.body = b"<html><body>Not Found</body></html>"
        answer.headers["content-type"] = "text/html"


@defect("auth-01-list-products", "status-401-bad-token", "checklist-07-flat-401")
def a_401_in_the_envelope(request: Request, answer: Answer) -> None:
    if answer.status == 401:
        answer.json = {"error": {"code": "unauthorized", "message": "No token.", "validationErrors": []}}


@defect("auth-01-list-products", "observed-01-broken-bearer")
def status_code_as_a_number(request: Request, answer: Answer) -> None:
    put(answer, "statusCode", int)


@defect("auth-03-get-product", "status-401-changed-token", "token-wrong-secret")
def no_authentication(request: Request, answer: Answer) -> None:
    if answer.status == 401:
        answer.status = 200


@defect("observed-13-server-code", revisits=("server",))
def a_server_driver_attested(request: Request, answer: Answer) -> None:
    put(answer, "state", lambda value: "completed" if value == "failed" else value)


# Updates, audiences, labels


@defect("route-04-update-product", "route-08-update-submission", "checklist-06-patch-is-empty")
def an_update_with_200(request: Request, answer: Answer) -> None:
    if request.method == "PATCH" and answer.status == 204:
        answer.status = 200


@defect("route-04-update-product", "route-04-announcement-date", "route-08-update-submission")
def an_update_that_changes_nothing(request: Request, answer: Answer) -> None:
    if request.is_("GET", PRODUCT):
        put(answer, "productName", lambda value: "as before")
        drop(answer, "announcementDate")
    if request.is_("GET", SUBMISSION):
        put(answer, "name", lambda value: "as before")


@defect("observed-23-both-spellings")
def only_the_right_spelling(request: Request, answer: Answer) -> None:
    if "sourcepubliherid" in request.path:
        answer.status = 404


@defect("register-49-metadata-of-ones-own", "route-10-create-publisher-metadata", revisits=("signed",))
def metadata_for_receivers_only(request: Request, answer: Answer) -> None:
    if request.path.endswith("createpublishermetadata") and answer.status == 202:
        answer.status = 422


@defect("error-updateUnauthorized-b-no-initial", "checklist-07-error-envelopes")
def updates_refused_with_422(request: Request, answer: Answer) -> None:
    if request.method == "PATCH" and answer.status == 403:
        answer.status = 422


@defect(
    "error-updateUnauthorized-c-product-failed", "error-updateUnauthorized-g-submission-failed", revisits=("failing",)
)
def another_code_for_a_failed_one(request: Request, answer: Answer) -> None:
    put(answer, "code", lambda value: "requestInvalidForCurrentState" if value == "updateUnauthorized" else value)


@defect("route-16-audiences", "auth-16-audiences")
def only_the_singular_of_audiences(request: Request, answer: Answer) -> None:
    if request.path.endswith("/audiences"):
        answer.status = 404


@defect("route-16-audiences", "route-16-test-audience")
def audiences_without_their_name(request: Request, answer: Answer) -> None:
    if "/audience" in request.path:
        rename(answer, "audienceName", "AudienceName")
        drop(answer, "name")


@defect("route-11-list-labels", "register-24-label-list-self")
def labels_as_a_bare_array(request: Request, answer: Answer) -> None:
    if request.method == "GET" and request.path.endswith("/shippingLabels") and answer.status == 200:
        answer.json = []


@defect("auth-13-get-label", "unknown-13-get-label", "owner-15-cancel-label", "unknown-10-create-publisher-metadata")
def routes_of_labels_missing(request: Request, answer: Answer) -> None:
    if "shippingLabels" in request.path or "createpublisher" in request.path:
        answer.status = 404


# Preproduction


@defect("observed-24-assets-bare-array", "route-19-preprod-assets", revisits=("preprod",))
def assets_in_an_envelope(request: Request, answer: Answer) -> None:
    if request.path.endswith("/assets"):
        answer.json = {"value": answer.json, "links": []}


@defect("route-17-preprod-upload", "route-18-preprod-status", revisits=())
def signing_status_in_camel_case(request: Request, answer: Answer) -> None:
    put(answer, "signingStatus", lambda value: value[:1].lower() + value[1:] if value != "Succeeded" else value)
    drop(answer, "lastModified")


@defect("route-17-preprod-created")
def a_preprod_package_with_200(request: Request, answer: Answer) -> None:
    if request.method == "PUT" and answer.status == 201:
        answer.status = 200


@defect("route-18-preprod-no-error")
def an_error_before_anything_failed(request: Request, answer: Answer) -> None:
    def change(found: dict[str, Any]) -> None:
        if "signingStatus" in found:
            found["error"] = {"message": "string"}

    every_object(answer, change)


@defect("preprod-content-hash", revisits=("preprod",))
def a_hash_in_upper_case(request: Request, answer: Answer) -> None:
    put(answer, "contentHash", str.upper)


@defect("route-21-preprod-download", "preprod-content-hash", revisits=("preprod",))
def a_cut_asset(request: Request, answer: Answer) -> None:
    if request.path.endswith("/download"):
        answer.body = answer.body[: len(answer.body) // 2]


@defect("preprod-unknown", "auth-18-preprod-status", "auth-21-preprod-download")
def routes_of_preproduction_missing(request: Request, answer: Answer) -> None:
    if "/preprod/packages/" in request.path:
        answer.status = 404


# Blobs


def is_blob(request: Request, method: str) -> bool:
    return request.path.startswith("/blobs/") and request.method == method


@defect("blob-read-only-after-commit", revisits=("failing",))
def uploads_after_the_commit(request: Request, answer: Answer) -> None:
    if is_blob(request, "PUT") and answer.status == 403:
        answer.status = 201


@defect("blob-bad-signature", "blob-expired")
def signatures_not_verified(request: Request, answer: Answer) -> None:
    if is_blob(request, "GET") and answer.status == 403:
        answer.status = 200


@defect("blob-bad-signature", "blob-not-there")
def blob_errors_in_json(request: Request, answer: Answer) -> None:
    if request.path.startswith("/blobs/") and answer.status >= 400:
        answer.json = {"statusCode": str(answer.status), "message": "No."}


@defect("blob-put")
def an_upload_without_an_etag(request: Request, answer: Answer) -> None:
    if is_blob(request, "PUT"):
        answer.headers.pop("etag", None)


@defect("observed-26-content-md5")
def an_upload_without_its_digest(request: Request, answer: Answer) -> None:
    answer.headers.pop("content-md5", None)


@defect("blob-head")
def no_blob_type(request: Request, answer: Answer) -> None:
    answer.headers.pop("x-ms-blob-type", None)


@defect("blob-range")
def ranges_with_200(request: Request, answer: Answer) -> None:
    if answer.status == 206:
        answer.status = 200


@defect("blob-put", "blob-replace", "blob-block-list")
def uploads_with_200(request: Request, answer: Answer) -> None:
    if is_blob(request, "PUT") and answer.status == 201:
        answer.status = 200


@defect("blob-if-none-match")
def conditions_ignored(request: Request, answer: Answer) -> None:
    if is_blob(request, "PUT") and answer.status in (409, 412):
        answer.status = 201
