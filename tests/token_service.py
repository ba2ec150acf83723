"""The token endpoints of a service, over TLS on a free port, with one account and its application."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from hwdash.clock import Clock, system_clock
from hwdash.server.oauth2 import ASSERTION_TYPE, oauth2_routes
from hwdash.server.tokens import RESOURCE, TokenIssuer
from hwdash.signing.authority import ensure_tls
from hwdash.signing.keys import KeyFolder
from hwdash.storage import accounts, certificates
from hwdash.storage.accounts import Application
from hwdash.storage.database import Database

NOBODY = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
SCOPE = f"{RESOURCE}/.default"


@dataclass
class Service:
    """A running service with one account, its application, a secret and a certificate."""

    url: str
    ca: str
    issuer: TokenIssuer
    database: Database
    application: Application
    secret: str
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    http: httpx.Client

    @property
    def tenant(self) -> str:
        return self.application.tenant_id

    @property
    def client_id(self) -> str:
        return self.application.client_id

    def form(self, **changes: str | None) -> dict[str, str]:
        """The documented request (contract/api.md 1.2), changed; None leaves a field out."""
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.secret,
            "resource": RESOURCE,
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def post(self, fields: dict[str, str], path: str = "oauth2/token", tenant: str = "", **options) -> httpx.Response:
        return self.http.post(f"/{tenant or self.tenant}/{path}", data=fields, **options)

    def assertion(self, *, algorithm: str = "RS256", header: dict | None = None, key=None, **changes: object) -> str:
        now = datetime.now(UTC).timestamp()
        claims = {
            "aud": f"{self.url}/{self.tenant}/oauth2/v2.0/token",
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": str(uuid4()),
            "exp": now + 600,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        thumbprint = base64.urlsafe_b64encode(self.certificate.fingerprint(hashes.SHA1())).decode()
        header = {"alg": algorithm, **({"x5t": thumbprint} if header is None else header)}
        return jwt.encode(header, claims, RSAKey.import_key(key or self.key), algorithms=[algorithm])

    def by_assertion(self, assertion: str, **changes: str | None) -> httpx.Response:
        fields = {
            "client_secret": None,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            **changes,
        }
        return self.post(self.form(**fields))


def self_signed(key: rsa.RSAPrivateKey, begin: datetime, days: int = 30) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CI of Contoso")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=days))
    return builder.sign(key, hashes.SHA256())


@contextmanager
def running(folder: Path, *, single_use_assertions: bool = False, clock: Clock = system_clock) -> Iterator[Service]:
    now = clock()
    database = Database(f"sqlite:///{folder / 'hwdash.db'}")
    database.create()
    key = rsa.generate_private_key(65537, 2048)
    certificate = self_signed(key, now - timedelta(days=1))
    with database.writing() as connection:
        account = accounts.create_account(connection, "Contoso Ltd", now)
        application = accounts.create_application(connection, account.id, "CI", ["Manager", "Driver Submitter"], now)
        secret = accounts.add_secret(connection, application.client_id, now).secret
        certificates.add_application_certificate(connection, application.client_id, certificate, now)
    files = ensure_tls(KeyFolder.open(folder / "tls", {}), [], system_clock())
    ca = str(files.ca_certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        issuer = TokenIssuer(rsa.generate_private_key(65537, 2048), url, clock)
        app = Starlette(routes=oauth2_routes(issuer, database, clock, single_use_assertions=single_use_assertions))
        config = uvicorn.Config(
            app, log_level="warning", ssl_certfile=files.certificate_and_key, ssl_keyfile_password=files.passphrase
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        with httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=ca), timeout=30) as http:
            yield Service(url, ca, issuer, database, application, secret, key, certificate, http)
        server.should_exit = True
        thread.join(20)
    database.close()


@pytest.fixture(autouse=True)
def no_other_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests lets these variables win over what the credential was told (facts/stack.md)."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
