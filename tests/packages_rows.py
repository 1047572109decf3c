"""Invented native rows for the tests of packages: what a session can hold, friendly and hostile."""

from __future__ import annotations

import copy
from typing import Any

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

HOSTILE = [
    "</pre></details></main><script>alert(1)</script>",
    "<img src=x onerror=alert(1)> <b onmouseover=alert(1)>x</b> <!-- ",
    "[run](javascript:alert(1)) [run](JaVaScRiPt:alert(1)) [d](data:text/html,<script>1</script>)",
    "![beacon](https://evil.example/p.png) ![x][ref]\n\n[ref]: https://evil.example/q.png",
    "```\n</code></pre>\n````\n~~~~~\n# a heading of mine\n`````````\n",
    "~~~html\n<script>alert(2)</script>\n",
    "> quote\n\n***\n\n# top\n\n## second\n\nunder\n=====\n\n- a\n  - b\n\n    code",
    "| a | b |\n|:--|--:|\n| <i>1</i> | `<b>` |",
    "<https://ok.example/?a=1&b=2> https://bare.example &lt;script&gt; &#60;script&#62;",
    "\x1b[31mred\x1b[0m \u202eevil\u202c \x07 \x00 \u200b",
    "{{ 7*7 }} {% raw %} {{ row.title|safe }}",
    "]]> --> */ </style><style>*{display:none}</style>",
    "[^1] [^1]: note\n\n[x]: javascript:alert(1)\n\n[x]",
    "$$x$$ \\(y\\) <?php echo 1 ?> <![CDATA[ x ]]>",
]
"""Texts that want to be more than text."""


def said(number: int, role: str, content: Any, **more: Any) -> dict[str, Any]:
    """A message as the native row has it; `more` goes last, as it does there."""
    message: dict[str, Any] = {"id": f"m{number}", "role": role, "content": content}
    message["at"] = [f"s1:{number}"]
    message["time"] = f"2026-05-03T10:11:{number:02d}.250Z"
    message |= {"segment": 0, "sampled": role == "assistant", "train": role == "assistant"}
    return message | more


def call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def telemetry(**more: Any) -> dict[str, Any]:
    return {
        "request_id": "r1", "tier": "SIMPLE", "complexity_score": 12, "model": "m-large",
        "provider": "acme", "tokens_in": 1_250, "tokens_out": 90, "cached": 800,
        "latency_ms": 2400.0, "finish_reason": "tool_calls", "error": None,
    } | more  # fmt: skip


def result(number: int, call_id: str, name: str, content: Any, **more: Any) -> dict[str, Any]:
    told = {"tool_call_id": call_id, "name": name, "is_error": False}
    return said(number, "tool", content, **(told | more))


