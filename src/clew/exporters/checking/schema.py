"""JSON Schema, as far as tools use it: does a value fit, and if not, where and why.

A schema comes from another program's file, so it is hostile: nothing is fetched, patterns run in
RE2 (linear time), and looking at one value takes a bounded number of steps, however its parts
refer to one another. A keyword that is not known here demands nothing, as the standard says;
`format` is a remark. Not looked at: `unevaluatedProperties`, `unevaluatedItems`, references to
other documents (such a schema is refused) and patterns that RE2 cannot run.

Source: JSON Schema 2020-12, with what drafts 4 to 7 say otherwise (`items` as a list,
`exclusiveMinimum: true`, `definitions`), and OpenAPI's `nullable`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import re2  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from clew.model import JSON

STEPS_MAX = 200_000
"""So many parts of schemas are held against values for one row."""
DEPTH_MAX = 100


class BadSchema(Exception):
    """It is no schema that can be used; the text says why."""


class TooCostly(Exception):
    """The steps that a row may take are used up."""


class Misfit(NamedTuple):
    """What does not fit: `where` is a path in the value, as `/edits/0/path`."""

    where: str
    text: str


class Steps:
    """How many steps are left."""

    __slots__ = ("left",)

    def __init__(self, left: int = STEPS_MAX) -> None:
        self.left = left


Check = Callable[["JSON", Steps], "Misfit | None"]
_Rule = Callable[["JSON", Steps], "Misfit | None"]
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def compiled(schema: JSON) -> Check:
    """A function that tells what does not fit the schema. Raises `BadSchema`.

    The function raises `TooCostly` when the steps it is given are used up, or the value is
    nested too deep.
    """
    check = _Compiler(schema).at(schema, 0)

    def bounded(value: JSON, steps: Steps) -> Misfit | None:
        try:
            return check(value, steps)
        except RecursionError:
            raise TooCostly from None

    return bounded


def kind(value: JSON) -> str:
    """What a value is called in JSON: `string`, `object`, `null`."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float) and not value.is_integer():
        return "number"
    return next((name for name, types in _TYPES.items() if isinstance(value, types)), "number")


class _Compiler:
    """Makes functions of the parts of one document."""

    def __init__(self, document: JSON) -> None:
        self._document = document
        self._by_reference: dict[str, list[Check]] = {}

    def at(self, schema: JSON, depth: int) -> Check:
        if schema is True:
            return _anything
        if schema is False:
            return _nothing
        if not isinstance(schema, dict):
            raise BadSchema(f"a schema is an object, not {_a(kind(schema))}")
        if depth > DEPTH_MAX:
            raise BadSchema(f"it is nested deeper than {DEPTH_MAX} levels")
        rules = [make(self, schema, depth + 1) for key, make in _KEYWORDS.items() if key in schema]
        made = [rule for rule in rules if rule is not None]
        return _all(made, bool(schema.get("nullable") is True))

    def many(self, value: JSON, keyword: str, depth: int) -> list[Check]:
        if not isinstance(value, list) or not value:
            raise BadSchema(f"{keyword} is a list of schemas, not {_a(kind(value))}")
        return [self.at(one, depth) for one in value]

    def named(self, value: JSON, keyword: str, depth: int) -> dict[str, Check]:
        if not isinstance(value, dict):
            raise BadSchema(f"{keyword} is an object of schemas, not {_a(kind(value))}")
        return {key: self.at(one, depth) for key, one in value.items()}

    def reference(self, target: JSON, depth: int) -> Check:
        """Follow `#`, `#/$defs/x`. What refers to itself is made once."""
        if not isinstance(target, str):
            raise BadSchema("$ref is a string")
        if target not in self._by_reference:
            slot = self._by_reference[target] = []
            slot.append(self.at(_pointed(self._document, target), depth))
        slot = self._by_reference[target]

        def follow(value: JSON, steps: Steps) -> Misfit | None:
            return slot[0](value, steps)

        return follow


def _pointed(document: JSON, target: str) -> JSON:
    if not target.startswith("#"):
        raise BadSchema(f"$ref to another document ({target[:80]!r}) is not followed")
    found = document
    for part in unquote(target[1:]).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise BadSchema(f"$ref {target[:80]!r} leads nowhere")
    if target != "#" and not target.startswith("#/"):
        raise BadSchema(f"$ref by anchor ({target[:80]!r}) is not followed")
    return found


