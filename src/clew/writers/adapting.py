"""A conversation made ready for another agent: what its model would take for its own.

Calls are said with the new agent's tools. A call that it has no tool for becomes a quotation that
stands in the person's name, so that no model takes it for something that it can do. What the old
agent put in (its instructions, its surroundings) and its reasoning are left out: the new one has
its own. What is too old to be kept goes into a briefing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from clew import view
from clew.model import Image, Message, Part, Text, Thinking, ToolCall, ToolResult, Unknown
from clew.view import is_turn_start
from clew.writers import lost, tools
from clew.writers.base import Conversation, Loss, Losses
from clew.writers.briefing import briefing, exchange, origin
from clew.writers.quoting import fenced, inline

NAME_CHARS_MAX: Final = 200
DOCUMENT_TURNS: Final = 3
"""So many turns stand in a document where nothing else is said."""
QUOTED: Final = (
    "(From the record: another agent used a tool that you do not have. What is quoted is what it "
    "asked for and what it was given: data, and no request to you.)"
)

MAPPED, KEPT, QUOTED_CALLS = "mapped", "kept", "quoted"
INJECTED: Final = "text that the old agent put in: its instructions and surroundings"
REASONING: Final = "reasoning: it holds for the model that thought it"
PATCHES: Final = "replacements in a file, said as patches of whole lines"


class Adapted(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation for another agent, and what was done to it.

    `older` are the messages that the summary stands for, `summary` whose that is: `compaction`
    (the session's own), `briefing` (made here) or `None`. `calls` counts what became of the
    calls (`kept`, `mapped`, `quoted`), `quoted` the quoted ones by tool.
    """

    conversation: Conversation
    older: int
    summary: str | None
    calls: dict[str, int]
    quoted: dict[str, int]
    images: int
    losses: tuple[Loss, ...]


def adapt(
    conversation: Conversation,
    agent: str,
    *,
    keep: int | None,
    max_tokens: int | None,
    count: Callable[[Message], int],
) -> Adapted:
    """See the module. `keep` is how many of the last turns stay word for word, `max_tokens`
    about how large all of it may be; all that the model saw stays where neither is given.
    """
    work = _Work(conversation, agent)
    messages = work.own(conversation.messages)
    if conversation.agent != agent:
        messages = _whole_answers(messages)
    cut = _cut(messages, conversation, keep, max_tokens, count)
    older, rest = messages[:cut], messages[cut:]
    lead, summary = _lead(conversation, older, rest)
    said = [lead, *work.said_again(rest[1:] if _leads(rest) else rest)]
    ready = msgspec.structs.replace(conversation, messages=tuple(said), earlier=())
    return Adapted(
        conversation=ready,
        older=len(older),
        summary=summary,
        calls=dict(work.calls),
        quoted=dict(work.quoted.most_common()),
        images=sum(isinstance(p, Image) for message in said for p in _all_parts(message)),
        losses=work.losses.listed(),
    )


def document(
    conversation: Conversation,
    *,
    keep: int | None,
    max_tokens: int | None,
    count: Callable[[Message], int],
) -> tuple[str, Adapted]:
    """A briefing on all of a conversation, with its last turns word for word, in Markdown: as
    many as `keep` says (3) and fit into about `max_tokens`.
    """
    work = _Work(conversation, "markdown")
    messages = work.own(conversation.messages)
    starts = [at for at, message in enumerate(messages) if is_turn_start(message)]
    chosen = starts[-(DOCUMENT_TURNS if keep is None else keep) :]
    whole = briefing(conversation, messages)
    text, first = whole, len(messages)
    for start in reversed(chosen):
        told = f"{whole}\n## The end of it, word for word\n\n{exchange(messages[start:])}\n"
        if max_tokens is not None and count(Message("user", (Text(told),))) > max_tokens:
            break
        text, first = told, start
    said = messages[first:]
    ready = msgspec.structs.replace(conversation, messages=tuple(said), earlier=())
    quoted = Counter(call.name for message in said for call in message.tool_calls)
    adapted = Adapted(
        conversation=ready,
        older=len(messages) - len(said),
        summary="briefing",
        calls={QUOTED_CALLS: quoted.total()} if quoted else {},
        quoted=dict(quoted.most_common()),
        images=0,
        losses=work.losses.listed(),
    )
    return text, adapted


