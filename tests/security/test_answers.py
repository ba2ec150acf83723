"""Every answer and every page tells a browser to run nothing of it, and a cache to keep nothing that opens a door.

Every route is asked as its owner, as nobody and for what is not there; every page, every token and every refusal too.
"""

import asyncio
import base64
import hashlib
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from hwdash.server.answer_headers import AnswerHeaders
from hwdash.server.api.routes import ROUTES
from sandbox_service import sandbox
from service import API, RESOURCE, ApiClient, Served, download_url, make_service, serve, signed_cabinet
from wire_routes import SERVED, TABLE

NO_ONE = dict.fromkeys(("seller", "product", "submission", "label", "package", "asset"), 1152921504606971100)


def is_safe(answer: httpx.Response) -> bool:
    """What holds for all of them; the reasons stand in the assertions."""
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "script-src" not in policy
    for name in ("x-content-type-options", "referrer-policy", "content-security-policy", "cache-control"):
        assert len(headers.get_list(name)) <= 1, f"{name} is there twice"
    if not answer.request.url.path.startswith("/blobs/"):
        kept = headers["Cache-Control"]
        assert "no-store" in kept or kept == "private, no-cache"
        assert "no-store" in kept or "ETag" in headers
    return True


@pytest.fixture(scope="module")
def finished(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    package = signed_cabinet(tmp_path_factory.mktemp("package"), service.made.vendor)
    with closing((client := service.client()).http):
        return client.submit(package) | {"account": service.made.credentials["accountId"]}


@pytest.mark.parametrize("route", SERVED, ids=" ".join)
def test_every_route(client: ApiClient, finished: Mapping[str, Any], route: tuple[str, str]) -> None:
    method, path = route
    own = NO_ONE | {"seller": finished["account"], "product": finished["productId"], "submission": finished["id"]}
    client.http.event_hooks["response"].clear()
    for ids in (own, NO_ONE, dict.fromkeys(NO_ONE, "x")):
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer garbage"}):
            body = TABLE[route].body
            assert is_safe(client.http.request(method, path.format_map(ids), json=body, headers=headers))
    assert is_safe(client.http.request("DELETE", path.format_map(own)))
    assert is_safe(client.http.request(method, path.format_map(own), content=b"{", headers={"Content-Type": "a/b"}))


def test_no_answer_with_a_url_that_opens_a_blob_is_kept(client: ApiClient, finished: Mapping[str, Any]) -> None:
    answer = client.http.get(f"{API}/products/{finished['productId']}/submissions/{finished['id']}")
    assert "sig=" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_blobs_and_their_refusals(client: ApiClient, finished: Mapping[str, Any]) -> None:
    url = download_url(finished, "signedPackage")
    assert is_safe(client.http.get(url, headers={"Authorization": ""}))
    for changed in (url.replace("sig=", "sig=x"), url.partition("?")[0], url.replace("sp=r", "sp=rw")):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            answer = client.http.request(method, changed)
            assert answer.status_code >= 400
            assert is_safe(answer)


def test_tokens_discovery_and_what_is_nowhere(client: ApiClient, service: Served) -> None:
    tenant, given = service.made.credentials["tenantId"], service.made.credentials
    form = {
        "grant_type": "client_credentials",
        "client_id": given["clientId"],
        "client_secret": given["clientSecret"],
        "resource": RESOURCE,
    }
    for changes in ({}, {"client_secret": "wrong"}, {"grant_type": "password"}, {"resource": "x"}):
        answer = client.http.post(f"/{tenant}/oauth2/token", data=form | changes)
        assert is_safe(answer)
        assert "no-store" in answer.headers["Cache-Control"]
    for path in (
        f"/{tenant}/.well-known/openid-configuration",
        f"/{tenant}/discovery/keys",
        "/common/discovery/instance",
        "/openapi.json",
        "/healthz",
        "/nowhere",
        "/v2.0/my/hardware/nowhere",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/docs%00",
    ):
        assert is_safe(client.http.get(path, headers={"Authorization": ""}))
    for method in ("OPTIONS", "TRACE", "PATCH", "BREW"):
        assert is_safe(client.http.request(method, "/docs"))


def pages(client: ApiClient, finished: Mapping[str, Any]) -> Iterator[httpx.Response]:
    """Every HTML page of the service."""
    for path in ("/docs", "/devicelogin"):
        yield client.http.get(path)
    yield client.http.post("/devicelogin", data={"code": "x"})
    seller, product, submission = finished["account"], finished["productId"], finished["id"]
    yield client.http.get(f"/dashboard/hardware/Driver/DownloadCertificationReport/{seller}/{product}/{submission}")


def is_a_sealed_page(answer: httpx.Response) -> bool:
    """No script, no inline style but the one of the policy, nothing from elsewhere."""
    assert answer.headers["Content-Type"].startswith("text/html")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]
    assert is_safe(answer)
    assert not re.search(r"<script|\son\w+=|javascript:|\sstyle=|<(?:img|iframe|object|embed|link)\b", answer.text)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text)
    return True


