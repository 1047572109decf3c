"""An export from the choice of sessions to files with their names.

    plan -> first pass over all units -> what they learned, united -> second pass -> files put
    together and looked at -> names taken, manifest last -> on record

Everything happens in a folder beside the target. Until the last step nothing has the target's
name; an export that is broken off leaves that folder, and `resume` goes on with it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from clew import __version__
from clew.errors import Invalid, RedactionFailed, Unavailable
from clew.exporters.shaping import duplicates
from clew.exporting import manifest, selection
from clew.exporting.engines import Engine, Here, Processes
from clew.exporting.folder import PLAN, Folder, lines, private
from clew.exporting.manifest import Manifest, Redacted, Written
from clew.exporting.pack import pack
from clew.exporting.plan import Plan, Splits, made
from clew.exporting.recipe import Recipe
from clew.exporting.targets import Target, sync_folder
from clew.exporting.unit import ALIKE, UNION, Made, Union, told, united
from clew.redaction import independent

if TYPE_CHECKING:
    from clew.ledger import Ledger

PLACEHOLDERS: Final = "pseudonym_key"
"""The ledger's own secret for placeholders: equal values stay equal over its exports."""
PASSES: Final = 2
_FINDINGS_SHOWN_MAX: Final = 5


class Progress(msgspec.Struct, frozen=True):
    """How far an export is: steps of `total`, each unit counting twice in sessions; `bytes` are
    those written so far.
    """

    done: int
    total: int
    bytes: int


OnProgress = Callable[[Progress], None]


class Exported(msgspec.Struct, frozen=True):
    """What an export wrote. `dropped` counts sessions and rows that were left out, by reason;
    `path` is `None` for a stream; `redactions` counts replacements by rule, `left` what a policy
    left as it is, `not_spread` values that were too many to be replaced everywhere; `review` names
    the sessions that a policy wants looked at. `sha256` is that of the only file, or of the
    manifest.
    """

    rows: int
    bytes: int
    sha256: str
    path: Path | None
    dropped: dict[str, int]
    redacted: bool
    redactions: dict[str, int]
    sessions: int = 0
    files: tuple[Written, ...] = ()
    manifest: Path | None = None
    left: dict[str, int] = {}
    not_spread: int = 0
    review: tuple[str, ...] = ()


class ExportOptions(msgspec.Struct, frozen=True):
    """How an export is made, beside what it does to each session (see `Ledger.export`)."""

    splits: Splits = Splits()
    branches: bool = False
    since_export: Path | None = None
    workers: int = 1
    engine: str = "local"
    resume: bool = False
    overwrite: bool = False
    license: str | None = None
    card: bool = False
    independent: bool = False


def export(
    ledger: Ledger,
    output: str | os.PathLike[str] | BinaryIO,
    recipe: Recipe,
    options: ExportOptions,
    on_progress: OnProgress | None,
) -> Exported:
    """See `Ledger.export`."""
    recipe = replace(recipe, key=ledger._secret(PLACEHOLDERS))
    if isinstance(output, str | os.PathLike):
        return _to_path(ledger, Path(output), recipe, options, on_progress)
    return _to_stream(ledger, output, recipe, options, on_progress)


def count(ledger: Ledger, recipe: Recipe, options: ExportOptions) -> dict[str, int]:
    """How many sessions an export would take (`sessions`), and what it would leave out, by reason,
    without writing any. Nothing is redacted, so what redaction makes unfit is not told.
    """
    if options.since_export is not None:
        recipe = replace(recipe, key=ledger._secret(PLACEHOLDERS))
    plan = _planned(ledger, recipe, options)
    recipe = replace(recipe, redaction=None)
    with tempfile.TemporaryDirectory(prefix="clew-export-") as place:
        made = list(Here(ledger._database, recipe, Folder(Path(place))).first(plan.units))
    left_out = _alike(made, recipe.near)
    dropped = _nothing_said(plan)
    rows = 0
    for one in made:
        without = frozenset(left_out.get(one.number, ()))
        dropped.update(one.dropped)
        dropped.update({ALIKE: len(without)} if without else {})
        rows += sum(without.isdisjoint(of) for part in one.parts for of in part.owners)
    return {"sessions": plan.sessions, "rows": rows, **dropped}


# --- to a path, to a stream ----------------------------------------------------------------


