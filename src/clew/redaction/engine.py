"""Redaction of decoded JSON values, before they are written.

Rules, then every value that was found or named anywhere, are replaced until nothing more is
found: what `redact` returns, `scan` finds clean, and redacting it again changes nothing. A
secret found once is replaced everywhere from then on. What was written before it was found
needs a second pass over the output, with what all parts of it learned (`learned_state`,
`learn`). Memory holds the distinct values found, up to a limit, and no text.

What a value becomes depends on the key, the rules, the policy, what is known and named, what was
learned, and the values that this `Redactor` was given before: on nothing else, neither on the
engine nor on other processes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid, RedactionFailed
from clew.redaction.accounts import shows_home
from clew.redaction.batch import Collector, Keys, Run
from clew.redaction.find import Found, finder, leaf, telling, union
from clew.redaction.frame import made_of
from clew.redaction.gate import HYPERSCAN
from clew.redaction.judge import Strength, worth_spreading
from clew.redaction.literals import USER_CHARACTERS_MIN, Literals
from clew.redaction.policy import Action, Policy, strictest
from clew.redaction.pseudonyms import MARKER, Pseudonyms, escaped, markers
from clew.redaction.raw import LITERAL_BYTES, Lines, Places, RawGate, RawLiterals, raw_gate, spelled
from clew.redaction.report import Finding, Report
from clew.redaction.rules import ENGINE_RULES, RULES, SECRET, TYPES, USER, Rule, ruleset
from clew.redaction.walk import Walker

if TYPE_CHECKING:
    from clew.model import JSON

Detector = Callable[[str], Iterable[tuple[int, int, str]]]
"""A finder of one's own: from a text to `(start, end, type)`, in characters. It must find the same
in the same text each time."""

Look = Callable[[Run], Iterable[int]]

ROUNDS_MAX = 20
"""Replacing may bring something new to light; it never takes more than a few rounds."""
SPREAD_BYTES_MAX = 512
_SHORT_MAX = 8192
_SHORT_CHARACTERS_MAX = 200
"""Keys, roles, names and paths come again and again; what became of them is remembered."""
SEEN_BEFORE = "seen-before"
"""The rule of a value that another rule found elsewhere."""
DETECTED = "detected"
"""The rule of what an extra detector finds."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a `Redactor` knows beyond what it was made with, to be given to another one of the
    same key: found values with their types, and the placeholders that it gave out.
    """

    values: frozenset[tuple[str, str]] = frozenset()
    issued: frozenset[bytes] = frozenset()

    def __or__(self, other: Learned) -> Learned:
        """What either knows."""
        return Learned(self.values | other.values, self.issued | other.issued)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted value, what was found in it by rule, and the strictest action that a policy has
    for any of it (`redact` when nothing was found).
    """

    value: JSON
    rules: Counter[str]
    action: Action


