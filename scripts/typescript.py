"""TypeScript types of a JSON Schema, as far as msgspec writes one. What it could not say exactly
it refuses, so that the types are never looser than the schema without a word.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Schema = dict[str, Any]

_PLAIN = {"integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_NAME = re.compile(r"[A-Za-z_]\w*")
_IGNORED = {
    *("title", "description", "default", "discriminator", "required", "type"),
    # What no type can say.
    *("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "contentEncoding", "propertyNames"),
}


def types(schemas: Mapping[str, Schema], notice: str) -> str:
    """A module that exports a type for each of the named schemas."""
    pieces = [f"// {notice}"]
    pieces += ["\n".join(_declared(name, schema)) for name, schema in sorted(schemas.items())]
    return "\n\n".join(pieces) + "\n"


def _declared(name: str, schema: Schema) -> Iterator[str]:
    yield from _comment(schema)
    if "properties" not in schema:
        yield f"export type {name} = {_type(schema)};"
        return
    required = set(schema.get("required", ()))
    yield f"export interface {name} {{"
    for field, told in schema["properties"].items():
        yield from (f"  {line}" for line in _comment(told))
        shown = field if _NAME.fullmatch(field) else json.dumps(field)
        yield f"  {shown}{'' if field in required else '?'}: {_type(told)};"
    yield "}"


def _comment(schema: Schema) -> Iterator[str]:
    lines = [line.strip() for line in schema.get("description", "").splitlines()]
    if len(lines) == 1:
        yield f"/** {lines[0]} */"
    elif lines:
        yield from ("/**", *(f" * {line}".rstrip() for line in lines), " */")


def _type(schema: Schema) -> str:
    rest = set(schema) - _IGNORED
    if rest <= {"$ref"} and "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if rest == {"enum"}:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if rest == {"anyOf"}:
        return " | ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    return _by_kind(schema, rest)


def _by_kind(schema: Schema, rest: set[str]) -> str:
    kind = schema.get("type")
    if kind == "array" and rest == {"items"}:
        return f"Array<{_type(schema['items'])}>"
    if kind == "object" and rest <= {"additionalProperties"}:
        inner = schema.get("additionalProperties", {})
        return f"Record<string, {_type(inner) if isinstance(inner, dict) else 'unknown'}>"
    if rest:
        raise ValueError(f"no TypeScript is known for {schema}")
    if kind == "string":
        return "string"
    return _PLAIN[kind] if kind else "unknown"
