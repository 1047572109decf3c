"""Who follows holds a place and nothing else: what that costs in reads and memory."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew import frames, live
from contract.talk import turns, user

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.inside


def drained(follower: live.Follower) -> list[Any]:
    """All that there is to pull."""
    found: list[Any] = []
    while follower.waiting:
        found += [frames.decode(told.data) for told in follower.pull()]
    return found


@pytest.fixture
def told(ledger: clew.Ledger) -> Iterator[live.Live]:
    """Whoever tells, without the thread that does: what is told when is the test's."""
    made = live.Live(ledger)
    made._closing = True  # so that no thread begins
    yield made
    made.close()


def test_sessions_beyond_those_that_are_kept_are_told_without_a_word_of_falling_behind(
    ledger: clew.Ledger, told: live.Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FEEDS_MAX", 2)
    sessions = [ledger.create() for _ in range(5)]
    follower, stands = told.follow(ledger, None, live.everything)
    assert stands == {session.id: 0 for session in sessions}
    seen: dict[str, list[int]] = {session.id: [] for session in sessions}
    for number in range(4):
        for session in sessions:
            session.append(user(str(number)))
            told._tell({session._key})
            for frame in drained(follower):
                assert isinstance(frame, frames.EntryFrame), frame
                seen[frame.session].append(frame.sequence)
            assert len(told._feeds) <= 2
    assert all(sequences == [1, 2, 3, 4] for sequences in seen.values())


def test_following_all_from_now_on_reads_no_session_until_something_happens_there(
    ledger: clew.Ledger, told: live.Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [ledger.create() for _ in range(20)]
    for session in sessions:
        session.extend(turns(2))
    read: list[int] = []
    whole = told.read

    def counted(key: int, after: int) -> live.Page:
        read.append(key)
        return whole(key, after)

    monkeypatch.setattr(told, "read", counted)
    follower, _ = told.follow(ledger, None, live.everything)
    assert not follower.waiting
    assert told._moved() == set()
    sessions[3].append(user("now"))
    assert told._moved() == {sessions[3]._key}
    told._tell(told._moved())
    assert [frame.session for frame in drained(follower)] == [sessions[3].id]
    assert set(read) == {sessions[3]._key}


def test_one_pull_gives_little_more_than_a_page(ledger: clew.Ledger, told: live.Live) -> None:
    big = "x" * (frames.BODY_BYTES_MAX - 100)
    sessions = [ledger.create() for _ in range(3)]
    for session in sessions:
        session.extend([user(big)] * 60)
    follower, _ = told.follow(ledger, {s.id: 0 for s in sessions}, live.everything)
    turn: list[str] = []
    count = 0
    while follower.waiting:
        page = follower.pull()
        size = sum(len(one.data) for one in page)
        assert size < live.PAGE_BYTES + live.STEP * 2 * (frames.BODY_BYTES_MAX + 1000)
        turn += [one.session for one in page if not one.talk][:1]
        count += sum(not one.talk for one in page)
    assert count == 180
    assert set(turn[:3]) == {session.id for session in sessions}, "each has its turn"


def test_erased_words_are_not_kept_for_those_who_lag(ledger: clew.Ledger) -> None:
    session = ledger.create()
    follower, _ = ledger._live().follow(ledger, {session.id: 0}, live.everything)
    drained(follower)
    session.append(user("secret"))
    ledger._live()._tell({session._key})
    assert ledger._live()._feeds[session._key]._bytes > 0
    ledger.erase(session.id)
    assert ledger._live()._feeds[session._key]._bytes == 0
    kinds = {type(frame) for frame in drained(follower)}
    assert frames.ErasedFrame in kinds
    assert frames.EntryFrame not in kinds
    follower.close()


def test_a_session_that_cannot_be_read_does_not_silence_the_others(
    ledger: clew.Ledger, told: live.Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = ledger.create(), ledger.create()
    one, _ = told.follow(ledger, {good.id: 0}, live.everything)
    two, _ = told.follow(ledger, {bad.id: 0}, live.everything)
    drained(one)
    drained(two)
    whole = told.read

    def faulty(key: int, after: int) -> live.Page:
        if key == bad._key:
            raise RuntimeError("broken row")
        return whole(key, after)

    monkeypatch.setattr(told, "read", faulty)
    good.append(user("x"))
    bad.append(user("y"))
    told._tell({good._key, bad._key})
    assert [frame.session for frame in drained(one)] == [good.id]
    with pytest.raises(RuntimeError, match="broken row"):
        drained(two)


def test_a_branch_without_anything_of_its_own_has_caught_up(
    ledger: clew.Ledger, told: live.Live
) -> None:
    session = ledger.create()
    session.extend(turns(3))
    branch = session.branch(session.entry(4))
    follower, _ = told.follow(ledger, {branch.id: 0}, live.everything)
    (end,) = drained(follower)
    assert isinstance(end, frames.CaughtUp)
    assert told._moved() == set()


def test_whatever_comes_between_each_follower_is_told_everything_once(
    ledger: clew.Ledger, told: live.Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulls, wake-ups, writes, drops and returns in any order, with little room for frames."""
    monkeypatch.setattr(live, "KEPT_FRAMES", 4)
    monkeypatch.setattr(live, "FEEDS_MAX", 2)
    monkeypatch.setattr(live, "PAGE", 5)
    monkeypatch.setattr(live, "STEP", 2)
    chance = random.Random(5)
    sessions = [ledger.create() for _ in range(3)]
    places = [{session.id: 0 for session in sessions} for _ in range(3)]
    followers = [told.follow(ledger, places[0], live.everything)[0] for _ in places]

    def pull(number: int, follower: live.Follower) -> None:
        for one in follower.pull():
            if not one.talk:
                assert one.sequence == places[number][one.session] + 1
                places[number][one.session] = one.sequence

    for _ in range(600):
        session = chance.choice(sessions)
        number = chance.randrange(3)
        act = chance.randrange(6)
        if act == 0:
            session.append(user("x"))
            told._tell({session._key})
        elif act == 1:
            span = session.start_span("tool", "t")
            session.update_span(span.id, outcome="ok")
        elif act == 2:
            told._tell(told._moved())
        elif act == 3 and chance.random() < 0.3:
            followers[number].drop([session.id])
            followers[number].follow({session.id: places[number][session.id]})
        elif act == 3 and chance.random() < 0.2:
            followers[number].close()
            made, _ = told.follow(ledger, places[number], live.everything)
            followers[number] = made
        else:
            pull(number, followers[number])
    told._tell(told._moved())
    for number, follower in enumerate(followers):
        while follower.waiting:
            pull(number, follower)
        assert places[number] == {session.id: session.sequence for session in sessions}