class Redactor:
    """Replaces secrets and personal data by stable placeholders under one key.

    `key`: at least 16 random bytes, kept secret. `known`: exact secrets (from the environment, a
    user's list), `names`: of people, customers, projects, replaced as whole words. `policy` says
    what happens to a find, `extra` are finders of one's own; they are asked about every string.
    Raises `Invalid` for a short key, known secret or name.
    """

    def __init__(
        self,
        key: bytes,
        rules: Iterable[Rule] = RULES,
        known: Iterable[str] = (),
        policy: Policy | None = None,
        names: Iterable[str] = (),
        extra: Iterable[Detector] = (),
        *,
        hyperscan: bool | None = None,
    ) -> None:
        self._made_with = (key, tuple(rules), tuple(known), policy, tuple(names), tuple(extra))
        self._hyperscan = hyperscan
        self._fast = HYPERSCAN is not None if hyperscan is None else hyperscan
        _, table, given, chosen, called, self._extra = self._made_with
        self.policy = chosen or Policy()
        self.ruleset = ruleset(table)
        self.report = Report()
        types = {**ENGINE_RULES, **{rule.name: rule.type for rule in table}}
        self._types = types
        self._mild = any(
            self.policy.action(name, type_) is Action.WARN for name, type_ in types.items()
        )
        self._finder = finder(table, hyperscan)
        self._pseudonyms = Pseudonyms(key)
        self._literals = Literals(given, called, hyperscan=hyperscan)
        self._rules: dict[bytes, str] = {}
        self._short: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._keys = Keys(self._secret)
        self._keys_with = 0
        self._warned: Counter[str] = Counter()
        # What the rules find in a text depends on nothing else: the walk need not ask again.
        self._ruled: dict[bytes, list[Found]] = {}
        self._table = table
        self._raw: RawGate | None = None
        self._lines = Lines(self._finds, self._plain, self._secret)
        self._in_lines: RawLiterals | None = None
        self._in_lines_with = 0
        self._replacing = Walker(self._replaced, paths=False, on_number=self._renumbered)
        self._row: JSON = None
        self._frame: frozenset[str] | None = None
        self._hits: frozenset[str] | None = None

    def fresh(self) -> Redactor:
        """Another one, made with the same, that has learned nothing."""
        return Redactor(*self._made_with, hyperscan=self._hyperscan)

    # --- what it knows ----------------------------------------------------------------------

    @property
    def learned(self) -> int:
        """How many values are replaced wherever they stand. Grows while redacting."""
        return len(self._literals)

    def learned_state(self) -> Learned:
        """What it learned, to be united with what others did."""
        return Learned(self._literals.found, self._pseudonyms.given)

    def learn(self, learned: Learned) -> None:
        """Replace these values too, wherever they stand, and take these placeholders for ours."""
        self._literals.learn(learned.values)
        self._pseudonyms.learn(learned.issued)
        self._short.clear()

    @property
    def counts(self) -> dict[str, int]:
        """What was found so far, by rule."""
        return self.report.counts

    @property
    def not_spread(self) -> int:
        """Values found after the limit of `learned`; replaced only where a rule finds them. Each
        is counted once, up to some hundred thousand.
        """
        return self._literals.refused

    def rule_of(self, placeholder: bytes) -> str | None:
        """The rule that first found what a placeholder stands for; `None` for one of others."""
        return self._rules.get(placeholder)

    def action(self, rules: Iterable[str]) -> Action:
        """The strictest action that the policy has for what these rules find."""
        return strictest(self.policy.action(rule, self._types.get(rule, SECRET)) for rule in rules)

    def leaves(self, rule: str) -> bool:
        """Does the policy leave what this rule finds as it is? It is counted all the same."""
        return rule != SEEN_BEFORE and self.action([rule]) is Action.WARN

    # --- whole values -----------------------------------------------------------------------

    def redact(self, value: JSON) -> JSON:
        """`value` with everything found replaced, keys included; what changes is copied.

        Raises `RedactionFailed` when replacing does not come to an end and `Invalid` for a
        value that is nested too deep to be searched.
        """
        learned, forms = -1, 0
        while learned != self.learned:
            # What the rules find is gone after the first time; what they taught may be elsewhere.
            again = learned >= 0 and not self._mild
            if again and not self._holds(value, forms):
                break
            learned, forms = self.learned, self._literals.forms
            touched = self._touched(value, self._look_again if again else self._look)
            if touched is None or touched:
                value = self._replacing.walk(value, touched)
        for rule, count in self._warned.items():
            self.report.add(rule, count)
        return value

    def redact_row(self, value: JSON) -> Redacted:
        """`redact`, and what was found in this value."""
        before = self.counts
        value = self.redact(value)
        rules = self.report.since(before)
        return Redacted(value, rules, self.action(rules))

    def scan(self, value: JSON) -> list[Finding]:
        """What rules and known values still find in `value`; empty for redacted ones. What a
        policy leaves as it is is none.
        """
        out: list[Finding] = []
        touched = self._touched(value)
        if touched is not None and not touched:
            return out

        def found_in(text: str, key: str, path: str, *, spread: bool) -> str:
            data = _encoded(text)
            found = self._find(data, key, _issued_only(data, self._pseudonyms), spread=spread)
            out.extend(Finding(one.rule, path, one.start, one.end) for one in found)
            # A key that changes is not shown in a path.
            return "" if found else text

        on_text, on_number = (partial(found_in, spread=spread) for spread in (True, False))
        Walker(on_text, paths=True, on_number=on_number).walk(value, touched)
        return out

    def suspects(self, line: bytes) -> bool:
        """A first look at a written line of JSON: False means that `scan` finds nothing in it.
        It is quick where that is so. True may be wrong.

        Raises `ValueError` for a line that is no JSON.
        """
        if self._extra or not self._fast:
            return bool(self.scan(msgspec.json.decode(line)))
        if self._raw is None:
            self._raw = raw_gate(self._table)
        places = self._raw.places(line)
        if not self._mentions(line, places):
            return bool(self.scan(msgspec.json.decode(line)))
        return self._lines.suspects(line, places)

    def mentions(self, line: bytes) -> bool:
        """Does a written line hold what this redactor knows or has learned, whatever the rules
        say? Much quicker than `suspects`; False means that what was learned is not in it.
        """
        places = Places()
        return not self._mentions(line, places) or bool(places.inside) or spelled(line)

    def _mentions(self, line: bytes, places: Places) -> bool:
        """Add where known values may stand; False when that cannot be said."""
        if self._in_lines is None or self._in_lines_with != self.learned:
            self._in_lines = self._literals.within_json()
            self._in_lines_with = self.learned
        for place in self._in_lines.places(line):
            places.inside.setdefault(place, LITERAL_BYTES)
        return not self._in_lines.anywhere

    def _holds(self, value: JSON, since: int) -> bool:
        """May it hold a value that was learned after there were so many forms?"""
        try:
            line = msgspec.json.encode(value)
        except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
            return True
        new = self._literals.within_json(since)
        return new.anywhere or spelled(line) or next(new.places(line), None) is not None

    def _finds(self, text: str, key: str) -> bool:
        # A document under a telling key: its items stand under that key too.
        touched = self._touched({key: text} if key else text)
        return touched is None or bool(touched)

    def _plain(self, text: str) -> bool:
        data = _encoded(text)
        return bool(self._acting(self._finder.find(data) + self._literals.find(data)))

    def _touched(self, value: JSON, look: Look | None = None) -> frozenset[int] | None:
        """See `Collector.touched`."""
        if self._keys_with != self.learned:
            self._keys.known.clear()
            self._keys_with = self.learned
        self._warned.clear()
        self._ruled.clear()
        self._row, self._frame = value, None
        collector = Collector(look or self._look, self._keys)
        touched = collector.touched(value)
        self._hits = collector.texts
        return touched

    def _look_again(self, run: Run) -> Iterable[int]:
        """The texts that hold a known value."""
        data, starts = run.encoded()
        return {bisect_right(starts, one.start) - 1 for one in self._literals.find(data)}

    def _look(self, run: Run) -> Iterable[int]:
        """The texts in which something is to be replaced."""
        data, starts = run.encoded()
        literals = self._literals.find(data)
        found = {bisect_right(starts, one.start) - 1 for one in self._acting(literals)}
        found.update(
            bisect_right(starts, span[0]) - 1
            for span in markers(data)
            if not self._pseudonyms.issued(_cut(data, span))
        )
        for number, windows in self._finder.gate.touched(data, starts).items():
            text = data[starts[number] : starts[number + 1] - 1]
            ruled = self._finder.find(text, windows)
            if self._acting(ruled):
                self._ruled[text] = ruled
                found.add(number)
        for number, key in run.telling:
            whole = leaf(_encoded(run.texts[number]), _encoded(key))
            if whole is not None and self._acting([whole]):
                found.add(number)
        if self._extra:
            for number, plain in enumerate(run.texts):
                if self._acting(self._detected(plain)):
                    found.add(number)
        return found

    def _acting(self, found: list[Found]) -> list[Found]:
        """Without those that the policy leaves as they are, which are counted."""
        if not self._mild or not found:
            return found
        acting = [one for one in found if self._rank(one)]
        self._warned.update(one.rule for one in found if not self._rank(one))
        return acting

    # --- one string -----------------------------------------------------------------------

    def _replaced(self, text: str, key: str, path: str) -> str:
        if self._hits is not None and text not in self._hits:
            return text
        secret = self._secret(key)
        if not secret:
            seen = self._short.get(text)
            if seen is not None:
                for rule in seen[1]:
                    self.report.add(rule)
                return seen[0]
        new, rules = self._rewritten(text, key if secret else "")
        # What a placeholder look-alike becomes depends on what was given out by then, and what
        # was found before stays where it is a name of the row.
        plain = not secret and self._frame is None and "<" not in text
        if plain and len(text) <= _SHORT_CHARACTERS_MAX:
            if len(self._short) >= _SHORT_MAX:
                self._short.clear()
            self._short[text] = new, rules
        for rule in rules:
            self.report.add(rule)
        return new

    def _renumbered(self, text: str, key: str, path: str) -> str:
        """A number: what was found before does not make a text of it."""
        new, rules = self._rewritten(text, key if self._secret(key) else "", spread=False)
        for rule in rules:
            self.report.add(rule)
        return new

    @staticmethod
    def _secret(key: str) -> bool:
        """Does the key say something about the value below it?"""
        return bool(key) and telling(_encoded(key)) is not Strength.NONE

    def _rewritten(
        self, text: str, key: str, *, spread: bool = True
    ) -> tuple[str, tuple[str, ...]]:
        """The text with everything found replaced, and the rules that found it."""
        data = _encoded(text)
        new = self._escaped(data)
        rules: list[str] = []
        for _ in range(ROUNDS_MAX):
            found = self._find(new, key, _issued_only(new, self._pseudonyms), spread=spread)
            if not found:
                same = new is data
                return (text if same else _decoded(new)), tuple(rules)
            rules += [one.rule for one in found]
            new = self._spliced(new, found)
        raise RedactionFailed(
            f"a text of {len(data)} bytes was not clean after {ROUNDS_MAX} rounds of "
            "replacing; leave its session out of the export"
        )

    def _find(
        self, data: bytes, key: str, ours: list[tuple[int, int]], *, spread: bool = True
    ) -> list[Found]:
        """What is to be replaced in a text; `spread`: also what was found before."""
        ruled = self._ruled.get(data)
        found = list(self._finder.find(data) if ruled is None else ruled)
        found += self._known(data, spread=spread)
        if key and (whole := leaf(data, _encoded(key))):
            found.append(whole)
        if self._extra:
            found += self._detected(_decoded(data))
        if found and self._mild:
            found = [one for one in found if self._rank(one)]
        if not found:
            return found
        return union(_around(found, ours) if ours else found, data, self._rank)

    def _known(self, data: bytes, *, spread: bool) -> list[Found]:
        """What is known or was found before, but for what the row itself is made of."""
        found = self._literals.find(data)
        if not any(one.rule == SEEN_BEFORE for one in found):
            return found
        if self._frame is None:
            self._frame = made_of(self._row)
        if not spread or _decoded(data) in self._frame:
            return [one for one in found if one.rule != SEEN_BEFORE]
        return [
            one
            for one in found
            if one.rule != SEEN_BEFORE or _decoded(data[one.start : one.end]) not in self._frame
        ]

    def _rank(self, one: Found) -> int:
        """How strictly the policy treats a find; 0 when it leaves it. What was found before by
        a rule that replaces is always replaced.
        """
        if one.rule == SEEN_BEFORE:
            return Action.REDACT.rank
        return self.policy.action(one.rule, one.type).rank

    def _detected(self, text: str) -> list[Found]:
        out: list[Found] = []
        for detector in self._extra:
            for start, end, type_ in detector(text):
                if type_ not in TYPES:
                    raise Invalid(
                        f"a detector finds {type_!r}, and placeholders have the types "
                        f"{', '.join(TYPES)}; have it give one of these"
                    )
                if 0 <= start < end <= len(text):
                    before = len(_encoded(text[:start]))
                    size = len(_encoded(text[start:end]))
                    out.append(Found(before, before + size, DETECTED, type_))
        return out

    def _escaped(self, data: bytes) -> bytes:
        """Text that looks like a placeholder and is none of ours gets another look."""
        alike = [span for span in markers(data) if not self._pseudonyms.issued(_cut(data, span))]
        if not alike:
            return data
        pieces, at = [], 0
        for start, end in alike:
            pieces += [data[at:start], escaped(data[start:end])]
            at = end
        return b"".join([*pieces, data[at:]])

    def _spliced(self, data: bytes, found: list[Found]) -> bytes:
        pieces, at = [], 0
        for one in found:
            self._learn(one, data)
            value = data[one.start : one.end]
            original = self._literals.original(value, one.type) or _decoded(value)
            placeholder = self._pseudonyms.placeholder(one.type, original)
            self._rules.setdefault(placeholder, one.rule)
            pieces += [data[at : one.start], placeholder]
            at = one.end
        pieces.append(data[at:])
        return b"".join(pieces)

    def _learn(self, one: Found, data: bytes) -> None:
        value = data[one.start : one.end]
        if len(value) > SPREAD_BYTES_MAX or MARKER.search(value):
            return
        if self._literals.original(value, one.type) is not None:
            return
        before = self.learned
        if (one.type == SECRET and worth_spreading(value)) or (
            one.type == USER
            and len(_decoded(value)) >= USER_CHARACTERS_MIN
            and shows_home(data, one.start, one.end, one.rule)
        ):
            self._literals.add_found(_decoded(value), one.type)
        if self.learned != before:
            self._short.clear()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _cut(data: bytes, span: tuple[int, int]) -> bytes:
    return data[span[0] : span[1]]


def _issued_only(data: bytes, pseudonyms: Pseudonyms) -> list[tuple[int, int]]:
    return [span for span in markers(data) if pseudonyms.issued(_cut(data, span))]


def _around(found: list[Found], ours: list[tuple[int, int]]) -> list[Found]:
    """Placeholders are whole: a find inside one is none, one that cuts it covers it."""
    ends = [end for _, end in ours]
    starts = [start for start, _ in ours]
    out = []
    for one in found:
        first = bisect_right(ends, one.start)
        last = bisect_left(starts, one.end) - 1
        if first > last:
            out.append(one)
        elif not (starts[first] <= one.start and one.end <= ends[first]):
            start, end = min(one.start, starts[first]), max(one.end, ends[last])
            out.append(Found(start, end, one.rule, one.type))
    return out