def row(messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A native row with these messages."""
    calls = [
        {"id": each["id"], "name": each["function"]["name"], "status": "ok"}
        for message in messages
        for each in message.get("tool_calls", ())
    ]
    made: dict[str, Any] = {
        "schema": "clew-traj/1", "session_id": "s1", "branch_id": "s1:9", "branch": "head",
        "root_session_id": "s1", "title": "List files", "agent": "claude-code",
        "forked_from": None, "spawned_by": None, "subagents": [], "messages": messages,
        "segments": [
            {"segment": 0, "parent": None, "first": 0, "count": len(messages), "compaction": None}
        ],
        "tools": [{"type": "function", "function": {"name": "Bash", "parameters": {
            "type": "object", "properties": {"command": {"type": "string"}},
            "required": ["command"]}}}],
        "tools_source": "inferred", "tool_calls": calls, "outcome": "success",
        "outcome_rule": "all-results-ok", "outcome_source": "heuristic", "tier": "SIMPLE",
        "complexity_score": 12, "model_used": "m-large", "provider_used": "acme",
        "tokens_in": 1_310, "tokens_out": 130, "tokens_cache_read": 800, "tokens_cache_write": 0,
        "tokens_reasoning": None, "cost_usd": 0.0125, "latency_ms": 2400.0,
        "started_at": "2026-05-03T10:11:01.250Z", "ended_at": "2026-05-03T10:15:04.250Z",
        "split": None, "notes": {"lost_results": 0}, "redaction": None,
    }  # fmt: skip
    return copy.deepcopy(made | more)


def plain() -> dict[str, Any]:
    """A question, a call, its result, an answer in Markdown."""
    return row(
        [
            said(1, "user", "list the files,\nplease"),
            said(
                2, "assistant", "", reasoning_content="I need `ls`.\n\nThen *tell*.",
                tool_calls=[call("c1", "Bash", '{"command":"ls -la","timeout":1690}')],
                telemetry=telemetry(),
            ),
            result(3, "c1", "Bash", "a.txt\nb.txt"),
            said(
                4, "assistant",
                "There are **two** files:\n\n1. `a.txt`\n2. `b.txt`\n\n"
                "```python\nprint('<b>')\n```\n\n"
                "| file | size |\n|:--|--:|\n| a.txt | 12 |\n\nSee [the manual](https://example.org/ls).",
                telemetry=telemetry(tokens_in=60, tokens_out=40, cached=None, latency_ms=65_000),
            ),
        ]
    )  # fmt: skip


def compacted() -> dict[str, Any]:
    """Two segments, pictures and files, results that are lost, late and failed, a sub-agent."""
    image = {
        "type": "image",
        "media_type": "image/png",
        "sha256": DIGEST,
        "bytes": 70_000,
        "url": None,
    }
    file = {
        "type": "file", "name": "plan.pdf", "file_id": "f1", "media_type": "application/pdf",
        "sha256": None, "bytes": None, "url": "https://example.org/plan.pdf",
    }  # fmt: skip
    messages = [
        said(1, "system", "You are careful.\n\n<rules>be brief</rules>"),
        said(
            2, "user",
            [{"type": "text", "text": "what is this?"}, image, file,
             {"type": "unknown", "of": "hologram"}],
        ),
        said(3, "user", "The date is 2026-05-03.", meta=True),
        said(
            4, "assistant", "Looking.", reasoning_opaque=True, train=False,
            train_rule="after-lost-result",
            tool_calls=[
                call("c1", "Task", '{"prompt":"look"}'), call("c2", "Bash", '{"command": nope'),
                call("c3", "Read", '{"path":"x"}'),
            ],
            telemetry=telemetry(error="overloaded", tier=None),
        ),
        result(5, "c1", "Task", "done", status="late"),
        result(6, "c2", "Bash", "bash: no such file", is_error=True),
        result(7, "c3", "Read", '{"status":"lost"}', status="lost"),
        said(
            8, "user", "We looked at **one** picture.", kind="compaction", segment=1, time=None,
            at=[],
        ),
        said(9, "user", "go on", segment=1),
        said(10, "assistant", "Done.", segment=1, telemetry=telemetry(model="m-small")),
    ]  # fmt: skip
    made = row(
        messages, session_id="0197-b", branch_id="0197-b:7", branch="left", title="Second one",
        root_session_id="s1", forked_from="s1:4", spawned_by="s1#c9", outcome="recovered",
        outcome_rule="error-then-ok", cost_usd=None, tier=None,
        subagents=[{"session_id": "0197-c", "call_id": "c1"}], model_used="m-small",
        redaction={"ruleset": "sha256:ab", "n": 4}, split="train",
        notes={"lost_results": 1, "late_results": 1},
    )  # fmt: skip
    compaction = {
        "reason": "auto", "first_kept": "s1:7", "tokens_before": 150_000, "tokens_after": 9_000,
        "model": "m-large",
    }  # fmt: skip
    made["segments"] = [
        {"segment": 0, "parent": None, "first": 0, "count": 7, "compaction": None},
        {"segment": 1, "parent": 0, "first": 7, "count": 3, "compaction": compaction},
    ]
    return made


def hostile() -> dict[str, Any]:
    """Every place that holds somebody's text holds hostile ones."""
    messages = []
    for number, text in enumerate(HOSTILE):
        first = 4 * number + 1
        messages += [
            said(first, "user", text, time="2026-05-03T10:11:00.000Z"),
            said(
                first + 1, "assistant", text, reasoning_content=text, time=None,
                tool_calls=[call(f"c{number}\"'><", f"tool<b>`|{number}", text)],
                telemetry=telemetry(model="m<b>|x", error="<script>"),
            ),
            result(first + 2, f"c{number}\"'><", f"tool<b>`|{number}", text, time=None),
            said(
                first + 3, "user",
                [{"type": "text", "text": text},
                 {"type": "file", "name": text, "file_id": text, "media_type": text,
                  "sha256": None, "bytes": None, "url": "javascript:alert(1)"},
                 {"type": "unknown", "of": text}],
            ),
        ]  # fmt: skip
    nasty = "<script>alert('title')</script> [t](javascript:x) `|` # x"
    return row(
        messages, session_id="../../etc/passwd", branch_id="../x:1", title=nasty, agent=nasty,
        model_used=nasty, provider_used=nasty, outcome=nasty, outcome_rule=nasty, tier=nasty,
        spawned_by=nasty, forked_from=nasty,
        subagents=[{"session_id": nasty, "call_id": "c0\"'><"}],
    )  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """One of each."""
    return [plain(), compacted(), hostile()]
