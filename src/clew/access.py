"""Who may ask the server: access tokens, what each may do, and how one is checked.

A token reads `clew_<id>_<secret>`; the secret is 32 random bytes. The ledger keeps the SHA-256
of the whole text (a secret of 256 random bits needs no slow hash), so neither a stolen database
nor an audit record opens anything. The text is given once, by the verb that makes it.

A token lists what it may do: no scope implies another, `admin` neither. With a project it sees
and changes that project only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from clew import audit, canonical, names
from clew.db import Tx
from clew.db.database import Row
from clew.errors import Forbidden, Invalid, NotFound, Unauthorized
from clew.model import JSON
from clew.window import parse_until

if TYPE_CHECKING:
    from clew.ledger import Ledger


class Scope(StrEnum):
    """What a token may be allowed to do."""

    SESSION_READ = "session:read"
    SESSION_APPEND = "session:append"
    SESSION_BRANCH = "session:branch"
    SESSION_RESTORE = "session:restore"
    SESSION_DELETE = "session:delete"
    TRACE_READ = "trace:read"
    TRACE_WRITE = "trace:write"
    EXPORT_RUN = "export:run"
    EXPORT_RAW = "export:raw"
    AUDIT_READ = "audit:read"
    IMPORT_RUN = "import:run"
    ADMIN = "admin"
    TOOL_RUN = "tool:run"


ON_PURPOSE = frozenset({Scope.TOOL_RUN, Scope.EXPORT_RAW})
"""What no token gets without being asked for by name: to run commands on this machine, and to
carry everything away unredacted in one answer. The first token, which a person copies from a
terminal into whatever they try first, has all the others.
"""
FIRST_SCOPES = tuple(scope for scope in Scope if scope not in ON_PURPOSE)
AGENT_SCOPES = (
    Scope.SESSION_READ,
    Scope.SESSION_APPEND,
    Scope.SESSION_BRANCH,
    Scope.SESSION_RESTORE,
    Scope.TRACE_READ,
    Scope.TRACE_WRITE,
)
"""What an agent needs to keep its sessions, and no more: nothing is lost by any of it."""

ID_BYTES = 8
SECRET_BYTES = 32
NAME_MAX = 100
USED_EVERY_MS = 60_000
"""When a token was last used is kept to the minute: a write a request would cost too much."""
_TEXT = re.compile(r"clew_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)
_NOBODY = bytes(32)
"""Compared with where no token has the id, so that an unknown id takes as long as a wrong
secret. No text is known that hashes to it.
"""
_WRONG = "this access token is not known here: make one with `clew token create`"


class Access(msgspec.Struct, frozen=True):
    """A token that was checked: who asks, and what they may."""

    id: str
    name: str
    scopes: frozenset[str]
    project: str | None = None
    """The only project it sees; `None`: all."""
    expires_ms: int | None = None

    def may(self, scope: str) -> bool:
        """Whether the token lists this scope."""
        return scope in self.scopes


class TokenInfo(msgspec.Struct, frozen=True):
    """A token as it is listed, without its secret. Times are Unix milliseconds."""

    id: str
    name: str
    scopes: tuple[str, ...]
    project: str | None
    created_ms: int
    created_by: str
    expires_ms: int | None = None
    used_ms: int | None = None
    """When it was last used, to the minute."""
    revoked_ms: int | None = None

    def state(self, now_ms: int) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= now_ms else "valid"


class NewToken(msgspec.Struct, frozen=True):
    """A token just made. `token` is its text: nobody can show it again."""

    token: str
    info: TokenInfo

    def __repr__(self) -> str:
        return f"NewToken(token='clew_{self.info.id}_…', info={self.info!r})"


# --- making, listing, revoking -----------------------------------------------------------


def create(
    ledger: Ledger,
    name: str,
    scopes: Iterable[str],
    *,
    project: str | None = None,
    expires: str | int | None = None,
    granted_by: Access | None = None,
) -> NewToken:
    """See `Ledger.create_token`. Raises `Forbidden` for more, or for longer, than whoever asks
    over the server has themselves (`granted_by`).
    """
    names.checked(name, "a token's name", empty=False)
    if len(name) > NAME_MAX:
        raise Invalid(f"a token's name has {len(name)} characters: give at most {NAME_MAX}")
    now = canonical.now_ms()
    owner = ledger._project_name if project is None else ledger._named(project)
    text, id = _new_text()
    made = TokenInfo(
        id=id,
        name=name,
        scopes=_checked_scopes(scopes),
        project=owner,
        created_ms=now,
        created_by=ledger.actor,
        expires_ms=None if expires is None else parse_until(str(expires), now),
    )
    if granted_by is not None:
        _check_grant(granted_by, made)
    chain = ledger._project_key(ledger._named(project))
    ledger._run(lambda tx: _add(tx, chain, made, text), 0)
    return NewToken(text, made)


def first(ledger: Ledger) -> NewToken | None:
    """The token of a server's first start, with `FIRST_SCOPES`, for all that this handle sees;
    `None` when a token was ever made for it, or it cannot be written. Two servers that start at
    once make one.
    """
    project = ledger._project_name
    with ledger._database.read() as tx:
        if tx.one("token_any", project=project) is not None or not ledger._database.writable:
            return None
    text, id = _new_text()
    scopes = tuple(map(str, FIRST_SCOPES))
    made = TokenInfo(id, "first", scopes, project, canonical.now_ms(), ledger.actor)
    chain = ledger._project_key(ledger._named(None))

    def unit(tx: Tx) -> bool:
        # Whoever starts beside us waits here until we have committed.
        tx.one("project_lock", project=chain)
        if tx.one("token_any", project=project) is not None:
            return False
        _add(tx, chain, made, text)
        return True

    return NewToken(text, made) if ledger._run(unit, 0) else None


def listed(ledger: Ledger) -> list[TokenInfo]:
    """See `Ledger.tokens`."""
    project = ledger._project_name
    with ledger._database.read() as tx:
        return [_info(row) for row in tx.all("token_list", project=project)]


def revoke(ledger: Ledger, id: str) -> TokenInfo:
    """See `Ledger.revoke_token`."""
    names.checked(id, "a token's id", empty=False)
    wanted = id_of(id)
    with ledger._database.read() as tx:
        row = tx.one("token_get", id=wanted)
    found = None if row is None else _info(row)
    if found is None or ledger._project_name not in (None, found.project):
        raise NotFound(f"no token {wanted!r} in this ledger: list them with tokens()")
    chain = ledger._project_key(ledger._named(found.project))
    now = canonical.now_ms()

    def unit(tx: Tx) -> None:
        if tx.run("token_revoke", id=wanted, now=now):
            facts = {"id": wanted, "name": found.name}
            audit.record_project(tx, chain, ledger.actor, "token revoke", **facts)

    ledger._run(unit, 0)
    with ledger._database.read() as tx:
        row = tx.one("token_get", id=wanted)
    assert row is not None, "tokens are never removed"  # noqa: S101
    return _info(row)


def _check_grant(giver: Access, made: TokenInfo) -> None:
    more = sorted(set(made.scopes) - giver.scopes)
    if more:
        raise Forbidden(f"token {giver.name!r} cannot give what it lacks: {', '.join(more)}")
    if giver.project not in (None, made.project):
        raise Forbidden(f"token {giver.name!r} sees project {giver.project!r} only")
    end = giver.expires_ms
    if end is not None and (made.expires_ms is None or made.expires_ms > end):
        raise Forbidden(f"token {giver.name!r} expires itself: give expires={end} or earlier")


def id_of(text: str) -> str:
    """A token's id, of its id or its whole text."""
    match = _TEXT.fullmatch(text)
    return text if match is None else match[1]


