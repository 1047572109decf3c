"""Prompts that outlive their sessions: Claude Code's and Codex's `history.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew import importers, shapes
from clew.errors import Invalid
from clew.importers import claude_prompts, codex_prompts
from clew.model import Kind, Text, Unknown
from importer_kit import DEBRIS, memory_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import clew
    from clew.importers import Store

GONE = "5a5a5a5a-0000-4000-8000-000000000001"
THERE = "77777777-0000-4000-8000-000000000002"
AGENTS = ("claude-code", "codex")
STORES: dict[str, Store] = {"claude-code": claude_prompts, "codex": codex_prompts}
SECOND = 1_780_000_000


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    with memory_ledger() as ledger:
        yield ledger


def prompt(agent: str, session: str | None, words: str, second: int = 0) -> dict[str, Any]:
    if agent == "codex":
        return {"session_id": session, "ts": SECOND + second, "text": words}
    told = {} if session is None else {"sessionId": session}
    stamp = (SECOND + second) * 1000
    return {"display": words, "pastedContents": {}, "timestamp": stamp, "project": "/p"} | told


def put(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in records))
    return path


def transcript(home: Path, agent: str, session: str, *words: str) -> Path:
    """The session's own history, as the agent keeps it."""
    if agent == "codex":
        head = {"type": "session_meta", "payload": {"id": session, "cwd": "/p"}}
        said = [
            {"role": "user", "type": "message", "content": [{"type": "input_text", "text": each}]}
            for each in words
        ]
        items = [head, *({"type": "response_item", "payload": each} for each in said)]
        stamped = [{"timestamp": f"2026-05-28T20:00:0{n}.000Z", **r} for n, r in enumerate(items)]
        name = f"rollout-2026-05-28T20-00-00-{session}.jsonl"
        return put(home / "sessions" / "2026" / "05" / "28" / name, stamped)
    records: list[dict[str, Any]] = [
        {
            "type": "user",
            "uuid": f"{session[:4]}{n}",
            "sessionId": session,
            "cwd": "/p",
            "parentUuid": f"{session[:4]}{n - 1}" if n else None,
            "timestamp": f"2026-05-28T20:00:0{n}.000Z",
            "message": {"role": "user", "content": each},
        }
        for n, each in enumerate(words)
    ]
    return put(home / "projects" / "-p" / f"{session}.jsonl", records)


def texts(session: clew.Session) -> list[str]:
    return [message.text for message in session.history()]


def only(ledger: clew.Ledger) -> clew.Session:
    (info,) = ledger.sessions(spawned=True)
    return ledger.get(info.id)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_session_whose_history_is_gone_is_its_prompts(
    store: clew.Ledger, tmp_path: Path, agent: str
) -> None:
    path = put(
        tmp_path / "history.jsonl",
        [
            prompt(agent, GONE, "/clear"),
            prompt(agent, THERE, "which is there"),
            prompt(agent, GONE, "prune the quince 🌳", 2),
            prompt(agent, GONE, "prune the quince 🌳", 2),
        ],
    )
    transcript(tmp_path, agent, THERE, "which is there")
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.notes) == (2, [])
    by_name = {info.imported_from: store.get(info.id) for info in store.sessions()}
    gone, there = by_name[f"{agent}:{GONE}"], by_name[f"{agent}:{THERE}"]
    assert texts(gone) == ["/clear", "prune the quince 🌳", "prune the quince 🌳"]
    assert (gone.info.title, gone.info.agent) == ("prune the quince 🌳", agent)
    assert gone.info.project == ("/p" if agent == "claude-code" else "default")
    assert {entry.role for entry in gone.entries()} == {"user"}
    assert texts(there) == ["which is there"]
    held = store.source_bytes(gone.id)
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if GONE.encode() in line]
    assert held == {f"{path}#{GONE}": b"".join(lines)}
    again = store.import_from(tmp_path)
    assert (again.added, again.records) == (0, 0)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_history_that_is_cleaned_up_later_is_not_said_twice(
    store: clew.Ledger, tmp_path: Path, agent: str
) -> None:
    own = transcript(tmp_path, agent, GONE, "one", "two")
    put(tmp_path / "history.jsonl", [prompt(agent, GONE, "one"), prompt(agent, GONE, "two", 1)])
    store.import_from(tmp_path)
    before = texts(only(store))
    own.unlink()
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.added, report.known) == (0, 0, 2)
    assert texts(only(store)) == before == ["one", "two"]
    assert len(store.source_bytes(only(store).id)) == 2, "the lines are kept all the same"
    put(tmp_path / "history.jsonl", [prompt(agent, GONE, w, n) for n, w in enumerate("abc")])
    assert store.import_from(tmp_path).added == 0
    assert texts(only(store)) == before


