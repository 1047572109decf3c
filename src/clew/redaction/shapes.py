"""Checks that a rule of the table makes on a match: refuse it, or say what to replace.

Each takes the searched bytes and the match and returns the span to replace, or `None`. Each
reads at most a bounded stretch around the match, or what it will replace.
"""

from __future__ import annotations

import base64
import binascii

from clew.redaction import judge
from clew.redaction.judge import Strength
from clew.redaction.linear import Match, compiled, starts_word

Span = tuple[int, int]

KEY_BYTES_MAX = 48
_KEY_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_B62 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
TOKEN_HEAD_BYTES_MAX = 52
VARIED_BYTES_MIN = 24
"""Different bytes in a token that is random; a run of padding has few."""


def whole(data: bytes, match: Match) -> Span | None:
    """The match, or its first group where the pattern has one."""
    try:
        return match.start(1), match.end(1)
    except IndexError:
        return match.start(), match.end()


def token(data: bytes, match: Match) -> Span | None:
    """An issued token: everything except words that stand for one (`sk-ant-your-key-here`)."""
    return None if judge.wordy(match.group()) else whole(data, match)


def varied(data: bytes, match: Match) -> Span | None:
    """A token with a head so short that long runs of base64 hold it by chance."""
    if match.start() and data[match.start() - 1] in b"/+":
        return None
    return whole(data, match) if len(set(match.group())) >= VARIED_BYTES_MIN else None


def headed(data: bytes, match: Match) -> Span | None:
    """The mark stands inside the token: what comes before it belongs to it."""
    start = match.start()
    least = max(0, start - TOKEN_HEAD_BYTES_MAX)
    while start > least and data[start - 1] in _B62:
        start -= 1
    return start, match.end()


def azure_client(data: bytes, match: Match) -> Span | None:
    """The marker `8Q~` comes after three characters."""
    start = match.start() - 3
    return (start, match.end()) if start >= 0 and starts_word(data, start) else None


_DISCORD_USER = compiled(rb"[MNO][A-Za-z0-9_-]{22,27}$")


def discord(data: bytes, match: Match) -> Span | None:
    """The user's id in base64 comes first; a search for it would fit every run of base64."""
    begin = match.start()
    user = _DISCORD_USER.search(data[max(0, begin - 28) : begin])
    if user is None:
        return None
    start = begin - (user.end() - user.start())
    return (start, match.end()) if starts_word(data, start) else None


_KEY_GAP = rb"(?:[\s\"'+,|>:;*#-]|\\[nrt\"]|\xe2\x86\x92|[0-9]{1,6}\b)"
# The last line is short; the end line's hyphens and its word END are not part of it.
_TAIL_GAP = rb"(?:[\s\"'+,|>:;*#]|\\[nrt\"]|(?:\n|\\n)-|\xe2\x86\x92|[0-9]{1,6}\b)"
_KEY_BODY = compiled(
    rb"(?:" + _KEY_GAP + rb"*[A-Z][A-Za-z-]{2,20}: [A-Za-z0-9,. -]{1,60}(?:\\[nr]|[\r\n]))*"
    rb"(?:" + _KEY_GAP + rb"*(?:=?[A-Za-z0-9+/]{16,}={0,2}))+"
    rb"(?:" + _TAIL_GAP + rb"*=?[A-Za-z0-9+/]{1,15}={0,2})?"
)
_KEY_END = compiled(_KEY_GAP + rb"*-{0,5}END [A-Z0-9 ]{0,40}KEY(?: BLOCK)?-{0,5}")


def private_key(data: bytes, match: Match) -> Span | None:
    """Header, body and, where it is there, the end line. A header alone is no secret."""
    body = _KEY_BODY.match(data, match.end())
    if body is None:
        return None
    end = _KEY_END.match(data, body.end())
    return match.start(), end.end() if end else body.end()


_JWT_HEADS = (b"eyJhbGciOi", b"eyJ0eXAiOi", b"eyJraWQiOi", b"eyJjdHkiOi", b"eyJlbmMiOi")


def jwt(data: bytes, match: Match) -> Span | None:
    """Two or three segments, or a header that is known for one, wherever it was cut off."""
    text = match.group().rstrip(b".")
    if b"." not in text and not text.startswith(_JWT_HEADS):
        return None
    parts = text.split(b".")
    if len(parts) > 1 and len(parts[1]) < 2:
        return None
    return match.start(), match.start() + len(text)


