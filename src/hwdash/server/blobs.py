"""Azure's blob operations on a SAS URL, over the local store: what azure-storage-blob and plain HTTP clients send.

A raw ASGI application: a package passes through here in megabytes, and each layer between would copy it once more.
Source: the service's contract, "Blob (SAS) contract"; Microsoft Learn, "Operations on block blobs".
"""

import asyncio
import hashlib
import hmac
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from os import RWF_NOWAIT
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

from hwdash.clock import Clock
from hwdash.server.answer_headers import INERT
from hwdash.server.blob_wire import (
    Answer,
    BlobRequest,
    block_list_xml,
    common_headers,
    error_answer,
    http_date,
    is_unmodified,
    parse_block_list,
    to_base64,
)
from hwdash.server.sas import SAS_VERSION, SasError, SasSigner
from hwdash.server.uploads import Uploads
from hwdash.storage.blobs import MIB, Blob, BlobError, BlobReader, BlobStore, BlobWriter, BlockWriter

READ_CHUNK = 120 * 1024
"""Below the 128 KiB from which malloc maps fresh pages for each chunk: smaller ones are warm and fault no pages."""
IDLE_SECONDS = 120
WRITABLE_SECONDS = 1.0
MAX_BLOCK_LIST_BYTES = 8 * MIB
MAX_RANGE_MD5_BYTES = 4 * MIB
SUPERSEDED_FOR = timedelta(minutes=10)
"""How long a replaced upload stays: far longer than a commit takes between reading the version and storing it."""

# Each of them changes what the bytes mean: ignored, they would make us store something else than the client meant.
_UNSUPPORTED = ("x-ms-copy-source", "x-ms-structured-body", "x-ms-encryption-key", "x-ms-lease-id")
# What a partner uploads is served from the origin of the dashboard: no browser may run it as a page.
_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": INERT}


class _ConnectionLostError(Exception):
    """The client closed the connection, or the answer cannot be completed: there is nothing left to say."""


