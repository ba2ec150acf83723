"""Paths: the forms that clients write them in, and the routes below them (contract/api.md 1.1 and 1.5)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hwdash.domain.errors import not_found
from hwdash.server.errors import HttpProblem
from hwdash.server.route import Route

CANONICAL_BASE = "/v2.0/my/hardware"
_BASE = re.compile(r"/(?:api/)?v(?:1|1\.0|2\.0)/(?:my/)?hardware(?=/|$)", re.IGNORECASE)


def canonical_path(path: str) -> str:
    """The path without a trailing slash, under the base that routes are registered with."""
    if path.endswith("/") and path != "/":
        path = path[:-1]
    base = _BASE.match(path)
    return path if base is None else CANONICAL_BASE + path[base.end() :]


def identifier(text: str, what: str) -> int:
    """An id of a path: decimal digits of an int64, anything else does not exist."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) >= 1 << 63:
        raise not_found(what, text[:40])
    return int(text)


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    any: "_Node | None" = None
    methods: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path: a route for each method, and the path's parameters as they were written."""

    methods: Mapping[str, Route]
    parameters: Mapping[str, str]

    def route(self, method: str) -> Route:
        """The route for a method. Raises HttpProblem 405."""
        if (found := self.methods.get(method)) is None:
            allowed = ", ".join(sorted(self.methods))
            raise HttpProblem(405, f"{method} is not served here, only {allowed}.", {"Allow": allowed})
        return found


class RouteTree:
    """The routes by their paths. Segments compare in any case; a written segment wins over a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            for path in (route.path, *route.aliases):
                self._add(path, route)

    def _add(self, path: str, route: Route) -> None:
        node = self._root
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.children.setdefault(segment.casefold(), _Node())
        if route.method in node.methods:
            raise ValueError(f"{route.method} {path} is in the table twice")
        node.methods[route.method] = route

    def find(self, path: str) -> Found | None:
        """What is served at a canonical path."""
        node: _Node | None = self._root
        values = []
        for segment in path.split("/")[1:]:
            if node is None:
                return None
            child = node.children.get(segment.casefold())
            if child is None:
                values.append(segment)
                child = node.any
            node = child
        if node is None or not node.methods:
            return None
        route = next(iter(node.methods.values()))
        return Found(node.methods, dict(zip(parameters(route.path), values, strict=True)))


def parameters(path: str) -> list[str]:
    """The names of a route's parameters in the order of the path."""
    return re.findall(r"\{(\w+)\}", path)
