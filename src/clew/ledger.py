"""One database with everything in it: finding sessions, and its care.

The verbs that take more than a few lines stand in modules of their own; this class is where a
reader finds them all.
"""

from __future__ import annotations

import copy
import os
import secrets
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

import msgspec

from clew import access, audit, canonical, checkpoints, moves, names, owners, reading, tokens
from clew.db import Database, Tx
from clew.db.database import Job
from clew.errors import Invalid, NotFound
from clew.giving import Giving
from clew.log import lock_head
from clew.model import JSON, AuditRecord, Results, SessionInfo, Status
from clew.owners import LedgerDesk, Owner
from clew.session import Session

if TYPE_CHECKING:
    from clew.access import NewToken, TokenInfo
    from clew.erase import Erased
    from clew.exporting import Exported, ExportOptions, Progress, Recipe
    from clew.frames import AnyFrame
    from clew.live import Live
    from clew.prices import Prices
    from clew.retention import Collected, Rule
    from clew.searching import Searcher
    from clew.source import Imported
    from clew.stats import Stats, UsageRow
    from clew.verify import Report

T = TypeVar("T")

DEFAULT_PROJECT = "default"


class _Shared(msgspec.Struct):
    """What the handles of one open ledger have in common and make when it is needed."""

    live: Any = None
    """Who follows; see `clew.live`."""
    lock: Any = msgspec.field(default_factory=threading.Lock)


