"""Schemas of tools: held to a complete implementation, and safe with hostile ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.exporters.checking.schema import BadSchema, Misfit, Steps, TooCostly, compiled

if TYPE_CHECKING:
    from clew.model import JSON

_names = st.sampled_from(["a", "b", "c/d", "e~f", ""])
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 0.5, -2.5, 1e300])
    | st.sampled_from(["", "a", "ab", "ä", "zz9"])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_types = st.sampled_from(["string", "boolean", "array", "object", "null", "integer", "number"])
_bounds = st.integers(0, 3)


def _schemas() -> st.SearchStrategy[Any]:
    leaf = st.booleans() | st.fixed_dictionaries(
        {},
        optional={
            "type": _types | st.lists(_types, min_size=1, max_size=2, unique=True),
            "enum": st.lists(_values, min_size=1, max_size=3),
            "const": _values,
            "minimum": st.integers(-2, 2),
            "maximum": st.integers(-2, 2),
            "exclusiveMinimum": st.sampled_from([-1, 0.5]),
            "exclusiveMaximum": st.sampled_from([-1, 0.5]),
            "multipleOf": st.sampled_from([1, 2, 0.5, 0.1]),
            "minLength": _bounds,
            "maxLength": _bounds,
            "minItems": _bounds,
            "maxItems": _bounds,
            "minProperties": _bounds,
            "maxProperties": _bounds,
            "pattern": st.sampled_from(["^a", "b$", "[0-9]"]),
            "uniqueItems": st.booleans(),
            "required": st.lists(_names, max_size=2, unique=True),
            "format": st.just("uri"),
            "x-unknown": st.just(1),
        },
    )
    return st.recursive(leaf, _wider, max_leaves=6)


def _wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(_names, inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": _types,
            "properties": named,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
            "additionalProperties": inner,
            "propertyNames": inner,
            "dependentRequired": st.dictionaries(_names, st.lists(_names, unique=True), max_size=2),
            "items": inner,
            "prefixItems": some,
            "contains": inner,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


def _fits(schema: JSON, value: JSON) -> bool:
    return compiled(schema)(value, Steps()) is None


@given(_schemas(), _values)
def test_it_agrees_with_a_complete_implementation(schema: Any, value: Any) -> None:
    judge = jsonschema_rs.Draft202012Validator(schema, validate_formats=False)
    assert _fits(schema, value) == judge.is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"required": ["command"]}, {}, ("", "lacks 'command', which the tool requires")),
        (
            {"properties": {"n": {"type": ["integer", "null"]}}},
            {"n": "3"},
            ("/n", "is a string; the tool takes an integer or null"),
        ),
        (
            {"properties": {"edits": {"items": {"additionalProperties": False}}}},
            {"edits": [{}, {"a/b": 1}]},
            ("/edits/1/a~1b", "is no parameter of the tool"),
        ),
        (
            {"anyOf": [{"type": "string"}, {"properties": {"a": {"enum": ["x", "y"]}}}]},
            {"a": "z"},
            ("/a", "is none of 'x', 'y'"),
        ),
    ],
)
def test_it_says_where_and_what(schema: JSON, value: JSON, found: tuple[str, str]) -> None:
    assert compiled(schema)(value, Steps()) == Misfit(*found)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"minimum": 1, "exclusiveMinimum": True}, 2, 1),
        ({"maximum": 1, "exclusiveMaximum": True}, 0, 1),
        ({"items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", "b"]),
        ({"type": "string", "nullable": True}, None, 1),
        ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "null"}}}, None, 1),
        ({"$ref": "#/allOf/0", "allOf": [{"type": "string"}]}, "a", 1),
        ({"properties": {"a": {"$ref": "#"}}, "type": "object"}, {"a": {"a": {}}}, {"a": {"a": 1}}),
    ],
)
def test_it_reads_older_drafts_and_references(schema: JSON, good: JSON, bad: JSON) -> None:
    assert _fits(schema, good)
    assert not _fits(schema, bad)


@pytest.mark.parametrize("pattern", ["(?<=a)b", "(a{1000}){1000}"])
def test_a_pattern_that_re2_cannot_run_demands_nothing(pattern: str) -> None:
    assert _fits({"pattern": pattern}, "x")
    assert _fits({"patternProperties": {pattern: False}, "additionalProperties": False}, {"a": 1})


@pytest.mark.parametrize(
    "schema",
    [
        3,
        None,
        {"type": "STRING"},
        {"type": [1]},
        {"enum": "a"},
        {"properties": []},
        {"required": "a"},
        {"required": [1]},
        {"allOf": {}},
        {"anyOf": []},
        {"minimum": "1"},
        {"multipleOf": 0},
        {"pattern": 1},
        {"prefixItems": {}},
        {"dependentRequired": {"a": "b"}},
        {"minLength": True},
        {"$ref": 1},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#anchor"},
    ],
)
def test_what_is_no_schema_is_refused(schema: JSON) -> None:
    with pytest.raises(BadSchema):
        compiled(schema)


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema: JSON = {}
    for _ in range(300):
        schema = {"not": schema}
    with pytest.raises(BadSchema, match="deeper"):
        compiled(schema)


def test_references_that_multiply_come_to_an_end() -> None:
    defs: dict[str, JSON] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)
    }
    schema: JSON = {"$ref": "#/$defs/d0", "$defs": {**defs, "d40": True}}
    with pytest.raises(TooCostly):
        compiled(schema)({}, Steps())


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}])
def test_a_schema_that_only_refers_to_itself_comes_to_an_end(schema: JSON) -> None:
    with pytest.raises(TooCostly):
        compiled(schema)({}, Steps())


def test_many_rules_on_many_values_come_to_an_end() -> None:
    schema: JSON = {"items": {"allOf": [{"type": "integer"}] * 2000}}
    with pytest.raises(TooCostly):
        compiled(schema)([1] * 2000, Steps())


def test_a_value_nested_deeper_than_the_stack_is_too_costly() -> None:
    value: JSON = {}
    for _ in range(5000):
        value = {"a": value}
    with pytest.raises(TooCostly):
        compiled({"properties": {"a": {"$ref": "#"}}})(value, Steps())
    with pytest.raises(TooCostly):
        compiled({"enum": [1]})(value, Steps())
