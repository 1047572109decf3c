"""ATIF v1.7, Harbor's Agent Trajectory Interchange Format: one document a row.

Source: `harbor.models.trajectories` (ATIF 1.0 to 1.8; 1.7 is what others take, too). A step is a
message, with what the calls of the model gave back. Where ATIF has a word for something, it is
said with it; everything else of the native row stands under `extra`, so that `atif_back` makes
the same row of it again, byte for byte.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

import msgspec

from clew.exporters.base import Row, Unfit, line
from clew.exporters.packages.naming import file_name
from clew.exporters.projections.inside import object_of
from clew.exporters.projections.turns import described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clew.model import JSON

VERSION: Final = "ATIF-v1.7"
UNKNOWN: Final = "unknown"
RAW: Final = "raw"
"""Where arguments stand that are no object, as in Harbor's own converters."""
SOURCES: Final = {"system": "system", "user": "user", "assistant": "agent"}
TOLD: Final = frozenset(
    {
        "session_id", "agent", "model_used", "tools", "messages", "role", "time", "content",
        "reasoning_content", "tool_calls", "tool_call_id", "name",
    }
)  # fmt: skip
"""Native fields that ATIF has words for."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEDIA = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_FIGURES = ("tier", "complexity_score", "latency_ms", "finish_reason", "provider", "request_id")


def project(row: Row) -> Row:
    """An ATIF document. Raises `Unfit` for a row without messages, and for a result that stands
    behind no call of the message before it.
    """
    if not row["messages"]:
        raise Unfit("no messages", "ATIF wants at least one step")
    writer = _Writer(row)
    steps = writer.steps()
    carried: Row = {"messages": row["messages"], "session_id": row["session_id"]}
    agent: Row = {"name": UNKNOWN, "version": UNKNOWN}
    if row["agent"]:
        agent["name"] = carried["agent"] = row["agent"]
    if row["model_used"]:
        agent["model_name"] = carried["model_used"] = row["model_used"]
    agent["tool_definitions"] = carried["tools"] = row["tools"]
    extra = writer.rest(row, carried)
    return {
        "schema_version": VERSION,
        "session_id": row["session_id"],
        "trajectory_id": file_name(row, ""),
        "agent": agent,
        "steps": steps,
        "final_metrics": _final(row, steps),
        "extra": {**extra, "clew_fields": writer.shapes},
    }


def file(row: Row) -> tuple[str, bytes]:
    """The name and the bytes of the file that a document is: where references to it lead."""
    return row["trajectory_id"] + ".json", line(row)


class _Writer:
    """Writes the steps of a row. `shapes` are the lists of fields that it, its messages and their
    telemetry have: each names its own by number, under `clew`, so that it can be written again as
    it was, with the fields that are null and not repeated.
    """

    def __init__(self, row: Row) -> None:
        self._row = row
        self.shapes: list[list[str]] = []
        self._numbers: dict[tuple[str, ...], int] = {}
        self._began: dict[str, list[str]] = {}
        for one in row.get("subagents") or ():
            if one["call_id"] is not None:
                self._began.setdefault(one["call_id"], []).append(one["session_id"])

    def steps(self) -> list[Row]:
        out: list[Row] = []
        for message in self._row["messages"]:
            if message["role"] == "tool":
                self._result(out, message)
            else:
                out.append(self._step(len(out) + 1, message))
        return out

    def rest(self, native: Row, carried: Mapping[str, JSON]) -> Row:
        """What ATIF has no place for, and the shape."""
        keys = tuple(native)
        if keys not in self._numbers:
            self._numbers[keys] = len(self.shapes)
            self.shapes.append(list(keys))
        rest = {
            key: value
            for key, value in native.items()
            if key not in carried and (value is not None or key in TOLD)
        }
        if isinstance(rest.get("telemetry"), dict):
            rest["telemetry"] = self.rest(rest["telemetry"], {})
        return {"clew": self._numbers[keys], **rest}

    def _step(self, number: int, message: Row) -> Row:
        role = message["role"]
        said, odd = _content(message["content"])
        carried: Row = {"role": role, "content": said}
        step: Row = {"step_id": number}
        if message.get("time"):
            step["timestamp"] = carried["time"] = message["time"]
        step |= {"source": SOURCES[role], "message": said}
        if role == "assistant":
            self._agent(step, carried, message)
        if _copied(message, self._row["session_id"]):
            step["is_copied_context"] = True
            step.pop("metrics", None)  # it was counted where it was said
        step["extra"] = self.rest(message, carried) | odd
        return step

    def _agent(self, step: Row, carried: Row, message: Row) -> None:
        """What only a step of the agent may have."""
        told = message.get("telemetry") or {}
        if told.get("model"):
            step["model_name"] = told["model"]
        if message.get("reasoning_content"):
            step["reasoning_content"] = carried["reasoning_content"] = message["reasoning_content"]
        if message.get("tool_calls"):
            carried["tool_calls"] = message["tool_calls"]
            step["tool_calls"] = [_call(call) for call in message["tool_calls"]]
        metrics = _metrics(told)
        if metrics:
            step["metrics"] = metrics
        if message["sampled"] and "prompt_tokens" in metrics:
            step["llm_call_count"] = 1
        elif not message["sampled"] and not metrics and "reasoning_content" not in step:
            step["llm_call_count"] = 0

    def _result(self, steps: list[Row], message: Row) -> None:
        """A result, in the step of its call."""
        calls: list[Row] = steps[-1].get("tool_calls", []) if steps else []
        id = message["tool_call_id"]
        call = next((one for one in calls if one["tool_call_id"] == id), None)
        if call is None:
            raise Unfit(
                "result without its call", f"the result for {id} stands behind no such call"
            )
        said, odd = _content(message["content"])
        carried: Row = {"role": "tool", "tool_call_id": id, "content": said}
        if message["name"] == call["function_name"]:
            carried["name"] = message["name"]
        result: Row = {"source_call_id": id, "content": said}
        if id in self._began:
            result["subagent_trajectory_ref"] = [_reference(one) for one in self._began[id]]
        result["extra"] = self.rest(message, carried) | odd
        steps[-1].setdefault("observation", {"results": []})["results"].append(result)


def _copied(message: Row, session: str) -> bool:
    """Whether it was said elsewhere and is here for its context: before the session was branched
    off, before what this row is a part of, or instead of what was compacted.
    """
    at = message.get("at") or ()
    homes = {one.rpartition(":")[0] for one in at}
    elsewhere = bool(homes) and session not in homes
    return elsewhere or message.get("context") is True or message.get("kind") == "compaction"


def _reference(session: str) -> Row:
    name = file_name({"session_id": session}, "")
    return {"trajectory_id": name, "session_id": session, "trajectory_path": f"{name}.json"}


# --- content and calls ---------------------------------------------------------------------


def _content(content: str | list[Row]) -> tuple[str | list[Row], Row]:
    """What is said in ATIF's words, and the parts that those do not tell whole, by their place."""
    if isinstance(content, str):
        return content, {}
    said: list[Row] = []
    odd: Row = {}
    for number, part in enumerate(content):
        said.append(_part(part))
        if said[-1] != part or list(said[-1]) != list(part):
            odd[str(number)] = part
    return said, {"parts_in_content": odd} if odd else {}


