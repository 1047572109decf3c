"""Rows to shape, made by the real exporter, and what every native row keeps to."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from clew.exporters.base import line, segments
from clew.exporters.checking.native import check_fully
from clew.exporters.trajectory import trajectory
from clew.model import (
    Compaction,
    Image,
    Message,
    Position,
    Reason,
    SessionInfo,
    Status,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)

Row = dict[str, Any]

T0 = 1_777_803_072_000
SESSION = SessionInfo(
    id="s1", project="demo", title="List files", status=Status.OPEN, frontend=None,
    user=None, agent="pi", head=Position("s1", 9), entries=9, messages=9,
    created_ms=T0, updated_ms=T0 + 9000, forked_from=None, spawned_by=None,
)  # fmt: skip


class Talk:
    """A history, written down as it is said; every message is an entry."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.cuts: list[tuple[int, Compaction]] = []
        self.seq = 0

    def _add(self, role: Any, *parts: Any, **more: Any) -> Talk:
        self.seq += 1
        at = (Position("s1", self.seq),)
        more = {"at": at, "time_ms": T0 + 1000 * self.seq, **more}
        self.messages.append(Message(role, parts, **more))
        return self

    def system(self, text: str) -> Talk:
        return self._add("system", Text(text))

    def user(self, text: str, **more: Any) -> Talk:
        return self._add("user", Text(text), **more)

    def says(self, text: str = "", *calls: str, thinks: str = "", **more: Any) -> Talk:
        """The model says something; a call is an id, or an id and its arguments (`c1={"a":1}`)."""
        parts: list[Any] = [Thinking(thinks)] if thinks else []
        parts += [Text(text)] if text else []
        for one in calls:
            id, _, arguments = one.partition("=")
            parts.append(ToolCall(id, "Bash", arguments or '{"command":"ls"}'))
        return self._add("assistant", *parts, **{"model": "m-1", **more})

    def gives(self, call: str, *parts: str | Image, **more: Any) -> Talk:
        told = tuple(Text(part) if isinstance(part, str) else part for part in parts or ("ok",))
        return self._add("tool", ToolResult(call, told, **more))

    def compacts(self, kept: int, summary: str | None = "What went before.") -> Talk:
        self.seq += 1
        kept = kept or self.seq
        made = Compaction(Position("s1", kept), Reason.AUTO, summary, tokens_before=9)
        self.cuts.append((len(self.messages), made))
        return self

    def row(self) -> Row:
        return trajectory(SESSION, segments(self.messages, self.cuts))


def usage(key: str, tokens_in: int, tokens_out: int, provider: str = "p-1") -> Usage:
    return Usage(key, None, provider, tokens_in, tokens_out, cost=0.5)


# --- what holds for every row --------------------------------------------------------------


def check_row(row: Row) -> None:
    """Fail where a row is not native."""
    messages = row["messages"]
    assert [message["id"] for message in messages] == [f"m{n + 1}" for n in range(len(messages))]
    check_pairs(messages)
    check_segments(row)
    for message in messages:
        assert message["sampled"] or not message["train"], "only what was sampled trains"
        explained = "train_rule" in message
        assert explained == (message["sampled"] and not message["train"]), message
        assert not (message.get("context") and message["train"])
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    told = [(one["id"], one["name"]) for one in row["tool_calls"]]
    assert told == [(call["id"], call["function"]["name"]) for call in calls]
    lost = sum(message.get("status") == "lost" for message in messages)
    assert row["notes"]["lost_results"] == lost
    assert line(row).count(b"\n") == 1
    assert not messages or check_fully(row) == []


def check_pairs(messages: list[Row]) -> None:
    """Every call has one result, in the order of the calls, right behind them."""
    open_: list[str] = []
    known: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            assert open_, f"no call asked for {message['id']}"
            assert message["tool_call_id"] == open_.pop(0)
            continue
        assert not open_, f"{open_} have no result before {message['id']}"
        open_ = [call["id"] for call in message.get("tool_calls", ())]
        assert known.isdisjoint(open_)
        known.update(open_)
    assert not open_


def check_segments(row: Row) -> None:
    """Segments cover the messages, one after the other."""
    first = 0
    for one in row["segments"]:
        assert one["first"] == first
        own = row["messages"][first : first + one["count"]]
        assert all(message["segment"] == one["segment"] for message in own)
        assert len(own) == one["count"]
        first += one["count"]
    assert first == len(row["messages"])


def words(row: Row) -> list[str]:
    """Who said what, briefly: `user hello`, `assistant c1+c2`, `tool ok`; `*` where it trains."""
    out = []
    for message in row["messages"]:
        calls = "+".join(call["id"] for call in message.get("tool_calls", ()))
        said = " ".join(filter(None, [str(message["content"]), calls]))
        out.append(f"{message['role']} {said}{'*' if message['train'] else ''}")
    return out


def rules(row: Row) -> list[str]:
    """Why what a model said does not train, in order."""
    return [message["train_rule"] for message in row["messages"] if "train_rule" in message]


def places(messages: list[Row], field: str) -> list[Any]:
    """The entries of the messages that have a flag, in order."""
    return [message["at"] for message in messages if message[field]]


# --- any row -------------------------------------------------------------------------------


@st.composite
def talks(draw: st.DrawFn) -> Row:
    """A row of any history: calls, several at once, lost, late and broken ones, compactions."""
    talk = Talk()
    if draw(st.booleans()):
        talk.system("Be brief.")
    open_: list[str] = []
    kinds = ["user", "meta", "says", "thinks", "calls", "calls", "answers", "late", "compacts"]
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=25))):
        text = draw(st.sampled_from(["", "yes", "look here " * 5, "a line\n" * 60]))
        model = draw(st.sampled_from(["m-1", "m-2"]))
        if kind in ("user", "meta"):
            talk.user(f"{number} {text}", meta=kind == "meta")
        elif kind in ("says", "thinks"):
            hidden = "because" if kind == "thinks" else ""
            talk.says(text, thinks=hidden, model=model, usage=usage(f"r{number}", number, 1))
        elif kind == "calls":
            made = [f"c{number}_{n}" for n in range(draw(st.integers(1, 3)))]
            broken = draw(st.sampled_from(["", "", "", "={"]))
            talk.says(text, *(f"{id}{broken}" for id in made), thinks=text[:4], model=model)
            open_ += made
        elif kind == "answers":
            while open_:
                talk.gives(open_.pop(0), text, is_error=number % 3 == 0)
        elif kind == "late" and open_:
            talk.gives(open_.pop(), text)
        elif kind == "compacts":
            kept = draw(st.integers(0, talk.seq))
            talk.compacts(kept, draw(st.sampled_from(["In short.", None])))
    return talk.row()
