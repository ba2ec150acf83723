"""The RFC 3161 client against ``openssl ts`` behind a small HTTP server, and against authorities that misbehave."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from asn1crypto import tsp

from hwdash.drivers.asn1 import der
from hwdash.drivers.timestamp import read_timestamp
from hwdash.signing.errors import TimestampUnavailable
from hwdash.signing.timestamp_client import MAX_ANSWER, request_timestamp
from pki import TIME, authority, issue, timestamper, token

VALUE = b"a signature"
CONFIG = """
[tsa]
default_tsa = t
[t]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""

Answer = Callable[[bytes], tuple[int, bytes]]


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The URL of an authority that answers so."""

    class Authority(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            status, body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Authority) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def openssl(tmp_path: Path) -> Answer:
    _, chain, key = timestamper().files(tmp_path)
    (tmp_path / "tsa.cnf").write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "serial").write_text("1000\n")

    def answer(request: bytes) -> tuple[int, bytes]:
        (tmp_path / "request").write_bytes(request)
        command = ["openssl", "ts", "-reply", "-config", tmp_path / "tsa.cnf", "-section", "t", "-signer", chain]
        command += ["-inkey", key, "-chain", chain, "-queryfile", tmp_path / "request", "-out", tmp_path / "answer"]
        subprocess.run(command, check=True, capture_output=True)
        return 200, (tmp_path / "answer").read_bytes()

    return answer


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_foreign_authority_gives_a_timestamp(openssl: Answer, algorithm: str) -> None:
    with served(openssl) as url:
        made = request_timestamp(url, VALUE, algorithm=algorithm)
    found = read_timestamp(made, VALUE, source="t", strict=True)
    assert (found.signer, found.digest_algorithm) == (timestamper().certificate, algorithm)


def test_each_request_has_a_nonce_of_its_own_and_asks_for_the_certificate(openssl: Answer) -> None:
    asked: list[tsp.TimeStampReq] = []

    def watched(request: bytes) -> tuple[int, bytes]:
        asked.append(tsp.TimeStampReq.load(request))
        return openssl(request)

    with served(watched) as url:
        for _ in range(2):
            request_timestamp(url, VALUE)
    assert asked[0].native["nonce"] != asked[1].native["nonce"]
    assert all(each.native["cert_req"] for each in asked)


def granted(made: bytes) -> tuple[int, bytes]:
    return 200, der.sequence(der.sequence(der.integer(0)), made)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: (503, b""), "answered 503"),
        (lambda _: (302, b""), "answered 302"),
        (lambda _: (200, b""), "is refused"),
        (lambda _: (200, b"<html>no</html>"), "is refused"),
        (lambda _: (200, bytes(MAX_ANSWER + 1)), "more than"),
        (lambda _: granted(token(b"else")), "over another signature"),
        (lambda _: granted(token(VALUE)), "to another request"),
        (lambda _: granted(token(VALUE, who=issue("Lax", authority(), usages=[TIME]))), "critical"),
        (lambda _: (200, der.sequence(der.sequence(der.integer(2)))), "rejected"),
    ],
)
def test_an_answer_that_does_not_count_is_refused(answer: Answer, words: str) -> None:
    with served(answer) as url, pytest.raises(TimestampUnavailable, match=words):
        request_timestamp(url, VALUE)


def test_an_authority_that_is_not_there_is_told() -> None:
    with served(lambda _: (200, b"")) as url:
        pass
    with pytest.raises(TimestampUnavailable, match="does not answer"):
        request_timestamp(url, VALUE)


@pytest.mark.parametrize("url", ["", "ftp://example", "file:///etc/passwd", "example.com", "http://[", "https://"])
def test_what_is_no_url_of_an_authority_is_told(url: str) -> None:
    with pytest.raises(TimestampUnavailable):
        request_timestamp(url, VALUE)
