"""The description of our own API (OpenAPI 3.1), made from its routes; nothing of it is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from django.utils.translation import override

from envol.api.own.ground import BASE, JSON, PROBLEM, PROBLEMS, ProblemDetails, Route
from envol.api.own.routes import ROUTES

_REFUSALS = ("unreadable", "unauthorized", "forbidden", "not-found", "conflict", "too-large", "invalid", "unavailable")
_ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A word of your own for this request. Sent again within 24 hours, the first answer comes back and"
    " nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@cache
def document(base_url: str) -> dict[str, Any]:
    with override("en"):
        return _document(ROUTES, base_url)


def _document(routes: Sequence[Route], base_url: str) -> dict[str, Any]:
    kinds = {ProblemDetails}
    kinds.update(one for route in routes for one in (route.gives, route.body) if one is not None)
    ordered = sorted(kinds, key=str)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(BASE + route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Envol",
            "version": "1",
            "description": "An API key and its secret are given by HTTP Basic. Lists come a page at a time: give"
            " `next` back as `cursor`. Errors are problem+json (RFC 9457).",
        },
        "servers": [{"url": base_url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "basic"}},
            "responses": {"Problem": _problem(schema_of)},
        },
    }


def _problem(schema_of: dict[Any, Any]) -> dict[str, Any]:
    said = "; ".join(f"{status} {title.lower()}" for status, title in PROBLEMS.values())
    return {"description": f"What went wrong: {said}.", "content": {PROBLEM: {"schema": schema_of[ProblemDetails]}}}


def _operation(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if route.gives is not None:
        good["content"] = {JSON: {"schema": schema_of[route.gives]}}
    responses: dict[str, Any] = {str(status): good for status in (route.status, *route.also)}
    for kind in _REFUSALS:
        responses.setdefault(str(PROBLEMS[kind][0]), {"$ref": "#/components/responses/Problem"})
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": str(route.says),
        "description": f"Needs the scope `{route.scope.value}`.",
        "parameters": [*_parameters(route), *([_ONCE] if route.repeats else [])],
        "responses": responses,
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_of[route.body]}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    number = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_999}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": number} for name in route.pattern.groupindex
    ]
    if route.query is None:
        return found
    _, parts = msgspec.json.schema_components([route.query])
    told = parts[route.query.__name__]
    required = told.get("required", [])
    for name, schema in told["properties"].items():
        choices = [one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
        plain = choices[0] | ({} if schema.get("default") in (None, "") else {"default": schema["default"]})
        found.append({"name": name, "in": "query", "required": name in required, "schema": plain})
    return found


def lines(document: dict[str, Any], schema: dict[str, Any], before: str = "") -> list[dict[str, Any]]:
    """The properties of a schema one below the other, as a page shows them: name, type, whether it must be there."""
    schema = _followed(document, schema)
    found: list[dict[str, Any]] = []
    required = schema.get("required", [])
    for name, raw in schema.get("properties", {}).items():
        part = _followed(document, raw)
        choices = [_followed(document, one) for one in part.get("anyOf", [part])]
        kinds = [_type(document, one) for one in choices]
        found.append({"name": before + name, "type": " | ".join(kinds), "required": name in required})
        for one in choices:
            inner = _followed(document, one.get("items", {}) if one.get("type") == "array" else one)
            more = "[]." if one.get("type") == "array" else "."
            if inner.get("properties") and before.count(".") < 1:
                found += lines(document, inner, f"{before}{name}{more}")
    return found


def _followed(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(f'"{one}"' for one in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"{_type(document, _followed(document, schema.get('items', {})))}[]"
    return f"{kind} ({schema['format']})" if "format" in schema else kind
