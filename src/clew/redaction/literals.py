"""Exact values, found wherever they stand: what the caller knows, and what rules found once.

A value is searched as it is and in the forms it takes inside other text: escaped for JSON,
for a URL, and (what the caller knows) inside base64 at any of the three alignments. All
forms are one automaton, rebuilt in two generations so that a growing set stays cheap.
"""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

from clew.errors import Invalid
from clew.redaction.find import Found
from clew.redaction.linear import WORD, Pattern, compiled
from clew.redaction.rules import SECRET, USER

VALUES_MAX = 20_000
"""Values that are propagated; beyond it a value is replaced only where a rule finds it."""
KNOWN_CHARACTERS_MIN = 4
USER_CHARACTERS_MIN = 4
_YOUNG_MAX = 64
_BASE64_BYTES_MIN = 8


class Literals:
    """A growing set of exact values."""

    def __init__(self) -> None:
        self._forms: dict[bytes, tuple[str, str, str]] = {}
        self._values: set[tuple[str, str]] = set()
        self._old: Pattern | None = None
        self._young: list[bytes] = []
        self._young_pattern: Pattern | None = None
        self.refused = 0
        """Values that were not taken because `VALUES_MAX` was reached."""

    def __len__(self) -> int:
        return len(self._values)

    def add_known(self, value: str) -> None:
        """A secret that the caller names. Raises `Invalid` when it is too short to search."""
        if len(value) < KNOWN_CHARACTERS_MIN:
            raise Invalid(
                f"a known secret has {len(value)} characters; fewer than {KNOWN_CHARACTERS_MIN} "
                "would replace ordinary text. Leave it out or change the secret"
            )
        self._add(value, SECRET, "known-secret", [*_forms(value), *_base64_forms(value)])

    def add_found(self, value: str, type_: str) -> None:
        """A value that a rule found; from now on it is replaced everywhere."""
        if (type_, value) in self._values:
            return
        if len(self._values) >= VALUES_MAX:
            self.refused += 1
            return
        self._add(value, type_, "seen-before", _forms(value))

    def _add(self, value: str, type_: str, rule: str, forms: list[bytes]) -> None:
        self._values.add((type_, value))
        for form in forms:
            if form not in self._forms:
                self._forms[form] = (value, rule, type_)
                self._young.append(form)
        self._young_pattern = None

    def original(self, form: bytes, type_: str) -> str | None:
        """The value that `form` is a form of."""
        entry = self._forms.get(form)
        return entry[0] if entry is not None and entry[2] == type_ else None

    def find(self, data: bytes) -> list[Found]:
        """Every occurrence of every form; names of users only as whole words."""
        if not self._forms:
            return []
        self._compile()
        out: list[Found] = []
        for pattern in (self._old, self._young_pattern):
            if pattern is not None:
                self._search(pattern, data, out)
        return out

    def _search(self, pattern: Pattern, data: bytes, out: list[Found]) -> None:
        match = pattern.search(data)
        while match is not None:
            start, end = match.start(), match.end()
            _, rule, type_ = self._forms[match.group()]
            if type_ == USER and not _word(data, start, end):
                end = start + 1
            else:
                out.append(Found(start, end, rule, type_))
            match = pattern.search(data, end)

    def _compile(self) -> None:
        if not self._young or self._young_pattern is not None:
            return
        if len(self._young) > max(_YOUNG_MAX, len(self._forms) // 4):
            self._old = _alternation(list(self._forms))
            self._young = []
            return
        self._young_pattern = _alternation(self._young)


def _word(data: bytes, start: int, end: int) -> bool:
    before = start == 0 or data[start - 1] not in WORD
    return before and (end == len(data) or data[end] not in WORD)


def _alternation(forms: list[bytes]) -> Pattern:
    # The longest first: RE2 prefers the earlier alternative.
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return compiled(b"|".join(_escape(form) for form in ordered))


def _escape(form: bytes) -> bytes:
    return b"".join(bytes([byte]) if byte in WORD else b"\\x%02x" % byte for byte in form)


def _forms(value: str) -> list[bytes]:
    texts = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    texts.append(texts[1].replace("/", "\\/"))
    texts.append(json.dumps(texts[1])[1:-1])
    raw = value.encode("utf-8", "surrogatepass")
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
