"""Every refusal as JSON: the functional envelope for the API's own codes, the flat one for what a gateway says
(contract/api.md 3.17).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from hwdash.domain.errors import Code, DomainError
from hwdash.wire.base import shown
from hwdash.wire.error import ErrorDetail, ErrorEnvelope, ValidationFinding

STATUS: dict[Code, int] = {
    Code.INVALID_INPUT: 422,
    Code.REQUEST_INVALID_FOR_CURRENT_STATE: 422,
    Code.UPDATE_UNAUTHORIZED: 403,
    Code.ENTITY_NOT_FOUND: 404,
    Code.READ_ONLY_PRODUCT: 403,
    Code.FORBIDDEN: 403,
}


FINDINGS_SHOWN = 200


class MalformedBody(DomainError):
    """A body that cannot be read: 400, in the API's own envelope (contract/api.md 13, item 7)."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INVALID_INPUT, message)


class HttpProblem(Exception):
    """A refusal before the API's own rules: authentication, media type, size, a method that is not served."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


Refused = tuple[int, bytes, Mapping[str, str]]
"""Status, body and headers of a refusal."""


def domain_answer(error: DomainError, request_id: str) -> Refused:
    """The functional envelope."""
    envelope = ErrorEnvelope(
        error=ErrorDetail(
            code=error.code,
            message=error.message,
            validation_errors=[
                ValidationFinding(target=shown(target), message=message) for target, message in _capped(error.targets)
            ],
            request_id=request_id,
        )
    )
    status = 400 if isinstance(error, MalformedBody) or _is_derived_refusal(error) else STATUS[error.code]
    return status, to_json(envelope.to_wire()), {}


def _capped(targets: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """As many findings as are shown."""
    more = len(targets) - FINDINGS_SHOWN
    return targets if more <= 0 else [*targets[:FINDINGS_SHOWN], ("body", f"There are {more} findings more.")]


def _is_derived_refusal(error: DomainError) -> bool:
    # contract/observed.md 9: the one rule whose invalidInput was seen with 400.
    return error.message.startswith("Cannot create derived submission")


def problem_answer(problem: HttpProblem) -> Refused:
    """The flat envelope of a gateway; Microsoft's client reads ``statusCode`` as text."""
    body = {"statusCode": str(problem.status), "message": problem.message}
    return problem.status, to_json(body), problem.headers or {}


def invalid_input(error: ValidationError) -> DomainError:
    """All findings of a request body at once, each with the path of its field as clients write it."""
    found = error.errors(include_url=False, include_input=False)
    targets = [(_path(each["loc"]), _sentence(each)) for each in found]
    return DomainError(
        Code.INVALID_INPUT, "The request has invalid input; validationErrors lists every finding.", targets
    )


def _path(location: Sequence[int | str]) -> str:
    """The path of a property. A finding in a list of words is one of the list, as clients know it
    (contract/observed.md 7).
    """
    if location and isinstance(location[-1], int):
        location = location[:-1]
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"


def _sentence(finding: Mapping[str, Any]) -> str:
    text = str(finding["msg"]).removeprefix("Value error, ")
    if finding["type"] == "missing":
        text = "This property is required."
    elif finding["type"] == "extra_forbidden":
        text = "There is no such property."
    elif finding["type"] != "value_error" and finding["loc"] and isinstance(finding["loc"][-1], int):
        # What we say ourselves quotes the item.
        text = f"Item {finding['loc'][-1] + 1}: {text}"
    return text if text.endswith(".") else f"{text}."
