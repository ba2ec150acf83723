"""The OpenAPI document as a page for people: one HTML file without scripts, made here."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from hwdash.server.answer_headers import page_headers

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { background: #f4f4f4; color: #111; padding: 0.75rem; overflow: auto; }
table { border-collapse: collapse; } td, th { text-align: left; padding: 0.2rem 1rem 0.2rem 0; vertical-align: top; }
"""
PAGE_HEADERS = page_headers(_STYLE)


def docs_page(document: dict[str, Any]) -> str:
    """The page."""
    info = document["info"]
    return "".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>',
            f"<style>{_STYLE}</style><main><h1>{escape(info['title'])} {escape(info['version'])}: API</h1>",
            f'<p>{escape(info["description"])}</p><p><a href="/openapi.json">The OpenAPI document</a></p>',
            *_operations(document["paths"]),
            "<h2>Schemas</h2>",
            *(
                f'<h3 id="{escape(name)}">{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=1))}</pre>'
                for name, schema in document["components"]["schemas"].items()
            ),
            "</main></html>",
        ]
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f'<section id="{escape(operation["operationId"])}">'
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p><table>"
            for parameter in operation["parameters"]:
                yield _row(parameter["name"], parameter["in"], parameter["schema"])
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                yield _row("body", kind, content.get("schema", {}))
            for status, answer in operation["responses"].items():
                kinds = answer.get("content", {"": {}})
                for content in kinds.values():
                    yield _row(status, answer["description"], content.get("schema", {}))
            yield "</table></section>"


def _row(name: str, what: str, schema: dict[str, Any]) -> str:
    shown = schema.get("$ref", "").rpartition("/")[2]
    said = f'<a href="#{escape(shown)}">{escape(shown)}</a>' if shown else f"<code>{escape(json.dumps(schema))}</code>"
    return f"<tr><th>{escape(name)}</th><td>{escape(what)}</td><td>{said if schema else ''}</td></tr>"