def _to_path(
    ledger: Ledger,
    path: Path,
    recipe: Recipe,
    options: ExportOptions,
    on_progress: OnProgress | None,
) -> Exported:
    if recipe.shape.table is not None:
        recipe.shape.table.ready()
    target = Target(path, recipe.shape, overwrite=options.overwrite)
    target.prepare(list(options.splits.weights), card=options.card, ledger=ledger._database.file)
    folder = Folder(target.path.with_name(f".{target.path.name}.partial"))
    with folder.held():
        plan = _begun(ledger, folder, recipe, options)
        try:
            done = _Job(ledger, plan, recipe, options, folder, on_progress).run(target)
        except Unavailable:
            raise  # as an interrupt, it leaves what there is, to go on with
        except Exception:
            folder.empty()
            raise
        folder.empty()
    return done


def _to_stream(
    ledger: Ledger,
    output: BinaryIO,
    recipe: Recipe,
    options: ExportOptions,
    on_progress: OnProgress | None,
) -> Exported:
    beside = options.splits.weights or options.resume or options.card or options.independent
    if not recipe.shape.lines or recipe.shape.table or beside:
        raise Invalid(f"{recipe.format} with these options is no stream of lines: name a file")
    with tempfile.TemporaryDirectory(prefix="clew-export-") as place:
        folder = Folder(Path(place))
        plan = _planned(ledger, recipe, options)
        job = _Job(ledger, plan, recipe, options, folder, on_progress)
        rows = job.rows()
        digest, size = hashlib.sha256(), 0
        for data in lines(iter(job.parts(""))):
            output.write(data)
            digest.update(data)
            size += len(data)
        output.flush()
        return job.recorded([Written("-", None, rows, size, digest.hexdigest())], None, None)


# --- the plan ------------------------------------------------------------------------------


def _begun(ledger: Ledger, folder: Folder, recipe: Recipe, options: ExportOptions) -> Plan:
    """The plan of the run that is to go on, or a new one."""
    mark = _fingerprint(recipe, options)
    if options.resume:
        kept = folder.kept(PLAN, tuple[str, Plan, int])
        if kept is None:
            raise Invalid(f"there is no export to go on with at {folder.path}: leave --resume out")
        if kept[2] != erased(ledger):
            folder.empty()
            raise Invalid(
                "something was erased since that export began, and its parts may hold it: they are "
                "gone; leave --resume out to begin anew"
            )
        if kept[0] != mark:
            raise Invalid(
                "the export that was broken off was asked for otherwise (or by another version): "
                "ask the same, or leave --resume out to begin anew"
            )
        return kept[1]
    folder.empty()
    gone = erased(ledger)
    plan = _planned(ledger, recipe, options)
    folder.keep(PLAN, (mark, plan, gone))
    return plan


def erased(ledger: Ledger) -> int:
    """How often something was erased from the ledger."""
    with ledger._database.read() as tx:
        row = tx.one("audit_erased")
    return int(row[0]) if row else 0


def _fingerprint(recipe: Recipe, options: ExportOptions) -> str:
    return manifest.fingerprint(
        recipe,
        splits=msgspec.to_builtins(options.splits),
        branches=options.branches,
        since=str(options.since_export),
        clew=__version__,
    )


def _planned(ledger: Ledger, recipe: Recipe, options: ExportOptions) -> Plan:
    before = frozenset[str]()
    if options.since_export is not None:
        before = frozenset(manifest.read(options.since_export, recipe.key).marks)
    chosen = selection.keys(ledger, recipe.selection)
    with ledger._database.read() as tx:
        return made(
            tx,
            ledger._scope,
            chosen,
            options.splits,
            recipe.key,
            branches=options.branches or recipe.shape.family is not None,
            before=before,
        )


def _nothing_said(plan: Plan) -> Counter[str]:
    dropped = Counter({"no messages": plan.silent, "exported before": plan.same})
    return +dropped


# --- the run -------------------------------------------------------------------------------


