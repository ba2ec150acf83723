"""Callers of a running service: applications with these roles or those, tokens of any age; and its database."""

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hwdash.clock import system_clock
from hwdash.server.keys import ServiceKeys
from hwdash.server.tokens import RESOURCE, TokenIssuer
from hwdash.settings import load_settings
from hwdash.storage.accounts import add_secret, create_account, create_application
from hwdash.storage.database import Database
from service import ApiClient, Served, clean_environment


@pytest.fixture
def no_accident(service: Served) -> Iterator[None]:
    """No request may end in an accident inside the service."""
    before = service.log.stat().st_size
    yield
    with service.log.open() as log:
        log.seek(before)
        assert "Traceback" not in log.read()


@contextmanager
def database_of(service: Served) -> Iterator[Database]:
    """The service's own database, beside the running service."""
    environment = clean_environment() | {
        name: value for name, value in service.made.environment.items() if name.startswith("HWDASH_")
    }
    with closing(Database(load_settings(service.made.data, environment).database)) as database:
        yield database


def new_client(service: Served, roles: Sequence[str], *, account_id: int | None = None) -> ApiClient:
    """A client of a new application: of ``account_id``, else of a new account."""
    now = system_clock()
    with database_of(service) as database, database.writing() as connection:
        owner = account_id or create_account(connection, "Another company", now).id
        made = create_application(connection, owner, "Another application", roles, now)
        secret = add_secret(connection, made.client_id, now).secret
    return ApiClient(service.url, service.made.credentials["caCertificate"], made.tenant_id, made.client_id, secret)


def client_id_of(client: ApiClient) -> str:
    """The client id that a client's token is for."""
    claims = client.http.headers["Authorization"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["appid"])


class Mint:
    """Tokens as the service itself makes them, but for what a test changes."""

    def __init__(self, service: Served) -> None:
        self.service = service
        self.key = ServiceKeys.ensure(service.made.data).token

    def __call__(
        self,
        *,
        age: timedelta = timedelta(0),
        key: rsa.RSAPrivateKey | None = None,
        url: str | None = None,
        audience: str = RESOURCE,
        **who: str,
    ) -> str:
        given = self.service.made.credentials
        names = {"client_id": given["clientId"], "tenant_id": given["tenantId"]} | who
        issuer = TokenIssuer(key or self.key, url or self.service.url, lambda: datetime.now(UTC) - age)
        token, _ = issuer.mint(**names, roles=(), audience=audience, version="1.0", by_certificate=False)
        return token
