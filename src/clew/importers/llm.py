"""llm (https://llm.datasette.io): conversations in an SQLite file.

    $LLM_USER_PATH, or `io.datasette.llm` where the system keeps applications' data
      logs.db
        conversations, responses, tool_calls, tool_results, …    before 0.32
        threads, turns, messages, parts, …                       since then, beside the others

Old rows are never moved, so both are read, and a conversation that began in the older tables
and went on in the newer ones is one. What is known stands in `docs/formats/llm.md`.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, text, time_ms
from clew.importers.llm_records import (
    ANSWER,
    BYTES,
    FORMAT,
    PROMPT,
    RESULTS,
    SYSTEM,
    decode,
    said_by,
    usage_of,
)
from clew.model import JSON, Kind, Origin, Record
from clew.names import mended
from clew.shapes.base import entry_role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "llm"
formats: tuple[str, ...] = (FORMAT, SYSTEM, RESULTS, PROMPT, ANSWER)

NEEDED: Final = {
    "conversations": ("id", "name", "model"),
    "responses": ("id", "model", "prompt", "response", "conversation_id", "datetime_utc"),
}
_OF_RESPONSES = (
    "prompt_attachments",
    "prompt_fragments",
    "system_fragments",
    "tool_calls",
    "tool_results",
)
_TABLES = (
    *NEEDED,
    *_OF_RESPONSES,
    *("attachments", "fragments", "tools", "tool_responses", "tool_results_attachments"),
    *("schemas", "messages", "parts", "part_attachments", "threads", "turns", "turn_fragments"),
)
_FOLDER = "io.datasette.llm"
_LEFT_OUT = ("prompt_json",)
"""The request as the provider saw it: all that was said before, once more."""
_EMBEDDED = ("options_json", "response_json", "token_details")
RANK_PROMPT, RANK_THREAD, RANK_CONVERSATION = 1, 2, 3


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """The folder with `logs.db`: `$LLM_USER_PATH`, else where the systems keep such folders."""
    if told := env.get("LLM_USER_PATH"):
        places = [type(home)(told).expanduser()]
    else:
        config = env.get("XDG_CONFIG_HOME")
        places = [
            (type(home)(config) if config else home / ".config") / _FOLDER,
            home / "Library" / "Application Support" / _FOLDER,
            home / "AppData" / "Roaming" / _FOLDER,
        ]
    return [place for place in places if place.is_dir()]


def identify(path: Path) -> bool:
    """True for a database with llm's two oldest tables."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[Conversations]:
    """See `Store.look`."""
    with database.opened(path, _TABLES) as found:
        yield Conversations(found)


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`. A conversation's id is a ULID: no other machine has it."""
    return ItemReader(Origin(mended(thread), name)).resumed(state)


class Conversations:
    """See `base.Look`."""

    def __init__(self, found: database.Database) -> None:
        self._database = found
        self._newer = {"threads", "turns", "messages", "parts"} <= set(found.tables)

    # --- which there are ---

    def threads(self) -> list[Thread]:
        """See `Look.threads`. Ids are made of the time, so originals come before forks."""
        marks: dict[str, list[Any]] = {}
        for row in self._database.rows(
            "select coalesce(conversation_id, id) as id, count(*), max(id), "
            "sum(length(response)) from responses group by 1"
        ):
            marks[str(row["id"])] = list(row.values())
        for table in self._hung():
            query = (
                "select coalesce(r.conversation_id, r.id) as id, count(*) "
                f"from {table} t join responses r on r.id = t.response_id group by 1"
            )
            for row in self._database.rows(query):
                marks[str(row["id"])] += [table, *row.values()]
        for row in self._of_threads():
            marks.setdefault(str(row["id"]), []).extend(row.values())
        return [Thread(each, database.mark(*marks[each])) for each in sorted(marks)]

    def _hung(self) -> list[str]:
        """The tables whose rows hang on responses, so far as they are there."""
        there = self._database.tables
        found = [table for table in _OF_RESPONSES if table in there]
        if {"tool_results", "tool_results_attachments"} <= set(there):
            found.append(
                "(select response_id from tool_results r "
                "join tool_results_attachments a on a.tool_result_id = r.id)"
            )
        return found

    def _of_threads(self) -> list[dict[str, Any]]:
        if not self._newer:
            return []
        return self._database.rows(
            "select t.id, t.name, t.tip_message_hash, count(u.id), max(u.id), "
            "sum(length(u.tip_message_hash)) from threads t left join turns u "
            "on u.thread_id = t.id group by t.id"
        )

    # --- what one holds ---

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. Old responses come first; of the newer messages, those that repeat
        them stand aside.
        """
        yield from self._named(thread)
        responses = self._responses(thread)
        for response in responses:
            yield Item(f"response/{response['id']}", database.line(response))
        if self._newer:
            yield from self._messages(thread, responses)

    def _named(self, thread: str) -> Iterator[Item]:
        for table in ("conversations", "threads"):
            if table in self._database.tables:
                query = f"select * from {table} where id = ?"
                for row in self._database.rows(query, thread):
                    row.pop("tip_message_hash", None)
                    yield Item(f"{table}/{thread}", database.line(row), aside=True)

    def _responses(self, thread: str) -> list[dict[str, Any]]:
        """Old responses with all that hangs on each."""
        found = self._database.rows(
            "select * from responses where coalesce(conversation_id, id) = ? order by id", thread
        )
        before: Any = None
        for row in found:
            self._tidy(row)
            row["attachments"] = self._attachments("prompt_attachments", "response_id", row["id"])
            for table in ("prompt_fragments", "system_fragments"):
                row[table] = self._fragments(table, "response_id", row["id"])
            row["tool_calls"] = self._rows("tool_calls", "response_id", row["id"])
            row["tool_results"] = self._rows("tool_results", "response_id", row["id"])
            for each in row["tool_calls"]:
                each["arguments"] = database.embedded(each["arguments"])
            for each in row["tool_results"]:
                each["attachments"] = self._attachments(
                    "tool_results_attachments", "tool_result_id", each["id"]
                )
            system = (row.get("system"), row["system_fragments"])
            if system == before:
                row["system_again"] = True
            before = system
        return found

    def _tidy(self, row: dict[str, Any]) -> None:
        for key in _LEFT_OUT:
            row.pop(key, None)
        for key in _EMBEDDED:
            if key in row:
                row[key] = database.embedded(row[key])
        schema = row.get("schema_id")
        for found in self._rows("schemas", "id", schema) if schema else ():
            row["schema"] = database.embedded(found["content"])

    def _rows(self, table: str, key: str, value: Any) -> list[dict[str, Any]]:
        if table not in self._database.tables:
            return []
        query = f"select * from {table} where {key} = ? order by rowid"
        return self._database.rows(query, value)

    def _attachments(self, table: str, key: str, value: Any) -> list[dict[str, Any]]:
        return self._joined(table, key, value, "attachments", "attachment_id")

    def _fragments(self, table: str, key: str, value: Any) -> list[dict[str, Any]]:
        return self._joined(table, key, value, "fragments", "fragment_id")

    def _joined(
        self, table: str, key: str, value: Any, target: str, through: str
    ) -> list[dict[str, Any]]:
        """Rows of `target` that `table` hangs on another row, in their order."""
        if not {table, target} <= set(self._database.tables):
            return []
        query = (
            f"select t.* from {table} j join {target} t on t.id = j.{through} "
            f'where j.{key} = ? order by j."order"'
        )
        return [_bytes_told(row) for row in self._database.rows(query, value)]

    # --- the newer tables ---

    def _messages(self, thread: str, responses: list[dict[str, Any]]) -> Iterator[Item]:
        turns = self._database.rows(
            "select * from turns where thread_id = ? order by datetime_utc, id", thread
        )
        told = {str(response["id"]) for response in responses}
        stretches = self._stretches(thread, turns)
        covered = self._repeated(stretches, responses)
        for stretch in stretches:
            before = stretch.before
            for message, same_as in zip(stretch.messages, stretch.names, strict=True):
                if before is None:
                    after = rows.ROOT
                elif before in covered:
                    after = f"response/{responses[-1]['id']}"
                else:
                    after = f"message/{before}"
                before = message["hash"]
                key = f"message/{before}"
                body = self._message(message, stretch.turn, same_as)
                yield Item(key, body, after, aside=before in covered, said=key.encode())
        for turn in turns:
            if turn["id"] not in told:
                self._tidy(turn)
                turn["fragments"] = self._fragments("turn_fragments", "turn_id", turn["id"])
                yield Item(f"turn/{turn['id']}", database.line(turn), aside=True)

    def _stretches(self, thread: str, turns: list[dict[str, Any]]) -> list[_Stretch]:
        """What each turn added, oldest first; at last what else the conversation holds."""
        ends = [(turn, turn["tip_message_hash"] or turn["parent_message_hash"]) for turn in turns]
        query = "select tip_message_hash from threads where id = ?"
        ends += [({}, row["tip_message_hash"]) for row in self._database.rows(query, thread)]
        answered: dict[str | None, bool] = {None: False}
        found = []
        for turn, end in ends:
            chain: list[dict[str, Any]] = []
            at, passed = end, set()
            while at not in answered and at not in passed:
                passed.add(at)
                row = self._rows("messages", "hash", at)
                chain += row
                # Where its row is gone, what is behind it stands for itself.
                at = row[0]["parent_hash"] if row else None
            before = at if at in answered else None
            chain.reverse()
            found.append(_Stretch(turn, before, chain, _names(chain, answered[before])))
            for message in chain:
                answered[message["hash"]] = answered[before] or message["role"] == "assistant"
                before = message["hash"]
        return found

    def _repeated(
        self, stretches: list[_Stretch], responses: list[dict[str, Any]]
    ) -> frozenset[str]:
        """The newer messages that say again what old responses said. Some versions wrote a turn
        beside each response; else the first turn went on from what all of them said.
        """
        told = {str(response["id"]) for response in responses}
        covered: list[dict[str, Any]] = []
        for stretch in stretches if responses else ():
            if str(stretch.turn.get("id")) in told:
                covered += stretch.messages
                continue
            if stretch.before is None:
                covered += self._gone_on_from(stretch, responses[-1])
            break
        return frozenset(message["hash"] for message in covered)

    def _gone_on_from(self, stretch: _Stretch, response: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages up to the answer that a turn went on from, if it is this response's."""
        hashes = [message["hash"] for message in stretch.messages]
        asked = stretch.turn.get("parent_message_hash")
        until = hashes.index(asked) + 1 if asked in hashes else 0
        for at in reversed(range(until)):
            if stretch.messages[at]["role"] == "assistant":
                parts = self._rows("parts", "message_hash", hashes[at])
                words = "".join(str(part["text"] or "") for part in parts if part["type"] == "text")
                same = words == (response.get("response") or "")
                return stretch.messages[: at + 1] if same else []
        return []

    def _message(self, message: dict[str, Any], turn: dict[str, Any], same_as: str | None) -> bytes:
        """A message with its parts; text that fragments hold stands where it was said."""
        parts = []
        query = "select * from parts where message_hash = ? order by position"
        for row in self._database.rows(query, message["hash"]):
            payload = _object(row["payload"])
            payload["type"] = row["type"]
            if row["text"] is not None:
                payload["text"] = row["text"]
            if "text_ref" in payload:
                payload["text"] = self._resolved(payload["text_ref"])
            for key in {"attachment", "attachments"} & payload.keys():
                found = self._attachments("part_attachments", "part_id", row["id"])
                payload[key] = found if key == "attachments" else next(iter(found), payload[key])
            parts.append(payload)
        said = {**message, "parts": parts}
        said["provider_metadata"] = database.embedded(said.get("provider_metadata"))
        if turn:
            keys = ("id", "model", "resolved_model", "datetime_utc")
            said["turn"] = {key: turn[key] for key in keys}
        if same_as is not None:
            said["same_as"] = same_as
        return database.line(said)

    def _resolved(self, pieces: JSON) -> str:
        words = []
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and "fragment" in piece:
                found = self._rows("fragments", "id", piece["fragment"])
                words.append(str(found[0]["content"]) if found else "")
            elif isinstance(piece, dict):
                words.append(str(piece.get("literal", "")))
        return "".join(words)


class _Stretch(NamedTuple):
    """The messages that a turn added, oldest first, behind the one before them."""

    turn: dict[str, Any]
    before: str | None
    messages: list[dict[str, Any]]
    names: list[str | None]


def _names(chain: list[dict[str, Any]], answered: bool) -> list[str | None]:
    """What each message is called in every conversation that holds it.

    A message's hash covers all that was said before it. Conversations that merely began with the
    same words are not the same: up to the first answer, a message is named after that answer.
    """
    roles = [message["role"] for message in chain]
    if not answered and "assistant" not in roles:
        return [None] * len(chain)
    first = 0 if answered else roles.index("assistant")
    answer = chain[first]["hash"] if chain else None
    return [f"{answer}<{first - i}" if i < first else str(m["hash"]) for i, m in enumerate(chain)]


class ItemReader(rows.ItemReader):
    """Reads one conversation."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        record.time_ms = time_ms(value.get("datetime_utc"))
        if item.aside:
            self._note(item, value, record)
        elif item.key.startswith("response/"):
            return self._respond(value, record)
        else:
            self._message(value, record)
        return []

    def _note(self, item: Item, value: dict[str, JSON], record: Record) -> None:
        """What is known of the conversation, and of its turns. It has no name of its own: a
        conversation that begins with another's messages is known by the names of those.
        """
        record.native_id = None
        if item.key.startswith("turn/"):
            record.usage = usage_of(value)
            self.origin.model = text(value, "model") or self.origin.model
        elif not item.key.startswith("message/"):
            older = item.key.startswith("conversations/")
            set_title(record, text(value, "name"), RANK_CONVERSATION if older else RANK_THREAD)

    def _message(self, value: dict[str, JSON], record: Record) -> None:
        message = decode(value)
        record.kind, record.role = Kind.MESSAGE, entry_role(message)
        record.time_ms = message.time_ms or None
        if same_as := text(value, "same_as"):
            record.native_id = f"{name}/{same_as}"
        self._title(record, message.text)

    def _respond(self, value: dict[str, JSON], record: Record) -> list[Record]:
        """The messages that an old response says, one entry each."""
        (form, role), *rest = said_by(value)
        record.kind, record.format, record.role = Kind.MESSAGE, form, role
        found = [record, *(rows.beside(record, f, f.rpartition(".")[2], r) for f, r in rest)]
        found[-1].usage = usage_of(value)
        self.origin.model = text(value, "model") or self.origin.model
        for each in found:
            if each.role == "user":
                self._title(each, text(value, "prompt") or "")
        return found[1:]

    def _title(self, record: Record, words: str) -> None:
        if record.role == "user" and words and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, words, RANK_PROMPT)


def _object(payload: JSON) -> dict[str, Any]:
    """A part's payload as an object; another value stands under `payload`."""
    if payload is None:
        return {}
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        value = None
    return value if isinstance(value, dict) else {"payload": payload}


def _bytes_told(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose bytes are `{"$bytes": BASE64}`."""
    return {
        key: {BYTES: base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for key, value in row.items()
    }
