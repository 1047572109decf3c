"""What can be asked of the search: the grammar, and the tree it is read into.

    word            the word; several words must all be there
    "a b c"         the words side by side, in this order
    pre*            words that begin so
    a OR b          either; binds more loosely than standing side by side
    NOT a, -a       must not be there; something else must be
    ( … )           grouping; AND may be written out

Letters count in upper or lower case, with or without accents, all the same. A word that falls
into several (`foo_bar`, `src/a.py`, 数据库) is asked for as a phrase. Punctuation that touches
no word asks for nothing. The text that a user typed never reaches a database: each database
renders its own query from the tree. A tree without something to find cannot be built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid
from clew.search import words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

QUERY_CHARS = 1_000
DEPTH = 8
"""How deep parentheses may be nested: FTS5 cannot read much deeper ones."""
PREFIX_CHARS = 2
"""A shorter prefix stands for a large part of all words: 0.7 s in a million documents."""

_LEXEME = re.compile(r'\s+|[()]|["“”„][^"“”„]*["“”„]?|[^\s()"“”„]+')
_QUOTES = '"“”„'
_EXAMPLES = 'write words, "a phrase", a prefix* or combine them with OR, NOT and parentheses'


class Words(msgspec.Struct, frozen=True, tag="words"):
    """One word, or several side by side. With `prefix` the last one may go on."""

    tokens: tuple[str, ...]
    prefix: bool = False


class All(msgspec.Struct, frozen=True, tag="all"):
    """Each of `must` (at least one), and none of `no`."""

    must: tuple[Node, ...]
    no: tuple[Node, ...] = ()


class Either(msgspec.Struct, frozen=True, tag="either"):
    """At least one of the options."""

    options: tuple[Node, ...]


Node = Words | All | Either


def parse(text: str) -> Node:
    """Read a query. Raises `Invalid`, which names the column and says how to mend it."""
    if len(text) > QUERY_CHARS:
        raise Invalid(
            f"The query has {len(text):,} characters; at most {QUERY_CHARS:,} are allowed. "
            "Search for its most telling words."
        )
    if not text.strip():
        raise Invalid(f"The query is empty: {_EXAMPLES}.")
    parser = _Parser(text)
    node = parser.either(depth=0)
    if parser.peek() == ")":
        parser.fail("`)` closes nothing: remove it, or open it with `(` before")
    return node


class _Parser:
    """Recursive descent over the lexemes; `at` is the one that comes next."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = (m for m in _LEXEME.finditer(text) if not m[0].isspace())
        self.lexemes = [(m[0], m.start()) for m in found]
        self.at = 0

    def peek(self) -> str | None:
        return self.lexemes[self.at][0] if self.at < len(self.lexemes) else None

    def fail(self, what: str, at: int | None = None) -> NoReturn:
        """Raise `Invalid` about lexeme number `at` (the next one unless told)."""
        at = self.at if at is None else at
        column = self.lexemes[at][1] + 1 if at < len(self.lexemes) else len(self.text) + 1
        raise Invalid(f"Query, column {column}: {what}.")

    def either(self, depth: int) -> Node:
        """Read `all (OR all)*`."""
        if depth > DEPTH:
            self.fail(f"parentheses are nested deeper than {DEPTH}: take some away")
        options = [self.all(depth)]
        while self.peek() == "OR":
            self.at += 1
            options.append(self.all(depth))
        return options[0] if len(options) == 1 else Either(tuple(options))

    def all(self, depth: int) -> Node:
        """Read `([AND] [NOT] unit)*`, with at least one that is not negated."""
        begin = self.at
        must: list[Node] = []
        no: list[Node] = []
        while (lexeme := self.peek()) not in (None, "OR", ")"):
            if lexeme == "AND":
                self.joined()
            elif self.negates():
                no.append(self.negated(depth))
            elif (unit := self.unit(depth)) is not None:
                must.append(unit)
        if not must:
            self.nothing(begin, negated=bool(no))
        return must[0] if len(must) == 1 and not no else All(tuple(must), tuple(no))

    def joined(self) -> None:
        """Step over an `AND`, which has to stand between two things."""
        before = self.lexemes[self.at - 1][0] if self.at else "("
        after = self.lexemes[self.at + 1][0] if self.at + 1 < len(self.lexemes) else ")"
        if before in ("(", "OR", "AND") or after in (")", "OR", "AND"):
            self.fail('AND needs a word on both sides; the word itself is written "AND"')
        self.at += 1

    def nothing(self, begin: int, *, negated: bool) -> NoReturn:
        """Say why the stretch from lexeme `begin` to here asks for nothing."""
        if negated:
            self.fail("only NOT: add a word that has to be there", begin)
        if self.at > begin:
            self.fail(f"no letter or digit to search for: {_EXAMPLES}", begin)
        if self.peek() == "OR" or (begin and self.lexemes[begin - 1][0] == "OR"):
            self.fail('OR needs a word on both sides; the word itself is written "OR"')
        if self.peek() == ")" and begin and self.lexemes[begin - 1][0] == "(":
            self.fail("the parentheses are empty: write words into them, or remove them")
        if self.peek() == ")":
            self.fail("`)` closes nothing: remove it, or open it with `(` before")
        self.fail("`(` is never closed: add `)`", begin - 1)

    def negates(self) -> bool:
        """True at `NOT`, at `-word`, and at a `-` that touches a quote or a parenthesis."""
        lexeme, column = self.lexemes[self.at]
        if lexeme == "NOT":
            return True
        if lexeme != "-":
            return len(lexeme) > 1 and lexeme[0] == "-" and lexeme[1] not in "-*"
        return self.text[column + 1 : column + 2] in ("(", *_QUOTES)

    def negated(self, depth: int) -> Node:
        begin = self.at
        lexeme, column = self.lexemes[begin]
        if lexeme not in ("NOT", "-"):
            self.lexemes[begin : begin + 1] = [("-", column), (lexeme[1:], column + 1)]
        self.at += 1
        after = self.peek()
        if after in (None, "OR", "AND", ")") or (lexeme in ("NOT", "-") and self.negates()):
            self.fail('NOT needs a word after it; the word itself is written "NOT"', begin)
        unit = self.unit(depth)
        if unit is None:
            self.fail("NOT is followed by no letter or digit: name the word to leave out", begin)
        return unit

    def unit(self, depth: int) -> Node | None:
        """A group, a phrase or a word; None for bare punctuation."""
        lexeme, _ = self.lexemes[self.at]
        if lexeme == "(":
            return self.group(depth)
        if lexeme[0] in _QUOTES:
            return self.phrase()
        return self.word()

    def group(self, depth: int) -> Node:
        begin = self.at
        self.at += 1
        node = self.either(depth + 1)
        if self.peek() != ")":
            self.fail("`(` is never closed: add `)`", begin)
        self.at += 1
        return node

    def phrase(self) -> Node | None:
        lexeme, _ = self.lexemes[self.at]
        if len(lexeme) < 2 or lexeme[-1] not in _QUOTES:
            self.fail('the quote is never closed: add `"` at the end of the phrase')
        self.at += 1
        tokens = words.words(lexeme[1:-1])
        return Words(tuple(tokens)) if tokens else None

    def word(self) -> Node | None:
        lexeme, column = self.lexemes[self.at]
        star = lexeme.find("*")
        stem = lexeme[:-1] if star == len(lexeme) - 1 else lexeme
        tokens = words.words(stem)
        if star >= 0 and (star < len(lexeme) - 1 or not tokens or not _ends_in_word(stem)):
            self.lexemes[self.at] = (lexeme, column + star)
            self.fail(
                "`*` stands only at the end of a word, as in `config*`; "
                "put the whole into quotes to search for what is around it"
            )
        if star >= 0 and len(tokens[-1]) < PREFIX_CHARS and not words.single(tokens[-1]):
            self.fail(f"give at least {PREFIX_CHARS} letters before `*`")
        self.at += 1
        return Words(tuple(tokens), prefix=star >= 0) if tokens else None


