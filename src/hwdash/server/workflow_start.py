"""The start of the workflows, behind the start of the service.

To load the engine takes long, and nothing that a client does first needs it: to get a token, to read. So it begins when
a request wants to write, or a second after the service listens.
"""

import asyncio
import logging
import os
import signal
from contextlib import suppress

from hwdash.pipeline.engine import Engine

HEAD_START_SECONDS = 1.0

log = logging.getLogger(__name__)


class WorkflowStart:
    """Starts and stops an engine, from the event loop that serves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wanted = asyncio.Event()
        self._stopping = False
        self._starting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The service listens from now on."""
        self._starting = asyncio.create_task(self._start())

    async def wait(self) -> None:
        """Until workflows can be started. A writing request comes here first. Raises what the engine's start raised."""
        self._wanted.set()
        if self._starting is None:
            return
        if self._starting.done():
            self._starting.result()  # nothing is written that no workflow would take up
            return
        await asyncio.shield(self._starting)

    async def end(self) -> None:
        """Stop the engine, if it was started."""
        self._stopping = True
        self._wanted.set()
        if self._starting is not None:
            with suppress(Exception):  # it was told when it happened
                await self._starting
        await asyncio.to_thread(self._engine.stop)

    async def _start(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), HEAD_START_SECONDS)
        if self._stopping:
            return
        try:
            await asyncio.to_thread(self._engine.start)
        except Exception:
            log.critical("the workflows do not start: the service ends", exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)
            raise
