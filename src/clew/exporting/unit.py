"""The work on one unit, in two passes over its rows.

The first makes rows: read, redacted, shaped, said in the format, checked, written. The second
looks at every line that was written, with what all units together have learned: a secret that
was found in one session is replaced in all others. Both give the same bytes whoever runs them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from clew.errors import RedactionFailed
from clew.exporters.base import Row, Told, Unfit, line
from clew.exporters.checking import arguments
from clew.exporters.shaping import duplicates, shape
from clew.exporters.trajectory import Known
from clew.exporting import rows
from clew.exporting.folder import Folder, private, same_file, synced
from clew.exporting.losses import Losses
from clew.exporting.plan import Piece, Unit
from clew.exporting.recipe import Recipe
from clew.exporting.selection import refused
from clew.redaction.engine import Learned, Redactor
from clew.redaction.policy import Action

if TYPE_CHECKING:
    from typing import IO

    from clew.db import Database, Tx

Pairs = Callable[[Sequence[Row]], Iterator[Told]]
UNION = "union"
NO_MESSAGES = "no messages"
NO_PAIR = "no pair"
NOTHING_LEFT = "nothing to train"
UNKNOWN = "unknown"
ALIKE = "much like another"
_FINDINGS_SHOWN_MAX = 5


class Part(msgspec.Struct, array_like=True):
    """A file of rows: how many, how long, and by number which paths of the unit each row tells of
    (a pair of two).
    """

    split: str
    rows: int = 0
    bytes: int = 0
    owners: list[tuple[int, ...]] = []


class Fact(msgspec.Struct, array_like=True):
    """What a manifest counts of a session, as a path that gave a row tells it. `owner` is the
    number of that path in its unit.
    """

    owner: int
    session: int
    outcome: str
    tier: str
    model: str
    agent: str


class Made(msgspec.Struct):
    """What a pass over a unit gave. `dropped` counts what gave no row, by reason. `known` are the
    paths that gave one; the second pass makes `facts` of those that still do, each session counted
    once. `signatures` tell sessions that are alike; `review` are those that a policy wants looked
    at.
    """

    number: int
    sessions: int = 0
    parts: list[Part] = []
    dropped: dict[str, int] = {}
    redactions: dict[str, int] = {}
    known: list[Fact] = []
    facts: dict[str, dict[str, int]] = {}
    signatures: list[tuple[int, str, bytes]] = []
    review: list[str] = []
    not_spread: int = 0
    """Values that were found beyond the limit of those that are replaced everywhere."""
    taken: list[str] = []
    """The marks of the sessions that gave a row."""
    learned: tuple[list[tuple[str, str]], list[bytes]] = ([], [])


class Union(msgspec.Struct):
    """What all units learned, and the sessions of each that are left out after all."""

    learned: tuple[list[tuple[str, str]], list[bytes]]
    left_out: dict[int, list[int]]


def first(database: Database, unit: Unit, recipe: Recipe, folder: Folder) -> Made:
    """Make the rows of a unit. Does nothing when they are there."""
    name = f"{unit.number:06d}.first"
    known = folder.kept(name, Made)
    if known is not None:
        return known
    made = _First(unit, recipe, folder).run(database)
    folder.keep(name, made)
    return made


class _First:
    def __init__(self, unit: Unit, recipe: Recipe, folder: Folder) -> None:
        self._unit = unit
        self._recipe = recipe
        self._folder = folder
        self._redactor = _redactor(recipe)
        self._losses = Losses()
        self._facts: dict[int, Fact] = {}
        self._gave: set[int] = set()
        """The paths that gave a row."""
        self._parts: dict[str, tuple[Part, IO[bytes]]] = {}
        self._made = Made(unit.number, unit.sessions)
        self._owner = -1
        self._pieces: list[Piece] = []
        self._taken: dict[str, None] = {}
        self._review: list[str] = []
        self._signatures: list[tuple[int, str, bytes]] = []

    def run(self, database: Database) -> Made:
        try:
            with database.read() as tx:
                for family in self._unit.families:
                    self._family(tx, family)
            for _, stream in self._parts.values():
                synced(stream)
        finally:
            for _, stream in self._parts.values():
                stream.close()
        made = self._made
        made.parts = [part for part, _ in self._parts.values()]
        made.dropped = dict(self._losses.counts)
        made.known = [fact for owner, fact in self._facts.items() if owner in self._gave]
        # What gave no row is no reason to leave out another session that is like it.
        made.signatures = [one for one in self._signatures if one[0] in self._gave]
        made.review = self._review
        made.taken = list(self._taken)
        if self._redactor is not None:
            made.redactions = self._redactor.counts
            learned = self._redactor.learned_state()
            made.learned = (sorted(learned.values), sorted(learned.issued))
        return made

    def _family(self, tx: Tx, family: Sequence[Piece]) -> None:
        """The rows of sessions with one root. Only for pairs are they held together."""
        recipe = self._recipe
        shaped = self._shaped(self._native(tx, family))
        if recipe.shape.family is not None:
            self._pairs(list(shaped), family, recipe.shape.family)
        else:
            if len(family) > 1 and not recipe.train_shared:
                shaped = duplicates.trained_once(shaped, self._unfit, keep=recipe.shape.record)
            self._rows(shaped)
        new = [piece.key for piece in family if not piece.old]
        gave = {self._pieces[owner].key for owner in self._gave}
        self._losses.close(gave, new, NO_PAIR if recipe.shape.family else NOTHING_LEFT)

    def _pairs(self, held: list[Row], family: Sequence[Piece], pairs: Pairs) -> None:
        owners = {id(row): row.pop("_owner") for row in held}
        for told in pairs(held):
            of = tuple(dict.fromkeys(owners[id(row)] for row in told.of))
            if isinstance(told.made, Unfit):
                self._lost(told.made.reason, of)
            else:
                self._write(told.made, family[0].split, of)
                self._taken |= dict.fromkeys(piece.mark for piece in family)

    def _shaped(self, natives: Iterable[Row]) -> Iterator[Row]:
        recipe = self._recipe
        for native in natives:
            yield from shape(native, recipe.shaping, recipe.summarise, self._unfit)

    def _native(self, tx: Tx, family: Sequence[Piece]) -> Iterator[Row]:
        for piece in family:
            self._owner += 1
            self._pieces.append(piece)
            row = rows.row_at(tx, piece.key, piece.place, self._known(tx, piece))
            reason = self._why_not(row)
            if reason is not None:
                self._lost(reason, (self._owner,))
                continue
            clean = self._redacted(row)
            if clean is None:
                continue
            arguments.held(clean)
            clean["split"] = piece.split or None
            clean["_owner"] = self._owner
            if self._recipe.near is not None and not piece.old:
                self._signatures.append((self._owner, piece.root, duplicates.signature(clean)))
            self._count(clean)
            yield clean

    def _known(self, tx: Tx, piece: Piece) -> Known:
        return Known(
            subagents=piece.subagents,
            root=piece.root,
            branch=piece.branch,
            rules=self._recipe.outcome_rules,
            verifier=self._recipe.judge,
        )

    def _why_not(self, row: Row) -> str | None:
        return refused(row, self._recipe.selection) if row["messages"] else NO_MESSAGES

    def _redacted(self, row: Row) -> Row | None:
        """The row without what is nobody's business; `None` where a policy leaves it out."""
        redactor = self._redactor
        if redactor is None:
            return row
        done = redactor.redact_row({key: row[key] for key in row if key != "redaction"})
        clean: Row = done.value
        if done.action is Action.BLOCK:
            rule = min(rule for rule in done.rules if redactor.action([rule]) is Action.BLOCK)
            self._lost(f"blocked: {rule}", (self._owner,))
            return None
        if done.action is Action.REVIEW:
            self._review.append(str(clean["session_id"]))
        clean["redaction"] = {"ruleset": redactor.ruleset, "n": done.rules.total()}
        return clean

    def _count(self, row: Row) -> None:
        told = (row["outcome"], row["tier"], row["model_used"], row["agent"])
        words = (str(value or UNKNOWN) for value in told)
        self._facts[self._owner] = Fact(self._owner, self._pieces[self._owner].key, *words)

    def _rows(self, shaped: Iterable[Row]) -> None:
        each = self._recipe.shape.each
        for told in shaped:
            owner = told.pop("_owner")
            piece = self._pieces[owner]
            if piece.old:
                continue
            try:
                row = told if each is None else each(told)
            except Unfit as error:
                self._unfit(error)
            else:
                self._write(row, piece.split, (owner,))

    def _unfit(self, error: Unfit) -> None:
        """Rows are made one after the other, so this is of the path that was read last."""
        self._lost(error.reason, (self._owner,))

    def _lost(self, reason: str, owners: Iterable[int]) -> None:
        new = [piece for piece in map(self._pieces.__getitem__, owners) if not piece.old]
        if new:
            self._losses.add(reason, [piece.key for piece in new])

    def _write(self, row: Row, split: str, owners: tuple[int, ...]) -> None:
        check = self._recipe.shape.check
        problems = check(row) if check is not None else []
        if problems:
            self._lost(f"not valid: {problems[0].rule}", owners)
            return
        self._gave.update(owners)
        self._taken |= dict.fromkeys(self._pieces[owner].mark for owner in owners)
        part, stream = self._part(split)
        data = line(row)
        stream.write(data)
        part.rows += 1
        part.bytes += len(data)
        part.owners.append(owners)

    def _part(self, split: str) -> tuple[Part, IO[bytes]]:
        if split not in self._parts:
            file = private(self._folder.part(self._unit.number, split, "first"))
            self._parts[split] = (Part(split, owners=[]), file)
        return self._parts[split]


