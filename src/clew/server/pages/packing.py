"""Smaller on the wire: pages repeat themselves, and not every reader sits beside the server.

What a page says back of a request is sent to nobody but who asked, from this page: the cookie
goes with no request of another site, so that nobody can try texts and look at the size.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from clew.server.answer import Answer
    from clew.server.call import Call

BYTES_MIN: Final = 1_000
"""Less than that is one packet anyway."""
LEVEL: Final = 5


def packed(call: Call, answer: Answer) -> Answer:
    """The answer with its body packed, where that is worth it and the caller takes it."""
    if len(answer.body) < BYTES_MIN:
        return answer
    answer.headers = (*answer.headers, (b"vary", b"accept-encoding"))
    if b"gzip" in call.headers.get(b"accept-encoding", b""):
        answer.body = gzip.compress(answer.body, LEVEL, mtime=0)
        answer.headers = (*answer.headers, (b"content-encoding", b"gzip"))
    return answer
