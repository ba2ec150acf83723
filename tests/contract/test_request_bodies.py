"""Every route, given bodies that are no good, and bodies that it does not take: the status and the envelope of
contract/api.md 7.1, nothing stored, and a service that still answers (contract/api.md 1.3 and 1.4).
"""

import gzip
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from refusals import flat, functional, refusal
from service import API, ApiClient, Served
from wire_routes import SERVED, TABLE

pytestmark = pytest.mark.usefixtures("no_accident")

Route = tuple[str, str]
UPLOAD = ("PUT", f"{API}/preprod/packages")  # its body is the package, whatever it is
TAKES_JSON = [route for route in SERVED if TABLE[route].body is not None]
TAKES_NONE = [route for route in SERVED if TABLE[route].body is None and route != UPLOAD]

JSON = {"Content-Type": "application/json"}


@dataclass
class Stage:
    """A pending submission, as every path of the table names it."""

    client: ApiClient
    ids: dict[str, object]
    certificate: str

    def path(self, route: Route) -> str:
        return route[1].format_map(self.ids)

    def send(self, route: Route, content: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
        return self.client.http.request(route[0], self.path(route), content=content, headers=JSON | headers)

    @contextmanager
    def connection(self) -> Iterator[ssl.SSLSocket]:
        url = urlsplit(self.client.url)
        context = ssl.create_default_context(cafile=self.certificate)
        with (
            socket.create_connection((url.hostname or "", url.port or 443), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=url.hostname) as connection,
        ):
            yield connection

    def head(self, route: Route, *lines: str) -> bytes:
        first = [f"{route[0]} {self.path(route)} HTTP/1.1", f"Host: {urlsplit(self.client.url).netloc}"]
        token = f"Authorization: {self.client.http.headers['Authorization']}"
        return "\r\n".join([*first, token, *lines, "", ""]).encode()

    def spoken(self, route: Route, head: str, content: bytes) -> tuple[int, dict[str, Any] | None]:
        """Status and JSON that this head and these bytes are answered with, sent as they are."""
        with self.connection() as connection:
            with suppress(OSError):  # it may be refused before all of it is sent
                connection.sendall(self.head(route, head) + content)
            answer = HTTPResponse(connection)
            answer.begin()
            body = answer.read()
        if not body:
            return answer.status, None
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        document: dict[str, Any] = json.loads(body)
        return answer.status, document

    def state(self) -> list[Any]:
        """What can have been stored; that it can be read says that the service answers."""
        product = f"{API}/products/{self.ids['product']}"
        submissions = self.client.http.get(f"{product}/submissions")
        products = self.client.http.get(f"{API}/products").json()["value"]
        return [len(products), self.client.http.get(product).json(), submissions.json()]


@pytest.fixture(scope="module")
def stage(service: Served) -> Iterator[Stage]:
    client = service.client()
    with closing(client.http):
        submission = client.create_submission(client.create_product()["id"])
        own = {"seller": service.made.credentials["accountId"], "product": submission["productId"]}
        own["submission"] = submission["id"]
        ids = dict.fromkeys(("label", "package", "asset"), 1152921504606971100) | own
        yield Stage(client, ids, service.made.credentials["caCertificate"])


def _deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


NO_OBJECTS = {
    "nothing": b"",
    "blanks": b" \r\n",
    "words": b"productName=P&testHarness=HLK",
    "cut off": b'{"productName": "P"',
    "more behind": b'{"productName": "P"} {}',
    "comment": b'{"productName": "P" /* mine */}',
    "list": b"[{}]",
    "text": b'"{}"',
    "number": b"1",
    "null": b"null",
    "bad UTF-8": b'{"productName": "\xff\xfe"}',
    "UTF-8 that is too long": b'{"productName": "\xc0\xaf"}',
    "bad UTF-8 in an unknown place": b'{"unknown": ["\x80"]}',
    "UTF-16": '{"productName": "P"}'.encode("utf-16-le"),
    "surrogate in UTF-8": b'{"productName": "\xed\xa0\x80"}',
    "half of a surrogate pair": b'{"productName": "\\ud800"}',
    "half of a surrogate pair as a name": b'{"\\udc00": 1}',
    "NUL": b'{"productName": "a\\u0000"}',
    "NUL as a name": b'{"a\\u0000": 1}',
    "NUL as a byte": b'{"productName": "a\0"}',
    "NaN": b'{"productName": NaN}',
    "minus Infinity": b'{"unknown": [-Infinity]}',
    "10,000 levels": _deep(10_000),
    "10,000 levels of list": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a number of a million digits": b'{"productName": 1' + b"0" * 1_000_000 + b"",
    "gzip": gzip.compress(b"{}"),
}


@pytest.mark.parametrize("route", TAKES_JSON, ids=" ".join)
def test_what_is_no_json_object_is_400(stage: Stage, route: Route) -> None:
    before = stage.state()
    for content in NO_OBJECTS.values():
        error = functional(stage.send(route, content), 400, "invalidInput")
        assert error["message"].startswith("The body")
    assert stage.state() == before


@pytest.mark.parametrize("route", TAKES_JSON, ids=" ".join)
def test_another_media_type_or_coding_is_415(stage: Stage, route: Route) -> None:
    before = stage.state()
    content = json.dumps(TABLE[route].body).encode()
    for media_type in ("text/plain", "text/json", "application/octet-stream", "application/xml; charset=utf-8", "*/*"):
        assert media_type.partition(";")[0] in flat(stage.send(route, content, **{"Content-Type": media_type}), 415)
    for coding, sent in (("gzip", gzip.compress(content)), ("gzip", content), ("br", content), ("identity, gzip", b"")):
        answer = stage.send(route, sent, **{"Content-Encoding": coding})
        assert coding in flat(answer, 415)
        assert answer.headers["Accept-Encoding"] == "identity"
    assert stage.state() == before


@pytest.mark.parametrize("route", TAKES_JSON, ids=" ".join)
def test_more_than_a_route_takes_is_413(stage: Stage, route: Route) -> None:
    before = stage.state()
    # Labels name tens of thousands of hardware ids.
    most = 32 if "shippingLabels" in route[1] else 1
    large = json.dumps({"productName": "x" * ((most + 9) << 20), "name": "n", "type": "initial"}).encode()
    assert f"larger than {most} MB" in flat(stage.send(route, large), 413)
    in_pieces = (large[at : at + 65536] for at in range(0, (most + 1) << 20, 65536))
    assert f"larger than {most} MB" in flat(stage.send(route, in_pieces), 413)
    assert stage.state() == before


@pytest.mark.parametrize("route", TAKES_JSON, ids=" ".join)
def test_very_many_properties_are_answered_in_a_few_words(stage: Stage, route: Route) -> None:
    """Unknown ones are as if absent (1.4) where something is created, and cannot be changed (4.4) where it is there."""
    before = stage.state()
    many = json.dumps({f"{number:x}": 1 for number in range(90_000)}).encode()
    long = json.dumps({"x" * 1_000_000: 1}).encode()
    for content in (many, long):
        answer = stage.send(route, content)
        status, code, _ = refusal(answer)
        assert (status, code) in {(422, "invalidInput"), TABLE[route].answer}
        assert len(answer.content) < 10_000
    assert stage.state() == before


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (b'{"productName": 1, "productName": "Last", "productName": "Last of all"}', "Last of all"),
        (b'{"productName": "First", "PRODUCTNAME": "In capitals"}', "In capitals"),
        (b'{"\\u0070roductName": "Escaped"}', "Escaped"),
    ],
)
def test_of_a_property_given_twice_the_last_counts(stage: Stage, body: bytes, given: str) -> None:
    product = f"{API}/products/{stage.ids['product']}"
    assert stage.client.http.patch(product, content=body).status_code == 204
    assert stage.client.http.get(product).json()["productName"] == given


