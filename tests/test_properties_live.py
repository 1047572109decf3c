"""Whatever happens in a session in whatever order, its entries and events are one row of facts
without gaps, each told once, and what they add up to is what is stored.

The model is a list of what was done, and a dict of what is known of each span.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import clew
from clew import events, spans
from clew.log import look_head, turn_now

if TYPE_CHECKING:
    from pathlib import Path

WHICH = st.integers(0, 1_000)
OUTCOMES = st.sampled_from(["ok", "error", "denied", "cancelled", "timeout", "abandoned"])
BODIES = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(-(2**70), 2**70),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    st.just("x" * 5000),
)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "chat": st.sampled_from("ab"),
        "call_id": st.sampled_from("cd"),
        "tokens_in": st.integers(0, 9),
        "tokens_out": st.integers(0, 9),
        "response_id": st.sampled_from(["r1", "r2"]),
        "latency_ms": st.integers(0, 9),
        "waiting": st.booleans(),
        "output": BODIES,
        "attributes": st.dictionaries(st.sampled_from("ef"), BODIES, max_size=2),
    },
)


class Model:
    """One session: what was done, oldest first, and how its spans stand."""

    def __init__(self, sequence: int, turn: int) -> None:
        self.start = sequence
        self.done: list[tuple[str, str]] = []
        """(`entry` or the event's kind, the kind of entry or the event's ref)."""
        self.spans: dict[str, dict[str, Any]] = {}
        self.marks: list[clew.Checkpoint] = []
        self.erased = False
        self.cursor = 0
        self.told: list[tuple[str, str]] = []

    @property
    def sequence(self) -> int:
        """Where it stands."""
        return self.start + len(self.done)


class Machine(RuleBasedStateMachine):
    """Does the same to the ledger and to the model."""

    url: str

    @initialize()
    def begin(self) -> None:
        self.project = uuid.uuid4().hex
        self.count = 0
        self.ledger = clew.open(self.url, project=self.project, search=False, durability="normal")
        first = self.ledger.create()
        self.models = {first.id: Model(0, 0)}
        self.session, self.model = first, self.models[first.id]

    def happened(self, *what: tuple[str, str]) -> None:
        self.model.done += what

    def live(self) -> bool:
        return hasattr(self, "model") and not self.model.erased

    # --- what is done ---

    @rule(which=WHICH)
    def choose(self, which: int) -> None:
        id = sorted(self.models)[which % len(self.models)]
        self.session, self.model = self.ledger.get(id), self.models[id]

    @precondition(live)
    @rule(roles=st.lists(st.sampled_from(["user", "assistant"]), min_size=1, max_size=3))
    def append(self, roles: list[str]) -> None:
        self.count += 1
        self.session.extend([{"role": role, "content": f"{role} {self.count}"} for role in roles])
        self.happened(*[("entry", "message")] * len(roles))

    @precondition(live)
    @rule(kind=st.sampled_from(["tool", "model", "turn"]), facts=FACTS, given=st.booleans())
    def start(self, kind: str, facts: dict[str, Any], given: bool) -> None:
        self.count += 1
        id = f"{self.project}-{self.count}" if given else ""
        span = self.session.start_span(kind, f"{kind} {self.count}", id=id, **facts)
        self.model.spans[span.id] = {
            "status": "waiting" if facts.get("waiting") else "running",
            "late": None,
        }
        self.happened(("start", span.id))

    @precondition(lambda self: self.live() and self.model.spans)
    @rule(which=WHICH, facts=FACTS)
    def update(self, which: int, facts: dict[str, Any]) -> None:
        id = sorted(self.model.spans)[which % len(self.model.spans)]
        self.session.update_span(id, **facts)
        known = self.model.spans[id]
        if facts.keys() - {name for name, value in facts.items() if value is None}:
            self.happened(("update", id))
            if "waiting" in facts and known["status"] in ("running", "waiting"):
                known["status"] = "waiting" if facts["waiting"] else "running"

    @precondition(lambda self: self.live() and self.model.spans)
    @rule(which=WHICH, outcome=OUTCOMES, facts=FACTS)
    def finish(self, which: int, outcome: str, facts: dict[str, Any]) -> None:
        id = sorted(self.model.spans)[which % len(self.model.spans)]
        known = self.model.spans[id]
        status, late = known["status"], known["late"]
        if status in ("running", "waiting"):
            known["status"] = outcome
        elif outcome in (status, late):
            assert self.session.update_span(id, outcome=outcome, **facts).status == status
            return
        elif status == "abandoned" and late is None:
            known["late"] = outcome
        else:
            with pytest.raises(clew.Conflict):
                self.session.update_span(id, outcome=outcome, **facts)
            return
        self.session.update_span(id, outcome=outcome, **facts)
        self.happened(("finish", id))

    @precondition(live)
    @rule(outcomes=st.lists(OUTCOMES, max_size=3), facts=FACTS, again=WHICH)
    def record(self, outcomes: list[str], facts: dict[str, Any], again: int) -> None:
        self.count += 1
        told = {f"{self.project}:{self.count}:{n}": outcome for n, outcome in enumerate(outcomes)}
        drafts = [
            clew.SpanDraft("model", "m", {**facts, "outcome": outcome}, id)
            for id, outcome in told.items()
        ]
        late = []
        for id in [id for id in self.model.spans if ":" in id][again % 3 : again % 3 + 1]:
            drafts.insert(0, clew.SpanDraft("model", "m", {"outcome": "ok"}, id))
            if self.model.spans[id] == {"status": "abandoned", "late": None}:
                self.model.spans[id]["late"] = "ok"
                late.append(("finish", id))
        self.session.record_spans([*drafts, *drafts])
        self.model.spans |= {id: {"status": told[id], "late": None} for id in told}
        self.happened(*(("span", id) for id in told), *late)

    @precondition(live)
    @rule()
    def checkpoint(self) -> None:
        made = self.session.checkpoint()
        self.model.marks.append(made)
        self.happened(("checkpoint", made.id))

    @precondition(lambda self: self.live() and self.model.marks)
    @rule(which=WHICH)
    def restore(self, which: int) -> None:
        move = self.session.restore(self.model.marks[which % len(self.model.marks)])
        self.happened(("head", str(move.number)))

    @precondition(live)
    @rule()
    def undo(self) -> None:
        try:
            move = self.session.undo()
        except clew.Invalid:
            return  # there was nothing
        self.happened(("head", str(move.number)))

    @precondition(live)
    @rule()
    def clear(self) -> None:
        move = self.session.clear()
        self.happened(("head", str(move.number)))

    @precondition(live)
    @rule(which=WHICH)
    def compact(self, which: int) -> None:
        messages = self.session.context()
        if not messages:
            return
        keep = messages[which % len(messages)].at[0]
        try:
            made = self.session.compact(summary="s", keep_from=keep)
        except clew.Invalid:
            return  # nothing lies before it
        self.happened(("entry", "compaction"), ("checkpoint", made.id))

    @precondition(live)
    @rule(state=st.sampled_from([1, {"a": 1}, "x" * 5000]), delete=st.booleans())
    def snapshot(self, state: Any, delete: bool) -> None:
        before = self.session.load_snapshot()
        if delete:
            assert self.session.delete_snapshot() == (before is not None)
            if before is not None:
                self.happened(("entry", "snapshot"))
        else:
            made = self.session.snapshot(state)
            assert made.state == state
            if before is None or before.state != state:
                self.happened(("entry", "snapshot"))
            else:
                assert made == before

    @precondition(live)
    @rule()
    def branch(self) -> None:
        if len(self.models) > 4:
            return
        new = self.session.branch()
        with self.ledger._database.read() as tx:
            head = look_head(tx, new._key)
        self.models[new.id] = Model(head.sequence, 0)
        self.session, self.model = new, self.models[new.id]

    @precondition(lambda self: self.live() and len(self.models) > 1 and self.count % 7 == 0)
    @rule()
    def erase(self) -> None:
        self.ledger.erase(self.session.id)
        self.model.erased = True
        self.session = self.ledger.get(self.session.id)

    # --- what is read ---

    @rule(limit=st.integers(1, 7))
    def follow(self, limit: int) -> None:
        """A reader goes on from where it stood."""
        model = self.model
        with self.ledger._database.read() as tx:
            found = events.since(tx, look_head(tx, self.session._key), model.cursor, limit)
        at = max(model.cursor, model.start)
        assert [item.sequence for item in found] == list(range(at + 1, at + 1 + len(found)))
        assert len(found) == min(limit, model.sequence - at)
        for item in found:
            if item.entry is not None:
                model.told.append(("entry", str(item.entry.kind)))
            elif item.event is not None:
                model.told.append((item.event.kind, item.event.ref))
            model.cursor = item.sequence
        assert model.told == model.done[: len(model.told)]

    @rule()
    def look_at_spans(self) -> None:
        found = self.session.spans()
        told = {span.id: {"status": span.status, "late": span.late} for span in found}
        assert told == self.model.spans
        assert [span.sequence for span in found] == sorted(span.sequence for span in found)

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        try:
            for id in self.models:
                self.session, self.model = self.ledger.get(id), self.models[id]
                self.look_at_spans()
                self.rebuilt()
                while self.model.cursor < self.model.sequence > self.model.start:
                    self.follow(5)
                assert self.model.told == self.model.done
            report = self.ledger.verify()
            assert report.ok, report.problems
        finally:
            self.ledger.close()

    def rebuilt(self) -> None:
        """The rows of spans, added up once more from the events."""
        if self.model.erased:
            return
        rows: dict[str, dict[str, Any]] = {}
        with self.ledger._database.read() as tx:
            head = look_head(tx, self.session._key)
            assert head.sequence == self.model.sequence
            assert turn_now(tx, head) == sum(
                message.role == "user" for message in self.session.history()
            )
            for item in events.since(tx, head, 0, 100_000):
                event = item.event
                if event is None or event.kind not in spans.EVENTS or event.body is None:
                    continue
                said = spans.told_in(event.body)
                if event.kind in ("start", "span"):
                    where = {"id": event.ref, "turn": event.turn, "sequence": event.sequence}
                    rows[event.ref] = spans.first_row(said.pop("kind"), said, where)
                else:
                    spans.folded(rows[event.ref], said, event.sequence)
            stored = {row["id"]: row for row in spans.rows_of(tx, head)}
        told = set(spans.DERIVED) - {"project", "session", "created_ms"}
        assert rows.keys() == stored.keys()
        for id, row in rows.items():
            assert {name: row[name] for name in told} == {name: stored[id][name] for name in told}


def _run(url: str, examples: int, steps: int) -> None:
    machine = type("Machine", (Machine,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_in_memory() -> None:
    _run("sqlite:///:memory:", settings().max_examples, 30)


def test_on_disk(tmp_path: Path) -> None:
    _run(f"sqlite:///{tmp_path / 'ledger.db'}", settings().max_examples // 6, 30)


def test_on_postgres(postgres_database: str) -> None:
    _run(postgres_database, settings().max_examples // 12, 20)
