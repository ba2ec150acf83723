"""The blob endpoint as its clients see it: azure-storage-blob, plain HTTP, and sockets for clients that misbehave."""

import asyncio
import base64
import hashlib
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
import uvicorn
import uvloop
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings

from hwdash.server import blobs as endpoint_module
from hwdash.server.blobs import BlobEndpoint
from hwdash.server.sas import SasSigner
from hwdash.storage.blobs import BlobStore

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIB = 1024 * 1024


@dataclass
class Server:
    """A uvicorn server in a thread, with what a test may turn."""

    root: Path
    port: int = 0
    now: datetime = NOON
    committed: set[str] = field(default_factory=set)
    barred: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    on_ask: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.store = BlobStore(self.root, clock=lambda: self.now, max_blob_size=64 * MIB)
        self.key = secrets.token_hex(16)

    async def may_write(self, key: str) -> bool:
        self.asked.append(key)
        self.on_ask()
        return key not in self.committed

    async def is_barred(self, key: str) -> bool:
        return key in self.barred

    def endpoint(self) -> BlobEndpoint:
        asked = {"may_write": self.may_write, "is_barred": self.is_barred}
        return BlobEndpoint(self.store, self.signer, **asked, clock=lambda: self.now)

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.signer = SasSigner(secrets.token_bytes(32), f"http://127.0.0.1:{self.port}", lambda: self.now)
        app = self.endpoint()
        config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: uvloop.run(self.server.serve([listener])))
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()

    def url(self, permissions: str = "rwl", **options) -> str:
        return self.signer.url(self.key, "Initial_7.cab", permissions=permissions, **options)

    def client(self, url: str | None = None, **options) -> BlobClient:
        return BlobClient.from_blob_url(url or self.url(), retry_total=0, **options)

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]

    def content(self) -> bytes:
        with self.store.open(self.key) as file:
            return file.read()


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    server = Server(tmp_path / "blobs")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


def put(http: httpx.Client, server: Server, content=b"0123456789", **headers) -> httpx.Response:
    answer = http.put(server.url(), content=content, headers={"x-ms-blob-type": "BlockBlob", **headers})
    assert answer.status_code == 201, answer.text
    return answer


def assert_error(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers.get("x-ms-error-code")) == (status, code), answer.text
    if answer.request.method != "HEAD":
        assert (
            re.fullmatch(
                r'<\?xml version="1.0" encoding="utf-8"\?><Error><Code>(\w+)</Code><Message>[^<]+</Message></Error>',
                answer.text,
            )[1]
            == code
        )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        threading.Event().wait(0.01)