# --- the second pass -----------------------------------------------------------------------


def second(made: Made, recipe: Recipe, folder: Folder) -> Made:
    """Look at every line of a unit again, with what all of them learned. Raises
    `RedactionFailed` when a line that was mended still holds something.
    """
    name = f"{made.number:06d}.last"
    known = folder.kept(name, Made)
    if known is not None:
        return known
    union = _union(folder)
    redactor = _redactor(recipe)
    if redactor is not None:
        redactor.learn(_learned(union.learned))
    left_out = frozenset(union.left_out.get(made.number, ()))
    done = _Second(made.number, recipe, redactor, left_out, folder).run(made)
    folder.keep(name, done)
    for part in made.parts:
        folder.part(made.number, part.split, "first").unlink()
    return done


class _Second:
    def __init__(
        self,
        number: int,
        recipe: Recipe,
        redactor: Redactor | None,
        left_out: frozenset[int],
        folder: Folder,
    ) -> None:
        self._number = number
        self._shape = recipe.shape
        self._redactor = redactor
        self._left_out = left_out
        self._folder = folder
        self._losses = Losses()
        self._sessions: dict[int, int] = {}
        self._gave: set[int] = set()

    def run(self, made: Made) -> Made:
        done = Made(made.number, made.sessions)
        self._sessions = {fact.owner: fact.session for fact in made.known}
        done.parts = [self._again(part) for part in made.parts]
        if self._redactor is not None:
            # What is left as it is was counted in the first pass.
            found = self._redactor.counts.items()
            done.redactions = {
                rule: count for rule, count in found if not self._redactor.leaves(rule)
            }
            done.not_spread = self._redactor.not_spread
        self._losses.close({self._sessions[owner] for owner in self._gave})
        done.dropped = dict(self._losses.counts)
        done.facts = _counted(fact for fact in made.known if fact.owner in self._gave)
        return done

    def _lost(self, reason: str, owners: Iterable[int]) -> None:
        self._losses.add(reason, [self._sessions[owner] for owner in owners])

    def _again(self, part: Part) -> Part:
        source, target = (
            self._folder.part(self._number, part.split, stage) for stage in ("first", "last")
        )
        changed = self._changed(source, part)
        if not changed and all(map(self._left_out.isdisjoint, part.owners)):
            self._gave.update(*part.owners)
            same_file(source, target)
            return Part(part.split, part.rows, part.bytes)
        done = Part(part.split)
        mended: list[tuple[int, int]] = []
        with source.open("rb") as old, private(target) as new:
            for at, (owners, data) in enumerate(zip(part.owners, old, strict=True)):
                fresh = changed.get(at, data)
                if not self._left_out.isdisjoint(owners):
                    self._lost(ALIKE, owners)
                    continue
                if fresh is None:
                    continue
                self._gave.update(owners)
                if fresh is not data:
                    mended.append((done.bytes, len(fresh)))
                new.write(fresh)
                done.rows += 1
                done.bytes += len(fresh)
            synced(new)
        if self._redactor is not None:
            _scan(self._redactor, target, mended)
        return done

    def _changed(self, source: Path, part: Part) -> dict[int, bytes | None]:
        """The lines of a file in which something is found still, by number, without it; none where
        the row is not valid any more.
        """
        changed: dict[int, bytes | None] = {}
        redactor = self._redactor
        if redactor is None:
            return changed
        with source.open("rb") as stream:
            for at, data in enumerate(stream):
                alike = not self._left_out.isdisjoint(part.owners[at])
                if alike or not redactor.suspects(data):
                    continue
                fresh = _mended(redactor, data, self._shape.mend)
                if fresh is not data:  # even if it is the same, it is looked at once more
                    changed[at] = self._valid(fresh, part.owners[at])
        return changed

    def _valid(self, data: bytes, owners: Iterable[int]) -> bytes | None:
        check = self._shape.check
        problems = check(msgspec.json.decode(data)) if check is not None else []
        if not problems:
            return data
        self._lost(f"not valid: {problems[0].rule}", owners)
        return None