@pytest.mark.parametrize("agent", AGENTS)
def test_a_history_that_comes_later_takes_the_prompts_place(
    store: clew.Ledger, tmp_path: Path, agent: str
) -> None:
    put(tmp_path / "history.jsonl", [prompt(agent, GONE, "one"), prompt(agent, GONE, "two", 1)])
    store.import_from(tmp_path)
    session = only(store)
    assert texts(session) == ["one", "two"]
    own = transcript(tmp_path, agent, GONE, "one", "two", "three")
    store.import_from(tmp_path)
    assert only(store).id == session.id
    assert texts(session) == ["one", "two", "three"]
    (move,) = session.moves()
    assert (move.action, move.to) == ("import", None)
    own.write_bytes(own.read_bytes() + b"\n")
    store.import_from(tmp_path)
    own.unlink()
    put(tmp_path / "history.jsonl", [prompt(agent, GONE, "four", 4)])
    store.import_from(tmp_path)
    assert texts(session) == ["one", "two", "three"]
    assert len(session.moves()) == 1


@pytest.mark.parametrize("agent", AGENTS)
def test_an_erased_session_does_not_come_back_as_its_prompts(
    store: clew.Ledger, tmp_path: Path, agent: str
) -> None:
    own = transcript(tmp_path, agent, GONE, "a secret")
    put(tmp_path / "history.jsonl", [prompt(agent, GONE, "a secret")])
    store.import_from(tmp_path)
    store.erase(only(store).id)
    own.unlink()
    report = store.import_from(tmp_path)
    assert store.sessions(spawned=True) == []
    assert ["erased" in note.text for note in report.notes] == [True]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_file_that_grows_or_loses_its_head_adds_only_what_is_new(
    store: clew.Ledger, tmp_path: Path, agent: str
) -> None:
    lines = [prompt(agent, GONE, f"prompt {number}", number) for number in range(6)]
    path = put(tmp_path / "history.jsonl", lines[:3])
    path.write_bytes(path.read_bytes()[:-9])
    store.import_from(path)
    assert len(texts(only(store))) == 2, "the third is torn: it may still be written"
    for kept in (lines[:3], lines[:4], lines[2:5], lines[4:]):
        put(path, kept)
        store.import_from(path)
    assert texts(only(store)) == [f"prompt {number}" for number in range(6)]
    path.write_bytes(path.read_bytes() + json.dumps(prompt(agent, GONE, "seven")).encode())
    assert store.import_from(path).added == 1, "whole without its end"


def test_prompts_that_name_no_session_are_kept_by_project(
    store: clew.Ledger, tmp_path: Path
) -> None:
    old = [prompt("claude-code", None, "one"), prompt("claude-code", None, "two", 1)]
    other = {**prompt("claude-code", None, "three", 2), "project": "/q"}
    put(tmp_path / "history.jsonl", [*old, other])
    store.import_from(tmp_path)
    found = {info.project: texts(store.get(info.id)) for info in store.sessions()}
    assert found == {"/p": ["one", "two"], "/q": ["three"]}


@pytest.mark.parametrize("agent", AGENTS)
def test_damage_costs_no_other_prompt(store: clew.Ledger, tmp_path: Path, agent: str) -> None:
    good = [json.dumps(prompt(agent, GONE, w, n)).encode() for n, w in enumerate("ab")]
    odd = json.dumps({**prompt(agent, GONE, "x", 5), "text": 7, "display": 7}).encode()
    bad = [b"\x00\x00", b'{"text": "torn', b"[1]", b"\xff{}", odd, good[0] + good[1]]
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n".join([good[0], *bad, b"  ", good[1]]) + b"\n")
    report = store.import_from(path)
    by_name = {info.imported_from: store.get(info.id) for info in store.sessions()}
    gone, rest = by_name[f"{agent}:{GONE}"], by_name[f"{agent}:no-session/"]
    assert texts(gone) == ["a", "b"]
    assert [entry.body for entry in rest.entries()] == [*bad[:4], bad[5]]
    assert len(report.notes) == len(bad)
    assert [entry.kind for entry in gone.entries()].count(Kind.UNKNOWN) == 1


