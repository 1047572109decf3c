"""What a person writes for a session or a place in one, as the ledger names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.errors import Invalid, NotFound

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session

LATEST = "latest"
NEWEST = 50
"""Among so many sessions `latest` is the first in which something was said."""
SEQ_DIGITS = 7
"""More digits than this are the beginning of a checkpoint's id."""


def session(ledger: Ledger, name: str) -> Session:
    """A session by its id, the unique beginning of one, or `latest`.

    Raises `NotFound`, `Invalid`.
    """
    if name != LATEST:
        return ledger.get(name.lower())
    # Where only a sub-agent's file came in, that is the newest there is.
    newest = ledger.sessions(limit=NEWEST) or ledger.sessions(spawned=True, limit=NEWEST)
    if not newest:
        raise NotFound("this ledger holds no session yet: begin with `clew import`")
    # A file of mere labels has no time of its own, and passes for as new as its file.
    spoken = next((info for info in newest if info.messages), newest[0])
    return ledger.get(spoken.id)


def place(ledger: Ledger, owner: Session, text: str) -> str:
    """A place in a session, in the words of its verbs: `id:seq`, a checkpoint's id or `root`.

    A plain number is an entry; a branch counts on from its fork point, so that a number up to
    there is an entry of the session that it was forked from. Raises `NotFound`, `Invalid`.
    """
    head, colon, seq = text.rpartition(":")
    if colon:
        if not seq.isdigit():
            raise Invalid(f"{text!r} names no place: write SESSION:NUMBER, for example latest:12")
        return f"{session(ledger, head).id}:{int(seq)}"
    if text.isdigit() and len(text) <= SEQ_DIGITS:
        return f"{owner_of(ledger, owner, int(text)).id}:{int(text)}"
    return text


def owner_of(ledger: Ledger, owner: Session, seq: int) -> Session:
    """The session whose log holds entry `seq` of a branch's path."""
    fork = owner.info.forked_from
    while fork is not None and seq <= fork.seq:
        owner = ledger.get(fork.session)
        fork = owner.info.forked_from
    return owner


def project(ledger: Ledger, name: str) -> str:
    """The name of a project that is there. Raises `NotFound`."""
    known = ledger.projects()
    if name not in known:
        raise NotFound(f"no project {name!r} in this ledger: there are {', '.join(known[:10])}")
    return name
