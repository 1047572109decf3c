"""From a template and values to an answer. Everything is escaped, unless it is `Markup`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from clew import markdown, words
from clew.canonical import parse
from clew.clean import plain
from clew.server.answer import Answer
from clew.server.pages import assets, packing
from clew.server.pages.text import compact, picture, pretty, preview

if TYPE_CHECKING:
    import jinja2

    from clew.server.call import Call

HTML: Final = b"text/html; charset=utf-8"
PARTS: Final = (
    ("/", "Sessions"),
    ("/search", "Search"),
    ("/usage", "Usage"),
    ("/export", "Export"),
    ("/ledger", "Ledger"),
    ("/audit", "Audit"),
)
"""The page's parts, as the navigation lists them."""


NAMES: Final = {
    "user": "You",
    "assistant": "Agent",
    "tool": "Tool",
    "context": "Context",
    "summary": "Summary",
    "compaction": "Compaction",
    "notice": "Notice",
    "notices": "Notices",
}
"""Who speaks in a card."""


@cache
def environment() -> jinja2.Environment:
    """The templates. A name that is not there is an error, never an empty place."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.PackageLoader("clew.server", "templates"),
        autoescape=True,
        finalize=_harmless,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= words.FILTERS
    found.filters |= {
        "markdown": markdown.rendered,
        "preview": preview,
        "json": pretty,
        "compact": compact,
        "picture": picture,
    }
    found.globals |= {"asset": assets.url, "parts": PARTS, "names": NAMES}
    return found


def _harmless(value: Any) -> Any:
    """What a template writes: text that reorders itself, or moves a cursor, says so instead."""
    return plain(value) if type(value) is str else value


def html(template: str, /, **values: Any) -> str:
    """A template with its values."""
    return environment().get_template(template).render(**values)


def page(call: Call, template: str, /, *, status: int = 200, **values: Any) -> Answer:
    """A whole page, or a part of one for htmx; `call` tells who looks."""
    at = datetime.now(UTC)
    text = html(template, call=call, token=call.token, now_ms=int(at.timestamp() * 1000), **values)
    return packing.packed(call, Answer(text.encode(), status=status, content_type=HTML))


def problem(answer: Answer) -> Answer:
    """The same problem, as a page."""
    told = parse(answer.body)
    text = html("problem.html", token=None, title=told["title"], detail=told.get("detail", ""))
    answer.body, answer.content_type = text.encode(), HTML
    return answer


def is_part(call: Call) -> bool:
    """True when htmx asks for a part of the page that it is on."""
    return call.headers.get(b"hx-request") == b"true"
