"""Exact values, found wherever they stand: what the caller knows, and what rules found once.

A value is searched as it is and in the forms it takes inside other text: escaped for JSON,
for a URL, and (what the caller knows) inside base64 at any of the three alignments.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, product
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from clew.errors import Invalid
from clew.redaction.accounts import names_account
from clew.redaction.find import Found
from clew.redaction.linear import WORD, compiled, starts_word
from clew.redaction.many import Many
from clew.redaction.raw import RawLiterals
from clew.redaction.rules import NAME, SECRET, USER

if TYPE_CHECKING:
    from collections.abc import Iterable

VALUES_MAX = 20_000
"""Values that are propagated; beyond it a value is replaced only where a rule finds it."""
REFUSED_MAX = 200_000
"""Further ones are counted up to this number."""
KNOWN_CHARACTERS_MIN = 4
USER_CHARACTERS_MIN = 4
NAME_CHARACTERS_MIN = 2
MIXED_WORDS_MAX = 3
"""A name of more words is searched in one case at a time."""
_BETWEEN = (" ", "_", "-", ".", "  ", "\n", "\r\n", "\t", "\u00a0", "")
"""What may stand between the words of a name."""
_BASE64_BYTES_MIN = 8
_AS_IT_IS = compiled(rb"[A-Za-z0-9_.~-]+")
"""Such a value is written in one way everywhere."""
_WORDS = (USER, NAME)
"""Types that are replaced as whole words only."""

Value = tuple[str, str]
"""A placeholder's type and the value."""


@dataclass(slots=True)
class _Table:
    """Forms, each with its value, the rule that it goes under and its type."""

    forms: dict[bytes, tuple[str, str, str]] = field(default_factory=dict)
    values: set[Value] = field(default_factory=set)

    def copy(self) -> _Table:
        return _Table(dict(self.forms), set(self.values))

    def add(self, value: str, type_: str, rule: str, forms: Iterable[bytes]) -> list[bytes]:
        """The forms that are new."""
        self.values.add((type_, value))
        new = [form for form in forms if form not in self.forms]
        for form in new:
            self.forms[form] = value, rule, type_
        return new


@dataclass(slots=True)
class _Base:
    """What some begin with, and how many values were too many for it."""

    table: _Table
    many: Many
    refused: int
    raw: RawLiterals | None = None


class Literals:
    """A growing set of exact values. Begins with what the caller knows: secrets and names.

    Raises `Invalid` for a known secret or a name that is too short to search.
    """

    def __init__(
        self,
        known: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        *,
        hyperscan: bool | None = None,
    ) -> None:
        self._known, self._names, self._hyperscan = known, names, hyperscan
        self._begin(_base(known, names, frozenset(), hyperscan))
        self._given = frozenset(self._table.values)

    def _begin(self, base: _Base) -> None:
        self._base = base
        self._refused: set[int] = set()
        self._table, self._many = base.table.copy(), base.many.copy()

    @property
    def refused(self) -> int:
        """Values that were not taken because `VALUES_MAX` was reached, each counted once."""
        return self._base.refused + len(self._refused)

    def __len__(self) -> int:
        return len(self._table.values)

    @property
    def found(self) -> frozenset[Value]:
        """The values that were not there from the beginning."""
        return frozenset(self._table.values - self._given)

    @property
    def forms(self) -> int:
        """How many forms are searched."""
        return len(self._table.forms)

    def within_json(self, since: int = 0) -> RawLiterals:
        """The same values, for bytes of JSON; or those whose forms came after so many."""
        base = self._base
        if not since and self.forms == len(base.table.forms):
            # With many values it takes a while to make, so it is made once for all who share it.
            base.raw = base.raw or self._raw(0)
            return base.raw
        return self._raw(since)

    def _raw(self, since: int) -> RawLiterals:
        items = islice(self._table.forms.items(), since, None)
        forms = frozenset((form, type_ in _WORDS) for form, (_, _, type_) in items)
        return RawLiterals(forms, hyperscan=self._hyperscan)

    def add_found(self, value: str, type_: str) -> None:
        """A value that a rule found; from now on it is replaced everywhere."""
        if (type_, value) in self._table.values:
            return
        if len(self._table.values) >= VALUES_MAX:
            if len(self._refused) < REFUSED_MAX:
                self._refused.add(hash((type_, value)))
            return
        for form in self._table.add(value, type_, "seen-before", _forms(value)):
            self._many.add(form)

    def learn(self, values: Iterable[Value]) -> None:
        """Many found values at once; the order does not matter."""
        if all(value in self._table.values for value in values):
            return
        self._begin(
            _base(self._known, self._names, self.found | frozenset(values), self._hyperscan)
        )

    def original(self, form: bytes, type_: str) -> str | None:
        """The value that `form` is a form of."""
        entry = self._table.forms.get(form)
        return entry[0] if entry is not None and entry[2] == type_ else None

    def find(self, data: bytes) -> list[Found]:
        """Every occurrence of every form; names only as whole words, those of accounts only in
        their places.
        """
        forms = self._table.forms
        if not forms:
            return []
        out: list[Found] = []
        first, last, what = 0, -1, ("", "", "")
        for start, end in self._many.find(data):
            value = data[start:end]
            entry = forms[value]
            if entry[2] in _WORDS and not _named(data, start, end, entry[2]):
                continue
            if start < last and entry[1:] == what[1:] and b"\n" not in value:
                # Long runs of one value are one find. Not over lines: texts are searched together.
                if end > last:
                    last = end
                continue
            if last >= 0:
                out.append(Found(first, last, *what[1:]))
            first, last, what = start, end, entry
        if last >= 0:
            out.append(Found(first, last, *what[1:]))
        return out


