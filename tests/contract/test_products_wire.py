"""Products on the wire: every form that clients send is taken, one is answered (contract: sections 1, 3.1 and 9)."""

import itertools
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest

from service import API, X64, ApiClient, Served

MINIMAL = {"productName": "Wire", "testHarness": "Attestation", "requestedSignatures": [X64]}
SHOWN = {
    *("id", "sharedProductId", "links", "productName", "testHarness", "requestedSignatures", "selectedProductTypes"),
    *("deviceType", "isTestSign", "isFlightSign", "marketingNames", "deviceMetadataIds", "additionalAttributes"),
    *("isCommitted", "isExtensionInf", "isRetpolineCompiled", "originType", "sourceProductId", "sourcePublisherId"),
    *("message", "createdDateTime", "updatedDateTime"),
}


def _create(client: ApiClient, body: object, **headers: str) -> dict[str, Any]:
    answer = client.http.post(f"{API}/products", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    product: dict[str, Any] = answer.json()
    return product


def _nulls(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _nulls(each)
    if value is None:
        yield value


# --- What is answered


def test_a_minimal_product_is_answered_in_the_documented_form(client: ApiClient, service: Served) -> None:
    answer = client.http.post(f"{API}/products", json=MINIMAL)
    assert answer.status_code == 201
    assert answer.headers["Content-Type"].startswith("application/json")
    product = answer.json()
    assert set(product) == SHOWN
    assert not list(_nulls(product))
    url = f"{service.url}{API}/products/{product['id']}"
    assert product["links"] == [
        {"href": url, "rel": "self", "method": "GET"},
        {"href": f"{url}/submissions", "rel": "get_submissions", "method": "GET"},
    ]
    assert answer.headers["Location"] == url
    expected = {
        "testHarness": "attestation",
        "deviceType": "notSet",
        "selectedProductTypes": {},
        "marketingNames": [],
        "additionalAttributes": {},
        "isCommitted": False,
        "isExtensionInf": False,
        "originType": "author",
        "sourceProductId": 0,
        "sourcePublisherId": 0,
        "message": "",
    }
    assert {name: product[name] for name in expected} == expected
    assert client.http.get(url).json() == product


def test_ids_are_exact_numbers_that_survive_doubles(client: ApiClient) -> None:
    for _ in range(20):
        product = _create(client, MINIMAL)
        assert len(str(product["id"])) == 17
        assert len(str(product["sharedProductId"])) == 19
        for identifier in (product["id"], product["sharedProductId"]):
            # As a client prints it that keeps numbers as doubles: the shortest digits that read back as the same one.
            assert Decimal(repr(float(identifier))) == identifier
        assert product["links"][0]["href"].rpartition("/")[2] == str(product["id"])


def test_everything_a_client_gives_comes_back_in_canonical_spelling(client: ApiClient) -> None:
    given = {
        "productName": "Ünï – 驱动",
        "testHarness": "hLk",
        "requestedSignatures": [X64.lower(), X64, "windows_V100_x64_RS5_full"],
        "selectedProductTypes": {"windows_v100_RS5": "unclassified"},
        "deviceType": "INTERNALexternal",
        "isTestSign": True,
        "announcementDate": "2026-12-24T18:00:00+02:00",
        "marketingNames": ["One", "Two"],
        "deviceMetadataIds": ["{8A4A9D6D-0F3B-4A0E-9C8A-111111111111}"],
        "deviceMetadataCategory": "Input.Digitizer.Multitouch",
        "firmwareVersion": "980",
        "additionalAttributes": {
            "StorageController": {"BiosVersion": "1", "usedProprietary": True, "proprietaryName": "n",
                                  "proprietaryVersion": "2", "microsoftName": None, "supportsSector4K512E": True}
        },
    }  # fmt: skip
    product = _create(client, given)
    controller = product.pop("additionalAttributes")["storageController"]
    assert {name: value for name, value in controller.items() if value is not False} == {
        "biosVersion": "1",
        "usedProprietary": True,
        "proprietaryName": "n",
        "proprietaryVersion": "2",
        "supportsSector4K512E": True,
    }
    expected = {
        "productName": "Ünï – 驱动",
        "testHarness": "hlk",
        "requestedSignatures": [X64, "WINDOWS_v100_X64_RS5_FULL"],
        "selectedProductTypes": {"Windows_v100_RS5": "Unclassified"},
        "deviceType": "internalExternal",
        "isTestSign": True,
        "announcementDate": "2026-12-24T16:00:00Z",
        "marketingNames": ["One", "Two"],
        "deviceMetadataIds": ["8a4a9d6d-0f3b-4a0e-9c8a-111111111111"],
        "deviceMetadataCategory": "Input.Digitizer.Multitouch",
        "firmwareVersion": "980",
    }
    assert {name: product[name] for name in expected} == expected


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html", "nonsense"])
def test_any_accept_header_is_answered_in_json(client: ApiClient, accept: str) -> None:
    answer = client.http.get(f"{API}/products", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json()["value"] is not None


def test_links_do_not_follow_the_host_header(client: ApiClient, service: Served) -> None:
    answer = client.http.post(f"{API}/products", json=MINIMAL, headers={"Host": "evil.example"})
    assert answer.status_code == 201
    assert answer.json()["links"][0]["href"].startswith(f"{service.url}/")


# --- What is taken


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2018-01-01T00:00:00", "2018-01-01T00:00:00Z"),
        ("2018-01-01T00:00:00Z", "2018-01-01T00:00:00Z"),
        ("2018-01-01T00:00:00.1234567Z", "2018-01-01T00:00:00.123456Z"),
        ("2018-01-01T00:00:00.1234567-08:00", "2018-01-01T08:00:00.123456Z"),
        ("2018-01-01", "2018-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_in_every_form_and_written_in_one(
    client: ApiClient, sent: str | None, answered: str | None
) -> None:
    product = _create(client, MINIMAL | {"announcementDate": sent})
    assert product.get("announcementDate", "absent") == (answered or "absent")


@pytest.mark.parametrize("spell", [str.upper, str.lower, lambda name: name[0].upper() + name[1:]])
def test_property_names_are_read_in_any_case(client: ApiClient, spell: Any) -> None:
    body = {spell(name): value for name, value in (MINIMAL | {"deviceType": "external", "isTestSign": True}).items()}
    product = _create(client, body)
    assert (product["deviceType"], product["isTestSign"]) == ("external", True)


def test_unknown_properties_and_nulls_are_as_if_absent(client: ApiClient) -> None:
    optional = SHOWN - set(MINIMAL)
    unknown = {"markettingNames": ["x"], "deviceMetaDataIds": None, "packageType": "HLK", "productType": None, "": 1}
    plain, decorated = _create(client, MINIMAL), _create(client, MINIMAL | dict.fromkeys(optional) | unknown)
    own = {"id", "sharedProductId", "links", "createdDateTime", "updatedDateTime"}
    assert {name: value for name, value in plain.items() if name not in own} == {
        name: value for name, value in decorated.items() if name not in own
    }
    # What the service alone decides cannot be sent.
    assert _create(client, MINIMAL | {"id": 1, "isCommitted": True})["isCommitted"] is False


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_json_is_read_under_every_content_type_that_clients_send(client: ApiClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for content in (json.dumps(MINIMAL).encode(), b"\xef\xbb\xbf" + json.dumps(MINIMAL).encode()):
        request = client.http.build_request("POST", f"{API}/products", content=content, headers=headers)
        assert ("Content-Type" in request.headers) == (content_type is not None)
        assert client.http.send(request).status_code == 201


BASES = [
    f"{prefix}/{version}/{my}hardware"
    for (prefix, version), my in itertools.product(
        [("", "v1.0"), ("", "v2.0"), ("/api", "v1.0"), ("/api", "v2.0"), ("/api", "v1")], ["my/", ""]
    )
] + ["/V2.0/MY/Hardware"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_base_and_a_trailing_slash_lead_to_the_same_resources(
    client: ApiClient, service: Served, base: str, slash: str
) -> None:
    answer = client.http.post(f"{base}/products{slash}", json=MINIMAL)
    assert answer.status_code == 201, answer.text
    product = answer.json()
    assert product["links"][0]["href"] == f"{service.url}{API}/products/{product['id']}"
    assert client.http.get(f"{base}/Products/{product['id']}{slash}").json() == product
    listed = client.http.get(f"{base}/PRODUCTS{slash}?pageSize=1").json()
    assert listed["links"][0]["href"] == f"{service.url}{API}/products"


def test_a_get_with_a_body_type_and_no_body_is_answered(client: ApiClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "0"}
    assert client.http.get(f"{API}/products", headers=headers).status_code == 200


# --- Correlation and repetition


def _answers_of_every_kind(client: ApiClient, headers: dict[str, str]) -> list[httpx.Response]:
    return [
        client.http.get(f"{API}/products", headers=headers),
        client.http.post(f"{API}/products", json={}, headers=headers),
        client.http.get(f"{API}/products/1", headers=headers),
        client.http.get(f"{API}/nothing", headers=headers),
        client.http.get(f"{API}/products", headers=headers | {"Authorization": ""}),
    ]


def test_correlation_headers_are_echoed_and_made_when_absent(client: ApiClient) -> None:
    sent = {"MS-CorrelationId": str(uuid.uuid4()), "MS-RequestId": str(uuid.uuid4())}
    for answer in _answers_of_every_kind(client, sent):
        assert {name: answer.headers[name] for name in sent} == sent
    made = [answer.headers for answer in _answers_of_every_kind(client, {})]
    for name in sent:
        ids = [str(uuid.UUID(headers[name])) for headers in made]
        assert len(set(ids)) == len(ids)


def test_a_repeated_create_returns_the_first_product_and_another_body_makes_another(client: ApiClient) -> None:
    request_id = str(uuid.uuid4())
    first = _create(client, MINIMAL, **{"MS-RequestId": request_id})
    assert _create(client, MINIMAL, **{"MS-RequestId": request_id}) == first
    # The same content in other words is the same request.
    assert _create(client, {"ProductName": "Wire", **MINIMAL, "x": 1}, **{"ms-requestid": request_id}) == first
    other = _create(client, MINIMAL | {"productName": "Another"}, **{"MS-RequestId": request_id})
    assert other["id"] != first["id"]
    assert _create(client, MINIMAL, **{"MS-RequestId": str(uuid.uuid4())})["id"] != first["id"]
    assert _create(client, MINIMAL)["id"] != first["id"]


def test_creates_repeated_at_the_same_time_make_one_product(client: ApiClient) -> None:
    request_id = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: _create(client, MINIMAL, **{"MS-RequestId": request_id}), range(8)))
    assert len({product["id"] for product in made}) == 1


# --- Lists


def test_the_list_is_newest_first_and_walks_through_next_links(client: ApiClient, service: Served) -> None:
    made = [_create(client, MINIMAL)["id"] for _ in range(7)]
    whole = client.http.get(f"{API}/products").json()
    assert set(whole) == {"value", "links"}
    assert whole["links"] == [{"href": f"{service.url}{API}/products", "rel": "self", "method": "GET"}]
    everything = [each["id"] for each in whole["value"]]
    assert everything[:7] == made[::-1]

    walked: list[int] = []
    url = f"{API}/products?pageSize=3&unknown=1&$filter=x"
    while url:
        page = client.http.get(url).json()
        assert page["links"][0]["rel"] == "self"
        assert 1 <= len(page["value"]) <= 3
        walked += [each["id"] for each in page["value"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next_link"]
        assert all(href.startswith(f"{service.url}{API}/products?pageSize=3&continuationToken=") for href in following)
        url = following[0] if following else ""
        # What is added meanwhile moves nothing: the walk goes on behind what it has seen.
        if len(walked) == 3:
            _create(client, MINIMAL)
    assert walked == everything


def test_each_product_of_a_list_is_the_product_itself(client: ApiClient) -> None:
    _create(client, MINIMAL)
    for listed in client.http.get(f"{API}/products?pageSize=3").json()["value"]:
        assert listed == client.http.get(f"{API}/products/{listed['id']}").json()
        assert listed["links"][0]["rel"] == "self"