class TestAzureClient:
    def test_a_small_package_goes_up_in_one_put_and_comes_back(self, server):
        answer = server.client().upload_blob(b"a small package")

        assert answer["content_md5"] == hashlib.md5(b"a small package").digest()
        assert server.client().download_blob().readall() == b"a small package"
        assert server.client().get_blob_properties().etag == answer["etag"]

    def test_a_large_package_goes_up_in_parallel_blocks_and_comes_back(self, server):
        package = os.urandom(3 * MIB + 12345)
        sizes = {"max_single_put_size": 64 * 1024, "max_block_size": 256 * 1024}
        sizes |= {"max_single_get_size": 300_000, "max_chunk_get_size": 100_000}

        server.client(**sizes).upload_blob(package, max_concurrency=4)

        assert server.client(**sizes).download_blob(max_concurrency=4).readall() == package
        assert len(server.store.stat(server.key).segments) == 13
        assert server.client().download_blob(offset=1_000_000, length=500_000).readall() == package[1_000_000:1_500_000]

    @pytest.mark.parametrize("single", [64, 64 * MIB])
    def test_overwrite_false_finds_the_blob_that_is_there(self, server, single):
        client = server.client(max_single_put_size=single, max_block_size=100)
        client.upload_blob(b"x" * 1000)

        with pytest.raises(ResourceExistsError):
            client.upload_blob(b"y" * 1000)
        assert server.content() == b"x" * 1000
        client.upload_blob(b"z" * 1000, overwrite=True)
        assert server.content() == b"z" * 1000

    def test_an_interrupted_upload_goes_on_from_the_block_list(self, server):
        client = server.client()
        client.stage_block("0001", b"first ")
        client.stage_block("0002", b"second ")
        committed, staged = client.get_block_list("all")
        assert (committed, [(block.id, block.size) for block in staged]) == ([], [("0001", 6), ("0002", 7)])

        client.stage_block("0003", b"third")
        client.commit_block_list([BlobBlock(block.id) for block in [*staged, BlobBlock("0003")]])

        assert client.download_blob().readall() == b"first second third"
        committed, staged = client.get_block_list("all")
        assert ([block.id for block in committed], staged) == (["0001", "0002", "0003"], [])

    def test_content_validation_by_md5_holds_both_ways(self, server):
        client = server.client(
            max_single_put_size=1000, max_block_size=1000, max_single_get_size=1500, max_chunk_get_size=1500
        )
        package = os.urandom(5000)
        client.upload_blob(package, validate_content=True)

        assert client.download_blob(validate_content=True).readall() == package

    def test_content_settings_are_kept(self, server):
        settings = ContentSettings(
            "application/vnd.ms-cab-compressed", content_md5=bytearray(hashlib.md5(b"xy").digest())
        )
        client = server.client(max_single_put_size=1, max_block_size=1)
        client.upload_blob(b"xy", content_settings=settings)

        kept = client.get_blob_properties().content_settings
        assert kept.content_type == "application/vnd.ms-cab-compressed"
        assert bytes(kept.content_md5) == hashlib.md5(b"xy").digest()

    def test_an_empty_blob_comes_back_empty(self, server):
        server.client().upload_blob(b"")

        assert server.client().download_blob().readall() == b""

    def test_errors_arrive_as_the_exceptions_that_users_catch(self, server):
        with pytest.raises(ResourceNotFoundError):
            server.client().get_blob_properties()
        with pytest.raises(ResourceNotFoundError):
            server.client().get_block_list()
        assert server.client().exists() is False
        server.client().upload_blob(b"x")
        assert server.client().exists() is True
        with pytest.raises(ResourceModifiedError):
            server.client().upload_blob(
                b"y", overwrite=True, etag="0xOLD", match_condition=MatchConditions.IfNotModified
            )
        with pytest.raises(HttpResponseError) as refused:
            server.client(server.url("r")).upload_blob(b"y", overwrite=True)
        assert (refused.value.status_code, refused.value.error_code) == (403, "AuthorizationPermissionMismatch")
        with pytest.raises(HttpResponseError) as refused:
            server.client().commit_block_list([BlobBlock("none")])
        assert (refused.value.status_code, refused.value.error_code) == (400, "InvalidBlockList")


