"""schemathesis over the whole OpenAPI document, against the running service.

Every operation gets the edge cases of its schema, then random requests, sound ones and broken ones, of every kind of
caller; then sound ones follow the document's links. Each answer has to be as the document says, and nothing may
go wrong inside the service. The requests are the same in every run, and counted: nothing here depends on time.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from callers import database_of, new_client
from finished_submission import ROWS, finished_submission, on_the_wire, stored_label
from hwdash.clock import system_clock
from hwdash.server.api.routes import ROUTES
from hwdash.server.paths import RouteTree, canonical_path
from hwdash.storage.accounts import create_account
from hwdash.storage.certificates import add_signing_certificate
from hwdash.vocabulary import Role
from openapi_answers import DOCUMENT
from service import API, X64, Served
from wire_routes import MACHINE, OFFERS

pytestmark = pytest.mark.usefixtures("no_accident")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]
OPERATIONS = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]
NO_TOKEN, MANAGER, EVERYTHING = "no token", "Manager", "every role"
UNKNOWN = 1152921504606971100
PRODUCT = {"productName": "P", "testHarness": "Attestation", "requestedSignatures": [X64]}
SHOWN = 5
RANDOM_REQUESTS, LINKED_REQUESTS = 8, 4
LINKED = {
    ("POST /products", 201),
    ("GET /products/{product_id}", 200),
    ("GET /products/{product_id}/submissions", 200),
    ("POST /products/{product_id}/submissions", 201),
    ("GET /products/{product_id}/submissions/{submission_id}", 200),
    ("PUT /preprod/packages", 201),
    ("GET /preprod/packages/{package_id}", 200),
}
_LABELS = "/products/{product_id}/submissions/{submission_id}/shippingLabels"
_ASSET = "/preprod/packages/{package_id}/assets/{asset_id}"
OUT_OF_REACH = {
    "POST /products/{product_id}/submissions",
    "POST /products/{product_id}/submissions/{submission_id}/commit",
    "POST /products/{product_id}/submissions/{submission_id}/createpublishermetadata",
    "GET /products/{product_id}/submissions/{submission_id}/provenance",
    f"PUT {_LABELS}/{{label_id}}/cancel",
    f"GET {_ASSET}",
    f"GET {_ASSET}/download",
    "GET /dashboard/hardware/Driver/DownloadCertificationReport/{seller_id}/{product_id}/{submission_id}",
}
"""What nobody can do with the product, the submission without a package, the unsigned package and the label that is not
in approval of these tests.
"""
_TREE = RouteTree(ROUTES)


def counted(examples: int) -> settings:
    """So many examples, the same in every run, however long they take."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def new_schema() -> BaseSchema:
    """The document for schemathesis: with words where it leaves open which there are, so that sound requests succeed.

    A schema of its own for each test: schemathesis tries methods that are not served once a schema.
    """
    document = deepcopy(DOCUMENT)
    product = document["components"]["schemas"]["ProductCreateIn"]["properties"]
    product["requestedSignatures"]["items"] = code = {"type": "string", "enum": [X64]}
    types = {"Windows_v100_GE": {"type": "string", "enum": ["Keyboard", "Laptop"]}}
    product["selectedProductTypes"] |= {"properties": types, "additionalProperties": False}
    label = document["components"]["schemas"]["LabelCreateBodyIn"]
    label["properties"]["destination"] = {"type": "string", "enum": ["windowsUpdate"]}
    label["properties"]["publishingSpecifications"] = {"type": "object", "enum": [{"publishToWindows10s": True}]}
    hardware_ids = {"type": "array", "enum": [[on_the_wire(row) for row in ROWS]]}
    targeting = {"type": "object", "properties": {"hardwareIds": hardware_ids}, "required": ["hardwareIds"]}
    label["properties"]["targeting"] = targeting | {"additionalProperties": False}
    label["required"] = ["name", "destination", "publishingSpecifications", "targeting"]
    for parameter in document["paths"][f"{API}/products"]["get"]["parameters"]:
        if parameter["name"] == "requestedSignature":
            parameter["schema"] = code
    (machine,) = document["paths"][OFFERS]["get"]["parameters"]
    machine["schema"] = {"type": "string", "enum": [json.dumps(MACHINE)]}
    ids = {"type": "array", "items": {"type": "string", "enum": ["ROOT\\A", "ROOT\\B"]}, "minItems": 1, "maxItems": 3}
    document["components"]["schemas"]["MachineDeviceIn"]["properties"] |= {"hardwareIds": ids}
    schema = schemathesis.openapi.from_dict(document)
    schema.config.generation.update(deterministic=True, with_security_parameters=False)
    return schema


