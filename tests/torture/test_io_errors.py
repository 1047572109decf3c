"""One operation on the disk fails, each in its turn.

Nothing acknowledged is lost; a retry under the same key leaves exactly one entry, whether the
failed commit was stored or not; and after a failed sync nothing more is written until the
ledger is opened again, because nobody knows what the kernel did with the pages.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

import clew
import clew.db.wal

from .disk import write_image
from .ledgers import NAME, assert_sound, assert_whole, say, url
from .scale import scaled
from .vfs import Fault, TortureVFS

if TYPE_CHECKING:
    from pathlib import Path

    from .disk import Image

APPENDS = 6
STRIDE = scaled(4, 1)
"""In the short form every so-manieth operation fails."""
POINTS_MAX = 5000
STOP_SECONDS = 2.0
"""So long may it take until the word of the WAL thread is heard."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Image, str]:
    """A ledger with one session, as files, and the session's id."""
    directory = tmp_path_factory.mktemp("start")
    ledger = clew.open(url(directory))
    session = ledger.create()
    session.append(say("w", 0), idempotency_key="0")
    ledger.close()
    return {NAME: (directory / NAME).read_bytes()}, session.id


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 8)


def _append_until_it_fails(session: clew.Session) -> tuple[int, clew.ClewError | None]:
    """The number of the append that failed (or how many there are), and how."""
    for n in range(1, APPENDS + 1):
        try:
            session.append(say("w", n, chars=700 * n), idempotency_key=str(n))
        except clew.ClewError as error:
            return n, error
    return APPENDS + 1, None


def _retry(session: clew.Session, first: int) -> None:
    for n in range(first, APPENDS + 1):
        session.append(say("w", n, chars=700 * n), idempotency_key=str(n))


def _stopped(session: clew.Session, fault: Fault) -> bool:
    """True when the ledger takes no writes any more, and says so clearly."""
    patience = time.monotonic() + (STOP_SECONDS if fault is Fault.FSYNC else 0.0)
    while True:
        try:
            session.checkpoint()
        except clew.ReadOnly as error:
            return "reopen" in str(error)
        if time.monotonic() > patience:
            return False


def _strike(directory: Path, session_id: str, fault: Fault, at: int) -> tuple[bool, bool]:
    """Let operation `at` fail; whether it struck, and whether the ledger stopped."""
    with TortureVFS(recording=False) as vfs:
        ledger = clew.open(url(directory, vfs))
        session = ledger.get(session_id)
        vfs.arm(fault, at, NAME)
        failed_at, error = _append_until_it_fails(session)
        struck = vfs.disarm()
        stopped = struck and _stopped(session, fault)
        if error is not None and not stopped:
            _retry(session, failed_at)
            failed_at = APPENDS + 1
        ledger.close()
    again = clew.open(url(directory))
    session = again.get(session_id)
    acknowledged = assert_whole(session)["w"]
    assert acknowledged >= failed_at, "an acknowledged message is gone"
    _retry(session, failed_at)
    assert assert_whole(session) == {"w": APPENDS + 1}
    assert_sound(again)
    again.close()
    return struck, stopped


@pytest.mark.parametrize("fault", [Fault.EIO, Fault.FULL, Fault.FSYNC])
def test_a_fault_at_every_operation(tmp_path: Path, start: tuple[Image, str], fault: Fault) -> None:
    image, session_id = start
    stops = points = 0
    for at in range(1, POINTS_MAX, 1 if fault is Fault.FSYNC else STRIDE):
        directory = tmp_path / str(at)
        write_image(image, directory)
        try:
            struck, stopped = _strike(directory, session_id, fault, at)
        except AssertionError as error:
            error.add_note(f"{fault} at operation {at}; the ledger is in {directory}")
            raise
        if not struck:
            break
        points += 1
        stops += stopped
    assert points > 5
    if fault is Fault.FULL:
        assert stops == 0, "room on the disk comes back: it is no reason to stop for good"
    if fault is Fault.FSYNC:
        assert stops == points, "after a failed sync nothing may be written"


@pytest.mark.parametrize("fault", [Fault.EIO, Fault.FULL, Fault.FSYNC])
def test_opening_fails_clearly_and_works_the_next_time(tmp_path: Path, fault: Fault) -> None:
    struck = True
    at = 0
    while struck:
        at += 1 if fault is Fault.FSYNC else STRIDE
        directory = tmp_path / str(at)
        with TortureVFS(recording=False) as vfs:
            vfs.arm(fault, at, NAME)
            with contextlib.suppress(clew.ClewError):
                clew.open(url(directory, vfs)).close()
            struck = vfs.disarm()
        ledger = clew.open(url(directory))
        ledger.create().append(say("w", 0))
        assert_sound(ledger)
        ledger.close()


@pytest.mark.parametrize("fault", [Fault.EIO, Fault.FULL, Fault.FSYNC])
def test_a_fault_under_the_search_index_never_reaches_a_writer(
    tmp_path: Path, start: tuple[Image, str], fault: Fault
) -> None:
    image, session_id = start
    struck = True
    at = 0
    while struck and at < POINTS_MAX:
        at += 1 if fault is Fault.FSYNC else scaled(9, 1)
        directory = tmp_path / str(at)
        write_image(image, directory)
        with TortureVFS(recording=False) as vfs:
            ledger = clew.open(url(directory, vfs))
            session = ledger.get(session_id)
            vfs.arm(fault, at, f"{NAME}-search")
            _retry(session, 1)
            with contextlib.suppress(clew.ClewError):
                ledger.index_now()
            struck = vfs.disarm()
            assert len(ledger.search("w", limit=100).hits) == APPENDS + 1
            ledger.close()
