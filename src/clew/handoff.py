"""Hand-off: a session for another agent to go on with.

What the model saw, said with the other agent's tools, as a new session in the place where that
agent looks for its own; or a briefing in Markdown for one that takes none. It is told before
anything is written what is kept and what is lost.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from clew.conversing import conversation as conversation_of
from clew.errors import Invalid
from clew.model import Message, Text
from clew.names import bounded
from clew.restoring import absolute, in_a_folder, record
from clew.view import is_turn_start
from clew.writers import WRITERS, lost
from clew.writers.adapting import Adapted, adapt, document
from clew.writers.base import Conversation, Loss, Written
from clew.writers.places import elsewhere
from clew.writers.placing import LONGER, Placed, put

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session

MARKDOWN: Final = "markdown"
"""In the place of an agent: a document that a person can give to any."""


class HandedOff(msgspec.Struct, frozen=True, kw_only=True):
    """What a hand-off wrote, or with `dry_run` would write.

    `turns` and `messages` are kept word for word, `older` messages stand in a summary: the
    session's own (`compaction`) or one made here of facts (`briefing`). `calls` counts what
    became of the calls: `mapped` to the agent's own tools, `kept` as they were, `quoted` as
    text (by tool in `quoted`). `tokens` is about how much the agent's model will read of it,
    `tokens_before` how much the model before it read. `native` is the new session's id in the
    agent's own terms, `command` the line of shell that takes it up, `text` the document when
    that is what was asked for.
    """

    session: str
    to: str
    native: str
    root: Path | None
    files: tuple[Placed, ...]
    command: str
    turns: int
    messages: int
    older: int
    summary: str | None
    calls: dict[str, int]
    quoted: dict[str, int]
    images: int
    tokens: int
    tokens_before: int
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    text: str | None = None
    dry_run: bool = False


def handoff(
    ledger: Ledger,
    session: Session,
    to: str,
    *,
    root: Path | None,
    cwd: str | None,
    keep: int | None,
    max_tokens: int | None,
    dry_run: bool,
) -> HandedOff:
    """See `Ledger.handoff`."""
    if to != MARKDOWN and to not in WRITERS:
        raise Invalid(f"to={to!r} is no agent to hand over to: {', '.join(WRITERS)}, {MARKDOWN}")
    keep = keep if keep is None else bounded(keep, "keep")
    max_tokens = max_tokens if max_tokens is None else bounded(max_tokens, "max_tokens")
    found, settling = conversation_of(ledger, session)
    found, notes = in_a_folder(_in(found, cwd))
    before = sum(map(ledger.count_tokens, found.messages))
    text: str | None = None
    if to == MARKDOWN:
        text, adapted = document(found, keep=keep, max_tokens=max_tokens, count=ledger.count_tokens)
        written = _document(found, text, root)
        target = None if root is None else absolute(root)
    else:
        adapted = adapt(found, to, keep=keep, max_tokens=max_tokens, count=ledger.count_tokens)
        target = absolute(root) if root else WRITERS[to].home(Path.home(), os.environ)
        written = WRITERS[to].write(_named(adapted, to), target)
    placed = put(target, written.files, dry_run=dry_run) if target is not None else ()
    if not dry_run:
        record(ledger, "handoff", session, to, written.files, exact=False)
    tokens = _tokens(ledger, adapted, text)
    return HandedOff(
        session=session.id,
        to=to,
        native=written.session,
        root=target,
        files=placed,
        command=_command(written.command, to, root, target),
        turns=sum(map(is_turn_start, adapted.conversation.messages)),
        messages=len(adapted.conversation.messages),
        older=adapted.older,
        summary=adapted.summary,
        calls=adapted.calls,
        quoted=adapted.quoted,
        images=adapted.images,
        tokens=tokens,
        tokens_before=before,
        losses=(*settling, *adapted.losses, *filter(_of_the_old, written.losses)),
        notes=(*notes, *_notes(placed, to, root, found.cwd, (tokens, max_tokens))),
        text=text,
        dry_run=dry_run,
    )


def _of_the_old(loss: Loss) -> bool:
    """False for what says of quotations and notes, which are made here, that nobody typed them."""
    return loss.what != lost.INJECTED


def _in(found: Conversation, cwd: str | None) -> Conversation:
    """The same for another folder, if one is named."""
    if cwd is None:
        return found
    return msgspec.structs.replace(found, cwd=str(absolute(Path(cwd))))


def _named(adapted: Adapted, to: str) -> Conversation:
    """Under a name of its own, made of all that is said: neither what a restore writes nor
    another choice of what stays may pass for this one, or be mixed with it where an agent takes
    a file into its database.
    """
    found = adapted.conversation
    said = hashlib.sha256(repr(found.messages).encode("utf-8", "surrogatepass")).hexdigest()
    return msgspec.structs.replace(found, at=f"{found.at} handoff {to} {said}")


def _document(found: Conversation, text: str, root: Path | None) -> Written:
    file = f"handoff-{found.session}.md"
    raw = text.encode("utf-8", "replace")
    return Written({} if root is None else {file: raw}, found.session, "")


def _tokens(ledger: Ledger, adapted: Adapted, text: str | None) -> int:
    if text is not None:
        return ledger.count_tokens(Message("user", (Text(text),)))
    return sum(map(ledger.count_tokens, adapted.conversation.messages))


def _command(command: str, to: str, root: Path | None, target: Path | None) -> str:
    """What takes the session up, when it lies in another folder too."""
    return command if root is None or target is None else elsewhere(command, to, target)


def _notes(
    placed: tuple[Placed, ...],
    to: str,
    root: Path | None,
    cwd: str | None,
    size: tuple[int, int | None],
) -> list[str]:
    tokens, max_tokens = size
    notes = [
        f"{file.path} is there already, and goes on" for file in placed if file.state == LONGER
    ]
    if max_tokens is not None and tokens > max_tokens:
        notes.append(f"about {tokens:,} tokens: less would leave nothing word for word")
    if to != MARKDOWN and cwd is not None and not Path(cwd).is_dir():
        notes.append(f"there is no folder {cwd} here: --cwd names another one to work in")
    if root is not None and to == "gemini-cli":
        notes.append("Gemini CLI looks in its own folder alone: put the files there to resume")
    if to == "opencode":
        notes.append("the folder in which it is imported becomes the session's; --model names one")
    return notes
