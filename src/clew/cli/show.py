"""`clew show`: one session, as a conversation, as its raw log, or as a provider takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.model import Entry
    from clew.session import Session

PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")
PREVIEW_CHARS = 80
CONTEXT = 2
"""Messages shown before and behind the one that was asked for."""


@click.command()
@setup
@click.argument("session", metavar="SESSION[:ENTRY]")
@click.option("--full", is_flag=True, help="Cut nothing short.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="Only the newest N messages.")
@click.option("--entries", is_flag=True, help="The raw log instead: every kind, every branch.")
@click.option("--view", "provider", type=click.Choice(PROVIDERS), help="The request for it: JSON.")
@click.option("--max-tokens", type=click.IntRange(1), help="With --view: cut it to this size.")
def show(
    setup: Setup,
    session: str,
    full: bool,
    tail: int | None,
    entries: bool,
    provider: str | None,
    max_tokens: int | None,
) -> None:
    """Show a conversation with its tool calls.

    Also its compactions, checkpoints, branches and sub-agents.

    SESSION:ENTRY shows the messages around one entry, wherever it lies.
    """
    from clew.cli import find
    from clew.errors import Invalid

    if max_tokens is not None and provider is None:
        raise Invalid("--max-tokens goes with --view PROVIDER")
    name, _, seq = session.partition(":")
    if seq and not seq.isdigit():
        raise Invalid(f"{session!r}: write SESSION or SESSION:NUMBER, for example latest:12")
    with setup.open() as ledger:
        owner = find.session(ledger, name)
        if provider is not None:
            _show_view(owner, provider, max_tokens)
        elif entries:
            _show_entries(setup, owner, tail)
        elif seq:
            _show_around(setup, ledger, owner, int(seq), full)
        else:
            _show_conversation(setup, ledger, owner, tail, full)


def _show_view(owner: Session, provider: str, max_tokens: int | None) -> None:
    made = owner.view(provider, max_tokens=max_tokens)
    output.document(made.request)
    output.hint(
        f"about {made.tokens:,} tokens, {output.plural(len(made.messages), 'message')}; "
        f"{made.dropped:,} left out, {len(made.repaired):,} missing results filled in"
    )


def _show_conversation(
    setup: Setup, ledger: Ledger, owner: Session, tail: int | None, full: bool
) -> None:
    from clew.cli import conversation, drawing

    loaded = conversation.load(ledger, owner)
    if setup.json:
        from msgspec.structs import replace

        kept = loaded.facts.messages[-tail:] if tail else loaded.facts.messages
        output.document(replace(loaded.facts, messages=kept))
        return
    for line in drawing.draw(loaded, tail=tail, full=full):
        output.text(line)


def _show_around(setup: Setup, ledger: Ledger, owner: Session, seq: int, full: bool) -> None:
    from clew import reading
    from clew.cli import conversation, drawing, find
    from clew.model import Position

    at = Position(find.owner_of(ledger, owner, seq).id, seq)
    history = owner.history()
    shown = conversation.around(history, at, CONTEXT)
    if not shown:
        entry = owner.entry(at)
        if entry.kind not in reading.SPOKEN:
            _show_log(setup, [entry])
            return
        shown = [reading.decode(entry)]
        output.hint("this entry is not on the path that the session stands on")
    if setup.json:
        output.document({"session": owner.id, "entry": seq, "messages": shown})
        return
    for line in drawing.draw_messages(history, shown, full=full, mark=at):
        output.text(line)


def _show_entries(setup: Setup, owner: Session, tail: int | None) -> None:
    head = owner.info
    first = max(head.entries - tail, 0) if tail else 0
    fork = head.forked_from.seq if head.forked_from else 0
    _show_log(setup, owner.entries(after=first + fork if first else 0))


def _show_log(setup: Setup, entries: list[Entry]) -> None:
    if setup.json:
        output.documents(map(_plain, entries))
        return
    heads = ("#", "time", "kind", "role", "format", "bytes", "body")
    output.table(heads, [_row(entry) for entry in entries])


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "session": entry.session,
        "seq": entry.seq,
        "kind": entry.kind,
        "role": entry.role,
        "time_ms": entry.time_ms,
        "format": entry.format,
        "meta": entry.meta,
        "erased": entry.erased,
        "data": _data(entry),
    }


def _data(entry: Entry) -> Any:
    """The body as JSON; one that is none (a torn record) as text."""
    try:
        return entry.data
    except ValueError:
        return (entry.body or b"").decode("utf-8", "replace")


def _row(entry: Entry) -> tuple[object, ...]:
    body = "[erased]" if entry.body is None else entry.body.decode("utf-8", "replace")
    return (
        entry.seq,
        output.moment(entry.time_ms),
        entry.kind.value,
        entry.role or "",
        entry.format,
        len(entry.body or b""),
        output.one_line(body[:1000], PREVIEW_CHARS),
    )