def _new_text() -> tuple[str, str]:
    id = secrets.token_hex(ID_BYTES)
    return f"clew_{id}_{secrets.token_urlsafe(SECRET_BYTES)}", id


def _checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    asked = [scopes] if isinstance(scopes, str) else list(scopes)
    known = [str(scope) for scope in Scope]
    for scope in asked:
        if scope not in known:
            raise Invalid(f"no scope is called {scope!r}: there are {', '.join(known)}")
    if not asked:
        raise Invalid(f"a token without a scope may do nothing: give one of {', '.join(known)}")
    return tuple(scope for scope in known if scope in asked)


def _add(tx: Tx, chain: int, made: TokenInfo, text: str) -> None:
    tx.run(
        "token_add",
        id=made.id,
        secret=digest(text),
        name=made.name,
        scopes=msgspec.json.encode(made.scopes).decode(),
        project=made.project,
        created_ms=made.created_ms,
        created_by=made.created_by,
        expires_ms=made.expires_ms,
    )
    facts: dict[str, JSON] = {
        "id": made.id,
        "name": made.name,
        "scopes": list(made.scopes),
        "confined_to": made.project,
        "expires_ms": made.expires_ms,
    }
    audit.record_project(tx, chain, made.created_by, "token", **facts)


def _info(row: Row) -> TokenInfo:
    id, _, name, scopes, project, created_ms, created_by, expires_ms, used_ms, revoked_ms = row
    listed = tuple(msgspec.json.decode(scopes, type=list[str]))
    return TokenInfo(
        id, name, listed, project, created_ms, created_by, expires_ms, used_ms, revoked_ms
    )


