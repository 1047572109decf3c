"""What is done to every session of an export, wherever it is done: the pure settings of the work.

They go to other processes as they are, so everything in them can be pickled: functions are named
ones of a module, never lambdas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid
from clew.exporters import formats
from clew.exporters.base import line
from clew.exporters.outcome import Rule
from clew.exporters.shaping import Shaping
from clew.exporters.trajectory import Verifier
from clew.exporting.selection import Selection
from clew.redaction import Redactor
from clew.redaction.policy import Policy

if TYPE_CHECKING:
    from clew.exporters.base import Row
    from clew.exporters.formats import Format

Summarise = Callable[[list["Row"]], str]
Detector = Callable[[str], Iterable[tuple[int, int, str]]]


@dataclass(frozen=True)
class Redaction:
    """How an export is redacted. `policy` says what happens to a find, by rule or type; `names`
    are words of one's own (people, customers) and `known` secrets that are replaced wherever they
    stand; `detectors` find more: each gives `(start, end, type)` for a text.
    """

    policy: Policy = field(default_factory=Policy)
    names: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    detectors: tuple[Detector, ...] = ()


class Judge:
    """A verifier as rows are shown to it: it gets a copy, and what goes wrong in it is told with
    its name and the session's. Raises `Invalid`.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self.__name__ = getattr(verifier, "__name__", type(verifier).__name__)

    def __call__(self, row: Row) -> str | None:
        """What it says of a row."""
        try:
            return self._verifier(msgspec.json.decode(line(row)))
        except (Exception, SystemExit) as error:
            raise Invalid(
                f"the verifier {self.__name__} failed on session {row['session_id']}: "
                f"{type(error).__name__}: {error}"
            ) from error


@dataclass(frozen=True)
class Recipe:
    """What an export does to each session. `key` is the one that placeholders are made with."""

    format: str = "native"
    selection: Selection = field(default_factory=Selection)
    shaping: Shaping = field(default_factory=Shaping)
    redaction: Redaction | None = field(default_factory=Redaction)
    key: bytes = b""
    near: float | None = None
    """Of sessions that are alike at least so much (0 to 1) only the first is exported."""
    train_shared: bool = False
    """Whether what branches share is fit to learn from in each of them, and not in the first
    alone."""
    outcome_rules: tuple[Rule, ...] = ()
    verifier: Verifier | None = None
    summarise: Summarise | None = None

    def __post_init__(self) -> None:
        formats.named(self.format)
        if self.near is not None and not 0 < self.near <= 1:
            raise Invalid(f"near={self.near}: give how alike, above 0 and up to 1, like 0.9")
        for name in ("verifier", "summarise"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise Invalid(f"{name}={function!r} cannot be called: give a function")

    @property
    def judge(self) -> Verifier | None:
        """The verifier, held to its place; `None` where there is none."""
        return None if self.verifier is None else Judge(self.verifier)

    @cached_property
    def shape(self) -> Format:
        """The format by its name."""
        return formats.named(self.format)

    def redactor(self) -> Redactor | None:
        """One that has learned nothing yet; `None` without redaction."""
        chosen = self.redaction
        if chosen is None:
            return None
        return Redactor(
            self.key,
            known=chosen.known,
            policy=chosen.policy,
            names=chosen.names,
            extra=chosen.detectors,
        )
