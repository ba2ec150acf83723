"""Submissions: create, get, list, update, commit (contract/api.md 4.5 to 4.9)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from hwdash.domain.access import check_submits, no_ev_certificate
from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.domain.product import AUTHOR, READ_ONLY
from hwdash.domain.submission import FIRST_STEP, ONLY_PENDING, check_commit, check_create, check_update
from hwdash.drivers.hlkx_shell import UNPROVEN_SHELL
from hwdash.pipeline.report import ERROR_REPORT
from hwdash.pipeline.submission import SUBMISSION
from hwdash.pipeline.work import package_name
from hwdash.server.api.pages import PageQuery
from hwdash.server.api.products import product_types
from hwdash.server.api.reports import REPORT_PATH
from hwdash.server.errors import invalid_input
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.certificates import has_valid_ev_certificate
from hwdash.storage.products import find_product
from hwdash.storage.submissions import (
    find_submission,
    find_submission_shown,
    initial_submission,
    insert_submission,
    list_submissions,
    mark_committed,
    rename_submission,
)
from hwdash.vocabulary import CommitStatus, DownloadType, WorkflowState
from hwdash.wire.base import collection, link_document, rfc3339
from hwdash.wire.submission import Submission, SubmissionCreate, SubmissionUpdate, SubmissionUpdateBody
from hwdash.wire.update import changed_properties, read_update

READ, UPLOAD = "rl", "rwl"
RECALLED = (
    "The operator recalled this driver: its signed package is no longer handed out, and must not be installed any "
    "more. The messages of workflowStatus say why."
)
# A client may stumble over a type that the API does not document.
_ON_THE_WIRE = frozenset(map(str, DownloadType))


def create_submission(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, wanted: SubmissionCreate
) -> dict[str, Any]:
    """POST submissions."""
    product = find_product(connection, caller.account_id, product_id)
    if product is None:
        raise not_found("product", product_id)
    check_submits(caller.roles, product_types(product))
    initial = initial_submission(connection, product_id)
    check_create(
        wanted.type,
        test_harness=product.test_harness,
        is_test_sign=bool(product.attributes.get("isTestSign")),
        is_extension=initial is not None and initial.is_extension_inf,
        initial=None if initial is None else (initial.current_step, initial.state),
        is_received=product.origin_type != AUTHOR,
        is_read_only=product.origin_type == READ_ONLY,
        is_deprecated=initial is not None and initial.is_deprecated,
    )
    row = insert_submission(
        connection,
        product_id=product_id,
        account_id=caller.account_id,
        name=wanted.name,
        kind=wanted.type,
        created_by=caller.client_id,
        now=service.clock(),
    )
    return _to_wire(service, row, product.test_harness, [])


def get_submission(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, submission_id: int
) -> dict[str, Any]:
    """GET submissions/{submission_id}."""
    rows = find_submission_shown(connection, caller.account_id, product_id, submission_id)
    if not rows:
        own_submission(connection, caller, product_id, submission_id)
        raise not_found("submission", submission_id)
    files = [File(row.file_type, row.file_blob, row.file_name) for row in rows if row.file_type is not None]
    return _to_wire(service, rows[0], rows[0].test_harness, files)


def list_of_submissions(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, page: PageQuery
) -> dict[str, Any]:
    """GET submissions: all of them, unless a page is asked for."""
    product = find_product(connection, caller.account_id, product_id)
    if product is None:
        raise not_found("product", product_id)
    url = f"{service.api_url}/products/{product_id}/submissions"
    size = page.page_size
    rows = list_submissions(
        connection, caller.account_id, product_id, limit=size and size + 1, after=page.after(service, caller, url)
    )
    shown = rows[:size]
    last = (shown[-1].created_at, shown[-1].id) if len(rows) > len(shown) else None
    return collection(
        [_to_wire(service, row, product.test_harness, None) for row in shown],
        page.links(service, caller, url, size, last),
    )


def update_submission(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    body: SubmissionUpdateBody,
) -> None:
    """PATCH submissions/{submission_id}."""
    row, product = own_submission(connection, caller, product_id, submission_id)
    check_submits(caller.roles, product_types(product))
    wanted, problem = read_update(SubmissionUpdate, body.members)
    current = _to_wire(service, row, product.test_harness, None)
    check_update(
        is_received=product.origin_type != AUTHOR,
        has_failed=row.state == WorkflowState.FAILED or row.commit_status == CommitStatus.FAILED,
        name=wanted.name,
        # The URLs of the downloads are new in each answer.
        others=changed_properties(body.members, current, (SubmissionCreate, Submission), aside=("name", "downloads")),
        findings=invalid_input(problem).targets if problem else (),
    )
    if wanted.name is not None:
        rename_submission(connection, submission_id, wanted.name)


def commit_submission(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, submission_id: int
) -> None:
    """POST commit."""
    row, product = own_submission(connection, caller, product_id, submission_id)
    check_submits(caller.roles, product_types(product))
    check_commit(row.commit_status)
    if not has_valid_ev_certificate(connection, caller.account_id, service.clock()):
        raise no_ev_certificate()
    uploaded = service.blobs.stat(row.package_blob)
    if uploaded is None or uploaded.size == 0:
        name = package_name(submission_id, product.test_harness)
        raise DomainError(
            Code.INVALID_INPUT,
            f"No package has been uploaded: {name} is {'empty' if uploaded else 'not there'}. Upload it to the URL of "
            "the initialPackage download, then commit again.",
            [("downloads.initialPackage", "The package is missing.")],
        )
    if not mark_committed(
        connection,
        submission_id,
        package_version=uploaded.version,
        first_step=FIRST_STEP,
        committed_by=caller.client_id,
        now=service.clock(),
    ):
        raise DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, ONLY_PENDING)
    service.workflows.enqueue(connection, SUBMISSION, submission_id, "1")


def committed_before(*_arguments: object) -> None:
    """POST commit again, under the request id of the commit that was taken: it is, and nothing more is done."""


def own_submission(
    connection: sa.Connection, caller: Caller, product_id: int, submission_id: int
) -> tuple[sa.Row[Any], sa.Row[Any]]:
    """The caller's submission and its product. Raises entityNotFound."""
    product = find_product(connection, caller.account_id, product_id)
    row = find_submission(connection, caller.account_id, product_id, submission_id)
    if product is None:
        raise not_found("product", product_id)
    if row is None:
        raise not_found("submission", submission_id)
    return row, product


