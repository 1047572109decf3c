"""Files of OpenTelemetry traces: read as if what is in them had been sent to the receiver.

What is recorded is what `POST /v1/traces` records: spans with all their attributes, the messages
that they carry, and the sessions that these make. The file's own bytes are not kept, and nothing
is remembered of the file: it is read whole each time, and what is known already changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from clew import telemetry
from clew.errors import Conflict, Invalid, NotFound, Stale
from clew.gather import Progress, gather
from clew.importers import IMPORTERS
from clew.looking import Held, walk
from clew.names import mended
from clew.otlp import files, mapping
from clew.otlp.model import REASON_CHARS_MAX, SPANS_MAX, OtlpSpan
from clew.source import Imported, Note, source_name
from clew.telemetry import Address, Known, Recent, Report, Reports, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clew.ledger import Ledger

NAME: Final = "otlp"
BATCH_SPANS: Final = 2_000
"""So many spans are recorded together: a span finds its conversation by those beside it."""
REASONS_MAX: Final = 20
"""Reasons why spans of a file were not taken that are told; all spans are counted."""


def import_from(
    ledger: Ledger,
    root: Path,
    *,
    importer: str | None,
    on_progress: Callable[[Progress], None] | None,
) -> Imported:
    """See `Ledger.import_from`: histories of agents, and files of traces."""
    if importer not in (None, NAME):
        return gather(ledger, root, importer=importer, on_progress=on_progress)
    found = [root] if root.is_file() and importer == NAME else _below(ledger, root)
    report = Imported()
    if importer is None:
        try:
            report = gather(ledger, root, importer=None, on_progress=on_progress)
        except NotFound:
            if not found:
                raise
    elif not found:
        raise NotFound(f"{root} holds no traces: name a file of OTLP in JSON or protobuf")
    sizes = [path.stat().st_size for path in found]
    recorder = _Recorder(ledger, report)
    for number, path in enumerate(found):
        if on_progress:
            done, total = sum(sizes[:number]), sum(sizes)
            on_progress(Progress(number, len(found), done, total, mended(str(path))))
        recorder.take_file(path)
    recorder.count()
    return report


def _below(ledger: Ledger, root: Path) -> list[Path]:
    """The files of traces at or below a root. What an importer has read is none."""
    held = Held(ledger, IMPORTERS)
    names = (
        name
        for name, _mark in walk(root)
        if files.is_named_so(name) and not held.by_others(NAME, source_name(Path(name)))
    )
    return [path for path in map(Path, sorted(names)) if files.identify(path)]


class _Recorder:
    """Records what is in files, session by session."""

    def __init__(self, ledger: Ledger, report: Imported) -> None:
        self._ledger = ledger
        self._report = report
        self._reports = Reports()
        self._histories: Recent[int, Known] = Recent(telemetry.KNOWN_MAX)
        self._targets: Recent[Address, Target] = Recent(2 * SPANS_MAX)
        self._traces: Recent[str, Target] = Recent(2 * SPANS_MAX)
        self._made: set[int] = set()
        self._grown: set[int] = set()
        self._path = Path()
        self._refused: dict[str, int] = {}

    def take_file(self, path: Path) -> None:
        """Record all that can be of a file; what cannot becomes a note."""
        self._path, self._refused = path, {}
        self._report.files += 1
        before = self._report.added
        spans: list[OtlpSpan] = []
        try:
            for found in files.read(path):
                self._report.bytes += found.length
                if found.request is None:
                    self._note(found.note or "", found.at)
                    continue
                for reason, one in found.request.refused.reasons.items():
                    self._note(
                        f"{one.count} not taken, the first {one.span or '?'}: {reason}", found.at
                    )
                spans += found.request.spans
                if len(spans) >= BATCH_SPANS:
                    self._record(spans)
                    spans = []
            self._record(spans)
        except (OSError, Invalid) as error:
            self._note(f"not read: {error}")
        for reason, count in self._refused.items():
            self._note(f"{count} spans not taken: {reason}")
        self._report.unchanged += self._report.added == before

    def count(self) -> None:
        """Tell how many sessions were made and have grown."""
        self._report.sessions_new += len(self._made)
        self._report.sessions_grown += len(self._grown - self._made)

    def _note(self, text: str, at: int | None = None) -> None:
        self._report.notes.append(Note(source_name(self._path), at, mended(text)))

    def _refuse(self, error: Exception, count: int) -> None:
        reason = str(error)[:REASON_CHARS_MAX]
        if reason not in self._refused and len(self._refused) >= REASONS_MAX:
            reason = "for other reasons"
        self._refused[reason] = self._refused.get(reason, 0) + count

    def _record(self, spans: Sequence[OtlpSpan]) -> None:
        by_address: dict[Address, list[Report]] = {}
        self._report.records += len(spans)
        for told in mapping.mapped(spans):
            try:
                report = self._reports.of(told)
            except Invalid as error:
                self._refuse(error, 1)
            else:
                by_address.setdefault(telemetry.address(told), []).append(report)
        self._locate(by_address)
        groups: dict[int, tuple[Target, list[Report]]] = {}
        for address, group in by_address.items():
            target = self._targets[address]
            groups.setdefault(target.session._key, (target, []))[1].extend(group)
        elsewhere: dict[int, list[Report]] = {}
        for target, group in groups.values():
            for key, report in self._unit(target, group):
                elsewhere.setdefault(key, []).append(report)
        for key, group in elsewhere.items():
            found = telemetry.located_by_key(self._ledger, key)
            if found is not None:
                self._unit(found, group)

    def _locate(self, groups: dict[Address, list[Report]]) -> None:
        """Have a target for every address: by one look, and one commit for the new ones. The rest
        of a trace goes where it went before.
        """
        missing: list[Address] = []
        for address, group in groups.items():
            known = self._targets.use(address)
            if known is None and address[0] == telemetry.TRACE_FRONTEND:
                known = self._traces.use(group[0].told.trace)
            if known is None:
                missing.append(address)
            else:
                self._targets.keep(address, known)
        wanted = [telemetry.wanted(address, groups[address]) for address in missing]
        for one, target in zip(wanted, telemetry.located(self._ledger, wanted), strict=True):
            self._targets.keep(one.address, target)
            if target.made:
                self._made.add(target.session._key)

    def _unit(self, target: Target, group: list[Report]) -> list[tuple[int, Report]]:
        """Record spans in one session; gives those that another session has already."""
        unit = telemetry.recorder(target.session, group, self._histories, talk=target.talk)
        try:
            kept = target.session._write(unit)
        except (Conflict, Invalid, Stale) as error:
            if len(group) == 1 or isinstance(error, Stale):
                self._refuse(error, len(group))
                return []
            # One of them is to blame: each for itself, none at a neighbour's cost.
            return [pair for report in group for pair in self._unit(target, [report])]
        others = {id(report) for _key, report in kept.elsewhere}
        ours = [report for report in group if id(report) not in others]
        fresh = sum(report.draft.fresh for report in ours)
        self._report.added += fresh
        self._report.known += len(ours) - fresh
        if fresh:
            self._grown.add(target.session._key)
        for report in ours:
            self._traces.keep(report.told.trace, target)
        return kept.elsewhere
