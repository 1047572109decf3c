"""The ledger of a server: the verbs of `clew.Ledger`, a request each.

Who acts is the access token, in whose name everything is put on record. What concerns the
server's own machine (its files, its index, how durable it writes) is the server's.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast

import msgspec

from clew import access, ledger, names, tokens, wire
from clew.access import NewToken, TokenInfo
from clew.db import Tx
from clew.erase import Erased
from clew.errors import Forbidden, Invalid, NotFound, ReadOnly
from clew.model import JSON, AuditRecord, Hit, Results, SessionInfo
from clew.owners import Owner, Process
from clew.remote import exporting
from clew.remote.address import segment
from clew.remote.client import ANSWER_SECONDS, PAGED_MAX, Client, cursor
from clew.remote.config import exact
from clew.remote.session import RemoteSession
from clew.retention import Collected, Rule, checked_rule
from clew.stats import Stats, UsageRow, checked_group
from clew.verify import Report

if TYPE_CHECKING:
    from clew.exporting import Exported, ExportOptions, Progress, Recipe
    from clew.frames import AnyFrame
    from clew.handoff import HandedOff
    from clew.remote.following import Stream
    from clew.restoring import Restored
    from clew.source import Imported

T = TypeVar("T")


class _Desk:
    """The server's desk, for this process as an owner of spans."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def sign_on(self, id: str, process: Process) -> int:
        """See `clew.owners.Desk`. The server keeps the key to itself."""
        body = wire.OwnerPut(
            host=process.host, boot=process.boot, pid=process.pid, started=process.started
        )
        self._client.send("PUT", f"/owners/{id}", wire.OwnerHeld, body, again=True)
        return 0

    def sign_off(self, id: str) -> None:
        """See `clew.owners.Desk`."""
        self._client.send("DELETE", f"/owners/{id}", wire.Deleted, again=True)


