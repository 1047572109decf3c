"""Write the bundled sample sessions: `python scripts/make_samples.py [FOLDER]`.

Everything in them is invented; the program's format is real (Claude Code 2.1). The output is
the same on every run, and a test compares it with `samples/`. The secrets are made up and put
together from halves here, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

SPACE = UUID("6b1d5c1e-0000-4000-8000-00000000c1e0")
VERSION = "2.1.117"
MODEL = "claude-sonnet-4-6"

HOME = "/home/" + "mira"
ORCHARD = f"{HOME}/code/orchard-api"
KUMO = f"{HOME}/code/kumo-site"

API_KEY = "sk-ant-" + "api03-" + "q7Rk2Wd9Zx4T" * 4
BEARER = "c1e0" + "5f27b94a" * 4
EMAIL = "mira.okonkwo" + "@" + "example.com"
ADDRESS = "192.31.196" + ".17"

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5Erk"
    "Jggg=="
)

Json = dict[str, Any]


class Log:
    """One session's file as Claude Code writes it: each record follows the one before it."""

    def __init__(self, name: str, cwd: str, start: str, branch: str = "main") -> None:
        self.session = str(uuid5(SPACE, name))
        self.lines: list[str] = []
        self.cwd, self.branch = cwd, branch
        self.clock = datetime.fromisoformat(start).replace(tzinfo=UTC)
        self.tip: str | None = None
        self.agent: str | None = None
        self.context = 14_000
        self.number = 0
        self.name = name
        self.makers: dict[str, str] = {}

    def id(self, kind: str) -> str:
        self.number += 1
        return str(uuid5(SPACE, f"{self.name}/{kind}/{self.number}"))

    def stamp(self, seconds: float) -> str:
        self.clock += timedelta(seconds=seconds)
        return self.clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def write(self, record: Json) -> None:
        self.lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")))

    def add(self, kind: str, seconds: float, parent: str | None = "tip", **more: Any) -> str:
        """Write a record of the conversation's tree."""
        identity = self.id(kind)
        record = {
            "parentUuid": self.tip if parent == "tip" else parent,
            "isSidechain": self.agent is not None,
            **({"agentId": self.agent} if self.agent else {}),
            "type": kind,
            **more,
            "uuid": identity,
            "timestamp": self.stamp(seconds),
            "userType": "external",
            "entrypoint": "cli",
            "cwd": self.cwd,
            "sessionId": self.session,
            "version": VERSION,
            "gitBranch": self.branch,
        }
        self.write(record)
        self.tip = identity
        return identity

    def begin(self, first: Any) -> None:
        """What the program writes before the first prompt, and the prompt."""
        self.write({"type": "permission-mode", "permissionMode": "default"} | self.own())
        self.prompt(first)
        now = self.stamp(0)
        snapshot: Json = {"messageId": self.tip, "trackedFileBackups": {}, "timestamp": now}
        self.write(
            {
                "type": "file-history-snapshot",
                "messageId": self.tip,
                "snapshot": snapshot,
                "isSnapshotUpdate": False,
            }
        )

    def own(self) -> Json:
        return {"sessionId": self.session}

    def prompt(self, content: Any, **more: Any) -> None:
        self.add("user", 41.5, message={"role": "user", "content": content}, **more)

    def answer(self, *blocks: Json, model: str = MODEL) -> None:
        """One model message: a line for each block, its usage repeated and growing."""
        message, request = self.id("msg"), self.id("req")
        self.context += 900 + 140 * len(blocks)
        written = 0
        for block in blocks:
            written += 24 + len(json.dumps(block)) // 4
            identity = self.add(
                "assistant",
                2.4,
                message={
                    "model": model,
                    "id": "msg_01" + message.replace("-", "")[:22],
                    "type": "message",
                    "role": "assistant",
                    "content": [block],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": {
                        "input_tokens": 6,
                        "cache_creation_input_tokens": 900,
                        "cache_read_input_tokens": self.context,
                        "output_tokens": written,
                        "service_tier": "standard",
                    },
                },
                requestId="req_01" + request.replace("-", "")[:22],
            )
            if block["type"] == "tool_use":
                self.makers[block["id"]] = identity

    def call(self, name: str, **given: Any) -> Json:
        identity = "toolu_01" + self.id("call").replace("-", "")[:22]
        return {"type": "tool_use", "id": identity, "name": name, "input": given}

    def result(self, call: Json, content: Any, detail: Any, *, error: bool = False) -> None:
        """The result of a call. Its parent is the record that made the call."""
        maker = self.makers[call["id"]]
        block = {"type": "tool_result", "tool_use_id": call["id"], "content": content}
        self.add(
            "user",
            3.1,
            maker,
            message={"role": "user", "content": [block | ({"is_error": True} if error else {})]},
            toolUseResult=detail,
            sourceToolAssistantUUID=maker,
        )

    def read(self, why: str, path: str, content: str) -> None:
        call = self.call("Read", file_path=f"{self.cwd}/{path}")
        self.answer(text(why), call)
        self.result(call, numbered(content), file_detail(f"{self.cwd}/{path}", content))

    def bash(self, why: str, command: str, output: str, *, error: bool = False) -> None:
        call = self.call("Bash", command=command, description=why)
        self.answer(text(why), call)
        self.result(call, output, stdout(output), error=error)

    def edit(self, why: str, path: str, old: str, new: str) -> None:
        call = self.call("Edit", file_path=f"{self.cwd}/{path}", old_string=old, new_string=new)
        self.answer(text(why), call)
        detail = {
            "filePath": f"{self.cwd}/{path}",
            "oldString": old,
            "newString": new,
            "userModified": False,
            "replaceAll": False,
        }
        self.result(call, f"The file {self.cwd}/{path} has been updated.", detail)

    def save(self, path: Path, *, ending: str = "\n") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(("\n".join(self.lines) + ending).encode())


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def thinking(words: str, seal: str) -> Json:
    return {"type": "thinking", "thinking": words, "signature": seal}


