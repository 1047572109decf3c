"""A conversation as lines for a terminal.

Everything that was stored goes through `output.clean` before it is painted, so no line holds
a control character that is not ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clew.cli import output
from clew.cli.conversation import Conversation, Item, Loaded, Overlay, Results
from clew.model import (
    Checkpoint,
    File,
    Image,
    Message,
    Position,
    SessionInfo,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from clew.view import is_turn_start

WORDS_CHARS = 4000
RESULT_CHARS = 600
RESULT_LINES = 8
THINKING_CHARS = 300
ARGUMENT_CHARS = 200
RULE_COLUMNS = 72


def draw(loaded: Loaded, *, tail: int | None, full: bool) -> Iterator[str]:
    """The whole conversation; `tail` keeps the newest messages and what lies between them."""
    facts = loaded.facts
    yield from _heading(facts)
    pen = _Pen(facts.messages, set(facts.open_calls), full)
    skipped = _skipped(loaded.items, tail)
    for number, item in enumerate(loaded.items):
        lines = pen.item(item)
        if number >= skipped:
            yield from lines
    yield from _ending(facts)


def draw_messages(
    messages: Sequence[Message], shown: Sequence[Message], *, full: bool, mark: Position
) -> Iterator[str]:
    """Those of the messages that are `shown`; the one that holds entry `mark` is pointed out."""
    pen = _Pen(messages, set(), full, excerpt=True)
    for message in shown:
        lines = pen.message(message)
        if lines and mark in message.at:
            lines[1] = output.paint("▶ ", "rule") + lines[1]
        yield from lines


def _skipped(items: Sequence[Item], tail: int | None) -> int:
    """How many items lie before the newest `tail` messages."""
    if tail is None:
        return 0
    left = tail
    for number in range(len(items) - 1, -1, -1):
        left -= isinstance(items[number], Message)
        if left == 0:
            return number
    return 0


def _heading(facts: Conversation) -> Iterator[str]:
    info = facts.session
    yield output.paint(output.one_line(info.title or "(no title)"), "head")
    marks = [info.id, info.project, info.agent or "", f"{len(facts.messages):,} messages"]
    if info.status != "open":
        marks.append(info.status.value)
    if facts.messages:
        first, last = facts.messages[0].time_ms, facts.messages[-1].time_ms
        marks.append(f"{output.moment(first)} to {output.moment(last)}")
    yield output.paint(" · ".join(output.one_line(mark) for mark in marks if mark), "dim")
    if info.forked_from is not None:
        yield output.paint(f"branch of {info.forked_from}", "dim")
    if info.spawned_by is not None:
        yield output.paint(output.one_line(f"sub-agent of {info.spawned_by}"), "dim")


def _ending(facts: Conversation) -> Iterator[str]:
    if facts.open_calls:
        yield ""
        count = output.plural(len(facts.open_calls), "tool call")
        yield output.paint(f"{count} without a result: it may or may not have run", "bad")
    yield from _list("branches", facts.branches)
    yield from _list("sub-agents", facts.subagents)
    if facts.other:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts.other.items())
        yield ""
        yield output.paint(f"not shown: {kinds} (--entries shows the raw log)", "dim")


def _list(heading: str, infos: Sequence[SessionInfo]) -> Iterator[str]:
    if not infos:
        return
    yield ""
    yield output.paint(f"{heading}:", "head")
    for info in infos:
        at = f" from #{info.forked_from.seq}" if info.forked_from else ""
        title = output.one_line(info.title or "(no title)", 80)
        yield f"  {output.short(info.id)}{at}  {info.messages:,} messages  {title}"


class _Pen:
    """Draws messages in their order; it counts the turns and pairs calls with results."""

    def __init__(
        self,
        messages: Sequence[Message],
        open_calls: set[str],
        full: bool,
        *,
        excerpt: bool = False,
    ) -> None:
        self._results = Results(messages)
        self._open = open_calls
        self._full = full
        self._turn = 0
        self._excerpt = excerpt

    def item(self, item: Item) -> list[str]:
        """The lines of whatever it is."""
        if isinstance(item, Overlay):
            return self._overlay(item)
        return self._mark(item) if isinstance(item, Checkpoint) else self.message(item)

    def message(self, message: Message) -> list[str]:
        """An empty line, who speaks, what was said; nothing for results shown already."""
        self._turn += is_turn_start(message)
        lines = [line for part in message.parts for line in self._part(message, part)]
        if not lines:
            return []
        return ["", self._speaker(message), *lines]

    def _speaker(self, message: Message) -> str:
        role = "summary" if message.summary else message.role
        style = role if role in {"user", "assistant", "system", "tool"} else "rule"
        numbered = is_turn_start(message) and not self._excerpt
        turn = f"{self._turn}. " if numbered else ""
        at = f"#{message.at[0].seq}" if message.at else ""
        marks = [at, output.moment(message.time_ms) if message.time_ms else ""]
        marks += [output.one_line(message.model or ""), "context" if message.meta else ""]
        rest = "  ".join(mark for mark in marks if mark)
        return f"{output.paint(f'{turn}{role}', style)}  {output.paint(rest, 'dim')}"

    def _part(self, message: Message, part: object) -> list[str]:
        match part:
            case Text(text):
                limit = THINKING_CHARS if message.meta else WORDS_CHARS
                return self._words(text, limit, "dim" if message.meta else None)
            case Thinking():
                words = f"(thinking) {part.text or '[sealed]'}"
                return self._words(words, THINKING_CHARS, "dim")
            case ToolCall():
                return self._call(part)
            case ToolResult():
                if self._results.is_taken(part):
                    return []
                return self._result(part, "← " if self._excerpt else "← (answers no call) ")
            case _:
                return [f"  {output.paint(_attachment(part), 'tool')}"]

    def _call(self, call: ToolCall) -> list[str]:
        arguments = output.one_line(call.arguments)
        if not self._full and len(arguments) > ARGUMENT_CHARS:
            left = len(arguments[ARGUMENT_CHARS:].encode())
            arguments = f"{arguments[:ARGUMENT_CHARS]}… {left:,} more bytes"
        lines = [f"  {output.paint(f'→ {output.one_line(call.name)}', 'call')} {arguments}"]
        result = self._results.of(call)
        if result is not None:
            return lines + self._result(result, "← ")
        if call.id in self._open:
            lines.append(output.paint("    ← no result was recorded", "bad"))
        return lines

    def _result(self, result: ToolResult, arrow: str) -> list[str]:
        if result.synthetic:
            arrow += "[filled in: no tool said this] "
        elif result.is_error:
            arrow += "error: "
        pieces: list[str] = []
        for part in result.parts:
            text = part.text if isinstance(part, Text) else _attachment(part)
            pieces += self._cut(text, RESULT_CHARS, RESULT_LINES)
        style = "bad" if result.is_error else "dim"
        first, rest = (pieces[0], pieces[1:]) if pieces else ("(empty)", [])
        lines = [output.paint(f"    {arrow}{first}", style)]
        return lines + [output.paint(f"      {line}", style) for line in rest]

    def _words(self, text: str, limit: int, style: str | None) -> list[str]:
        lines = [f"  {line}" for line in self._cut(text, limit, 0)]
        return [output.paint(line, style) for line in lines] if style else lines

    def _cut(self, text: str, chars: int, lines_max: int) -> list[str]:
        """Clean lines of a text, cut to a preview that says how many bytes it leaves out."""
        shown = text if self._full else text[:chars]
        lines = shown.split("\n")
        if lines_max and not self._full and len(lines) > lines_max:
            shown = "\n".join(lines[:lines_max])
        left = len(text[len(shown) :].encode("utf-8", "surrogatepass"))
        kept = [output.clean(line) for line in shown.rstrip("\n").split("\n")]
        if left and text[len(shown) :].strip():
            kept.append(f"… {left:,} more bytes")
        return kept

    def _overlay(self, overlay: Overlay) -> list[str]:
        facts = overlay.facts
        words = f"compacted ({facts.reason.value})"
        if facts.tokens_before is not None:
            after = "?" if facts.tokens_after is None else f"{facts.tokens_after:,}"
            words += f": {facts.tokens_before:,} → {after} tokens"
        lines = ["", output.paint(f"── {words} ".ljust(RULE_COLUMNS, "─"), "rule")]
        if overlay.checkpoint:
            lines.append(
                output.paint(
                    f"   the way back: checkpoint {output.short(overlay.checkpoint)}", "dim"
                )
            )
        if facts.summary:
            lines += self._words(facts.summary, WORDS_CHARS, "dim")
        return lines

    def _mark(self, mark: Checkpoint) -> list[str]:
        label = output.one_line(mark.label or mark.reason)
        return ["", output.paint(f"◆ checkpoint {output.short(mark.id)} {label}", "rule")]


def _attachment(part: object) -> str:
    """A part that is no text, in brackets."""
    match part:
        case Image():
            return f"[{output.one_line(part.media_type or 'image')} {_weight(part.data, part.url)}]"
        case File():
            name = output.one_line(part.name or part.media_type or "file")
            return f"[{name} {_weight(part.data, part.url or part.file_id)}]"
        case Unknown():
            return (
                f"[{output.one_line(part.type)}: {output.one_line(output.as_json(part.raw), 120)}]"
            )
    return "[?]"


def _weight(data: str | None, where: str | None) -> str:
    if data is not None:
        return output.size(len(data) * 3 // 4)
    return output.one_line(where or "", 100)
