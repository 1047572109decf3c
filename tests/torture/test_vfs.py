"""The harness itself, on plain SQLite: what it must and must not lose."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import apsw
import pytest

from .disk import (
    Delete,
    Log,
    Open,
    Sync,
    SyncNames,
    Truncate,
    Write,
    killed,
    power_cut,
    write_image,
)
from .vfs import Fault, Op, TortureVFS

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = 80


def _connect(path: Path, vfs: TortureVFS, synchronous: str) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs.name)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    connection.execute("create table if not exists t (n integer primary key, body blob)")
    return connection


def _workload(directory: Path, synchronous: str, rows: int = 120) -> TortureVFS:
    directory.mkdir()
    with TortureVFS() as vfs:
        connection = _connect(directory / "x.db", vfs, synchronous)
        connection.wal_autocheckpoint(20)
        for n in range(rows):
            connection.execute("insert into t values (?, ?)", (n, random.Random(n).randbytes(900)))
            vfs.log.ack(n)
        connection.close()
    return vfs


def _survivors(image: dict[str, bytes], directory: Path) -> set[int] | None:
    """The rows after the crash; `None` when the database cannot be read or is corrupt."""
    write_image(image, directory)
    connection = apsw.Connection(str(directory / "x.db"))
    try:
        if connection.pragma("integrity_check") != "ok":
            return None
        return {n for (n,) in connection.execute("select n from t")}
    except apsw.SQLError:
        return set()  # not even the table was there yet
    except (apsw.CorruptError, apsw.NotADBError):
        return None
    finally:
        connection.close()


def _cuts(vfs: TortureVFS, tmp_path: Path) -> list[set[int] | None]:
    """For each seed what was acknowledged and is gone; `None` for a corrupt database."""
    lost: list[set[int] | None] = []
    first = next(n for n, event in enumerate(vfs.log.events) if "Ack" in type(event).__name__)
    for seed in range(SEEDS):
        upto = random.Random(seed).randint(first, vfs.log.mark())
        rows = _survivors(vfs.power_cut(seed, upto), tmp_path / f"cut{seed}")
        acked = {n for n in vfs.log.acked(upto) if isinstance(n, int)}
        lost.append(None if rows is None else acked - rows)
    return lost


def test_full_loses_nothing(tmp_path: Path) -> None:
    lost = _cuts(_workload(tmp_path / "live", "full"), tmp_path)
    assert lost == [set()] * SEEDS


def test_normal_loses_the_newest(tmp_path: Path) -> None:
    lost = _cuts(_workload(tmp_path / "live", "normal"), tmp_path)
    assert None not in lost
    assert sum(map(bool, lost)) > 0.3 * SEEDS


def test_off_corrupts(tmp_path: Path) -> None:
    lost = _cuts(_workload(tmp_path / "live", "off"), tmp_path)
    assert lost.count(None) > 0


def test_a_killed_process_loses_nothing_even_at_off(tmp_path: Path) -> None:
    vfs = _workload(tmp_path / "live", "off", rows=30)
    first = next(n for n, event in enumerate(vfs.log.events) if "Ack" in type(event).__name__)
    for upto in range(first + 1, vfs.log.mark() + 1):
        rows = _survivors(vfs.killed(upto), tmp_path / f"kill{upto}")
        assert rows is not None
        assert rows >= set(vfs.log.acked(upto))


def test_two_connections_share_the_wal_and_one_commit_is_one_sync(tmp_path: Path) -> None:
    with TortureVFS() as vfs:
        writer = _connect(tmp_path / "x.db", vfs, "full")
        reader = _connect(tmp_path / "x.db", vfs, "full")
        before = vfs.syncs.total()
        for n in range(10):
            writer.execute("insert into t values (?, null)", (n,))
            assert reader.execute("select max(n) from t").fetchall() == [(n,)]
        assert vfs.syncs.total() - before == 10
        writer.close()
        reader.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.EIO, apsw.IOError), (Fault.FULL, apsw.FullError), (Fault.FSYNC, apsw.IOError)],
)
def test_a_fault_strikes_once(tmp_path: Path, fault: Fault, error: type[Exception]) -> None:
    with TortureVFS() as vfs:
        connection = _connect(tmp_path / "x.db", vfs, "full")
        vfs.arm(fault, 1, "x.db")
        with pytest.raises(error):
            connection.execute("insert into t values (1, zeroblob(9000))")
        assert vfs.disarm()
        connection.execute("insert into t values (2, null)")
        connection.close()


def test_operations_are_counted(tmp_path: Path) -> None:
    with TortureVFS(recording=False) as vfs:
        connection = _connect(tmp_path / "x.db", vfs, "full")
        connection.close()
        assert vfs.log.events == []
        assert vfs.ops[Op.WRITE] > 0
        assert vfs.ops[Op.SYNC] == vfs.syncs.total() > 0


# --- the disk model ----------------------------------------------------------------------


def test_a_sync_covers_what_was_written_before_it_began() -> None:
    log = Log()
    log.add(Open("f", None))
    log.add(Write("f", 0, b"old"))
    began = log.mark()
    log.add(Write("f", 0, b"new"))
    log.add(Sync("f", began))
    assert killed(log) == {"f": b"new"}
    assert {power_cut(log, seed)["f"] for seed in range(50)} == {b"old", b"new"}


def test_a_file_that_was_never_synced_may_be_missing() -> None:
    log = Log()
    log.add(Open("f", None))
    log.add(Write("f", 0, b"x"))
    assert {power_cut(log, seed).get("f") for seed in range(50)} == {None, b"x"}


def test_a_deletion_lasts_once_the_directory_is_synced() -> None:
    log = Log()
    log.add(Open("f", b"x"))
    log.add(Delete("f", durable=False))
    assert [power_cut(log, seed).get("f") for seed in range(50)].count(b"x") > 5
    log.add(SyncNames(log.mark()))
    assert {power_cut(log, seed).get("f") for seed in range(50)} == {None}


def test_a_write_tears_at_sectors() -> None:
    log = Log()
    log.add(Open("f", bytes(2048)))
    log.add(Write("f", 100, b"x" * 1500))
    images = {power_cut(log, seed)["f"] for seed in range(200)}
    torn = {image for image in images if 0 < image.count(b"x") < 1500}
    assert len(torn) >= 6
    for image in torn:
        for start in range(0, 2048, 512):
            part = image[max(start, 100) : min(start + 512, 1600)]
            assert len(set(part)) <= 1


def test_a_length_may_change_without_its_data() -> None:
    log = Log()
    log.add(Open("f", b"abcdef"))
    log.add(Truncate("f", 2))
    log.add(Write("f", 2, b"XY"))
    images = {power_cut(log, seed)["f"] for seed in range(100)}
    assert images == {b"abcdef", b"ab", b"abXYef", b"abXY"}