class Ledger(Giving):
    """An open ledger. Close it, or use it as a context manager. Safe to share among threads."""

    def __init__(
        self,
        database: Database,
        *,
        project: str | None,
        search: bool | None,
        actor: str,
        count_tokens: tokens.Counter,
        max_checkpoints: int | None,
        prices: Prices | str | os.PathLike[str] | None = None,
    ) -> None:
        self._database = database
        self._prices = prices
        self._project_name = project
        self.actor = actor
        self.count_tokens = count_tokens
        self.max_checkpoints = max_checkpoints
        self._projects: dict[str, int] = {}
        self._handles: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()
        self._searcher: Searcher | None = None
        self._runs = Owner(LedgerDesk(self))
        self._shared = _Shared()
        self._lent = False
        self._scope = None if project is None else self._project_key(project)
        if search is not None:
            self._set_search(search)
        if database.writable:
            owners.sweep(self)
        self._start_indexer()

    def confined(self, project: str | None = None, *, actor: str | None = None) -> Ledger:
        """Another handle on this open ledger, for one project (default: as this one) and in
        somebody's name. It ends with this one; closing it closes nothing.
        """
        _ = self._search  # both are to follow one index
        other = copy.copy(self)
        other._lent, other._handles = True, weakref.WeakValueDictionary()
        other.actor = actor or self.actor
        if project is not None:
            other._project_name = self._named(project)
            other._scope = other._project_key(project)
        return other

    # --- sessions ---

    def session(
        self, *, frontend: str, user: str, project: str | None = None, agent: str | None = None
    ) -> Session:
        """The session at an address, made when there is none."""
        owner = self._project_key(self._named(project))
        names.checked(frontend, "frontend", empty=False)
        names.checked(user, "user", empty=False)
        id = canonical.new_id()

        def unit(tx: Tx) -> Session:
            row = tx.one("session_by_address", project=owner, frontend=frontend, user_id=user)
            if row is not None:
                return self._handle(row[0], owner, row[2])
            key = checkpoints.new_session(
                tx, owner, self.actor, id=id, agent=agent, address=(frontend, user)
            )
            return self._handle(key, owner, id)

        with self._database.read() as tx:
            row = tx.one("session_by_address", project=owner, frontend=frontend, user_id=user)
        return self._handle(row[0], owner, row[2]) if row else self._run(unit, 0)

    def create(
        self,
        *,
        project: str | None = None,
        title: str | None = None,
        agent: str | None = None,
        config: Mapping[str, JSON] | None = None,
        spawned_by: str | None = None,
    ) -> Session:
        """A new session without an address. `spawned_by` is `session` or `session#call_id`."""
        owner = self._project_key(self._named(project))
        id = canonical.new_id()

        def unit(tx: Tx) -> Session:
            key = checkpoints.new_session(
                tx, owner, self.actor, id=id, title=title, agent=agent, spawned_by=spawned_by
            )
            if config:
                moves.set_config(tx, lock_head(tx, key), self.actor, dict(config))
            return self._handle(key, owner, id)

        return self._run(unit, 0)

    def get(self, id: str) -> Session:
        """A session by its id or a unique prefix of it. Raises `NotFound`, `Invalid`."""
        with self._database.read() as tx:
            full = self._full_id(tx, id)
            row = tx.one("session_by_id", id=full, project=self._scope)
        if row is None:
            raise NotFound(f"no session {id!r} in this ledger: list them with sessions()")
        return self._handle(row[0], row[1], row[2])

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
        """Sessions, newest first; `after` the last one of the page before. Sub-agents'
        sessions are left out unless `spawned`. Raises `Invalid` for an unknown `status`.
        """
        names.one_of(status, Status, "status")
        owner = self._known_project(project)
        with self._database.read() as tx:
            before_key = None
            if after is not None:
                row = tx.one("session_by_id", id=after.id, project=None)
                before_key = row[0] if row else 0
            rows = tx.all(
                "session_list",
                project=owner,
                status=status,
                agent=agent,
                frontend=frontend,
                user_id=user,
                since_ms=since_ms,
                until_ms=until_ms,
                spawned=int(spawned),
                before_ms=after.updated_ms if after else None,
                before_key=before_key,
                limit=names.bounded(limit),
            )
        return [reading.info_row(row) for row in rows]

    def projects(self) -> list[str]:
        """The names of the projects in this ledger (or the one this handle is confined to)."""
        with self._database.read() as tx:
            return [name for key, name, _ in tx.all("project_list") if self._scope in (None, key)]

    def evict(self, ids: Iterable[str]) -> int:
        """Make open handles on these sessions stale; gives how many there were."""
        wanted, count = set(ids), 0
        for handle in list(self._handles.values()):
            if handle.id in wanted and not handle._closed:
                handle._closed = "it was evicted"
                count += 1
        return count

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
        """Full-text search over everything said, thought, called and answered, on every
        branch, compacted or not.

        Words are ANDed; `"a phrase"`, `prefix*`, `OR`, `NOT` and parentheses work. `kind` is
        one or more of `user assistant system thinking tool_call tool_result`; `since` and
        `until` take `7d`, a date or Unix milliseconds. `rank` orders by relevance among the
        newest matches, `newest` by time. Raises `Invalid` for a query that cannot be read.
        """
        from clew.searching import Question

        question = Question(
            text=query,
            kinds=tuple([kind] if isinstance(kind, str) else kind or ()),
            role=role,
            tool=tool,
            session=session,
            project=project,
            since=since,
            until=until,
            order=order,
            limit=limit,
            min_score=min_score,
        )
        return self._search.answer(question, self)

    def reindex(self, on_progress: Callable[[int, int], None] | None = None) -> int:
        """Build the full-text index anew; gives the number of entries that it now covers.

        `on_progress` is called with entries done and entries in all.
        """
        return self._search.rebuild(on_progress)

    def index_now(self, on_progress: Callable[[int, int], None] | None = None) -> int:
        """Bring the index up to date before returning; gives the entries that were added."""
        return self._search.catch_up(on_progress=on_progress)

    def follow(
        self, after: Mapping[str, int] | None = None, *, idle: float | None = None
    ) -> Iterator[AnyFrame]:
        """What happens, as it happens, in this process and in others: frames of the sessions
        in `after` (by id, each behind the sequence it has; 0: from the beginning), or of all
        sessions from now on. See `clew.frames`.

        Goes on until it is closed, or until nothing happened for `idle` seconds. Nothing is
        missed and nothing told twice: go on later with the last frame's `sequence`. Raises
        `NotFound`; `Invalid` for a sequence that a session has not reached.
        """
        from clew.live import follow

        return follow(self, after, idle)

    # --- in and out ---

    def import_from(
        self,
        path: str | os.PathLike[str],
        *,
        importer: str | None = None,
        tables: Mapping[str, str] | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Imported:
        """Bring in every history below a file or folder, files of OpenTelemetry traces too, or
        the tables of a chat application at a `postgresql://` URL (`tables` maps their names: see
        `docs/formats/chat-tables.md`). What is there already is not added again. Sources are
        opened read-only. Gives counts and a note for all that was odd.
        """
        from clew.tables import SCHEMES, gather_tables
        from clew.traces import import_from

        if str(path).startswith(SCHEMES):
            return gather_tables(self, str(path), tables)
        if tables:
            raise Invalid("`tables` maps names of a database: give its postgresql:// URL")
        return import_from(self, Path(path), importer=importer, on_progress=on_progress)

    def source_bytes(self, session: str) -> dict[str, bytes]:
        """The files that a session was imported from, byte for byte, by path."""
        from clew.gather import source_bytes

        return source_bytes(self, self.get(session))

    def trajectory(self, session: str) -> dict[str, JSON]:
        """A session as a training row (see `clew.exporters.trajectory`), not redacted."""
        from clew.exporting import rows_of

        return rows_of(self, self.get(session))

    def export(
        self,
        recipe: Recipe | None = None,
        *,
        output: str | os.PathLike[str] | BinaryIO,
        options: ExportOptions | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Exported:
        """Write sessions as training data; gives counts and where they went.

        `recipe` says which sessions, in which format, shaped and redacted how; by default all of
        them in the native one, redacted. `options` say how it is split, who does the work and
        what stands beside it. `output` is a file, or a folder for formats with a file for each
        session; a stream takes lines. What was written is looked at once more before it gets its
        name, and a manifest is put beside it.

        Raises `Invalid` for what cannot be asked for, `NotFound`, and `RedactionFailed` when the
        second look finds something: then nothing was exported.
        """
        from clew import exporting

        recipe, options = recipe or exporting.Recipe(), options or exporting.ExportOptions()
        return exporting.export(self, output, recipe, options, on_progress)

    def export_count(
        self, recipe: Recipe | None = None, *, options: ExportOptions | None = None
    ) -> dict[str, int]:
        """What an export would take: `sessions` selected, `rows`, and what is left out, by reason.
        Nothing is redacted or written.
        """
        from clew import exporting

        return exporting.count(
            self, recipe or exporting.Recipe(), options or exporting.ExportOptions()
        )

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
        """The audit log, newest first; `after` the last record of the page before."""
        from clew.stats import audit_records

        owner = self._known_project(project)
        key = self.get(session)._key if session else None
        with self._database.read() as tx:
            return audit_records(tx, owner, key, action, since_ms, names.bounded(limit), after)

    def verify(
        self, *, audit_only: bool = False, on_progress: Callable[[int, int], None] | None = None
    ) -> Report:
        """Derive every hash, pointer and projection again and name what does not agree.

        When anything does not, this handle takes no further writes.
        """
        from clew.verify import verify

        report = verify(self, audit_only=audit_only, on_progress=on_progress)
        if not report.ok:
            self._database.stop(f"verify found {len(report.problems)} wrong: {report.problems[0]}")
        return report

    def stats(self) -> Stats:
        """How much there is, and how much room it takes."""
        from clew.stats import stats

        return stats(self)

    def usage(
        self,
        *,
        by: Literal["day", "model", "project"] = "day",
        since: str | int | None = None,
        until: str | int | None = None,
        project: str | None = None,
    ) -> list[UsageRow]:
        """Tokens and cost, once per model call, summed by day (UTC), model or project."""
        from clew.stats import usage

        return usage(self, by=by, since=since, until=until, project=project)

    def erase(self, session: str, *, with_branches: bool = False, dry_run: bool = False) -> Erased:
        """Remove what a session said, for good: bodies, index, raw source, blobs.

        What a branch still shares stays unless `with_branches`; the report names it, and the
        back-ups that still hold it. The chain keeps verifying; a keyed mark keeps the next
        import from bringing it back. A copy of the history under another id is another
        session: erase that too.
        """
        from clew.erase import erase

        return erase(self, session, with_branches=with_branches, dry_run=dry_run)

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Copy the ledger into a new SQLite file while others write; gives its path."""
        from clew.care import backup

        return backup(self, Path(path))

    def gc(self, *, dry_run: bool = True, now_ms: int | None = None) -> Collected:
        """Apply each project's retention rule; with `dry_run` only say what would happen."""
        from clew.retention import collect

        return collect(self, dry_run=dry_run, now_ms=now_ms)

    def retain(self, project: str, rule: Rule) -> None:
        """Set a project's retention rule."""
        from clew.retention import set_rule

        set_rule(self, self._project_key(self._named(project)), rule)

    def pin(self, session: str, pinned: bool = True) -> None:
        """Keep a session whatever the retention rule says."""
        from clew.care import pin

        pin(self, self.get(session), pinned)

    def archive(self, session: str, archived: bool = True) -> None:
        """Take a session out of use: it can be read and searched, and not written."""
        from clew.care import archive

        archive(self, self.get(session), archived)

    def create_token(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        project: str | None = None,
        expires: str | int | None = None,
    ) -> NewToken:
        """A new access token for the server; its text is in what is given, and nowhere else.

        `scopes` are those of `clew.access.Scope`; `project` confines the token; `expires` is a
        duration from now (`90d`), a date or Unix milliseconds (`None`: it does not).
        """
        return access.create(self, name, scopes, project=project, expires=expires)

    def tokens(self) -> list[TokenInfo]:
        """Every access token, newest first, revoked ones too; never a secret."""
        return access.listed(self)

    def revoke_token(self, id: str) -> TokenInfo:
        """End an access token for good; a server closes what it opened within a second.

        Takes the token's whole text too, for one that was found where it should not be.
        """
        return access.revoke(self, id)

    @cached_property
    def prices(self) -> Prices:
        """What model calls cost where they do not tell it themselves."""
        from clew.prices import chosen

        return chosen(self._prices)

    @property
    def trace_failures(self) -> int:
        """Spans that could not be recorded since this ledger was opened; see `clew.tracing`."""
        return self._runs.failures

    def sweep(self) -> int:
        """Give up the running spans whose process is gone: they become `abandoned`, ended at
        its last sign of life. Done whenever a ledger is opened; gives how many there were.
        """
        return owners.sweep(self)

    def sync(self) -> None:
        """Make everything acknowledged so far durable (for durability `normal`)."""
        self._database.sync()

    def close(self) -> None:
        """Stop the threads and give the files back. Idempotent."""
        if self._lent:
            return
        if self._searcher is not None:
            self._searcher.close()
        self._runs.close()
        if self._shared.live is not None:
            self._shared.live.close()
        self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside ---

    def _afollow(
        self, after: Mapping[str, int] | None, idle: float | None
    ) -> AsyncGenerator[AnyFrame]:
        from clew.live import astream

        return astream(self, after, idle)

    def _live(self) -> Live:
        with self._shared.lock:
            if self._shared.live is None:
                from clew.live import Live

                self._shared.live = Live(self)
        live: Live = self._shared.live
        return live

    def _run(self, unit: Callable[[Tx], T], order: int) -> T:
        result = self._database.write(unit, order)
        if self._shared.live is not None:
            self._shared.live.wrote(order)
        if self._searcher is not None:
            self._searcher.wrote(order)
        return result

    async def _arun(self, unit: Callable[[Tx], T], order: int) -> T:
        """The same for asyncio: the unit shares its commit with whatever else is queued.

        A cancelled task waits for the outcome of its unit before the cancellation goes on.
        """
        import asyncio  # half the time that `import clew` would take

        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(job: Job) -> None:
            if future.cancelled():
                return
            if job.error is not None:
                future.set_exception(job.error)
            else:
                future.set_result(job.value)

        def done(job: Job) -> None:
            loop.call_soon_threadsafe(settle, job)

        self._database.submit(unit, order, done)
        try:
            result = await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise
        if self._shared.live is not None:
            self._shared.live.wrote(order)
        if self._searcher is not None:
            self._searcher.wrote(order)
        return result

    def _handle(self, key: int, project: int, id: str) -> Session:
        session = Session(self, key, project, id)
        self._handles[builtin_id(session)] = session
        return session

    def _named(self, project: str | None) -> str:
        if project is not None and self._project_name not in (None, project):
            raise Invalid(
                f"this handle is confined to project {self._project_name!r}: open another for "
                f"{project!r}"
            )
        if project is not None:
            return project
        return DEFAULT_PROJECT if self._project_name is None else self._project_name

    def _project_key(self, name: str) -> int:
        key = self._projects.get(name)
        if key is None:
            key = self._projects[name] = self._find_project(name)
        return key

    def _find_project(self, name: str) -> int:
        names.checked(name, "a project's name", empty=False)
        with self._database.read() as tx:
            row = tx.one("project_get", name=name)
        if row is None:

            def unit(tx: Tx) -> int:
                tx.run("project_add", name=name, chain=canonical.genesis("project", name))
                found = tx.one("project_get", name=name)
                assert found is not None  # noqa: S101 - it was just added
                return int(found[0])

            return self._database.write(unit)
        return int(row[0])

    def _known_project(self, name: str | None) -> int | None:
        """The key to filter by. Raises `NotFound` for a project that is not there."""
        if name is None:
            return self._scope
        with self._database.read() as tx:
            row = tx.one("project_get", name=self._named(name))
        if row is None:
            raise NotFound(f"no project {name!r} in this ledger: there are {self.projects()}")
        return int(row[0])

    def _full_id(self, tx: Tx, id: str) -> str:
        names.check_session_id(id)
        if len(id) == names.ID_CHARS:
            return id
        # "g" comes behind every digit of an id, whatever the database's collation.
        rows = tx.all("session_by_prefix", low=id, high=id + "g", project=self._scope)
        if len(rows) > 1:
            some = ", ".join(row[0] for row in rows)
            raise Invalid(f"session id {id!r} is ambiguous ({some}…): give more of it")
        return str(rows[0][0]) if rows else id

    def _secret(self, name: str) -> bytes:
        """A random key that this ledger keeps to itself, made when it is first asked for."""
        fresh = secrets.token_hex(32)

        def unit(tx: Tx) -> str:
            row = tx.one("meta_get", name=name)
            if row is None:
                tx.run("meta_set", name=name, value=fresh)
            return fresh if row is None else str(row[0])

        with self._database.read() as tx:
            known = tx.one("meta_get", name=name)
        return bytes.fromhex(known[0] if known else self._database.write(unit))

    def _record(self, tx: Tx, action: str, **facts: JSON) -> None:
        """Put what concerns the whole ledger on the chain of this handle's project."""
        owner = self._scope
        if owner is None:
            row = tx.one("project_get", name=DEFAULT_PROJECT)
            if row is None:
                tx.run(
                    "project_add",
                    name=DEFAULT_PROJECT,
                    chain=canonical.genesis("project", DEFAULT_PROJECT),
                )
                row = tx.one("project_get", name=DEFAULT_PROJECT)
            owner = row[0] if row else 0
        audit.record_project(tx, owner, self.actor, action, **facts)

    # --- search ---

    @property
    def _search(self) -> Searcher:
        if self._searcher is None:
            from clew.searching import Searcher

            self._searcher = Searcher(self)
        return self._searcher

    def _set_search(self, on: bool) -> None:
        self._database.write(
            lambda tx: tx.run("meta_set", name="search", value="on" if on else "off")
        )

    def _start_indexer(self) -> None:
        if self._database.writable:
            self._search.start()


builtin_id = id
