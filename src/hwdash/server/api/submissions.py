"""Submissions: create, get, list, commit (contract/api.md 4.5 to 4.7 and 4.9), and the public certification report."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.domain.submission import FIRST_STEP, ONLY_PENDING, check_commit, check_create
from hwdash.pipeline.report import ERROR_REPORT
from hwdash.pipeline.submission import SUBMISSION
from hwdash.pipeline.work import package_name
from hwdash.server.requests import (
    HARDWARE_ROLES,
    SUBMITTERS,
    authenticate,
    authorize,
    create_key,
    identifier,
    read_body,
    write_create,
)
from hwdash.server.service import Service
from hwdash.storage.creates import CreateKey, find_created, remember_created
from hwdash.storage.products import find_product
from hwdash.storage.submissions import (
    find_submission,
    initial_submission,
    insert_submission,
    list_downloads,
    list_submissions,
    mark_committed,
)
from hwdash.vocabulary import CommitStatus, DownloadType, WorkflowState
from hwdash.wire.base import collection, link
from hwdash.wire.submission import Download, Downloads, Submission, SubmissionCreate, WorkflowStatus

READ, UPLOAD = "rl", "rwl"
REPORT_PATH = "/dashboard/hardware/Driver/DownloadCertificationReport"


def submission_routes(service: Service) -> APIRouter:
    """The routes of submissions."""
    routes = APIRouter()

    @routes.post("/products/{product_id}/submissions", status_code=201)
    async def create(request: Request, product_id: str) -> JSONResponse:
        identity = authenticate(service, request)
        product = identifier(product_id, "product")
        wanted = await read_body(request, SubmissionCreate)
        submission = await write_create(
            service, _create, service, identity, create_key(request, wanted), product, wanted
        )
        return JSONResponse(submission, 201, headers={"Location": submission["links"][0]["href"]})

    @routes.get("/products/{product_id}/submissions/{submission_id}")
    async def get(request: Request, product_id: str, submission_id: str) -> JSONResponse:
        identity = authenticate(service, request)
        ids = identifier(product_id, "product"), identifier(submission_id, "submission")
        return JSONResponse(await service.database.read(_get, service, identity, *ids))

    @routes.get("/products/{product_id}/submissions")
    async def list_all(request: Request, product_id: str) -> JSONResponse:
        identity = authenticate(service, request)
        return JSONResponse(await service.database.read(_list, service, identity, identifier(product_id, "product")))

    @routes.post("/products/{product_id}/submissions/{submission_id}/commit", status_code=202)
    async def commit(request: Request, product_id: str, submission_id: str) -> Response:
        identity = authenticate(service, request)
        ids = identifier(product_id, "product"), identifier(submission_id, "submission")
        await service.database.write(_commit, service, identity, *ids)
        return Response(status_code=202)

    return routes


def _create(
    connection: sa.Connection,
    service: Service,
    identity: tuple[str, str],
    key: CreateKey,
    product_id: int,
    wanted: SubmissionCreate,
) -> dict[str, Any]:
    caller = authorize(connection, identity, SUBMITTERS)
    product = find_product(connection, caller.account_id, product_id)
    if product is None:
        raise not_found("product", product_id)
    # In this order: when the request that this one repeats has just made the initial submission, its key is seen too.
    initial = initial_submission(connection, product_id)
    made_before = find_created(connection, caller.client_id, key)
    if made_before is not None:
        row, _ = _find(connection, caller.account_id, product_id, made_before)
        return _to_wire(service, row, product.test_harness, list_downloads(connection, made_before)).to_wire()
    check_create(
        wanted.type,
        test_harness=product.test_harness,
        is_test_sign=bool(product.attributes.get("isTestSign")),
        initial=None if initial is None else (initial.current_step, initial.state),
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
    remember_created(connection, caller.client_id, key, row.id, service.clock())
    return _to_wire(service, row, product.test_harness, []).to_wire()


def _get(
    connection: sa.Connection, service: Service, identity: tuple[str, str], product_id: int, submission_id: int
) -> dict[str, Any]:
    caller = authorize(connection, identity, HARDWARE_ROLES)
    row, product = _find(connection, caller.account_id, product_id, submission_id)
    return _to_wire(service, row, product.test_harness, list_downloads(connection, submission_id)).to_wire()


def _list(connection: sa.Connection, service: Service, identity: tuple[str, str], product_id: int) -> dict[str, Any]:
    caller = authorize(connection, identity, HARDWARE_ROLES)
    product = find_product(connection, caller.account_id, product_id)
    if product is None:
        raise not_found("product", product_id)
    items = [
        _to_wire(service, row, product.test_harness, None).to_wire()
        for row in list_submissions(connection, caller.account_id, product_id)
    ]
    return collection(items, [link(f"{service.api_url}/products/{product_id}/submissions", "self")])


def _commit(
    connection: sa.Connection, service: Service, identity: tuple[str, str], product_id: int, submission_id: int
) -> None:
    caller = authorize(connection, identity, SUBMITTERS)
    row, product = _find(connection, caller.account_id, product_id, submission_id)
    check_commit(row.commit_status)
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
        connection, submission_id, package_version=uploaded.version, first_step=FIRST_STEP, now=service.clock()
    ):
        raise DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, ONLY_PENDING)
    service.workflows.enqueue(connection, SUBMISSION, submission_id, "1")


def _find(
    connection: sa.Connection, account_id: int, product_id: int, submission_id: int
) -> tuple[sa.Row[Any], sa.Row[Any]]:
    product = find_product(connection, account_id, product_id)
    row = find_submission(connection, account_id, product_id, submission_id)
    if product is None:
        raise not_found("product", product_id)
    if row is None:
        raise not_found("submission", submission_id)
    return row, product


def _to_wire(service: Service, row: sa.Row[Any], test_harness: str, files: Sequence[sa.Row[Any]] | None) -> Submission:
    """The submission on the wire; ``files`` None leaves the downloads out, as in lists."""
    url = f"{service.api_url}/products/{row.product_id}/submissions/{row.id}"
    links = [link(url, "self"), link(url, "update_submission", "PATCH")]
    if row.commit_status == CommitStatus.PENDING:
        links.append(link(f"{url}/commit", "commit_submission", "POST"))
    report = next((file for file in files or () if file.type == ERROR_REPORT), None)
    return Submission(
        id=row.id,
        product_id=row.product_id,
        name=row.name,
        type=row.type,
        links=links,
        commit_status=row.commit_status,
        workflow_status=None
        if row.current_step is None
        else WorkflowStatus(
            current_step=row.current_step,
            state=row.state,
            messages=row.messages,
            error_report=service.sas.url(report.blob, report.name, permissions=READ) if report else None,
        ),
        downloads=None if files is None else Downloads(items=_downloads(service, row, test_harness, files)),
        is_extension_inf=row.is_extension_inf,
        is_universal=row.is_universal,
        is_declarative_inf=row.is_declarative_inf,
        created_by=row.created_by,
        created_date_time=row.created_at,
    )


def _downloads(service: Service, row: sa.Row[Any], test_harness: str, files: Sequence[sa.Row[Any]]) -> list[Download]:
    name = package_name(row.id, test_harness)
    rights = UPLOAD if row.commit_status == CommitStatus.PENDING else READ
    items = [
        Download(type=DownloadType.INITIAL_PACKAGE, url=service.sas.url(row.package_blob, name, permissions=rights))
    ]
    for file in files:
        if file.type == ERROR_REPORT:
            continue
        if file.type == DownloadType.CERTIFICATION_REPORT:
            url = f"{service.public_url}{REPORT_PATH}/{row.account_id}/{row.product_id}/{row.id}"
        else:
            url = service.sas.url(file.blob, file.name, permissions=READ, download_name=file.name)
        items.append(Download(type=file.type, url=url))
    return items


def report_routes(service: Service) -> APIRouter:
    """The public link to a certification report (contract/api.md section 2, row 23)."""
    routes = APIRouter()

    @routes.get("/dashboard/hardware/{driver}/DownloadCertificationReport/{seller}/{product_id}/{submission_id}")
    async def download(driver: str, seller: str, product_id: str, submission_id: str) -> Response:
        ids = (
            identifier(seller, "account"),
            identifier(product_id, "product"),
            identifier(submission_id, "submission"),
        )
        content = await service.database.read(_report, service, *ids) if driver.casefold() == "driver" else None
        if content is None:
            raise not_found("certification report of submission", submission_id)
        return Response(
            content,
            media_type="text/html",
            headers={
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
                "X-Content-Type-Options": "nosniff",
            },
        )

    return routes


def _report(
    connection: sa.Connection, service: Service, seller: int, product_id: int, submission_id: int
) -> bytes | None:
    row = find_submission(connection, seller, product_id, submission_id)
    if row is None or row.state != WorkflowState.COMPLETED:
        return None
    for file in list_downloads(connection, submission_id):
        if file.type == DownloadType.CERTIFICATION_REPORT:
            with service.blobs.open(file.blob) as stream:
                return stream.read()
    return None