def operation(label: str) -> APIOperation:
    method, path = label.split()
    found: APIOperation = new_schema()[path][method]
    return found


@dataclass
class Stage:
    """The service, applications of one account that hold these roles or those, and objects of that account."""

    url: str
    ca: str
    session: requests.Session
    roles: Mapping[str, frozenset[Role]]
    tokens: Mapping[str, str]
    ids: Mapping[str, int]
    labelled: Mapping[str, int]
    """The ids of a finished submission with a label: requests about labels are of it."""
    answered: set[int] = field(default_factory=set)

    def transport(self, caller: str) -> dict[str, Any]:
        """How a caller's requests are sent."""
        token = self.tokens.get(caller)
        headers = {} if token is None else {"Authorization": token}
        return {"base_url": self.url, "session": self.session, "verify": self.ca, "headers": headers}

    def complaints(self, case: Case, caller: str = EVERYTHING) -> list[str]:
        """Send a request: what is wrong with the answer."""
        ids = {**self.ids, **self.labelled} if "/shippingLabels" in case.operation.path else self.ids
        return self.send(case, caller, ids)[1]

    def send(self, case: Case, caller: str, ids: Mapping[str, Any]) -> tuple[Response, list[str]]:
        """The answer and what is wrong with it. Sound ids of paths become those of real objects."""
        meta = case.meta
        assert meta is not None
        path = meta.components.get(ParameterLocation.PATH)
        if path is not None and path.mode == GenerationMode.POSITIVE:
            case.path_parameters.update({name: ids[name] for name in case.path_parameters})
        response = case.call(**self.transport(caller))
        self.answered.add(response.status_code)
        try:
            case.validate_response(response, checks=CHECKS)
        except (Failure, FailureGroup) as error:
            return response, [f"{caller}: {error}"]
        return response, self._misjudged(response, caller)

    def _misjudged(self, response: Response, caller: str) -> list[str]:
        request = response.request
        found = _TREE.find(canonical_path(unquote(urlsplit(str(request.url)).path)))
        route = found and found.methods.get(str(request.method))
        if not route or route.roles is None:
            return []
        held = self.roles[caller]
        is_let_in = Role.MANAGER in held and not held.isdisjoint(route.roles)
        expected = 401 if caller == NO_TOKEN else None if is_let_in else 403
        if response.status_code == expected or (expected is None and response.status_code != 401):
            return []
        return [f"{caller}: {request.method} {request.url} is answered {response.status_code}, not {expected}"]


