"""No route answers who lacks the role, is of another account, or has no good token.

A thousand requests and more try it. They are made from the table of routes: a new route is tried here without a
line of its own.
"""

import re
import ssl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from callers import Mint, database_of
from finished_submission import finished_submission, stored_label
from hwdash.clock import system_clock
from hwdash.domain.identifiers import new_blob_key
from hwdash.pipeline.provenance import PROVENANCE
from hwdash.server.api.routes import ROUTES
from hwdash.server.route import Route
from hwdash.storage.accounts import create_account, create_application
from hwdash.storage.blobs import BlobStore
from hwdash.storage.submissions import add_download
from hwdash.vocabulary import Role
from refusals import flat, functional
from service import API, ApiClient, Served, signed_cabinet, until
from wire_routes import TABLE, key_of

pytestmark = pytest.mark.usefixtures("no_accident")

GUARDED = [route for route in ROUTES if route.roles is not None]
HARDWARE = [role for role in Role if role is not Role.MANAGER]
AT_LEAST = 1000


@dataclass(frozen=True)
class Request:
    """One request of an attack. ``token`` is the whole Authorization header."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    token: str = field(repr=False)


@dataclass
class Attacked:
    """An account with one object for every id that a path has, and tokens of others."""

    http: httpx.Client
    owner: ApiClient
    ids: Mapping[str, object]
    holders: Mapping[tuple[int, frozenset[Role]], str] = field(repr=False)
    account_id: int
    stranger_id: int

    def requests(self, route: Route, account_id: int, roles: frozenset[Role]) -> Iterator[Request]:
        """The route under each name that it has, in two spellings, by an application with these roles."""
        for path in (route.path, *route.aliases):
            url = re.sub(r"\{(\w+)_id\}", lambda found: str(self.ids[found[1]]), path)
            for spelled in (url, url.upper() + "/"):
                body = TABLE[key_of(route)].body
                yield Request(route.method, spelled, body, f"Bearer {self.holders[account_id, roles]}")

    def send(self, request: Request) -> httpx.Response:
        headers = {"Authorization": request.token, "MS-RequestId": str(uuid.uuid4())}
        return self.http.request(request.method, request.path, json=request.body, headers=headers)

    def state(self) -> list[Any]:
        """All that the owner has and an attack could have changed."""
        product = f"{API}/products/{self.ids['product']}"
        submission = self.owner.http.get(f"{product}/submissions/{self.ids['submission']}").json()
        submission.pop("downloads", None)
        label = f"{product}/submissions/{self.ids['submission']}/shippingLabels"
        reads = (f"{API}/products", product, label, f"{label}/{self.ids['label']}?includeTargetingInfo=true")
        package = f"{API}/preprod/packages/{self.ids['package']}"
        return [submission, *(self.owner.http.get(each).raise_for_status().json() for each in (*reads, package))]


def role_sets() -> list[frozenset[Role]]:
    """Manager alone, Manager with each hardware role, each hardware role alone, all of them alone, and none."""
    manager = frozenset({Role.MANAGER})
    return [
        manager,
        *(manager | {role} for role in HARDWARE),
        *(frozenset({role}) for role in HARDWARE),
        frozenset(HARDWARE),
        frozenset(),
    ]


@pytest.fixture(scope="module")
def attacked(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    account_id = service.made.credentials["accountId"]
    owner, mint, now = service.client(), Mint(service), system_clock()
    package = _preproduction_package(owner, service, tmp_path_factory.mktemp("package"))
    holders: dict[tuple[int, frozenset[Role]], str] = {}
    with database_of(service) as database, database.writing() as connection:
        finished = finished_submission(connection, account_id)
        label_id = stored_label(connection, finished)
        statement = new_blob_key()
        BlobStore(service.made.data / "blobs").put_file(statement, [b"{}"], name="Signed.zip.intoto.json")
        add_download(connection, finished.id, PROVENANCE, statement, "Signed.zip.intoto.json")
        stranger_id = create_account(connection, "A stranger", now).id
        for owner_id in (account_id, stranger_id):
            for roles in role_sets():
                made = create_application(connection, owner_id, "An attacker", sorted(roles), now)
                holders[owner_id, roles] = mint(client_id=made.client_id, tenant_id=made.tenant_id)
    ids = {
        "seller": account_id,
        "product": finished.product_id,
        "submission": finished.id,
        "label": label_id,
        "package": package["id"],
        "asset": package["assets"][0]["id"],
    }
    trust = ssl.create_default_context(cafile=service.made.credentials["caCertificate"])
    with closing(owner.http), httpx.Client(base_url=service.url, verify=trust) as http:
        yield Attacked(http, owner, ids, holders, account_id, stranger_id)


def _preproduction_package(owner: ApiClient, service: Served, folder: Path) -> dict[str, Any]:
    path = f"{API}/preprod/packages"
    content = signed_cabinet(folder, service.made.vendor).read_bytes()
    made = owner.http.put(path, content=content).raise_for_status().json()
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(owner.http.get(f"{path}/{made['id']}").raise_for_status().json())
        return bool(found.get("assets"))

    until(has_ended, "the preproduction package was not signed")
    return found


def may(route: Route, roles: frozenset[Role]) -> bool:
    return route.roles is not None and Role.MANAGER in roles and bool(route.roles & roles)


def test_a_thousand_requests_with_a_wrong_role_or_of_a_foreign_account_are_not_answered(attacked: Attacked) -> None:
    before, sent = attacked.state(), 0
    for route in GUARDED:
        for roles in role_sets():
            if not may(route, roles):
                for request in attacked.requests(route, attacked.account_id, roles):
                    functional(attacked.send(request), 403, "forbidden")
                    sent += 1
            if "{" in route.path:
                for request in attacked.requests(route, attacked.stranger_id, roles):
                    refused = (404, "entityNotFound") if may(route, roles) else (403, "forbidden")
                    functional(attacked.send(request), *refused)
                    sent += 1
    assert sent >= AT_LEAST
    assert attacked.state() == before


def test_what_a_stranger_may_list_names_nothing_of_another_account(attacked: Attacked) -> None:
    submitter = frozenset({Role.MANAGER, Role.DRIVER_SUBMITTER})
    own = [str(attacked.ids[name]) for name in ("product", "submission", "label", "package", "asset")]
    lists = [route for route in GUARDED if route.method == "GET" and "{" not in route.path]
    answers = [
        attacked.send(request).text
        for route in lists
        for request in attacked.requests(route, attacked.stranger_id, submitter)
    ]
    assert len(answers) >= 2 * len(lists)
    assert [each for answer in answers for each in own if each in answer] == []


def test_the_owner_is_answered_where_they_are_not(attacked: Attacked) -> None:
    # Else the refusals above would prove nothing but that there is nothing.
    reader = frozenset({Role.MANAGER, Role.ADMINISTRATOR})
    for route in GUARDED:
        if route.method == "GET" and "offers" not in route.path and "relationships" not in route.path:
            for request in attacked.requests(route, attacked.account_id, reader):
                assert attacked.send(request).status_code == 200, request.path


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
def test_a_token_that_is_no_good_opens_nothing(attacked: Attacked, service: Served, route: Route) -> None:
    mint, given = Mint(service), service.made.credentials
    good = mint()
    head, claims, signature = good.split(".")
    # {"alg":"none","typ":"JWT"}
    nobody = f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."
    forged = [nobody, f"{head}.{claims}.", f"{head}.{claims}.{signature[::-1]}"]
    tokens = ["", "Bearer", "Basic " + good, *(f"Bearer {each}" for each in forged)]
    tokens += [f"Bearer {mint(age=timedelta(hours=2))}", f"Bearer {mint(audience='https://graph.example')}"]
    tokens += [f"Bearer {mint(url='https://login.example')}", f"Bearer {given['clientSecret']}"]
    (request, *_) = attacked.requests(route, attacked.account_id, frozenset({Role.MANAGER, Role.ADMINISTRATOR}))
    for token in tokens:
        flat(attacked.send(replace(request, token=token)), 401)
