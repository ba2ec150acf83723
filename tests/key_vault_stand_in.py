"""A stand-in of Azure Key Vault and of Entra's token endpoint before it: the calls that hwdash makes, by their
documentation. Its keys are real. The service itself cannot be had in tests.
"""

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

TENANT, CLIENT = "tenant-1", "client-1"


@dataclass
class KeyVault:
    """What it holds, what it was asked, and how it misbehaves when it is told to."""

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    url: str = ""
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict, repr=False)
    """By path, ``/keys/NAME/VERSION``."""
    tokens: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each call with a good token."""
    scopes: set[str] = field(default_factory=set)
    is_exportable: bool = False
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """What the next calls with a token are answered, whatever they ask."""

    @property
    def uri(self) -> str:
        return f"azure-key-vault:{self.url}?tenant={TENANT}&client={CLIENT}&authority={self.url}"

    def count(self, what: str) -> int:
        """How many calls ended with this."""
        return sum(path.endswith(what) for _, path in self.calls)

    # The calls

    def sign_in(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        given = {name: form.get(name) for name in ("grant_type", "client_id", "client_secret")}
        if given != {"grant_type": ["client_credentials"], "client_id": [CLIENT], "client_secret": [self.secret]}:
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215"}
        self.scopes.update(form["scope"])
        token = secrets.token_urlsafe(16)
        self.tokens.add(token)
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token}

    def call(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.calls.append((method, path))
        if self.answers:
            return self.answers.pop(0)
        name, _, action = path.rpartition("/")
        if (method, action) == ("POST", "create"):
            assert (body["kty"], body["key_ops"]) == ("RSA", ["sign", "verify"])
            made = f"{name}/{secrets.token_hex(16)}"
            self.keys[made] = rsa.generate_private_key(65537, body["key_size"])
            return 200, self._bundle(made)
        if method == "GET" and path in self.keys:
            return 200, self._bundle(path)
        if (method, action) == ("POST", "sign") and name in self.keys:
            assert body["alg"] == "RS256"
            signature = self.keys[name].sign(_decoded(body["value"]), padding.PKCS1v15(), Prehashed(hashes.SHA256()))
            return 200, {"kid": f"{self.url}{name}", "value": _encoded(signature)}
        return 404, {"error": {"code": "KeyNotFound", "message": f"A key with {path} was not found."}}

    def _bundle(self, path: str) -> dict[str, Any]:
        numbers = self.keys[path].public_key().public_numbers()
        parts = {name: _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in
                 (("n", numbers.n), ("e", numbers.e))}  # fmt: skip
        attributes = {"enabled": True, "exportable": self.is_exportable, "recoveryLevel": "Recoverable"}
        return {"key": {"kid": f"{self.url}{path}", "kty": "RSA", **parts}, "attributes": attributes}


def _handler(vault: KeyVault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            if address.path == f"/{TENANT}/oauth2/v2.0/token":
                status, document = vault.sign_in(parse_qs(content.decode()))
            elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in vault.tokens:
                status, document = 401, {"error": {"code": "Unauthorized", "message": "AKV10000"}}
            else:
                assert parse_qs(address.query) == {"api-version": ["7.4"]}
                status, document = vault.call(method, address.path, json.loads(content or b"{}"))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def running_vault() -> Iterator[KeyVault]:
    """A vault at an address of this machine."""
    vault = KeyVault()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(vault)) as server:
        vault.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield vault
        finally:
            server.shutdown()
            serving.join()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")
