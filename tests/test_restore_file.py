"""Giving sessions back: byte for byte, whole lineages, and never over a file that is there."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import clew
import clew.aio
from clew import gather, source
from clew.cli import main
from clew.cli.restore import AGENTS
from clew.restoring import Restored
from clew.writers import WRITERS
from restore_kit import MAIN, claude_home, imported, line, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.inside  # files are imported and written where the ledger is

GOLDEN = Path(__file__).resolve().parent / "golden"
MEMORY = "sqlite:///:memory:"


def said(ledger: clew.Ledger, id: str) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in ledger.get(id).history()]


def spent(ledger: clew.Ledger) -> tuple[int, int, float]:
    rows = ledger.usage(by="model")
    paid = sum(row.cost or 0 for row in rows)
    return sum(row.input for row in rows), sum(row.output for row in rows), paid


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    """Claude Code's folder with a main session, a sub-agent and a big output."""
    return claude_home(tmp_path / "claude")


# --- byte for byte -----------------------------------------------------------------------


def test_a_claude_code_session_comes_back_with_all_that_hangs_on_it(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    main_session = imported(ledger, f"claude-code:{MAIN}")
    done = ledger.restore_file(main_session, "claude-code", root=tmp_path / "new")
    assert tree(tmp_path / "new") == tree(claude)
    assert (done.exact, done.why, done.losses, done.missing, done.notes) == (True, None, (), (), ())
    assert done.native == MAIN
    new = tmp_path / "new"
    assert done.command == f"cd /home/mo/work.d && CLAUDE_CONFIG_DIR={new} claude --resume {MAIN}"
    assert {file.state for file in done.files} == {"new"}
    with clew.open(MEMORY, search=False) as fresh:
        fresh.import_from(new)
        for info in ledger.sessions(spawned=True):
            assert info.imported_from is not None
            again = imported(fresh, info.imported_from)
            assert said(fresh, again) == said(ledger, info.id)
            assert fresh.get(again).info.title == info.title


def test_a_sub_agent_comes_back_with_its_family(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    agent = imported(ledger, f"claude-code:{MAIN}/agent-0f0f0f0f")
    done = ledger.restore_file(agent, "claude-code", root=tmp_path / "new")
    assert tree(tmp_path / "new") == tree(claude)
    assert done.native == MAIN, "a sub-agent is taken up with its main"


def test_a_sub_agent_that_worked_elsewhere_belongs_to_the_family(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    agent = next(claude.rglob("agent-*.jsonl"))
    agent.write_bytes(agent.read_bytes().replace(b"/home/mo/work.d", b"/srv/tree"))
    ledger.import_from(claude)
    assert len(ledger.projects()) == 2
    session = imported(ledger, f"claude-code:{MAIN}")
    done = ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert tree(tmp_path / "new") == tree(claude)
    assert done.missing == ()


def test_a_sub_agent_that_was_erased_is_named(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    ledger.erase(imported(ledger, f"claude-code:{MAIN}/agent-0f0f0f0f"))
    session = imported(ledger, f"claude-code:{MAIN}")
    done = ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert not any("agent-" in path for path in tree(tmp_path / "new"))
    assert done.missing == (
        "sub-agents' transcripts that the ledger does not have: agent-0f0f0f0f",
    )


def test_what_stands_beside_a_sub_agent_is_made_anew_when_it_was_not_imported(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    meta = next(claude.rglob("*.meta.json"))
    meta.unlink()
    ledger.import_from(claude)
    main_session = imported(ledger, f"claude-code:{MAIN}")
    done = ledger.restore_file(main_session, "claude-code", root=tmp_path / "new")
    made = tmp_path / "new" / meta.relative_to(claude)
    assert json.loads(made.read_text()) == {
        "agentType": "Explore",
        "description": "look around",
        "toolUseId": "toolu_01",
    }
    assert any(".meta.json" in note for note in done.notes)
    made.write_text("{}")  # the agent's own, which is worth more
    again = ledger.restore_file(main_session, "claude-code", root=tmp_path / "new")
    assert {file.state for file in again.files} == {"there"}
    assert made.read_text() == "{}"


def test_what_was_never_imported_is_named(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    shutil.rmtree(claude / "projects" / "-home-mo-work-d" / MAIN)
    file = claude / "projects" / "-home-mo-work-d" / f"{MAIN}.jsonl"
    told = "<persisted-output> Full output saved to: /x/tool-results/toolu_01.txt"
    result = {"type": "tool_result", "tool_use_id": "toolu_09", "content": told}
    with file.open("ab") as stream:
        stream.write(line(uuid="a4", message={"role": "user", "content": [result]}))
    ledger.import_from(claude)
    done = ledger.restore_file(
        imported(ledger, f"claude-code:{MAIN}"), "claude-code", root=tmp_path / "new"
    )
    assert done.exact
    assert done.missing == (
        "sub-agents' transcripts that the ledger does not have: agent-0f0f0f0f",
        "files with big outputs that the ledger does not have: /x/tool-results/toolu_01.txt",
    )


def test_a_file_from_elsewhere_goes_to_its_native_place(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(GOLDEN / "pi" / "compaction.jsonl")
    info = ledger.sessions()[0]
    root = tmp_path / "new"
    done = ledger.restore_file(info.id, "pi", root=root)
    header = json.loads((GOLDEN / "pi" / "compaction.jsonl").read_bytes().splitlines()[0])
    stamp = header["timestamp"].replace(":", "-").replace(".", "-")
    folder = header["cwd"].strip("/").replace("/", "-")
    path = f"sessions/--{folder}--/{stamp}_{header['id']}.jsonl"
    assert tree(root) == {path: (GOLDEN / "pi" / "compaction.jsonl").read_bytes()}
    assert done.command.endswith(f"pi --session {root / path}")


def test_a_codex_fork_comes_with_what_it_goes_on_from(ledger: clew.Ledger, tmp_path: Path) -> None:
    fork = "rollout-2026-11-01T10-05-01-01a1965a-de60-7000-8000-00000000000b.jsonl"
    base = "rollout-2026-11-01T10-00-01-01a19656-4a80-7000-8000-00000000000a.jsonl"
    ledger.import_from(GOLDEN / "codex")
    session = imported(ledger, "codex:01a1965a-de60-7000-8000-00000000000b")
    done = ledger.restore_file(session, "codex", root=tmp_path / "all")
    found = tree(tmp_path / "all")
    day = "sessions/2026/11/01"
    assert found[f"{day}/{fork}"] == (GOLDEN / "codex" / fork).read_bytes()
    assert found[f"{day}/{base}"] == (GOLDEN / "codex" / base).read_bytes()
    assert done.missing == ()
    assert done.command.endswith("codex resume 01a1965a-de60-7000-8000-00000000000b")
    with clew.open(MEMORY, search=False) as alone:
        alone.import_from(GOLDEN / "codex" / fork)
        lonely = alone.sessions()[0].id
        told = alone.restore_file(lonely, "codex", root=tmp_path / "one", dry_run=True)
    assert told.missing == (
        "session 01a19656-4a80-7000-8000-00000000000a, which "
        "01a1965a-de60-7000-8000-00000000000b goes on from",
    )


def test_an_archived_and_packed_rollout_comes_back_plain(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    name = "rollout-2026-11-01T10-00-01-01a19656-4a80-7000-8000-00000000000a.jsonl"
    raw = (GOLDEN / "codex" / name).read_bytes()
    folder = tmp_path / "home" / "archived_sessions"
    folder.mkdir(parents=True)
    (folder / f"{name}.zst").write_bytes(zstandard.ZstdCompressor().compress(raw))
    ledger.import_from(tmp_path / "home")
    ledger.restore_file(ledger.sessions()[0].id, "codex", root=tmp_path / "new")
    assert tree(tmp_path / "new") == {f"archived_sessions/{name}": raw}


@pytest.mark.parametrize("end", [b"", b'{"parentUuid":"a2","type":"us'])
def test_a_file_that_ends_within_a_line_gets_a_line_end(
    ledger: clew.Ledger, tmp_path: Path, end: bytes
) -> None:
    file = tmp_path / f"{MAIN}.jsonl"
    file.write_bytes(line() + line(uuid="a2").rstrip() + (b"\n" + end if end else b""))
    ledger.import_from(file)
    done = ledger.restore_file(ledger.sessions()[0].id, "claude-code", root=tmp_path / "new")
    assert done.files[0].path.read_bytes() == file.read_bytes() + b"\n"
    assert done.notes == (f"{MAIN}.jsonl ended within a line: a line's end was added",)


def test_a_file_that_was_cut_short_comes_back_as_it_was(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    file = tmp_path / f"{MAIN}.jsonl"
    whole = line() + line(uuid="a2") + line(uuid="a3")
    file.write_bytes(whole)
    ledger.import_from(file)
    file.write_bytes(line())
    ledger.import_from(file)
    done = ledger.restore_file(ledger.sessions()[0].id, "claude-code", root=tmp_path / "new")
    assert done.files[0].path.read_bytes() == whole
    assert done.notes == (f"{MAIN}.jsonl was cut short since: given back as it was",)


def test_a_file_that_was_rewritten_comes_back_as_it_stood_last(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    file = tmp_path / f"{MAIN}.jsonl"
    file.write_bytes(line() + line(uuid="a2"))
    ledger.import_from(file)
    file.write_bytes(line() + line(uuid="a7", timestamp="2026-05-01T11:00:00.000Z"))
    ledger.import_from(file)
    done = ledger.restore_file(ledger.sessions()[0].id, "claude-code", root=tmp_path / "new")
    assert done.files[0].path.read_bytes() == file.read_bytes()
    assert any("was rewritten since" in note for note in done.notes)


pieces = st.sampled_from(
    [
        line(),
        line(uuid="a2"),
        line(uuid="a2", type="odd"),
        line().rstrip(),
        line()[:40],
        b"\n",
        b"\r\n",
        b"\x00\x00",
        b"\xff\xfe\n",
        b"[1]\n",
        b'{"type":"summary","summary":"x","leafUuid":"q"}\n',
    ]
)


@given(raw=st.lists(pieces, min_size=1, max_size=8).map(b"".join), cut=st.integers(0, 2000))
def test_whatever_stands_in_a_file_comes_back(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    file = folder / "in" / f"{MAIN}.jsonl"
    file.parent.mkdir()
    with clew.open(MEMORY, search=False) as ledger:
        for part in (raw[:cut], raw):
            file.write_bytes(part)
            ledger.import_from(file, importer="claude-code")
        for info in ledger.sessions():
            done = ledger.restore_file(info.id, "claude-code", root=folder / "new")
            given_back = done.files[0].path.read_bytes()
            assert given_back == (raw if raw.endswith(b"\n") else raw + b"\n")


# --- what is not byte for byte -----------------------------------------------------------


def test_what_was_added_here_makes_it_another_session(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    session = ledger.get(imported(ledger, f"claude-code:{MAIN}"))
    session.append({"role": "assistant", "content": "Three files, and a fourth."})
    done = ledger.restore_file(session.id, "claude-code", root=tmp_path / "new")
    assert (done.exact, done.why) == (False, "1 entry was added here")
    assert done.native != MAIN
    assert done.missing == ("the session of 1 sub-agent: to be restored by itself",)
    with clew.open(MEMORY, search=False) as fresh:
        fresh.import_from(tmp_path / "new")
        assert said(fresh, fresh.sessions()[0].id) == said(ledger, session.id)


def test_a_session_that_was_taken_back_is_written_as_it_stands(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    session = ledger.get(imported(ledger, f"claude-code:{MAIN}"))
    session.restore(f"{session.id}:1")
    done = ledger.restore_file(session.id, "claude-code", root=tmp_path / "new")
    assert (done.exact, done.why) == (False, "it was taken back to an earlier place here")
    assert b"Three files." not in done.files[0].path.read_bytes()
    session.undo()
    again = ledger.restore_file(session.id, "claude-code", root=tmp_path / "back")
    assert again.exact


def test_tokens_are_counted_once_when_a_written_session_comes_in_again(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(GOLDEN / "claude_code" / "conversation.jsonl")
    before = spent(ledger)
    assert before[0], "the golden file tells of tokens"
    session = ledger.sessions()[0].id
    for to in ("pi", "claude-code"):
        ledger.get(session).append({"role": "user", "content": f"On to {to}."})
        done = ledger.restore_file(session, to, root=tmp_path / to)
        assert any("token counts" in loss.what for loss in done.losses)
        ledger.import_from(tmp_path / to)
    assert len(ledger.sessions()) == 3
    assert spent(ledger) == before


def test_a_session_of_the_ledgers_own_goes_to_every_agent(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    session = ledger.create(project="/srv/app")
    session.append({"role": "user", "content": "Which port?"})
    session.append({"role": "assistant", "content": "8080, as the log says."})
    for to in WRITERS:
        done = ledger.restore_file(session.id, to, root=tmp_path / to)
        assert (done.exact, done.why) == (False, "it was not imported from an agent's file")
        assert b"8080, as the log says." in b"".join(tree(tmp_path / to).values())
        assert "/srv/app" in done.command
        again = ledger.restore_file(session.id, to, root=tmp_path / to)
        assert {file.state for file in again.files} == {"there"}, "the same bytes each time"


def test_what_stands_beside_the_talk_is_counted(ledger: clew.Ledger, tmp_path: Path) -> None:
    file = tmp_path / f"{MAIN}.jsonl"
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
    file.write_bytes(
        line()
        + line(uuid="a2", type="progress", data={})
        + line(uuid="a3", type="never-seen")
        + line(uuid="a4", message={"role": "user", "content": [result]}, toolUseResult={})
        + line(uuid="a5", parentUuid="a4")
        + line(uuid="a6", parentUuid="a4", timestamp="2026-05-01T11:00:00.000Z")
    )
    ledger.import_from(file)
    session = ledger.get(ledger.sessions()[0].id)
    done = ledger.restore_file(session.id, "pi", root=tmp_path / "pi")
    assert {loss.what: (loss.count, loss.where) for loss in done.losses} == {
        "results without their call": (1, ()),
        "notices beside the talk: progress, hooks, state": (1, (f"{session.id}:2",)),
        "records that are not understood": (1, (f"{session.id}:3",)),
        "details of results that no model sees": (1, (f"{session.id}:4",)),
        "entries on branches that were left": (1, ()),
    }


def test_a_compaction_made_here_is_written_as_one(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = ledger.create(project="/srv/app")
    for number in range(4):
        session.append({"role": "user", "content": f"Question {number}"})
        session.append({"role": "assistant", "content": f"Answer {number}"})
    session.compact(summary="They talked of four things.", keep_tokens=8)
    context = [(m.summary, m.text) for m in session.context()]
    assert context[0] == (True, "They talked of four things.")
    for to in ("claude-code", "pi"):
        ledger.restore_file(session.id, to, root=tmp_path / to)
        with clew.open(MEMORY, search=False) as fresh:
            fresh.import_from(tmp_path / to)
            again = fresh.get(fresh.sessions()[0].id)
            assert [(m.summary, m.text) for m in again.context()] == context
            texts = [m.text for m in again.history()]
            assert [text for text in texts if text.startswith(("Q", "A"))] == [
                text for _, text in said(ledger, session.id)
            ]


def test_the_folder_is_that_of_the_records_whatever_the_project(
    claude: Path, tmp_path: Path
) -> None:
    with clew.open(MEMORY, project="/some/other", search=False) as ledger:
        ledger.import_from(claude)
        session = imported(ledger, f"claude-code:{MAIN}")
        done = ledger.restore_file(session, "pi", root=tmp_path / "pi")
    assert done.command.startswith("cd /home/mo/work.d && ")


def test_a_folder_that_is_not_known_is_the_one_at_hand(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = ledger.create()
    session.append({"role": "user", "content": "Where am I?"})
    done = ledger.restore_file(session.id, "pi", root=tmp_path / "pi", dry_run=True)
    assert done.command.startswith(f"cd {tmp_path} && ")
    assert any("which folder" in note for note in done.notes)


# --- what cannot be restored -------------------------------------------------------------


def test_what_is_gone_or_not_whole_is_refused(
    ledger: clew.Ledger, claude: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    with pytest.raises(clew.Invalid, match="no agent"):
        ledger.restore_file(session, "emacs", root=tmp_path / "new")
    ledger.erase(session)
    with pytest.raises(clew.NotFound):
        ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    empty = ledger.create()
    with pytest.raises(clew.Invalid, match="says nothing"):
        ledger.restore_file(empty.id, "pi", root=tmp_path / "new")
    monkeypatch.setattr(gather, "BATCH_BYTES", 1)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 200)
    big = tmp_path / "bbbbbbbb-0000-4000-8000-000000000002.jsonl"
    big.write_bytes(b"".join(line(uuid=f"b{number}") for number in range(9)))
    _cut_off(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        ledger.import_from(big)
    monkeypatch.undo()
    torn = imported(ledger, "claude-code:bbbbbbbb-0000-4000-8000-000000000002")
    with pytest.raises(clew.Invalid, match="was not read to its end"):
        ledger.restore_file(torn, "claude-code", root=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def _cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """End the next import behind its second batch."""
    real, calls = source.store, []

    def store(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr("clew.gather.store", store)


def test_what_came_back_adds_nothing_when_it_is_imported_again(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    file = next(claude.rglob(f"{MAIN}.jsonl"))
    file.write_bytes(file.read_bytes().rstrip())
    ledger.import_from(claude)
    before = tree(claude)
    shutil.rmtree(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    for root in (claude, tmp_path / "elsewhere"):
        done = ledger.restore_file(session, "claude-code", root=root)
        assert done.exact
        name = str(file.relative_to(claude))
        assert tree(root) == {**before, name: before[name] + b"\n"}
        assert ledger.import_from(root).added == 0
    assert len(ledger.sessions(spawned=True)) == 2


# --- every way to ask --------------------------------------------------------------------


def test_where_an_agents_own_folder_is(
    claude: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "told"))
    with clew.open(MEMORY, search=False) as ledger:
        ledger.import_from(claude)
        done = ledger.restore_file(imported(ledger, f"claude-code:{MAIN}"), "claude-code")
    assert done.root == tmp_path / "told"
    assert tree(tmp_path / "told") == tree(claude)
    assert done.command == f"cd /home/mo/work.d && claude --resume {MAIN}"


def test_the_older_folder_is_taken_where_there_is_only_that(tmp_path: Path) -> None:
    older, usual = tmp_path / ".config" / "claude", tmp_path / ".claude"
    assert WRITERS["claude-code"].home(tmp_path, {}) == usual
    older.mkdir(parents=True)
    assert WRITERS["claude-code"].home(tmp_path, {}) == older
    usual.mkdir()
    assert WRITERS["claude-code"].home(tmp_path, {}) == usual
    told = {"CLAUDE_CONFIG_DIR": f"{tmp_path / 'one'},{tmp_path / 'two'}"}
    assert WRITERS["claude-code"].home(tmp_path, told) == tmp_path / "one"
    assert WRITERS["pi"].home(tmp_path, {}) == tmp_path / ".pi" / "agent"


def test_the_same_under_await(claude: Path, tmp_path: Path) -> None:
    async def run() -> Restored:
        ledger = await clew.aio.open(MEMORY, search=False)
        try:
            await ledger.import_from(claude)
            session = imported(ledger.sync, f"claude-code:{MAIN}")
            return await ledger.restore_file(session, "claude-code", root=tmp_path / "new")
        finally:
            await ledger.close()

    assert asyncio.run(run()).exact
    assert tree(tmp_path / "new") == tree(claude)


def test_not_over_a_server(server_url: str, tmp_path: Path) -> None:
    with clew.open(server_url) as ledger:
        session = ledger.create()
        session.append({"role": "user", "content": "Hello"})
        with pytest.raises(clew.Invalid, match="where the ledger is"):
            ledger.restore_file(session.id, "pi", root=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_line_says_what_it_wrote_and_what_it_did_not(
    claude: Path, tmp_path: Path
) -> None:
    db = str(tmp_path / "ledger.db")
    words = ["--db", db, "restore-file", "latest"]
    assert CliRunner().invoke(main, ["--db", db, "import", str(claude)]).exit_code == 0
    told = CliRunner().invoke(main, [*words, "--to", "pi", "-o", str(tmp_path / "pi"), "--dry-run"])
    assert told.exit_code == 0, told.stderr
    assert "would be written" in told.stderr
    assert "because it came from claude-code" in told.stderr
    assert "missing: the session of 1 sub-agent" in told.stderr
    assert told.stdout.startswith("cd /home/mo/work.d && ")
    assert not (tmp_path / "pi").exists()
    own = [*words, "--to", "claude-code", "-o", str(tmp_path / "own")]
    done = CliRunner().invoke(main, own)
    assert "as claude-code wrote it, byte for byte" in done.stderr
    assert tree(tmp_path / "own") == tree(claude)
    facts = json.loads(CliRunner().invoke(main, [*own, "--json"]).stdout)
    assert (facts["exact"], facts["native"]) == (True, MAIN)
    assert {file["state"] for file in facts["files"]} == {"there"}
    next((tmp_path / "own").rglob(f"{MAIN}.jsonl")).write_text("no")
    refused = CliRunner().invoke(main, own)
    assert refused.exit_code == 3
    assert "nothing is overwritten" in refused.stderr


def test_the_command_line_knows_every_writer() -> None:
    assert sorted(WRITERS) == list(AGENTS)


# --- real files --------------------------------------------------------------------------


def _real(fixtures_dir: Path) -> Iterator[tuple[str, Path]]:
    for agent in ("claude-code", "codex", "pi"):
        for folder in sorted((fixtures_dir / agent).iterdir()):
            if any(folder.rglob("*.jsonl*")):
                yield agent, folder


def test_every_real_session_comes_back_byte_for_byte(fixtures_dir: Path, tmp_path: Path) -> None:
    whole = 0
    for agent, folder in _real(fixtures_dir):
        with clew.open(MEMORY, search=False) as ledger:
            try:
                ledger.import_from(folder, importer=agent)
            except clew.NotFound:
                continue  # nothing in it that is a session
            for info in ledger.sessions(spawned=True, limit=1000):
                done = ledger.restore_file(info.id, agent, root=tmp_path / info.id)
                assert done.exact, (info.imported_from, done.why)
                given = [file.path.read_bytes() for file in done.files]
                for path, raw in ledger.source_bytes(info.id).items():
                    ended = raw if raw.endswith(b"\n") or path.endswith(".json") else raw + b"\n"
                    found = any(each.startswith(ended) for each in given)
                    assert found or any(path in told for told in done.missing), path
                    whole += found
    assert whole > 200, "most of the shared files are there"
