"""Requests that must be refused, sent to a running service: the documented status and code, every finding at once with
its place, never a 500.
"""

import base64
import collections
import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callers import Mint, client_id_of, database_of, new_client
from hwdash.clock import system_clock
from hwdash.server.api.routes import ROUTES
from hwdash.server.keys import ServiceKeys
from hwdash.server.sas import SasSigner
from hwdash.storage.accounts import set_roles
from hwdash.storage.submissions import find_submission
from hwdash.vocabulary import Role
from refusals import findings, flat, functional
from service import API, X64, ApiClient, Served, signed_cabinet

PRODUCT = {"productName": "P", "testHarness": "Attestation", "requestedSignatures": [X64]}
UNKNOWN = 1234567890


pytestmark = pytest.mark.usefixtures("no_accident")


@pytest.fixture(scope="module")
def stranger(service: Served) -> Iterator[ApiClient]:
    """A client of another account with every right there."""
    client = new_client(service, [Role.MANAGER, Role.DRIVER_SUBMITTER, Role.SHIPPING_LABEL_OWNER])
    with closing(client.http):
        yield client


@pytest.fixture(scope="module")
def bare(service: Served) -> Iterator[httpx.Client]:
    """HTTP without a token."""
    client = service.client()
    del client.http.headers["Authorization"]
    with closing(client.http):
        yield client.http


def _routes(product: object = UNKNOWN, submission: object = UNKNOWN, *, below: str = "") -> list[tuple[str, str]]:
    """Every route that asks for a token, as (method, path); ``below``: those whose path has this parameter."""
    ids = {"product_id": product, "submission_id": submission}
    return [
        (route.method, route.path.format_map(collections.defaultdict(lambda: UNKNOWN, ids)))
        for route in ROUTES
        if route.roles is not None and below in route.path
    ]


def _send(http: httpx.Client, method: str, path: str) -> httpx.Response:
    """With a body that any route which reads one takes."""
    body = {} if method == "GET" else {"json": {"name": "n", "type": "initial"} | PRODUCT}
    return http.request(method, path, **body)  # type: ignore[arg-type]  # httpx types its keywords one by one


# --- Tokens


