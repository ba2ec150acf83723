"""Bodies too large for memory, written to the blob store as they come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from hwdash.storage.blobs import MIB, BlobWriter, BlockWriter

P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W", BlobWriter, BlockWriter)

WRITE_BATCH = 2 * MIB
WRITE_BUFFERS = 16 * MIB
"""What all uploads together collect before they write, however many they are; as much again is being written."""


class Uploads:
    """The uploads of a service, which share their memory and their threads."""

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="blob")
        self._under_way = 0

    def thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Run a function in one of the threads."""
        return asyncio.wrap_future(self._threads.submit(function, *args, **kwargs))

    async def write(
        self,
        open_writer: Callable[[], W],
        body: AsyncIterator[bytes],
        finish: Callable[[W], R],
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> R:
        """Write a body as it comes, a thread one batch while the next one arrives; await ``check`` and then ``finish``.

        As few runs in a thread as can be: one for a small body, with all from the opening to the sync. Whatever is
        raised on the way leaves nothing of the body behind.
        """
        self._under_way += 1
        writers: list[W] = []
        batch: list[bytes] = []
        collected = 0
        writing: asyncio.Future[None] | None = None

        def write(chunks: list[bytes]) -> None:
            if not writers:
                writers.append(open_writer())
            writers[0].write(*chunks)

        def write_last(chunks: list[bytes]) -> R:
            write(chunks)
            return finish(writers[0])

        try:
            async for chunk in body:
                full = collected + len(chunk) > min(WRITE_BATCH, WRITE_BUFFERS // self._under_way)
                if batch and (full or len(batch) == 512):
                    if writing is not None:
                        await writing
                    writing = self.thread(write, batch)
                    batch, collected = [], 0
                batch.append(chunk)
                collected += len(chunk)
            if writing is not None:
                await writing
            if check is not None:
                await check()
            return await self.thread(write_last, batch)
        except BaseException:
            if writing is not None:
                await asyncio.wait([writing])  # it may be the one that opens the writer
            for writer in writers:
                await self.thread(writer.abort)
            raise
        finally:
            self._under_way -= 1