def numbered(content: str) -> str:
    return "\n".join(f"{n:6}→{line}" for n, line in enumerate(content.splitlines(), 1))


def file_detail(path: str, content: str) -> Json:
    lines = len(content.splitlines())
    file = {"filePath": path, "content": content, "numLines": lines, "startLine": 1}
    return {"type": "text", "file": file | {"totalLines": lines}}


def stdout(output: str) -> Json:
    return {"stdout": output, "stderr": "", "interrupted": False, "isImage": False}


MODELS_PY = """class Order(Base):
    __tablename__ = "orders"
    id = mapped_column(BigInteger, primary_key=True)
    legacy_ref = mapped_column(String(32), index=True)
    customer_id = mapped_column(ForeignKey("customers.id"))
    totalCents = mapped_column("total_cents", Integer)
"""

MIGRATION_PY = """def upgrade() -> None:
    op.create_table("orders_new", *order_columns())
    op.execute("INSERT INTO orders_new SELECT * FROM orders")
    op.drop_table("orders")
    op.rename_table("orders_new", "orders")
"""

FAILED = """FAILED tests/test_migration.py::test_upgrade_keeps_rows - sqlite3.IntegrityError: \
UNIQUE constraint failed: orders_new.legacy_ref
1 failed, 41 passed in 3.72s"""

SUMMARY = """This session is being continued from a previous conversation that ran out of context.

1. Request: make the migration `0042_split_orders` pass on the staging copy of the database.
2. Found: `copyOrders` copied rows twice when a batch was retried; `batch_size` was off by one.
3. Changed: orchard/migrations/0042_split_orders.py (batches), orchard/copy_orders.py (retry).
4. Open: tests/test_migration.py still has one failure; the reviewer wants fewer columns.
"""


