"""A ledger in which every field that holds text holds the strings of `injections.txt`.

`__pwned` is the function that they call where they run: nothing defines it but the test.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browser import made

if TYPE_CHECKING:
    import clew

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5Erk"
    "Jggg=="
)


def strings() -> list[str]:
    """The corpus, its escapes made characters."""
    lines = Path(__file__).with_name("injections.txt").read_text(encoding="utf-8").splitlines()
    return [_ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), line) for line in lines]


def named(text: str) -> str:
    """As a name can hold it."""
    return text.replace("\0", "")


def fill(ledger: clew.Ledger, folder: Path) -> clew.Session:
    """Fill a ledger; gives the session with the most in it."""
    every = strings()
    sessions = [
        ledger.create(
            title=named(text), agent=named(text), project=named(text), config={"model": text}
        )
        for text in every
    ]
    for session, text in zip(sessions, every, strict=True):
        session.append(made.prompt(f"{text} write to rosa.thorn@example.com {text}"))
    _imported(ledger, folder, every)
    torn = ledger.create(title=named(" ".join(every)), agent=named(every[0]))
    for number, text in enumerate(every):
        torn.extend(_messages(number, text))
    _marked(torn, every)
    _spans(torn, every)
    child = ledger.create(
        title=named(every[0]), agent=named(every[18]), spawned_by=f"{torn.id}#c{len(every) - 1}"
    )
    child.append(made.prompt(every[1]))
    for text in every[:20]:
        ledger.create_token(named(text), ["session:read"])
    ledger.erase(sessions[0].id)
    ledger.index_now()
    return torn


def _messages(number: int, text: str) -> list[made.Message]:
    """A prompt, an answer that thinks and calls, what came back, an answer nobody understands."""
    usage = {"input_tokens": 10, "output_tokens": 2}
    call: dict[str, Any] = {"type": "tool_use", "id": f"c{number}", "name": text}
    call["input"] = {"command": text, "old_string": text, "new_string": f"{text}\n{text}"}
    call["input"] |= {"file_path": text, text: [text, {text: text}]}
    odd = {"type": text, text: text}
    picture = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    far = {"type": "url", "url": f"https://evil.example/{text}"}
    shown = [
        {"type": "text", "text": text},
        {"type": "image", "source": picture},
        {"type": "image", "source": far},
        odd,
    ]
    file = {"type": "document", "title": text, "source": {"type": "file", "file_id": text}}
    return [
        {"role": "user", "content": [{"type": "text", "text": text}, file]},
        {
            "role": "assistant",
            "id": f"m{number}",
            "model": text,
            "usage": usage,
            "content": [
                {"type": "thinking", "thinking": text, "signature": text},
                {
                    "type": "text",
                    "text": f"{text}\n\n- {text}\n\n> {text}\n\n```{text}\n{text}\n```",
                },
                odd,
                call,
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": f"c{number}",
                    "is_error": number % 2 == 1,
                    "content": shown,
                }
            ],
        },
    ]


def _marked(session: clew.Session, every: list[str]) -> None:
    """Checkpoints, a compaction, moves, branches, snapshots, all with hostile words."""
    for text in every:
        session.checkpoint(named(text))
    session.compact(summary="\n\n".join(every), keep_tokens=10, model=named(every[3]))
    mark = session.checkpoint(named(every[2]))
    session.append(made.prompt(every[4]))
    session.restore(mark)
    for text in every[:10]:
        session.branch(mark, title=named(text)).append(made.prompt(text))
    session.snapshot({text: text for text in every})
    session.label(named(" ".join(every[:40])))


def _spans(session: clew.Session, every: list[str]) -> None:
    with session.turn(made.prompt("turn")) as turn:
        for number, text in enumerate(every):
            with turn.tool(named(text), {text: text}, call_id=f"s{number}") as call:
                call.output = text
                if number % 3 == 0:
                    call.outcome, call.error = "error", text
            with turn.model(named(text), provider=named(text), tier=named(text)) as model:
                model.usage(input=5, output=5)


def _imported(ledger: clew.Ledger, folder: Path, every: list[str]) -> None:
    """A history of Claude Code in which kinds, notes and names are hostile."""
    lines = []
    for number, text in enumerate(every):
        common: dict[str, Any] = {"sessionId": "s", "cwd": text, "version": text, "gitBranch": text}
        common |= {"uuid": f"u{number}", "timestamp": "2026-01-01T00:00:00.000Z"}
        lines += [{**common, "type": text, text: text}]
        lines += [{**common, "type": "system", "subtype": text, "content": text}]
        lines += [{"type": "summary", "summary": text, "leafUuid": text}]
        said = {"role": "user", "content": text}
        lines += [{**common, "type": "user", "parentUuid": None, "message": said}]
    # Not every file system takes every name: quotes and angle brackets it takes nearly everywhere.
    file = (
        folder / "projects" / "<img src=x onerror=__pwned()>" / "'\"><svg onload=__pwned()>.jsonl"
    )
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    ledger.import_from(folder / "projects", importer="claude-code")
