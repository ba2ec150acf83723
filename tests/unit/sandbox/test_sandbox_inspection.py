import json

import pytest

from hwdash.sandbox.explanations import EXPLANATIONS, explanation
from hwdash.sandbox.inspection import Exchange, Ring
from hwdash.sandbox.redaction import MAX_KEPT, kept_body, redacted

CANARY = "s3cr3tCanary0123456789"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOiJ5ZXMifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"grant_type=client_credentials&client_id=x&client_secret={CANARY}&resource=y",
        f"client_secret={CANARY}",
        f"a=b&client_assertion={CANARY}",
        f'{{"access_token":"{CANARY}"}}',
        f'{{"clientSecret" : "{CANARY}", "x": 1}}',
        f'{{"access_token":"{CANARY}',  # cut in the middle
        f"https://host/blobs/k/n.cab?sv=1&sig={CANARY}&se=2",
        f"/blobs/k/n.cab?sig={CANARY}",
        f"https://host/n?sv=1\\u0026sig={CANARY}",
        f"https://host/n?sv=1&amp;sig={CANARY}",
        f"https%3A%2F%2Fhost%2Fn%3Fsv%3D1%26sig%3D{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"Basic {CANARY}=",
    ],
)
def test_nothing_that_opens_anything_is_kept(text: str) -> None:
    kept = redacted(text)
    assert CANARY not in kept
    assert "(removed)" in kept


def test_a_web_token_is_removed_wherever_it_stands() -> None:
    assert TOKEN not in redacted(f"it was {TOKEN}.")


def test_what_is_no_secret_stays() -> None:
    text = '{"productName": "Sig & token", "message": "the design=good"}'
    assert redacted(text) == text


def test_a_body_is_kept_as_text_and_bounded() -> None:
    assert kept_body(b'{"a":1}', 7, "application/json; charset=utf-8") == '{"a":1}'
    assert kept_body(b"", 0, "application/json") == ""
    assert kept_body(b"\0\1", 2_000_000, "application/octet-stream") == "(2000000 bytes of application/octet-stream)"
    long = json.dumps({"a": ["word"] * 100_000}).encode()
    kept = kept_body(long[: 4 * MAX_KEPT], len(long), "application/json")
    assert len(kept) < MAX_KEPT + 100
    assert kept.endswith(f"({len(long)} bytes)")


def test_a_secret_at_the_cut_is_not_kept_in_part() -> None:
    for shift in range(60):
        body = ("x" * (4 * MAX_KEPT - shift) + f" Bearer {CANARY}").encode()
        assert CANARY[:6] not in kept_body(body[: 4 * MAX_KEPT], len(body), "text/plain")
        body = ("x" * (MAX_KEPT - shift) + f" Bearer {CANARY}").encode()
        assert CANARY[:6] not in kept_body(body, len(body), "text/plain")


def exchange(number: int, body: str = "") -> Exchange:
    return Exchange(number, "2026-11-28T00:00:00+00:00", "GET", "/x", 200, 1, "", "", body, "", ())


def test_the_ring_is_bounded_in_number_and_bytes() -> None:
    ring = Ring(max_requests=3, max_bytes=10_000)
    for _ in range(5):
        ring.add(exchange)
    assert [each.number for each in ring.exchanges()] == [3, 4, 5]
    ring.add(lambda number: exchange(number, "y" * 9_000))
    assert [each.number for each in ring.exchanges()] == [6]
    ring.add(lambda number: exchange(number, "z" * 50_000))
    assert [each.number for each in ring.exchanges()] == [7]


def test_the_ring_is_searched_in_any_case_and_from_a_number() -> None:
    ring = Ring()
    for word in ("Alpha", "beta", "ALPHA"):
        ring.add(lambda number, word=word: exchange(number, word))  # type: ignore[misc]
    assert [each.number for each in ring.exchanges(text="alpha")] == [1, 3]
    assert [each.number for each in ring.exchanges(after=1, text="alpha")] == [3]
    ring.clear()
    assert ring.exchanges() == []
    ring.add(exchange)
    assert [each.number for each in ring.exchanges()] == [4]


S = "/v2.0/my/hardware/products/1/submissions"


def envelope(code: str, message: str = "") -> str:
    return json.dumps({"error": {"code": code, "message": message}})


@pytest.mark.parametrize(
    ("path", "status", "answer", "said"),
    [
        (f"{S}/2/commit", 422, envelope("requestInvalidForCurrentState", "Only pending submissions can be committed."),
         "committed once"),
        (S, 422, envelope("requestInvalidForCurrentState", "Initial submission already exists"), "whole life"),
        (S, 400, envelope("invalidInput", "Cannot create derived submission for Attestation"), "SDCM#69"),
        (f"{S}/2/commit", 422, envelope("invalidInput", "No package has been uploaded"), "before the commit"),
        ("/v1.0/my/hardware/products", 422, envelope("invalidInput", "The OS code `X` is bad."), "operating system"),
        (f"{S}/2", 404, envelope("entityNotFound", "There is no submission 2"), "EntityNotFound"),
        ("/v2.0/my/hardware/products", 401, '{"statusCode":"401"}', "60 minutes"),
        ("/v2.0/my/hardware/products", 403, envelope("forbidden"), "lacks a role"),
        ("/t/oauth2/token", 401, "{}", "does not know these credentials"),
        ("/blobs/k/n.cab", 403, "<Error><Code>AuthenticationFailed</Code></Error>", "read the submission again"),
        ("/elsewhere", 418, "", "does not explain"),
    ],
)  # fmt: skip
def test_a_refusal_is_explained_with_its_page(path: str, status: int, answer: str, said: str) -> None:
    assert said in explanation("POST", path, status, answer, ())


def test_what_a_scenario_did_is_not_explained_by_the_documentation() -> None:
    told = explanation("POST", f"{S}/2/commit", 403, "{}", ["throttled, rule 1"])
    assert told == "The scenario plays: throttled, rule 1."
    assert explanation("GET", "/x", 200, "", ()) == ""


def test_every_explanation_can_come_and_names_where_it_is_documented() -> None:
    for number, each in enumerate(EXPLANATIONS):
        assert each.rule.endswith(".")
        assert each.documented
        hidden = [
            other
            for other in EXPLANATIONS[:number]
            if other.words == ""
            and other.status in {None, each.status}
            and other.code in {None, each.code}
            and other.route in {None, each.route}
        ]
        assert not hidden, each
