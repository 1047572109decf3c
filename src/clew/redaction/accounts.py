"""Names of accounts: which of them are learned, and where one that was learned is replaced.

A name behind `/home/` is replaced there. What stands there is not always a person: routes
(`/home/overview`), folders (`/home/node_modules`) and parts of a service's address
(`/Users/authenticate`) look alike. So a name is learned only from a place that shows a home
folder, and what was learned is replaced only where an account or a folder is named, not in any
text. Both look at the text around a name and at nothing else, within one line.
"""

from __future__ import annotations

from clew.redaction.linear import compiled

BEFORE_BYTES = 96
AFTER_BYTES = 96

_SLASH = rb"(?:/|(?i:%(?:25)?2f))"
_LINK_BEFORE = compiled(
    rb"(?i)(?:\b(?:href|src|to|from|path|action|url|route|redirect|navigate|push|replace|link|goto)"
    rb"[ \t]{0,2}(?:=[ \t]?[{(]?|\()[ \t]?[\\]{0,4}[\"'`]|@)" + _SLASH + rb"(?:home|users)$"
)
"""An attribute or a call that names a page."""
_INSIDE = compiled(
    _SLASH + rb"(?:\.[A-Za-z]|(?:Desktop|Documents|Downloads|Library|Pictures|Music|Videos"
    rb"|Applications|Dropbox|OneDrive|snap|go|bin|dev|src|code|git|github|gitlab|work|workspace"
    rb"|repos?|[Pp]rojects?|miniconda3?|anaconda3?|public_html|venv)(?:[^A-Za-z0-9]|$)"
    rb"|[A-Za-z0-9_@+.-]{1,80}" + _SLASH + rb"[A-Za-z0-9_@+.-]"
    rb"|[A-Za-z0-9_@+-]{1,80}\.[a-z0-9]{1,8}(?:[^A-Za-z0-9.]|$))"
)
"""What a home folder holds: a hidden folder, a usual one, a file, or folders in folders."""
_INSIDE_WINDOWS = compiled(rb"[\\]{1,4}[A-Za-z0-9_.@+-]")


def shows_home(data: bytes, start: int, end: int, rule: str) -> bool:
    """Is it sure that the name from `start` to `end`, which `rule` found, is that of an account?"""
    if rule in ("prompt", "detected"):
        return True
    after = data[end : end + AFTER_BYTES]
    if rule == "home-windows":
        return _INSIDE_WINDOWS.match(after, 0) is not None
    if rule not in ("home", "home-encoded"):
        return False
    before = data[max(0, start - BEFORE_BYTES) : start].removesuffix(b"/")
    if _LINK_BEFORE.search(before) is not None:
        return False
    return _INSIDE.match(after, 0) is not None


_LABEL_BEFORE = compiled(
    rb"(?i)(?:(?:^|[^A-Za-z0-9])(?:user|users|user_?name|login|logname|author|owner|owned|account"
    rb"|assignee|reviewer|committer|maintainer|member|by|uid|whoami|su|sudo|chown|passwd|usermod"
    rb"|useradd|adduser|hi|hello|dear|thanks)|[ \t]-[ul]|--user(?:name)?)"
    rb"(?:[ \t]-[A-Za-z]{1,8}){0,3}[\\]{0,4}[\"'`]?[ \t]{0,4}(?:[:=,]|[ \t]|=>)[ \t]{0,4}"
    rb"[\\]{0,4}[\"'`@]{0,2}$"
)
"""A word that says that an account comes: `user X`, `"owner": "X"`, `chown -R X`."""
_LISTED_BEFORE = compiled(
    rb"(?:[-dlbcps][r-][w-][xsS-][r-][w-][xsS-][r-][w-][xtT-][.+@]?[ \t]{1,8}[0-9]{1,8}[ \t]{1,8}"
    rb"(?:[^ \t\n]{1,40}[ \t]{1,12})?|[0-9]\(|>:)$"
)
"""A line of `ls -l`, of `id`, or the group behind an owner."""
_SLUG_BEFORE = compiled(rb"-(?:home|Users)-$")
_BEHIND = compiled(rb"(?::[A-Za-z_< \t]|[ \t]{1,12}[0-9]{1,8}[ \t])")
"""`X:group`, a line of `passwd` or of `ps`, where a line begins."""


def names_account(data: bytes, start: int, end: int) -> bool:
    """Does the name from `start` to `end` stand where an account or a folder is named?"""
    before = data[max(0, start - BEFORE_BYTES) : start]
    if before[-1:] in (b"/", b"~") or before.endswith(b"\\\\") or _encoded_slash(before):
        return True
    if _opens(before) and _closes(data, end):
        return True
    return (
        data[end : end + 1] == b"@"
        or (_opens(before) and _BEHIND.match(data, end) is not None)
        or _LABEL_BEFORE.search(before) is not None
        or _LISTED_BEFORE.search(before) is not None
        or _SLUG_BEFORE.search(before) is not None
        or _in_windows_path(before)
    )


def _encoded_slash(before: bytes) -> bool:
    return before[-3:].upper() in (b"%2F", b"%5C")


def _in_windows_path(before: bytes) -> bool:
    r"""`D:\X`, `\\server\X`, where the backslash is no escape."""
    return before.endswith(b"\\") and (before[-2:-1].isalnum() or before[-2:-1] == b":")


def _opens(before: bytes) -> bool:
    """Is it the beginning of a line?"""
    return not before or before[-1:] in b"\n\r"


def _closes(data: bytes, end: int) -> bool:
    return end == len(data) or data[end] in b"\n\r"
