"""Queries in FTS5's syntax, written from the tree: what a user typed never gets here as it is.

Filters are terms of the `scope` column: `s12` the session, `p3` the project, `t…` a tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid
from clew.search.documents import KINDS
from clew.search.index import Doc, Filters, tool_word
from clew.search.query import All, Either, Node, Words

if TYPE_CHECKING:
    from collections.abc import Iterable


class Rendered(msgspec.Struct):
    """A query in FTS5's syntax, and its phrases in the order in which FTS5 counts them:
    `None` for those that add nothing to the score (filters, and what must not be there).
    """

    text: str
    phrases: list[Words | None]


def rendered(query: Node, filters: Filters) -> Rendered | None:
    """The query with its filters; `None` when no document can match."""
    if filters.kinds == () or filters.session == ():
        return None
    phrases: list[Words | None] = []
    scopes = []
    if filters.session is not None:
        scopes.append([f"s{session}" for session in filters.session])
    if filters.project is not None:
        scopes.append([f"p{filters.project}"])
    if filters.tool is not None:
        scopes.append([tool_word(filters.tool)])
    parts = []
    for options in scopes:
        phrases += [None] * len(options)
        parts.append(f"(scope : ({' OR '.join(options)}))")
    columns = "- scope" if filters.kinds is None else "{" + " ".join(_known(filters.kinds)) + "}"
    parts.append(f"({columns} : ({_expression(query, phrases)}))")
    return Rendered(" AND ".join(parts), phrases)


def _known(kinds: Iterable[str]) -> list[str]:
    """Kinds become names of columns, so only ours may pass."""
    found = list(kinds)
    for kind in found:
        if kind not in KINDS:
            raise Invalid(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    return found


def _expression(node: Node, phrases: list[Words | None], counts: bool = True) -> str:
    if isinstance(node, Words):
        phrases.append(node if counts else None)
        return f'"{" ".join(node.tokens)}"' + (" *" if node.prefix else "")
    if isinstance(node, Either):
        return f"({' OR '.join(_expression(each, phrases, counts) for each in node.options)})"
    return _all(node, phrases, counts)


def _all(node: All, phrases: list[Words | None], counts: bool) -> str:
    must = " AND ".join(_expression(each, phrases, counts) for each in node.must)
    if not node.no:
        return f"({must})"
    no = " OR ".join(_expression(each, phrases, False) for each in node.no)
    return f"(({must}) NOT ({no}))"


def scope_of(doc: Doc) -> str:
    """What the `scope` column holds of a document."""
    return " ".join((f"s{doc.session}", f"p{doc.project}", *map(tool_word, doc.tools)))
