"""ATIF: what Harbor's models demand of a trajectory, and what they do not look at.

Source: the models of Harbor 0.25 (versions 1.0 to 1.8, no unknown keys anywhere). Beyond them:
every call is answered once, ids are unique in the trajectory, tools that are called are defined
and their schemas fit, totals agree with the steps.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from clew.exporters.checking.rules import Findings, Shape, called
from clew.exporters.checking.tools import Tools

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row
    from clew.model import JSON

VERSIONS = tuple(f"ATIF-v1.{minor}" for minor in range(9))
NESTED_MAX = 16
_NONE = type(None)
_TEXT0, _OBJECT0, _LIST0 = (str, _NONE), (dict, _NONE), (list, _NONE)
_COUNT0, _NUMBER0 = (int, _NONE), (int, float, _NONE)
_ROOT: Shape = {
    "schema_version": (str,),
    "session_id": _TEXT0,
    "trajectory_id": _TEXT0,
    "agent": (dict,),
    "steps": (list,),
    "notes": _TEXT0,
    "final_metrics": _OBJECT0,
    "continued_trajectory_ref": _TEXT0,
    "extra": _OBJECT0,
    "subagent_trajectories": _LIST0,
}
_AGENT: Shape = {
    "name": (str,),
    "version": (str,),
    "model_name": _TEXT0,
    "tool_definitions": _LIST0,
    "extra": _OBJECT0,
}
_STEP: Shape = {
    "step_id": (int,),
    "timestamp": _TEXT0,
    "source": (str,),
    "model_name": _TEXT0,
    "reasoning_effort": (str, int, float, _NONE),
    "message": (str, list),
    "reasoning_content": _TEXT0,
    "tool_calls": _LIST0,
    "observation": _OBJECT0,
    "metrics": _OBJECT0,
    "is_copied_context": (bool, _NONE),
    "llm_call_count": _COUNT0,
    "extra": _OBJECT0,
}
_METRICS: Shape = {
    "prompt_tokens": _COUNT0,
    "completion_tokens": _COUNT0,
    "cached_tokens": _COUNT0,
    "cost_usd": _NUMBER0,
    "prompt_token_ids": _LIST0,
    "completion_token_ids": _LIST0,
    "logprobs": _LIST0,
    "extra": _OBJECT0,
}
_FINAL: Shape = {
    "total_prompt_tokens": _COUNT0,
    "total_completion_tokens": _COUNT0,
    "total_cached_tokens": _COUNT0,
    "total_cost_usd": _NUMBER0,
    "total_steps": _COUNT0,
    "extra": _OBJECT0,
}
_CALL: Shape = {
    "tool_call_id": (str,),
    "function_name": (str,),
    "arguments": (dict,),
    "extra": _OBJECT0,
}
_RESULT: Shape = {
    "source_call_id": _TEXT0,
    "content": (str, list, _NONE),
    "subagent_trajectory_ref": _LIST0,
    "extra": _OBJECT0,
}
_AGENT_ONLY = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")
_SUMS = (
    ("total_prompt_tokens", "prompt_tokens"),
    ("total_completion_tokens", "completion_tokens"),
    ("total_cached_tokens", "cached_tokens"),
    ("total_cost_usd", "cost_usd"),
)
_PART: Shape = {"type": (str,), "text": _TEXT0, "source": _OBJECT0}
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def check(row: Row) -> list[Problem]:
    """Why a reader of ATIF would refuse or misread the trajectory."""
    findings = Findings()
    _trajectory(row, "", 0, findings)
    return findings.all()


def _whole(row: Row, shape: Shape, needed: tuple[str, ...], at: str, findings: Findings) -> bool:
    """Whether an object has the keys that it needs, no others, and the right types."""
    before = len(findings.problems)
    findings.needs(row, {key: shape[key] for key in needed}, at)
    findings.allows(row, {key: shape[key] for key in shape if key not in needed}, at)
    findings.only(row, frozenset(shape), at)
    return len(findings.problems) == before


def _trajectory(row: Row, at: str, depth: int, findings: Findings) -> None:
    prefix = f"{at}/" if at else ""
    if not _whole(row, _ROOT, ("schema_version", "agent", "steps"), at, findings):
        return
    if row["schema_version"] not in VERSIONS:
        text = f"is {row['schema_version']!r:.40}: write one of {VERSIONS[0]} to {VERSIONS[-1]}"
        findings.add("value", f"{prefix}schema_version", text)
    _whole(row["agent"], _AGENT, ("name", "version"), f"{prefix}agent", findings)
    nested = row.get("subagent_trajectories") or []
    ids = _nested(nested, prefix, depth, findings)
    if not row["steps"]:
        findings.add("no-messages", f"{prefix}steps", "is empty: leave the trajectory out")
        return
    definitions = row["agent"].get("tool_definitions")
    given = definitions if type(definitions) is list else None
    tools = Tools(findings).read(given, where=f"{prefix}agent/tool_definitions")
    steps = _Steps(tools, ids, findings)
    for index, step in enumerate(row["steps"]):
        steps.read(step, index, f"{prefix}steps/{index}")
    if steps.calls and not tools.given:
        text = f"there are {steps.calls} calls and no tools: add the tools' schemas"
        findings.add("tools-missing", f"{prefix}agent/tool_definitions", text)
    final = row.get("final_metrics")
    if final is not None and _whole(final, _FINAL, (), f"{prefix}final_metrics", findings):
        _totals(row, final, f"{prefix}final_metrics", findings)


def _nested(nested: list[JSON], prefix: str, depth: int, findings: Findings) -> set[JSON]:
    ids: set[JSON] = set()
    for index, one in enumerate(nested):
        at = f"{prefix}subagent_trajectories/{index}"
        if type(one) is not dict:
            findings.add("type", at, f"is {called(one)}: write a trajectory")
            continue
        id = one.get("trajectory_id")
        if type(id) is not str or id in ids:
            text = "is missing, or another's: give each trajectory inside an id of its own"
            findings.add("subagent", f"{at}/trajectory_id", text)
        else:
            ids.add(id)
        if depth >= NESTED_MAX:
            text = f"is nested deeper than {NESTED_MAX} levels: put it beside"
            findings.add("subagent", at, text)
            continue
        _trajectory(one, at, depth + 1, findings)
    return ids


def _totals(row: Row, final: Row, at: str, findings: Findings) -> None:
    """Totals are not less than what the steps say (those of sub-agents may be in them), and the
    steps are counted or explained.
    """
    steps = final.get("total_steps")
    if steps is not None and steps != len(row["steps"]) and not row.get("notes"):
        text = f"is {steps}; there are {len(row['steps'])}: say why in the trajectory's notes"
        findings.add("totals", f"{at}/total_steps", text)
    told = [
        step["metrics"]
        for step in row["steps"]
        if type(step) is dict and type(step.get("metrics")) is dict
        if not step.get("is_copied_context")
    ]
    for total, field in _SUMS:
        whole = final.get(total)
        known = [one[field] for one in told if type(one.get(field)) in (int, float)]
        least = math.fsum(known)
        if (
            whole is not None
            and whole < least
            and not math.isclose(whole, least, rel_tol=1e-6, abs_tol=1e-9)
        ):
            findings.add("totals", f"{at}/{total}", f"is {whole}; the steps sum up to {least}")


class _Steps:
    """The steps of one trajectory."""

    def __init__(self, tools: Tools, subagents: set[JSON], findings: Findings) -> None:
        self._tools = tools
        self._subagents = subagents
        self._findings = findings
        self._ids: set[str] = set()
        self.calls = 0

    def read(self, step: JSON, index: int, at: str) -> None:
        if type(step) is not dict:
            self._findings.add("type", at, f"is {called(step)}: write a step")
            return
        if not _whole(step, _STEP, ("step_id", "source", "message"), at, self._findings):
            return
        if step["step_id"] != index + 1:
            text = f"is {step['step_id']}: write {index + 1}"
            self._findings.add("steps", f"{at}/step_id", text)
        if step["source"] not in ("system", "user", "agent"):
            text = f"is {step['source']!r:.40}: write system, user or agent"
            self._findings.add("role", f"{at}/source", text)
        self._agent_only(step, at)
        self._time(step.get("timestamp"), f"{at}/timestamp")
        self._content(step["message"], f"{at}/message")
        if step.get("metrics") is not None:
            _whole(step["metrics"], _METRICS, (), f"{at}/metrics", self._findings)
        ids = self._calls(step, at)
        self._observed(step, ids, at)

    def _agent_only(self, step: Row, at: str) -> None:
        if step["source"] != "agent":
            keys = [key for key in _AGENT_ONLY if step.get(key) is not None]
            why = "only agent steps have it: leave it out"
        elif step.get("llm_call_count") == 0:
            keys = [key for key in ("metrics", "reasoning_content") if step.get(key) is not None]
            why = "a step without a model call has none: leave it out"
        else:
            return
        for key in keys:
            self._findings.add("agent-only", f"{at}/{key}", why)

    def _time(self, time: JSON, at: str) -> None:
        try:
            if time is not None:
                datetime.fromisoformat(time)
        except ValueError:
            self._findings.add("time", at, "is no ISO 8601 time")

    def _content(self, content: JSON, at: str) -> None:
        if content is None or type(content) is str:
            return
        for index, part in enumerate(content):
            where = f"{at}/{index}"
            if type(part) is not dict:
                self._findings.add("content", where, f"is {called(part)}: write a part")
            elif _whole(part, _PART, ("type",), where, self._findings):
                self._part(part, where)

    def _part(self, part: Row, at: str) -> None:
        kind, text, source = part["type"], part.get("text"), part.get("source")
        if kind == "text":
            wrong = text is None or source is not None
        elif kind == "image":
            media = source.get("media_type") if type(source) is dict else None
            known = type(source) is dict and set(source) == {"media_type", "path"}
            wrong = text is not None or not known or media not in _IMAGES
        else:
            wrong = kind != "audio" or type(source) is not dict or text is not None
        if wrong:
            why = "has `text` for words, or `source` with media_type and path for an image"
            self._findings.add("content", at, why)

    def _calls(self, step: Row, at: str) -> dict[str, str]:
        """The calls of a step: where each stands, by id."""
        ids: dict[str, str] = {}
        extra = step.get("extra") or {}
        trained = not step.get("is_copied_context") and extra.get("train") is not False
        for index, call in enumerate(step.get("tool_calls") or ()):
            where = f"{at}/tool_calls/{index}"
            if type(call) is not dict:
                self._findings.add("call", where, f"is {called(call)}: write a call")
                continue
            needed = ("tool_call_id", "function_name", "arguments")
            self.calls += 1
            if not _whole(call, _CALL, needed, where, self._findings):
                continue
            id = call["tool_call_id"]
            if id in self._ids:
                text = "is the id of another call: give each call one of its own"
                self._findings.add("call-id-repeated", f"{where}/tool_call_id", text)
            self._ids.add(id)
            ids[id] = where
            name = call["function_name"]
            if self._tools.knows(name, f"{where}/function_name") and trained:
                self._tools.hold(name, call["arguments"], f"{where}/arguments")
        return ids

    def _observed(self, step: Row, ids: dict[str, str], at: str) -> None:
        observation = step.get("observation")
        answered: set[JSON] = set()
        if observation is not None:
            shape: Shape = {"results": (list,)}
            if not _whole(observation, shape, ("results",), f"{at}/observation", self._findings):
                return
            for index, result in enumerate(observation["results"]):
                where = f"{at}/observation/results/{index}"
                if type(result) is not dict:
                    self._findings.add("type", where, f"is {called(result)}: write a result")
                elif _whole(result, _RESULT, (), where, self._findings):
                    self._result(result, ids, answered, where)
        for id, where in ids.items():
            if id not in answered:
                text = "has no result in the observation of its step: add one"
                self._findings.add("result-missing", where, text)

    def _result(self, result: Row, ids: dict[str, str], answered: set[JSON], at: str) -> None:
        id = result.get("source_call_id")
        if id is not None and id not in ids:
            text = "answers no call of its step: leave it out, or put it with its call"
            self._findings.add("result-orphan", f"{at}/source_call_id", text)
        elif id is not None and id in answered:
            text = "answers a call that has its result already: keep one"
            self._findings.add("result-repeated", f"{at}/source_call_id", text)
        answered.add(id)
        self._content(result.get("content"), f"{at}/content")
        for index, one in enumerate(result.get("subagent_trajectory_ref") or ()):
            where = f"{at}/subagent_trajectory_ref/{index}"
            path = one.get("trajectory_path") if type(one) is dict else None
            inside = one.get("trajectory_id") if type(one) is dict else None
            known = type(inside) is str and inside in self._subagents
            if path is None and not known:
                text = "leads nowhere: name a trajectory inside, or a trajectory_path"
                self._findings.add("subagent", where, text)
