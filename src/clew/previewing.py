"""What an export's redaction would replace, looked at before anything is written.

A bounded look: the newest sessions, the first entries of each, and no very long text. It goes
through the same rows, rules and key as the export, so a placeholder seen here is the one that the
file will hold. Only redacted text comes out of it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew import reading
from clew.exporting import PLACEHOLDERS, row_of, speaks
from clew.log import look_head, path
from clew.redaction import Redactor, Replacement, replacements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clew.exporters.base import Row
    from clew.ledger import Ledger
    from clew.model import JSON, SessionInfo

SESSIONS_MAX: Final = 20
ENTRIES_MAX: Final = 200
"""Of each session."""
BYTES_MAX: Final = 2_000_000
"""After so much text no further session is looked at."""
TEXT_MAX: Final = 100_000
"""Characters; a longer text is not looked at."""
PASSES_MAX: Final = 5
SHOWN_MAX: Final = 15
"""Contexts of a session: those that show something for the first time before others."""


class Looked(msgspec.Struct, frozen=True):
    """A session that was looked at: `entries` of `total`. `rules` counts placeholders by rule;
    `places` has the first contexts, each with the entry that it stands in where that is known.
    """

    id: str
    title: str
    entries: int
    total: int
    rules: dict[str, int]
    places: tuple[tuple[Replacement, str | None], ...]
    more: int
    """Contexts that are not in `places`."""


class Preview(msgspec.Struct, frozen=True):
    """What was looked at, of `selected` sessions with messages. `rules` counts placeholders by
    rule, and in how many sessions each stands; `skipped` texts were too long to look at.
    """

    selected: int
    sessions: tuple[Looked, ...]
    rules: dict[str, tuple[int, int]]
    skipped: int

    @property
    def total(self) -> int:
        """All placeholders."""
        return sum(count for count, _ in self.rules.values())

    @property
    def whole(self) -> bool:
        """Whether everything that is selected was looked at."""
        every = all(one.entries == one.total for one in self.sessions)
        return every and not self.skipped and len(self.sessions) == self.selected


def preview(ledger: Ledger, chosen: Mapping[int, SessionInfo]) -> Preview:
    """Look at what redaction would do to these sessions (see `clew.exporting.chosen`).

    Raises `RedactionFailed` and `Invalid` for a session that the export would stumble over, too.
    """
    redactor = Redactor(ledger._secret(PLACEHOLDERS))
    taken: list[tuple[SessionInfo, Row, int, int]] = []
    skipped = used = 0
    spoken = [key for key, info in chosen.items() if speaks(info)]
    spoken.sort(key=lambda key: -chosen[key].updated_ms)
    for key in spoken[:SESSIONS_MAX]:
        if used >= BYTES_MAX:
            break
        row, entries, total = _beginning(ledger, key)
        row, left_out = _without_long_texts(row)
        skipped += left_out
        used += len(msgspec.json.encode(row))
        taken.append((chosen[key], redactor.redact(row), entries, total))
    for _ in range(PASSES_MAX):
        # What was found late may stand in what was looked at before.
        learned = redactor.learned
        taken = [(info, redactor.redact(row), *counts) for info, row, *counts in taken]
        if learned == redactor.learned:
            break
    sessions = tuple(_looked(redactor, *each) for each in taken)
    return Preview(len(spoken), sessions, _summed(sessions), skipped)


def _beginning(ledger: Ledger, key: int) -> tuple[Row, int, int]:
    with ledger._database.read() as tx:
        place = look_head(tx, key).place
        entries, _, total = reading.path_window(tx, place, None, 0, ENTRIES_MAX)
        return row_of(tx, reading.info(tx, key), key, path(tx, place), entries), len(entries), total


def _without_long_texts(row: Row) -> tuple[Row, int]:
    skipped = 0

    def kept(value: JSON) -> Any:
        nonlocal skipped
        if isinstance(value, str) and len(value) > TEXT_MAX:
            skipped += 1
            return ""
        if isinstance(value, dict):
            return {key: kept(item) for key, item in value.items()}
        if isinstance(value, list):
            return [kept(item) for item in value]
        return value

    return {key: kept(item) for key, item in row.items()}, skipped


def _looked(redactor: Redactor, info: SessionInfo, row: Any, entries: int, total: int) -> Looked:
    found = replacements(redactor, row)
    rules = Counter(piece.rule for one in found for piece in one.pieces if piece.rule)
    places = tuple((one, _entry(row, one.path)) for one in _telling(found))
    return Looked(
        id=info.id,
        title=row["title"] or "",
        entries=entries,
        total=total,
        rules=dict(rules.most_common()),
        places=places,
        more=len(found) - len(places),
    )


def _telling(found: list[Replacement]) -> list[Replacement]:
    """The contexts to show, in their order."""
    seen: set[str] = set()
    first, others = list[int](), list[int]()
    for number, one in enumerate(found):
        new = {piece.text for piece in one.pieces if piece.rule} - seen
        (first if new else others).append(number)
        seen |= new
    return [found[number] for number in sorted((first + others)[:SHOWN_MAX])]


def _entry(row: Any, path: str) -> str | None:
    """The entry of the ledger behind a place in a row."""
    parts = path.split("/")
    if len(parts) < 3 or parts[1] != "messages":
        return None
    at = row["messages"][int(parts[2])].get("at")
    return at[0] if at else None


def _summed(sessions: tuple[Looked, ...]) -> dict[str, tuple[int, int]]:
    counts: Counter[str] = Counter()
    holders: Counter[str] = Counter()
    for one in sessions:
        counts.update(one.rules)
        holders.update(one.rules.keys())
    return {rule: (count, holders[rule]) for rule, count in counts.most_common()}