def debugging() -> tuple[Log, Json, int]:
    """A long session: a constraint given at its start is lost in the compaction."""
    log = Log("orchard-debugging", ORCHARD, "2026-10-12T08:03:11.120", "fix/split-orders")
    log.begin(
        "The migration 0042_split_orders fails on staging. Find out why and fix it. One hard "
        "constraint: the migration must keep column `legacy_ref`, the warehouse scanners still "
        "print it until March."
    )
    log.answer(
        thinking("Look at the migration and the model first.", "RXhhbXBsZVNpZ25hdHVyZTE="),
        text("I will look at the migration, keeping `legacy_ref` as it is."),
    )
    reads = [
        log.call("Read", file_path=f"{ORCHARD}/orchard/models.py"),
        log.call("Read", file_path=f"{ORCHARD}/orchard/migrations/0042_split_orders.py"),
        log.call("Grep", pattern="copyOrders|copy_orders", path=f"{ORCHARD}/orchard"),
    ]
    log.answer(text("Three look-ups at once."), *reads)
    log.result(reads[1], numbered(MIGRATION_PY), file_detail("0042_split_orders.py", MIGRATION_PY))
    log.result(reads[0], numbered(MODELS_PY), file_detail("models.py", MODELS_PY))
    found = f"{ORCHARD}/orchard/copy_orders.py:12:def copyOrders(batch_size: int = 500) -> int:"
    log.result(reads[2], found, {"mode": "content", "numFiles": 1, "content": found})
    log.bash("Run the migration's tests", "pytest tests/test_migration.py -q", FAILED, error=True)
    prefix = len(log.lines)
    _staging(log)
    log.prompt("在暂存环境里，迁移必须先备份订单表，再复制数据。请确认 copyOrders 的批次大小。")
    _batches(log)
    scout = _scout_call(log)
    _compact(log)
    _after_compaction(log)
    return log, scout, prefix


def _staging(log: Log) -> None:
    log.prompt(
        f"Staging runs at http://{ADDRESS}:8080, library version 1.2.3.4. My key for the model "
        f"gateway is {API_KEY}; ask me ({EMAIL}) if it expires."
    )
    log.bash(
        "Ask staging which revision it is on",
        f'curl -s -H "Authorization: Bearer {BEARER}" http://{ADDRESS}:8080/admin/revision',
        '{"revision": "0041_add_customers", "orders": 48211}',
    )
    log.bash("Look at the environment file", f"cat {ORCHARD}/.env", f"ANTHROPIC_API_KEY={API_KEY}")
    log.answer(
        text("Staging is at 0041, so 0042 fails half-way and is rolled back. The key works.")
    )


def _batches(log: Log) -> None:
    body = "def copyOrders(batch_size: int = 500) -> int:\n    done = 0\n    while rows := take()"
    log.read("確認します。copyOrders のバッチ処理を読みます。", "orchard/copy_orders.py", body)
    log.bash(
        "Count rows copied twice",
        "python -m orchard.copy_orders --dry-run --report duplicates",
        "batch 17 retried: 500 rows copied twice (legacy_ref 88100-88599)",
    )
    log.edit(
        "A retried batch starts again at its first row.",
        "orchard/copy_orders.py",
        "        done += batch_size",
        "        done = last_id + 1",
    )
    log.bash("Run the tests again", "pytest tests/test_migration.py -q", FAILED, error=True)
    log.edit(
        "The last batch was one row too long.",
        "orchard/migrations/0042_split_orders.py",
        "range(0, total + 1, batch_size)",
        "range(0, total, batch_size)",
    )
    log.bash(
        "Check the types",
        "mypy orchard",
        "orchard/copy_orders.py:31: error: Name 'lastId' is not defined",
        error=True,
    )
    log.edit("Use the name as it is spelt.", "orchard/copy_orders.py", "lastId", "last_id")


