"""How a session ended, judged from what it holds. The first rule that applies decides.

| rule | outcome | when |
|---|---|---|
| `interrupted` | aborted | the last thing a person did was to stop the agent |
| `call-refused` | aborted | it ends with the result of a call that a person refused |
| `unanswered-call` | incomplete | the last answer asks for a tool whose result never came |
| `provider-error` | error | the history ends with the agent's notice of a failed model call |
| `call-failed` | error | the newest model call failed, and nothing was said after it |
| `no-answer` | incomplete | the last message that says anything is a request or a tool's result |
| `no-evidence` | unknown | nothing was said, or no tool reported anything |
| `last-result-error` | error | the last tool result is an error |
| `error-then-ok` | recovered | a tool failed, a later one did not, and an answer follows |
| `all-results-ok` | success | no tool failed and an answer follows |

Rules of one's own are asked before these, and a verifier that knows better after them.

These are heuristics (`outcome_source: "heuristic"`): a tool that reports no error is evidence
that the work went through, not that it was right. Silence is never success.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from clew.errors import Invalid
from clew.model import Text, Thinking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.exporters.pairing import Paired, Pairs
    from clew.model import Message, Part, ToolResult

NOTICE_MODELS = frozenset({"<synthetic>"})
"""Model names under which an agent writes its own notices as assistant messages."""
_INTERRUPTED = ("[Request interrupted by user", "<turn_aborted>")
_REFUSED = ("The user doesn't want to proceed with this tool use",)


OUTCOMES = ("success", "recovered", "error", "aborted", "incomplete", "unknown")


class Outcome(NamedTuple):
    """What is known of the end, and which rule says so."""

    outcome: str
    rule: str

    @property
    def source(self) -> str:
        """`heuristic`, or `none` when nothing is known."""
        return "none" if self.outcome == "unknown" else "heuristic"


def sampled(message: Message) -> bool:
    """True when a model said this: no notice of the agent, no summary, nothing injected."""
    return (
        message.role == "assistant"
        and not message.meta
        and not message.summary
        and message.model not in NOTICE_MODELS
    )


Rule = Callable[["Sequence[Message]", "Pairs"], "Outcome | None"]
"""A rule of one's own; `None` where it does not apply."""


def judge(
    messages: Sequence[Message],
    pairs: Pairs,
    *,
    failed_last: bool = False,
    rules: Sequence[Rule] = (),
) -> Outcome:
    """Apply the table above to a history, `rules` first. `failed_last` tells that a model call
    failed after the last message. Raises `Invalid` for an outcome of a rule that is none.
    """
    for rule in rules:
        said = rule(messages, pairs)
        if said is not None:
            if said.outcome not in OUTCOMES:
                raise Invalid(f"a rule says {said.outcome!r}: give one of {', '.join(OUTCOMES)}")
            return said
    return _judged(messages, pairs, failed_last)


def _judged(messages: Sequence[Message], pairs: Pairs, failed_last: bool) -> Outcome:
    index = _newest(messages, _real)
    if index is None:
        return Outcome("unknown", "no-evidence")
    last = messages[index]
    if last.role == "user" and last.text.startswith(_INTERRUPTED):
        return Outcome("aborted", "interrupted")
    if any(result.text.startswith(_REFUSED) for result in last.tool_results):
        return Outcome("aborted", "call-refused")
    answer = _newest(messages, lambda message: sampled(message) and _real(message))
    if answer is not None and any(_open(one) for one in pairs.by_message.get(answer, ())):
        return Outcome("incomplete", "unanswered-call")
    if last.role == "assistant" and last.model in NOTICE_MODELS:
        return Outcome("error", "provider-error")
    if failed_last:
        return Outcome("error", "call-failed")
    if last.role != "assistant" or pairs.by_message.get(index):
        return Outcome("incomplete", "no-answer")
    return _by_results(pairs)


def _newest(messages: Sequence[Message], which: Callable[[Message], bool]) -> int | None:
    return next((at for at in reversed(range(len(messages))) if which(messages[at])), None)


def _real(message: Message) -> bool:
    """Whether anybody says something there. A model that only thinks, or nothing, does not."""
    if message.meta or message.summary or message.role == "system":
        return False
    return message.role != "assistant" or any(map(_says, message.parts))


def _says(part: Part) -> bool:
    return not isinstance(part, Thinking) and not (isinstance(part, Text) and not part.text.strip())


def _open(one: Paired) -> bool:
    return one.result is None or one.result.synthetic


def _by_results(pairs: Pairs) -> Outcome:
    answered = [(one.answered, one.result) for one in pairs.calls if one.result is not None]
    results: list[ToolResult] = [
        result for _, result in sorted(answered, key=lambda each: each[0]) if not result.synthetic
    ]
    if not results:
        return Outcome("unknown", "no-evidence")
    if results[-1].is_error:
        return Outcome("error", "last-result-error")
    if any(result.is_error for result in results):
        return Outcome("recovered", "error-then-ok")
    return Outcome("success", "all-results-ok")