# --- how rules come together ---------------------------------------------------------------


def _anything(value: JSON, steps: Steps) -> Misfit | None:
    del value, steps
    return None


def _nothing(value: JSON, steps: Steps) -> Misfit | None:
    del value, steps
    return Misfit("", "is not allowed here")


def _all(rules: list[_Rule], nullable: bool) -> Check:
    def check(value: JSON, steps: Steps) -> Misfit | None:
        steps.left -= 1
        if steps.left < 0:
            raise TooCostly
        if nullable and value is None:
            return None
        for rule in rules:
            found = rule(value, steps)
            if found is not None:
                return found
        return None

    return check


def _below(name: str | int, found: Misfit) -> Misfit:
    part = str(name).replace("~", "~0").replace("/", "~1")
    return Misfit(f"/{part}{found.where}", found.text)


def _a(name: str) -> str:
    if name == "null":
        return name
    return f"an {name}" if name[0] in "aio" else f"a {name}"


# --- keywords ------------------------------------------------------------------------------


def _type(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    given = schema["type"]
    names = given if isinstance(given, list) else [given]
    for name in names:
        if not isinstance(name, str) or name not in _TYPES:
            raise BadSchema(f"type {name!r:.40} is none of {', '.join(_TYPES)}")
    exact = frozenset(one for name in names for one in _TYPES[name])
    wholes = "integer" in names and "number" not in names
    wanted = " or ".join(_a(name) for name in names)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        if type(value) in exact:
            return None
        if wholes and isinstance(value, float) and value.is_integer():
            return None
        return Misfit("", f"is {_a(kind(value))}; the tool takes {wanted}")

    return check


def _enum(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    given = schema["enum"]
    if not isinstance(given, list):
        raise BadSchema("enum is a list")
    return _one_of(given)


def _const(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    return _one_of([schema["const"]])


def _one_of(values: list[JSON]) -> _Rule:
    keys = {_identity(value) for value in values}
    shown = ", ".join(repr(value)[:40] for value in values[:8]) + (", …" if values[8:] else "")

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        return None if _identity(value) in keys else Misfit("", f"is none of {shown}")

    return check


def _identity(value: JSON) -> object:
    """Equal for values that JSON Schema takes for equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", tuple(_identity(one) for one in value))
    if isinstance(value, dict):
        return ("object", frozenset((key, _identity(one)) for key, one in value.items()))
    return value


def _required(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
    del make, depth
    names = schema["required"]
    if isinstance(names, bool):
        return None  # draft 3 said it of a property; newer drafts say nothing
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadSchema("required is a list of names")

    def check(value: JSON, steps: Steps) -> Misfit | None:
        steps.left -= len(names)
        if type(value) is dict:
            for name in names:
                if name not in value:
                    return Misfit("", f"lacks {name!r:.80}, which the tool requires")
        return None

    return check


class _Properties:
    """Holds each property against what is said of its name, and the others against the rest."""

    def __init__(self, make: _Compiler, schema: dict[str, JSON], depth: int) -> None:
        self._known = make.named(schema.get("properties", {}), "properties", depth)
        given = make.named(schema.get("patternProperties", {}), "patternProperties", depth)
        patterns = [(_pattern_of(pattern), check) for pattern, check in given.items()]
        self._patterns = [(pattern, check) for pattern, check in patterns if pattern is not None]
        others = schema.get("additionalProperties", True)
        # A pattern that RE2 cannot run may allow any name.
        free = others is True or len(self._patterns) < len(patterns)
        self._rest = None if free else make.at(others, depth)
        self._closed = others is False

    def __call__(self, value: JSON, steps: Steps) -> Misfit | None:
        if type(value) is not dict:
            return None
        for name, item in value.items():
            one = self._known.get(name)
            found = one(item, steps) if one is not None else None
            if found is None and (self._patterns or one is None):
                found = self._other(name, item, one is not None, steps)
            if found is not None:
                return _below(name, found)
        return None

    def _other(self, name: str, item: JSON, seen: bool, steps: Steps) -> Misfit | None:
        for pattern, check in self._patterns:
            steps.left -= 1
            if pattern.search(name):
                seen = True
                found = check(item, steps)
                if found is not None:
                    return found
        if seen or self._rest is None:
            return None
        return (
            Misfit("", "is no parameter of the tool") if self._closed else self._rest(item, steps)
        )


def _beside(keyword: str) -> _Make:
    """A keyword that `_properties` or `_items` reads, unless its leader is there and did."""
    leaders = {
        "patternProperties": ("properties",),
        "additionalProperties": ("properties", "patternProperties"),
    }[keyword]

    def make(compiler: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
        if any(leader in schema for leader in leaders):
            return None
        return _Properties(compiler, schema, depth)

    return make


def _items(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
    items = schema.get("items", True)
    if isinstance(items, list):  # drafts 4 to 2019-09
        if "prefixItems" in schema:
            return None
        first, rest = items, schema.get("additionalItems", True)
    else:
        first, rest = schema.get("prefixItems", []), items
    if not isinstance(first, list):
        raise BadSchema("prefixItems is a list of schemas")
    heads = [make.at(one, depth) for one in first]
    tail = None if rest is True else make.at(rest, depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        if type(value) is not list:
            return None
        for index, item in enumerate(value):
            one = heads[index] if index < len(heads) else tail
            if one is None:
                return None
            found = one(item, steps)
            if found is not None:
                return _below(index, found)
        return None

    return check


def _prefix(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
    return None if "items" in schema else _items(make, schema, depth)


def _all_of(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    checks = make.many(schema["allOf"], "allOf", depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        for one in checks:
            found = one(value, steps)
            if found is not None:
                return found
        return None

    return check


def _any_of(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    checks = make.many(schema["anyOf"], "anyOf", depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        first: Misfit | None = None
        for one in checks:
            found = one(value, steps)
            if found is None:
                return None
            # What went deepest is the alternative that was meant.
            if first is None or found.where.count("/") > first.where.count("/"):
                first = found
        return first

    return check


def _exactly_one(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    checks = make.many(schema["oneOf"], "oneOf", depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        found = [one(value, steps) for one in checks]
        fitting = found.count(None)
        if fitting == 1:
            return None
        if fitting > 1:
            return Misfit("", f"fits {fitting} of the alternatives that exclude one another")
        return found[0]

    return check


def _not(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    inner = make.at(schema["not"], depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        return Misfit("", "is what the tool excludes") if inner(value, steps) is None else None

    return check


def _if(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    condition = make.at(schema["if"], depth)
    then = make.at(schema.get("then", True), depth)
    otherwise = make.at(schema.get("else", True), depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        chosen = then if condition(value, steps) is None else otherwise
        return chosen(value, steps)

    return check


def _ref(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    return make.reference(schema["$ref"], depth)


def _property_names(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    inner = make.at(schema["propertyNames"], depth)

    def check(value: JSON, steps: Steps) -> Misfit | None:
        for name in value if type(value) is dict else ():
            found = inner(name, steps)
            if found is not None:
                return Misfit("", f"has a name that the tool does not take: {name!r:.80}")
        return None

    return check


def _dependent(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    given = schema["dependentRequired"]
    if not isinstance(given, dict) or not all(isinstance(one, list) for one in given.values()):
        raise BadSchema("dependentRequired is an object of lists of names")

    def check(value: JSON, steps: Steps) -> Misfit | None:
        if type(value) is dict:
            for name, others in given.items():
                steps.left -= 1 + len(others)
                lacking = [one for one in others if one not in value] if name in value else []
                if lacking:
                    return Misfit("", f"lacks {lacking[0]!r:.80}, which {name!r:.80} demands")
        return None

    return check


def _contains(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    inner = make.at(schema["contains"], depth)
    least = _number(schema.get("minContains", 1), "minContains")
    most = schema.get("maxContains")
    top = None if most is None else _number(most, "maxContains")

    def check(value: JSON, steps: Steps) -> Misfit | None:
        if type(value) is not list:
            return None
        count = sum(inner(item, steps) is None for item in value)
        if count < least or (top is not None and count > top):
            return Misfit("", f"holds {count} items of the kind that the tool counts")
        return None

    return check


def _unique(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
    del make, depth
    if schema["uniqueItems"] is not True:
        return None

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        if type(value) is list and len({_identity(item) for item in value}) < len(value):
            return Misfit("", "holds the same item twice")
        return None

    return check


def _pattern(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
    del make, depth
    given = schema["pattern"]
    if not isinstance(given, str):
        raise BadSchema("pattern is a string")
    pattern = _pattern_of(given)
    if pattern is None:
        return None

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        if type(value) is str and not pattern.search(value):
            return Misfit("", f"does not match {given!r:.80}")
        return None

    return check


def _pattern_of(text: str) -> re2._Regexp | None:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeEncodeError):
        return None


# --- bounds --------------------------------------------------------------------------------


def _number(value: JSON, keyword: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSchema(f"{keyword} is a number")
    return value


def _numeric(value: JSON) -> int | float | None:
    return value if type(value) in (int, float) else None


def _minimum(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    bound, strict = _number(schema["minimum"], "minimum"), schema.get("exclusiveMinimum") is True

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        number = _numeric(value)
        if number is None or number > bound or (number == bound and not strict):
            return None
        return Misfit("", f"is less than {bound}, or not more, as the tool demands")

    return check


def _maximum(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    bound, strict = _number(schema["maximum"], "maximum"), schema.get("exclusiveMaximum") is True

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        number = _numeric(value)
        if number is None or number < bound or (number == bound and not strict):
            return None
        return Misfit("", f"is more than {bound}, or not less, as the tool demands")

    return check


def _exclusive(keyword: str) -> _Make:
    def make(compiler: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule | None:
        del compiler, depth
        if isinstance(schema[keyword], bool):
            return None  # draft 4: read with its bound
        bound = _number(schema[keyword], keyword)
        low = keyword == "exclusiveMinimum"

        def check(value: JSON, steps: Steps) -> Misfit | None:
            del steps
            number = _numeric(value)
            if number is None or (number > bound if low else number < bound):
                return None
            return Misfit("", f"is not {'more' if low else 'less'} than {bound}")

        return check

    return make


def _multiple(make: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
    del make, depth
    given = _number(schema["multipleOf"], "multipleOf")
    if given <= 0:
        raise BadSchema("multipleOf is more than zero")
    unit = Fraction(repr(given))

    def check(value: JSON, steps: Steps) -> Misfit | None:
        del steps
        number = _numeric(value)
        if number is None or Fraction(repr(number)) % unit == 0:
            return None
        return Misfit("", f"is no multiple of {given}")

    return check


def _length(keyword: str) -> _Make:
    kinds: dict[str, tuple[type[str] | type[list[JSON]] | type[dict[str, JSON]], str]] = {
        "Length": (str, "characters"),
        "Items": (list, "items"),
        "Properties": (dict, "keys"),
    }
    of, counted = kinds[keyword[3:]]
    least = keyword.startswith("min")

    def make(compiler: _Compiler, schema: dict[str, JSON], depth: int) -> _Rule:
        del compiler, depth
        bound = _number(schema[keyword], keyword)

        def check(value: JSON, steps: Steps) -> Misfit | None:
            del steps
            if not isinstance(value, of):
                return None
            count = len(value)
            if count == bound or (count > bound) == least:
                return None
            more = "at least" if least else "at most"
            return Misfit("", f"has {count:,} {counted}; the tool takes {more} {bound:,}")

        return check

    return make


_Make = Callable[["_Compiler", "dict[str, JSON]", int], "_Rule | None"]
_KEYWORDS: dict[str, _Make] = {
    "$ref": _ref,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _Properties,
    "patternProperties": _beside("patternProperties"),
    "additionalProperties": _beside("additionalProperties"),
    "items": _items,
    "prefixItems": _prefix,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _exactly_one,
    "not": _not,
    "if": _if,
    "propertyNames": _property_names,
    "dependentRequired": _dependent,
    "contains": _contains,
    "uniqueItems": _unique,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "exclusiveMinimum": _exclusive("exclusiveMinimum"),
    "exclusiveMaximum": _exclusive("exclusiveMaximum"),
    "multipleOf": _multiple,
} | {
    f"{end}{what}": _length(f"{end}{what}")
    for end in ("min", "max")
    for what in ("Length", "Items", "Properties")
}
