"""Errors on the wire: a problem, and the clew error that it stands for."""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, UnsetType

from clew import errors
from clew.errors import ClewError, Conflict, Invalid, Unavailable
from clew.model import Position
from clew.wire.entries import Entry, from_entry

PROBLEM = "urn:clew:problem:"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a request failed (RFC 9457). `type` is `urn:clew:problem:<name>`; a conflict carries
    where the session stands and what was missed.
    """

    type: str
    title: str
    status: int
    detail: str
    request: str = ""
    """The id under which the server's log has it."""
    head: Position | UnsetType | None = UNSET
    missed: list[Entry] | UnsetType = UNSET

    @property
    def name(self) -> str:
        """The name of the problem, which is that of a clew error in lower case and dashes."""
        return self.type.removeprefix(PROBLEM)


def name_of(kind: type[ClewError]) -> str:
    """The name of the problem that an error becomes: `NotFound` is `not-found`."""
    return _HUMP.sub("-", kind.__name__).lower()


_HUMP = re.compile(r"(?<!^)(?=[A-Z])")
_ERRORS = {
    name_of(kind): kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ClewError)
}


def error_of(problem: Problem) -> ClewError:
    """The error that a problem stands for, ready to be raised; `Unavailable` for a fault of
    the server that no error of Clew has a name for, `Invalid` for one of the request.
    """
    kind = _ERRORS.get(problem.name, Invalid if problem.status < 500 else Unavailable)
    if not issubclass(kind, Conflict):
        return kind(problem.detail)
    head = None if isinstance(problem.head, UnsetType) else problem.head
    missed = [] if isinstance(problem.missed, UnsetType) else problem.missed
    return kind(problem.detail, head=head, missed=tuple(map(from_entry, missed)))