@pytest.fixture(scope="module")
def stage(service: Served) -> Iterator[Stage]:
    roles: dict[str, frozenset[Role]] = {NO_TOKEN: frozenset(), MANAGER: frozenset({Role.MANAGER})}
    roles |= {str(role): frozenset({Role.MANAGER, role}) for role in Role if role != Role.MANAGER}
    roles[EVERYTHING] = frozenset(Role)
    now = system_clock()
    with database_of(service) as database, database.writing() as connection:
        account_id = create_account(connection, "A fuzzed company", now).id
        add_signing_certificate(connection, account_id, service.made.vendor.chain[0], now)
        finished = finished_submission(connection, account_id)
        label_id = stored_label(connection, finished)
    labelled = {"product_id": finished.product_id, "submission_id": finished.id, "label_id": label_id}
    tokens = {}
    for caller in roles.keys() - {NO_TOKEN}:
        with closing(new_client(service, sorted(roles[caller]), account_id=account_id).http) as http:
            tokens[caller] = http.headers["Authorization"]
    with closing(new_client(service, sorted(Role), account_id=account_id).http) as owner:
        product = _made(owner.post(f"{API}/products", json=PRODUCT))
        submission = _made(owner.post(f"{API}/products/{product}/submissions", json={"name": "S", "type": "initial"}))
        package = _made(owner.put(f"{API}/preprod/packages", content=b"no cabinet"))
    ids = {"seller_id": account_id, "product_id": product, "submission_id": submission, "package_id": package}
    with requests.Session() as session:
        # Otherwise an environment's own bundle of certificates would come first.
        session.trust_env = False
        ca = service.made.credentials["caCertificate"]
        unknown = dict.fromkeys(("label_id", "asset_id"), UNKNOWN)
        yield Stage(service.url, ca, session, roles, tokens, unknown | ids, labelled)


def _made(answer: httpx.Response) -> int:
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


@pytest.mark.parametrize("label", OPERATIONS, ids=[label.replace(API, "") for label in OPERATIONS])
def test_every_edge_of_the_schema_is_answered_as_described(stage: Stage, label: str) -> None:
    tried = operation(label)
    config, modes = tried.schema.config.generation, list(GenerationMode)
    cases = tried.schema.iter_coverage_cases(tried, generation_modes=modes, generation_config=config)
    stage.answered.clear()
    wrong = [complaint for case in cases for complaint in stage.complaints(case)]
    assert not wrong, "\n\n".join(wrong[:SHOWN])
    assert 405 in stage.answered
    if label.replace(API, "") not in OUT_OF_REACH:
        assert min(stage.answered) < 300, "no request was sound"


@pytest.mark.parametrize("label", OPERATIONS, ids=[label.replace(API, "") for label in OPERATIONS])
def test_random_requests_of_every_caller_are_answered_as_described(stage: Stage, label: str) -> None:
    tried = operation(label)
    wrong = []

    @counted(RANDOM_REQUESTS)
    @given(case=st.one_of([tried.as_strategy(generation_mode=mode) for mode in GenerationMode]))
    def send(case: Case) -> None:
        for caller in stage.roles:
            wrong.extend(stage.complaints(case, caller))

    send()
    assert not wrong, "\n\n".join(wrong[:SHOWN])


@cache
def _sound(label: str) -> list[Case]:
    cases: list[Case] = []

    @counted(LINKED_REQUESTS)
    @given(case=operation(label).as_strategy(generation_mode=GenerationMode.POSITIVE))
    def collect(case: Case) -> None:
        cases.append(case)

    collect()
    return cases


def test_what_is_linked_from_a_new_object_is_answered_as_described(stage: Stage) -> None:
    operations = {
        each["operationId"]: f"{method.upper()} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method, each in methods.items()
    }
    reached, wrong = set(), []
    waiting: list[tuple[str, dict[str, Any]]] = [(f"POST {API}/products", {}), (f"PUT {API}/preprod/packages", {})]
    while waiting:
        label, ids = waiting.pop()
        method, path = label.split()
        for case in _sound(label):
            response, complaints = stage.send(case, EVERYTHING, ids)
            wrong += complaints
            reached.add((label.replace(API, ""), response.status_code))
            answer = DOCUMENT["paths"][path][method.lower()]["responses"][str(response.status_code)]
            for link in answer.get("links", {}).values():
                known = {
                    name: response.json()["id"] if source == "$response.body#/id" else ids[name]
                    for name, source in link["parameters"].items()
                }
                waiting.append((operations[link["operationId"]], known))
    assert not wrong, "\n\n".join(wrong[:SHOWN])
    assert reached >= LINKED