@pytest.mark.parametrize("method_and_path", _routes(), ids=" ".join)
def test_without_a_token_every_route_answers_401(bare: httpx.Client, method_and_path: tuple[str, str]) -> None:
    answer = bare.request(*method_and_path, content=b"not even JSON")
    assert "send Authorization: Bearer TOKEN" in flat(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


NO_TOKENS: list[str | bytes] = [
    "",
    "Bearer",
    "Basic YTpi",
    "garbage",
    "Bearer garbage",
    "Bearer a.b.c",
    "Bearer ..",
]
NO_TOKENS += [b"Bearer \xff\xfe", f"Bearer {'a' * 20_000}", "Bearer e30.e30.e30", "Bearer bnVsbA.bnVsbA.bnVsbA"]


@pytest.mark.parametrize("header", NO_TOKENS, ids=lambda header: repr(header)[:30])
def test_a_garbage_token_answers_401(bare: httpx.Client, header: str | bytes) -> None:
    flat(
        bare.get(
            f"{API}/products", headers={b"Authorization": header if isinstance(header, bytes) else header.encode()}
        ),
        401,
    )


@pytest.fixture(scope="module")
def mint(service: Served) -> Mint:
    return Mint(service)


def _get_products(bare: httpx.Client, token: str) -> httpx.Response:
    return bare.get(f"{API}/products", headers={"Authorization": f"Bearer {token}"})


def test_a_token_made_with_the_services_own_key_is_good(bare: httpx.Client, mint: Mint) -> None:
    assert _get_products(bare, mint()).status_code == 200
    assert _get_products(bare, mint(age=timedelta(minutes=59))).status_code == 200


def test_tokens_of_the_past_and_the_future_are_refused(bare: httpx.Client, mint: Mint) -> None:
    assert "expired" in flat(_get_products(bare, mint(age=timedelta(minutes=61))), 401)
    assert "not valid yet" in flat(_get_products(bare, mint(age=timedelta(minutes=-10))), 401)


def test_foreign_tokens_are_refused(bare: httpx.Client, mint: Mint, stranger: ApiClient) -> None:
    foreign_key = rsa.generate_private_key(65537, 2048)
    assert "not this service's" in flat(_get_products(bare, mint(key=foreign_key)), 401)
    assert "another issuer" in flat(_get_products(bare, mint(url="https://login.example")), 401)
    assert "another audience" in flat(_get_products(bare, mint(audience="https://graph.microsoft.com")), 401)


def test_a_good_token_of_nobody_is_forbidden_everything(bare: httpx.Client, mint: Mint) -> None:
    """An application that is unknown, and one under the tenant of another account. Not 401: a new token is no help."""
    nobody = "00000000-0000-0000-0000-00000000dead"
    for token in (mint(client_id=nobody), mint(tenant_id=nobody)):
        assert "not associated" in functional(_get_products(bare, token), 403, "forbidden")["message"]


def test_a_token_without_a_signature_or_with_another_ones_is_refused(bare: httpx.Client, mint: Mint) -> None:
    header, claims, signature = mint().split(".")

    def encoded(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    plain = json.loads(base64.urlsafe_b64decode(header + "=="))
    for algorithm in ("none", "None", "HS256"):
        unsigned = f"{encoded(plain | {'alg': algorithm})}.{claims}."
        assert "RS256" in flat(_get_products(bare, unsigned), 401)
        assert "RS256" in flat(_get_products(bare, unsigned + signature), 401)
    other = mint(client_id="00000000-0000-0000-0000-00000000dead").split(".")[1]
    assert "signature" in flat(_get_products(bare, f"{header}.{other}.{signature}"), 401)
    assert "signature" in flat(_get_products(bare, f"{header}.{claims}."), 401)


# --- Roles


@pytest.mark.parametrize(
    ("roles", "lacks"),
    [
        ([], "Manager"),
        ([Role.DRIVER_SUBMITTER, Role.SHIPPING_LABEL_OWNER], "Manager"),
        ([Role.MANAGER], "role"),
    ],
)
def test_an_application_without_the_roles_is_forbidden_everything(
    service: Served, roles: list[str], lacks: str
) -> None:
    client = new_client(service, roles)
    with closing(client.http) as http:
        for method, path in _routes():
            assert lacks in functional(_send(http, method, path), 403, "forbidden")["message"]


def test_a_reader_reads_and_submits_nothing(service: Served) -> None:
    client = new_client(service, [Role.MANAGER, Role.REPORT_REVIEWER])
    with closing(client.http) as http:
        assert http.get(f"{API}/products").status_code == 200
        assert "Driver Submitter" in functional(http.post(f"{API}/products", json=PRODUCT), 403, "forbidden")["message"]


def test_a_role_taken_away_is_gone_at_once(service: Served) -> None:
    client = new_client(service, [Role.MANAGER, Role.DRIVER_SUBMITTER])
    with closing(client.http) as http:
        assert http.post(f"{API}/products", json=PRODUCT).status_code == 201
        with database_of(service) as database, database.writing() as connection:
            set_roles(connection, client_id_of(client), [])
        functional(http.post(f"{API}/products", json=PRODUCT), 403, "forbidden")


# --- Ids


def test_another_accounts_ids_do_not_exist(client: ApiClient, stranger: ApiClient) -> None:
    submission = client.create_submission(client.create_product()["id"])
    product_id, submission_id = submission["productId"], submission["id"]
    for method, path in _routes(product_id, submission_id, below="products/{product_id}"):
        message = functional(_send(stranger.http, method, path), 404, "entityNotFound")["message"]
        # The same words as for an id that nobody has: a stranger learns nothing.
        assert message == f"There is no product {product_id} in this account."
    listed = stranger.http.get(f"{API}/products").json()["value"]
    assert product_id not in [each["id"] for each in listed]
    # Nor does a product of one's own open a submission of someone else's.
    own = stranger.create_product()["id"]
    for method, path in _routes(own, submission_id, below="submissions/{submission_id}"):
        functional(_send(stranger.http, method, path), 404, "entityNotFound")
    assert client.get_submission(submission)["commitStatus"] == "commitPending"


def test_a_submission_is_found_under_its_own_product_only(client: ApiClient) -> None:
    submission = client.create_submission(client.create_product()["id"])
    other = client.create_product()["id"]
    for method, path in _routes(other, submission["id"], below="submissions/{submission_id}"):
        functional(_send(client.http, method, path), 404, "entityNotFound")


NO_IDS = ["abc", "-1", "+1", "1.0", "1e3", "0x10", "%D9%A3", "%C2%B2", "1%202", "1_0", "%00", "%FF", "..%2f1", "null"]
TOO_LARGE = ["9223372036854775808", "9" * 19, "1" * 40, "1" * 5000]


@pytest.mark.parametrize("identifier", NO_IDS + TOO_LARGE, ids=lambda text: text[:25])
def test_an_id_that_is_no_number_does_not_exist(client: ApiClient, identifier: str) -> None:
    for method, path in _routes(identifier, identifier, below="product_id"):
        functional(client.http.request(method, path, content=b'{"name":"n","type":"initial"}'), 404, "entityNotFound")


def test_a_path_that_is_no_route_answers_in_json(client: ApiClient) -> None:
    for path in (
        "/",
        "/v2.0/my",
        API,
        f"{API}/nothing",
        f"{API}/products/1/2/3/4",
        "/v3.0/my/hardware/products",
        "/%FF",
    ):
        functional(client.http.get(path), 404, "entityNotFound")


def test_another_method_on_a_known_path_is_answered_405_with_those_there_are(client: ApiClient) -> None:
    methods: dict[str, set[str]] = collections.defaultdict(set)
    for method, path in _routes():
        methods[path].add(method)
    for path, served in methods.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - served:
            answer = client.http.request(method, path)
            assert method in flat(answer, 405)
            assert set(answer.headers["Allow"].split(", ")) == served


# --- Bodies

POSTS = [f"{API}/products", f"{API}/products/{UNKNOWN}/submissions"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"   ", id="blanks"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"productName": "a",}', id="trailing comma"),
        pytest.param(b"{'productName': 'a'}", id="single quotes"),
        pytest.param(b'{"productName": "\xff"}', id="bad UTF-8"),
        pytest.param(b'{"productName": "\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param('{"productName": "a"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"productName": "a\nb"}', id="raw line feed in a string"),
        pytest.param(b'{"productName": NaN}', id="NaN"),
        pytest.param(b'{"productName": -Infinity}', id="Infinity"),
        pytest.param(b'{"productName": "\\ud800"}', id="half of a surrogate pair"),
        pytest.param(b'{"a": [{"\\udfff": 1}]}', id="half of a surrogate pair in an unknown place"),
        pytest.param(b'{"productName": "a\\u0000b"}', id="NUL, which PostgreSQL does not store"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"text"', id="string"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[" * 100_000, id="100,000 levels, open"),
        pytest.param(b'{"additionalAttributes":' * 500 + b"1" + b"}" * 500, id="500 levels"),
        pytest.param(b"[" * 1000 + b"]" * 1000, id="1000 levels of list"),
    ],
)
def test_a_body_that_is_no_json_object_answers_400(client: ApiClient, body: bytes) -> None:
    for path in POSTS:
        answer = client.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert "The body" in functional(answer, 400, "invalidInput")["message"]


def test_a_body_of_10_mb_answers_413_with_the_limit(client: ApiClient) -> None:
    large = json.dumps(PRODUCT | {"productName": "x" * (10 << 20)}).encode()
    for path in POSTS:
        assert "larger than 1 MB" in flat(client.http.post(path, content=large), 413)
        # Without a length too.
        pieces = (large[at : at + 65536] for at in range(0, len(large), 65536))
        assert "larger than 1 MB" in flat(client.http.post(path, content=pieces), 413)
    assert client.http.post(POSTS[0], json=PRODUCT).status_code == 201


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data", "json"]
)
def test_another_media_type_answers_415(client: ApiClient, media_type: str) -> None:
    for path in POSTS:
        answer = client.http.post(path, content=json.dumps(PRODUCT), headers={"Content-Type": media_type})
        message = flat(answer, 415)
        assert "application/json" in message
        assert media_type in message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'"' + b'\\"' * 500_000, id="escaped quotes, no end"),
        pytest.param(b'{"a":"' + b"\\\\" * 500_000, id="backslashes, no end"),
        pytest.param(b'"' * 1_000_001, id="quotes"),
        pytest.param(b'{"isTestSign":1e999}', id="a number beyond all numbers"),
        pytest.param(b'{"productName":' + b"9" * 1_000_000 + b"}", id="a number of a million digits"),
        pytest.param(b'{"deviceMetadataIds":[' + b"1," * 500_000 + b"1]}", id="a million wrong elements"),
        pytest.param(b'{"requestedSignatures":[' + b"1," * 500_000 + b"1]}", id="a million wrong codes"),
        pytest.param(
            b'{"selectedProductTypes":{' + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}}", id="wrong map"
        ),
    ],
)
def test_no_body_keeps_the_service_busy(client: ApiClient, body: bytes) -> None:
    started = time.monotonic()
    answer = client.http.post(f"{API}/products", content=body)
    assert answer.status_code in (400, 422)
    assert time.monotonic() - started < 5
    assert len(answer.content) < 200_000


