"""Checkpoints: named pointers, newest first, found by a prefix, compared by `diff`."""

from __future__ import annotations

import pytest

import clew

from .talk import said, turns, user


def test_checkpoints_are_listed_newest_first(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert session.checkpoints() == []
    made = []
    for number in range(5):
        session.append(user(str(number)))
        made.append(session.checkpoint(f"at {number}"))
    assert session.checkpoints() == made[::-1]
    assert session.checkpoints(limit=2) == made[:2:-1]
    assert made[0].reason == "manual"
    assert made[0].pre == clew.Position(session.id, 1)
    assert session.info.entries == 5, "a checkpoint is no entry"


def test_a_label_may_be_long(ledger: clew.Ledger) -> None:
    session = ledger.create()
    made = session.checkpoint("x" * 5000)
    assert session.checkpoints() == [made]
    assert made.label == "x" * 5000


def test_a_checkpoint_of_an_empty_session_is_the_root(ledger: clew.Ledger) -> None:
    session = ledger.create()
    root = session.checkpoint()
    session.append(user("a"))
    session.restore(root)
    assert session.head is None


def test_a_checkpoint_is_found_by_a_unique_prefix(ledger: clew.Ledger) -> None:
    session = ledger.create()
    made = [session.checkpoint(str(number)) for number in range(3)]
    alone = ledger.create()
    only = alone.checkpoint()
    assert alone.get_checkpoint(only.id[:8]) == only
    for one in made:
        assert session.get_checkpoint(one.id) == one
        assert session.branch(one.id).head is None
    with pytest.raises(clew.Invalid, match="ambiguous"):
        session.get_checkpoint(made[0].id[:6])


@pytest.mark.parametrize("name", ["", "%", "%%%%%%%%", "________", "feedfeedfeed", "0" * 32])
def test_an_unknown_checkpoint_is_named(ledger: clew.Ledger, name: str) -> None:
    session = ledger.create()
    session.checkpoint()
    with pytest.raises(clew.NotFound, match=f"no checkpoint '{name}'"):
        session.get_checkpoint(name)


def test_a_checkpoint_of_another_session_is_not_found(ledger: clew.Ledger) -> None:
    one, two = ledger.create(), ledger.create()
    foreign = one.checkpoint()
    with pytest.raises(clew.NotFound):
        two.restore(foreign)
    with pytest.raises(clew.NotFound):
        two.branch(foreign.id)


def test_diff_tells_what_only_one_side_has(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"model": "a", "same": 1, "gone": None})
    session.extend(turns(2))
    fork = session.checkpoint("fork")
    session.extend(turns(1, 3))
    session.config["model"] = "b"
    left = session.checkpoint("left")
    session.restore(fork)
    session.append(user("right"))
    del session.config["gone"]
    right = session.checkpoint("right")
    found = session.diff(left, right)
    assert found.common == fork.pre
    assert [m.text for m in found.only_a] == ["ask 3", "say 3"]
    assert [m.text for m in found.only_b] == ["right"]
    assert found.config_changed == ("gone", "model")
    assert session.diff(left, left).only_a == ()
    ahead = session.diff(fork, left)
    assert (ahead.only_a, ahead.common) == ((), fork.pre)
    assert len(ahead.only_b) == 2
    root = session.diff(None, fork)
    assert root.common is None
    assert len(root.only_b) == 4


def test_diff_of_a_session_and_its_branch(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    branch = session.branch(session.entry(2))
    branch.append(user("other"))
    found = session.diff(str(session.head), str(branch.head))
    assert found.common == clew.Position(session.id, 2)
    assert [m.text for m in found.only_a] == ["ask 2", "say 2"]
    assert [m.text for m in found.only_b] == ["other"]


def test_a_restored_checkpoint_brings_its_config_back(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"model": "first"})
    session.append(user("a"))
    then = session.checkpoint()
    session.config["model"] = "second"
    session.config["new"] = True
    session.restore(then)
    assert dict(session.config) == {"model": "first"}


@pytest.mark.inside
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_only_the_newest_checkpoints_stay_listed(url: str, limit: int) -> None:
    with clew.open(url, max_checkpoints=limit) as ledger:
        session = ledger.create()
        made = []
        for number in range(6):
            session.append(user(str(number)))
            made.append(session.checkpoint(str(number)))
            assert session.checkpoints()[0] == made[-1], "the newest always stays"
        kept = max(limit, 1)
        assert session.checkpoints() == made[: -kept - 1 : -1]
        session.extend(turns(3))
        session.compact(summary="s", keep_tokens=1)
        assert len(session.checkpoints()) == kept
        assert session.checkpoints()[0].reason == "manual"
        assert ledger.verify().ok


def test_restoring_does_not_drop_later_checkpoints(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    early = session.checkpoint("early")
    session.extend(turns(1, 2))
    late = session.checkpoint("late")
    session.restore(early)
    session.restore(late)
    assert len(said(session)) == 4
    assert session.checkpoints() == [late, early]
