"""Gathering: once, whole, as it grows, and whatever the order; nothing ever lost or doubled."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew import gather, rules, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "claude_code"
SAMPLES = HERE.parent / "samples" / "claude-code"
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")
MEMORY = "sqlite:///:memory:"
FILES = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with clew.open(MEMORY, search=False) as ledger:
        yield ledger
        report = ledger.verify()
        assert report.ok, report.problems


# --- histories to import -------------------------------------------------------------------


def _record(
    id: str, text: str, *, after: str | None = None, role: str = "user", **more: Any
) -> dict[str, Any]:
    content: Any = text
    if role == "assistant":
        content = [{"type": "text", "text": text}]
    return {
        "type": role,
        "uuid": id,
        "parentUuid": after,
        "timestamp": f"2026-01-01T00:00:{len(id) % 60:02d}.000Z",
        "cwd": "/home/me/garden",
        "message": {"role": role, "content": content},
        **more,
    }


def _chat(*names: str, session: str = "s") -> list[dict[str, Any]]:
    """Records that follow one another; every second one is the model's."""
    found, before = [], None
    for number, name in enumerate(names):
        role = "assistant" if number % 2 else "user"
        found.append(_record(name, f"says {name}", after=before, role=role, sessionId=session))
        before = name
    return found


def _text(records: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _write(file: Path, records: Sequence[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_text(records))
    return file


def _session(ledger: clew.Ledger, native: str) -> clew.Session:
    name = f"claude-code:{native}"
    found = [i for i in ledger.sessions(spawned=True, limit=1000) if i.imported_from == name]
    assert len(found) == 1, f"{len(found)} sessions of {native}"
    return ledger.get(found[0].id)


def _said(ledger: clew.Ledger, native: str) -> list[str]:
    return [message.text for message in _session(ledger, native).history()]


def _facts(session: clew.Session) -> list[tuple[Any, ...]]:
    """What a session holds, whatever its id."""

    def plain(meta: dict[str, Any]) -> str:
        return json.dumps(meta, sort_keys=True).replace(session.id, "self")

    return [(e.kind, e.role, e.body, plain(e.meta)) for e in session.entries()]


def _times(session: clew.Session) -> list[int]:
    """The times of its entries from the first message on, which tells its own."""
    entries = session.entries()
    first = next(n for n, e in enumerate(entries) if e.kind == clew.Kind.MESSAGE)
    return [entry.time_ms for entry in entries[first:]]


# --- whole files ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_given_back_byte_for_byte(store: clew.Ledger, name: str) -> None:
    path = GOLDEN / f"{name}.jsonl"
    report = store.import_from(path)
    expected = json.loads((GOLDEN / f"{name}.expected.json").read_text())
    assert report.sessions_new == 1
    assert report.added == report.records > 0
    assert report.bytes <= path.stat().st_size
    assert len(expected) > 0
    (info,) = store.sessions(spawned=True)
    assert info.entries == report.added
    assert info.agent == "claude-code"
    assert store.source_bytes(info.id) == {str(path): path.read_bytes()}


@pytest.mark.parametrize("name", FILES)
def test_the_second_import_adds_nothing(store: clew.Ledger, name: str, tmp_path: Path) -> None:
    path = shutil.copy(GOLDEN / f"{name}.jsonl", tmp_path / f"{name}.jsonl")
    store.import_from(path)
    (info,) = store.sessions(spawned=True)
    before = _facts(store.get(info.id))
    again = store.import_from(path)
    assert (again.unchanged, again.added, again.records) == (1, 0, 0)
    os.utime(path, ns=(1, 1))  # as a copy or a checkout leaves it
    touched = store.import_from(path)
    assert (touched.unchanged, touched.added, touched.sessions_new) == (0, 0, 0)
    assert _facts(store.get(info.id)) == before


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_the_samples_are_imported_on_both_databases(ledger: clew.Ledger) -> None:
    report = ledger.import_from(SAMPLES)
    assert (report.files, report.sessions_new) == (7, 6), "one file tells of an agent"
    assert report.added + report.known == report.records
    assert report.known > 0, "one of them is a fork"
    for info in ledger.sessions(spawned=True):
        for path, content in ledger.source_bytes(info.id).items():
            assert Path(path).read_bytes() == content
    again = ledger.import_from(SAMPLES)
    assert (again.unchanged, again.added) == (7, 0)
    assert len(ledger.sessions()) == 5
    assert sum(info.forked_from is not None for info in ledger.sessions()) == 1
    assert any(info.title for info in ledger.sessions())


def test_imported_sessions_are_listed_by_when_they_were_spoken_in(
    store: clew.Ledger, tmp_path: Path
) -> None:
    for name, day in (("old", 1), ("new", 3), ("middle", 2)):
        record = _record("x", "hello", sessionId=name, timestamp=f"2020-01-0{day}T00:00:00Z")
        _write(tmp_path / f"{name}.jsonl", [{**record, "uuid": name}])
    store.import_from(tmp_path)
    found = [(info.imported_from or "").split(":")[1] for info in store.sessions()]
    assert found == ["new", "middle", "old"]


def test_progress_is_told(store: clew.Ledger) -> None:
    seen: list[gather.Progress] = []
    store.import_from(SAMPLES, on_progress=seen.append)
    assert [step.files for step in seen] == list(range(8))
    assert seen[-1].bytes == seen[-1].bytes_total == seen[0].bytes_total > 0


def test_what_is_not_there_or_not_a_history(store: clew.Ledger, tmp_path: Path) -> None:
    with pytest.raises(clew.NotFound, match="does not exist"):
        store.import_from(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(clew.NotFound, match="no history"):
        store.import_from(tmp_path)
    with pytest.raises(clew.Invalid, match="no importer 'parrot'"):
        store.import_from(tmp_path, importer="parrot")
    assert store.sessions() == []
    with pytest.raises(clew.NotFound, match="not imported"):
        store.source_bytes(store.create().id)


# --- growth --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", FILES)
def test_any_split_of_a_growing_file_gives_the_same(
    store: clew.Ledger, name: str, seed: int, tmp_path: Path
) -> None:
    whole = (GOLDEN / f"{name}.jsonl").read_bytes()
    store.import_from(GOLDEN / f"{name}.jsonl")
    (info,) = store.sessions(spawned=True)
    path = tmp_path / f"{name}.jsonl"
    chance = random.Random(seed * 1000 + len(whole))
    cuts = sorted(chance.sample(range(1, len(whole)), chance.randint(1, 8)))
    with clew.open(MEMORY, search=False) as grown:
        for cut in [*cuts, len(whole)]:
            path.write_bytes(whole[:cut])
            _try_import(grown, path)
        (again,) = grown.sessions(spawned=True)
        one, other = store.get(info.id), grown.get(again.id)
        assert _facts(other) == _facts(one)
        assert _times(other) == _times(one)
        assert [m.parts for m in other.history()] == [m.parts for m in one.history()]
        assert [m.parts for m in other.context()] == [m.parts for m in one.context()]
        assert (again.title, again.messages) == (info.title, info.messages)
        assert len(other.checkpoints()) == len(one.checkpoints())
        assert grown.source_bytes(again.id) == {str(path): whole}
        assert grown.usage() == store.usage()
        assert grown.verify().ok


def _try_import(ledger: clew.Ledger, path: Path) -> bool:
    """Import what may be too little to be recognised; true when it was not."""
    try:
        ledger.import_from(path)
    except clew.NotFound:
        return False
    return True


@pytest.mark.parametrize("batch", [1, 300, 5000])
def test_the_size_of_batches_and_frames_changes_nothing(
    store: clew.Ledger, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = GOLDEN / "conversation.jsonl"
    store.import_from(path)
    monkeypatch.setattr(gather, "BATCH_BYTES", batch)
    monkeypatch.setattr(gather, "CHUNK_BYTES", max(batch // 3, 7))
    monkeypatch.setattr(source, "FRAME_BYTES", max(batch // 2, 10))
    with clew.open(MEMORY, search=False) as small:
        small.import_from(path)
        (one,), (other,) = store.sessions(), small.sessions()
        assert _facts(small.get(other.id)) == _facts(store.get(one.id))
        assert small.source_bytes(other.id) == {str(path): path.read_bytes()}
        assert small.verify().ok


@pytest.mark.parametrize("seed", range(8))
def test_a_file_cut_off_and_completed_loses_and_doubles_nothing(
    store: clew.Ledger, seed: int, tmp_path: Path
) -> None:
    whole = (GOLDEN / "conversation.jsonl").read_bytes()
    path = tmp_path / "conversation.jsonl"
    path.write_bytes(whole)
    store.import_from(path)
    (info,) = store.sessions()
    session = store.get(info.id)
    before = _facts(session)
    chance = random.Random(seed)
    for _ in range(3):
        path.write_bytes(whole[: chance.randrange(1, len(whole))])
        _try_import(store, path)
        assert [fact for fact in _facts(session) if fact in before] == before
        path.write_bytes(whole)
        _try_import(store, path)
    assert [m.parts for m in session.history()] == [m.parts for m in _fresh(path)]
    assert store.source_bytes(info.id) == {str(path): whole}


def _fresh(path: Path) -> list[clew.Message]:
    with clew.open(MEMORY, search=False) as ledger:
        ledger.import_from(path)
        return ledger.get(ledger.sessions()[0].id).history()


@pytest.mark.parametrize("batch", [1, 10_000_000])
def test_a_rewritten_file_adds_only_what_is_new(
    store: clew.Ledger, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a batch a record, each batch was once compared with nothing but the first."""
    monkeypatch.setattr(gather, "BATCH_BYTES", batch)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 200)
    file = _write(tmp_path / "s.jsonl", _chat("a", "b", "c", "d"))
    store.import_from(file)
    _write(file, [{"type": "summary", "summary": "x", "leafUuid": "d"}, *_chat("a", "b", "c", "d")])
    report = store.import_from(file)
    assert (report.sessions_new, report.sessions_grown, report.added) == (0, 1, 1)
    assert report.known == 4
    assert any("rewritten" in note.text for note in report.notes)
    grown = [
        {"type": "summary", "summary": "x", "leafUuid": "d"},
        *_chat("a", "b", "c", "d", "e", "f"),
    ]
    _write(file, grown)
    assert store.import_from(file).added == 2
    assert _said(store, "s") == [f"says {name}" for name in "abcdef"]
    assert store.source_bytes(_session(store, "s").id) == {str(file): _text(grown).encode()}
    _write(file, grown[1:])
    report = store.import_from(file)
    assert (report.added, report.known) == (0, 6)


@pytest.mark.inside
@pytest.mark.parametrize("changed", [False, True])
def test_what_a_ledger_from_before_has_read_of_a_file_still_counts(
    tmp_path: Path, changed: bool
) -> None:
    """Then the digest of what was read was one of all bytes, now it is one of the frames."""
    file = _write(tmp_path / "home" / "s.jsonl", _chat("a", "b"))
    database = tmp_path / "ledger.db"
    with clew.open(f"sqlite:///{database}", search=False) as ledger:
        ledger.import_from(file)
    before = hashlib.sha256(file.read_bytes()).digest()
    with closing(sqlite3.connect(database)) as connection, connection:
        ((ours,),) = connection.execute("select checked from source").fetchall()
        assert len(ours) == 1 + len(before)
        connection.execute("update source set checked = ?", (before,))
    records = _chat("a", "b", "c")
    if changed:
        records[0]["cwd"] = "/home/me/orchard"
    _write(file, records)
    with clew.open(f"sqlite:///{database}", search=False) as ledger:
        report = ledger.import_from(file)
        assert any("rewritten" in note.text for note in report.notes) is changed
        assert _said(ledger, "s") == ["says a", "says b", "says c"]
        assert (report.records, ledger.verify().ok) == (3 if changed else 1, True)
        _write(file, [*records, *_chat("a", "b", "c", "d")[3:]])
        assert [ledger.import_from(file).records, ledger.verify().ok] == [1, True]


def test_the_same_session_at_two_places_is_one(store: clew.Ledger, tmp_path: Path) -> None:
    _write(tmp_path / "one" / "s.jsonl", _chat("a", "b", "c", "d"))
    _write(tmp_path / "two" / "s.jsonl", _chat("a", "b"))
    store.import_from(tmp_path)
    assert len(store.sessions()) == 1
    _write(tmp_path / "two" / "s.jsonl", _chat("a", "b", "c", "d", "e"))
    report = store.import_from(tmp_path)
    assert (report.unchanged, report.added) == (1, 1)
    assert _said(store, "s") == [f"says {name}" for name in "abcde"]


def test_records_without_an_id_are_not_mistaken_for_anothers(
    store: clew.Ledger, tmp_path: Path
) -> None:
    """Two sessions may begin with the very same nameless line, at the same offset."""
    line = {"type": "mode", "mode": "plan", "sessionId": "any"}
    for name in ("one", "two"):
        _write(tmp_path / f"{name}.jsonl", [line, *_chat(f"{name}-a", session=name)])
    store.import_from(tmp_path)
    _write(tmp_path / "two.jsonl", [*_chat("two-0", session="two"), line])
    store.import_from(tmp_path)
    kinds = [entry.kind for entry in _session(store, "two").entries()]
    assert kinds == ["notice", "message", "message"]
    kinds = [entry.kind for entry in _session(store, "one").entries()]
    assert kinds == ["notice", "message"]


def test_a_vanished_file_takes_nothing_with_it(store: clew.Ledger, tmp_path: Path) -> None:
    file = _write(tmp_path / "s.jsonl", _chat("a", "b"))
    _write(tmp_path / "t.jsonl", _chat("c", "d", session="t"))
    store.import_from(tmp_path)
    file.unlink()
    store.import_from(tmp_path)
    assert _said(store, "s") == ["says a", "says b"]


# --- forks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 10_000_000])
@pytest.mark.parametrize("order", ["original first", "copy first"])
def test_a_copied_prefix_becomes_a_branch(
    store: clew.Ledger, order: str, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "BATCH_BYTES", batch)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 200)
    original = _chat("a", "b", "c", "d", session="origin")
    copy = [*_chat("a", "b", "c", session="copy"), _record("x", "says x", after="c")]
    files = [_write(tmp_path / "origin.jsonl", original), _write(tmp_path / "copy.jsonl", copy)]
    for file in files if order == "original first" else files[::-1]:
        store.import_from(file)
    assert _said(store, "origin") == [f"says {name}" for name in "abcd"]
    assert _said(store, "copy") == [f"says {name}" for name in "abcx"]
    first, second = ("origin", "copy") if order == "original first" else ("copy", "origin")
    branch = _session(store, second)
    assert branch.info.forked_from is not None
    assert branch.info.forked_from.session == _session(store, first).id
    assert branch.info.entries == 1, "what was copied is there once"
    for file in files:
        native = file.stem
        assert store.source_bytes(_session(store, native).id) == {str(file): file.read_bytes()}
    _write(files[0], [*original, _record("e", "says e", after="d", sessionId="origin")])
    _write(files[1], [*copy, _record("y", "says y", after="x")])
    store.import_from(tmp_path)
    assert _said(store, "origin") == [f"says {name}" for name in "abcde"]
    assert _said(store, "copy") == [f"says {name}" for name in "abcxy"]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_copy_that_grows_inside_its_prefix_is_a_branch_all_the_same(
    store: clew.Ledger, cut: int, tmp_path: Path
) -> None:
    _write(tmp_path / "origin.jsonl", _chat("a", "b", "c", "d", session="origin"))
    copy = [*_chat("a", "b", "c", session="copy"), _record("x", "says x", after="c")]
    _write(tmp_path / "copy.jsonl", copy[:cut])
    store.import_from(tmp_path / "origin.jsonl")
    store.import_from(tmp_path)
    _write(tmp_path / "copy.jsonl", copy)
    store.import_from(tmp_path)
    assert _said(store, "copy") == [f"says {name}" for name in "abcx"]
    assert _session(store, "copy").info.entries == 1
    assert _said(store, "origin") == [f"says {name}" for name in "abcd"]


def test_a_rewritten_copy_adds_only_its_own(store: clew.Ledger, tmp_path: Path) -> None:
    _write(tmp_path / "origin.jsonl", _chat("a", "b", "c", session="origin"))
    copy = [*_chat("a", "b", session="copy"), _record("x", "says x", after="b")]
    _write(tmp_path / "copy.jsonl", copy)
    store.import_from(tmp_path / "origin.jsonl")
    store.import_from(tmp_path)
    note = {"type": "mode", "mode": "plan", "sessionId": "copy"}
    _write(tmp_path / "copy.jsonl", [note, *copy, _record("y", "says y", after="x")])
    assert store.import_from(tmp_path).added == 2
    assert _said(store, "copy") == ["says a", "says b", "says x", "says y"]


def test_an_identical_copy_adds_nothing_and_shows_the_same(
    store: clew.Ledger, tmp_path: Path
) -> None:
    for name in ("origin", "copy"):
        _write(tmp_path / f"{name}.jsonl", _chat("a", "b", session=name))
    store.import_from(tmp_path / "origin.jsonl")
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.added, report.known) == (1, 0, 2)
    assert _said(store, "copy") == _said(store, "origin")


# --- rewinds, compactions, sub-agents ------------------------------------------------------


def test_a_rewind_leaves_the_path_and_keeps_the_log(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "rewind.jsonl")
    (info,) = store.sessions()
    session = store.get(info.id)
    moves = session.moves()
    assert moves
    assert {move.action for move in moves} == {"rewind"}
    assert len(session.history()) < info.messages
    assert info.messages == sum(e.kind == clew.Kind.MESSAGE for e in session.entries())


def test_a_compaction_has_a_checkpoint_before_it(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "compaction.jsonl")
    (info,) = store.sessions()
    session = store.get(info.id)
    made = session.checkpoints()
    assert [(c.reason, c.tokens_before) for c in made] == [
        ("auto-threshold", None),
        ("manual", 20_000),
        ("auto-threshold", 155_000),
    ]
    history, context = session.history(), session.context()
    assert len(history) == info.messages > len(context) > 0
    assert context[0].summary, "the model begins at the summary"
    assert history[0] not in context
    early = session.branch(made[-1])
    assert early.context() == history[:2]
    for provider in PROVIDERS:
        assert rules.check(provider, session.view(provider).request) == []


def test_a_compaction_without_its_summary_hides_nothing_yet(
    store: clew.Ledger, tmp_path: Path
) -> None:
    boundary = _record("z", "", after="b", role="system", sessionId="s", subtype="compact_boundary")
    file = _write(tmp_path / "s.jsonl", [*_chat("a", "b"), boundary])
    store.import_from(file)
    session = _session(store, "s")
    assert [m.text for m in session.context()] == ["says a", "says b"]
    summary = _record("c", "in short", after="z", sessionId="s", isCompactSummary=True)
    _write(file, [*_chat("a", "b"), boundary, summary])
    store.import_from(file)
    assert [m.text for m in session.context()] == ["in short"]


@pytest.mark.parametrize("order", ["parent first", "child first"])
def test_a_sub_agent_is_linked_to_its_parent(
    store: clew.Ledger, order: str, tmp_path: Path
) -> None:
    parent = _write(tmp_path / "p" / "main.jsonl", _chat("a", "b", session="main"))
    child = _write(
        tmp_path / "p" / "main" / "subagents" / "agent-1.jsonl",
        _chat("sub-a", "sub-b", session="main"),
    )
    child.with_suffix(".meta.json").write_text(json.dumps({"toolUseId": "call_7"}))
    for path in (parent, child) if order == "parent first" else (child, parent):
        store.import_from(path)
    (main,) = store.sessions()
    (sub,) = [info for info in store.sessions(spawned=True) if info.spawned_by]
    assert sub.spawned_by == f"{main.id}#call_7"
    assert [m.text for m in store.get(sub.id).history()] == ["says sub-a", "says sub-b"]


# --- trouble -------------------------------------------------------------------------------


def test_one_bad_file_does_not_stop_its_neighbours(store: clew.Ledger, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        _write(tmp_path / f"{name}.jsonl", _chat(f"{name}1", f"{name}2", session=name))
    store.import_from(tmp_path)
    store.archive(_session(store, "a").id)
    lease = store.get(_session(store, "b").id).lease("somebody")
    for name in ("a", "b", "c"):
        _write(
            tmp_path / f"{name}.jsonl",
            _chat(f"{name}1", f"{name}2", f"{name}3", session=name),
        )
    report = store.import_from(tmp_path)
    assert report.added == 1
    assert _said(store, "c")[-1] == "says c3"
    assert sorted(Path(note.path).name for note in report.notes) == ["a.jsonl", "b.jsonl"]
    assert all("not read" in note.text for note in report.notes)
    lease.release()
    store.archive(_session(store, "a").id, archived=False)
    assert store.import_from(tmp_path).added == 2


def test_an_unreadable_file_is_noted(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        _write(tmp_path / f"{name}.jsonl", _chat(f"{name}1", session=name))
    original = gather._begin

    def begin(ledger: clew.Ledger, work: Any, file: object, report: Any) -> Any:
        if work.path.stem == "a":
            raise PermissionError(13, "Permission denied", str(work.path))
        return original(ledger, work, file, report)

    monkeypatch.setattr(gather, "_begin", begin)
    report = store.import_from(tmp_path)
    assert report.sessions_new == 1
    assert report.notes[0].text.startswith("not read: [Errno 13]")


@pytest.mark.parametrize("url", ["memory", "postgres"], indirect=True)
def test_text_that_no_database_holds_is_mended(ledger: clew.Ledger, tmp_path: Path) -> None:
    odd = "half \ud83d and \0"
    answer = _record("b", odd, after="a", role="assistant", sessionId="s", cwd=odd)
    answer["message"] |= {"model": f"m{odd}", "id": odd, "usage": {"input_tokens": 2**80}}
    records = [
        _record("a", odd, sessionId="s", cwd=odd),
        answer,
        {"type": "custom-title", "customTitle": odd, "sessionId": "s"},
    ]
    file = _write(tmp_path / "s.jsonl", records)
    _write(tmp_path / "t.jsonl", _chat("t1", session="t"))
    ledger.import_from(tmp_path)
    session = _session(ledger, "s")
    assert session.info.title == "half \ufffd and \ufffd"
    assert ledger.source_bytes(session.id) == {str(file): file.read_bytes()}
    assert _said(ledger, "t") == ["says t1"]


def test_a_file_whose_name_is_no_text(store: clew.Ledger, tmp_path: Path) -> None:
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jsonl")  # noqa: PTH118
    try:
        Path(os.fsdecode(odd)).write_text(_text(_chat("a", "b")))
    except OSError:
        pytest.skip("this file system takes no such names")
    _write(tmp_path / "t.jsonl", _chat("t1", session="t"))
    assert store.import_from(tmp_path).sessions_new == 2
    assert store.import_from(tmp_path).unchanged == 2
    assert _said(store, "caf\\udce9") == ["says a", "says b"]


def test_an_import_that_dies_between_batches_goes_on(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _write(tmp_path / "s.jsonl", _chat(*"abcdefgh"))
    monkeypatch.setattr(gather, "BATCH_BYTES", 1)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 300)
    original, stored = source.store, 0

    def store_three(*args: Any) -> None:
        nonlocal stored
        stored += 1
        if stored > 3:
            raise KeyboardInterrupt
        original(*args)

    monkeypatch.setattr(gather, "store", store_three)
    with pytest.raises(KeyboardInterrupt):
        store.import_from(file)
    assert 0 < len(_said(store, "s")) < 8
    monkeypatch.setattr(gather, "store", original)
    store.import_from(file)
    assert _said(store, "s") == [f"says {name}" for name in "abcdefgh"]
    assert store.source_bytes(_session(store, "s").id) == {str(file): file.read_bytes()}


# --- later versions -------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 10_000_000])
def test_a_record_changed_in_place_is_kept_as_a_later_version(
    tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "BATCH_BYTES", batch)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 200)
    records = _chat("a", "b", "c", "d")
    with clew.open(f"sqlite:///{tmp_path / 'x.db'}") as ledger:
        file = _write(tmp_path / "s.jsonl", records)
        ledger.import_from(file)
        for turn, word in enumerate(("xylophone", "vuvuzela")):
            changed = [*records[:2], _record("c", word, after="b", sessionId="s"), records[3]]
            _write(file, changed)
            report = ledger.import_from(file)
            assert (report.added, report.known, report.sessions_grown) == (1, 3, 1)
            assert [n.text for n in report.notes if n.offset is not None] == [
                "changed since: kept beside the conversation as a later version"
            ]
            assert _said(ledger, "s") == ["says a", "says b", "says c", "says d"]
            assert ledger.sessions()[0].entries == 5 + turn
            ledger.index_now()
            assert len(ledger.search(word).hits) == 1
        before = _said(ledger, "s")
        _write(file, [{"type": "mode", "mode": "plan", "sessionId": "s"}, *changed])
        assert ledger.import_from(file).known == 4
        _write(file, records)
        assert ledger.import_from(file).added == 0
        assert _said(ledger, "s") == before
        assert ledger.verify().ok


def test_another_notation_of_the_same_is_no_later_version(
    store: clew.Ledger, tmp_path: Path
) -> None:
    records = [*_chat("a", "b"), {"type": "system", "uuid": "n", "sessionId": "s", "content": "x"}]
    file = _write(tmp_path / "s.jsonl", records)
    store.import_from(file)
    file.write_text("".join(json.dumps(r, separators=(",", ":")) + "\n" for r in records))
    assert (store.import_from(file).added, store.sessions()[0].entries) == (0, 3)


def test_the_same_id_twice_in_one_file_is_not_added_again(
    store: clew.Ledger, tmp_path: Path
) -> None:
    records = [*_chat("a", "b"), _record("a", "again", sessionId="s")]
    file = _write(tmp_path / "s.jsonl", records)
    store.import_from(file)
    assert _said(store, "s") == ["says a", "says b", "again"]
    _write(file, [{"type": "mode", "mode": "plan", "sessionId": "s"}, *records])
    assert store.import_from(file).added == 1
    assert _said(store, "s") == ["says a", "says b", "again"]


def test_a_changed_tool_call_leaves_valid_views(store: clew.Ledger, tmp_path: Path) -> None:
    whole = (GOLDEN / "conversation.jsonl").read_text()
    file = tmp_path / "conversation.jsonl"
    file.write_text(whole)
    store.import_from(file)
    changed = [_touched(json.loads(line)) for line in whole.splitlines()]
    _write(file, changed)
    report = store.import_from(file)
    assert report.added > 1
    (note,) = [n.text for n in report.notes if "later version" in n.text]
    assert note.endswith("records behind it"), "one note a file"
    (info,) = store.sessions()
    for provider in PROVIDERS:
        assert rules.check(provider, store.get(info.id).view(provider).request) == []


def _touched(record: dict[str, Any]) -> dict[str, Any]:
    """The record with other words in every text and every tool's input."""
    content = record.get("message", {}).get("content")
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "text":
            block["text"] += " (changed)"
        if block.get("type") == "tool_use":
            block["input"] = {"changed": True}
    return record


# --- others at work, and names known late ---------------------------------------------------


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("batch", [1, 10_000_000])
def test_two_imports_of_the_same_files_at_once(
    ledger: clew.Ledger, url: str, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other import comes between what this one looked at and what it stores."""
    folder = tmp_path / "histories"
    for name in ("s", "t"):
        _write(folder / f"{name}.jsonl", _chat(*(f"{name}{n}" for n in range(6)), session=name))
    monkeypatch.setattr(gather, "BATCH_BYTES", batch)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 300)
    original = source.store
    others: list[Any] = []

    def store_second(*args: Any) -> None:
        if not others:
            others.append(None)
            with clew.open(url, search=False) as other:
                others[0] = other.import_from(folder)
        original(*args)

    monkeypatch.setattr(gather, "store", store_second)
    mine, (theirs,) = ledger.import_from(folder), others
    assert (theirs.sessions_new, theirs.added) == (2, 12)
    assert (mine.sessions_new, mine.added, mine.unchanged) == (0, 0, 1)
    assert "another import is reading it" in mine.notes[0].text
    for name in ("s", "t"):
        assert _said(ledger, name) == [f"says {name}{n}" for n in range(6)]
    assert ledger.verify().ok


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_two_imports_in_two_threads(ledger: clew.Ledger, url: str, tmp_path: Path) -> None:
    folder, count = tmp_path / "histories", 12
    for number in range(count):
        names = (f"{number}-{n}" for n in range(4))
        _write(folder / f"{number}.jsonl", _chat(*names, session=str(number)))
    start = threading.Barrier(2)

    def run() -> source.Imported:
        with clew.open(url, search=False) as mine:
            start.wait()
            return mine.import_from(folder)

    with ThreadPoolExecutor(2) as pool:
        reports = [future.result() for future in [pool.submit(run), pool.submit(run)]]
    assert sum(report.sessions_new for report in reports) == count
    assert sum(report.added for report in reports) == 4 * count
    assert ledger.verify().ok
    for number in range(count):
        assert len(_said(ledger, str(number))) == 4


@pytest.mark.parametrize("batch", [1, 10_000_000])
@pytest.mark.parametrize("cut", [20, 75, 200])
def test_a_session_waits_for_its_project(
    store: clew.Ledger, cut: int, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "BATCH_BYTES", batch)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 50)
    mode = {"type": "permission-mode", "permissionMode": "default", "sessionId": "s"}
    whole = _text([mode, *_chat("a", "b")])
    file = tmp_path / "s.jsonl"
    file.write_text(whole[:cut])
    report = store.import_from(file, importer="claude-code")
    assert (report.sessions_new, report.added, report.bytes) == (0, 0, 0)
    assert "nothing is said in it yet" in report.notes[0].text
    file.write_text(whole)
    assert store.import_from(file).sessions_new == 1
    (info,) = store.sessions()
    assert (info.project, info.entries) == ("/home/me/garden", 3)
    assert store.source_bytes(info.id) == {str(file): whole.encode()}


def test_a_session_stays_in_the_project_it_was_made_in(store: clew.Ledger, tmp_path: Path) -> None:
    """Said without a folder it lands in the default project; a copy that tells is the same."""
    homeless = [{k: v for k, v in r.items() if k != "cwd"} for r in _chat("a", "b")]
    store.import_from(_write(tmp_path / "one" / "s.jsonl", homeless))
    store.import_from(_write(tmp_path / "two" / "s.jsonl", _chat("a", "b", "c")))
    assert _session(store, "s").info.project == "default"
    assert _said(store, "s") == ["says a", "says b", "says c"]


def test_files_of_one_name_in_two_projects_are_two(store: clew.Ledger, tmp_path: Path) -> None:
    for name in ("one", "two"):
        records = [r | {"cwd": f"/home/{name}"} for r in _chat(f"{name}-a", f"{name}-b")]
        _write(tmp_path / name / "backup.jsonl", records)
    store.import_from(tmp_path)
    assert {info.project for info in store.sessions()} == {"/home/one", "/home/two"}


def test_a_file_that_cannot_be_opened_does_not_hide_its_neighbours(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c", "agent-d"):
        _write(tmp_path / f"{name}.jsonl", _chat(f"{name}1", session=name))

    def refuse(path: Path, *_args: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    def refused(opener: Any) -> Any:
        def opened(path: Path, *args: Any) -> Any:
            return (opener if path.stem == "b" else refuse)(path, *args)

        return opened

    monkeypatch.setattr(Path, "open", refused(Path.open))
    monkeypatch.setattr(gather, "open", refused(open), raising=False)
    report = store.import_from(tmp_path)
    assert (report.files, report.sessions_new) == (4, 1)
    assert len(report.notes) == 3
    assert all("Permission denied" in note.text for note in report.notes)
    assert _said(store, "b") == ["says b1"]


def test_an_unforeseen_error_costs_one_file(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        _write(tmp_path / f"{name}.jsonl", _chat(f"{name}1", session=name))
    original: clew.errors.ClewError | Exception = OverflowError("too large")
    begin = gather._begin

    def fail(ledger: clew.Ledger, work: Any, file: object, report: Any) -> Any:
        if work.path.stem == "a":
            raise original
        return begin(ledger, work, file, report)

    monkeypatch.setattr(gather, "_begin", fail)
    report = store.import_from(tmp_path)
    assert report.sessions_new == 1
    assert [n.text for n in report.notes] == ["not read: OverflowError: too large"]
    original = clew.ReadOnly("the ledger itself")
    with pytest.raises(clew.ReadOnly):
        store.import_from(tmp_path)


# --- real histories ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(fixtures_dir: Path) -> Iterator[tuple[clew.Ledger, Path]]:
    with clew.open(MEMORY, search=False) as ledger:
        ledger.import_from(fixtures_dir / "claude-code")
        yield ledger, fixtures_dir


def test_every_real_file_is_given_back(real: tuple[clew.Ledger, Path]) -> None:
    ledger, _folder = real
    assert ledger.verify().ok
    count = 0
    for info in ledger.sessions(spawned=True, limit=10_000):
        for path, content in ledger.source_bytes(info.id).items():
            assert Path(path).read_bytes() == content, path
            count += 1
    assert count > 150


def test_every_real_session_gives_valid_views(real: tuple[clew.Ledger, Path]) -> None:
    ledger, _folder = real
    for info in ledger.sessions(spawned=True, limit=10_000):
        session = ledger.get(info.id)
        history = session.history()
        if all(len(message.at) < 3 for message in history):  # pieces lie close together
            assert session.tail(5) == history[-5:], info.imported_from
        for provider in PROVIDERS:
            found = rules.check(provider, session.view(provider).request)
            assert found == [], (info.imported_from, provider)


def test_usage_of_each_real_file_is_counted_once(fixtures_dir: Path) -> None:
    expected = json.loads((fixtures_dir / "EXPECTED.json").read_text())
    checked = 0
    for name, facts in expected.items():
        path = fixtures_dir / name
        if not name.startswith("claude-code/") or path.suffix != ".jsonl" or not path.exists():
            continue
        if not facts["api_messages"]:
            continue  # no call has an id there, so nothing tells what repeats what
        with clew.open(MEMORY, search=False) as ledger:
            if not _try_import(ledger, path):
                continue  # without the envelope of Claude Code
            rows = ledger.usage(by="project")
        wanted = facts["usage"]
        found = {
            "input_tokens": sum(row.input for row in rows),
            "output_tokens": sum(row.output for row in rows),
            "cache_read_input_tokens": sum(row.cache_read for row in rows),
            "cache_creation_input_tokens": sum(row.cache_write for row in rows),
        }
        assert found == {key: wanted.get(key, 0) for key in found}, name
        checked += 1
    assert checked > 50
