"""How text falls into words, for every index and for text that no index covers yet.

One tokenisation, made here and nowhere else, so that both databases and the scan of the
unindexed tail see the same words. A word is a run of letters and digits; `_` and all
punctuation separate, so `foo_bar` and `src/a.py` fall into pieces. Words are case-folded and
lose their accents. In scripts written without spaces (Chinese, Japanese, Thai …) and in
Korean every character is a word of its own, so that a phrase finds any part of a sentence.

The whole identifier `fooBar` stays in its place as `foobar`; its pieces `foo bar` follow at
the end of the text, behind a `GAP`, which no query can contain. So they are found, and the
phrases of the text itself stay as they were.
"""

from __future__ import annotations

import re
import unicodedata

VERSION = 1
"""Changes with the tokenisation; an index built with another one has to be rebuilt."""
WORD_CHARS = 128
"""Longer words are cut, in text and query alike; PostgreSQL takes 2,046 bytes at most."""
GAP = "\u00b6"
"""Stands between texts that are not neighbours; it is never part of a word."""

IDENTIFIER_CHARS = 80
_ZERO_WIDTH_SPACE = 0x200B
_NON_ASCII = re.compile(r"([^\x00-\x7f]+)")
_HALFWIDTH = re.compile("[\uff61-\uff9f]+")
_PIECES = re.compile(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+(?![a-z])[0-9]*|[0-9]+")

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration, closing and zero
    (0x3021, 0x3029),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),  # hangul syllables
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)


def single(char: str) -> bool:
    """True for a letter that is a word of its own: ideographs, kana, hangul, Thai and such."""
    code = ord(char)
    return code >= 0x0E00 and any(low <= code <= high for low, high in _UNSPACED)


def _is_accent(char: str) -> bool:
    """Marks that people leave out when they type. Vowel signs and viramas of Indic scripts,
    kana voicing (class 8) and Thai tones (classes 103 to 122) make another word, and stay.
    """
    combining = unicodedata.combining(char)
    return combining == 1 or 10 <= combining <= 36 or combining >= 200


def _folded(char: str) -> str:
    decomposed = unicodedata.normalize("NFKD", char).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed)
    kept = "".join(part for part in decomposed if not _is_accent(part))
    return unicodedata.normalize("NFC", kept)


def _placed(char: str) -> str:
    """One character as it goes into the word list: itself, spaced out, a space, or nothing."""
    if single(char):
        return f" {char} "
    category = unicodedata.category(char)
    if category[0] not in "LNM":
        return " "
    return f" {char} " if category == "No" else char


class _Table(dict[int, str]):
    """A `str.translate` table that learns every character when it first meets it."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Cf" and code != _ZERO_WIDTH_SPACE:
            value = ""
        elif category[0] not in "LNM":
            value = " "
        elif category == "No":  # x² is `x 2`, so that x is found
            value = f" {''.join(_placed(part) for part in _folded(char))} "
        else:
            value = "".join(_placed(part) for part in _folded(char))
        self[code] = value
        return value


_TABLE = _Table()
_WORDS = str.maketrans({code: " " for code in range(128) if not chr(code).isalnum()})


def words(text: str) -> list[str]:
    """The words of `text`, in order, without the pieces of identifiers: what a query says."""
    found = text.translate(_TABLE).split() if text.isascii() else _spread(text).split()
    if len(text) > WORD_CHARS:
        return [word[:WORD_CHARS] for word in found]
    return found


def _spread(text: str) -> str:
    """Non-ASCII text, folded and spaced. Its ASCII stretches take the fast path."""
    text = unicodedata.normalize("NFC", text)
    if _HALFWIDTH.search(text):
        text = _HALFWIDTH.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
    parts = _NON_ASCII.split(text)
    if len(parts) * 16 > len(text):
        return text.translate(_TABLE)
    return "".join([part.translate(_TABLE) for part in parts])


def pieces(word: str) -> list[str]:
    """`HTTPServer` → `["http", "server"]`; an empty list for a word that has no pieces.

    Encoded data looks like an identifier with very many, very short pieces: it has none.
    """
    if len(word) > IDENTIFIER_CHARS:
        return []
    found = _PIECES.findall(word)
    if len(found) < 2 or (len(found) > 4 and len(found) * 3 > len(word)):
        return []
    return [piece.lower() for piece in found]


def _identifiers(text: str) -> list[str]:
    """The pieces of every distinct identifier, each identifier behind a `GAP`."""
    if not text.isascii():
        text = _NON_ASCII.sub(" ", text)
    mixed = [  # neither `foo`, `FOO`, `Foo` nor `42`: the checks are cheap, and most words end here
        word
        for word in dict.fromkeys(text.translate(_WORDS).split())
        if not (word.islower() or word[1:].islower() or word.isupper() or word.isdigit())
    ]
    out: list[str] = []
    for word in mixed:
        if found := pieces(word):
            out.append(GAP)
            out += found
    return out


def tokens(text: str) -> list[str]:
    """What an index holds for `text`: its words, then the pieces of its identifiers."""
    return words(text) + _identifiers(text)