def _scout_call(log: Log) -> Json:
    scout = log.call(
        "Agent",
        description="Find readers of orders",
        prompt="List every module that reads the table orders, with the columns it uses.",
        subagent_type="Explore",
    )
    log.answer(text("A second pair of eyes for the readers of `orders`."), scout)
    agent = str(uuid5(SPACE, "scout")).replace("-", "")[:17]
    found = "billing.py (id, total_cents), labels.py (legacy_ref), reports.py (customer_id)"
    log.result(
        scout,
        [text(f"{found}\nagentId: {agent}")],
        {"status": "completed", "agentId": agent, "content": [text(found)], "totalTokens": 5210},
    )
    return {"agent": agent, "call": scout["id"], "found": found, "prompt": scout["input"]["prompt"]}


def _compact(log: Log) -> None:
    before = log.context + 131_000
    log.add(
        "system",
        12.0,
        None,
        logicalParentUuid=log.tip,
        subtype="compact_boundary",
        content="Conversation compacted",
        isMeta=False,
        level="info",
        compactMetadata={"trigger": "auto", "preTokens": before, "postTokens": 11_840},
    )
    log.prompt(SUMMARY, isCompactSummary=True, isVisibleInTranscriptOnly=True)
    log.context = 11_840


def _after_compaction(log: Log) -> None:
    log.read("I continue with the failing test.", "orchard/models.py", MODELS_PY)
    log.edit(
        "`legacy_ref` carries a unique index that the new table does not need: I drop the column.",
        "orchard/migrations/0042_split_orders.py",
        'op.create_table("orders_new", *order_columns())',
        'op.create_table("orders_new", *order_columns(exclude={"legacy_ref"}))',
    )
    log.bash("Run the tests", "pytest -q", "42 passed in 4.05s")
    log.answer(text("All tests pass. The new table is smaller by one column."))
    log.prompt("Wait. Did you drop legacy_ref? I told you at the start that it has to stay.")
    log.answer(
        text("You are right; that was lost when the conversation was compacted. I put it back.")
    )
    log.edit(
        "The column comes back, without the unique index.",
        "orchard/migrations/0042_split_orders.py",
        'order_columns(exclude={"legacy_ref"})',
        'order_columns(unique_off={"legacy_ref"})',
    )
    log.bash("Run the tests", "pytest -q", "42 passed in 4.11s")
    log.write({"type": "ai-title", "aiTitle": "Fix migration 0042_split_orders"} | log.own())
    log.write({"type": "last-prompt", "lastPrompt": "Wait. Did you drop…"} | log.own())


def sub_agent(parent: Log, scout: Json, folder: Path) -> None:
    """The helper that the long session started, in a file of its own."""
    log = Log("orchard-scout", ORCHARD, "2026-10-12T08:21:40.000", "fix/split-orders")
    log.session, log.agent = parent.session, scout["agent"]
    log.prompt(scout["prompt"])
    grep = log.call("Grep", pattern="Order\\.", path=f"{ORCHARD}/orchard", output_mode="content")
    log.answer(text("I search for uses of the model."), grep)
    lines = "billing.py:8: Order.totalCents\nlabels.py:21: Order.legacy_ref\nreports.py:5: Order.id"
    log.result(grep, lines, {"mode": "content", "numFiles": 3, "content": lines})
    log.answer(text(scout["found"]), model="claude-haiku-4-5")
    path = folder / parent.session / "subagents" / f"agent-{scout['agent']}.jsonl"
    log.save(path)
    meta = {"agentType": "Explore", "toolUseId": scout["call"]}
    meta["description"] = "Find readers of orders"
    path.with_suffix(".meta.json").write_text(json.dumps(meta) + "\n", encoding="utf-8")