class TestUpload:
    @pytest.mark.parametrize(
        "content_type", [None, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    )
    def test_a_bare_put_is_an_upload(self, server, http, content_type):
        answer = http.put(
            server.url(), content=b"a=b&c", headers={"Content-Type": content_type} if content_type else {}
        )

        assert answer.status_code == 201
        assert answer.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"a=b&c").digest()).decode()
        assert re.fullmatch(r'"0x[0-9A-F]{16}"', answer.headers["ETag"])
        assert answer.headers["Last-Modified"] == "Mon, 23 Nov 2026 12:00:00 GMT"
        assert answer.headers["Content-Length"] == "0"
        assert len(answer.headers["x-ms-request-id"]) == 36
        assert "x-ms-version" in answer.headers
        assert "Date" in answer.headers
        assert server.content() == b"a=b&c"

    def test_what_the_client_says_of_itself_is_echoed(self, server, http):
        answer = put(http, server, **{"x-ms-client-request-id": "abc-1", "x-ms-version": "2019-12-12"})

        assert answer.headers["x-ms-client-request-id"] == "abc-1"
        assert answer.headers["x-ms-version"] == "2019-12-12"

    def test_a_chunked_body_is_an_upload(self, server, http):
        chunks = [os.urandom(size) for size in (1, 70_000, 2 * MIB, 3, *([7] * 2000))]
        answer = http.put(server.url(), content=iter(chunks))

        assert answer.status_code == 201
        assert server.content() == b"".join(chunks)

    def test_neither_length_nor_chunks(self, server):
        target = urlsplit(server.url())
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b" 411 " in raw.recv(1000).splitlines()[0]

    def test_an_upload_before_commit_replaces_the_blob_and_after_it_is_refused(self, server, http):
        put(http, server, b"first")
        put(http, server, b"second")
        server.committed.add(server.key)

        for comp in ("", "&comp=block&blockid=AAAA", "&comp=blocklist"):
            answer = http.put(server.url() + comp, content=b"third")
            assert_error(answer, 403, "AuthorizationFailure")
            assert "committed" in answer.text
        assert http.get(server.url("r")).content == b"second"

    def test_a_commit_during_the_upload_wins(self, server, http):
        put(http, server, b"committed content")
        before = server.files()
        server.asked.clear()
        server.on_ask = lambda: server.committed.add(server.key) if len(server.asked) == 2 else None

        answer = http.put(server.url(), content=b"too late")

        assert_error(answer, 403, "AuthorizationFailure")
        assert server.asked == [server.key] * 2
        assert server.files() == before
        assert server.content() == b"committed content"

    @pytest.mark.parametrize("comp", ["", "&comp=block&blockid=AAAA"])
    def test_a_client_that_goes_away_leaves_nothing_behind(self, server, comp):
        target = urlsplit(server.url() + comp)
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            head = f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {16 * MIB}\r\n\r\n"
            raw.sendall(head.encode() + b"x" * 9 * MIB)
            wait_until(lambda: any(path.stat().st_size for path in server.files()))
        wait_until(lambda: server.files() == [])

    def test_a_client_that_stops_sending_is_let_go(self, server, monkeypatch):
        monkeypatch.setattr(endpoint_module, "IDLE_SECONDS", 0.05)
        target = urlsplit(server.url())
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx".encode())
            assert b" 408 " in raw.recv(1000).splitlines()[0]
        assert server.files() == []

    def test_a_replaced_upload_is_removed_in_the_end(self, server, http):
        put(http, server, b"1")
        put(http, server, b"2")
        assert len(server.files()) == 4
        server.now += timedelta(minutes=11)

        put(http, server, b"3")

        assert len(server.files()) == 4
        assert server.content() == b"3"

    def test_a_list_that_names_no_block_makes_an_empty_blob(self, server, http):
        answer = http.put(server.url() + "&comp=blocklist", content=b"<BlockList/>")

        assert answer.status_code == 201
        assert http.get(server.url()).content == b""

    def test_the_kinds_of_a_block_list(self, server, http):
        for block, content in (("AAAA", b"a"), ("BBBB", b"b")):
            http.put(server.url() + f"&comp=block&blockid={block}", content=content)
        http.put(server.url() + "&comp=blocklist", content=b"<BlockList><Uncommitted>AAAA</Uncommitted></BlockList>")
        http.put(server.url() + "&comp=block&blockid=BBBB", content=b"c")
        body = b"""<?xml version="1.0" encoding="utf-8"?>
            <BlockList><Latest>BBBB</Latest><Committed> AAAA </Committed></BlockList>"""

        assert http.put(server.url() + "&comp=blocklist", content=body).status_code == 201
        assert server.content() == b"ca"


