"""Open WebUI: chats in `webui.db`, each a tree of messages in one JSON text.

    chat(id, user_id, title, chat, created_at, updated_at, …)     seconds
      chat: {history: {messages: {<id>: {…}}, currentId}, models, params, originalChatId, …}
    chat_message(id, chat_id, role, parent_id, content, …)        newer: a row a message as well

An answer made anew and the answers of several models are siblings in the tree. The format is
described in `docs/formats/open-webui.md`.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import content_id
from clew.importers import database, open_webui_tree, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, text
from clew.importers.open_webui_records import (
    FORMAT,
    REST,
    RESULTS,
    SUMMARY,
    classify,
    has_rest,
    has_results,
    is_written,
    message_of,
    summary_of,
    told_at,
    typed,
    usage_of,
)
from clew.model import JSON, Kind, Origin, Reason, Record
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from clew.importers.open_webui_tree import Chat, Node

name = "open-webui"
formats: tuple[str, ...] = (FORMAT, RESULTS, REST, SUMMARY)

NEEDED: Final = {"chat": ("id", "user_id", "title", "chat", "created_at", "updated_at")}
_TABLES = (*NEEDED, "chat_message")
ABOUT: Final = ":chat"
_SHARED: Final = "shared-"
"""How the owner of a shared chat's copy begins; the chat's id follows."""
RANK_PROMPT, RANK_TITLE = 1, 2
QUIET_S: Final = 60
"""An answer that was not ended, in a chat that was not touched for so long, never will be."""
_UNTITLED: Final = ("New Chat", "")
_BEHIND: Final = re.compile(r"(?:/(?:results|rest|summary))+\Z")
"""How the names of the entries end that a message makes behind its own."""


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """The database where the program's settings say, and where its manual puts it."""
    kind = type(home)
    found = [home / ".open-webui" / "webui.db"]
    if env.get("DATA_DIR"):
        found.insert(0, kind(env["DATA_DIR"]) / "webui.db")
    scheme, _, told = env.get("DATABASE_URL", "").partition(":///")
    if scheme == "sqlite" and told:
        found.insert(0, kind(told))
    return [path for path in dict.fromkeys(found) if path.is_absolute() and path.is_file()]


def identify(path: Path) -> bool:
    """True for a database with the program's table of chats."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[Chats]:
    """See `Store.look`."""
    with database.opened(path, _TABLES) as found:
        yield Chats(found)


def open(path: Path, thread: str, state: bytes | None = None) -> ChatReader:
    """See `Store.open`. No project is told."""
    return ChatReader(Origin(mended(thread), name)).resumed(state)


class Chats:
    """See `base.Look`."""

    def __init__(self, found: database.Database) -> None:
        self._database = found
        self._rows = "chat_message" in found.tables
        self._ids: dict[str, tuple[int, str | None, frozenset[str]]] = {}

    def threads(self) -> list[Thread]:
        """See `Look.threads`. A clone is made later than its original. What a chat looked like
        when it was shared is one only when the chat is gone.
        """
        chats = self._database.rows(
            "select id, title, created_at, updated_at, length(chat) as size from chat "
            "where user_id is null or user_id not like 'shared-%' "
            "or substr(user_id, 8) not in (select id from chat) order by created_at, id"
        )
        written: dict[str, str] = {}
        if self._rows:
            query = (
                "select chat_id, count(*), max(updated_at), sum(length(content)), "
                "sum(length(output)) from chat_message group by chat_id"
            )
            for row in self._database.rows(query):
                written[str(row["chat_id"])] = str(list(row.values()))
        return [
            Thread(str(row["id"]), database.mark(*row.values(), written.get(str(row["id"]))))
            for row in chats
        ]

    def _chat(self, thread: str) -> Chat | None:
        found = self._database.rows("select * from chat where id = ?", thread)
        if not found:
            return None
        messages: list[dict[str, Any]] = []
        if self._rows:
            query = "select * from chat_message where chat_id = ? order by created_at, id"
            messages = self._database.rows(query, thread)
        return open_webui_tree.read(found[0], messages)

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. What the chat says of itself stands behind what it copied."""
        chat = self._chat(thread)
        if chat is None:
            return
        quiet = time.time() - _seconds(chat.facts.get("updated_at")) >= QUIET_S
        told = False
        for node in chat.nodes:
            copy = self._copy_of(chat, node)
            if copy is None and not told:
                yield _about(chat)
                told = True
            of = msgspec.json.encode(copy or f"{thread}/{node.id}")
            body = b'{"of":' + of + b',"message":' + node.raw + b"}"
            writing = not quiet and is_written(node.value)
            after = node.parent or rows.ROOT
            yield Item(node.id, body, after=after, open=writing, said=node.said, copy_of=copy)
        if not told:
            yield _about(chat)

    def _copy_of(self, chat: Chat, node: Node) -> str | None:
        """The name of the message that this one is a copy of: a clone has all messages of its
        original under their own ids.
        """
        found: str | None = None
        made, original = _seconds(chat.facts.get("created_at")), _original(chat)
        seen: set[str] = set()
        while original is not None and original not in seen:
            seen.add(original)
            known = self._known(original)
            if known is None:
                copied = 0 < (told_at(node.value) or 0) <= made * 1000
                return f"{original}/{node.id}" if copied else found
            if node.id not in known[2]:
                return found
            found = f"{original}/{node.id}"
            made, original = known[:2]
        return found

    def _known(self, chat: str) -> tuple[int, str | None, frozenset[str]] | None:
        """When a chat was made, its own original, and the ids of its messages."""
        if chat not in self._ids:
            found = self._chat(chat)
            if found is None:
                return None
            made = _seconds(found.facts.get("created_at"))
            ids = frozenset(node.id for node in found.nodes)
            self._ids[chat] = (made, _original(found), ids)
        return self._ids[chat]


