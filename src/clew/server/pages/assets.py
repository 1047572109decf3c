"""The page's own files: read once, served under a name that changes with them, so that a browser
keeps them for good. Nothing comes from anywhere else.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from clew.server.answer import Answer

FOREVER: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}


@cache
def contents() -> dict[str, bytes]:
    """Every file, by its name."""
    folder = files("clew.server") / "static"
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir(), key=lambda f: f.name)}


@cache
def folder() -> str:
    """The path under which they are: one for all, since modules import one another."""
    digest = hashlib.sha256()
    for name, body in contents().items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    return f"/static/{digest.hexdigest()[:16]}"


def url(name: str) -> str:
    """Where a file is. Raises `KeyError` for one that there is not."""
    contents()[name]
    return f"{folder()}/{name}"


def answer(name: str) -> Answer:
    """A file, to be kept."""
    suffix = name[name.rindex(".") :]
    return Answer(contents()[name], content_type=_TYPES[suffix], headers=(FOREVER,))
