"""The process dies between any two things an operation does to the disk.

An operation that is one unit is found done or not begun, never between. One that takes several
units (erase, import, the first opening) may be found on its way; repeating it then ends where
it would have ended. The same holds when the power fails at that point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import clew

from .disk import killed, power_cut, write_image
from .ledgers import assert_sound, reopen, say, url
from .scale import scaled
from .vfs import TortureVFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .disk import Image, Log

    Operation = Callable[[clew.Ledger, clew.Session], object]

POINTS_MAX = scaled(24, 1_000_000)
"""So many points of each operation are tried, spread evenly."""


def _prepare(ledger: clew.Ledger) -> clew.Session:
    """A session with everything in it that an operation may touch."""
    other = ledger.session(frontend="f", user="other")
    other.append(say("o", 0))
    session = ledger.session(frontend="f", user="u")
    session.config["model"] = "m1"
    for n in range(8):
        session.append(say("w", n, chars=6000 if n == 3 else 40))
        session.append({"role": "assistant", "content": f"w {n} answered"})
    session.checkpoint("first")
    session.compact(summary="so far", keep_tokens=60)
    session.append(say("w", 8))
    ledger.index_now()
    return session


def _state(ledger: clew.Ledger) -> list[Any]:
    """Everything that a user can see, except the clock and what is a fresh id."""
    found: list[Any] = []
    for info in sorted(ledger.sessions(spawned=True), key=lambda info: info.id):
        session = ledger.get(info.id)
        found.append(
            (
                info,
                session.head,
                session.entries(),
                session.history(),
                session.context(),
                dict(session.config),
                session.checkpoints(),
                session.moves(),
                ledger.audit(session=info.id),
            )
        )
    return found


SINGLE: dict[str, Operation] = {
    "append": lambda ledger, session: session.append(say("w", 9)),
    "extend": lambda ledger, session: session.extend([say("w", 9), say("w", 10, chars=20_000)]),
    "keyed append": lambda ledger, session: session.append(say("w", 9), idempotency_key="k"),
    "compact": lambda ledger, session: session.compact(summary="again", keep_tokens=1),
    "checkpoint": lambda ledger, session: session.checkpoint("second"),
    "restore": lambda ledger, session: session.restore(session.checkpoints()[-1]),
    "undo": lambda ledger, session: session.undo(),
    "branch": lambda ledger, session: session.branch(session.checkpoints()[-1]),
    "clear": lambda ledger, session: session.clear(),
    "reset": lambda ledger, session: session.reset(keep_config=False),
    "replace": lambda ledger, session: session.replace_history([say("r", 0), say("r", 1)]),
    "config": lambda ledger, session: session.config.update(model="m2"),
    "label": lambda ledger, session: session.label("a title"),
    "transfer": lambda ledger, session: session.transfer_to(frontend="f", user="other"),
    "create": lambda ledger, session: ledger.create(title="new", config={"a": 1}),
    "archive": lambda ledger, session: ledger.archive(session.id),
}


def _files(directory: Path) -> Image:
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file()}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A prepared ledger, closed, as files."""
    directory = tmp_path_factory.mktemp("start")
    with clew.open(url(directory), search=False) as ledger:
        _prepare(ledger)
    return _files(directory)


def _run(
    start: Image, directory: Path, operation: Operation
) -> tuple[Log, int, list[Any], list[Any]]:
    """The log, where in it the operation begins, and the states before and after."""
    write_image(start, directory)
    with TortureVFS() as vfs:
        ledger = clew.open(url(directory, vfs))
        session = ledger.session(frontend="f", user="u")
        before = _state(ledger)
        begin = vfs.log.mark()
        operation(ledger, session)
        after = _state(ledger)
        ledger.close()
    return vfs.log, begin, before, after


def _crashes(log: Log, begin: int, directory: Path) -> Iterator[clew.Ledger]:
    """The ledger as it is found after dying at each point, by kill and by power cut in turn."""
    points = range(begin, log.mark() + 1)
    for count, upto in enumerate(points[:: max(1, len(points) // POINTS_MAX)]):
        for name, image in (("kill", killed(log, upto)), ("cut", power_cut(log, count, upto))):
            ledger = reopen(image, directory / f"{name}{upto}")
            try:
                yield ledger
            except AssertionError as error:
                error.add_note(f"{name} at event {upto}, operation from {begin}")
                raise
            finally:
                ledger.close()


@pytest.mark.parametrize("name", SINGLE)
def test_one_unit_is_done_or_not_begun(tmp_path: Path, start: Image, name: str) -> None:
    log, begin, before, after = _run(start, tmp_path / "live", SINGLE[name])
    assert before != after
    seen = []
    for ledger in _crashes(log, begin, tmp_path):
        state = _state(ledger)
        assert state in (before, after)
        assert_sound(ledger)
        seen.append(state == after)
    assert True in seen
    assert False in seen


def _erase(ledger: clew.Ledger, session: clew.Session) -> object:
    return ledger.erase(session.id)


def test_an_erase_that_was_killed_can_be_finished(tmp_path: Path, start: Image) -> None:
    log, begin, before, _ = _run(start, tmp_path / "live", _erase)
    (session_id,) = (info.id for info, *_ in before if info.user == "u")
    for ledger in _crashes(log, begin, tmp_path):
        assert_sound(ledger)
        if any(info.id == session_id for info in ledger.sessions()):
            assert _state(ledger) == before, "half an erase"
            ledger.erase(session_id)
        assert_sound(ledger)
        assert not any(info.id == session_id for info in ledger.sessions())


def test_the_first_opening_may_be_killed(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    with TortureVFS() as vfs:
        clew.open(url(live, vfs)).close()
    for ledger in _crashes(vfs.log, 0, tmp_path):
        ledger.create().append(say("w", 0))
        assert_sound(ledger)
