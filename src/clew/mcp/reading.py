"""The tools that look: every one is a few verbs of the ledger and a page of what they gave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import now_ms
from clew.errors import NotFound
from clew.mcp import requests, spoken
from clew.mcp.quoting import Budget, cursor, numbers_of
from clew.model import JSON, Checkpoint, Entry, Message, SessionInfo, Span
from clew.shapes.base import compact
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session

Facts = dict[str, JSON]

LATEST: Final = "latest"
NEWEST: Final = 50
"""Among so many sessions `latest` is the first in which something was said."""
TITLE: Final = 200
SNIPPET: Final = 600
SUMMARY: Final = 1_000
GIST: Final = 400
BATCH: Final = 20
"""Entries that are read at once: their bodies may be big, and an answer soon is full."""
DIFFERING: Final = 20
"""Messages of each side of a diff that are told."""


def session_of(ledger: Ledger, name: str) -> Session:
    """A session by its id, the unique beginning of one, or `latest`."""
    if name != LATEST:
        return ledger.get(name.lower())
    newest = ledger.sessions(limit=NEWEST)
    if not newest:
        raise NotFound("this ledger holds no session yet")
    return ledger.get(next((info for info in newest if info.messages), newest[0]).id)


def search_history(ledger: Ledger, asked: requests.SearchHistory) -> Facts:
    """Words in everything that was said, thought, called and answered."""
    found = ledger.search(
        asked.query,
        kind=asked.kind or None,
        role=asked.role,
        tool=asked.tool,
        session=session_of(ledger, asked.session).id if asked.session else None,
        project=asked.project,
        since=asked.since,
        until=asked.until,
        order=asked.order,
        limit=asked.limit,
    )
    budget, hits = Budget(), []
    for hit in found.hits:
        snippet = budget.short(hit.snippet, SNIPPET)
        title = budget.short(hit.title, TITLE)
        if budget.left < 0:
            break
        hits.append(
            _told(
                session=hit.session,
                seq=hit.seq,
                kind=hit.kind,
                tool=hit.tool,
                time=_moment(hit.time_ms),
                project=hit.project,
                title=title,
                snippet=snippet,
            )
        )
    return _told(
        index=found.index,
        entries_behind=found.behind or None,
        entries_not_searched=found.unseen or None,
        hits_left_off=len(found.hits) - len(hits) or None,
        hits=hits,
    )


def list_sessions(ledger: Ledger, asked: requests.ListSessions) -> Facts:
    """Sessions, newest first."""
    page = ledger.sessions(
        project=asked.project,
        agent=asked.agent,
        status=asked.status,
        since_ms=_start_of(asked.since),
        until_ms=_start_of(asked.until),
        spawned=asked.spawned,
        limit=asked.limit + 1,
        after=_after(ledger, asked.cursor),
    )
    budget, told = Budget(), []
    for info in page[: asked.limit]:
        title = budget.short(info.title, TITLE)
        told.append(
            _told(
                session=info.id,
                title=title,
                project=info.project,
                agent=info.agent,
                status=str(info.status),
                messages=info.messages,
                updated=_moment(info.updated_ms),
                head=_place(info.head),
                forked_from=_place(info.forked_from),
                spawned_by=info.spawned_by,
            )
        )
    last = page[asked.limit - 1] if len(page) > asked.limit else None
    return _told(sessions=told, next=f"{last.updated_ms}.{last.id}" if last else None)


def _after(ledger: Ledger, text: str | None) -> SessionInfo | None:
    if text is None:
        return None
    when, _, id = text.partition(".")
    # The session may have moved up the list since: the page goes on from where it was then.
    (updated,) = numbers_of(when, 1) or (0,)
    return msgspec.structs.replace(ledger.get(id).info, updated_ms=updated)


def read_entries(ledger: Ledger, asked: requests.ReadEntries) -> Facts:
    """A session's own log, also what a compaction replaced and what a rewind left."""
    session = session_of(ledger, asked.session)
    start, offset = numbers_of(asked.cursor, 2) or (asked.start, 0)
    budget, told, next_ = Budget(), list[Facts](), None
    for entry in _log(session, start, asked.end, asked.limit + 1):
        if len(told) == asked.limit or budget.left <= 0:
            next_ = cursor(entry.seq, 0)
            break
        text, rest = budget.take(spoken.of_entry(entry), offset if entry.seq == start else 0)
        told.append(_entry(entry, text, whole=rest is None))
        if rest is not None:
            next_ = cursor(entry.seq, rest)
            break
    fork = session.info.forked_from
    earlier = f"entries up to {fork.seq} are those of session {fork.session}" if fork else None
    return _told(
        session=session.id,
        earlier=earlier if fork and start <= fork.seq else None,
        entries=told,
        next=next_,
    )


def _log(session: Session, start: int, end: int | None, limit: int) -> Any:
    after, left = start - 1, limit
    while left > 0:
        page = session.entries(after=after, limit=min(BATCH, left))
        for entry in page:
            if end is not None and entry.seq > end:
                return
            yield entry
        if len(page) < min(BATCH, left):
            return
        after, left = page[-1].seq, left - len(page)


def _entry(entry: Entry, text: str, *, whole: bool) -> Facts:
    return _told(
        seq=entry.seq,
        kind=str(entry.kind),
        role=entry.role,
        time=_moment(entry.time_ms),
        cut=None if whole else True,
        text=text,
    )


