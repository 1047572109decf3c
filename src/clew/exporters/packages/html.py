"""A session as one HTML file: it fetches nothing, runs nothing and needs nothing beside it.

There is no script. The file's own policy allows its one style sheet, by its digest, and nothing
else, so that even what got past the escaping could neither run nor call out. Everything is
escaped by the template; Markdown goes through `clew.markdown`, which knows no HTML.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from markupsafe import Markup

from clew import markdown, words
from clew.clean import one_line, plain
from clew.exporters.packages.naming import file_name
from clew.exporters.packages.told import STATES, WHO, Cut, Said, Session, told

if TYPE_CHECKING:
    import jinja2

    from clew.exporters.base import Row

SUFFIX: Final = ".html"
WORDS_CHARS_MAX: Final = 50_000
"""A longer text is shown as it is: to lay it out as Markdown takes time."""
SHOWN_LINES: Final = 40
SHOWN_CHARS: Final = 4_000
"""Of a longer text the rest is folded."""
LISTED_CHARS: Final = 90


class Shown(NamedTuple):
    """The beginning of a text, and what is folded; `left` says how much that is."""

    text: str
    rest: str
    left: str


def file(row: Row) -> tuple[str, bytes]:
    """A native row as a file: its name and its bytes."""
    return file_name(row, SUFFIX), document(row).encode("utf-8", "replace")


def document(row: Row) -> str:
    """A native row as an HTML document."""
    session = told(row)
    style = _style()
    return _template().render(
        session=session,
        asked=_asked(session),
        style=Markup(style),  # noqa: S704 - our own sheet, and the policy names its digest
        policy=_policy(style),
    )


@cache
def _style() -> str:
    return files(__package__).joinpath("session.css").read_text("utf-8")


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _template() -> jinja2.Template:
    """The page. A name that is not there is an error, never an empty place."""
    import jinja2

    made = jinja2.Environment(
        autoescape=True,
        finalize=_harmless,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= words.FILTERS | {"markdown": _markdown, "cut": _cut}
    made.globals |= {"who": WHO, "states": STATES}
    made.tests |= {"cut": lambda item: isinstance(item, Cut)}
    return made.from_string(files(__package__).joinpath("session.html").read_text("utf-8"))


def _harmless(value: Any) -> Any:
    """What the template writes: text that reorders itself says so instead."""
    return plain(value) if type(value) is str else value


def _markdown(text: str) -> Markup:
    if len(text) > WORDS_CHARS_MAX:
        return Markup("<pre>{}</pre>").format(plain(text))
    return markdown.rendered(text)


def _cut(text: str) -> Shown:
    """A text at the end of a line, when it is long."""
    lines = text.splitlines(keepends=True)
    if len(lines) <= SHOWN_LINES + 5 and len(text) <= SHOWN_CHARS * 1.25:
        return Shown(text, "", "")
    shown = "".join(lines[:SHOWN_LINES])
    if len(shown) > SHOWN_CHARS:
        end = shown.rfind("\n", SHOWN_CHARS // 2, SHOWN_CHARS)
        shown = shown[: end + 1 if end >= 0 else SHOWN_CHARS]
    rest = text[len(shown) :]
    lines_left = rest.strip("\n").count("\n") + 1
    left = words.plural(lines_left, "line") if lines_left > 1 else f"{len(rest):,} characters"
    return Shown(shown, rest, left)


def _asked(session: Session) -> list[tuple[str, str]]:
    """What the user asked for, for the list at the top: where it stands, and how it begins."""
    return [
        (item.anchor, one_line(item.pieces[0].text[: 4 * LISTED_CHARS], LISTED_CHARS))
        for item in session.items
        if isinstance(item, Said) and item.kind == "user" and item.pieces
    ]