def _counted(known: Iterable[Fact]) -> dict[str, dict[str, int]]:
    """Each session once, as the first of its paths tells it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seen: set[int] = set()
    for fact in known:
        if fact.session not in seen:
            seen.add(fact.session)
            counts["outcomes"][fact.outcome] += 1
            counts["tiers"][fact.tier] += 1
            counts["models"][fact.model] += 1
            counts["agents"][fact.agent] += 1
    return {name: dict(found) for name, found in counts.items()}


def _mended(redactor: Redactor, data: bytes, mend: Callable[[Row], Row] | None) -> bytes:
    row: Any = msgspec.json.decode(data)
    if not redactor.scan(row):
        return data
    told = row.get("redaction") if isinstance(row, dict) else None
    done = redactor.redact_row(row)
    clean: Any = done.value
    if isinstance(told, dict) and done.rules:
        clean["redaction"] = {**told, "n": told["n"] + done.rules.total()}
    return line(clean if mend is None else mend(clean))


def _scan(redactor: Redactor, path: Path, places: Sequence[tuple[int, int]]) -> None:
    """Read back the lines that were written anew: the others were read when they were looked at."""
    with path.open("rb") as stream:
        for start, length in places:
            stream.seek(start)
            refuse(redactor, msgspec.json.decode(stream.read(length)), f"at byte {start}")


def refuse(redactor: Redactor, value: Any, where: str) -> None:
    """Raise `RedactionFailed` when something is still found in a value that was written."""
    found = redactor.scan(value)
    if found:
        shown = "; ".join(str(one) for one in found[:_FINDINGS_SHOWN_MAX])
        raise RedactionFailed(
            f"the scan of the written export found {len(found)} secrets {where} ({shown}); "
            "nothing was exported. Leave that session out, or report the rule"
        )


def united(parts: Sequence[Made]) -> Learned:
    """What all units learned."""
    learned = [_learned(made.learned) for made in parts]
    return Learned(
        frozenset().union(*(one.values for one in learned)),
        frozenset().union(*(one.issued for one in learned)),
    )


def told(learned: Learned) -> tuple[list[tuple[str, str]], list[bytes]]:
    """The same in an order, for a record."""
    return sorted(learned.values), sorted(learned.issued)


def _learned(told: tuple[list[tuple[str, str]], list[bytes]]) -> Learned:
    values, issued = told
    return Learned(frozenset((type_, text) for type_, text in values), frozenset(issued))


def _union(folder: Folder) -> Union:
    """The same for all units, so it is read once for all that a process does."""
    try:
        stat = (folder.path / UNION).stat()
    except FileNotFoundError:
        text = f"{folder.path} lacks what the first pass learned: export again"
        raise RedactionFailed(text) from None
    return _read_union(folder.path, stat.st_ino, stat.st_mtime_ns)


@lru_cache(maxsize=1)
def _read_union(path: Path, inode: int, time_ns: int) -> Union:
    found = Folder(path).kept(UNION, Union)
    if found is None:
        raise RedactionFailed(f"{path} holds another version's leavings: export again")
    return found


_READY: list[tuple[Recipe, Redactor]] = []
"""The rules of the newest work are ready for its next unit, with nothing learned."""


def _redactor(recipe: Recipe) -> Redactor | None:
    if recipe.redaction is None:
        return None
    known = next(iter(_READY), None)  # once: another thread may be exporting, too
    if known is not None and known[0] is recipe:
        return known[1].fresh()
    ready = recipe.redactor()
    if ready is None:
        return None
    _READY[:] = [(recipe, ready)]
    return ready.fresh()
