"""Checks that a rule of the table makes on a match: refuse it, or say what to replace.

Each takes the searched bytes and the match and returns the span to replace, or `None`. Each
reads at most a bounded stretch around the match, or what it will replace.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from clew.redaction import judge
from clew.redaction.judge import Strength
from clew.redaction.linear import Match, compiled, starts_word

Span = tuple[int, int]

KEY_BYTES_MAX = 48
_KEY_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_B62 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
TOKEN_HEAD_BYTES_MAX = 84
FEW_BYTES_MIN = 8
"""So many different bytes has a token that is random; a run of padding has fewer."""
TELLING_BYTES = 5
"""A beginning of so many bytes says by itself what follows."""
CUT_BYTES_MIN = 10
DEVICE_BYTES_MIN = 5
LICENCE_BYTES_MIN = 30
LINE_BYTES_MIN = 8
LONG_BYTES_MIN = 12
"""A shorter value does not go on in the next line."""


def whole(data: bytes, match: Match) -> Span | None:
    """The match, or its first group where the pattern has one."""
    try:
        return match.start(1), match.end(1)
    except IndexError:
        return match.start(), match.end()


def token(data: bytes, match: Match) -> Span | None:
    """An issued token: everything except words that stand for one (`sk-ant-your-key-here`)."""
    return None if judge.wordy(match.group()) else whole(data, match)


def issued(data: bytes, match: Match, head: int, nominal: int, strict: bool) -> Span | None:
    """A token whose beginning is known and has `head` bytes; a whole one has `nominal`.

    A shorter one was cut off: it has to look random, and unless its beginning tells enough, the
    text has to end there, or say that there was more. `strict`: a whole one has to look random.
    """
    start, end = match.start(), match.end()
    value = match.group()
    if judge.wordy(value):
        return None
    rest = value[head:]
    if len(value) >= nominal:
        return None if strict and not _random_after(data, start, rest) else (start, end)
    telling = head >= TELLING_BYTES and not strict
    if telling and len(rest) >= CUT_BYTES_MIN and judge.random_part(rest):
        return start, continued(data, end, short=True)
    more = continued(data, end, short=True)
    if not judge.fragment(rest) and not (telling and more > end):
        return None
    if more > end or (_cut_here(data, end) and (telling or judge.random_part(rest))):
        return start, more
    return None


def _random_after(data: bytes, start: int, rest: bytes) -> bool:
    """Runs of base64 hold every short beginning by chance."""
    if start and data[start - 1] in b"/+" and data[start - 2 : start] != b"//":
        return False
    return judge.random_part(rest) and len(set(rest)) >= FEW_BYTES_MIN


_CUT = compiled(
    rb"\s{0,2}[\\]{0,3}[\"')]{0,2}\s{0,2}(?:\xe2\x80\xa6|\.\.\.|\[(?:\.|\xe2|[Tt]runc)|$)"
)


def _cut_here(data: bytes, end: int) -> bool:
    """Does the text end here, or say that something is left out?"""
    return end == len(data) or _CUT.match(data, end, min(len(data), end + 12)) is not None


_WRAP = compiled(
    rb"(?:[\\]{0,3}[\"'])?[ \t]{0,4}[+.]?[\\]?(?:\r?\n|(?:[\\]{1,3}r)?[\\]{1,3}n)[ \t]{0,40}"
    rb"(?:(?:[0-9]{1,6}(?:\xe2\x86\x92|\t|[:|] ?)|[>|+] |\xe2\x94\x82 ?)[ \t]{0,4})?"
    rb"(?:[\\]{0,3}[\"'])?([A-Za-z0-9_+/.~-]{6,200}={0,2})"
    rb"|[\\]{0,3}[\"']\s{0,4}\+\s{0,4}[\\]{0,3}[\"']([A-Za-z0-9_+/.~-]{6,200}={0,2})"
)
_WRAP_BYTES_MAX = 300
_LINES_MAX = 8
_AFTER_KEY = frozenset(b"=:(")


def continued(data: bytes, end: int, *, short: bool) -> int:
    """Where a token really ends whose line ended at `end`.

    `short` says that it cannot be whole; otherwise the next line has to look more like one.
    """
    for _ in range(_LINES_MAX):
        found = _WRAP.match(data, end, min(len(data), end + _WRAP_BYTES_MAX))
        if found is None:
            break
        group = 1 if found.start(1) >= 0 else 2
        value = found.group(group).rstrip(b".")
        stop = found.start(group) + len(value)
        if data[stop : stop + 1] and data[stop] in _AFTER_KEY:
            break
        if (len(value) < LINE_BYTES_MIN and not short) or not judge.fragment(value):
            break
        end = stop
    return end


def wrapping(
    data: bytes, match: Match, check: Callable[[bytes, Match], Span | None], nominal: int
) -> Span | None:
    """What `check` finds, and the rest of it in the next line, when the line was full.

    What has fewer than `nominal` bytes goes on more easily.
    """
    span = check(data, match)
    if span is None:
        return None
    length = span[1] - span[0]
    if length < LONG_BYTES_MIN:
        return span
    return span[0], continued(data, span[1], short=length < nominal)


def jumble(data: bytes, match: Match) -> Span | None:
    """A token with a beginning that words share: all of it has to look random."""
    span = whole(data, match)
    return span if span and _random_after(data, *span[:1], data[slice(*span)]) else None


def jumbled_tail(data: bytes, match: Match) -> Span | None:
    """Something, a dot or colon, and a part that has to look random."""
    value = match.group()
    sign = max(value.rfind(b"."), value.find(b":"))
    return (match.start(), match.end()) if judge.jumbled(value[sign + 1 :]) else None


def aws_key(data: bytes, match: Match) -> Span | None:
    """Not the ones of Amazon's own manuals, which say so (`AKIAIOSFODNN7EXAMPLE`)."""
    return None if match.group().endswith(b"EXAMPLE") else whole(data, match)


