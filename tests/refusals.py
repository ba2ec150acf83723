"""How tests read a refusal: the whole envelope first, then what they are about."""

from typing import Any

import httpx

Refusal = tuple[int, str, list[str]]
"""Status, code and targets; of a flat envelope the code is ``flat``."""


def functional(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The functional envelope (contract/api.md 3.17)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["requestId"] == answer.headers["MS-RequestId"]
    assert set(error) == {"code", "message", "validationErrors", "requestId"}
    return error


def flat(answer: httpx.Response, status: int) -> str:
    """The flat envelope of a gateway; its statusCode is text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"statusCode", "message"}
    assert body["statusCode"] == str(status)
    message: str = body["message"]
    assert message
    return message


def findings(answer: httpx.Response) -> dict[str, str]:
    """The messages of invalid input by their targets."""
    error = functional(answer, 422, "invalidInput")
    return {each["target"]: each["message"] for each in error["validationErrors"]}


def refusal(answer: httpx.Response) -> Refusal:
    """Either envelope, read in full."""
    if "error" not in answer.json():
        flat(answer, answer.status_code)
        return answer.status_code, "flat", []
    error = functional(answer, answer.status_code, answer.json()["error"]["code"])
    for each in error["validationErrors"]:
        assert set(each) == {"target", "message"}
        assert each["message"].endswith("."), each
    return answer.status_code, error["code"], [each["target"] for each in error["validationErrors"]]