UPLOAD_ERRORS = [
    ({"Content-MD5": base64.b64encode(b"0" * 16).decode()}, "", b"x", 400, "Md5Mismatch"),
    ({"x-ms-blob-content-md5": base64.b64encode(b"0" * 16).decode()}, "", b"x", 400, "Md5Mismatch"),
    ({"Content-MD5": "nonsense"}, "", b"x", 400, "InvalidMd5"),
    ({"x-ms-blob-type": "PageBlob"}, "", b"", 400, "InvalidHeaderValue"),
    ({"If-Match": '"0x1"'}, "", b"x", 412, "ConditionNotMet"),
    ({"If-Unmodified-Since": "yesterday"}, "", b"x", 400, "InvalidHeaderValue"),
    ({"x-ms-blob-content-type": "a\tb"}, "", b"x", 400, "InvalidHeaderValue"),
    ({"x-ms-copy-source": "http://elsewhere"}, "", b"", 400, "UnsupportedHeader"),
    ({"x-ms-structured-body": "XSM/1.0; properties=crc64"}, "", b"x", 400, "UnsupportedHeader"),
    ({}, "", b"x" * (64 * MIB + 1), 413, "RequestBodyTooLarge"),
    ({}, "&comp=metadata", b"", 400, "InvalidQueryParameterValue"),
    ({}, "&versionid=1", b"x", 400, "InvalidQueryParameterValue"),
    ({}, "&comp=block", b"x", 400, "InvalidQueryParameterValue"),
    ({}, "&comp=block&blockid=%21", b"x", 400, "InvalidQueryParameterValue"),
    ({}, "&comp=block&blockid=" + "A" * 92, b"x", 400, "InvalidQueryParameterValue"),
    ({}, "&comp=block&blockid=AAAAAAAA", b"x", 400, "InvalidBlobOrBlock"),
    ({}, "&comp=block&blockid=AAAA", b"", 400, "InvalidHeaderValue"),
    ({"Content-MD5": base64.b64encode(b"0" * 16).decode()}, "&comp=block&blockid=BBBB", b"x", 400, "Md5Mismatch"),
    ({"Content-MD5": base64.b64encode(b"0" * 16).decode()}, "&comp=blocklist", b"<BlockList/>", 400, "Md5Mismatch"),
    ({}, "&comp=blocklist", b"<BlockList><Latest>CCCC</Latest></BlockList>", 400, "InvalidBlockList"),
    ({}, "&comp=blocklist", b"<BlockList><Committed>AAAA</Committed></BlockList>", 400, "InvalidBlockList"),
    ({}, "&comp=blocklist", b"", 400, "InvalidXmlDocument"),
    ({}, "&comp=blocklist", b"<BlockList><Latest>AAAA</BlockList>", 400, "InvalidXmlDocument"),
    ({}, "&comp=blocklist", b"<Blocks/>", 400, "InvalidXmlDocument"),
    ({}, "&comp=blocklist", b"<BlockList><Newest>AAAA</Newest></BlockList>", 400, "InvalidXmlDocument"),
    ({}, "&comp=blocklist", b"<BlockList><Latest><Latest/></Latest></BlockList>", 400, "InvalidXmlDocument"),
    ({}, "&comp=blocklist", b'<?xml version="1.0" encoding="nonsense"?><BlockList/>', 400, "InvalidXmlDocument"),
    (
        {},
        "&comp=blocklist",
        b'<!DOCTYPE BlockList [<!ENTITY a "AAAA">]><BlockList><Latest>&a;</Latest></BlockList>',
        400,
        "InvalidXmlDocument",
    ),
    (
        {},
        "&comp=blocklist",
        b"<BlockList>" + b"<Latest>AAAA</Latest>" * 50_001 + b"</BlockList>",
        400,
        "BlockListTooLong",
    ),
    ({}, "&comp=blocklist", b" " * (8 * MIB + 1), 413, "RequestBodyTooLarge"),
    ({}, "&" * 100, b"x", 400, "InvalidUri"),
]


@pytest.mark.parametrize(
    ("headers", "query", "body", "status", "code"), UPLOAD_ERRORS, ids=lambda value: str(value)[:40]
)
def test_a_bad_upload_is_refused_and_leaves_nothing(server, http, headers, query, body, status, code):
    http.put(server.url() + "&comp=block&blockid=AAAA", content=b"staged")
    before = server.files()

    assert_error(http.put(server.url() + query, content=body, headers=headers), status, code)
    assert server.files() == before


def test_if_none_match_star_is_refused_before_the_body_is_sent(server, http):
    put(http, server)
    target = urlsplit(server.url())
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(
            f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n"
            f"Expect: 100-continue\r\nContent-Length: {60 * MIB}\r\n\r\n".encode()
        )
        answer = raw.recv(4000)
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert b"BlobAlreadyExists" in answer


