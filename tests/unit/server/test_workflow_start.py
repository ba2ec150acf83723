"""The workflows start when a request wants to write; a service whose workflows do not start ends."""

import asyncio
import os
import signal
from typing import cast

import pytest

from hwdash.pipeline.engine import Engine
from hwdash.server.workflow_start import WorkflowStart


class Recorded:
    """In an engine's place: says what was asked of it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._failure = failure

    def start(self) -> None:
        self.calls.append("start")
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        self.calls.append("stop")


def test_the_first_request_that_writes_starts_them_and_waits_until_they_have() -> None:
    engine = Recorded()

    async def serve() -> list[str]:
        workflows = WorkflowStart(cast(Engine, engine))
        workflows.begin()
        await asyncio.gather(workflows.wait(), workflows.wait())
        seen = list(engine.calls)
        await workflows.end()
        return seen

    assert asyncio.run(serve()) == ["start"]
    assert engine.calls == ["start", "stop"]


def test_a_service_that_ends_at_once_starts_none() -> None:
    engine = Recorded()

    async def serve() -> None:
        workflows = WorkflowStart(cast(Engine, engine))
        workflows.begin()
        await workflows.end()

    asyncio.run(serve())
    assert engine.calls == ["stop"]


def test_when_they_do_not_start_nothing_is_written_and_the_service_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))

    async def serve() -> None:
        workflows = WorkflowStart(cast(Engine, Recorded(OSError("no database"))))
        workflows.begin()
        for _ in range(2):
            with pytest.raises(OSError, match="no database"):
                await workflows.wait()
        await workflows.end()

    asyncio.run(serve())
    assert sent == [(os.getpid(), signal.SIGTERM)]
