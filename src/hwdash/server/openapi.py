"""The OpenAPI 3.1 document of the API, made from the table of routes and the models of ``wire``.

What the document says of an answer holds for every answer: tests validate each answer that they get against it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from hwdash import __version__
from hwdash.server.paths import parameters
from hwdash.server.route import NUMBERS, Route
from hwdash.server.tokens import RESOURCE
from hwdash.wire.base import Link
from hwdash.wire.error import ErrorEnvelope, FlatError

JSON = "application/json"
_REF = "#/components/schemas/{model}"
_HEADERS = {
    name: {"description": "That of the request, or a new one.", "schema": {"type": "string"}}
    for name in ("MS-CorrelationId", "MS-RequestId")
}
_DESCRIPTION = (
    "Microsoft's Hardware dashboard API, self-hosted. Names of properties are read in any case and unknown ones are "
    "ignored; answers have exactly the form that is described here. The base may also be written /v1.0/my/hardware, "
    "without `my`, and below /api."
)

Document = dict[str, Any]


def openapi(routes: Sequence[Route], public_url: str) -> Document:
    """The document for a service at this address."""
    taken = {route.body for route in routes if route.body} | {route.query for route in routes if route.query}
    given: set[type[BaseModel]] = {ErrorEnvelope, FlatError, Link}
    given.update(model for route in routes for model in _models(route.answer))
    schemas = _schemas(taken, "validation", suffix="In") | _schemas(given, "serialization", suffix="")
    paths: Document = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, routes, schemas)
    queries = {f"{route.query.__name__}In" for route in routes if route.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": "hwdash", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": public_url}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in sorted(schemas.items()) if name not in queries},
            "securitySchemes": {
                "clientCredentials": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": f"{public_url}/organizations/oauth2/v2.0/token",
                            "scopes": {f"{RESOURCE}/.default": "All that the application's roles allow."},
                        }
                    },
                    "description": "The token endpoint of the account's tenant: /{tenant}/oauth2/v2.0/token.",
                }
            },
        },
    }


def is_addition(route: Route) -> bool:
    """Whether a route is hwdash's own, and no part of Microsoft's API."""
    return route.path.startswith("/distribution/")


def _operation_id(route: Route) -> str:
    path = route.path if is_addition(route) else route.path.partition("hardware")[2]
    return f"{route.method.lower()}{re.sub(r'[^A-Za-z]+', '_', path)}"


def _operation(route: Route, routes: Sequence[Route], schemas: Document) -> Document:
    answers = _answers(route)
    if route.status == 201 and (links := _links(route, routes)):
        answers[201] |= {"links": links}
    operation: Document = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
        "responses": {str(status): answer for status, answer in sorted(answers.items())},
    }
    if route.roles is not None:
        operation["security"] = [{"clientCredentials": []}]
        roles = ", ".join(sorted(route.roles)) if len(route.roles) < 4 else "any hardware role"
        operation["description"] = f"Needs the role Manager and one of: {roles}."
    if is_addition(route):
        operation["description"] += " An addition of hwdash's, no part of Microsoft's API."
    if route.body is not None:
        schema = {"$ref": _REF.format(model=f"{route.body.__name__}In")}
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    elif route.stream is not None and route.method != "GET":
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    return operation


def _path_parameters(route: Route) -> list[Document]:
    number = {"type": "integer", "format": "int64", "minimum": 0, "maximum": (1 << 63) - 1}
    return [
        {"name": name, "in": "path", "required": True, "schema": number if name in NUMBERS else {"type": "string"}}
        for name in parameters(route.path)
    ]


def _query_parameters(route: Route, schemas: Document) -> list[Document]:
    if route.query is None:
        return []
    model: Document = schemas[f"{route.query.__name__}In"]
    properties, required = model.get("properties", {}), model.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
        for name, schema in properties.items()
    ]


def _answers(route: Route) -> dict[int, Document]:
    answers = {route.status: _success(route)}
    functional, flat = ({"$ref": _REF.format(model=model.__name__)} for model in (ErrorEnvelope, FlatError))
    if route.body is not None:
        answers[400] = _answer("Not JSON, or a request that has no sense.", {"anyOf": [flat, functional]})
        answers[408] = _answer("The body did not come in time.", flat)
        answers[413] = _answer("The body is too large.", flat)
        answers[415] = _answer("The body is not JSON.", flat)
    if route.roles is not None:
        answers[401] = _answer("No access token, or not a good one.", flat)
        answers[403] = _answer("A role is missing, or the object cannot be changed.", functional)
        answers[429] = _answer("Too many requests; Retry-After says for how many seconds.", flat)
    if "{" in route.path:
        answers[404] = _answer("No such object in this account.", functional)
    if route.writes or route.query is not None or route.body is not None or "relationships" in route.path:
        answers[422] = _answer("Invalid input, with every finding; or not in the object's present state.", functional)
    if route.stream is not None:
        answers[400] = answers[413] = _answer("The body cannot be taken.", {"anyOf": [flat, functional]})
        answers[408] = _answer("The body stopped coming.", flat)
        answers[507] = _answer("The service has no room for the body.", flat)
    is_file = isinstance(route.answer, str)
    if is_file:
        answers[206] = _success(route) | {"description": "The range of the file."}
        answers[400] = answers[416] = _answer("Not a range of the file.", flat)
    if is_file or (route.method == "GET" and any("etag" in model.model_fields for model in _models(route.answer))):
        answers[304] = {"description": "It has not changed; without a body.", "headers": _HEADERS}
        answers[412] = _answer("It has changed.", flat)
    answers[500] = _answer("An error of the service.", flat)
    return answers


def _success(route: Route) -> Document:
    headers: Document = dict(_HEADERS)
    if route.again is not None and route.status == 201:
        headers["Location"] = {"description": "The new object.", "schema": {"type": "string", "format": "uri"}}
    if route.answer is None:
        return {"description": "Done; without a body.", "headers": headers}
    if isinstance(route.answer, str):
        return {"description": "The file.", "headers": headers, "content": {route.answer: {}}}
    return {"description": "Done.", "headers": headers, "content": {JSON: {"schema": _shape(route.answer)}}}


def _shape(answer: Any) -> Document:
    """The schema of an answer: list[X] is a collection of X, tuple[X, ...] a bare array."""
    items = [{"$ref": _REF.format(model=model.__name__)} for model in _models(answer)]
    if answer is list or get_origin(answer) is list:
        links = {"type": "array", "items": {"$ref": _REF.format(model="Link")}}
        value = {"type": "array", "items": items[0] if items else {}}
        return {
            "type": "object",
            "properties": {"value": value, "links": links},
            "required": ["value", "links"],
            "additionalProperties": False,
        }
    return {"type": "array", "items": items[0]} if get_origin(answer) is tuple else items[0]


def _models(answer: Any) -> list[type[BaseModel]]:
    inner = get_args(answer) or (answer,)
    return [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]


def _links(route: Route, routes: Sequence[Route]) -> Document:
    """What can be asked of the new object, by the id that its answer has."""
    if not _models(route.answer):
        return {}
    below = re.compile(re.escape(route.path) + r"/\{(\w+)\}(?:/\w+)?")
    given = {name: f"$request.path.{name}" for name in parameters(route.path)}
    return {
        _operation_id(other): {
            "operationId": _operation_id(other),
            "parameters": given | {found[1]: "$response.body#/id"},
        }
        for other in routes
        if (found := below.fullmatch(other.path))
    }


def _answer(description: str, schema: Document) -> Document:
    return {"description": description, "headers": _HEADERS, "content": {JSON: {"schema": schema}}}


def _schemas(models: Iterable[type[BaseModel]], mode: JsonSchemaMode, *, suffix: str) -> Document:
    """The schemas of models and of all that they hold, under their names and ``suffix``."""
    inputs = [(model, mode) for model in sorted(models, key=lambda model: model.__name__)]
    _, made = models_json_schema(inputs, ref_template=_REF)
    found: Document = made.get("$defs", {})
    if mode == "serialization":
        found = {name: _as_sent(schema) for name, schema in found.items()}
    renamed: Document = _renamed(found, suffix)
    return {f"{name}{suffix}": schema for name, schema in renamed.items()}


def _renamed(value: Any, suffix: str) -> Any:
    if isinstance(value, dict):
        return {
            name: f"{each}{suffix}" if name == "$ref" and isinstance(each, str) else _renamed(each, suffix)
            for name, each in value.items()
        }
    return [_renamed(each, suffix) for each in value] if isinstance(value, list) else value


def _as_sent(schema: Document) -> Document:
    """An object as it is sent: exactly these properties; those that can be null are left out instead, all others are
    always there.
    """
    if "properties" not in schema:
        return schema
    properties: Document = schema["properties"]
    return schema | {
        "properties": {name: _without_null(each) for name, each in properties.items()},
        "required": [name for name, each in properties.items() if {"type": "null"} not in each.get("anyOf", [])],
        "additionalProperties": False,
    }


def _without_null(schema: Document) -> Document:
    kept = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "anyOf" not in kept:
        return kept
    left = [each for each in kept.pop("anyOf") if each != {"type": "null"}]
    return kept | (left[0] if len(left) == 1 else {"anyOf": left})
