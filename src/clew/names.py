"""What may stand as a name or a number in the ledger: what both databases can hold."""

from __future__ import annotations

from collections.abc import Iterable

from clew.errors import Invalid, NotFound


def checked(text: str | None, what: str, *, empty: bool = True) -> None:
    """Raise `Invalid` for text with a NUL or half a surrogate pair in it, which PostgreSQL
    and UTF-8 refuse, and for an empty one unless it may be `empty`.
    """
    if text is None:
        return
    if not isinstance(text, str):
        raise Invalid(f"{what} is a {type(text).__name__}: give a text")
    if "\0" in text or (not text.isascii() and _halves(text)):
        raise Invalid(f"{what} {text!r} holds a NUL or half a character: leave that out")
    if not text and not empty:
        raise Invalid(f"{what} needs at least one character")


def _halves(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def mended(text: str) -> str:
    """The same text as far as both databases can hold it."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode("utf-8")


def one_of(text: str | None, allowed: Iterable[str], what: str) -> None:
    """Raise `Invalid` for what is none of a few words; `None` asks for none of them."""
    words = sorted(allowed)
    if text is not None and text not in words:
        shown = repr(text)
        shown = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
        raise Invalid(f"{what}={shown}: say one of {', '.join(words)}")


SHOWN_CHARS = 80
LIMIT_MAX = 1_000_000_000
"""More rows than this are never asked for at once."""


def bounded(limit: int, what: str = "limit") -> int:
    """A limit as the databases take it. Raises `Invalid` for one that asks for nothing."""
    if type(limit) is not int or limit < 1:
        raise Invalid(f"{what}={limit!r}: ask for at least one")
    return min(limit, LIMIT_MAX)


ID_CHARS = 32
"""A session's id is so long."""
MIN_PREFIX = 4
"""Fewer characters of a session's id are not looked up."""
_HEX = frozenset("0123456789abcdef")


def check_session_id(id: str) -> None:
    """Raise `Invalid` or `NotFound` for what is no session's id, nor the beginning of one."""
    if len(id) < MIN_PREFIX:
        raise Invalid(f"session id {id!r} is too short: give at least {MIN_PREFIX} characters")
    if not _HEX.issuperset(id):
        raise NotFound(f"no session {id!r} in this ledger: an id is made of 0-9 and a-f")