# --- Fields


def test_every_missing_field_is_named(client: ApiClient) -> None:
    product = findings(client.http.post(f"{API}/products", json={}))
    assert product == dict.fromkeys(("productName", "testHarness", "requestedSignatures"), "This property is required.")
    path = f"{API}/products/{client.create_product()['id']}/submissions"
    assert findings(client.http.post(path, json={})) == dict.fromkeys(("name", "type"), "This property is required.")


def test_null_is_no_value_for_a_required_field(client: ApiClient) -> None:
    nothing = dict.fromkeys(PRODUCT)
    assert set(findings(client.http.post(f"{API}/products", json=nothing))) == set(PRODUCT)


def test_every_wrong_type_is_named_at_once(client: ApiClient) -> None:
    wrong: dict[str, Any] = {
        "productName": 1,
        "testHarness": ["HLK"],
        "requestedSignatures": "WINDOWS_v100_X64_GE_FULL",
        "selectedProductTypes": [],
        "deviceType": 7,
        "isTestSign": "perhaps",
        "isFlightSign": [],
        "announcementDate": "yesterday",
        "marketingNames": {"a": 1},
        "deviceMetadataIds": ["no guid"],
        "firmwareVersion": {},
        "additionalAttributes": "none",
    }
    found = findings(client.http.post(f"{API}/products", json=wrong))
    assert set(found) == set(wrong)
    assert all(message.endswith(".") for message in found.values())