# --- checking ----------------------------------------------------------------------------


def digest(text: str) -> bytes:
    """What is kept of a token: the SHA-256 of its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def check(ledger: Ledger, text: str) -> Access:
    """Who a token's text stands for. Raises `Unauthorized`; the message tells that a token is
    expired or revoked only to whoever holds its secret.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise Unauthorized("this is no access token: one reads clew_<id>_<secret>")
    now = canonical.now_ms()
    with ledger._database.read() as tx:
        row = tx.one("token_get", id=match[1])
    kept = _NOBODY if row is None else bytes(row[1])
    if not hmac.compare_digest(kept, digest(text)) or row is None:
        raise Unauthorized(_WRONG)
    found = _info(row)
    state = found.state(now)
    if state != "valid":
        raise Unauthorized(
            f"access token {found.id} is {state}: make another with `clew token create`",
            genuine=True,
        )
    if ledger._project_name is not None and found.project not in (None, ledger._project_name):
        raise Unauthorized(_WRONG, genuine=True)
    if found.used_ms is None or now - found.used_ms >= USED_EVERY_MS:
        _touch(ledger, found.id, now)
    project = found.project or ledger._project_name
    return Access(found.id, found.name, frozenset(found.scopes), project, found.expires_ms)


def ended(ledger: Ledger, ids: Iterable[str]) -> dict[str, str]:
    """Which of these tokens may ask no longer, and why: `revoked` or `expired`, by id."""
    now = canonical.now_ms()
    over = {}
    with ledger._database.read() as tx:
        for id in ids:
            row = tx.one("token_get", id=id)
            state = "revoked" if row is None else _info(row).state(now)
            if state != "valid":
                over[id] = state
    return over


def require(access: Access | None, scope: str) -> Access:
    """The access itself when it lists the scope. Raises `Unauthorized` without a token,
    `Forbidden` when the token does not list it.
    """
    if access is None:
        raise Unauthorized("this needs an access token: send `Authorization: Bearer clew_…`")
    if scope not in access.scopes:
        raise Forbidden(
            f"token {access.name!r} may not do this: it lacks the scope {str(scope)!r}. "
            f"`clew token create NAME --scope {scope}` makes one that has it"
        )
    return access


def note_refused(ledger: Ledger, address: str, attempts: int) -> None:
    """Put on record that an address sent wrong tokens, again and again."""
    if ledger._database.writable:
        facts: dict[str, JSON] = {"address": address, "attempts": attempts}
        ledger._run(lambda tx: ledger._record(tx, "token refused", **facts), 0)


def _touch(ledger: Ledger, id: str, now: int) -> None:
    """Note the use, without waiting for the commit: nobody's request hangs on it."""
    if ledger._database.writable:
        before = now - USED_EVERY_MS
        ledger._database.submit(
            lambda tx: tx.run("token_used", id=id, now=now, before=before), 0, lambda job: None
        )
