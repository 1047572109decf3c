"""The audit log: who did what to which session, when. Metadata only, never content.

Records of a session form one hash chain; records that belong to no session form one per
project. Each record also commits to the session's entry chain as it stood, so that the two
vouch for each other. A chain cannot show that its end was cut off: `roots` gives the ends, to
be kept elsewhere and compared by `verify`.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from functools import cache

import msgspec

from clew import canonical
from clew.db import Tx
from clew.log import Head
from clew.model import JSON

PAGE = 1000


@cache
def default_actor() -> str:
    """The name of the person at the machine, or "unknown" where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def record(tx: Tx, head: Head, actor: str, action: str, **facts: JSON) -> None:
    """Add a record to a session's chain. The caller saves the head."""
    facts["seq"] = head.last_seq
    number = head.audit_number + 1
    anchor = head.chain if head.appended else b"start"
    head.audit_chain = _add(
        tx, head.project, head.key, number, (actor, action, facts), head.audit_chain, anchor
    )
    head.audit_number = number


def record_project(tx: Tx, project: int, actor: str, action: str, **facts: JSON) -> None:
    """Add a record to a project's own chain."""
    row = tx.one("project_lock", project=project)
    assert row is not None, "the project was looked up before"  # noqa: S101
    number = row[3] + 1
    chain = _add(tx, project, 0, number, (actor, action, facts), bytes(row[4]), b"")
    tx.run("project_audited", project=project, number=number, chain=chain)


def _add(
    tx: Tx,
    project: int,
    session: int,
    number: int,
    what: tuple[str, str, dict[str, JSON]],
    previous: bytes,
    anchor: bytes,
) -> bytes:
    actor, action, facts = what
    text = canonical.canonical(facts).decode()
    now = canonical.now_ms()
    chain = canonical.link(previous, header(number, now, actor, action, text), anchor)
    tx.run(
        "audit_add",
        project=project,
        session=session,
        number=number,
        time_ms=now,
        actor=actor,
        action=action,
        facts=text,
        chain=chain,
    )
    return chain


def header(number: int, time_ms: int, actor: str, action: str, facts: str) -> bytes:
    """What a record's link commits to."""
    return "\0".join((str(number), str(time_ms), actor, action, facts)).encode()


def check_chain(
    tx: Tx, project: int, session: int, start: bytes, end: tuple[int, bytes]
) -> Iterator[str]:
    """Follow one chain from `start` to its end and name every record that does not fit."""
    previous, expected, after = start, 1, 0
    while True:
        rows = tx.all("audit_chain", project=project, session=session, after=after, limit=PAGE)
        for number, time_ms, actor, action, facts, chain in rows:
            if number != expected:
                yield f"audit records {expected} to {number - 1} are missing"
            anchor = _anchor(tx, project, session, facts)
            derived = canonical.link(
                previous, header(number, time_ms, actor, action, facts), anchor
            )
            if derived != bytes(chain):
                yield f"audit record {number} ({action}) was changed, or follows one that was"
            previous, expected, after = bytes(chain), number + 1, number
        if len(rows) < PAGE:
            break
    if (expected - 1, previous) != end:
        yield f"the audit log ends at record {expected - 1}; its session says {end[0]}"


def _anchor(tx: Tx, project: int, session: int, facts: str) -> bytes:
    if session == 0:
        return b""
    try:
        seq = msgspec.json.decode(facts).get("seq")
    except (msgspec.DecodeError, AttributeError):
        return b""
    if not isinstance(seq, int) or not 0 <= seq < 2**63:
        return b""
    row = tx.one("entry_chain", project=project, session=session, seq=seq)
    return bytes(row[0]) if row else b"start"