def _original(chat: Chat) -> str | None:
    """The chat that a clone, or what was shared, was made from."""
    owner = chat.facts.get("user_id")
    if isinstance(owner, str) and owner.startswith(_SHARED):
        return owner.removeprefix(_SHARED)
    told = chat.facts["chat"].get("originalChatId")
    value = open_webui_tree.plain(told)
    return value if isinstance(value, str) and value != chat.facts.get("id") else None


def _seconds(stamp: object) -> int:
    """A time in seconds; 0 where there is none."""
    if not isinstance(stamp, int) or not 0 < stamp < 10**14:
        return 0
    return stamp // 1000 if stamp >= 10**11 else stamp


def _about(chat: Chat) -> Item:
    facts = dict(chat.facts)
    for key in ("meta", "variables", "tasks"):
        facts[key] = database.embedded(facts.get(key))
    facts["chat"] = msgspec.Raw(database.line(facts["chat"]))
    facts = {key: value for key, value in facts.items() if value is not None}
    said = {key: value for key, value in facts.items() if key not in _MOVING}
    body = database.line({"chat": msgspec.Raw(database.line(facts))})
    return Item(ABOUT, body, aside=True, note=chat.note, said=database.line(said))


_MOVING: Final = ("updated_at", "current_message_id", "last_read_at")
"""What changes with every message or look: no reason to keep the chat's facts anew."""


class ChatReader(rows.ItemReader):
    """Reads one chat."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`. What the calls gave back, what was said behind them, and
        the summary that stands for all before come behind the message.
        """
        message = self._told(item, value, record)
        if record.kind is not Kind.MESSAGE or message is None:
            return []
        name = record.native_id or ""
        return [*self._behind(message, record), *self._summed(item.key, message, record, name)]

    def mend(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.mend`. A summary that an earlier message of this way got later
        is said where the chat stands now.
        """
        message = self._told(item, value, record)
        said = record.kind is Kind.MESSAGE and message is not None and item.key in self._way()
        if record.kind is not Kind.UNKNOWN:
            record.kind, record.role = Kind.NOTICE, None
        if message is None or not said:
            return []
        name = _BEHIND.sub("", self._last(item.key))
        return self._summed(item.key, message, record, name)

    def _told(self, item: Item, value: dict[str, JSON], record: Record) -> dict[str, JSON] | None:
        """Fill in what a message says of itself; gives the message."""
        if item.key == ABOUT:
            self._about(value, record)
            return None
        message = message_of(value)
        record.time_ms = told_at(message)
        record.kind, record.role, record.note = classify(message)
        record.usage = usage_of(value)
        if record.role == "user" and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, typed(message), RANK_PROMPT)
        return message

    def _behind(self, message: dict[str, JSON], record: Record) -> list[Record]:
        if record.role != "assistant" or not has_results(message):
            return []
        found = [rows.beside(record, RESULTS, "results")]
        if has_rest(message):
            found.append(rows.beside(record, REST, "rest", "assistant"))
        return found

    def _summed(
        self, key: str, message: dict[str, JSON], record: Record, first: str
    ) -> list[Record]:
        """The compaction that a message's summary is, once for each that it says. What the model
        sees of the chat begins at `first`, the message itself.
        """
        words = summary_of(message)
        known: dict[str, str] = self.facts.setdefault("summaries", {})
        digest = content_id((words or "").encode("utf-8", "replace")).hex()
        if words is None or known.get(key) == digest:
            return []
        known[key] = digest
        found = rows.beside(record, SUMMARY, "summary", "system")
        found.kind, found.compaction, found.kept_from = Kind.COMPACTION, Reason.AUTO, first
        return [found]

    def _way(self) -> set[str]:
        """The messages from the one that was said last to the first."""
        found: set[str] = set()
        at = self._tip
        while at in self._known and at not in found:
            found.add(at)
            at = self._known[at].after
        return found

    def _about(self, value: dict[str, JSON], record: Record) -> None:
        found = value.get("chat")
        told: dict[str, Any] = found if isinstance(found, dict) else {}
        stamp = told.get("updated_at" if "about" in self.facts else "created_at")
        record.time_ms = _seconds(stamp) * 1000 or None
        self.facts["about"] = True
        title = text(told, "title")
        if title is not None and title not in _UNTITLED:
            set_title(record, title, RANK_TITLE)