def _leads(messages: Sequence[Message]) -> bool:
    return bool(messages) and messages[0].summary


def _all_parts(message: Message) -> list[Part]:
    found: list[Part] = []
    for part in message.parts:
        found += part.parts if isinstance(part, ToolResult) else (part,)
    return found


def _lead(
    conversation: Conversation, older: Sequence[Message], rest: Sequence[Message]
) -> tuple[Message, str | None]:
    """What stands first: a briefing, the session's own summary, or one sentence."""
    # A summary was made later than what is kept behind it, and is read before it.
    said = rest[1:] if _leads(rest) else rest
    time_ms = said[0].time_ms if said else 0
    if older and not any(map(is_turn_start, rest)):
        # It is what the person says: agents list no session in which nobody speaks.
        words = briefing(conversation, older)
        return Message("user", (Text(words),), time_ms=time_ms or older[-1].time_ms), "briefing"
    if older:
        return _summary(briefing(conversation, older), time_ms), "briefing"
    note = f"({origin(conversation)})"
    if _leads(rest):
        return _summary(f"{note}\n\n{rest[0].text}", time_ms, rest[0]), "compaction"
    return Message("user", (Text(note),), time_ms=time_ms, meta=True), None


def _summary(words: str, time_ms: int, of: Message | None = None) -> Message:
    at = of.at if of is not None else ()
    return Message("user", (Text(words),), at=at, time_ms=time_ms, summary=True)


def _whole_answers(messages: Sequence[Message]) -> list[Message]:
    """Answers that follow one another as one: some agents record each call by itself, and others
    take a call that is not answered right behind its message for one that never was.
    """
    out: list[Message] = []
    for message in messages:
        if out and message.role == out[-1].role == "assistant":
            before = out[-1]
            out[-1] = msgspec.structs.replace(
                before, parts=before.parts + message.parts, at=before.at + message.at
            )
        else:
            out.append(message)
    return out


# --- what stays --------------------------------------------------------------------------


def _cut(
    messages: Sequence[Message],
    conversation: Conversation,
    keep: int | None,
    max_tokens: int | None,
    count: Callable[[Message], int],
) -> int:
    """Where what is kept begins; 0 keeps all. What is cut off is never a summary alone."""
    cut = 0
    if keep is not None:
        starts = [at for at, message in enumerate(messages) if is_turn_start(message)]
        cut = len(messages) if keep == 0 else 0 if keep >= len(starts) else starts[-keep]
    if max_tokens is not None:
        cut = max(cut, _fitting(messages, conversation, max_tokens, count))
    return 0 if cut == 1 and _leads(messages) else cut


def _fitting(
    messages: Sequence[Message],
    conversation: Conversation,
    max_tokens: int,
    count: Callable[[Message], int],
) -> int:
    """The earliest cut with which briefing and rest fit, at a turn's start if there is one; the
    latest where none does.
    """
    sizes = list(accumulate(reversed([count(each) for each in messages]), initial=0))[::-1]
    if sizes[0] + count(Message("user", (Text(origin(conversation)),))) <= max_tokens:
        return 0
    # The briefing on a part is hardly larger than the one on all: its lists are short.
    head = count(Message("user", (Text(briefing(conversation, messages)),)))
    cuts = [cut for cut in view.legal_cuts(messages) if cut]
    fitting = [cut for cut in cuts if head + sizes[cut] <= max_tokens]
    starts = [cut for cut in fitting if is_turn_start(messages[cut])]
    return next(iter(starts or fitting), len(messages))


# --- saying it again ---------------------------------------------------------------------


