"""A session as a Markdown file to be read: CommonMark with tables, and `<details>` that fold.

Whatever the session holds stays text: words are written anew with every sign escaped
(`clew.exporters.packages.prose`), code, arguments and results stand in fences that nothing in
them ends. The only HTML in the file is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from clew.clean import one_line
from clew.exporters.packages.naming import file_name
from clew.exporters.packages.prose import code, escaped, fenced, heading, written
from clew.exporters.packages.told import STATES, WHO, Called, Cut, Piece, Said, told
from clew.words import duration, exact, moment, plural

if TYPE_CHECKING:
    from clew.exporters.base import Row

SUFFIX: Final = ".md"
FOLDED_LINES_MIN: Final = 40
"""A result of so many lines, or characters by the hundred, is folded."""


def file(row: Row) -> tuple[str, bytes]:
    """A native row as a file: its name and its bytes."""
    return file_name(row, SUFFIX), document(row).encode("utf-8", "replace")


def document(row: Row) -> str:
    """A native row as a Markdown document."""
    session = told(row)
    blocks = [heading(1, session.title)]
    blocks.append(
        "\n".join(f"- **{name}:** {escaped(value, first=False)}" for name, value in session.facts)
    )
    for item in session.items:
        blocks += _cut(item) if isinstance(item, Cut) else _said(item)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _cut(item: Cut) -> Iterator[str]:
    yield "---"
    about = f": {'; '.join(item.facts)}" if item.facts else ""
    yield f"*Segment {item.number}. The context was compacted{escaped(about)}*"


def _said(item: Said) -> Iterator[str]:
    yield f"## {WHO[item.kind]}"
    when = [] if item.time_ms is None else [moment(item.time_ms)]
    facts = [item.anchor, *when, *([item.model] if item.model else [])]
    facts += [item.tokens] if item.tokens else []
    yield escaped(" · ".join([*facts, *item.facts, *item.notes]))
    if item.sealed:
        yield "*Reasoning, sealed by its provider*"
    if item.reasoning:
        yield _folded("Reasoning", [written(item.reasoning)])
    body = list(_pieces(item.pieces, as_result=item.kind == "result"))
    if item.kind in ("system", "context", "summary") and body:
        yield _folded(_FOLDS[item.kind], body)
    else:
        yield from body
    for call in item.calls:
        yield from _call(call)


_FOLDS: Final = {
    "system": "Instructions",
    "context": "Given to the model, typed by nobody",
    "summary": "Summary of what was before",
}


def _pieces(pieces: Sequence[Piece], *, as_result: bool) -> Iterator[str]:
    for piece in pieces:
        if piece.attached:
            yield f"*{escaped(piece.text)}*" if piece.text.strip() else ""
        else:
            yield fenced(piece.text) if as_result else written(piece.text)


def _call(call: Called) -> Iterator[str]:
    about = f": {code(call.about)}" if call.about else ""
    yield f"**Call** {code(call.name)}{about}"
    if call.agents:
        yield escaped(f"Sub-agent: session {', '.join(call.agents)}")
    if call.arguments:
        yield fenced(call.arguments, "json" if call.is_json else "text")
    for name, text in call.texts:
        yield f"{code(name)}:"
        yield fenced(text)
    yield from _result(call)


def _result(call: Called) -> Iterator[str]:
    took = "" if call.took_ms is None else duration(call.took_ms)
    facts = ", ".join(fact for fact in (STATES.get(call.state, call.state), took) if fact)
    about = f"({facts})" if facts else ""
    if call.state in ("open", "lost"):
        yield f"**No result** {escaped(about)}".rstrip()
        return
    body = list(_pieces(call.pieces, as_result=True)) or ["*It said nothing.*"]
    lines = sum(piece.text.count("\n") + 1 for piece in call.pieces)
    chars = sum(len(piece.text) for piece in call.pieces)
    if lines >= FOLDED_LINES_MIN or chars >= 100 * FOLDED_LINES_MIN:
        yield _folded(f"Result {about}, {plural(lines, 'line')}, {exact(chars)} characters", body)
        return
    yield f"**Result** {escaped(about)}".rstrip()
    yield from body


def _folded(summary: str, body: Sequence[str]) -> str:
    """What opens at a click. The empty lines are what makes the inside Markdown again."""
    head = f"<details>\n<summary>{escape(one_line(summary))}</summary>"
    return "\n\n".join([head, *(block for block in body if block), "</details>"])
