"""The tree of messages in one chat of Open WebUI, in an order in which it can be told.

A chat's JSON holds all of them; newer versions keep a row a message as well, and go by the rows.
What both tell is the row's. Parents come before their children, and of several children the one
last that leads to the current message.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from clew.canonical import canonical, mark_halves, parse
from clew.importers import database
from clew.importers.facts import text
from clew.shapes.base import as_list, compact

_ROW_NAMES: Final = {
    "role": "role",
    "parent_id": "parentId",
    "content": "content",
    "output": "output",
    "model_id": "model",
    "files": "files",
    "sources": "sources",
    "embeds": "embeds",
    "meta": "meta",
    "done": "done",
    "status_history": "statusHistory",
    "error": "error",
    "usage": "usage",
    "context_summary": "contextSummary",
    "created_at": "timestamp",
}
"""What a row's columns are called in a chat's JSON."""
_OWN_TEXT: Final = frozenset({"role", "parent_id", "model_id", "context_summary"})
_NOT_SAID: Final = ("childrenIds", "lastSentence")
"""What changes in a message when another is said."""
_MARKER: Final = b"\x7f"


class Node(msgspec.Struct):
    """A message: its id, the one that it answers, itself, and its JSON on one line."""

    id: str
    parent: str | None
    value: dict[str, Any]
    raw: bytes

    @property
    def said(self) -> bytes:
        """By what a change of it is told."""
        kept = {key: each for key, each in self.value.items() if key not in _NOT_SAID}
        return canonical(kept)


class Chat(msgspec.Struct):
    """A chat: what its row says without the messages, and these in their order."""

    facts: dict[str, Any]
    nodes: list[Node]
    note: str | None = None


def read(row: dict[str, Any], message_rows: list[dict[str, Any]]) -> Chat:
    """The chat of a row of `chat`, with its rows of `chat_message`."""
    outer, note = _outer(row.get("chat"))
    history = _members(outer.pop("history", None))
    flat = outer.pop("messages", None)
    nodes = _nodes(_members(history.get("messages")))
    if not nodes:
        nodes = _flat(flat)
    for each in message_rows:
        _add_row(nodes, each, str(row.get("id")))
    current = row.get("current_message_id") or plain(history.get("currentId"))
    ordered = _ordered(nodes, current if isinstance(current, str) else None)
    facts = {key: value for key, value in row.items() if key not in ("chat", "share_id")}
    told = outer if note is None else {"data": row["chat"]}
    return Chat(facts | {"chat": told}, ordered, note)


def _outer(told: object) -> tuple[dict[str, Any], str | None]:
    """The members of a chat's JSON, each as it stands there."""
    raw = told.encode("utf-8", "surrogatepass") if isinstance(told, str) else told
    found = _members(raw if isinstance(raw, bytes) else None)
    if not found and told not in (None, "{}"):
        return {}, "a chat that is no JSON object"
    return dict(found), None


def _members(raw: bytes | msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """The members of an object, each as it stands there; none of what is no object. Halves of
    surrogate pairs, which UTF-8 cannot hold, stay as they are.
    """
    data = bytes(raw or b"")
    try:
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        pass
    if _MARKER in data:
        return {}
    try:
        found = msgspec.json.decode(mark_halves(data, _MARKER), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {key: msgspec.Raw(bytes(v).replace(_MARKER, b"\\")) for key, v in found.items()}


def plain(raw: msgspec.Raw | None) -> Any:
    """What a member says; `None` when it says nothing that can be read."""
    try:
        return None if raw is None else parse(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _node(id: str, raw: msgspec.Raw) -> Node:
    """A message; one that is no object is kept, and says nothing."""
    found = plain(raw)
    value: dict[str, Any] = found if isinstance(found, dict) else {}
    line = bytes(raw).strip().replace(b"\r", b" ").replace(b"\n", b" ")
    return Node(id, text(value, "parentId"), value, line)


def _nodes(messages: dict[str, msgspec.Raw]) -> dict[str, Node]:
    return {id: _node(id, raw) for id, raw in messages.items()}


def _flat(told: msgspec.Raw | None) -> dict[str, Node]:
    """The messages of an early chat: a list, each answering the one before it."""
    try:
        raws = msgspec.json.decode(bytes(told or b"[]"), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = plain(told)
        raws = [msgspec.Raw(compact(each).encode()) for each in as_list(value)]
    found: dict[str, Node] = {}
    before: str | None = None
    for number, raw in enumerate(raws):
        node = _node(f"message-{number}", raw)
        node.id = text(node.value, "id") or node.id
        node.parent = node.parent or before
        found[node.id] = node
        before = node.id
    return found


def _add_row(nodes: dict[str, Node], row: dict[str, Any], chat: str) -> None:
    """Add a message's row, or what it tells of a message that is there."""
    id = str(row.get("id")).removeprefix(f"{chat}-")
    known = nodes.get(id)
    told = {
        _ROW_NAMES[key]: value if key in _OWN_TEXT else _column(value)
        for key, value in row.items()
        if key in _ROW_NAMES and value is not None
    }
    told = {key: value for key, value in told.items() if value is not None}
    if "done" in told:
        told["done"] = bool(told["done"])
    if known is not None:
        # A row says that an answer ended until it is told otherwise.
        told.pop("done", None)
        when = {"timestamp": known.value["timestamp"]} if "timestamp" in known.value else {}
        told = known.value | told | when
    value = {"id": id} | told
    raw = compact(value).encode()
    nodes[id] = Node(id, text(value, "parentId"), value, raw)


def _column(value: Any) -> Any:
    """What a JSON column says; text that is no JSON is text."""
    found = database.embedded(value)
    return parse(bytes(found)) if isinstance(found, msgspec.Raw) else found


def _ordered(nodes: dict[str, Node], current: str | None) -> list[Node]:
    """Parents before children, the way to the current message last of each."""
    way: set[str] = set()
    at = current
    while at is not None and at in nodes and at not in way:
        way.add(at)
        at = nodes[at].parent
    children: dict[str | None, list[str]] = {}
    for id, node in nodes.items():
        if node.parent not in nodes or node.parent == id:
            node.parent = None  # what it answers is gone
        children.setdefault(node.parent, []).append(id)
    found: list[Node] = []
    seen: set[str] = set()
    stack = _last_first(children.get(None, []), way)
    while stack:
        id = stack.pop()
        if id not in seen:
            seen.add(id)
            found.append(nodes[id])
            stack += _last_first(children.get(id, []), way)
    # Messages that answer one another in a circle answer nothing.
    lost = [Node(n.id, None, n.value, n.raw) for id, n in nodes.items() if id not in seen]
    return lost + found


def _last_first(ids: list[str], way: set[str]) -> list[str]:
    """Siblings as a stack gives them back: the current one last."""
    return [id for id in ids if id in way] + [id for id in reversed(ids) if id not in way]