@pytest.mark.parametrize(
    ("change", "target", "said"),
    [
        ({"productName": ""}, "productName", "at least 1"),
        ({"productName": "  "}, "productName", "blank"),
        ({"productName": "x" * 1001}, "productName", "1000"),
        ({"testHarness": "WLK"}, "testHarness", "`WLK` is not one of"),
        ({"deviceType": "imaginary"}, "deviceType", "internalExternal"),
        ({"requestedSignatures": []}, "requestedSignatures", "at least 1"),
        (
            {"requestedSignatures": [X64, "WINDOWS_v100_X86_TH2_FULL"]},
            "requestedSignatures",
            "The OS code `WINDOWS_v100_X86_TH2_FULL` is invalid.",
        ),
        ({"requestedSignatures": [X64, None]}, "requestedSignatures", "The OS code `None` is invalid."),
        ({"selectedProductTypes": {"Windows_v99": "Camera"}}, "selectedProductTypes", "`Windows_v99` is invalid"),
        ({"selectedProductTypes": {"Windows_v100_RS5": "Toaster"}}, "selectedProductTypes", "`Toaster` is invalid"),
        ({"announcementDate": 1700000000}, "announcementDate", "2026-11-23T00:00:00Z"),
        ({"announcementDate": "9999-12-31T23:59:59-14:00"}, "announcementDate", "the years 1 to 9999"),
        ({"announcementDate": "2026-13-45"}, "announcementDate", "date"),
        ({"isTestSign": True, "isFlightSign": True}, "isFlightSign", "isTestSign and isFlightSign cannot both be true"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(
    client: ApiClient, change: dict[str, Any], target: str, said: str
) -> None:
    found = findings(client.http.post(f"{API}/products", json=PRODUCT | change))
    assert set(found) == {target}
    assert said in found[target]


ATTRIBUTES = "additionalAttributes"


@pytest.mark.parametrize(
    ("member", "content", "targets"),
    [
        ("storageController", {"usedProprietary": True}, ["proprietaryName", "proprietaryVersion"]),
        ("RaidController", {"usedMicrosoft": True}, ["microsoftName", "microsoftVersion"]),
        ("StorageController", {"usedBetterBoot": True, "uefiVersion": " "}, ["uefiVersion", "acpiVersion"]),
        ("SVVP", {"guestOs": "Windows 95", "processorArchitecture": "6502"}, ["guestOs", "processorArchitecture"]),
        ("svvp", {"maxProcessors": "many", "maxMemory": -1}, ["maxProcessors", "maxMemory"]),
    ],
)
def test_additional_attributes_follow_their_rules(
    client: ApiClient, member: str, content: dict[str, Any], targets: list[str]
) -> None:
    answer = client.http.post(f"{API}/products", json=PRODUCT | {"additionalAttributes": {member: content}})
    path = f"additionalAttributes.{member[0].lower()}{member[1:]}" if member != "SVVP" else "additionalAttributes.svvp"
    assert set(findings(answer)) == {f"{path}.{target}" for target in targets}


def test_additional_attributes_are_of_one_kind(client: ApiClient) -> None:
    both: dict[str, Any] = {"additionalAttributes": {"storageController": {}, "raidController": {}}}
    found = findings(client.http.post(f"{API}/products", json=PRODUCT | both))
    assert set(found) == {"additionalAttributes"}


HOSTILE = [
    float("1e308"),
    "\ud800",
    "a\udfffb",
    "\0",
    "a" * 100_000,
    "\u202e",
    1 << 70,
    -1,
    1.5,
    True,
    [],
    {},
    None,
    "0001-01-01T00:00:00+14:00",
]
FIELDS = [
    *("productName", "testHarness", "requestedSignatures", "selectedProductTypes", "deviceType", "isTestSign"),
    *("isFlightSign", "announcementDate", "marketingNames", "deviceMetadataIds", "deviceMetadataCategory"),
    *("firmwareVersion", "additionalAttributes", "\ud800", "\0", ""),
]


def test_no_hostile_value_in_any_field_is_an_accident(client: ApiClient) -> None:
    def post(field: str, value: object) -> None:
        for each in (value, [value], {"storageController": value}, {str(value): value}):
            # Written by hand: lone surrogates go as escapes.
            body = json.dumps(PRODUCT | {field: each}).encode()
            answer = client.http.post(f"{API}/products", content=body)
            assert answer.status_code in (201, 400, 422), (field, each, answer.text)
            if answer.status_code == 201:
                read = client.http.get(f"{API}/products/{answer.json()['id']}")
                assert read.json() == answer.json()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda pair: post(*pair), itertools.product(FIELDS, HOSTILE)))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(st.sampled_from([*FIELDS, "name", "type"]), JSON_VALUES, max_size=6),
    whole=st.booleans(),
)
def test_any_json_object_is_taken_or_refused_in_words(client: ApiClient, body: dict[str, Any], whole: bool) -> None:
    content = json.dumps(PRODUCT | body if whole else body).encode()
    for path in POSTS:
        answer = client.http.post(path, content=content)
        assert answer.status_code in (201, 400, 404, 422), answer.text
        assert isinstance(answer.json(), dict)


