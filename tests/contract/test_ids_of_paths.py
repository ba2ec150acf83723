"""Every id of every path: what is nobody's, another's, or no id at all does not exist, whatever is asked of it, and
nothing changes (contract/api.md 1.5, 4.3 and 7.1).
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from callers import new_client
from refusals import functional
from service import API, ApiClient, Served
from wire_routes import SERVED, TABLE, parameters

pytestmark = pytest.mark.usefixtures("no_accident")

NOBODYS = [
    *("0", "1", "-1", "+1", "00", "9223372036854775807", "9223372036854775808", "12345678901234567890", "1" * 5000),
    *("abc", "null", "1.0", "1e3", "0x10", "1_0", "1%20", "%00", "1%00", "%FF", "%C2%B2", "%D9%A3", "..%2f1", "%0d%0a"),
]
BELOW_AN_ID = [route for route in SERVED if parameters(route[1])]


@dataclass
class Stage:
    """The ids of a pending submission, and for each kind of id those of other objects."""

    client: ApiClient
    stranger: ApiClient
    ids: dict[str, object]
    others: dict[str, list[object]]
    products: list[int]

    def state(self) -> list[Any]:
        """What can have changed of either account's."""
        seen: list[Any] = []
        for client in (self.client, self.stranger):
            listed = client.http.get(f"{API}/products").json()["value"]
            seen.append([each["id"] for each in listed])
            for product in (each for each in listed if each["id"] in self.products):
                seen += [product, client.http.get(f"{API}/products/{product['id']}/submissions").json()]
        return seen


@pytest.fixture(scope="module")
def stage(service: Served) -> Iterator[Stage]:
    client, stranger = service.client(), new_client(service, ["Manager", "Administrator"])
    with closing(client.http), closing(stranger.http):
        mine, other = (client.create_submission(client.create_product()["id"]) for _ in range(2))
        theirs = stranger.create_submission(stranger.create_product()["id"])
        nobody = 1152921504606971100
        own = {"seller": service.made.credentials["accountId"], "product": mine["productId"], "submission": mine["id"]}
        others: dict[str, list[object]] = {
            "seller": [10000000, mine["productId"]],
            "product": [theirs["productId"], mine["id"], theirs["id"], 12345678901234560],
            "submission": [theirs["id"], other["id"], mine["productId"], 1234567890123456000],
        }
        nobodys = dict.fromkeys(("label", "package", "asset"), nobody)
        products = [each["productId"] for each in (mine, other, theirs)]
        yield Stage(client, stranger, nobodys | own, others, products)


@pytest.mark.parametrize("route", BELOW_AN_ID, ids=" ".join)
def test_an_id_that_is_not_the_callers_does_not_exist(stage: Stage, route: tuple[str, str]) -> None:
    method, path = route
    before = stage.state()
    for name in parameters(path):
        for wrong in [*stage.others.get(name, []), *NOBODYS]:
            answer = stage.client.http.request(
                method, path.format_map(stage.ids | {name: wrong}), json=TABLE[route].body
            )
            error = functional(answer, 404, "entityNotFound")
            assert error["validationErrors"] == []
            assert len(error["message"]) < 300
    assert stage.state() == before


@pytest.mark.parametrize("route", [route for route in SERVED if "product" in parameters(route[1])], ids=" ".join)
def test_a_stranger_learns_nothing_of_what_exists(stage: Stage, route: tuple[str, str]) -> None:
    """The same words for another account's object and for one that nobody has."""
    method, path = route
    said = []
    for product in (stage.ids["product"], 12345678901234560):
        ids = stage.ids | {"product": product}
        answer = stage.stranger.http.request(method, path.format_map(ids), json=TABLE[route].body)
        said.append(functional(answer, 404, "entityNotFound")["message"].replace(str(product), "X"))
    assert said[0] == said[1]