@pytest.mark.parametrize("route", TAKES_NONE, ids=" ".join)
def test_a_body_where_none_is_taken_is_as_if_absent(stage: Stage, route: Route) -> None:
    """contract/api.md 1.3: clients send bodies, types and lengths with requests that have no use for them."""
    status, code = TABLE[route].answer
    for content, headers in (
        (b"", {}),
        (b"{}", {}),
        (b"{", {}),
        (b'"\xff', {"Content-Type": "text/plain"}),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}),
        (_deep(10_000), {}),
        (gzip.compress(b"{}"), {"Content-Encoding": "gzip"}),
        (iter([b"x" * 65536] * 32), {}),
        (b"x" * (10 << 20), {}),
    ):
        answer = stage.send(route, content, **headers)
        assert answer.status_code == status, answer.text
        assert code is None or refusal(answer)[1] == code
    assert stage.client.http.get(f"{API}/products/{stage.ids['product']}").status_code == 200


# --- As bytes on the wire


@pytest.mark.parametrize("route", SERVED, ids=" ".join)
def test_what_is_no_http_is_refused_in_json(stage: Stage, route: Route) -> None:
    before = stage.state()
    for head, content in (
        ("Content-Length: 2\r\nContent-Length: 3", b"{} "),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n"),
        ("Content-Length: -2", b"{}"),
        ("Content-Length: two", b"{}"),
        ("Transfer-Encoding: gzip", b"{}"),
        ("MS-RequestId: a\0b", b""),
        (" folded: header", b""),
    ):
        status, document = stage.spoken(route, head, content)
        assert status == 400, head
        assert document == {"statusCode": "400", "message": "Invalid HTTP request received."}
    assert stage.state() == before