def cut_off(data: bytes, match: Match) -> Span | None:
    """The beginning of a token, where the text was cut or the line was full."""
    end = match.end()
    after = data[end : end + 1]
    more = continued(data, end, short=True)
    if more > end:
        return match.start(), more
    if after.isalnum() or after in (b"_", b"-"):
        return None
    return (match.start(), end) if judge.jumbled(match.group()[4:]) else None


_AZURE_BYTES_MIN = 30


def azure_key(data: bytes, match: Match) -> Span | None:
    """The mark stands near the end of a long run of base64."""
    start = match.start()
    least = max(0, start - 90)
    while start > least and (data[start - 1] in _B62 or data[start - 1] in b"+/"):
        start -= 1
    if match.start() - start < _AZURE_BYTES_MIN or start == least > 0:
        return None
    after = data[match.end() : match.end() + 1]
    return None if after.isalnum() or after in (b"+", b"/") else (start, match.end())


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


_UUID = compiled(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID_BYTES = 36


def marked(data: bytes, match: Match) -> Span | None:
    """A licence key that ends with its mark."""
    span = headed(data, match)
    return span if span and match.start() - span[0] >= LICENCE_BYTES_MIN else None


def deepl(data: bytes, match: Match) -> Span | None:
    """A UUID and `:fx`."""
    start = max(0, match.start() - _UUID_BYTES)
    return (start, match.end()) if _UUID.fullmatch(data, start, match.start()) else None


def fal(data: bytes, match: Match) -> Span | None:
    """A UUID whose last part the match begins with, a colon and 32 digits."""
    start = match.start() - (_UUID_BYTES - 12)
    if start < 0 or not _UUID.fullmatch(data, start, start + _UUID_BYTES):
        return None
    return start, match.end()


_MAXMIND = compiled(rb"[A-Za-z0-9]{4,8}_[A-Za-z0-9]{20,32}$")


def maxmind(data: bytes, match: Match) -> Span | None:
    """Six bytes, an underscore, 29 bytes and the mark."""
    begin = max(0, match.start() - 42)
    found = _MAXMIND.search(data[begin : match.start()])
    return (begin + found.start(), match.end()) if found else None


_KEY_GAP = rb"(?:[\s\"'+,|>:;*#-]|\\{1,4}[nrt\"]|\xe2\x86\x92|[0-9]{1,6}\b)"
# The last line is short; the end line's hyphens and its word END are not part of it.
_TAIL_GAP = rb"(?:[\s\"'+,|>:;*#]|\\{1,4}[nrt\"]|(?:\n|\\{1,4}n)-|\xe2\x86\x92|[0-9]{1,6}\b)"
_KEY_BODY = compiled(
    rb"(?:" + _KEY_GAP + rb"*[A-Z][A-Za-z-]{2,20}: [A-Za-z0-9,. -]{1,60}(?:\\[nr]|[\r\n]))*"
    rb"(?:"
    + _KEY_GAP
    + rb"*(?:[A-Za-z0-9+/]{1,15}"
    + _KEY_GAP
    + rb"+)?=?[A-Za-z0-9+/]{16,}={0,2})+"
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


_OURS = compiled(rb"[A-Z]{2,6}__?[0-9a-f]{8}")
"""A placeholder in angle brackets, which is no tag."""


def tagged(data: bytes, match: Match) -> Span | None:
    """`<password>VALUE</password>`, or cut off within the value."""
    if _OURS.fullmatch(match.group(1)):
        return None
    end = match.end(2)
    if data[end : end + 2] != b"</" and not _cut_here(data, end) and data[end : end + 1] != b"\n":
        return None
    return element(data, match)


def url_password_cut(data: bytes, match: Match) -> Span | None:
    """`scheme://user:password`, cut off before the host."""
    start = match.start(1)
    value = match.group(1).rstrip(b".\xe2\x80\xa6")
    end = start + len(value)
    if not judge.jumbled(value) or judge.placeholder(value):
        return None
    more = continued(data, end, short=True)
    return (start, more) if more > end or _cut_here(data, end) else None


_QUOTES = compiled(rb"[\\]{0,4}[\"'],\s{0,12}[\\]{0,4}[\"']")


def secret_list(data: bytes, match: Match) -> Span | None:
    """What stands between the first and the last quote of a list under a telling key."""
    first = _QUOTES.search(match.group(1))
    value = match.group(1)[: first.start()] if first else match.group(1)
    if not judge.plausible_quoted(value, Strength.STRONG):
        return None
    return match.start(1), match.end(1)


ASSIGNED_BYTES = 320
"""From the key on, as far as a value is judged."""
_QUOTED_BYTES_MIN, _BARE_BYTES_MIN = 4, 6
_QUOTED = compiled(rb"[^\s\x00\"'`\\]*")
_BARE = compiled(rb"[^\s\x00\x1b\"'`\\<>(){}\[\],;&|]*")


def assignment(data: bytes, match: Match) -> Span | None:
    """`key = value` in code, configuration or JSON inside text, judged by the key's words."""
    # The pattern ends with the first bytes of the value: with groups around all of it a match
    # would take thirty times as long.
    quoted = data[match.end() - _QUOTED_BYTES_MIN - 1] in b"\"'`"
    start = match.end() - (_QUOTED_BYTES_MIN if quoted else _BARE_BYTES_MIN)
    begin = match.start()
    limit = min(len(data), begin + ASSIGNED_BYTES)
    least = max(0, begin - KEY_BYTES_MAX)
    while begin > least and data[begin - 1] in _KEY_BYTES:
        begin -= 1
    key = judge.strength(_key_of(data[begin:start]))
    if key is Strength.NONE:
        return None
    run = (_QUOTED if quoted else _BARE).match(data, start, limit)
    end = run.end() if run else start
    value = data[start:end].rstrip(b"\xe2\x80\xa6")
    sentence = _SENTENCE.search(value)
    if sentence is not None:
        value = value[: sentence.start()]
    end = start + len(value)
    if quoted:
        return (start, end) if judge.plausible_quoted(value, key) else None
    if data[end : end + 1] in (b"(", b"[", b"{", b"<"):
        return None
    value = value.rstrip(b".:!?*")
    environment = data[start - 1 : start] == b"=" and value.count(b"=") <= 2
    if not judge.plausible_bare(value, key, environment=environment):
        return None
    return start, start + len(value)


_KEY = compiled(
    rb"(?:[A-Za-z0-9_.-]|[\xc3-\xdf][\x80-\xbf]|[\xe3-\xed][\x80-\xbf]{2})+"
    rb"(?: [Kk][Ee][Yy]S?s?| de passe)?"
)
_SENTENCE = compiled(rb"\xe3\x80[\x80-\x82]|\xef\xbc[\x8c\x9b]|\xe3\x81\xa7\xe3\x81\x99")
"""Chinese and Japanese need no space behind a value."""


def _key_of(text: bytes) -> bytes:
    found = _KEY.match(text)
    # "is", in Chinese and Japanese, where no space parts words.
    return found.group().removesuffix("是".encode()).removesuffix("は".encode()) if found else b""


_DEFINE = compiled(rb"(?i)(?:define|constant)\s{0,2}\(\s{0,4}[\\]{0,4}[\"']$")
_DEFINE_BYTES = 24


def paired(data: bytes, match: Match) -> Span | None:
    """A value that stands behind its name in a list, a call or a sentence. There it may be
    anything, so what a word looks like stays, unless a flag or `define(` comes before it.
    """
    begin = match.start()
    least = max(0, begin - KEY_BYTES_MAX)
    while begin > least and data[begin - 1] in _KEY_BYTES:
        begin -= 1
    start = match.start(1)
    key = judge.strength(_key_of(data[begin:start].lstrip(b"-")))
    value = match.group(1).rstrip(b".,:;!?")
    if key is Strength.NONE or not judge.plausible_quoted(value, key):
        return None
    certain = data[begin : begin + 1] == b"-" or _DEFINE.search(
        data[max(0, begin - _DEFINE_BYTES) : begin]
    )
    made = judge.looks_made if key is Strength.STRONG else judge.looks_issued
    if not certain and not made(value):
        return None
    return start, start + len(value)


def set_to(data: bytes, match: Match) -> Span | None:
    """`setx NAME VALUE`, `gh secret set NAME --body VALUE`: the latter is one whatever its name."""
    if b"secret" not in match.group()[: match.start(1) - match.start()]:
        return element(data, match)
    plausible = judge.plausible_quoted(match.group(2), Strength.STRONG)
    return (match.start(2), match.end(2)) if plausible else None


_FAR_KEY_BYTES_MAX = 64
_NAME = compiled(
    rb"([A-Za-z0-9_. -]{2,48})[\\]{0,4}[\"'`]?[\])]?\s{0,4}[=:]{1,3}>?\s{0,4}[\\]{0,4}[\"'`]?$"
)


def named_value(data: bytes, match: Match) -> Span | None:
    """`mailgun_key = …`, `Algolia: …`: a value that cannot be anything but issued, after a name
    that says it is a key, or who issues keys.
    """
    start = match.start(1)
    named = _NAME.search(data[max(0, start - _FAR_KEY_BYTES_MAX) : start])
    if named is None or not judge.names_a_secret(named.group(1)):
        return None
    value = match.group(1).rstrip(b".:|-")
    if data[start + len(value) : start + len(value) + 1] in (b"(", b"["):
        return None
    return (start, start + len(value)) if judge.looks_issued(value) else None


def spoken(data: bytes, match: Match) -> Span | None:
    """What follows "the token is": in prose only what no word looks like."""
    start = match.start(1)
    value = match.group(1).rstrip(b".,:;!?")
    if data[start + len(value) : start + len(value) + 1] in (b"(", b"["):
        return None
    key = match.group()[: match.start(1) - match.start()].lower()
    if key.startswith(b"pass"):
        plausible = judge.plausible_quoted(value, Strength.STRONG) and judge.looks_made(value)
    else:
        plausible = judge.looks_issued(value)
    return (start, start + len(value)) if plausible else None


def long_random(data: bytes, match: Match) -> Span | None:
    """A value in a URL that only looks like a secret when it looks random."""
    value = match.group(1)
    return whole(data, match) if judge.looks_issued(value.replace(b"%", b"")) else None


def web_path(data: bytes, match: Match) -> Span | None:
    """A part of a URL that has to hold something random."""
    value = match.group(1)
    return whole(data, match) if any(judge.jumbled(part) for part in value.split(b"/")) else None


def device(data: bytes, match: Match) -> Span | None:
    """What a router's configuration names a secret."""
    value = match.group(1)
    if judge.placeholder(value) or len(value) < DEVICE_BYTES_MIN:
        return None
    word = value.isalpha() and value.islower()
    return None if word else whole(data, match)


_PUTTY_BODY = compiled(rb"(?:(?:\s|[\\]{1,3}[nr]){1,8}[A-Za-z0-9+/]{16,}={0,2})+")


def putty(data: bytes, match: Match) -> Span | None:
    """The lines of a PuTTY key's private half."""
    body = _PUTTY_BODY.match(data, match.end())
    return (match.start(), body.end()) if body else None
