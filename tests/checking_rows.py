"""A good row of each format, and what makes a bad one of it."""

from __future__ import annotations

import copy
from typing import Any

Row = dict[str, Any]

GONE = object()
"""Takes a key or an item away."""

SCHEMA: Row = {
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
    "additionalProperties": False,
}
BASH: Row = {"name": "Bash", "description": "Run a command", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": BASH}]
RULESET = "sha256:1f"


def changed(row: Row, *changes: Any) -> Row:
    """A copy with other values: a path, what is put there, the next path, …"""
    out = copy.deepcopy(row)
    for path, value in zip(changes[::2], changes[1::2], strict=True):
        *above, last = path.split("/")
        at: Any = out
        for name in above:
            at = at[int(name) if isinstance(at, list) else name]
        key = int(last) if isinstance(at, list) else last
        if value is GONE:
            del at[key]
        elif isinstance(at, list) and key == len(at):
            at.append(value)
        else:
            at[key] = value
    return out


def _call(id: str, arguments: Any, name: str = "Bash") -> Row:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def trl() -> Row:
    return {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "list files"},
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "ls will do",
                "tool_calls": [_call("c1", {"command": "ls"}), _call("c2", {"command": "pwd"})],
            },
            {"role": "tool", "tool_call_id": "c1", "name": "Bash", "content": "a.txt"},
            {"role": "tool", "tool_call_id": "c2", "name": "Bash", "content": "/home"},
            {"role": "assistant", "content": "There is a.txt in /home."},
        ],
        "tools": copy.deepcopy(TOOLS),
        "session_id": "s1",
    }


def openai() -> Row:
    row = trl()
    del row["session_id"]
    row["parallel_tool_calls"] = True
    for message in row["messages"]:
        message.pop("reasoning_content", None)
        if message["role"] == "tool":
            del message["name"]
        if message["role"] == "assistant":
            message["weight"] = 1
    calls = row["messages"][2]
    del calls["content"]
    calls["tool_calls"] = [_call("c1", '{"command":"ls"}'), _call("c2", '{"command":"pwd"}')]
    return row


def preference() -> Row:
    row = openai()
    asked = {"messages": row["messages"][:5], "tools": row["tools"], "parallel_tool_calls": True}
    asked["messages"][2].pop("weight")
    return {
        "input": asked,
        "preferred_output": [{"role": "assistant", "content": "There is a.txt."}],
        "non_preferred_output": [{"role": "assistant", "content": "I do not know."}],
    }


def dpo() -> Row:
    row = trl()
    return {
        "prompt": row["messages"][:2],
        "chosen": row["messages"][2:],
        "rejected": [{"role": "assistant", "content": "I cannot."}],
        "tools": row["tools"],
    }


def kto() -> Row:
    row = trl()
    completion = row["messages"][2:]
    return {"prompt": row["messages"][:2], "completion": completion, "label": True} | {
        "tools": row["tools"]
    }


def sharegpt() -> Row:
    tools = (
        '<tools>\n[{"name":"Bash","description":"Run","parameters":{"type":"object"}}]\n</tools>'
    )
    call = '<tool_call>\n{"name":"Bash","arguments":{"command":"ls"}}\n</tool_call>'
    result = '<tool_response>\n{"name":"Bash","content":"a.txt"}\n</tool_response>'
    return {
        "conversations": [
            {"from": "system", "value": f"Tools stand between <tools> and </tools>:\n{tools}"},
            {"from": "human", "value": "list files"},
            {"from": "gpt", "value": f"<think>\nls\n</think>\n{call}\n{call}"},
            {"from": "tool", "value": f"{result}\n{result}"},
            {"from": "gpt", "value": "<think>\n</think>\nThere is a.txt."},
        ]
    }


def factory() -> Row:
    return {
        "conversations": [
            {"from": "human", "value": "list files"},
            {
                "from": "function_call",
                "value": '<think>\nls\n</think>\n{"name":"Bash","arguments":{"command":"ls"}}',
            },
            {"from": "observation", "value": "a.txt"},
            {"from": "gpt", "value": "There is a.txt."},
        ],
        "system": "Be brief.",
        "tools": '[{"name":"Bash","description":"Run",'
        '"parameters":{"type":"object","properties":{"command":{"type":"string"}}}}]',
    }


def anthropic() -> Row:
    return {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "list files"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "ls will do"},
                    {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "ls"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "a.txt"},
                    {"type": "text", "text": "and?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "There is a.txt."}]},
        ],
        "tools": [{"name": "Bash", "description": "Run", "input_schema": copy.deepcopy(SCHEMA)}],
    }