def not_placeholder(data: bytes, match: Match) -> Span | None:
    """The group, unless it stands for something else."""
    value = match.group(1)
    return None if judge.placeholder(value) else whole(data, match)


def bearer(data: bytes, match: Match) -> Span | None:
    """A bearer token: words of prose after "bearer" are not one."""
    value = match.group(1)
    if judge.placeholder(value) or judge.wordy(value) or value.isalpha():
        return None
    return whole(data, match) if any(byte in b"0123456789" for byte in value) else None


def basic_auth(data: bytes, match: Match) -> Span | None:
    """Base64 of `user:password`, decoded to make sure."""
    value = match.group(1)
    try:
        plain = base64.b64decode(value.rstrip(b"=") + b"=" * (-len(value.rstrip(b"=")) % 4))
    except (binascii.Error, ValueError):
        return None
    printable = all(32 <= byte < 127 for byte in plain)
    return whole(data, match) if b":" in plain and printable else None


def random_value(data: bytes, match: Match) -> Span | None:
    """A value that only looks like a secret when it looks random."""
    value = match.group(1)
    return whole(data, match) if judge.plausible_leaf(value, Strength.WEAK) else None


def cookie(data: bytes, match: Match) -> Span | None:
    """The cookies of a header. Prose such as `cookie: name=value` is too short to match."""
    value = match.group(1)
    return whole(data, match) if any(byte in b"0123456789" for byte in value) else None


def url_password(data: bytes, match: Match) -> Span | None:
    """The password in `scheme://user:password@host`."""
    value = match.group(1)
    if judge.placeholder(value) or value.startswith(b"<") or value.isdigit():
        return None
    return whole(data, match)


def flag(data: bytes, match: Match) -> Span | None:
    """`--api-key VALUE` on a command line."""
    key = judge.strength(match.group(1))
    value = match.group(2)
    if key is Strength.NONE or not judge.plausible_bare(value, Strength.STRONG, environment=True):
        return None
    return match.start(2), match.end(2)


def argument(data: bytes, match: Match) -> Span | None:
    """A value that its place alone says is a password; words and variables are not one."""
    value = match.group(1)
    if value.startswith((b"-", b"~")):
        return None
    if not judge.plausible_quoted(value, Strength.STRONG):
        return None
    return match.start(1), match.end(1)


def element(data: bytes, match: Match) -> Span | None:
    """`<password>VALUE</password>`, or a name and a value on two lines of YAML."""
    key = judge.strength(match.group(1))
    if key is Strength.NONE or not judge.plausible_quoted(match.group(2), key):
        return None
    return match.start(2), match.end(2)


_QUOTES = compiled(rb"[\\]{0,4}[\"'],\s{0,12}[\\]{0,4}[\"']")


def secret_list(data: bytes, match: Match) -> Span | None:
    """What stands between the first and the last quote of a list under a telling key."""
    first = _QUOTES.search(match.group(1))
    value = match.group(1)[: first.start()] if first else match.group(1)
    if not judge.plausible_quoted(value, Strength.STRONG):
        return None
    return match.start(1), match.end(1)


def assignment(data: bytes, match: Match) -> Span | None:
    """`key = value` in code, configuration or JSON inside text, judged by the key's words."""
    begin = match.start()
    least = max(0, begin - KEY_BYTES_MAX)
    while begin > least and data[begin - 1] in _KEY_BYTES:
        begin -= 1
    quoted = match.start(1) >= 0
    group = 1 if quoted else 2
    start, end = match.start(group), match.end(group)
    key = judge.strength(_key_of(data[begin:start]))
    if key is Strength.NONE:
        return None
    value = data[start:end]
    if quoted:
        return (start, end) if judge.plausible_quoted(value, key) else None
    if data[end : end + 1] in (b"(", b"[", b"{", b"<"):
        return None
    value = value.rstrip(b".:!?*")
    environment = data[start - 1 : start] == b"=" and value.count(b"=") <= 2
    if not judge.plausible_bare(value, key, environment=environment):
        return None
    return start, start + len(value)


_KEY = compiled(rb"[A-Za-z0-9_.-]+(?: [Kk][Ee][Yy]S?s?)?")


def _key_of(text: bytes) -> bytes:
    found = _KEY.match(text)
    return found.group() if found else b""
