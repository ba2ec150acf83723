"""The check that every answer of the API is as its OpenAPI document says: status, media type, schema."""

from functools import cache
from typing import Any
from urllib.parse import unquote

import httpx
from jsonschema import Draft202012Validator

from hwdash.server.api.routes import ROUTES
from hwdash.server.openapi import openapi
from hwdash.server.paths import RouteTree, canonical_path

DOCUMENT = openapi(ROUTES, "https://localhost")
_TREE = RouteTree(ROUTES)


@cache
def _validator(path: str, method: str, status: str) -> Draft202012Validator | None:
    """What the body must be; None when there must be none. A KeyError: the document knows no such answer."""
    answer = DOCUMENT["paths"][path][method.lower()]["responses"][status]
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    return schema and Draft202012Validator(schema | {"components": DOCUMENT["components"]})


def check_answer(answer: httpx.Response) -> None:
    """Compare one answer with the document; answers of paths that are no routes of the table are let through."""
    request = answer.request
    found = _TREE.find(canonical_path(unquote(request.url.path, errors="replace")))
    route = found.methods.get(request.method) if found else None
    if route is None:
        return
    where = f"{request.method} {route.path}: {answer.status_code}"
    described: dict[str, Any] = DOCUMENT["paths"][route.path][request.method.lower()]["responses"]
    assert str(answer.status_code) in described, f"{where} is not in the OpenAPI document"
    assert {"MS-CorrelationId", "MS-RequestId"} <= set(described[str(answer.status_code)]["headers"])
    assert answer.headers["MS-CorrelationId"]
    assert answer.headers["MS-RequestId"]
    media_type = answer.headers.get("Content-Type", "").partition(";")[0]
    validator = _validator(route.path, request.method, str(answer.status_code))
    if validator is None:
        assert media_type in described[str(answer.status_code)].get("content", {"": {}}), where
        return
    assert media_type == "application/json", where
    answer.read()
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer.json())]
    assert not errors, f"{where}: {errors}"
