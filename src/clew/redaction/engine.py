"""Redaction of decoded JSON values, before they are written.

Rules, then every value that was found or named anywhere, are replaced until nothing more is
found: what `redact` returns, `scan` finds clean, and redacting it again changes nothing. A
secret found once is replaced everywhere from then on. What was written before it was found
needs a second pass over the output (`learned` tells; `clew.exporters.files` makes it), or a
first pass with `observe`. Memory holds the distinct values found, up to a limit, and no text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from clew.errors import RedactionFailed
from clew.redaction.find import Finder, Found, leaf, union
from clew.redaction.judge import Strength, strength, worth_spreading
from clew.redaction.literals import USER_CHARACTERS_MIN, Literals
from clew.redaction.pseudonyms import MARKER, Pseudonyms, escaped, markers
from clew.redaction.report import Finding, Report
from clew.redaction.rules import RULES, SECRET, USER, Rule, ruleset
from clew.redaction.walk import Walker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clew.model import JSON

ROUNDS_MAX = 20
"""Replacing may bring something new to light; it never takes more than a few rounds."""
SPREAD_BYTES_MAX = 512
_SHORT_MAX = 8192
_SHORT_CHARACTERS_MAX = 200
"""Keys, roles, names and paths come again and again; what became of them is remembered."""
_EDGES = {"home-slug"}
"""Rules whose find may be only a part of the value: not replaced elsewhere."""


class Redactor:
    """Replaces secrets and personal data by stable placeholders under one key.

    `key`: at least 16 random bytes, kept secret. `known`: exact secrets (from the
    environment, a user's list). Raises `Invalid` for a short key or a short known secret.
    """

    def __init__(
        self, key: bytes, rules: Iterable[Rule] = RULES, known: Iterable[str] = ()
    ) -> None:
        rules = tuple(rules)
        self.ruleset = ruleset(rules)
        self.report = Report()
        self._finder = Finder(rules)
        self._pseudonyms = Pseudonyms(key)
        self._literals = Literals()
        for value in known:
            self._literals.add_known(value)
        self._rules: dict[bytes, str] = {}
        self._short: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._clean: set[str] = set()
        self._clean_with = 0
        self._replacing = Walker(self._replaced, self._opens, paths=False)
        self._observing = Walker(self._observed, self._opens, paths=False)

    @property
    def learned(self) -> int:
        """How many values are replaced wherever they stand. Grows while redacting."""
        return len(self._literals)

    @property
    def counts(self) -> dict[str, int]:
        """Replacements so far, by rule."""
        return self.report.counts

    @property
    def not_spread(self) -> int:
        """Values found after the limit of `learned`; replaced only where a rule finds them."""
        return self._literals.refused

    def rule_of(self, placeholder: bytes) -> str | None:
        """The rule that first found what a placeholder stands for; `None` for one of others."""
        return self._rules.get(placeholder)

    def observe(self, value: JSON) -> None:
        """Take note of what `value` holds, so that it is replaced in what comes before it."""
        self._observing.walk(value)

    def redact(self, value: JSON) -> JSON:
        """A copy of `value` with everything found replaced, keys included.

        Raises `RedactionFailed` when replacing does not come to an end and `Invalid` for a
        value that is nested too deep to be searched.
        """
        learned = -1
        while learned != self.learned:
            learned = self.learned
            value = self._replacing.walk(value)
        return value

    def scan(self, value: JSON) -> list[Finding]:
        """What rules and known values still find in `value`; empty for redacted ones."""
        out: list[Finding] = []

        if self._clean_with != self.learned:
            self._clean.clear()
            self._clean_with = self.learned

        def on_text(text: str, key: str, path: str) -> str:
            if text in self._clean and not self._secret(key):
                return text
            data = _encoded(text)
            found = self._find(data, key, _issued_only(data, self._pseudonyms))
            out.extend(Finding(one.rule, path, one.start, one.end) for one in found)
            if not found and len(text) <= _SHORT_CHARACTERS_MAX and len(self._clean) < _SHORT_MAX:
                self._clean.add(text)
            # A key that changes is not shown in a path.
            return "" if found else text

        Walker(on_text, self._opens, paths=True).walk(value)
        return out

    # --- one string -----------------------------------------------------------------------

    def _opens(self, text: str) -> bool:
        """Could opening this document as JSON show more than its text does?"""
        if "\\" in text or '"value"' in text.lower():
            return True
        data = _encoded(text)
        return (
            self._finder.suspicious(data)
            or bool(self._literals.find(data))
            or MARKER.search(data) is not None
        )

    def _observed(self, text: str, key: str, path: str) -> str:
        data = _encoded(text)
        for one in self._find(data, key, []):
            self._learn(one, data)
        return text

    def _replaced(self, text: str, key: str, path: str) -> str:
        secret = self._secret(key)
        if not secret:
            seen = self._short.get(text)
            if seen is not None:
                for rule in seen[1]:
                    self.report.add(rule)
                return seen[0]
        new, rules = self._rewritten(text, key if secret else "")
        # What a placeholder look-alike becomes depends on what was given out by then.
        if not secret and len(text) <= _SHORT_CHARACTERS_MAX and "<" not in text:
            if len(self._short) >= _SHORT_MAX:
                self._short.clear()
            self._short[text] = new, rules
        for rule in rules:
            self.report.add(rule)
        return new

    @staticmethod
    def _secret(key: str) -> bool:
        """Does the key say something about the value below it?"""
        return bool(key) and strength(_encoded(key)) is not Strength.NONE

    def _rewritten(self, text: str, key: str) -> tuple[str, tuple[str, ...]]:
        """The text with everything found replaced, and the rules that found it."""
        data = _encoded(text)
        new = self._escaped(data)
        rules: list[str] = []
        for _ in range(ROUNDS_MAX):
            found = self._find(new, key, _issued_only(new, self._pseudonyms))
            if not found:
                same = new is data
                return (text if same else _decoded(new)), tuple(rules)
            rules += [one.rule for one in found]
            new = self._spliced(new, found)
        raise RedactionFailed(
            f"a text of {len(data)} bytes was not clean after {ROUNDS_MAX} rounds of "
            "replacing; leave its session out of the export"
        )

    def _find(self, data: bytes, key: str, ours: list[tuple[int, int]]) -> list[Found]:
        found = self._finder.find(data) + self._literals.find(data)
        if key and (whole := leaf(data, _encoded(key))):
            found.append(whole)
        if not found:
            return found
        return union(_around(found, ours) if ours else found, data)

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
        if len(value) > SPREAD_BYTES_MAX or one.rule in _EDGES or MARKER.search(value):
            return
        text = _decoded(value)
        if self._literals.original(value, one.type) is not None:
            return
        before = self.learned
        if (one.type == SECRET and worth_spreading(value)) or (
            one.type == USER and len(text) >= USER_CHARACTERS_MIN
        ):
            self._literals.add_found(text, one.type)
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
