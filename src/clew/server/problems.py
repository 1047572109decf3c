"""From an error to an answer: `application/problem+json`, with the name of the clew error.

What went wrong inside Clew itself is told to the log, by type and place; the caller gets an id
to look it up by, and nothing of the content.
"""

from __future__ import annotations

import msgspec

from clew import errors, wire
from clew.server.answer import Answer, Headers

PROBLEM_JSON = b"application/problem+json"
RETRY_SECONDS = 1

_STATUS = {
    "not-found": (404, "Nothing is stored under that name"),
    "invalid": (422, "The input cannot be taken as it is"),
    "malformed": (400, "The request is not what was agreed on"),
    "conflict": (409, "Somebody else wrote first"),
    "leased": (409, "Somebody else holds the lease"),
    "stale": (410, "This session is closed"),
    "read-only": (403, "The ledger takes no writes"),
    "unavailable": (503, "The ledger cannot be reached"),
    "damaged": (500, "Stored bytes are damaged"),
    "redaction-failed": (500, "Redaction failed, nothing was exported"),
    "unauthorized": (401, "An access token is needed"),
    "forbidden": (403, "The access token does not allow this"),
    "method-not-allowed": (405, "This can be asked in another way only"),
    "upgrade-required": (426, "This is a WebSocket"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body is of another type"),
    "too-many": (429, "Too many requests"),
    "internal": (500, "A fault in Clew itself"),
}


class Refused(Exception):
    """A request that no verb ever saw. `name` is a problem's name."""

    def __init__(self, name: str, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.name = name
        self.headers = headers


def answer(error: BaseException, request: str) -> Answer:
    """The answer that an error becomes; `request` is its id in the log."""
    name, detail, headers = _told(error)
    status, title = _STATUS[name]
    problem = wire.Problem(
        type=wire.PROBLEM + name, title=title, status=status, detail=detail, request=request
    )
    if isinstance(error, errors.Conflict):
        problem.head = error.head
        problem.missed = [wire.entry(entry) for entry in error.missed]
    return Answer(
        wire.encode(problem), status=status, content_type=PROBLEM_JSON, headers=tuple(headers)
    )


def _told(error: BaseException) -> tuple[str, str, Headers]:
    if isinstance(error, Refused):
        return error.name, str(error), error.headers
    if isinstance(error, errors.ClewError):
        name = wire.name_of(type(error))
        if name in _STATUS:
            return name, _utf8(str(error)), _headers(name)
    return "internal", "the server's log says more under the request's id", ()


def _headers(name: str) -> Headers:
    if name == "unavailable":
        return ((b"retry-after", str(RETRY_SECONDS).encode()),)
    if name == "unauthorized":
        return ((b"www-authenticate", b'Bearer realm="clew"'),)
    return ()


def _utf8(text: str) -> str:
    # A message may quote half a character of the input.
    return text.encode("utf-8", "replace").decode()


def unknown_names() -> set[str]:
    """Errors of Clew that have no status here; the tests want none."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = {wire.name_of(kind) for kind in kinds if issubclass(kind, errors.ClewError)}
    return ours - _STATUS.keys() - {"clew-error"}


def where(error: msgspec.ValidationError, place: str) -> str:
    """What is wrong with a body or query, naming the field."""
    text = str(error)
    return f"{place}: {text}" if "$" not in text else text.replace("`$", f"`{place}")
