"""Scenarios, clock and inspection of one sandbox, and how they stand around its service."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.pipeline.engine import Runner
from hwdash.pipeline.label import LabelWorkflow
from hwdash.sandbox.clock import SandboxClock
from hwdash.sandbox.faults import Faults
from hwdash.sandbox.inspection import Recorder, Ring
from hwdash.sandbox.label_steps import StagedLabelSteps
from hwdash.sandbox.mark import mark_of
from hwdash.sandbox.pages import PREFIX, SandboxPages
from hwdash.sandbox.playbill import Playbill
from hwdash.sandbox.steps import StagedSteps
from hwdash.server.service import Service
from hwdash.settings import Settings, SettingsError


class Rehearsal:
    """What turns a service over a data folder with the mark into a rehearsal of itself.

    ``clock``, ``around`` and ``around_labels`` are for create_service; ``front`` then stands before the application.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError where there is no mark, and for stored files that cannot be read."""
        mark = mark_of(settings.data)
        if mark is None:
            raise SettingsError(f"{settings.data} is no sandbox: make one with hwdash init --sandbox.")
        self.clock = SandboxClock(settings.data)
        self.playbill = Playbill(settings.data)
        self.ring = Ring()
        self.pages = SandboxPages(mark, self.clock, self.playbill, self.ring)
        self._realistic = (settings.sandbox_step_times or mark.step_times) == "realistic"
        self._steps: StagedSteps | None = None
        self._service: Service | None = None

    def around(self, service: Service, submissions: Runner) -> Runner:
        """What the engine runs instead of the submission workflow."""
        self._service = service
        self._steps = StagedSteps(submissions, service, self.clock, self.playbill, realistic=self._realistic)
        return self._steps

    def around_labels(self, service: Service, labels: LabelWorkflow) -> Runner:
        """What the engine runs instead of the workflow of labels."""
        return StagedLabelSteps(labels, service, self.clock, self.playbill)

    def front(self, app: ASGIApp) -> ASGIApp:
        """The application behind faults, recorder and the pages of the sandbox."""
        if self._service is None or self._steps is None:
            raise RuntimeError("front comes after create_service")
        recorded = Recorder(Faults(app, self._service, self.playbill, self.clock), self.ring, self.clock)
        return _Front(app, recorded, self.pages, self._steps)


class _Front:
    """ASGI: the pages below ``/_sandbox``, the recorded application elsewhere; starts and stops the waker."""

    def __init__(self, app: ASGIApp, recorded: ASGIApp, pages: ASGIApp, steps: StagedSteps) -> None:
        self._app = app
        self._recorded = recorded
        self._pages = pages
        self._steps = steps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the path."""
        if scope["type"] == "http":
            inside = scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/")
            await (self._pages if inside else self._recorded)(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await asyncio.to_thread(self._steps.start)
            await send(message)

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._steps.stop)
            return message

        await self._app(scope, hear, told)