def _part(part: Row) -> Row:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    path = part.get("url") or _named_by_content(part.get("sha256"))
    if part["type"] == "image" and part.get("media_type") in _MEDIA and path:
        return {"type": "image", "source": {"media_type": part["media_type"], "path": path}}
    return {"type": "text", "text": described(part)}


def _named_by_content(sha256: str | None) -> str | None:
    """RFC 6920's name for a body that is not here; `None` where its digest was redacted."""
    if not sha256 or not _DIGEST.fullmatch(sha256):
        return None
    value = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    return f"ni:///sha-256;{value}"


def _call(call: Row) -> Row:
    """A call; its text stands beside it where the decoded arguments would not give it again."""
    function = call["function"]
    name, text = function["name"], function["arguments"]
    value = object_of(text)
    told: Row = {"tool_call_id": call["id"], "function_name": name}
    told["arguments"] = {RAW: text} if value is None else value
    usual = [*call, *function] == ["id", "type", "function", "name", "arguments"]
    if not usual or call["type"] != "function":
        told["extra"] = {"call": call}
    elif value is None or encoded(value) != text:
        told["extra"] = {"arguments": text}
    return told


def encoded(arguments: Row) -> str:
    """Arguments as JSON text without spaces."""
    return msgspec.json.encode(arguments).decode()


# --- figures -------------------------------------------------------------------------------


def _metrics(told: Row) -> Row:
    """Tokens of a step. ATIF's prompt includes what the cache gave."""
    out: Row = {}
    if told.get("tokens_in") is not None:
        out["prompt_tokens"] = told["tokens_in"] + (told.get("cached") or 0)
    if told.get("tokens_out") is not None:
        out["completion_tokens"] = told["tokens_out"]
    if told.get("cached") is not None:
        out["cached_tokens"] = told["cached"]
    more = {key: told[key] for key in _FIGURES if out and told.get(key) is not None}
    return {**out, "extra": more} if more else out


def _final(row: Row, steps: list[Row]) -> Row:
    """The sums. Of a row with copied steps they are those of the others; else they hold what no
    message stands for, too.
    """
    out: Row = {}
    if any("is_copied_context" in step for step in steps):
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
            known = [step["metrics"][name] for step in steps if name in step.get("metrics", {})]
            if known:
                out[f"total_{name}"] = sum(known)
    elif row["tokens_in"] is not None:
        out["total_prompt_tokens"] = row["tokens_in"] + (row["tokens_cache_read"] or 0)
        out["total_completion_tokens"] = row["tokens_out"]
        out["total_cached_tokens"] = row["tokens_cache_read"]
        out["total_cost_usd"] = row["cost_usd"]
    out = {key: value for key, value in out.items() if value is not None}
    return {**out, "total_steps": len(steps)}
