"""Which messages of an OpenCode session are copies.

A fork is a session of its own: what was said before is copied row by row, with new ids and with
the same times, words, calls and tokens, and nothing names the original. But it is older than the
session that it stands in, which no other message is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.canonical import canonical, content_id, parse
from clew.importers.facts import text
from clew.importers.opencode_records import created, info_of, parts_of, role_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clew.importers.opencode_held import Held, Stored

_TELLING = frozenset({"text", "reasoning", "tool", "compaction", "file", "subtask"})


class Forks:
    """Finds the original of each message of a fork."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._begun: Mapping[str, tuple[int, int]] | None = None
        self._prints: dict[str, list[tuple[str, bytes]]] = {}

    def begun(self) -> Mapping[str, tuple[int, int]]:
        """See `Held.begun`; asked once."""
        if self._begun is None:
            self._begun = self._held.begun()
        return self._begun

    def is_fork(self, session: str) -> bool:
        """True for a session that begins with something older than itself."""
        made, first = self.begun().get(session, (0, 0))
        return 0 < first < made

    def copied(self, session: str) -> dict[str, str]:
        """The leading messages that are copies, each with the name of its original's record,
        `<session>/<message>`. Of a copy of a copy that is the first of all.
        """
        if not self.is_fork(session):
            return {}
        made, first = self.begun()[session]
        older = sorted(
            (at, id)
            for id, (at, begun) in self.begun().items()
            if begun == first and (at, id) < (made, session)
        )
        own = self._prints_of(session)
        best: list[tuple[str, str]] = []
        source = ""
        for _at, id in older:
            pairs = []
            for (mine, said), (theirs, told) in zip(own, self._prints_of(id), strict=False):
                if said != told:
                    break
                pairs.append((mine, theirs))
            if len(pairs) > len(best):
                best, source = pairs, id
        names = self.copied(source) if source else {}
        return {mine: names.get(theirs, f"{source}/{theirs}") for mine, theirs in best}

    def _prints_of(self, session: str) -> list[tuple[str, bytes]]:
        """Each message with a digest of what a copy has in common with its original."""
        if session not in self._prints:
            stored = self._held.messages(session)
            self._prints[session] = [(each.id, _print(each)) for each in stored]
        return self._prints[session]


def _print(stored: Stored) -> bytes:
    try:
        value = parse(stored.body)
    except (msgspec.DecodeError, RecursionError):
        return stored.body
    info = info_of(value)
    said = [
        [part.get("type"), text(part, "text"), text(part, "callID"), text(part, "tool")]
        for part in parts_of(value)
        if text(part, "type") in _TELLING
    ]
    return content_id(canonical([role_of(info), created(info), said]))
