"""OpenAI fine-tuning: supervised (`messages`) and preference (`input` and two outputs).

Source: the OpenAPI description of the API (`FineTuneChatRequestInput`,
`FineTunePreferenceRequestInput`, `ChatCompletionTool`), the fine-tuning guide, and what the
service says of files that it refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.exporters.checking.chat import Dialect, Talk, needs_answer
from clew.exporters.checking.rules import Findings, Shape, called
from clew.exporters.checking.tools import OPENAI_NAME, Tools

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row

TOOLS_MAX = 128
_KEYS = frozenset({"messages", "tools", "parallel_tool_calls"})
_TEXT = frozenset({"text"})
DIALECT = Dialect(
    roles=frozenset({"system", "developer", "user", "assistant", "tool"}),
    text_arguments=True,
    name=OPENAI_NAME,
    ordered=False,
    silent_calls=True,
    parts={
        "system": _TEXT,
        "developer": _TEXT,
        "user": frozenset({"text", "image_url"}),
        "assistant": frozenset({"text", "refusal"}),
        "tool": _TEXT,
    },
    keys=frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "weight", "refusal"}),
    one_system=False,
)


def check(row: Row) -> list[Problem]:
    """Why the service would refuse the row, or learn something else from it."""
    findings = Findings()
    findings.only(row, _KEYS, "")
    if "messages" not in row:
        findings.add("key-missing", "messages", "is missing: write the conversation there")
        return findings.all()
    talk = Talk(DIALECT, _tools(row, findings, ""), findings)
    talk.read(row["messages"], "messages")
    talk.end(open_end=True)
    needs_answer(talk, findings)
    if talk.last and talk.last != "assistant":
        text = "the last message is not the assistant's: cut the row behind its last answer"
        findings.add("last-answer", "messages", text)
    _messages(row, row["messages"], "messages", findings)
    return findings.all()


def _tools(row: Row, findings: Findings, where: str) -> Tools:
    path = f"{where}/tools" if where else "tools"
    return Tools(findings).read(row.get("tools"), name=OPENAI_NAME, most=TOOLS_MAX, where=path)


def _messages(row: Row, messages: object, where: str, findings: Findings) -> None:
    """Weights, and whether calls are parallel where the row says that they are not."""
    if "parallel_tool_calls" in row and type(row["parallel_tool_calls"]) is not bool:
        text = f"is {called(row['parallel_tool_calls'])}: write true or false"
        findings.add("type", "parallel_tool_calls", text)
    single = row.get("parallel_tool_calls") is False
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        if type(message) is not dict:
            continue
        if "weight" in message:
            weight = message["weight"]
            if (
                message.get("role") != "assistant"
                or type(weight) is not int
                or weight not in (0, 1)
            ):
                text = "stands on another message, or is neither 0 nor 1"
                findings.add("weight", f"{where}/{index}/weight", text)
        calls = message.get("tool_calls")
        if single and type(calls) is list and len(calls) > 1:
            text = f"calls {len(calls)} times; `parallel_tool_calls` says one: say true"
            findings.add("parallel", f"{where}/{index}/tool_calls", text)


# --- preference ----------------------------------------------------------------------------


_PAIR: Shape = {"input": (dict,), "preferred_output": (list,), "non_preferred_output": (list,)}


def check_preference(row: Row) -> list[Problem]:
    """The same for a row of the preference method."""
    findings = Findings()
    findings.needs(row, _PAIR, "")
    findings.only(row, frozenset(_PAIR), "")
    if findings.problems:
        return findings.all()
    asked: Row = row["input"]
    findings.only(asked, _KEYS, "input")
    for side in ("preferred_output", "non_preferred_output"):
        told = Findings() if side == "non_preferred_output" else findings
        talk = Talk(DIALECT, _tools(asked, told, "input"), told)
        talk.read(asked.get("messages"), "input/messages")
        _continued(talk, findings)
        talk.read(row[side], side, begins=False)
        talk.end(open_end=True)
        _outputs(row[side], side, findings)
        findings.problems += [] if told is findings else _of(side, told)
    if row["preferred_output"] == row["non_preferred_output"]:
        text = "is what is preferred, too: there is nothing to prefer"
        findings.add("pair", "non_preferred_output", text)
    _messages(asked, asked.get("messages"), "input/messages", findings)
    return findings.all()


def _of(side: str, told: Findings) -> list[Problem]:
    """What was found in one side; the input was told with the other."""
    return [one for one in told.problems if one.where.startswith(side)]


def _continued(talk: Talk, findings: Findings) -> None:
    if talk.last == "assistant":
        text = "ends with the assistant's words: what both outputs continue is asked, not answered"
        if not any(one.rule == "pair" for one in findings.problems):
            findings.add("pair", "input/messages", text)


def _outputs(messages: list[object], where: str, findings: Findings) -> None:
    roles = [one.get("role") for one in messages if isinstance(one, dict)]
    if "assistant" not in roles:
        findings.add("no-answer", where, "has no assistant message: leave the row out")
    for index, role in enumerate(roles):
        if role not in ("assistant", "tool"):
            text = "only assistant and tool messages stand in an output"
            findings.add("role", f"{where}/{index}/role", text)
