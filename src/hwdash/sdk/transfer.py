"""Packages to and from a SAS URL, in the requests of Azure Blob storage. Memory stays at a few blocks."""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import httpx

from hwdash.sdk.errors import ApiError, TransportError
from hwdash.sdk.requests import raise_for

BLOCK = 4 << 20
PARALLEL = 4
SINGLE_PUT = 4 << 20
TRIES = 5
PIECE = 1 << 20
FIRST_PAUSE_SECONDS = 0.5
BUSY = (408, 429, 500, 502, 503, 504)

Sleep = Callable[[float], None]
"""Waits so many seconds."""

Headers = Mapping[str, str]
Progress = Callable[[int, int], None]
"""Called with the bytes moved so far and the bytes in all."""


def silent(_done: int, _total: int) -> None:
    """Show nothing."""


def upload(http: httpx.Client, url: str, package: Path, progress: Progress = silent, sleep: Sleep = time.sleep) -> None:
    """Put a file where the URL says: one Put Blob when it is small, else blocks and their list."""
    total = package.stat().st_size
    progress(0, total)
    with package.open("rb") as stream:
        if total <= SINGLE_PUT:
            headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
            _put(http, url, stream.read(), headers, sleep)
            progress(total, total)
            return
        ids: list[str] = []
        under_way: dict[Future[None], int] = {}
        done = 0
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="upload") as threads:
            try:
                while (block := stream.read(BLOCK)) or under_way:
                    if block:
                        ids.append(base64.b64encode(f"{len(ids):08}".encode()).decode())
                        block_url = f"{url}&comp=block&blockid={_quoted(ids[-1])}"
                        under_way[threads.submit(_put, http, block_url, block, {}, sleep)] = len(block)
                    if not block or len(under_way) >= PARALLEL:
                        for ended in wait(under_way, return_when=FIRST_COMPLETED).done:
                            ended.result()
                            done += under_way.pop(ended)
                            progress(done, total)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
    listed = "".join(f"<Latest>{each}</Latest>" for each in ids)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
    _put(http, f"{url}&comp=blocklist", body.encode(), {"Content-Type": "application/xml"}, sleep)


def no_headers() -> Headers:
    """A SAS URL needs none."""
    return {}


def pieces(package: Path, progress: Progress = silent) -> Iterator[bytes]:
    """The body of an upload that goes in one request."""
    total, done = package.stat().st_size, 0
    progress(0, total)
    with package.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece
            done += len(piece)
            progress(done, total)


def download(
    http: httpx.Client,
    url: str,
    target: Path,
    progress: Progress = silent,
    sleep: Sleep = time.sleep,
    *,
    authorization: Callable[[], Headers] = no_headers,
    sha256: str | None = None,
) -> None:
    """Get a file. It is written beside ``target`` and renamed when complete; a broken connection goes on where it
    broke. ``authorization`` gives the headers that each request needs; ``sha256`` (hex) is what the file must have.
    """
    part = target.with_name(f"{target.name}.part")
    done, total, etag = 0, 0, ""
    try:
        with part.open("wb") as out:
            for tries_left in reversed(range(TRIES)):
                headers = {**authorization(), **({"Range": f"bytes={done}-", "If-Match": etag} if done else {})}
                try:
                    with http.stream("GET", url, headers=headers) as answer:
                        if answer.status_code not in (200, 206):
                            answer.read()
                            if not tries_left or answer.status_code not in BUSY:
                                _refused(answer, "download")
                            sleep(FIRST_PAUSE_SECONDS)
                            continue
                        if not done:
                            total, etag = int(answer.headers.get("Content-Length", "0")), answer.headers.get("ETag", "")
                        for chunk in answer.iter_bytes(1 << 20):
                            out.write(chunk)
                            done += len(chunk)
                            progress(done, total)
                    break
                except httpx.HTTPError as error:
                    if not tries_left or not etag:
                        raise TransportError(f"download broke after {done} of {total} bytes: {error}") from error
                    sleep(1.0)
            out.flush()
            os.fsync(out.fileno())
        if sha256 is not None:
            _check_digest(part, sha256)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _check_digest(part: Path, sha256: str) -> None:
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256.casefold():
        raise TransportError(f"what was downloaded has the SHA-256 {found}, and the service says {sha256}")


def _put(http: httpx.Client, url: str, body: bytes, headers: dict[str, str], sleep: Sleep) -> None:
    """Putting is repeatable: the same bytes under the same name."""
    pause = FIRST_PAUSE_SECONDS
    for tries_left in reversed(range(TRIES)):
        try:
            answer = http.put(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            if not tries_left:
                raise TransportError(f"upload broke: {error}") from error
        else:
            if answer.status_code == 201:
                return
            if not tries_left or not (answer.status_code in BUSY or answer.status_code >= 500):
                _refused(answer, "upload")
        sleep(pause)
        pause *= 2


def _refused(answer: httpx.Response, what: str) -> None:
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        raise_for(answer.status_code, answer.json(), answer.headers)
    code = answer.headers.get("x-ms-error-code", "")
    text = answer.text
    start, end = text.find("<Message>"), text.find("</Message>")
    message = text[start + 9 : end] if 0 <= start < end else f"the {what} was refused"
    raise ApiError(answer.status_code, code, message)


def _quoted(block_id: str) -> str:
    return block_id.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