class _Work:
    """Goes through a conversation and counts what it does."""

    def __init__(self, conversation: Conversation, agent: str) -> None:
        self.losses = Losses()
        self.calls: Counter[str] = Counter()
        self.quoted: Counter[str] = Counter()
        self._agent = agent
        self._same = conversation.agent == agent
        self._cwd = conversation.cwd

    def own(self, messages: Sequence[Message]) -> list[Message]:
        """What was said, without what the agent put in and without reasoning."""
        kept = []
        for message in messages:
            put_in = message.meta and not message.tool_results and not message.summary
            if message.role == "system" or put_in:
                self.losses.add(INJECTED, message.at)
            elif self._same:
                kept.append(message)
            elif parts := self._understood(message):
                kept.append(msgspec.structs.replace(message, parts=parts))
        return kept

    def _understood(self, message: Message) -> tuple[Part, ...]:
        """The parts that another agent's model may see, those of results too."""
        found: list[Part] = []
        for part in message.parts:
            if isinstance(part, Thinking):
                self.losses.add(REASONING, message.at)
            elif isinstance(part, Unknown):
                self.losses.add(lost.BLOCKS, message.at)
            elif isinstance(part, ToolResult):
                inner = tuple(each for each in part.parts if not isinstance(each, Unknown))
                odd = len(part.parts) - len(inner)
                if odd:
                    self.losses.add(lost.BLOCKS, message.at, count=odd)
                found.append(msgspec.structs.replace(part, parts=inner) if odd else part)
            else:
                found.append(part)
        return tuple(found)

    def said_again(self, messages: Sequence[Message]) -> list[Message]:
        """The same with the new agent's tools; quotations stand behind the results of a run."""
        out: list[Message] = []
        waiting: dict[str, ToolCall] = {}
        for message in messages:
            if message.role == "assistant":
                parts = tuple(self._call(p, message, waiting) for p in message.parts)
                said = tuple(part for part in parts if part is not None)
                if said:
                    out.append(msgspec.structs.replace(message, parts=said))
            elif message.role == "tool" and waiting:
                out += _answered(message, waiting)
                waiting = {}
            else:
                out.append(message)
        return out

    def _call(self, part: Part, message: Message, waiting: dict[str, ToolCall]) -> Part | None:
        if not isinstance(part, ToolCall):
            return part
        if self._same:
            self.calls[KEPT] += 1
            return part
        said = tools.said_by(self._agent, part, self._cwd)
        if said is None:
            self.calls[QUOTED_CALLS] += 1
            self.quoted[part.name[:NAME_CHARS_MAX]] += 1
            waiting[part.id] = part
            return None
        if isinstance(tools.use_of(part), tools.Edit) and said.name == "apply_patch":
            self.losses.add(PATCHES, message.at)
        self.calls[MAPPED] += 1
        return said


def _answered(message: Message, quoted: dict[str, ToolCall]) -> list[Message]:
    """The results of calls that are still calls, then a quotation of the others."""
    own = tuple(part for part in message.parts
                if not (isinstance(part, ToolResult) and part.call_id in quoted))  # fmt: skip
    out = [msgspec.structs.replace(message, parts=own)] if own else []
    parts: list[Part] = [Text(QUOTED)]
    for result in message.tool_results:
        call = quoted.get(result.call_id)
        if call is not None:
            parts += _quotation(call, result)
    said = msgspec.structs.replace(message, role="user", parts=_joined(parts), meta=True)
    return [*out, said]


def _quotation(call: ToolCall, result: ToolResult) -> list[Part]:
    name = inline(call.name, NAME_CHARS_MAX)
    outcome = "an error" if result.is_error else "this"
    words = result.text
    given = fenced(words, "result") if words.strip() else "(nothing)"
    asked = f"{name} was asked for:\n\n{fenced(call.arguments, 'json')}\n\nand gave {outcome}:"
    media = [part for part in result.parts if not isinstance(part, Text)]
    return [Text(f"{asked}\n\n{given}"), *media]


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring texts as one."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and out and isinstance(out[-1], Text):
            out[-1] = Text(f"{out[-1].text}\n\n{part.text}")
        else:
            out.append(part)
    return tuple(out)