def fork(origin: Log, prefix: int) -> Log:
    """A copy of the long session's beginning under another id, gone on another way."""
    log = Log("orchard-fork", ORCHARD, "2026-10-12T15:40:00.000", "fix/split-orders")
    for line in origin.lines[:prefix]:
        record = json.loads(line)
        if "uuid" in record:
            log.write(record | log.own())
            log.tip = record["uuid"]
    log.prompt("Try it the other way: leave the table alone and write a view over it.")
    log.bash(
        "Draft the view",
        "sqlite3 staging.db < orchard/views/orders_split.sql && echo created",
        "created",
    )
    log.answer(text("The view answers all three readers and keeps `legacy_ref` for free."))
    return log


def crashed() -> Log:
    """A short session that ends in a call that never got its result."""
    log = Log("kumo-crash", KUMO, "2026-10-14T19:02:45.300")
    log.begin("Build the site and tell me the size of the bundle.")
    build = log.call("Bash", command="npm run build", description="Build the site")
    log.answer(text("Building."), build)
    log.result(build, "dist/app.js 412 kB", stdout("dist/app.js 412 kB"))
    watch = log.call("Bash", command="npm run analyse -- --watch", description="Analyse")
    log.answer(text("412 kB. I look at what is in it."), watch)
    return log


def picture() -> Log:
    """A picture in a prompt, sealed and encrypted thinking, a rewind."""
    log = Log("kumo-picture", KUMO, "2026-10-15T07:30:00.000", "design")
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    log.begin([{"type": "image", "source": source}, text("雲のロゴの色は合っていますか？")])
    log.answer(
        thinking("The logo should be #7fb4c9; compare.", "RXhhbXBsZVNpZ25hdHVyZTI="),
        {"type": "redacted_thinking", "data": "RXhhbXBsZVNlYWxlZFRob3VnaHQ="},
        text("ロゴの色は #7fb4c9 で、cloudBlue と同じです。"),
    )
    fork_point = log.tip
    log.prompt("Make it darker.")
    log.edit("Darker by a tenth.", "src/theme.ts", 'cloudBlue: "#7fb4c9"', 'cloudBlue: "#72a2b5"')
    log.tip = fork_point
    log.prompt("Leave the colour, make the logo larger instead.")
    log.edit("Larger by a quarter.", "src/theme.ts", "logo_size: 32", "logo_size: 40")
    log.answer(text("The logo is 40 pixels high now."))
    log.write({"type": "custom-title", "customTitle": "Kumo logo"} | log.own())
    return log


def damaged() -> Log:
    """Two records on one line, and a last line that was cut by a crash."""
    log = Log("kumo-damaged", KUMO, "2026-10-16T22:11:05.700")
    log.begin("Why is the search page slow?")
    log.bash(
        "Measure the page",
        "node bench/search.mjs",
        "searchIndex.build 1840 ms\nrender_results 22 ms",
    )
    log.answer(text("The index is built on every request; it should be kept."))
    log.prompt("Keep it then.")
    glued = log.lines.pop()
    log.lines[-1] += glued
    log.edit("Build it once.", "src/search.ts", "buildIndex()", "cachedIndex ??= buildIndex()")
    log.answer(text("Built once, then kept."))
    log.lines[-1] = log.lines[-1][: len(log.lines[-1]) * 2 // 3]
    return log


def main(folder: Path) -> None:
    projects = folder / "claude-code" / "projects"
    orchard, kumo = (projects / path.replace("/", "-") for path in (ORCHARD, KUMO))
    long, scout, prefix = debugging()
    long.save(orchard / f"{long.session}.jsonl")
    sub_agent(long, scout, orchard)
    forked = fork(long, prefix)
    forked.save(orchard / f"{forked.session}.jsonl")
    for log in (crashed(), picture()):
        log.save(kumo / f"{log.session}.jsonl")
    torn = damaged()
    torn.save(kumo / f"{torn.session}.jsonl", ending="")


if __name__ == "__main__":
    here = Path(__file__).parent.parent / "samples"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
