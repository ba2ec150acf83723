"""What rows say about answers. Each raises Mismatch with what came and what should have come."""

from typing import Any
from urllib.parse import urlsplit

import httpx

from hwdash.conformance import shapes
from hwdash.conformance.caller import json_of, object_of, shown
from hwdash.conformance.outcome import Mismatch


def status(answer: httpx.Response, *wanted: int) -> None:
    """The answer has one of these statuses."""
    if answer.status_code not in wanted:
        raise Mismatch(f"{shown(answer)}\nThe status should be {' or '.join(map(str, wanted))}.")


def equal(actual: object, wanted: object, what: str) -> None:
    """Both are equal, also in type: 1 is not true."""
    if actual != wanted or type(actual) is not type(wanted):
        raise Mismatch(f"{what} is {actual!r}; it should be {wanted!r}.")


def true(holds: object, otherwise: str) -> None:
    """It holds."""
    if not holds:
        raise Mismatch(otherwise)


def shape(value: object, kind: shapes.Kind, what: str) -> None:
    """The value has the form; every complaint is told at once."""
    complaints = kind(value, "")
    if complaints:
        raise Mismatch(f"{what}: {'; '.join(complaints)}.")


def is_json(answer: httpx.Response) -> None:
    """The answer says that it is JSON."""
    kind = answer.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip() != "application/json":
        raise Mismatch(f"{shown(answer)}\nIts Content-Type is {kind or 'missing'}; it should be application/json.")


def json(answer: httpx.Response, wanted: int, kind: shapes.Kind, what: str) -> Any:
    """The answer has this status and a JSON body of this form; the body."""
    status(answer, wanted)
    is_json(answer)
    body = json_of(answer)
    shape(body, kind, what)
    return body


def empty(answer: httpx.Response, wanted: int) -> None:
    """The answer has this status and no body at all."""
    status(answer, wanted)
    if answer.content:
        raise Mismatch(f"{shown(answer)}\nThe body should be empty.")


def error(answer: httpx.Response, wanted: int, code: str, *, message: str | None = None) -> dict[str, Any]:
    """The answer is a refusal with this code, in the API's envelope; its ``error``. ``message`` is compared exactly."""
    status(answer, wanted)
    is_json(answer)
    body = object_of(answer)
    shape(body, shapes.ERROR, shown(answer))
    found: dict[str, Any] = body["error"]
    if found["code"] != code:
        raise Mismatch(f"{shown(answer)}\nThe code should be {code}.")
    if message is not None and found["message"] != message:
        raise Mismatch(f"{shown(answer)}\nThe message should be, byte for byte: {message}")
    return found


def targets(found: dict[str, Any], *wanted: str) -> None:
    """The validation errors of a refusal name these fields, each with a message."""
    given = {each["target"] for each in found.get("validationErrors", [])}
    missing = [name for name in wanted if name not in given]
    if missing:
        raise Mismatch(
            f"validationErrors lacks {', '.join(missing)}; it names {', '.join(sorted(given)) or 'nothing'}."
        )


def flat_error(answer: httpx.Response, wanted: int) -> None:
    """The answer is a refusal of the gateway: flat, with ``statusCode`` as text."""
    status(answer, wanted)
    is_json(answer)
    body = object_of(answer)
    shape(body, shapes.FLAT_ERROR, shown(answer))
    equal(body["statusCode"], str(wanted), "statusCode")


def any_error(answer: httpx.Response, wanted: int) -> None:
    """The answer is a refusal in either envelope."""
    status(answer, wanted)
    is_json(answer)
    body = object_of(answer)
    if shapes.ERROR(body, "") and shapes.FLAT_ERROR(body, ""):
        raise Mismatch(f"{shown(answer)}\nThe body is neither the API's error envelope nor the flat one.")


def link(body: dict[str, Any], number: int, rel: str, method: str, path: str) -> None:
    """The link at this place has this meaning, and an absolute address that ends with ``path``."""
    found = body["links"][number] if number < len(body["links"]) else None
    if found is None or (found["rel"], found["method"]) != (rel, method):
        raise Mismatch(f"links[{number}] is {found!r}; it should be {rel}, {method}.")
    if urlsplit(found["href"]).query or not found["href"].endswith(path):
        raise Mismatch(f"links[{number}] leads to {found['href']}; it should end with {path}.")


def subset(actual: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    """All these members have exactly these values; every difference is told at once."""
    wrong = [
        f"{name} is {actual.get(name)!r} and should be {value!r}"
        for name, value in wanted.items()
        if name not in actual or actual[name] != value or type(actual[name]) is not type(value)
    ]
    if wrong:
        raise Mismatch(f"{what}: {'; '.join(wrong)}.")
