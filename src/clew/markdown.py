"""Markdown of strangers as HTML that does nothing: no HTML of its own, no script in an address,
and nothing fetched from elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from clew.clean import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

CHARS_MAX = 200_000
"""Longer text is shown as it is: nobody reads it, and laying it out takes time."""


def rendered(text: str) -> Markup:
    """A text as HTML. What looks like HTML in it is shown, not obeyed."""
    if len(text) > CHARS_MAX:
        return Markup("<pre>{}</pre>").format(plain(text))
    return Markup(parser().render(plain(text)))  # noqa: S704 - the parser escapes what it is given


@cache
def parser() -> MarkdownIt:
    """What reads Markdown: without HTML, a line end is one, nested no deeper than 20."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20})
    made.enable(["table", "strikethrough"])
    made.add_render_rule("image", _image)
    made.add_render_rule("link_open", _link)
    made.add_render_rule("th_open", _cell)
    made.add_render_rule("td_open", _cell)
    return made


def _image(renderer: Any, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
    """A picture elsewhere is not fetched, which would tell its owner who reads: it is named."""
    words = tokens[at].content or "picture"
    return (
        f'<span class="outside">[{escape(words)}: {escape(str(tokens[at].attrGet("src")))}]</span>'
    )


def _cell(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """A column's side as a class: a policy without inline styles refuses the parser's own."""
    style = str(tokens[at].attrs.pop("style", ""))
    if style:
        tokens[at].attrSet("class", style.removeprefix("text-align:"))
    text: str = renderer.renderToken(tokens, at, options, env)
    return text


def _link(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    token = tokens[at]
    href = str(token.attrGet("href") or "")
    if not href.lower().startswith(("http://", "https://", "mailto:")):
        # A path of somebody's file, or of ours: shown, and leading nowhere.
        token.attrs.pop("href", None)
        token.attrSet("title", href)
    else:
        token.attrSet("rel", "noopener noreferrer nofollow")
        token.attrSet("target", "_blank")
    text: str = renderer.renderToken(tokens, at, options, env)
    return text
