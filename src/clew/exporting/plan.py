"""What an export is going to read, fixed before it reads: which sessions, up to which entry.

Sessions that have one root (by branches and sub-agents) are a *family*: they stay together, so
that a copy of a prefix is known for one, and none straddles a split. Families stand in the order
of their roots, sessions in that of the ledger. A *unit* is a run of families: the work that one
process does at once, and all that anything in the output may depend on. So it does not matter
who does which, when, or twice.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.errors import Invalid
from clew.exporting import rows
from clew.log import Place

if TYPE_CHECKING:
    from clew.db import Tx

UNIT_SESSIONS: Final = 64
UNIT_MESSAGES: Final = 5_000
"""A unit is closed when it holds so many of either; a family is never cut."""
NAMES: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
MARK_HEX: Final = 16


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A path to export: of session `key`, to the entry `at`. `branch` is `head`, or `left` for a
    tip that the head was taken away from. `subagents` are the sessions that its calls began.
    `mark` says how far the session is taken, without naming it. An `old` one was exported before
    as it stands: it is there only because others of its family are new.
    """

    key: int
    at: tuple[int, int]
    root: str
    split: str
    mark: str
    old: bool = False
    branch: str = "head"
    subagents: tuple[tuple[str, str | None], ...] = ()

    @property
    def place(self) -> Place:
        """Where the path ends."""
        return Place(*self.at)


class Unit(msgspec.Struct, frozen=True, array_like=True):
    """A run of whole families."""

    number: int
    families: tuple[tuple[Piece, ...], ...]

    @property
    def sessions(self) -> int:
        """How many sessions it holds."""
        return len({piece.key for family in self.families for piece in family})


class Plan(msgspec.Struct, frozen=True):
    """All units. `silent` sessions have nothing to give a row of; `same` were exported before as
    they stand now, and have these `marks`.
    """

    units: tuple[Unit, ...]
    sessions: int
    silent: int
    same: int
    marks: tuple[str, ...]


class Splits(msgspec.Struct, frozen=True):
    """Into which parts, by weight, and the seed of the draw. Raises `Invalid`."""

    weights: dict[str, float] = {}
    seed: str = ""

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if not name or not set(name) <= NAMES:
                raise Invalid(f"split {name!r}: name it with a-z, 0-9, - and _, like validation")
            if not 0 < weight < float("inf"):
                raise Invalid(f"split {name}={weight}: give it a weight above 0, like 90")

    def of(self, root: str) -> str:
        """The split of all sessions with this root; `""` where nothing is split."""
        if not self.weights:
            return ""
        drawn = hashlib.sha256(f"{self.seed}\0{root}".encode()).digest()
        left = int.from_bytes(drawn[:8], "big") / 2**64 * sum(self.weights.values())
        for name, weight in self.weights.items():
            left -= weight
            if left < 0:
                return name
        return next(reversed(self.weights))


class _Session(msgspec.Struct):
    key: int
    id: str
    forked_from: str | None
    spawned_by: str | None
    at: Place | None
    messages: int

    @property
    def parent(self) -> str | None:
        return self.forked_from or (self.spawned_by or "").partition("#")[0] or None


def made(
    tx: Tx,
    project: int | None,
    chosen: Iterable[int],
    splits: Splits,
    secret: bytes,
    *,
    branches: bool,
    before: frozenset[str] = frozenset(),
) -> Plan:
    """The plan for the sessions of these keys. `branches` takes tips that were left, too;
    `before` are the marks of an earlier export: what stands as it did then is left out.
    """
    wanted = set(chosen)
    everything = [_session(row) for row in tx.all("session_lineage", project=project)]
    by_id = {one.id: one for one in everything}
    roots = {one.key: _root(one, by_id) for one in everything if one.key in wanted}
    children = _children(everything)
    silent = 0
    same: list[str] = []
    families: dict[str, list[tuple[_Session, Piece]]] = {}
    for one in everything:
        if one.key not in wanted:
            continue
        if one.at is None or not (one.messages or one.forked_from):
            silent += 1
            continue
        root, mark = roots[one.key], _mark(secret, one)
        if mark in before:
            same.append(mark)
        piece = Piece(
            one.key,
            (one.at.session, one.at.seq),
            root,
            splits.of(root),
            mark,
            mark in before,
            subagents=tuple(children.get(one.id, ())),
        )
        found = families.setdefault(root, [])
        found += [(one, each) for each in _pieces(tx, piece, one.at, branches)]
    new = (family for family in families.values() if not all(piece.old for _, piece in family))
    return Plan(tuple(_units(new)), len(wanted), silent, len(same), tuple(same))


def _session(row: tuple[Any, ...]) -> _Session:
    key, id, forked, spawned, at_session, at_seq, _agent, messages = row
    at = None if at_session is None else Place(at_session, at_seq)
    return _Session(key, id, forked, spawned, at, messages)


def _root(one: _Session, by_id: Mapping[str, _Session]) -> str:
    seen = {one.id}
    while one.parent is not None and one.parent not in seen:
        seen.add(one.parent)
        above = by_id.get(one.parent)
        if above is None:
            return one.parent
        one = above
    return one.id


def _children(everything: list[_Session]) -> dict[str, list[tuple[str, str | None]]]:
    """By a session's id, the sub-agents that it began, each with the call."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for one in everything:
        if one.spawned_by:
            parent, _, call = one.spawned_by.partition("#")
            found.setdefault(parent, []).append((one.id, call or None))
    return found


def _mark(secret: bytes, one: _Session) -> str:
    """How far a session is taken: nobody without the secret can read an id out of it."""
    told = f"{one.id}\0{one.at and (one.at.session, one.at.seq)}".encode()
    return hmac.new(secret, told, hashlib.sha256).hexdigest()[:MARK_HEX]


def _pieces(tx: Tx, piece: Piece, head: Place, branches: bool) -> Iterator[Piece]:
    yield piece
    if branches:
        for tip in rows.tips(tx, piece.key, head):
            yield msgspec.structs.replace(piece, at=(tip.session, tip.seq), branch="left")


def _units(families: Iterable[list[tuple[_Session, Piece]]]) -> Iterator[Unit]:
    number = sessions = messages = 0
    held: list[tuple[Piece, ...]] = []
    for family in families:
        held.append(tuple(piece for _, piece in family))
        sessions += len(family)
        messages += sum(one.messages for one, _ in family)
        if sessions >= UNIT_SESSIONS or messages >= UNIT_MESSAGES:
            yield Unit(number, tuple(held))
            number, sessions, messages, held = number + 1, 0, 0, []
    if held:
        yield Unit(number, tuple(held))
