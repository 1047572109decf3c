"""Markdown of strangers as Markdown that stays where it is put.

A text is read, and what was understood is written anew: every sign that could mean something is
escaped, HTML is text, code stands in fences longer than any run of the same sign in it, headings
stand below those of the page, a link leads to http, https or mail, and a picture is named. So
nothing in it ends the block in which it stands, whoever reads the file. What cannot be said so
with the same words is fenced as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from clew.clean import one_line, plain
from clew.markdown import parser

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

CHARS_MAX: Final = 50_000
"""A longer text is fenced: to read it twice would take seconds."""
HEADING_MIN: Final = 3
"""The page's own headings are of the levels above."""
_SIGNS = re.compile(r"[\\`*\[\]|~$<>&]|(?<![^\W_])_|_(?![^\W_])")
"""An underscore within a word is a letter."""
_ENTITIES: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_LINE_START = re.compile(r"^(\s*)([#+=-]|\d{1,9}(?=[.)]))", re.MULTILINE)
_BACKTICKS = re.compile("`+")
_INFO = re.compile(r"[A-Za-z0-9+#._-]{1,20}")
_ANCHORS: Final = ("http://", "https://", "mailto:")
_MARKS: Final = {"em": "*", "strong": "**", "s": "~~"}
_LANGUAGE: Final = "text"


def written(text: str) -> str:
    """A text, its Markdown kept."""
    text = plain(text)
    if not text.strip():
        return ""
    if len(text) > CHARS_MAX:
        return fenced(text)
    tree = _read(text)
    try:
        made = "\n".join(_blocks(tree.children))
    except RecursionError:
        return fenced(text)
    return made if list(_gist(_read(made))) == list(_gist(tree)) else fenced(text)


def fenced(text: str, language: str = _LANGUAGE) -> str:
    """A text as it is, in a fence that nothing in it ends."""
    text = plain(text)
    runs = [len(run) for run in _BACKTICKS.findall(text)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    end = "" if text.endswith("\n") or not text else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"


def escaped(text: str, *, first: bool = True) -> str:
    """A text on one line that is only text; `first` for the beginning of a line."""
    text = _signs(one_line(plain(text)))
    return _LINE_START.sub(_unstart, text) if first else text


def heading(level: int, text: str) -> str:
    """A heading that is only text."""
    return _heading(level, escaped(text, first=False))


def _heading(level: int, words: str) -> str:
    """Signs that would close it, and be gone, are words."""
    words = re.sub(r"#$", r"\\#", words)
    return f"{'#' * level} {words}".rstrip(" ")


def code(text: str) -> str:
    """A text on one line as code."""
    text = one_line(plain(text))
    return _span(text) if text else ""


def _signs(text: str) -> str:
    return _SIGNS.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), text)


def _unstart(found: re.Match[str]) -> str:
    """A line that would begin a list, a heading or a rule does not."""
    if found[2].isdigit():
        return f"{found[1]}{found[2]}\\"
    return f"{found[1]}\\{found[2]}"


def _span(text: str) -> str:
    runs = {len(run) for run in _BACKTICKS.findall(text)}
    fence = "`" * next(size for size in range(1, len(runs) + 2) if size not in runs)
    wide = text.startswith("`") or text.endswith("`")
    wide = wide or (text.startswith(" ") and text.endswith(" ") and bool(text.strip()))
    pad = " " if wide else ""
    return f"{fence}{pad}{text}{pad}{fence}"


# --- blocks --------------------------------------------------------------------------------


def _read(text: str) -> SyntaxTreeNode:
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(parser().parse(text))


def _blocks(nodes: Sequence[SyntaxTreeNode], *, tight: bool = False) -> Iterator[str]:
    """The lines of some blocks, an empty one between two of them."""
    lists = 0
    for number, node in enumerate(nodes):
        if number and not tight:
            yield ""
        # Two lists that follow on each other would be one: they take turns with their signs.
        lists = lists + 1 if node.type.endswith("_list") else 0
        yield from _block(node, lists)


def _block(node: SyntaxTreeNode, lists: int) -> Iterator[str]:
    if node.type in ("bullet_list", "ordered_list"):
        yield from _list(node, lists)
    elif node.type == "blockquote":
        for line in _blocks(node.children):
            yield f"> {line}".rstrip(" ") if not line else f"> {line}"
    elif node.type in ("fence", "code_block"):
        info = _INFO.match(node.info.strip()) if node.type == "fence" else None
        yield from fenced(node.content, info[0] if info else _LANGUAGE).split("\n")
    elif node.type == "heading":
        level = min(6, int(node.tag[1:]) + HEADING_MIN - 1)
        yield _heading(level, _inline(node.children[0], one=True))
    elif node.type == "hr":
        yield "***"
    elif node.type == "table":
        yield from _table(node)
    else:
        yield from _inline(node.children[0]).split("\n")