class _Job:
    """One run over a plan."""

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan,
        recipe: Recipe,
        options: ExportOptions,
        folder: Folder,
        on_progress: OnProgress | None,
    ) -> None:
        self._ledger = ledger
        self._plan = plan
        self._recipe = recipe
        self._options = options
        self._folder = folder
        self._on_progress = on_progress
        self._dropped = _nothing_said(plan)
        self._redactions: Counter[str] = Counter()
        self._not_spread = 0
        self._facts: dict[str, Counter[str]] = {}
        self._review: list[str] = []
        self._marks: list[str] = []
        self._done: list[Made] = []
        self._steps = self._bytes = 0

    def rows(self) -> int:
        """Run both passes; gives the number of rows."""
        engine = _engine(self._ledger, self._recipe, self._options, self._folder)
        try:
            first = [self._took(part, part.sessions) for part in engine.first(self._plan.units)]
            left_out = _alike(first, self._recipe.near)
            union = Union(told(united(first)), left_out)
            self._folder.keep(UNION, union)
            self._done = [self._took(part, part.sessions) for part in engine.second(first)]
        finally:
            engine.close()
        return sum(part.rows for made in self._done for part in made.parts)

    def _took(self, made: Made, sessions: int) -> Made:
        self._dropped.update(made.dropped)
        self._redactions.update(made.redactions)
        self._not_spread = max(self._not_spread, made.not_spread)
        self._review += made.review
        self._marks += made.taken
        for name, counts in made.facts.items():
            self._facts.setdefault(name, Counter()).update(counts)
        self._steps += sessions
        self._bytes += sum(part.bytes for part in made.parts)
        if self._on_progress is not None:
            total = PASSES * sum(unit.sessions for unit in self._plan.units)
            self._on_progress(Progress(self._steps, total, self._bytes))
        return made

    def parts(self, split: str) -> list[Path]:
        """The files of a split, in order."""
        return [
            self._folder.part(made.number, part.split, "last")
            for made in self._done
            for part in made.parts
            if part.split == split
        ]

    def run(self, target: Target) -> Exported:
        """Do it all, and give what was written its names."""
        self.rows()
        splits = list(self._options.splits.weights) or [""]
        aside = [self._packed(target, split) for split in splits]
        other = self._independent([path for path, _ in aside])
        written = [one for _, one in aside]
        about = self._manifest(written, other)
        note = self._folder.path / "manifest"
        with private(note) as stream:
            stream.write(manifest.encoded(about))
        named = [
            (path, target.named(split)) for split, (path, _) in zip(splits, aside, strict=True)
        ]
        if self._options.card:
            named.append((self._card(about), target.card))
        target.take([*named, (note, target.manifest)])
        return self.recorded(written, target, other)

    def _packed(self, target: Target, split: str) -> tuple[Path, Written]:
        """A split's file, or folder, whole and looked at, beside its name."""
        rows = sum(p.rows for made in self._done for p in made.parts if p.split == split)
        aside = self._folder.path / f"whole-{split or '-'}"
        redactor = None
        if self._recipe.redaction is not None and target.kind != "lines":
            redactor = self._recipe.redactor()
        size, digest = pack(
            self.parts(split), aside, self._recipe.shape, target.kind, redactor, rows
        )
        sync_folder(self._folder.path)
        return aside, Written(_shown(target.named(split)), split or None, rows, size, digest)

    def _independent(self, paths: Sequence[Path]) -> int | None:
        """What another scanner finds in the files. Raises `RedactionFailed` when it does."""
        if not self._options.independent or self._recipe.redaction is None:
            return None
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                found = independent.findings(file)
                if found:
                    shown = "; ".join(str(one) for one in found[:_FINDINGS_SHOWN_MAX])
                    raise RedactionFailed(
                        f"another scanner found {len(found)} secrets in {file.name} ({shown}); "
                        "nothing was exported. Leave that session out, or --independent"
                    )
        return 0

    def _manifest(self, written: list[Written], other: int | None) -> Manifest:
        facts = {name: dict(counts.most_common()) for name, counts in self._facts.items()}
        marks = sorted({*self._plan.marks, *self._marks})
        return Manifest(
            schema=manifest.SCHEMA,
            clew=__version__,
            ledger=manifest.key_id(self._recipe.key),
            created=manifest.created(),
            format=self._recipe.format,
            selection=self._told(msgspec.to_builtins(self._recipe.selection)),
            options=self._chosen(),
            sessions=self._plan.sessions,
            rows=sum(one.rows for one in written),
            files=written,
            dropped=dict(sorted(self._dropped.items())),
            outcomes=facts.get("outcomes", {}),
            tiers=facts.get("tiers", {}),
            models=facts.get("models", {}),
            agents=facts.get("agents", {}),
            redaction=self._redacted(other),
            license=self._options.license,
            position=manifest.position(marks),
            marks=marks,
        )

    def _told(self, value: Any) -> Any:
        """What was asked for, without what redaction finds in it."""
        redactor = self._recipe.redactor()
        return value if redactor is None else redactor.redact(value)

    def _chosen(self) -> dict[str, Any]:
        options, recipe = self._options, self._recipe
        return {
            "splits": options.splits.weights,
            "seed": options.splits.seed,
            "branches": "all" if options.branches else "head",
            "near_duplicates": recipe.near,
            "train_shared": recipe.train_shared,
            "verifier": manifest.name_of(recipe.verifier),
            "summarise": manifest.name_of(recipe.summarise),
            "shaping": msgspec.to_builtins(recipe.shaping),
            "continues": options.since_export is not None,
        }

    def _redacted(self, other: int | None) -> Redacted | None:
        redactor = self._recipe.redactor()
        if redactor is None or self._recipe.redaction is None:
            return None
        return Redacted(
            ruleset=redactor.ruleset,
            key_id=manifest.key_id(self._recipe.key),
            policy=self._recipe.redaction.policy.named(),
            counts=self._counts(left=False),
            left=self._counts(left=True),
            not_spread=self._not_spread,
            review=sorted(set(self._review)),
            verified=True,
            independent=other,
        )

    def _counts(self, *, left: bool) -> dict[str, int]:
        """Finds by rule: those that were replaced, or those that a policy leaves as they are."""
        redactor = self._recipe.redactor()
        if redactor is None:
            return {}
        found = sorted(self._redactions.items())
        return {rule: count for rule, count in found if redactor.leaves(rule) is left}

    def _card(self, about: Manifest) -> Path:
        from clew.exporters.card import card

        aside = self._folder.path / "card"
        with private(aside) as stream:
            stream.write(card(msgspec.to_builtins(about)).encode())
        return aside

    def recorded(
        self, written: list[Written], target: Target | None, other: int | None
    ) -> Exported:
        """Put it on record, and say what it was."""
        rows, size = sum(one.rows for one in written), sum(one.bytes for one in written)
        digest = written[0].sha256 if len(written) == 1 else ""
        if not digest and target is not None:
            digest = hashlib.sha256(target.manifest.read_bytes()).hexdigest()
        facts: dict[str, Any] = {
            "format": self._recipe.format,
            "rows": rows,
            "redacted": self._recipe.redaction is not None,
            "bytes": size,
            "sha256": digest,
        }
        chosen = self._recipe.redaction
        if chosen is not None and not chosen.policy.plain:
            facts["policy"] = chosen.policy.named()
        ledger = self._ledger
        if ledger._database.writable:
            ledger._run(lambda tx: ledger._record(tx, "export", **facts), 0)
        return Exported(
            rows=rows,
            bytes=size,
            sha256=digest,
            path=target.path if target else None,
            dropped=dict(sorted(self._dropped.items())),
            redacted=self._recipe.redaction is not None,
            redactions=self._counts(left=False),
            left=self._counts(left=True),
            not_spread=self._not_spread,
            sessions=self._plan.sessions,
            files=tuple(written),
            manifest=target.manifest if target else None,
            review=tuple(sorted(set(self._review))),
        )


def _shown(path: Path) -> str:
    """A file's name as text, whatever its bytes."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _engine(ledger: Ledger, recipe: Recipe, options: ExportOptions, folder: Folder) -> Engine:
    if options.workers < 1:
        raise Invalid(f"workers={options.workers}: give at least one")
    if options.engine == "ray":
        from clew.exporting.ray import Cluster

        return Cluster(ledger._database.url, recipe, folder, options.workers)
    if options.engine != "local":
        raise Invalid(f"engine={options.engine!r}: there are `local` and `ray`")
    if options.workers == 1:
        return Here(ledger._database, recipe, folder)
    return Processes(ledger._database.url, recipe, folder, options.workers)


def _alike(parts: Sequence[Made], near: float | None) -> dict[int, list[int]]:
    """By unit, the sessions that repeat an earlier one."""
    if near is None:
        return {}
    marked = [(made.number, *told) for made in parts for told in made.signatures]
    repeated = duplicates.near_duplicates(
        [mark for *_, mark in marked], near, [root for _, _, root, _ in marked]
    )
    found: dict[int, list[int]] = {}
    for index in repeated:
        number, owner, _, _ = marked[index]
        found.setdefault(number, []).append(owner)
    return found
