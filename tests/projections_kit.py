"""Native rows to project, made by the real exporter: one for each thing that formats differ in."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from clew.exporters import segments, trajectory
from clew.exporters.trajectory import Known
from clew.model import (
    Compaction,
    File,
    Image,
    Message,
    Part,
    Position,
    SessionInfo,
    Status,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = dict[str, Any]
T0 = 1_777_803_072_000
BASH = {
    "name": "Bash",
    "description": "Run a command",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}


class History:
    """A history, written down as it is said. Every message is an entry of the session; what is said
    `after` another history is a branch of it.
    """

    def __init__(self, session: str = "s1", *, after: History | None = None) -> None:
        self._session = session
        self._messages: list[Message] = list(after._messages) if after else []
        self._cuts: list[tuple[int, Compaction]] = []
        self._count: Iterator[int] = after._count if after else count()
        self._seq: int = after._seq if after else 0

    def add(self, role: str, *parts: Part, **more: Any) -> History:
        self._seq = next(self._count) + 1
        at = (Position(self._session, self._seq),)
        more = {"at": at, "time_ms": T0 + 1000 * self._seq, **more}
        self._messages.append(Message(role, parts, **more))
        return self

    def system(self, text: str) -> History:
        return self.add("system", Text(text))

    def user(self, text: str, *parts: Part, **more: Any) -> History:
        return self.add("user", Text(text), *parts, **more)

    def says(self, text: str = "", *parts: Part, thinks: str = "", **more: Any) -> History:
        thought = (Thinking(thinks, signature="opaque"),) if thinks else ()
        words = (Text(text),) if text else ()
        return self.add("assistant", *thought, *words, *parts, **{"model": "m-1", **more})

    def gives(self, call_id: str, text: str = "ok", **more: Any) -> History:
        return self.add("tool", ToolResult(call_id, (Text(text),), **more))

    def compacted(self, summary: str) -> History:
        made = Compaction(Position(self._session, self._seq), summary=summary)
        self._cuts.append((len(self._messages), made))
        return self

    def row(self, branch: str = "head", **known: Any) -> Row:
        head = Position(self._session, self._seq)
        info = SessionInfo(
            id=self._session, project="demo", title="List files", status=Status.OPEN,
            frontend=None, user=None, agent="claude-code", head=head, entries=self._seq,
            messages=len(self._messages), created_ms=T0, updated_ms=T0 + 9000,
        )  # fmt: skip
        cut = segments(self._messages, self._cuts)
        return trajectory(info, cut, known=Known(branch=branch, **known))


def call(id: str, name: str = "Bash", arguments: str = '{"command": "ls"}') -> ToolCall:
    return ToolCall(id, name, arguments)


# --- cases ---------------------------------------------------------------------------------


def listing() -> Row:
    """The plain case: thought, words, two calls at once, a tool that failed, an answer."""
    usage = Usage("r1", "m-1", "anthropic", 100, 9, 40, 7, 3, 0.25)
    history = History().system("You are terse.").user("list files")
    history.says("Looking.", call("c1"), call("c2", "Read", '{"path":"a.txt"}'),
                 thinks="need ls", usage=usage)  # fmt: skip
    history.gives("c2", "no such file", is_error=True).gives("c1", "b.txt\u2028c.txt")
    history.user("Reminder", meta=True)
    history.says("b.txt and c.txt.", usage=Usage("r2", "m-1", "anthropic", 30, 5))
    return history.row(tools=[BASH], subagents=[("s7", "c1"), ("s8", None)])


def in_pieces() -> Row:
    """What agents write down in pieces, and what they say in the model's name."""
    history = History().user("one").user("two").says("First.").says("").says("", call("c.1/x"))
    history.gives("c.1/x", "done").says("API Error: 529", model="<synthetic>").user("go on")
    history.system("Plan mode is on.").says("Second.").user("thanks")
    return history.row()


def lost_at_the_end() -> Row:
    """Broken off while a tool ran."""
    return History().user("hello").says("Hi.").user("list").says("Yes.", call("c1")).row()


def lost_in_the_middle() -> Row:
    """The model went on without a result."""
    return History().user("list").says("", call("c1")).user("so?").says("No idea.").row()


def late() -> Row:
    """A result that came after the model had gone on."""
    history = History().user("list").says("", call("c1")).says("Waiting.").gives("c1", "a.txt")
    return history.says("It is a.txt.").row()


def picture() -> Row:
    """A picture with an address, and words before and after."""
    shown = Image("image/png", url="https://example.org/a.png")
    return History().add("user", Text("what"), shown, Text("is this?")).says("A cat.").row()


def bodies() -> Row:
    """What is only named in a row: a picture, a file, a block that nobody knows."""
    history = History().user("see", Image("image/png", "aGk="), File("x.pdf", "application/pdf"))
    said = ToolResult("c1", (Text("here"), Image("image/tiff", "aGk="), Unknown("odd", {"a": 1})))
    return history.says("", call("c1")).add("tool", said).says("Thanks.").row()


def broken_arguments() -> Row:
    """Arguments that are no object: cut off, and none at all."""
    history = History().user("edit").says("", call("c1", "Edit", '{"path":'), call("c2", "Now", ""))
    history.gives("c1", "invalid", is_error=True).gives("c2", "noon")
    return history.says("", call("c3", "Edit", '{"path": 1e2}')).gives("c3").says("Done.").row()


def compacted() -> Row:
    """A history whose first part a model sees as a summary only."""
    history = History().user("fix it").says("", call("c1")).gives("c1").compacted("All went well.")
    return history.user("and now?").says("Done.").row()


def tags() -> Row:
    """Words and results that hold what stands for calls elsewhere."""
    history = History().user("what is <tool_call>?").says("", call("c1", "Bash", '{"command":"</tool_call><think>"}'))  # fmt: skip # noqa: E501
    return history.gives("c1", "</tool_response> & <tool_response>").says("A tag.").row()


def spoken_tags() -> Row:
    """The model itself speaks of them beside a call."""
    history = History().user("write it").says("I write <tool_call>.", call("c1"))
    return history.gives("c1").says("Done.").row()


def unanswered() -> Row:
    """Nobody answers."""
    return History().user("hello?").row()


def unasked() -> Row:
    """Nobody asks."""
    return History().says("Hello.", call("c1")).gives("c1").says("Bye.").row()


CASES = {
    made.__name__: made
    for made in (
        listing, in_pieces, lost_at_the_end, lost_in_the_middle, late, picture, bodies,
        broken_arguments, compacted, tags, spoken_tags, unanswered, unasked,
    )
}  # fmt: skip


# --- families ------------------------------------------------------------------------------


def branches() -> list[Row]:
    """One question, answered three ways: a tool failed, then it worked, then words alone."""
    asked = History().system("Be brief.").user("list files")
    failed = History(after=asked).says("", call("c1", "Bash", '{"command":"sl"}'))
    failed.gives("c1", "sl: not found", is_error=True).says("I cannot.")
    worked = History(after=asked).says("", call("c1")).gives("c1", "a.txt").says("a.txt").user("ta")
    worked.says("Gladly.")
    alone = History(after=asked).says("I do not know.")
    return [worked.row(), failed.row("left"), alone.row("left")]
