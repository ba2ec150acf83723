"""Filters of the list of products, an addition of this service's (docs/reference/api.md), and its signed pages."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from service import API, X64, ApiClient, Served, make_service, serve, signed_cabinet

NI = "WINDOWS_v100_X64_NI_FULL"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of this module's own, so that what is found is what was made here."""
    with serve(make_service(tmp_path_factory.mktemp("filters"))) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[ApiClient]:
    made = served.client()
    with closing(made.http):
        yield made


@pytest.fixture(scope="module")
def products(client: ApiClient, served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    made = {
        "signed": client.create_product(productName="Straße 100%_ signed"),
        "failed": client.create_product(productName="Another failed", requestedSignatures=[NI]),
        "pending": client.create_product(productName="STRASSE pending", requestedSignatures=[X64, NI]),
        "bare": client.create_product(productName="Bare"),
    }
    folder = tmp_path_factory.mktemp("packages")
    submissions = {name: client.create_submission(made[name]["id"]) for name in ("signed", "failed", "pending")}
    client.upload(submissions["signed"], signed_cabinet(folder, served.made.vendor))
    client.upload(submissions["failed"], b"no cabinet")
    for name, state in (("signed", "completed"), ("failed", "failed")):
        assert client.commit(submissions[name]).status_code == 202
        assert client.finished(submissions[name])["workflowStatus"]["state"] == state
    return {name: product["id"] for name, product in made.items()}


def _found(client: ApiClient, products: dict[str, int], **query: object) -> list[str]:
    answer = client.http.get(f"{API}/products", params=query)  # type: ignore[arg-type]  # httpx types each value
    assert answer.status_code == 200, answer.text
    names = {number: name for name, number in products.items()}
    return [names[each["id"]] for each in answer.json()["value"]]


ALL = ["bare", "pending", "failed", "signed"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ALL),
        ({"$filter": "x", "unknown": "1"}, ALL),
        ({"productName": "strasse"}, ["pending", "signed"]),
        ({"productname": "100%_"}, ["signed"]),
        ({"productName": "%"}, ["signed"]),
        ({"state": "completed"}, ["signed"]),
        ({"state": "FAILED"}, ["failed"]),
        ({"state": "notStarted"}, ["bare", "pending"]),
        ({"state": "started"}, []),
        ({"requestedSignature": NI.lower()}, ["pending", "failed"]),
        ({"requestedSignature": X64, "state": "notStarted"}, ["bare", "pending"]),
        ({"hardwareId": "PCI\\VEN_FFFF&DEV_0000"}, []),
        ({"createdFrom": "2020-01-01", "createdTo": "2099-01-01T00:00:00Z"}, ALL),
        ({"createdTo": "2020-01-01"}, []),
        ({"updatedFrom": "2099-01-01"}, []),
    ],
)
def test_a_filter_finds_what_has_all_that_is_asked_for(
    client: ApiClient, products: dict[str, int], query: dict[str, str], found: list[str]
) -> None:
    assert _found(client, products, **query) == found


def test_a_finished_driver_is_found_by_its_hardware_ids_in_any_case(
    client: ApiClient, products: dict[str, int]
) -> None:
    path = f"{API}/products/{products['signed']}/submissions"
    submission = client.get_submission(client.http.get(path).json()["value"][0])
    (url,) = [each["url"] for each in submission["downloads"]["items"] if each["type"] == "driverMetadata"]
    metadata = client.http.get(url, headers={"Authorization": ""}).json()
    ids = {
        pnp_id
        for bundle in metadata["BundleInfoMap"].values()
        for inf in bundle["InfInfoMap"].values()
        for pnp_ids in inf["OSPnPInfoMap"].values()
        for pnp_id in pnp_ids
    }
    assert ids
    for each in ids:
        assert _found(client, products, hardwareId=each.upper()) == ["signed"]
        assert _found(client, products, hardwareId=each[:-1]) == []


def test_dates_are_inclusive_at_the_beginning_and_exclusive_at_the_end(
    client: ApiClient, products: dict[str, int]
) -> None:
    for name, column in (("created", "createdDateTime"), ("updated", "updatedDateTime")):
        when = client.http.get(f"{API}/products/{products['bare']}").json()[column]
        assert "bare" in _found(client, products, **{f"{name}From": when})
        assert "bare" not in _found(client, products, **{f"{name}To": when})


def test_a_name_that_changes_is_found_under_the_new_one(client: ApiClient, products: dict[str, int]) -> None:
    name = f"Renamed {uuid.uuid4()}"
    changed = client.http.patch(f"{API}/products/{products['signed']}", json={"productName": name})
    assert changed.status_code == 204, changed.text
    assert _found(client, products, productName=name.upper()) == ["signed"]
    client.http.patch(f"{API}/products/{products['signed']}", json={"productName": "Straße 100%_ signed"})
    assert _found(client, products, productName=name) == []


@pytest.mark.parametrize(
    "query",
    [
        {"state": "done"},
        {"requestedSignature": "WINDOWS_95"},
        {"createdFrom": "yesterday"},
        {"productName": "x" * 4001},
    ],
)
def test_a_filter_that_is_none_is_refused_with_its_place(client: ApiClient, query: dict[str, str]) -> None:
    answer = client.http.get(f"{API}/products", params=query)
    assert answer.status_code == 422
    (finding,) = answer.json()["error"]["validationErrors"]
    assert finding["target"] == next(iter(query))


def _next(page: dict[str, Any]) -> str:
    return next((link["href"] for link in page["links"] if link["rel"] == "next_link"), "")


def test_a_filter_goes_with_its_pages_and_a_token_with_its_filter(
    client: ApiClient, products: dict[str, int], served: Served
) -> None:
    page = client.http.get(f"{API}/products", params={"requestedSignature": X64, "pageSize": 2}).json()
    second = client.http.get(_next(page)).json()
    assert [each["id"] for each in page["value"] + second["value"]] == [
        products[name] for name in ("bare", "pending", "signed")
    ]
    assert not _next(second)
    assert page["links"][0]["href"] == f"{served.url}{API}/products?requestedSignature={X64}"
    for other in (_next(page).replace(X64, NI), _next(page).replace(f"requestedSignature={X64}&", "")):
        assert client.http.get(other).json()["error"]["validationErrors"][0]["target"] == "continuationToken"
