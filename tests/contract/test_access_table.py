"""Every route, called with every kind of token and every role: let in, or refused exactly so (contract/api.md 7.1 and
8.3; contract/dashboard.md 18).
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from callers import Mint, client_id_of, database_of, new_client
from hwdash.storage.accounts import set_roles
from hwdash.storage.database import Database
from hwdash.vocabulary import Role
from refusals import flat, functional, refusal
from service import API, ApiClient, Served
from wire_routes import ALL, PRODUCT, SERVED, TABLE, Row

pytestmark = pytest.mark.usefixtures("no_accident")

Route = tuple[str, str]
TOKENS_NEEDED = [route for route in SERVED if TABLE[route].roles is not None]


@dataclass
class Stage:
    """A caller whose roles change, and an object for each id of a path that has one, all of the caller's account."""

    http: httpx.Client
    client_id: str
    owner: ApiClient
    database: Database
    ids: Mapping[str, object]

    def hold(self, *roles: str) -> None:
        """Let the caller have these roles from now on."""
        with self.database.writing() as connection:
            set_roles(connection, self.client_id, [Role(each) for each in roles])

    def send(self, route: Route, row: Row | None = None, **headers: str) -> httpx.Response:
        method, path = route
        return self.http.request(method, path.format_map(self.ids), json=(row or TABLE[route]).body, headers=headers)

    def state(self) -> list[Any]:
        """What can have changed by a request."""
        product = f"{API}/products/{self.ids['product']}"
        submission = self.owner.http.get(f"{product}/submissions/{self.ids['submission']}").json()
        submission.pop("downloads")
        products = self.owner.http.get(f"{API}/products").json()["value"]
        return [[each["id"] for each in products], self.owner.http.get(product).json(), submission]


def _stage(service: Served, product_type: str) -> Iterator[Stage]:
    account_id = service.made.credentials["accountId"]
    owner, caller = service.client(), new_client(service, [], account_id=account_id)
    product = owner.create_product(selectedProductTypes={"Windows_v100_GE": product_type})
    submission = owner.create_submission(product["id"])
    own = {"seller": account_id, "product": submission["productId"], "submission": submission["id"]}
    ids = dict.fromkeys(("label", "package", "asset"), 1152921504606971100) | own
    with closing(caller.http), closing(owner.http), database_of(service) as database:
        yield Stage(caller.http, client_id_of(caller), owner, database, ids)


@pytest.fixture(scope="module")
def driver(service: Served) -> Iterator[Stage]:
    yield from _stage(service, "Keyboard")


@pytest.fixture(scope="module")
def system(service: Served) -> Iterator[Stage]:
    yield from _stage(service, "Laptop")


@pytest.fixture(scope="module")
def tokens(driver: Stage, service: Served) -> dict[str, str]:
    """Values of Authorization that are no good, and what is said of each."""
    mint = Mint(service)
    return {
        "": "The request has no access token: send Authorization: Bearer TOKEN.",
        "Bearer": "The request has no access token: send Authorization: Bearer TOKEN.",
        "Bearer garbage": "The access token was refused: ",
        f"Bearer {mint(client_id=driver.client_id, age=timedelta(hours=2))}": "expired",
        f"Bearer {mint(client_id=driver.client_id, url='https://login.example')}": "another issuer",
    }


def test_every_route_has_a_row_here() -> None:
    assert set(SERVED) == set(TABLE)
    assert {str(role) for role in Role} - {"Manager"} == ALL


def _is_answered(answer: httpx.Response, row: Row) -> None:
    status, code = row.answer
    assert answer.status_code == status, answer.text
    if code is not None:
        assert refusal(answer)[1] == code


@pytest.mark.parametrize("route", TOKENS_NEEDED, ids=" ".join)
def test_without_a_good_token_it_is_401(driver: Stage, tokens: dict[str, str], route: Route) -> None:
    driver.hold("Manager", "Administrator")
    before = driver.state()
    for token, said in tokens.items():
        answer = driver.send(route, Authorization=token)
        assert said in flat(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert driver.state() == before


@pytest.mark.parametrize("route", [route for route in SERVED if TABLE[route].roles is None], ids=" ".join)
def test_a_public_link_asks_for_no_token(driver: Stage, route: Route) -> None:
    for token in ("", "Bearer garbage", driver.http.headers["Authorization"]):
        _is_answered(driver.send(route, Authorization=token), TABLE[route])


@pytest.mark.parametrize("route", TOKENS_NEEDED, ids=" ".join)
def test_an_application_needs_manager_and_a_hardware_role(driver: Stage, route: Route) -> None:
    before = driver.state()
    for roles, said in (
        ((), "does not hold the Manager role"),
        (ALL, "does not hold the Manager role"),
        (("Manager",), "holds no hardware role"),
    ):
        driver.hold(*roles)
        answer = driver.send(route)
        assert said in functional(answer, 403, "forbidden")["message"]
        assert "WWW-Authenticate" not in answer.headers
    assert driver.state() == before


@pytest.mark.parametrize("route", TOKENS_NEEDED, ids=" ".join)
def test_without_the_role_it_is_403_whatever_else_is_wrong(driver: Stage, route: Route) -> None:
    method, path = route
    driver.hold("Manager")
    good, unreadable = path.format_map(driver.ids), path.format_map(dict.fromkeys(driver.ids, "x"))
    for url, body, media_type in (
        (unreadable, b"{}", "application/json"),
        (f"{good}?pageSize=none&continuationToken=none", b"{}", "application/json"),
        (good, b'{"productName": 1, "name": 1}', "application/json"),
        (good, b"[]", "application/json"),
        (good, b"{", "application/json"),
        (good, b'"' + bytes(1 << 20) + b'"', "application/json"),
        (good, b"{}", "text/plain"),
    ):
        answer = driver.http.request(method, url, content=body, headers={"Content-Type": media_type})
        assert "holds no hardware role" in functional(answer, 403, "forbidden")["message"]


@pytest.mark.parametrize("route", TOKENS_NEEDED, ids=" ".join)
@pytest.mark.parametrize("kind", ["driver", "system"])
def test_each_role_is_let_in_or_told_which_it_takes(request: pytest.FixtureRequest, kind: str, route: Route) -> None:
    stage: Stage = request.getfixturevalue(kind)
    row = TABLE[route]
    assert row.roles is not None
    allowed = row.roles | ({"System Submitter"} if row.for_systems and kind == "system" else set())
    if kind == "system" and route == ("POST", f"{API}/products"):
        row = replace(row, body=PRODUCT | {"selectedProductTypes": {"Windows_v100_GE": "Laptop"}})
    before = stage.state()
    for role in sorted(ALL - allowed):
        stage.hold("Manager", role)
        message = functional(stage.send(route, row), 403, "forbidden")["message"]
        assert message.startswith("This request needs the role ")
        assert all(each in message for each in row.roles)
    assert stage.state() == before
    for role in sorted(allowed):
        stage.hold("Manager", role)
        _is_answered(stage.send(route, row), row)