def atif() -> Row:
    return {
        "schema_version": "ATIF-v1.7",
        "session_id": "s1",
        "trajectory_id": "s1",
        "agent": {"name": "pi", "version": "1", "tool_definitions": copy.deepcopy(TOOLS)},
        "steps": [
            {"step_id": 1, "source": "user", "message": "list files"},
            {
                "step_id": 2,
                "timestamp": "2026-05-03T10:11:12.000Z",
                "source": "agent",
                "message": "",
                "reasoning_content": "ls will do",
                "tool_calls": [
                    {
                        "tool_call_id": "c1",
                        "function_name": "Bash",
                        "arguments": {"command": "ls"},
                    }
                ],
                "observation": {"results": [{"source_call_id": "c1", "content": "a.txt"}]},
                "metrics": {"prompt_tokens": 100, "completion_tokens": 9, "cost_usd": 0.25},
                "llm_call_count": 1,
            },
            {
                "step_id": 3,
                "source": "agent",
                "message": [{"type": "text", "text": "There is a.txt."}],
                "extra": {"train": True},
            },
        ],
        "final_metrics": {
            "total_prompt_tokens": 100,
            "total_completion_tokens": 9,
            "total_cost_usd": 0.25,
            "total_steps": 3,
        },
    }


def sts() -> Row:
    return {
        "name": "s1.jsonl",
        "lines": [
            {"type": "session", "harness": "pi", "id": "s1", "name": "list files"},
            {"type": "message", "message": {"role": "user", "content": "list files"}},
            {
                "type": "message",
                "message": {
                    "role": "assistant",
                    "content": "",
                    "timestamp": 1,
                    "toolCalls": [{"id": "c1", "function": {"name": "Bash", "arguments": "{"}}],
                },
            },
            {
                "type": "message",
                "message": {"role": "tool", "toolCallId": "c1", "content": "a.txt"},
            },
        ],
    }


_TOLD: Row = {
    "request_id": "r1",
    "tier": "SIMPLE",
    "complexity_score": 12,
    "model": "x",
    "provider": "y",
    "tokens_in": 100,
    "tokens_out": 9,
    "cached": 3,
    "latency_ms": 240.5,
    "finish_reason": None,
    "error": None,
}


def _said(number: int, role: str, content: Any, **more: Any) -> Row:
    about = {"id": f"m{number}", "role": role, "content": content, "time": None}
    return {**about, "segment": 0, "sampled": False, "train": False, **more}


_NOTES = (
    "lost_results",
    "late_results",
    "orphan_results",
    "duplicate_results",
    "renamed_calls",
    "invalid_arguments",
    "failed_calls",
)


def native() -> Row:
    sampled = {"sampled": True, "train": True}
    result = {"tool_call_id": "c1", "name": "Bash", "is_error": False}
    messages = [
        _said(1, "user", "list files", at=["s1:1"]) | {"time": "2026-05-03T10:11:12.000Z"},
        _said(2, "assistant", "", reasoning_content="ls", **sampled, telemetry=dict(_TOLD))
        | {"tool_calls": [_call("c1", '{"command": "ls"}')]},
        _said(3, "tool", "a.txt", **result),
        _said(4, "assistant", "There is a.txt.", **sampled, telemetry=dict(_TOLD)),
        _said(5, "user", "What was said before.", kind="compaction") | {"segment": 1},
        _said(6, "user", [{"type": "text", "text": "now?"}, {"type": "image"}]) | {"segment": 1},
        _said(7, "assistant", "Nothing.", sampled=True, train_rule="cut-short") | {"segment": 1},
    ]
    whole = ("tokens_cache_write", "tokens_reasoning", "cost_usd", "latency_ms", "split")
    known = ("branch_id", "title", "agent", "forked_from", "spawned_by", "model_used")
    return {
        "schema": "clew-traj/1",
        "session_id": "s1",
        **dict.fromkeys((*known, "provider_used", "tier", "complexity_score", *whole)),
        "subagents": [{"session_id": "s2", "call_id": None}],
        "messages": messages,
        "segments": [
            {"segment": 0, "parent": None, "first": 0, "count": 4, "compaction": None},
            {"segment": 1, "parent": 0, "first": 4, "count": 3, "compaction": {}},
        ],
        "tools": copy.deepcopy(TOOLS),
        "tools_source": "recorded",
        "tool_calls": [{"id": "c1", "name": "Bash", "status": "ok"}],
        "outcome": "success",
        "outcome_rule": "all-results-ok",
        "outcome_source": "heuristic",
        "tokens_in": 250,
        "tokens_out": 18,
        "tokens_cache_read": 6,
        "started_at": "2026-05-03T10:11:12.000Z",
        "ended_at": "2026-05-03T10:11:14.000Z",
        "notes": dict.fromkeys(_NOTES, 0),
        "redaction": {"ruleset": RULESET, "n": 0},
    }


GOOD = {
    "native": native,
    "trl": trl,
    "openai": openai,
    "openai-preference": preference,
    "atif": atif,
    "sharegpt": sharegpt,
    "llama-factory": factory,
    "anthropic": anthropic,
    "sts": sts,
    "dpo": dpo,
    "kto": kto,
}
