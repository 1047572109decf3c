"""Names for files of single sessions: safe on Linux, macOS and Windows, and one for each row.

An id that is a plain name stands in it as it is. Any other (with capitals, which some file
systems take for small letters; with a slash, a dot or a word that Windows keeps to itself) is
made plain, and a digest tells it from all that look like it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from clew.exporters.base import Row

STEM_CHARS_MAX: Final = 80
DIGEST_CHARS: Final = 16
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*")
_OTHER = re.compile(r"[^A-Za-z0-9_-]+")
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)
_LABELS: Final = ("segment", "turn", "step")
"""Fields that tell one row of a session from its others."""


def file_name(row: Row, suffix: str) -> str:
    """`0197-b.md`; `0197-b.left-7.segment-2.md` for a branch that was left and a part of it;
    `A_b.id-9f86d081884c7d65.md` for an id that is no plain name.
    """
    session = str(row.get("session_id") or "")
    labels = {name: row[name] for name in _LABELS if name in row}
    left = str(row.get("branch_id") or "") if row.get("branch") == "left" else None
    of, _, number = (left or "").rpartition(":")
    fits = all(type(value) is int and value >= 0 for value in labels.values())
    fits = fits and (left is None or (of == session and number.isascii() and number.isdecimal()))
    if fits and _is_plain(session):
        parts = [session, *([] if left is None else [f"left-{number}"])]
        return ".".join([*parts, *(f"{name}-{value}" for name, value in labels.items())]) + suffix
    identity = msgspec.json.encode([session, left, sorted(labels.items(), key=str)])
    digest = hashlib.sha256(identity).hexdigest()[:DIGEST_CHARS]
    return f"{_made_plain(session)}.id-{digest}{suffix}"


def _is_plain(text: str) -> bool:
    return (
        len(text) <= STEM_CHARS_MAX
        and _PLAIN.fullmatch(text) is not None
        and _RESERVED.fullmatch(text) is None
    )


def _made_plain(text: str) -> str:
    stem = _OTHER.sub("_", text).strip("_-")[:STEM_CHARS_MAX]
    return stem if stem and _RESERVED.fullmatch(stem) is None else f"session_{stem}".rstrip("_")