# --- Pages


@pytest.mark.parametrize("size", ["0", "-1", "1001", "ten", "1.5", "", "%D9%A3", "1" * 100])
def test_a_page_size_that_is_none_is_refused(client: ApiClient, size: str) -> None:
    assert "1000" in findings(client.http.get(f"{API}/products?pageSize={size}"))["pageSize"]


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"|",
        b"garbage",
        b"\xff\xfe",
        b"2026-11-23|1",
        b"2026-11-23T00:00:00+00:00|one",
        b"2026-11-23T00:00:00+00:00|" + b"9" * 30,
        b"0001-01-01T00:00:00+14:00|1",
        b"9999-12-31T23:59:59-14:00|1",
        b"2026-11-23T00:00:00+00:00|" + b"9" * 5000,
    ],
)
def test_a_continuation_token_that_is_none_is_refused(client: ApiClient, plain: bytes) -> None:
    token = base64.urlsafe_b64encode(plain).decode() or "~"
    answer = client.http.get(f"{API}/products", params={"continuationToken": token})
    assert findings(answer)["continuationToken"] == "Follow next_link as it was given."


# --- The order of things


def test_a_second_initial_submission_is_refused_in_microsofts_words(client: ApiClient) -> None:
    product_id = client.create_product()["id"]
    client.create_submission(product_id)
    answer = client.http.post(f"{API}/products/{product_id}/submissions", json={"name": "n", "type": "initial"})
    error = functional(answer, 422, "requestInvalidForCurrentState")
    assert error["message"] == "Initial submission already exists"


def test_of_many_initial_submissions_at_once_one_is_made(client: ApiClient) -> None:
    path = f"{API}/products/{client.create_product()['id']}/submissions"
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda n: client.http.post(path, json={"name": f"n{n}", "type": "initial"}), range(8))
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 7
    assert len(client.http.get(path).json()["value"]) == 1