class TestDownload:
    def test_a_plain_get(self, server, http):
        etag = put(http, server, **{"Content-Type": "application/zip"}).headers["ETag"]

        answer = http.get(server.url("r", download_name="Signed_7.zip"))

        assert (answer.status_code, answer.content) == (200, b"0123456789")
        expected = {
            "ETag": etag,
            "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT",
            "Content-Length": "10",
            "Content-Type": "application/zip",
            "Content-MD5": base64.b64encode(hashlib.md5(b"0123456789").digest()).decode(),
            "Content-Disposition": "attachment; filename=Signed_7.zip",
            "Accept-Ranges": "bytes",
            "x-ms-blob-type": "BlockBlob",
            "X-Content-Type-Options": "nosniff",
        }
        assert {name: answer.headers.get(name) for name in expected} == expected
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        head = http.head(server.url("r", download_name="Signed_7.zip"))
        assert head.status_code == 200
        assert {name: head.headers.get(name) for name in expected} == expected

    @pytest.mark.parametrize("header", ["Range", "x-ms-range"])
    @pytest.mark.parametrize(
        ("text", "content", "content_range"),
        [
            ("bytes=0-3", b"0123", "bytes 0-3/10"),
            ("bytes=4-", b"456789", "bytes 4-9/10"),
            ("bytes=9-500", b"9", "bytes 9-9/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=-30", b"0123456789", "bytes 0-9/10"),
        ],
    )
    def test_a_range(self, server, http, header, text, content, content_range):
        put(http, server)

        answer = http.get(server.url(), headers={header: text})

        assert (answer.status_code, answer.content) == (206, content)
        assert answer.headers["Content-Range"] == content_range
        assert "Content-MD5" not in answer.headers
        assert "x-ms-blob-content-md5" in answer.headers

    def test_x_ms_range_comes_before_range(self, server, http):
        put(http, server)

        assert http.get(server.url(), headers={"Range": "bytes=0-1", "x-ms-range": "bytes=2-3"}).content == b"23"

    @pytest.mark.parametrize("text", ["bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=-", ""])
    def test_a_range_that_is_not_understood_is_the_whole(self, server, http, text):
        put(http, server)

        assert http.get(server.url(), headers={"Range": text}).status_code == 200
        if text:
            assert_error(http.get(server.url(), headers={"x-ms-range": text}), 400, "InvalidHeaderValue")

    def test_a_range_past_the_end(self, server, http):
        put(http, server)
        answer = http.get(server.url(), headers={"Range": "bytes=10-"})

        assert_error(answer, 416, "InvalidRange")
        assert answer.headers["Content-Range"] == "bytes */10"
        assert_error(http.get(server.url(), headers={"x-ms-range": "bytes=5-2"}), 400, "InvalidHeaderValue")

    def test_if_range_of_another_version_gets_the_whole(self, server, http):
        etag = put(http, server).headers["ETag"]

        assert http.get(server.url(), headers={"Range": "bytes=0-1", "If-Range": etag}).content == b"01"
        assert http.get(server.url(), headers={"Range": "bytes=0-1", "If-Range": '"0x0"'}).status_code == 200

    def test_the_md5_of_a_range(self, server, http):
        put(http, server, b"x" * (5 * MIB))
        headers = {"x-ms-range-get-content-md5": "true"}

        answer = http.get(server.url(), headers=headers | {"x-ms-range": "bytes=1-10"})
        assert answer.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"x" * 10).digest()).decode()
        assert_error(http.get(server.url(), headers=headers | {"x-ms-range": "bytes=0-"}), 400, "OutOfRangeInput")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"If-Match": "ETAG"}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-Match": '"0x1", ETAG'}, 200),
            ({"If-Match": '"0x1"'}, 412),
            ({"If-None-Match": "ETAG"}, 304),
            ({"If-None-Match": '"0x1"'}, 200),
            ({"If-None-Match": "*"}, 400),
            ({"If-Modified-Since": "Mon, 23 Nov 2026 12:00:00 GMT"}, 304),
            ({"If-Modified-Since": "Mon, 23 Nov 2026 11:59:59 GMT"}, 200),
            ({"If-Unmodified-Since": "Mon, 23 Nov 2026 12:00:00 GMT"}, 200),
            ({"If-Unmodified-Since": "Mon, 23 Nov 2026 11:59:59 GMT"}, 412),
            ({"If-None-Match": "ETAG", "If-Modified-Since": "Mon, 23 Nov 2026 11:59:59 GMT"}, 200),
            ({"If-None-Match": "ETAG", "If-Modified-Since": "Mon, 23 Nov 2026 12:00:00 GMT"}, 304),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_conditions(self, server, http, method, headers, status):
        etag = put(http, server).headers["ETag"]

        answer = http.request(
            method, server.url(), headers={name: value.replace("ETAG", etag) for name, value in headers.items()}
        )

        assert answer.status_code == status
        if status == 304:
            assert (answer.content, answer.headers["ETag"]) == (b"", etag)

    def test_a_name_in_any_script_is_offered_for_saving(self, server, http):
        put(http, server)

        answer = http.get(server.url("r", download_name="Treiber für Ωmega.cab"))
        assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{quote('Treiber für Ωmega.cab')}"

    def test_a_client_that_goes_away_stops_the_reading(self, server, http, monkeypatch):
        put(http, server, b"x" * (60 * MIB))
        reads = []
        read = endpoint_module.BlobReader.preadv
        closed = threading.Event()
        close = endpoint_module.BlobReader.close
        monkeypatch.setattr(endpoint_module.BlobReader, "preadv", lambda *args: (reads.append(args[2]), read(*args))[1])
        monkeypatch.setattr(endpoint_module.BlobReader, "close", lambda self: (close(self), closed.set())[0])
        target = urlsplit(server.url())
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"GET {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert raw.recv(100)
        assert closed.wait(20)
        assert len(reads) < 250, "of 512 chunks"

    def test_a_version_removed_meanwhile_is_not_found(self, server, http):
        put(http, server)
        blob = server.store.stat(server.key)
        blob.segments[0].path.unlink()

        assert_error(http.get(server.url()), 404, "BlobNotFound")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_was_never_uploaded_is_not_found(server, http, method):
    assert_error(http.request(method, server.url()), 404, "BlobNotFound")