def read_context(ledger: Ledger, asked: requests.ReadContext) -> Facts:
    """What a model is shown of the session now, summaries first."""
    session = session_of(ledger, asked.session)
    messages = session.context()
    first = max(len(messages) - asked.last, 0) if asked.last else 0
    start, offset = numbers_of(asked.cursor, 2) or (first, 0)
    budget, told, next_ = Budget(), list[Facts](), None
    for number, message in enumerate(messages[start:], start):
        if budget.left <= 0:
            next_ = cursor(number, 0)
            break
        text, rest = budget.take(spoken.of_message(message), offset if number == start else 0)
        told.append(_message(message, text, whole=rest is None))
        if rest is not None:
            next_ = cursor(number, rest)
            break
    return _told(session=session.id, all_messages=len(messages), messages=told, next=next_)


def _message(message: Message, text: str, *, whole: bool) -> Facts:
    return _told(
        at=_place(message.at[0]) if message.at else None,
        role=message.role,
        summary=message.summary or None,
        cut=None if whole else True,
        text=text,
    )


def list_checkpoints(ledger: Ledger, asked: requests.ListCheckpoints) -> Facts:
    """A session's checkpoints, newest first; one was kept before every compaction."""
    session = session_of(ledger, asked.session)
    after = None if asked.cursor is None else session.get_checkpoint(asked.cursor).id
    found = session.checkpoints(limit=asked.limit + 1, after=after)
    budget, told = Budget(), list[Facts]()
    for made in found[: asked.limit]:
        facts = checkpoint(made, budget)
        if budget.left < 0:
            break
        told.append(facts)
    more = len(told) < len(found)
    next_ = found[len(told) - 1].id if more and told else None
    return _told(session=session.id, checkpoints=told, next=next_)


def checkpoint(made: Checkpoint, budget: Budget) -> Facts:
    """A checkpoint as it is told."""
    return _told(
        checkpoint=made.id,
        label=budget.short(made.label, TITLE) or None,
        reason=made.reason,
        made=_moment(made.created_ms),
        at=_place(made.pre) or "root",
        tokens_before=made.tokens_before,
        tokens_after=made.tokens_after,
        summary=budget.short(made.summary, SUMMARY),
    )


def diff_checkpoints(ledger: Ledger, asked: requests.DiffCheckpoints) -> Facts:
    """What the path to one place holds that the path to another does not."""
    session = session_of(ledger, asked.session)
    found = session.diff(asked.a, asked.b)
    budget = Budget()
    return _told(
        session=session.id,
        common=_place(found.common) or "root",
        messages_only_in_a=len(found.only_a),
        messages_only_in_b=len(found.only_b),
        newest_only_in_a=_gists(found.only_a, budget),
        newest_only_in_b=_gists(found.only_b, budget),
        settings_changed=[
            budget.short(
                f"{key}: {_json(found.config_a.get(key))} -> {_json(found.config_b.get(key))}",
                GIST,
            )
            for key in found.config_changed[:DIFFERING]
        ],
    )


def _gists(messages: tuple[Message, ...], budget: Budget) -> list[Facts]:
    return [
        _told(
            at=_place(message.at[0]) if message.at else None,
            role=message.role,
            gist=budget.short(spoken.of_message(message)[: GIST * 2], GIST),
        )
        for message in messages[-DIFFERING:]
    ]


def read_trace(ledger: Ledger, asked: requests.ReadTrace) -> Facts:
    """Tool calls, model calls and turns: how long each took and how it ended."""
    session = session_of(ledger, asked.session)
    if asked.span is not None:
        return _whole_span(session.span(asked.span), asked.cursor)
    (after,) = numbers_of(asked.cursor, 1) or (0,)
    found = session.spans(
        kind=asked.kind,
        tool=asked.tool,
        outcome=asked.outcome,
        turn=asked.turn,
        after=after,
        limit=asked.limit + 1,
    )
    budget, told = Budget(), list[Facts]()
    for span in found[: asked.limit]:
        facts = _span(span, budget)
        if budget.left < 0:
            break
        told.append(facts)
    more = len(told) < len(found)
    next_ = cursor(found[len(told) - 1].sequence) if more and told else None
    return _told(session=session.id, spans=told, next=next_)


_TIMES: Final = frozenset({"started_us", "finished_us", "created_ms"})
_BODIES: Final = frozenset({"input", "output", "attributes"})


def _span(span: Span, budget: Budget) -> Facts:
    """What is known of a span, without its bodies; texts are cut."""
    facts: Facts = {}
    for name in span.__struct_fields__:
        value = getattr(span, name)
        if name in _TIMES or name in _BODIES or value is None:
            continue
        if isinstance(value, str):
            facts[name] = budget.short(value, GIST)
        else:
            facts[name] = value if isinstance(value, int | float) else str(value)
    facts["started"] = _moment(span.started_us // 1000)
    return facts


def _whole_span(span: Span, at: str | None) -> Facts:
    """One span with its bodies, as one text that is read page by page."""
    bodies = "\n".join(
        f"{name}: {_json(value)}"
        for name in ("input", "output", "attributes")
        if (value := getattr(span, name)) not in (None, {})
    )
    (start,) = numbers_of(at, 1) or (0,)
    text, rest = Budget().take(bodies, start)
    head = _span(span, Budget())
    return _told(
        **head,
        bodies=text,
        cut=None if rest is None else True,
        next=None if rest is None else cursor(rest),
    )


# --- small words -------------------------------------------------------------------------


def _told(**facts: Any) -> Facts:
    """Facts without those that say nothing."""
    return {name: value for name, value in facts.items() if value is not None}


def _json(value: JSON) -> str:
    return value if isinstance(value, str) else compact(value)


def _place(at: object | None) -> str | None:
    return None if at is None else str(at)


def _moment(time_ms: int) -> str | None:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ms / 1000))
    except (OverflowError, ValueError, OSError):
        return None


def _start_of(text: str | None) -> int | None:
    return None if text is None else parse_since(text, now_ms())
