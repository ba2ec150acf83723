"""What can go wrong between a client and the service.

SdkError
  TransportError        the service could not be reached, or the connection broke
  AuthenticationError   no token could be had, or the service does not accept it
  ApiError              the service refused the request
    Throttled           ... because there were too many; retry_after says when to come back
  SubmissionFailed      the workflow of a submission ended in failed
  LabelFailed           the workflow of a shipping label ended in failed
  NothingSelected       what a shipping label should target is not in the driver
  SigningFailed         a preproduction package was not signed
"""

from collections.abc import Sequence


class SdkError(Exception):
    """Base of the SDK's errors."""


class TransportError(SdkError):
    """The service could not be reached, or the connection broke before the answer was complete."""


class AuthenticationError(SdkError):
    """No token could be had, or the service does not accept it (HTTP 401), or the role is missing (HTTP 403)."""


class ApiError(SdkError):
    """The service refused the request. ``code`` is its functional code, "" when it gave none; ``findings`` are (target,
    message).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        findings: Sequence[tuple[str, str]] = (),
        request_id: str | None = None,
    ) -> None:
        lines = [f"{message} ({code or 'HTTP'} {status})"] + [f"  {target}: {text}" for target, text in findings]
        super().__init__("\n".join(lines))
        self.status = status
        self.code = code
        self.message = message
        self.findings = tuple(findings)
        self.request_id = request_id


class Throttled(ApiError):
    """Too many requests. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(429, "", message)
        self.retry_after = retry_after


class SubmissionFailed(SdkError):
    """The workflow ended in failed at ``step``; ``messages`` say why."""

    def __init__(self, step: str, messages: Sequence[str]) -> None:
        super().__init__("\n".join([f"The submission failed in {step}.", *messages]))
        self.step = step
        self.messages = list(messages)


class LabelFailed(SdkError):
    """A shipping label ended in failed at ``step``, cancelled or refused; ``messages`` say why."""

    def __init__(self, step: str, messages: Sequence[str]) -> None:
        super().__init__("\n".join([f"The shipping label failed in {step}.", *messages]))
        self.step = step
        self.messages = list(messages)


class NothingSelected(SdkError):
    """What a shipping label should target is not in the driver; the message says what is there."""


class SigningFailed(SdkError):
    """A preproduction package ended in Failed; ``reason`` is the service's text, a line a finding."""

    def __init__(self, package_id: str, reason: str) -> None:
        super().__init__(f"The package {package_id} was not signed.\n{reason}")
        self.package_id = package_id
        self.reason = reason