def test_pages(client: ApiClient, finished: Mapping[str, Any]) -> None:
    found = list(pages(client, finished))
    assert len(found) == 4
    assert all(map(is_a_sealed_page, found))


def test_the_pages_and_calls_of_a_sandbox(tmp_path: Path) -> None:
    with sandbox(tmp_path) as running:
        assert is_a_sealed_page(running.admin("GET", ""))
        for method, path in (("GET", "/clock"), ("GET", "/requests"), ("GET", "/scenario"), ("GET", "/nowhere")):
            assert is_safe(running.admin(method, path))
        assert is_safe(running.admin("GET", "/clock", authorization="Bearer wrong"))


def test_what_is_refused_before_it_is_a_request(service: Served) -> None:
    trust = ssl.create_default_context(cafile=service.made.credentials["caCertificate"])
    url = urlsplit(service.url)
    for sent in (b"\x16\x03\x01 what\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * (70 << 10) + b"\r\n" * 2):
        with (
            socket.create_connection((url.hostname or "", url.port or 443), timeout=30) as plain,
            trust.wrap_socket(plain, server_hostname=url.hostname) as connection,
        ):
            for at in range(0, len(sent), 8 << 10):
                connection.sendall(sent[at : at + (8 << 10)])
            head = connection.recv(4096).decode().casefold()
        for wanted in ("nosniff", "no-referrer", "frame-ancestors 'none'", "cache-control: no-store"):
            assert wanted in head


def test_a_name_of_the_network_is_held_to_https_and_this_machine_is_not(service: Served) -> None:
    assert _strict("https://hwdash.example.internal") == "max-age=31536000"
    for url in ("http://hwdash.example.internal", "https://localhost:8443", "https://127.0.0.1", "https://[::1]"):
        assert _strict(url) is None
    assert _strict("https://manage.devcenter.microsoft.com", is_sandbox=True) is None
    with closing((client := service.client()).http):
        assert "Strict-Transport-Security" not in client.http.get("/healthz").headers


def test_a_service_under_a_name_of_the_network_says_so(tmp_path: Path) -> None:
    made = make_service(tmp_path, HWDASH_PUBLIC_URL="https://hwdash.example.internal")
    # The URL that it prints is the public one, so it is told where to listen.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    trust = ssl.create_default_context(cafile=made.credentials["caCertificate"])
    with serve(made, port=port), httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust) as http:
        for path in ("/healthz", "/docs", f"{API}/products", "/nowhere"):
            assert http.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"


def _strict(public_url: str, *, is_sandbox: bool = False) -> str | None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "path": "/"}
    asyncio.run(AnswerHeaders(app, public_url, is_sandbox=is_sandbox)(scope, receive, send))
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}.get("strict-transport-security")


def test_every_route_of_the_table_was_asked() -> None:
    assert len(SERVED) == len(ROUTES)
