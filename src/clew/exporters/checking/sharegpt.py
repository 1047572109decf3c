"""ShareGPT: the dialect of Hermes models, and that of LLaMA-Factory.

Hermes: `conversations` of `{"from": "system|human|gpt|tool", "value"}`; tools stand in `<tools>`
in the system turn, calls in `<tool_call>`, results in `<tool_response>`, each tag around one JSON
value. Source: the Hermes function calling data sets and templates.

LLaMA-Factory: roles `human`, `gpt`, `function_call`, `observation`; `system` and `tools` beside
them, tools as the JSON text of a list. Source: `SharegptDatasetConverter`, which takes a row for
an empty one, with a warning, unless the sides alternate and come in pairs; `FunctionFormatter`,
which raises for a call that is not JSON with a name and arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from clew.exporters.checking.chat import object_of
from clew.exporters.checking.rules import Findings, called
from clew.exporters.checking.tools import Tools, flat_tool, openai_tool

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row
    from clew.model import JSON

_HERMES = frozenset({"system", "human", "gpt", "tool"})
_FACTORY = frozenset({"system", "human", "gpt", "function_call", "observation"})
_TOOLS = re.compile(r"<tools>\s*([\[{].*?)</tools>", re.DOTALL)
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)


def _turns(row: Row, roles: frozenset[str], findings: Findings) -> list[tuple[str, str]]:
    """Who says what. Empty, and told, when the conversation has another shape."""
    turns = row.get("conversations")
    if type(turns) is not list:
        rule = "type" if "conversations" in row else "key-missing"
        text = f"is {called(turns) if 'conversations' in row else 'missing'}: write a list of turns"
        findings.add(rule, "conversations", text)
        return []
    if not turns:
        findings.add("no-messages", "conversations", "is empty: leave the row out")
    out = []
    for index, turn in enumerate(turns):
        at = f"conversations/{index}"
        who = turn.get("from") if type(turn) is dict else None
        says = turn.get("value") if type(turn) is dict else None
        if type(who) is not str or who not in roles:
            shown = repr(who)[:40] if type(who) is str else called(who)
            text = f"is {shown}: write one of {', '.join(sorted(roles))}"
            findings.add("role", f"{at}/from", text)
        elif type(says) is not str:
            text = f"is {called(says)}: write a string, an empty one for no words"
            findings.add("content", f"{at}/value", text)
        else:
            out.append((who, says))
    return [] if len(out) < len(turns) else out


def _ordered(
    who: str, before: str, follows: dict[str, frozenset[str]], at: str, findings: Findings
) -> None:
    if before not in follows[who]:
        after = "the beginning" if before == "" else repr(before)
        text = f"{who!r} behind {after}: before it stands {' or '.join(sorted(follows[who]))}"
        rule = "system-first" if who == "system" else "role-order"
        findings.add(rule, f"{at}/from", text.replace("stands  or ", "stands nothing, or "))


# --- Hermes --------------------------------------------------------------------------------

_HERMES_AFTER = {
    "system": frozenset({""}),
    "human": frozenset({"", "system", "gpt", "tool"}),
    "gpt": frozenset({"", "system", "human", "tool"}),
    "tool": frozenset({"gpt", "tool"}),
}


def check_hermes(row: Row) -> list[Problem]:
    """Why a trainer of Hermes conversations would learn something else."""
    findings = Findings()
    turns = _turns(row, _HERMES, findings)
    tools = Tools(findings)
    before = ""
    calls: list[Row] = []
    answered = any_calls = 0
    for index, (who, says) in enumerate(turns):
        at = f"conversations/{index}"
        _ordered(who, before, _HERMES_AFTER, at, findings)
        if who != "tool":
            _answered(calls, answered, f"conversations/{index - 1}/value", findings)
            calls, answered = [], 0
        if who == "system":
            _hermes_tools(says, tools, at, findings)
        elif who == "gpt":
            calls = _hermes_calls(says, tools, f"{at}/value", findings)
            any_calls += len(calls)
        elif who == "tool":
            answered += len(_tagged(says, "tool_response", f"{at}/value", findings))
        before = who
    _answered(calls, answered, f"conversations/{len(turns) - 1}/value", findings)
    _closing(turns, any_calls, tools, "gpt", findings)
    return findings.all()


def _closing(
    turns: list[tuple[str, str]], calls: int, tools: Tools, answer: str, findings: Findings
) -> None:
    if turns and not any(who in (answer, "function_call") for who, _ in turns):
        text = "has no answer of the model to learn from: leave the row out"
        findings.add("no-answer", "conversations", text)
    if calls and not tools.given:
        text = f"there are {calls} calls and no tools: add the tools' schemas"
        findings.add("tools-missing", "tools", text)


def _answered(calls: list[Row], answered: int, where: str, findings: Findings) -> None:
    if answered < len(calls):
        text = f"{len(calls)} calls and {answered} results: add the others, or cut the row before"
        findings.add("result-missing", where, text)
    elif answered > len(calls):
        text = f"{len(calls)} calls and {answered} results: leave out what nobody asked for"
        findings.add("result-orphan", where, text)


def _tagged(says: str, tag: str, where: str, findings: Findings) -> list[str]:
    """What stands between the tags of a kind."""
    begin, end = f"<{tag}>", f"</{tag}>"
    if begin not in says and end not in says:
        return []
    pieces = says.split(begin)
    inside = [piece.partition(end) for piece in pieces[1:]]
    closed = all(mark and end not in rest for _, mark, rest in inside)
    if not closed or end in pieces[0]:
        findings.add("markup", where, f"opens and closes {begin} unevenly: one behind the other")
        return []
    return [within.strip() for within, _, _ in inside]


def _hermes_tools(says: str, tools: Tools, at: str, findings: Findings) -> None:
    """Read the tools. Prompts speak of the tags, too: what counts begins like JSON."""
    where = f"{at}/value"
    for found in _TOOLS.finditer(says):
        within = found[1].strip()
        listed = _decoded(within)
        if type(listed) is not list:  # one tool a line is written, too
            lines = [object_of(line) for line in within.splitlines() if line.strip()]
            listed = None if None in lines else lines
        if type(listed) is not list:
            findings.add("markup", where, "between <tools> stands no JSON list of tools")
            return
        wrapped = all(type(one) is dict and "function" in one for one in listed)
        tools.read(listed, openai_tool if wrapped else flat_tool, where=where)


def _hermes_calls(says: str, tools: Tools, where: str, findings: Findings) -> list[Row]:
    calls = []
    for within in _tagged(says, "tool_call", where, findings):
        call = object_of(within)
        if call is None:
            findings.add("markup", where, "between <tool_call> stands no JSON object")
            continue
        calls.append(call)
        _named_call(call, tools, where, findings)
    if says.count("</think>") != says.startswith("<think>"):
        findings.add("markup", where, "reasoning stands first, once, between <think> and </think>")
    return calls


def _named_call(call: Row, tools: Tools, where: str, findings: Findings) -> None:
    name, arguments = call.get("name"), call.get("arguments")
    if type(name) is not str or not name:
        findings.add("call", where, "a call has no name: write the tool's")
    elif type(arguments) is not dict:
        text = f"the arguments of a call are {called(arguments)}: write an object"
        findings.add("arguments-type", where, text)
        tools.knows(name, where)
    elif tools.knows(name, where):
        tools.hold(name, arguments, where)


def _decoded(text: str) -> JSON:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


# --- LLaMA-Factory -------------------------------------------------------------------------

_FACTORY_AFTER = {
    "system": frozenset({""}),
    "human": frozenset({"", "system", "gpt"}),
    "observation": frozenset({"function_call"}),
    "gpt": frozenset({"human", "observation"}),
    "function_call": frozenset({"human", "observation"}),
}


def check_factory(row: Row) -> list[Problem]:
    """Why LLaMA-Factory would skip the row, or raise."""
    findings = Findings()
    turns = _turns(row, _FACTORY, findings)
    tools = Tools(findings)
    findings.allows(row, {"system": (str,), "tools": (str,)}, "")
    if type(row.get("tools")) is str and row["tools"]:
        _factory_tools(row["tools"], tools, findings)
    before = ""
    calls = 0
    for index, (who, says) in enumerate(turns):
        at = f"conversations/{index}"
        _ordered(who, before, _FACTORY_AFTER, at, findings)
        if who == "function_call":
            calls += _factory_calls(says, tools, f"{at}/value", findings)
        before = who
    spoken = len(turns) - (bool(turns) and turns[0][0] == "system")
    if spoken % 2:
        text = f"has {spoken} turns; they come in pairs: cut the row behind its last answer"
        findings.add("role-order", "conversations", text)
    _closing(turns, calls, tools, "gpt", findings)
    return findings.all()


def _factory_tools(text: str, tools: Tools, findings: Findings) -> None:
    listed = _decoded(text)
    if type(listed) is not list:
        findings.add("markup", "tools", "is not the JSON text of a list of tools")
        return
    tools.read(listed, flat_tool)
    for index, tool in enumerate(listed):
        schema = tool.get("parameters") if type(tool) is dict else None
        if type(schema) is not dict or type(schema.get("properties")) is not dict:
            text = "has no parameters with properties, which the trainer reads: write empty ones"
            findings.add("tool-schema", f"tools/{index}", text)


def _factory_calls(says: str, tools: Tools, where: str, findings: Findings) -> int:
    inside = _CALL.search(says)
    value = _decoded(inside[1] if inside else _THOUGHT.sub("", says, count=1))
    calls = value if type(value) is list else [value]
    if not calls or not all(type(call) is dict for call in calls):
        findings.add("markup", where, "is not JSON of a call, or of a list of calls")
        return 0
    for call in calls:
        _named_call(call, tools, where, findings)
    return len(calls)