def _ends_in_word(stem: str) -> bool:
    """`foo.*` would silently mean `foo*`, which is another question."""
    return bool(words.words(stem[-1:])) or not stem[-1:].isascii()


def positives(node: Node) -> tuple[Words, ...]:
    """What a hit contains, each once, in order: the words worth marking."""
    if isinstance(node, Words):
        return (node,)
    children = node.must if isinstance(node, All) else node.options
    return tuple(dict.fromkeys(word for child in children for word in positives(child)))


def folded(tokens: Sequence[str]) -> str:
    """Tokens as one string, with a space around each: what `matches` looks into."""
    return f" {' '.join(tokens)} "


def matches(node: Node, *fields: Sequence[str]) -> bool:
    """Whether one passage answers the query; each of `fields` is the token list of one text.

    A phrase lies within one text. This is the definition that every index has to meet.
    """
    return _matches(node, [folded(field) for field in fields])


def _matches(node: Node, fields: list[str]) -> bool:
    if isinstance(node, Words):
        wanted = " " + " ".join(node.tokens) + ("" if node.prefix else " ")
        return any(wanted in field for field in fields)
    if isinstance(node, Either):
        return any(_matches(option, fields) for option in node.options)
    return all(_matches(must, fields) for must in node.must) and not any(
        _matches(no, fields) for no in node.no
    )
