"""Coming in: a token, given once, becomes a cookie that no script can read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clew.server.answer import Answer
from clew.server.pages import render

if TYPE_CHECKING:
    from clew.server.call import Call

COOKIE: Final = "clew_token"


async def form(call: Call) -> Answer:
    """Where the token is asked for. A token behind `#` in the address is taken from there: what
    stands behind it never leaves the browser by itself.
    """
    return render.page(call, "login.html", next=_local(call.query.next))


async def enter(call: Call) -> Answer:
    """The guard has asked for the token, in a header, and sets the cookie."""
    return Answer(b"", status=204)


async def leave(call: Call) -> Answer:
    """Forget the cookie; the token itself goes on."""
    gone = f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    headers = ((b"set-cookie", gone.encode()), (b"location", b"/login"))
    return Answer(b"", status=303, headers=headers)


_OWN: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*")
"""A path of this server. A browser drops tabs and line ends from an address before it reads it."""


def _local(path: str) -> str:
    """A path of this server; whatever else is asked for leads home."""
    return path if _OWN.fullmatch(path) and "\\" not in path else "/"