class BlobEndpoint:
    """The ASGI application for ``/blobs/{key}/{name}``, mounted at ``/blobs`` or given the whole path.

    ``may_write(key)`` says whether uploads are still allowed: it is asked before a body is read, and again before a
    version is published. False answers 403, for the package was committed. ``is_barred(key)`` says of a blob that it is
    not handed out any more, which answers 403 too.
    """

    def __init__(
        self,
        store: BlobStore,
        sas: SasSigner,
        *,
        may_write: Callable[[str], Awaitable[bool]],
        is_barred: Callable[[str], Awaitable[bool]],
        clock: Clock,
        uploads: Uploads | None = None,
    ) -> None:
        self._store = store
        self._sas = sas
        self._may_write = may_write
        self._is_barred = is_barred
        self._clock = clock
        self._uploads = uploads or Uploads()
        self._writable: dict[str, float] = {}  # key: until when blocks are taken without asking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        common = common_headers(headers, SAS_VERSION, str(uuid.uuid4()))
        try:
            try:
                request = self._authorise(scope, headers)
                if request.method != "PUT" and "comp" not in request.query:
                    await self._get_blob(request, common, receive, send)
                    return
                answer = await self._operation(request, receive)
            except (BlobError, SasError) as error:
                answer = error_answer(error)
            await _respond(send, scope["method"], answer, common)
        except _ConnectionLostError:
            return

    def _authorise(self, scope: Scope, headers: dict[str, str]) -> BlobRequest:
        method = scope["method"]
        if method not in {"GET", "HEAD", "PUT"}:
            raise BlobError("UnsupportedHttpVerb", f"{method} is not an operation on a SAS URL; GET, HEAD and PUT are.")
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/blobs").removeprefix("/")
        key, _, name = path.partition("/")
        try:
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=64)
        except ValueError:
            raise BlobError("InvalidUri", "The URL has more than 64 query parameters.") from None
        grant = self._sas.verify(key, name, pairs, "w" if method == "PUT" else "r")
        for header in _UNSUPPORTED:
            if header in headers:
                raise BlobError("UnsupportedHeader", f"{header} is not supported; send the request without it.")
        query = dict(pairs)
        for parameter in ("snapshot", "versionid"):
            if parameter in query:
                raise BlobError(
                    "InvalidQueryParameterValue", f"{parameter} is not supported; only the current blob is."
                )
        return BlobRequest(method, headers, query, grant)

    async def _operation(self, request: BlobRequest, receive: Receive) -> Answer:
        match request.method, request.query.get("comp"):
            case "GET", "blocklist":
                return await self._uploads.thread(self._get_block_list, request)
            case "PUT", None:
                return await self._put_blob(request, receive)
            case "PUT", "block":
                return await self._put_block(request, receive)
            case "PUT", "blocklist":
                return await self._put_block_list(request, receive)
            case method, comp:
                raise BlobError("InvalidQueryParameterValue", f"{method} with comp={comp} is not an operation here.")

    # Uploads

    async def _put_blob(self, request: BlobRequest, receive: Receive) -> Answer:
        if request.headers.get("x-ms-blob-type", "BlockBlob") != "BlockBlob":
            raise BlobError("InvalidHeaderValue", "x-ms-blob-type is BlockBlob here.")
        key, conditions, length = request.grant.key, request.conditions(), request.length()
        expected = request.md5("content-md5") or request.md5("x-ms-blob-content-md5")
        content_type = request.content_type("content-type")
        await self._check_writable(request)
        # Refused now, a package of gigabytes need not be sent first; publishing checks the condition again.
        conditions.check_write(await self._uploads.thread(self._store.stat, key))

        def publish(writer: BlobWriter) -> Blob:
            return writer.finish(
                name=request.grant.name, content_type=content_type, expected_md5=expected, conditions=conditions
            )

        open_writer = partial(self._store.write_blob, key, length=length, hashes=("md5",))
        blob = await self._uploads.write(open_writer, _body(receive), publish, partial(self._check_writable, request))
        return await self._published(blob, blob.content_md5)

    async def _put_block(self, request: BlobRequest, receive: Receive) -> Answer:
        key, length, expected = request.grant.key, request.length(), request.md5("content-md5")
        block_id = request.query.get("blockid", "").replace(" ", "+")  # from clients that do not escape the "+"
        if length == 0:
            raise BlobError("InvalidHeaderValue", "Content-Length is 0, and a block has at least one byte.")
        # A block is no version yet: the first of many asks whether it may be written, and the list always asks.
        if self._writable.get(key, 0.0) < (now := time.monotonic()):
            await self._check_writable(request)
            self._writable = {known: until for known, until in self._writable.items() if until > now}
            self._writable[key] = now + WRITABLE_SECONDS
        hashes = ("md5",) if expected else ()
        open_writer = partial(self._store.write_block, key, block_id, length=length, hashes=hashes)
        try:
            await self._uploads.write(open_writer, _body(receive), partial(BlockWriter.finish, expected_md5=expected))
        except BlobError as error:
            if error.code == "InvalidBlockId":
                raise BlobError("InvalidQueryParameterValue", error.message) from error
            raise
        return Answer(201, {"Content-MD5": to_base64(expected)} if expected else {})

    async def _put_block_list(self, request: BlobRequest, receive: Receive) -> Answer:
        length, body = request.length(), bytearray()
        await self._check_writable(request)
        async for chunk in _body(receive):
            body += chunk
            if max(len(body), length or 0) > MAX_BLOCK_LIST_BYTES:
                raise BlobError("RequestBodyTooLarge", f"A block list has at most {MAX_BLOCK_LIST_BYTES} bytes.")
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        expected = request.md5("content-md5")
        if expected is not None and not hmac.compare_digest(expected, digest):
            raise BlobError("Md5Mismatch", "The Content-MD5 sent is not that of the list received; send it again.")
        blocks = await self._uploads.thread(parse_block_list, bytes(body))
        await self._check_writable(request)
        blob = await self._uploads.thread(
            self._store.commit_blocks,
            request.grant.key,
            blocks,
            name=request.grant.name,
            content_type=request.content_type(),
            content_md5=request.md5("x-ms-blob-content-md5"),
            conditions=request.conditions(),
        )
        return await self._published(blob, digest)

    async def _published(self, blob: Blob, content_md5: bytes | None) -> Answer:
        await self._uploads.thread(self._store.prune, blob.key, (), superseded_before=self._clock() - SUPERSEDED_FOR)
        headers = {"ETag": blob.etag, "Last-Modified": http_date(blob.last_modified)}
        if content_md5:
            headers["Content-MD5"] = to_base64(content_md5)
        return Answer(201, headers)

    async def _check_writable(self, request: BlobRequest) -> None:
        if not await self._may_write(request.grant.key):
            message = "The package was committed and can no longer be replaced; create a new submission for another."
            raise BlobError("AuthorizationFailure", message)

    # Downloads

    async def _get_blob(self, request: BlobRequest, common: dict[str, str], receive: Receive, send: Send) -> None:
        if await self._is_barred(request.grant.key):
            raise BlobError("AuthorizationFailure", "The operator recalled this driver: it is not handed out any more.")
        blob = await self._uploads.thread(self._store.stat, request.grant.key)
        unmodified = is_unmodified(request.conditions(), blob)
        if blob is None:
            raise BlobError("BlobNotFound", "Nothing was uploaded here yet.")
        headers = {"ETag": blob.etag, "Last-Modified": http_date(blob.last_modified), **_INERT}
        if unmodified:
            await _respond(send, request.method, Answer(304, headers), common)
            return
        headers |= {"Accept-Ranges": "bytes", "x-ms-blob-type": "BlockBlob", "Content-Type": blob.content_type}
        if request.grant.content_disposition:
            headers["Content-Disposition"] = request.grant.content_disposition
        span = request.byte_range(blob)
        start, end = span or (0, blob.size)
        if span is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        if blob.content_md5 is not None:
            headers["Content-MD5" if span is None else "x-ms-blob-content-md5"] = to_base64(blob.content_md5)
        answer = Answer(200 if span is None else 206, headers)
        if request.method == "HEAD" or blob.size == 0:
            await _respond(send, "HEAD", answer, common, length=end - start)
            return
        with BlobReader(blob.segments) as reader:
            if span and request.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
                if end - start > MAX_RANGE_MD5_BYTES:
                    message = f"An MD5 is made of {MAX_RANGE_MD5_BYTES} bytes at most; ask for a smaller range."
                    raise BlobError("OutOfRangeInput", message)
                answer.body = b"".join([bytes(chunk) async for chunk in self._chunks(reader, start, end)])
                headers["Content-MD5"] = to_base64(hashlib.md5(answer.body, usedforsecurity=False).digest())
                await _respond(send, request.method, answer, common)
                return
            chunks = self._chunks(reader, start, end)
            first = await anext(chunks)  # before the status, so that a version just removed answers 404
            await send(_head(answer, common, end - start))
            await _send_chunks(first, chunks, end - start, receive, send)

    async def _chunks(self, reader: BlobReader, start: int, end: int) -> AsyncGenerator[bytearray, None]:
        """Bytes in the page cache are read in place; only those that are not cost a thread."""
        while start < end:
            chunk = bytearray(min(READ_CHUNK, end - start))
            try:
                count = reader.preadv(memoryview(chunk), start, RWF_NOWAIT)
            except OSError:  # not in the cache, or a file system that cannot tell
                count = await self._uploads.thread(reader.preadv, memoryview(chunk), start)
            start += count
            yield chunk if count == len(chunk) else chunk[:count]

    def _get_block_list(self, request: BlobRequest) -> Answer:
        wanted = request.query.get("blocklisttype", "committed").lower()
        if wanted not in {"committed", "uncommitted", "all"}:
            raise BlobError("InvalidQueryParameterValue", "blocklisttype is committed, uncommitted or all.")
        blob = self._store.stat(request.grant.key)
        staged = self._store.staged_blocks(request.grant.key)
        if blob is None and not staged:
            raise BlobError("BlobNotFound", "Nothing was uploaded here yet.")
        headers = {"Content-Type": "application/xml"}
        if blob is not None:
            headers |= {"ETag": blob.etag, "Last-Modified": http_date(blob.last_modified)}
            headers["x-ms-blob-content-length"] = str(blob.size)
        segments = blob.segments if blob else ()
        committed = [(segment.block_id, segment.size) for segment in segments if segment.block_id]
        uncommitted = [(block.block_id, block.size) for block in staged]
        lists = committed if wanted != "uncommitted" else None, uncommitted if wanted != "committed" else None
        return Answer(200, headers, block_list_xml(*lists))


async def _body(receive: Receive) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await receive()
        except TimeoutError:
            raise BlobError("OperationTimedOut", f"Nothing came for {IDLE_SECONDS} seconds; send it again.") from None
        if message["type"] != "http.request":
            raise _ConnectionLostError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def _send_chunks(
    chunk: bytearray, chunks: AsyncGenerator[bytearray, None], left: int, receive: Receive, send: Send
) -> None:
    """Send ``left`` bytes: ``chunk``, then ``chunks``; stop when the client goes away, which ``send`` does not tell."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        while not gone.done():
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
            if left == 0:
                return
            await asyncio.sleep(0)  # a fast client lets neither read nor send wait: others get their turn here
            chunk = await anext(chunks)
    except BlobError as error:  # the status is out: all that remains is to break off
        raise _ConnectionLostError from error
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _head(answer: Answer, common: dict[str, str], length: int) -> Message:
    headers = answer.headers | common
    if answer.status != 304:
        headers["Content-Length"] = str(length)
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": encoded}


async def _respond(
    send: Send, method: str, answer: Answer, common: dict[str, str], *, length: int | None = None
) -> None:
    await send(_head(answer, common, len(answer.body) if length is None else length))
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
