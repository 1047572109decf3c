"""Erase: the words go everywhere, the proof stays, and what others share is theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clew
from clew import rules

from .talk import behind, bot, call, file_of, inner, result, said, turns, user

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "quicksilver"
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def _kept(ledger: clew.Ledger) -> str:
    """Everything that any table holds, as text."""
    with inner(ledger)._database.read() as tx:
        tables = [name for (name,) in tx.all("tables")]
    found = []
    for table in tables:
        for row in behind(ledger, f"select * from {table}"):
            found += [bytes(v) if isinstance(v, memoryview) else v for v in row]
    return " ".join(v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in found)


def test_an_erased_session_leaves_no_word(ledger: clew.Ledger, url: str) -> None:
    session = ledger.create(title=SECRET, config={"prompt": SECRET})
    session.append(user(SECRET), idempotency_key=SECRET)
    session.append(user(f"{SECRET} " * 3000))
    session.extend([call("1", SECRET), result("1", SECRET), bot(SECRET)])
    session.label(SECRET)
    session.checkpoint(SECRET)
    session.compact(summary=SECRET, keep_from=session.entry(4))
    session.clear()
    session.append(user(SECRET))
    other = ledger.create()
    other.append(user("stays"))
    ledger.index_now()
    assert ledger.search(SECRET).hits
    assert SECRET in _kept(ledger)

    dry = ledger.erase(session.id, dry_run=True)
    assert ledger.search(SECRET).hits
    report = ledger.erase(session.id)
    assert (report.sessions, report.entries) == ((session.id,), session_entries(ledger, session.id))
    assert (dry.entries, dry.bytes, dry.dry_run, report.dry_run) == (
        report.entries,
        report.bytes,
        True,
        False,
    )
    assert report.bytes > 30_000
    assert ledger.search(SECRET).hits == ()
    assert SECRET not in _kept(ledger)
    assert [info.id for info in ledger.sessions()] == [other.id]
    assert said(other) == ["stays"]
    assert ledger.verify().ok
    path = file_of(url)
    if path is not None:
        for file in path.parent.iterdir():
            assert SECRET.encode() not in file.read_bytes(), file.name


def session_entries(ledger: clew.Ledger, id: str) -> int:
    """How many entries a session has of its own."""
    return ledger.get(id).info.entries


def test_an_erased_session_is_stale_and_reads_as_erased(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend([*turns(1), call("1"), result("1"), {"role": "system", "content": "s"}])
    ledger.erase(session.id)
    with pytest.raises(clew.Stale, match="evicted"):
        session.history()
    again = ledger.get(session.id)
    assert {message.text for message in again.history()} == {"[erased]"}
    assert all(entry.erased and entry.data is None for entry in again.entries())
    assert {m.role for m in again.history()} <= {"user", "assistant", "system", "tool"}
    for provider in PROVIDERS:
        assert rules.check(provider, again.view(provider).request) == []
    with pytest.raises(clew.Stale, match="erased"):
        again.append(user("x"))
    assert ledger.erase(session.id).entries == 0


def test_what_a_branch_shares_stays(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(3))
    branch = origin.branch(origin.entry(2))
    branch.append(user("own"))
    report = ledger.erase(origin.id)
    assert (report.entries, report.kept_shared, report.shared_with) == (4, 2, (branch.id,))
    assert said(branch) == ["ask 1", "say 1", "own"]
    assert said(ledger.get(origin.id)) == ["ask 1", "say 1"] + ["[erased]"] * 4
    assert ledger.erase(branch.id).entries == 3, "its own, and what only it still shared"


def test_branches_go_too_when_told(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(2))
    branch = origin.branch()
    branch.append(user("own"))
    twig = branch.branch()
    twig.append(user("own too"))
    dry = ledger.erase(origin.id, with_branches=True, dry_run=True)
    assert set(dry.sessions) == {origin.id, branch.id, twig.id}
    assert (dry.entries, dry.kept_shared, dry.shared_with) == (6, 0, ())
    ledger.erase(origin.id, with_branches=True)
    assert ledger.sessions() == []
    assert ledger.search("ask OR own").hits == ()


def test_a_twig_keeps_the_root_when_the_branch_between_is_erased(ledger: clew.Ledger) -> None:
    """The path of a live session runs over erased ones to older entries, which are shared."""
    origin = ledger.create()
    origin.extend(turns(2))
    branch = origin.branch()
    branch.extend(turns(2, 3))
    twig = branch.branch(branch.entry(6))
    twig.append(user("own"))
    assert ledger.erase(branch.id).kept_shared == 2
    report = ledger.erase(origin.id)
    assert (report.entries, report.kept_shared, report.shared_with) == (0, 4, (twig.id,))
    assert said(twig) == [*[m["content"] for m in turns(3)], "own"]
    last = ledger.erase(twig.id)
    assert last.entries == 7, "what only it still shared goes with it"
    assert set(last.sessions) == {origin.id, branch.id, twig.id}
    assert "ask" not in _kept(ledger)


def test_what_a_session_can_go_back_to_is_shared(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(2))
    branch = origin.branch()
    branch.clear()
    report = ledger.erase(origin.id)
    assert report.shared_with == (branch.id,)
    branch.undo()
    assert len(said(branch)) == 4
    assert "[erased]" not in said(branch)


@pytest.mark.inside
def test_a_branch_made_while_an_erase_is_planned_keeps_its_history(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = ledger.create()
    origin.extend(turns(2))
    made: list[clew.Session] = []
    original = ledger._secret

    def late(name: str) -> bytes:
        made.append(origin.branch())
        return original(name)

    monkeypatch.setattr(ledger, "_secret", late)
    ledger.erase(origin.id)
    assert len(said(made[0])) == 4
    assert "[erased]" not in said(made[0])


def test_a_big_body_goes_with_its_last_owner(ledger: clew.Ledger) -> None:
    one, two = ledger.create(), ledger.create()
    for session in (one, two):
        session.append(user("long " * 5000))
    ledger.erase(one.id)
    assert ledger.verify().blobs == 1
    assert said(two) == ["long " * 5000]
    ledger.erase(two.id)
    assert ledger.verify().blobs == 0


def test_a_leased_session_is_not_erased(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    with ledger.get(session.id).lease("me"), pytest.raises(clew.Leased):
        ledger.erase(session.id)
    assert said(ledger.get(session.id)) == ["x"]


def test_an_archived_session_is_erased(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    ledger.archive(session.id)
    assert ledger.erase(session.id).entries == 1


def test_two_erased_sessions_that_hang_on_each_other(ledger: clew.Ledger) -> None:
    one = ledger.session(frontend="a", user="u")
    one.extend(turns(1))
    two = one.transfer_to(frontend="b", user="u")
    two.extend(turns(1, 2))
    two.transfer_to(frontend="a", user="u")
    one.append(user("last"))
    assert ledger.erase(one.id).kept_shared == 2
    ledger.erase(two.id)
    assert ledger.erase(one.id).entries in {0, 2}
    branches = [info.id for info in ledger.sessions()]
    for id in branches:
        assert "[erased]" not in said(ledger.get(id))
        ledger.erase(id)
    ledger.erase(one.id)
    ledger.erase(two.id)
    assert "ask" not in _kept(ledger)


def test_an_unknown_session_is_not_found(ledger: clew.Ledger) -> None:
    for unknown in ("f" * 32, "feed0000"):
        with pytest.raises(clew.NotFound):
            ledger.erase(unknown, dry_run=True)


# --- imported ------------------------------------------------------------------------------


def _records(name: str, count: int) -> Iterator[str]:
    before = None
    for number in range(count):
        yield json.dumps(
            {
                "type": "user",
                "uuid": f"{name}-{number}",
                "parentUuid": before,
                "sessionId": name,
                "timestamp": f"2026-01-01T00:00:{number:02d}.000Z",
                "cwd": "/home/me",
                "message": {"role": "user", "content": f"{SECRET} {number}"},
            }
        )
        before = f"{name}-{number}"


def _history(folder: Path, name: str, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(f"{line}\n" for line in _records(name, count)))
    return file


@pytest.mark.inside
def test_an_erased_session_does_not_come_back(ledger: clew.Ledger, tmp_path: Path) -> None:
    _history(tmp_path / "h", "gone", 3)
    _history(tmp_path / "h", "here", 2)
    assert ledger.import_from(tmp_path / "h").sessions_new == 2
    (gone,) = [i for i in ledger.sessions() if i.imported_from == "claude-code:gone"]
    ledger.erase(gone.id)
    kept = _kept(ledger)
    assert "claude-code:gone" not in kept
    assert str(tmp_path / "h" / "gone.jsonl") not in kept
    for count in (3, 5):
        _history(tmp_path / "h", "gone", count)
        again = ledger.import_from(tmp_path / "h")
        assert (again.sessions_new, again.added) == (0, 0)
        assert any("erased" in note.text for note in again.notes)
    assert [i.imported_from for i in ledger.sessions()] == ["claude-code:here"]
    with pytest.raises(clew.NotFound):
        ledger.source_bytes("f" * 32)


@pytest.mark.inside
def test_erasing_an_import_keeps_what_its_branch_shares(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    _history(tmp_path / "h", "one", 6)
    ledger.import_from(tmp_path / "h")
    (info,) = ledger.sessions()
    origin = ledger.get(info.id)
    branch = origin.branch(origin.entry(2))
    report = ledger.erase(origin.id)
    assert (report.entries, report.kept_shared) == (4, 2)
    assert said(branch) == [f"{SECRET} 0", f"{SECRET} 1"]
    assert ledger.search(f"{SECRET} 5").hits == ()