def _list(node: SyntaxTreeNode, lists: int) -> Iterator[str]:
    tight = not any(
        child.type == "paragraph" and not child.hidden
        for item in node.children
        for child in item.children
    )
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children):
        sign = "-" if lists % 2 else "*"
        if node.type == "ordered_list":
            sign = f"{first + number}{'.' if lists % 2 else ')'}"
        if number and not tight:
            yield ""
        indent = " " * (len(sign) + 1)
        for place, line in enumerate(_blocks(item.children, tight=tight)):
            lead = f"{sign} " if place == 0 else indent
            yield f"{lead}{line}" if line else lead.rstrip(" ")
        if not item.children:
            yield sign


def _table(node: SyntaxTreeNode) -> Iterator[str]:
    rows = [row for part in node.children for row in part.children]
    for number, row in enumerate(rows):
        yield f"| {' | '.join(_cell(cell) for cell in row.children)} |"
        if number == 0:
            sides = [str(cell.attrs.get("style", "")) for cell in row.children]
            yield f"| {' | '.join(_SIDES.get(side, '---') for side in sides)} |"


_SIDES: Final = {
    "text-align:left": ":--",
    "text-align:center": ":-:",
    "text-align:right": "--:",
}


def _cell(cell: SyntaxTreeNode) -> str:
    """A cell's words; within code a bar needs an escape too, here and nowhere else."""
    inner = cell.children[0] if cell.children else None
    return _inline(inner, one=True, bars=True) if inner is not None else ""


# --- words ---------------------------------------------------------------------------------


def _inline(node: SyntaxTreeNode, *, one: bool = False, bars: bool = False) -> str:
    """Words with their marks; `one` keeps them on one line, `bars` is for a table."""
    text = _words(node.children, one=one, bars=bars)
    lines = [_LINE_START.sub(_unstart, line) for line in text.split("\n")]
    return "\n".join(lines)


def _words(nodes: Sequence[SyntaxTreeNode], *, one: bool, bars: bool) -> str:
    return "".join(_word(node, one=one, bars=bars) for node in nodes)


def _word(node: SyntaxTreeNode, *, one: bool, bars: bool) -> str:
    if node.type == "text":
        return _signs(node.content)
    if node.type == "code_inline":
        span = _span(node.content)
        return span.replace("|", "\\|") if bars else span
    if node.type in ("softbreak", "hardbreak"):
        return " " if one else "  \n"
    if node.type == "image":
        return _signs(_named(node))
    inner = _words(node.children, one=one, bars=bars)
    if node.type == "link":
        href = _href(node)
        return inner if href is None else f"[{inner}](<{href}>)"
    mark = _MARKS.get(node.type, "")
    return f"{mark}{inner}{mark}"


def _named(node: SyntaxTreeNode) -> str:
    """A picture elsewhere, in words."""
    return one_line(f"[{node.content or 'picture'}: {node.attrs.get('src', '')}]")


def _href(node: SyntaxTreeNode) -> str | None:
    """Where a link leads, if it may."""
    href = str(node.attrs.get("href", ""))
    fit = href.lower().startswith(_ANCHORS) and not re.search(r"[<>\\\s]", href)
    return href.replace("|", "%7C") if fit else None


# --- the proof -----------------------------------------------------------------------------


def _gist(node: SyntaxTreeNode) -> Iterator[tuple[str, str]]:
    """What a text says: its blocks and its words, however they are written."""
    if node.type == "inline":
        yield ("words", re.sub(r"\s+", " ", "".join(_said(node.children))).strip())
        return
    if node.type in ("fence", "code_block"):
        content = node.content
        yield ("code", content if content.endswith("\n") or not content else content + "\n")
        return
    kind = node.type
    yield (kind, "")
    for child in node.children:
        yield from _gist(child)
    yield ("end", kind)


def _said(nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
    for node in nodes:
        if node.type == "image":
            yield _named(node)
        elif node.type in ("softbreak", "hardbreak"):
            yield " "
        elif node.type == "code_inline":
            yield f"\x00{node.content}\x00"
        elif node.children:
            yield from _said(node.children)
        else:
            yield node.content
