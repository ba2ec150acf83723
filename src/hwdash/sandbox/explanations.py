"""Beside each refusal: which rule it follows, and where that is documented.

The page names are those of Microsoft's "Windows hardware dashboard" documentation (learn.microsoft.com,
windows-hardware/drivers/dashboard); what stands in public reports only says so.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwdash.sandbox.routes import named_route


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a refusal with this status, code and wording means. ``words`` are sought in message and targets."""

    status: int | None
    code: str | None
    route: str | None
    words: str
    rule: str
    documented: str

    def fits(self, status: int, code: str, route: str, text: str) -> bool:
        """Whether it is about this refusal."""
        return (
            self.status in {None, status}
            and self.code in {None, code}
            and self.route in {None, route}
            and re.search(self.words, text, re.IGNORECASE) is not None
        )


_DATA = "get-product-data"
_API = "dashboard-api"

# The first that fits counts: the narrower ones stand before the wider.
EXPLANATIONS = (
    Explanation(
        None, None, "blob", "AuthenticationFailed|AuthorizationFailure|AuthorizationPermission",
        "The URL is good for 24 hours, for one file and, until the commit, for writing: read the submission again.",
        "manage-product-submissions, upload by SAS URL; Azure Storage, error codes",
    ),
    Explanation(
        None, None, "blob", "",
        "The upload or download is not what Azure Blob storage accepts.",
        "Azure Storage, error codes",
    ),
    Explanation(
        None, "requestInvalidForCurrentState", "commit", "only pending",
        "A submission is committed once, and is not pending afterwards. Clients compare this text byte for byte.",
        "commit-a-product-submission, error RequestInvalidForCurrentState",
    ),
    Explanation(
        None, "requestInvalidForCurrentState", "submissions", "initial submission already exists",
        "A product has one initial submission for its whole life, even when that failed: make a new product.",
        "create-a-new-submission-for-a-product, error RequestInvalidForCurrentState",
    ),
    Explanation(
        None, "requestInvalidForCurrentState", "submissions", "derived",
        "A derived submission continues an initial one that has finished.",
        "create-a-new-submission-for-a-product, error RequestInvalidForCurrentState",
    ),
    Explanation(
        None, "invalidInput", "submissions", "derived",
        "Only products that were tested with the HLK or HCK have derived submissions (driver update acceptable).",
        "code-signing-attestation; the wording and the 400 are of microsoft/SDCM#69",
    ),
    Explanation(
        None, "requestInvalidForCurrentState", "cancel", "",
        "A label can be cancelled in Microsoft approval and gradual rollout only, and not when it shares a driver.",
        "cancel-a-shipping-label",
    ),
    Explanation(
        None, "invalidInput", "label", "workflow runs|until that ends",
        "A label is not changed while its workflow runs: wait for finalizePublishing, or cancel it in approval.",
        "update-a-shipping-label, error InvalidInput; gradual-rollout",
    ),
    Explanation(
        None, "invalidInput", "labels", "test machines only",
        "A driver that was signed by attestation goes to no retail machine: restrict the label to Test_Registry_Key.",
        "code-signing-attestation",
    ),
    Explanation(
        None, "requestInvalidForCurrentState", "labels", "",
        "A shipping label needs a submission whose preparation is done, and that may go to this destination.",
        "create-a-new-shipping-label, error RequestInvalidForCurrentState",
    ),
    Explanation(
        None, "requestInvalidForCurrentState", None, "",
        "The object is not in a state in which this can be asked of it.",
        f"{_DATA}, error codes",
    ),
    Explanation(
        None, "invalidInput", "commit", "package",
        "The package is uploaded before the commit. The real service takes such a commit and fails later.",
        "manage-product-submissions, the order of the calls",
    ),
    Explanation(
        None, "invalidInput", None, "OS code|requestedSignatures",
        "requestedSignatures holds codes of operating systems, such as WINDOWS_v100_X64_GE_FULL.",
        f"{_DATA}, list of operating system codes",
    ),
    Explanation(
        None, "invalidInput", None, "selectedProductTypes",
        "selectedProductTypes maps codes of operating system families to product types.",
        f"{_DATA}, list of product types",
    ),
    Explanation(
        None, "invalidInput", None, "asks for what the sandbox",
        "The product's name is a magic one of the sandbox, and cannot be played.",
        "hwdash: docs/reference/scenarios.md",
    ),
    Explanation(
        None, "invalidInput", None, "",
        "The request's content breaks a rule of its resource; validationErrors names the property.",
        f"{_DATA}, resources and error codes",
    ),
    Explanation(
        None, "updateUnauthorized", None, "",
        "What was received by sharing, has no submission yet, or has failed cannot be changed.",
        "update-product-data and update-submission-data, error UpdateUnauthorized",
    ),
    Explanation(
        None, "readOnlyProduct", None, "",
        "A product that was shared for reading has no shipping labels of the receiver's.",
        "seen in public reports only",
    ),
    Explanation(
        None, "entityNotFound", None, "no resource at",
        "The path is none of the API's.",
        f"{_API}, methods",
    ),
    Explanation(
        None, "entityNotFound", None, "",
        "There is no such object in this account. What is another account's is answered the same way.",
        f"{_DATA}, error EntityNotFound",
    ),
    Explanation(
        403, None, None, "",
        "The token is good, and its application lacks a role: Manager, and a hardware role such as Driver Submitter.",
        f"{_API}, prerequisites",
    ),
    Explanation(
        401, None, "token", "",
        "The token endpoint does not know these credentials.",
        f"{_API}, obtain an access token",
    ),
    Explanation(
        400, None, "token", "",
        "A token is asked for by grant_type, client_id, client_secret, and resource (v1) or scope (v2).",
        f"{_API}, obtain an access token",
    ),
    Explanation(
        401, None, None, "",
        "Each request carries Authorization: Bearer TOKEN, and a token lives for 60 minutes.",
        f"{_API}, obtain an access token",
    ),
    Explanation(
        400, None, None, "",
        "The body is no JSON object.",
        f"{_DATA}, HTTP status codes",
    ),
    Explanation(
        405, None, None, "",
        "The path is the API's, and another method is served there.",
        f"{_API}, methods",
    ),
    Explanation(
        415, None, None, "",
        "Bodies are application/json.",
        f"{_DATA}, HTTP status codes",
    ),
    Explanation(
        429, None, None, "",
        "Too many requests: wait as long as the answer says.",
        f"{_DATA}, HTTP status codes",
    ),
)  # fmt: skip


def explanation(method: str, path: str, status: int, answer: str, rules: Sequence[str]) -> str:
    """Why this was answered: "" for what is no refusal."""
    played = f"The scenario plays: {'; '.join(rules)}." if rules else ""
    if status < 400:
        return played
    route, _ = named_route(path)
    code, text = _said(answer)
    for each in EXPLANATIONS:
        if not played and each.fits(status, code, route, text):
            return f"{each.rule} Documented in: {each.documented}."
    return played or f"{method} answered {status}, which the documentation does not explain."


def _said(answer: str) -> tuple[str, str]:
    """The functional code and all the text of a refusal."""
    try:
        document: Any = json.loads(answer)
    except (ValueError, RecursionError):
        return "", answer
    error = document.get("error") if isinstance(document, dict) else None
    return (str(error.get("code", "")) if isinstance(error, dict) else ""), answer