def test_a_path_of_other_bytes_is_refused_in_json(stage: Stage) -> None:
    for path in ("/\u00ff", f"{API}/products/\u0661"):
        assert stage.spoken(("GET", path), "Accept: */*", b"")[0] == 400


@pytest.mark.parametrize("route", SERVED, ids=" ".join)
def test_a_head_without_end_is_431(stage: Stage, route: Route) -> None:
    for head, said in (
        ("X-Long: " + "a" * 200_000, "The request line and the headers are larger than 64 KB."),
        ("\r\n".join(f"X-{number}: a" for number in range(30_000)), "The request has more than 100 headers."),
    ):
        status, document = stage.spoken(route, head, b"")
        assert document == {"statusCode": "431", "message": said}
        assert status == 431


@pytest.mark.parametrize("route", TAKES_JSON, ids=" ".join)
def test_a_body_in_chunks_is_as_if_whole_and_without_a_length_there_is_none(stage: Stage, route: Route) -> None:
    status, code = TABLE[route].answer
    content = json.dumps(TABLE[route].body).encode()
    chunks = b"".join(b"1\r\n%b\r\n" % content[at : at + 1] for at in range(len(content))) + b"0\r\n\r\n"
    for head, sent in (
        ("Transfer-Encoding: chunked", chunks),
        (f"content-length:{len(content)}\r\ncontent-type:APPLICATION/JSON;charset=UTF-8", content),
    ):
        answered, document = stage.spoken(route, head, sent)
        assert answered == status
        assert code is None or (document or {})["error"]["code"] == code
    answered, document = stage.spoken(route, "Content-Type: application/json", b"")
    assert answered == 400
    assert (document or {})["error"]["message"].startswith("The body is not JSON")


@pytest.mark.parametrize("route", TAKES_JSON, ids=" ".join)
def test_100_continue_is_said_where_a_body_is_waited_for_and_no_sooner(stage: Stage, route: Route) -> None:
    content = json.dumps(TABLE[route].body).encode()
    waits = (f"Content-Length: {len(content)}", "Expect: 100-continue")
    with stage.connection() as connection:
        connection.sendall(stage.head(route, *waits))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == TABLE[route].answer[0]
    with stage.connection() as connection:
        connection.sendall(stage.head(route, *waits).replace(b"Bearer ", b"Bearer no"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
