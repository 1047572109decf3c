"""Bytes change on the disk. What a user can read is either as it was written or reported."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import apsw
import pytest

import clew

from .disk import write_image
from .ledgers import NAME, say, url
from .scale import scaled

if TYPE_CHECKING:
    from pathlib import Path

    from .disk import Image

FLIPS = scaled(60, 1000)
FILES = scaled(50, 500)

USAGE = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
ATTRIBUTES = frozenset(
    {f"session.{name}" for name in ("title", "title_rank", "created_ms", "agent", "pinned")}
    | {f"usage.{name}" for name in ("time_ms", "model", "provider", "cost")}
)
"""What describes and is derived from nothing: no chain commits to it, so no check can tell."""
TABLES = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A ledger of some hundred messages, branches and a compaction, closed, as one file."""
    directory = tmp_path_factory.mktemp("start")
    with clew.open(url(directory), search=False) as ledger:
        for user in "ab":
            session = ledger.session(frontend="f", user=user)
            session.config["model"] = "m"
            for n in range(60):
                session.append(say(user, n, chars=6000 if n % 20 == 3 else 900))
                answer = {"role": "assistant", "content": f"{user} {n} answered", "usage": USAGE}
                session.append(answer, idempotency_key=f"key {n}")
            session.label(f"about {user}")
            session.compact(summary="so far", keep_tokens=200)
            session.branch(title="another way").append(say(user, 60))
    return {NAME: (directory / NAME).read_bytes()}


def _flipped(image: Image, seed: int) -> Image:
    rng = random.Random(seed)
    content = bytearray(image[NAME])
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return {NAME: bytes(content)}


def _rows(path: Path) -> Any:
    """Every row of every table by a plain reading, or the error that this gave."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = [str(row[0]) for row in connection.execute(TABLES)]
        rows: dict[str, Any] = {}
        for name in tables:
            rows[name] = connection.execute(f'select * from "{name}" not indexed').fetchall()
            columns = f"select name from pragma_table_info('{name}')"
            rows[f"{name}:columns"] = connection.execute(columns).fetchall()
        return rows
    except (apsw.Error, UnicodeDecodeError) as error:
        return repr(error)
    finally:
        connection.close()


def _problems(directory: Path) -> list[str]:
    try:
        with clew.open(url(directory)) as ledger:
            return ledger.verify().problems
    except clew.ClewError as error:
        return [str(error)]


def test_verify_finds_every_flip_in_a_live_byte(tmp_path: Path, start: Image) -> None:
    write_image(start, tmp_path / "whole")
    whole = _rows(tmp_path / "whole" / NAME)
    assert _problems(tmp_path / "whole") == []
    live, missed = 0, []
    for seed in range(FLIPS):
        directory = tmp_path / str(seed)
        write_image(_flipped(start, seed), directory)
        changed = _rows(directory / NAME)
        if changed == whole:
            continue
        live += 1
        if not _problems(directory) and not _difference(whole, changed) <= ATTRIBUTES:
            missed.append((seed, _difference(whole, changed)))
    assert live > FLIPS / 3
    assert missed == []


def _difference(whole: Any, changed: Any) -> set[str]:
    """Where the rows differ, as `table.column`."""
    if not isinstance(changed, dict):
        return {str(changed)}
    found = set()
    for table in (name for name in whole if ":" not in name):
        if len(whole[table]) != len(changed.get(table, [])):
            found.add(table)
        for before, after in zip(whole[table], changed.get(table, []), strict=False):
            columns = zip(whole[f"{table}:columns"], before, after, strict=True)
            found |= {f"{table}.{name}" for (name,), old, new in columns if old != new}
    return found


def test_control_the_engines_own_check_is_nearly_blind(tmp_path: Path, start: Image) -> None:
    found = 0
    for seed in range(FLIPS):
        directory = tmp_path / str(seed)
        write_image(_flipped(start, seed), directory)
        connection = apsw.Connection(str(directory / NAME))
        try:
            found += connection.pragma("integrity_check") != "ok"
        except apsw.Error:
            found += 1
        connection.close()
    assert found < FLIPS / 3


def _harm(image: Image, seed: int) -> Image:
    """The file truncated, overwritten, with a broken head or something else altogether."""
    rng = random.Random(seed)
    content = bytearray(image[NAME])
    match seed % 6:
        case 0:
            del content[rng.randrange(1, len(content)) :]
        case 1:
            at = rng.randrange(len(content) - 5000)
            content[at : at + 5000] = rng.randbytes(5000)
        case 2:
            content[rng.randrange(100)] ^= 0xFF
        case 3:
            content[:4096] = bytes(4096)
        case 4:
            for _ in range(40):
                content[rng.randrange(100, len(content))] ^= 1 << rng.randrange(8)
        case 5:
            content = bytearray(rng.randbytes(rng.randrange(1, 20_000)))
    return {NAME: bytes(content)}


def test_a_damaged_file_gives_a_clear_error_and_takes_no_write(
    tmp_path: Path, start: Image
) -> None:
    refused = 0
    for seed in range(FILES):
        directory = tmp_path / str(seed)
        write_image(_harm(start, seed), directory)
        refused += _refuses(directory)
    assert refused > FILES / 2


def _refuses(directory: Path) -> bool:
    try:
        ledger = clew.open(url(directory))
    except clew.ClewError as error:
        said = str(error)
    else:
        with ledger:
            return _takes_no_write_after_verify(ledger)
    assert NAME in said
    return True


def _read_everything(ledger: clew.Ledger) -> None:
    """Each answer is one or a `ClewError`; a traceback of anything else fails the test."""
    with contextlib.suppress(clew.ClewError):
        ledger.stats()
        ledger.audit()
        ledger.usage()
    with contextlib.suppress(clew.ClewError):
        for info in ledger.sessions():
            session = ledger.get(info.id)
            for read in (session.history, session.context, session.entries, session.checkpoints):
                with contextlib.suppress(clew.ClewError):
                    read()
            with contextlib.suppress(clew.ClewError):
                dict(session.config)
                session.moves()
                session.view()


def _takes_no_write_after_verify(ledger: clew.Ledger) -> bool:
    _read_everything(ledger)
    if ledger.verify().ok:
        return False
    with pytest.raises(clew.ClewError):
        ledger.session(frontend="f", user="new").append(say("n", 0))
    return True


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / NAME))
    connection.execute("create table theirs (x); insert into theirs values (1)")
    connection.close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(clew.Damaged, match="theirs"):
        clew.open(url(tmp_path))
    assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize("parent", [2, 1])
def test_a_path_that_runs_in_a_circle_is_noticed(tmp_path: Path, parent: int) -> None:
    with clew.open(url(tmp_path), search=False) as ledger:
        session = ledger.create()
        session.extend([say("w", 0), say("w", 1)])
    connection = apsw.Connection(str(tmp_path / NAME))
    connection.execute("update line set parent_session = session, parent_seq = ?", (parent,))
    connection.close()
    with clew.open(url(tmp_path), search=False) as ledger:
        with pytest.raises(clew.Damaged, match="circle"):
            ledger.get(session.id).history()
        assert not ledger.verify().ok
