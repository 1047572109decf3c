"""What the page has to show beside imported histories: a session of a small agent, recorded call by
call, with a picture, an edit, a failure, coloured output, a sub-agent, a checkpoint, a compaction
and a branch that took another way.

Its model is a script, as in `samples/agent.py`. Run it as the demo does:

    CLEW_DB=demo/clew.db python samples/workshop.py
"""

from __future__ import annotations

import base64
import struct
import time
import zlib
from contextlib import suppress
from typing import Any

import clew

MODEL = "claude-sonnet-4-5"
BEFORE = "def total(orders):\n    return sum(o.price for o in orders)\n"
AFTER = (
    "def total(orders):\n    paid = [o for o in orders if o.paid]\n"
    "    return sum(o.price for o in paid)\n"
)
RED, GREEN, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"
FAILED = (
    f"tests/test_total.py::test_unpaid {RED}FAILED{PLAIN}\n  assert 30 == 20\n1 failed, 7 passed"
)
PASSED = f"tests/test_total.py::test_unpaid {GREEN}PASSED{PLAIN}\n8 passed in 0.04s"


def main() -> None:
    """A session, its sub-agent, and a branch of it."""
    with clew.open() as ledger:
        session = ledger.create(title="Unpaid orders in the weekly total", agent="workshop")
        first_turn(session)
        second_turn(ledger, session)
        before = session.checkpoint("before the summary")
        session.compact(
            summary="`total` counted unpaid orders; it now filters by `paid`, and 8 tests pass. "
            "Reviewed by a sub-agent: refunds are not looked at yet.",
            keep_tokens=60,
        )
        with session.turn(user("Draw the totals before and after.")) as turn:
            thinks(turn, 3_100, 90)
            session.append(said("Before in red, after in green:", picture()))
        branch = session.branch(before, title="The other way: ask the database")
        with branch.turn(user("Could the database do that instead?")) as turn:
            thinks(turn, 9_800, 120)
            branch.append(said("Yes: `select sum(price) from orders where paid`."))


def first_turn(session: clew.Session) -> None:
    """Look, twice at once; find a failure, and mend it."""
    with session.turn(user("Why is the weekly total too high?", picture())) as turn:
        thinks(turn, 1_200, 160)
        look = call("w1", "read_file", path="shop/total.py")
        test = call("w2", "bash", command="pytest tests/test_total.py")
        session.append(said("I look at the code and run its tests.", look, test))
        with turn.tool("read_file", look["input"], call_id="w1", effect="none") as read:
            time.sleep(0.02)
            read.output = BEFORE
        with (
            suppress(RuntimeError),
            turn.tool("bash", test["input"], call_id="w2", effect="idempotent"),
        ):
            time.sleep(0.05)
            raise RuntimeError("exit code 1: 1 failed, 7 passed")
        session.append(results(("w1", BEFORE, False), ("w2", FAILED, True)))
        thinks(turn, 2_600, 140)
        edit = call("w3", "edit", path="shop/total.py", old_string=BEFORE, new_string=AFTER)
        session.append(said("Unpaid orders are counted too. I leave them out:", edit))
        with turn.tool("edit", edit["input"], call_id="w3", effect="idempotent") as edited:
            time.sleep(0.01)
            edited.output = "1 replacement"
        again = call("w4", "bash", command="pytest tests/test_total.py")
        session.append(results(("w3", "1 replacement", False)))
        session.append(said("", again))
        with turn.tool("bash", again["input"], call_id="w4", effect="idempotent") as passed:
            time.sleep(0.04)
            passed.output = PASSED
        session.append(results(("w4", PASSED, False)))
        thinks(turn, 3_400, 60)
        session.append(said("Mended:\n\n| | before | after |\n|---|---|---|\n| total | 30 | 20 |"))


def second_turn(ledger: clew.Ledger, session: clew.Session) -> None:
    """Hand a part of the work to another agent."""
    with session.turn(user("Have somebody review it.")) as turn:
        thinks(turn, 4_000, 80)
        task = call("w5", "agent", prompt="Review shop/total.py")
        session.append(said("", task))
        with turn.tool("agent", task["input"], call_id="w5", effect="none") as asked:
            helper = ledger.create(
                title="Review shop/total.py", agent="reviewer", spawned_by=f"{session.id}#w5"
            )
            with helper.turn(user("Review shop/total.py")) as inner:
                thinks(inner, 700, 90)
                helper.append(said("It is right for unpaid orders; refunds are not looked at."))
            asked.output = "Right for unpaid orders; refunds are not looked at."
        session.append(
            results(("w5", "Right for unpaid orders; refunds are not looked at.", False))
        )
        session.append(said("The review found one thing more: refunds."))


# --- messages, in Anthropic's words ---------------------------------------------------------


def user(text: str, *more: dict[str, Any]) -> dict[str, Any]:
    """A person's words."""
    return {"role": "user", "content": [{"type": "text", "text": text}, *more]}


def said(text: str, *more: dict[str, Any]) -> dict[str, Any]:
    """A model's words, and the calls behind them."""
    words = [{"type": "text", "text": text}] if text else []
    return {"role": "assistant", "content": [*words, *more]}


def call(id: str, name: str, **arguments: str) -> dict[str, Any]:
    """A call of a tool."""
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def results(*told: tuple[str, str, bool]) -> dict[str, Any]:
    """What tools answered: id, text, whether it failed."""
    content = [
        {"type": "tool_result", "tool_use_id": id, "content": text, "is_error": failed}
        for id, text, failed in told
    ]
    return {"role": "user", "content": content}


def thinks(turn: clew.Turn, tokens_in: int, tokens_out: int) -> None:
    """One call of the model."""
    with turn.model(MODEL, provider="anthropic", complexity=25) as model:
        time.sleep(0.03)
        model.usage(input=tokens_in // 4, output=tokens_out, cache_read=tokens_in * 3 // 4)


def picture() -> dict[str, Any]:
    """Two bars, as a PNG."""
    width, height = 160, 90
    rows = []
    for y in range(height):
        row = bytearray(b"\xf4\xf1\xea" * width)
        for left, top, colour in ((30, 10, b"\xb3\x30\x1f"), (90, 37, b"\x25\x6b\x3e")):
            if y >= top:
                row[left * 3 : (left + 40) * 3] = colour * 40
        rows.append(b"\0" + bytes(row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    encoded = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": "image/png", "data": encoded}
    return {"type": "image", "source": source}


if __name__ == "__main__":
    main()