def test_the_block_lists_as_xml(server, http):
    http.put(server.url() + "&comp=block&blockid=AAAA", content=b"a")
    http.put(server.url() + "&comp=blocklist", content=b"<BlockList><Latest>AAAA</Latest></BlockList>")
    http.put(server.url() + "&comp=block&blockid=BB%2BB", content=b"bb")
    http.put(server.url() + "&comp=block&blockid=CC+C", content=b"ccc")
    committed = "<CommittedBlocks><Block><Name>AAAA</Name><Size>1</Size></Block></CommittedBlocks>"
    staged = "".join(
        f"<Block><Name>{name}</Name><Size>{size}</Size></Block>" for name, size in (("BB+B", 2), ("CC+C", 3))
    )
    uncommitted = f"<UncommittedBlocks>{staged}</UncommittedBlocks>"
    start = '<?xml version="1.0" encoding="utf-8"?><BlockList>'

    def answer(query: str = "") -> httpx.Response:
        return http.get(server.url() + "&comp=blocklist" + query)

    assert answer().text == f"{start}{committed}</BlockList>"
    assert answer("&blocklisttype=uncommitted").text == f"{start}{uncommitted}</BlockList>"
    assert answer("&blocklisttype=all").text == f"{start}{committed}{uncommitted}</BlockList>"
    assert answer("&blocklisttype=all").headers["x-ms-blob-content-length"] == "1"
    assert_error(answer("&blocklisttype=some"), 400, "InvalidQueryParameterValue")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_bad_signature_is_refused_whatever_is_asked(server, http, method):
    put(http, server)
    bad = server.url().replace("sig=", "sig=A")

    for query in ("", "&comp=blocklist", "&comp=block&blockid=AAAA"):
        assert_error(http.request(method, bad + query), 403, "AuthenticationFailed")
    assert_error(http.request(method, bad.partition("?")[0]), 403, "AuthenticationFailed")
    assert_error(http.request(method, server.url().replace(server.key, "f" * 32)), 403, "AuthenticationFailed")
    assert_error(http.request(method, server.url().replace("Initial_7", "Initial_8")), 403, "AuthenticationFailed")


def test_an_expired_url_is_refused(server, http):
    url = server.url(hours=1)
    put(http, server)
    server.now += timedelta(hours=2)

    answer = http.get(url)

    assert_error(answer, 403, "AuthenticationFailed")
    assert "expired" in answer.text


def test_a_read_url_does_not_upload(server, http):
    assert_error(http.put(server.url("r"), content=b"x"), 403, "AuthorizationPermissionMismatch")


@pytest.mark.parametrize("method", ["DELETE", "POST", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(server, http, method):
    answer = http.request(method, server.url())

    assert_error(answer, 405, "UnsupportedHttpVerb")
    assert answer.headers["Allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_barred_is_not_handed_out(server, http, method):
    put(http, server)
    server.barred.add(server.key)
    answer = http.request(method, server.url())
    assert answer.status_code == 403
    assert answer.headers["x-ms-error-code"] == "AuthorizationFailure"


@pytest.mark.parametrize(
    ("root_path", "prefix"), [("", "/blobs"), ("/blobs", "/blobs"), ("/blobs", ""), ("/api", "/api/blobs")]
)
def test_the_endpoint_may_be_mounted_in_any_way(server, http, root_path, prefix):
    put(http, server)
    endpoint = server.endpoint()
    sent = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"{prefix}/{server.key}/Initial_7.cab",
        "root_path": root_path,
        "query_string": urlsplit(server.url()).query.encode(),
        "headers": [],
    }
    asyncio.run(endpoint(scope, receive, send))

    assert sent[0]["status"] == 200
    assert b"".join(message["body"] for message in sent[1:]) == b"0123456789"


def test_a_connection_serves_on_after_an_upload_was_refused_early(server, http):
    server.committed.add(server.key)
    for _ in range(3):
        with suppress(httpx.WriteError):
            assert http.put(server.url(), content=b"x" * (8 * MIB)).status_code == 403
    assert_error(http.get(server.url()), 404, "BlobNotFound")
