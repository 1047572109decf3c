"""What a full-text index takes, what it gives back, and what it promises.

An index is a projection: it may be dropped and built again at any time, and one that fails
fails alone. It keeps, per session, the *mark* up to which it is complete; documents and marks
come in one transaction, so that nothing is indexed twice or skipped. What matches is defined
by `clew.search.query.matches` on the passages of a document; every index finds exactly that.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from clew.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clew.search.query import Node


class IndexUnavailable(Unavailable):
    """The index is damaged or gone. The ledger is not: clear the index and build it again."""


class Doc(msgspec.Struct, frozen=True):
    """One entry as the index sees it. `entry`, `project` and `session` are the ledger's own
    numbers; `tools` are the names of the tools called or answered in it; `texts` goes by kind
    (see `clew.search.documents`) and holds at most one of user, assistant and system.
    """

    entry: int
    project: int
    session: int
    seq: int
    time_ms: int
    tools: tuple[str, ...]
    texts: dict[str, str]


class Filters(msgspec.Struct, frozen=True):
    """What a hit must be, besides matching. With `kinds`, only texts of those kinds are
    looked at, by NOT too. `tool` is a tool's exact name. `since_ms <= time < until_ms`.
    """

    project: int | None = None
    session: tuple[int, ...] | None = None
    kinds: tuple[str, ...] | None = None
    tool: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class Match(msgspec.Struct, frozen=True):
    """An entry that matches. `score` grows with relevance, 0 when newest-first was asked;
    scores of two databases cannot be compared. `kind` is given where the index knows it.
    """

    entry: int
    session: int
    seq: int
    time_ms: int
    kind: str | None = None
    score: float = 0.0


class Witness(msgspec.Struct, frozen=True):
    """An entry that the index covers, and a number from its chain: a ledger that does not hold
    just this entry is not, or no longer, the one that was indexed.
    """

    entry: int
    print: int


Order = Literal["rank", "newest"]

RANK_WINDOW = 500
"""`rank` orders the newest so many matching passages: relevance among what is recent. Ordering
all matches of a common word takes 200 ms in a million documents, this takes 5."""


class Index(Protocol):
    """A full-text index. Methods raise `IndexUnavailable` when it cannot be used."""

    def add(
        self, docs: Sequence[Doc], marks: Mapping[int, int], witness: Witness | None = None
    ) -> None:
        """Index documents and move the marks (session -> complete up to seq), atomically.
        An entry that is there already is replaced; a mark never goes back, nor does the witness.
        """

    def witness(self) -> Witness | None:
        """The newest entry it covers; `None` where it cannot part from the ledger's state."""

    def marks(self) -> dict[int, int]:
        """Up to which seq each session is complete."""

    def find(self, query: Node, filters: Filters, *, order: Order, limit: int) -> list[Match]:
        """Entries with a passage that matches, each once, at most `limit`: the newest first,
        or the most relevant among the newest `RANK_WINDOW`.
        """

    def forget(self, entries: Sequence[int]) -> None:
        """Remove entries for good: nothing of their text stays in the index's own files."""

    def clear(self) -> None:
        """Forget everything, marks included; also mends a damaged index."""

    def count(self) -> int:
        """How many entries it holds."""

    def close(self) -> None:
        """Give everything back. Idempotent."""


def tool_word(name: str) -> str:
    """A tool's name as one word of ASCII letters and digits, each name another."""
    raw = name.encode("utf-8", "surrogatepass")
    return "t" + (raw.hex() if len(raw) <= 48 else "x" + hashlib.blake2b(raw).hexdigest()[:32])
