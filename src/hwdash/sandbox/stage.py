"""The service with the sandbox around it: what ``hwdash serve`` runs over a data folder with the mark."""

from starlette.types import ASGIApp

from hwdash.sandbox.rehearsal import Rehearsal
from hwdash.sandbox.requests import RequestLog, request_log
from hwdash.server.answer_headers import AnswerHeaders
from hwdash.server.app import create_service
from hwdash.settings import Settings
from hwdash.signing.process import SignerProcess


def create_sandbox(
    settings: Settings, *, public_url: str, login_url: str, signer: SignerProcess | None = None
) -> ASGIApp:
    """Put the sandbox together. Raises what create_service raises, KeysError over release keys, and SettingsError."""
    rehearsal = Rehearsal(settings)
    running = create_service(
        settings,
        public_url=public_url,
        login_url=login_url,
        sandbox=True,
        clock=rehearsal.clock,
        signer=signer,
        around=rehearsal.around,
        around_labels=rehearsal.around_labels,
    )
    app = RequestLog(rehearsal.front(running.app), request_log(settings.data))
    return AnswerHeaders(app, public_url, is_sandbox=True)
