"""A recording of one server against the answers of another, field by field: names, types, and spellings of values.

Ids, dates, addresses and numbers differ from server to server and count by their kind; words count by their spelling,
but for texts that are written for people.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hwdash.sandbox.recording import Recorded
from hwdash.sandbox.secrets_removed import REMOVED

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.5
UPLOADS = ("initialPackage", "derivedPackage")

_API = re.compile(r"/(?:api/)?v(?:1|1\.0|2\.0)/(?:my/)?hardware(?=/|$)", re.IGNORECASE)
_PROSE = frozenset({"message", "messages", "error_description", "description", "comments"})
_KINDS = (
    ("a GUID", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)),
    ("a date and time with zone", re.compile(r"\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?(Z|[+-]\d\d:\d\d)")),
    ("a date and time without zone", re.compile(r"\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?")),
    ("digits", re.compile(r"\d+")),
    ("an address", re.compile(r"(https?://|\{service\}).*", re.DOTALL)),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers differ: the request, the field in it, and how."""

    request: str
    field: str
    message: str


class Api(Protocol):
    """The other server."""

    def call(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Status and JSON (None without) of a call."""
        ...

    def upload(self, url: str) -> None:
        """Put the package to this address."""
        ...


def differences(theirs: Any, ours: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """The fields in which a recorded value and another differ, and how."""
    if type(theirs) is not type(ours):
        yield field, f"recorded {_kind(theirs)}, answered {_kind(ours)}"
    elif isinstance(theirs, dict):
        for name in theirs.keys() - ours.keys():
            yield f"{field}.{name}", "recorded, and not answered"
        for name in ours.keys() - theirs.keys():
            yield f"{field}.{name}", "answered, and not recorded"
        for name in theirs.keys() & ours.keys():
            if name not in _PROSE or type(theirs[name]) is not type(ours[name]):
                yield from differences(theirs[name], ours[name], f"{field}.{name}")
    elif isinstance(theirs, list):
        if len(theirs) != len(ours):
            yield field, f"recorded {len(theirs)} items, answered {len(ours)}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
            yield from differences(one, other, f"{field}[{number}]")
    elif isinstance(theirs, str) and theirs != REMOVED:
        kind = _kind(theirs)
        if kind != _kind(ours) or (kind == "a text" and theirs != ours):
            yield field, f"recorded {_shown(theirs)}, answered {_shown(ours)}"
    elif isinstance(theirs, bool) and theirs != ours:
        yield field, f"recorded {theirs}, answered {ours}"


def compare(recorded: Sequence[Recorded], api: Api) -> list[Difference]:
    """Send the requests of the API in a recording to another server, and compare its answers.

    Ids of the recording are replaced by those that the other server gave. Looks that the recorded client repeated while
    it waited are compared once, when the other server has come as far as the last of them. Where the recording has an
    upload, the package is put to the other server's address.
    """
    found: list[Difference] = []
    names: dict[str, str] = {}
    uploads: list[str] = []
    todo = [each for each in recorded if _API.match(each.path) or is_upload(each)]
    for number, each in enumerate(todo):
        if is_upload(each):
            if uploads:
                api.upload(uploads.pop(0))
            continue
        if number + 1 < len(todo) and each.method == "GET" and _same_request(each, todo[number + 1]):
            continue
        target, body = _replaced(each.target, names), _replaced((each.request_body or {}).get("json"), names)
        status, answer = api.call(each.method, target, body)
        waiting_until = time.monotonic() + WAIT_SECONDS
        while each.method == "GET" and _step(answer) != _step(each.json) and time.monotonic() < waiting_until:
            time.sleep(POLL_SECONDS)
            status, answer = api.call(each.method, target, body)
        _learn(each.json, answer, names)
        if isinstance(answer, dict) and each.method == "POST":
            items = (answer.get("downloads") or {}).get("items") or []
            uploads += [item["url"] for item in items if item.get("type") in UPLOADS]
        request = f"{each.method} {each.path}"
        if status != each.status:
            found.append(Difference(request, "status", f"recorded {each.status}, answered {status}"))
        found += [Difference(request, *each) for each in sorted(differences(each.json, answer, "body"))]
    return found


def is_upload(each: Recorded) -> bool:
    """Whether a recorded request is the last of an upload: what comes after it needs a package."""
    return each.method == "PUT" and not _API.match(each.path) and "comp=block" not in each.query.split("&")


def _same_request(one: Recorded, other: Recorded) -> bool:
    return (one.method, one.target) == (other.method, other.target)


def _step(answer: Any) -> Any:
    status = answer.get("workflowStatus") if isinstance(answer, dict) else None
    return (status.get("currentStep"), status.get("state")) if isinstance(status, dict) else None


def _learn(theirs: Any, ours: Any, names: dict[str, str]) -> None:
    """Which id of theirs is which of ours."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in theirs.keys() & ours.keys():
            one, other = theirs[name], ours[name]
            is_number = isinstance(one, int) and isinstance(other, int) and not isinstance(one, bool)
            if name.lower().endswith("id") and (is_number or _kind(one) in ("digits", "a GUID")):
                names[str(one)] = str(other)
            _learn(one, other, names)
    elif isinstance(theirs, list) and isinstance(ours, list):
        for one, other in zip(theirs, ours, strict=False):
            _learn(one, other, names)


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(member, names) for name, member in value.items()}
    if isinstance(value, list):
        return [_replaced(each, names) for each in value]
    if isinstance(value, str):
        return re.sub(r"[0-9a-fA-F-]{6,}", lambda found: names.get(found[0], found[0]), value)
    if isinstance(value, int) and not isinstance(value, bool) and str(value) in names:
        return int(names[str(value)])
    return value


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return next((kind for kind, form in _KINDS if form.fullmatch(value)), "a text")
        case list():
            return "a list"
        case _:
            return "an object"


def _shown(text: str) -> str:
    kind = _kind(text)
    return repr(text[:80]) if kind == "a text" else kind
