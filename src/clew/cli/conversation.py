"""A session as it is shown: what lies on its path, and what hangs on it.

One consistent read gives the path; messages, compactions and checkpoints are put in the order
of the path. Every tool call finds its result by its id, the first that is not taken yet.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from clew import reading, view
from clew.model import (
    Checkpoint,
    Compaction,
    Entry,
    Kind,
    Message,
    Position,
    SessionInfo,
    ToolCall,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.ledger import Ledger
    from clew.session import Session

RELATED_MAX = 100_000


class Overlay(msgspec.Struct, frozen=True):
    """A compaction on the path, and the checkpoint that leads back before it."""

    at: Position
    facts: Compaction
    checkpoint: str | None


class Conversation(msgspec.Struct, frozen=True):
    """Everything that `clew show` shows of a session, as `--json` prints it."""

    session: SessionInfo
    messages: tuple[Message, ...]
    compactions: tuple[Overlay, ...]
    checkpoints: tuple[Checkpoint, ...]
    open_calls: tuple[str, ...]
    """The ids of calls that no result answers."""
    other: dict[str, int]
    """Entries on the path that say nothing to a model, by kind."""
    branches: tuple[SessionInfo, ...]
    subagents: tuple[SessionInfo, ...]


Item = Message | Overlay | Checkpoint


class Loaded(NamedTuple):
    """A conversation, and its messages, compactions and checkpoints in the order of the path."""

    facts: Conversation
    items: list[Item]


def load(ledger: Ledger, session: Session) -> Loaded:
    """Read a session's path and what hangs on it."""
    info = session.info
    entries = session._on_path()
    messages = reading.messages_of(entries)
    checkpoints = _checkpoints(ledger, info)
    branches, subagents = _related(ledger, info)
    hidden = Counter(str(e.kind) for e in entries if _is_quiet(e))
    facts = Conversation(
        session=info,
        messages=tuple(messages),
        compactions=tuple(_overlays(entries, checkpoints)),
        checkpoints=tuple(checkpoints),
        open_calls=tuple(call.id for call in view.open_calls(messages)),
        other=dict(sorted(hidden.items())),
        branches=tuple(branches),
        subagents=tuple(subagents),
    )
    order = {entry.position: number for number, entry in enumerate(entries)}
    return Loaded(facts, _in_order(facts, order))


def _is_quiet(entry: Entry) -> bool:
    return entry.kind not in reading.SPOKEN and entry.kind != Kind.COMPACTION


def _overlays(entries: list[Entry], checkpoints: list[Checkpoint]) -> list[Overlay]:
    made_for = {each.post: each.id for each in checkpoints if each.post is not None}
    return [
        Overlay(entry.position, reading.compaction_of(entry), made_for.get(entry.position))
        for entry in entries
        if entry.kind == Kind.COMPACTION
    ]


def _checkpoints(ledger: Ledger, info: SessionInfo) -> list[Checkpoint]:
    """Those of the session and of what it was forked from, oldest first."""
    found = ledger.get(info.id).checkpoints()
    fork = info.forked_from
    while fork is not None:
        origin = ledger.get(fork.session)
        upto = fork.seq
        found += [each for each in origin.checkpoints() if each.pre and each.pre.seq <= upto]
        fork = origin.info.forked_from
    return sorted(found, key=lambda each: (each.created_ms, each.id))


def _related(ledger: Ledger, info: SessionInfo) -> tuple[list[SessionInfo], list[SessionInfo]]:
    """Sessions that were forked from this one, and sub-agents that it started."""
    others = ledger.sessions(project=info.project, spawned=True, limit=RELATED_MAX)
    branches = [each for each in others if each.forked_from and each.forked_from.session == info.id]
    agents = [each for each in others if (each.spawned_by or "").partition("#")[0] == info.id]
    return branches[::-1], agents[::-1]


# --- in order ----------------------------------------------------------------------------


def _in_order(facts: Conversation, order: dict[Position, int]) -> list[Item]:
    """Checkpoints that were made for a compaction stand with it, the others behind the
    message that they point to; a message stands where its first piece stands.
    """
    for message in facts.messages:
        order.update(dict.fromkeys(message.at, order[message.at[0]]))
    made_for = {each.checkpoint for each in facts.compactions}
    items: list[tuple[int, int, Item]] = [(order[m.at[0]], 0, m) for m in facts.messages]
    items += [(order[overlay.at], 0, overlay) for overlay in facts.compactions]
    items += [
        (order[mark.pre], 1, mark)
        for mark in facts.checkpoints
        if mark.id not in made_for and mark.pre in order
    ]
    items.sort(key=lambda item: item[:2])
    return [item for _, _, item in items]


class Results:
    """The results of a conversation, handed out to the calls they answer."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._waiting: dict[str, list[ToolResult]] = {}
        for message in messages:
            for result in message.tool_results:
                self._waiting.setdefault(result.call_id, []).append(result)
        self._taken: set[int] = set()

    def of(self, call: ToolCall) -> ToolResult | None:
        """The first result of a call that is not taken yet."""
        waiting = self._waiting.get(call.id)
        if not waiting:
            return None
        result = waiting.pop(0)
        self._taken.add(id(result))
        return result

    def is_taken(self, result: ToolResult) -> bool:
        """True once it was shown with its call."""
        return id(result) in self._taken


def around(messages: Sequence[Message], at: Position, context: int) -> Sequence[Message]:
    """The messages around an entry; none when it is not on the path."""
    for index, message in enumerate(messages):
        if at in message.at:
            return messages[max(index - context, 0) : index + context + 1]
    return []
