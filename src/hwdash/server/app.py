"""The composition root: settings in, a running service out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography import x509
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from hwdash.clock import Clock, system_clock
from hwdash.pipeline.engine import Course, Engine, Runner, WorkflowQueue
from hwdash.pipeline.fenced import sweep
from hwdash.pipeline.label import SHARING, WINDOWS_UPDATE, LabelWorkflow
from hwdash.pipeline.preprod import PREPROD, PreprodWorkflow, drop_abandoned_uploads
from hwdash.pipeline.submission import SUBMISSION, SubmissionWorkflow
from hwdash.pipeline.work import Resources
from hwdash.server.answer_headers import AnswerHeaders
from hwdash.server.api.routes import ROUTES
from hwdash.server.audit_log import end_audit_log, keep_audit_log
from hwdash.server.blobs import BlobEndpoint
from hwdash.server.broken_glass import warn_of_broken_glass
from hwdash.server.checked_signer import start_checked_signer
from hwdash.server.crl import CRL_HEADERS, PublishedCrl
from hwdash.server.docs_page import PAGE_HEADERS, docs_page
from hwdash.server.entra import EntraTokens, KeysBeforeRequests
from hwdash.server.errors import HttpProblem, Refused, domain_answer, problem_answer
from hwdash.server.expiry import warn_of_expiry
from hwdash.server.frame import JSON, Frame, no_resource
from hwdash.server.keys import ServiceKeys, keys_folder
from hwdash.server.label_wakes import wake_labels
from hwdash.server.oauth2 import oauth2_routes
from hwdash.server.openapi import openapi
from hwdash.server.page_tokens import PageTokens
from hwdash.server.refusals import Refusals
from hwdash.server.sas import SasSigner
from hwdash.server.service import Service
from hwdash.server.signer_refusals import keep_signer_refusals
from hwdash.server.tokens import TokenIssuer
from hwdash.server.uploads import Uploads
from hwdash.server.workflow_start import WorkflowStart
from hwdash.settings import CRL_PATH, Settings
from hwdash.signing.authority import check_kind, check_kind_of
from hwdash.signing.errors import SignerUnavailable
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database
from hwdash.storage.kind import claim_database
from hwdash.storage.recalls import is_recalled_blob
from hwdash.storage.submissions import is_open_for_upload

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A service that has been put together, to be served and stopped."""

    app: ASGIApp
    service: Service
    workflow: SubmissionWorkflow


def _as_it_is(_service: Service, submissions: Runner) -> Runner:
    return submissions


def _labels_as_they_are(_service: Service, labels: LabelWorkflow) -> Runner:
    return labels


