"""Import, migration and export die at any step. Done again, they end where they would have."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew import gather, source
from clew.db import migrate
from clew.exporting import ExportOptions, Recipe, plan

from .children import Child
from .disk import killed, power_cut
from .ledgers import assert_sound, reopen, say, url
from .scale import scaled
from .vfs import TortureVFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .disk import Log

POINTS_MAX = scaled(20, 1_000_000)


def _points(log: Log) -> Iterator[int]:
    yield from range(0, log.mark() + 1, max(1, log.mark() // POINTS_MAX))


def _crashed(log: Log, upto: int, directory: Path) -> clew.Ledger:
    """By power cut or by kill, as the number has it."""
    image = power_cut(log, upto, upto) if upto % 2 else killed(log, upto)
    return reopen(image, directory / str(upto))


# --- import ------------------------------------------------------------------------------

SESSION = "5b5b5b5b-0000-4000-8000-000000000001"


def _transcript(path: Path, count: int) -> None:
    lines = []
    for n in range(count):
        line = {
            "type": "user",
            "uuid": f"u{n}",
            "parentUuid": f"u{n - 1}" if n else None,
            "sessionId": SESSION,
            "cwd": "/srv/orchard",
            "version": "2.1.90",
            "isSidechain": False,
            "timestamp": f"2026-10-05T09:{n // 60:02}:{n % 60:02}.000Z",
            "message": {"role": "user", "content": f"w {n} " + "y" * 400},
        }
        lines.append(json.dumps(line) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _texts(ledger: clew.Ledger) -> list[list[str]]:
    found = [ledger.get(info.id).history() for info in ledger.sessions()]
    return [[message.text for message in history] for history in found]


def test_an_import_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "CHUNK_BYTES", 4_000)
    monkeypatch.setattr(gather, "BATCH_BYTES", 8_000)
    monkeypatch.setattr(source, "FRAME_BYTES", 2_000)
    history = tmp_path / f"{SESSION}.jsonl"
    _transcript(history, 120)
    live = tmp_path / "live"
    live.mkdir()
    with TortureVFS() as vfs, clew.open(url(live, vfs), search=False) as ledger:
        ledger.import_from(history)
        (whole,) = _texts(ledger)
    assert len(whole) == 120
    for upto in _points(vfs.log):
        with _crashed(vfs.log, upto, tmp_path) as ledger:
            assert_sound(ledger)
            for part in _texts(ledger):
                assert part == whole[: len(part)]
            ledger.import_from(history)
            assert _texts(ledger) == [whole]
            assert ledger.import_from(history).added == 0
            (info,) = ledger.sessions()
            assert list(ledger.source_bytes(info.id).values()) == [history.read_bytes()]
            assert_sound(ledger)


# --- migration ---------------------------------------------------------------------------

NEXT = "create table extra (n); insert into extra values (1); alter table session add later text;"


def _with_next(monkeypatch: pytest.MonkeyPatch) -> None:
    found = migrate.migrations("sqlite")
    following = [*found, (found[-1][0] + 1, "extra", NEXT)]
    monkeypatch.setattr(migrate, "migrations", lambda dialect: following)


def test_a_migration_that_was_killed_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = tmp_path / "live"
    with clew.open(url(live), search=False) as ledger:
        session = ledger.create()
        session.append(say("w", 0))
    with TortureVFS() as vfs, monkeypatch.context() as newer:
        _with_next(newer)
        newest = str(migrate.migrations("sqlite")[-1][0])
        clew.open(url(live, vfs)).close()
        for upto in _points(vfs.log):
            with _crashed(vfs.log, upto, tmp_path) as ledger:
                ledger.get(session.id).append(say("w", 1))
                with ledger._database.read() as tx:
                    assert tx.one("meta_get", name="schema") == (newest,)
                rows = list(ledger._database._connection.execute("select n from extra"))  # type: ignore[attr-defined]
                assert rows == [(1,)]
                assert_sound(ledger)
    with _crashed(vfs.log, vfs.log.mark(), tmp_path / "older") as ledger:
        assert [message.text for message in ledger.get(session.id).history()] == ["w 0 "]
        with pytest.raises(clew.ReadOnly, match="newer Clew"):
            ledger.get(session.id).append(say("w", 1))


# --- export ------------------------------------------------------------------------------

SESSIONS = 6
UNIT_SESSIONS = 3
RECIPES = {"step": Recipe(), "file": Recipe(redaction=None)}
STEPS = frozenset({"open", "os.link", "os.rename", "os.remove"})


def _export_and_die(
    report: Callable[[Any], None], where: str, output: Path, kind: str, at: int
) -> None:
    """Killed at the `at`-th file that is touched, or behind the `at`-th step."""
    left = at

    def count_down(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def at_step(event: str, args: tuple[object, ...]) -> None:
        if event in STEPS and output.name in str(args[0]):
            count_down()

    with pytest.MonkeyPatch.context() as small, clew.open(where) as ledger:
        small.setattr(plan, "UNIT_SESSIONS", UNIT_SESSIONS)
        if kind == "file":
            sys.addaudithook(at_step)
        on_progress = count_down if kind == "step" else None
        ledger.export(RECIPES[kind], output=output, on_progress=on_progress)
        report("finished")


def _gone_on_with(ledger: clew.Ledger, recipe: Recipe, output: Path) -> bytes:
    """What an export gives that goes on with what was left; or begins, where that is nothing."""
    resume = (output.parent / f".{output.name}.partial" / "plan").exists()
    options = ExportOptions(resume=resume, overwrite=True)
    ledger.export(recipe, output=output, options=options)
    return output.read_bytes()


@pytest.mark.parametrize("kind", ["step", "file"])
def test_an_export_that_was_killed_leaves_no_half_file_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(plan, "UNIT_SESSIONS", UNIT_SESSIONS)
    with clew.open(url(tmp_path), search=False) as ledger:
        for n in range(SESSIONS):
            session = ledger.create(title=f"session {n}")
            for m in range(3):
                session.append(say("w", m, chars=random.Random(n).randrange(20_000)))
                session.append({"role": "assistant", "content": f"w {m} answered"})
        ledger.get(session.id).append(say("to ann@corp.com", 1))
        ledger.export(RECIPES[kind], output=tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    killed_before = 0
    for at in range(1, 200):
        output = tmp_path / f"out{at}.jsonl"
        child = Child(_export_and_die, url(tmp_path), output, kind, at)
        finished = child.finish()
        assert child.exitcode == (0 if finished else -signal.SIGKILL)
        assert not output.exists() or output.read_bytes() == whole, f"killed at {kind} {at}"
        if finished:
            assert output.exists()
            break
        killed_before += not output.exists()
        with clew.open(url(tmp_path)) as ledger:
            assert _gone_on_with(ledger, RECIPES[kind], output) == whole, f"killed at {kind} {at}"
        left = [path.name for path in tmp_path.glob(f"*{output.name}*")]
        assert sorted(left) == [output.name, f"{output.name}.manifest.json"]
    assert killed_before > 0