@pytest.mark.parametrize("product", [{}, {"isTestSign": True, "testHarness": "HLK"}])
def test_a_derived_submission_of_such_a_product_answers_400_in_microsofts_words(
    client: ApiClient, product: dict[str, Any]
) -> None:
    product_id = client.create_product(**product)["id"]
    answer = client.http.post(f"{API}/products/{product_id}/submissions", json={"name": "n", "type": "derived"})
    error = functional(answer, 400, "invalidInput")
    assert (
        error["message"]
        == "Cannot create derived submission for Attestation, TestSigned and ExtensionInf type of products."
    )
    assert error["validationErrors"][0]["target"] == "type"


def test_a_derived_submission_needs_a_finished_initial_one(client: ApiClient) -> None:
    product_id = client.create_product(testHarness="HLK")["id"]
    path = f"{API}/products/{product_id}/submissions"
    body = {"name": "n", "type": "derived"}
    first = functional(client.http.post(path, json=body), 422, "requestInvalidForCurrentState")["message"]
    assert "create that first" in first
    client.create_submission(product_id)
    second = functional(client.http.post(path, json=body), 422, "requestInvalidForCurrentState")["message"]
    assert "finished successfully" in second


@pytest.mark.parametrize("kind", ["Final", "", 1, None])
def test_an_unknown_type_of_submission_is_refused(client: ApiClient, kind: object) -> None:
    path = f"{API}/products/{client.create_product()['id']}/submissions"
    found = findings(client.http.post(path, json={"name": "n", "type": kind}))
    assert "initial, derived" in found["type"]


def test_of_many_commits_at_once_one_is_taken_and_the_others_are_told_so_in_microsofts_words(
    client: ApiClient, service: Served, tmp_path: Path
) -> None:
    submission = client.create_submission(client.create_product()["id"])
    client.upload(submission, signed_cabinet(tmp_path, service.made.vendor))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: client.commit(submission), range(4)))
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(refused) == 3
    client.finished(submission)
    for answer in (*refused, client.commit(submission)):
        error = functional(answer, 422, "requestInvalidForCurrentState")
        assert error["message"] == "Only pending submissions can be committed."


# --- Upload addresses


def _sas_refused(answer: httpx.Response, code: str) -> str:
    assert answer.status_code == 403
    assert answer.headers["x-ms-error-code"] == code
    assert answer.text.lstrip("\ufeff").startswith("<?xml")
    assert f"<Code>{code}</Code>" in answer.text
    return answer.text


def test_upload_addresses_that_are_wrong_expired_or_anothers_are_refused(
    client: ApiClient, service: Served, bare: httpx.Client
) -> None:
    mine, other = (client.create_submission(client.create_product()["id"]) for _ in range(2))
    url = httpx.URL(mine["downloads"]["items"][0]["url"])
    put: Callable[[object], httpx.Response] = lambda where: bare.put(  # noqa: E731 - shorter than it is long
        str(where), content=b"x", headers={"x-ms-blob-type": "BlockBlob"}
    )
    assert "signature" in _sas_refused(put(url.copy_merge_params({"sig": "AAAA"})), "AuthenticationFailed")
    assert "signature" in _sas_refused(
        put(url.copy_merge_params({"se": "2099-01-01T00:00:00Z"})), "AuthenticationFailed"
    )
    assert "lacks" in _sas_refused(put(url.copy_with(query=None)), "AuthenticationFailed")
    foreign = httpx.URL(other["downloads"]["items"][0]["url"]).copy_with(query=url.query)
    assert "signature" in _sas_refused(put(foreign), "AuthenticationFailed")
    with database_of(service) as database, database.reading() as connection:
        row = find_submission(connection, service.made.credentials["accountId"], mine["productId"], mine["id"])
    assert row is not None
    keys = ServiceKeys.ensure(service.made.data)
    past = SasSigner([keys.sas], service.url, lambda: datetime.now(UTC) - timedelta(hours=25))
    expired = past.url(row.package_blob, url.path.rpartition("/")[2], permissions="rwl")
    assert "expired" in _sas_refused(put(expired), "AuthenticationFailed")
    reading = SasSigner([keys.sas], service.url, system_clock)
    readable = reading.url(row.package_blob, url.path.rpartition("/")[2], permissions="rl")
    _sas_refused(put(readable), "AuthorizationPermissionMismatch")
    assert bare.get(str(url)).status_code == 404
    assert put(url).status_code == 201