@pytest.mark.parametrize("agent", AGENTS)
def test_any_wreckage_is_read(agent: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp(agent) / "history.jsonl"
    whole = json.dumps(prompt(agent, GONE, "words")).encode()

    @given(pieces=st.lists(st.sampled_from([whole, whole + b"\n", *DEBRIS]), max_size=12))
    @settings(max_examples=150, deadline=None)
    def check(pieces: list[bytes]) -> None:
        path.write_bytes(b"".join(pieces))
        module = STORES[agent]
        lines = {line.strip() for line in b"".join(pieces).split(b"\n")}
        with module.look(path) as look:
            for thread in look.threads():
                for raw, (record,) in module.open(path, thread.name).take(look.items(thread.name)):
                    assert raw[:-1] in lines
                    assert len(raw) == record.length + 1

    check()


def test_pastes_stand_behind_the_words() -> None:
    pasted = {
        "1": {"id": 1, "type": "text", "content": "the whole\nlist"},
        "2": {"id": 2, "type": "text", "contentHash": "0a1b"},
        "3": {"id": 3, "type": "image", "content": "aGk="},
    }
    words = "see [Pasted text #1 +2 lines]"
    line = {**prompt("claude-code", GONE, words), "pastedContents": pasted}
    message = shapes.decode("claude-code-prompts", line)
    assert message.parts == (
        Text(words),
        Text("the whole\nlist"),
        Unknown("paste", pasted["2"]),
        Unknown("paste", pasted["3"]),
    )
    assert message.time_ms == SECOND * 1000


@pytest.mark.parametrize("value", [None, 7, [], {}, {"display": 1}, {"text": None}])
@pytest.mark.parametrize("agent", AGENTS)
def test_an_odd_line_reads_as_unknown(agent: str, value: Any) -> None:
    (part,) = shapes.decode(f"{agent}-prompts", value).parts
    assert isinstance(part, Unknown)


def test_each_knows_its_own_file_and_place(tmp_path: Path) -> None:
    for agent, folder in (("claude-code", ".claude"), ("codex", ".codex")):
        path = put(tmp_path / folder / "history.jsonl", [prompt(agent, GONE, "x")])
        other = put(tmp_path / folder / "other.jsonl", [prompt(agent, GONE, "x")])
        assert importers.identify(path) is STORES[agent]
        assert importers.identify(other) is None
        assert list(STORES[agent].discover(tmp_path)) == [path]
    assert codex_prompts.roots(tmp_path, {}) == [tmp_path / ".codex" / "history.jsonl"]
    assert codex_prompts.roots(tmp_path, {"CODEX_HOME": str(tmp_path)}) == []
    assert claude_prompts.roots(tmp_path, {}) == [], "no projects beside it"
    (tmp_path / ".claude" / "projects").mkdir()
    assert claude_prompts.roots(tmp_path, {}) == [tmp_path / ".claude" / "history.jsonl"]
    (tmp_path / ".claude" / "history.jsonl").write_bytes(b"")
    (tmp_path / ".codex" / "history.jsonl").write_bytes(b"")
    assert claude_prompts.roots(tmp_path, {}) == codex_prompts.roots(tmp_path, {}) == []


@pytest.mark.parametrize("state", [b"", b"{}", b'{"version": 1}', b"\xff"])
def test_a_foreign_state_is_refused(state: bytes) -> None:
    for module in STORES.values():
        with pytest.raises(Invalid, match="no state"):
            module.open(Path("history.jsonl"), GONE, state)


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("agent", AGENTS)
def test_prompts_on_both_databases(ledger: clew.Ledger, tmp_path: Path, agent: str) -> None:
    put(tmp_path / "history.jsonl", [prompt(agent, GONE, "one")])
    ledger.import_from(tmp_path)
    transcript(tmp_path, agent, GONE, "one", "two")
    ledger.import_from(tmp_path)
    assert texts(only(ledger)) == ["one", "two"]
