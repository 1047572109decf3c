"""Every way a call can fail, and what the caller can do about it.

    ClewError
    ├── NotFound         no such session, checkpoint, entry; the message names it
    ├── Invalid          the input is wrong; the message says what, where and how to mend it
    ├── Conflict         somebody else wrote first; carries the new head and what was missed
    │   └── Leased       somebody else holds the session's lease
    ├── Stale            the handle was closed or evicted: open the session again
    ├── Unauthorized     a server does not know who asks: no access token, or not a valid one
    ├── Forbidden        the access token does not allow it; the message names the scope
    ├── ReadOnly         the ledger cannot be written (newer schema, damage, read-only open)
    ├── Damaged          stored bytes do not match their digests; writing has stopped
    ├── Unavailable      the database cannot be reached or is busy beyond the time budget
    └── RedactionFailed  a second scan still found something; nothing was exported

Driver exceptions never leave `clew.db`: they are translated there, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clew.model import Entry, Position


class ClewError(Exception):
    """Base of everything Clew raises on purpose."""


class NotFound(ClewError):
    """Nothing is stored under that name."""


class Invalid(ClewError):
    """The input cannot be taken as it is."""


class Conflict(ClewError):
    """The session moved on since the caller last looked.

    `head` is where it stands now (`None`: at its root) and `missed` the entries that came
    after the expected head, oldest first, so that the caller can merge and try again.
    """

    def __init__(
        self,
        message: str,
        *,
        head: Position | None = None,
        missed: tuple[Entry, ...] = (),
    ) -> None:
        super().__init__(message)
        self.head = head
        self.missed = missed


class Leased(Conflict):
    """Another owner holds the session until its lease expires."""


class Stale(ClewError):
    """The session handle was closed or evicted."""


class Unauthorized(ClewError):
    """A server asks for an access token, and this is none, or none that is valid.

    `genuine` tells that the token's secret was right and it may be used no longer, or not here.
    """

    def __init__(self, message: str, *, genuine: bool = False) -> None:
        super().__init__(message)
        self.genuine = genuine


class Forbidden(ClewError):
    """The access token does not allow what was asked."""


class ReadOnly(ClewError):
    """This ledger takes no writes."""


class Damaged(ClewError):
    """Stored bytes are not what was written; writing has stopped."""


class Unavailable(ClewError):
    """The database did not answer within the time budget."""


class RedactionFailed(ClewError):
    """The written export still held something that a rule finds."""
