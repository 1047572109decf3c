"""The OpenAPI 3.1 document, derived from the table of routes and the types it names."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

import clew
from clew import wire
from clew.server.routes import OPEN, ROUTES, Route

SCHEMAS = "#/components/schemas/{name}"
LEASE = {
    "name": "Clew-Lease",
    "in": "header",
    "required": False,
    "description": "The token of the lease that the caller holds on the session.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}
_ABOUT = (
    "The durable session ledger for LLM agents. Every answer to a write comes after its commit. "
    "Times are Unix milliseconds unless a name ends in another unit. Errors are "
    "`application/problem+json`; their `type` is `urn:clew:problem:<name>`. The header "
    "`Clew-Project`, a percent-encoded name, confines a request to one project."
)

Schema = dict[str, Any]


@cache
def encoded() -> bytes:
    """The document as JSON."""
    return wire.encode(document())


def document() -> Schema:
    """The whole document."""
    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template=SCHEMAS)
    known = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Clew",
            "version": clew.__version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "clew_<id>_<secret>"}
            },
        },
    }


def _types() -> list[Any]:
    """Every type that a body has, once."""
    found = {repr(wire.Problem): wire.Problem}
    for route in ROUTES:
        for kind in (route.takes, route.gives):
            if kind is not None and not isinstance(kind, str | tuple):
                found.setdefault(repr(kind), kind)
    return list(found.values())


def _operation(route: Route, known: dict[str, Schema]) -> Schema:
    told: Schema = {
        "operationId": route.name,
        "tags": [route.name.partition(".")[0]],
        "summary": route.summary,
        "x-clew-scope": route.scope,
        "security": [] if route.scope == OPEN else [{"token": []}],
        "parameters": [*_path(route), *_query(route)],
        "responses": _responses(route, known),
    }
    if isinstance(route.takes, tuple):
        told["requestBody"] = {"content": _raw(route.takes)}
    elif route.takes is not None:
        schema = known[repr(route.takes)]
        told["requestBody"] = {
            "required": bool(_fields(route.takes)[1]),
            "content": {"application/json": {"schema": schema}},
        }
    if "{session}" in route.path and route.method != "GET":
        told["parameters"].append(LEASE)
    return told


def _path(route: Route) -> list[Schema]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in names
    ]


def _fields(kind: Any) -> tuple[Schema, list[str]]:
    """A struct's properties and which of them are required, with nothing by reference."""
    (_,), components = msgspec.json.schema_components([kind], ref_template=SCHEMAS)
    told = components[kind.__name__]
    return told["properties"], told["required"]


def _query(route: Route) -> list[Schema]:
    if route.query is None:
        return []
    properties, required = _fields(route.query)
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(schema)}
        for name, schema in properties.items()
    ]


def _plain(schema: Schema) -> Schema:
    """A field of a query: what is not given is not there, and never null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        schema = {**schema, **choices[0]}
        del schema["anyOf"]
    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    return schema


def _raw(media_types: tuple[str, ...]) -> Schema:
    """Bodies that another specification describes."""
    return {name: {"schema": {}} for name in media_types}


def _responses(route: Route, known: dict[str, Schema]) -> Schema:
    problem = {"application/problem+json": {"schema": known[repr(wire.Problem)]}}
    if isinstance(route.gives, tuple):
        content = _raw(route.gives)
        problem |= content
    elif isinstance(route.gives, str):
        content = {route.gives: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": known[repr(route.gives)]}}
    return {
        str(route.status): {"description": route.summary, "content": content},
        "default": {"description": "What went wrong.", "content": problem},
    }
