"""Session traces of the Hugging Face Hub (STS): a line about the session, then its messages.

A row is a file: `{"name", "lines"}`. Source: "Session Traces Format" in the Hub's documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.exporters.checking.chat import Dialect, Talk
from clew.exporters.checking.rules import Findings, Shape, called
from clew.exporters.checking.tools import Tools

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row
    from clew.model import JSON

_HEAD: Shape = {"type": (str,), "harness": (str,), "id": (str,)}
_KEYS: Shape = {
    "content": (str,),
    "reasoningContent": (str,),
    "toolCalls": (list,),
    "toolCallId": (str,),
    "timestamp": (int,),
    "model": (str,),
}
_NAMES = (("toolCalls", "tool_calls"), ("toolCallId", "tool_call_id"))
DIALECT = Dialect(
    roles=frozenset({"system", "user", "assistant", "tool"}),
    text_arguments=True,
    ordered=False,
    one_system=False,
    shown=True,
)


def check(row: Row) -> list[Problem]:
    """Why the Hub would not show the trace as it was. `row` is `{"name", "lines"}`."""
    findings = Findings()
    findings.needs(row, {"name": (str,), "lines": (list,)}, "")
    if not findings.problems:
        _lines(row["lines"], findings)
    return findings.all()


def check_lines(lines: list[JSON]) -> list[Problem]:
    """The same for the lines of a file."""
    findings = Findings()
    _lines(lines, findings)
    return findings.all()


def _lines(lines: list[JSON], findings: Findings) -> None:
    head = lines[0] if lines else None
    if type(head) is not dict or head.get("type") != "session":
        text = "the first line is not about the session: {“type”: “session”, “harness”, “id”}"
        findings.add("key-missing", "lines/0", text.replace("“", '"').replace("”", '"'))
        return
    findings.needs(head, _HEAD, "lines/0")
    talk = Talk(DIALECT, Tools(findings), findings)
    said = []
    for number, one in enumerate(lines[1:], 1):
        message = one.get("message") if type(one) is dict and one.get("type") == "message" else None
        if type(message) is not dict:
            what = called(one) if type(one) is not dict else repr(one.get("type"))[:40]
            findings.add("object", f"lines/{number}", f"is {what}: write a message")
            message = {"role": "user", "content": ""}
        said.append(message)
    before = len(findings.problems)
    talk.read([_renamed(message) for message in said], "lines")
    talk.end()
    findings.problems[before:] = [_placed(one) for one in findings.problems[before:]]
    for number, message in enumerate(said, 1):
        findings.allows(message, _KEYS, f"lines/{number}/message")


def _renamed(message: Row) -> Row:
    out = dict(message)
    for theirs, ours in _NAMES:
        if theirs in out:
            out[ours] = out.pop(theirs)
    return out


def _placed(problem: Problem) -> Problem:
    """Say where it is in the file: messages begin in its second line."""
    head, number, *rest = problem.where.split("/") if "/" in problem.where else ["", ""]
    if head != "lines" or not number.isdecimal():
        return problem
    where = "/".join([head, str(int(number) + 1), "message", *rest])
    for theirs, ours in _NAMES:
        where = where.replace(ours, theirs)
    return problem._replace(where=where)