class File(NamedTuple):
    """A stored download: its type, its blob, and the name offered to the client."""

    type: str
    blob: str
    name: str


def _to_wire(service: Service, row: sa.Row[Any], test_harness: str, files: Sequence[File] | None) -> dict[str, Any]:
    """wire/submission.py's Submission of a row; ``files`` None leaves the downloads out, as in lists."""
    url = f"{service.api_url}/products/{row.product_id}/submissions/{row.id}"
    links = [link_document(url, "self"), link_document(url, "update_submission", "PATCH")]
    if row.commit_status == CommitStatus.PENDING:
        links.append(link_document(f"{url}/commit", "commit_submission", "POST"))
    document = {
        "id": row.id,
        "productId": row.product_id,
        "name": row.name,
        "type": row.type,
        "links": links,
        "commitStatus": row.commit_status,
    }
    if row.current_step is not None:
        document["workflowStatus"] = {"currentStep": row.current_step, "state": row.state, "messages": row.messages}
        for file in files or ():
            if file.type == ERROR_REPORT:
                report = service.sas.url(file.blob, file.name, permissions=READ)
                document["workflowStatus"]["errorReport"] = report
    if files is not None:
        document["downloads"] = _downloads(service, row, test_harness, files)
    return document | {
        "isExtensionInf": row.is_extension_inf,
        "isUniversal": row.is_universal,
        "isDeclarativeInf": row.is_declarative_inf,
        # Of what was received by sharing nobody of this account is.
        **({"createdBy": row.created_by} if row.created_by else {}),
        "createdDateTime": rfc3339(row.created_at),
    }


def _downloads(service: Service, row: sa.Row[Any], test_harness: str, files: Sequence[File]) -> dict[str, Any]:
    name = package_name(row.id, test_harness)
    rights = UPLOAD if row.commit_status == CommitStatus.PENDING else READ
    items = []
    if row.source_submission_id is None:  # else the upload is the author's
        url = service.sas.url(row.package_blob, name, permissions=rights)
        items.append({"type": DownloadType.INITIAL_PACKAGE, "url": url})
    for file in files:
        is_recalled = file.type == DownloadType.SIGNED_PACKAGE and row.recalled_at is not None
        if is_recalled or file.type not in _ON_THE_WIRE:
            continue
        if file.type == DownloadType.CERTIFICATION_REPORT:
            url = f"{service.public_url}{REPORT_PATH}/{row.account_id}/{row.product_id}/{row.id}"
        else:
            url = service.sas.url(file.blob, file.name, permissions=READ, download_name=file.name)
        items.append({"type": file.type, "url": url})
    has_shell = any(each["type"] == DownloadType.DERIVED_PACKAGE for each in items)
    messages = [*([RECALLED] if row.recalled_at is not None else ()), *([UNPROVEN_SHELL] if has_shell else ())]
    return {"items": items, "messages": messages}