class RemoteLedger(ledger.Ledger):
    """A server's ledger; see `clew.Ledger`. Safe to share among threads."""

    def __init__(self, client: Client) -> None:
        # Nothing of a local ledger is set up: there is no database here.
        self._client = client
        self._handles = weakref.WeakValueDictionary()
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._runs = Owner(_Desk(client))
        self._prices = None
        self._lent = False
        me = _me(client)
        self.actor = me.name
        self._project_name = me.project
        self.count_tokens = tokens.count_message
        self.max_checkpoints = None

    def __repr__(self) -> str:
        return f"<RemoteLedger {self._client.url}>"

    def confined(self, project: str | None = None, *, actor: str | None = None) -> RemoteLedger:
        """See `Ledger.confined`. Nobody acts in another name than the token's: raises `Invalid`."""
        if actor is not None:
            raise Invalid(f"actor={actor!r}: a server acts in the name of the access token")
        name = self._named(project) if project is not None else None
        other = RemoteLedger(self._client if name is None else self._client.confined(name))
        other._lent, other._runs = True, self._runs
        return other

    # --- sessions ---

    def session(
        self, *, frontend: str, user: str, project: str | None = None, agent: str | None = None
    ) -> RemoteSession:
        """See `Ledger.session`."""
        names.checked(frontend, "frontend", empty=False)
        names.checked(user, "user", empty=False)
        if self._client.read_only:
            return self._found(frontend, user, self._named(project))
        body = wire.Address(frontend=frontend, user=user, project=self._asked(project), agent=agent)
        # It is the same session however often it is asked for.
        return self._opened(self._do("/sessions/at", SessionInfo, body, again=True).id)

    def create(
        self,
        *,
        project: str | None = None,
        title: str | None = None,
        agent: str | None = None,
        config: Mapping[str, JSON] | None = None,
        spawned_by: str | None = None,
    ) -> RemoteSession:
        """See `Ledger.create`."""
        body = {
            "project": self._asked(project),
            "title": title,
            "agent": agent,
            "config": exact(dict(config or {})),
            "spawned_by": spawned_by,
        }
        return self._opened(self._do("/sessions", SessionInfo, body).id)

    def get(self, id: str) -> RemoteSession:
        """See `Ledger.get`."""
        names.check_session_id(id)
        return self._opened(self._client.get(f"/sessions/{id}", SessionInfo).id)

    def sessions(
        self,
        *,
        project: str | None = None,
        status: str | None = None,
        agent: str | None = None,
        frontend: str | None = None,
        user: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        spawned: bool = False,
        limit: int = 100,
        after: SessionInfo | None = None,
    ) -> list[SessionInfo]:
        """See `Ledger.sessions`."""
        query = {
            "project": self._asked(project),
            "status": status,
            "agent": agent,
            "frontend": frontend,
            "user": user,
            "since_ms": since_ms,
            "until_ms": until_ms,
            "spawned": spawned,
        }
        start = None if after is None else cursor(after.updated_ms, after.id)
        return self._client.pages(
            "/sessions", SessionInfo, query, limit=names.bounded(limit), cursor=start
        )

    def projects(self) -> list[str]:
        """See `Ledger.projects`."""
        return self._client.get("/projects", wire.Projects).items

    # --- finding ---

    def search(
        self,
        query: str,
        *,
        kind: str | Iterable[str] | None = None,
        role: str | None = None,
        tool: str | None = None,
        session: str | None = None,
        project: str | None = None,
        since: str | int | None = None,
        until: str | int | None = None,
        order: Literal["rank", "newest"] = "rank",
        limit: int = 20,
        min_score: float | None = None,
    ) -> Results:
        """See `Ledger.search`. Up to 10,000 hits."""
        asked = {
            "q": query,
            "kind": [kind] if isinstance(kind, str) else list(kind or ()),
            "role": role,
            "tool": tool,
            "session": session,
            "project": self._asked(project),
            "since": since,
            "until": until,
            "order": order,
            "min_score": min_score,
        }
        hits: list[Hit] = []
        start: str | None = None
        limit = min(names.bounded(limit), PAGED_MAX)
        while True:
            size = min(limit - len(hits), wire.LIMIT_MAX)
            found = self._client.get(
                "/search", wire.Found, {**asked, "limit": size, "cursor": start}
            )
            hits += found.items
            start = found.next
            if start is None or len(hits) >= limit:
                return Results(tuple(hits), found.index, found.behind, found.unseen)

    def reindex(self, on_progress: Callable[[int, int], None] | None = None) -> int:
        """See `Ledger.reindex`. The server tells no progress."""
        return self._do("/reindex", wire.Count, seconds=None).count

    def index_now(self, on_progress: Callable[[int, int], None] | None = None) -> int:
        """See `Ledger.index_now`. The server tells no progress."""
        return self._do("/index", wire.Count, again=True, seconds=None, reads=True).count

    def follow(
        self, after: Mapping[str, int] | None = None, *, idle: float | None = None
    ) -> Iterator[AnyFrame]:
        """See `Ledger.follow`. A connection that breaks is made anew, and goes on where it was."""
        return self._stream(after, idle).read()

    # --- in and out ---

    def import_from(
        self,
        path: str | os.PathLike[str],
        *,
        importer: str | None = None,
        tables: Mapping[str, str] | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Imported:
        """Not over a server: raises `Invalid`, which says how it is done."""
        raise Invalid(
            f"files are imported where the ledger is: run `clew import {os.fspath(path)}` with "
            "its --db on the server's machine, or import into a file of your own"
        )

    def source_bytes(self, session: str) -> dict[str, bytes]:
        """See `Ledger.source_bytes`."""
        owner = self.get(session)
        path = f"{owner._path}/sources"
        files = self._client.get(path, wire.Page[wire.SourceFile]).items
        if not files:
            raise NotFound(f"session {owner.id} was not imported from a file")
        return {file.path: self._client.get_bytes(f"{path}/{file.number}") for file in files}

    def restore_file(
        self,
        session: str,
        to: str,
        *,
        root: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
    ) -> Restored:
        """Not over a server: raises `Invalid`, which says how it is done."""
        raise Invalid(
            f"files are written where the ledger is: run `clew restore-file {session} --to {to}` "
            "with its --db on the server's machine; `source_bytes` gives a session's own files"
        )

    def handoff(
        self,
        session: str,
        to: str,
        *,
        root: str | os.PathLike[str] | None = None,
        cwd: str | None = None,
        keep: int | None = None,
        max_tokens: int | None = None,
        dry_run: bool = False,
    ) -> HandedOff:
        """Not over a server: raises `Invalid`, which says how it is done."""
        raise Invalid(
            f"files are written where the ledger is: run `clew handoff {session} --to {to}` with "
            "its --db on the server's machine; `view` gives the conversation for any provider"
        )

    def trajectory(self, session: str) -> dict[str, JSON]:
        """See `Ledger.trajectory`."""
        return self._client.get(f"{self.get(session)._path}/trajectory", dict[str, Any])

    def export(
        self,
        recipe: Recipe | None = None,
        *,
        output: str | os.PathLike[str] | BinaryIO,
        options: ExportOptions | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Exported:
        """See `Ledger.export`. The server redacts and scans before it sends, and tells no
        progress; a stream that breaks off raises `Unavailable`, and no file is left.
        """
        from clew.exporting import ExportOptions, Recipe

        recipe, options = recipe or Recipe(), options or ExportOptions()
        if isinstance(output, str | os.PathLike):
            exporting.check(Path(output), overwrite=options.overwrite)
        query = exporting.asked(recipe, options)
        query["project"] = self._asked(recipe.selection.project)
        query["session"] = [self.get(id).id for id in recipe.selection.sessions] or None
        with self._client.stream("/trajectories", query) as pieces:
            return exporting.save(pieces, output, overwrite=options.overwrite)

    def export_count(
        self, recipe: Recipe | None = None, *, options: ExportOptions | None = None
    ) -> dict[str, int]:
        """See `Ledger.export_count`."""
        from clew.exporting import ExportOptions, Recipe

        recipe = recipe or Recipe()
        query = exporting.asked(recipe, options or ExportOptions())
        query["project"] = self._asked(recipe.selection.project)
        query["session"] = [self.get(id).id for id in recipe.selection.sessions] or None
        return self._client.get("/trajectories/count", wire.ExportCounts, query).counts

    # --- care ---

    def audit(
        self,
        *,
        session: str | None = None,
        project: str | None = None,
        action: str | None = None,
        since_ms: int | None = None,
        limit: int = 100,
        after: AuditRecord | None = None,
    ) -> list[AuditRecord]:
        """See `Ledger.audit`."""
        query = {
            "session": session,
            "project": self._asked(project),
            "action": action,
            "since_ms": since_ms,
        }
        start = None
        if after is not None:
            start = cursor(after.time_ms, after.project, after.session or "", after.number)
        return self._client.pages(
            "/audit", AuditRecord, query, limit=names.bounded(limit), cursor=start
        )

    def verify(
        self, *, audit_only: bool = False, on_progress: Callable[[int, int], None] | None = None
    ) -> Report:
        """See `Ledger.verify`. The server tells no progress."""
        body = wire.VerifyRequest(audit_only=audit_only)
        return self._do("/verify", Report, body, reads=True, seconds=None)

    def stats(self) -> Stats:
        """See `Ledger.stats`; spans that were lost are counted here, at their caller."""
        found = self._client.get("/stats", Stats)
        return msgspec.structs.replace(found, spans_lost=self.trace_failures)

    def usage(
        self,
        *,
        by: Literal["day", "model", "project"] = "day",
        since: str | int | None = None,
        until: str | int | None = None,
        project: str | None = None,
    ) -> list[UsageRow]:
        """See `Ledger.usage`."""
        checked_group(by)
        query = {"by": by, "since": since, "until": until, "project": self._asked(project)}
        return self._client.get("/usage", wire.UsageRows, query).items

    def erase(self, session: str, *, with_branches: bool = False, dry_run: bool = False) -> Erased:
        """See `Ledger.erase`. Back-ups are named without their folder."""
        owner = self.get(session)
        flags = "&".join(
            f"{name}=true"
            for name, on in (("with_branches", with_branches), ("dry_run", dry_run))
            if on
        )
        done = self._client.send(
            "DELETE", owner._path + (f"?{flags}" if flags else ""), Erased, reads=dry_run
        )
        if not dry_run:
            self.evict(done.sessions)
        return done

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Copy the ledger into a new file in the server's folder for back-ups; `path` is its
        name there. See `Ledger.backup`.
        """
        name = os.fspath(path)
        if self._project_name is not None:
            raise Invalid(
                f"a backup holds every project, and this handle is confined to "
                f"{self._project_name!r}: open the ledger without project="
            )
        if Path(name).name != name:
            raise Invalid(
                f"{name}: a server keeps its back-ups in a folder of its own: give a plain name"
            )
        made = self._do("/backups", wire.BackupMade, wire.BackupRequest(name=name), seconds=None)
        return Path(made.name)

    def gc(self, *, dry_run: bool = True, now_ms: int | None = None) -> Collected:
        """See `Ledger.gc`."""
        body = wire.DryRun(dry_run=dry_run, now_ms=now_ms)
        return self._do("/gc", Collected, body, reads=dry_run, seconds=None)

    def retain(self, project: str, rule: Rule) -> None:
        """See `Ledger.retain`."""
        checked_rule(rule)
        path = f"/projects/{segment(self._named(project), 'a project called')}/retention"
        self._client.send("PUT", path, wire.Retention, rule, again=True)

    def pin(self, session: str, pinned: bool = True) -> None:
        """See `Ledger.pin`."""
        path = f"{self.get(session)._path}/pinned"
        self._client.send("PUT", path, SessionInfo, wire.Flag(on=pinned))

    def archive(self, session: str, archived: bool = True) -> None:
        """See `Ledger.archive`."""
        path = f"{self.get(session)._path}/archived"
        self._client.send("PUT", path, SessionInfo, wire.Flag(on=archived))

    def create_token(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        project: str | None = None,
        expires: str | int | None = None,
    ) -> NewToken:
        """See `Ledger.create_token`. Nobody gives what their own token has not: `Forbidden`."""
        body = {
            "name": name,
            "scopes": [scopes] if isinstance(scopes, str) else [str(scope) for scope in scopes],
            "project": self._asked(project),
            "expires": None if expires is None else str(expires),
        }
        return self._do("/tokens", NewToken, body)

    def tokens(self) -> list[TokenInfo]:
        """See `Ledger.tokens`."""
        return self._client.pages("/tokens", TokenInfo)

    def revoke_token(self, id: str) -> TokenInfo:
        """See `Ledger.revoke_token`. Of a whole text only the id is sent."""
        wanted = access.id_of(id)
        path = f"/tokens/{segment(wanted, 'a token')}"
        return self._client.send("DELETE", path, TokenInfo, again=True)

    def sweep(self) -> int:
        """See `Ledger.sweep`."""
        return self._do("/sweep", wire.Count, again=True).count

    def sync(self) -> None:
        """See `Ledger.sync`."""
        self._do("/sync", wire.Health, again=True)

    def close(self) -> None:
        """Give the connections back, and end what is followed. Idempotent."""
        for stream in list(self._streams):
            stream.stop()
        if not self._lent:
            self._runs.close()
            self._client.close()

    # --- inside ---

    def _do(
        self,
        path: str,
        kind: type[T],
        body: Any = None,
        *,
        again: bool = False,
        reads: bool = False,
        seconds: float | None = ANSWER_SECONDS,
    ) -> T:
        return self._client.send(
            "POST", path, kind, body, again=again, reads=reads, seconds=seconds
        )

    def _asked(self, project: str | None) -> str | None:
        """A project to ask for. Raises `Invalid` for another than this handle is confined to."""
        return None if project is None else self._named(project)

    def _found(self, frontend: str, user: str, project: str) -> RemoteSession:
        """The session at an address, where none may be made."""
        for info in self.sessions(
            frontend=frontend, user=user, spawned=True, limit=names.LIMIT_MAX
        ):
            if info.project == project:
                return self._opened(info.id)
        raise ReadOnly(
            f"there is no session of {user!r} at {frontend!r}, and this handle was opened read-only"
        )

    def _opened(self, id: str) -> RemoteSession:
        session = RemoteSession(self, id)
        self._handles[ledger.builtin_id(session)] = session
        return session

    def _run(self, unit: Callable[[Tx], T], order: int) -> T:
        """Run a unit: here, a request that looks at no transaction."""
        return unit(cast("Tx", None))

    def _afollow(
        self, after: Mapping[str, int] | None, idle: float | None
    ) -> AsyncGenerator[AnyFrame]:
        from clew.remote.following import astream

        return astream(self._stream(after, idle))

    def _stream(self, after: Mapping[str, int] | None, idle: float | None) -> Stream:
        from clew.remote.following import Stream

        made = Stream(self._client, after, idle)
        self._streams.add(made)
        return made

    async def _arun(self, unit: Callable[[Tx], T], order: int) -> T:
        """The same in a thread. A cancelled task waits for the outcome of its request."""
        running = asyncio.ensure_future(asyncio.to_thread(self._run, unit, order))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # whoever would be told is gone
            raise


def _me(client: Client) -> wire.Me:
    """Who we are there; of a token that may not ask that, its id."""
    try:
        return client.get("/me", wire.Me)
    except Forbidden:
        return wire.Me(access.id_of(client.token), [], client.project)
