"""Whatever is done to sessions in whatever order, a ledger agrees with a list on a napkin.

The model keeps each session's path as a list of positions, and what stands at each position in
a dict. The machine does the same to the ledger and to the model and compares.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import clew
from clew import rules
from clew.model import Position

PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")
OVERLAYS = ("compaction", "config")


class Model:
    """One session: where it stands, and what undo would take back."""

    facts: dict[Position, tuple[str, Any]]

    def __init__(self, facts: dict[Position, tuple[str, Any]], path: list[Position]) -> None:
        self.facts = facts
        self.path = list(path)
        self.moves: list[tuple[list[Position], list[Position]]] = []

    def add(self, at: Position, kind: str, value: Any) -> None:
        """Something was appended."""
        self.facts[at] = (kind, value)
        self.path.append(at)

    def move(self, path: list[Position]) -> None:
        """The head went elsewhere."""
        self.moves.append((self.path, list(path)))
        self.path = list(path)

    def undo(self) -> bool:
        """Take the last thing back; false when there is none."""
        if self.moves and self.moves[-1][1][-1:] == self.path[-1:]:
            self.path = list(self.moves.pop()[0])
            return True
        if self.path and self.facts[self.path[-1]][0] in OVERLAYS:
            self.path = self.path[:-1]
            return True
        for index in range(len(self.path) - 1, -1, -1):
            if self.facts[self.path[index]][0] == "user":
                self.path = self.path[:index]
                return True
        return False

    def spoken(self, path: list[Position]) -> list[str]:
        """The words of the messages on a path."""
        return [self.facts[at][1] for at in path if self.facts[at][0] not in OVERLAYS]

    def newest(self, kind: str) -> Any:
        """What the newest entry of a kind on the path says."""
        return next(
            (self.facts[at][1] for at in self.path[::-1] if self.facts[at][0] == kind), None
        )

    @property
    def config(self) -> dict[str, Any]:
        """The settings in force."""
        return self.newest("config") or {}

    @property
    def context(self) -> list[str]:
        """What a model sees."""
        found = self.newest("compaction")
        if found is None:
            return self.spoken(self.path)
        summary, kept = found
        return [summary, *self.spoken(self.path[self.path.index(kept) :])]


TURNS = st.lists(st.sampled_from(["user", "bot", "call", "result", "batch"]), max_size=5)
WHICH = st.integers(0, 1_000)


class Machine(RuleBasedStateMachine):
    """Does the same to the ledger and to the model."""

    url: str

    @initialize()
    def begin(self) -> None:
        self.project = uuid.uuid4().hex
        self.count = 0
        self.facts: dict[Position, tuple[str, Any]] = {}
        self.keys: dict[str, tuple[str, list[dict[str, Any]], list[clew.Entry]]] = {}
        self.marks: list[tuple[str, clew.Checkpoint, list[Position]]] = []
        self.ledger = clew.open(self.url, project=self.project, search=False, durability="normal")
        first = self.ledger.session(frontend="0", user="u")
        self.models = {first.id: Model(self.facts, [])}
        self.session, self.model = first, self.models[first.id]

    def messages(self, kinds: list[str]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        found: list[dict[str, Any]] = []
        said = []
        for kind in kinds:
            self.count += 1
            text = f"{kind} {self.count}"
            calls = [f"c{self.count % 4}"] + ([f"d{self.count}"] if kind == "batch" else [])
            if kind == "user":
                found.append({"role": "user", "content": text})
            elif kind == "bot":
                found.append({"role": "assistant", "content": text})
            elif kind == "result":
                found.append({"role": "tool", "tool_call_id": calls[0], "content": text})
            else:
                function = {"name": "look", "arguments": "{}"}
                asked = [{"id": id, "type": "function", "function": function} for id in calls]
                found.append({"role": "assistant", "content": text, "tool_calls": asked})
            said.append((kind, "" if kind == "result" else text))
        return found, said

    # --- what is done ---

    @rule(which=WHICH)
    def choose(self, which: int) -> None:
        id = sorted(self.models)[which % len(self.models)]
        self.session, self.model = self.ledger.get(id), self.models[id]

    @rule(kinds=TURNS, keyed=st.booleans())
    def extend(self, kinds: list[str], keyed: bool) -> None:
        messages, said = self.messages(kinds)
        key = f"k{self.count}" if keyed and messages else None
        entries = self.session.extend(messages, idempotency_key=key)
        for entry, (kind, text) in zip(entries, said, strict=True):
            self.model.add(entry.position, kind, text)
        if key:
            self.keys[key] = (self.session.id, messages, entries)

    @precondition(lambda self: self.keys)
    @rule(which=WHICH)
    def repeat(self, which: int) -> None:
        key = sorted(self.keys)[which % len(self.keys)]
        id, messages, entries = self.keys[key]
        session = self.ledger.get(id)
        assert session.extend(messages, idempotency_key=key) == entries
        with pytest.raises(clew.Conflict):
            session.extend([*messages, messages[0]], idempotency_key=key)

    @rule(which=WHICH, stale=st.booleans())
    def append_expecting(self, which: int, stale: bool) -> None:
        path = self.model.path
        at = (path[which % len(path)] if stale else path[-1]) if path else None
        message, said = self.messages(["user"])
        if at is None or at == path[-1]:
            entry = self.session.append(message[0], expected_head=at)
            self.model.add(entry.position, *said[0])
            return
        with pytest.raises(clew.Conflict) as caught:
            self.session.append(message[0], expected_head=at)
        assert [entry.position for entry in caught.value.missed] == path[path.index(at) + 1 :]

    @rule(which=WHICH, at_head=st.booleans())
    def branch(self, which: int, at_head: bool) -> None:
        if len(self.models) > 6:
            return
        path = self.model.path
        cut = len(path) if at_head or not path else which % len(path) + 1
        new = self.session.branch(str(path[cut - 1])) if cut and path else self.session.branch(None)
        self.models[new.id] = Model(self.facts, path[:cut])
        self.session, self.model = new, self.models[new.id]

    @rule()
    def checkpoint(self) -> None:
        made = self.session.checkpoint(f"mark {self.count}")
        self.marks.append((self.session.id, made, list(self.model.path)))

    @precondition(lambda self: self.marks)
    @rule(which=WHICH)
    def restore(self, which: int) -> None:
        id, made, path = self.marks[which % len(self.marks)]
        self.session, self.model = self.ledger.get(id), self.models[id]
        self.session.restore(made)
        self.model.move(path)

    @rule(which=WHICH)
    def restore_place(self, which: int) -> None:
        path = self.model.path[: which % (len(self.model.path) + 1)]
        self.session.restore(str(path[-1]) if path else "root")
        self.model.move(path)

    @rule()
    def undo(self) -> None:
        if self.model.undo():
            self.session.undo()
        else:
            with pytest.raises(clew.Invalid):
                self.session.undo()

    @rule(action=st.sampled_from(["clear", "reset", "forget", "replace"]), kinds=TURNS)
    def start_over(self, action: str, kinds: list[str]) -> None:
        config = {} if action == "forget" else self.model.config
        said: list[tuple[str, Any]] = [("config", config)] if config else []
        if action == "replace":
            messages, words = self.messages(kinds)
            said += words
            self.session.replace_history(messages)
        elif action == "clear":
            self.session.clear()
        else:
            self.session.reset(keep_config=action == "reset")
        head = self.session.head
        path = []
        if said:
            assert head is not None
            path = [Position(head.session, head.seq - n) for n in range(len(said))][::-1]
            self.facts.update(zip(path, said, strict=True))
        self.model.move(path)

    @rule(name=st.sampled_from("ab"), value=st.integers(0, 3))
    def configure(self, name: str, value: int) -> None:
        self.session.config[name] = value
        at = self.session.head
        assert at is not None
        self.model.add(at, "config", {**self.model.config, name: value})

    @rule(which=WHICH)
    def compact(self, which: int) -> None:
        messages = self.session.context()
        if not messages:
            return
        keep = messages[which % len(messages)].at[0]
        summary = f"summary {self.count}"
        try:
            made = self.session.compact(summary=summary, keep_from=keep)
        except clew.Invalid:
            return  # the cut is not legal, or nothing lies before it
        assert made.post is not None
        self.marks.append((self.session.id, made, list(self.model.path)))
        self.model.add(made.post, "compaction", (summary, keep))

    @rule(address=st.sampled_from("012"), whose=st.sampled_from(["source", "target"]))
    def transfer(self, address: str, whose: Any) -> None:
        source = self.model
        target = self.session.transfer_to(frontend=address, user="u", config=whose)
        if target.id == self.session.id:
            return
        model = self.models.setdefault(target.id, Model(self.facts, []))
        config, path = model.config, list(source.path)
        if whose == "target":
            at = target.head
            assert at is not None
            self.facts[at] = ("config", config)
            path.append(at)
        model.move(path)
        self.session, self.model = target, model

    @rule()
    def reopen(self) -> None:
        if ":memory:" in self.url:
            self.ledger.evict(list(self.models))
        else:
            self.ledger.close()
            self.ledger = clew.open(self.url, project=self.project, search=False)
        self.session = self.ledger.get(self.session.id)

    # --- what must hold ---

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "ledger"):
            return
        model, session = self.model, self.session
        assert session.head == (model.path[-1] if model.path else None)
        assert [m.text for m in session.history()] == model.spoken(model.path)
        assert [m.text for m in session.context()] == model.context
        assert dict(session.config) == model.config

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        try:
            for id, model in self.models.items():
                session = self.ledger.get(id)
                assert [m.text for m in session.history()] == model.spoken(model.path)
                for provider in PROVIDERS:
                    assert rules.check(provider, session.view(provider).request) == []
            report = self.ledger.verify()
            assert report.ok, report.problems
        finally:
            self.ledger.close()


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
    _run(f"sqlite:///{tmp_path / 'ledger.db'}", settings().max_examples // 4, 30)


def test_on_postgres(postgres_database: str) -> None:
    _run(postgres_database, settings().max_examples // 10, 20)
