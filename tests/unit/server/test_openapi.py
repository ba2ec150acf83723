"""The OpenAPI document and its page: valid, whole, and strict enough to find an answer that is not as described."""

import re
from html.parser import HTMLParser

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from hwdash.server.api.routes import ROUTES
from hwdash.server.docs_page import docs_page
from openapi_answers import DOCUMENT, check_answer

LINKS = [{"href": "https://localhost/x", "rel": "self", "method": "GET"}]


def test_the_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_described_with_all_its_refusals() -> None:
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        statuses = set(operation["responses"])
        assert str(route.status) in statuses
        assert "500" in statuses
        if route.roles is not None:
            assert {"401", "403", "429"} <= statuses
            assert operation["security"] == [{"clientCredentials": []}]
        if route.body is not None:
            assert {"400", "413", "415", "422"} <= statuses
            assert "requestBody" in operation


def test_what_can_be_absent_is_not_required_and_nothing_else_is_optional() -> None:
    product = DOCUMENT["components"]["schemas"]["Product"]
    assert set(product["properties"]) - set(product["required"]) == {
        *("announcementDate", "deviceMetadataCategory", "firmwareVersion", "createdDateTime", "updatedDateTime")
    }
    assert product["additionalProperties"] is False
    created = DOCUMENT["components"]["schemas"]["ProductCreateIn"]
    assert set(created["required"]) == {"productName", "testHarness", "requestedSignatures"}


def test_what_can_be_asked_of_a_new_object_is_linked_from_it() -> None:
    operations = {each["operationId"]: path for path, methods in DOCUMENT["paths"].items() for each in methods.values()}
    products, packages = "/v2.0/my/hardware/products", "/v2.0/my/hardware/preprod/packages"
    submission = f"{products}/{{product_id}}/submissions/{{submission_id}}"
    for method, path, below in (
        ("post", products, {f"{products}/{{product_id}}", f"{products}/{{product_id}}/submissions"}),
        ("post", f"{products}/{{product_id}}/submissions", {submission, f"{submission}/commit"}),
        ("put", packages, {f"{packages}/{{package_id}}", f"{packages}/{{package_id}}/assets"}),
    ):
        links = DOCUMENT["paths"][path][method]["responses"]["201"]["links"]
        assert below <= {operations[link["operationId"]] for link in links.values()}
        for link in links.values():
            asked = operations[link["operationId"]]
            assert {f"{{{name}}}" for name in link["parameters"]} == set(re.findall(r"\{\w+\}", asked))
            assert list(link["parameters"].values()).count("$response.body#/id") == 1


def test_bounds_are_in_the_words_of_json_schema() -> None:
    (size,) = (
        each["schema"]
        for each in DOCUMENT["paths"]["/v2.0/my/hardware/audiences"]["get"]["parameters"]
        if each["name"] == "pageSize"
    )
    assert (size["type"], size["minimum"], size["maximum"]) == ("integer", 1, 1000)


def _answer(status: int, body: object, path: str = "/v2.0/my/hardware/products", method: str = "GET") -> None:
    headers = {"MS-CorrelationId": "1", "MS-RequestId": "2"}
    request = httpx.Request(method, f"https://localhost{path}")
    check_answer(httpx.Response(status, json=body, headers=headers, request=request))


def test_the_check_of_answers_takes_what_is_described_and_finds_what_is_not() -> None:
    _answer(200, {"value": [], "links": LINKS})
    _answer(404, {"anything": 1}, path="/elsewhere")
    for status, body in (
        (200, {"value": []}),
        (200, {"value": [{"id": 1}], "links": LINKS}),
        (200, {"value": [], "links": [LINKS[0] | {"extra": 1}]}),
        (200, {"value": [], "links": [LINKS[0] | {"method": None}]}),
        (401, {"error": {"code": "x", "message": "y", "validationErrors": []}}),
        (403, {"statusCode": "403", "message": "y"}),
        (418, {"statusCode": "418", "message": "y"}),
    ):
        with pytest.raises(AssertionError):
            _answer(status, body)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id" and value:
                assert value not in self.ids, f"two things are called {value}"
                self.ids.add(value)
            if name == "href" and value:
                self.links.add(value)


def test_the_page_shows_every_operation_and_loads_nothing() -> None:
    page = _Page()
    page.feed(docs_page(DOCUMENT))
    assert page.ids >= {each["operationId"] for methods in DOCUMENT["paths"].values() for each in methods.values()}
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}
    assert not page.tags & {"script", "img", "link", "iframe"}