@lru_cache(maxsize=4)
def _base(
    known: tuple[str, ...],
    names: tuple[str, ...],
    found: frozenset[Value],
    hyperscan: bool | None,
) -> _Base:
    """The same for all who begin with the same: with many values it takes a while to make."""
    table = _Table()
    for value in known:
        if len(value) < KNOWN_CHARACTERS_MIN:
            raise Invalid(
                f"a known secret has {len(value)} characters; fewer than {KNOWN_CHARACTERS_MIN} "
                "would replace ordinary text. Leave it out or change the secret"
            )
        table.add(value, SECRET, "known-secret", [*_forms(value), *_base64_forms(value)])
    for name in names:
        if len(name.strip()) < NAME_CHARACTERS_MIN:
            raise Invalid(
                f"a name to replace has fewer than {NAME_CHARACTERS_MIN} characters: {name!r}. "
                "Leave it out"
            )
        table.add(name.strip(), NAME, "listed-name", _name_forms(name.strip()))
    given = len(table.values)
    ordered = sorted(found)
    taken = ordered[: max(0, VALUES_MAX - given)]
    for type_, value in taken:
        table.add(value, type_, "seen-before", _forms(value))
    return _Base(table, Many(list(table.forms), hyperscan=hyperscan), len(ordered) - len(taken))


def _named(data: bytes, start: int, end: int, type_: str) -> bool:
    """Names go as whole words, those of accounts only where an account may stand."""
    return _word(data, start, end) and (type_ != USER or names_account(data, start, end))


def _word(data: bytes, start: int, end: int) -> bool:
    """Does it stand by itself? Letters of two bytes (Latin with accents, Greek, Cyrillic) are
    letters too; those of scripts without spaces are not counted.
    """
    if start and (
        not starts_word(data, start)
        or (0x80 <= data[start - 1] <= 0xBF and start > 1 and 0xC3 <= data[start - 2] <= 0xDF)
    ):
        return False
    return end == len(data) or not (data[end] in WORD or 0xC3 <= data[end] <= 0xDF)


def _name_forms(name: str) -> list[bytes]:
    """As it was given; its words in the usual cases, with what may stand between them."""
    words = name.split()
    cases = [list(dict.fromkeys((w, w.lower(), w.upper(), w.title()))) for w in words]
    if len(words) <= MIXED_WORDS_MAX:
        spellings = [list(each) for each in product(*cases)]
    else:
        spellings = [[change(w) for w in words] for change in (str.lower, str.upper, str.title)]
    texts = [name, *(between.join(each) for each in [words, *spellings] for between in _BETWEEN)]
    return list(dict.fromkeys(form for text in dict.fromkeys(texts) for form in _forms(text)))


def _forms(value: str) -> list[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    if _AS_IT_IS.fullmatch(raw):
        return [raw]
    texts = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    texts.append(texts[1].replace("/", "\\/"))
    texts.append(json.dumps(texts[1])[1:-1])
    for escaped in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        texts += [escaped, _lower_escapes(escaped)]
    return list(dict.fromkeys(text.encode("utf-8", "surrogatepass") for text in texts))


def _lower_escapes(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join("%" + piece[:2].lower() + piece[2:] for piece in rest)


def _base64_forms(value: str) -> list[bytes]:
    """What is certain of the value's base64, whatever one, two or no bytes come before it."""
    raw = value.encode("utf-8", "surrogatepass")
    out = []
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        begin = -(-before * 8 // 6)
        end = (before + len(raw)) * 8 // 6
        certain = coded[begin:end]
        if len(certain) >= _BASE64_BYTES_MIN:
            out += [certain, certain.replace(b"+", b"-").replace(b"/", b"_")]
    return list(dict.fromkeys(out))
