"""The error envelope (contract/api.md 3.17, contract/observed.md 7)."""

from hwdash.wire.base import WireModel


class ValidationFinding(WireModel):
    """One thing that is wrong, and the path of the field it is in."""

    target: str
    message: str


class ErrorDetail(WireModel):
    """What went wrong."""

    code: str
    message: str
    validation_errors: list[ValidationFinding] = []
    request_id: str | None = None


class FlatError(WireModel):
    """The body of a refusal before the API's own rules. ``status_code`` is text."""

    status_code: str
    message: str


class ErrorEnvelope(WireModel):
    """The body of a refused request."""

    error: ErrorDetail