def create_service(
    settings: Settings,
    *,
    public_url: str | None = None,
    login_url: str | None = None,
    sandbox: bool = False,
    clock: Clock = system_clock,
    signer: SignerProcess | None = None,
    around: Callable[[Service, Runner], Runner] = _as_it_is,
    around_labels: Callable[[Service, LabelWorkflow], Runner] = _labels_as_they_are,
) -> Running:
    """Put a service together over the data folder that ``hwdash init`` made.

    ``login_url`` is where the token endpoint is, when that is not ``public_url``. ``sandbox`` says which kind of
    service the folder and the database must be of; ``around`` and ``around_labels`` may put something between the
    engine and the steps of submissions and labels. ``signer`` is one of ``start_checked_signer``, which is called
    otherwise. Workflows start with the application (workflow_start.py). Raises IsolationUnavailable,
    ScannerUnavailable, KeysError, WrongKind and SchemaMismatch.
    """
    url = public_url or settings.public_url
    if not settings.signer_socket:
        # Certificates alone: neither passphrase nor key of the signer is read in this process.
        check_kind(KeyFolder(keys_folder(settings.data), b""), sandbox=sandbox)
    keys = ServiceKeys.ensure(settings.data)
    database = Database(settings.database)
    database.create()
    with database.writing() as connection:
        claim_database(connection, sandbox=sandbox)
    blobs = BlobStore(settings.data / "blobs", clock=clock, max_blob_size=settings.max_package_mb << 20)
    signer = signer or start_checked_signer(settings)
    if settings.signer_socket:
        root = x509.load_pem_x509_certificate(signer.root_certificate_pem)
        check_kind_of(root, settings.signer_socket, sandbox=sandbox)
    resources = Resources(settings=settings, blobs=blobs, signer_process=signer, clock=clock)
    workflow, preprod = SubmissionWorkflow(database, resources), PreprodWorkflow(database, resources)
    workflows = WorkflowQueue(database)
    entra = EntraTokens.of(settings, clock)
    service = Service(
        settings=settings,
        public_url=url,
        database=database,
        blobs=blobs,
        sas=SasSigner([keys.sas], url, clock),
        tokens=TokenIssuer(keys.token, login_url or url, clock, foreign=entra.verify if entra else None),
        pages=PageTokens(keys.sas),
        workflows=workflows,
        uploads=Uploads(),
        refusals=Refusals(database, clock),
        clock=clock,
    )
    labels = around_labels(service, LabelWorkflow(database, resources))
    runners: dict[Course, Runner] = {
        SUBMISSION: around(service, workflow),
        PREPROD: preprod,
        WINDOWS_UPDATE: labels,
        SHARING: labels,
    }
    engine = WorkflowStart(Engine(database, runners))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(prepare)
        engine.begin()
        tasks = [
            asyncio.create_task(warn_of_expiry(service, signer, sandbox=sandbox)),
            asyncio.create_task(warn_of_broken_glass(service)),
            asyncio.create_task(wake_labels(service, engine)),
            asyncio.create_task(keep_audit_log(service)),
            asyncio.create_task(keep_signer_refusals(service, signer)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await engine.end()
            await asyncio.to_thread(stop)

    def prepare() -> None:
        sweep(database, resources, [workflow, preprod])
        drop_abandoned_uploads(database, blobs, clock())
        blobs.collect_garbage(clock())

    def stop() -> None:
        workflows.close()
        signer.close()
        end_audit_log(settings, database)
        database.close()

    return Running(
        _application(service, lifespan, engine, entra, PublishedCrl(signer), is_sandbox=sandbox), service, workflow
    )


def _application(
    service: Service,
    lifespan: Lifespan[Starlette],
    workflows: WorkflowStart,
    entra: EntraTokens | None,
    crls: PublishedCrl,
    *,
    is_sandbox: bool,
) -> ASGIApp:
    """The frame around the table of routes; the token endpoints and what else there is stand behind it."""

    @cache
    def document() -> dict[str, Any]:
        return openapi(ROUTES, service.public_url)

    async def health(_request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def crl(_request: Request) -> Response:
        try:
            return Response(await crls.current(), media_type="application/pkix-crl", headers=CRL_HEADERS)
        except SignerUnavailable as error:
            log.warning("the list of revoked certificates cannot be made: %s", error)
            return _response(problem_answer(HttpProblem(503, "The list cannot be made now; try again.")))

    async def described(_request: Request) -> Response:
        return Response(to_json(document()), media_type="application/json")

    async def page(_request: Request) -> Response:
        return Response(docs_page(document()), media_type="text/html", headers=PAGE_HEADERS)

    others = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/healthz", health),
            Route("/openapi.json", described),
            Route("/docs", page),
            Route(CRL_PATH, crl),
            *oauth2_routes(service.tokens, service.database, service.clock),
        ],
        exception_handlers={HTTPException: _no_route, Exception: _unexpected},
    )
    others.router.redirect_slashes = False

    async def may_write(key: str) -> bool:
        return await service.database.read(is_open_for_upload, key)

    async def is_barred(key: str) -> bool:
        return await service.database.read_point(is_recalled_blob, key)

    blobs = BlobEndpoint(
        service.blobs,
        service.sas,
        may_write=may_write,
        is_barred=is_barred,
        clock=service.clock,
        uploads=service.uploads,
    )
    frame: ASGIApp = Frame(service, ROUTES, others, before_writes=workflows.wait)
    if entra is not None:
        frame = KeysBeforeRequests(frame, entra)
    return AnswerHeaders(_Front(frame, blobs), service.public_url, is_sandbox=is_sandbox)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the type of Starlette's handlers is a wider one
    if error.status_code == 404:
        return _response(domain_answer(no_resource(request.url.path), request.scope["request_id"]))
    return _response(problem_answer(HttpProblem(error.status_code, str(error.detail), error.headers)))


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request %s failed", request.scope.get("request_id"), exc_info=error)
    return _response(problem_answer(HttpProblem(500, "Internal server error")))


def _response(refused: Refused) -> Response:
    status, body, headers = refused
    return Response(body, status, headers, JSON)


class _Front:
    """Blobs go straight to their endpoint: their paths are taken as they are, and their bodies stream."""

    def __init__(self, app: ASGIApp, blobs: ASGIApp) -> None:
        self._app = app
        self._blobs = blobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the first path segment."""
        if scope["type"] == "http" and scope["path"].startswith("/blobs/"):
            await self._blobs(scope, receive, send)
        else:
            await self._app(scope, receive, send)
